"""Every kind of malformed input ends in quarantine with a reason, or in an error that says which file and what to do;
nothing is lost, and all else in the delivery lands."""

from __future__ import annotations

import gzip
import os
import stat
import tempfile
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from include.ledger import StepFailed
from tests.include.extract.conftest import Desk
from tests.include.extract.malformed import (
    AMOUNTS,
    AS_IT_CAME,
    FILES,
    HEADER,
    LINES,
    ROWS,
    TABLES,
    Kind,
    call,
    damage_of,
    row,
)

SECONDS = 10


def hold(desk: Desk, name: str, kind: Kind) -> None:
    """Deliver what is malformed, and hold what becomes of it to what has to."""
    path = desk.folder / name
    if callable(kind.content):
        path.parent.mkdir(parents=True)
        kind.content(path)
    else:
        desk.deliver(name, kind.content)
    began = time.process_time()
    if kind.refused:
        with pytest.raises(
            StepFailed, match=f"(?s)^channel {desk.channel.name}: .*{kind.refused}"
        ) as failure:
            desk.extract()
        assert name in str(failure.value)
        assert not list(desk.lake.root.rglob("*.parquet"))
    else:
        result = desk.extract()  # which counts what was received, landed and quarantined
        assert (result.files, result.landed) == (1, kind.landed)
        assert dict(desk.reasons()) == kind.quarantined
        rejected = [item["rejected_values"] for item in desk.landed() if item["rejected_values"]]
        assert [{column: given[column] for column in kind.without} for given in rejected] == (
            [kind.without] if kind.without else []
        )
    assert time.process_time() - began < SECONDS


def hold_at_once(desk: Desk, name: str, kinds: dict[str, Kind]) -> dict[str, list[dict]]:
    """Deliver several kinds, none of which is refused, each in a file of its own, and hold what becomes of each file to
    what has to. The channel lands them in one run, which takes half of the time of one for each. Returns what is
    quarantined of each."""
    source = desk.channel.source.model_copy(update={"path": name.format("*").replace("2017-12-01", "{date}")})
    desk.channel = desk.channel.model_copy(update={"source": source})
    files = {name.format(number): kind for number, kind in enumerate(kinds)}
    for file, kind in files.items():
        assert not kinds[kind].refused
        desk.deliver(file, kinds[kind].content)
    began = time.process_time()
    result = desk.extract()
    assert time.process_time() - began < SECONDS
    assert (result.files, result.landed) == (len(kinds), sum(kind.landed for kind in kinds.values()))
    landed, refused = by_file(desk.landed()), by_file(desk.quarantined())
    for file, name_of_kind in files.items():
        kind = kinds[name_of_kind]
        assert len(landed[file]) == kind.landed, name_of_kind
        reasons = {row["source_row"]: row["reason"] for row in refused[file]}
        assert (reasons, len(refused[file])) == (kind.quarantined, len(kind.quarantined)), name_of_kind
        rejected = [row["rejected_values"] for row in landed[file] if row["rejected_values"]]
        assert [{column: given[column] for column in kind.without} for given in rejected] == (
            [kind.without] if kind.without else []
        ), name_of_kind
    return {kind: refused[file] for file, kind in files.items()}


def by_file(rows: list[dict]) -> dict[str, list[dict]]:
    files = defaultdict(list)
    for item in rows:
        files[item["source_file"]].append(item)
    return files


def test_the_list_has_forty_kinds_and_more() -> None:
    assert len({*FILES, *ROWS, *LINES, *AMOUNTS, *TABLES}) >= 90


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_is_refused_and_named(customers: Desk, name: str) -> None:
    hold(customers, "customers_2017-12-01.csv", FILES[name])


def test_a_malformed_row_is_set_apart_alone(customers: Desk) -> None:
    hold_at_once(customers, "customers_{}_2017-12-01.csv", ROWS)


def test_a_malformed_line_is_set_apart_alone_with_its_text(calls: Desk) -> None:
    for name, refused in hold_at_once(calls, "calls_{}_2017-12-01.jsonl", LINES).items():
        for bad in refused:
            raw = bad["raw"].encode("latin-1" if bad["reason"] == "encoding" else "utf-8")
            assert raw == damage_of(LINES[name]), name


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_that_is_none_is_never_made_to_fit(desk: Desk, name: str) -> None:
    desk.describe(
        kind="order_lines", path="lines.csv", format="csv",
        map={"order_id": "o", "line_number": "n", "quantity": "q", "unit_price": "p"},
    )  # fmt: skip
    kind = AMOUNTS[name]
    whole = Kind(
        f"o,n,q,p\n1,1,1,1\n{kind.content}\n1,3,1,1\n", kind.landed, kind.quarantined, "", kind.without
    )
    hold(desk, "lines.csv", whole)


@pytest.mark.parametrize("name", TABLES)
def test_a_malformed_table_is_refused_or_its_rows_set_apart(desk: Desk, name: str) -> None:
    desk.describe(
        name="calls", kind="interactions", path="calls.parquet", format="parquet",
        map={"interaction_id": "id", "occurred_at": "at"},
    )  # fmt: skip
    hold(desk, "calls.parquet", TABLES[name])


