"""Where audiences are sent, who is not and why, and what it brings."""

from __future__ import annotations

from include.report.charts import Bar, bars
from include.report.formats import count, plural, share, words
from include.report.sections import MOST_BARS, MOST_ROWS, Absent, Chapter, Figure, Source, text_of


def activation(source: Source) -> Chapter:
    return Chapter(
        "activation",
        "Activation",
        "What destinations are to hold, who is kept from them and why, what arrived, and what it brings.",
        (_sent(source), _refused(source), _deliveries(source), _lift(source)),
    )


def _sent(source: Source) -> Figure | Absent:
    rows = source.table(
        "ops/activations",
        """
        select destination_id, audience_id, format, people, refused, added_rows, removed_rows
        from released order by people desc, 1, 2
        """,
    )
    if not rows:
        return Absent("Sent", "No audience has a destination.")
    people, refused = sum(row[3] for row in rows), sum(row[4] for row in rows)
    destinations = {row[0] for row in rows}
    reached = {row[0] for row in rows if row[3]}
    names = source.names()
    title = (
        f"{plural(people, 'membership')} go to {len(reached)} of {plural(len(destinations), 'destination')}, "
        f"{refused:,} are not sent"
    )
    return Figure(
        title,
        "People of each audience whom a destination is to hold, and those kept from it.",
        "people",
        bars(
            title,
            [
                Bar(
                    f"{names.get(row[1]) or words(row[1])} → {words(row[0])}",
                    f"{row[3]:,} of {row[3] + row[4]:,}",
                    (row[3], 0, row[4]),
                )
                for row in rows[:MOST_BARS]
            ],
        ),
        ("destination", "audience", "format", "people", "not sent", "rows added", "rows removed"),
        tuple(text_of(row[0], words(row[1]), row[2], *(count(each) for each in row[3:])) for row in rows),
        key=(("s1", "sent"), ("s3", "not sent")),
    )


def _refused(source: Source) -> Figure | Absent:
    rows = source.table(
        "ops/activation_refusals",
        """
        select reason, destination_id, audience_id, people from released
        order by people desc, reason, destination_id, audience_id
        """,
    )
    if not rows:
        return Absent("Not sent", "Nobody of an audience with a destination is kept from it.")
    reasons: dict[str, int] = {}
    for reason, *_, people in rows:
        reasons[reason] = reasons.get(reason, 0) + people
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    total = sum(reasons.values())
    title = f"The main reason for not sending: {why_not_sent(ordered[0][0]).lower()} ({share(ordered[0][1] / total)})"
    return Figure(
        title,
        "Everybody is told once for each audience and destination, with the first reason that holds.",
        "memberships not sent",
        bars(
            title,
            [
                Bar(why_not_sent(reason), f"{people:,} ({share(people / total)})", (0, 0, people))
                for reason, people in ordered[:MOST_BARS]
            ],
        ),
        ("reason", "destination", "audience", "people"),
        tuple(text_of(why_not_sent(row[0]), row[1], words(row[2]), count(row[3])) for row in rows),
    )


def _deliveries(source: Source) -> Figure | Absent:
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
    if not rows:
        return Absent(
            "Delivered", "Nothing was delivered before this day: what is sealed today is sent after it."
        )
    failed = sum(row[4] == "failed" for row in rows)
    title = (
        f"{failed} of the last {plural(len(rows), 'delivery', 'deliveries')} failed"
        if failed
        else f"The last {plural(len(rows), 'delivery', 'deliveries')} arrived"
        if len(rows) > 1
        else "The last delivery arrived"
    )
    return Figure(
        title,
        "Up to the day before: what is sealed today is sent after it. What failed is sent by the next run.",
        "rows delivered",
        bars(
            title,
            [
                Bar(
                    f"{words(row[2])} → {words(row[1])}: {row[3]} ({row[4]})",
                    count(row[5]),
                    (0, row[5]) if row[4] == "failed" else (row[5],),
                )
                for row in rows[:MOST_BARS]
            ],
        ),
        ("day", "destination", "audience", "action", "status", "rows", "unreadable", "attempts", "reason"),
        tuple(
            text_of(
                row[0], row[1], words(row[2]), *row[3:5], count(row[5]), count(row[6]), count(row[7]), row[8]
            )
            for row in rows
        ),
        key=(("s1", "arrived"), ("s2", "failed")),
    )


def _lift(source: Source) -> Figure | Absent:
    """What audiences that are sent bring against those of their people who are held back."""
    rows = source.table(
        "both/audience_lift",
        """
        select audience_id, source, outcome, treated, control, treated_mean, control_mean, lift, low, high
        from released
        where is_sent and not is_suppressed
        order by audience_id, source desc, outcome
        """,
    )
    shown = [row for row in rows if row[2] == "buyers" and row[8] is not None]
    if not rows:
        return Absent(
            "What sending brings",
            "No audience has been sent long enough to compare it with its control group.",
        )
    sure = [row for row in shown if row[8] > 0]
    title = (
        f"{len(sure)} of {plural(len(shown), 'audience')} clearly buy more than those held back"
        if shown
        else "What sending brings cannot be told of buyers yet"
    )
    return Figure(
        title,
        "Since people entered an audience: the share who bought of those who may be sent, with the 95 % interval of "
        "the difference, against those who are held back. An interval around the mark shows nothing yet.",
        "share who bought",
        bars(
            title,
            [
                Bar(
                    _who(row),
                    f"{share(row[5], 1)} vs {share(row[6], 1)}",
                    (row[5],),
                    *(row[6] + each for each in row[8:10]),
                    row[6],
                )
                for row in shown[:MOST_BARS]
            ],
        ),
        ("audience", "outcome", "sent", "held back", "mean", "mean held back", "lift", "low", "high"),
        tuple(
            text_of(
                _who(row),
                row[2],
                count(row[3]),
                count(row[4]),
                *(None if each is None else f"{each:,.3f}" for each in row[5:]),
            )
            for row in rows
        ),
        key=(("s1", "may be sent"), ("mark", "held back")),
    )


def _who(row: tuple) -> str:
    return words(row[0]) + (", look-alikes" if row[1] == "lookalike" else "")


def why_not_sent(reason: str) -> str:
    """consent_refused:advertising as Consent refused (advertising)."""
    what, _, of = words(reason).partition(":")
    return (what[:1].upper() + what[1:]) + (f" ({of})" if of else "")
