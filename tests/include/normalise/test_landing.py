"""The step: each distinct landed value once, only what is new, and anew when the rules change."""

from __future__ import annotations

import random
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from include.config import Normalisation
from include.extract.kinds import kinds
from include.extract.landing import complete_landing
from include.lake import Lake
from include.normalise import landing
from include.normalise.landing import Normalised, normalise_landing
from include.normalise.versions import LIBRARIES, normalisation_version
from include.settings import settings

# The columns that a test gives, all of them text.
NAMED = (
    "record_id", "order_id", "event_id", "interaction_id", "id_type", "id_value", "email", "phone", "country", "url",
    "site", "user_agent", "type", "traits",
)  # fmt: skip
NAMES = ("emails", "countries", "phones", "user_agents", "sites", "content_categories")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("empty"))
    complete_landing(lake)
    return lake


@pytest.fixture
def lake(empty: Lake, tmp_path: Path) -> Lake:
    """A lake in which nothing has landed yet."""
    return copied(empty, tmp_path / "data")


def copied(empty: Lake, data: Path) -> Lake:
    shutil.copytree(empty.data, data)
    return Lake(data)


def land(lake: Lake, kind: str, rows: list[dict[str, Any]], channel: str = "crm", day: int = 1) -> None:
    path = lake.landing(kind, channel, date(2024, 3, day)) / "part.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = ", ".join(f'"{name}" {type_}' for name, type_ in kinds()[kind].landing_schema().items())
    with duckdb.connect() as connection:
        connection.execute(f"create table landed ({schema})")
        connection.register(
            "given", pa.Table.from_pylist(rows, pa.schema((name, pa.string()) for name in NAMED))
        )
        columns = ", ".join(dict.fromkeys(name for row in rows for name in row))
        connection.execute(f"insert into landed by name select {columns} from given")
        connection.execute(f"copy landed to '{path}' (format parquet)")


def normalise(lake: Lake, **rules: Any) -> Normalised:
    return normalise_landing(lake, Normalisation(**rules), settings())


def read(lake: Lake, name: str, columns: str = "*") -> list[tuple]:
    return duckdb.sql(f"select {columns} from '{lake.dictionary(name)}'").fetchall()


def new(normalised: Normalised) -> dict[str, int]:
    return {update.name: update.new for update in normalised.dictionaries if update.new}


def test_without_any_value_there_are_empty_dictionaries_of_the_right_types(lake):
    normalise(lake)
    assert set(NAMES) == set(LIBRARIES)
    assert [len(read(lake, name)) for name in NAMES] == [0] * 6
    assert duckdb.sql(f"select content_rules[1].name from '{lake.dictionary('sites')}'").types == ["VARCHAR"]
    assert duckdb.sql(f"select is_bot from '{lake.dictionary('user_agents')}'").types == ["BOOLEAN"]


def test_a_value_of_many_rows_kinds_and_columns_is_in_the_dictionary_once(lake):
    land(lake, "customers", [{"record_id": str(i), "email": "Ann@example.org"} for i in range(5)])
    land(lake, "orders", [{"order_id": "1", "email": "Ann@example.org"}, {"order_id": "2", "email": "no"}])
    land(lake, "traits", [{"id_type": "email", "id_value": "ben@example.org"},
                          {"id_type": "anonymous_id", "id_value": "c@example.org"}])  # fmt: skip
    land(lake, "consents", [{"id_type": "email", "id_value": "ann@example.org"}])
    assert str(normalise(lake)) == "4 new values; refused 1 of 4 emails"
    assert read(lake, "emails", "raw, email, reason") == [
        ("Ann@example.org", "ann@example.org", None),
        ("ann@example.org", "ann@example.org", None),
        ("ben@example.org", "ben@example.org", None),
        ("no", None, "no_at_sign"),
    ]


def test_empty_texts_are_no_values(lake):
    land(lake, "customers", [{"record_id": "1", "email": " ", "phone": "", "country": " "}])
    assert normalise(lake).new == 0


def test_a_number_is_read_by_the_country_of_its_record_and_else_by_the_region(lake):
    land(lake, "customers", [
        {"record_id": "1", "phone": "030 1234567", "country": "Germany"},
        {"record_id": "2", "phone": "030 1234567", "country": None},
        {"record_id": "3", "phone": "020 7946 0958", "country": "nowhere"},
    ])  # fmt: skip
    land(lake, "interactions", [{"interaction_id": "1", "phone": "020 7946 0958"}])
    normalise(lake, region="GB")
    assert read(lake, "phones", "raw, country, phone, reason") == [
        ("020 7946 0958", None, "+442079460958", None),
        ("030 1234567", None, "+44301234567", None),
        ("030 1234567", "DE", "+49301234567", None),
    ]


def test_a_country_that_a_log_in_tells_is_read_like_that_of_a_record(lake):
    living_in = '{"address": {"country": " United States "}}'
    land(lake, "events", [
        {"event_id": "1", "type": "identify", "traits": living_in},
        {"event_id": "2", "type": "identify", "traits": '{"country": "of birth unknown"}'},
        {"event_id": "3", "type": "page", "traits": living_in.replace("United States", "Spain")},
        {"event_id": "4", "type": "identify", "traits": '{"address_country": "Austria", "address": {"country": ""}}'},
    ])  # fmt: skip
    normalise(lake)
    assert read(lake, "countries") == [("Austria", "AT", None), ("United States", "US", None)]


