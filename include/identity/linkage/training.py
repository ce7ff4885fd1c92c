"""What the data themselves say of how records of one person, and of strangers, agree: learned without labels.

The levels of agreement of random pairs, and of pairs that agree on a name or a birth date, are counted. From the
counts alone the probabilities are estimated by expectation and maximisation (Dempster, Laird and Rubin, 1977) under
Dirichlet priors (a maximum a posteriori estimate), which Splink's own training does not have: with few pairs the
priors of `comparisons` stand, with many the data do, and there is no size at which the one gives way to the other.
Counts are integers and are added up in one order, so the same records give the same model to the last bit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Protocol

import numpy as np

from include.identity.engine import Engine
from include.identity.linkage.blocking import PARTS
from include.identity.linkage.comparisons import FIXED, PERSONAL, Comparison
from include.identity.linkage.priors import LEAST_EVIDENCE, USUAL, has_persons, per_record, priors_of
from include.identity.linkage.scoring import Scorer

logger = logging.getLogger(__name__)

# Pairs of records that agree on these are the ones to learn from: what they agree on itself is not learned there.
# Addresses and telephones are not among them: who agrees on those is as likely of one household.
SESSIONS = (
    (("given_name", "family_name"), ("given_name", "family_name")),
    (("birth_date",), ("birth_date",)),
    (("national_id",), ("national_id",)),
    (("loyalty_number",), ("loyalty_number",)),
    (("email",), ("email",)),
)
_RANDOM_PAIRS = 100_000
_SESSION_PAIRS = 200_000
_LARGEST_BLOCK = 60
_PRIOR_PAIRS = {"same": 60.0, "strangers": 1000.0}  # how many pairs the priors count like
_BLOCKED_PAIRS = 300_000
_MOST_SLIPS = 0.2  # how often records of one person may disagree altogether in a name or a birth date
_ROUNDS = 60
_LEAST = 1e-7

Pattern = tuple[int, ...]  # the place of a level per comparison, -1 where something is missing


@dataclass(frozen=True)
class Counted:
    """Pairs by their pattern of agreement, and the comparisons that they were chosen by."""

    chosen_by: tuple[str, ...]
    patterns: tuple[tuple[Pattern, int], ...]


class Blocked(Protocol):
    """The pairs that are looked at."""

    def sample(self, engine: Engine, result: str, most: int) -> float:
        """Make `result` of about `most` of the pairs; how many pairs one of them stands for."""


def train(
    engine: Engine, comparisons: Sequence[Comparison], records: int, blocked: Blocked
) -> tuple[Comparison, ...]:
    """The comparisons with the probabilities that the records in `linkage_record` teach.

    `blocked` makes the table of a sample of the pairs that are looked at.
    """
    names = {comparison.name for comparison in comparisons}
    chosen = [(parts, by) for parts, by in SESSIONS if names.issuperset(by)]
    queries = [_random_pairs(records), *(_agreeing_pairs(parts) for parts, _ in chosen)]
    random, *sessions = _count(engine, comparisons, queries, [(), *(by for _, by in chosen)])
    model = learn(comparisons, random, sessions)
    if not has_persons(model):
        return model
    scorer = Scorer(engine, model)
    return refine(comparisons, model, *_weigh(engine, scorer, model, blocked), records)


def learn(
    comparisons: Sequence[Comparison], random: Counted, sessions: Sequence[Counted]
) -> tuple[Comparison, ...]:
    """The comparisons with what the counted pairs teach; see the module."""
    model = _learn_strangers(comparisons, random)
    expected: dict[int, list[float]] = {
        place: [0.0] * len(comparison.levels) for place, comparison in enumerate(model)
    }
    for session in sessions:
        for place, counts in _expect(model, session).items():
            expected[place] = [total + count for total, count in zip(expected[place], counts, strict=True)]
    return tuple(_with_same(comparison, expected[place]) for place, comparison in enumerate(model))


def _random_pairs(records: int) -> str:
    """All pairs of few records, or of each record as many others as the number of pairs allows."""
    if records * (records - 1) // 2 <= _RANDOM_PAIRS:
        return """
        select
            low.record as join_key_l,
            high.record as join_key_r
        from linkage_record as low
        inner join linkage_record as high on low.record < high.record
        """
    # Records are numbered at random, so those a fixed step apart are a random pair.
    steps = max(_RANDOM_PAIRS // records, 1)
    every = max(records // _RANDOM_PAIRS, 1)
    return f"""
    select
        least(record, other) as join_key_l,
        greatest(record, other) as join_key_r
    from (
        select
            linkage_record.record,
            (linkage_record.record + steps.step * {max(records // (2 * steps + 1), 1)} + 1) % {records} as other
        from linkage_record
        cross join (select unnest(range(1, {steps + 1})) as step) as steps
        where linkage_record.record % {every} = 0
    ) as drawn
    where record <> other
    """


def _agreeing_pairs(parts: Sequence[str]) -> str:
    """Pairs that agree on `parts`: whole blocks, in the order of their first record, until there are enough."""
    key = " || '|' || ".join(PARTS[part] for part in parts)
    return f"""
    with keyed as (
        select
            {key} as key,
            record
        from linkage_record
    ),

    blocks as (
        select
            key,
            sum(count(*) * (count(*) - 1) / 2) over (order by min(record)) as pairs
        from keyed
        where key is not null
        group by key
        having count(*) between 2 and {_LARGEST_BLOCK}
    ),

    chosen as (
        select
            keyed.key,
            keyed.record
        from keyed
        inner join blocks on keyed.key = blocks.key
        where blocks.pairs <= {_SESSION_PAIRS}
    )

    select
        low.record as join_key_l,
        high.record as join_key_r
    from chosen as low
    inner join chosen as high on low.key = high.key
    where low.record < high.record
    """


def _count(
    engine: Engine,
    comparisons: Sequence[Comparison],
    queries: Sequence[str],
    chosen_by: Sequence[tuple[str, ...]],
) -> list[Counted]:
    """The patterns of the pairs of each query, all compared at once: match_key tells them apart."""
    engine.create_table(
        "linkage_training_pair",
        "\nunion all\n".join(
            f"select join_key_l, join_key_r, {number} as match_key from ({query}) as pairs"
            for number, query in enumerate(queries)
        ),
    )
    gammas = ", ".join(f"gamma_{comparison.name}" for comparison in comparisons)
    with Scorer(engine, comparisons).compared("linkage_training_pair") as compared:
        rows = engine.rows(
            f"""
            select {gammas}, count(*), cast(match_key as integer)
            from {compared}
            group by {gammas}, match_key
            order by match_key, {gammas}
            """
        )
    engine.drop("linkage_training_pair")
    return [
        Counted(by, tuple((_pattern(comparisons, row), row[-2]) for row in rows if row[-1] == number))
        for number, by in enumerate(chosen_by)
    ]


def _pattern(comparisons: Sequence[Comparison], row: Sequence[int]) -> Pattern:
    """The places of the levels that a row begins with; Splink numbers levels from none to full agreement."""
    return tuple(
        len(comparison.levels) - 1 - gamma if gamma >= 0 else -1
        for comparison, gamma in zip(comparisons, row, strict=False)
    )


def _learn_strangers(comparisons: Sequence[Comparison], random: Counted) -> tuple[Comparison, ...]:
    """How strangers agree, from random pairs; those that are likely of one person do not count."""
    counts = [[0.0] * len(comparison.levels) for comparison in comparisons]
    for pattern, pairs in random.patterns:
        odds = 1e-3 * _ratio(comparisons, pattern, ())
        strangers = pairs / (1 + odds)
        for place, level in enumerate(pattern):
            if level >= 0:
                counts[place][level] += strangers
    return tuple(
        replace(
            comparison,
            levels=tuple(
                level if (comparison.name, level.name) in FIXED else replace(level, strangers=share)
                for level, share in zip(
                    comparison.levels,
                    _blend(
                        counts[place],
                        [level.strangers for level in comparison.levels],
                        _PRIOR_PAIRS["strangers"],
                    ),
                    strict=True,
                )
            ),
        )
        for place, comparison in enumerate(comparisons)
    )


def _expect(model: Sequence[Comparison], session: Counted) -> Mapping[int, list[float]]:
    """How many pairs of one person agree on each level, of the comparisons that the pairs were not chosen by."""
    current = tuple(model)
    free = [place for place, comparison in enumerate(model) if comparison.name not in session.chosen_by]
    share = 0.2
    counts: dict[int, list[float]] = {}
    for _ in range(_ROUNDS):
        counts = {place: [0.0] * len(model[place].levels) for place in free}
        found = total = 0.0
        for pattern, pairs in session.patterns:
            odds = share / (1 - share) * _ratio(current, pattern, session.chosen_by)
            same = pairs * odds / (1 + odds)
            found += same
            total += pairs
            for place in free:
                if pattern[place] >= 0:
                    counts[place][pattern[place]] += same
        moved = tuple(
            _with_same(model[place], counts[place]) if place in counts else comparison
            for place, comparison in enumerate(model)
        )
        share = min(max((found + 1) / (total + 5), 1e-6), 1 - 1e-6)
        if moved == current:
            break
        current = moved
    return counts


def _ratio(comparisons: Sequence[Comparison], pattern: Pattern, without: Sequence[str]) -> float:
    ratio = 1.0
    for comparison, level in zip(comparisons, pattern, strict=True):
        if level >= 0 and comparison.name not in without:
            ratio *= comparison.levels[level].same / comparison.levels[level].strangers
    return min(ratio, 1e30)


def _with_same(
    prior: Comparison,
    counts: Sequence[float],
    current: Comparison | None = None,
    most_else: float | None = None,
) -> Comparison:
    """The current comparison with what the counts of one person's pairs teach, within reason."""
    current = current or prior
    most_else = prior.most_else if most_else is None else max(most_else, prior.most_else)
    shares = _blend(counts, [level.same for level in prior.levels], _PRIOR_PAIRS["same"])
    if shares[-1] > most_else:
        scale = (1 - most_else) / (1 - shares[-1])
        shares = [share * scale for share in shares[:-1]] + [most_else]
    if shares[0] <= current.levels[0].strangers or shares[-1] >= current.levels[-1].strangers:
        # Full agreement that speaks against one person is nothing that data can teach.
        return current
    levels = tuple(
        level if (current.name, level.name) in FIXED else replace(level, same=share)
        for level, share in zip(current.levels, shares, strict=True)
    )
    return replace(current, levels=levels)


def _blend(counts: Sequence[float], prior: Sequence[float], weight: float) -> list[float]:
    total = sum(counts) + weight * sum(prior)
    return [max((count + weight * share) / total, _LEAST) for count, share in zip(counts, prior, strict=True)]


def _weigh(
    engine: Engine, scorer: Scorer, comparisons: Sequence[Comparison], blocked: Blocked
) -> tuple[list[tuple[Pattern, int, int]], float]:
    """A sample of the blocked pairs by pattern and evidence (bits), and how many pairs one of the sample stands for."""
    stands_for = blocked.sample(engine, "linkage_training_pair", _BLOCKED_PAIRS)
    gammas = [f"gamma_{comparison.name}" for comparison in comparisons]
    with scorer.compared("linkage_training_pair", LEAST_EVIDENCE) as compared:
        rows = engine.rows(
            f"""
            select {", ".join(gammas)}, cast(floor(match_weight) as integer) as evidence, count(*) as pairs
            from {compared}
            group by {", ".join(gammas)}, evidence
            order by {", ".join(gammas)}, evidence
            """
        )
    engine.drop("linkage_training_pair")
    return [(_pattern(comparisons, row), row[-2], row[-1]) for row in rows], stands_for


def refine(
    defaults: Sequence[Comparison],
    model: Sequence[Comparison],
    weighed: Sequence[tuple[Pattern, int, int]],
    stands_for: float,
    records: int,
) -> tuple[Comparison, ...]:
    """The model with what one person's records say of themselves, told from what records of one household say.

    Three explanations compete for each pair: one person, two of a household, two strangers. Where hardly anybody
    lives together, records at one address that differ in a name or a birth date are one person with a slip; where
    many do, they are two people. How often each is the case is learned together with how often people slip.
    """
    if not weighed:
        return tuple(model)
    personal = [place for place, comparison in enumerate(model) if comparison.name in PERSONAL]
    patterns = np.array([pattern for pattern, _, _ in weighed], dtype=np.int64)
    evidence = np.array([bits for _, bits, _ in weighed], dtype=np.float64) + 0.5
    pairs = np.array([count for _, _, count in weighed], dtype=np.float64) * stands_for
    before = _bits(model, patterns, personal, "same")
    together = evidence - before + _bits(model, patterns, personal, "household")
    current = tuple(model)
    duplicates, housemates = USUAL["duplicates"][0], USUAL["housemates"][0]
    for _ in range(_ROUNDS):
        priors = priors_of(duplicates, housemates, records)
        one = np.exp2(
            np.minimum(evidence - before + _bits(current, patterns, personal, "same") + priors.person, 500)
        )
        two = np.exp2(np.minimum(together + priors.household, 500))
        same = pairs * one / (1 + one + two)
        duplicates = per_record("duplicates", float(np.sum(same)), records)
        housemates = per_record("housemates", float(np.sum(pairs * two / (1 + one + two))), records)
        moved = list(current)
        for place in personal:
            levels = len(model[place].levels)
            known = patterns[:, place] >= 0
            counts = np.bincount(patterns[known, place], weights=same[known], minlength=levels)
            moved[place] = _with_same(defaults[place], counts.tolist(), model[place], _MOST_SLIPS)
        current = tuple(moved)
    return current


def _bits(model: Sequence[Comparison], patterns: np.ndarray, places: Sequence[int], which: str) -> np.ndarray:
    total = np.zeros(len(patterns))
    for place in places:
        # A missing value is the last entry: the index -1.
        values = [log2(getattr(level, which)) for level in model[place].levels] + [0.0]
        total += np.array(values)[patterns[:, place]]
    return total
