"""Conditions become SQL that says the same and can do nothing else."""

from __future__ import annotations

import pytest

from include.config.conditions import (
    Atom,
    ConditionError,
    atom_aliases,
    check_source,
    compile_customer_condition,
    compile_event_condition,
    compile_source,
    compile_visitor_condition,
)
from tests.include.config.conftest import COLUMNS

CUSTOMERS = """
    select * from (values
        ('c1', 'Ulm', 'loyal', 9, 120.5::decimal(18, 4), true, ['web', 'store'], timestamp '2024-06-20 10:00:00',
            date '2024-06-30', map {'purchase_probability': 0.9}, ['s1']),
        ('c2', 'Bonn', 'active', 3, 20::decimal(18, 4), false, ['store'], timestamp '2024-05-01 10:00:00',
            date '2024-06-30', map {'purchase_probability': 0.2}, ['s2', 's3']),
        ('c3', null, 'lapsed', 1, 5::decimal(18, 4), null, [], timestamp '2023-01-01 10:00:00',
            date '2024-06-30', map {}, [])
    ) as customers (
        customer_id, city, lifecycle_stage, orders, spend, consent_email, channels, last_seen_at, as_of_date,
        scores, segment_ids
    )
"""
VISITORS = """
    select * from (values
        ('v1', '31.5', 'north', 4::bigint, 2::bigint),
        ('v2', 'unknown', 'south', 1::bigint, 20::bigint),
        ('v3', null, null, 0::bigint, null::bigint)
    ) as visitors (visitor_id, t1, t2, f1, r1)
"""


@pytest.mark.parametrize(
    ("where", "customers"),
    [
        ("lifecycle_stage in ('loyal', 'active')", ["c1", "c2"]),
        ("LIFECYCLE_STAGE = 'loyal'", ["c1"]),
        ("orders between 1 and 3 and not lifecycle_stage = 'lapsed'", ["c2"]),
        ("orders > 5 or spend * 2 < 15", ["c1", "c3"]),
        ("city is null", ["c3"]),
        ("city is not null and city not like 'B%'", ["c1"]),
        ("lower(city) = 'ulm'", ["c1"]),
        ("coalesce(city, 'none') <> 'none'", ["c1", "c2"]),
        ("consent_email", ["c1"]),
        ("not consent_email", ["c2"]),
        ("list_contains(channels, 'web')", ["c1"]),
        ("date_diff('day', last_seen_at, as_of_date) <= 30", ["c1"]),
        ("last_seen_at >= as_of_date - interval '90 days'", ["c1", "c2"]),
        ("last_seen_at < '2024-01-01'", ["c3"]),
        ("last_seen_at < date '2024-01-01'", ["c3"]),
        ("score('purchase_probability') >= 0.5", ["c1"]),
        ("score('purchase_probability') is null", ["c3"]),
        ("segment('s3') or Segment('s1')", ["c1", "c2"]),
        ("not segment('s1') and orders > 1", ["c2"]),
        ("case when orders > 5 then true else false end", ["c1"]),
        ("if(orders > 5, 'often', 'seldom') = 'often'", ["c1"]),
        ("round(spend / orders, 1) = 13.4", ["c1"]),
        ("abs(0 - orders) = 9 and greatest(orders, 10) = 10 and least(orders, 2) = 2", ["c1"]),
        ("length(city) = 4", ["c2"]),
        ("starts_with(city, 'U') or ends_with(city, 'nn') or contains(city, 'zz')", ["c1", "c2"]),
        ("regexp_matches(city, '^[TU]')", ["c1"]),
        ("extract(month from last_seen_at) = 6", ["c1"]),
        ("date_part('year', last_seen_at) = 2023", ["c3"]),
        ("date_trunc('month', last_seen_at) = date '2024-05-01'", ["c2"]),
        ("substring(city, 1, 1) || right(city, 1) = 'Um'", ["c1"]),
        ("nullif(trim(city), 'Ulm') is null", ["c1", "c3"]),
        ("city is not distinct from null", ["c3"]),
        ("try_cast(city as integer) is null and orders % 2 = 1 and orders // 2 = 4", ["c1"]),
        ("orders > 1 -- only those who came back\nand city = 'Ulm'", ["c1"]),
        ("orders in (9, 3) and (city = 'Ulm' or city = 'Bonn') and orders <> 3", ["c1"]),
    ],
)
def test_a_condition_on_customers_selects_who_it_says(connection, where, customers):
    predicate = compile_customer_condition(where, COLUMNS).predicate()
    rows = connection.execute(
        f"select customer_id from ({CUSTOMERS}) where {predicate} order by 1"
    ).fetchall()
    assert [row[0] for row in rows] == customers


