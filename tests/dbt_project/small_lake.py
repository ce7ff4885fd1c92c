"""A lake small enough to know by heart: typed landing files of one shop, and who its people are.

Ann is in the CRM and in the loyalty programme, has moved, buys in the store and online, and browses. Bob shares the
switchboard's e-mail address with others. Cy never bought. Dee buys in the store with a card nobody else knows. One
record says a name and nothing else. One visitor stays a stranger, one is a robot. What lands after `DAY` is there to
be left out.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb

from include.config import Normalisation, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.config.variables import feature_variables, profile_variables
from include.extract.kinds import kinds
from include.lake import Lake
from include.normalise.landing import normalise_landing
from include.settings import DEFAULT_CONFIG, settings
from ml.offsite import OFFSITE_INTERESTS
from ml.offsite_offers import UPSELL_OFFERS
from ml.tables import write_table
from tests.landed import land_delivery

DAY = date(2024, 3, 31)
KEY = b"the key of the small lake"
HORIZON_DAYS = 28
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

# Who carries which identifier, as resolve would find it. The switchboard's address belongs to nobody.
OWNERS = {
    ("email", "ann@example.org"): "c_ann",
    ("email", "ann.new@example.org"): "c_ann",
    ("phone", "+4912345"): "c_ann",
    ("loyalty_number", "L-1"): "c_ann",
    ("user_id", "u-ann"): "c_ann",
    ("anonymous_id", "a-ann"): "c_ann",
    ("phone", "+49309999"): "c_bob",
    ("email", "bob@example.org"): "c_bob",
    ("email", "cy@example.org"): "c_cy",
    ("loyalty_number", "L-9"): "c_dee",
}
BLOCKED = {("email", "office@example.org")}


def land_small_lake(lake: Lake) -> None:
    """Write every landing file of the small lake, and what its values are normalised to."""
    land_records(lake, _records())
    normalise_small_lake(lake)


def land_records(lake: Lake, records: dict[tuple[str, str, date], list[dict]]) -> None:
    """Write landing files, given by kind, channel and day, and the empty file that each kind always has."""
    for kind in kinds():
        land_delivery(lake, kind, "none", date(1970, 1, 1), [])
    for (name, channel, day), rows in records.items():
        file = {"source_file": f"{channel}_{day:%Y-%m-%d}.csv"}
        land_delivery(lake, name, channel, day, [file | row for row in rows])


def normalise_small_lake(lake: Lake) -> None:
    """Write the dictionaries of what is landed; telephone numbers without a country code are German."""
    normalise_landing(lake, Normalisation(region="DE"), settings())


def resolve_small_lake(lake: Lake, day: date = DAY) -> None:
    """Write what resolve would write, from `OWNERS`: the graph itself is tested elsewhere."""
    con = duckdb.connect()
    evidence = lake.staged("identity_evidence")
    con.execute("create table owners (id_type varchar, id_value varchar, customer_id varchar)")
    con.executemany(
        "insert into owners values (?, ?, ?)", [[*identifier, who] for identifier, who in OWNERS.items()]
    )
    con.execute("create table blocked (id_type varchar, id_value varchar)")
    con.executemany("insert into blocked values (?, ?)", [list(identifier) for identifier in BLOCKED])
    con.execute(f"create table evidence as from read_parquet('{evidence}')")
    tables = {
        "node_customers": """
            select *, customer_id as exact_id, customer_id as loose_id from (
                select node_key, any_value(kind) as kind, any_value(channel) as channel,
                    any_value(record_id) as record_id,
                    coalesce(max(customer_id), if(bool_and(id_type is null), 'c_alone', null)) as customer_id,
                    'exact' as tier,
                    string_agg(distinct id_type, ',' order by id_type)
                        filter (where customer_id is not null) as linked_by
                from evidence left join owners using (id_type, id_value) group by node_key
            ) order by node_key""",
        "identifier_customers": """
            select id_type, id_value, customer_id, min(first_seen_at) as first_seen_at,
                max(last_seen_at) as last_seen_at, cast(sum(observations) as bigint) as observations
            from evidence join owners using (id_type, id_value) group by all order by all""",
        "edges": """
            select node_key, kind, channel, record_id, id_type, id_value, 'exact' as tier, first_seen_at, last_seen_at,
                observations,
                case when blocked.id_value is null then 'active' else 'blocked' end as status,
                case when blocked.id_value is not null then 'blocked_value' end as reason
            from evidence left join blocked using (id_type, id_value) where id_type is not null order by all""",
        "links": """
            select '' as node_key_a, '' as node_key_b, '' as channel_a, '' as record_id_a, '' as channel_b,
                '' as record_id_b, '' as tier, '' as rule, '' as evidence, 0.0::double as probability,
                0.0::double as match_weight
            where false""",
        "health": f"""
            select date '{day}' as as_of_date, 'customers' as measure, 'all' as part,
                count(distinct customer_id) as value
            from owners""",
        "changes": f"""
            select distinct customer_id, cast(null as varchar) as previous_customer_id, 'created' as change,
                'first seen' as reason, date '{day}' as as_of_date
            from owners order by all""",
        "history": f"""
            select distinct customer_id as issued_customer_id, customer_id, 'created' as change, 'first seen' as reason,
                timestamp '{day}' as effective_at, date '{day}' as as_of_date
            from owners order by all""",
    }
    for table, query in tables.items():
        path = lake.identity(day, table)
        path.parent.mkdir(parents=True, exist_ok=True)
        con.execute(f"copy ({query}) to '{path}' (format parquet)")


def learn_small_lake(lake: Lake, day: date = DAY) -> None:
    """Write what learn would write: one score and one segment per customer."""
    con = duckdb.connect()
    customers = "(select distinct customer_id from read_parquet('{}') where customer_id is not null)".format(
        lake.identity(day, "node_customers")
    )
    tables = {
        "customer_scores": f"""
            select customer_id, date '{day}' as as_of_date, 'purchase_probability' as score, 0.5 as value,
                50.0 as percentile, 0.4 as low, 0.6 as high, 'v1' as model_version from {customers}""",
        "segments": f"""
            select 'segment_1' as segment_id, 'behaviour' as scheme, date '{day}' as as_of_date, 'All' as name,
                'Everyone' as description, 4 as size, 1.0 as share, 2.0 as mean_recency_days, 1.5 as mean_orders,
                20.0 as mean_spend, 5.0 as mean_expected_value, date '{day}' - 28 as compared_with, 2 as size_before,
                10.0 as mean_spend_before, 1.0 as trend, '{{}}' as differences, 'v1' as model_version""",
        "product_profiles": f"""
            select date '{day}' as as_of_date, 'gender' as profile_type, 'F' as profile, 'gender F' as profile_name,
                'category' as level, 'coffee' as product_key, 'coffee' as product_name, 'coffee' as category,
                40 as customers, 30 as buyers, 0.3 as support, 0.75 as share, 0.5 as share_elsewhere, 1.25 as lift,
                1.1 as low, 1.4 as high, 0.01 as p_value, 0.02 as q_value, true as is_significant, 0.1 as spend_share,
                1.2 as spend_lift, date '{day}' - 364 as window_start, 'v1' as model_version""",
        "product_recommendations": f"""
            select customer_id, date '{day}' as as_of_date, 1 as rank, 'p1' as product_id, 'Coffee' as product_name,
                'coffee' as category, true as is_new, 0.1 as score, 'popular with all customers' as reason,
                'popular' as recommender, 'v1' as model_version
            from {customers}""",
        "purchase_triggers": f"""
            select 'price drop|3' as trigger_id, 'price drop' as trigger, 'price' as trigger_kind, 'any' as category,
                'any' as stage, 'any' as sales_channel, 3::bigint as window_days, 50::bigint as customers,
                60::bigint as support, 40::bigint as purchases_after, 1.5 as effect, 1.2 as low, 1.8 as high,
                0.001 as p_value, 0.01 as q_value, 1.0 as placebo, 0.8 as placebo_low, 1.2 as placebo_high,
                1.0 as before_effect, 0.8 as before_low, 1.2 as before_high, 'raises' as verdict,
                'A price drop raises purchases.' as meaning, 'v1' as model_version, date '{day}' as as_of_date""",
        "customer_segments": f"""
            select customer_id, date '{day}' as as_of_date, 'behaviour' as scheme, 'segment_1' as segment_id,
                0.1 as distance, null::bigint as recency_score, null::bigint as frequency_score,
                null::bigint as money_score
            from {customers}""",
        "stage_needs": f"""
            select 'lead' as stage, 'category' as need_kind, 'coffee' as need, date '{day}' as as_of_date,
                40 as in_stage, 30 as customers, 20 as with_need, 0.6 as share, 0.2 as share_elsewhere, 2.0 as lift,
                1.5 as low, 2.5 as high, 0.01 as p_value, 0.02 as q_value, true as is_significant, 1 as rank,
                'Leads buy coffee.' as meaning, 'v1' as model_version""",
    }
    for table, query in tables.items():
        path = lake.ml(day, table)
        path.parent.mkdir(parents=True, exist_ok=True)
        con.execute(f"copy ({query}) to '{path}' (format parquet)")
    write_table(None, OFFSITE_INTERESTS, [], lake.ml(day, "offsite_interests"))
    write_table(None, UPSELL_OFFERS, [], lake.ml(day, "upsell_offers"))


def variables(day: date = DAY) -> dict:
    configuration = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS)
    return {
        "as_of_date": f"{day:%Y-%m-%d}",
        "horizon_days": HORIZON_DAYS,
        "lifecycle_minimum_support": 1,
        **profile_variables(configuration.profile),
        **feature_variables(configuration, day),
    }


def rows(path: Path, query: str = "from this") -> list[tuple]:
    """Rows of a Parquet file; the query calls it `this`."""
    con = duckdb.connect()
    con.execute(f"create view this as from read_parquet('{path}')")
    return con.execute(query).fetchall()


def _records() -> dict[tuple[str, str, date], list[dict]]:
    first, last, later = date(2024, 1, 10), DAY, DAY + timedelta(days=1)
    return {
        ("customers", "crm", first): [
            {"record_id": "A1", "observed_at": "2024-01-05 09:00", "email": "ann@example.org", "phone": "+49 123-45",
             "given_name": "Ann", "family_name": "Old", "street": "Old Street 1", "city": "Oldtown", "region": "North",
             "attributes": {"shoe_size": "39"}, "rejected_values": {"birth_date": "a Monday"}},
            {"record_id": "B1", "observed_at": "2024-01-06 09:00", "email": "office@example.org",
             "phone": "(030) 9999", "given_name": "Bob"},
            {"record_id": "C1", "observed_at": "2024-01-07 09:00", "email": "cy@example.org", "given_name": "Cy"},
            {"record_id": "N1", "observed_at": "2024-01-07 10:00", "given_name": "Nameless"},
        ],
        ("customers", "crm", last): [
            # Ann moved and married: the new address has no region, and the e-mail field came empty.
            {"record_id": "A1", "observed_at": "2024-03-01 09:00", "email": " ", "phone": "+4912345",
             "given_name": "Ann", "family_name": "New", "street": "New Street 2", "city": "Newtown"},
        ],
        ("customers", "loyalty", first): [
            {"record_id": "7", "observed_at": "2024-01-08 09:00", "email": " ANN@Example.org", "loyalty_number": "L-1",
             "given_name": "Anne", "gender": "female", "country": "Germany"},
        ],
        ("customers", "crm", later): [
            {"record_id": "A1", "observed_at": "2024-04-01 09:00", "given_name": "Tomorrow"},
        ],
        ("products", "catalogue", first): [
            {"product_id": "p1", "name": "Beans", "category": "coffee", "price": "10.00"},
            {"product_id": "p2", "name": "Pot", "category": "kitchen", "price": "20.00"},
        ],
        ("orders", "store", first): [
            {"order_id": "s1", "ordered_at": "2024-01-09 12:00", "total": "30.00", "discount": "10.00",
             "store_id": "7", "loyalty_number": "L-1"},
            {"order_id": "s9", "ordered_at": "2024-01-09 13:00", "total": "7.50", "store_id": "7",
             "loyalty_number": "L-9"},
            {"order_id": "s10", "ordered_at": "2024-01-09 14:00", "total": "99.00", "store_id": "7"},
        ],
        ("orders", "shop", last): [
            {"order_id": "w1", "ordered_at": "2024-03-10 10:25", "total": "15.50", "sales_channel": "online",
             "email": "Ann@example.org", "status": "completed"},
            {"order_id": "w2", "ordered_at": "2024-03-11 10:00", "total": "50.00", "sales_channel": "online",
             "email": "ann@example.org", "status": "Cancelled"},
            {"order_id": "w3", "ordered_at": "2024-03-12 10:00", "total": "20.00", "sales_channel": "online",
             "email": "bob@example.org", "phone": "0309999"},
        ],
        ("order_lines", "store_lines", first): [
            {"order_id": "s1", "line_number": 1, "product_id": "p1", "quantity": 1, "amount": "10.00"},
            {"order_id": "s1", "line_number": 2, "product_id": "p2", "quantity": 1, "amount": "20.00"},
            {"order_id": "s9", "line_number": 1, "product_id": "p1", "quantity": 1, "amount": "7.50"},
            {"order_id": "nowhere", "line_number": 1, "product_id": "p1", "quantity": 1, "amount": "1.00"},
        ],
        ("order_lines", "shop_lines", last): [
            {"order_id": "w1", "line_number": 1, "product_id": "p1", "quantity": 1, "amount": "15.50"},
            {"order_id": "w2", "line_number": 1, "product_id": "p2", "quantity": 1, "amount": "50.00"},
        ],
        ("interactions", "calls", last): [
            {"interaction_id": "i1", "occurred_at": "2024-03-09 08:00", "type": "Call", "reason": "delivery",
             "phone": "+4912345"},
        ],
        ("messages", "mailer", last): [
            {"message_id": "m1", "occurred_at": "2024-03-05 08:00", "action": "sent", "medium": "email",
             "email": "ann@example.org"},
            {"message_id": "m1", "occurred_at": "2024-03-05 09:00", "action": "opened", "medium": "email",
             "email": "ann@example.org"},
            {"message_id": "m1", "occurred_at": "2024-03-05 09:00", "action": "clicked", "medium": "email",
             "email": "ann@example.org"},
        ],
        ("consents", "preferences", last): [
            {"id_type": "email", "id_value": "ANN@example.org", "purpose": "email", "status": "granted",
             "effective_at": "2024-01-05 09:00"},
            {"id_type": "email", "id_value": "ann@example.org", "purpose": "advertising", "status": "granted",
             "effective_at": "2024-01-05 09:00"},
            {"id_type": "loyalty_number", "id_value": "L-1", "purpose": "advertising", "status": "denied",
             "effective_at": "2024-02-05 09:00"},
            {"id_type": "email", "id_value": "nobody@example.org", "purpose": "email", "status": "granted",
             "effective_at": "2024-01-05 09:00"},
        ],
        ("traits", "broker", last): [
            {"party": "third", "id_type": "anonymous_id", "id_value": "a-stranger", "trait": "age", "value": "30-39",
             "observed_at": "2024-03-01 00:00", "provider": "broker"},
        ],
        ("events", "web", last): _web_events(),
        ("events", "offsite", last): [
            {"event_id": "o1", "type": "page", "occurred_at": "2024-03-10 20:00", "anonymous_id": "a-ann",
             "party": "third", "user_agent": BROWSER, "site": "news.example", "is_owned_site": False},
        ],
    }  # fmt: skip


def _web_events() -> list[dict]:
    def event(event_id: str, at: str, **columns: object) -> dict:
        return {
            "event_id": event_id, "type": "page", "occurred_at": f"2024-03-10 {at}", "anonymous_id": "a-ann",
            "received_at": f"2024-03-10 {at}", "user_agent": BROWSER, "site": "shop.example", "is_owned_site": True,
        } | columns  # fmt: skip

    return [
        event("e1", "10:00:00", url="https://shop.example/?email=ann%40example.org#top"),
        # Ann grants what she refused by her loyalty card.
        event(
            "e2",
            "10:25:00",
            url="https://shop.example/beans",
            user_id="u-ann",
            consent='{"advertising": true}',
        ),
        # Two of one moment, delivered in the other order, and one delivered twice.
        event("e4", "10:55:00", type="track", name="Order Completed", properties='{"order_id": "w1"}'),
        event("e3", "10:55:00", type="track", name="Product Viewed", properties='{"product_id": "p1"}'),
        event("e3", "10:55:00", type="track", name="Product Viewed", properties='{"product_id": "p1"}'),
        event("e5", "11:25:00", url="https://shop.example/thanks?order=w1"),
        event("e6", "11:55:01", url="https://shop.example/again"),
        event("x1", "12:00:00", anonymous_id="a-stranger", url="https://shop.example/"),
        event("x2", "12:01:00", anonymous_id="a-Übermut:7", url="https://shop.example/"),
        event("b1", "12:00:00", anonymous_id="a-robot", user_agent=CRAWLER),
    ]
