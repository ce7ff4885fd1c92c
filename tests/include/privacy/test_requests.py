"""Requests come in from a form, a command or another system's file; access, objection and retention."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include import pipeline
from include.__main__ import main
from include.config import schema
from include.config.schema import Retention
from include.lake import Lake
from include.ledger import StepFailed
from include.privacy.requests.queue import (
    Identifier,
    RequestRefused,
    add,
    decide,
    erasing,
    keep,
    new_request,
    no_erasure,
    requests,
    take_in,
)
from include.privacy.requests.retention import expire
from include.settings import settings
from tests.include.privacy.people import (
    ANN,
    BOB,
    CARD,
    COOKIE,
    DAY,
    EMAIL,
    SHARED_PHONE,
    Shop,
    customer_ids,
    identifiers_in,
)
from tests.ways_out import WAYS_OUT

KEY = b"a key for the tests alone"
NEXT_DAY = date(2017, 12, 2)


def refused(**request: str) -> str:
    values = {"kind": "erasure", "id_type": "email", "id_value": EMAIL, "purpose": None} | request
    named = [Identifier(values["id_type"], values["id_value"])]
    with pytest.raises(RequestRefused) as problem:
        new_request(KEY, values["kind"], named, DAY, purpose=values["purpose"])
    return str(problem.value)


def test_what_is_no_request_is_refused_with_what_is_allowed() -> None:
    assert "found kind 'forget', allowed: access, erasure" in refused(kind="forget")
    assert "found id type 'mail', allowed: email, phone" in refused(id_type="mail")
    assert "value of email is empty" in refused(id_value=" ")
    assert "an objection names a purpose" in refused(kind="objection")
    assert "an objection names a purpose" in refused(purpose="advertising")


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_request_leads_out_of_the_queue(tmp_path: Path, way: str) -> None:
    """Neither by the id of a decision, nor by the one that a file of the queue says of itself."""
    lake = Lake(tmp_path / "data")
    request = new_request(KEY, "access", [Identifier("email", EMAIL)], DAY)
    path = keep(lake, replace(request, status="waiting"))
    (tmp_path / "secret.json").write_text(path.read_text())
    with pytest.raises(RequestRefused, match=rf"found .*, waiting are \['{request.request_id}'\]"):
        decide(lake, WAYS_OUT[way], "ann", True)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"request_id": WAYS_OUT[way]}))
    with pytest.raises(RequestRefused, match=f"{path.name} is no request: found the id"):
        take_in(lake, KEY, DAY)
    assert {each.name for each in tmp_path.iterdir()} == {"data", "secret.json"}


def test_a_file_of_another_system_becomes_a_request_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    folder = tmp_path / "privacy" / "requests"
    folder.mkdir(parents=True)
    named = [{"id_type": "email", "id_value": EMAIL}]
    for name in ("ticket-1.json", "ticket-1-again.json"):
        (folder / name).write_text(
            json.dumps({"kind": "access", "identifiers": named, "received_on": "2017-11-30"})
        )
    (taken,) = take_in(lake, KEY, DAY)
    assert (taken.kind, taken.received_on, taken.status) == ("access", date(2017, 11, 30), "received")
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (folder / "wrong.json").write_text('{"kind": "access", "email": "x"}')
    with pytest.raises(
        RequestRefused, match=r"wrong\.json: found \['email', 'kind'\], allowed: kind and identifiers"
    ):
        take_in(lake, KEY, DAY)


def test_equal_requests_of_a_day_are_one_and_name_nobody_in_their_id(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for _ in range(2):
        add(lake, new_request(KEY, "erasure", [Identifier("email", EMAIL)], DAY))
    add(lake, new_request(KEY, "erasure", [Identifier("email", EMAIL)], NEXT_DAY))
    assert len(requests(lake)) == 2
    assert not any(EMAIL in str(each) + each.person for each in requests(lake))


def test_the_answer_to_an_access_request_holds_all_of_ann_and_nothing_of_others(shop: Shop) -> None:
    request = shop.ask("access", "anonymous_id", COOKIE[ANN])
    before = shop.prints()
    shop.fulfil()
    folder = shop.lake.data / "privacy" / "answers" / request.request_id
    machine = json.loads((folder / "answer.json").read_text())
    rows = {name: len(rows) for name, rows in machine["tables"].items()}
    assert rows == {
        "both.audience_changes": 1, "both.audience_members": 1, "cdp.customer_identifiers": 1, "cdp.customers": 1,
        "dmp.visitors": 1, "landed.consents": 1, "landed.customers": 3, "landed.events": 3, "landed.order_lines": 2,
        "landed.orders": 2, "landed.traits": 1, "refused.customers": 1,
    }  # fmt: skip
    page = (folder / "answer.html").read_text()
    for text in (page, json.dumps(machine)):
        assert {EMAIL, COOKIE[ANN], CARD[ANN]} <= set(identifiers_in(text))
        assert "bob@mail.example.com" not in text
        assert COOKIE[BOB] not in text
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    changed = {path for path, mark in shop.prints().items() if before.get(path) != mark}
    assert {path.split("/")[0] for path in changed} <= {"privacy", "lake"}
    assert {path for path in changed if path.startswith("lake/")} == {"lake/privacy/proofs.parquet"}


def test_the_answer_says_where_ann_was_sent_and_to_a_stranger_that_nothing_is_held(shop: Shop) -> None:
    ann, bob = (customer_ids(shop)[email] for email in (EMAIL, "bob@mail.example.com"))
    decisions = shop.lake.activation(DAY) / "decisions.parquet"
    shop.write(
        decisions,
        f"""
        select * from (values
            ('meta_ads', 'all', 'cdp', '{ann}', null),
            ('google_ads', 'all', 'cdp', '{ann}', 'consent_refused:advertising'),
            ('partner', 'all', 'cdp', '{bob}', null)
        ) as decisions (destination_id, audience_id, side, member_id, reason)
        """,
    )
    asked = [shop.ask("access", "email", email) for email in (EMAIL, "nobody@mail.example.com")]
    shop.fulfil()
    folders = [shop.lake.data / "privacy" / "answers" / request.request_id for request in asked]
    of_ann, of_nobody = (json.loads((folder / "answer.json").read_text()) for folder in folders)
    assert (of_ann["sent_to"], of_nobody["sent_to"], of_nobody["tables"]) == (["meta_ads"], [], {})
    assert "Nothing is held" not in (folders[0] / "answer.html").read_text()
    assert "Nothing is held" in (folders[1] / "answer.html").read_text()


def test_an_objection_lands_as_a_refusal_of_every_identifier_of_ann(shop: Shop) -> None:
    request = shop.ask("objection", "email", EMAIL.upper(), purpose="advertising")
    shop.fulfil()
    landed = shop.rows(
        "select id_type, id_value, purpose, status, effective_at::date from "
        "read_parquet('{landing}/consents/channel=privacy_requests/*/*.parquet') order by all"
    )
    assert landed == [
        (id_type, value, "advertising", "denied", DAY)
        for id_type, value in (
            ("anonymous_id", COOKIE[ANN]),
            ("email", EMAIL),
            ("loyalty_number", CARD[ANN]),
            ("phone", "+12015550101"),
        )
    ]
    receipts = "read_parquet('{receipts}/channel=privacy_requests/*/*.parquet')"
    assert shop.rows(f"select source_file, received, landed from {receipts}") == [(request.request_id, 4, 4)]
    shop.ask("objection", "loyalty_number", CARD[BOB], purpose="analytics")
    shop.fulfil()
    assert shop.rows(f"select count(*), sum(landed) from {receipts}") == [(2, 8)]


def test_what_is_too_old_goes_and_is_counted(shop: Shop) -> None:
    retention = Retention(orders=27, events=3650, quarantine=1, answers=1)
    request = shop.ask("access", "email", EMAIL)
    shop.fulfil()
    expire(shop.lake, retention, shop.settings, DAY)
    assert (shop.lake.data / "privacy" / "answers" / request.request_id).exists()
    assert shop.landed("orders", "day(ordered_at)") == [(4,), (4,), (5,)]
    lost = expire(shop.lake, retention, shop.settings, date(2017, 12, 3))
    assert {each.place: each.rows_removed for each in lost} == {
        "orders": 3, "order_lines": 3, "quarantine": 2, "answers": 1
    }  # fmt: skip
    counts = "select sum(received - landed - quarantined - erased), sum(erased)"
    assert shop.rows(f"{counts} from read_parquet('{{receipts}}/*/*/*.parquet')") == [(0, 8)]
    assert not (shop.lake.data / "privacy" / "answers" / request.request_id).exists()
    assert expire(shop.lake, retention, shop.settings, date(2017, 12, 3)) == []


def test_lines_that_land_again_after_their_orders_went_do_not_stay(shop: Shop) -> None:
    retention = Retention(orders=27)
    expire(shop.lake, retention, shop.settings, date(2017, 12, 3))
    assert shop.landed("orders") == []
    shop.deliver("lines", DAY, ["o-1001,1,5.00", "o-1002,1,7.50"])
    shop.land(NEXT_DAY)
    expire(shop.lake, retention, shop.settings, date(2017, 12, 28))
    assert len(shop.landed("order_lines")) == 2
    expire(shop.lake, retention, shop.settings, date(2017, 12, 29))
    assert shop.landed("order_lines") == []


def test_of_consents_only_what_was_granted_grows_too_old(shop: Shop) -> None:
    assert set(shop.landed("consents", "status")) == {("granted",)}
    shop.ask("objection", "loyalty_number", CARD[ANN], purpose="advertising")
    shop.fulfil()
    expire(shop.lake, Retention(consents=1), shop.settings, date(2018, 12, 1))
    assert set(shop.landed("consents", "status")) == {("denied",)}


def test_parts_of_a_run_and_erasures_exclude_each_other(shop: Shop) -> None:
    with (
        erasing(shop.lake),
        pytest.raises(StepFailed, match="people are being erased"),
        no_erasure(shop.lake),
    ):
        pass
    with (
        no_erasure(shop.lake),
        no_erasure(shop.lake),
        pytest.raises(StepFailed, match="a run is at work"),
        erasing(shop.lake),
    ):
        pass
    with erasing(shop.lake):
        pass


def test_an_erasure_ends_the_run_that_it_meets(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CONFIG", str(shop.source))
    monkeypatch.setenv("TANDEM_DATA", str(shop.lake.data))
    settings.cache_clear()
    pipeline.open_run(DAY)
    shop.ask("access", "loyalty_number", CARD[BOB])
    pipeline.fulfil_requests(DAY)
    pipeline.complete_landing(DAY)
    shop.ask("erasure", "loyalty_number", CARD[ANN])
    with no_erasure(shop.lake), pytest.raises(StepFailed, match="a run is at work"):
        pipeline.fulfil_requests(DAY)
    pipeline.fulfil_requests(DAY)
    with pytest.raises(StepFailed, match="no run of 2017-12-01 is open"):
        pipeline.complete_landing(DAY)
    pipeline.open_run(DAY)
    pipeline.complete_landing(DAY)
    settings.cache_clear()


def test_what_ann_shares_with_bob_stays_with_bob(shop: Shop) -> None:
    edges = shop.lake.identity(DAY, "edges")
    shop.write(
        edges.with_name("more.parquet"),
        f"""
        from read_parquet('{edges}')
        union all
        select * replace ('phone' as id_type, '+12015550199' as id_value, 'blocked' as status, 'shared' as reason)
        from read_parquet('{edges}') where record_id = 'C9' and id_type = 'email'
        """,
    )
    edges.with_name("more.parquet").replace(edges)
    shop.ask("erasure", "loyalty_number", CARD[ANN])
    shop.fulfil()
    assert shop.landed("customers", "record_id, phone") == [("C2", SHARED_PHONE), ("C3", None)]


@pytest.fixture
def folders(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the command is told of the shop and the day."""
    for name in ("TANDEM_CONFIG", "TANDEM_DATA"):
        monkeypatch.setenv(name, "")  # the command sets them
    settings.cache_clear()
    yield ["--config", str(shop.source), "--data", str(shop.lake.data), "--date", f"{DAY}"]
    settings.cache_clear()


