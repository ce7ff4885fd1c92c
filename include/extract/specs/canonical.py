"""What every spec gives: a query over the rows of a file with the canonical columns of a record kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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
