"""An erased person is found nowhere, everybody else is where they were, and nothing brings the person back."""

from __future__ import annotations

import json
import shutil
import stat
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include.config import load_configuration
from include.extract import extract_channel
from include.ledger import StepFailed
from include.privacy.epochs import hold_key_to_its_epoch
from include.privacy.pseudonym import visitor_id
from include.privacy.requests import erase
from include.privacy.requests.places import places, unknown_files
from include.privacy.requests.queue import RequestRefused, decide, requests
from include.publish import verify_release
from include.publish.manifest import read_manifest
from tests.include.privacy.people import (
    ADDED,
    ANN,
    ANNS_VALUES,
    BOB,
    CARD,
    CHANNELS,
    COOKIE,
    CYD,
    DAY,
    EMAIL,
    FILES,
    REMOVED,
    Shop,
    copied,
    customer_ids,
    limited,
)
from tests.privacy.searching import find_secrets, with_hashes

NEXT_DAY = date(2017, 12, 2)
SECRETS = with_hashes(ANNS_VALUES)
# Places that an erasure does not change: they hold keyed hashes or nothing, or are not ours.
UNTOUCHED = {
    "receipts",
    "erasures",
    "requests",
    "locks",
    "demo",
    "hand_overs",
    "tables",
    "warehouse",
    "left_over",
    "answers",
    "removals",
}


def files_with_ann(shop: Shop) -> set[str]:
    """All but what tells a destination to remove her."""
    files = [
        path
        for path in shop.lake.data.rglob("*")
        if path.is_file() and path.suffix != ".duckdb" and path != shop.lake.data / REMOVED
    ]
    secrets = SECRETS | {customer_ids(shop).get(EMAIL, "no customer")}
    found = find_secrets(frozenset(secrets), files)
    return {Path(path).relative_to(shop.lake.data).as_posix() for path in found}


