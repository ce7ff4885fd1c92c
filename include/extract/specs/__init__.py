"""Specs: how the rows of a format become the canonical columns of a record kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel
    from include.extract.formats.reading import Source, SourceFile
    from include.extract.kinds import Kind


@dataclass(frozen=True)
class Canonical:
    """A query over a source that gives `tandem_row, tandem_raw, tandem_is_malformed, attributes` and canonical
    columns. `columns` names those it gives; a spec that has read a value itself gives it typed, with the text that
    it came from in `<column>__text`; where an expression failed, `<column>__source` says on what.
    `is_unpivoted` says that one source row may become several. A query that leaves out rows, because they take more
    time to read, has a `remainder`: the query over what is not in a landed file."""

    query: str
    columns: tuple[str, ...]
    is_unpivoted: bool = False
    remainder: Callable[[Path], Canonical] | None = None


def read_spec(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, source: Source, file: SourceFile
) -> Canonical:
    """The canonical columns of a channel over one of its files, by the channel's spec.

    Raises StepFailed when the file has not what the spec needs.
    """
    from include.extract.specs.mapped import map_columns
    from include.extract.specs.segment import map_segment

    if channel.spec == "mapped":
        return map_columns(channel, source, file.name)
    if channel.spec == "segment":
        if file.format not in ("jsonl", "json") or kind.name != "events":
            raise StepFailed("spec segment reads JSON (format: jsonl or json) of kind events only")
        return map_segment(connection, channel, source)
    raise StepFailed(f"spec {channel.spec} is not known to this version")
