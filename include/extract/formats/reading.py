"""A source file as a relation in DuckDB: raw columns, the raw text of each row, and its row number.

Every reader keeps one promise: `received` rows are exactly the rows of the relation and the `rejects` together,
and `received` is counted from the bytes, not from what the engine gave back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import duckdb
import numpy as np
import pyarrow as pa

from include.extract.formats.arrays import read_elements
from include.extract.formats.delimited import Dialect, Scan, open_lines, scan, settle, split_records
from include.extract.formats.lines import (
    BLANK,
    GOOD,
    SCHEMA,
    Block,
    Tally,
    is_utf8,
    open_text,
    read_blocks,
    refuse_expansion,
    unfolds_too_far,
)
from include.extract.formats.nesting import without_oversized
from include.extract.sql import identifier, literal
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config.schema import FileSource

SOURCE, LINES, STARTS = (
    "tandem_source",
    "tandem_lines",
    "tandem_starts",
)  # names that a file's columns hardly have
ROW, RAW, IS_MALFORMED = "tandem_row", "tandem_raw", "tandem_is_malformed"
MAX_CSV_LINE_BYTES = 16 << 20
SAMPLE_BLOCKS = 2
WHITE_SPACE = "e' \\t\\r\\n'"


@dataclass(frozen=True)
class SourceFile:
    """One file of this machine, by the `name` and in the `format` of the delivery that it holds, and with the
    `partitions` of its path. `stored_as` is the format of the bytes at `path` where they are not the delivery's own:
    rows of it, written again."""

    path: Path
    name: str
    format: str
    partitions: Mapping[str, str | None] = field(default_factory=dict)
    stored_as: str | None = None


@dataclass
class Source:
    """One file as a relation.

    `query` selects `tandem_row, tandem_raw, tandem_is_malformed` and the file's `columns` (name to DuckDB type);
    of JSON lines the columns are not known, its query has `tandem_line` and `tandem_is_object` instead. Queries
    read it as `tandem_source`. `register` runs before each of them, because a stream can be read only once;
    `register_sample` gives the first rows instead. `tally` is complete after the first query that read all rows.
    `derived` are columns that are put to the query's own, for as few rows as are asked for. `form` says what
    `tandem_raw` is: the `line` (or record) of the file, or the `row` as a JSON object of its columns. `is_recoded`
    says that the file was not UTF-8.
    """

    query: str
    columns: dict[str, str]
    register: Callable[[duckdb.DuckDBPyConnection], None]
    tally: Tally
    failures: list[StepFailed] = field(default_factory=list)
    register_sample: Callable[[duckdb.DuckDBPyConnection], None] | None = None
    derived: dict[str, str] = field(default_factory=dict)
    form: str = "line"
    is_recoded: bool = False

    def run(
        self,
        connection: duckdb.DuckDBPyConnection,
        sql: str,
        landed: Path | None = None,
        is_sample: bool = False,
    ) -> list[tuple]:
        """Run a query over `tandem_source`: the file, without the rows of a `landed` Parquet file if one is given;
        or only some megabytes of its first rows.

        Raises StepFailed when it was the file that could not be read.
        """
        query = self.query
        if landed is not None:
            rows = f"select source_row as {ROW} from read_parquet({literal(str(landed))})"
            query = f"select * from ({query}) anti join ({rows}) using ({ROW})"
        query = self.with_derived(query)
        (self.register_sample if is_sample and self.register_sample else self.register)(connection)
        try:
            connection.execute(f"create or replace temp view {SOURCE} as {query}")
            return connection.execute(sql).fetchall()
        except duckdb.Error:
            if self.failures:
                raise self.failures[0] from None
            raise

    def with_derived(self, query: str) -> str:
        """A query over the source's own columns with the derived ones beside them."""
        if not self.derived:
            return query
        columns = ", ".join(f"{sql} as {name}" for name, sql in self.derived.items())
        return f"select *, {columns} from ({query})"

    def rejects(self) -> pa.Table:
        """Rows that are no text or no record: `raw, reason, source_row`."""
        return self.tally.rejects_table()


def with_partitions(source: Source, partitions: Mapping[str, str | None]) -> Source:
    """The source with the Hive partitions of its path as columns of its rows, as keys of JSON objects; the raw text
    stays as it came. A column or key of the file's own that has the same name goes before the partition, which is
    still to be seen in the name of the source file."""
    if not source.columns and partitions:
        query = source.with_derived(source.query)  # the raw text is that of the file
        for name, value in partitions.items():
            query = query if value is None else _with_key(query, name, value)
        return replace(source, query=query, derived={})
    if not source.columns:
        return source
    own = {name.lower() for name in source.columns}
    added = {name: value for name, value in partitions.items() if name.lower() not in own}
    values = "".join(
        f", {'null' if value is None else literal(value)}::varchar as {identifier(name)}"
        for name, value in added.items()
    )
    return replace(
        source,
        query=f"select *{values} from ({source.query})",
        columns=source.columns | dict.fromkeys(added, "VARCHAR"),
    )


