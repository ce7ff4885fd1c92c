"""Object storage as a place where readers find releases.

A release is a folder of objects that never change, `releases/<edition>/…`. `current.json` says which one readers are to
read: one small object, which a storage replaces as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec

from include.extract.connectors.connections import Connection
from include.extract.connectors.storage import open_storage, storage_failures
from include.ledger import SourceUnreachable, StepFailed
from include.publish.manifest import MANIFEST
from include.publish.place import Edition

CURRENT = "current.json"


class StoragePlace:
    """One folder of an object storage. An edition is there when its manifest is, which comes last and goes first."""

    def __init__(self, system: fsspec.AbstractFileSystem, folder: str) -> None:
        self._system, self._folder = system, folder

    def held(self) -> tuple[str, ...]:
        found = self._system.glob(f"{self._folder}/releases/*/{MANIFEST}")
        return tuple(sorted(path.split("/")[-2] for path in found))

    def load(self, edition: Edition) -> None:
        """What a killed run left is removed first."""
        held = self.held()
        for path in self._system.find(f"{self._folder}/releases"):
            if path.removeprefix(f"{self._folder}/releases/").split("/")[0] not in held:
                self._system.rm_file(path)
        last = edition.path / MANIFEST
        files = [path for path in sorted(edition.path.rglob("*")) if path.is_file() and path != last]
        for path in [*files, last]:
            name = path.relative_to(edition.path).as_posix()
            self._system.put_file(str(path), f"{self._release(edition.name)}/{name}")

    def point_readers_to(self, name: str) -> None:
        pointer = {"release": f"releases/{name}", "release_id": name.rpartition("_")[0]}
        self._system.pipe_file(f"{self._folder}/{CURRENT}", json.dumps(pointer, indent=1).encode() + b"\n")

    def drop(self, name: str) -> bool:
        """Readers who still read it lose what they have not read yet, so it is kept for as long as DATA keeps it."""
        self._system.rm_file(f"{self._release(name)}/{MANIFEST}")
        for path in self._system.find(self._release(name)):
            self._system.rm_file(path)
        return True

    def _release(self, name: str) -> str:
        return f"{self._folder}/releases/{name}"


@contextmanager
def open_storage_place(url: str, connection: Connection | None) -> Iterator[StoragePlace]:
    """Yield the place that a URL leads to. Raises SourceUnreachable, and StepFailed when the storage refuses."""
    scheme, _, folder = url.rstrip("/").partition("://")
    refused, passing = storage_failures(scheme)
    try:
        yield StoragePlace(open_storage(scheme, connection), folder)
    except StepFailed:
        raise
    except (*refused, *passing) as error:
        reason = connection.hide(str(error)) if connection else " ".join(str(error).split())
        if isinstance(error, refused):
            raise StepFailed(
                f"publish: {url} refuses, its readers stay on the release before: {reason}"
            ) from None
        raise SourceUnreachable(f"publish: {url} does not answer ({reason})") from None
