"""The first screen: the state of the release in words, its main numbers, what changed and what to look at."""

from __future__ import annotations

from dataclasses import dataclass

from include.report.activation import why_not_sent
from include.report.formats import count, day_in_words, listed, plural, share, short, words
from include.report.inputs import received_rows, silent_channels
from include.report.run import warnings_of_gates
from include.report.sections import NOT_PUBLISHED, Source


@dataclass(frozen=True)
class Tile:
    """A main number, what it counts, and what puts it in proportion."""

    value: str
    label: str
    beside: str = ""


@dataclass(frozen=True)
class Notice:
    """Something to look at, and the chapter that tells more."""

    text: str
    chapter: str


@dataclass(frozen=True)
class State:
    """What a reader needs in the first minute."""

    summary: str
    tiles: tuple[Tile, ...]
    changes: tuple[str, ...]
    notices: tuple[Notice, ...]


def state(source: Source) -> State:
    tiles = tuple(
        tile
        for tile in (
            _customers(source),
            *_bought(source),
            _expected(source),
            _slipping(source),
            _visitors(source),
            _audiences(source),
        )
        if tile
    )
    notices = tuple(_notices(source))
    known = [
        f"{tile.value} {tile.label}" for tile in tiles if tile.label in ("customers", "anonymous visitors")
    ]
    bought = [
        f"{tile.value} customers bought within 28 days" for tile in tiles if tile.label.startswith("active")
    ]
    published = [
        f"{tile.value} audiences are published" for tile in tiles if tile.label.startswith("audiences")
    ]
    sentences = [
        f"This release knows {listed(known) or 'nobody yet'}",
        *bought,
        *published,
        f"{plural(len(notices), 'point')} to look at" if notices else "Everything is as expected",
    ]
    return State(". ".join(sentences) + ".", tiles, tuple(_changes(source)), notices)


def _customers(source: Source) -> Tile | None:
    rows = source.table(
        "cdp/customers",
        f"select count(*), count(*) filter (where first_seen_at::date > {source.date} - 28) from released",
    )
    return Tile(f"{rows[0][0]:,}", "customers", f"{rows[0][1]:,} first seen within 28 days") if rows else None


def _bought(source: Source) -> list[Tile]:
    rows = source.orders(
        f"""
        select
            count(distinct customer_id) filter (where is_recent),
            count(distinct customer_id) filter (where not is_recent),
            coalesce(sum(total_amount) filter (where is_recent), 0)::double,
            coalesce(sum(total_amount) filter (where not is_recent), 0)::double
        from (select *, ordered_at >= {source.date} - 27 as is_recent from orders)
        where ordered_at >= {source.date} - 55 and ordered_at < {source.date} + 1
        """,
    )
    if not rows or not any(rows[0]):
        return []
    buyers, buyers_before, amount, amount_before = rows[0]
    return [
        Tile(f"{buyers:,}", "active: bought within 28 days", _against(buyers, buyers_before)),
        Tile(short(amount), "order value in 28 days", _against(amount, amount_before)),
    ]


def _against(now: float, before: float) -> str:
    if not before:
        return "nothing in the 28 days before"
    sign = "+" if now >= before else "−"
    return f"{sign}{share(abs(now / before - 1), 1)} against the 28 days before"


def _expected(source: Source) -> Tile | None:
    rows = source.table(
        "cdp/customer_scores",
        f"""
        select sum(value)::double, avg(value)::double from released
        where score = 'expected_value' and as_of_date = {source.date} having count(*) > 0
        """,
    )
    return (
        Tile(
            short(rows[0][0]),
            f"order value to expect in {source.horizon_days} days",
            f"{rows[0][1]:,.0f} per customer",
        )
        if rows
        else None
    )


def _slipping(source: Source) -> Tile | None:
    rows = source.table(
        "cdp/customer_stages",
        """
        select count(*) filter (where stage in ('at_risk', 'lapsed')),
            count(*) filter (where stage not in ('visitor', 'lead'))
        from released where is_current
        """,
    )
    if not rows or not rows[0][1]:
        return None
    return Tile(
        f"{rows[0][0]:,}", "at risk or lapsed", f"{share(rows[0][0] / rows[0][1])} of those who ever bought"
    )


