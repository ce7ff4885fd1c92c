"""Which pseudonym key belongs to which epoch, so that a change of the key is always one that somebody meant."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from include.lake import Lake, earlier_days, replacing
from include.ledger import StepFailed
from include.settings import earlier_keys, erasure_key, pseudonym_key

# The tables of `lake/ml` that name visitors; those of past days are asked for within one epoch.
VISITORS_LEARNED = ("lookalike_members", "lookalike_seeds")


@dataclass(frozen=True)
class KeysAtHand:
    """The `keys` under which a person's visitors can be looked for, that of today first, and the `lost` epochs: those
    of which something is held still, and whose key is not there."""

    keys: tuple[bytes, ...]
    lost: tuple[int, ...] = ()


def keys_at_hand(lake: Lake) -> KeysAtHand:
    """The key of today, that of the tombstones, which may be an older one, and those that are kept of earlier epochs.

    Raises StepFailed when one that is given for an epoch is not the key of it.
    """
    known, earlier = _known(lake), earlier_keys()
    for epoch, given in sorted(earlier.items()):
        if known.get(str(epoch)) != fingerprint(given):
            raise StepFailed(
                f"privacy: TANDEM_PSEUDONYM_KEY_{epoch} is not the key of epoch {epoch}, of which the lake remembers "
                f"{', '.join(sorted(known)) or 'none'}: give that key, or none"
            )
    marks = {fingerprint(each): each for each in (pseudonym_key(), erasure_key(), *earlier.values())}
    keys = dict.fromkeys((pseudonym_key(), *(marks[mark] for mark in known.values() if mark in marks)))
    missing = [int(epoch) for epoch, mark in known.items() if mark not in marks]
    held = _epochs_held(lake) if missing else set()
    lost = sorted(epoch for epoch in missing if epoch in held or None in held)
    return KeysAtHand(tuple(keys), tuple(lost))


def _epochs_held(lake: Lake) -> set[int | None]:
    """The epochs of the days of which something that names visitors is kept; None of a day that nothing is known of."""
    folders = [path for area in ("audiences", "activation") for path in (lake.root / area).glob("date=*")]
    folders += [
        path.parent
        for table in VISITORS_LEARNED
        for path in (lake.root / "ml").glob(f"date=*/{table}.parquet")
    ]
    days = {path.name.removeprefix("date=") for path in folders}
    days |= {path.name.partition("_")[0] for path in (lake.published / "releases").glob("*_*")}
    return {_epoch_of(lake, day) for day in days}


def _path(lake: Lake) -> Path:
    return lake.root / "privacy" / "key_epochs.json"


def _known(lake: Lake) -> dict[str, str]:
    """The fingerprint of the key of each epoch that has run, by its number."""
    path = _path(lake)
    return json.loads(path.read_text()) if path.exists() else {}


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
    path, known = _path(lake), _known(lake)
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
