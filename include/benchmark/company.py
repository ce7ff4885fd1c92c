"""A made-up company as a user would bring it: eight channels of one Parquet file a day, and their configuration.

The people, orders and doings are those of `learning_inputs`; everything about a row hangs on the hash of its number.
A customer has about 21 rows of the timeline: 9 lines of 4.5 orders, 7 events, 5 messages, 0.4 calls; with a hundred
events instead of ten (`BEHAVIOURS`) about 95.
A hundredth of the people have a second record with the same e-mail address, as many records come again corrected, and
every two hundredth event is sent twice. A third party brings what as many browsers of customers as of strangers read
elsewhere within two months, four or twenty pages for each customer; three of four browsers have granted advertising.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import yaml

from include.benchmark import learning_inputs as made_up
from include.benchmark.learning_inputs import CATEGORIES, DAY, PRODUCTS
from include.benchmark.planted_people import drawn, ranked, word
from include.settings import DEFAULT_CONFIG, Settings

ROW_GROUP = 122_880
# The kind of record that each channel brings, and whose it is.
CHANNELS = {
    "crm": ("customers", "first"),
    "shop": ("orders", "first"),
    "shop_lines": ("order_lines", "first"),
    "catalogue": ("products", "first"),
    "web": ("events", "first"),
    "publishers": ("events", "third"),
    "mail": ("messages", "first"),
    "calls": ("interactions", "first"),
}
SITES, CONTENTS = 300, 40


@dataclass(frozen=True)
class Behaviour:
    """How much of it there is of a customer, on average: events on the company's own site, pages that they and as many
    strangers read elsewhere, and how many of either are one visit."""

    events: int
    pages: int
    visit: int


# By how many events there are of a customer in all, about.
BEHAVIOURS = {10: Behaviour(events=7, pages=4, visit=1), 100: Behaviour(events=80, pages=20, visit=8)}
# Of what the next day brings: the key of each channel's records, their times, and whether they are known ones.
NEXT_DAY = {
    "crm": ("record_id", ["observed_at"], True),
    "shop": ("order_id", ["ordered_at"], False),
    "shop_lines": ("order_id", [], False),
    "web": ("event_id", ["occurred_at", "received_at"], False),
    "publishers": ("event_id", ["occurred_at"], False),
    "mail": ("message_id", ["occurred_at"], False),
    "calls": ("interaction_id", ["occurred_at"], False),
}
SHARE_OF_A_DAY = 100
# A visit comes whole.
VISIT_OF = {
    "web": "anonymous_id, occurred_at::date",
    "publishers": "anonymous_id, occurred_at::date",
}


def write_company(folder: Path, customers: int, settings: Settings, events: int = 10) -> Path:
    """Write the channels' files of so many customers, with about so many events each (a key of BEHAVIOURS), and their
    configuration below `folder`; returns the folder of the configuration. Business day is `learning_inputs.DAY`."""
    behaviour = BEHAVIOURS[events]
    channels, scratch = folder / "channels", folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    options = {
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,
    }
    database = scratch / "made.duckdb"
    with duckdb.connect(str(database), config=options) as made:
        made.execute(made_up.people(customers))
        made.execute(made_up.orders(customers))
        made.execute(made_up.lines())
        made.execute(made_up.doings(customers, behaviour.events, behaviour.visit))
        columns = {}
        for channel in CHANNELS:
            query = publishers(behaviour) if channel == "publishers" else QUERIES[channel]
            columns[channel] = [name for name, *_ in made.execute(f"describe {query}").fetchall()]
            _copy(made, query, channels / channel / f"{DAY}.parquet")
    database.unlink()
    return _write_config(folder / "config", channels, columns)


def add_day(folder: Path, day: date) -> None:
    """Write what the channels bring on the day after: one in a hundred of the rows of the first file, as new records of
    that day; of a person record, a later version. A catalogue brings nothing."""
    with duckdb.connect() as made:
        for channel, (key, times, keep) in NEXT_DAY.items():
            path = folder / "channels" / channel / f"{DAY}.parquet"
            name = key if keep else f"'{day}' || {key}"
            changed = [
                f"{name} as {key}",
                *(f"timestamp '{day}' + ({time} - {time}::date) as {time}" for time in times),
            ]
            rows = f"""
                select * replace ({", ".join(changed)})
                from '{path}'
                where hash({VISIT_OF.get(channel, key)}, 40) % {SHARE_OF_A_DAY} = 0
            """
            _copy(made, rows, path.with_name(f"{day}.parquet"))


def _copy(made: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd, row_group_size {ROW_GROUP})")


def _write_config(config: Path, channels: Path, columns: dict[str, list[str]]) -> Path:
    """Every column has the canonical name. Beside the project's own audiences are some of what visitors read."""
    config.mkdir(exist_ok=True)
    entries = {
        channel: {
            "party": party,
            "kind": kind,
            "source": {
                "connector": "file",
                "path": str(channels / channel / "*.parquet"),
                "format": "parquet",
            },
            "spec": "mapped",
            "map": {column: column for column in columns[channel]},
        }
        for channel, (kind, party) in CHANNELS.items()
    }
    audiences = yaml.safe_load((DEFAULT_CONFIG / "audiences.yml").read_text())
    audiences["traits"] = [
        {"id": f"reads_{number}", "where": f"content_category = 'Content {number}'", "ttl_days": 60}
        for number in range(CONTENTS)
    ]
    audiences["audiences"] += [
        {
            "id": f"readers_{number}",
            "side": "dmp",
            "where": f"frequency('reads_{number}', 60) >= 1 and recency('reads_{number}') <= 45",
            "ttl_days": 30,
        }
        for number in range(CONTENTS)
    ]
    for name, content in (("channels", {"channels": entries}), ("audiences", audiences)):
        (config / f"{name}.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    return config


EMAIL = "'person' || {0} || '@mail' || {0} % 50 || '.example.com'"
PHONE = "'+491511' || lpad({0}::varchar, 7, '0')"
PERSON_OF = "substr(customer_id, 2)::bigint"
# Of hashes with other seeds the last bits are alike: of one of the two browsers, whoever comes.
BROWSER = "hash({0}, 24) // 1024 % 2"
CONSENT = """'{{"advertising": ' || if(hash({0}, 33) % 4 > 0, 'true', 'false') || '}}'"""
USER_AGENT = """
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/'
            || 90 + hash({0}, 28) % 30 || '.0.0.0 Safari/537.36'"""

CUSTOMERS = f"""
    select
        'R' || record as record_id,
        case when is_corrected then least(first_seen_at + interval 30 days, timestamp '{DAY}') else first_seen_at end
            as observed_at,
        if(record = number, 'K' || number, null) as customer_number,
        if(record = number, {EMAIL.format("number")}, null) as email,
        if(number % 3 < 2 and record = number, {PHONE.format("number")}, null) as phone,
        {word(ranked(3_000, 30, "number", "20"), "given", 2)} as given_name,
        {word(ranked(60_000, 30, "number", "21"), "family", 3)} as family_name,
        date '1940-01-01' + (hash(number, 14) % 24000)::integer as birth_date,
        ['f', 'm'][1 + (hash(number, 10) % 2)::int] as gender,
        (1 + {drawn(250, "number", "is_corrected", "28")}) || ' '
            || {word(ranked(20_000, 200, "number", "is_corrected", "22"), "street", 2)} || ' street' as street,
        {word("hash(number, 11) % 200", "city", 2)} || 'ville' as city,
        'Region ' || hash(number, 12) % 16 as region,
        (10000 + hash(number, 11) % 1000)::varchar as postcode,
        'DE' as country,
    from (
        select number, first_seen_at, number as record, false as is_corrected from people
        union all
        select number, first_seen_at, 1000000000 + number, false from people where number % 100 = 1
        union all
        select number, first_seen_at, number, true from people where number % 100 = 2
    )
"""
ORDERS = f"""
    select
        order_id,
        ordered_at,
        'completed' as status,
        if(hash(draw, 16) % 3 = 0, 'store', 'online') as sales_channel,
        if(hash(draw, 16) % 3 = 0, 'S' || hash(draw, 17) % 50, null) as store_id,
        'EUR' as currency,
        sum(amount::decimal(18, 4))::decimal(18, 4) as total,
        if(hash(draw, 15) % 10 = 0, 3, 0)::decimal(18, 4) as discount,
        if(hash(draw, 15) % 10 = 0, 'SAVE10', null) as coupon,
        if(number % 3 < 2, 'K' || number, null) as customer_number,
        if(number % 3 = 2, {EMAIL.format("number")}, null) as email,
    from lines
    group by all
"""
ORDER_LINES = """
    select
        order_id,
        line + 1 as line_number,
        'P' || product as product_id,
        1 + hash(draw, line, 18) % 3 as quantity,
        (amount / (1 + hash(draw, line, 18) % 3))::decimal(18, 4) as unit_price,
        amount::decimal(18, 4) as amount,
    from lines
"""
CATALOGUE = f"""
    select
        'P' || number as product_id,
        'Product ' || number as name,
        'Brand ' || number % 300 as brand,
        'Category ' || number % {CATEGORIES} as category,
        9.5::decimal(18, 4) as price,
    from range({PRODUCTS}) as numbers (number)
"""
# Every second event is of a visitor who has logged in; each person has two browsers.
EVENTS = f"""
    select
        md5('event' || number) as event_id,
        case when activity = 'page_viewed' then 'page' else 'track' end as type,
        case activity when 'product_viewed' then 'Product Viewed' when 'product_added' then 'Product Added' end as name,
        occurred_at,
        occurred_at + to_seconds((hash(number, 23) % 60 + repetition)::bigint) as received_at,
        md5('browser' || customer_id || {BROWSER.format("visit")}) as anonymous_id,
        if(hash(visit, 25) % 2 = 0, 'U' || {PERSON_OF}, null) as user_id,
        if(hash(visit, 25) % 20 = 0, {EMAIL.format(PERSON_OF)}, null) as email,
        '10.' || hash(customer_id, 26) % 256 || '.' || hash(customer_id, 27) % 256 || '.0' as ip,
        {USER_AGENT.format("customer_id")} as user_agent,
        {CONSENT.format("customer_id")} as consent,
        'web' as platform,
        'shop.example.com' as site,
        'https://shop.example.com/product/' || product || '?visit=' || hash(number, 29) % 1000 as url,
        if(activity = 'page_viewed', null, '{{"product_id": "P' || product || '", "category": "Category '
            || product % {CATEGORIES} || '"}}') as properties,
    from (select *, unnest(if(number % 200 = 0, [0, 30], [0])) as repetition from doings where is_event)
"""


def publishers(behaviour: Behaviour) -> str:
    """The pages read elsewhere. Every second browser is a customer's."""
    return f"""
    select
        md5('page' || number) as event_id,
        'page' as type,
        (date '{DAY}' - 59)::timestamp
            + to_seconds((hash(visit, 34) % {60 * 86400 - behaviour.visit})::bigint + number - visit) as occurred_at,
        if(
            hash(reader, 35) // 1024 % 2 = 0,
            md5('browser' || customer_id || {BROWSER.format("visit")}),
            md5('stranger' || reader)
        ) as anonymous_id,
        '10.' || hash(customer_id, 26) % 256 || '.' || hash(customer_id, 27) % 256 || '.0' as ip,
        {USER_AGENT.format("customer_id")} as user_agent,
        {CONSENT.format("customer_id")} as consent,
        'web' as platform,
        'site' || hash(visit, 37) % {SITES} || '.example.org' as site,
        'Content ' || (hash(customer_id, hash(number, 38) % 5) % {CONTENTS}) as content_category,
    from (
        select number, visit, reader, 'c' || lpad(reader::varchar, 8, '0') as customer_id
        from (
            select
                range as number,
                range - range % {behaviour.visit} as visit,
                hash(visit, 39) % (select count(*) from people) as reader
            from range({behaviour.pages} * (select count(*) from people)::bigint)
        )
    )
    """


MESSAGES = f"""
    select
        'm' || number as message_id,
        occurred_at,
        replace(activity, 'email_', '') as action,
        'campaign ' || product % 12 as campaign_id,
        'email' as medium,
        {EMAIL.format(PERSON_OF)} as email,
    from doings
    where not is_event
"""
INTERACTIONS = f"""
    select
        'call' || number as interaction_id,
        occurred_at,
        'call' as type,
        'inbound' as direction,
        ['delivery', 'return', 'invoice', 'product'][1 + (hash(number, 30) % 4)::int] as reason,
        if(hash(number, 31) % 5 = 0, 'unresolved', 'resolved') as outcome,
        60 + hash(number, 32) % 900 as duration_seconds,
        'K' || {PERSON_OF} as customer_number,
    from doings
    where number % 30 = 7
"""
QUERIES = {
    "crm": CUSTOMERS,
    "shop": ORDERS,
    "shop_lines": ORDER_LINES,
    "catalogue": CATALOGUE,
    "web": EVENTS,
    "mail": MESSAGES,
    "calls": INTERACTIONS,
}
