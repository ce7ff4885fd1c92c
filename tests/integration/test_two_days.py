"""The whole pipeline: two days, the first through Airflow, and one rebuild."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from include.bi.boards import boards
from include.bi.datasets import datasets
from include.privacy.requests.places import unknown_files
from tests.company import ABOUT_THE_RUN, DAYS, Company

PUBLISHED = {
    "cdp.customers", "cdp.customer_records", "cdp.customer_identifiers", "cdp.identity_changes",
    "cdp.customer_attributes", "cdp.customer_attribute_values", "cdp.customer_other_values", "cdp.device_ownership",
    "cdp.customer_id_history", "cdp.identity_edges", "cdp.identity_health", "cdp.customer_timeline",
    "cdp.sessions", "cdp.customer_features", "cdp.customer_scores", "cdp.segments",
    "cdp.customer_segments", "cdp.customer_stages", "cdp.lifecycle_funnel", "cdp.stage_needs", "cdp.product_profiles",
    "cdp.product_recommendations", "cdp.purchase_triggers", "cdp.next_best_actions",
    "dmp.visitors", "dmp.traits", "dmp.iab_categories", "dmp.trait_qualifications", "dmp.placements",
    "dmp.lookalike_models", "dmp.lookalike_members", "dmp.lookalike_traits", "dmp.lookalike_fairness",
    "bridge.match_rates", "bridge.offsite_interests", "bridge.upsell_opportunities", "bridge.audience_overlaps",
    "bridge.reach", "both.audiences", "both.audience_members", "both.audience_changes", "both.audience_lift",
    "ops.activations", "ops.activation_refusals", "ops.deliveries", "ops.releases", "ops.quality_results",
    "ops.quarantine_summary", "ops.privacy_requests", "ops.schema_drift", "ops.model_cards", "ops.run_costs",
    "ops.model_costs",
}  # fmt: skip
# All others are a function of the landed data. Health is kept of each day that was resolved.
OF_THE_RUN = ABOUT_THE_RUN | {"ops.deliveries"}


def test_every_table_of_this_stage_is_published(two_days: Company):
    assert set(two_days.digests[-1]) == PUBLISHED


def test_each_day_publishes_a_release_of_its_own(two_days: Company):
    days = [release.split("_")[0] for release in two_days.releases]
    assert days == [f"{day:%Y-%m-%d}" for day in DAYS]


def test_a_new_day_brings_new_rows(two_days: Company):
    changed = {table for table in PUBLISHED if two_days.digests[0][table] != two_days.digests[1][table]}
    assert {"cdp.customer_timeline", "cdp.sessions", "cdp.customer_features", "dmp.visitors"} <= changed


def test_day_by_day_gives_the_same_tables_as_one_rebuild(two_days: Company, rebuilt: Company):
    different = {
        table for table in PUBLISHED - OF_THE_RUN if two_days.digests[1][table] != rebuilt.digests[0][table]
    }
    # Segments keep their ids and champions their office from the days before: names and scores may differ, and so may
    # what is made of them.
    assert different <= {
        "cdp.identity_health", "cdp.segments", "cdp.customer_segments", "cdp.customer_scores", "cdp.product_profiles",
        "cdp.next_best_actions", "ops.model_cards",
        # What was published before is an input: since when a member is in, which look-alikes there were, and what was
        # told of whom audiences reach.
        "both.audience_members", "both.audience_changes", "both.audience_lift", "ops.activations",
        "ops.activation_refusals", "dmp.lookalike_models", "dmp.placements",
        "bridge.audience_overlaps", "bridge.reach", "bridge.offsite_interests", "bridge.match_rates",
        "bridge.upsell_opportunities",
    }  # fmt: skip


def test_a_member_keeps_the_day_of_entry_and_a_new_one_has_todays(two_days: Company):
    before = (
        f"read_parquet('{two_days.lake.audiences(DAYS[0], 'audience_members')}', hive_partitioning = false)"
    )
    query = f"""
        select count(before.member_id), count(*) filter (members.entered_at = before.entered_at),
            count(*) filter (before.member_id is null),
            count(*) filter (before.member_id is null and members.entered_at = timestamp '{DAYS[1]}'),
            count(*) filter (before.entered_at = timestamp '{DAYS[0]}')
        from {{audience_members}} as members
        left join {before} as before using (audience_id, member_id)"""
    ((stayed, kept, entered, dated_today, since_the_first_day),) = two_days.rows(query)
    assert stayed > 100
    assert kept == stayed == since_the_first_day
    changed = "select count(*) from {audience_changes} where change = 'entered' and changed_date = "
    assert dated_today == entered == two_days.rows(f"{changed} date '{DAYS[1]}'")[0][0]


def test_received_rows_add_up_to_published_rows(two_days: Company):
    manifest = two_days.manifest()
    flow, inputs = manifest["row_flow"], manifest["inputs"]
    assert flow["balanced"] is True
    assert flow["received"] == sum(row["received"] for row in inputs) > 100_000
    assert all(row["received"] == row["landed"] + row["quarantined"] for row in inputs)
    landed = {(row["kind"], row["channel"]): row["landed"] for row in inputs}
    rows = flow["by_kind_and_channel"]
    assert {(row["kind"], row["channel"]): row["landed_rows"] for row in rows} == landed
    for row in rows:
        assert row["landed_rows"] == row["staged_rows"] + row["superseded_rows"] + row["deleted_rows"]
        assert row["staged_rows"] == row["published_rows"] + row["unattributed_rows"]
    assert sum(row["published_rows"] for row in rows) == flow["published"] > 0


def test_the_duckdb_file_holds_the_same_tables_as_the_parquet_files(two_days: Company):
    path = two_days.lake.current / "tandem.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        counts = {
            f"{schema}.{table}": connection.sql(f'select count(*) from "{schema}"."{table}"').fetchone()[0]
            for schema, table in connection.sql(
                "select table_schema, table_name from information_schema.tables"
            ).fetchall()
        }
    assert set(counts) == PUBLISHED
    for table, count in counts.items():
        side, name = table.split(".")
        file = two_days.lake.current / side / f"{name}.parquet"
        assert count == duckdb.sql(f"select count(*) from read_parquet('{file}')").fetchone()[0], table


def test_every_file_of_a_run_is_of_a_place_where_people_can_be_erased(two_days: Company):
    """A new file that no pattern of places.yml fits would stop every erasure."""
    assert sum(1 for path in two_days.data.rglob("*.parquet") if path.is_file()) > 200
    assert unknown_files(two_days.data) == []


def test_every_customer_of_the_timeline_is_published(two_days: Company):
    assert two_days.rows("select count(*) from {customer_timeline}")[0][0] > 1000
    orphans = two_days.rows(
        "select count(*) from {customer_timeline} where customer_id not in (select customer_id from {customers})"
    )
    assert orphans == [(0,)]


def test_money_is_the_same_in_the_files_and_in_the_timeline(two_days: Company):
    """Every line of an order that someone can be named for arrives in the timeline, to the cent."""
    source = two_days.data / "demo"
    lines = duckdb.sql(
        f"select sum(amount::decimal(18, 4)) from read_parquet('{source}/store/order_lines_*.parquet') "
        "where filename_day(filename) <= '2017-12-02'".replace(
            "filename_day(filename)", r"regexp_extract(filename, '(\d{4}-\d\d-\d\d)\.parquet$', 1)"
        )
    ).fetchone()[0]
    published = two_days.rows(
        "select sum(amount) from {customer_timeline} where activity = 'purchase' and channel = 'store_orders'"
    )[0][0]
    assert lines > 0
    assert published == pytest.approx(lines, abs=0)


def test_customers_are_found_as_the_truth_knows_them(two_days: Company):
    """Pairs of customer records put together are almost always one person's (precision of the merges)."""
    together, right = two_days.rows(
        """
        with record as (
            select records.customer_id, truth.person_id
            from {customer_records} as records
            inner join read_parquet('{truth}/person_records.parquet') as truth
                on records.channel = truth.channel and records.record_id = truth.record_id
        )
        select count(*), count(*) filter (where a.person_id = b.person_id)
        from record as a
        inner join record as b on a.customer_id = b.customer_id and a.rowid_order < b.rowid_order
        """.replace(
            "select records.customer_id, truth.person_id",
            "select records.customer_id, truth.person_id, row_number() over () as rowid_order",
        ),
        truth=str(two_days.truth),
    )[0]
    assert together > 50
    assert right / together > 0.98


