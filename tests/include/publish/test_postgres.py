"""PostgreSQL: readers see whole releases, move on in one step, wait for nobody, and can only read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from include.config import Configuration
from include.ledger import SourceUnreachable, StepFailed
from include.publish import postgres as module
from include.publish import prune_releases, roll_back, seal_release, serve_release, write_release
from include.publish.release import current_release
from include.settings import settings
from tests.include.publish.conftest import FEW, Database, Refused, rows_of
from tests.include.quality.small_lake import DAY, TABLES, SmallLake

NEXT_DAY = date(2017, 12, 2)
OTHER_EMAIL = "select * replace (if(email = 'p7@example.com', 'new@example.com', email) as email) from old"


@pytest.fixture
def bi(serving: Callable[..., Configuration]) -> Configuration:
    return serving(postgres={"connection": "bi"})


@pytest.fixture
def publish(few: SmallLake, bi: Configuration, database: Database) -> Callable[..., str]:
    """Publish some tables of the small lake as they are and serve them. Returns the release's id."""

    def publish(day: date = DAY) -> str:
        release = seal_release(few.lake, day, bi, write_release(few.lake, day, bi))
        serve_release(few.lake, bi, settings())
        return release.release_id

    return publish


def customers(small: SmallLake, query: str) -> None:
    small.change(small.lake.table("cdp", "customers"), query)


def reads(database: Database) -> int:
    """How many customers have the changed address."""
    return database.rows("select count(*) from cdp.customers where email = 'new@example.com'")[0][0]


def test_every_table_is_served_with_its_rows(small: SmallLake, bi: Configuration, database: Database) -> None:
    release = seal_release(small.lake, DAY, bi, write_release(small.lake, DAY, bi))
    assert serve_release(small.lake, bi, settings()).endswith("PostgreSQL: loaded and shown")
    served = database.rows("select side, table_name from tandem.release_tables order by side, table_name")
    assert [f"{side}/{table}" for side, table in served] == sorted([*TABLES, "ops/releases"])
    for side, table in served:
        path = release.path / side / f"{table}.parquet"
        expected = duckdb.execute(f"select count(*) from read_parquet('{path}')").fetchone()
        assert database.rows(f'select count(*) from "{side}"."{table}"') == [expected], table
    assert database.rows("select count(*) from cdp.customers") == [(120,)]


def test_values_and_types_are_those_of_the_release(publish, small: SmallLake, database: Database) -> None:
    customers(
        small,
        """select *, cast(12.3450 as decimal(18, 4)) as amount, [1, null, 3] as places, map {'a''b': 1.5} as own,
        cast(null as varchar[]) as nothing, cast(7 as tinyint) as tiny,
        'a' || chr(0) || 'b' as with_nul, date '2017-12-24' as christmas, 'é\n"' as text from old""",
    )
    publish()
    row = database.rows(
        """select first_seen_at, amount, places, own->>'a''b', nothing, tiny, with_nul, christmas, text
        from cdp.customers where email = 'p7@example.com'"""
    )[0]
    seen = duckdb.execute(
        f"from read_parquet('{small.lake.table('cdp', 'customers')}') select first_seen_at "
        "where email = 'p7@example.com'"
    ).fetchone()[0]
    assert row == (
        seen.replace(tzinfo=UTC), "12.3450", "[1, null, 3]", "1.5", None, 7, "a\ufffdb",
        date(2017, 12, 24), 'é\n"',
    )  # fmt: skip
    types = dict(
        database.rows(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'cdp' and table_name = 'customers'"
        )
    )
    assert types["first_seen_at"] == "timestamp with time zone"
    assert (types["amount"], types["places"], types["own"]) == ("numeric", "jsonb", "jsonb")
    assert Decimal(row[1]) == Decimal("12.345")
    assert isinstance(row[0], datetime)


def test_grains_are_indexed_and_a_long_value_is_no_reason_to_fail(
    publish, small: SmallLake, database: Database
) -> None:
    customers(
        small,
        "select * replace (if(email = 'p7@example.com', repeat('x', 9000), customer_id) as customer_id) from old",
    )
    publish()
    indexed = database.rows("select tablename, indexdef from pg_indexes where schemaname like 'release_%'")
    by_table = dict(indexed)
    assert "UNIQUE INDEX" in by_table["cdp_customer_segments"]
    assert by_table["cdp_customer_segments"].endswith("(customer_id, scheme)")
    assert by_table["cdp_customer_timeline"].endswith("(customer_id)")
    assert "cdp_customers" not in by_table


