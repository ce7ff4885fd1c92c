"""A statement in DuckDB's dialect gives the same rows on Spark: each one where the engines differ, asked of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import sqlglot

from include.dialect import rewritten, spark_sql, translated
from include.spark import spark_session
from include.warehouse.spark import Warehouse, secrets_of

ROWS = """
    (select * from (values
        (1, 'a', date '2024-01-31', timestamp '2024-01-31 23:59:30', cast(10.10 as decimal(18, 2)), 'Ä|b|'),
        (2, 'a', date '2024-02-01', timestamp '2024-02-01 00:00:10', cast(0.30 as decimal(18, 2)), 'x1y22'),
        (3, 'b', date '2023-12-31', timestamp '2023-12-31 12:00:00', cast(-7.00 as decimal(18, 2)), ''),
        (4, 'b', cast(null as date), cast(null as timestamp), cast(null as decimal(18, 2)), cast(null as varchar))
    ) as given (id, kind, day, seen_at, amount, text)) as rows
"""
# Letters with accents of their own, beside them and in another order; marks that are vowels; composed letters that stay
# two; Korean letters that are a syllable, get an end to one, or are none; a quote, a backslash and a line's end.
TEXTS = """
    (select unnest([
        'Zoë Ñuñez', 'Zoe\u0308', 'e\u0323\u0302', 'e\u0302\u0323', 'ṩ', 's\u0307\u0323', '\u0344', 'ﬁ Ⅷ', 'Łódź',
        'नमस\u094dत\u0947',
        'क\u093c', '\u0958', '\u09c7\u09be', '\u0cf3',
        '\u2126', '\U0002f800', '\U0001d15e', 'ש\u05bc\u05c1', '👩\u200d👧',
        '한글', '\u1112\u1161\u11ab\u1100\u1173\u11af', '가\u11a8', '각\u11a8', '\u1100\u0301\u1161', 'ㄱㅏ',
        'it''s \\ a $1 ${line}' || chr(10), '', null
    ]) as text) as texts
