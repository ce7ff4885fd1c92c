"""Visitor ids: HMAC-SHA-256, equal in SQL and Python, so that only who holds the key can match them."""

from __future__ import annotations

import hashlib
import hmac

BLOCK_BYTES = 64


def visitor_id(key: bytes, id_type: str, id_value: str) -> str:
    """The keyed hash of an identifier, by which nobody without the key knows a visitor again."""
    return keyed_hash(key, id_type, id_value)


def keyed_hash(key: bytes, use: str, text: str) -> str:
    """Lower-case hex of HMAC-SHA-256(key, `<use>:<text>`), 64 characters (RFC 2104)."""
    return hmac.new(key, f"{use}:{text}".encode(), hashlib.sha256).hexdigest()


def pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and outer pad of RFC 2104, 64 bytes each, from which SQL builds the same HMAC
    with nothing but `sha256`. They are as secret as the key.

    Raises ValueError for an empty key: an HMAC without a secret can be guessed by anyone.
    """
    if not key:
        raise ValueError("the pseudonym key is empty: set TANDEM_PSEUDONYM_KEY")
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key).ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)
