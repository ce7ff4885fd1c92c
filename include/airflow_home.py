"""Airflow inside the project: one home per DATA folder, made without a person and never in the user's own."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from include.lake import replacing
from include.settings import PROJECT, machine_memory, settings, tasks_at_once

WAREHOUSE_POOL = "warehouse"
METADATA_DATABASE = "TANDEM_METADATA_DATABASE"


@dataclass(frozen=True)
class AirflowHome:
    """The Airflow home that belongs to one DATA folder. Two folders never share a metadata database."""

    data: Path

    @property
    def name(self) -> str:
        if self.data == PROJECT / "data":
            return "data"
        return f"{self.data.name}-{hashlib.sha256(str(self.data).encode()).hexdigest()[:8]}"

    @property
    def path(self) -> Path:
        return PROJECT / ".airflow" / self.name

    def environment(
        self, config: Path, day: date | None = None, schedule: str | None = None
    ) -> dict[str, str]:
        """The environment variables of every Airflow process of this home.

        `day` is what the form in the UI proposes; `schedule` is the DAG's, None for its daily default.
        """
        keys = self._secrets()
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(PROJECT),
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "include" / "airflow_plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": os.environ.get("AIRFLOW__CORE__PARALLELISM")
            or str(tasks_at_once(machine_memory(), settings().memory_limit)),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False" if schedule == "" else "True",
            "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.path / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.path / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.path / "logs"),
            "AIRFLOW__API__SECRET_KEY": keys["api"],
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
            # After 5 seconds, the default, a task of a busy machine gives up before the API server has answered.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "TANDEM_CONFIG": str(config),
            "TANDEM_DATA": str(self.data),
            "TANDEM_PSEUDONYM_KEY": os.environ.get("TANDEM_PSEUDONYM_KEY") or keys["pseudonym"],
            # Threads of the numeric libraries wait for each other by spinning: on two cores one is fastest.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "DO_NOT_TRACK": "1",
            "GX_ANALYTICS_ENABLED": "false",
        }
        if day:
            environment["TANDEM_DAY"] = day.isoformat()
        if schedule is not None:
            environment["TANDEM_SCHEDULE"] = schedule
        return environment

    def prepare(self) -> None:
        """Make the metadata database. A migrated one is kept per Airflow version and copied: that takes no time."""
        database = self.path / "airflow.db"
        self.path.mkdir(parents=True, exist_ok=True)
        password = os.environ.get("TANDEM_UI_PASSWORD") or self._secrets()["ui"]
        _write_secret(self.path / "passwords.json", {"admin": password})
        if database.exists():
            return
        template = PROJECT / ".airflow" / f"template-{version('apache-airflow')}.db"
        if not template.exists():
            with replacing(template) as path:
                environment = self.environment(PROJECT) | {
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path}"
                }
                _run_quietly([sys.executable, "-m", "include.airflow_home"], environment)
        with replacing(database) as path:
            shutil.copyfile(template, path)

    def forget_forms(self, dag_id: str) -> None:
        """Remove from the metadata database what was typed into the forms of a DAG. A task may not open that database,
        and Airflow hides its address from one, so a process of its own does: with the address of this home's, or with
        that of TANDEM_METADATA_DATABASE where Airflow runs elsewhere.

        Raises RuntimeError when that process fails, and when neither is there to be asked.
        """
        elsewhere = os.environ.get(METADATA_DATABASE)
        if elsewhere:
            environment = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": elsewhere}
        elif (self.path / "airflow.db").exists():
            environment = self.environment(PROJECT)
        else:
            raise RuntimeError(
                f"what was typed into the form of {dag_id} stays in Airflow's database: set {METADATA_DATABASE} to the "
                "value of AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
            )
        _run_quietly([sys.executable, "-m", "include.airflow_home", dag_id], environment)

    def _secrets(self) -> dict[str, str]:
        """The keys of this home, made once. The pseudonym key among them outlives the home and its data."""
        path = PROJECT / ".secrets" / f"{self.name}.json"
        if not path.exists():
            import base64

            _write_secret(
                path,
                {
                    "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                    "api": secrets.token_hex(32),
                    "jwt": secrets.token_hex(64),
                    "pseudonym": secrets.token_hex(32),
                    "ui": secrets.token_urlsafe(12),
                },
            )
        return json.loads(path.read_text())


def _write_secret(path: Path, content: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(content))


def _run_quietly(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _migrate() -> None:
    """Create Airflow's tables and the pool that lets one task at a time open the warehouse."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        Pool.create_or_update_pool(
            WAREHOUSE_POOL,
            slots=1,
            description="Tasks that open the warehouse: DuckDB lets one process write at a time.",
            include_deferred=False,
            session=session,
        )


def _forget(dag_id: str) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.dag_id == dag_id).values(conf={}))
        session.execute(update(Log).where(Log.dag_id == dag_id).values(extra=None))


if __name__ == "__main__":
    _forget(*sys.argv[1:]) if sys.argv[1:] else _migrate()
