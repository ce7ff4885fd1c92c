"""Audiences: their sizes and trend, where they are met, whom they reach and what they share."""

from __future__ import annotations

from datetime import timedelta

from include.report.charts import Bar, Cell, Dot, Line, bars, dots, heat_map, lines
from include.report.formats import count, day_in_words, exact, plural, share, times, words
from include.report.lookalikes import learned, lift_curves
from include.report.sections import (
    MOST_BARS,
    MOST_ROWS,
    NOT_PUBLISHED,
    Absent,
    Chapter,
    Figure,
    Source,
    text_of,
)

BEST_PLACES = 3  # of each audience and dimension
DAYS = 28  # of the trend
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
            learned(source),
            _reach(source),
            _frequency(source),
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
    """Sizes of the days before, by undoing the changes of each day from today's size."""
    changes = source.table(
        "both/audience_changes",
        f"""
        select audience_id, changed_date, count(*) filter (where change = 'entered'),
            count(*) filter (where change <> 'entered')
        from released where changed_date <= {source.date}
        group by all order by changed_date, audience_id
        """,
    )
    days = sorted({row[1] for row in changes})
    if len(days) < 2:
        return Absent(
            "Trend",
            "Audiences were published on one day so far: from the second day on, their change is shown.",
        )
    today = dict(
        source.table(
            "both/audience_members", "select audience_id, count(*) from released group by 1 order by 1"
        )
    )
    names = dict(
        source.table(
            "both/audiences", "select audience_id, coalesce(name, audience_id) from released order by 1"
        )
    )
    moved = {(row[0], row[1]): (row[2], row[3]) for row in changes}
    first = max(days[0], source.day - timedelta(days=DAYS - 1))
    back = [source.day - timedelta(days=each) for each in range((source.day - first).days + 1)]
    sizes: dict[str, list[int]] = {}
    for name in names:
        size, history = today.get(name, 0), []
        for day in back:
            history.append(size)
            entered, left = moved.get((name, day), (0, 0))
            size += left - entered
        sizes[name] = history[::-1]
    shown = sorted(names, key=lambda name: (-max(sizes[name]), name))[:6]
    entered, left = (sum(moved.get((name, source.day), (0, 0))[place] for name in names) for place in (0, 1))
    title = f"{plural(entered, 'member')} entered audiences and {left:,} left on {day_in_words(source.day)}"
    ordered = back[::-1]
    return Figure(
        title,
        f"The {len(shown)} largest audiences.",
        "members by day",
        lines(
            title,
            [
                Line(names[name], tuple((number, float(size)) for number, size in enumerate(sizes[name])))
                for name in shown
            ],
            lambda x: f"{ordered[int(x)]:%d %b %Y}",
            count,
        ),
        ("audience", "members", "entered today", "left today", f"members on {ordered[0]:%Y-%m-%d}"),
        tuple(
            text_of(
                names[name],
                count(sizes[name][-1]),
                *map(count, moved.get((name, source.day), (0, 0))),
                count(sizes[name][0]),
            )
            for name in sorted(names, key=lambda name: (-sizes[name][-1], name))
        ),
        key=tuple((f"l{number}", names[name]) for number, name in enumerate(shown, 1)),
    )


