"""A small company with the demo's channels, and what it published after each run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include.config import load_configuration
from include.lake import Lake
from include.launch import run_dag
from include.settings import DEFAULT_CONFIG, DEMO_CONFIG, settings
from tests.faults.flow import tasks_of

DAYS = [date(2017, 12, 1), date(2017, 12, 2)]
HOUSEHOLDS, STRANGERS = 150, 500
# These say how a run went, and differ from run to run though nothing else that was published does.
ABOUT_THE_RUN = frozenset({"ops.run_costs", "ops.model_costs", "ops.quality_results", "ops.releases"})


@dataclass
class Company:
    """Its configuration, its data, and what it published after each run."""

    config: Path
    data: Path
    truth: Path
    releases: list[str] = field(default_factory=list)
    digests: list[dict[str, str]] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.data)

    def run(self, day: date, rebuild: bool = False) -> None:
        """Run the DAG of a day through Airflow, as a user does."""
        run_dag(self.config, self.data, day, rebuild)
        self._remember()

    def call(self, day: date) -> None:
        """Call the tasks of a day one after another in this process, which takes half of the time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TANDEM_CONFIG", str(self.config))
            patch.setenv("TANDEM_DATA", str(self.data))
            settings.cache_clear()
            for task in tasks_of(list(load_configuration(self.config).channels)):
                if task.call(day) is False:
                    break  # nothing is new, and Airflow leaves out the rest
        settings.cache_clear()
        self._remember()

    def _remember(self) -> None:
        self.releases.append(self.lake.current.resolve().name)
        self.digests.append(table_digests(self.lake.current))

    def manifest(self) -> dict:
        return json.loads((self.lake.current / "manifest.json").read_text())

    def rows(self, query: str, **tables: str) -> list[tuple]:
        """Rows of a query over published tables: `{customers}` is the Parquet file of cdp/customers."""
        paths = {
            path.stem: f"read_parquet('{path}')" for path in self.lake.current.resolve().glob("*/*.parquet")
        }
        return duckdb.sql(query.format(**paths, **tables)).fetchall()


def make_channels(data: Path) -> None:
    """Write the files of the small demo's channels, of three days, and its truth below a DATA folder."""
    from include.demo import prepare

    prepare(data / "demo", households=HOUSEHOLDS, strangers=STRANGERS, days=3)


def configure(folder: Path) -> Company:
    """The company whose channels are below `folder`/data, with the demo's configuration."""
    shutil.copytree(DEMO_CONFIG, folder / "config")
    # A company of 150 households has small audiences: it may look for strangers like twenty people.
    audiences = folder / "config" / "audiences.yml"
    audiences.write_text(audiences.read_text().replace("min_size: 50", "min_size: 10"))
    models = (DEFAULT_CONFIG / "models.yml").read_text()
    (folder / "config" / "models.yml").write_text(re.sub(r"min_seed: \d+", "min_seed: 20", models))
    return Company(folder / "config", folder / "data", folder / "data" / "demo_truth")


def table_digests(release: Path, without: Sequence[str] = ()) -> dict[str, str]:
    """Side and table to a digest of its values that does not depend on the order of rows or on the file's bytes.
    `without` names columns that are left out of every table."""
    values = f"columns(lambda name: not list_contains({['', *without]}, name))"
    return {
        f"{path.parent.name}.{path.stem}": str(
            duckdb.sql(
                f"select count(*), sum(hash(t)::hugeint), bit_xor(hash(t)) "
                f"from (select {values} from read_parquet('{path}')) as t"
            ).fetchone()
        )
        for path in sorted(release.resolve().glob("*/*.parquet"))
    }
