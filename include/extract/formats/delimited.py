"""CSV: DuckDB reads a clean file, and only a damaged one is split record by record here.

DuckDB 1.5.5's `store_rejects` was tried and is no help: an open quote swallows good lines after it into one
reject, undecodable bytes come back as `?`, one row may give several rejects, and line numbers count records.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from include.extract.formats.lines import (
    BLANK,
    GOOD,
    MALFORMED,
    MAX_EXPANSION,
    Block,
    open_text,
    read_blocks,
)
from include.ledger import StepFailed

MAX_RECORD_BYTES = 1 << 20  # an open quote that is not closed within this much text was never meant as one
FIRST_LOOK_BYTES = 1 << 20
# One of these, which the file does not hold, stands for a delimiter of several signs while its rows are split.
STAND_INS = tuple(chr(number) for number in (*range(1, 9), *range(14, 28)))


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; `quote` is empty when nothing is quoted, `escape` is the sign that makes a quote
    inside a quoted field an ordinary one (by default the quote itself, written twice). Where the `delimiter` has
    several signs, `stand_in` is the one that takes its place in patterns; `line_end` is LF, with or without CR before
    it, or CR alone. A packed file unfolds to no more than `max_expansion` times its size, and no file has more than
    `max_fields` columns."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    has_header: bool = True
    max_expansion: int = MAX_EXPANSION
    max_fields: int = 10_000
    stand_in: str = ""
    line_end: str = "\n"

    @property
    def sign(self) -> str:
        """The delimiter as one sign."""
        return self.stand_in or self.delimiter

    def plain(self, line: bytes) -> bytes:
        """A line in which the delimiter is one sign."""
        return line.replace(self.delimiter.encode(), self.stand_in.encode()) if self.stand_in else line

    @property
    def field(self) -> str:
        """One field as a regular expression that both Python and RE2 know: quoted, or not starting with a quote."""
        delimiter, quote, escape = re.escape(self.sign), re.escape(self.quote), re.escape(self.escape)
        if not self.quote:
            return f"[^{delimiter}]*"
        inside = f"[^{quote}]|{quote}{quote}"
        if self.escape != self.quote:
            inside = f"[^{quote}{escape}]|{escape}(?s:.)"
        return f" *{quote}(?:{inside})*{quote} *| *[^{delimiter}{quote} ][^{delimiter}]*| *"

    def record(self, columns: int) -> str:
        """A whole record of so many fields, as a regular expression like `field`."""
        return f"(?:{self.field})(?:{re.escape(self.sign)}(?:{self.field})){{{columns - 1}}}"


@dataclass(frozen=True)
class Scan:
    """A first look at a file: `starts` are the line numbers of its records if quotes are in order,
    `is_clean` says that nothing in it stands in the way of DuckDB's reader."""

    header: tuple[str, ...]
    header_lines: int
    starts: np.ndarray
    is_clean: bool


@contextmanager
def open_lines(path: Path, dialect: Dialect) -> Iterator[BinaryIO]:
    """The file as UTF-8 text whose lines end in LF. Raises StepFailed as `open_text` does."""
    with open_text(path, dialect.encoding, dialect.max_expansion) as stream:
        yield stream if dialect.line_end == "\n" else io.BufferedReader(_WithNewlines(stream), 1 << 20)


def settle(path: Path, dialect: Dialect) -> Dialect:
    """The dialect with what only the file itself can tell: how its lines end, and which sign it does not hold.

    Only a file without any LF has lines that end in CR. Most files are known after a first look.
    Raises StepFailed when the delimiter has several signs and the file holds every sign that could stand for it.
    """
    free = set(STAND_INS) if len(dialect.delimiter) > 1 else set()
    with open_text(path, dialect.encoding, dialect.max_expansion) as stream:
        data = stream.read(FIRST_LOOK_BYTES)
        has_cr_only = b"\r" in data and b"\n" not in data
        while data and (free or has_cr_only):
            free = {sign for sign in free if sign.encode() not in data}
            has_cr_only = has_cr_only and b"\n" not in data
            data = stream.read(FIRST_LOOK_BYTES)
    if len(dialect.delimiter) > 1 and not free:
        raise StepFailed(
            f"{path} holds every control sign, so its delimiter {dialect.delimiter!r} cannot be split"
        )
    return replace(dialect, stand_in=min(free, default=""), line_end="\r" if has_cr_only else "\n")