def test_the_command_takes_a_request_in_and_works_off_the_queue(
    shop: Shop, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CARD[BOB]}\n"))
    request = ["--kind", "objection", "--purpose", "email", "--id-type", "loyalty_number", "--id", "-"]
    assert main(["privacy", *folders, *request]) == 0
    assert "1 requests done, 0 wait for approval" in capsys.readouterr().out
    (done,) = requests(shop.lake)
    assert (done.kind, done.status, done.purpose, done.identifiers) == ("objection", "done", "email", ())
    assert main(["privacy", *folders, "--approve", done.request_id, "--by", "Dana"]) == 1
    assert "is done, and not waiting" in capsys.readouterr().err


def test_the_command_says_how_to_approve_and_where_the_answer_lies(
    shop: Shop, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = (Path(schema.__file__).parent / "privacy.yml").read_text()
    limited = defaults.replace("approve_above_customers: 1", "approve_above_customers: 0")
    (shop.source / "privacy.yml").write_text(limited)
    assert main(["privacy", *folders, "--kind", "access", "--id", EMAIL]) == 0
    _, said = capsys.readouterr().out.split("python -m include ")
    assert main(said.replace("...", "Dana").split()) == 0
    (done,) = requests(shop.lake)
    assert f"answered in privacy/answers/{done.request_id}" in capsys.readouterr().out
