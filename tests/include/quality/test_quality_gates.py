"""Every gate holds on a clean lake and bites on a broken one: exactly the expectation meant for the fault fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.config import Configuration, load_configuration
from include.extract.drift import write_drift
from include.ledger import StepFailed
from include.privacy.requests import objection
from include.quality import GateResult, run_gate
from include.quality.gate import RESULT_SCHEMA
from include.quality.suites import STEPS, SuiteError, load_suite
from tests.include.quality.small_lake import DAY, LANDED, TABLES, SmallLake

Spoil = Callable[[SmallLake], None]


def of(number: int) -> str:
    """The SQL condition for one customer of the small lake. Odd ones have not agreed to e-mail, 5 is of the control."""
    return f"customer_id = 'c' || substr(md5('c{number}'), 1, 24)"


def copy_release(small: SmallLake) -> Path:
    """The building folder of the day with the lake's tables."""
    release = small.lake.building_release(DAY)
    for name in TABLES:
        path = release / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(small.lake.table(*name.split("/")), path)
    return release


def gate(step: str, small: SmallLake, configuration: Configuration) -> GateResult:
    release = small.lake.building_release(DAY) if step == "publish" else None
    return run_gate(step, small.lake, DAY, configuration, release=release)


def broken(small: SmallLake, step: str) -> set[str]:
    """Which expectations do not hold, from the results that the gate kept: `asset: subject`."""
    rows = pq.read_table(small.lake.ops(DAY, f"quality_{step}")).to_pylist()
    return {f"{row['asset']}: {row['column_name']}" for row in rows if not row["success"]}


def landed(kind: str, channel: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.landing(kind, channel, DAY) / "part.parquet", query)


def unreadable(kind: str, channel: str, column: str, rows: int, value: str) -> Spoil:
    """So many values of a column that the contract refuses, in the first rows of the day."""
    query = f"""select * replace (if(i < {rows}, map(['{column}'], ['{value}']), rejected_values) as rejected_values),
        if(i >= {rows}, i, null) as {column} from old"""
    return landed(kind, channel, query)


def receipts(channel: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.receipts(channel, DAY) / "receipts.parquet", query)


def warehouse(statement: str) -> Spoil:
    return lambda small: small.change_warehouse(statement)


def staged(table: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.staged(table), query)


def identity(table: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.identity(DAY, table), query)


def learned(table: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.ml(DAY, table), query)


def published(table: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.table(*table.split("/")), query)


def released(table: str, query: str) -> Spoil:
    return lambda small: small.change(small.lake.building_release(DAY) / f"{table}.parquet", query)


def lose_table(small: SmallLake) -> None:
    (small.lake.building_release(DAY) / "cdp" / "sessions.parquet").unlink()


def build_database_early(small: SmallLake) -> None:
    (small.lake.building_release(DAY) / "tandem.duckdb").touch()


def land_from_the_future(small: SmallLake) -> None:
    small.land("events", "web", date(2031, 1, 1), 0)


def history(small: SmallLake, channel: str, rows: dict[int, int]) -> None:
    """Deliveries of a channel on days of November: so many rows each."""
    (kind,) = (kind for kind, name in LANDED if name == channel)
    for day, received in rows.items():
        delivered = date(2017, 11, day)
        small.write(
            small.lake.receipts(channel, delivered) / "receipts.parquet",
            f"""select * replace (date '{delivered}' as delivered_on, {received}::bigint as received,
                {received}::bigint as landed, 0::bigint as quarantined)
            from read_parquet('{small.lake.receipts(channel, DAY)}/receipts.parquet', hive_partitioning = false)""",
        )
        small.land(kind, channel, delivered, received)


def silence(small: SmallLake, channel: str) -> None:
    """Take the delivery of the day away."""
    (kind,) = (kind for kind, name in LANDED if name == channel)
    shutil.rmtree(small.lake.receipts(channel, DAY))
    shutil.rmtree(small.lake.landing(kind, channel, DAY))


