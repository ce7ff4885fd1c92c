"""Counting whom audiences reach, where and together, against grouping the same events once."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd

from include.benchmark.harness import Ratio, Topic, Variant
from include.config import dbt_variables, load_configuration
from include.lake import Lake
from include.settings import settings
from include.warehouse import compile_models
from ml.sketches import Sketches

DAY = date(2024, 12, 31)
AUDIENCES, EVENTS_OF_A_VISITOR = 200, 10
SITES, CONTENTS, CONTENTS_OF_A_SITE, NETWORKS = 400, 60, 4, 300
WINDOW = 28
# The models from events and members to what is handed over, in their order; the last four are written, by their grain.
MODELS = (
    "int_reach_visitors",
    "int_reach_members",
    "int_reach_sketches",
    "int_person_activity",
    "int_sketched_people",
    "int_placements",
    "int_person_placements",
    "reach_counts",
    "sketched_people",
    "sketched_placements",
    "placement_counts",
)
WRITTEN = {
    "reach_counts": "set_id",
    "sketched_people": "person, set_id",
    "sketched_placements": "person, placement_id",
    "placement_counts": "placement_id, band",
}
BY_VISITOR = """
    select visitor_id, count(*) as events, max(seen_at) as last_seen_at from int_visitor_events group by visitor_id
"""


def prepare(folder: Path, events: int) -> None:
    """Fill `folder` with `events` off-site events within the window, of a tenth as many visitors, with the members of
    the audiences, with those of a quarter of the visitors apart, and with dbt's SQL of the models."""
    configuration = folder / "config"
    configuration.mkdir(parents=True, exist_ok=True)
    lake = Lake(folder / "data")
    models = compile_models(MODELS, lake, dbt_variables(load_configuration(configuration), DAY, lake))
    for name, sql in models.items():
        (folder / f"{name}.sql").write_text(sql.replace('"warehouse"."main".', ""))
    visitors = max(events // EVENTS_OF_A_VISITOR, 1)
    for name, taken in (("everything", "true"), ("quarter", "number % 4 = 0")):
        path = folder / f"{name}.duckdb"
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute(_people(visitors, taken))
            for query in (EVENTS, VISITORS, KNOWN, MEMBERSHIP, SETS, *NOTHING):
                connection.execute(query)
            connection.execute("drop table people")


def _run(source: str, steps: str, inputs: Path, output: Path) -> int:
    """Run the models, or one query, over the inputs of a name. Returns how many rows were written."""
    options = {
        "threads": settings().threads,
        "memory_limit": settings().memory_limit,
        "temp_directory": str(output / "spill"),
        "preserve_insertion_order": False,
    }
    # On disk, as the warehouse is: what a model leaves behind does not stay in memory.
    with duckdb.connect(str(output / "warehouse.duckdb"), config=options) as connection:
        connection.execute(f"attach '{inputs / f'{source}.duckdb'}' as inputs (read_only)")
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = 'inputs' order by all"
        ).fetchall():
            connection.execute(f"create view {name} as from inputs.{name}")
        if steps != "models":
            return _written(steps, "rows", output, connection)
        for name in MODELS:
            query = (inputs / f"{name}.sql").read_text()
            if name in WRITTEN:
                _written(f"select * from ({query}) order by {WRITTEN[name]}", name, output, connection)
            else:
                connection.execute(f"create table {name} as {query}")
    overlaps, cells = count_together(output)
    return len(overlaps) + len(cells)


