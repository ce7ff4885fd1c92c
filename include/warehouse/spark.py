"""dbt's warehouse on Apache Spark: the folder `warehouse` of the lake's DATA, and an adapter of dbt that speaks to it.

Models, macros and materializations are written once, in DuckDB's dialect. Here their statements meet Spark: a query is
translated (include.dialect), and what a statement does to the warehouse is done to files. A table is a folder of
Parquet files, `warehouse/<table>`; the view that an external model leaves behind is a link to its file. So there is no
metastore to run, whoever reads Parquet can read the warehouse, and any Spark that sees the folder will do.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
from dbt.adapters import spark
from dbt.adapters.base import AdapterPlugin
from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.duckdb.relation import DuckDBRelation
from dbt.adapters.spark import SparkConnectionManager, SparkCredentials
from dbt.adapters.spark.relation import SparkRelation
from dbt.adapters.spark.session import Connection, Cursor, SessionConnectionWrapper
from dbt.include import spark as dbt_spark_macros
from sqlglot import exp

from include.dialect import rewritten, spark_sql
from include.privacy.pseudonym import pads

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "main"  # as DuckDB calls the schema of a warehouse
KEYS = ("hmac_inner", "hmac_outer")  # variables of the session, and in no statement
SESSION = {
    # The channel `007` is no number.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # As DuckDB's map_concat: the later value holds.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
}


class Warehouse:
    """Runs statements in DuckDB's dialect on a Spark session, over a folder of tables."""

    def __init__(self, session: SparkSession, folder: Path, key: bytes = b"") -> None:
        self.session = session
        self.folder = folder
        self.variables: dict[str, exp.Expression] = {}
        self._views: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in SESSION.items():
            session.conf.set(name, value)
        for name, function in _text_functions().items():
            session.udf.register(name, function, "string")
        for name, pad in zip(KEYS, pads(key) if key else (None, None), strict=True):
            session.sql(f"declare or replace variable {name} binary")
            if pad is not None:
                session.sql(f"set var {name} = unhex(:pad)", args={"pad": pad.hex()})

    def run(self, statement: str) -> DataFrame | None:
        """Run one statement; a query gives its rows. Raises ValueError for a statement that no table here knows."""
        tree = sqlglot.parse_one(statement, read="duckdb")
        tree.comments = None
        if isinstance(tree, exp.Query):
            return self._query(tree)
        for kind, run in self._statements().items():
            if isinstance(tree, kind):
                run(tree)
                return None
        raise ValueError(f"not a statement for a warehouse on Spark: {statement.strip()[:200]}")

    def _statements(self) -> dict[type[exp.Expression], Callable[[Any], None]]:
        return {
            exp.Create: self._create,
            exp.Insert: self._insert,
            exp.Copy: self._copy,
            exp.Drop: self._drop,
            exp.Alter: self._rename,
            exp.Set: self._set,
        }

    def tables(self) -> dict[str, bool]:
        """The tables by name, and whether each is a view."""
        return {path.name: path.is_symlink() for path in sorted(self.folder.iterdir()) if path.name[0] != "."}

    def _create(self, tree: exp.Create) -> None:
        name = tree.find(exp.Table).name
        query = tree.expression.unnest()
        source = _file_of(query) if tree.kind == "VIEW" else None
        if source is not None:
            self._forget(name)
            (self.folder / name).symlink_to(os.path.relpath(source, self.folder))
            return
        making = self.folder / f".{name}"
        self._query(query).write.mode("overwrite").parquet(str(making))
        self._forget(name)
        making.rename(self.folder / name)

    def _insert(self, tree: exp.Insert) -> None:
        name = tree.this.name
        self._query(tree.expression).write.mode("append").parquet(str(self.folder / name))
        self._unread(name)

    def _copy(self, tree: exp.Copy) -> None:
        """Write a query as one file: its rows come together in one task, which sorts them (and spills)."""
        query = tree.this.unnest()
        location = Path(tree.args["files"][0].this)
        order = query.args.pop("order", None)
        rows = self._query(query).repartition(1)
        if order is not None:
            from pyspark.sql import functions

            keys = [functions.col(f"`{each.this.name}`").asc_nulls_last() for each in order.expressions]
            rows = rows.sortWithinPartitions(*keys)
        folder = location.with_name(f".{location.name}")
        rows.write.mode("overwrite").parquet(str(folder))
        (part,) = folder.glob("part-*.parquet")
        part.replace(location)
        shutil.rmtree(folder)

    def _drop(self, tree: exp.Drop) -> None:
        for table in tree.args["tables"]:
            self._forget(table.name)

    def _rename(self, tree: exp.Alter) -> None:
        before, after = tree.this.name, tree.args["actions"][0].this.name
        self._forget(after)
        self._unread(before)
        (self.folder / before).rename(self.folder / after)

    def _set(self, tree: exp.Set) -> None:
        assignment = tree.expressions[0].this
        self.variables[assignment.this.name.lower()] = assignment.expression

    def _query(self, tree: exp.Expression) -> DataFrame:
        for table in list(tree.find_all(exp.Table)):
            self._point(table)
        for variable in list(tree.find_all(exp.Anonymous)):
            if variable.name.lower() == "getvariable":
                variable.replace(self._value(variable.expressions[0].this))
        return self.session.sql(spark_sql(rewritten(tree, self._columns_of)))

    def _columns_of(self, query: exp.Query) -> list[str]:
        return self.session.sql(spark_sql(rewritten(query, self._columns_of))).columns

    def _value(self, name: str) -> exp.Expression:
        if name in KEYS:
            return exp.column(name, table="session", db="system")
        return self.variables.get(name, exp.Null()).copy()

    def _point(self, table: exp.Table) -> None:
        """Have a table of a statement name the view in the session that reads its files."""
        if isinstance(table.this, exp.ReadParquet | exp.ReadCSV):
            view = self._source(table.this)
        elif table.db == SCHEMA:
            view = self._table(table.name)
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
        else:
            return
        table.set("this", exp.to_identifier(view))
        table.set("db", None)
        table.set("catalog", None)

    def _table(self, name: str) -> str:
        if name not in self._views:
            view = f"warehouse_{name}"
            self.session.read.parquet(str((self.folder / name).resolve())).createOrReplaceTempView(view)
            self._views[name] = view
        return self._views[name]

    def _source(self, call: exp.ReadParquet | exp.ReadCSV) -> str:
        text = call.sql(dialect="duckdb")
        if text not in self._views:
            view = f"source_{len(self._views)}"
            options = {
                each.this.name: each.expression for each in call.expressions if isinstance(each, exp.EQ)
            }
            path = call.this if isinstance(call, exp.ReadCSV) else call.expressions[0]
            read = self._read_csv if isinstance(call, exp.ReadCSV) else self._read_parquet
            read(path.this, options).createOrReplaceTempView(view)
            self._views[text] = view
        return self._views[text]

    def _read_parquet(self, path: str, options: dict[str, exp.Expression]) -> DataFrame:
        from pyspark.sql import functions

        reader = self.session.read.option("mergeSchema", _is_true(options.get("union_by_name")))
        if _is_true(options.get("hive_partitioning")):
            # Folders beside each other that are partitioned alike: Spark reads one such tree at a time.
            reader = reader.option("pathGlobFilter", path.rsplit("/", 1)[1])
            trees = [reader.parquet(root) for root in _partitioned(path)]
        else:
            trees = [reader.parquet(path)]
        # Before they are united: a union knows no file any more.
        for name, column in (("filename", "file_path"), ("file_row_number", "row_index")):
            if _is_true(options.get(name)):
                trees = [tree.withColumn(name, functions.col(f"_metadata.{column}")) for tree in trees]
        rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), trees)
        if _is_true(options.get("hive_partitioning")):
            types = options.get("hive_types") or exp.Struct(expressions=[])
            for each in types.expressions:
                rows = rows.withColumn(each.this.name, functions.col(each.this.name).cast(_spark_type(each)))
        return rows

    def _read_csv(self, path: str, options: dict[str, exp.Expression]) -> DataFrame:
        """A file of texts with lines above its rows that are no rows."""
        from pyspark.sql import functions

        names = [each.this.name for each in options["columns"].expressions]
        separator, skipped = options["delim"].this.replace("\\t", "\t"), int(options["skip"].this)
        lines = self.session.createDataFrame(
            [(line,) for line in Path(path).read_text().splitlines()[skipped:] if line], "line string"
        )
        cells = functions.split("line", re.escape(separator), -1)
        return lines.select(*(functions.nullif(functions.get(cells, place), functions.lit("")).alias(name)
                              for place, name in enumerate(names)))  # fmt: skip

    def _unread(self, name: str) -> None:
        if name in self._views:
            self.session.catalog.dropTempView(self._views.pop(name))

    def _forget(self, name: str) -> None:
        self._unread(name)
        path = self.folder / name
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)


