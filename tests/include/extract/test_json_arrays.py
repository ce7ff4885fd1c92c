from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict

import pytest

from include.extract.formats import arrays
from include.ledger import StepFailed
from tests.include.extract.conftest import DAY

FILE = "calls_2017-12-01.json"
STYLES = {
    "compact": {"separators": (",", ":")},
    "in one line": {},
    "indented": {"indent": 2},
}


def call(number: int, **more) -> dict:
    return {"id": f"c{number}", "at": "2017-12-01T10:00:00Z", "seconds": 60, **more}


def ids(desk) -> list[str]:
    return [item["interaction_id"] for item in desk.landed()]


@pytest.fixture
def calls(calls):
    source = calls.channel.source.model_copy(update={"format": "json", "path": "calls_{date}.json"})
    calls.channel = calls.channel.model_copy(update={"source": source})
    return calls


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some hundred bytes, so that elements and their damage lie across their borders."""
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 300)


def within(desk, records: str) -> None:
    source = desk.channel.source.model_copy(update={"records": records})
    desk.channel = desk.channel.model_copy(update={"source": source})


def take_several(calls) -> None:
    source = calls.channel.source.model_copy(update={"path": "calls_*_{date}.json"})
    calls.channel = calls.channel.model_copy(update={"source": source})


TRICKY = [
    call(1, note='a "quoted", {bracketed] text\\'),
    call(2, note="\\\\", items=[{"id": "i1"}, {"id": "i2"}]),
    call(3, note="line\nend", tree={"a": [[], {}, [1, [2]]]}),
    call(4, note="ü\u2028 😀", empty=""),
    call(5, note='},{"id":"x"'),
    call(6),
]


@pytest.mark.parametrize("size", [7, 50, 300, 1 << 20])
def test_every_element_is_a_row_wherever_a_block_ends(calls, monkeypatch, size):
    """However the array is written; each style is in a file of its own."""
    monkeypatch.setattr(arrays, "BLOCK_BYTES", size)
    take_several(calls)
    for name, style in STYLES.items():
        calls.deliver(f"calls_{name}_{DAY}.json", json.dumps(TRICKY, ensure_ascii=False, **style))
    assert calls.extract().files == len(STYLES)
    landed = calls.landed()
    assert [(item["source_file"], item["interaction_id"], item["source_row"]) for item in landed] == [
        (f"calls_{name}_{DAY}.json", f"c{number}", number)
        for name in sorted(STYLES)
        for number in range(1, 7)
    ]
    assert [item["attributes"].get("note") for item in landed] == [
        element.get("note") for _ in STYLES for element in TRICKY
    ]
    items = [item["attributes"]["items"] for item in landed if item["interaction_id"] == "c2"]
    assert items == ['[{"id":"i1"},{"id":"i2"}]'] * len(STYLES)


def test_records_says_where_the_array_is(calls, small_blocks):
    within(calls, "result.calls")
    other = {
        "calls": [call(8)],
        "list": [[call(9)], {"result": {"calls": [call(10)]}}],
        "text": 'a "calls": [',
    }
    document = {
        "other": other,
        "result": {"page": 1, "calls": [call(1), call(2)], "next": [call(7)]},
        "calls": [],
    }
    calls.deliver(FILE, json.dumps(document))
    calls.extract()
    assert ids(calls) == ["c1", "c2"]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("result.rows", "no array at records: 'result.rows', keys present: page, calls$"),
        ("rows", "no array at records: 'rows', keys present: other, result$"),
        ("result.page", "no array at records: 'result.page': result.page is 1$"),
        ("result", "no array at records: 'result': result is an object$"),
        ("other.calls", "no array at records: 'other.calls': other is an array$"),
    ],
)
def test_a_wrong_path_fails_with_the_keys_present(calls, records, expected):
    within(calls, records)
    calls.deliver(FILE, json.dumps({"other": [{"rows": []}], "result": {"page": 1, "calls": []}}))
    with pytest.raises(StepFailed, match=rf"channel calls: .*{FILE} has {expected}"):
        calls.extract()


def test_a_path_into_an_array_fails_and_says_so(calls):
    within(calls, "calls")
    calls.deliver(FILE, json.dumps([call(1)]))
    with pytest.raises(StepFailed, match="the document is no object, leave records out"):
        calls.extract()


def test_a_document_that_is_one_object_is_one_row(calls, small_blocks):
    calls.deliver(FILE, json.dumps(call(1, note="x" * 1000), indent=1))
    calls.extract()
    assert [(item["interaction_id"], item["source_row"]) for item in calls.landed()] == [("c1", 1)]


@pytest.mark.parametrize("text", ["[]", " [ \n ] ", "[\n]\n"])
def test_an_empty_array_has_no_rows(calls, text):
    calls.deliver(FILE, text)
    assert calls.extract().received == 0


@pytest.mark.parametrize("packing", [gzip.compress, lambda text: text.decode().encode("utf-16")])
def test_packed_and_recoded_documents_are_read(calls, packing):
    calls.deliver(FILE, packing(json.dumps([call(1), call(2, note="ü")], ensure_ascii=False).encode()))
    calls.extract()
    assert ids(calls) == ["c1", "c2"]


DAMAGES = {
    "an open quote": b'{"id": "x, "at": "2017-12-01"}',
    "cut off": b'{"id": "x", "at": "2017-',
    "an open brace": b'{"id": "x", "at": "2017-12-01", "more": {"a": 1}',
    "an open bracket 500 times": b'{"id": "x", "at": ' + b"[" * 500,
    "a brace too many": b'{"id": "x", "at": "2017-12-01"}}',
    "a bracket too many": b'{"id": "x", "at": "2017-12-01"]}',
    "closed by the wrong bracket": b'{"id": "x", "list": [1, 2}, "at": "2017-12-01"}',
    "words": b"Traceback (most recent call last)",
    "a number": b"42",
    "an array": b"[1, 2]",
    "two objects": b'{"id": "x"}{"id": "y"}',
    "single quotes": b"{'id': 'x'}",
    "invalid UTF-8": b'{"id": "\xff\xfe", "at": "2017-12-01"}',
    "a NUL": b'{"id": "x\x00", "at": "2017-12-01"}',
    "a missing id": b'{"at": "2017-12-01T10:00:00Z"}',
    "an inner object cut off": b'{"at": "2017-12-01", "call": {"agent": {"name": "A',
}


@pytest.mark.parametrize("between", [b",", b",\n", b", \n  "], ids=["compact", "one per line", "indented"])
@pytest.mark.parametrize("size", [300, 1 << 20])
def test_a_damaged_element_is_quarantined_alone_with_its_text(calls, monkeypatch, between, size):
    """Each damage is in a file of its own; the channel lands them in one run, which is faster."""
    monkeypatch.setattr(arrays, "BLOCK_BYTES", size)
    take_several(calls)
    good = [json.dumps(call(number)).encode() for number in range(20)]
    damaged = {f"calls_{number}_{DAY}.json": damage for number, damage in enumerate(DAMAGES.values())}
    for name, damage in damaged.items():
        calls.deliver(name, b"[" + between.join([*good[:10], damage, *good[10:]]) + b"]")
    result = calls.extract()
    assert (result.files, result.landed, result.quarantined) == (
        len(damaged),
        20 * len(damaged),
        len(damaged),
    )
    landed = defaultdict(list)
    for row in calls.landed():
        landed[row["source_file"]].append(row["interaction_id"])
    bad = {row["source_file"]: row for row in calls.quarantined()}
    for name, damage in damaged.items():
        assert bad[name]["source_row"] == 11, damage
        is_text = bad[name]["reason"] != "encoding"
        assert bad[name]["raw"].encode("utf-8" if is_text else "latin-1") == damage
        assert landed[name] == [f"c{number}" for number in range(20)], damage


@pytest.mark.parametrize("at", [0.3, 0.5, 0.99])
def test_a_file_that_is_cut_off_gives_its_complete_elements_and_one_bad_row(calls, small_blocks, at):
    text = json.dumps([call(number) for number in range(50)])
    cut = text[: int(len(text) * at)]
    complete = cut.count("}")
    calls.deliver(FILE, cut)
    result = calls.extract()
    assert (result.landed, result.quarantined) == (complete, 1)
    assert calls.quarantined()[0]["raw"] == cut[cut.rfind("{") :]
    assert calls.reasons() == [(complete + 1, "malformed")]


def test_damage_beside_elements_with_the_like_inside_lands_no_part_of_one(calls):
    nested = [
        call(number) | {"id": f"c{number}", "items": [{"id": "i1"}, {"id": "i2"}]} for number in range(5)
    ]
    good = [json.dumps(element) for element in nested]
    calls.deliver(FILE, "[" + ", ".join([*good, good[0][:-20], *good]) + "]")
    calls.extract()
    assert {item["interaction_id"] for item in calls.landed()} <= {f"c{number}" for number in range(5)}
    assert calls.quarantined()


def test_an_element_that_never_ends_is_cut_and_harms_no_other(calls):
    elements = [call(1), call(2), call(3, note="x" * 40_000_000), call(4)]
    calls.deliver(FILE, gzip.compress(json.dumps(elements).encode(), 1))
    calls.extract()
    assert ids(calls) == ["c1", "c2", "c4"]
    assert calls.reasons() == [(3, "malformed")]


def test_an_array_lands_as_the_same_lines_do(calls, small_blocks):
    draw = random.Random(3)
    elements = [
        call(n, note="".join(draw.choices('"\\{}[],: \nü', k=draw.randrange(12)))) for n in range(300)
    ]
    calls.deliver(FILE, json.dumps(elements))
    calls.extract()
    from_array = calls.landed("* exclude (source_file)")
    source = calls.channel.source.model_copy(update={"format": "jsonl"})
    calls.channel = calls.channel.model_copy(update={"source": source})
    calls.deliver(FILE, "".join(json.dumps(element) + "\n" for element in elements))
    calls.extract()
    assert calls.landed("* exclude (source_file)") == from_array
    assert len(from_array) == 300


def test_segment_events_come_as_an_array_too(web):
    source = web.channel.source.model_copy(
        update={"format": "json", "path": "web_{date}.json", "records": "batch"}
    )
    web.channel = web.channel.model_copy(update={"source": source})
    event = {"messageId": "m1", "type": "page", "timestamp": "2017-12-01T10:00:00Z", "writeKey": "w"}
    web.deliver("web_2017-12-01.json", json.dumps({"batch": [event, {**event, "type": "dance"}]}, indent=1))
    web.extract()
    (landed,) = web.landed()
    assert (landed["event_id"], landed["source_row"], landed["attributes"]) == ("m1", 1, {"writeKey": "w"})
    assert web.reasons() == [(2, "not_allowed:type")]
