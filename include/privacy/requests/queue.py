"""The queue of privacy requests: one file each in `DATA/privacy/requests`, readable by its owner alone.

Whoever takes in requests, the form of the DAG, the command line or another system, writes such a file. While a request
is open the file holds the identifiers that it names; when it is done they are gone from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from filelock import ReadWriteLock, Timeout

from include.lake import Lake, replacing
from include.ledger import SourceUnreachable, StepFailed
from include.privacy.pseudonym import keyed_hash

KINDS = {
    "access": "a readable and a machine copy of all that is held of the person",
    "erasure": "the person is erased everywhere and does not come back",
    "objection": "the person refuses a purpose from then on",
    "return": "an erased person begins a new relation: rows of that day and later are taken in again",
}
ID_TYPES = (
    "email", "phone", "customer_number", "loyalty_number", "user_id", "national_id", "anonymous_id", "device_id",
    "advertising_id", "customer_id",
)  # fmt: skip
OPEN = ("received", "waiting", "approved", "running")
CLOSED = ("refused", "done")
FIELDS = ("kind", "identifiers", "received_on", "reason", "purpose")


ERASING_LOCK = ".erasing.lock"  # in DATA: read by the parts of a run at work, written while people are erased


class RequestRefused(StepFailed):
    """A request that cannot be taken in or decided. The message is one line: what was found, what is allowed."""


@dataclass(frozen=True)
class Identifier:
    """What a person gave to be found by; `id_type` is one of ID_TYPES."""

    id_type: str
    id_value: str


@dataclass(frozen=True)
class Request:
    """A request and how far it is. `person` is a keyed hash of its identifiers, all that remains of them when it is
    closed; `customers` and `likely_records` are what it came to: customers, and records of them that are linked by
    likeness only. `waits_because` says why it needs a person's word."""

    request_id: str
    kind: str
    identifiers: tuple[Identifier, ...]
    received_on: date
    reason: str = ""
    purpose: str | None = None
    person: str = ""
    status: str = "received"
    customers: int | None = None
    likely_records: int | None = None
    waits_because: str = ""
    decided_by: str = ""
    done_on: date | None = None

    def __str__(self) -> str:
        """One line without an identifier."""
        return (
            f"{self.request_id}: {self.kind}, {self.status}{self.waits_because and f', because {self.waits_because}'}; "
            f"{self.customers or 0:,} customers, {self.likely_records or 0:,} of their records linked by likeness only"
        )

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


def new_request(
    key: bytes, kind: str, identifiers: Iterable[Identifier], received_on: date, reason: str = "",
    purpose: str | None = None,
) -> Request:  # fmt: skip
    """A request that is checked and has its id, which is a function of what it says.

    Raises RequestRefused for an unknown kind or id type, an empty value, and an objection without a purpose.
    """
    if kind not in KINDS:
        raise RequestRefused(f"privacy request: found kind {kind!r}, allowed: {', '.join(KINDS)}")
    identifiers = tuple(
        Identifier(each.id_type, each.id_value.strip()) for each in dict.fromkeys(identifiers)
    )
    if not identifiers:
        raise RequestRefused("privacy request: it names no identifier, so nobody can be found by it")
    for each in identifiers:
        if each.id_type not in ID_TYPES:
            raise RequestRefused(
                f"privacy request: found id type {each.id_type!r}, allowed: {', '.join(ID_TYPES)}"
            )
        if not each.id_value:
            raise RequestRefused(f"privacy request: the value of {each.id_type} is empty")
    if (kind == "objection") != bool(purpose):
        raise RequestRefused(
            f"privacy request: kind {kind} with purpose {purpose!r}; an objection names a purpose, no other kind does"
        )
    named = json.dumps(sorted((each.id_type, each.id_value) for each in identifiers))
    mark = keyed(key, "request", f"{kind} {named} {purpose or ''} {received_on:%Y-%m-%d}")[:12]
    return Request(
        f"{received_on:%Y%m%d}-{mark}",
        kind,
        identifiers,
        received_on,
        reason.strip(),
        purpose,
        keyed(key, "person", named),
    )


def keyed(key: bytes, use: str, text: str) -> str:
    """The keyed hash of a text. Raises RequestRefused without a key."""
    if not key:
        raise RequestRefused("privacy request: no key; set TANDEM_PSEUDONYM_KEY, which makes the hashes")
    return keyed_hash(key, use, text)


def no_erasure(lake: Lake) -> AbstractContextManager[None]:
    """Hold off erasures for as long as a part of a run reads and writes what they change; parts do not exclude each
    other. Raises StepFailed while people are erased from the DATA folder."""
    return _held(lake, "read", "people are being erased: start the run again when that is done")