def test_ann_is_in_every_place_before_and_found_in_none_after(filled: Shop, erased: Shop) -> None:
    before = files_with_ann(filled)
    held = {place.name for place in places() if any(place.fits(path) for path in before)}
    assert held | UNTOUCHED >= {place.name for place in places()}
    ann = customer_ids(filled)[EMAIL]
    files = [path for path in erased.lake.data.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert not erased.lake.spark_warehouse.exists()
    found = find_secrets(SECRETS | {ann}, [path for path in files if path.suffix != ".duckdb"])
    assert set(found) == {str(erased.lake.data / REMOVED)}
    database = erased.lake.current / "tandem.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        (emails,) = connection.execute("select list(email order by email) from cdp.customers").fetchone()
    assert emails == ["bob@mail.example.com", "cyd@mail.example.com"]


def test_a_destination_that_fetches_files_hears_whom_to_remove_and_adds_nobody_erased(
    filled: Shop, erased: Shop
) -> None:
    before, after = (
        {name: (shop.lake.data / name).read_text().splitlines() for name in (ADDED, REMOVED)}
        for shop in (filled, erased)
    )
    assert after[REMOVED] == before[REMOVED] and len(after[REMOVED]) == 2
    assert after[ADDED] == [line for line in before[ADDED] if line != before[REMOVED][1]]


def test_the_proof_says_what_was_removed_where_and_names_nobody(erased: Shop) -> None:
    proof = erased.rows(
        "select place, rows_removed, residue, decided_by from read_parquet('{privacy}/proofs.parquet') order by place"
    )
    assert {place for place, *_ in proof} == {place.name for place in places()}
    assert {residue for _, _, residue, _ in proof} == {0}
    removed = {place: rows for place, rows, *_ in proof}
    # Two records, two events, two states of an order, its two lines, one statement, one consent; and in Cyd's record
    # and event the name of Ann.
    assert removed["landing"] == 12
    assert removed["quarantine"] == 1
    text = json.dumps(erased.rows("from read_parquet('{privacy}/proofs.parquet')"), default=str)
    assert not any(secret in text for secret in SECRETS)


def test_files_that_do_not_hold_ann_are_not_written(filled: Shop, erased: Shop) -> None:
    held = files_with_ann(filled) | {f"lake/landing/order_lines/channel=lines/date={DAY}/part.parquet"}
    before, after = filled.prints(), erased.prints()
    rebuilt = (
        "lake/staged/",
        "lake/tables/",
        "warehouse.duckdb",
        "warehouse/",
        "published/releases",
        "lake/receipts",
        "lake/privacy",
    )
    same = {path for path in before if path not in held and not path.startswith(rebuilt)}
    assert len(same) > 15
    assert {path for path in same if before[path] != after.get(path)} == set()


def test_what_landed_is_as_if_ann_had_never_been_there(erased: Shop, without_ann: Shop) -> None:
    for kind in ("orders", "order_lines", "traits", "consents"):
        assert erased.landed(kind) == without_ann.landed(kind) != []
    assert erased.landed("customers", "record_id, email, phone") == without_ann.landed(
        "customers", "record_id, email, phone"
    )
    assert erased.landed("customers", "map_values(attributes)")[-1] == (["friend of (erased)"],)
    assert ("https://shop.example.com/r?from=(erased)",) in erased.landed("events", "url")
    assert erased.landed("events", "event_id") == without_ann.landed("events", "event_id")


def test_a_run_after_it_finds_the_same_customers_as_if_ann_had_never_been_there(
    erased: Shop, without_ann: Shop, tmp_path: Path
) -> None:
    shop = copied(erased, tmp_path)
    shop.resolve(NEXT_DAY)
    without_ann.resolve(NEXT_DAY)
    for day in (DAY, NEXT_DAY):
        for name in ("identifier_customers", "node_customers", "edges", "ids"):
            query = f"from read_parquet('{{identity}}/date={day}/{name}.parquet') order by all"
            assert shop.rows(query) == without_ann.rows(query) != []


def test_received_is_landed_quarantined_and_erased(erased: Shop) -> None:
    receipts = erased.rows(
        "select sum(received), sum(landed), sum(quarantined), sum(erased) from read_parquet('{receipts}/*/*/*.parquet')"
    )
    assert receipts == [(20, 8, 1, 11)]
    (landed,) = erased.rows("select sum(num_rows) from parquet_file_metadata('{landing}/*/*/*/*.parquet')")[0]
    assert landed == 8


def test_no_late_file_and_no_backfill_brings_ann_back(erased: Shop, tmp_path: Path) -> None:
    shop = copied(erased, tmp_path)
    shop.deliver("crm", NEXT_DAY, [
        "C77,2017-12-02 09:00:00, ANN.example@mail.example.com ,,Ann,,",
        "C78,2017-12-02 09:00:00,,001 201 555 0101,A.,,",
        "C1,2017-12-02 09:00:00,new@mail.example.com,,Ann,,",
        "C5,2017-12-02 09:00:00,dan@mail.example.com,,Dan,,",
        ",2017-12-02 09:00:00,ann.example@mail.example.com,,Ann,,no id",
    ])  # fmt: skip
    shop.deliver(
        "web",
        NEXT_DAY,
        [f"e9,2017-12-02 09:00:00,{COOKIE[ANN]},,u", f"e10,2017-12-02 09:00:00,{COOKIE[BOB]},,u"],
    )
    shop.deliver(
        "shop", NEXT_DAY, ["o-1001,2017-12-02 10:00:00,,returned", "o-1003,2017-12-02 10:00:00,,paid"]
    )
    shop.deliver("lines", NEXT_DAY, ["o-1001,3,1.00", "o-1003,1,2.00"])
    late = shop.land(NEXT_DAY)
    assert late["crm"] == (5, 1, 0, 4)
    assert late["web"] == (2, 1, 0, 1)
    assert late["shop"] == (2, 1, 0, 1)
    assert late["lines"] == (2, 1, 0, 1)
    assert files_with_ann(shop) == set()
    # Another map lands all files again.
    (shop.source / "channels.yml").write_text(
        CHANNELS.replace("given_name: name", "given_name: name, city: note")
    )
    again = replace(shop, configuration=load_configuration(shop.source)).land(NEXT_DAY)
    assert again["crm"] == (11, 3, 1, 7)
    assert files_with_ann(shop) == {
        "lake/landing/customers/channel=crm/date=2017-12-01/part.parquet"
    }  # Cyd's note
    assert Counter(shop.landed("orders", "order_id")) == {("o-1002",): 1, ("o-1003",): 1}


def test_ann_comes_back_by_a_request_from_its_day_on(erased: Shop, tmp_path: Path) -> None:
    shop = copied(erased, tmp_path)
    shop.ask("return", "phone", "201 555 0101", day=NEXT_DAY)
    shop.fulfil(NEXT_DAY)
    shop.deliver("crm", NEXT_DAY, [
        "C80,2017-12-02 09:00:00,ann.example@mail.example.com,,Ann,,",
        "C81,2017-12-01 09:00:00,ann.example@mail.example.com,,Ann,,",
    ])  # fmt: skip
    assert shop.land(NEXT_DAY)["crm"] == (2, 1, 0, 1)
    assert ("C80",) in shop.landed("customers", "record_id")


def test_tombstones_of_another_key_stop_the_run(
    erased: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop = copied(erased, tmp_path)
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY", "another key")
    with pytest.raises(StepFailed, match="TANDEM_ERASURE_KEY"):
        extract_channel(shop.configuration.channels["crm"], NEXT_DAY, shop.lake, shop.settings)
    monkeypatch.setenv("TANDEM_ERASURE_KEY", "a key for the tests alone")
    extract_channel(shop.configuration.channels["crm"], NEXT_DAY, shop.lake, shop.settings)


def test_an_erasure_that_was_killed_goes_on_and_readers_keep_what_they_have_open(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = shop.ask("erasure", "email", EMAIL)
    old = shop.lake.current.resolve()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as fault:
        fault.setattr(erase, "erase_in_releases", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.fulfil()
    assert [each.status for each in requests(shop.lake)] == ["running"]
    assert files_with_ann(shop) != set()
    with (old / "cdp" / "customers.parquet").open("rb") as reader:
        done = shop.fulfil()
        assert reader.read(4) == b"PAR1"
    assert [each.request_id for each in done.done] == [request.request_id]
    assert files_with_ann(shop) == set()
    new = shop.lake.current.resolve()
    assert new != old
    assert not old.exists()
    assert verify_release(new) == ()
    manifest = read_manifest(new)
    rows = sum(
        file["rows"] for file in manifest["files"] if file.get("table", "ops/releases") != "ops/releases"
    )
    told = shop.rows(f"select release_id, content_hash, rows from read_parquet('{new}/ops/releases.parquet')")
    assert told == [(new.name, manifest["content_hash"], rows)]


def _put(source: str, target: str) -> None:
    """Copy to a new file: a release may hold the old one by another link."""
    Path(target).unlink(missing_ok=True)
    shutil.copyfile(source, target)


def test_a_release_with_another_name_after_an_erasure_is_told_once(shop: Shop) -> None:
    """Though a later release, in which the person is not, stays as it is and tells of the first one's old name."""
    tables, kept = shop.lake.root / "tables", shop.lake.data.parent / "tables"
    for path in tables.glob("*/*.parquet"):
        names = {name for (name,) in shop.rows(f"select name from parquet_schema('{path}')")}
        held = "false" if names & {"customer_id", "visitor_id", "member_id"} else "true"
        shop.write(kept / path.relative_to(tables), f"from '{path}' where {held}")
    shutil.copytree(kept, tables, dirs_exist_ok=True, copy_function=_put)
    later = shop.publish(NEXT_DAY)
    shop.ask("erasure", "email", EMAIL, day=NEXT_DAY)
    shop.fulfil(NEXT_DAY)
    assert shop.lake.current.resolve().name == later
    shutil.copytree(kept, tables, dirs_exist_ok=True)
    last = shop.publish(date(2017, 12, 3))
    sealed = sorted(path.name for path in shop.lake.current.resolve().parent.glob("[0-9]*_*"))
    assert len(sealed) == 3 and last in sealed
    told = shop.rows(f"select release_id from read_parquet('{shop.lake.current}/ops/releases.parquet')")
    assert sorted(told) == [(name,) for name in sealed]


@pytest.fixture
def rotated(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop on its second day, under the key of the second epoch; what the first left is all there."""
    hold_key_to_its_epoch(shop.lake, b"a key for the tests alone", 1)
    for day, epoch in ((DAY, 1), (NEXT_DAY, 2)):
        run = shop.lake.run_file(day, "run.json")
        run.parent.mkdir(parents=True, exist_ok=True)
        run.write_text(json.dumps({"dbt": {"key_epoch": epoch}}))
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY", "the key of the second epoch")
    hold_key_to_its_epoch(shop.lake, b"the key of the second epoch", 2)
    shop.resolve(NEXT_DAY)
    shop.spread(NEXT_DAY)
    shop.publish(NEXT_DAY)
    return shop


def visitors_of_ann(shop: Shop) -> set[str]:
    """Which of Ann's visitor ids, of the first or the second epoch, are held in any release."""
    ids = {
        visitor_id(key, "anonymous_id", COOKIE[ANN]): epoch
        for epoch, key in (
            ("first", b"a key for the tests alone"),
            ("second", b"the key of the second epoch"),
        )
    }
    files = (shop.lake.data / "published" / "releases").rglob("*.parquet")
    return {ids[each] for found in find_secrets(frozenset(ids), files).values() for each in found}


def test_an_erasure_finds_the_visitors_of_every_epoch_whose_key_is_kept(
    rotated: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visitors_of_ann(rotated) == {"first", "second"}
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY_1", "a key for the tests alone")
    rotated.ask("erasure", "email", EMAIL, day=NEXT_DAY)
    done = rotated.fulfil(NEXT_DAY)
    assert visitors_of_ann(rotated) == set()
    assert {proof.lost_epochs for proof in done.proofs} == {""}


def test_the_proof_says_of_which_epoch_the_key_is_gone(rotated: Shop) -> None:
    rotated.ask("erasure", "email", EMAIL, day=NEXT_DAY)
    done = rotated.fulfil(NEXT_DAY)
    assert visitors_of_ann(rotated) == {"first"}  # nobody without the key can know that it is she
    assert {proof.lost_epochs for proof in done.proofs} == {"1"}
    assert "visitors of key epoch 1 could not be looked for: its key is gone" in str(done)


def test_a_key_that_is_not_the_one_of_its_epoch_is_refused(
    rotated: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEY_1", "some other key")
    rotated.ask("erasure", "email", EMAIL, day=NEXT_DAY)
    with pytest.raises(StepFailed, match="TANDEM_PSEUDONYM_KEY_1 is not the key of epoch 1"):
        rotated.fulfil(NEXT_DAY)


def test_many_erasures_at_once_wait_for_a_person(shop: Shop) -> None:
    shop = limited(shop, approve_above_erasures=1)
    asked = [shop.ask("erasure", "loyalty_number", CARD[name]) for name in (BOB, CYD)]
    shop.ask("access", "email", EMAIL)
    done = shop.fulfil()
    assert [each.kind for each in done.done] == ["access"]
    assert {each.waits_because for each in done.waiting} == {"it is one of 2 erasures at once"}
    for each in asked:
        decide(shop.lake, each.request_id, "Dana", approve=True)
    assert len(shop.fulfil().done) == 2
    assert shop.landed("customers", "record_id") == [("C1",), ("C9",)]


def test_a_file_that_the_index_does_not_know_stops_an_erasure(shop: Shop) -> None:
    new = shop.lake.root / "new_place" / "people.parquet"
    shop.write(new, "select 'ann.example@mail.example.com' as email")
    assert unknown_files(shop.lake.data) == ["lake/new_place/people.parquet"]
    shop.ask("erasure", "email", EMAIL)
    with pytest.raises(StepFailed, match=r"new_place/people\.parquet is in no place .* move it out of DATA"):
        shop.fulfil()
    assert [each.status for each in requests(shop.lake)] == ["running"]


def test_a_request_that_comes_to_too_many_waits_for_a_person(shop: Shop) -> None:
    shop = limited(shop, approve_above_customers=0)
    before = shop.prints()
    request = shop.ask("erasure", "phone", "+1 (201) 555 0101")
    assert [each.request_id for each in shop.fulfil().waiting] == [request.request_id]
    changed = {path for path, mark in shop.prints().items() if before.get(path) != mark}
    assert changed == {f"privacy/requests/{request.request_id}.json", "lake/privacy/proofs.parquet"}
    with pytest.raises(RequestRefused, match="needs the name"):
        decide(shop.lake, request.request_id, " ", approve=True)
    decide(shop.lake, request.request_id, "Dana", approve=False)
    (closed,) = requests(shop.lake)
    assert (closed.status, closed.decided_by, closed.customers, closed.identifiers) == (
        "refused",
        "Dana",
        1,
        (),
    )
    assert shop.fulfil().done == ()


def test_a_request_that_is_done_holds_no_identifier_and_is_its_owners_alone(erased: Shop) -> None:
    (path,) = (erased.lake.data / "privacy" / "requests").glob("*")
    content = json.loads(path.read_text())
    assert (content["status"], content["identifiers"], content["decided_by"]) == ("done", [], "rule")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_strangers_are_erased_by_their_cookie(shop: Shop) -> None:
    """Somebody whom identity does not know is what carries the cookie."""
    shop.deliver(
        "broker",
        NEXT_DAY,
        ["nobody-we-know-0815,2017-12-02 10:00:00,high", f"{COOKIE[BOB]},2017-12-02 10:00:00,high"],
    )
    shop.land(NEXT_DAY)
    before = len(shop.landed("traits"))
    shop.ask("erasure", "anonymous_id", "nobody-we-know-0815", day=NEXT_DAY)
    shop.fulfil(NEXT_DAY)
    assert len(shop.landed("traits")) == before - 1 == 3


def test_files_are_as_the_tests_say() -> None:
    lines = [line for _, lines in FILES.values() for line in lines]
    assert len(lines) == 20