def count_together(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Overlaps and placements of what was written to a folder, as the task of reach counts them."""
    found = {name: folder / f"{name}.parquet" for name in WRITTEN}
    sketches = Sketches(pd.read_parquet(found["reach_counts"]), found["sketched_people"])
    placements = pd.read_parquet(found["placement_counts"])
    return sketches.count_overlaps(), sketches.count_placements(placements, found["sketched_placements"])


def _written(query: str, name: str, output: Path, connection: duckdb.DuckDBPyConnection) -> int:
    target = output / f"{name}.parquet"
    written = connection.execute(f"copy ({query}) to '{target}' (format parquet, compression zstd)")
    return written.fetchone()[0]


def _people(visitors: int, taken: str) -> str:
    return f"""
        create table people as
        select number, sha256('visitor ' || number) as visitor_id
        from range({visitors}) as numbers (number)
        where {taken}
    """


# A visitor comes back to a few of the sites, on one device and from one network nearly always.
EVENTS = f"""
    create table int_visitor_events as
    with drawn as (
        select
            visitor_id, number, hash(number, turn) as draw,
            (hash(number, hash(number, turn, 1) % 6) % {SITES})::int as site,
        from people, range({EVENTS_OF_A_VISITOR}) as turns (turn)
    )
    select
        visitor_id,
        'web' as platform,
        'site' || site || '.example.org' as site,
        'Content ' || (site * 7 + draw % {CONTENTS_OF_A_SITE}) % {CONTENTS} as content_category,
        if(draw // 5 % 20 = 0, 'tablet', if(number % 3 = 0, 'desktop', 'mobile')) as device,
        '10.' || if(draw // 11 % 20 = 0, draw // 101, number) % {NETWORKS} || '.0.0/16' as place,
        false as is_owned_site,
        date '{DAY}' - (draw // 977 % {WINDOW})::int as event_day,
        (draw // 13 % 24)::int as hour,
        (date '{DAY}' - (draw // 977 % {WINDOW})::int)::timestamp + to_hours((draw // 13 % 24)::int) as seen_at,
    from drawn
    order by draw
"""
VISITORS = "create table visitors as select visitor_id from people"
# Of three visitors two are the devices of one person.
KNOWN = """
    create table int_known_visitors as
    select visitor_id, 'p' || sha256('person ' || number // 3) as person_key
    from people
    where number % 3 > 0
"""
# The audiences have from two to twenty percent of the visitors.
MEMBERSHIP = f"""
    create table int_audience_membership as
    select 'audience_' || audience as audience_id, 'dmp' as side, visitor_id as member_id
    from people, range({AUDIENCES}) as audiences (audience)
    where hash(number, audience, 3) % 1000 < 20 + audience * 180 // {AUDIENCES}
"""
SETS = f"""
    create table int_reach_sets as
    select
        (row_number() over (order by 'audience_' || audience))::int as set_id, 'visitors' as unit,
        'audience_' || audience as audience_id, 'members' as part,
    from range({AUDIENCES}) as audiences (audience)
"""
NOTHING = (
    "create table customers as select '' as customer_id where false",
    "create table int_customer_visitors as select '' as customer_id, '' as visitor_id where false",
    "create table lookalike_members as select '' as audience_id, '' as visitor_id where false",
)
TOPIC = Topic(
    name="reach",
    title="Counting reach",
    text=f"{AUDIENCES} audiences, each of 2% to 20% of the visitors; ten off-site events per visitor within the"
    f" window, at {SITES} sites with {CONTENTS_OF_A_SITE} contents each; two thirds of the visitors are the second"
    " device of a person. The dbt models from events and members to the sketches, through a warehouse on disk, and what"
    " the task counts of them: reach, overlaps and placements; against grouping the same events by visitor.",
    sizes={"small": 1_000_000, "medium": 10_000_000, "large": 20_000_000},
    prepare=prepare,
    variants=(
        Variant(
            "ours", "the models and the task, to counts", partial(_run, "everything", "models"), rows="counts"
        ),
        Variant(
            "quarter",
            "the same for a quarter of the visitors",
            partial(_run, "quarter", "models"),
            rows="few",
        ),
        Variant("by_visitor", "events grouped by visitor", partial(_run, "everything", BY_VISITOR), rows="v"),
    ),
    ratios=(
        Ratio(f"reach of {AUDIENCES} audiences over grouping by visitor", "ours", "by_visitor"),
        Ratio("four times the visitors over one time", "ours", "quarter", at_most=5.0),
    ),
)
