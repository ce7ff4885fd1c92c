"""Which code it is that runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache

from include.settings import PROJECT

FOLDERS = ("dags", "dbt_project", "include", "ml")
SUFFIXES = (".py", ".sql", ".yml", ".html", ".tsv")
LEFT_OUT = ("target", "__pycache__")
LOCK = "requirements.txt"


def hash_of_code() -> str:
    """A hash of the code and the lock of packages as they are, committed or not."""
    lock = (PROJECT / LOCK).stat()
    return _hash_of(
        (*(file for folder in FOLDERS for file in _files(folder)), (LOCK, lock.st_mtime_ns, lock.st_size))
    )


@lru_cache(maxsize=1)
def _hash_of(files: tuple[tuple[str, int, int], ...]) -> str:
    """Every step asks for it, and to read six hundred files takes longer than to see that none has changed since."""
    digest = hashlib.sha256()
    for name, *_ in files:
        digest.update(f"{name}\n".encode())
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Each file by its path below the project, when it was changed and how large it is, in the order of names."""
    for entry in sorted(os.scandir(PROJECT / folder), key=lambda entry: entry.name):
        name = f"{folder}/{entry.name}"
        if entry.is_dir():
            if entry.name not in LEFT_OUT:
                yield from _files(name)
        elif name.endswith(SUFFIXES):
            held = entry.stat()
            yield name, held.st_mtime_ns, held.st_size
