"""JSON documents as blocks of elements, split on bytes like lines, so that a file of any size needs little memory.

A sound document is split by its quotes and brackets alone. Where they do not add up, the next element is looked for
by what all elements begin with: the comma and white space between two, a brace, and the first key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from include.extract.formats.lines import (
    BLANK,
    BLOCK_BYTES,
    MALFORMED,
    MAX_LINE_BYTES,
    NEWLINE,
    SPACE,
    Block,
    mark_unusable,
)
from include.ledger import StepFailed

QUOTE, BACKSLASH, COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = b'"\\,[]{}'
SIGNS = bytes(int(sign in b'"\\,[]{}\n') for sign in range(256))  # for bytes.translate, which is fast
STEPS = np.zeros(256, np.int8)
STEPS[[OPEN_LIST, OPEN_OBJECT]] = 1
STEPS[[CLOSE_LIST, CLOSE_OBJECT]] = -1
FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:')
TOKEN = re.compile(rb'\s*("(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+)', re.DOTALL)


@dataclass(frozen=True)
class Cuts:
    """Where a text of elements is cut: at the `commas` between them, and at the `end` of their array if it is in the
    text. `is_sound` is false when that end is no closing bracket."""

    commas: np.ndarray
    end: int | None
    is_sound: bool


def read_elements(stream: BinaryIO, path: Path, records: str | None) -> Iterator[Block]:
    """The elements of the array at `records` in a document, with the position of each, from 1, as its row; without
    `records` those of the document itself, or the document if it is an object.

    A document that is cut off gives its complete elements and one for the rest. Raises StepFailed when there is no
    array at `records`.
    """
    if records is not None:
        rest = _enter(stream, path, records)
    else:
        rest = b""
        while not rest.strip() and (more := stream.read(BLOCK_BYTES)):
            rest += more
        rest = rest.lstrip()
        if not rest.startswith(b"["):
            yield from _Elements(stream, path, is_alone=True).whole(rest)
            return
        rest = rest[1:]
    yield from _Elements(stream, path, is_alone=records is None).split(rest)


class _Elements:
    """The state of one reading: how many elements were cut so far, and what they begin with."""

    def __init__(self, stream: BinaryIO, path: Path, is_alone: bool) -> None:
        self._stream = stream
        self._path = path
        self._is_alone = is_alone  # nothing may follow the array
        self._row = 1
        self._beginning: bytes | None = None  # of every element, with the comma before it
        self._is_nested = False  # sound elements have the like inside

    def whole(self, text: bytes) -> Iterator[Block]:
        """The document as one element."""
        while len(text) <= MAX_LINE_BYTES and (more := self._stream.read(BLOCK_BYTES)):
            text += more
        if text.strip():
            yield self._block(text[:MAX_LINE_BYTES], [(0, min(len(text), MAX_LINE_BYTES))])

    def split(self, rest: bytes) -> Iterator[Block]:
        """The elements of the array that `rest` begins in."""
        is_last = is_skipping = False
        while not is_last:
            more = self._stream.read(BLOCK_BYTES)
            is_last, data = not more, rest + more
            if is_skipping:  # inside an element that was cut
                comma = self._next(data, 0)
                if comma is None:
                    rest = data[-len(self._beginning) :] if self._beginning else b""
                    continue
                data, is_skipping = data[comma + 1 :], False
            pieces, used, is_over = self._cut(data, is_last)
            rest = data[used:]
            if not is_over and len(rest) > MAX_LINE_BYTES:  # no element is as long
                pieces.append((used, used + MAX_LINE_BYTES))
                rest, is_skipping = data[used + 1 :], True
            if pieces:
                yield self._block(data, pieces)
            if is_over:
                return

    def _cut(self, data: bytes, is_last: bool) -> tuple[list[tuple[int, int]], int, bool]:
        """The pieces of a text, how much of it they use, and whether the array ends in it."""
        pieces: list[tuple[int, int]] = []
        start = 0
        while True:
            cuts = _find_cuts(data, start)
            self._learn(data, cuts)
            bounds = [start, *(int(comma) + 1 for comma in cuts.commas)]
            damaged = None
            if self._beginning is not None:
                damaged = self._first_damaged(data, bounds, cuts, is_last)
            if damaged is not None:
                begin, comma = damaged
                pieces += [(a, b - 1) for a, b in pairwise(bounds) if a < begin]
                pieces.append((begin, comma))
                start = comma + 1
                continue
            pieces += [(a, b - 1) for a, b in pairwise(bounds)]
            last = bounds[-1]
            if cuts.end is None:
                return self._open_end(data, pieces, last, is_last)
            tail = data[cuts.end + 1 :]
            if cuts.is_sound and (not self._is_alone or (is_last and not tail.strip())):
                pieces.append((last, cuts.end))
                return pieces, len(data), True
            comma = self._next(data, cuts.end)
            if (not cuts.is_sound or tail.strip()) and comma is not None:
                pieces.append((last, comma))
                start = comma + 1
                continue
            if not is_last:
                return pieces, last, False
            pieces.append((last, len(data)))
            return pieces, len(data), True

    def _open_end(
        self, data: bytes, pieces: list[tuple[int, int]], last: int, is_last: bool
    ) -> tuple[list[tuple[int, int]], int, bool]:
        if is_last and data[last:].strip():
            pieces.append((last, len(data)))
        return pieces, len(data) if is_last else last, is_last

    def _learn(self, data: bytes, cuts: Cuts) -> None:
        if self._beginning is not None or not len(cuts.commas):
            return
        comma = int(cuts.commas[0])
        key = FIRST_KEY.search(data, comma, comma + 4096)
        if key and not data[comma + 1 : key.start()].strip():
            self._beginning = data[comma : key.end()]

    def _first_damaged(
        self, data: bytes, bounds: list[int], cuts: Cuts, is_last: bool
    ) -> tuple[int, int] | None:
        """The start of the first piece in which another element begins although it is no JSON, and the comma before
        that other one. An element that is not yet over is given the time of a block."""
        if self._is_nested:
            return None
        commas = {*cuts.commas.tolist()}
        stop = len(data) if cuts.end is None else cuts.end
        found = data.find(self._beginning, bounds[0], stop)
        while found >= 0:
            if found not in commas:
                position = int(np.searchsorted(bounds, found, side="right")) - 1
                begin = bounds[position]
                if position + 1 < len(bounds):
                    if not _is_json(data[begin : bounds[position + 1] - 1]):
                        return begin, found
                    self._is_nested = True
                    return None
                if cuts.end is not None:
                    if _is_json(data[begin : cuts.end]):
                        self._is_nested = True
                        return None
                    return begin, found
                return (begin, found) if is_last or len(data) - begin > BLOCK_BYTES else None
            found = data.find(self._beginning, found + 1, stop)
        return None

    def _next(self, data: bytes, start: int) -> int | None:
        """The comma before the next element's beginning."""
        if self._beginning is None or self._is_nested:
            return None
        found = data.find(self._beginning, start)
        return found if found >= 0 else None

    def _block(self, data: bytes, pieces: list[tuple[int, int]]) -> Block:
        """Elements without the white space around them; what lies between two is a line of the block too, but a
        blank one."""
        view = np.frombuffer(data, dtype=np.uint8)
        starts, ends = (np.array(side, np.int64) for side in zip(*pieces, strict=True))
        starts, ends = _trimmed(view, starts, ends)
        begin, end = int(starts[0]), int(ends[-1])
        offsets = np.stack((starts, ends), axis=1).ravel() - begin
        rows = np.repeat(np.arange(self._row, self._row + len(pieces), dtype=np.int64), 2)[:-1]
        self._row += len(pieces)
        block = Block(data[begin:end], offsets, rows, np.zeros(len(rows), np.uint8))
        if len(block.data):
            mark_unusable(block)
        block.status[1::2] = BLANK
        sizes = np.diff(offsets)
        block.status[sizes == 0] = BLANK
        block.status[::2][sizes[::2] >= MAX_LINE_BYTES] = MALFORMED
        return block


