from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from include.benchmark.company import CHANNELS, NEXT_DAY, add_day, write_company
from include.benchmark.learning_inputs import DAY
from include.benchmark.model_inputs import columns_read
from include.benchmark.steps import STEPS, parts_of
from include.config import load_configuration
from include.pipeline import LEARNING
from include.settings import settings

NEXT = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    write_company(folder, 300, replace(settings(), threads=2))
    return folder


def rows(company: Path, query: str) -> list[tuple]:
    with duckdb.connect() as connection:
        for channel in CHANNELS:
            connection.execute(f"create view {channel} as from '{company}/channels/{channel}/*.parquet'")
        return connection.execute(query).fetchall()


def test_a_made_up_company_is_configured_as_a_user_would_with_the_default_rules(company: Path) -> None:
    configuration = load_configuration(company / "config")
    channels = {name: (channel.kind, channel.party) for name, channel in configuration.channels.items()}
    assert channels == CHANNELS
    assert configuration.identity.linkage.enabled


def test_some_people_have_a_second_record_that_only_likeness_ties_to_the_first(company: Path) -> None:
    alone = "from crm where email is null and phone is null and customer_number is null"
    same = "given_name, family_name, birth_date, gender, street, city, postcode"
    ((seconds,),) = rows(company, f"select count(*) {alone}")
    assert seconds == 3
    assert rows(company, f"select count(*) from crm join (select {same} {alone}) using ({same})") == [
        (2 * seconds,)
    ]


def test_orders_add_up_to_their_lines_and_some_records_and_events_come_twice(company: Path) -> None:
    for channel in CHANNELS:
        assert rows(company, f"select count(*) from {channel}")[0][0] > 0, channel
    assert rows(company, "select sum(total) from shop") == rows(company, "select sum(amount) from shop_lines")
    assert rows(company, "select count(*) - count(distinct record_id) from crm") == [(3,)]
    assert rows(company, "select count(*) > count(distinct event_id) from web") == [(True,)]


def test_browsers_of_customers_are_met_elsewhere_beside_those_of_strangers(company: Path) -> None:
    elsewhere = "select count(distinct anonymous_id) from publishers"
    ((all_browsers,),) = rows(company, elsewhere)
    ((known,),) = rows(company, f"{elsewhere} where anonymous_id in (select anonymous_id from web)")
    assert 0.3 * all_browsers < known < 0.7 * all_browsers
    # Who has granted advertising on one site has on all of them.
    answers = "select anonymous_id from (from web union all by name from publishers) group by all"
    assert rows(company, f"{answers} having count(distinct consent) > 1") == []


def test_a_company_has_the_same_rows_each_time(company: Path, tmp_path: Path) -> None:
    write_company(tmp_path, 300, replace(settings(), threads=1))
    for channel in CHANNELS:
        others = f"'{tmp_path}/channels/{channel}/*.parquet'"
        assert rows(company, f"from {channel} except all from {others}") == [], channel
        assert rows(company, f"from {others} except all from {channel}") == [], channel


def test_the_next_day_brings_one_row_in_a_hundred_anew_and_of_known_people(tmp_path: Path) -> None:
    write_company(tmp_path, 3000, replace(settings(), threads=2))
    add_day(tmp_path, NEXT)
    with duckdb.connect() as connection:

        def of(channel: str, query: str) -> tuple:
            before, after = (f"'{tmp_path}/channels/{channel}/{day}.parquet'" for day in (DAY, NEXT))
            return connection.execute(query.format(before=before, after=after)).fetchone()

        for channel, (key, times, is_known) in NEXT_DAY.items():
            share = "select (select count(*) from {after}) / (select count(*) from {before})"
            assert 0.005 < of(channel, share)[0] < 0.02, channel
            known = f"select count(*) from {{after}} semi join {{before}} using ({key})"
            assert (of(channel, known)[0] > 0) == is_known, channel
            for time in times:
                days = f"select min({time}::date), max({time}::date) from {{after}}"
                assert of(channel, days) == (NEXT, NEXT), channel
        orphans = (
            "select count(*) from {after} anti join '"
            + f"{tmp_path}/channels/shop/{NEXT}.parquet' using (order_id)"
        )
        assert of("shop_lines", orphans) == (0,)
    assert not (tmp_path / "channels" / "catalogue" / f"{NEXT}.parquet").exists()


@pytest.mark.parametrize(("events", "own", "elsewhere", "of_a_visit"), [(10, 7, 4, 1), (100, 80, 20, 8)])
def test_so_many_events_of_each_customer_as_are_asked_for_in_visits(
    tmp_path: Path, events: int, own: int, elsewhere: int, of_a_visit: int
) -> None:
    write_company(tmp_path, 300, replace(settings(), threads=2), events=events)
    add_day(tmp_path, NEXT)
    for channel, count in (("web", own), ("publishers", elsewhere)):
        before, after = (f"'{tmp_path}/channels/{channel}/{day}.parquet'" for day in (DAY, NEXT))
        distinct = f"(select distinct event_id, anonymous_id, occurred_at from {before})"
        assert rows(tmp_path, f"select count(*) from {distinct}") == [(300 * count,)]
        # Events of one browser less than a minute apart follow each other in a visit.
        starts = f"""
            select count(*) filter (where coalesce(occurred_at - before > interval 1 minute, true))
            from (
                select occurred_at, lag(occurred_at) over (partition by anonymous_id order by occurred_at) as before
                from {distinct}
            )
        """
        ((visits,),) = rows(tmp_path, starts)
        assert 0.95 * 300 * count / of_a_visit < visits <= 300 * count / of_a_visit, channel
        # The next day brings whole visits; one in a hundred of them goes on after midnight.
        day = f"(select count(distinct event_id) as events from {after} group by anonymous_id)"
        ((share,),) = rows(tmp_path, f"select avg((events % {of_a_visit} = 0)::integer) from {day}")
        assert share > 0.9, channel


def test_the_columns_a_model_reads_are_those_of_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "things.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path}/warehouse.duckdb' as warehouse")
        connection.execute("attach ':memory:' as stubs")
        connection.execute("use warehouse")
        connection.execute(
            "create table people as select range as number, 'x' as name, 1 as age from range(9)"
        )
        connection.execute(
            f"copy (select range as number, 'y' as colour, 2 as size from range(9)) to '{path}'"
        )
        things = f"read_parquet('{path}', hive_partitioning = false)"
        people = '"warehouse"."main"."people"'
        query = f"""
            with things as (select * from {things}), people as (select * from {people})
            select people.name, max(things.size) from people join things using (number) group by all
        """
        assert columns_read(connection, query) == {people: {"number", "name"}, things: {"number", "size"}}
        # Of what is only counted no column is read, but the relation is.
        assert columns_read(connection, f"select count(*) from {people}") == {people: set()}
        # What the materialization keeps for the query while it runs is none of its relations.
        again = f"select people.name from {people} as people semi join people__known as known using (number)"
        assert columns_read(connection, again) == {people: {"name", "number"}}


def test_every_task_of_learn_is_a_part_of_its_step() -> None:
    assert parts_of("learn") == [*LEARNING, "gate"]
    assert all(parts_of(step) for step in STEPS)
