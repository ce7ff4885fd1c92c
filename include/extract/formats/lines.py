"""Text files as blocks of whole lines, split on bytes, so that no damage in one line can hide another.

The engines' own readers lose lines: DuckDB's JSON reader blanks what it cannot parse and stops at deep nesting,
its CSV reader swallows the lines after an open quote and shows undecodable bytes as `?`. Here every physical
line keeps its number and its bytes, and a line that is no text is set apart before an engine sees it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from include.ledger import StepFailed

BLOCK_BYTES = 8 << 20
MAX_LINE_BYTES = 16 << 20  # DuckDB refuses longer JSON objects too
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# What is no text, and what to do about it.
FOREIGN = {
    re.compile(
        rb"PK(\x03\x04|\x05\x06)"
    ): "a zip archive or a spreadsheet: deliver the file in it, by gzip if packed",
    re.compile(rb"\x1f\x8b|\x28\xb5\x2f\xfd"): "packed twice: pack it once",
    re.compile(
        rb"BZh[1-9]1AY&SY|\xfd7zXZ\x00|7z\xbc\xaf"
    ): "packed by bzip2, xz or 7-Zip: pack it by gzip or zstd",
    re.compile(rb".{257}ustar", re.DOTALL): "a tar archive: deliver the files in it",
    re.compile(rb"PAR1"): "a Parquet file: say format: parquet",
}
MAX_EXPANSION, FREE_BYTES = 200, 64 << 20
NEWLINE, SPACE = 10, 32

GOOD, BLANK, ENCODING, MALFORMED, OVERSIZED = 0, 1, 2, 3, 4
REASONS = {ENCODING: "encoding", MALFORMED: "malformed", OVERSIZED: "oversized"}
SCHEMA = pa.schema([("source_row", pa.int64()), ("line", pa.large_string())])
REJECT_SCHEMA = pa.schema([("raw", pa.large_string()), ("reason", pa.string()), ("source_row", pa.int64())])


@dataclass
class Block:
    """Consecutive lines: line `i` is `data[offsets[i]:offsets[i + 1]]` with its line end, its number in the
    file (from 1) is `rows[i]` and its state `status[i]` one of GOOD, BLANK, ENCODING, MALFORMED, OVERSIZED."""

    data: bytes | bytearray
    offsets: np.ndarray
    rows: np.ndarray
    status: np.ndarray

    def line(self, position: int) -> bytes:
        return bytes(self.data[self.offsets[position] : self.offsets[position + 1]])

    def records(self) -> pa.RecordBatch:
        """The good lines as an Arrow batch of `source_row, line` that shares the block's memory."""
        lines = pa.LargeStringArray.from_buffers(
            len(self.rows), pa.py_buffer(self.offsets), pa.py_buffer(self.data)
        )
        batch = pa.RecordBatch.from_arrays([_integers(self.rows), lines], schema=SCHEMA)
        good = self.status == GOOD
        return batch if good.all() else batch.take(_integers(np.flatnonzero(good)))


