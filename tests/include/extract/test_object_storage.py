"""Object storage against a real server: moto's S3 over HTTP, with keys that it checks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from include.extract.connectors import retrying
from include.extract.connectors.connections import Connection
from include.extract.connectors.storage import fingerprint, open_storage
from include.ledger import SourceUnreachable, StepFailed

DAY = date(2017, 12, 1)
HEADER = "id,updated_at,mail\n"
MAP = {"record_id": "id", "observed_at": "updated_at", "email": "mail"}


def rows(*numbers: int) -> str:
    return HEADER + "".join(f"{number},2017-11-30T10:00:00Z,{number}@example.com\n" for number in numbers)


@dataclass
class Storage:
    """A bucket called `lake` on a server that knows one pair of keys, those of the user `reader`."""

    endpoint: str
    key: str = ""
    secret: str = ""

    def client(self, service: str = "s3") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key or "anybody",
            aws_secret_access_key=self.secret or "anybody",
        )

    def put(self, name: str, content: str) -> None:
        with self.unchecked():
            self.client().put_object(Bucket="lake", Key=name, Body=content.encode())

    def connection(self, **changed: Any) -> str:
        fields = {
            "conn_type": "aws",
            "login": self.key,
            "password": self.secret,
            "extra": {"endpoint_url": self.endpoint, "region_name": "us-east-1"},
        }
        return json.dumps(fields | changed)

    def allow(self, action: str) -> None:
        statement = {"Effect": "Allow", "Action": [action], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        with self.unchecked():
            self.client("iam").put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        """Keys and rights are checked at all times but here."""
        self.check_rights(False)
        yield
        self.check_rights(True)

    def check_rights(self, are_checked: bool) -> None:
        unchecked_calls = b"0" if are_checked else b"inf"
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data=unchecked_calls, timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Storage]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    storage = Storage(f"http://{host}:{port}")
    with storage.unchecked():
        storage.client("iam").create_user(UserName="reader")
        pair = storage.client("iam").create_access_key(UserName="reader")["AccessKey"]
    storage.key, storage.secret = pair["AccessKeyId"], pair["SecretAccessKey"]
    storage.allow("s3:*")
    yield storage
    storage.check_rights(False)  # what moto remembers outlives its server
    moto.stop()


@pytest.fixture
def storage(server: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    client = server.client()
    server.allow("s3:*")
    client.create_bucket(Bucket="lake")
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", server.connection())
    monkeypatch.setattr(retrying, "PAUSES", (0, 0))
    yield server
    server.allow("s3:*")
    for item in client.list_objects_v2(Bucket="lake").get("Contents", []):
        client.delete_object(Bucket="lake", Key=item["Key"])
    client.delete_bucket(Bucket="lake")


def describe(desk, path: str, file_format: str = "csv", **keys):
    return desk.describe(path=path, format=file_format, connection="lake", **({"map": MAP} | keys))


def test_a_folder_moved_to_a_bucket_lands_the_same_rows_under_the_same_names(desk, storage):
    content = {f"crm/customers_{DAY}.csv": rows(1, 2), f"crm/customers_{DAY - timedelta(1)}.csv": rows(3)}
    for name, text in content.items():
        desk.deliver(name, text)
        storage.put(name, text)
    desk.describe(path="crm/customers_{date}.csv", format="csv", map=MAP)
    desk.extract()
    local = desk.landed()
    for path in desk.lake.root.rglob("*.parquet"):
        path.unlink()
    describe(desk, "s3://lake/crm/customers_{date}.csv").extract()
    assert desk.landed() == local
    assert len(local) == 3


def test_files_of_later_days_and_beside_the_pattern_are_left_alone(desk, storage):
    for name in (
        f"in/a_{DAY}.csv",
        f"in/a_{DAY + timedelta(1)}.csv",
        f"in/b_{DAY}.csv",
        f"in/deep/a_{DAY}.csv",
    ):
        storage.put(name, rows(1))
    storage.put("in/", "")
    describe(desk, "s3://lake/in/a_{date}.csv").extract()
    assert [row["source_file"] for row in desk.landed()] == [f"in/a_{DAY}.csv"]


def test_the_name_of_an_object_leads_nowhere(desk, storage, tmp_path):
    """Objects are called what they like; what is read of them are copies under a name of our own."""
    ways = ("../out.csv", "../../../../out.csv", f"{tmp_path}/out.csv", "a/..%2f..%2fout.csv", r"..\out.csv")
    for number, way in enumerate(ways):
        storage.put(f"in/{way}", rows(number))
    describe(desk, "s3://lake/in/**/*.csv").extract()
    assert sorted(row["source_file"] for row in desk.landed()) == sorted(f"in/{way}" for way in ways)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert not list(tmp_path.rglob("*out.csv"))


def test_an_unchanged_object_is_not_downloaded_again(desk, storage):
    storage.put("crm.csv", rows(1))
    describe(desk, "s3://lake/crm.csv").extract()
    before = desk.prints()
    storage.allow("s3:ListBucket")
    again = desk.extract()
    storage.put("crm.csv", rows(2))
    with pytest.raises(StepFailed, match="s3://lake/ refuses connection lake"):  # now it would download
        desk.extract()
    assert (again.files, again.skipped_files) == (0, 1)
    assert desk.prints() == before


def test_an_object_that_changes_is_landed_again(desk, storage):
    storage.put(f"crm_{DAY}.csv", rows(1))
    describe(desk, "s3://lake/crm_{date}.csv").extract()
    storage.put(f"crm_{DAY}.csv", rows(1, 2))
    assert desk.extract().landed == 2


def test_an_object_of_many_parts_arrives_whole(desk, storage):
    notes = {number: f"{number}" * 20_000 for number in range(100, 500)}  # 24 MB, three parts of the download
    lines = "".join(f"{number},2017-11-30,,{note}\n" for number, note in notes.items())
    storage.put("crm.csv", HEADER.replace("\n", ",note\n") + lines)
    describe(desk, "s3://lake/crm.csv").extract()
    assert [row["attributes"]["note"] for row in desk.landed("attributes")] == list(notes.values())


def test_a_wrong_key_is_said_and_not_shown(desk, storage, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", storage.connection(password="not-the-secret"))
    with pytest.raises(
        StepFailed, match=r"^channel crm: s3://lake/ refuses connection lake \(.*signature"
    ) as failure:
        describe(desk, "s3://lake/crm.csv").extract()
    assert not isinstance(failure.value, SourceUnreachable)
    assert "not-the-secret" not in str(failure.value)


def test_a_bucket_that_does_not_exist_is_named(desk, storage):
    with pytest.raises(
        StepFailed, match=r"^channel crm: s3://lak/ cannot be read, .*bucket does not exist"
    ) as failure:
        describe(desk, "s3://lak/crm.csv").extract()
    assert not isinstance(failure.value, SourceUnreachable)


def test_an_object_that_is_missing_is_named_with_its_bucket(desk, storage):
    with pytest.raises(
        StepFailed, match=r"no file matches s3://lake/crm_2017-12-01.csv; set required: false"
    ):
        describe(desk, "s3://lake/crm_{date}.csv").extract()


def test_a_server_that_does_not_answer_is_tried_three_times(desk, storage, monkeypatch):
    away = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", storage.connection(extra=away))
    with pytest.raises(
        SourceUnreachable, match=r"s3://lake/ does not answer \(.*127.0.0.1:9.*tried 3 times$"
    ):
        describe(desk, "s3://lake/crm.csv").extract()


@dataclass
class Front:
    """Stands before the storage: fails as `failures` say, one a request, and passes on what is asked after them. A
    failure is a status, seconds until the answer, "" for an answer that breaks off, None for none."""

    storage: Storage
    failures: list[int | float | str | None] = field(default_factory=list)
    asked: int = 0

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, int):
            return failure, {"Content-Length": "0"}, b""
        time.sleep(failure or 0)
        passed = requests.request(method, self.storage.endpoint + path, headers=headers, timeout=10)
        content = passed.content[: len(passed.content) // 2] if failure == "" else passed.content
        return passed.status_code, dict(passed.headers), content


@pytest.fixture
def front(storage, monkeypatch) -> Iterator[Front]:
    """The connection `lake` leads here, and waits 0.2 seconds for an answer."""
    front = Front(storage)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = front.answer(self.command, self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    extra = {
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "region_name": "us-east-1",
        "config_kwargs": {"read_timeout": 0.2},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", storage.connection(extra=extra))
    yield front
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("failure", "times"),
    [(500, 4), (502, 4), (503, 4), (429, 2), (400, 2), (0.4, 2), ("", 2)],
    ids=["500", "502", "503", "429", "400", "silence", "half an answer"],
)
def test_what_fails_for_a_while_lands_whole(desk, storage, front, failure, times):
    """The listing and the download each fail so often that a third try is needed, or a second of the client's own."""
    storage.put("crm.csv", rows(*range(1000)))
    front.failures = [failure] * times + [None] + [failure] * times
    assert describe(desk, "s3://lake/crm.csv").extract().landed == 1000
    assert front.asked >= 2 * times + 2
    assert not front.failures