@pytest.mark.parametrize(
    ("where", "visitors"),
    [
        ("trait('region') = 'north'", ["v1"]),
        ("trait('age') > 30", ["v1"]),
        ("trait('age') between 18 and 40", ["v1"]),
        ("trait('age') in (31.5, 40)", ["v1"]),
        ("30 < trait('age')", ["v1"]),
        ("trait('age') + 0 > 30", None),
        ("cast(trait('age') as double) + 1 > 30", ["v1"]),
        ("trait('age') = 'unknown'", ["v2"]),
        ("frequency('garden', 30) >= 1 and frequency('garden', 30) <= 3", ["v2"]),
        ("recency('garden') <= 7 or trait('region') = 'south'", ["v1", "v2"]),
    ],
)
def test_a_condition_on_visitors_selects_who_it_says_whatever_the_values_are(connection, where, visitors):
    if visitors is None:
        with pytest.raises(ConditionError, match="Binder Error"):
            compile_visitor_condition(where)
        return
    aliases = {
        Atom("trait", "age"): "t1",
        Atom("trait", "region"): "t2",
        Atom("frequency", "garden", 30): "f1",
        Atom("recency", "garden"): "r1",
    }
    predicate = compile_visitor_condition(where).predicate(aliases)
    rows = connection.execute(f"select visitor_id from ({VISITORS}) where {predicate} order by 1").fetchall()
    assert [row[0] for row in rows] == visitors


def test_a_rule_over_events_selects_what_it_says(connection):
    condition = compile_event_condition(
        "content_category in ('garden', 'diy') and not is_owned_site and extract(hour from occurred_at) >= 18 "
        "and properties ->> '$.price' > 100",
    )
    events = """
        select * from (values
            (1, 'garden', false, timestamp '2024-06-01 20:00:00', '{"price": 120.5}'),
            (2, 'garden', true, timestamp '2024-06-01 20:00:00', '{"price": 120.5}'),
            (3, 'garden', false, timestamp '2024-06-01 09:00:00', '{"price": 120.5}'),
            (4, 'garden', false, timestamp '2024-06-01 20:00:00', '{"price": "a lot"}'),
            (5, 'garden', false, timestamp '2024-06-01 20:00:00', null)
        ) as events (id, content_category, is_owned_site, occurred_at, properties)
    """
    rows = connection.execute(f"select id from ({events}) where {condition.predicate()}").fetchall()
    assert rows == [(1,)]


@pytest.mark.parametrize(
    "where",
    [
        "not trait('gardener') and recency('gardener') < 5",
        "trait('gardener') and recency('gardener') < 5",
        "frequency('gardener', 30) and recency('gardener') < 5",
        "case when trait('gardener') then recency('gardener') < 5 end",
        "trait('document') ->> '$.a' = 'x'",
        "coalesce(trait('age'), 5) > 3 and date_trunc('day', trait('seen')) = date '2024-06-01'",
    ],
)
def test_a_condition_that_would_fail_on_a_dirty_value_is_refused(where):
    with pytest.raises(ConditionError, match=r"found .*, allowed: "):
        compile_visitor_condition(where)