NO_WARNING = {"quarantine_shares: nothing_quarantined"}  # the clean lake has one row in quarantine
STOPS: list[tuple[str, str, Spoil, set[str], str]] = [
    # step, fault, how it is made, what must fail and nothing else, what the message says
    (
        "extract",
        "a receipt that lost rows",
        receipts("web", "select * replace (60 as received) from old"),
        {"receipts: received_is_landed_or_quarantined"},
        "1 of 9 rows, e.g. channel='web' source_file='web.csv' received=60 landed=50 quarantined=0",
    ),
    (
        "extract",
        "a landed file cut short",
        landed("events", "web", "select * from old limit 20"),
        {"landed_files: receipts_agree_with_files"},
        "1 of 9 rows, e.g. channel='web' kind='events' landed=50 landed_in_files=20",
    ),
    (
        "extract",
        "an empty file of a required channel",
        lambda small: (
            receipts("web", "select * replace (0 as received, 0 as landed) from old")(small),
            landed("events", "web", "select * from old limit 0")(small),
        ),
        {"channels: required_channels_deliver"},
        "1 of 9 rows, e.g. channel='web' received=0 received_this_day=0",
    ),
    (
        "extract",
        "a file from the future",
        land_from_the_future,
        {"partitions: nothing_from_the_future"},
        "e.g. channel='web' landed_on=2031-01-01",
    ),
    (
        "extract",
        "totals with a decimal comma",
        unreadable("orders", "shop", "total", 3, "10,50"),
        {"refused_values: money_can_be_read"},
        "2 of 2 rows, e.g. channel='shop' scope='all days' column_name='total' share=0.0714286 tolerance=0.05 "
        "refused=3 given=42 form='99,99' refused_row='shop.csv row 0'",
    ),
    (
        "stage",
        "an order staged twice",
        warehouse("insert into stg_orders select * from stg_orders where order_id = 'o35'"),
        {"stg_orders: channel, order_id", "stg_orders: order_id"},
        "expect_compound_columns_to_be_unique(channel, order_id) failed on stg_orders: 2 of 41 rows",
    ),
    (
        "stage",
        "lines of two channels' orders",
        warehouse(
            "insert into stg_orders select * replace ('b' as channel) from stg_orders where order_id = 'o5'"
        ),
        {"stg_orders: order_id", "stg_orders: an_order_with_lines_is_of_one_channel"},
        "unexpected_rows_expectation(an_order_with_lines_is_of_one_channel) failed on stg_orders: 2 of 41 rows",
    ),
    (
        "stage",
        "an event without an id",
        warehouse("update stg_events set event_id = null where event_id = 'e7'"),
        {"stg_events: event_id"},
        "expect_column_values_to_not_be_null(event_id) failed on stg_events: 1 of 50 rows",
    ),
    (
        "stage",
        "milliseconds read as seconds",
        warehouse("update stg_events set occurred_at = timestamp '1970-01-18' where event_id = 'e7'"),
        {"stg_events: occurred_at_is_plausible"},
        "e.g. channel='web' event_id='e7' occurred_at=1970-01-18 00:00:00",
    ),
    (
        "stage",
        "an empty e-mail as evidence",
        staged(
            "identity_evidence", "select * replace (if(record_id = 'r3', ' ', id_value) as id_value) from old"
        ),
        {"identity_evidence: identifiers_are_not_empty"},
        "1 of 120 rows",
    ),
    (
        "resolve",
        "a record of two customers",
        identity(
            "node_customers",
            "from old union all select * replace ('c' || substr(md5('c5'), 1, 24) as customer_id) from old "
            "where record_id = 'r9'",
        ),
        {"node_customers: node_key"},
        "expect_column_values_to_be_unique(node_key) failed on node_customers: 2 of 121 rows",
    ),
    (
        "resolve",
        "a lost record",
        identity("node_customers", "from old where record_id <> 'r9'"),
        {
            "nodes_and_evidence: every_node_is_resolved",
            "identifier_customers: claims_are_of_resolved_customers",
            "ids: ids_that_are_held_are_those_of_customers",
            "present_ids: every_id_leads_to_a_customer_of_today",
        },
        "e.g. evidence_nodes=120 resolved_nodes=119",
    ),
    (
        "resolve",
        "an id that was given twice",
        identity(
            "ids", "from old union all select * from old where customer_id = 'c' || substr(md5('c5'), 1, 24)"
        ),
        {"ids: customer_id"},
        "2 of 121 rows",
    ),
    (
        "resolve",
        "the id of a customer that leads to another",
        identity(
            "history",
            "from old union all select issued_customer_id, 'c' || substr(md5('c6'), 1, 24), 'merged', 'by email', "
            "effective_at, as_of_date + 1 from old where issued_customer_id = 'c' || substr(md5('c5'), 1, 24)",
        ),
        {"present_ids: a_customer_leads_to_itself"},
        "1 of 120 rows",
    ),
    (
        "resolve",
        "two people of one user id each in one customer",
        identity(
            "identifier_customers",
            "from old union all select 'user_id', 'u' || i, 'c' || substr(md5('c5'), 1, 24), first_seen_at, "
            "last_seen_at, 1 from (from old limit 1), range(2) t(i)",
        ),
        {"unique_identifiers: one_value_of_a_unique_type", "unique_identifiers: claimed_values"},
        "1 of 1 rows, e.g. 2 (people are merged",
    ),
    (
        "resolve",
        "a customer who swallowed everybody",
        lambda small: (
            staged(
                "identity_evidence",
                "select * replace (node_key || '-' || i as node_key) from old, range(20) t(i)",
            )(small),
            identity(
                "node_customers",
                "select * replace (node_key || '-' || i as node_key, 'c' || substr(md5('c5'), 1, 24) as customer_id) "
                "from old, range(20) t(i)",
            )(small),
            identity("identifier_customers", "from old limit 0")(small),
        ),
        {
            "customer_sizes: no_customer_is_a_crowd",
            "customer_sizes: no_customer_is_large",
            "ids: ids_that_are_held_are_those_of_customers",
            "present_ids: every_id_leads_to_a_customer_of_today",
        },
        "nodes=2400",
    ),
    (
        "unify",
        "a lost payment",
        published("cdp/customer_timeline", "from old where amount <> 45"),
        {"money: all_money_is_on_the_timeline", "money: all_orders_are_on_the_timeline"},
        "staged_amount=1180 customers_amount=1180 timeline_amount=1135",
    ),
    (
        "unify",
        "an order given to another",
        published(
            "cdp/customer_timeline",
            "select * replace (if(order_id = 'o7', 'o8', order_id) as order_id) from old",
        ),
        {"money: all_orders_are_on_the_timeline"},
        "customers_orders=40 timeline_orders=39",
    ),
    (
        "unify",
        "a record of nobody",
        published(
            "cdp/customer_records",
            "select * replace (if(record_id = 'r9', 'c0', customer_id) as customer_id) from old",
        ),
        {"customer_records: records_have_their_customer"},
        "1 of 120 rows, e.g. channel='crm' customer_id='c0'",
    ),
    (
        "unify",
        "a golden address without a source",
        published("cdp/customer_attributes", "from old where value <> 'p9@example.com'"),
        {"golden_emails: golden_emails_are_explained"},
        "1 of 120 rows, e.g. customer_id=",
    ),
    (
        "unify",
        "values of nobody",
        lambda small: [
            published(f"cdp/{table}", "select * replace ('c0' as customer_id) from old limit 1")(small)
            for table in ("customer_attribute_values", "device_ownership")
        ],
        {
            "customer_attribute_values: values_have_their_customer",
            "device_ownership: intervals_have_their_customer",
        },
        "1 of 1 rows, e.g. attribute='email' customer_id='c0'",
    ),
    (
        "unify",
        "an interval that ends before it starts",
        published(
            "cdp/device_ownership",
            "select * replace (if(interval_number = 2, timestamp '2017-11-01', owned_until) as owned_until) from old",
        ),
        {"device_ownership: intervals_are_in_order"},
        "1 of 4 rows, e.g. id_type='anonymous_id'",
    ),
    (
        "unify",
        "row counts that do not add up",
        staged(
            "row_counts",
            "select * replace (if(kind = 'orders', 39, published_rows) as published_rows) from old",
        ),
        {"row_counts: staged_is_published_or_unattributed"},
        "1 of 9 rows, e.g. kind='orders' channel='shop' staged_rows=40 published_rows=39 unattributed_rows=0",
    ),
    (
        "unify",
        "a landed channel that stage did not read",
        staged("row_counts", "from old where channel <> 'mail'"),
        {"landed_counts: stage_reads_all_that_landed"},
        "1 of 9 rows, e.g. kind='messages' channel='mail' landed=10 landed_rows=0",
    ),
    (
        "unify",
        "a raw cookie as visitor id",
        published(
            "dmp/visitors",
            "select * replace (if(visitor_id = sha256('v199'), 'cookie-77', visitor_id) as visitor_id) from old",
        ),
        {"visitors: visitor_ids_are_pseudonyms", "visitor_features: features_are_of_visitors"},
        "1 of 200 rows",
    ),
    (
        "unify",
        "an e-mail address in the DMP",
        published(
            "dmp/visitors",
            "select * replace (if(visitor_id = sha256('v199'), 'ann@example.com', place) as place) from old",
        ),
        {"visitors: visitors_hold_nothing_personal"},
        "an e-mail address or a full IP address crossed the privacy wall",
    ),
    (
        "unify",
        "a full IP address in the DMP",
        published("dmp/trait_qualifications", "select * replace ('203.0.113.77' as value) from old"),
        {"trait_qualifications: traits_hold_nothing_personal"},
        "80 of 80 rows",
    ),
    (
        "unify",
        "a cookie that somebody has in a trait's value",
        published("dmp/trait_qualifications", "select * replace ('cookie-7' as value) from old"),
        {"wall_breaches: no_known_identifier_crossed"},
        "found_in='trait_qualifications' identifier='anonymous_id'",
    ),
    (
        "unify",
        "an expired visitor",
        published(
            "dmp/visitors",
            "select * replace (if(visitor_id = sha256('v199'), timestamp '2017-12-02', expires_at) as expires_at) "
            "from old",
        ),
        {"visitors: visitors_are_alive"},
        "1 of 200 rows",
    ),
    (
        "unify",
        "a label from the future",
        staged("customer_feature_snapshots", "select * replace (true as bought_in_horizon) from old"),
        {"customer_feature_snapshots: no_label_before_it_is_known"},
        "120 of 360 rows",
    ),
    (
        "learn",
        "a probability above one",
        learned(
            "customer_scores", "select * replace (if(value = 0.5, 1.5, value) as value, 2.0 as high) from old"
        ),
        {"customer_scores: probabilities_are_between_0_and_1"},
        "1 of 120 rows, e.g.",
    ),
    (
        "learn",
        "a customer without a score",
        learned("customer_scores", "from old where value <> 0.5"),
        {"scored_customers: every_customer_is_scored"},
        "1 of 120 rows, e.g.",
    ),
    (
        "learn",
        "a customer without a segment",
        learned("customer_segments", "from old order by scheme, customer_id limit 239"),
        {"segmented_customers: every_customer_is_segmented"},
        "1 of 240 rows, e.g. customer_id=",
    ),
    (
        "learn",
        "a model that has seen the answer",
        learned("model_cards", "select * replace (0.999::double as value) from old"),
        {"model_cards: models_are_not_too_good"},
        "e.g. model='propensity' metric='auc' value=0.999",
    ),
    (
        "learn",
        "a refusal without a reason",
        learned("model_cards", "select * replace ('refused' as verdict, null::varchar as note) from old"),
        {"model_verdicts: refusals_have_a_reason"},
        "e.g. model='propensity' task='purchase'",
    ),
    (
        "segment",
        "a member who is no customer",
        warehouse("insert into int_audience_membership values ('loyal', 'cdp', 'c-ghost')"),
        {"audience_membership: members_exist"},
        "1 of 121 rows, e.g. audience_id='loyal' side='cdp' member_id='c-ghost'",
    ),
    (
        "segment",
        "a seed who refused",
        staged("audience_seeds", "from old union all select 'loyal', sha256('refused'), 'p1'"),
        {"audience_seeds: seeds_agreed"},
        "1 of 41 rows",
    ),
    (
        "segment",
        "a control group of everybody",
        published(
            "cdp/next_best_actions", "select * replace (true as is_control, 'none' as action) from old"
        ),
        {"action_control: control_share_is_as_configured"},
        "1 of 1 rows, e.g. customers=120 control_share=1",
    ),
    (
        "expand",
        "a customer courted as a stranger",
        learned(
            "lookalike_members",
            "from old union all select * replace (sha256('v45') as visitor_id, true as is_control) from old limit 51",
        ),
        {"lookalike_members: lookalikes_are_strangers"},
        "1 of 51 rows",
    ),
    (
        "expand",
        "a seed among the look-alikes",
        lambda small: (
            staged("known_visitors", "from old where visitor_id <> sha256('v7')")(small),
            learned(
                "lookalike_members",
                "from old union all select * replace (sha256('v7') as visitor_id) from old limit 51",
            )(small),
        ),
        {"lookalike_members: lookalikes_are_no_seeds"},
        "1 of 51 rows",
    ),
    (
        "expand",
        "members of a refused model",
        learned("lookalike_models", "select * replace ('refused' as verdict) from old"),
        {"lookalike_members: lookalikes_are_of_published_models"},
        "50 of 50 rows",
    ),
    (
        "expand",
        "a percentile above a hundred",
        learned(
            "lookalike_members",
            "select * replace (if(percentile = 50, 101, percentile) as percentile) from old",
        ),
        {"lookalike_members: percentile"},
        "expect_column_values_to_be_between(percentile) failed on lookalike_members: 1 of 50 rows, e.g. 101",
    ),
    (
        "expand",
        "no control group",
        learned("lookalike_members", "select * replace (true as is_control) from old"),
        {"control_groups: control_share_is_as_configured"},
        "e.g. audience_id='loyal' members=50 control_share=1",
    ),
    (
        "publish",
        "a member of the history who withdrew",
        released(
            "both/audience_changes",
            "select * exclude (number) replace (if(number = 1, 'dmp', side) as side, "
            "if(number = 1, sha256('withdrew'), member_id) as member_id) "
            "from (select *, row_number() over (order by member_id) as number from old)",
        ),
        {"audience_changes: who_entered_has_agreed"},
        "1 of 60 rows",
    ),
    (
        "publish",
        "a table that is gone",
        lose_table,
        {"release_tables: every_table_is_there", "contract_columns: contract_columns_are_there"},
        "e.g. table_name='cdp/sessions'",
    ),
    (
        "publish",
        "a table cut short",
        released("cdp/customer_timeline", "from old limit 5"),
        {"release_tables: rows_are_those_of_the_lake"},
        "e.g. table_name='cdp/customer_timeline' release_rows=5 lake_rows=70",
    ),
    (
        "publish",
        "a column that reports need",
        released("cdp/segments", "select * exclude (name) from old"),
        {"contract_columns: contract_columns_are_there"},
        "e.g. table_name='cdp/segments' column_name='name'",
    ),
    (
        "publish",
        "a grain that is broken",
        lambda small: (released("cdp/segments", "select * replace ('s0' as segment_id) from old")(small),),
        {"release_tables: grains_are_kept"},
        "e.g. table_name='cdp/segments' repeated_keys=3",
    ),
    (
        "publish",
        "a key that is empty",
        released(
            "cdp/sessions",
            "select * replace (nullif(session_id, (select min(session_id) from old)) as session_id) from old",
        ),
        {"release_tables: grains_are_kept"},
        "e.g. table_name='cdp/sessions' repeated_keys=1",
    ),
    (
        "publish",
        "an e-mail column in the DMP",
        released("dmp/visitors", "select *, 'x' as email from old"),
        {"dmp_columns: column_name"},
        "expect_column_values_to_not_be_in_set(column_name) failed on dmp_columns: 1 of ",
    ),
    (
        "publish",
        "a database that was built before the audit",
        build_database_early,
        {"database: None"},
        "expect_table_row_count_to_equal() failed on database: found 1",
    ),
]
WARNINGS: list[tuple[str, str, Spoil, set[str]]] = [
    (
        "extract",
        "a tenth of the usual rows",
        lambda small: history(small, "web", {27: 500, 28: 500, 29: 500}),
        {"channels: volume_is_as_usual", "quarantine_shares: nothing_quarantined"},
    ),
    (
        "extract",
        "more than twice the usual rows",
        lambda small: history(small, "web", dict.fromkeys(range(20, 31), 22)),
        {"channels: volume_is_as_usual", "quarantine_shares: nothing_quarantined"},
    ),
    (
        "extract",
        "a channel that fell silent",
        lambda small: [
            history(small, "mail", dict.fromkeys(range(12, 28, 2), 10)),
            silence(small, "mail"),
        ],
        {"channels: channels_are_fresh", "quarantine_shares: nothing_quarantined"},
    ),
    (
        "extract",
        "a channel that is no longer described",
        lambda small: small.land("customers", "former", DAY, 3),
        {"partitions: channels_are_described", "quarantine_shares: nothing_quarantined"},
    ),
    (
        "extract",
        "birth dates of another form",
        unreadable("customers", "crm", "birth_date", 7, "16.05.1980"),
        {"refused_values: values_can_be_read", "quarantine_shares: nothing_quarantined"},
    ),
    (
        "stage",
        "events of another type than before",
        lambda small: [
            landed("events", "web", "from range(1350) t(i)")(small),
            small.change_warehouse(
                """insert into stg_events by name
                select * exclude (i) replace ('x' || i as event_id, if(i < 1000, 'page', 'track') as type,
                    if(i < 1000, date '2017-11-20', date '2017-12-01') as first_landed_on)
                from (from stg_events limit 1), range(1300) t(i)"""
            ),
        ],
        {"mixtures: mixtures_are_as_before"},
    ),
    (
        "stage",
        "an event of a clock that is ahead",
        warehouse("update stg_events set occurred_at = timestamp '2099-12-01' where event_id = 'e7'"),
        {"stg_events: occurred_at_is_not_after_the_day"},
    ),
    (
        "stage",
        "an event of a clock that was ahead of its receipt",
        warehouse(
            "update stg_events set rejected_values = map(['occurred_at'], ['2099-12-01 00:00:00']) "
            "where event_id = 'e7'"
        ),
        {"stg_events: nothing_happens_after_it_was_received"},
    ),
    (
        "stage",
        "lines without an order",
        warehouse("update stg_order_lines set order_id = 'o999' where order_id = 'o7' and line_number = 1"),
        {"stg_order_lines: lines_have_their_order"},
    ),
    (
        "stage",
        "lines that came again under another number",
        lambda small: [
            landed("order_lines", "lines", "select * from old union all select * from old limit 62")(small),
            small.change_warehouse(
                """insert into stg_order_lines select * replace (line_number + 9 as line_number,
                'again.csv' as source_file) from stg_order_lines where order_id = 'o7'"""
            ),
        ],
        {"repeated_lines: lines_that_come_again_keep_their_number"},
    ),
    (
        "stage",
        "a negative total",
        warehouse("update stg_orders set total = -5 where order_id = 'o35'"),
        {"stg_orders: total"},
    ),
    (
        "stage",
        "orders of another currency",
        warehouse("update stg_orders set currency = 'jpy' where order_id >= 'o36'"),
        {"currencies: orders_are_of_one_currency"},
    ),
    (
        "stage",
        "orders without a total or a line",
        warehouse("update stg_orders set total = null where order_id in ('o7', 'o31', 'o32', 'o33')"),
        {"order_values: orders_have_a_value"},
    ),
    (
        "stage",
        "consents of an identifier that nobody knows",
        warehouse(
            "update stg_consents set id_type = 'loyalty card' where id_value = (select min(id_value) from stg_consents)"
        ),
        {"statements: statements_are_of_a_known_id_type"},
    ),
    (
        "stage",
        "consents of a purpose in capitals",
        warehouse(
            "update stg_consents set purpose = 'Email' where id_value = (select min(id_value) from stg_consents)"
        ),
        {"purposes: purposes_are_written_as_configured"},
    ),
    (
        "stage",
        "telephone numbers of another country",
        warehouse(
            "update stg_customers set phone = null, rejected_values = map(['phone'], ['030 1234567']) "
            "where phone > '+12125550122'"
        ),
        {"refused_contacts: contacts_can_be_read"},
    ),
    (
        "segment",
        "an audience of everybody",
        warehouse(
            "insert into int_audience_membership select 'loyal', 'cdp', 'c' || substr(md5('c' || i), 1, 24) "
            "from range(60, 120) t(i)"
        ),
        {"audience_sizes: audiences_select"},
    ),
    (
        "segment",
        "an audience that asks for a misspelt trait",
        warehouse("insert into int_audience_traits values ('sporty', 'sprot', 'unknown')"),
        {"audience_traits: audiences_ask_for_traits_that_somebody_holds"},
    ),
    (
        "expand",
        "a look-alike that leaves out a group",
        learned(
            "lookalike_fairness", "select * replace (0.5 as selection_ratio, true as is_flagged) from old"
        ),
        {"lookalike_fairness: groups_are_chosen_alike"},
    ),
]


