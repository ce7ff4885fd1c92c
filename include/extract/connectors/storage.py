"""Object storage: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage, through fsspec's clients."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import fsspec

from include.extract.connectors.connections import Connection, find_connection
from include.extract.connectors.delivery import Delivery
from include.extract.connectors.retrying import try_again
from include.ledger import SourceUnreachable, StepFailed
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel

# What an object's listing says of its content, the best first: a hash, else what changes with every writing.
CONTENT_KEYS = (
    "md5Hash",
    "crc32c",
    "content_md5",
    "ETag",
    "etag",
    "generation",
    "last_modified",
    "LastModified",
)
SECONDS_TO_CONNECT = 10
SECONDS_TO_ANSWER = 20  # s3fs asks ten times in each of our three tries
PART_BYTES = 8 << 20  # a download keeps a few of them in memory
S3_EXTRA = {
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "token": "token",
    "endpoint_url": "endpoint_url",
    "region": "region_name",
    "region_name": "region_name",
    "profile": "profile",
    "anon": "anon",
    "client_kwargs": "client_kwargs",
    "config_kwargs": "config_kwargs",
}
GS_EXTRA = {
    "key_path": "token",
    "keyfile_dict": "token",
    "anon": "anon",
    "project": "project",
    "endpoint_url": "endpoint_url",
}
AZ_EXTRA = dict.fromkeys(
    ("account_name", "account_key", "connection_string", "sas_token", "tenant_id", "client_id", "client_secret",
     "account_host", "anon")
)  # fmt: skip


def find_objects(channel: Channel, root: str, prefix: str, settings: Settings) -> list[Delivery]:
    """Every object of a bucket whose key starts with `prefix`; `root` is the bucket's URL, with a slash at its end.

    Raises StepFailed when the storage refuses, SourceUnreachable when it does not answer.
    """
    scheme, bucket = root.rstrip("/").split("://")
    connection = find_connection(channel, settings) if channel.source.connection else None
    try:
        system = open_storage(scheme, connection)
    except StepFailed as failure:
        raise StepFailed(f"channel {channel.name}: {failure}") from None
    folder, _, start = prefix.rpartition("/")

    def find() -> dict[str, dict]:
        with _explained(channel, root, connection):
            return system.find(f"{bucket}/{folder}", detail=True, prefix=start)

    found = []
    for path, info in sorted(try_again(find).items()):
        name = path.removeprefix(bucket).lstrip("/")
        if info.get("type") != "directory" and not name.endswith("/"):
            fetch = partial(_fetch, channel, system, root, path, info, connection)
            found.append(Delivery(name, None, channel.source.format, fetch, fingerprint(info)))
    return found


def open_storage(scheme: str, connection: Connection | None) -> fsspec.AbstractFileSystem:
    """The client of a storage, with the keys of a connection; without one it looks for them as it always does
    (environment, profile, instance).

    Raises StepFailed for what the connection says and this does not know.
    """
    options = _OPTIONS[scheme](connection)
    return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **options)


def fingerprint(info: dict[str, Any]) -> str:
    """What changes when an object's content does, from its listing alone."""
    settings = info.get("content_settings") or {}
    known = {**info, "content_md5": settings.get("content_md5")}
    key = next((key for key in CONTENT_KEYS if known.get(key)), None)
    return hashlib.sha256(f"{key}:{known.get(key)}:{info.get('size')}".encode()).hexdigest()


def _fetch(
    channel: Channel, system: fsspec.AbstractFileSystem, root: str, path: str, info: dict,
    connection: Connection | None, folder: Path,
) -> Path:  # fmt: skip
    """A copy of the object in `folder`, of the very content that was listed."""
    target = folder / "object"

    def download() -> Path:
        with _explained(channel, root, connection):
            system.get_file(path, str(target))
            now = system.info(path)
        size = target.stat().st_size
        if fingerprint(now) != fingerprint(info) or size != info["size"]:
            raise SourceUnreachable(
                f"channel {channel.name}: {path} changed while it was read ({info['size']} bytes were listed, "
                f"{size} came)"
            )
        return target

    return try_again(download)


