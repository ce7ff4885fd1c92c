"""Publishing: readers see one whole release at any moment, and its name says what is in it."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include import ledger
from include.config import Configuration
from include.lake import Lake
from include.ledger import StepFailed
from include.publish import (
    Release,
    point_readers_to,
    prune_releases,
    seal_release,
    verify_release,
    write_release,
)
from include.publish.manifest import read_manifest
from include.publish.release import current_release, sealed_releases
from include.publish.serving import roll_back
from include.settings import settings
from tests.include.quality.small_lake import DAY, TABLES, SmallLake
from tests.ways_out import WAYS_OUT

NEXT_DAY, DAY_BEFORE = date(2017, 12, 2), date(2017, 11, 30)


def publish(small: SmallLake, configuration: Configuration, day: date = DAY) -> Release:
    return seal_release(small.lake, day, configuration, write_release(small.lake, day, configuration))


def change_customer(small: SmallLake, email: str) -> None:
    small.change(
        small.lake.table("cdp", "customers"),
        f"select * replace (if(email = 'p7@example.com', '{email}', email) as email) from old order by customer_id",
    )


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its inode and time of change."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sealed_whole(
    clean_lake: Path, configuration: Configuration, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, Release]:
    """The DATA folder that `whole` is copied from."""
    small = SmallLake(Lake(shutil.copytree(clean_lake, tmp_path_factory.mktemp("sealed_whole") / "data")))
    return small.lake, publish(small, configuration)


@pytest.fixture
def whole(sealed_whole: tuple[Lake, Release], small: SmallLake) -> Release:
    """The release of all tables as they are, which is sealed once for all tests; readers see it."""
    lake, release = sealed_whole
    shutil.copytree(lake.published, small.lake.published, symlinks=True, dirs_exist_ok=True)
    return replace(release, path=small.lake.published / "releases" / release.release_id)


def test_a_release_holds_every_table_the_database_the_report_and_a_manifest(
    whole: Release, small: SmallLake
) -> None:
    release = whole
    assert release.is_current
    assert re.fullmatch(r"2017-12-01_[0-9a-f]{12}", release.release_id)
    assert small.lake.current.resolve() == release.path.resolve()
    assert small.lake.current.readlink() == Path("releases") / release.release_id
    expected = {*(f"{name}.parquet" for name in TABLES), "ops/releases.parquet"}
    expected |= {"tandem.duckdb", "report/index.html", "manifest.json"}
    assert set(files_of(release.path)) == expected
    assert release.tables == len(TABLES) + 1
    assert verify_release(release.path) == ()


def test_the_manifest_lists_every_file_and_its_rows_add_up(
    release: Release, configuration: Configuration
) -> None:
    manifest = json.loads((release.path / "manifest.json").read_text())
    customers = next(entry for entry in manifest["files"] if entry.get("table") == "cdp/customers")
    assert customers["rows"] == 120
    assert customers["bytes"] == (release.path / "cdp/customers.parquet").stat().st_size
    assert customers["columns"]["first_seen_at"] == "TIMESTAMP"
    assert manifest["configuration"] == configuration.hash
    assert manifest["row_flow"]["balanced"] is True
    flow = manifest["row_flow"]
    assert flow["received"] == flow["landed"] + flow["quarantined"] == 323
    assert flow["landed"] == flow["staged"] + flow["superseded"] + flow["deleted"] == 322
    assert flow["staged"] == flow["published"] + flow["unattributed"] == 320
    assert {
        "channel": "crm",
        "kind": "customers",
        "files": 1,
        "received": 121,
        "landed": 120,
        "quarantined": 1,
        "erased": 0,
    } in [{key: value for key, value in row.items() if key != "content_hash"} for row in manifest["inputs"]]
    assert all(re.fullmatch("[0-9a-f]{64}", row["content_hash"]) for row in manifest["inputs"])


def test_a_table_has_a_new_schema_version_when_its_columns_change_and_only_then(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    def version(release: Release) -> str:
        manifest = json.loads((release.path / "manifest.json").read_text())
        return next(
            each["schema_version"] for each in manifest["files"] if each.get("table") == "cdp/customers"
        )

    first = version(release)
    change_customer(small, "new@example.com")
    assert version(publish(small, configuration)) == first
    small.change(small.lake.table("cdp", "customers"), "select *, 1 as added from old")
    assert version(publish(small, configuration)) != first


READ = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as opened:
    print(opened.execute("select count(*) from cdp.customers").fetchone()[0], flush=True)
    sys.stdin.readline()
    print(opened.execute("select count(*) from cdp.customers where email = 'new@example.com'").fetchone()[0])
"""