"""
# What is asked, by what Spark would do otherwise.
STATEMENTS = {
    "count bounds between days, not whole days": (
        "select id, date_diff('day', seen_at, date '2024-02-01') as x"
        " from ROWS"
    ),
    "count bounds between minutes": (
        "select id, date_diff('minute', seen_at, timestamp '2024-02-01 00:00:05') as x"
        " from ROWS"
    ),
    "count bounds between months": "select id, date_diff('month', day, date '2024-02-01') as x from ROWS",
    "divide decimals in floats": "select id, amount / 3 as x from ROWS",
    "average decimals in floats": "select kind, avg(amount) as x from ROWS group by all",
    "round the product of a float, not its digits": (
        "select x, cast(x as decimal(18, 4)) as y, try_cast(x * 1 as decimal(10, 2)) as z, round(x, 4) as r"
        " from (select unnest([0.00005, 0.00015, 1.00005, 2.00015, -0.00015, 8.675, 1234567.00005, null]"
        "::double[]) as x)"
    ),
    "round decimals and texts half up": (
        "select id, cast(amount / 4 as decimal(18, 1)) as x, cast(amount * 1.5 as decimal(18, 1)) as y,"
        " try_cast(text as decimal(18, 1)) as z, cast(id + 1 as decimal(18, 4)) as w from ROWS"
    ),
    "sort nulls last": "select id, row_number() over (order by day) as x from ROWS",
    "pass over nulls in arg_max": (
        "select kind, arg_max(text, id) as x, arg_min(id, day) as y"
        " from ROWS group by all"
    ),
    "give null outside of a list": (
        "select id, string_split(text, '|')[2] as x, string_split(text, '|')[9] as y"
        " from ROWS"
    ),
    "cut lists": (
        "select id, list_sort(string_split(text, 'y'))[:-2] as x, string_split(text, 'y')[2:]"
        " as y from ROWS"
    ),
    "match the whole text": "select id, regexp_full_match(text, '[a-z0-9]+') as x from ROWS",
    "replace the first match only": "select id, regexp_replace(text, '([0-9])', '<\\1>') as x from ROWS",
    "replace all matches": "select id, regexp_replace(text, '([0-9])', '<\\1>', 'g') as x from ROWS",
    "extract the whole match": (
        "select id, regexp_extract(text, '[0-9]+') as x, regexp_extract(text, 'x(.)', 1) as y"
        " from ROWS"
    ),
    "choose by a window": (
        "select id, kind"
        " from ROWS qualify row_number() over (partition by kind order by id desc) = 1"
    ),
    "replace columns of a star": "select * exclude (seen_at) replace (id + 1 as id) from ROWS",
    "name windows with a frame": (
        "select id, lag(id) over w as x, max(id) over w as y from ROWS"
        " window w as (partition by kind order by id rows between current row and unbounded following)"
    ),
    "join the nearest before": (
        "with given as (select * from ROWS), days as (select kind, day, id as other from"
        " ROWS where day is not null)"
        " select given.id, days.other as x from given"
        " asof left join days on given.kind = days.kind and given.day >= days.day"
    ),
    "ask of the nearest what else is asked": (
        "with given as (select * from ROWS), days as (select kind, day, id as other from ROWS where day is not null)"
        " select given.id, days.other as x from given"
        " asof left join days on given.kind = days.kind and given.day <= days.day"
        " where coalesce(days.other <> given.id, true)"
    ),
    "unnest structs to columns": (
        "select id, unnest([{'p': text, 'q': id}, {'p': kind, 'q': 0}], recursive := true)"
        " from ROWS"
    ),
    "number the items of a list": (
        "with lists as (select id, string_split(text, '|') as items from ROWS)"
        " select id, unnest(items) as item, generate_subscripts(items, 1) as place from lists"
    ),
    "take medians and deviations of lists": (
        "with lists as (select kind, list_sort(list(id)) as ids from ROWS group by kind)"
        " select kind, list_median(ids) as x, round(list_stddev_samp(ids), 9) as y from lists"
    ),
    "pair what follows each other": (
        "with lists as (select list_sort(list(distinct day)) as days from ROWS)"
        " select list_transform(list_zip(days[:-2], days[2:]), lambda pair:"
        " date_diff('day', pair[1], pair[2])) as x"
        " from lists"
    ),
    "count values of a group": "select map_entries(histogram(kind) filter (where id > 1)) as x from ROWS",
    "keep nulls in lists": (
        "select kind, list_sort(list(day)) as x, list(id) filter (where id > 9) as y from ROWS group by kind"
    ),
    "count places that are worked out": "select id, ['p', 'q', 'r'][id] as x from ROWS",
    "begin weeks on Mondays": (
        "select id, date_part('isodow', day) as x, isodow(day) as y, extract(isodow from day) as z from ROWS"
    ),
    "know what is not in a list": (
        "select id, list_contains([], text) as x, list_contains([text, 'q'], kind) as y,"
        " list_contains(['a'], text) as z from ROWS"
    ),
    "keep the order of a list": "select list(distinct kind order by kind) as x from ROWS",
    "name fields of structs": "select id, list_transform([{'p': text}], lambda each: each.p) as x from ROWS",
    "count places from the end": (
        "select id, string_split(text, '|')[-1] as x, string_split(text, '|')[-9] as y from ROWS"
    ),
    "make maps": (
        "select id, map_keys(map {'k': text, 'b': kind}) as x, cast(map {} as map(varchar, double))['k'] as y"
        " from ROWS"
    ),
    "give a day or a year on top": (
        "select id, seen_at + to_days(id) as x, cast(day + to_years(id) as timestamp) as y"
        " from ROWS"
    ),
    "cut a time to its month": "select id, date_trunc('month', seen_at) as x from ROWS",
    "take quantiles between values": "select quantile_cont(id, 0.25) as x, median(id) as y from ROWS",
    "read numbers of other bases": (
        "select cast('0x' || 'ff' as bigint) as x,"
        " try_cast('0b' || '101' as integer) as y"
    ),
    "find lists in texts of JSON": (
        "select case when json_type(j, '$.a') = 'ARRAY' then array_length(cast(j ->"
        " '$.a' as json[])) end as x,"
        " json_extract_string(j, '$.b') as y from (values ('{\"a\": [{\"c\": 1}, 2],"
        " \"b\": \"t\"}'), ('{\"a\": 1}')) as g (j)"
    ),
    "write one value as JSON": (
        "select id, cast(to_json(text) as varchar) as x"
        " from ROWS where text is not null"
    ),
    "make a time of its microseconds": "select id, make_timestamp(epoch_us(seen_at)) as x from ROWS",
    "take half of a hash as a number": (
        "select id, cast(md5_number_upper(kind) % 1000000 as bigint) as x"
        " from ROWS"
    ),
    "tell rows apart by hashes of 64 bits": (
        "select count(distinct hash(id, kind)) as x,"
        " count(*) filter (where hash(id) between -2147483648 and 2147483647) as y from ROWS"
    ),
    "lengthen and cut lists": "select id, list_resize(list_slice([id, 7], 1, 1), 3, 0) as x from ROWS",
    "compose texts, whatever they are made of": (
        "select text, nfc_normalize(text) as x, nfc_normalize(null) as y from TEXTS"
    ),
    "take accents away as its own library does": (
        "select text, strip_accents(text) as x, strip_accents(null) as y from TEXTS"
    ),
    "take accents away in an aggregate": "select max(lower(strip_accents(text))) as x from TEXTS",
    "name inner queries alike": (
        "with inner_rows as (with final as (select id from ROWS) select * from final),"
        " final as (select * from inner_rows)"
        " select * from final"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as environment:
        # A few rows: compiling well would take longer than all the rest.
        environment.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        folder = tmp_path_factory.mktemp("spark")
        with spark_session(2, "1GB", folder, secrets=secrets_of(b"a key")) as session:
            session.conf.set("spark.sql.codegen.wholeStage", "false")
            session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            yield Warehouse(session, folder / "warehouse")


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_spark_is_told_to(spark: Warehouse, statement: str) -> None:
    query = statement.replace("ROWS", ROWS).replace("TEXTS", TEXTS)
    expected = duckdb.sql(query)
    found = spark.run(query)
    assert sorted(found.columns) == sorted(expected.columns)
    columns = [expected.columns.index(column) for column in found.columns]
    rows = [tuple(row[place] for place in columns) for row in expected.fetchall()]
    assert sorted(map(_plain, found.collect()), key=repr) == sorted(map(_plain, rows), key=repr)


def _plain(row: tuple) -> tuple:
    """A row of Python's own values: Spark's structs are tuples, DuckDB's are dictionaries."""
    return tuple(_value(value) for value in row)


