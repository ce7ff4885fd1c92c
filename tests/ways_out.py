"""Names that would lead out of a folder if they became part of a path."""

from __future__ import annotations

WAYS_OUT = {
    "the folder above": "..",
    "below the folder above": "../secret",
    "far above": "a/../../../secret",
    "absolute": "/secret",
    "a share": "//server/secret",
    "a share of Windows": r"\\server\secret",
    "the folder above on Windows": r"..\secret",
    "a drive": r"C:\secret",
    "the home": "~/secret",
    "a variable": "$HOME/secret",
    "a URL": "file:///secret",
    "encoded": "..%2fsecret",
    "NUL": "a\0secret",
    "a line": "a\n../secret",
}
