"""The parts of the report that tell where audiences are met, whom they reach and what they share."""

from __future__ import annotations

from include.report.sections import MOST_ROWS, Section, Source, bars_of

BEST_PLACES = 3  # of each audience and dimension


def placements(source: Source) -> Section:
    """Where audiences are met more than everybody is, the surest placements of each audience."""
    rows = source.table(
        "dmp/placements",
        f"""
        select audience_id, part, dimension, value, "index", low, high, index_at_equal_activity, people, share, q_value
        from released
        where is_significant and low > 100 and rank <= {BEST_PLACES}
        order by low desc, audience_id, part, dimension, value
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "Where to meet whom",
        "100 is as often as everybody: how large the share of an audience is that was met there, against the share of "
        "all consented visitors. At equal activity, only people who are met as often are compared: what is above 100 "
        "then is taste.",
        bars_of(
            [
                (f"{_who(row[0], row[1])}: {row[3]}", row[4], f"{row[4]:,.0f}", row[5], row[6], 100.0)
                for row in rows
                if row[2] != "context"
            ]
        ),
        (
            "audience",
            "kind",
            "placement",
            "index",
            "low",
            "high",
            "at equal activity",
            "people",
            "share",
            "q",
        ),
        tuple(
            (
                _who(row[0], row[1]),
                *row[2:4],
                *(f"{each:,.0f}" for each in row[4:7]),
                "" if row[7] is None else f"{row[7]:,.0f}",
                f"{row[8]:,}",
                f"{row[9]:.1%}",
                f"{row[10]:.2g}",
            )
            for row in rows
        ),
        mark="everybody",
    )


def reach(source: Source) -> Section:
    """How many people each audience and its look-alikes reach, what they add and how often they are met."""
    rows = source.table(
        "bridge/reach",
        f"""
        select audience_id, part, unit, people, incremental_people, mean_events, suppressed_because
        from released order by unit desc, people desc nulls last, audience_id, part
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "Whom audiences reach",
        "People behind consented visitors, of whom all known devices are one, and customers. Look-alikes add to the "
        "members whom they resemble, members to all other audiences. What would tell of a few people is left out.",
        bars_of(
            [
                (_who(row[0], row[1]), row[3], f"{row[3]:,}")
                for row in rows
                if row[2] == "visitors" and row[3] is not None
            ]
        ),
        ("audience", "counted as", "people", "added", "events per person", "not told because of"),
        tuple(
            (
                _who(row[0], row[1]),
                row[2],
                _count(row[3]),
                _count(row[4]),
                "" if row[5] is None else f"{row[5]:.1f}",
                row[6] or "",
            )
            for row in rows
        ),
    )


def overlaps(source: Source) -> Section:
    """A matrix of the audiences that share people: the share of the row's people who are in the column's audience."""
    rows = source.table(
        "bridge/audience_overlaps",
        f"""
        select unit, audience_a, part_a, audience_b, part_b, overlap, share_of_a, share_of_b, method, error
        from released where overlap is not null
        order by jaccard desc, unit, audience_a, part_a, audience_b, part_b
        limit {MOST_ROWS}
        """,
    )
    shares: dict[tuple[tuple[str, str], tuple[str, str]], float] = {}
    for row in rows:
        one, other = (row[0], _who(row[1], row[2])), (row[0], _who(row[3], row[4]))
        shares[(one, other)], shares[(other, one)] = row[6], row[7]
    names = sorted({name for pair in shares for name in pair})
    return Section(
        "What audiences share",
        "Read the table by rows: the share of the row's people who are in the column's audience too. An empty cell is "
        "too few people to tell of, or none.",
        bars_of(
            [
                (
                    f"{_who(row[1], row[2])} and {_who(row[3], row[4])}, {row[0]}",
                    row[5],
                    f"{row[5]:,}" + (f" ± {2 * row[9]:,.0f}" if row[8] == "sketch" else ""),
                )
                for row in rows
            ]
        ),
        ("counted as", "audience", *(_column(name, names) for name in names)),
        tuple(
            (
                *one,
                *("" if (share := shares.get((one, other))) is None else f"{share:.0%}" for other in names),
            )
            for one in names
        ),
    )


def _who(audience_id: str, part: str) -> str:
    name = audience_id.replace("_", " ")
    return f"{name}, look-alikes" if part == "lookalikes" else name


def _column(name: tuple[str, str], names: list[tuple[str, str]]) -> str:
    """The audience, with the unit where both units have it."""
    unit, audience = name
    return f"{audience} ({unit})" if sum(each[1] == audience for each in names) > 1 else audience


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
