"""The parts of the report that tell where audiences are sent, who is not and why, and what it brings."""

from __future__ import annotations

from include.report.sections import MOST_ROWS, Section, Source, bars_of


def activations(source: Source) -> Section:
    """What each destination is to hold of each audience, what changes, and the reasons of who is not sent."""
    refused: dict[tuple[str, str], list[str]] = {}
    for destination, audience, reason, people in source.table(
        "ops/activation_refusals",
        "select destination_id, audience_id, reason, people from released order by 1, 2, people desc, reason",
    ):
        refused.setdefault((destination, audience), []).append(f"{_words(reason)} {people:,}")
    rows = source.table(
        "ops/activations",
        f"""
        select destination_id, audience_id, format, people, refused, added_rows, removed_rows
        from released order by 1, 2 limit {MOST_ROWS}
        """,
    )
    return Section(
        "Where audiences are sent",
        "People whom each destination is to hold, and rows that it adds and removes against the day before. Whoever is "
        "held back as control, did not consent or cannot be recognised there is not sent.",
        bars_of([(f"{_words(row[1])} to {row[0]}", row[3], f"{row[3]:,}") for row in rows]),
        (
            "destination",
            "audience",
            "format",
            "people",
            "not sent",
            "rows added",
            "removed",
            "not sent because",
        ),
        tuple(
            (
                row[0],
                _words(row[1]),
                row[2],
                *(f"{each:,}" for each in row[3:7]),
                "; ".join(refused.get((row[0], row[1]), [])),
            )
            for row in rows
        ),
    )


def deliveries(source: Source) -> Section:
    """The latest deliveries of the days before, failures first."""
    rows = source.table(
        "ops/deliveries",
        f"""
        select as_of_date, destination_id, audience_id, action, status, rows, refused_rows, attempts, reason
        from released
        order by as_of_date desc, status <> 'failed', delivery_number
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "What was delivered",
        "Rows up to the day before: what is sealed today is sent after it. What failed is sent by the next run.",
        bars_of(
            [(f"{_words(row[2])} to {row[1]}: {row[3]}, {row[4]}", row[5], f"{row[5]:,}") for row in rows]
        ),
        ("day", "destination", "audience", "action", "status", "rows", "unreadable", "attempts", "reason"),
        tuple(
            (f"{row[0]:%Y-%m-%d}", row[1], _words(row[2]), *row[3:5], f"{row[5]:,}", *row[6:8], row[8] or "")
            for row in rows
        ),
    )


def lift(source: Source) -> Section:
    """What audiences that are sent bring against those of their people who are held back."""
    rows = source.table(
        "both/audience_lift",
        f"""
        select audience_id, source, outcome, treated, control, treated_mean, control_mean, lift, low, high
        from released
        where is_sent and not is_suppressed
        order by audience_id, source desc, outcome
        limit {MOST_ROWS}
        """,
    )
    return Section(
        "What sending brings",
        "Since people entered an audience: the outcome per person of those who may be sent against those who are held "
        "back, with the difference and its 95 % interval. An interval around zero shows nothing yet. The chart has the "
        "share of people who bought.",
        bars_of(
            [
                (_who(row), row[5], f"{row[5]:.1%}", *(row[6] + each for each in row[8:10]), row[6])
                for row in rows
                if row[2] == "buyers" and row[8] is not None
            ]
        ),
        ("audience", "outcome", "sent", "held back", "mean", "mean held back", "lift", "low", "high"),
        tuple(
            (
                _who(row),
                row[2],
                *(f"{each:,}" for each in row[3:5]),
                *("" if each is None else f"{each:,.3f}" for each in row[5:]),
            )
            for row in rows
        ),
        mark="held back",
    )


def _who(row: tuple) -> str:
    return _words(row[0]) + (", look-alikes" if row[1] == "lookalike" else "")


def _words(name: str) -> str:
    return name.replace("_", " ")