def _file_of(query: exp.Expression) -> Path | None:
    """The file of a query that is nothing but all of one."""
    if isinstance(query, exp.Select) and query.is_star and not query.args.get("where"):
        read = query.find(exp.ReadParquet)
        if read is not None and len(read.expressions) == 1:
            return Path(read.expressions[0].this)
    return None


def _partitioned(path: str) -> list[str]:
    """The roots of the trees `channel=…/date=…` that a pattern names. Raises FileNotFoundError when there is none."""
    fixed = path.split("/*")[0]
    roots = sorted(
        {re.split("/[^/]+=", str(found))[0] for found in Path(fixed).glob(path.removeprefix(f"{fixed}/"))}
    )
    if not roots:
        raise FileNotFoundError(f"no file is like {path}")
    return roots


def _is_true(option: exp.Expression | None) -> bool:
    return isinstance(option, exp.Boolean) and bool(option.this)


def _spark_type(entry: exp.Expression) -> str:
    return exp.DataType.build(entry.expression.name, dialect="duckdb").sql("spark")


def _text_functions() -> dict[str, Callable[[str | None], str | None]]:
    """What Spark has no function for. They are sent to the workers whole, which need not have this project."""

    def normalised(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize("NFC", text)

    def without_accents(text: str | None) -> str | None:
        if text is None:
            return None
        return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))

    return {"nfc_normalize": normalised, "strip_accents": without_accents}