def _find_cuts(data: bytes, start: int) -> Cuts:
    """Cut a text that begins with an element. A line end inside a string is no JSON, so a string that is still open
    there ends there, and takes nothing after it along."""
    places = np.flatnonzero(np.frombuffer(data.translate(SIGNS), dtype=bool)[start:])
    signs = np.frombuffer(data, dtype=np.uint8)[start:][places]
    is_quote = signs == QUOTE
    is_quote[escaped(places, signs)] = False
    quotes = np.cumsum(is_quote, dtype=np.int32)
    is_newline = signs == NEWLINE
    if (quotes[is_newline] & 1).any():
        quotes -= np.maximum.accumulate(np.where(is_newline, quotes, 0))
    outside = np.flatnonzero(((quotes & 1) == 0) & ~is_quote & ~is_newline)
    places, signs = places[outside], signs[outside]
    depth = np.cumsum(np.take(STEPS, signs), dtype=np.int32)
    below = np.flatnonzero(depth < 0)
    stop = int(below[0]) if len(below) else len(places)
    commas = places[:stop][(signs[:stop] == COMMA) & (depth[:stop] == 0)] + start
    if stop == len(places):
        return Cuts(commas, None, True)
    return Cuts(commas, int(places[stop]) + start, bool(signs[stop] == CLOSE_LIST))


