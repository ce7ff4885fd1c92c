"""Evaluating hundreds of audiences, against grouping the same events once: nobody can count traits without that."""

from __future__ import annotations

import random
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import sqlglot

from include.benchmark.harness import Ratio, Topic, Variant, digest_rows
from include.config import dbt_variables, load_configuration
from include.config.conditions import atom_aliases, compile_visitor_condition
from include.lake import Lake
from include.settings import settings
from include.warehouse import compile_models

DAY = date(2024, 12, 31)
AUDIENCES, TRAITS, EVENTS_OF_A_VISITOR = 200, 60, 10
WINDOWS = (7, 14, 30, 60, 90)
# The models from the events that passed the privacy wall to the members of audiences, in their order.
MODELS = ("int_trait_observations", "int_held_traits", "int_audience_answers", "int_audience_membership")
EVENTS = "__dbt__cte__int_consented_events"
BY_TRAIT = """
    select visitor_id, trait_id, count(*) as events, max(seen_at) as last_seen_at
    from (select visitor_id, unnest(trait_ids) as trait_id, seen_at from events)
    group by visitor_id, trait_id
"""
BY_VISITOR = (
    "select visitor_id, count(*) as events, max(seen_at) as last_seen_at from events group by visitor_id"
)


def prepare(folder: Path, events: int) -> None:
    """Fill `folder` with `events` events of a tenth as many visitors, a quarter of them apart, with dbt's SQL of the
    models, and with a query of its own for each of the audiences."""
    configuration = folder / "config"
    configuration.mkdir(parents=True, exist_ok=True)
    (configuration / "audiences.yml").write_text(_audiences_file())
    lake = Lake(folder / "data")
    loaded = load_configuration(configuration)
    models = compile_models(MODELS, lake, dbt_variables(loaded, DAY, lake))
    for name, sql in models.items():
        (folder / f"{name}.sql").write_text(_without_events(sql).replace('"warehouse"."main".', ""))
    queries = [_query_alone(audience.audience_id, audience.where) for audience in loaded.audiences]
    (folder / "one_by_one.sql").write_text(";\n".join(queries))
    path = folder / "events.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_events(events))
        connection.execute("create table quarter as from everything where hash(visitor_id) % 4 = 0")


def _run(source: str, steps: str, inputs: Path, output: Path) -> int:
    """Run the models, or a query or several, over the events of a table. Returns how many rows were written."""
    options = {
        "threads": settings().threads,
        "memory_limit": settings().memory_limit,
        "temp_directory": str(output / "spill"),
    }
    # On disk, as the warehouse is: what a model leaves behind does not stay in memory.
    with duckdb.connect(str(output / "warehouse.duckdb"), config=options) as connection:
        connection.execute(f"attach '{inputs / 'events.duckdb'}' as inputs (read_only)")
        connection.execute(f"create view events as from inputs.{source}")
        if steps == "models":
            return _run_models(inputs, output, connection)
        if steps == "one by one":
            return _run_one_by_one(inputs, output, connection)
        return _copied(steps, output / "rows.parquet", connection)


def _run_models(inputs: Path, output: Path, connection: duckdb.DuckDBPyConnection) -> int:
    connection.execute(
        """
        create table int_visitor_traits as
        select '' as visitor_id, '' as trait_id, '' as value, '' as party, now()::timestamp as observed_at where false
        """
    )
    connection.execute("create table visitors as select distinct visitor_id from events")
    connection.execute("create table int_audience_base as select '' as customer_id where false")
    for name in MODELS[:-1]:
        kind = "view" if name == "int_held_traits" else "table"
        connection.execute(f"create {kind} {name} as {(inputs / f'{name}.sql').read_text()}")
    return _copied((inputs / f"{MODELS[-1]}.sql").read_text(), output / "rows.parquet", connection)


def _run_one_by_one(inputs: Path, output: Path, connection: duckdb.DuckDBPyConnection) -> int:
    """Each audience to a file of its own, as somebody would who asks for one."""
    (output / "members").mkdir()
    queries = (inputs / "one_by_one.sql").read_text().split(";\n")
    return sum(
        _copied(query, output / "members" / f"{number}.parquet", connection)
        for number, query in enumerate(queries)
    )


def _digest(output: Path) -> str:
    """Of who is a member of what; grouped events are not a result of the job."""
    files = [*output.glob("rows.parquet"), *output.glob("members/*.parquet")]
    return digest_rows(files, ["audience_id", "member_id"])