# Faults that keep out of each other's way, all made in one lake, for a gate takes seconds: how each is made, what must
# fail for it, how many rows break that, and what the examples say.
TOGETHER: dict[str, list[tuple[str, Spoil, str, int, str]]] = {
    "unify": [
        (
            "a value from the future",
            staged(
                "customer_feature_snapshots",
                f"select * replace (if(is_current and {of(5)}, 5, value_in_horizon) as value_in_horizon) from old",
            ),
            "customer_feature_snapshots: no_value_before_it_is_known",
            1,
            "as_of_date=2017-12-01",
        ),
        (
            "an order after the day it is known on",
            staged(
                "customer_feature_snapshots",
                f"select * replace (if(is_current and {of(7)}, -1, recency_days) as recency_days) from old",
            ),
            "customer_feature_snapshots: features_are_of_the_past",
            1,
            "days_observed=400 recency_days=-1",
        ),
        (
            "a category bought in the future",
            staged(
                "customer_category_snapshots",
                f"select * replace (if(is_current and {of(5)}, true, bought_in_horizon) as bought_in_horizon) from old",
            ),
            "customer_category_snapshots: no_label_before_it_is_known",
            1,
            "category='TEA' as_of_date=2017-12-01",
        ),
        (
            "an order of tomorrow",
            staged(
                "customer_orders",
                "select * replace (if(order_id = 'o7', timestamp '2017-12-02', ordered_at) as ordered_at) from old",
            ),
            "customer_orders: orders_are_of_the_past",
            1,
            "order_id='o7' ordered_at=2017-12-02 00:00:00",
        ),
        (
            "a signal of tomorrow",
            staged(
                "customer_signals",
                f"select * replace (if({of(5)}, timestamp '2017-12-02', occurred_at) as occurred_at) from old",
            ),
            "customer_signals: signals_are_of_the_past",
            1,
            "signal='Product viewed' signal_date=2017-11-02 occurred_at=2017-12-02 00:00:00",
        ),
        (
            "a product twice in the catalogue",
            staged("product_catalogue", "from old union all from old where product_id = 'p3'"),
            "product_catalogue: product_id",
            2,
            "'p3'",
        ),
        (
            "a profile that says another stage, and a life that was lost",
            lambda small: (
                published(
                    "cdp/customers",
                    f"select * replace (if({of(5)}, 'loyal', lifecycle_stage) as lifecycle_stage) from old",
                )(small),
                published("cdp/customer_stages", f"from old where not {of(7)}")(small),
            ),
            "customer_lives: every_customer_stands_somewhere",
            2,
            "lifecycle_stage='active' current_stages=0",
        ),
        (
            "a life with a gap",
            published(
                "cdp/customer_stages",
                f"select * replace (if({of(9)}, left_at - interval 1 hour, left_at) as left_at) from old",
            ),
            "customer_stages: stays_follow_each_other",
            1,
            "left_at=2017-11-02 23:00:00 next_entered_at=2017-11-03 00:00:00",
        ),
        (
            "more who moved on than were there",
            published(
                "cdp/lifecycle_funnel",
                "select * replace (if(within_days = 28, 121, moved) as moved) from old",
            ),
            "lifecycle_funnel: conversions_are_shares",
            1,
            "within_days=28 entered=120 moved=121",
        ),
    ],
    "learn": [
        (
            "an interest that chance explains",
            learned(
                "offsite_interests",
                "select * replace (if(bought_category = 'TEA', 'rises', verdict) as verdict) from old",
            ),
            "offsite_interests: found_interests_are_not_chance",
            1,
            "bought_category='TEA'",
        ),
        (
            "a customer in two segments of a scheme",
            learned(
                "customer_segments",
                "from old union all select * replace ('rfm_0' as segment_id) from old "
                f"where scheme = 'rfm' and {of(5)}",
            ),
            "customer_segments: customer_id, scheme",
            2,
            "scheme='rfm'",
        ),
        (
            "a customer in a segment of another scheme",
            learned(
                "customer_segments",
                f"select * replace (if({of(7)}, 'rfm_0', segment_id) as segment_id) from old",
            ),
            "customer_segments: segments_are_described",
            1,
            "scheme='behaviour' segment_id='rfm_0'",
        ),
        (
            "shares that leave customers out",
            learned("segments", "select * replace (if(segment_id = 'rfm_1', 0.3, share) as share) from old"),
            "segment_shares: segments_cover_the_customers_once",
            1,
            "scheme='rfm' share=0.8",
        ),
        (
            "a propensity of the company's own above one",
            learned(
                "customer_scores",
                "from old union all select * replace ('propensity:visit' as score, 2.0 as high, "
                f"if({of(5)}, 1.5, value) as value) from old where score = 'purchase_probability'",
            ),
            "customer_scores: probabilities_are_between_0_and_1",
            1,
            "score='propensity:visit' value=1.5",
        ),
        (
            "less than no orders expected, and a value without an end",
            learned(
                "customer_scores",
                "from old union all select * replace ('expected_orders' as score, 2.0 as high, "
                f"if({of(5)}, -2, 0) as low, if({of(5)}, -1, value) as value) from old "
                "where score = 'purchase_probability' union all "
                "select * replace ('expected_value' as score, 0.0 as low, "
                f"if({of(7)}, 'inf'::double, high) as high) from old where score = 'purchase_probability'",
            ),
            "customer_scores: expectations_are_amounts",
            2,
            "score='expected_orders' low=-2 value=-1 high=2",
        ),
        (
            "a need that more have than there are",
            learned(
                "stage_needs", "select * replace (if(need = 'TEA', 61, with_need) as with_need) from old"
            ),
            "stage_needs: needs_are_shares",
            1,
            "need='TEA' with_need=61 customers=60",
        ),
        (
            "a need that may be chance",
            learned("stage_needs", "select * replace (if(need = 'CUPS', 0.2, q_value) as q_value) from old"),
            "stage_needs: needs_are_not_chance",
            1,
            "need='CUPS' q_value=0.2",
        ),
        (
            "a need told twice",
            learned(
                "stage_needs",
                "from old union all select * replace ('MUGS' as need, 9 as with_need, 0.01 as q_value) from old",
            ),
            "stage_needs: stage, need_kind, need",
            2,
            "need='MUGS'",
        ),
        (
            "a cell of four buyers, and a correction that makes surer",
            learned(
                "product_profiles",
                "select * replace (if(profile = 'f', 4, buyers) as buyers, "
                "if(profile = 'm', 0.001, q_value) as q_value) from old",
            ),
            "product_profiles: cells_are_shares_of_enough_customers",
            2,
            "profile='f' level='category' product_key='TEA' buyers=4",
        ),
        (
            "a product told twice of a profile",
            learned(
                "product_profiles",
                "from old union all select * replace ('x' as profile, 30 as buyers, 0.02 as q_value) from old",
            ),
            "product_profiles: profile_type, profile, level, product_key",
            2,
            "profile='x'",
        ),
        (
            "two recommendations of one place",
            learned("product_recommendations", f"select * replace (if({of(5)}, 1, rank) as rank) from old"),
            "product_recommendations: customer_id, rank",
            2,
            "rank=1",
        ),
        (
            "a recommendation of nothing, and one of yesterday",
            learned(
                "product_recommendations",
                f"select * replace (if({of(7)} and rank = 1, null, product_id) as product_id, "
                f"if({of(7)} and rank = 2, as_of_date - 1, as_of_date) as as_of_date) from old",
            ),
            "product_recommendations: recommendations_have_a_product_a_reason_and_a_score",
            2,
            "rank=1 score=1 as_of_date=2017-12-01",
        ),
        (
            "an effect outside its interval",
            learned(
                "purchase_triggers",
                "select * replace (if(trigger = 'call: delivery', 1.3, effect) as effect) from old",
            ),
            "purchase_triggers: effects_lie_in_their_interval",
            1,
            "trigger='call: delivery' category='any' stage='any' sales_channel='any' low=0.7 effect=1.3 high=1.1",
        ),
        (
            "a trigger that works at made-up times too, and one that may be chance",
            learned(
                "purchase_triggers",
                "select * replace (if(trigger = 'price drop', 1.1, placebo_low) as placebo_low, "
                "if(trigger = 'call: delivery', 'lowers', verdict) as verdict) from old",
            ),
            "purchase_triggers: found_triggers_pass_their_placebo",
            2,
            "sales_channel='any' q_value=0.6 placebo_low=0.8",
        ),
        (
            "a trigger of yesterday",
            learned(
                "purchase_triggers",
                "select * replace (if(trigger = 'birthday', as_of_date - 1, as_of_date) as as_of_date) from old",
            ),
            "purchase_triggers: triggers_are_of_the_day",
            1,
            "trigger='birthday' category='any' as_of_date=2017-11-30",
        ),
        (
            "a trigger with two effects",
            learned(
                "purchase_triggers",
                "from old union all select * replace ('t' as trigger_id, 'too few' as verdict) from old "
                "where trigger = 'price drop' union all select * replace ('t' as trigger_id, 'too few' as verdict) "
                "from old where trigger = 'price drop'",
            ),
            "purchase_triggers: trigger_id, category, stage, sales_channel",
            2,
            "trigger_id='t'",
        ),
        (
            "a propensity that the naive guess scores, a champion that won again and one that was not challenged",
            learned(
                "model_cards_propensity",
                "select * replace ('refused' as verdict) from old "
                "union all select * replace ('purchase_probability:A' as model, 'kept' as verdict) from old "
                "union all select * replace ('purchase_probability:B' as model, 'kept' as verdict) from old "
                "where metric <> 'challenger_auc'",
            ),
            "propensities: challengers_are_good_enough",
            2,
            "model='purchase_probability:A' verdict='kept' note='AUC 0.8 against 0.7'",
        ),
        (
            "customers who are no longer those of then",
            learned(
                "model_cards_propensity",
                "select * replace (if(metric = 'score_drift', 0.3, value) as value) from old",
            ),
            "drifts: nothing_has_drifted_far",
            1,
            "first_model='purchase_probability' models=3 metric='score_drift' value=0.3",
        ),
    ],
    "expand": [
        (
            "an interest of many that is kept back",
            learned(
                "compared_people",
                "select * replace (if(bought_category = 'TEA', null, buyers) as buyers) from old",
            ),
            "compared_people: people_are_told_unless_they_are_few",
            1,
            "bought_category='TEA' counted_buyers=80 controls=400",
        ),
        (
            "a placement of a few",
            learned("placements", "select * replace (if(value = '20', 49, reach) as reach) from old"),
            "placements: no_placement_of_a_few_is_told",
            1,
            "value='20' reach=49",
        ),
        (
            "an overlap that leaves a few",
            learned("audience_overlaps", "select * replace (12 as only_b) from old"),
            "audience_overlaps: no_overlap_of_a_few_is_told",
            1,
            "overlap=60",
        ),
    ],
    "segment": [
        (
            "an e-mail to somebody who did not agree",
            published(
                "cdp/next_best_actions",
                f"select * replace (if({of(7)}, 'email', channel) as channel) from old",
            ),
            "next_best_actions: no_e_mail_without_consent",
            2,
            "rank=2 action='product' rule_id='discover'",
        ),
        (
            "an offer to the control group",
            published(
                "cdp/next_best_actions",
                f"select * replace (if({of(5)}, 'content', action) as action, "
                f"if({of(5)}, 'website', channel) as channel, if({of(5)}, 'discover', rule_id) as rule_id) from old",
            ),
            "next_best_actions: nothing_is_offered_to_the_control_group",
            1,
            "rank=1 action='content' rule_id='discover'",
        ),
        (
            "a second action twice",
            published("cdp/next_best_actions", f"from old union all from old where rank = 2 and {of(9)}"),
            "next_best_actions: customer_id, rank",
            2,
            "rank=2",
        ),
        (
            "an action by no rule",
            published(
                "cdp/next_best_actions", f"select * replace (if({of(11)}, null, rule_id) as rule_id) from old"
            ),
            "next_best_actions: actions_are_explained",
            2,
            "rank=1 action='product' channel='website'",
        ),
        (
            "actions of yesterday",
            published(
                "cdp/next_best_actions",
                f"select * replace (if({of(13)}, as_of_date - 1, as_of_date) as as_of_date) from old",
            ),
            "next_best_actions: actions_are_of_the_day",
            2,
            "rank=1 as_of_date=2017-11-30",
        ),
        (
            "an action for nobody",
            published(
                "cdp/next_best_actions",
                f"from old union all select * replace ('c0' as customer_id) from old where {of(15)}",
            ),
            "next_best_actions: actions_are_for_customers",
            1,
            "customer_id='c0' rank=1",
        ),
        (
            "a customer without an action",
            published("cdp/next_best_actions", f"from old where not {of(17)}"),
            "first_actions: every_customer_has_a_first_action",
            1,
            "customer_id=",
        ),
    ],
}


