"""Choosing the golden value of each attribute of each customer, as one would in a notebook and as the models do."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from include.benchmark.harness import Ratio, Topic, Variant, digest_rows, open_warehouse, write_rows
from include.config import dbt_variables, load_configuration
from include.lake import Lake
from include.settings import DEFAULT_CONFIG
from include.warehouse import compile_models

STATEMENTS_OF_A_CUSTOMER = 20
MODELS = ("int_customer_values", "customer_attributes")
STATEMENTS = "int_customer_statements"
WRITTEN = ["customer_id", "attribute", "value", "channel", "record_id", "sources", "different_values"]
VALUE = ["customer_id", "attribute", "compared_value"]
BY_SOURCES = ["national_id", "birth_date"]
ORDER = ["step_0", "step_1", "step_2", "step_3", "step_4", "channel", "kind", "record_id", "value"]


def prepare(folder: Path, statements: int) -> None:
    """Fill `folder` with a warehouse of so many statements about customers, in random order, and with dbt's SQL.

    A customer has five records of four attributes each; two of five records say something else, one in twelve is not
    verified, one in fifteen was replaced.
    """
    lake = Lake(folder / "data")
    variables = dbt_variables(load_configuration(DEFAULT_CONFIG), date(2024, 12, 31), lake)
    for name, sql in compile_models(MODELS, lake, variables).items():
        (folder / f"{name}.sql").write_text(sql)
    path = folder / "warehouse.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_statements(statements))


def _ours(inputs: Path, output: Path) -> int:
    """Both models of dbt, the first kept as a table as in a run. Returns the number of attributes."""
    with open_warehouse(inputs, output) as connection:
        relation = '"warehouse"."main"."{}"'.format
        values, golden = (
            (inputs / f"{name}.sql").read_text().replace(relation(MODELS[0]), MODELS[0]) for name in MODELS
        )
        connection.execute(f"create temporary table {MODELS[0]} as {values}")
        return write_rows(connection, f"select {', '.join(WRITTEN)} from ({golden})", output)


def _sorted(inputs: Path, output: Path) -> int:
    """The statements by customer, attribute and value, and nothing else: nobody can do it without."""
    columns = ", ".join([*VALUE, "last_observed_at"])
    with open_warehouse(inputs, output) as connection:
        return write_rows(
            connection, f"select {columns} from warehouse.main.{STATEMENTS} order by {columns}", output
        )


def _pandas(inputs: Path, output: Path) -> int:
    """The same rules in a notebook. DuckDB hands the statements over. Returns the number of attributes."""
    import numpy as np

    with open_warehouse(inputs, output) as connection:
        said = connection.execute(f"from warehouse.main.{STATEMENTS}").df()
    said["step_0"] = np.select(
        [~said["is_active"], ~said["is_current"], said["kind"] == "messages"], [3, 2, 1], 0
    )
    is_address, counts_sources = said["attribute"] == "address", said["attribute"].isin(BY_SOURCES)
    newest = -said["last_observed_at"].astype("int64")
    said["step_1"] = -said["completeness"].where(is_address, said["verification"])
    said["step_2"] = -said["verification"].where(is_address, 0)
    said["step_3"] = newest.where(~is_address & ~counts_sources, 0)
    said["step_4"] = newest.where(is_address | counts_sources, 0)
    said = said.sort_values([*VALUE, *ORDER])
    same = said.groupby(VALUE, sort=False)
    sources = (said["step_0"] < 2).groupby([said[name] for name in VALUE], sort=False).transform("sum")
    said["sources"] = sources
    values = said[same.cumcount() == 0].copy()
    values["step_3"] = (-values["sources"]).where(values["attribute"].isin(BY_SOURCES), values["step_3"])
    values = values[values["step_0"] < 3].sort_values(["customer_id", "attribute", *ORDER])
    attributes = values.groupby(["customer_id", "attribute"], sort=False)
    values["different_values"] = attributes["value"].transform("size")
    golden = values[attributes.cumcount() == 0][WRITTEN]
    golden.to_parquet(output / "rows.parquet", compression="zstd", index=False)
    return len(golden)


def _polars(inputs: Path, output: Path) -> int:
    """The same rules in polars. Returns the number of attributes."""
    import polars as pl

    with open_warehouse(inputs, output) as connection:
        said = pl.from_arrow(connection.execute(f"from warehouse.main.{STATEMENTS}").to_arrow_table())
    is_address, counts_sources = pl.col("attribute") == "address", pl.col("attribute").is_in(BY_SOURCES)
    newest = -pl.col("last_observed_at").cast(pl.Int64)
    verified = pl.col("verification").cast(pl.Int64)
    steps = said.lazy().with_columns(
        pl.when(~pl.col("is_active")).then(3).when(~pl.col("is_current")).then(2)
        .when(pl.col("kind") == "messages").then(1).otherwise(0).alias("step_0"),
        pl.when(is_address).then(-pl.col("completeness").cast(pl.Int64)).otherwise(-verified).alias("step_1"),
        pl.when(is_address).then(-verified).otherwise(0).alias("step_2"),
        pl.when(is_address | counts_sources).then(0).otherwise(newest).alias("step_3"),
        pl.when(is_address | counts_sources).then(newest).otherwise(0).alias("step_4"),
    )  # fmt: skip
    golden = (
        steps.sort([*VALUE, *ORDER])
        .group_by(VALUE, maintain_order=True)
        .agg(pl.all().first(), (pl.col("step_0") < 2).sum().cast(pl.Int64).alias("sources"))
        .with_columns(
            pl.when(pl.col("attribute").is_in(BY_SOURCES))
            .then(-pl.col("sources"))
            .otherwise(pl.col("step_3"))
            .alias("step_3")
        )
        .filter(pl.col("step_0") < 3)
        .sort(["customer_id", "attribute", *ORDER])
        .group_by(["customer_id", "attribute"], maintain_order=True)
        .agg(pl.all().first(), pl.len().cast(pl.Int64).alias("different_values"))
        .select(WRITTEN)
        .collect()
    )
    golden.write_parquet(output / "rows.parquet", compression="zstd")
    return len(golden)


def _digest(output: Path) -> str:
    """Of the golden values; the sorted statements are not a result of the job."""
    return digest_rows([output / "rows.parquet"], WRITTEN)


def _statements(statements: int) -> str:
    return f"""
        create table {STATEMENTS} as
        with drawn as (
            select
                number // {STATEMENTS_OF_A_CUSTOMER} as customer,
                number % {STATEMENTS_OF_A_CUSTOMER} % 5 as source,
                number % {STATEMENTS_OF_A_CUSTOMER} // 5 as place,
                hash(number) as draw
            from range({statements}) as numbers (number)
        ),
        said as (
            select
                *,
                ['email', 'birth_date', 'given_name', 'address'][1 + place] as attribute,
                case when draw % 5 < 2 then draw // 5 % 3 else 0 end as variant,
            from drawn
        )
        select
            'c' || left(md5(customer::varchar), 24) as customer_id,
            attribute,
            attribute || ' ' || customer || ' ' || variant as value,
            attribute || ' ' || customer || ' ' || variant as compared_value,
            ['crm', 'shop', 'web', 'calls', 'mail'][1 + source::int] as channel,
            ['customers', 'customers', 'events', 'interactions', 'messages'][1 + source::int] as kind,
            case when source < 2 then customer || '-' || source end as record_id,
            draw // 7 % 40 <> 0 as is_active,
            draw // 11 % 15 <> 0 as is_current,
            case when draw // 13 % 12 = 0 then 0 else (draw // 17 % 2)::int + 1 end as verification,
            case when attribute = 'address' then (draw // 19 % 6)::int else 0 end as completeness,
            timestamp '2023-01-01' as first_observed_at,
            timestamp '2024-01-01' + to_seconds((draw // 23 % 31536000)::bigint) as last_observed_at,
        from said
        order by draw
    """


TOPIC = Topic(
    name="profiles",
    title="Choosing golden values",
    text="The dbt models `int_customer_values` and `customer_attributes` over what five sources say of four attributes"
    " of each customer, in random order, by the default rules; against pandas and polars, which write"
    " the same values but neither the rule that decided nor the runner-up, and against sorting the four columns that"
    " decide the order.",
    sizes={"small": 500_000, "medium": 5_000_000, "large": 5_000_000},
    prepare=prepare,
    variants=(
        Variant("ours", "the two models", _ours, rows="values"),
        Variant("pandas", "the same values with pandas", _pandas, rows="values"),
        Variant("polars", "the same values with polars", _polars, rows="values"),
        Variant("sort", "the same statements sorted, and nothing else", _sorted, rows="statements"),
    ),
    ratios=(
        Ratio("the models over sorting the statements", "ours", "sort"),
        Ratio("pandas over the models", "pandas", "ours"),
        Ratio("polars over the models", "polars", "ours"),
    ),
    digest=_digest,
)