def _copied(query: str, target: Path, connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute(f"copy ({query}) to '{target}' (format parquet, compression zstd)").fetchone()[
        0
    ]


def _without_events(sql: str) -> str:
    """A model's SQL without the events of the privacy wall inside it, which are a table here: `events`."""
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    found = [number for number, token in enumerate(tokens) if token.text == EVENTS]
    if not found:
        return sql
    depth, number = 1, found[0] + 3  # name, as, (
    while depth:
        depth += {"(": 1, ")": -1}.get(tokens[number].text, 0) if tokens[number].token_type.name in (
            "L_PAREN", "R_PAREN",
        ) else 0  # fmt: skip
        number += 1
    rest = tokens[number]  # a comma before the model's own first relation
    return ("with " + sql[rest.end + 1 :].lstrip().removeprefix("with").lstrip()).replace(EVENTS, "events")


def _query_alone(audience_id: str, where: str) -> str:
    """What somebody would write for one audience: its traits counted from the events, and its condition."""
    condition = compile_visitor_condition(where)
    aliases = atom_aliases(condition.atoms)
    answers = []
    for atom, alias in aliases.items():
        of_trait = f"filter (where trait_id = '{atom.trait_id}'"
        answers.append(
            {
                "trait": f"max('true') {of_trait}) as {alias}",
                "frequency": f"count(*) {of_trait} and event_day > date '{DAY}' - {atom.days}) as {alias}",
                "recency": f"date '{DAY}' - max(event_day) {of_trait}) as {alias}",
            }[atom.kind]
        )
    traits = ", ".join(sorted({f"'{atom.trait_id}'" for atom in aliases}))
    return f"""
        select '{audience_id}' as audience_id, visitor_id as member_id
        from (
            select visitor_id, {", ".join(answers)}
            from (select visitor_id, event_day, unnest(trait_ids) as trait_id from events)
            where trait_id in ({traits})
            group by visitor_id
        )
        where {condition.predicate(aliases)}"""


def _audiences_file() -> str:
    """Rules of recency, frequency and value over one to three traits, with windows of a week to three months."""
    draw = random.Random(7)
    lines = ["traits:"]
    for number in range(TRAITS):
        lines.append(f"  - {{id: trait_{number}, where: content_category = 'category {number}'}}")
    lines.append("audiences:")
    for number in range(AUDIENCES):
        one, two, three = (f"'trait_{drawn}'" for drawn in draw.sample(range(TRAITS), 3))
        first, second = draw.choice(WINDOWS), draw.choice(WINDOWS)
        where = draw.choice(
            [
                f"frequency({one}, {first}) >= {draw.randint(1, 3)} and recency({two}) <= {second}",
                f"(frequency({one}, {first}) >= 2 or frequency({two}, {second}) >= 1)"
                f" and not frequency({three}, 30) >= 1",
                f"recency({one}) between 3 and {first + 3} and trait({two}) = 'true'",
                f"frequency({one}, {first}) between 1 and 3 or frequency({two}, {second}) >= 3",
            ]
        )
        lines.append(f'  - {{id: audience_{number}, side: dmp, where: "{where}"}}')
    return "\n".join(lines) + "\n"


def _events(events: int) -> str:
    """Events as they come through the privacy wall: two thirds show one trait, a few show two."""
    return f"""
        create table everything as
        with drawn as (
            select hash(number) as draw, hash(number, 1) % {max(events // EVENTS_OF_A_VISITOR, 1)} as visitor
            from range({events}) as numbers (number)
        )
        select
            sha256('visitor ' || visitor) as visitor_id,
            list_filter(
                [
                    case when draw % 3 > 0 then 'trait_' || draw // 3 % {TRAITS} end,
                    case when draw % 20 = 0 then 'trait_' || (draw // 3 + 1) % {TRAITS} end,
                ],
                lambda trait_id: trait_id is not null
            ) as trait_ids,
            date '{DAY}' - (draw // 977 % 119)::int as event_day,
            (date '{DAY}' - (draw // 977 % 119)::int)::timestamp + to_hours((draw // 13 % 24)::int) as seen_at
        from drawn
        order by draw
    """


TOPIC = Topic(
    name="audiences",
    title="Evaluating audiences",
    text=f"{AUDIENCES} audiences of recency, frequency and value over {TRAITS} traits, for ten events per visitor: the"
    " dbt models from the events that passed the privacy wall to the members, through a warehouse on disk; against"
    " grouping the same events once, and against a query for each of the audiences, which finds the same members.",
    sizes={"small": 1_000_000, "medium": 10_000_000, "large": 20_000_000},
    prepare=prepare,
    digest=_digest,
    variants=(
        Variant("ours", "the four models, to members", partial(_run, "everything", "models"), rows="members"),
        Variant(
            "quarter",
            "the same for a quarter of the visitors",
            partial(_run, "quarter", "models"),
            rows="few",
        ),
        Variant(
            "by_trait", "events grouped by visitor and trait", partial(_run, "everything", BY_TRAIT), rows="t"
        ),
        Variant("by_visitor", "events grouped by visitor", partial(_run, "everything", BY_VISITOR), rows="v"),
        Variant(
            "one_by_one",
            f"a query for each of the {AUDIENCES} audiences",
            partial(_run, "everything", "one by one"),
            rows="members",
        ),
    ),
    ratios=(
        Ratio(f"{AUDIENCES} audiences over grouping by visitor and trait", "ours", "by_trait", at_most=5.0),
        Ratio(f"{AUDIENCES} audiences over grouping by visitor", "ours", "by_visitor"),
        Ratio("four times the visitors over one time", "ours", "quarter", at_most=5.0),
        Ratio(f"{AUDIENCES} queries over {AUDIENCES} audiences at once", "one_by_one", "ours"),
    ),
)
