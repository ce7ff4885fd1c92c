"""What is asked of a database, and what every kind of database gives back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

BATCHES = "tandem_batches"


class DatabaseAway(Exception):
    """The database did not answer, or broke off: worth another try."""


class DatabaseRefused(Exception):
    """The database answered, and what was asked cannot be had."""


@dataclass(frozen=True)
class Request:
    """A table (with its schema before a dot), or a query, of which the rows are wanted that satisfy `where`.

    With a `watermark` only those whose watermark is from `start` (None: from the beginning) to before `end`, both
    at midnight UTC; and always those that have none, because no window will ever hold them.
    """

    table: str | None = None
    query: str | None = None
    where: str | None = None
    watermark: str | None = None
    start: date | None = None
    end: date | None = None

    def relation(self, quote: Callable[[str], str]) -> str:
        """What stands after `from`, with identifiers quoted as the database has it."""
        if self.table is not None:
            return ".".join(quote(part) for part in self.table.split("."))
        return f"({self.query.strip().rstrip(';')}\n) tandem_query"

    def condition(self, watermark: str, start: str, end: str) -> str:
        """What stands after `where`; `start` and `end` are the places of their values."""
        parts = [f"({self.where}\n)"] if self.where else []
        if self.watermark is not None:
            window = (
                f"{watermark} >= {start} and {watermark} < {end}" if self.start else f"{watermark} < {end}"
            )
            parts.append(f"({window} or {watermark} is null)")
        return " and ".join(parts) or "1 = 1"

    def check_columns(self, columns: list[str]) -> None:
        """Raise DatabaseRefused when a column comes twice, or the watermark is none of them."""
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise DatabaseRefused(
                f"the column {twice[0]!r} comes twice: give each a name of its own in the query"
            )
        if self.watermark is not None and self.watermark not in columns:
            raise missing("watermark", self.watermark, columns)


@dataclass(frozen=True)
class Rows:
    """Rows on their way: `columns` gives for each name the SQL of its value in DuckDB, over `relation`. When that
    is `tandem_batches`, they come as a stream of Arrow `batches`."""

    columns: dict[str, str]
    relation: str = BATCHES
    batches: pa.RecordBatchReader | None = None
    failures: list[Exception] = field(default_factory=list)


def missing(what: str, name: str, present: list[str]) -> DatabaseRefused:
    """An error that names what is missing and the nearest that is there."""
    lower = {item.lower(): item for item in present}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.0)
    hint = f", nearest: {lower[near[0]]!r}" if near else ", and nothing else that this account can see"
    return DatabaseRefused(f"there is no {what} {name!r}{hint}")


def guarded(
    reader: pa.RecordBatchReader, skip: int, failures: list[Exception], explain: Callable[[str], Exception]
) -> pa.RecordBatchReader:
    """The batches of a reader without the first `skip` rows. What breaks them off reaches us as text inside an error
    of DuckDB's, so it is kept in `failures`, as `explain` has it."""

    def batches() -> Iterator[pa.RecordBatch]:
        left = skip
        try:
            for batch in reader:
                taken = min(left, batch.num_rows)
                left -= taken
                yield batch.slice(taken)
        except (OSError, pa.ArrowException) as error:
            failures.append(explain(str(error)))
            raise

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
