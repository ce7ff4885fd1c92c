"""No direct identifier stands in any DMP table, hand-over, page or log: values are searched, not names of columns."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from include.airflow_home import AirflowHome
from tests.company import Company
from tests.privacy.searching import find_secrets, small_cells, with_hashes

# What says who somebody is, by the kind of record that has it; names and streets may be words of anything.
IDENTIFIERS = {
    "customers": ["email", "phone", "customer_number", "loyalty_number", "record_id"],
    "events": ["anonymous_id", "user_id", "device_id", "advertising_id", "ip", "email"],
}
COLUMNS = ["email", "phone", "given_name", "family_name", "street", "customer_number", "loyalty_number"]


@pytest.fixture(scope="module")
def dmp_values(two_days: Company) -> set[str]:
    """Every text in every column of every DMP table of the release."""
    values: set[str] = set()
    for path in sorted((two_days.lake.current.resolve() / "dmp").glob("*.parquet")):
        relation = duckdb.read_parquet(str(path))
        for column in relation.columns:
            values |= {str(value) for (value,) in relation.project(f'"{column}"').distinct().fetchall()}
    return values


def landed(company: Company, kind: str) -> str:
    return f"read_parquet('{company.lake.root}/landing/{kind}/*/*/*.parquet', union_by_name=true)"


@pytest.mark.parametrize("column", COLUMNS)
def test_no_customer_attribute_is_in_the_dmp(two_days: Company, dmp_values: set[str], column: str):
    secrets = {
        value
        for (value,) in duckdb.sql(
            f"select distinct {column} from {landed(two_days, 'customers')} "
            f"where length({column}) > 3 and lower({column}) <> 'unknown'"
        ).fetchall()
    }
    assert len(secrets) > 50
    assert not secrets & dmp_values


@pytest.mark.parametrize("column", ["anonymous_id", "user_id", "ip", "url", "device_id"])
def test_no_raw_cookie_address_or_page_is_in_the_dmp(two_days: Company, dmp_values: set[str], column: str):
    secrets = {
        value
        for (value,) in duckdb.sql(
            f"select distinct {column} from {landed(two_days, 'events')} where {column} is not null"
        ).fetchall()
    }
    assert len(secrets) > 20
    assert not secrets & dmp_values


def test_a_visitor_is_a_keyed_hash_that_the_key_can_repeat(two_days: Company):
    visitors = {visitor for (visitor,) in two_days.rows("select visitor_id from {visitors}")}
    assert len(visitors) > 100
    assert all(len(visitor) == 64 and set(visitor) <= set("0123456789abcdef") for visitor in visitors)


def test_the_key_stands_in_no_file_of_the_data_folder(two_days: Company):
    from include.privacy.pseudonym import pads

    environment = AirflowHome(two_days.data).environment(two_days.config)
    key = environment["TANDEM_PSEUDONYM_KEY"]
    needles = [key.encode(), *(pad.hex().encode() for pad in pads(key.encode()))]
    files = [path for path in Path(two_days.data).rglob("*") if path.is_file()]
    assert len(files) > 100
    found = [
        path for path in files for content in [path.read_bytes()] for needle in needles if needle in content
    ]
    assert found == []
    assert json.loads((two_days.lake.current / "manifest.json").read_text())["release_id"]


@pytest.fixture(scope="module")
def identifiers(two_days: Company) -> frozenset[str]:
    """Every identifier that landed, and its plain hashes; a network's own address is one that may be kept."""
    found = {
        value
        for kind, columns in IDENTIFIERS.items()
        for column in columns
        for (value,) in duckdb.sql(
            f"select distinct {column} from {landed(two_days, kind)} where regexp_matches({column}, '.*[0-9@].*')"
        ).fetchall()
        if len(value) >= 6 and not value.endswith(".0")
    }
    assert len(found) > 1000
    return with_hashes(found)


def dmp_files(company: Company) -> list[Path]:
    """The tables of the DMP side, the bridge and both, and what dbt and Python hand each other of them."""
    lake, nodes = company.lake, dbt_manifest(company)["nodes"].values()
    sides = [
        path
        for side in ("dmp", "bridge", "both")
        for path in lake.table(side, "any").parent.glob("*.parquet")
    ]
    handed = [
        lake.staged(node["name"])
        for node in nodes
        if node["resource_type"] == "model"
        and node["config"]["meta"].get("side") == "staged"
        and node["config"]["materialized"] == "external"
        and node["fqn"][1] in ("dmp", "bridge", "marts")
    ]
    learned = [
        path
        for path in (lake.root / "ml").rglob("*.parquet")
        if "visitor_id" in duckdb.read_parquet(str(path)).columns or "lookalike" in path.name
    ]
    assert {path.stem for path in handed} >= {"visitor_features", "visitor_activity", "known_visitors"}
    assert {path.stem for path in learned} >= {"lookalike_members", "lookalike_models"}
    return [*sides, *handed, *learned]


def dbt_manifest(company: Company) -> dict:
    return json.loads((company.data / "dbt" / "target" / "manifest.json").read_text())


def test_no_identifier_and_no_hash_of_one_is_in_a_file_of_the_dmp(
    two_days: Company, identifiers: frozenset[str]
) -> None:
    files = dmp_files(two_days)
    assert len(files) > 10
    assert find_secrets(identifiers, files) == {}
    # The search finds what is there: the same files of the other side hold them.
    known = [two_days.lake.table("cdp", "customer_identifiers"), two_days.lake.staged("person_records")]
    assert set(find_secrets(identifiers, known)) == {str(path) for path in known}


def test_no_identifier_is_in_a_log_a_page_or_a_report(two_days: Company, identifiers: frozenset[str]) -> None:
    logs = AirflowHome(two_days.data).path / "logs"
    folders = [two_days.data / name for name in ("dbt", "runs", "quality")]
    files = [path for folder in (*folders, logs) for path in folder.rglob("*") if path.is_file()]
    files += [
        *two_days.lake.current.resolve().rglob("*.html"),
        *(two_days.lake.root / "ops").rglob("*.parquet"),
    ]
    assert {path.suffix for path in files} >= {".log", ".sql", ".json", ".jsonl", ".html", ".parquet"}
    assert find_secrets(identifiers, files) == {}


def test_what_the_bridge_publishes_is_of_fifty_people_or_more(two_days: Company) -> None:
    tables = sorted((two_days.lake.current.resolve() / "bridge").glob("*.parquet"))
    models = [node for node in dbt_manifest(two_days)["nodes"].values() if node["resource_type"] == "model"]
    assert {path.stem for path in tables} == {
        node["name"] for node in models if node["config"]["meta"].get("side") == "bridge"
    }
    assert small_cells(tables, minimum=50) == {}


def test_a_small_cell_is_found_and_a_suppressed_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "overlaps.parquet"
    cells = "(1, 7, 50, 0.5), (2, 14, null, 0.1), (3, 28, 49, 0.2), (4, 28, 0, 0.0)"
    duckdb.sql(f"select * from (values {cells}) as t (rank, window_days, buyers, share)").write_parquet(
        str(path)
    )
    assert small_cells([path], minimum=50) == {"overlaps.buyers": [49]}