def escaped(places: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The indexes of the signs that have an odd number of backslashes right before them."""
    slashes = np.flatnonzero(signs == BACKSLASH)
    if not len(slashes):
        return slashes
    index = np.arange(len(slashes))
    begins = np.diff(places[slashes], prepend=-2) != 1
    length = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1  # of the run up to each
    escaping = slashes[length % 2 == 1]
    escaping = escaping[escaping + 1 < len(places)]
    return escaping[places[escaping + 1] == places[escaping] + 1] + 1


def _trimmed(view: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def is_blank(places: np.ndarray) -> np.ndarray:
        return (view[places] <= SPACE) & (view[places] > 0)

    active = np.flatnonzero(starts < ends)
    while len(active := active[is_blank(starts[active])]):
        starts[active] += 1
        active = active[starts[active] < ends[active]]
    active = np.flatnonzero(starts < ends)
    while len(active := active[is_blank(ends[active] - 1)]):
        ends[active] -= 1
        active = active[starts[active] < ends[active]]
    return starts, ends


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _enter(stream: BinaryIO, path: Path, records: str) -> bytes:
    """Read up to the array at `records`, and return what was read of its inside."""
    parts = records.split(".")
    wanted = f"{path} has no array at records: {records!r}"
    levels: list[int | None] = []  # of each open bracket: how many parts lead to it, None when others do
    reached, present = 0, []  # the keys of the last object on the way
    key, is_key, data = None, False, b""
    for data, sign, place in _tokens(stream):
        level = levels[-1] if levels else None
        if not levels:
            if sign != b"{":
                raise StepFailed(f"{wanted}: the document is no object, leave records out")
            levels.append(0)
            is_key = True
        elif sign in (b"]", b"}"):
            levels.pop()
        elif level is None:
            if sign in (b"[", b"{"):
                levels.append(None)
        elif sign == b",":
            is_key = True
        elif is_key:
            key, is_key = _text(sign), False
            if level == reached:
                present.append(key)
        elif sign != b":":
            leads = level == reached and key == parts[level]
            if leads and level + 1 == len(parts) and sign == b"[":
                return data[place:]
            if leads and (level + 1 == len(parts) or sign != b"{"):
                found = {b"[": "an array", b"{": "an object"}.get(sign, sign[:40].decode("utf-8", "replace"))
                raise StepFailed(f"{wanted}: {'.'.join(parts[: level + 1])} is {found}")
            if sign in (b"[", b"{"):
                levels.append(level + 1 if leads else None)
            if leads:
                reached, present, is_key = level + 1, [], True
    raise StepFailed(f"{wanted}, keys present: {', '.join(dict.fromkeys(present)) or 'none'}")


def _tokens(stream: BinaryIO) -> Iterator[tuple[bytes, bytes, int]]:
    """The JSON tokens of a stream: the text that was read, the token, and where it ends in the text."""
    data, place, is_over = b"", 0, False
    while True:
        token = TOKEN.match(data, place)
        if token is not None and (token.end() < len(data) or is_over):
            place = token.end()
            yield data, token[1], place
        elif is_over:
            return
        else:
            more = stream.read(BLOCK_BYTES)
            data, place, is_over = data[place:] + more, 0, not more


def _text(sign: bytes) -> str:
    try:
        return json.loads(sign)
    except ValueError:
        return sign[1:-1].decode("utf-8", "replace")