def read_header(path: Path, dialect: Dialect) -> tuple[tuple[str, ...], int]:
    """The column names and the number of the last line that they take; 0 lines without a header, when the
    columns are `column_1`, `column_2` and so on.

    A name that comes again gets `_2`, `_3`; a missing name is `column_<position>`.
    Raises StepFailed when there is no line, or it cannot be read as a header or has too many columns.
    """
    row, lines = _first_row(path, dialect)
    return (_distinct(row), lines) if dialect.has_header else (_distinct([""] * len(row)), 0)


def repeated_names(path: Path, dialect: Dialect) -> list[str]:
    """The names that the header of a file has more than once, whatever their case. Raises as `read_header`."""
    row = [name.strip() for name in _first_row(path, dialect)[0]] if dialect.has_header else []
    counts = Counter(name.lower() for name in row if name)
    return list({name.lower(): name for name in reversed(row) if counts[name.lower()] > 1}.values())[::-1]


def _first_row(path: Path, dialect: Dialect) -> tuple[list[str], int]:
    """The fields of the first line that has any, and the number of the last line that they take."""
    with open_lines(path, dialect) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv.reader(
            (line.replace(dialect.delimiter, dialect.sign) for line in text),
            delimiter=dialect.sign, quotechar=dialect.quote or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            doublequote=dialect.escape == dialect.quote,
            escapechar=None if dialect.escape == dialect.quote else dialect.escape,
        )  # fmt: skip
        try:
            for row in reader:
                if len(row) > dialect.max_fields:
                    raise StepFailed(
                        f"{path} has {len(row):,} columns: is delimiter {dialect.delimiter!r} right? If so, raise "
                        f"max_fields in its source, which is {dialect.max_fields:,}"
                    )
                row = [name.replace(dialect.sign, dialect.delimiter) for name in row]
                if any(name.strip() for name in row):
                    return row, reader.line_num
        except csv.Error as error:
            raise StepFailed(f"{path} has no readable header ({error})") from error
        finally:
            text.detach()
    raise StepFailed(f"{path} is empty: no line in it")


def scan(path: Path, dialect: Dialect) -> Scan:
    """Count the records by their bytes alone, independently of the reader that takes them."""
    header, header_lines = read_header(path, dialect)
    quote, starts, open_quote, is_clean = dialect.quote.encode(), [], False, True
    with open_lines(path, dialect) as stream:
        for block in read_blocks(stream):
            is_clean = is_clean and bool((block.status <= BLANK).all())
            if quote and quote in block.data:
                parity = _parity(block, dialect)
                inside = np.logical_xor.accumulate(np.concatenate(([open_quote], parity)))
                open_quote, begins = bool(inside[-1]), ~inside[:-1]
            else:
                begins = np.full(len(block.rows), not open_quote)
            starts.append(block.rows[begins & (block.status != BLANK) & (block.rows > header_lines)])
    return Scan(
        header=header,
        header_lines=header_lines,
        starts=np.concatenate(starts) if starts else np.zeros(0, np.int64),
        is_clean=is_clean
        and not open_quote
        and header_lines == int(dialect.has_header)
        and dialect.line_end == "\n",
    )