def _with_key(query: str, name: str, value: str) -> str:
    """JSON objects with one more key, unless they have it. Text is searched first: that costs next to nothing."""
    key = json.dumps(name, ensure_ascii=False)
    pair = literal("{" + f"{key}: {json.dumps(value, ensure_ascii=False)}")
    inner = f"ltrim(substr(ltrim(tandem_line, {WHITE_SPACE}), 2), {WHITE_SPACE})"
    return f"""
        select * replace (
            case
                when not tandem_is_object
                    or contains(tandem_line, {literal(key)}) and json_exists(tandem_line, {literal("$." + key)})
                    then tandem_line
                else {pair} || case when starts_with({inner}, '}}') then '' else ', ' end || {inner}
            end as tandem_line
        )
        from ({query})
    """


def open_json_lines(file: SourceFile, layout: FileSource) -> Source:
    """JSON lines: one row per line that is not blank."""
    return _open_json(file, layout, read_blocks)


def open_json_document(file: SourceFile, layout: FileSource) -> Source:
    """A JSON document: one row per element of the array at `records`, or of the document itself; its row number is
    its position."""
    return _open_json(file, layout, partial(read_elements, path=file.path, records=layout.records))


def _open_json(file: SourceFile, layout: FileSource, split: Callable[[BinaryIO], Iterator[Block]]) -> Source:
    """Rows of JSON text, in whichever way a file is split into them.

    Only lines known to be objects may be parsed further: `try` would catch the others too, but takes every block
    with one failure in it apart row by row, which costs five times as much as asking first.
    """
    tally, failures = Tally(), []
    query = f"select source_row as {ROW}, line as tandem_line from {LINES}"
    derived = {
        RAW: "rtrim(tandem_line, e'\\r\\n')",
        "tandem_is_object": f"""(starts_with(tandem_line, '{{') or starts_with(ltrim(tandem_line, {WHITE_SPACE}), '{{'))
            and json_valid(tandem_line)""",
    }
    opened = partial(open_text, file.path, layout.encoding, layout.max_expansion)

    def elements(stream: BinaryIO) -> Iterator[Block]:
        blocks = split(stream)
        return (
            blocks
            if file.format == "text"
            else without_oversized(blocks, layout.max_depth, layout.max_fields)
        )

    stream = partial(_stream, opened, tally, failures, elements)
    sample = partial(stream, blocks=SAMPLE_BLOCKS)
    return Source(
        query, {}, stream, tally, failures, sample, derived, is_recoded=not is_utf8(layout.encoding)
    )


def open_csv(connection: duckdb.DuckDBPyConnection, file: SourceFile, dialect: Dialect) -> Source:
    """CSV: DuckDB's reader for a clean file; one with damaged rows is split here, so that none is lost.

    Raises StepFailed for a file without a header.
    """
    dialect = settle(file.path, dialect)
    look = scan(file.path, dialect)
    if look.is_clean and dialect.encoding.lower() in ("utf-8", "utf8"):
        source = _clean_csv(file, dialect, look)
        try:
            (count,) = source.run(connection, f"select count({ROW}) from {SOURCE}")[0]
        except duckdb.Error:
            count = None
        if count == len(look.starts):
            return source
    return _damaged_csv(file, dialect, look)


def open_parquet(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, max_expansion: int | None = None
) -> Source:
    """Parquet, with its own types. Raises StepFailed when it cannot be read or unfolds too far."""
    relation = f"read_parquet({literal(str(file.path))}, file_row_number = true, hive_partitioning = false)"
    try:
        described = connection.execute(
            f"describe select * exclude (file_row_number) from {relation}"
        ).fetchall()
        path = literal(str(file.path))
        (received,) = connection.execute(f"select num_rows from parquet_file_metadata({path})").fetchone()
        sizes = f"select coalesce(sum(total_uncompressed_size), 0) from parquet_metadata({path})"
        (size,) = connection.execute(sizes).fetchone()
    except duckdb.Error as error:
        raise StepFailed(f"{file.path} is no readable Parquet file ({_first_line(error)})") from error
    # A column that is the same in all rows takes no bytes at all, so the rows count as well.
    packed = file.path.stat().st_size
    if max_expansion is not None and unfolds_too_far(max(size, received), packed, max_expansion):
        raise refuse_expansion(file.path, max_expansion)
    columns = {name: kind for name, kind, *_ in described}
    names = ", ".join(identifier(name) for name in columns)
    query = f"""
        select
            file_row_number + 1 as {ROW},
            {_as_json(columns)} as {RAW},
            false as {IS_MALFORMED},
            {names}
        from {relation}
    """
    return Source(query, columns, lambda _: None, Tally(good=received), form="row")


