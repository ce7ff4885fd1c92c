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
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
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
from include.spark import append_files, columns_of, in_one_part, literal, quoted, show_files, write_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from include.spark import Session
    from include.thrift import ThriftRows

SCHEMA = "main"  # as DuckDB calls the schema of a warehouse
KEYS = ("hmac_inner", "hmac_outer")  # variables of the session, and in no statement


def secrets_of(key: bytes) -> dict[str, str]:
    """What a session has to be opened with for its warehouse to make visitor ids; without a key it makes none."""
    return {name: pad.hex() for name, pad in zip(KEYS, pads(key) if key else (b"", b""), strict=True)}


class Warehouse:
    """Runs statements in DuckDB's dialect on a Spark session, over a folder of tables."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.variables: dict[str, exp.Expression] = {}
        self._views: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Which files a source has is found out once, and not each time that a statement names it.
        session.sql("set spark.sql.legacy.storeAnalyzedPlanForView = true")

    def run(self, statement: str) -> DataFrame | ThriftRows | None:
        """Run one statement; a query gives its rows. Raises ValueError for a statement that no table here knows."""
        tree = sqlglot.parse_one(statement, read="duckdb")
        tree.comments = None
        if isinstance(tree, exp.Query):
            return self.session.sql(self._query(tree))
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
        write_files(self.session, self._query(query), making)
        self._forget(name)
        making.rename(self.folder / name)

    def _insert(self, tree: exp.Insert) -> None:
        name = tree.this.name
        append_files(self.session, self._query(tree.expression), self.folder / name)
        self._unread(name)

    def _copy(self, tree: exp.Copy) -> None:
        """Write a query as one file."""
        query = tree.this.unnest()
        location = Path(tree.args["files"][0].this)
        order = query.args.pop("order", None)
        keys = [f"{quoted(each.this.name)} nulls last" for each in order.expressions] if order else []
        folder = location.with_name(f".{location.name}")
        write_files(self.session, in_one_part(self._query(query), ", ".join(keys)), folder)
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

    def _query(self, tree: exp.Expression) -> str:
        for table in list(tree.find_all(exp.Table)):
            self._point(table)
        for variable in list(tree.find_all(exp.Anonymous)):
            if variable.name.lower() == "getvariable":
                variable.replace(self._value(variable.expressions[0].this))
        return spark_sql(rewritten(tree, self._columns_of))

    def _columns_of(self, query: exp.Query) -> list[str]:
        return list(columns_of(self.session, spark_sql(rewritten(query, self._columns_of))))

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
            show_files(self.session, view, (self.folder / name).resolve())
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
            read = _read_csv if isinstance(call, exp.ReadCSV) else self._read_parquet
            self.session.sql(f"create or replace temporary view {view} as\n{read(path.this, options)}")
            self._views[text] = view
        return self._views[text]

    def _read_parquet(self, path: str, options: dict[str, exp.Expression]) -> str:
        is_partitioned = _is_true(options.get("hive_partitioning"))
        told = f"mergeSchema = '{str(_is_true(options.get('union_by_name'))).lower()}'"
        if is_partitioned:
            told += f", pathGlobFilter = {literal(path.rsplit('/', 1)[1])}"
        of_files = {"filename": "file_path", "file_row_number": "row_index"}
        columns = [
            "*",
            *(f"_metadata.{of_files[name]} as {name}" for name in of_files if _is_true(options.get(name))),
        ]
        # Folders beside each other that are partitioned alike: Spark reads one such tree at a time.
        trees = {}
        for root in _partitioned(path) if is_partitioned else [path]:
            tree = f"select {', '.join(columns)} from parquet.{quoted(root)} with ({told})"
            trees[tree] = list(columns_of(self.session, tree))
        types = options.get("hive_types") or exp.Struct(expressions=[])
        casts = {each.this.name: _spark_type(each) for each in types.expressions} if is_partitioned else {}
        names = list(dict.fromkeys(chain(*trees.values())))
        return "\nunion all\n".join(
            f"select {', '.join(_column(name, found, casts.get(name)) for name in names)} from ({tree})"
            for tree, found in trees.items()
        )

    def _unread(self, name: str) -> None:
        if name in self._views:
            self.session.sql(f"drop view if exists {self._views.pop(name)}")

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


def _column(name: str, found: list[str], kind: str | None) -> str:
    """A column of a union, which one of its sides may not have and another may have to cast."""
    value = quoted(name) if name in found else "null"
    return f"cast({value} as {kind}) as {quoted(name)}" if kind else f"{value} as {quoted(name)}"


def _read_csv(path: str, options: dict[str, exp.Expression]) -> str:
    """The rows of a small file of texts, with lines above them that are no rows."""
    names = [each.this.name for each in options["columns"].expressions]
    separator, skipped = options["delim"].this.replace("\\t", "\t"), int(options["skip"].this)
    lines = [line.split(separator) for line in Path(path).read_text().splitlines()[skipped:] if line]
    rows = [
        ", ".join(literal(cell) if cell else "null" for cell in [*cells, *[""] * len(names)][: len(names)])
        for cells in lines
    ]
    texts = ", ".join(f"cast({quoted(name)} as string) as {quoted(name)}" for name in names)
    columns = ", ".join(quoted(name) for name in names)
    return f"select {texts} from values ({'), ('.join(rows)}) as lines({columns})"


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
        if self._df is None:
            return None
        return [(name, kind, None, None, None, None, True) for name, kind in self._df.dtypes]


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
