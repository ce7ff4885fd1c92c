"""Audiences: their sizes and trend, where they are met, whom they reach and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from include.report.charts import WIDEST_OF_PAGE, Bar, Cell, Dot, Line, bars, dots, heat_map, lines
from include.report.formats import count, day_in_words, exact, plural, share, times, words
from include.report.lookalikes import learned, lift_curves, reach_curves
from include.report.sections import (
    MOST_BARS,
    NOT_PUBLISHED,
    Absent,
    Chapter,
    Figure,
    Source,
    text_of,
)

BEST_PLACES = 3  # of each audience and dimension
DAYS = 28  # of the trend
MOST_LINES = 6
OVERLAP_LEVELS = (0.0, 0.1, 0.25, 0.5)  # where 0, 1, 2, 3 end


def audiences(source: Source) -> Chapter:
    return Chapter(
        "audiences",
        "Audiences",
        "Who may be addressed, how that changes, whom it reaches and who is like them.",
        (
            _sizes(source),
            _trend(source),
            lift_curves(source),
            reach_curves(source),
            learned(source),
            _reach(source),
            _placements(source),
            _overlaps(source),
        ),
    )


def _sizes(source: Source) -> Figure | Absent:
    rows = source.table(
        "both/audience_members",
        f"""
        select audiences.audience_id, audiences.name, audiences.side, count(released.member_id) as members,
            count(*) filter (where released.is_control) as controls,
            {NOT_PUBLISHED} as not_published
        from audiences
        left join released using (audience_id)
        group by all order by members desc, 1
        """,
        audiences="both/audiences",
    )
    if not rows:
        return Absent("Sizes", "No audience is defined.")
    live = [row for row in rows if row[3]]
    title = (
        f"{len(live)} of {plural(len(rows), 'audience')} have members; “{live[0][1] or live[0][0]}” is the largest"
        if live
        else f"None of {plural(len(rows), 'audience')} has members"
    )
    return Figure(
        title,
        "Members by rule and look-alikes. The control group is held back, so that the effect can be measured.",
        "members",
        bars(
            title,
            [
                Bar(row[1] or row[0], f"{row[3]:,}" if row[3] else row[5] or "0", (row[3] - row[4], row[4]))
                for row in rows[: 2 * MOST_BARS]
            ],
        ),
        ("audience", "name", "side", "members", "of them control", "not published because of"),
        tuple(text_of(*row[:3], count(row[3]), count(row[4]), row[5]) for row in rows),
        key=(("s1", "may be addressed"), ("s2", "control group")),
    )


def _trend(source: Source) -> Figure | Absent:
    """Members by day, from what was kept of the days before and what is published now."""
    sizes = "as_of_date, audience_id, if(status = 'published', size + coalesce(lookalike_size, 0), 0)"
    earlier = source.file(
        source.lake.audiences(source.day, "audiences").parent.parent / "date=*" / "audiences.parquet",
        f"""
        select {sizes} from released
        where as_of_date < {source.date} and as_of_date > {source.date} - {DAYS}
        order by as_of_date, audience_id
        """,
    )
    today = source.table("both/audiences", f"select {sizes} from released order by audience_id")
    days = sorted({row[0] for row in earlier} | {source.day})
    if len(days) < 2 or not today:
        return Absent(
            "Trend", "Audiences were published on one day so far: from the second day on, days are compared."
        )
    found = {(row[1], row[0]): row[2] for row in [*earlier, *today]}
    moved = {
        row[0]: row[1:]
        for row in source.table(
            "both/audience_changes",
            f"""
            select audience_id, count(*) filter (where change = 'entered'), count(*) filter (where change <> 'entered')
            from released where changed_date = {source.date} group by 1 order by 1
            """,
        )
    }
    names = source.names()
    largest = sorted(names, key=lambda name: (-found.get((name, source.day), 0), name))
    entered, left = (sum(each[place] for each in moved.values()) for place in (0, 1))
    title = f"{plural(entered, 'member')} entered audiences and {left:,} left on {day_in_words(source.day)}"
    series = [
        Line(
            names[name],
            tuple(((day - days[0]).days, found[name, day]) for day in days if (name, day) in found),
        )
        for name in largest[:MOST_LINES]
    ]
    return Figure(
        title,
        f"Members of the {len(series)} largest audiences, with their look-alikes.",
        "members by day",
        lines(title, series, lambda x: f"{days[0] + timedelta(days=x):%d %b %Y}", count),
        ("audience", "entered today", "left today", *(f"{day:%Y-%m-%d}" for day in days)),
        tuple(
            text_of(
                names[name],
                *(count(each) for each in moved.get(name, (0, 0))),
                *(count(found.get((name, day))) for day in days),
            )
            for name in largest
        ),
        key=tuple((f"l{number}", line.name) for number, line in enumerate(series, 1)),
    )


def _reach(source: Source) -> Figure | Absent:
    rows = source.table(
        "bridge/reach",
        """
        select audience_id, part, unit, people, incremental_people, mean_events, met_2_or_more, met_6_or_more,
            counted_on, suppressed_because
        from released order by unit desc, people desc nulls last, audience_id, part
        """,
    )
    told = [row for row in rows if row[2] == "visitors" and row[3] is not None]
    if not told:
        return Absent("Reach", "No audience reaches enough consented visitors to tell of.")
    names = source.names()
    title = f"{plural(told[0][3], 'person', 'people')} of “{_who(*told[0][:2], names)}” can be met on the web"
    return Figure(
        title,
        "People behind consented visitors, met lately or not, all known devices of one person together. Look-alikes "
        "add to the members whom they resemble, members to all other audiences. What would tell of a few people is "
        "left out.",
        "people who can be met",
        bars(
            title,
            [
                Bar(
                    _who(*row[:2], names),
                    f"{row[3]:,}" + (f", {row[4]:,} added" if row[4] is not None else ""),
                    (row[4] or 0, 0, row[3] - (row[4] or 0)),
                )
                for row in told[:MOST_BARS]
            ],
        ),
        (
            "audience",
            "counted as",
            "people",
            "added",
            "events per person",
            "met twice or more",
            "six times or more",
            "counted on",
            "not told because of",
        ),
        tuple(
            text_of(
                _who(*row[:2]),
                row[2],
                count(row[3]),
                count(row[4]),
                "" if row[5] is None else f"{row[5]:.1f}",
                count(row[6]),
                count(row[7]),
                *row[8:],
            )
            for row in rows
        ),
        key=(("s1", "added, where it may be told"), ("s3", "other people who can be met")),
    )


def _placements(source: Source) -> Figure | Absent:
    rows = source.table(
        "dmp/placements",
        f"""
        select audience_id, part, dimension, value, "index", low, high, index_at_equal_activity, reach, share, q_value
        from released
        where is_significant and low > 100 and rank <= {BEST_PLACES}
        order by low desc, audience_id, part, dimension, value
        """,
    )
    if not rows:
        return Absent("Placements", "No audience is met anywhere clearly more often than everybody.")
    first = rows[0]
    names = source.names()
    title = (
        f"{_place(*first[2:4])}: “{_who(*first[:2], names)}” are met {times(first[4] / 100)} times as often as "
        "everybody"
    )
    shown = [row for row in rows if row[2] != "context"] or rows
    return Figure(
        title,
        "The share of an audience that was met there, against the share of all consented visitors; the surest come "
        "first. At equal activity (in the table) only people who are met as often are compared: what is above 100 then "
        "is taste.",
        "times as often as everybody (index 100 is 1×)",
        dots(
            title,
            [
                Dot(
                    f"{_place(*row[2:4])}: {_who(*row[:2], names)}",
                    times(row[4] / 100),
                    *(each / 100 for each in row[4:7]),
                )
                for row in shown[:MOST_BARS]
            ],
            widest=WIDEST_OF_PAGE,
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
            text_of(
                _who(*row[:2]),
                *row[2:4],
                *(count(each) for each in row[4:9]),
                share(row[9], 1),
                f"{row[10]:.2g}",
            )
            for row in rows
        ),
        key=(("s1", "index and interval"), ("mark", "everybody")),
        wide=True,
    )


def _overlaps(source: Source) -> Figure | Absent:
    """A matrix of the audiences that share people: the share of the row's people who are in the column's audience."""
    rows = source.table(
        "bridge/audience_overlaps",
        """
        select unit, audience_a, part_a, audience_b, part_b, overlap, share_of_a, share_of_b, method, error, counted_on
        from released where overlap is not null
        order by jaccard desc, unit, audience_a, part_a, audience_b, part_b
        """,
    )
    if not rows:
        return Absent("Overlap", "No two audiences share enough people to tell of.")
    called = source.names()
    shown = [row for row in rows if row[0] == "visitors"] or rows
    shares: dict[tuple[str, str], float] = {}
    for row in shown:
        one, other = _who(*row[1:3], called), _who(*row[3:5], called)
        shares[(one, other)], shares[(other, one)] = row[6], row[7]
    sharing = list(dict.fromkeys(name for pair in shares for name in pair))
    names = sorted(sharing[:MOST_BARS])
    left_out = (
        f" Shown are the {MOST_BARS} of {len(sharing)} audiences that share most."
        if sharing[MOST_BARS:]
        else ""
    )
    unit = "person" if shown[0][0] == "visitors" else "customer"
    people = plural(shown[0][5], unit, "people" if unit == "person" else None)
    title = f"“{_who(*shown[0][1:3], called)}” and “{_who(*shown[0][3:5], called)}” share most: {people}"

    def cell(one: str, other: str) -> Cell:
        part = shares.get((one, other))
        if part is None:
            return Cell(None)
        return Cell(sum(part > end for end in OVERLAP_LEVELS), f"{100 * part:.0f}")

    return Figure(
        title,
        "Read by rows: the share in percent of the row's people who are in the column's audience too. An empty field "
        f"is too few people to tell of, or none.{left_out} The table counts customers too.",
        "percent of the row's people",
        heat_map(
            title,
            [(name, [cell(name, other) for other in names]) for name in names],
            names,
        ),
        (
            "counted as",
            "audience",
            "and",
            "people shared",
            "of the first",
            "of the second",
            "error",
            "counted on",
        ),
        tuple(
            text_of(
                row[0],
                _who(*row[1:3]),
                _who(*row[3:5]),
                count(row[5]),
                share(row[6], 1),
                share(row[7], 1),
                exact(row[9]),
                row[10],
            )
            for row in rows
        ),
        key=(("h1", "up to 10 %"), ("h2", "up to 25 %"), ("h3", "up to 50 %"), ("h4", "more")),
        wide=True,
    )


def _who(audience_id: str, part: str, names: Mapping[str, str] | None = None) -> str:
    name = (names or {}).get(audience_id) or words(audience_id)
    return f"{name}, look-alikes" if part == "lookalikes" else name


def _place(dimension: str, value: str) -> str:
    return f"{value}:00" if dimension == "hour" else f"{value} devices" if dimension == "device" else value