def test_a_predicate_is_closed_in_parentheses():
    predicate = compile_customer_condition("orders > 5 or orders < 2", COLUMNS).predicate()
    assert predicate == '("orders" > 5 OR "orders" < 2)'


def test_traits_that_differ_in_case_only_are_different():
    condition = compile_visitor_condition("trait('Age') = '1' and trait('age') = '2'")
    assert condition.predicate(atom_aliases(condition.atoms)) == "(\"t1\" = '1' AND \"t2\" = '2')"


def test_an_audience_in_a_condition_stands_for_its_condition():
    audiences = {
        "growers": "frequency('garden', 30) >= 1 or audience('northern')",
        "northern": "trait('region') = 'n'",
    }
    nested = compile_visitor_condition("audience('growers') and recency('garden') < 9", audiences)
    written = compile_visitor_condition(
        "(frequency('garden', 30) >= 1 or (trait('region') = 'n')) and recency('garden') < 9"
    )
    assert nested == written
    customers = compile_customer_condition(
        "not audience('many') and city = 'Ulm'", COLUMNS, (), {"many": "orders > 5 or orders < 2"}
    )
    assert customers.predicate() == '(NOT ("orders" > 5 OR "orders" < 2) AND "city" = \'Ulm\')'


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("audience('b')", "'b -> c -> b', allowed: audiences that do not ask for themselves"),
        ("audience('grower')", "the audience 'grower', allowed: growers, b, c (did you mean 'growers'?)"),
        ("audience(growers)", "allowed: audience('id')"),
        ("not audience('growers')", "this one holds for everybody who never had them"),
    ],
)
def test_an_audience_that_asks_for_itself_or_for_nobody_is_refused(where, reason):
    audiences = {"growers": "recency('garden') < 9", "b": "audience('c')", "c": "audience('b')"}
    with pytest.raises(ConditionError) as error:
        compile_visitor_condition(where, audiences)
    assert reason in str(error.value)


def test_a_quote_in_the_name_of_a_trait_stays_inside_the_name():
    condition = compile_visitor_condition("trait('driver''s licence') = 'yes'")
    assert condition.atoms == (Atom("trait", "driver's licence"),)


def test_aliases_do_not_depend_on_the_order_of_the_audiences():
    first = compile_visitor_condition("trait('b') = '1' and frequency('a', 7) > 1")
    second = compile_visitor_condition("trait('a') = '1' and frequency('a', 30) > 1 and recency('a') < 3")
    aliases = atom_aliases([*first.atoms, *second.atoms])
    assert aliases == atom_aliases([*second.atoms, *first.atoms])
    assert sorted(aliases.values()) == ["f1", "f2", "r1", "t1", "t2"]


def test_layout_does_not_change_the_normalised_text():
    one = compile_customer_condition("orders>5   AND city='Ulm'", COLUMNS)
    two = compile_customer_condition("orders > 5\n  and city = 'Ulm' -- here", COLUMNS)
    assert one.normalised == two.normalised