def split_records(blocks: Iterator[Block], dialect: Dialect, columns: int) -> Iterator[Block]:
    """Join the lines of records with quoted line ends; a line that opens a quote and never closes it is MALFORMED
    alone, so that it takes no other line with it."""
    record = re.compile(dialect.record(columns).encode())
    carry = None
    for block in blocks:
        block, carry = _group(_joined(carry, block), record, dialect, is_last=False)
        yield block
    if carry is not None:
        yield _group(carry, record, dialect, is_last=True)[0]


def _group(block: Block, record: re.Pattern, dialect: Dialect, is_last: bool) -> tuple[Block, Block | None]:
    """Join the block's multi-line records; what may go on in the next block is handed back as a block to come."""
    if not dialect.quote or dialect.quote.encode() not in block.data:
        return block, None
    odd = np.flatnonzero(_parity(block, dialect) & (block.status == GOOD))
    joined = np.zeros(len(block.rows), bool)  # lines that belong to the record before them
    position = 0
    while position < len(odd):
        first = int(odd[position])
        if record.fullmatch(
            dialect.plain(block.line(first).rstrip(b"\r\n"))
        ):  # a stray quote inside an unquoted field
            position += 1
            continue
        if position + 1 < len(odd):
            last = int(odd[position + 1])
            text = block.data[block.offsets[first] : block.offsets[last + 1]]
            if len(text) <= MAX_RECORD_BYTES and record.fullmatch(dialect.plain(text.rstrip(b"\r\n"))):
                joined[first + 1 : last + 1] = True
                block.status[first] = block.status[first : last + 1][
                    block.status[first : last + 1] != BLANK
                ].max()
                position += 2
                continue
        elif not is_last and block.offsets[-1] - block.offsets[first] <= MAX_RECORD_BYTES:
            return _without(_cut(block, 0, first), joined[:first]), _cut(block, first, len(block.rows))
        block.status[first] = MALFORMED
        position += 1
    return _without(block, joined), None


def _parity(block: Block, dialect: Dialect) -> np.ndarray:
    """Whether each line holds an odd number of quotes that are not escaped."""
    view = np.frombuffer(block.data, dtype=np.uint8)
    quotes = np.flatnonzero(view == ord(dialect.quote))
    if dialect.escape != dialect.quote:
        plain = np.where(view == ord(dialect.escape), -1, np.arange(len(view)))
        before = np.concatenate(([-1], np.maximum.accumulate(plain)))[
            quotes
        ]  # the last sign that is no escape
        quotes = quotes[(quotes - before) % 2 == 1]
    return np.diff(np.searchsorted(quotes, block.offsets)) % 2 == 1


def _joined(first: Block | None, second: Block) -> Block:
    if first is None:
        return second
    return Block(
        data=first.data + second.data,
        offsets=np.concatenate((first.offsets, second.offsets[1:] + len(first.data))),
        rows=np.concatenate((first.rows, second.rows)),
        status=np.concatenate((first.status, second.status)),
    )


def _cut(block: Block, start: int, stop: int) -> Block:
    begin, end = int(block.offsets[start]), int(block.offsets[stop])
    return Block(
        data=block.data[begin:end],
        offsets=block.offsets[start : stop + 1] - begin,
        rows=block.rows[start:stop],
        status=block.status[start:stop],
    )


def _without(block: Block, joined: np.ndarray) -> Block:
    if not joined.any():
        return block
    keep = ~joined
    offsets = np.append(block.offsets[:-1][keep], block.offsets[-1])
    return Block(block.data, offsets, block.rows[keep], block.status[keep])


def _distinct(names: list[str]) -> tuple[str, ...]:
    """DuckDB's names are case-insensitive, so `Email` and `email` need different ones."""
    taken: set[str] = set()
    result = []
    for position, raw in enumerate(names, start=1):
        name = raw.strip().lstrip("\ufeff") or f"column_{position}"
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return tuple(result)


class _WithNewlines(io.RawIOBase):
    """A stream whose lines end in CR alone, with LF instead."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:
        data = self._stream.read(len(target)).replace(b"\r", b"\n")
        target[: len(data)] = data
        return len(data)
