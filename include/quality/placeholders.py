"""What a suite's queries may name in braces: paths, days, and lists that come from the configuration or a folder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.schema import ID_TYPES
from include.lake import Lake
from include.publish.manifest import read_manifest
from include.publish.release import business_day, sealed_releases
from include.publish.tables import PublishedTable, published_tables
from include.quality.keys import repeated_hashes

if TYPE_CHECKING:
    from include.config import Configuration

# What consents and traits may say of: a hashed e-mail address identifies nobody, but is a visitor.
STATED_ID_TYPES = (*ID_TYPES, "hashed_email")


def placeholders(lake: Lake, day: date, configuration: Configuration, release: Path | None) -> dict[str, str]:
    """SQL text by placeholder name. A list is a subquery, typed also when it has no rows."""
    tables = published_tables()
    values = {
        "lake": _quoted(str(lake.root)),
        "day": f"{day:%Y-%m-%d}",
        "next_day": f"{day + timedelta(days=1):%Y-%m-%d}",
        "newest_day": f"{_newest_run(lake, day):%Y-%m-%d}",
        "control_share": str(configuration.privacy.control_share),
        "minimum_cell": str(configuration.privacy.minimum_cell),
        "channels": _channels(configuration),
        "unique_id_types": _unique_id_types(configuration),
        "stated_id_types": rows_as_sql({"id_type": "varchar"}, ((name,) for name in STATED_ID_TYPES)),
        "purposes": _purposes(configuration),
        "own_audiences": _own_audiences(configuration),
        "control_shares": _control_shares(configuration),
    }
    if release is not None:
        values |= {
            "release": _quoted(str(release)),
            "release_tables": _release_tables(lake, release, tables),
            "release_keys": _release_keys(release, tables),
            "contract_columns": _contract_columns(tables),
            "earlier_releases": _earlier_releases(lake, day, configuration),
        }
    return values


def _purposes(configuration: Configuration) -> str:
    """By which names consent records ask for the purposes of privacy.yml."""
    names = sorted({name for names in configuration.privacy.purposes.values() for name in names})
    return rows_as_sql({"purpose": "varchar"}, ((name,) for name in names))


def _newest_run(lake: Lake, day: date) -> date:
    """The newest business day that was ever run, at least `day`: files of days after it cannot be there yet."""
    folders = (lake.data / "runs").glob("date=*")
    return max([day, *(date.fromisoformat(folder.name.removeprefix("date=")) for folder in folders)])


def _channels(configuration: Configuration) -> str:
    rows = (
        (name, channel.kind, channel.required, channel.tolerance)
        for name, channel in sorted(configuration.channels.items())
    )
    columns = {"channel": "varchar", "kind": "varchar", "is_required": "boolean", "tolerance": "double"}
    return rows_as_sql(columns, rows)


def _unique_id_types(configuration: Configuration) -> str:
    unique = sorted(name for name, rule in configuration.identity.id_types.items() if rule.unique)
    return rows_as_sql({"id_type": "varchar"}, ((name,) for name in unique))


def _own_audiences(configuration: Configuration) -> str:
    """The audiences that the company wrote itself; nobody misspelt the project's defaults."""
    is_own = (configuration.folder / "audiences.yml").exists()
    names = [audience.audience_id for audience in configuration.audiences] if is_own else []
    return rows_as_sql({"audience_id": "varchar"}, ((name,) for name in names))


def _control_shares(configuration: Configuration) -> str:
    """The share of each audience that is held back: its own, or that of privacy.yml."""
    shares = (
        (
            each.audience_id,
            configuration.privacy.control_share if each.control_share is None else each.control_share,
        )
        for each in configuration.audiences
    )
    return rows_as_sql({"audience_id": "varchar", "configured_share": "double"}, shares)


def _release_tables(lake: Lake, release: Path, tables: Iterable[PublishedTable]) -> str:
    """One row per table that a release must have, with its counts in the release and in the lake."""
    selects = []
    for table in tables:
        in_release, in_lake = (
            release / table.side / f"{table.name}.parquet",
            lake.table(table.side, table.name),
        )
        selects.append(
            f"select '{table.side}/{table.name}' as table_name, {str(in_release.exists()).lower()} as is_there, "
            f"cast({_count(in_release)} as bigint) as release_rows, cast({_count(in_lake)} as bigint) as lake_rows"
        )
    return "(" + " union all ".join(selects) + ")"


def _release_keys(release: Path, tables: Iterable[PublishedTable]) -> str:
    """One row per table that a release must have, with how many of its rows repeat the key of another."""
    selects = []
    for table in tables:
        path = release / table.side / f"{table.name}.parquet"
        repeated = _repeated_keys(table.key, path) if table.key and path.exists() else "null"
        selects.append(
            f"select '{table.side}/{table.name}' as table_name, cast({repeated} as bigint) as repeated_keys"
        )
    return "(" + " union all ".join(selects) + ")"


def _repeated_keys(key: tuple[str, ...], path: Path) -> str:
    names, rows = ", ".join(f'"{column}"' for column in key), _parquet(path)
    return (
        f"(select count(*) - count(distinct ({names})) from {rows} "
        f"where ({names}) is null or hash({names}) in ({repeated_hashes(key, rows)}))"
    )


def _contract_columns(tables: Iterable[PublishedTable]) -> str:
    rows = ((f"{table.side}/{table.name}", column) for table in tables for column in table.columns)
    return rows_as_sql({"table_name": "varchar", "column_name": "varchar"}, rows)


def _earlier_releases(lake: Lake, day: date, configuration: Configuration) -> str:
    """The rows of each table in the releases of earlier days that are kept and had the same configuration."""
    manifests = [read_manifest(path) for path in sealed_releases(lake) if business_day(path) < day]
    rows = (
        (manifest["business_day"], entry["table"], entry["rows"])
        for manifest in manifests
        if manifest["configuration"] == configuration.hash
        for entry in manifest["files"]
        if "table" in entry
    )
    return rows_as_sql({"as_of_date": "date", "table_name": "varchar", "rows": "bigint"}, rows)


def _count(path: Path) -> str:
    return f"(select count(*) from {_parquet(path)})" if path.exists() else "null"


def _parquet(path: Path) -> str:
    return f"read_parquet('{_quoted(str(path))}')"


def rows_as_sql(columns: dict[str, str], rows: Iterable[tuple[Any, ...]]) -> str:
    """A subquery with these rows and DuckDB types, also when there are none."""
    typed = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in columns.items())
    values = ", ".join("(" + ", ".join(_literal(value) for value in row) + ")" for row in rows)
    if not values:
        nulls = ", ".join(f"cast(null as {kind}) as {name}" for name, kind in columns.items())
        return f"(select {nulls} where false)"
    return f"(select {typed} from (values {values}) as listed({', '.join(columns)}))"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f"'{_quoted(str(value))}'"


def _quoted(text: str) -> str:
    return text.replace("'", "''")