PAYLOADS = [
    "orders > 5; drop table customers",
    "orders > 5; --",
    "1 = 1); drop table customers; --",
    "orders > 5) or (1 = 1",
    "drop table customers",
    "select 1",
    "orders > 5 union select 1",
    "orders > (select max(orders) from customers)",
    "city in (select city from customers)",
    "exists (select 1)",
    "exists (from customers)",
    "city = (from duckdb_secrets())",
    "city = (values ('a'))",
    "(with x as (select 1) select * from x) = 1",
    "orders > any (select 1)",
    "city = read_text('/etc/passwd')",
    "city = (select content from read_text('/etc/passwd'))",
    "read_csv('/etc/passwd') is not null",
    "read_csv_auto('/etc/passwd') is not null",
    "read_parquet('x.parquet') is not null",
    "read_json('x.json') is not null",
    "read_blob('/etc/shadow') is not null",
    "glob('/etc/*') is not null",
    "parquet_scan('x') is not null",
    "getenv('TANDEM_PSEUDONYM_KEY') = city",
    "getvariable('pseudonym_key') = city",
    "current_setting('temp_directory') = city",
    "city = current_user",
    "city = current_database()",
    "version() = city",
    "query('select 1') is not null",
    "query_table('customers') is not null",
    "pragma database_list",
    "attach 'x.db'",
    "copy customers to 'x.csv'",
    "install httpfs",
    "load 'x.so'",
    "set threads = 1",
    "call pragma_version()",
    "export database 'x'",
    "nextval('s') > 1",
    "if exists (select 1) then drop table x end",
    "begin transaction",
    "random() < 0.5",
    "uuid() = city",
    "last_seen_at > now()",
    "last_seen_at > current_timestamp",
    "last_seen_at > current_date",
    "last_seen_at > today()",
    "count(*) > 1",
    "sum(orders) > 1",
    "row_number() over () = 1",
    "list_transform(channels, x -> x || 'a') is not null",
    "list_sum([orders]) > 1",
    "unnest(channels) = 'web'",
    "columns('.*') = 1",
    "columns(*) = 1",
    "*",
    "customers.* = 1",
    "customers.city = 'Ulm'",
    "main.customers.city = 'Ulm'",
    "orders > $1",
    "orders > ?",
    "orders > :limit",
    "orders as o",
    "orders, city",
    "orders > 5 limit 1",
    "orders > 5 order by orders",
    "city = 'a' collate nocase",
    "city::json = 'a'",
    "city::struct(a varchar) is null",
    "cast(city as customers) is null",
    "city = '{{ env_var(''TANDEM_PSEUDONYM_KEY'') }}'",
    "city = '{% do run_query(''drop table x'') %}'",
    "city = '{# comment'",
    "city = 'a\x00b'",
    "city = e'\\x00'",
    "\"city{{ 1 }}\" = 'a'",
    "repeat('x', 1000000000) = city",
    "range(1000000000) is not null",
    "sleep(1000)",
    "date_diff('day''; drop table x; --', last_seen_at, as_of_date) > 1",
    "last_seen_at > as_of_date - interval '1' nonsense",
    "not " * 1000 + "consent_email",
    "(" * 700 + "consent_email" + ")" * 700,
    "orders > 1 and " * 400 + "orders > 2",
    "city = '" + "x" * 5000 + "'",
    "",
    "   ",
    "-- nothing",
    "orders >",
    "'unterminated",
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload[:40])
def test_what_is_no_condition_is_refused_on_both_sides(payload):
    with pytest.raises(ConditionError, match=r"found .*, allowed: "):
        compile_customer_condition(payload, COLUMNS)
    with pytest.raises(ConditionError, match=r"found .*, allowed: "):
        compile_visitor_condition(payload)
    with pytest.raises(ConditionError, match=r"found .*, allowed: "):
        compile_event_condition(payload)


SOURCE_PAYLOADS = [
    payload for payload in PAYLOADS if not payload.startswith(("orders > 1 and ", "(((", "not not"))
]


@pytest.mark.parametrize("payload", SOURCE_PAYLOADS, ids=lambda payload: payload[:40])
def test_what_is_no_expression_over_one_row_is_refused_in_a_map(payload):
    with pytest.raises(ConditionError, match=r"found .*, allowed: "):
        compile_source(payload)


