"""What a pair's agreement is worth, by Splink's comparison of its records.

Splink (Linacre et al., 2022) compares the records and adds up what each level of agreement says for one person
against two strangers, frequent values less than rare ones. People of one household would win against strangers
without being one person, so every pair is also weighed against that: on the attributes that tell people of one
household apart. The weight of a pair is the logarithm of the odds of "one person" against both together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from math import log2
from typing import Any

from include.identity.engine import Engine, text
from include.identity.linkage.comparisons import PERSONAL, Comparison

PAIRS_PER_PART = 1_000_000  # compared at once: the texts of both records of all pairs are in memory then


class Scorer:
    """Compares pairs of `linkage_record` with one model."""

    def __init__(self, engine: Engine, comparisons: Sequence[Comparison], threads: int | None = None) -> None:
        # Importing Splink takes a second, and only a run that links needs it.
        from splink import DuckDBAPI, Linker, SettingsCreator

        _read_names_once()
        logging.getLogger("splink").setLevel(logging.ERROR)
        self._engine = engine
        self._comparisons = tuple(comparisons)
        self._api = DuckDBAPI(engine.connection)
        settings = SettingsCreator(
            link_type="dedupe_only",
            comparisons=[_settings_of(comparison) for comparison in comparisons],
            # Even odds: what is known before looking at a pair is added later.
            probability_two_random_records_match=0.5,
            unique_id_column_name="record",
            retain_matching_columns=True,  # and with them how far each attribute agrees
        )
        records = self._api.register("linkage_record", table_name="linkage_record_of_model")
        self._linker = Linker(records, settings, log_level=None, validate_settings=False)
        # The records bring the frequencies with them; without a table of its own Splink would count them again.
        none = self._api.register("linkage_no_record", table_name="linkage_frequencies_of_model")
        for column in sorted(
            {level.frequency for comparison in comparisons for level in comparison.levels if level.frequency}
        ):
            self._linker.table_management.register_term_frequency_lookup(none, column)

    @contextmanager
    def compared(self, pairs: str, least: float | None = None) -> Iterator[str]:
        """The name of a table with a row per pair of `pairs`, or per pair of at least that weight: record_l, record_r,
        match_key, match_weight, gamma_…"""
        registered = self._api.table_to_splink_dataframe(pairs, pairs)
        self._linker.table_management.register_blocked_pairs_for_predict(registered)
        predictions = self._linker.inference.predict(threshold_match_weight=least, warning_mode="never")
        try:
            yield predictions.physical_name
        finally:
            predictions.drop_table_from_database_and_remove_from_cache()

    def compare(
        self, pairs: Callable[[str], str], parts: int, query: str, result: str, least: float | None = None
    ) -> int:
        """Make `result` of many pairs, so many parts of them one after the other; how many were compared.

        `pairs` gives a query of the pairs (join_key_l, join_key_r, match_key) of which the lower record is in a part:
        `% parts = part` holds for it. `query` says what to keep of `linkage_compared`, what `compared` makes of these.
        """
        count = 0
        for part in range(parts):
            self._engine.create_table("linkage_pair", pairs(f"% {parts} = {part}"))
            count += self._engine.scalar("select count(*) from linkage_pair")
            with self.compared("linkage_pair", least) as compared:
                self._engine.connection.execute(
                    f"create or replace temporary view linkage_compared as from {compared}"
                )
                (self._engine.insert if part else self._engine.create_table)(result, query)
            self._engine.drop("linkage_pair")
        return count

    @property
    def described(self) -> str:
        """Over a compared pair: how far each attribute that both records have agrees, in words."""
        terms = []
        for comparison in self._comparisons:
            last = len(comparison.levels) - 1
            cases = " ".join(
                f"when {last - place} then {text(f'{comparison.name}: {level.name}')}"
                for place, level in enumerate(comparison.levels)
            )
            terms.append(f"case gamma_{comparison.name} {cases} end")
        return f"concat_ws(', ', {', '.join(terms)})"

    @property
    def household(self) -> str:
        """Over a compared pair: for one person against two of one household, in bits."""
        terms = []
        for comparison in self._comparisons:
            if comparison.name not in PERSONAL:
                continue
            last = len(comparison.levels) - 1
            cases = " ".join(
                f"when {last - place} then {log2(level.same / level.household)!r}"
                for place, level in enumerate(comparison.levels)
            )
            terms.append(f"case gamma_{comparison.name} {cases} else 0 end")
        return " + ".join(terms) or "0"


@cache
def _read_names_once() -> None:
    """Have Splink remember how the name of a column is read and written.

    It parses each name wherever it meets it, a thousand times a model and always to the same frozen value, which is a
    fifth of what it costs to link few records.
    """
    from splink.internals.input_column import SqlglotColumnTreeBuilder as Name

    remember = lru_cache(maxsize=10_000)
    read = Name.from_raw_column_name_or_column_reference.__func__
    Name.from_raw_column_name_or_column_reference = classmethod(remember(read))
    Name.sql = property(remember(Name.sql.fget))


def _settings_of(comparison: Comparison) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": comparison.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    for level in comparison.levels:
        setting: dict[str, Any] = {
            "sql_condition": level.condition or "ELSE",
            "label_for_charts": level.name,
            "m_probability": level.same,
            "u_probability": level.strangers,
        }
        if level.frequency:
            setting["tf_adjustment_column"] = level.frequency
            setting["disable_tf_exact_match_detection"] = True
        levels.append(setting)
    return {"output_column_name": comparison.name, "comparison_levels": levels}