@pytest.mark.parametrize(
    "content", ["", "\n \r\n", gzip.compress(b""), "\ufeff"], ids=["empty", "blank", "packed", "mark"]
)
@pytest.mark.parametrize(
    ("text_format", "filled"),
    [("csv", "id,at\nc1,2017-12-01\n"), ("jsonl", call(1)), ("json", f"[{call(1)}]")],
)
def test_an_empty_file_of_an_optional_channel_is_no_rows_that_day_and_after(
    desk: Desk, text_format: str, filled: str, content: bytes | str
) -> None:
    desk.describe(
        kind="interactions", path=f"calls_{{date}}.{text_format}", format=text_format, required=False,
        map={"interaction_id": ["call", "id"], "occurred_at": {"sql": "at::timestamp"}},
        **({"null_values": ["", "n/a"]} if text_format == "csv" else {}),
    )  # fmt: skip
    desk.deliver(f"calls_2017-11-30.{text_format}", content)
    assert desk.extract(date(2017, 11, 30)).received == 0
    desk.deliver(f"calls_2017-12-01.{text_format}", filled)
    assert desk.extract().landed == 1
    assert [item["interaction_id"] for item in desk.landed()] == ["c1"]


@pytest.mark.parametrize(
    ("spec", "layout"),
    [
        ("segment", {"format": "csv"}),
        ("ga4", {"format": "jsonl"}),
        ("snowplow", {"format": "csv", "delimiter": "\t", "header": False}),
        ("apache_combined", {"format": "text"}),
    ],
)
def test_an_empty_file_of_an_optional_channel_is_no_rows_by_any_spec(
    desk: Desk, spec: str, layout: dict
) -> None:
    desk.describe(kind="events", spec=spec, path="web_{date}", required=False, **layout)
    desk.deliver("web_2017-12-01", "")
    assert (desk.extract().files, desk.landed()) == (1, [])


def test_what_only_looks_like_damage_lands_as_it_came(customers: Desk) -> None:
    customers.deliver(
        "customers_2017-12-01.csv", HEADER + "".join(row(f'"{text}"', size=text) for text in AS_IT_CAME)
    )
    customers.extract()
    landed = [(item["record_id"], item["attributes"]["shoe_size"]) for item in customers.landed()]
    assert landed == [(text, text) for text in AS_IT_CAME]


def test_the_name_of_a_file_does_nothing(desk: Desk) -> None:
    names = ["x'); drop table landed;--.csv", "a b\n%2e%2e.csv", "\N{DOG FACE}$(id).csv", "-rf.csv"]
    desk.describe(path="in/*.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at"})
    for number, name in enumerate(names):
        desk.deliver(f"in/{name}", HEADER + row(number))
    desk.extract()
    landed = {item["record_id"]: item["source_file"] for item in desk.landed()}
    assert landed == {str(number): f"in/{name}" for number, name in enumerate(names)}


def test_a_link_within_the_folder_is_followed(desk: Desk) -> None:
    desk.describe(path="in/*/crm.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at"})
    desk.deliver("in/old/data.csv", HEADER + row(1))
    (desk.folder / "in" / "new").mkdir()
    (desk.folder / "in" / "new" / "crm.csv").symlink_to("../old/data.csv")
    assert desk.extract().landed == 1


@pytest.mark.parametrize("path", ["in/*/crm.csv", "in/**/*.csv"])
def test_a_link_to_a_folder_elsewhere_is_refused(desk: Desk, path: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "crm.csv").write_text(HEADER + row(1))
    desk.describe(path=path, format="csv", map={"record_id": "id", "observed_at": "updated_at"})
    desk.deliver("in/old/crm.csv", HEADER + row(1))
    (desk.folder / "in" / "new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        StepFailed, match=r"in/new/crm\.csv is a link to a file outside of .*/files/in: deliver"
    ):
        desk.extract()
    assert not desk.prints()


def test_a_file_that_may_not_be_read_is_named(customers: Desk) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)  # the folder of the tests is closed to others
        path = Path(place) / "customers_2017-12-01.csv"
        path.write_text(HEADER + row(1))
        path.chmod(0)
        customers.describe(
            path=f"{place}/customers_{{date}}.csv", format="csv",
            map={"record_id": "id", "observed_at": "updated_at"},
        )  # fmt: skip
        with pytest.raises(
            StepFailed, match=r"crm: .*customers_2017-12-01\.csv cannot be read \(Permission denied\)"
        ):
            _as_nobody(customers)
        path.chmod(stat.S_IRUSR)
        assert customers.extract().landed == 1


def _as_nobody(desk: Desk) -> None:
    """Extract without the rights of root, whom nothing is closed to."""
    lake = tempfile.mkdtemp()
    Path(lake).chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        desk.lake = type(desk.lake)(Path(lake))
        desk.extract()
    finally:
        if is_root:
            os.seteuid(0)


def test_the_limits_are_those_of_the_source(calls: Desk) -> None:
    deep = b'{"id": "x", "at": "2017-12-01", "tree": [[[1]]]}\n'
    wide = b'{"id": "y", "at": "2017-12-01", "a": 1, "b": 2, "c": 3}\n'
    text = b'{"id": "z", "at": "2017-12-01", "text": "[[[[{{{{::::::"}\n'
    calls.deliver("calls_2017-12-01.jsonl", deep + wide + text)
    entry = calls.channel.model_dump(mode="json", exclude={"source"})
    for limits, refused in (({"max_depth": 3}, [1]), ({"max_fields": 4}, [2]), ({}, [])):
        source = {"path": "calls_{date}.jsonl", "format": "jsonl"} | limits
        calls.describe(**entry | source)
        calls.extract()
        assert [number for number, _ in calls.reasons()] == refused
