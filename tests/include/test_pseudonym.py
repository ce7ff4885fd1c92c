"""Visitor ids: HMAC-SHA-256 by the standard, equal in SQL."""

from __future__ import annotations

import hashlib

import duckdb
import pytest

from include.privacy.pseudonym import pads, visitor_id


def test_vector_of_the_standard():
    """RFC 4231, test case 2: key `Jefe`, data `what do ya want for nothing?`; the colon is our separator."""
    inner, outer = pads(b"Jefe")
    digest = hashlib.sha256(outer + hashlib.sha256(inner + b"what do ya want for nothing?").digest())
    assert digest.hexdigest() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("key", [b"k", b"a key for the tests", b"x" * 64, b"longer than a block " * 8])
@pytest.mark.parametrize("value", ["abc", "", "Ünïcödé ✓", "a" * 1000])
def test_sql_and_python_give_the_same_id(key: bytes, value: str):
    inner, outer = pads(key)
    given = duckdb.execute(
        "select sha256(from_hex($outer) || unhex(sha256(from_hex($inner) || encode('anonymous_id:' || $value))))",
        {"outer": outer.hex(), "inner": inner.hex(), "value": value},
    ).fetchone()[0]
    assert given == visitor_id(key, "anonymous_id", value)


def test_another_key_or_type_gives_another_id():
    ids = {visitor_id(key, kind, "1") for key in (b"a", b"b") for kind in ("anonymous_id", "device_id")}
    assert len(ids) == 4


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="TANDEM_PSEUDONYM_KEY"):
        pads(b"")
