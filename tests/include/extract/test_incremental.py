from __future__ import annotations

import json
import random
import re
import shutil
from datetime import date, timedelta

import pytest

from include.extract import complete_landing, landing
from include.extract.kinds import kinds
from include.ledger import StepFailed
from tests.include.extract.conftest import DAY, reader

HEADER = "id,updated_at,mail,born\n"
PARTS = {
    "path": "customers_*_{date}.csv", "format": "csv", "required": False, "tolerance": 0.5,
    "map": {"record_id": "id", "observed_at": "updated_at", "email": "mail"},
}  # fmt: skip
NEXT, BEFORE = DAY + timedelta(days=1), DAY - timedelta(days=1)


def rows(*numbers: int, mail: str = "x@example.com") -> str:
    return HEADER + "".join(f"{number},2017-11-30,{mail},1980-01-01\n" for number in numbers)


def file(day: date, part: str = "") -> str:
    return f"customers{part}_{day}.csv"


def days(desk) -> list[tuple[str, str]]:
    return [(str(item["date"]), item["record_id"]) for item in desk.landed()]


@pytest.fixture
def snapshot(desk):
    """A channel whose one file has no date in its path."""
    return desk.describe(
        path="all.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at", "email": "mail"}
    )


def test_the_first_run_loads_the_history_and_nothing_after_the_day(customers):
    for day in (BEFORE, DAY, NEXT):
        customers.deliver(file(day), rows(day.day))
    result = customers.extract()
    assert (result.files, result.skipped_files) == (2, 0)
    assert days(customers) == [(str(BEFORE), str(BEFORE.day)), (str(DAY), "1")]


def test_the_file_of_the_day_is_required_unless_the_day_may_be_missing(customers):
    customers.deliver(file(BEFORE), rows(1))
    with pytest.raises(StepFailed, match=r"^channel crm: no file matches .*; set required: false"):
        customers.extract()
    customers.channel = customers.channel.model_copy(update={"required": False})
    assert customers.extract().files == 1


def test_running_a_day_again_changes_not_one_byte(customers):
    customers.deliver(file(DAY), rows(*range(3000)) + "bad\n")
    customers.extract()
    before = customers.prints()
    assert (customers.extract().files, customers.extract().skipped_files) == (0, 1)
    assert customers.prints() == before


def test_landing_the_same_file_from_scratch_gives_the_same_bytes(customers):
    customers.deliver(file(DAY), rows(*range(30_000)) + "bad\n")
    customers.extract()
    before = customers.prints()
    for path in list(customers.lake.root.rglob("*.parquet")):
        path.unlink()
    assert customers.extract().files == 1
    assert customers.prints() == before


def test_a_changed_file_replaces_its_own_rows_only(customers):
    customers.channel = customers.channel.model_copy(
        update={"source": customers.channel.source.model_copy(update={"path": "customers*_{date}.csv"})}
    )
    customers.deliver(file(DAY, "_a"), rows(1, 2))
    customers.deliver(file(DAY, "_b"), rows(3) + "bad\n")
    customers.extract()
    customers.deliver(file(DAY, "_a"), rows(1) + "worse\n")
    result = customers.extract()
    assert (result.files, result.skipped_files) == (1, 1)
    assert days(customers) == [(str(DAY), "1"), (str(DAY), "3")]
    assert [(item["source_file"], item["raw"]) for item in customers.quarantined()] == [
        (file(DAY, "_a"), "worse"),
        (file(DAY, "_b"), "bad"),
    ]


def test_two_files_at_once_or_one_after_the_other_give_the_same_bytes(customers):
    customers.channel = customers.channel.model_copy(
        update={"source": customers.channel.source.model_copy(update={"path": "customers*_{date}.csv"})}
    )
    customers.deliver(file(DAY, "_b"), rows(3, 4))
    customers.extract()
    customers.deliver(file(DAY, "_a"), rows(1, 2))
    customers.extract()
    before = customers.prints()
    for path in list(customers.lake.root.rglob("*.parquet")):
        path.unlink()
    assert customers.extract().files == 2
    assert customers.prints() == before


