"""Spark as others run it: a master and workers, or a server, each a process of its own on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark

from include.spark import java_home

SPARK = Path(pyspark.__path__[0])
# Processes that live for minutes gain nothing from code that takes long to compile.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PATIENCE = 600  # seconds until a process has to answer, on a machine that does much else


@contextmanager
def standalone(scratch: Path, workers: int = 2) -> Iterator[str]:
    """A standalone cluster whose workers have a core and a gigabyte each. Gives the master's address."""
    port = _free_port()
    master = f"spark://127.0.0.1:{port}"
    with java_home(scratch), ExitStack() as processes:
        package = "org.apache.spark.deploy"
        ports = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(_free_port())]
        processes.enter_context(_running(scratch, "master", [f"{package}.master.Master", *ports], port))
        for number in range(workers):
            port = _free_port()
            options = ["-c", "1", "-m", "1g", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
            options += ["--work-dir", str(scratch / f"worker-{number}")]
            command = [f"{package}.worker.Worker", *options, master]
            processes.enter_context(_running(scratch, f"worker-{number}", command, port))
        yield master


@contextmanager
def connect_server(scratch: Path) -> Iterator[str]:
    """A Spark Connect server with Spark inside. Gives its address."""
    port = _free_port()
    settings = {"spark.connect.grpc.binding.port": port}
    main = "org.apache.spark.sql.connect.service.SparkConnectServer"
    with _server(scratch, "connect", port, main, settings):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def thrift_server(scratch: Path) -> Iterator[str]:
    """A Spark Thrift server with Spark inside, whose log is `thrift.log`. Gives its address."""
    port = _free_port()
    # A catalog in memory: else it makes a database of its own where it was started.
    settings = {"spark.sql.catalogImplementation": "in-memory"}
    main = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
    of_hive = {
        "hive.server2.thrift.port": port,
        "hive.server2.thrift.bind.host": "127.0.0.1",
        "hive.server2.logging.operation.log.location": scratch / "operations",
    }
    arguments = [each for name, value in of_hive.items() for each in ("--hiveconf", f"{name}={value}")]
    with _server(scratch, "thrift", port, main, settings, arguments):
        yield f"thrift://127.0.0.1:{port}"


@contextmanager
def _server(
    scratch: Path,
    name: str,
    port: int,
    main: str,
    settings: dict[str, object],
    arguments: Sequence[str] = (),
) -> Iterator[None]:
    """A class of Spark that serves sessions of a Spark of two threads."""
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": scratch / "spark-warehouse",
        "spark.sql.shuffle.partitions": 2,
    } | settings
    command = ["org.apache.spark.deploy.SparkSubmit", "--master", "local[2]"]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    command += ["--class", main, "spark-internal", *arguments]
    with java_home(scratch), _running(scratch, name, command, port, memory="1g"):
        yield


@contextmanager
def _running(scratch: Path, name: str, command: list[str], port: int, memory: str = "256m") -> Iterator[None]:
    """A class of Spark in a process of its own, from when its port answers until the end."""
    log = scratch / f"{name}.log"
    environment = os.environ | {
        "SPARK_DAEMON_MEMORY": memory,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JDK_JAVA_OPTIONS": JAVA_OPTIONS,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(SPARK / "bin" / "spark-class"), *command],
            cwd=scratch,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen, port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{log.stem} does not answer on port {port}:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