def erasing(lake: Lake) -> AbstractContextManager[None]:
    """Let no part of a run begin for as long as people are erased. Raises SourceUnreachable while one is at work."""
    return _held(lake, "write", f"privacy: a run is at work in {lake.data}; wait for it", SourceUnreachable)


def folder_of(lake: Lake) -> Path:
    return lake.data / "privacy" / "requests"


def keep(lake: Lake, request: Request) -> Path:
    """Write a request to the queue, readable by its owner alone. One that is closed loses its identifiers."""
    if not request.is_open:
        request = replace(request, identifiers=())
    path = folder_of(lake) / f"{request.request_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(request), indent=1, default=str))
    return path


def take_in(lake: Lake, key: bytes, received_on: date) -> list[Request]:
    """Every request of the queue by id, those of other systems taken in: a file with `kind` and `identifiers`, a list
    of `{id_type, id_value}`, and maybe `received_on`, `reason` and `purpose`, becomes a request.

    Raises RequestRefused naming the file that is no request.
    """
    folder = folder_of(lake)
    for path in sorted(folder.glob("*.json")):
        content = _read(path)
        if "request_id" in content:
            continue
        unknown = sorted(content.keys() - set(FIELDS))
        if unknown or not {"kind", "identifiers"} <= content.keys():
            raise RequestRefused(
                f"{path.name}: found {sorted(content)}, allowed: kind and identifiers, and maybe received_on, reason, "
                "purpose"
            )
        received = date.fromisoformat(content.get("received_on") or received_on.isoformat())
        try:
            request = new_request(
                key,
                content["kind"],
                [Identifier(**each) for each in content["identifiers"]],
                received,
                content.get("reason", ""),
                content.get("purpose"),
            )
        except (TypeError, RequestRefused) as problem:
            raise RequestRefused(f"{path.name}: {problem}") from None
        add(lake, request)
        path.unlink()
    return requests(lake)


def add(lake: Lake, request: Request) -> Request:
    """Put a request into the queue unless it is there; returns the one that is."""
    path = folder_of(lake) / f"{request.request_id}.json"
    if path.exists():
        return _request(path, _read(path))
    keep(lake, request)
    return request


def requests(lake: Lake) -> list[Request]:
    """Every request that has been taken in, by id."""
    found = [(path, _read(path)) for path in sorted(folder_of(lake).glob("*.json"))]
    return [_request(path, content) for path, content in found if "request_id" in content]


def decide(lake: Lake, request_id: str, by: str, approve: bool) -> Request:
    """Approve or refuse a request that waits. Raises RequestRefused when it does not, or nobody is named."""
    path = folder_of(lake) / f"{request_id}.json"
    if path.parent != folder_of(lake) or not path.exists():
        waiting = [each.request_id for each in requests(lake) if each.status == "waiting"]
        raise RequestRefused(f"privacy request: found {request_id!r}, waiting are {waiting}")
    found = _request(path, _read(path))
    if found.status != "waiting":
        raise RequestRefused(
            f"privacy request {request_id} is {found.status}, and not waiting for a decision"
        )
    if not by.strip():
        raise RequestRefused(f"privacy request {request_id}: a decision needs the name of who decides")
    decided = replace(found, status="approved" if approve else "refused", decided_by=by.strip())
    keep(lake, decided)
    return decided


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestRefused(f"{path.name} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise RequestRefused(f"{path.name}: found {type(content).__name__}, allowed: an object")
    return content


def _request(path: Path, content: dict[str, Any]) -> Request:
    if content.get("request_id") != path.stem:  # the id becomes part of paths
        raise RequestRefused(f"{path.name} is no request: found the id {content.get('request_id')!r}")
    try:
        return Request(
            **content
            | {
                "identifiers": tuple(Identifier(**each) for each in content["identifiers"]),
                "received_on": date.fromisoformat(content["received_on"]),
                "done_on": date.fromisoformat(content["done_on"]) if content["done_on"] else None,
            }
        )
    except (TypeError, KeyError, ValueError) as error:
        raise RequestRefused(f"{path.name} is no request: {error}") from None


@contextmanager
def _held(lake: Lake, mode: str, busy: str, failure: type[StepFailed] = StepFailed) -> Iterator[None]:
    lake.data.mkdir(parents=True, exist_ok=True)
    with closing(ReadWriteLock(lake.data / ERASING_LOCK, blocking=False, is_singleton=False)) as lock:
        try:
            lock.acquire_read() if mode == "read" else lock.acquire_write()
        except Timeout:
            raise failure(busy) from None
        yield
