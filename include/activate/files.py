"""The files that are sent: sets of rows, as CSV or JSON lines, whose bytes depend on nothing but the set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb

from include.activate.formats import Format
from include.extract.sql import identifier, literal
from include.lake import Lake, hash_file, replacing

MANIFEST, WRITTEN = "manifest.json", "activation"
Action = Literal["full", "add", "remove"]
ACTIONS: tuple[Action, ...] = ("full", "add", "remove")


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are written: its columns, all of them text, as `csv` or `jsonl`."""

    file: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, format_: Format) -> Layout:
        return cls(format_.file, format_.columns)


def path_of(folder: Path, action: Action, layout: Layout) -> Path:
    return folder / f"{action}.{layout.file}"


def rows_of(path: Path, layout: Layout) -> str:
    """A file as a relation of SQL, of its own columns and none of its path."""
    columns = ", ".join(f"{literal(name)}: 'varchar'" for name in layout.columns)
    if layout.file == "jsonl":
        return (
            f"read_json({literal(str(path))}, format = 'newline_delimited', hive_partitioning = false, "
            f"columns = {{{columns}}})"
        )
    return (
        f"read_csv({literal(str(path))}, header = true, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = '', hive_partitioning = false, columns = {{{columns}}})"
    )


def write_set(connection: duckdb.DuckDBPyConnection, rows: str, path: Path, layout: Layout) -> int:
    """Write the distinct rows of a relation, sorted, in one step. Returns how many."""
    columns = ", ".join(identifier(name) for name in layout.columns)
    written = "format json" if layout.file == "jsonl" else "format csv, header true, delim ',', quote '\"'"
    with replacing(path) as temporary:
        return connection.execute(
            f"copy (select distinct {columns} from ({rows}) as written order by all) to {literal(str(temporary))}"
            f" ({written})"
        ).fetchone()[0]


def describe(folder: Path, layout: Layout, rows: dict[Action, int], **said: Any) -> dict[str, Any]:
    """Write and return the manifest of the files of a folder: what is `said`, and rows, bytes and hash of each."""
    files = {}
    for action in ACTIONS:
        path = path_of(folder, action, layout)
        files[action] = {
            "path": path.name, "rows": rows[action], "bytes": path.stat().st_size, "sha256": hash_file(path)
        }  # fmt: skip
    manifest = said | {"file": layout.file, "columns": list(layout.columns), "files": files}
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def read_manifests(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Every manifest below `<destination>/<audience>/` of an activation folder, by the two."""
    return {
        (path.parent.parent.name, path.parent.name): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob(f"*/*/{MANIFEST}"))
    }


def written_for(lake: Lake, day: date) -> Path:
    """What the open run of a day writes to be sent: until its release is sealed, what was kept of the day stays."""
    return lake.spread(day, WRITTEN)


def written_days(lake: Lake) -> list[Path]:
    """The folders of `written_for` that are there, of whatever day."""
    return sorted(lake.scratch.glob(f"{WRITTEN}-*"))


def activation_days(lake: Lake) -> list[Path]:
    """The folders of every published business day that something was to be sent on, the oldest first."""
    return sorted((lake.root / "activation").glob("date=*"))


def layout_of(manifest: dict[str, Any]) -> Layout:
    return Layout(manifest["file"], tuple(manifest["columns"]))