@pytest.mark.parametrize("step", STEPS)
def test_a_clean_lake_passes_every_gate(step: str, small: SmallLake, configuration: Configuration) -> None:
    copy_release(small)
    result = gate(step, small, configuration)
    assert not result.failed
    assert result.passed == len(result.results) - result.warned > 0
    assert broken(small, step) == (NO_WARNING if step == "extract" else set())


@pytest.mark.parametrize(
    ("step", "spoil", "expected", "message"),
    [(step, spoil, expected, message) for step, _, spoil, expected, message in STOPS],
    ids=[f"{step}: {fault}" for step, fault, *_ in STOPS],
)
def test_a_gate_stops_at(
    step: str,
    spoil: Spoil,
    expected: set[str],
    message: str,
    small: SmallLake,
    configuration: Configuration,
) -> None:
    copy_release(small)
    spoil(small)
    with pytest.raises(StepFailed) as failure:
        gate(step, small, configuration)
    line = str(failure.value)
    assert message in line
    assert line.startswith(f"gate {step}: ")
    assert line.endswith(f" - see {small.lake.quality_page(DAY, step)}")
    assert "\n" not in line
    assert broken(small, step) - NO_WARNING == expected


@pytest.mark.parametrize("step", TOGETHER)
def test_faults_of_one_lake_are_told_apart(step: str, small: SmallLake, configuration: Configuration) -> None:
    for _, spoil, *_ in TOGETHER[step]:
        spoil(small)
    with pytest.raises(StepFailed):
        gate(step, small, configuration)
    rows = pq.read_table(small.lake.ops(DAY, f"quality_{step}")).to_pylist()
    found = {f"{row['asset']}: {row['column_name']}": row for row in rows if not row["success"]}
    expected = {expectation: count for _, _, expectation, count, _ in TOGETHER[step]}
    assert {expectation: row["unexpected_count"] for expectation, row in found.items()} == expected
    for _, _, expectation, _, example in TOGETHER[step]:
        assert example in found[expectation]["examples"]


