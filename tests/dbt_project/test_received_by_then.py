"""Features of a day are the same a week later, whatever came in between: late rows, corrections, cancellations."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import duckdb
import pytest

from include.config import dbt_variables
from include.lake import Lake
from include.warehouse import run_models
from tests.dbt_project.files_company import KEY, Company

THEN, NOW = date(2024, 3, 8), date(2024, 3, 15)
CHANNELS = """\
channels:
  crm:
    {party: first, kind: customers, spec: mapped, required: false,
     source: {path: "crm_{date}.csv", format: csv},
     map: {record_id: id, observed_at: changed, email: mail, gender: gender}}
  shop:
    {party: first, kind: orders, spec: mapped, required: false,
     source: {path: "shop_{date}.csv", format: csv},
     map: {order_id: id, ordered_at: at, updated_at: changed, status: status, total: total, email: mail}}
  lines:
    {party: first, kind: order_lines, spec: mapped, required: false,
     source: {path: "lines_{date}.csv", format: csv},
     map: {order_id: id, line_number: line, product_id: product, amount: amount}}
  catalogue:
    {party: first, kind: products, spec: mapped, required: false,
     source: {path: "catalogue_{date}.csv", format: csv},
     map: {product_id: product, category: category}}
  calls:
    {party: first, kind: interactions, spec: mapped, required: false,
     source: {path: "calls_{date}.csv", format: csv},
     map: {interaction_id: id, occurred_at: at, type: {value: call}, outcome: outcome, email: mail}}
  mailer:
    {party: first, kind: messages, spec: mapped, required: false,
     source: {path: "mailer_{date}.csv", format: csv},
     map: {message_id: id, occurred_at: at, action: action, medium: {value: email}, email: mail}}
  app:
    {party: first, kind: events, spec: mapped, required: false,
     source: {path: "app_{date}.csv", format: csv},
     map: {event_id: id, type: {value: track}, name: what, occurred_at: at, anonymous_id: device, email: mail}}
  preferences:
    {party: first, kind: consents, spec: mapped, required: false,
     source: {path: "preferences_{date}.csv", format: csv},
     map: {id_type: {value: email}, id_value: mail, purpose: purpose, status: status, effective_at: at}}