def test_descriptions_of_the_release_are_comments(publish, small: SmallLake, database: Database) -> None:
    manifest = small.lake.data / "dbt" / "target" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(
        """{"nodes": {"m": {"name": "customers", "resource_type": "model", "description": "Who they're.",
        "columns": {"email": {"description": "An $address$"}}}}}"""
    )
    publish()
    said = database.rows(
        "select obj_description('cdp.customers'::regclass), col_description('cdp.customers'::regclass, attnum) "
        "from pg_attribute where attrelid = 'cdp.customers'::regclass and attname = 'email'"
    )
    assert said == [("Who they're.", "An $address$")]


def test_whoever_has_the_reading_role_can_read_and_nothing_else(publish, database: Database) -> None:
    publish()
    database.rows("create role analyst login in role tandem_reader")
    assert database.rows("select count(*) from cdp.customers", "analyst") == [(120,)]
    assert database.rows("select count(*) from tandem.current_release", "analyst") == [(1,)]
    for statement in (
        "delete from cdp.customers",
        "insert into cdp.customers default values",
        "update cdp.customers set email = ''",
        "drop view cdp.customers",
        "create table cdp.mine (a int)",
        "create table public.mine (a int)",
        "create schema mine",
        "update tandem.current_release set name = 'x'",
    ):
        with pytest.raises(Refused, match=r"permission denied|must be owner|cannot (insert|update|delete)"):
            database.rows(statement, "analyst")
    database.rows("drop role analyst")


def test_a_transaction_that_began_before_keeps_its_release(
    publish, small: SmallLake, database: Database
) -> None:
    publish()
    with database.connect(autocommit=False) as reader:
        rows_of(reader, "set transaction isolation level repeatable read read only")
        rows_of(reader, "select count(*) from cdp.segments")
        customers(small, OTHER_EMAIL)
        publish()
        assert reads(database) == 1
        found = rows_of(reader, "select count(*) from cdp.customers where email = 'new@example.com'")
        assert found == [(0,)]


