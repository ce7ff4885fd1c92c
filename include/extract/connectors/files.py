"""Which files a channel has delivered up to a business day, on this machine or in object storage."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from include.extract.connectors.delivery import Delivery
from include.extract.dates import as_expression, as_glob, on_day
from include.ledger import StepFailed
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def find_files(channel: Channel, day: date, settings: Settings) -> list[Delivery]:
    """The channel's files dated up to `day`, or all of them when its path has no `{date}`, sorted by day and name.

    A file is named by its path below the configuration's folder, or below its bucket.
    Raises StepFailed when the channel is required and the file of `day` (without `{date}`: any file) is
    missing, when what has the name of a file is none or a link to elsewhere, or when a file's name holds a date that
    does not exist; SourceUnreachable when the object storage does not answer.
    """
    if channel.source.is_remote:
        from include.extract.connectors.storage import find_objects

        root, pattern = _split_bucket(channel.source.path)
        found = find_objects(channel, root, glob_prefix(pattern), settings)
    else:
        base, pattern = _split_base(channel.source.path, settings)
        root = str(base) + "/" if base else ""
        try:
            found = list(_find_local(base, root, pattern, channel.source.format))
        except StepFailed as failure:
            raise StepFailed(f"channel {channel.name}: {failure}") from None
    expression = re.compile(_expression(pattern))
    files = []
    for file in found:
        matched = expression.fullmatch(file.name)
        if matched is None:  # beside the pattern, or two places of `{date}` that disagree
            continue
        parts = matched.groupdict()
        dated_on = _read_date(channel, root + file.name, **parts) if parts else None
        files.append(replace(file, day=dated_on, partitions=partitions_of(file.name)))
    files = [file for file in files if file.day is None or file.day <= day]
    if channel.required and not any(file.day in (None, day) for file in files):
        expected = root + on_day(pattern, day)
        raise StepFailed(
            f"channel {channel.name}: no file matches {expected}; set required: false if the day may be missing"
        )
    return sorted(files, key=lambda file: (file.day or date.min, file.name))


def glob_prefix(pattern: str) -> str:
    """What every name that matches a pattern starts with."""
    return re.split(r"[*?\[]|\{date", pattern, maxsplit=1)[0]


def _find_local(base: Path | None, root: str, pattern: str, file_format: str) -> Iterator[Delivery]:
    anywhere = glob.escape(root) + as_glob(pattern)
    # Whoever may put a file there could put a link to any other file of this machine there as well.
    inside = Path(root + glob_prefix(pattern).rpartition("/")[0]).resolve()
    names_files = pattern.rpartition("/")[2].strip("*") != ""
    for match in glob.iglob(anywhere, recursive=True):  # noqa: PTH207, the root is escaped
        path = Path(match)
        if path.is_dir() and not names_files:
            continue
        _check_is_file(path, inside)
        name = path.relative_to(base).as_posix() if base else path.as_posix()
        yield Delivery(name, None, file_format, lambda _, path=path: path)


def _check_is_file(path: Path, inside: Path) -> None:
    """Raises StepFailed for a folder, a link that leads nowhere or out of the channel's folder, or a device."""
    if path.is_dir():
        raise StepFailed(f"{path} is a folder: to read the files in it, end path in /*")
    if not path.exists():
        raise StepFailed(f"{path} is a link that leads nowhere: deliver the file, or remove the link")
    if not path.resolve().is_relative_to(inside):
        raise StepFailed(f"{path} is a link to a file outside of {inside}: deliver the file itself")
    if not path.is_file():
        raise StepFailed(f"{path} is no file but a pipe or a device: deliver a file")


def partitions_of(name: str) -> dict[str, str | None]:
    """The folders `key=value` of a path, as Hive writes them: what a folder cannot be called is %-encoded."""
    pairs = (folder.partition("=") for folder in name.split("/")[:-1])
    return {
        unquote(key): None if value == HIVE_NULL else unquote(value)
        for key, found, value in pairs
        if found and key
    }


def _split_bucket(path: str) -> tuple[str, str]:
    """The bucket of a URL, with a slash at its end, and the rest."""
    scheme, _, rest = path.partition("://")
    bucket, _, pattern = rest.partition("/")
    return f"{scheme}://{bucket}/", pattern


def _split_base(path: str, settings: Settings) -> tuple[Path | None, str]:
    """The folder that a channel's path starts from, and the rest; no folder for an absolute path."""
    for placeholder, folder in (("{demo}", settings.demo_source), ("{config}", settings.config)):
        if path.startswith(placeholder):
            return folder, path.removeprefix(placeholder).lstrip("/")
    return (None, path) if Path(path).is_absolute() else (settings.config, path)


def _expression(pattern: str) -> str:
    """The glob `pattern` as a regular expression whose groups `year`, `month` and `day` hold the `{date}`."""
    tokens = re.compile(r"\{date[^}]*\}|\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
    parts, seen = [], set()
    for token in tokens.findall(pattern):
        if token.startswith("{date"):
            parts.append(as_expression(token, seen))
        elif token == "**/":
            parts.append("(?:.*/)?")
        elif token == "**":
            parts.append(".*")
        elif token == "*":
            parts.append("[^/]*")
        elif token == "?":
            parts.append("[^/]")
        elif token.startswith("[") and len(token) > 1:
            parts.append("[^" + token[2:] if token.startswith("[!") else token)
        else:
            parts.append(re.escape(token))
    return "".join(parts)


def _read_date(channel: Channel, path: str, year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        text = f"{year}-{month}-{day}"
        raise StepFailed(f"channel {channel.name}: {path} holds a date that does not exist: {text}") from None