@pytest.mark.parametrize("failure", [503, 400, ""], ids=["503", "400", "half an answer"])
def test_what_keeps_failing_lands_nothing_and_is_caught_up_by_the_next_run(desk, storage, front, failure):
    storage.put("crm.csv", rows(1, 2))
    front.failures = [None] + [failure] * 100
    with pytest.raises(SourceUnreachable, match=r"^channel crm: s3://lake/ does not answer .*tried 3 times$"):
        describe(desk, "s3://lake/crm.csv").extract()
    assert not desk.prints()
    front.failures.clear()
    assert desk.extract().landed == 2


def test_an_extra_that_would_be_ignored_is_refused(desk, storage, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", storage.connection(extra={"endpoint": storage.endpoint}))
    with pytest.raises(
        StepFailed, match=r"connection 'lake': found the extra 'endpoint', allowed: .*endpoint_url"
    ):
        describe(desk, "s3://lake/crm.csv").extract()


def test_a_connection_that_does_not_exist_is_named_with_the_way_to_make_it(desk, storage, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LAKE")
    with pytest.raises(StepFailed, match=r"connection 'lake': there is none .*AIRFLOW_CONN_LAKE"):
        describe(desk, "s3://lake/crm.csv").extract()


PARTITIONED = "shop/dt={date}/country=*/*.%s"


@pytest.mark.parametrize("place", ["", "s3://lake/"], ids=["local", "remote"])
@pytest.mark.parametrize(
    ("file_format", "content"),
    [("csv", rows(1)), ("jsonl", '{"id": 1, "updated_at": "2017-11-30", "mail": "1@example.com"}\n{} \n')],
)
def test_hive_partitions_of_a_path_are_columns_of_its_rows(desk, storage, place, file_format, content):
    for name in (f"shop/dt={DAY}/country=DE/a.{file_format}", f"shop/dt={DAY}/country=C%C3%B4te/a.{file_format}",
                 f"shop/dt={DAY}/country=__HIVE_DEFAULT_PARTITION__/a.{file_format}"):  # fmt: skip
        desk.deliver(name, content)
        storage.put(name, content)
    source = {"connection": "lake"} if place else {}
    desk.describe(
        path=place + PARTITIONED % file_format, format=file_format, map=MAP | {"country": "country"}, **source
    )
    result = desk.extract()
    landed = desk.landed("country, attributes, date")
    assert [row["country"] for row in landed] == ["Côte", "DE", None]
    assert {str(row["date"]) for row in landed} == {str(DAY)}
    assert all(row["attributes"] == {"dt": str(DAY)} for row in landed)
    assert result.received == 3 * (len(content.splitlines()) - (file_format == "csv"))


@pytest.mark.parametrize(
    ("file_format", "content"),
    [("csv", "id,updated_at,country\n1,2017-11-30,FR\n"),
     ("jsonl", '{"id": 1, "updated_at": "2017-11-30", "country": "FR"}\n')],
)  # fmt: skip
def test_a_column_of_the_file_goes_before_a_partition_of_the_same_name(desk, file_format, content):
    desk.deliver(f"country=DE/site=a/x.{file_format}", content)
    desk.describe(
        path=f"country=*/site=*/x.{file_format}", format=file_format,
        map={"record_id": "id", "observed_at": "updated_at", "country": "country"},
    )  # fmt: skip
    desk.extract()
    assert [(row["country"], row["attributes"]) for row in desk.landed()] == [("FR", {"site": "a"})]


def test_partitions_of_segment_files_are_kept_as_attributes(desk):
    event = '{"messageId": "1", "type": "page", "timestamp": "2017-11-30T10:00:00Z", "anonymousId": "a"}'
    desk.deliver(f"site=shop/events_{DAY}.jsonl", event + "\n")
    desk.describe(kind="events", spec="segment", path="site=*/events_{date}.jsonl", format="jsonl").extract()
    assert [row["attributes"] for row in desk.landed()] == [{"site": "shop"}]


# Google and Azure have no server that a test could start here: what is held is that a connection's fields become
# what their clients understand.


def test_a_google_connection_becomes_the_options_of_its_client():
    system = open_storage(
        "gs", Connection("g", "google_cloud_platform", extra={"anon": True, "project": "p"})
    )
    assert (system.project, system.credentials.token) == ("p", "anon")


@pytest.mark.parametrize(
    "connection",
    [
        Connection("a", "wasb", login="shop", password="a2V5"),
        Connection("a", "wasb", extra={"account_name": "shop", "account_key": "a2V5"}),
        Connection(
            "a",
            "wasb",
            extra={"connection_string": "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=a2V5;"
                                        "EndpointSuffix=core.windows.net"},
        ),
    ],
    ids=["login", "extra", "connection string"],
)  # fmt: skip
def test_an_azure_connection_becomes_the_options_of_its_client(connection):
    assert open_storage("az", connection).service_client.account_name == "shop"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"md5Hash": "a", "etag": "1", "size": 1}, {"md5Hash": "a", "etag": "2", "size": 1}),
        ({"content_settings": {"content_md5": b"a"}, "etag": "1", "size": 1},
         {"content_settings": {"content_md5": b"a"}, "etag": "2", "size": 1}),
    ],
    ids=["google", "azure"],
)  # fmt: skip
def test_the_hash_of_a_content_goes_before_the_number_of_its_writing(before, after):
    assert fingerprint(before) == fingerprint(after)
    assert fingerprint(before) != fingerprint(after | {"size": 2})