def test_readers_who_poll_during_swaps_wait_for_nobody_and_never_see_two_releases(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    small.change(small.lake.table("dmp", "visitors"), "select *, 1 as edition from old")
    customers(small, "select *, 1 as edition from old")
    first = publish()
    small.change(small.lake.table("dmp", "visitors"), "select * replace (2 as edition) from old")
    customers(small, "select * replace (2 as edition) from old")
    second = publish()
    seen: set[tuple[int, int]] = set()
    longest, stop = [0.0], threading.Event()

    def poll() -> None:
        with database.connect() as reader:
            while not stop.is_set():
                began = datetime.now(UTC)
                query = "select distinct customers.edition, visitors.edition from cdp.customers cross join dmp.visitors"
                seen.update(rows_of(reader, query))
                longest.append((datetime.now(UTC) - began).total_seconds())

    thread = threading.Thread(target=poll)
    thread.start()
    for turn in range(20):
        roll_back(small.lake, (first, second)[turn % 2], bi, settings())
    stop.set()
    thread.join()
    assert seen == {(1, 1), (2, 2)}
    assert max(longest) < 2


@pytest.mark.parametrize("moment", ["_load_table", "_join_family"])
def test_a_load_that_breaks_off_leaves_readers_on_the_old_release_and_nothing_else(
    moment: str,
    publish,
    small: SmallLake,
    bi: Configuration,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish()
    whole = getattr(module.PostgresPlace, moment)
    calls = []

    def break_off(self, execute, table, *rest) -> None:
        calls.append(table)
        if len(calls) == 5:
            execute("select 1 / 0")
        whole(self, execute, table, *rest)

    customers(small, OTHER_EMAIL)
    with monkeypatch.context() as patched:
        patched.setattr(module.PostgresPlace, moment, break_off)
        with pytest.raises(
            StepFailed, match=r"PostgreSQL .*/bi refuses, its readers stay on .*division by zero"
        ):
            publish()
    assert reads(database) == 0
    assert database.rows("select count(*) from pg_namespace where nspname like 'release_%'") == [(1,)]
    serve_release(small.lake, bi, settings())
    assert reads(database) == 1


def test_a_server_that_is_away_is_worth_another_try(
    publish, small: SmallLake, bi: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    monkeypatch.setenv("AIRFLOW_CONN_BI", "postgres://postgres:secret@127.0.0.1:1/bi")
    with pytest.raises(SourceUnreachable, match=r"127\.0\.0\.1/bi does not answer") as raised:
        serve_release(small.lake, bi, settings())
    assert "secret" not in str(raised.value)


def test_a_changed_layout_changes_the_view_and_rolls_back_with_the_release(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    first = publish()
    database.rows("create view public.mine as select customer_id, email from cdp.customers")
    customers(small, "select *, 1 as added from old")
    publish()
    assert database.rows("select count(added) from cdp.customers") == [(120,)]
    assert database.rows("select count(*) from public.mine") == [(120,)]
    database.rows("drop view public.mine")
    roll_back(small.lake, first, bi, settings())
    with pytest.raises(Refused, match="added"):
        database.rows("select added from cdp.customers")
    customers(small, "select * exclude (added) replace (1 as email) from old")
    publish()
    assert database.rows("select distinct email from cdp.customers") == [(1,)]


def test_a_view_that_somebody_reads_is_not_waited_for_for_ever(
    publish, small: SmallLake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    customers(small, "select *, 1 as added from old")
    monkeypatch.setattr(module, "WAIT_TO_SHOW", "50ms")
    monkeypatch.setattr(module, "TRIES", 1)
    with database.connect(autocommit=False) as reader:
        rows_of(reader, "select count(*) from cdp.customers")
        with pytest.raises(StepFailed, match="a reader holds a table that is to change"):
            publish()
        assert "added" not in column_names(database)
    publish()
    assert "added" in column_names(database)


def column_names(database: Database) -> set[str]:
    return {name for (name,) in database.rows(
        "select column_name from information_schema.columns where table_schema = 'cdp' and table_name = 'customers'"
    )}  # fmt: skip


def test_releases_that_data_no_longer_keeps_go_and_their_layouts_with_them(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    publish(date(2017, 10, 1))
    customers(small, "select *, 1 as added from old")
    publish(NEXT_DAY)
    assert len(database.rows("select * from tandem.releases")) == 2
    assert len(prune_releases(small.lake, 30)) == 1
    serve_release(small.lake, bi, settings())
    held = database.rows("select name from tandem.releases")
    assert len(held) == 1
    assert held[0][0].startswith(current_release(small.lake).name)
    families = database.rows(
        "select relname from pg_class where relkind = 'p' and relnamespace = 'tandem'::regnamespace"
    )
    assert len(families) == len(FEW) + 1
    assert database.rows("select count(*) from cdp.customers") == [(120,)]


def test_a_release_that_is_still_read_is_dropped_by_the_next_run(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    publish(date(2017, 10, 1))
    with database.connect(autocommit=False) as reader:
        rows_of(reader, "select count(*) from cdp.customers")
        publish(NEXT_DAY)
        prune_releases(small.lake, 30)
        serve_release(small.lake, bi, settings())
        assert len(database.rows("select * from tandem.releases")) == 2
    serve_release(small.lake, bi, settings())
    assert len(database.rows("select * from tandem.releases")) == 1


def test_rolling_back_names_the_releases_that_there_are(publish, small: SmallLake, bi: Configuration) -> None:
    release = publish()
    with pytest.raises(StepFailed, match=rf"no release '2017-01-01_x' in .*, kept are: {release}"):
        roll_back(small.lake, "2017-01-01_x", bi, settings())


def test_readers_go_back_here_and_there_and_the_next_run_moves_forward(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    first = publish()
    customers(small, OTHER_EMAIL)
    second = publish(NEXT_DAY)
    assert roll_back(small.lake, first, bi, settings()).startswith(f"readers see {first}")
    assert (current_release(small.lake).name, reads(database)) == (first, 0)
    assert publish(NEXT_DAY) == second
    assert (current_release(small.lake).name, reads(database)) == (second, 1)


def test_a_rewritten_release_replaces_the_one_that_is_served(
    publish, small: SmallLake, bi: Configuration, database: Database
) -> None:
    release = small.lake.published / "releases" / publish()
    manifest: Path = release / "manifest.json"
    before = database.rows("select name from tandem.releases")
    manifest.write_text(manifest.read_text() + "\n")
    serve_release(small.lake, bi, settings())
    after = database.rows("select name from tandem.releases")
    assert len(after) == 1
    assert after != before
    assert database.rows("select count(*) from cdp.customers") == [(120,)]