@pytest.mark.parametrize(
    ("step", "spoil", "expected"),
    [(step, spoil, expected) for step, _, spoil, expected in WARNINGS],
    ids=[f"{step}: {fault}" for step, fault, *_ in WARNINGS],
)
def test_a_gate_warns_of(
    step: str, spoil: Spoil, expected: set[str], small: SmallLake, configuration: Configuration
) -> None:
    spoil(small)
    result = gate(step, small, configuration)
    assert broken(small, step) == expected
    assert result.warned == len(expected)


def test_an_audience_of_nobody_is_told_to_who_wrote_it_only(
    small: SmallLake, configuration: Configuration, tmp_path: Path
) -> None:
    warehouse("delete from int_audience_membership where audience_id = 'loyal'")(small)
    gate("segment", small, configuration)
    assert broken(small, "segment") == set()
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "channels.yml").write_text((configuration.folder / "channels.yml").read_text())
    (folder / "audiences.yml").write_text(
        "audiences: [{id: loyal, name: L, description: D, side: cdp, where: frequency_orders > 4, ttl_days: 30}]"
    )
    gate("segment", small, load_configuration(folder))
    assert broken(small, "segment") == {"audience_sizes: audiences_have_members"}


def test_a_control_group_is_held_against_the_share_of_its_own_audience(
    small: SmallLake, configuration: Configuration, tmp_path: Path
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "channels.yml").write_text((configuration.folder / "channels.yml").read_text())
    (folder / "audiences.yml").write_text(
        "audiences: [{id: loyal, side: cdp, where: frequency_orders > 4, control_share: 0}]"
    )
    nobody_is_held_back = load_configuration(folder)
    with pytest.raises(StepFailed, match="control_groups"):
        gate("expand", small, nobody_is_held_back)
    learned("lookalike_members", "select * replace (false as is_control) from old")(small)
    gate("expand", small, nobody_is_held_back)
    assert broken(small, "expand") == set()


