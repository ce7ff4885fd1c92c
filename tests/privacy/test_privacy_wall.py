"""No direct identifier stands in any published DMP table: the values are searched, not the names of columns."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.company import Company

COLUMNS = ["email", "phone", "given_name", "family_name", "street", "customer_number", "loyalty_number"]


def dmp_values(company: Company) -> set[str]:
    """Every text in every column of every DMP table of the release."""
    values: set[str] = set()
    for path in sorted((company.lake.current.resolve() / "dmp").glob("*.parquet")):
        relation = duckdb.read_parquet(str(path))
        for column in relation.columns:
            values |= {str(value) for (value,) in relation.project(f'"{column}"').distinct().fetchall()}
    return values


def landed(company: Company, kind: str) -> str:
    return f"read_parquet('{company.lake.root}/landing/{kind}/*/*/*.parquet', union_by_name=true)"


@pytest.mark.parametrize("column", COLUMNS)
def test_no_customer_attribute_is_in_the_dmp(three_days: Company, column: str):
    secrets = {
        value
        for (value,) in duckdb.sql(
            f"select distinct {column} from {landed(three_days, 'customers')} where length({column}) > 3"
        ).fetchall()
    }
    assert len(secrets) > 50
    assert not secrets & dmp_values(three_days)


@pytest.mark.parametrize("column", ["anonymous_id", "user_id", "ip", "url", "device_id"])
def test_no_raw_cookie_address_or_page_is_in_the_dmp(three_days: Company, column: str):
    secrets = {
        value
        for (value,) in duckdb.sql(
            f"select distinct {column} from {landed(three_days, 'events')} where {column} is not null"
        ).fetchall()
    }
    assert len(secrets) > 20
    assert not secrets & dmp_values(three_days)


def test_a_visitor_is_a_keyed_hash_that_the_key_can_repeat(three_days: Company):
    visitors = {visitor for (visitor,) in three_days.rows("select visitor_id from {visitors}")}
    assert len(visitors) > 100
    assert all(len(visitor) == 64 and set(visitor) <= set("0123456789abcdef") for visitor in visitors)


def test_the_key_stands_in_no_file_of_the_data_folder(three_days: Company):
    import json

    from include.airflow_home import AirflowHome
    from include.privacy.pseudonym import pads

    environment = AirflowHome(three_days.data).environment(three_days.config)
    key = environment["TANDEM_PSEUDONYM_KEY"]
    needles = [key.encode(), *(pad.hex().encode() for pad in pads(key.encode()))]
    files = [path for path in Path(three_days.data).rglob("*") if path.is_file()]
    assert len(files) > 100
    found = [path for path in files for needle in needles if needle in path.read_bytes()]
    assert found == []
    assert json.loads((three_days.lake.current / "manifest.json").read_text())["release_id"]
