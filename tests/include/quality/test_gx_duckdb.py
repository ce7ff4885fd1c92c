"""Great Expectations on DuckDB: the one patch it needs, exact counts, and what it must not do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from include.quality import gx_duckdb
from include.quality.gx_duckdb import Check, NotEvaluated, open_engine
from include.settings import PROJECT


def test_one_connection_is_kept_so_that_checks_see_what_was_made_in_it() -> None:
    with open_engine() as engine:
        assert engine.add_asset("numbers", "select i from range(1000) t(i)") == 1000
        outcome = engine.evaluate(
            "numbers", [Check("expect_column_values_to_be_between", {"column": "i", "min_value": 0}, "stop")]
        )
    assert outcome[0].success
    assert outcome[0].error is None


def test_without_the_patch_no_check_can_be_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    gx_duckdb.import_great_expectations()
    from great_expectations.execution_engine import sqlalchemy_execution_engine as module

    without = tuple(each for each in module._PERSISTED_CONNECTION_DIALECTS if each != "duckdb")
    monkeypatch.setattr(module, "_PERSISTED_CONNECTION_DIALECTS", without)
    monkeypatch.setattr(gx_duckdb, "_keep_one_connection", lambda: None)
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(10) t(i)")
        outcome = engine.evaluate(
            "numbers", [Check("expect_column_values_to_be_between", {"column": "i", "min_value": 0}, "stop")]
        )
    assert outcome[0].error is not None


def test_great_expectations_loads_no_pyspark() -> None:
    code = (
        "import sys; from include.quality.gx_duckdb import open_engine\n"
        "with open_engine() as engine: engine.add_asset('numbers', 'select 1 as i')\n"
        "assert 'great_expectations' in sys.modules and 'pyspark' not in sys.modules\n"
        "import pyspark"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_great_expectations_says_nothing_in_the_log_of_a_gate() -> None:
    code = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from include.quality.gx_duckdb import open_engine\n"
        "with open_engine() as engine: engine.add_asset('numbers', 'select 1 as i')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_counts_are_exact_and_examples_few() -> None:
    checks = [
        Check("expect_column_values_to_be_between", {"column": "i", "max_value": 99_999}, "stop"),
        Check("unexpected_rows_expectation", {}, "warn", "i % 1000 = 7", ("i",)),
        Check("expect_table_row_count_to_equal", {"value": 5}, "stop"),
    ]
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(250000) t(i)", lazy=True)
        between, rows, count = engine.evaluate("numbers", checks)
    assert (between.success, between.unexpected, len(between.examples)) == (False, 150_000, 3)
    assert (rows.success, rows.unexpected, rows.examples) == (
        False,
        250,
        ({"i": 7}, {"i": 1007}, {"i": 2007}),
    )
    assert (count.success, count.unexpected, count.observed) == (False, None, "250000")


def test_an_error_of_one_check_does_not_hide_the_others() -> None:
    checks = [
        Check("expect_column_values_to_not_be_null", {"column": "nowhere"}, "stop"),
        Check("expect_column_values_to_not_be_null", {"column": "i"}, "stop"),
    ]
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(10) t(i)")
        missing, present = engine.evaluate("numbers", checks)
    assert not missing.success
    assert "nowhere" in str(missing.error)
    assert present.success


def test_a_condition_that_cannot_be_evaluated_does_not_hide_the_others() -> None:
    conditions = ("i > 7", "nowhere > 7", "cast('{' || i as integer) > 7", "i in (select 3)")
    checks = [Check("unexpected_rows_expectation", {}, "stop", where, ("i",)) for where in conditions]
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(10) t(i)")
        above, missing, no_number, listed = engine.evaluate("numbers", checks)
    assert (above.unexpected, above.examples, above.error) == (2, ({"i": 8}, {"i": 9}), None)
    assert "nowhere" in str(missing.error)
    assert "{" in str(no_number.error)
    assert (listed.unexpected, listed.examples, listed.error) == (1, ({"i": 3},), None)


def test_a_row_that_breaks_two_conditions_counts_for_both() -> None:
    conditions = ("i > 7", "asset.i > 8", 'to_json(asset) = \'{"i":1,"j":2}\'', "j is null or i is null")
    checks = [Check("unexpected_rows_expectation", {}, "stop", where, ("i",)) for where in conditions]
    with open_engine() as engine:
        engine.add_asset("numbers", "select i, if(i = 9, null, i + 1) as j from range(10) t(i)", lazy=True)
        outcomes = engine.evaluate("numbers", checks)
    assert [outcome.unexpected for outcome in outcomes] == [2, 1, 1, 1]
    assert [outcome.success for outcome in outcomes] == [False] * 4


def test_a_share_of_values_that_may_break_a_check_is_counted_though_it_holds() -> None:
    between = Check(
        "expect_column_values_to_be_between", {"column": "i", "max_value": 8, "mostly": 0.5}, "stop"
    )
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(10) t(i)")
        (outcome,) = engine.evaluate("numbers", [between])
    assert (outcome.success, outcome.unexpected) == (True, 1)


KEYS = """select * from (values
    ('web', 'e1', 1), ('web', 'e1', 2), ('web', 'e1', 3), ('app', 'e1', 4), ('web', 'e2', 5),
    (null, 'e3', 6), (null, 'e3', 7), ('app', null, 8), ('app', null, 9), (null, null, 10), (null, null, 11)
) as t(channel, event_id, i)"""
UNIQUE = (
    Check("expect_compound_columns_to_be_unique", {"column_list": ["channel", "event_id"]}, "stop"),
    Check("expect_column_values_to_be_unique", {"column": "event_id"}, "stop"),
    Check("expect_column_values_to_be_unique", {"column": "i"}, "stop"),
)


def test_keys_that_come_twice_are_counted_as_great_expectations_counts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_engine() as engine:
        engine.add_asset("keys", KEYS, lazy=True)
        pair, event, number = engine.evaluate("keys", [*UNIQUE])
        monkeypatch.setattr(gx_duckdb, "OF_UNIQUE_KEYS", frozenset())
        alone = engine.evaluate("keys", [*UNIQUE])
    assert [pair, event, number] == alone
    assert (pair.success, pair.unexpected) == (False, 3)
    assert pair.examples == ({"channel": "web", "event_id": "e1"},) * 3
    assert (event.success, event.unexpected) == (False, 6)
    assert (number.success, number.unexpected) == (True, 0)


def test_nulls_are_found_as_great_expectations_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("expect_column_values_to_not_be_null", {"column": name}, "stop") for name in ("i", "j")]
    with open_engine() as engine:
        engine.add_asset("numbers", "select i, nullif(i, 3) as j from range(10) t(i)")
        outcomes = engine.evaluate("numbers", checks)
        monkeypatch.setattr(gx_duckdb, "OF_NULLS", "")
        alone = engine.evaluate("numbers", checks)
    assert outcomes == alone
    assert [(outcome.success, outcome.unexpected) for outcome in outcomes] == [(True, 0), (False, 1)]


def test_conditions_that_no_row_breaks_are_to_great_expectations_what_they_are_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conditions = ("i > 7", "i > 9", "nullif(i, i) > 0")
    checks = [Check("unexpected_rows_expectation", {}, "stop", where, ("i",)) for where in conditions]
    asked = []
    with open_engine() as engine:
        engine.add_asset("numbers", "select i from range(10) t(i)")
        validate = engine._validate

        def of_all(
            relation: str, given: dict[int, Check], result_format: str
        ) -> dict[int, gx_duckdb.Outcome]:
            asked.append(sorted(given))
            queries = {at: gx_duckdb._broken_rows(at, check) for at, check in enumerate(checks)}
            return validate(
                relation,
                {
                    at: replace(checks[at], arguments={"unexpected_rows_query": sql})
                    for at, sql in queries.items()
                },
                result_format,
            )

        outcomes = engine.evaluate("numbers", checks)
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_add_broken_rows", lambda asset, _: f"{asset}: broken rows 0, 1, 2")
            patch.setattr(engine, "_validate", of_all)
            of_great_expectations = engine.evaluate("numbers", checks)
    assert asked == [[0]]
    assert outcomes == of_great_expectations
    assert [outcome.unexpected for outcome in outcomes] == [2, 0, 0]


def test_keys_without_all_their_parts_are_like_no_other() -> None:
    with open_engine() as engine:
        engine.add_asset("keys", f"select * from ({KEYS}) where i = 1 or i > 5")
        outcomes = engine.evaluate("keys", [UNIQUE[0]])
        engine.add_asset("events", f"select * from ({KEYS}) where event_id is null")
        outcomes += engine.evaluate("events", [UNIQUE[1]])
    assert [(outcome.success, outcome.unexpected) for outcome in outcomes] == [(True, 0)] * 2


def test_keys_that_only_share_a_hash_are_not_taken_for_one() -> None:
    pair = "(values (1::bigint, 1::bigint), (2, 6289507739342993550)) as t(i, j)"  # worked out from how DuckDB hashes
    check = Check("expect_compound_columns_to_be_unique", {"column_list": ["i", "j"]}, "stop")
    with open_engine() as engine:
        engine.add_asset("pairs", f"select * from {pair}")
        assert engine.execute(f"select count(distinct hash(i, j)) from {pair}") == [(1,)]
        (outcome,) = engine.evaluate("pairs", [check])
    assert (outcome.success, outcome.unexpected) == (True, 0)


def test_a_key_of_a_column_that_is_not_there_is_an_error() -> None:
    check = Check("expect_column_values_to_be_unique", {"column": "nowhere"}, "stop")
    with open_engine() as engine:
        engine.add_asset("keys", KEYS)
        (outcome,) = engine.evaluate("keys", [check])
    assert "nowhere" in str(outcome.error)


def test_nothing_in_great_expectations_reports_to_anybody() -> None:
    with open_engine() as engine:
        context = engine._datasource.data_context
    assert context.variables.analytics_enabled is False
    assert not any(module.startswith(("posthog", "great_expectations.analytics")) for module in sys.modules)


def test_a_query_that_the_engine_refuses_is_told_in_one_line() -> None:
    with open_engine() as engine, pytest.raises(NotEvaluated, match="nowhere") as refused:
        engine.add_asset("numbers", "select * from nowhere")
    assert "\n" not in str(refused.value)