def test_too_much_in_quarantine_stops_with_file_row_and_reason_but_no_personal_data(
    small: SmallLake, configuration: Configuration
) -> None:
    small.write(
        small.lake.quarantine("customers", "crm", DAY) / "part.parquet",
        """select 'x;ann@example.com' as raw, 'missing:record_id' as reason, 'crm.csv' as source_file,
        7 + i as source_row
        from range(30) t(i)""",
    )
    receipts("crm", "select * replace (150 as received, 30 as quarantined) from old")(small)
    with pytest.raises(StepFailed, match="quarantined_share_within_tolerance") as failure:
        gate("extract", small, configuration)
    assert "share=0.2 tolerance=0.05 quarantined=30 received=150 reasons='missing:record_id 30'" in str(
        failure.value
    )
    assert "crm.csv row 7 missing:record_id, crm.csv row 8 missing:record_id" in str(failure.value)
    assert "ann@example.com" not in str(failure.value)
    assert "ann@example.com" not in small.lake.quality_page(DAY, "extract").read_text()


def refuse(channel: str, day: date, received: int, refused: int) -> Spoil:
    """Another day of a channel of customers, some of whose rows are in quarantine."""

    def spoil(small: SmallLake) -> None:
        small.write(
            small.lake.receipts(channel, day) / "receipts.parquet",
            f"""select * replace (date '{day}' as delivered_on, {received}::bigint as received,
                {received - refused}::bigint as landed, {refused}::bigint as quarantined)
            from read_parquet('{small.lake.receipts(channel, DAY)}/receipts.parquet', hive_partitioning = false)""",
        )
        small.land("customers", channel, day, received - refused)
        small.write(
            small.lake.quarantine("customers", channel, day) / "part.parquet",
            f"""select 'x' as raw, 'malformed' as reason, 'crm.csv' as source_file, i as source_row
            from range({refused}) t(i)""",
        )

    return spoil