def test_files_that_come_in_any_of_eight_orders_land_the_same_bytes(customers):
    """Six files of three days, one of which came otherwise before; each order lands as all files at once do: that of
    their days, the days from the last to the first, and six that are drawn."""
    final = {
        file(DAY - timedelta(days=day), part): rows(10 * day, 10 * day + 1, mail=f"{part}@example.com")
        + "bad\n"
        for day in range(3)
        for part in ("_a", "_b")
    }
    customers.describe(**PARTS)
    for name, content in final.items():
        customers.deliver(name, content)
    customers.extract()
    at_once, draw, by_name = customers.prints(), random.Random(5), sorted(final)
    by_day = sorted(final, key=lambda name: name.rpartition("_")[2])
    for names in (by_day, by_day[::-1], *(draw.sample(by_name, len(final)) for _ in range(6))):
        shutil.rmtree(customers.folder)
        shutil.rmtree(customers.lake.root)
        customers.deliver(draw.choice(names[1:]), rows(99))
        for number, name in enumerate(names, start=1):
            customers.deliver(name, final[name])
            if number in (draw.randint(1, 5), 6):
                customers.extract()
        assert customers.prints() == at_once, names


def test_lines_in_any_of_eight_orders_land_the_same_rows(web):
    """Four of them with the damaged or the blank line as the first or the last."""
    good, others = [
        json.dumps(
            {"messageId": f"m{number}", "type": "page", "anonymousId": f"a{number % 7}",
             "timestamp": f"2017-11-30T10:{number}:00Z", "receivedAt": f"2017-11-30T10:{number}:05Z"}
        )
        for number in range(10, 50)
    ], ["not json", ""]  # fmt: skip
    draw, landed = random.Random(5), set()

    def mixed(lines: list[str]) -> list[str]:
        return draw.sample(lines, len(lines))

    orders = [mixed(good + others) for _ in range(4)]
    for other in others:
        rest = [*good, *(line for line in others if line != other)]
        orders += [[other, *mixed(rest)], [*mixed(rest), other]]
    for lines in orders:
        web.deliver(f"web_{DAY}.jsonl", "\n".join(lines) + "\n")
        assert (web.extract().landed, [row["raw"] for row in web.quarantined()]) == (40, ["not json"])
        landed.add("\n".join(sorted(map(repr, web.landed("* exclude (source_row)")))))
    assert len(landed) == 1


def test_a_late_file_lands_under_its_own_date(customers):
    customers.deliver(file(DAY), rows(1))
    customers.extract()
    untouched = customers.prints()
    customers.deliver(file(BEFORE), rows(0))
    customers.deliver(file(NEXT), rows(2))
    assert customers.extract(NEXT).files == 2
    assert days(customers) == [(str(BEFORE), "0"), (str(DAY), "1"), (str(NEXT), "2")]
    assert untouched.items() <= customers.prints().items()


def test_running_an_older_day_again_keeps_later_partitions(customers):
    for day in (DAY, NEXT):
        customers.deliver(file(day), rows(day.day))
    customers.extract(NEXT)
    before = customers.prints()
    customers.extract(DAY)
    assert customers.prints() == before


def test_a_file_without_a_date_lands_on_the_day_its_content_is_new(snapshot):
    snapshot.deliver("all.csv", rows(1))
    snapshot.extract(DAY)
    snapshot.extract(NEXT)
    assert days(snapshot) == [(str(DAY), "1")]
    snapshot.deliver("all.csv", rows(1, 2))
    snapshot.extract(NEXT)
    before = snapshot.prints()
    assert days(snapshot) == [(str(DAY), "1"), (str(NEXT), "1"), (str(NEXT), "2")]
    snapshot.extract(DAY)
    assert snapshot.prints() == before


