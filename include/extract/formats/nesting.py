"""JSON objects that unfold too far: nested deeper than what reads them later can follow, or with more keys than any
table has columns. They are set apart before an engine sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from include.extract.formats.arrays import QUOTE, STEPS, escaped
from include.extract.formats.lines import GOOD, OVERSIZED, Block

COLON = ord(":")
SIGNS = bytes(int(sign in b'"\\:[]{}') for sign in range(256))  # for bytes.translate, which is fast
BYTES_PER_KEY = 6  # `"a":1,` is the shortest


def without_oversized(blocks: Iterable[Block], max_depth: int, max_fields: int) -> Iterator[Block]:
    """The blocks with each object that is nested more than `max_depth` deep, or has more than `max_fields` keys of its
    own, as OVERSIZED. Only a line that is long enough can be one, so few are looked into."""
    shortest = min(2 * max_depth, BYTES_PER_KEY * max_fields)
    for block in blocks:
        is_long = (np.diff(block.offsets) > shortest) & (block.status == GOOD)
        for position in np.flatnonzero(is_long):
            start, stop = (int(bound) for bound in block.offsets[position : position + 2])
            opened = block.data.count(b"[", start, stop) + block.data.count(b"{", start, stop)
            may_be = opened > max_depth or stop - start > BYTES_PER_KEY * max_fields
            if may_be and _unfolds(block.line(position), max_depth, max_fields):
                block.status[position] = OVERSIZED
        yield block


def _unfolds(line: bytes, max_depth: int, max_fields: int) -> bool:
    places = np.flatnonzero(np.frombuffer(line.translate(SIGNS), dtype=bool))
    signs = np.frombuffer(line, dtype=np.uint8)[places]
    is_quote = signs == QUOTE
    is_quote[escaped(places, signs)] = False
    signs = signs[(np.cumsum(is_quote) % 2 == 0) & ~is_quote]
    depth = np.cumsum(np.take(STEPS, signs), dtype=np.int32)
    return bool((depth > max_depth).any()) or int(((signs == COLON) & (depth == 1)).sum()) > max_fields
