"""Which code it is that runs."""

from __future__ import annotations

import hashlib

from include.settings import PROJECT

FOLDERS = ("dags", "dbt_project", "include", "ml")
SUFFIXES = {".py", ".sql", ".yml", ".html", ".tsv"}


def hash_of_code() -> str:
    """A hash of the code and the lock of packages as they are, committed or not."""
    digest = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.suffix in SUFFIXES and "target" not in path.parts:
                digest.update(f"{path.relative_to(PROJECT).as_posix()}\n".encode())
                digest.update(path.read_bytes())
    digest.update((PROJECT / "requirements.txt").read_bytes())
    return digest.hexdigest()