def test_days_in_any_order_give_a_file_without_a_date_the_same_days(snapshot):
    """A backfill from the UI runs days before those that were run already."""
    snapshot.deliver("all.csv", rows(1, 2) + "bad\n")
    snapshot.extract(BEFORE)
    snapshot.deliver("all.csv", rows(1, 2, 3))
    snapshot.extract(NEXT)
    in_order = snapshot.prints()
    for path in list(snapshot.lake.root.rglob("*.parquet")):
        path.unlink()
    snapshot.deliver("all.csv", rows(1, 2) + "bad\n")
    snapshot.extract(DAY)
    snapshot.deliver("all.csv", rows(1, 2, 3))
    snapshot.extract(NEXT)
    assert {day for day, _ in days(snapshot)} == {str(DAY), str(NEXT)}
    snapshot.extract(BEFORE)
    assert snapshot.prints() == in_order
    snapshot.extract(DAY)
    assert snapshot.prints() == in_order


def test_a_file_without_a_date_goes_back_alone_and_leaves_the_others_of_its_day(snapshot):
    snapshot.channel = snapshot.channel.model_copy(
        update={"source": snapshot.channel.source.model_copy(update={"path": "all*.csv"})}
    )
    snapshot.deliver("all_a.csv", rows(1))
    snapshot.extract(DAY)
    snapshot.deliver("all_b.csv", rows(2))
    snapshot.extract(NEXT)
    snapshot.deliver("all_a.csv", rows(1, 3))
    snapshot.extract(NEXT)
    assert days(snapshot) == [(str(DAY), "1"), (str(NEXT), "1"), (str(NEXT), "3"), (str(NEXT), "2")]
    snapshot.extract(DAY)
    assert days(snapshot) == [(str(DAY), "1"), (str(DAY), "2"), (str(NEXT), "1"), (str(NEXT), "3")]
    snapshot.extract(BEFORE)
    assert days(snapshot) == [(str(BEFORE), "1"), (str(BEFORE), "2"), (str(NEXT), "1"), (str(NEXT), "3")]


def test_a_way_back_that_broke_off_is_completed_by_the_next_run(snapshot, monkeypatch):
    snapshot.deliver("all.csv", rows(1) + "bad\n")
    snapshot.extract(NEXT)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(landing, "remove_file", interrupt)
        snapshot.extract(DAY)
    assert days(snapshot) == [(str(DAY), "1"), (str(NEXT), "1")]
    snapshot.extract(DAY)
    assert days(snapshot) == [(str(DAY), "1")]
    assert len(snapshot.quarantined()) == 1


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_changed_map_lands_the_same_content_again_where_it_was(snapshot):
    snapshot.deliver("all.csv", rows(1))
    snapshot.extract(DAY)
    snapshot.describe(
        path="all.csv",
        format="csv",
        map={"record_id": "id", "observed_at": "updated_at", "email": {"value": "y"}},
    )
    snapshot.extract(NEXT)
    assert [(str(item["date"]), item["email"]) for item in snapshot.landed()] == [(str(DAY), "y")]


def test_a_tolerance_is_no_reason_to_land_again(snapshot):
    snapshot.deliver("all.csv", rows(1))
    snapshot.extract()
    snapshot.channel = snapshot.channel.model_copy(update={"tolerance": 0.5})
    assert snapshot.extract().skipped_files == 1


def test_a_channel_that_becomes_another_kind_leaves_nothing_behind(snapshot):
    snapshot.deliver("all.csv", rows(1))
    snapshot.extract()
    old = snapshot.lake.landing("customers", "crm", DAY) / "part.parquet"
    assert old.exists()
    snapshot.describe(kind="products", path="all.csv", format="csv", map={"product_id": "id"})
    snapshot.extract()
    assert not old.exists()
    assert len(snapshot.landed()) == 1


def test_a_failure_leaves_what_was_landed(customers):
    customers.deliver(file(DAY), rows(1))
    customers.extract()
    before = customers.prints()
    customers.deliver(file(DAY), b"")
    with pytest.raises(StepFailed):
        customers.extract()
    assert customers.prints() == before
    assert not list((customers.lake.data / "tmp").iterdir())