def _value(value: object) -> object:
    if isinstance(value, dict):
        return tuple(_value(each) for each in value.values())
    if isinstance(value, list | tuple):
        return tuple(_value(each) for each in value)
    return value


def test_a_union_by_name_fills_what_a_side_does_not_have(spark: Warehouse) -> None:
    query = f"select id, kind from {ROWS} union all by name select kind, day, id from {ROWS}"
    found = spark.run(query)
    assert found.columns == ["id", "kind", "day"]
    expected = duckdb.sql(query).fetchall()
    assert sorted(map(tuple, found.collect()), key=repr) == sorted(expected, key=repr)


def test_what_spark_cannot_say_is_an_error() -> None:
    with pytest.raises(sqlglot.UnsupportedError, match="json_type for anything but a list"):
        translated("select json_type(x, '$.a') as kind from t")
    with pytest.raises(sqlglot.UnsupportedError, match="a union by name"):
        spark_sql(
            rewritten(sqlglot.parse_one("select 1 as a union all by name select 2 as b", read="duckdb"))
        )


def test_every_letter_is_without_its_accents_what_duckdb_makes_of_it(
    spark: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "letters.parquet"
    duckdb.sql(
        "copy (select chr(cast(range as integer)) as letter"
        f" from (from range(1, 55296) union all from range(57344, 1114112))) to '{path}'"
    )
    query = "select letter, nfc_normalize(letter) as x, strip_accents(letter) as y from read_parquet('{}')"
    made = tmp_path / "made.parquet"
    spark.run(f"copy ({query.format(path)}) to '{made}' (format parquet)")
    (letters,) = duckdb.sql(f"select count(*) from '{made}'").fetchone()
    assert letters == 1_112_063
    assert duckdb.sql(f"{query.format(path)} except all from '{made}'").fetchall() == []


def test_the_key_is_in_no_statement_and_makes_duckdbs_hashes(spark: Warehouse, tmp_path: Path) -> None:
    from include.privacy.pseudonym import visitor_id

    query = (
        "select sha256(getvariable('hmac_outer') || unhex(sha256(getvariable('hmac_inner')"
        " || encode('anonymous_id' || ':' || 'a1')))) as visitor_id"
    )
    assert spark.run(query).collect()[0][0] == visitor_id(b"a key", "anonymous_id", "a1")


def test_a_table_is_replaced_appended_to_renamed_and_dropped(spark: Warehouse, tmp_path: Path) -> None:
    spark.run("create or replace table main.things as select 1 as a")
    spark.run("create or replace table main.things as select a + 1 as a from main.things")
    spark.run("insert into main.things select 5 as a")
    spark.run("alter table main.things rename to others")
    assert sorted(row[0] for row in spark.run("select a from main.others").collect()) == [2, 5]
    assert spark.tables() == {"others": False}
    spark.run("drop table if exists main.others")
    assert spark.tables() == {}


def test_an_external_file_is_one_in_order_and_its_view_a_link(spark: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    spark.run(
        "copy (select * from (select * from (values (3, 'c'), (1, 'a'), (2, null)) as v (n, t)) as model_rows"
        f" order by n) to '{path}' (format parquet, compression zstd)"
    )
    spark.run(f"create or replace view main.numbers as select * from read_parquet('{path}')")
    assert duckdb.sql(f"select * from '{path}'").fetchall() == [(1, "a"), (2, None), (3, "c")]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["numbers.parquet"]
    assert spark.tables() == {"numbers": True}
    assert spark.run("select sum(n) as n from main.numbers").collect()[0][0] == 6
    spark.run("drop view if exists main.numbers")
    assert path.exists()