def _integers(values: np.ndarray) -> pa.Array:
    """`pa.array` would import pandas to ask whether it is a series."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


@dataclass
class Tally:
    """What passed while a file was read: `good` lines handed on, and the `rejects` that never were. `is_complete`
    once the file was read to its end."""

    good: int = 0
    rejects: list[tuple[str, str, int]] = field(default_factory=list)
    is_complete: bool = False

    @property
    def received(self) -> int:
        return self.good + len(self.rejects)

    def add(self, block: Block) -> None:
        """Count a block; bytes that are no UTF-8 are kept as Latin-1, which gives every byte back."""
        self.good += int((block.status == GOOD).sum())
        for position in np.flatnonzero(block.status >= ENCODING):
            reason = REASONS[int(block.status[position])]
            raw = block.line(position).rstrip(b"\r\n").decode("latin-1" if reason == "encoding" else "utf-8")
            self.rejects.append((raw, reason, int(block.rows[position])))

    def rejects_table(self) -> pa.Table:
        columns = list(zip(*self.rejects, strict=True)) or [(), (), ()]
        return pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, REJECT_SCHEMA, strict=True)], REJECT_SCHEMA
        )


@contextmanager
def open_text(path: Path, encoding: str, max_expansion: int = MAX_EXPANSION) -> Iterator[BinaryIO]:
    """Open a file as a stream of UTF-8 bytes, unpacked if its first bytes say gzip or zstd, whatever its name
    says, and without a byte order mark.

    Bytes that the encoding does not know pass through as they are and show as invalid UTF-8 later on.
    Raises StepFailed when packed data is cut off or damaged or unfolds to more than `max_expansion` times its size
    (64 MB it may always), when what is there is no text, or the encoding cannot be read at all.
    """
    with path.open("rb") as plain:
        packing = packing_of(path)
        stream = plain
        if packing == "gzip":
            stream = _unpacked(gzip.GzipFile(fileobj=plain), path, max_expansion)
        elif packing == "zstd":
            stream = _unpacked(pa.input_stream(plain, compression="zstd"), path, max_expansion)
        try:
            start = stream.peek(512)
            foreign = next((what for magic, what in FOREIGN.items() if magic.match(start)), None)
            if foreign is not None:
                raise StepFailed(f"{path} is {foreign}")
            name = _encoding(encoding, start)
            if name is not None:
                yield io.BufferedReader(_Recoded(stream, name))
            else:
                if start.startswith(codecs.BOM_UTF8):
                    stream.read(len(codecs.BOM_UTF8))
                yield stream
        except (EOFError, OSError, zlib.error) as error:
            if not packing:
                raise
            raise StepFailed(f"{path} is cut off or damaged {packing} ({error}): deliver it again") from error
        except UnicodeError as error:
            raise StepFailed(f"{path} cannot be read as {encoding} ({error}): check encoding") from error


def packing_of(path: Path) -> str | None:
    """`gzip`, `zstd`, or None for a plain file."""
    with path.open("rb") as handle:
        start = handle.read(max(map(len, MAGIC)))
    return next((packing for magic, packing in MAGIC.items() if start.startswith(magic)), None)


def read_blocks(stream: BinaryIO) -> Iterator[Block]:
    """The stream's lines in blocks of some megabytes. A line beyond MAX_LINE_BYTES is MALFORMED and cut there."""
    row = 1
    while data := _read_lines(stream):
        block = _split(data, row)
        row += len(block.rows)
        yield block


def _read_lines(stream: BinaryIO) -> bytearray:
    """Some megabytes up to the end of a line, in memory that is copied nowhere; empty at the end of the stream."""
    data = bytearray(BLOCK_BYTES)
    del data[stream.readinto(data) :]
    if data and data[-1] != NEWLINE:
        begun = len(data) - (data.rfind(b"\n") + 1)
        data += stream.readline(MAX_LINE_BYTES - begun)
        while data[-1] != NEWLINE and (more := stream.readline(BLOCK_BYTES)):
            if more.endswith(b"\n"):
                break
    return data


def _split(data: bytearray, row: int) -> Block:
    view = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(view == NEWLINE).astype(np.int64) + 1
    if len(ends) == 0 or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    offsets = np.concatenate((np.zeros(1, np.int64), ends))
    count = len(ends)
    block = Block(data, offsets, np.arange(row, row + count, dtype=np.int64), np.zeros(count, np.uint8))
    mark_unusable(block)
    return block


def mark_unusable(block: Block) -> None:
    """Set the status of a block's lines that are blank, no text or too long."""
    view = np.frombuffer(block.data, dtype=np.uint8)
    _mark_blank(block, view)
    if not block.data.isascii():
        _mark_undecodable(block)
    if b"\0" in block.data:
        nul = np.searchsorted(block.offsets, np.flatnonzero(view == 0), side="right") - 1
        block.status[nul] = ENCODING
    sizes = np.diff(block.offsets)
    block.status[(sizes >= MAX_LINE_BYTES) & (block.status == GOOD)] = MALFORMED