@contextmanager
def _explained(channel: Channel, root: str, connection: Connection | None) -> Iterator[None]:
    """Turn what the clients raise into one line: which storage, whose keys, what it said."""
    refused, passing = storage_failures(root.partition("://")[0])
    keys = f"connection {connection.connection_id}" if connection else "the keys of the environment"
    try:
        yield
    except StepFailed:
        raise
    except FileNotFoundError as error:
        raise StepFailed(
            f"channel {channel.name}: {root} cannot be read, {_reason(error, connection)}"
        ) from None
    except (*refused, *passing) as error:
        reason = _reason(error, connection)
        if isinstance(error, refused) or reason.startswith("Forbidden"):  # as gcsfs words it
            raise StepFailed(f"channel {channel.name}: {root} refuses {keys} ({reason})") from None
        raise SourceUnreachable(f"channel {channel.name}: {root} does not answer ({reason})") from None


def _reason(error: BaseException, connection: Connection | None) -> str:
    text = str(error) or type(error).__name__
    return connection.hide(text) if connection else " ".join(text.split())


def storage_failures(scheme: str) -> tuple[tuple[type[BaseException], ...], tuple[type[BaseException], ...]]:
    """The errors of a client that stay, and those that may pass."""
    passing = (OSError, asyncio.TimeoutError, aiohttp.ClientError)
    if scheme == "s3":
        from botocore import exceptions

        refused = (
            exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound,
            exceptions.ClientError, exceptions.ParamValidationError,
        )  # fmt: skip
        return (PermissionError, ValueError, *refused), (*passing, exceptions.BotoCoreError)
    if scheme == "gs":
        from gcsfs.retry import HttpError
        from google.auth.exceptions import GoogleAuthError, TransportError

        return (PermissionError, ValueError, GoogleAuthError), (*passing, HttpError, TransportError)
    from azure.core import exceptions

    refused = (exceptions.ClientAuthenticationError, exceptions.ResourceNotFoundError)
    return (PermissionError, ValueError, *refused), (*passing, exceptions.AzureError)


def _s3_options(connection: Connection | None) -> dict[str, Any]:
    options = _known(connection, S3_EXTRA)
    if connection and connection.login:
        options |= {"key": connection.login, "secret": connection.password}
    region = options.pop("region_name", None)
    client = dict(options.get("client_kwargs") or {}) | ({"region_name": region} if region else {})
    patience = {
        "connect_timeout": SECONDS_TO_CONNECT,
        "read_timeout": SECONDS_TO_ANSWER,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    }
    return options | {
        "default_block_size": PART_BYTES,
        "max_concurrency": 4,
        "client_kwargs": client,
        "config_kwargs": patience | dict(options.get("config_kwargs") or {}),
    }


def _gs_options(connection: Connection | None) -> dict[str, Any]:
    options = _known(connection, GS_EXTRA)
    if isinstance(options.get("token"), str) and options["token"].lstrip().startswith("{"):
        options["token"] = json.loads(options["token"])
    if options.pop("anon", False):
        options["token"] = "anon"
    return options


def _az_options(connection: Connection | None) -> dict[str, Any]:
    """As Airflow has it, login and password are the account's name and key, or with `tenant_id` a client's."""
    options = _known(connection, AZ_EXTRA)
    if connection and connection.login:
        names = ("client_id", "client_secret") if "tenant_id" in options else ("account_name", "account_key")
        options |= {
            name: value
            for name, value in zip(names, (connection.login, connection.password), strict=True)
            if value
        }
    return options


def _known(connection: Connection | None, names: dict[str, str | None]) -> dict[str, Any]:
    """A connection's extra as options of the client. Raises StepFailed for a key that would be of no effect."""
    options = {}
    for key, value in (connection.extra if connection else {}).items():
        if key not in names:
            raise StepFailed(
                f"connection {connection.connection_id!r}: found the extra {key!r}, allowed: {', '.join(names)}"
            )
        options[names[key] or key] = value
    return options


_OPTIONS = {"s3": _s3_options, "gs": _gs_options, "az": _az_options}