def test_patterns_and_folders_of_a_path_are_followed(desk):
    desk.describe(
        path="**/day={date}/*_{date}.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at"}
    )
    desk.deliver(f"shop[1]/day={DAY}/crm_{DAY}.csv", rows(1))
    desk.deliver(f"shop[1]/day={DAY}/crm_{BEFORE}.csv", rows(2))
    desk.extract()
    assert [item["source_file"] for item in desk.landed()] == [f"shop[1]/day={DAY}/crm_{DAY}.csv"]


@pytest.mark.parametrize(
    ("path", "name", "beside"),
    [
        ("crm_{date:%Y%m%d}.csv", "crm_20171201.csv", "crm_2017-12-01.csv"),
        ("crm_{date:%d.%m.%Y}.csv", "crm_01.12.2017.csv", "crm_01-12-2017.csv"),
        ("{date:%Y}/{date:%m}/crm_{date}.csv", "2017/12/crm_2017-12-01.csv", "2017/11/crm_2017-12-01.csv"),
        ("{date:%Y/%m/%d}/**/*.csv", "2017/12/01/a/crm.csv", "2017/12/1/crm.csv"),
    ],
)
def test_the_day_of_a_path_may_have_another_form_and_be_in_parts(desk, path, name, beside):
    desk.describe(path=path, format="csv", map={"record_id": "id", "observed_at": "updated_at"})
    with pytest.raises(StepFailed, match=f"no file matches .*{re.escape(name.partition('/a/')[0])}"):
        desk.extract()
    desk.deliver(name, rows(1))
    desk.deliver(beside, rows(2))
    desk.extract()
    assert [(item["source_file"], item["date"]) for item in desk.landed()] == [(name, DAY)]


def test_demo_files_are_named_below_the_demo_folder(desk):
    desk.describe(path="{demo}/crm.csv", format="csv", map={"record_id": "id", "observed_at": "updated_at"})
    (desk.settings.demo_source).mkdir(parents=True)
    (desk.settings.demo_source / "crm.csv").write_text(rows(1))
    desk.extract()
    assert [item["source_file"] for item in desk.landed()] == ["crm.csv"]


def test_a_date_that_does_not_exist_fails(customers):
    customers.deliver("customers_2017-11-31.csv", rows(1))
    with pytest.raises(StepFailed, match="a date that does not exist: 2017-11-31"):
        customers.extract()


def test_an_empty_typed_file_of_every_kind_matches_every_pattern(desk):
    complete_landing(desk.lake)
    with reader().cursor() as connection:
        for kind in kinds().values():
            path = f"{desk.lake.landing(kind.name)}/*/*/*.parquet"
            described = connection.execute(
                f"describe select * from read_parquet('{path}', hive_partitioning = false)"
            ).fetchall()
            names = {name: sql_type.lower().replace(" ", "") for name, sql_type, *_ in described}
            assert names == _schema(kind.name)
            refused = f"{desk.lake.quarantine(kind.name)}/*/*/*.parquet"
            assert connection.execute(f"select count(*) from '{refused}'").fetchone() == (0,)
        assert connection.execute(
            f"select count(*) from '{desk.lake.receipts()}/*/*/*.parquet'"
        ).fetchone() == (0,)


def test_landed_files_have_exactly_the_columns_of_their_kind(customers):
    customers.deliver(file(DAY), rows(1))
    customers.extract()
    path = customers.lake.landing("customers", "crm", DAY) / "part.parquet"
    with reader().cursor() as connection:
        described = connection.execute(
            f"describe select * from read_parquet('{path}', hive_partitioning = false)"
        ).fetchall()
    names = {name: sql_type.lower().replace(" ", "") for name, sql_type, *_ in described}
    assert list(names.items()) == list(_schema("customers").items())


def _schema(kind: str) -> dict[str, str]:
    return {name: sql_type.replace(" ", "") for name, sql_type in kinds()[kind].landing_schema().items()}