def _clean_csv(file: SourceFile, dialect: Dialect, look: Scan) -> Source:
    columns = dict.fromkeys(look.header, "VARCHAR")
    types = ", ".join(f"{literal(name)}: 'varchar'" for name in columns)
    relation = f"""read_csv(
        {literal(str(file.path))}, columns = {{{types}}}, auto_detect = false, header = {dialect.has_header},
        delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, escape = {literal(dialect.escape)},
        strict_mode = true, max_line_size = {MAX_CSV_LINE_BYTES}, hive_partitioning = false
    )"""
    first = int(dialect.has_header) + 1
    count = len(look.starts)
    is_plain = bool(np.array_equal(look.starts, np.arange(first, first + count)))
    starts = pa.table({"source_row": look.starts})
    row = f"row_number() over () + {first - 1}" if is_plain else "source_row"
    names = ", ".join(identifier(name) for name in columns)
    query = f"""
        select {row} as {ROW}, {_as_json(columns)} as {RAW}, false as {IS_MALFORMED}, {names}
        from {relation}{"" if is_plain else f" positional join {STARTS}"}
    """
    return Source(
        query, columns, lambda c: c.register(STARTS, starts) and None, Tally(good=count), form="row"
    )


def _damaged_csv(file: SourceFile, dialect: Dialect, look: Scan) -> Source:
    tally, failures, width = Tally(), [], len(look.header)

    def records(stream: BinaryIO) -> Iterator[Block]:
        for block in split_records(read_blocks(stream), dialect, width):
            if block.rows[0] <= look.header_lines:
                block.status[block.rows <= look.header_lines] = BLANK
            yield block

    quote, delimiter, sign = literal(dialect.quote), literal(dialect.delimiter), literal(dialect.sign)
    pattern = literal(re.escape(dialect.sign) + f"({dialect.field})")
    # A match takes a delimiter and a field; when all of them together are as long as the row, nothing was skipped.
    fields = f"string_split({RAW}, {delimiter})"
    if dialect.quote:
        split = f"regexp_extract_all({sign} || replace({RAW}, {delimiter}, {sign}), {pattern}, 1)"
        if dialect.stand_in:
            split = f"list_transform({split}, lambda item: replace(item, {sign}, {delimiter}))"
        fields = f"case when contains({RAW}, {quote}) then {split} else {fields} end"
    raw = "rtrim(line, e'\\r\\n')"
    if dialect.line_end == "\r":
        raw = f"replace({raw}, e'\\n', e'\\r')"
    values = ",\n            ".join(
        f"{_unquoted(f'tandem_fields[{position}]', dialect)} as {identifier(name)}"
        for position, name in enumerate(look.header, start=1)
    )
    between = (width - 1) * len(dialect.delimiter)
    query = f"""
        select
            {ROW},
            {RAW},
            len(tandem_fields) <> {width}
            or list_sum(list_transform(tandem_fields, lambda item: length(item))) + {between} <> length({RAW})
                as {IS_MALFORMED},
            {values}
        from (
            select *, {fields} as tandem_fields
            from (select source_row as {ROW}, {raw} as {RAW} from {LINES})
        )
    """
    register = partial(_stream, partial(open_lines, file.path, dialect), tally, failures, records)
    columns = dict.fromkeys(look.header, "VARCHAR")
    return Source(query, columns, register, tally, failures, is_recoded=not is_utf8(dialect.encoding))


def _unquoted(item: str, dialect: Dialect) -> str:
    if not dialect.quote:
        return f"nullif({item}, '')"
    quote = literal(dialect.quote)
    inner = f"substr(trim({item}), 2, length(trim({item})) - 2)"
    unescaped = f"replace({inner}, {literal(dialect.escape + dialect.quote)}, {quote})"
    return f"nullif(case when starts_with(ltrim({item}), {quote}) then {unescaped} else {item} end, '')"


def _stream(
    opened: Callable[[], AbstractContextManager[BinaryIO]],
    tally: Tally,
    failures: list[StepFailed],
    split: Callable[[BinaryIO], Iterator[Block]],
    connection: duckdb.DuckDBPyConnection,
    blocks: int | None = None,
) -> None:
    """Register the file's good lines, or those of its first `blocks`, as a stream `tandem_lines`; `tally` counts
    them when all are read for the first time. `split` cuts the file into blocks.

    An error in a stream reaches us as text inside DuckDB's own, so the original is kept in `failures`.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        counted = Tally()
        try:
            with opened() as stream:
                for block in islice(split(stream), blocks):
                    if blocks is None and not tally.is_complete:
                        counted.add(block)
                    if (block.status == GOOD).any():
                        yield block.records()
        except StepFailed as failure:
            failures.append(failure)
            raise
        if blocks is None and not tally.is_complete:
            tally.good, tally.rejects, tally.is_complete = counted.good, counted.rejects, True

    # As a bare capsule: given the reader itself, pyarrow's scanner reads up to 1 GB ahead of DuckDB.
    connection.register(LINES, pa.RecordBatchReader.from_batches(SCHEMA, batches()).__arrow_c_stream__())


def _as_json(columns: dict[str, str]) -> str:
    """The row as a JSON object: what a quarantined row of a table keeps as its raw text."""
    pairs = ", ".join(f"{literal(name)}, {identifier(name)}" for name in columns)
    return f"json_object({pairs})::varchar"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