def test_a_second_run_has_nothing_new_and_leaves_the_files_alone(lake):
    land(lake, "customers", [{"record_id": "1", "email": "ann@example.org", "phone": "2125550147"}])
    normalise(lake)
    before = {name: lake.dictionary(name).stat() for name in NAMES}
    assert normalise(lake).new == 0
    after = {name: lake.dictionary(name).stat() for name in NAMES}
    assert {name: (it.st_ino, it.st_mtime_ns) for name, it in before.items()} == {
        name: (it.st_ino, it.st_mtime_ns) for name, it in after.items()
    }


def test_only_values_that_the_dictionary_does_not_have_are_asked_for(lake):
    land(lake, "customers", [{"record_id": "1", "email": "ann@example.org"}])
    normalise(lake)
    land(lake, "customers", [{"record_id": "2", "email": "ben@example.org"},
                             {"record_id": "3", "email": "ann@example.org"}], day=2)  # fmt: skip
    assert new(normalise(lake)) == {"emails": 1}
    assert [raw for (raw,) in read(lake, "emails", "raw")] == ["ann@example.org", "ben@example.org"]


def test_a_value_that_is_not_landed_any_more_is_forgotten(lake):
    land(
        lake,
        "customers",
        [{"record_id": "1", "email": "ann@example.org"}, {"record_id": "2", "phone": "2125550147"}],
    )
    land(lake, "orders", [{"order_id": "1", "email": "ben@example.org"}])
    normalise(lake)
    land(lake, "customers", [{"record_id": "2", "phone": "2125550147"}])
    assert normalise(lake).new == 0
    assert read(lake, "emails", "raw") == [("ben@example.org",)]
    assert read(lake, "phones", "raw") == [("2125550147",)]


def test_a_change_of_rules_renews_what_depends_on_them_and_nothing_else(lake):
    land(lake, "customers", [{"record_id": "1", "email": "a.b@gmail.com", "phone": "030 1234567"}])
    land(lake, "events", [{"event_id": "1", "site": "news.example.com", "user_agent": "curl/8"}])
    normalise(lake)
    assert new(normalise(lake, region="DE")) == {"phones": 1}
    assert read(lake, "phones", "phone") == [("+49301234567",)]
    assert new(normalise(lake, region="DE", email={"provider_rules": True})) == {"emails": 1}
    assert read(lake, "emails", "email") == [("ab@gmail.com",)]
    rules = [{"site": "example.com", "category": "Sports"}]
    changed = normalise(lake, region="DE", email={"provider_rules": True}, content_categories=rules)
    assert new(changed) == {"sites": 1}
    assert read(lake, "sites", "content_rules[1].path, content_rules[1].name") == [("/", "Sports")]


def test_day_by_day_gives_the_same_bytes_as_all_at_once(lake, empty, tmp_path):
    draw = random.Random(7)
    customers = [
        {
            "record_id": str(i),
            "email": f"{draw.randrange(500)}@example.org",
            "phone": f"212555{draw.randrange(9999):04}",
        }
        for i in range(600)
    ]
    events = [{"event_id": str(i), "url": f"https://{draw.randrange(300)}.example.org/"} for i in range(600)]
    for day in range(3):
        land(lake, "customers", customers[day::3], day=day + 1)
        land(lake, "events", events[day::3], day=day + 1)
        normalise(lake)
    whole = copied(empty, tmp_path / "whole")
    land(whole, "customers", customers[::-1])
    land(whole, "events", events[::-1])
    normalise(whole)
    for name in NAMES:
        assert lake.dictionary(name).read_bytes() == whole.dictionary(name).read_bytes(), name
    assert len(read(whole, "phones")) > 300


def test_more_values_than_a_batch_all_arrive(lake, monkeypatch):
    from include.normalise import dictionaries

    monkeypatch.setattr(dictionaries, "ROWS_PER_BATCH", 2048)
    land(lake, "customers", [{"record_id": "0"}])
    path = lake.landing("customers", "crm", date(2024, 3, 1)) / "part.parquet"
    duckdb.sql(
        f"copy (select * replace (i || '@example.org' as email) from (from '{path}'), range(5000) t(i)) "
        f"to '{path.with_name('more.parquet')}' (format parquet)"
    )
    assert new(normalise(lake)) == {"emails": 5000}
    assert len(read(lake, "emails")) == 5000


def test_nothing_is_left_of_the_work(lake):
    normalise(lake)
    assert list((lake.data / "tmp").iterdir()) == []


def test_the_version_follows_every_rule_that_counts():
    versions = {
        normalisation_version(Normalisation(**rules))
        for rules in (
            {},
            {"region": "DE"},
            {"email": {"provider_rules": True}},
            {"content_categories": [{"site": "example.com", "category": "Sports"}]},
            {"content_categories": [{"site": "example.com", "path": "/a", "category": "Sports"}]},
        )
    }
    assert len(versions) == 5
    assert normalisation_version(Normalisation(sessions={"inactivity_minutes": 5})) in versions


def test_the_step_and_the_dbt_macro_look_for_a_site_in_the_same_place(lake):
    """What is joined in staging has to be what was put into the dictionary."""
    macros = (Path(landing.__file__).parents[2] / "dbt_project" / "macros" / "identifiers.sql").read_text()
    pattern = landing.site_text().split("'")[1]
    assert f"'{pattern}'" in macros
