"""Which pseudonym key belongs to which epoch, so that a change of the key is always one that somebody meant."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from include.lake import Lake, earlier_days, replacing
from include.ledger import StepFailed


def fingerprint(key: bytes) -> str:
    """Tells keys apart without telling the key: HMAC-SHA-256(key, "which key") in lower-case hex."""
    return hmac.new(key, b"which key", hashlib.sha256).hexdigest()


def files_of_epoch(lake: Lake, files: Iterable[Path], epoch: int | None) -> list[Path]:
    """Those of the files, each in a folder `date=<day>`, whose day ran under the key of an epoch: what names visitors
    is compared and continued within one epoch only. A day of which nothing is known is of none."""
    return [path for path in files if _epoch_of(lake, path.parent.name.removeprefix("date=")) == epoch]


def earlier_days_of_epoch(lake: Lake, path: Path) -> list[Path]:
    """The files of that name of the days before it that ran under the same key, the oldest first; `path` lies in a
    folder `date=<day>`. What names no visitor, such as a count, is compared beyond it: the people stay the same."""
    epoch = _epoch_of(lake, path.parent.name.removeprefix("date="))
    return files_of_epoch(lake, earlier_days(path), epoch)


def _epoch_of(lake: Lake, day: str) -> int | None:
    run = lake.run_file(date.fromisoformat(day), "run.json")
    return json.loads(run.read_text())["dbt"].get("key_epoch", 1) if run.exists() else None


def hold_key_to_its_epoch(lake: Lake, key: bytes, epoch: int) -> None:
    """Remember the key of an epoch by its fingerprint when it is seen first, and refuse any other way of changing it.

    Raises StepFailed when the key of a known epoch has changed, when a new epoch has the key of an older one (its
    visitors could be matched with theirs), and when the epoch is older than one that ran before.
    """
    path = lake.root / "privacy" / "key_epochs.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    mark = fingerprint(key)
    epochs = sorted(int(number) for number in known)
    if known.get(str(epoch), mark) != mark:
        raise StepFailed(
            f"configure: the pseudonym key is not that of epoch {epoch}; give TANDEM_PSEUDONYM_KEY as it was, or raise "
            f"key.epoch in privacy.yml to {epochs[-1] + 1} so that all visitors become new ones"
        )
    if epochs and epoch < epochs[-1]:
        raise StepFailed(
            f"configure: key.epoch in privacy.yml is {epoch}, but epoch {epochs[-1]} has run; epochs only rise"
        )
    if str(epoch) in known:
        return
    if mark in known.values():
        raise StepFailed(
            f"configure: epoch {epoch} has the pseudonym key of an older one; a new epoch needs a new key"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(known | {str(epoch): mark}, indent=1, sort_keys=True))