@pytest.mark.parametrize(
    ("spoil", "scopes"),
    [
        (refuse("crm", date(2017, 11, 30), 100, 90), {"all days"}),
        (
            lambda small: (
                refuse("crm", date(2017, 11, 30), 10_000, 0)(small),
                refuse("crm", DAY, 100, 20)(small),
            ),
            {"this day"},
        ),
        (refuse("crm", DAY, 100, 20), {"all days", "this day"}),
    ],
    ids=["the days before spoil the whole", "the day is bad, the whole is not", "both"],
)
def test_the_tolerance_of_a_channel_bites_on_its_day_and_on_all_days(
    spoil: Spoil, scopes: set[str], small: SmallLake, configuration: Configuration
) -> None:
    spoil(small)
    with pytest.raises(StepFailed, match="quarantined_share_within_tolerance") as failure:
        gate("extract", small, configuration)
    assert broken(small, "extract") - NO_WARNING == {"quarantine_shares: quarantined_share_within_tolerance"}
    assert "e.g. channel='crm' scope=" in str(failure.value)
    assert {scope for scope in ("all days", "this day") if f"scope='{scope}'" in str(failure.value)} == scopes
    assert "reasons='malformed " in str(failure.value)


def test_a_higher_tolerance_lets_the_same_rows_pass(small: SmallLake, configuration: Configuration) -> None:
    refuse("crm", DAY, 100, 20)(small)
    tolerant = configuration.channels["crm"].model_copy(update={"tolerance": 0.2})
    wider = configuration.model_copy(update={"channels": configuration.channels | {"crm": tolerant}})
    assert not gate("extract", small, wider).failed


def test_a_few_values_that_cannot_be_read_are_within_the_tolerance(
    small: SmallLake, configuration: Configuration
) -> None:
    unreadable("orders", "shop", "total", 2, "free")(small)
    unreadable("customers", "crm", "birth_date", 6, "unknown")(small)
    gate("extract", small, configuration)
    assert broken(small, "extract") == NO_WARNING


def test_of_a_value_that_slipped_into_the_column_of_money_only_its_form_is_told(
    small: SmallLake, configuration: Configuration
) -> None:
    unreadable("orders", "shop", "total", 42, "ann7@example.com")(small)
    with pytest.raises(StepFailed, match="money_can_be_read") as failure:
        gate("extract", small, configuration)
    assert "share=1 tolerance=0.05 refused=42 given=42 form='aaa9@aaaaaaa.aaa'" in str(failure.value)
    assert "ann7" not in str(failure.value) + small.lake.quality_page(DAY, "extract").read_text()


def relayout(columns: str, day: date = date(2017, 11, 30)) -> Spoil:
    """A file of an earlier day with other columns than the day's `id` and `mail`."""

    def spoil(small: SmallLake) -> None:
        small.write(
            small.lake.receipts("web", day) / "receipts.parquet",
            f"""select * replace (date '{day}' as delivered_on, map {columns} as columns, 0::bigint as received,
                0::bigint as landed)
            from read_parquet('{small.lake.receipts("web", DAY)}/receipts.parquet', hive_partitioning = false)""",
        )
        write_drift(small.lake, DAY)

    return spoil


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("{'id': 'VARCHAR'}", "change='added' source_column='mail' to_type='VARCHAR'"),
        (
            "{'id': 'VARCHAR', 'mail': 'VARCHAR', 'phone': 'VARCHAR'}",
            "change='vanished' source_column='phone' from_type='VARCHAR'",
        ),
        (
            "{'id': 'BIGINT', 'mail': 'VARCHAR'}",
            "change='retyped' source_column='id' from_type='BIGINT' to_type='VARCHAR'",
        ),
    ],
)
def test_a_layout_that_changed_is_told_with_column_and_day(
    columns: str, said: str, small: SmallLake, configuration: Configuration
) -> None:
    relayout(columns)(small)
    assert not gate("extract", small, configuration).failed
    assert broken(small, "extract") - NO_WARNING == {"layouts: columns_are_as_before"}
    rows = pq.read_table(small.lake.ops(DAY, "quality_extract")).to_pylist()
    (found,) = (row for row in rows if row["column_name"] == "columns_are_as_before")
    assert found["severity"] == "warn"
    assert f"channel='web' {said} since_date=2017-12-01 since_file='web.csv'" in found["examples"]


