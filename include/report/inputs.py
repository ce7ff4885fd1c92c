"""What came in: rows by channel and day, and what was refused."""

from __future__ import annotations

from datetime import date

from include.report.charts import Bar, Cell, bars, heat_map
from include.report.formats import count, day_in_words, plural, share, words
from include.report.sections import MOST_BARS, Absent, Chapter, Figure, Source, text_of

DAYS_SHOWN = 14


def inputs(source: Source) -> Chapter:
    received = received_rows(source)
    return Chapter(
        "inputs",
        "What came in",
        "Every row that a channel delivers is either taken in or kept in quarantine with the reason.",
        (_by_channel(source, received), _by_day(received), _quarantine(source)),
    )


def received_rows(source: Source) -> list[tuple[str, str, date, int, int, int]]:
    """Channel, kind, day of delivery, rows received, landed and quarantined, up to the business day."""
    return source.file(
        source.lake.receipts() / "*" / "*" / "receipts.parquet",
        f"""
        select channel, kind, delivered_on, sum(received)::bigint, sum(landed)::bigint, sum(quarantined)::bigint
        from released where delivered_on <= {source.date}
        group by all order by channel, kind, delivered_on
        """,
    )


def silent_channels(received: list[tuple], day: date) -> list[str]:
    """Channels that have delivered before and delivered nothing on the day."""
    known, spoke = {row[0] for row in received}, {row[0] for row in received if row[2] == day and row[3]}
    return sorted(known - spoke)


def _by_channel(source: Source, received: list[tuple]) -> Figure | Absent:
    totals: dict[tuple[str, str], list[int]] = {}
    for channel, kind, day, *counts in received:
        entry = totals.setdefault((channel, kind), [0, 0, 0, 0])
        entry[0] += counts[0] if day == source.day else 0
        entry[1:] = [sum(pair) for pair in zip(entry[1:], counts, strict=True)]
    if not totals:
        return Absent("Rows by channel", "Nothing has been received yet.")
    rows = sorted(totals.items(), key=lambda item: (-item[1][1], item[0]))
    everything, today = sum(row[1][1] for row in rows), sum(row[1][0] for row in rows)
    title = f"{plural(everything, 'row')} from {plural(len(rows), 'channel')} so far, {today:,} of them today"
    return Figure(
        title,
        "All rows received up to the business day.",
        "rows received",
        bars(
            title,
            [
                Bar(f"{words(name)} ({words(kind)})", count(each[1]), (each[2], each[3]))
                for (name, kind), each in rows
            ],
        ),
        ("channel", "kind", "today", "received", "landed", "quarantined"),
        tuple(text_of(name, kind, *map(count, each)) for (name, kind), each in rows),
        key=(("s1", "landed"), ("s2", "in quarantine")),
    )


def _by_day(received: list[tuple]) -> Figure | Absent:
    days = sorted({row[2] for row in received})[-DAYS_SHOWN:]
    if len(days) < 2:
        return Absent("Rows by day", "All rows came on one day: from the second day on, days are compared.")
    by_channel: dict[str, dict[date, int]] = {}
    for channel, _, day, rows, *_ in received:
        if day in days:
            by_channel.setdefault(channel, dict.fromkeys(days, 0))[day] += rows
    # The first delivery holds the history: a day is deep when it is much for its channel apart from that.
    usual = {name: max([*list(each.values())[1:], 1]) for name, each in by_channel.items()}

    def cell(name: str, rows: int) -> Cell:
        return Cell(
            0 if not rows else min(1 + int(2 * rows / usual[name]), 3), _compact(rows) if rows else "–"
        )

    quiet = [name for name, each in by_channel.items() if not each[days[-1]]]
    spoke = (
        f"{len(by_channel) - len(quiet)} of {plural(len(by_channel), 'channel')}"
        if quiet
        else "Every channel"
    )
    title = f"{spoke} delivered on {day_in_words(days[-1])}"
    columns = [f"{day:%d %b}" for day in days]
    return Figure(
        title,
        "The deeper, the more for that channel, the first day with its history apart.",
        "rows received by day",
        heat_map(
            title,
            [(words(name), [cell(name, each[day]) for day in days]) for name, each in by_channel.items()],
            columns,
        ),
        ("channel", *(f"{day:%Y-%m-%d}" for day in days)),
        tuple(text_of(name, *(count(each[day]) for day in days)) for name, each in by_channel.items()),
    )


def _quarantine(source: Source) -> Figure | Absent:
    rows = source.table(
        "ops/quarantine_summary",
        """
        select channel, refused, reason, column_name, rows, share, example_file, example_row
        from released order by rows desc, channel, reason, column_name
        """,
    )
    if not rows:
        return Absent("Quarantine", "No row and no value was refused.")
    refused = sum(row[4] for row in rows if row[1] == "row")
    title = f"{plural(refused, 'row')} in quarantine" + (
        f", most of them from {words(rows[0][0])}" if rows[0][1] == "row" and len(rows) > 1 else ""
    )
    return Figure(
        title,
        "A refused row is kept apart with its raw text; of a refused value, the rest of its row is used.",
        "rows refused, or rows with a refused value",
        bars(
            title,
            [
                Bar(
                    f"{words(row[0])}: {words(row[2])} {words(row[3] or 'row')}".strip(),
                    count(row[4]),
                    (row[4], 0) if row[1] == "row" else (0, row[4]),
                )
                for row in rows[:MOST_BARS]
            ],
        ),
        ("channel", "refused", "reason", "column", "rows", "share of received", "first in file", "row"),
        tuple(text_of(*row[:3], row[3], count(row[4]), share(row[5], 2), *row[6:]) for row in rows),
        key=(("s1", "row refused"), ("s2", "value refused")),
    )


def _compact(rows: int) -> str:
    return f"{rows:,}" if rows < 1000 else f"{rows / 1000:.0f}k" if rows < 999_500 else f"{rows / 1e6:.1f}M"
