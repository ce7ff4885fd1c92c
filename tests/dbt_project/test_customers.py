"""The CDP side, on a lake whose people are known by heart."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from include.lake import Lake
from include.privacy.pseudonym import pads, visitor_id
from include.warehouse import run_models
from tests.dbt_project.parts import parts_built
from tests.dbt_project.small_lake import (
    KEY,
    learn_small_lake,
    normalise_small_lake,
    resolve_small_lake,
    rows,
    variables,
)

PUBLISHED = (
    "customers",
    "customer_attributes",
    "customer_attribute_values",
    "customer_other_values",
    "customer_records",
    "customer_identifiers",
    "identity_changes",
    "customer_id_history",
    "customer_timeline",
    "customer_stages",
    "lifecycle_funnel",
    "stage_needs",
    "sessions",
    "customer_features",
    "customer_scores",
    "segments",
    "customer_segments",
)


def cdp(lake: Lake, table: str, query: str) -> list[tuple]:
    return rows(lake.table("cdp", table), query)


def test_every_published_table_has_rows(small: Lake) -> None:
    for table in PUBLISHED:
        assert rows(small.table("cdp", table)), table


def test_the_golden_record_takes_the_latest_value_that_is_not_empty(small: Lake) -> None:
    golden = "select family_name, email, gender, gender_channel from this where customer_id = 'c_ann'"
    assert cdp(small, "customers", golden) == [("New", "ann@example.org", "female", "loyalty")]


def test_a_new_street_is_never_joined_to_an_old_region_nor_to_a_country_that_another_source_says(
    small: Lake,
) -> None:
    address = (
        "select street, city, region, country, address_observed_at from this where customer_id = 'c_ann'"
    )
    assert cdp(small, "customers", address) == [
        ("New Street 2", "Newtown", None, None, datetime(2024, 3, 1, 9))
    ]


def test_why_a_value_is_golden_and_what_else_was_said_is_one_query(small: Lake) -> None:
    golden = """
        select value, channel, record_id, decided_by, runner_up_value, runner_up_channel, different_values
        from this where customer_id = 'c_ann' and attribute = """
    assert cdp(small, "customer_attributes", golden + "'given_name'") == [
        ("Ann", "crm", "A1", "most_recent", "Anne", "loyalty", 2)
    ]
    assert cdp(small, "customer_attributes", golden + "'email'") == [
        ("ann@example.org", "shop", None, "only_value", None, None, 1)
    ]
    said = "select value, standing, channels from this where customer_id = '{}' and attribute = '{}' order by all"
    assert cdp(small, "customer_attribute_values", said.format("c_ann", "family_name")) == [
        ("New", "golden", ["crm"]),
        ("Old", "replaced", ["crm"]),
    ]
    assert cdp(small, "customer_attribute_values", said.format("c_ann", "address")) == [
        ('{"country":"DE"}', "alternative", ["loyalty"]),
        ('{"street":"New Street 2","city":"Newtown"}', "golden", ["crm"]),
        ('{"street":"Old Street 1","city":"Oldtown","region":"North"}', "replaced", ["crm"]),
    ]
    assert cdp(small, "customer_attribute_values", said.format("c_bob", "email")) == [
        ("bob@example.org", "golden", ["shop"]),
        ("office@example.org", "blocked", ["crm"]),
    ]


def test_unknown_columns_and_refused_values_are_kept_by_customer(small: Lake) -> None:
    other = "select channel, record_id, column_name, value, is_rejected from this where customer_id = 'c_ann'"
    assert sorted(cdp(small, "customer_other_values", other)) == [
        ("crm", "A1", "birth_date", "a Monday", True),
        ("crm", "A1", "shoe_size", "39", False),
    ]


def test_every_personal_value_that_landed_by_the_day_is_said_by_its_customer(small: Lake) -> None:
    """Nothing that a person record said is lost, whichever value is golden."""
    with duckdb.connect(small.warehouse, read_only=True) as warehouse:
        landed = warehouse.sql(
            """
            unpivot (
                select customer_id, given_name, family_name, gender, email, phone, loyalty_number
                from stg_customer_versions inner join int_node_customers using (node_key)
            )
            on given_name, family_name, gender, email, phone, loyalty_number into name attribute value value
            """
        ).fetchall()
    assert len(set(landed)) > 10
    said = cdp(
        small, "customer_attribute_values", "select customer_id, attribute, unnest(spellings) from this"
    )
    assert set(landed) <= set(said)


def test_a_blocked_address_never_becomes_golden(small: Lake) -> None:
    assert cdp(small, "customers", "select email, emails from this where customer_id = 'c_bob'") == [
        ("bob@example.org", ["bob@example.org"])
    ]
    assert not cdp(small, "customers", "from this where list_contains(emails, 'office@example.org')")


def test_consent_is_the_latest_statement_and_none_is_no(small: Lake) -> None:
    consents = "select customer_id, consent_email, consent_advertising from this order by 1"
    assert cdp(small, "customers", consents) == [
        ("c_alone", False, False),
        ("c_ann", True, True),
        ("c_bob", False, False),
        ("c_cy", False, False),
        ("c_dee", False, False),
    ]


def test_what_lands_tomorrow_is_not_known_today(small: Lake) -> None:
    assert not cdp(small, "customers", "from this where given_name = 'Tomorrow'")


def test_a_record_without_identifiers_is_a_customer_of_its_own(small: Lake) -> None:
    assert cdp(small, "customer_records", "select customer_id from this where record_id = 'N1'") == [
        ("c_alone",)
    ]


def test_each_order_line_is_one_row_of_the_timeline_and_an_order_without_lines_too(small: Lake) -> None:
    purchases = "select order_id, product_id, amount from this where activity like '%purchase' order by all"
    assert cdp(small, "customer_timeline", purchases) == [
        ("s1", "p1", Decimal("10.0000")),
        ("s1", "p2", Decimal("20.0000")),
        ("s9", "p1", Decimal("7.5000")),
        ("w1", "p1", Decimal("15.5000")),
        ("w2", "p2", Decimal("50.0000")),
        ("w3", None, Decimal("20.0000")),
    ]


def test_purchases_on_the_timeline_add_up_to_the_orders_that_count(small: Lake) -> None:
    with duckdb.connect(small.warehouse, read_only=True) as warehouse:
        orders = warehouse.sql(
            "select sum(total) from stg_orders where is_valid and node_key is not null"
        ).fetchone()
    assert orders == (Decimal("73.0000"),)
    assert cdp(small, "customer_timeline", "select sum(amount) from this where activity = 'purchase'") == [
        orders
    ]
    assert cdp(small, "customer_features", "select sum(monetary_total) from this") == [orders]


def test_the_stage_then_is_the_stage_before_the_moment(small: Lake) -> None:
    stages = """
        select occurred_at, stage from this
        where customer_id = 'c_ann' and (activity = 'purchase' or activity = 'product_viewed')
        group by all order by all"""
    assert cdp(small, "customer_timeline", stages) == [
        (datetime(2024, 1, 9, 12), "lead"),
        (datetime(2024, 3, 10, 10, 25), "first_time"),
        (datetime(2024, 3, 10, 10, 55), "active"),
    ]


def test_a_life_is_one_row_of_stages_from_the_first_moment_to_the_last(small: Lake) -> None:
    lives = """
        select customer_id, list((stage_number, stage, previous_stage, entered_at, left_at) order by stage_number)
        from this where customer_id in ('c_ann', 'c_cy', 'c_dee') group by all order by all"""
    assert cdp(small, "customer_stages", lives) == [
        ("c_ann", [
            (1, "lead", None, datetime(2024, 1, 5, 9), datetime(2024, 1, 9, 12)),
            (2, "first_time", "lead", datetime(2024, 1, 9, 12), datetime(2024, 3, 10, 10, 25)),
            (3, "active", "first_time", datetime(2024, 3, 10, 10, 25), None),
        ]),
        ("c_cy", [(1, "lead", None, datetime(2024, 1, 7, 9), None)]),
        ("c_dee", [(1, "first_time", None, datetime(2024, 1, 9, 13), None)]),
    ]  # fmt: skip
    gaps = """
        select count(*) from (
            select left_at, lead(entered_at) over (partition by customer_id order by stage_number) as next_at from this
        ) where left_at is distinct from next_at"""
    assert cdp(small, "customer_stages", gaps) == [(0,)]


def test_the_golden_record_and_the_timeline_tell_the_stages_of_the_history(small: Lake) -> None:
    stages = f"read_parquet('{small.table('cdp', 'customer_stages')}')"
    current = f"""
        select count(*), count(*) filter (where lifecycle_stage = stage)
        from this inner join {stages} using (customer_id) where is_current"""
    customers = cdp(small, "customers", "select count(*), count(*) from this")
    assert cdp(small, "customers", current) == customers
    then = f"""
        select count(*) > 0, bool_and(this.stage = stages.stage)
        from this inner join {stages} as stages
            on this.customer_id = stages.customer_id and this.occurred_at > stages.entered_at
            and (stages.left_at is null or this.occurred_at <= stages.left_at)"""
    assert cdp(small, "customer_timeline", then) == [(True, True)]


def test_consent_given_and_refused_is_on_the_timeline(small: Lake) -> None:
    statements = """
        select occurred_at, activity, category, stage from this
        where customer_id = 'c_ann' and activity like 'consent%' order by all"""
    assert cdp(small, "customer_timeline", statements) == [
        (datetime(2024, 1, 5, 9), "consent_granted", "advertising", "lead"),
        (datetime(2024, 1, 5, 9), "consent_granted", "email", "lead"),
        (datetime(2024, 2, 5, 9), "consent_denied", "advertising", "first_time"),
    ]


def test_robots_and_foreign_sites_are_not_on_the_timeline(small: Lake) -> None:
    assert cdp(small, "customer_timeline", "select count(*) from this where channel = 'web'") == [(6,)]
    assert not cdp(small, "customer_timeline", "from this where channel = 'offsite'")


def test_a_pause_of_half_an_hour_and_a_second_makes_a_new_session(small: Lake) -> None:
    visits = """
        select started_at, ended_at, page_views, events, converted, entry_url, exit_url
        from this where customer_id = 'c_ann' order by started_at"""
    assert cdp(small, "sessions", visits) == [
        (datetime(2024, 3, 10, 10), datetime(2024, 3, 10, 11, 25), 3, 5, True, "https://shop.example/",
         "https://shop.example/thanks"),
        (datetime(2024, 3, 10, 11, 55, 1), datetime(2024, 3, 10, 11, 55, 1), 1, 1, False,
         "https://shop.example/again", "https://shop.example/again"),
    ]  # fmt: skip


def test_visitor_ids_in_sql_equal_those_in_python(small: Lake) -> None:
    strangers = cdp(small, "sessions", "select visitor_id from this where customer_id is null")
    expected = {visitor_id(KEY, "anonymous_id", value) for value in ("a-stranger", "a-Übermut:7")}
    assert len(strangers) == 2
    assert {stranger for (stranger,) in strangers} == expected


def test_features_know_only_what_was_before_the_cutoff(small: Lake) -> None:
    snapshots = """
        select as_of_date, frequency_orders, monetary_total, web_sessions_28d, bought_in_horizon
        from this where customer_id = 'c_ann' order by 1"""
    assert rows(small.staged("customer_feature_snapshots"), snapshots) == [
        (date(2024, 2, 4), 1, Decimal("30.0000"), 0, False),
        (date(2024, 3, 3), 1, Decimal("30.0000"), 0, True),
        (date(2024, 3, 31), 2, Decimal("45.5000"), 2, None),
    ]


def test_rows_add_up_from_landing_to_the_published_tables(small: Lake) -> None:
    counts = "select kind, landed_rows, superseded_rows, published_rows, unattributed_rows from this where channel = "
    assert rows(small.staged("row_counts"), counts + "'crm'") == [("customers", 5, 1, 4, 0)]
    assert rows(small.staged("row_counts"), counts + "'web'") == [("events", 10, 1, 6, 3)]
    from_kinds = rows(
        small.staged("row_counts"),
        "select sum(published_rows) from this where published_table = 'customer_timeline'",
    )
    # A consent is a row of the timeline for each customer who claims its identifier.
    timeline = cdp(
        small, "customer_timeline", "select count(*) from this where activity not like 'consent_%'"
    )
    orders_with_lines = 4
    assert from_kinds[0][0] - orders_with_lines == timeline[0][0]


def test_the_same_rows_in_another_order_give_the_same_tables(small: Lake, tmp_path: Path) -> None:
    """Landed files turned upside down: nothing of what is published depends on the order of rows."""
    reversed_lake = Lake(tmp_path)
    for source in sorted((small.root / "landing").rglob("*.parquet")):
        target = reversed_lake.root / source.relative_to(small.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(f"copy (from '{source}' order by source_row desc) to '{target}' (format parquet)")
    normalise_small_lake(reversed_lake)
    models = [*PUBLISHED, "identity_evidence"]
    run_models([f"+{name},tag:stage" for name in models], reversed_lake, variables(), KEY)
    resolve_small_lake(reversed_lake)
    run_models([f"+{name},tag:unify" for name in models], reversed_lake, variables(), KEY)
    learn_small_lake(reversed_lake)
    compared = 0
    for path in [*(small.table("cdp", table) for table in PUBLISHED), small.staged("identity_evidence")]:
        other = reversed_lake.root / path.relative_to(small.root)
        if other.exists():
            assert rows(path) == rows(other), path.name
            compared += 1
    assert compared == 14


def test_tables_are_the_same_whether_customers_are_taken_together_or_in_parts(
    small: Lake, tmp_path: Path
) -> None:
    parted = Lake(tmp_path / "parted")
    shutil.copytree(small.data, parted.data)
    staged = ["customer_feature_snapshots", "customer_category_snapshots", "identity_evidence"]
    tables = ["customers", "customer_attribute_values", "customer_timeline", "sessions", "next_best_actions"]
    few = {
        "memory_gb": 1,
        "nodes_at_a_time": 1,
        "snapshots_at_a_time": 2,
        "values_at_a_time": 4,
        "visits_at_a_time": 4,
        "activities_at_a_time": 2,
        "offered_at_a_time": 2,
    }
    models = [*staged, *tables, "int_audience_base"]
    run_models(models, parted, variables() | few, KEY)
    assert [name for name in models if not parts_built(parted, name) > 1 >= parts_built(small, name)] == []
    assert len({row[0] for row in rows(small.staged(staged[0]), "select customer_id from this")}) > 2
    for name in staged:
        assert rows(small.staged(name)) == rows(parted.staged(name)), name
        assert _stored_as(small.staged(name)) == _stored_as(parted.staged(name)), name
    for name in tables:
        assert len(rows(small.table("cdp", name))) > 1
        assert rows(small.table("cdp", name)) == rows(parted.table("cdp", name)), name
        assert _stored_as(small.table("cdp", name)) == _stored_as(parted.table("cdp", name)), name
    base = [_warehouse_rows(lake, "int_audience_base") for lake in (small, parted)]
    assert base[0] == base[1] and len(base[0]) > 4


def _stored_as(file: Path) -> list[tuple]:
    """The columns of a file as Parquet has them."""
    return duckdb.sql(
        "select name, type, type_length, nullif(converted_type, 'INT_64'), scale, precision, num_children"
        f" from parquet_schema('{file}') where name not like '%schema'"
    ).fetchall()


def _warehouse_rows(lake: Lake, table: str) -> list[tuple]:
    """The rows of a table of the warehouse in the order of their customers."""
    with duckdb.connect(str(lake.warehouse), read_only=True) as warehouse:
        return warehouse.execute(f"from {table} order by customer_id").fetchall()


def test_the_key_is_in_no_file_that_dbt_writes(small: Lake) -> None:
    forms = [secret for pad in pads(KEY) for secret in (pad, pad.hex().encode(), pad.hex().upper().encode())]
    written = [path for path in (small.data / "dbt").rglob("*") if path.is_file()]
    assert any(path.name == "dbt.log" for path in written)
    assert any(path.name == "manifest.json" for path in written)
    for path in [*written, small.warehouse]:
        content = path.read_bytes()
        for secret in (KEY, KEY.hex().encode(), *forms):
            assert secret not in content, path


@pytest.mark.parametrize("table", ["customers", "customer_timeline", "sessions", "customer_features"])
def test_published_rows_are_in_the_order_that_their_model_names(small: Lake, table: str) -> None:
    order = {
        "customers": "customer_id",
        "customer_timeline": "customer_id, occurred_at, timeline_id",
        "sessions": "started_at, session_id",
        "customer_features": "customer_id, as_of_date",
    }[table]
    written = cdp(small, table, f"select {order} from this")
    assert len(written) > 1
    assert written == sorted(written)