def test_a_layout_that_changed_on_an_earlier_day_is_not_told_again(
    small: SmallLake, configuration: Configuration
) -> None:
    for day, columns in ((29, "{'id': 'VARCHAR'}"), (30, "{'id': 'VARCHAR', 'mail': 'VARCHAR'}")):
        relayout(columns, date(2017, 11, day))(small)
    assert len(pq.read_table(small.lake.ops(DAY, "schema_drift"))) == 1
    gate("extract", small, configuration)
    assert broken(small, "extract") == NO_WARNING


def test_examples_show_that_there_is_a_personal_value_but_not_which(
    small: SmallLake, configuration: Configuration
) -> None:
    staged("identity_evidence", "select * from old union all select * from old where record_id = 'r3'")(small)
    with pytest.raises(StepFailed, match="identity_evidence") as failure:
        gate("stage", small, configuration)
    page = small.lake.quality_page(DAY, "stage").read_text()
    assert "characters" in page
    for text in (page, str(failure.value)):
        assert "p3@example.com" not in text


@pytest.mark.parametrize("step", STEPS)
def test_a_company_without_any_data_fails_only_for_its_required_channels(
    step: str, empty_lake: SmallLake, configuration: Configuration
) -> None:
    copy_release(empty_lake)
    if step == "extract":
        with pytest.raises(StepFailed, match="required_channels_deliver"):
            gate(step, empty_lake, configuration)
        assert broken(empty_lake, step) == {"channels: required_channels_deliver"}
    else:
        assert not gate(step, empty_lake, configuration).failed


def test_traits_of_people_who_never_agreed_are_told(
    empty_lake: SmallLake, configuration: Configuration
) -> None:
    gate("unify", empty_lake, configuration)
    assert broken(empty_lake, "unify") == set()
    warehouse("insert into stg_traits (id_type, id_value, party) values ('anonymous_id', 'a1', 'third')")(
        empty_lake
    )
    gate("unify", empty_lake, configuration)
    assert broken(empty_lake, "unify") == {"agreement: somebody_has_agreed"}


def test_a_missing_file_is_named(small: SmallLake, configuration: Configuration) -> None:
    path = small.lake.ml(DAY, "stage_needs")
    path.unlink()
    with pytest.raises(StepFailed, match=re.escape(f"gate learn: {path} is missing")):
        gate("learn", small, configuration)


def test_a_missing_warehouse_is_named(small: SmallLake, configuration: Configuration) -> None:
    small.lake.warehouse.unlink()
    with pytest.raises(StepFailed, match=re.escape(f"gate stage: {small.lake.warehouse} is missing")):
        gate("stage", small, configuration)


def test_a_check_that_cannot_be_made_is_not_one_that_holds(
    small: SmallLake, configuration: Configuration
) -> None:
    warehouse("alter table stg_orders alter total type varchar using 'ten'")(small)
    with pytest.raises(StepFailed, match=r"between\(total\) failed on stg_orders: not evaluated: "):
        gate("stage", small, configuration)


def test_results_are_kept_as_a_table_with_one_row_per_expectation(
    small: SmallLake, configuration: Configuration
) -> None:
    result = gate("resolve", small, configuration)
    table = pq.read_table(small.lake.ops(DAY, "quality_resolve"))
    assert table.schema.equals(RESULT_SCHEMA)
    declared = [(asset.name, each.type) for asset in load_suite("resolve") for each in asset.expectations]
    kept = [(row["asset"], row["expectation"]) for row in table.to_pylist()]
    assert sorted(kept) == sorted(declared)
    assert len(kept) == len(result.results)
    assert all(row["meaning"] and row["owner"] for row in table.to_pylist())


def test_pages_are_self_contained_and_the_index_leads_to_every_gate(
    small: SmallLake, configuration: Configuration
) -> None:
    gate("resolve", small, configuration)
    gate("learn", small, configuration)
    index = small.lake.quality_page(DAY, "index").read_text()
    page = small.lake.quality_page(DAY, "learn").read_text()
    assert 'href="resolve.html"' in index
    assert 'href="learn.html"' in index
    assert 'href="stage.html"' not in index
    for text in (index, page):
        assert not re.search(r"(src|href)=\"(https?:)?//", text)
        assert "prefers-color-scheme: dark" in text
    assert "customers without a score drop out of every audience that asks for one" in page


def test_a_page_shows_what_each_expectation_found_on_the_days_before(
    small: SmallLake, configuration: Configuration
) -> None:
    gate("resolve", small, configuration)
    assert "<svg" not in small.lake.quality_page(DAY, "resolve").read_text()
    kept = small.lake.ops(DAY, "quality_resolve")
    rows = pq.read_table(kept)["unexpected_count"].to_pylist().count(0)
    for day, broken in ((date(2017, 11, 29), 7), (date(2017, 11, 30), 4)):
        small.write(
            small.lake.ops(day, "quality_resolve"),
            f"""select * replace (date '{day}' as as_of_date, unexpected_count = 0 and success as success,
            if(unexpected_count = 0, {broken}, unexpected_count) as unexpected_count)
            from read_parquet('{kept}', hive_partitioning = false)""",
        )
    gate("resolve", small, configuration)
    page = small.lake.quality_page(DAY, "resolve").read_text()
    assert rows > 3
    assert page.count('aria-label="3 runs, from 0 to 7"') == rows
    assert 'points="3.0,3.0 60.0,10.7 117.0,21.0 "' in page


def test_a_later_day_that_was_run_is_not_the_future(small: SmallLake, configuration: Configuration) -> None:
    small.land("events", "web", date(2017, 12, 2), 0)
    small.lake.run_file(date(2017, 12, 2), "run.json").parent.mkdir(parents=True)
    assert not gate("extract", small, configuration).failed


def test_objections_that_landed_are_of_no_channel_that_somebody_took_out(
    small: SmallLake, configuration: Configuration
) -> None:
    small.land("consents", objection.CHANNEL, DAY, 3)
    gate("extract", small, configuration)
    assert "partitions: channels_are_described" not in broken(small, "extract")


def test_every_expectation_says_who_owns_it_and_what_a_failure_means() -> None:
    suites = {step: load_suite(step) for step in STEPS}
    assert {step: len(suite) > 0 for step, suite in suites.items()} == dict.fromkeys(STEPS, True)
    for suite in suites.values():
        for asset in suite:
            assert all(each.owner and len(each.meaning.split()) >= 4 for each in asset.expectations)


def test_a_step_without_a_suite_is_refused_with_those_there_are() -> None:
    with pytest.raises(SuiteError, match="there is no suite for the step 'guess'; there are expand, extract"):
        load_suite("guess")
