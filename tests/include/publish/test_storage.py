"""Object storage: a release is whole before the one small object that leads to it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from include.activate.files import written_for
from include.config import Configuration
from include.ledger import SourceUnreachable
from include.publish import prune_releases, roll_back, seal_release, serve_release, write_release
from include.settings import settings
from tests.include.quality.small_lake import DAY, SmallLake

NEXT_DAY = date(2018, 2, 1)


@pytest.fixture(scope="module")
def storage() -> Iterator[boto3.client]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "reader", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    yield boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
    server.stop()


@pytest.fixture
def bucket(
    storage: boto3.client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A bucket of the test's own; the connection `lake` leads to it."""
    name = f"bucket-{abs(hash(request.node.name))}"
    storage.create_bucket(Bucket=name)
    extra = {"endpoint_url": storage.meta.endpoint_url, "region_name": "us-east-1"}
    fields = {"conn_type": "aws", "login": "reader", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(fields))
    return name


@pytest.fixture
def publish(
    small: SmallLake, serving: Callable[..., Configuration], bucket: str
) -> Callable[..., tuple[Configuration, str]]:
    for path in (small.lake.root / "tables").glob("*/*.parquet"):
        if path.stem not in ("customers", "visitors"):
            path.unlink()
    served = serving(storage={"url": f"s3://{bucket}/bi/tandem", "connection": "lake"})

    def publish(day: date = DAY) -> tuple[Configuration, str]:
        release = seal_release(small.lake, day, served, write_release(small.lake, day, served))
        serve_release(small.lake, served, settings())
        return served, release.release_id

    return publish


def objects(storage: boto3.client, bucket: str) -> dict[str, bytes]:
    listed = storage.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"]: storage.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}


def shown(storage: boto3.client, bucket: str) -> dict[str, bytes]:
    """What a reader finds who follows the pointer: file name to content."""
    there = objects(storage, bucket)
    folder = f"bi/tandem/{json.loads(there['bi/tandem/current.json'])['release']}/"
    return {key.removeprefix(folder): content for key, content in there.items() if key.startswith(folder)}


def change(small: SmallLake) -> None:
    small.change(small.lake.table("cdp", "customers"), "select *, 1 as added from old")


def test_the_pointer_leads_to_the_very_files_of_the_release(
    publish, small: SmallLake, storage: boto3.client, bucket: str
) -> None:
    sent = written_for(small.lake, DAY) / "ads" / "loyal" / "manifest.json"
    sent.parent.mkdir(parents=True)
    sent.write_text("{}")
    _, release = publish()
    folder = small.lake.published / "releases" / release
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert len(files) > 4 and "activation/ads/loyal/manifest.json" in files
    assert shown(storage, bucket) == files
    assert json.loads(objects(storage, bucket)["bi/tandem/current.json"])["release_id"] == release


def test_an_upload_that_breaks_off_leaves_the_pointer_and_the_next_one_is_whole(
    publish, small: SmallLake, storage: boto3.client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    before = shown(storage, bucket)
    change(small)
    with monkeypatch.context() as patched:
        whole, calls = S3FileSystem.put_file, []

        def break_off(self: S3FileSystem, *arguments, **options) -> None:
            calls.append(arguments)
            if len(calls) == 4:
                raise ConnectionResetError("the line is cut")
            whole(self, *arguments, **options)

        patched.setattr(S3FileSystem, "put_file", break_off)
        with pytest.raises(SourceUnreachable, match="the line is cut"):
            publish()
    assert len(calls) == 4
    assert shown(storage, bucket) == before
    publish()
    assert "manifest.json" in shown(storage, bucket)
    assert shown(storage, bucket) != before


def test_readers_go_back_and_old_releases_go(
    publish, small: SmallLake, storage: boto3.client, bucket: str
) -> None:
    served, first = publish()
    before = shown(storage, bucket)
    change(small)
    publish(NEXT_DAY)
    assert shown(storage, bucket) != before
    roll_back(small.lake, first, served, settings())
    assert shown(storage, bucket) == before
    publish(NEXT_DAY)
    assert len(prune_releases(small.lake, 30)) == 1
    serve_release(small.lake, served, settings())
    folders = {key.split("/")[3] for key in objects(storage, bucket) if "/releases/" in key}
    assert len(folders) == 1


def test_a_storage_that_is_away_is_worth_another_try(
    publish, small: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = publish()
    fields = {
        "conn_type": "aws",
        "login": "reader",
        "password": "secret",
        "extra": {"endpoint_url": "http://127.0.0.1:1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(fields))
    with pytest.raises(SourceUnreachable, match=r"s3://.*/bi/tandem does not answer") as raised:
        serve_release(small.lake, served, settings())
    assert "secret" not in str(raised.value)