@dataclass(frozen=True, eq=False, repr=False)
class LakeRelation(SparkRelation):
    """A relation of dbt; that of a source is the place in the lake that `sources.yml` names."""

    place: str | None = None

    @classmethod
    def create_from(cls, quoting: Any, relation_config: Any, **kwargs: Any) -> LakeRelation:
        if relation_config.resource_type == "source":
            kwargs["place"] = DuckDBRelation.create_from(quoting, relation_config).external
        return super().create_from(quoting, relation_config, **kwargs)

    def render(self) -> str:
        return self.place or super().render()


class LakeCursor(Cursor):
    """dbt's cursor on the one warehouse of this process."""

    warehouse: Warehouse

    def execute(self, sql: str, *parameters: Any) -> None:
        self._rows = None
        self._df = self.warehouse.run(sql)

    @property
    def description(self) -> Any:
        """None after a statement that has no rows, which is when dbt asks for none."""
        return None if self._df is None else super().description


class LakeConnection(Connection):
    def cursor(self) -> LakeCursor:
        return LakeCursor()


class LakeConnectionManager(SparkConnectionManager):
    @classmethod
    def open(cls, connection: Any) -> Any:
        if connection.state != ConnectionState.OPEN:
            connection.handle = SessionConnectionWrapper(LakeConnection())
            connection.state = ConnectionState.OPEN
        return connection


class SparkAdapter(spark.SparkAdapter):
    """dbt-spark's adapter, whose catalog is the folder. (dbt takes its package from its name.)"""

    Relation = LakeRelation
    ConnectionManager = LakeConnectionManager

    def quote(self, identifier: str) -> str:
        return f'"{identifier}"'

    def list_relations_without_caching(self, schema_relation: Any) -> list[LakeRelation]:
        return [
            self.Relation.create(schema=SCHEMA, identifier=name, type="view" if is_view else "table")
            for name, is_view in LakeCursor.warehouse.tables().items()
        ]

    def check_schema_exists(self, database: str, schema: str) -> bool:
        return True

    def list_schemas(self, database: str) -> list[str]:
        return [SCHEMA]


def plug_in(warehouse: Warehouse | None = None) -> None:
    """Have dbt's target `spark` be this adapter, on that warehouse. Without one dbt only parses."""
    if warehouse is not None:
        LakeCursor.warehouse = warehouse
    spark.Plugin = AdapterPlugin(
        adapter=SparkAdapter, credentials=SparkCredentials, include_path=dbt_spark_macros.PACKAGE_PATH
    )