def test_no_customer_and_no_seed_is_among_the_look_alikes(two_days: Company):
    judged = two_days.rows("select audience_id, verdict, reason from {lookalike_models}")
    assert {audience for audience, _, _ in judged} >= {"baby_families", "pet_families"}
    assert all(verdict in ("published", "refused") and reason for _, verdict, reason in judged)
    known = two_days.data / "lake" / "staged" / "known_visitors.parquet"
    assert duckdb.sql(f"select count(*) from read_parquet('{known}')").fetchone()[0] > 0
    members = two_days.lake.current / "dmp" / "lookalike_members.parquet"
    overlap = duckdb.sql(
        f"select count(*) from read_parquet('{members}') where visitor_id in "
        f"(select visitor_id from read_parquet('{known}'))"
    ).fetchone()[0]
    assert overlap == 0


def test_what_was_sent_yesterday_with_the_difference_is_what_is_sent_today(two_days: Company):
    def lines(release: str, pair: Path, action: str) -> set[str]:
        (path,) = (releases / release / "activation" / pair).glob(f"{action}.*")
        return set(path.read_text().splitlines()[path.suffix == ".csv" :])

    releases, (first, second) = two_days.lake.published / "releases", two_days.releases[:2]
    folder = releases / second / "activation"
    pairs = [path.parent.relative_to(folder) for path in folder.glob("*/*/manifest.json")]
    assert len(pairs) == 6
    assert any(lines(second, pair, "full") for pair in pairs)
    for pair in pairs:
        added, removed = lines(second, pair, "add"), lines(second, pair, "remove")
        assert (lines(first, pair, "full") - removed) | added == lines(second, pair, "full")
        # What the folders got, file by file, is the same.
        delivered = (two_days.data / "outbox" / pair.parent).glob(f"{second}_{pair.name}_add.*")
        assert any(delivered) == bool(added)