"""
OWN = "features:\n  large_orders: {over: orders, measure: count, where: total_amount > 15}\n"
ORDERS, LINES = "id,at,changed,status,total,mail", "id,line,product,amount"
CRM, CALLS, APP = "id,changed,mail,gender,plan", "id,at,outcome,mail", "id,what,at,device,mail"
MAILER, PREFERENCES = "id,at,action,mail", "mail,purpose,status,at"


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""])


def known_then() -> dict[str, str]:
    """The history of the first day, and a week later what was received by then."""
    return {
        "models.yml": "purchase: {horizon_days: 7, cutoffs: 2}\n",
        "features.yml": OWN,
        "crm_2024-03-01.csv": table(
            CRM, "1,2024-01-05 10:00,ann@x.example,f,basic", "2,2024-01-06 10:00,bob@x.example,m,basic"
        ),
        "shop_2024-03-01.csv": table(
            ORDERS, "h1,2024-02-01 10:00,,,10,ann@x.example", "h2,2024-02-10 10:00,,,30,ann@x.example",
            "h3,2024-02-12 10:00,2024-02-20 10:00,returned,40,ann@x.example",
            "h4,2024-02-11 18:30,,,12,bob@x.example",
        ),
        "lines_2024-03-01.csv": table(LINES, "h1,1,p1,10", "h2,1,p2,30", "h4,1,p1,12"),
        "catalogue_2024-03-01.csv": table("product,category", "p1,tea", "p2,cups", "p3,pots"),
        "calls_2024-03-01.csv": table(CALLS, "c1,2024-02-15 09:00,open,ann@x.example"),
        "mailer_2024-03-01.csv": table(MAILER, "m1,2024-02-20 08:00,sent,ann@x.example"),
        "app_2024-03-01.csv": table(APP, "e1,Product Viewed,2024-02-21 08:00,d-ann,ann@x.example"),
        "preferences_2024-03-01.csv": table(PREFERENCES, "ann@x.example,email,granted,2024-02-01 09:00"),
        "shop_2024-03-08.csv": table(
            ORDERS, "o1,2024-03-05 10:00,2024-03-05 10:00,completed,20,ann@x.example",
            "o2,2024-03-06 10:00,2024-03-06 10:00,completed,18,bob@x.example",
        ),
        "lines_2024-03-08.csv": table(LINES, "o1,1,p1,20", "o2,1,p3,18"),
        "calls_2024-03-08.csv": table(CALLS, "c2,2024-03-07 09:00,open,bob@x.example"),
        "app_2024-03-08.csv": table(APP, "e2,Product Viewed,2024-03-08 08:00,d-ann,ann@x.example"),
    }  # fmt: skip


def came_later() -> dict[str, str]:
    """What would change the features of then if they were made of what is known now."""
    return {
        "crm_2024-03-12.csv": table(
            CRM, "1,2024-03-03 10:00,ann@x.example,f,silver", "2,2024-03-10 10:00,bob@x.example,m,gold"
        ),
        "shop_2024-03-12.csv": table(
            # Corrected, cancelled, late; cancelled although it was history; and bought after.
            ORDERS, "o1,2024-03-05 10:00,2024-03-11 10:00,completed,25,ann@x.example",
            "o2,2024-03-06 10:00,2024-03-12 10:00,cancelled,18,bob@x.example",
            "o3,2024-03-02 10:00,2024-03-02 10:00,completed,99,bob@x.example",
            "h2,2024-02-10 10:00,2024-03-10 10:00,returned,30,ann@x.example",
            "o4,2024-03-12 10:00,2024-03-12 10:00,completed,7,ann@x.example",
        ),
        "lines_2024-03-12.csv": table(LINES, "o1,1,p3,25", "o3,1,p2,99", "h4,1,p2,1"),
        "calls_2024-03-13.csv": table(
            CALLS, "c2,2024-03-07 09:00,resolved,bob@x.example", "c3,2024-03-04 09:00,open,ann@x.example",
            "c4,2024-03-12 09:00,resolved,bob@x.example",
        ),
        "mailer_2024-03-13.csv": table(MAILER, "m1,2024-02-20 09:00,opened,ann@x.example"),
        "app_2024-03-14.csv": table(APP, "e3,Product Viewed,2024-03-01 08:00,d-ann,ann@x.example"),
        "preferences_2024-03-14.csv": table(PREFERENCES, "ann@x.example,email,denied,2024-03-04 09:00"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """`then` and `now`: the snapshots of two runs, a horizon apart."""
    folder = tmp_path_factory.mktemp("received")
    company = Company(folder / "files", Lake(folder / "data"), CHANNELS)
    connection = duckdb.connect()
    for name, day, files in (("then", THEN, known_then()), ("now", NOW, came_later())):
        company.deliver(files)
        company.extract(day)
        variables = dbt_variables(company.configuration, day, company.lake)
        staged = [f"+{name},tag:stage" for name in ("customer_feature_snapshots", "identity_evidence")]
        run_models(staged, company.lake, variables, KEY)
        company.identify(day)
        run_models(["+customer_feature_snapshots,tag:unify"], company.lake, variables, KEY)
        path = company.lake.staged("customer_feature_snapshots")
        connection.execute(f"create table {name}_snapshots as from read_parquet('{path}')")
    return connection


def test_features_of_then_are_what_they_were_then(snapshots: duckdb.DuckDBPyConnection) -> None:
    query = """
        select * exclude (is_current, bought_in_horizon, value_in_horizon)
        from {}_snapshots where as_of_date = '2024-03-08' order by customer_id"""
    was = snapshots.execute(query.format("then")).fetchall()
    columns = [column[0] for column in snapshots.description]
    recomputed = snapshots.execute(query.format("now")).fetchall()
    assert len(was) == len(recomputed) == 2
    differences = [
        (column, one, other)
        for before, after in zip(was, recomputed, strict=True)
        for column, one, other in zip(columns, before, after, strict=True)
        if one != other
    ]
    assert differences == []


def test_what_came_later_counts_now(snapshots: duckdb.DuckDBPyConnection) -> None:
    """Otherwise the features of then would be the same for want of a difference."""
    features = """
        select gender, frequency_orders, monetary_total, cancelled_orders, top_category, category_count, contacts_84d,
            unresolved_contact_share_365d, emails_opened_84d, product_views_84d, consents_granted, plan, large_orders
        from (
            select *, attributes['gender'] as gender, attributes['plan'] as plan,
                own_features['large_orders'] as large_orders
            from now_snapshots
        )
        where as_of_date = '{}' order by gender"""
    assert snapshots.execute(features.format("2024-03-08")).fetchall() == [
        ("f", 3, Decimal("60.0000"), 1, "cups", 2, 1, 1.0, 0, 2, 1, "basic", 2.0),
        ("m", 2, Decimal("30.0000"), 0, "pots", 2, 1, 1.0, 0, 0, 0, "basic", 1.0),
    ]
    assert snapshots.execute(features.format("2024-03-15")).fetchall() == [
        ("f", 3, Decimal("42.0000"), 2, "pots", 2, 2, 1.0, 1, 3, 0, "silver", 1.0),
        ("m", 2, Decimal("111.0000"), 1, "cups", 1, 2, 0.0, 0, 0, 0, "gold", 1.0),
    ]


def test_what_happened_after_the_cutoff_is_the_label_alone(snapshots: duckdb.DuckDBPyConnection) -> None:
    labels = """
        select attributes['gender'], bought_in_horizon, value_in_horizon
        from now_snapshots where as_of_date = '2024-03-08' order by all"""
    assert snapshots.execute(labels).fetchall() == [
        ("f", True, Decimal("7.0000")),
        ("m", False, Decimal("0.0000")),
    ]