def _mark_blank(block: Block, view: np.ndarray) -> None:
    """A line of nothing but white space is no row."""
    starts = block.offsets[:-1]
    if (view[starts] <= SPACE).any():  # only a line that starts with white space can be one
        printable = (view > SPACE) | (view == 0)
        block.status[~np.logical_or.reduceat(printable, starts)] = BLANK


def _mark_undecodable(block: Block) -> None:
    whole = pa.LargeStringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(block.data)])), pa.py_buffer(block.data)
    )
    try:
        whole.validate(full=True)  # several times as fast as decoding
    except pa.ArrowInvalid:
        points = np.frombuffer(
            block.data.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"),
            dtype=np.uint32,
        )
        damaged = (points >= 0xDC80) & (points <= 0xDCFF)
        sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000).astype(np.int64)
        sizes[damaged] = 1
        places = (np.cumsum(sizes) - sizes)[damaged]
        block.status[np.searchsorted(block.offsets, places, side="right") - 1] = ENCODING


def _encoding(declared: str, start: bytes) -> str | None:
    """The codec to recode from; None for UTF-8. A byte order mark of UTF-16 wins over what is declared."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return None if is_utf8(declared) else codecs.lookup(declared).name


def is_utf8(encoding: str) -> bool:
    """Whether text of this encoding is read as it is; any other is recoded on the way."""
    return codecs.lookup(encoding or "utf-8").name in ("utf-8", "utf-8-sig", "ascii")


def has_a_byte_per_sign(encoding: str) -> bool:
    """Whether each byte is a sign of its own, the lower half of them ASCII."""
    if is_utf8(encoding):
        return False
    text = bytes(range(256)).decode(encoding, errors="replace")
    return len(text) == 256 and text[:128] == bytes(range(128)).decode("ascii")


def looks_like_utf8(path: Path, size: int) -> bool:
    """Whether the first lines of a file, of so many bytes, have signs beyond ASCII, all of them as UTF-8 writes them:
    that hardly happens by chance."""
    with open_text(path, "latin-1") as stream:  # of which each byte is a sign, so that they come back
        start = stream.read(size).decode("utf-8", "ignore")
    try:
        lines = start[: start.rfind("\n") + 1].encode("latin-1")
        return not lines.isascii() and bool(lines.decode("utf-8"))
    except UnicodeError:
        return False


def unfolds_too_far(size: int, packed: int, max_expansion: int) -> bool:
    """Whether so many bytes, or rows, are more than a file of `packed` bytes may become."""
    return size > max(FREE_BYTES, max_expansion * packed)


def refuse_expansion(path: Path, max_expansion: int) -> StepFailed:
    """What to raise for a file that does."""
    return StepFailed(
        f"{path} unfolds to more than {max_expansion} times its size, which no data of a company does: look at it, and "
        f"raise max_expansion in its source if it is right"
    )


def _unpacked(stream: BinaryIO, path: Path, max_expansion: int) -> BinaryIO:
    return io.BufferedReader(_Bounded(stream, path, max_expansion), 1 << 20)


class _Bounded(io.RawIOBase):
    """Unpacked bytes, as long as they are no more than the file that they come from may become."""

    def __init__(self, stream: BinaryIO, path: Path, max_expansion: int) -> None:
        self._stream = stream
        self._path = path
        self._packed = path.stat().st_size
        self._max_expansion = max_expansion
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:
        size = self._stream.readinto(target)
        self._size += size
        if unfolds_too_far(self._size, self._packed, self._max_expansion):
            raise refuse_expansion(self._path, self._max_expansion)
        return size


class _Recoded(io.RawIOBase):
    """Another encoding's bytes as UTF-8; what cannot be decoded stays the byte that it was."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._pending = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:
        while not self._pending and not self._ended:
            data = self._stream.read(1 << 20)
            self._ended = not data
            self._pending = self._decoder.decode(data, final=not data).encode("utf-8", "surrogateescape")
        size = min(len(target), len(self._pending))
        target[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size
