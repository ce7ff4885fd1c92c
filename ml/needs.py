"""What customers of each lifecycle stage need: what they buy, look at, contact the service about, and how they do it.

Customers are watched in a stage for a day or for months, and some are ten times as active as others. So each counts
once per stage and kind of need: of the times in the stage at which they did something of the kind, one is drawn, and
what they did then is compared with what customers in other stages did at theirs. Neither the length of the stay nor the
number of visits makes a difference then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from include.config.schema import Models
from include.lake import Lake
from include.scratch import scratch_engine
from include.settings import settings
from ml.evaluation import Estimate, exact
from ml.rates import lifts
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.tables import write_table
from ml.threads import single_threaded

MODEL = "stage_needs"
TASK = "needs"
KEY = ["stage", "need_kind", "need"]
LATER_SHARE = 1 / 3  # of the window, in which what the rest of it said has to hold
OWN_MESSAGES = r"_(opened|clicked|unsubscribed)$"

STAGE_NEEDS = pa.schema(
    [
        ("stage", pa.string()),
        ("need_kind", pa.string()),
        ("need", pa.string()),
        ("as_of_date", pa.date32()),
        ("in_stage", pa.int64()),
        ("customers", pa.int64()),
        ("with_need", pa.int64()),
        ("share", pa.float64()),
        ("share_elsewhere", pa.float64()),
        ("lift", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("is_significant", pa.bool_()),
        ("rank", pa.int64()),
        ("meaning", pa.string()),
        ("model_version", pa.string()),
    ]
)
STAGE_WORDS = {
    "visitor": "visitors",
    "lead": "leads",
    "first_time": "first-time buyers",
    "active": "active customers",
    "loyal": "loyal customers",
    "at_risk": "customers at risk",
    "lapsed": "lapsed customers",
    "won_back": "customers won back",
}


# A message that was sent is no doing of the customer's; one that was opened is.
OWN_DOING = f"(kind <> 'messages' or regexp_matches(activity, '{OWN_MESSAGES}'))"
MOMENT, OF_DAY = "occurred_at", "date_trunc('day', occurred_at)"


@dataclass(frozen=True)
class NeedKind:
    """A kind of need: which rows of the timeline speak of it, the SQL of what is needed and of what is one time (the
    lines of an order are), and the words around it."""

    name: str
    where: str
    need: str
    time: str
    occasion: str
    verb: str


NEED_KINDS = (
    NeedKind(
        "category",
        "kind = 'orders' and activity = 'purchase'",
        "category",
        MOMENT,
        "When {} buy",
        "buy {}",
    ),
    NeedKind(
        "content",
        "kind = 'events'",
        "coalesce(content_category, category)",
        MOMENT,
        "When {} look at something",
        "look at {}",
    ),
    NeedKind(
        "service_reason",
        "kind = 'interactions'",
        "category",
        MOMENT,
        "When {} contact the service",
        "ask about {}",
    ),
    NeedKind(
        "activity",
        "true",
        "activity",
        OF_DAY,
        "On a day on which {} are active",
        "have {} on their timeline",
    ),
    NeedKind(
        "channel",
        "kind <> 'consents'",
        "channel",
        OF_DAY,
        "On a day on which {} are active",
        "use {}",
    ),
    NeedKind(
        "part_of_day",
        "kind <> 'consents' and has_time_of_day",
        """case
            when hour(occurred_at) < 6 then 'night' when hour(occurred_at) < 12 then 'morning'
            when hour(occurred_at) < 18 then 'afternoon' else 'evening'
        end""",
        OF_DAY,
        "On a day on which {} are active",
        "are so in the {} (UTC)",
    ),
)


def find_needs(lake: Lake, day: date, models: Models) -> Summary:
    """Write `stage_needs` and its model card as of `day`.

    Reads the published `customer_timeline` and `customer_stages`; uses `models.needs.window_days`, `.min_support` and
    `models.seed`. Without a timeline, or with fewer than two stages of `min_support` customers to compare, or when all
    of them do the same, the table is written empty and the card says why.
    """
    with single_threaded(), scratch_engine(lake, settings(), "needs") as (connection, _):
        timeline = lake.table("cdp", "customer_timeline")
        if not timeline.exists():
            return _write_nothing(lake, day, "there is no customer timeline")
        window, support = models.needs.window_days, models.needs.min_support
        begin, end = day - timedelta(days=window - 1), day + timedelta(days=1)
        later = end - timedelta(days=max(round(window * LATER_SHARE), 1))
        read_doings(connection, timeline, begin, later, end)
        counts = count_needs(connection, models.seed)
        if counts.empty:
            return _write_nothing(lake, day, f"no customer did anything in the last {window} days")
        cells = compare(counts[counts["period"] == "all"], support)
        if cells.empty:
            return _write_nothing(
                lake, day, f"no two stages of at least {support} active customers differ in anything they do"
            )
        held = hold_up(*(compare(counts[counts["period"] == part], support) for part in ("earlier", "later")))
        in_stage = _count_in_stage(connection, lake.table("cdp", "customer_stages"), begin, end)
        version = model_version(
            {"task": TASK, "window_days": window, "min_support": support, "seed": models.seed},
            cells[[*KEY, "customers", "with_need"]],
        )
        shown = describe(cells[cells["with_need"] >= support]).assign(
            in_stage=lambda frame: frame["stage"].map(in_stage).astype("Int64"),
            as_of_date=day,
            model_version=version,
        )
        rows = write_table(shown, STAGE_NEEDS, KEY, lake.ml(day, "stage_needs"))
        write_model_cards(lake, day, TASK, [_card(cells, shown, held, version)])
    significant = int(shown["is_significant"].sum())
    return Summary(TASK, "reported", rows, f"{rows:,} needs of {shown['stage'].nunique()} stages, {significant:,} of "
                   "them beyond chance")  # fmt: skip


def read_doings(
    connection: duckdb.DuckDBPyConnection, timeline: Path, begin: date, later: date, end: date
) -> None:
    """Make the table `doings`: the timeline from `begin` up to, and without, `end`, and whether a row is of the days
    from `later` on. Customers are numbers there, half of the MD5 of their id, for they are compared many times."""
    connection.execute(
        f"""
        create or replace temp table doings as
        select
            cast(md5_number(customer_id) >> 64 as ubigint) as customer,
            stage,
            kind,
            activity,
            channel,
            cast(category as varchar) as category,
            cast(content_category as varchar) as content_category,
            has_time_of_day,
            occurred_at,
            occurred_at >= timestamp '{later:%Y-%m-%d}' as is_later
        from read_parquet('{timeline}')
        where
            occurred_at >= timestamp '{begin:%Y-%m-%d}' and occurred_at < timestamp '{end:%Y-%m-%d}'
            and stage is not null
            and {OWN_DOING}
        """
    )


def count_needs(connection: duckdb.DuckDBPyConnection, seed: int) -> pd.DataFrame:
    """Customers of each stage who did something of each kind, and who had each need at the time drawn for them.

    Returns a frame of period, stage, need_kind, need, customers and with_need, one row per combination that occurs,
    ordered. A time is drawn for the earlier days and for the later ones, and one of the two for all.
    """
    return pd.concat([_count_kind(connection, kind, seed) for kind in NEED_KINDS], ignore_index=True)


def _count_kind(connection: duckdb.DuckDBPyConnection, kind: NeedKind, seed: int) -> pd.DataFrame:
    return connection.execute(
        f"""
        with

        done as (

            select distinct
                customer,
                stage,
                is_later,
                {kind.time} as done_at,
                {kind.need} as need
            from doings
            where
                {kind.where}
                and trim({kind.need}) <> ''

        ),

        ordered as (

            select
                customer,
                stage,
                is_later,
                min((md5_number('{seed} ' || stage || ' ' || done_at || ' ' || customer) >> 64, done_at)) as first
            from done
            group by customer, stage, is_later

        ),

        drawn as (

            select
                customer,
                stage,
                case when is_later then 'later' else 'earlier' end as period,
                first[2] as done_at
            from ordered

            union all

            select customer, stage, 'all' as period, min(first)[2] as done_at
            from ordered
            group by customer, stage

        ),

        sizes as (

            select period, stage, count(*) as customers from drawn group by period, stage

        ),

        needs as (

            select drawn.period, done.stage, done.need, count(*) as with_need
            from done
            inner join drawn using (customer, stage, done_at)
            group by drawn.period, done.stage, done.need

        )

        select needs.period, needs.stage, '{kind.name}' as need_kind, needs.need, sizes.customers, needs.with_need
        from needs
        inner join sizes using (period, stage)
        order by needs.period, needs.stage, needs.need
        """
    ).df()


def compare(counts: pd.DataFrame, support: int) -> pd.DataFrame:
    """Hold each stage against the others: every stage and need of a kind of which `support` customers are there.

    Which cells are compared hangs on the stage's size and on how common the need is in all stages together, never on
    what is found in the cell, so the correction for many looks is honest. One row per stage, need_kind and need.
    """
    columns = [*KEY, "customers", "with_need"]
    parts = []
    for _, kind in counts.groupby("need_kind", sort=True):
        sizes = kind.groupby("stage")["customers"].first()
        sizes = sizes[sizes >= support]
        inside = kind[kind["stage"].isin(sizes.index)].pivot_table(
            index="stage", columns="need", values="with_need", aggfunc="sum", fill_value=0
        )
        # What everybody does, or only one stage could, sets nobody apart.
        common, total = inside.sum(), int(sizes.sum())
        inside = inside.loc[:, common.between(support, total - 1)] if len(sizes) > 1 else inside.iloc[:0]
        if inside.empty:
            continue
        cells = inside.stack().rename("with_need").reset_index()
        parts.append(
            cells.assign(
                need_kind=kind["need_kind"].iloc[0],
                customers=cells["stage"].map(sizes),
                total=cells["need"].map(inside.sum()),
                everybody=total,
            )
        )
    if not parts:
        return pd.DataFrame(columns=columns)
    cells = pd.concat(parts, ignore_index=True)
    found = lifts(
        *(cells[name].to_numpy(np.int64) for name in ("with_need", "customers", "total", "everybody"))
    )
    return (
        cells[columns]
        .assign(
            share=found.share,
            share_elsewhere=found.share_elsewhere,
            lift=found.lift,
            low=found.low,
            high=found.high,
            p_value=found.p_value,
            q_value=found.q_value,
            is_significant=found.is_significant,
        )
        .sort_values(KEY, kind="stable", ignore_index=True)
    )


def describe(cells: pd.DataFrame) -> pd.DataFrame:
    """Rank the needs of each stage, those beyond chance first and then by how far they surely set it apart, and say
    what each means."""
    ranked = cells.sort_values(
        ["stage", "is_significant", "low", "with_need", "need_kind", "need"],
        ascending=[True, False, False, False, True, True],
        kind="stable",
    )
    ranked = ranked.assign(rank=ranked.groupby("stage").cumcount() + 1)
    return ranked.assign(meaning=[_sentence(row) for row in ranked.itertuples()])


@dataclass(frozen=True)
class HeldUp:
    """Of `found` needs that set a stage apart in the earlier days, how many lean the same way in the later ones."""

    found: int
    held: int


def hold_up(earlier: pd.DataFrame, later: pd.DataFrame) -> HeldUp:
    """Look again at what the earlier days found, in days that had no part in finding it."""
    if earlier.empty or later.empty:
        return HeldUp(0, 0)
    both = earlier[earlier["is_significant"]].merge(later, on=KEY, suffixes=("", "_later"))
    same = (both["lift"] > 1) == (both["lift_later"] > 1)
    return HeldUp(len(both), int(same.sum()))


def _sentence(row: object) -> str:
    kind = next(kind for kind in NEED_KINDS if kind.name == row.need_kind)
    need = row.need.replace("_", " ") if kind.name == "activity" else row.need
    sentence = (
        f"{kind.occasion.format(STAGE_WORDS.get(row.stage, row.stage))}, {row.share:.0%} "
        f"{kind.verb.format(need)}, against {row.share_elsewhere:.0%} in other stages: {row.lift:.1f} times the rate "
        f"of all (95 % interval {row.low:.1f} to {row.high:.1f})"
    )
    return sentence + ("." if row.is_significant else "; this may be chance.")


def _count_in_stage(
    connection: duckdb.DuckDBPyConnection, stages: Path, begin: date, end: date
) -> dict[str, int]:
    """Customers who were in each stage at some time of the window, active or not."""
    if not stages.exists():
        return {}
    rows = connection.execute(
        f"""
        select stage, count(distinct customer_id)
        from read_parquet('{stages}')
        where
            entered_at < timestamp '{end:%Y-%m-%d}'
            and (left_at is null or left_at > timestamp '{begin:%Y-%m-%d}')
        group by stage
        """
    ).fetchall()
    return dict(rows)


def _card(cells: pd.DataFrame, shown: pd.DataFrame, held: HeldUp, version: str) -> ModelCard:
    lines = (
        CardLine(
            "compared",
            exact(len(cells)),
            note="stages by needs; the correction for many looks counts them all",
        ),
        CardLine("shown", exact(len(shown))),
        CardLine(
            "significant",
            exact(int(cells["is_significant"].sum())),
            note="at most 5 % of them are expected to be false (Benjamini and Hochberg 1995)",
        ),
        CardLine(
            "held_up_later",
            _wilson(held.held, held.found),
            0.5,
            "the toss of a coin",
            note=f"{held.held:,} of {held.found:,} needs that set a stage apart in the first two thirds of the window "
            "lean the same way in the last third",
        ),
    )
    return ModelCard(MODEL, version, TASK, lines)


def _wilson(part: int, whole: int) -> Estimate | None:
    """A share with its 95 % interval (Wilson 1927); None of nothing."""
    if not whole:
        return None
    z = 1.959964
    share = part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    spread = z * np.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return Estimate(share, max(middle - spread, 0.0), min(middle + spread, 1.0))


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, STAGE_NEEDS, KEY, lake.ml(day, "stage_needs"))
    return skip(lake, day, TASK, [MODEL], reason)
