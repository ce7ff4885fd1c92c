"""A company that is a folder of files, and the lake that is made of them without Airflow."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from include.config import Configuration, dbt_variables, load_configuration
from include.extract import complete_landing, extract_channel
from include.identity import resolve
from include.lake import Lake
from include.normalise.landing import normalise_landing
from include.settings import Settings
from include.warehouse import run_dbt, run_models

KEY = b"the key of the company of files"


@dataclass
class Company:
    """A folder of files and the lake that is made of them."""

    files: Path
    lake: Lake
    channels: str

    @property
    def settings(self) -> Settings:
        return Settings(self.files, self.lake.data, "duckdb", threads=2, memory_limit="500MB")

    @property
    def configuration(self) -> Configuration:
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / "channels.yml").write_text(self.channels)
        return load_configuration(self.files)

    def deliver(self, files: dict[str, str]) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (self.files / name).write_text(content)

    def extract(self, day: date) -> None:
        for channel in self.configuration.channels.values():
            extract_channel(channel, day, self.lake, self.settings)
        complete_landing(self.lake)
        normalise_landing(self.lake, self.configuration.normalisation, self.settings)

    def stage(self, day: date, *models: str) -> None:
        """The models of staging, or only some of them with what they read."""
        self._build([f"+{model},tag:stage" for model in models] or ["tag:stage"], day)

    def identify(self, day: date) -> None:
        resolve(self.lake, day, self.configuration.identity, self.settings)

    def unify(self, day: date) -> None:
        self._build(["tag:unify"], day)

    def check(self, day: date) -> None:
        """What dbt tests of what it built."""
        for step in ("stage", "unify"):
            run_dbt(step, self.lake, dbt_variables(self.configuration, day, self.lake), KEY)

    def run(self, day: date) -> dict[str, list[tuple]]:
        """From the files of the day to all tables that dbt writes."""
        self.extract(day)
        self.stage(day)
        self.identify(day)
        self.unify(day)
        return self.tables()

    def forget(self) -> None:
        """A new lake in the same place; only what dbt parsed is kept, which saves the time to parse again."""
        shutil.rmtree(self.lake.root)
        self.lake.warehouse.unlink()
        shutil.rmtree(self.files)

    def tables(self) -> dict[str, list[tuple]]:
        """Every row of every file that dbt wrote, in an order of their own."""
        paths = sorted([*self.lake.root.glob("tables/*/*.parquet"), *self.lake.root.glob("staged/*.parquet")])
        with duckdb.connect() as connection:
            return {
                f"{path.parent.name}/{path.stem}": sorted(
                    connection.execute(f"from read_parquet('{path}')").fetchall(), key=repr
                )
                for path in paths
            }

    def owners(self, day: date) -> dict[str, str | None]:
        """Whose each node is as of a day."""
        path = self.lake.identity(day, "node_customers")
        with duckdb.connect() as connection:
            return dict(
                connection.execute(f"select node_key, customer_id from read_parquet('{path}')").fetchall()
            )

    def staged(self) -> dict[str, list[tuple]]:
        """Every row of every table of staging, and of the tables beside them, columns by name."""
        with duckdb.connect(str(self.lake.warehouse), read_only=True) as connection:
            names = [
                name
                for (name,) in connection.execute(
                    "select table_name from duckdb_tables() where table_name like 'stg_%' order by 1"
                ).fetchall()
            ]
            return {name: sorted(connection.sql(f"from {name}").fetchall(), key=repr) for name in names}

    def _build(self, selected: list[str], day: date) -> None:
        run_models(selected, self.lake, dbt_variables(self.configuration, day, self.lake), KEY)

    def ask(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.lake.warehouse), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def published(self, query: str) -> list[tuple]:
        """Ask the files of the CDP side, each by its name in braces."""
        names = {path.stem: f"read_parquet('{path}')" for path in self.lake.root.glob("tables/cdp/*.parquet")}
        return duckdb.sql(query.format(**names)).fetchall()