def _reach(source: Source) -> Figure | Absent:
    rows = source.table(
        "bridge/reach",
        f"""
        select audience_id, part, unit, people, incremental_people, mean_events, counted_on, suppressed_because
        from released order by unit desc, people desc nulls last, audience_id, part
        limit {MOST_ROWS}
        """,
    )
    told = [row for row in rows if row[2] == "visitors" and row[3] is not None]
    if not told:
        return Absent("Reach", "No audience reaches enough consented visitors to tell of.")
    title = f"“{_who(*told[0][:2])}” reaches {plural(told[0][3], 'person', 'people')} on the web"
    return Figure(
        title,
        "People behind consented visitors, all known devices of one person together. Look-alikes add to the members "
        "whom they resemble, members to all other audiences. What would tell of a few people is left out.",
        "people reached",
        bars(
            title,
            [
                Bar(
                    _who(*row[:2]),
                    f"{row[3]:,}" + (f", {row[4]:,} added" if row[4] is not None else ""),
                    (row[4] or 0, row[3] - (row[4] or 0)),
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
                row[6],
                row[7],
            )
            for row in rows
        ),
        key=(("s1", "reached by nobody else (where it may be told)"), ("s2", "reached")),
    )


def _frequency(source: Source) -> Figure | Absent:
    """The reach curve: how many of an audience's people were met at least so often."""
    rows = source.table(
        "bridge/reach",
        """
        select audience_id, part, people, met_1_or_more, met_2_or_more, met_3_or_more, met_6_or_more
        from released
        where unit = 'visitors' and people > 0
            and met_1_or_more is not null and coalesce(met_2_or_more, met_3_or_more, met_6_or_more) is not null
        order by people desc, audience_id, part
        """,
    )[:6]
    if not rows:
        return Absent(
            "Reach curve", "How often the people of an audience are met may not be told: they are too few."
        )
    met = (1, 2, 3, 6)

    def points(row: tuple) -> tuple[tuple[float, float], ...]:
        return tuple(
            (each, people / row[2]) for each, people in zip(met, row[3:], strict=True) if people is not None
        )

    last = points(rows[0])[-1]
    title = f"{share(last[1])} of “{_who(*rows[0][:2])}” were met {int(last[0])} times or more"
    return Figure(
        title,
        "Of the people reached in each audience: how many were met at least so often. Gaps may not be told.",
        "share of the people reached, by times met",
        lines(title, [Line(_who(*row[:2]), points(row)) for row in rows], lambda x: f"{x:.0f}×", share),
        ("audience", "people", *(f"met {each} times or more" for each in met)),
        tuple(text_of(_who(*row[:2]), *(count(each) for each in row[2:])) for row in rows),
        key=tuple((f"l{number}", _who(*row[:2])) for number, row in enumerate(rows, 1)),
    )


def _placements(source: Source) -> Figure | Absent:
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
    if not rows:
        return Absent("Placements", "No audience is met anywhere clearly more often than everybody.")
    first = rows[0]
    title = f"“{_who(*first[:2])}” are met {times(first[4] / 100)} times as often as everybody at {_place(*first[2:4])}"
    shown = [row for row in rows if row[2] != "context"] or rows
    return Figure(
        title,
        "The share of an audience that was met there, against the share of all consented visitors. At equal activity "
        "(in the table) only people who are met as often are compared: what is above 100 then is taste.",
        "times as often as everybody (index 100 is 1×)",
        dots(
            title,
            [
                Dot(
                    f"{_who(*row[:2])}: {_place(*row[2:4])}",
                    times(row[4] / 100),
                    *(each / 100 for each in row[4:7]),
                )
                for row in shown[:MOST_BARS]
            ],
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
    )


def _overlaps(source: Source) -> Figure | Absent:
    """A matrix of the audiences that share people: the share of the row's people who are in the column's audience."""
    rows = source.table(
        "bridge/audience_overlaps",
        f"""
        select unit, audience_a, part_a, audience_b, part_b, overlap, share_of_a, share_of_b, method, error, counted_on
        from released where overlap is not null
        order by jaccard desc, unit, audience_a, part_a, audience_b, part_b
        limit {MOST_ROWS}
        """,
    )
    if not rows:
        return Absent("Overlap", "No two audiences share enough people to tell of.")
    shares: dict[tuple[tuple[str, str], tuple[str, str]], float] = {}
    for row in rows:
        one, other = (row[0], _who(row[1], row[2])), (row[0], _who(row[3], row[4]))
        shares[(one, other)], shares[(other, one)] = row[6], row[7]
    names = sorted({name for pair in shares for name in pair}, key=lambda name: (name[1], name[0]))
    labels = [_column(name, names) for name in names]
    first = rows[0]
    people = plural(
        first[5], *(("customer", "customers") if first[0] == "customers" else ("person", "people"))
    )
    title = f"“{_who(*first[1:3])}” and “{_who(*first[3:5])}” share most: {people}"

    def cell(one: tuple[str, str], other: tuple[str, str]) -> Cell:
        part = shares.get((one, other))
        if part is None:
            return Cell(None)
        return Cell(sum(part > end for end in OVERLAP_LEVELS), f"{100 * part:.0f}")

    return Figure(
        title,
        "Read by rows: the share in percent of the row's people who are in the column's audience too. An empty field "
        "is too few people to tell of, or none.",
        "percent of the row's people",
        heat_map(
            title,
            [
                (label, [cell(name, other) for other in names])
                for label, name in zip(labels, names, strict=True)
            ],
            labels,
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


def _who(audience_id: str, part: str) -> str:
    name = words(audience_id)
    return f"{name}, look-alikes" if part == "lookalikes" else name


def _place(dimension: str, value: str) -> str:
    return f"{value}:00" if dimension == "hour" else f"{value} devices" if dimension == "device" else value


def _column(name: tuple[str, str], names: list[tuple[str, str]]) -> str:
    """The audience, with the unit where both units have it."""
    unit, audience = name
    return f"{audience} ({unit})" if sum(each[1] == audience for each in names) > 1 else audience