def test_nobody_is_sent_without_consent_and_nobody_of_the_control_group(two_days: Company):
    decisions = two_days.lake.activation(DAYS[-1]) / "decisions.parquet"
    sent, refused = duckdb.sql(
        f"select count(*) filter (where reason is null), count(*) from read_parquet('{decisions}')"
    ).fetchone()
    assert 0 < sent < refused
    wrongly = two_days.rows(
        f"""
        select count(*) from read_parquet('{decisions}', hive_partitioning = false) as decided
        inner join {{audience_members}} as members using (audience_id, member_id)
        left join {{customers}} as customers on customers.customer_id = decided.member_id
        where decided.reason is null
            and (members.is_control or (members.side = 'cdp' and not customers.consent_advertising))
        """
    )
    assert wrongly == [(0,)]


def test_every_gate_left_its_results(two_days: Company):
    steps = {step for (step,) in two_days.rows("select distinct step from {quality_results}")}
    assert steps == {"extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish"}
    failed = two_days.rows("select * from {quality_results} where not success and severity = 'stop'")
    assert failed == []


def test_every_chart_finds_rows_in_a_release(two_days: Company):
    """And the join of customers with their scores and segments holds what the tables hold."""
    with duckdb.connect(str(two_days.lake.current / "tandem.duckdb"), read_only=True) as release:
        rows = {
            chart.title: len(release.execute(chart.query).fetchall())
            for board in boards().values()
            for chart in board.charts
        }
        joined = release.execute(
            f"select count(*), sum(expected_value) from {datasets()['customer_overview'].relation}"
        ).fetchone()
    assert len(rows) >= 40
    assert sum(count > 0 for count in rows.values()) >= 20, rows
    ((customers,),) = two_days.rows("select count(*) from {customers}")
    ((value,),) = two_days.rows("select sum(value) from {customer_scores} where score = 'expected_value'")
    assert joined == (customers, pytest.approx(value))


def test_nearly_every_record_keeps_its_customer_from_one_day_to_the_next(two_days: Company) -> None:
    """And of every other one a merge or a split is told."""
    earlier = two_days.lake.published / "releases" / two_days.releases[0] / "cdp" / "customer_records.parquet"
    ((records, kept, told),) = two_days.rows(
        """
        with records as (
            select distinct before.customer_id as old_id, now.customer_id as new_id, channel, record_id
            from read_parquet('{earlier}') as before
            inner join {customer_records} as now using (channel, record_id)
            where record_id is not null
        ),
        changes as (
            select customer_id as new_id, previous_customer_id as old_id
            from {identity_changes}
            where as_of_date = date '{day}' and change in ('merged', 'split')
        )
        select count(*), count_if(old_id = new_id), count_if((old_id, new_id) in (select (old_id, new_id) from changes))
        from records
        """,
        earlier=str(earlier),
        day=f"{DAYS[1]}",
    )
    assert records > 300
    assert kept + told == records
    assert kept / records >= 0.999
