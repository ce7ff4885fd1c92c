from __future__ import annotations

import gzip
import json

import pytest

from include.ledger import StepFailed
from tests.include.extract.malformed import LINES, damage_of

FILE = "calls_2017-12-01.jsonl"


def line(number: int, **more) -> str:
    return json.dumps({"id": f"c{number}", "at": "2017-12-01T10:00:00Z", "seconds": 60, **more}) + "\n"


def ids(desk) -> list[str]:
    return [item["interaction_id"] for item in desk.landed()]


DAMAGES = {name: damage_of(kind) for name, kind in LINES.items() if kind.quarantined}
OF_ONE_ID = [name for name in DAMAGES if "id" not in name.split() and "key" not in name.split()]


def test_damaged_events_are_quarantined_alone_with_their_text(web):
    damages = [
        DAMAGES[name].replace(b'"id"', b'"type": "page", "messageId"').replace(b'"at"', b'"timestamp"')
        for name in OF_ONE_ID
    ]
    good = b'{"messageId": "m", "type": "page", "timestamp": "2017-12-01T10:00:00Z"}\n'
    web.deliver("web_2017-12-01.jsonl", b"".join(damage + b"\n\n" + good for damage in damages))
    result = web.extract()
    assert (result.landed, result.quarantined) == (len(damages), len(damages))
    raw = [
        (bad["source_row"], bad["raw"].encode("latin-1" if bad["reason"] == "encoding" else "utf-8"))
        for bad in web.quarantined()
    ]
    assert raw == list(zip(range(1, 3 * len(damages), 3), damages, strict=True))


def test_unknown_keys_are_kept_nested_ones_as_json(calls):
    calls.deliver(FILE, line(1, agent="Ann", call={"queue": [1, 2]}, empty=None))
    calls.extract()
    assert calls.landed()[0]["attributes"] == {"agent": "Ann", "call": '{"queue":[1,2]}'}


def test_an_unreadable_optional_value_is_kept_and_its_row_lands(calls):
    calls.deliver(FILE, line(1) + line(2, seconds="a minute") + line(3, seconds=-5) + line(4, seconds=1.5))
    calls.extract()
    landed = [(item["duration_seconds"], item["rejected_values"]) for item in calls.landed()]
    assert landed == [
        (60, {}),
        (None, {"duration_seconds": "a minute"}),
        (None, {"duration_seconds": "-5"}),
        (None, {"duration_seconds": "1.5"}),
    ]


def test_depth_nan_and_a_line_of_three_megabytes_are_read(calls):
    deep = '{"id": "c1", "at": "2017-12-01", "tree": ' + "[" * 400 + "]" * 400 + "}\n"
    calls.deliver(FILE, deep + line(2, note="x" * 3_000_000) + line(3, score=float("nan")) + line(4))
    assert calls.extract().landed == 4
    landed = calls.landed()
    assert len(landed[0]["attributes"]["tree"]) == 800
    assert len(landed[1]["attributes"]["note"]) == 3_000_000
    assert landed[2]["attributes"]["score"] == "NaN"


def test_a_line_that_never_ends_is_cut_and_harms_no_other(calls):
    calls.deliver(FILE, gzip.compress((line(1) + line(2, note="x" * 40_000_000) + line(3)).encode(), 1))
    result = calls.extract()
    assert (result.landed, result.quarantined) == (2, 1)
    assert [item["source_row"] for item in calls.landed()] == [1, 3]
    assert calls.reasons() == [(2, "malformed")]


@pytest.mark.parametrize("share", [1, 10, 100])
def test_any_share_of_damage_leaves_the_good_rows_as_they_were(calls, share):
    damages = [damage for damage in DAMAGES.values() if len(damage) < 10_000]
    mixed = b"".join(
        line(number).encode() if number % 100 >= share else damages[number % len(damages)] + b"\n"
        for number in range(2000)
    )
    calls.deliver(FILE, mixed)
    result = calls.extract()
    expected = [f"c{number}" for number in range(2000) if number % 100 >= share]
    assert result.received == 2000
    assert ids(calls) == expected


def test_a_key_that_no_line_has_fails_with_the_nearest_one(calls):
    calls.deliver(FILE, line(1).replace('"id"', '"ID"') + line(2).replace('"id"', '"ID"'))
    with pytest.raises(
        StepFailed, match=r"channel calls: calls_2017-12-01.jsonl has no column 'id' .*nearest: 'ID'"
    ):
        calls.extract()


def test_binary_rubbish_as_a_whole_file_is_quarantined_whole(calls):
    calls.deliver(FILE, b"".join(bytes([137, 80, 255, 0, number % 10, 200, 10]) for number in range(300)))
    result = calls.extract()
    assert result.received > 0
    assert (result.landed, result.quarantined) == (0, result.received)


def test_an_empty_file_fails_unless_the_day_may_be_missing(calls):
    calls.deliver(FILE, "")
    with pytest.raises(StepFailed, match=r"channel calls: .*calls_2017-12-01.jsonl is empty"):
        calls.extract()
    calls.channel = calls.channel.model_copy(update={"required": False})
    assert calls.extract().received == 0


def test_an_expression_over_keys_sees_missing_ones_as_null(calls):
    entry = {"sql": "coalesce(mobile, landline)"}
    channel = calls.channel.model_dump(mode="json") | {
        "map": {"interaction_id": "id", "occurred_at": "at", "phone": entry}
    }
    calls.channel = type(calls.channel).model_validate(channel)
    calls.deliver(FILE, line(1, landline="1") + line(2, mobile="2", landline="3") + line(3))
    calls.extract()
    assert [item["phone"] for item in calls.landed()] == ["1", "2", None]