def test_the_engine_that_tries_conditions_reads_no_files(connection, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(Exception, match="disabled by configuration"):
        connection.execute(f"select * from read_csv('{tmp_path}/secret.csv')").fetchall()


SOURCE = """
    select
        ' Ann ' as name, null::varchar as mobile, '+49 731' as landline, '31.12.2023 18:30' as seen, '12,50' as price,
        '{"a": {"b": "x"}}' as document, '1719741600000' as epoch, 'a;b;c' as list, '7' as number, 'Éa' as accented,
        map {'k': 'v'} as pairs, 'x y' as "Column With Spaces"
"""
SOURCE_EXPRESSIONS = [
    "coalesce(mobile, landline)",
    "nullif(trim(name), '')",
    "upper(name) || lower(name)",
    "strptime(seen, '%d.%m.%Y %H:%M')",
    "try_strptime(seen, '%Y-%m-%d %H:%M:%S.%f')",
    "strftime(strptime(seen, '%d.%m.%Y %H:%M'), '%Y-%m-%dT%H:%M:%SZ')",
    "strptime(seen, '%d.%m.%Y %H:%M') at time zone 'Europe/Berlin' at time zone 'UTC'",
    "cast(replace(price, ',', '.') as decimal(18, 4)) * 100",
    "replace(price, ',', '.')::double / 2",
    "document ->> '$.a.b' = 'x'",
    "json_extract_string(document, '$.a.b')",
    "json_extract_string(document, 'a')",
    "epoch_ms(cast(epoch as bigint))",
    "to_timestamp(cast(epoch as bigint) / 1000)",
    "coalesce(try_cast(seen as timestamp), try_strptime(seen, '%d.%m.%Y %H:%M'))",
    "make_timestamp(cast(epoch as bigint) * 1000)",
    "split_part(list, ';', 2)",
    "string_split(list, ';')[1]",
    "list_extract(string_split(list, ';'), 2)",
    "regexp_replace(landline, '[^0-9]', '', 'g')",
    "regexp_extract(landline, '([0-9]+)', 1)",
    "case when number = '7' then 'seven' when number is null then 'none' else number end",
    "if(number > '6', 'big', 'small')",
    "concat(name, number)",
    "concat_ws('-', name, mobile, number)",
    "lpad(number, 3, '0') || rpad(number, 3, '0')",
    "md5(name) || sha256(name)",
    "left(name, 2) || right(name, 2) || substring(name, 2, 3) || reverse(name)",
    "strip_accents(accented)",
    "translate(name, 'An', 'Bm')",
    "pairs['k']",
    "element_at(pairs, 'k')",
    "\"Column With Spaces\" || 'z'",
    "date_trunc('month', cast('2024-06-20' as date))",
    "extract(year from date '2024-06-20') + date_part('month', date '2024-06-20')",
    "date_diff('day', date '2024-06-01', date '2024-06-20')",
    "date '2024-06-20' + interval '3 days'",
    "make_date(2024, 6, 20)",
    "length(name) + abs(-3) + round(2.567, 2) + floor(2.5) + ceil(2.5) + sign(-2)",
    "greatest('a', number) || least('a', number)",
    "number in ('7', '8') and number not between '8' and '9' or not number like '7%'",
    "contains(name, 'n') and starts_with(name, ' A') and ends_with(name, ' ')",
    "regexp_matches(landline, '^\\+49') and landline ~ '.*7.*'",
    "number::integer % 4 + 9 // 2",
    "- number::integer",
    "mobile is distinct from landline",
    "name ilike '%ANN%'",
]


@pytest.mark.parametrize("text", SOURCE_EXPRESSIONS)
def test_the_sql_of_a_map_gives_what_the_text_would_give(connection, text):
    check_source(text)
    sql, columns = compile_source(text)
    written = connection.execute(f"select ({text}) as value, typeof({text}) from ({SOURCE})").fetchall()
    compiled = connection.execute(f"select ({sql}) as value, typeof({sql}) from ({SOURCE})").fetchall()
    # DuckDB itself reads `a ->> b = c` as `a ->> (b = c)`; here the arrow binds first, as people read it.
    assert compiled == ([(True, "BOOLEAN")] if "->>" in text else written)
    assert set(columns) <= {"name", "mobile", "landline", "seen", "price", "document", "epoch", "list", "number",
                            "accented", "pairs", "Column With Spaces"}  # fmt: skip


def test_the_source_columns_of_an_expression_are_known():
    assert compile_source("coalesce(mobile, landline, 'x')") == (
        'coalesce("mobile", "landline", \'x\')',
        ("landline", "mobile"),
    )