def _visitors(source: Source) -> Tile | None:
    rows = source.table(
        "dmp/visitors",
        f"""
        select count(*), count(*) filter (where last_seen_at::date > {source.date} - 28)
        from released having count(*) > 0
        """,
    )
    return (
        Tile(f"{rows[0][0]:,}", "anonymous visitors", f"{rows[0][1]:,} seen within 28 days") if rows else None
    )


def _audiences(source: Source) -> Tile | None:
    rows = source.table(
        "both/audiences",
        "select count(*), count(*) filter (where status = 'published') from released having count(*) > 0",
    )
    members = source.table("both/audience_members", "select count(*) from released")
    if not rows:
        return None
    return Tile(
        f"{rows[0][1]} of {rows[0][0]}",
        "audiences published",
        plural(members[0][0] if members else 0, "member"),
    )


def _changes(source: Source) -> list[str]:
    """What changed since the release before this one, in sentences."""
    earlier = source.table(
        "ops/releases",
        f"select max(as_of_date) from released where as_of_date < {source.date} having count(*) > 0",
    )
    found = [
        f"The release before is of {day_in_words(earlier[0][0])}."
        if earlier
        else "This is the first release: there is none to compare with."
    ]
    identity = dict(
        source.table(
            "cdp/identity_changes",
            f"select change, count(*) from released where as_of_date = {source.date} group by 1 order by 1",
        )
    )
    if identity:
        parts = [
            f"{identity[change]:,} {say}"
            for change, say in (("created", "new"), ("merged", "merged into others"), ("split", "split off"))
            if identity.get(change)
        ]
        found.append(f"Customers on this day: {listed(parts)}.")
    moved = dict(
        source.table(
            "both/audience_changes",
            f"""
            select change = 'entered', count(*) from released
            where changed_date = {source.date} group by 1 order by 1
            """,
        )
    )
    if moved:
        found.append(f"Audiences: {moved.get(True, 0):,} members entered, {moved.get(False, 0):,} left.")
    stages = source.table(
        "cdp/customer_stages",
        f"""
        select stage, count(*) from released where entered_at::date = {source.date} and previous_stage is not null
        group by stage order by 2 desc, 1
        """,
    )
    if stages:
        found.append(
            f"Stages entered on this day: {listed([f'{words(stage)} {people:,}' for stage, people in stages])}."
        )
    return found


def _notices(source: Source) -> list[Notice]:
    found, names = [], source.names()
    received = received_rows(source)
    silent = silent_channels(received, source.day)
    if silent and len(silent) < len({row[0] for row in received}):
        found.append(Notice(f"Nothing came today from {listed([words(each) for each in silent])}.", "inputs"))
    refused = sum(row[5] for row in received if row[2] == source.day)
    if refused:
        found.append(Notice(f"{plural(refused, 'row')} of today went to quarantine.", "inputs"))
    for row in warnings_of_gates(source):
        found.append(Notice(f"Gate of {row[0]}: {row[6]} ({row[5]}).", "run"))
    for name, why in source.table(
        "both/audiences",
        f"""
        select coalesce(name, audience_id), {NOT_PUBLISHED}
        from released as audiences where status = 'below_min_size' order by 1
        """,
    ):
        found.append(Notice(f"Audience “{name}” is not published: {why}.", "audiences"))
    for name, reason in source.table(
        "dmp/lookalike_models",
        "select audience_id, reason from released where verdict <> 'published' order by 1",
    ):
        found.append(
            Notice(f"Look-alikes of “{names.get(name, name)}” are not published: {reason}.", "audiences")
        )
    for destination, failed in source.table(
        "ops/deliveries",
        """
        select destination_id, count(*) from released
        where status = 'failed' and as_of_date = (select max(as_of_date) from released)
        group by 1 order by 1
        """,
    ):
        found.append(
            Notice(
                f"{plural(failed, 'delivery', 'deliveries')} to {words(destination)} failed.", "activation"
            )
        )
    for destination, audience, reason, people, refused in source.table(
        "ops/activation_refusals",
        """
        select destination_id, audience_id, arg_max(reason, people), max(people), sum(people)
        from released
        anti join (from activations where people > 0) as sent using (destination_id, audience_id)
        group by all order by 1, 2
        """,
        activations="ops/activations",
    ):
        found.append(
            Notice(
                f"Nobody of “{names.get(audience, audience)}” is sent to {words(destination)}: {count(people)} of "
                f"{count(refused)} for {why_not_sent(reason).lower()}.",
                "activation",
            )
        )
    return found
