"""A folder of configuration to write into, and the columns that its conditions may name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

from include.config import ConfigError, Configuration, load_configuration
from include.config.conditions import engine

COLUMNS = {
    "customer_id": "varchar",
    "city": "varchar",
    "lifecycle_stage": "varchar",
    "orders": "bigint",
    "spend": "decimal(18, 4)",
    "consent_email": "boolean",
    "channels": "varchar[]",
    "last_seen_at": "timestamp",
    "as_of_date": "date",
}


# In the place of the default files whose checks take time; what a test gives itself wins.
SMALL_FILES = {"audiences": "audiences: []\n", "identity": "id_types: {email: {priority: 1}}\n"}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Configuration]:
    """Write files, given as `channels="..."` for channels.yml, and load the folder."""

    def write_and_load(**files: str) -> Configuration:
        for name, text in (SMALL_FILES | files).items():
            (tmp_path / f"{name}.yml").write_text(dedent(text))
        return load_configuration(tmp_path, COLUMNS)

    return write_and_load


@pytest.fixture
def problems(load: Callable[..., Configuration]) -> Callable[..., list[str]]:
    """The lines of the ConfigError that loading these files must raise."""

    def fail(**files: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(**files)
        return str(caught.value).splitlines()

    return fail


@pytest.fixture(scope="session")
def connection() -> duckdb.DuckDBPyConnection:
    return engine()
