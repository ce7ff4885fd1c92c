"""Which files a channel has delivered up to a business day."""

from __future__ import annotations

import glob
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include.extract.connectors import Delivery
from include.ledger import StepFailed
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel

DATE_GLOB = "[0-9]" * 4 + "-" + "[0-9]" * 2 + "-" + "[0-9]" * 2
DATE_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def find_files(channel: Channel, day: date, settings: Settings) -> list[Delivery]:
    """The channel's files dated up to `day`, or all of them when its path has no `{date}`, sorted by day and name.

    Raises StepFailed when the channel is required and the file of `day` (without `{date}`: any file) is
    missing, or when a file's name holds a date that does not exist.
    """
    base, pattern = _split_base(channel.source.path, settings)
    root = glob.escape(str(base)) + "/" if base else ""
    matches = glob.glob(root + pattern.replace("{date}", DATE_GLOB), recursive=True)  # noqa: PTH207, root is escaped
    dated = "{date}" in pattern
    expression = re.compile(_expression(pattern))
    files = []
    for match in sorted(matches):
        path = Path(match)
        if not path.is_file():
            continue
        name = path.relative_to(base).as_posix() if base else path.as_posix()
        found = expression.fullmatch(name)
        if found is None:  # two places of `{date}` that disagree
            continue
        dated_on = _read_date(channel, path, found["date"]) if dated else None
        files.append(Delivery(name, dated_on, channel.source.format, lambda _, path=path: path))
    files = [file for file in files if file.day is None or file.day <= day]
    if channel.required and not any(file.day in (None, day) for file in files):
        expected = root + pattern.replace("{date}", f"{day:%Y-%m-%d}")
        raise StepFailed(
            f"channel {channel.name}: no file matches {expected}; set required: false if the day may be missing"
        )
    return sorted(files, key=lambda file: (file.day or date.min, file.name))


def _split_base(path: str, settings: Settings) -> tuple[Path | None, str]:
    """The folder that a channel's path starts from, and the rest; no folder for an absolute path."""
    for placeholder, folder in (("{demo}", settings.demo_source), ("{config}", settings.config)):
        if path.startswith(placeholder):
            return folder, path.removeprefix(placeholder).lstrip("/")
    return (None, path) if Path(path).is_absolute() else (settings.config, path)


def _expression(pattern: str) -> str:
    """The glob `pattern` as a regular expression whose group `date` holds the first `{date}`."""
    tokens = re.compile(r"\{date\}|\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
    parts = []
    for token in tokens.findall(pattern):
        if token == "{date}":
            parts.append(
                "(?P=date)" if any("?P<date>" in part for part in parts) else f"(?P<date>{DATE_PATTERN})"
            )
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


def _read_date(channel: Channel, path: Path, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StepFailed(f"channel {channel.name}: {path} holds a date that does not exist: {text}") from None