def test_a_bi_tool_keeps_the_database_open_while_the_next_release_takes_over(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    database = small.lake.current / "tandem.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tool:
        assert tool.stdout.readline() == "120\n"
        change_customer(small, "new@example.com")
        publish(small, configuration, NEXT_DAY)
        prune_releases(small.lake, 0)
        with duckdb.connect(str(database), read_only=True) as another:
            query = "select count(*) from cdp.customers where email = 'new@example.com'"
            assert another.execute(query).fetchone() == (1,)
        assert tool.communicate("\n") == ("0\n", None)
    assert tool.returncode == 0


def test_rows_that_do_not_add_up_are_told(few: SmallLake, configuration: Configuration) -> None:
    few.change(
        few.lake.staged("row_counts"), "select * replace (published_rows - 1 as published_rows) from old"
    )
    manifest = json.loads((publish(few, configuration).path / "manifest.json").read_text())
    assert manifest["row_flow"]["balanced"] is False
    assert [name for name, holds in manifest["row_flow"]["checks"].items() if not holds] == [
        "staged = published + unattributed"
    ]


def test_the_database_holds_the_same_tables_with_comments_and_no_log_to_replay(
    small: SmallLake, configuration: Configuration
) -> None:
    manifest = small.lake.data / "dbt" / "target" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    model = {
        "name": "customers",
        "resource_type": "model",
        "description": "Who they are.\nOne row per customer.",
        "columns": {
            "email": {"description": "The customer's address"},
            "not_published": {"description": "is nowhere"},
        },
    }
    manifest.write_text(json.dumps({"nodes": {"model.tandem.customers": model}}))
    release = publish(small, configuration)
    assert not list(release.path.glob("*.wal"))
    with duckdb.connect(str(release.path / "tandem.duckdb"), read_only=True) as database:
        assert database.execute("select count(*) from cdp.customers").fetchone() == (120,)
        assert database.execute(
            "select comment from duckdb_tables() where table_name = 'customers'"
        ).fetchone() == ("Who they are. One row per customer.",)
        comments = database.execute(
            "select column_name, comment from duckdb_columns() where table_name = 'customers' and comment is not null"
        ).fetchall()
        assert comments == [("email", "The customer's address")]
        undescribed = (
            "select column_name from duckdb_columns() where table_name = 'releases' and comment is null"
        )
        assert database.execute(undescribed).fetchall() == []
        for name, rows in [(entry, small_rows(small, entry)) for entry in TABLES]:
            side, table = name.split("/")
            assert database.execute(f'select count(*) from "{side}"."{table}"').fetchone() == (rows,)


def small_rows(small: SmallLake, name: str) -> int:
    path = small.lake.table(*name.split("/"))
    return duckdb.execute(f"select count(*) from read_parquet('{path}')").fetchone()[0]


def test_running_a_day_again_changes_nothing(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    before = files_of(small.lake.published)
    small.change(small.lake.table("ops", "run_costs"), "select * replace (9.9 as wall_seconds) from old")
    small.change(small.lake.table("cdp", "customers"), "from old order by customer_id desc")
    second = publish(small, configuration)
    assert second.release_id == release.release_id
    assert files_of(small.lake.published) == before
    assert second.tables == release.tables


def test_a_changed_value_makes_a_new_release(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    change_customer(small, "new@example.com")
    second = publish(small, configuration)
    assert second.release_id != release.release_id
    assert current_release(small.lake) == second.path.resolve()
    assert [path.name for path in sealed_releases(small.lake)] == sorted(
        [release.release_id, second.release_id]
    )


@pytest.mark.parametrize(
    "query",
    [
        "from old union all (from old limit 1)",
        "select * exclude (email), email from old",
        "select * replace (nullif(email, 'p7@example.com') as email) from old",
        "select * replace (email::blob as email) from old",
    ],
    ids=["a row twice", "columns in another order", "a value that is gone", "another type"],
)
def test_the_name_of_a_release_depends_on(
    query: str, release: Release, small: SmallLake, configuration: Configuration
) -> None:
    small.change(small.lake.table("cdp", "customers"), query)
    assert publish(small, configuration).release_id != release.release_id


def test_an_older_day_does_not_take_over_from_a_newer_one(
    few: SmallLake, configuration: Configuration
) -> None:
    newer = publish(few, configuration, NEXT_DAY)
    older = publish(few, configuration, DAY)
    assert not older.is_current
    assert newer.release_id in older.note
    assert verify_release(older.path) == ()
    assert current_release(few.lake) == newer.path.resolve()


def test_releases_know_their_history(few: SmallLake, configuration: Configuration) -> None:
    ids = [publish(few, configuration, day).release_id for day in (DAY_BEFORE, NEXT_DAY, DAY)]
    history = few.lake.published / "releases" / ids[2] / "ops" / "releases.parquet"
    known = duckdb.execute(f"select release_id, as_of_date from read_parquet('{history}')").fetchall()
    assert known == [(ids[0], DAY_BEFORE), (ids[2], DAY)]


def test_the_results_of_the_publish_gate_come_into_the_release_once(
    small: SmallLake, configuration: Configuration
) -> None:
    from include.quality import run_gate

    for _ in range(2):
        building = write_release(small.lake, DAY, configuration)
        gate = run_gate("publish", small.lake, DAY, configuration, release=building)
        release = seal_release(small.lake, DAY, configuration, building)
    counted = duckdb.execute(
        f"""select step, count(*), count(distinct result_number), max(as_of_date)
        from read_parquet('{release.path}/ops/quality_results.parquet') group by step order by step"""
    ).fetchall()
    assert counted == [("publish", len(gate.results), len(gate.results), DAY), ("stage", 1, 1, DAY)]


@pytest.mark.parametrize("within", ["*", "manifest.json"])
def test_one_changed_byte_is_found_in_each_of_a_hundred_places(
    within: str, whole: Release, small: SmallLake
) -> None:
    """Of all files of a release in turn, and of its manifest alone; and readers are not pointed to it."""
    release, draw = whole, random.Random(24)
    files = [path for path in sorted(release.path.rglob(within)) if path.is_file()]
    assert len(files) == (1 if within == "manifest.json" else len(TABLES) + 4)
    for path in itertools.islice(itertools.cycle(files), 100):
        content = path.read_bytes()
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= draw.randint(1, 255)
        path.unlink()  # it may be a link to the file of the lake, which stays
        path.write_bytes(changed)
        name = path.relative_to(release.path).as_posix()
        assert any(name in problem for problem in verify_release(release.path)), name
        with pytest.raises(StepFailed, match="is not whole, readers stay where they are"):
            point_readers_to(small.lake, release.release_id)
        path.write_bytes(content)
    assert verify_release(release.path) == ()


def test_a_release_of_before_its_manifest_had_a_hash_is_whole(release: Release) -> None:
    manifest = read_manifest(release.path)
    assert manifest.pop("sha256")
    (release.path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 1}))
    assert verify_release(release.path) == ()


def test_missing_cut_and_added_files_are_found(release: Release) -> None:
    (release.path / "dmp/visitors.parquet").unlink()
    (release.path / "cdp/notes.parquet").write_text("notes")
    with (release.path / "tandem.duckdb").open("ab") as handle:
        handle.write(b"more")
    problems = verify_release(release.path)
    assert problems[0] == "dmp/visitors.parquet is missing"
    assert problems[1] == "cdp/notes.parquet is not in the manifest"
    assert problems[2].startswith("tandem.duckdb has ")
    assert len(problems) == 3
    (release.path / "manifest.json").write_text("{")
    assert verify_release(release.path)[0].startswith("manifest.json cannot be read: ")


def test_a_release_that_is_not_whole_is_mended_by_the_next_run(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    (release.path / "dmp/visitors.parquet").unlink()
    with pytest.raises(StepFailed, match=r"is not whole.*visitors\.parquet is missing"):
        point_readers_to(small.lake, release.release_id)
    assert publish(small, configuration).release_id == release.release_id
    assert verify_release(release.path) == ()


@pytest.mark.parametrize("way", WAYS_OUT)
def test_readers_are_led_to_no_release_elsewhere(
    way: str, small: SmallLake, configuration: Configuration
) -> None:
    small.lake.published.joinpath("releases").mkdir(parents=True)
    with pytest.raises(StepFailed, match=r"rollback: there is no release .*, kept are: none"):
        roll_back(small.lake, WAYS_OUT[way], configuration, settings())
    assert not small.lake.current.is_symlink()


def test_a_link_among_the_releases_is_no_release(
    release: Release, small: SmallLake, configuration: Configuration, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(release.path, tmp_path / "elsewhere" / "2017-10-01_0123456789ab")
    (release.path.parent / elsewhere.name).symlink_to(elsewhere)
    before = files_of(elsewhere)
    with pytest.raises(StepFailed, match=f"kept are: {release.release_id}$"):
        roll_back(small.lake, elsewhere.name, configuration, settings())
    assert prune_releases(small.lake, 0) == ()
    assert files_of(elsewhere) == before


def test_nothing_to_publish_is_a_clear_failure(tmp_path: Path, configuration: Configuration) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(StepFailed, match="there is no table in"):
        write_release(lake, DAY, configuration)
    with pytest.raises(StepFailed, match="is missing: write the release before it is sealed"):
        seal_release(lake, DAY, configuration, lake.building_release(DAY))


def test_old_releases_go_but_never_the_one_that_readers_see(
    few: SmallLake, configuration: Configuration
) -> None:
    days = [date(2017, 10, 1), date(2017, 11, 1), DAY]
    ids = [publish(few, configuration, day).release_id for day in days]
    assert prune_releases(few.lake, 30) == (ids[0],)
    assert [path.name for path in sealed_releases(few.lake)] == ids[1:]
    assert prune_releases(few.lake, 0) == (ids[1],)
    assert current_release(few.lake).name == ids[2]
    assert verify_release(current_release(few.lake)) == ()


def test_what_a_killed_run_left_is_swept(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    releases = small.lake.published / "releases"
    for name in (".building-2017-11-29", ".removing-2017-10-01_abc"):
        (releases / name / "cdp").mkdir(parents=True)
        (releases / name / "cdp" / "customers.parquet").write_text("half")
    (small.lake.published / ".current.99.tmp").symlink_to("releases/nowhere")
    write_release(small.lake, NEXT_DAY, configuration)
    assert sorted(path.name for path in releases.iterdir()) == [".building-2017-12-02", release.release_id]
    assert sorted(path.name for path in small.lake.published.iterdir()) == ["current", "releases"]


def test_a_reader_who_polls_during_swaps_sees_whole_releases_only(
    release: Release, small: SmallLake, configuration: Configuration
) -> None:
    ids = [release.release_id]
    change_customer(small, "new@example.com")
    ids.append(publish(small, configuration).release_id)
    seen: list[str] = []
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            manifest = json.loads((small.lake.current / "manifest.json").read_text())
            seen.append(manifest["release_id"])

    reader = threading.Thread(target=poll)
    reader.start()
    for turn in range(60):
        point_readers_to(small.lake, ids[turn % 2])
    stop.set()
    reader.join()
    assert set(seen) == set(ids)


KILLED = """
import os, signal, sys
from pathlib import Path
import include.publish.release as module
from include.config import load_configuration
from include.lake import Lake
from datetime import date

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

lake, configuration = Lake(Path(sys.argv[1])), load_configuration(Path(sys.argv[2]), checked=sys.argv[4])
building = module.write_release(lake, date(2017, 12, 2), configuration)
setattr(os if sys.argv[3] == "fsync" else module, sys.argv[3], die)
module.seal_release(lake, date(2017, 12, 2), configuration, building)
"""


def publish_until(
    moment: str, small: SmallLake, configuration: Configuration
) -> subprocess.CompletedProcess[bytes]:
    """Publish the next day in a process that kills itself where it would call `moment`."""
    arguments = [str(small.lake.data), str(configuration.folder), moment, configuration.hash]
    return subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
    )


@pytest.mark.parametrize("moment", ["write_manifest", "_take_place", "point_readers_to"])
def test_a_run_that_is_killed_leaves_the_last_release_and_the_next_run_is_whole(
    moment: str, release: Release, small: SmallLake, configuration: Configuration
) -> None:
    before = files_of(release.path)
    killed = publish_until(moment, small, configuration)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert current_release(small.lake) == release.path.resolve()
    assert files_of(release.path) == before
    assert verify_release(release.path) == ()
    second = publish(small, configuration, NEXT_DAY)
    assert second.is_current
    assert verify_release(second.path) == ()
    assert not [path for path in (small.lake.published / "releases").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("moment", ["fsync", "build_database", "_take_place", "point_readers_to"])
def test_sealing_that_was_killed_is_tried_again_alone(
    moment: str, release: Release, small: SmallLake, configuration: Configuration
) -> None:
    killed = publish_until(moment, small, configuration)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = {path.name for path in small.lake.building_release(NEXT_DAY).rglob(".*.tmp")}
    assert bool(left) == (moment == "fsync")
    again = seal_release(small.lake, NEXT_DAY, configuration, small.lake.building_release(NEXT_DAY))
    assert again.is_current
    assert not left & {path.name for path in again.path.rglob("*")}
    assert verify_release(again.path) == ()
    assert seal_release(
        small.lake, NEXT_DAY, configuration, small.lake.building_release(NEXT_DAY)
    ) == replace(again, note=f"readers see {again.release_id} already")


def test_what_is_half_removed_is_never_sealed(
    release: Release, small: SmallLake, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = write_release(small.lake, DAY, configuration)

    def remove_half(folder: Path) -> None:
        (folder / "cdp" / "customers.parquet").unlink()
        raise OSError("killed")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="killed"):
        patch.setattr(shutil, "rmtree", remove_half)
        seal_release(small.lake, DAY, configuration, building)
    assert seal_release(small.lake, DAY, configuration, building).release_id == release.release_id
    assert [path.name for path in (small.lake.published / "releases").glob("2*")] == [release.release_id]


def test_a_copy_is_made_where_files_cannot_be_linked(
    few: SmallLake, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    building = write_release(few.lake, DAY, configuration)
    table = few.lake.table("cdp", "customers")
    assert (building / "cdp/customers.parquet").read_bytes() == table.read_bytes()
    assert (building / "cdp/customers.parquet").stat().st_ino != table.stat().st_ino


def test_a_release_does_not_change_when_the_lake_does(few: SmallLake, configuration: Configuration) -> None:
    release = publish(few, configuration)
    change_customer(few, "new@example.com")
    shutil.rmtree(few.lake.root / "tables" / "dmp")
    assert verify_release(release.path) == ()


def test_one_command_rolls_back_and_is_noted_and_the_next_run_moves_forward(
    few: SmallLake, configuration: Configuration
) -> None:
    first = publish(few, configuration, DAY_BEFORE)
    change_customer(few, "new@example.com")
    second = publish(few, configuration)

    def roll_back(release: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "include", "rollback", "--to", release]
        return subprocess.run(
            [*command, "--data", str(few.lake.data), "--config", str(configuration.folder)],
            cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True,
        )  # fmt: skip

    done = roll_back(first.release_id)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"readers see {first.release_id}")
    assert current_release(few.lake).name == first.release_id
    noted = ledger.read(few.lake, DAY_BEFORE)[-1]
    assert (noted.step, noted.part, noted.status) == ("rollback", first.release_id, "done")
    refused = roll_back("2017-12-24_0123456789ab")
    assert refused.returncode == 1
    kept = f"{first.release_id}, {second.release_id}"
    assert refused.stderr.strip().endswith(
        f"no release '2017-12-24_0123456789ab' in {few.lake.published}, kept are: {kept}"
    )
    assert publish(few, configuration).is_current
    assert current_release(few.lake).name == second.release_id
