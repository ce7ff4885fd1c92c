"""The pseudonym key changes with its epoch and never without it."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest

from include.lake import Lake, earlier_days
from include.ledger import StepFailed
from include.privacy.epochs import files_of_epoch, hold_key_to_its_epoch, keys_at_hand

FIRST, SECOND = b"the key of the first epoch", b"the key of the second epoch"


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path)
    hold_key_to_its_epoch(lake, FIRST, 1)
    return lake


def refused(lake: Lake, key: bytes, epoch: int) -> str:
    with pytest.raises(StepFailed) as failure:
        hold_key_to_its_epoch(lake, key, epoch)
    return str(failure.value)


def test_the_same_key_runs_on_and_a_new_epoch_takes_a_new_one(lake: Lake) -> None:
    hold_key_to_its_epoch(lake, FIRST, 1)
    hold_key_to_its_epoch(lake, SECOND, 2)
    hold_key_to_its_epoch(lake, SECOND, 2)


def test_another_key_without_another_epoch_is_refused_with_what_to_do(lake: Lake) -> None:
    assert re.search("not that of epoch 1.*key.epoch in privacy.yml to 2", refused(lake, SECOND, 1))
    hold_key_to_its_epoch(lake, SECOND, 2)
    assert "not that of epoch 2" in refused(lake, FIRST, 2)


def test_a_new_epoch_with_an_old_key_is_refused(lake: Lake) -> None:
    assert "a new epoch needs a new key" in refused(lake, FIRST, 2)
    hold_key_to_its_epoch(lake, SECOND, 2)
    assert "a new epoch needs a new key" in refused(lake, FIRST, 3)


def test_epochs_only_rise(lake: Lake) -> None:
    hold_key_to_its_epoch(lake, SECOND, 2)
    assert "epochs only rise" in refused(lake, FIRST, 1)


def test_a_key_is_missed_as_long_as_visitors_of_its_epoch_are_held_and_no_longer(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_key_to_its_epoch(lake, SECOND, 2)
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY", SECOND.decode())
    day = date(2017, 12, 1)
    run = lake.run_file(day, "run.json")
    run.parent.mkdir(parents=True)
    run.write_text(json.dumps({"dbt": {"key_epoch": 1}}))
    learned, members = lake.ml(day, "segments"), lake.ml(day, "lookalike_members")
    learned.parent.mkdir(parents=True)
    learned.touch()
    assert keys_at_hand(lake).lost == ()
    members.touch()
    assert keys_at_hand(lake).lost == (1,)


def test_what_is_remembered_does_not_tell_the_key(lake: Lake) -> None:
    (path,) = lake.root.rglob("key_epochs.json")
    text = path.read_text()
    assert re.fullmatch(r'\{\n "1": "[0-9a-f]{64}"\n\}', text)
    assert FIRST.decode() not in text and FIRST.hex() not in text


def test_what_earlier_days_left_is_taken_up_within_an_epoch_only(lake: Lake) -> None:
    epochs = {date(2024, 6, 27): None, date(2024, 6, 28): 1, date(2024, 6, 29): 2, date(2024, 6, 30): 2}
    for day, epoch in epochs.items():
        path = lake.ml(day, "lookalike_members")
        path.parent.mkdir(parents=True)
        path.touch()
        if epoch:
            run = lake.run_file(day, "run.json")
            run.parent.mkdir(parents=True)
            run.write_text(json.dumps({"dbt": {"key_epoch": epoch}}))
    earlier = earlier_days(lake.ml(date(2024, 7, 1), "lookalike_members"))
    assert len(earlier) == 4
    assert [path.parent.name for path in files_of_epoch(lake, earlier, 2)] == [
        "date=2024-06-29",
        "date=2024-06-30",
    ]
    assert [path.parent.name for path in files_of_epoch(lake, earlier, 1)] == ["date=2024-06-28"]
