"""A gate remembers: releases of before say what is usual, rows that break an expectation are kept, people are told."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include.config import Configuration
from include.config.schema import Notice
from include.ledger import StepFailed
from include.quality import GateStopped, run_gate
from include.quality.notices import tell_of_gate
from include.quality.samples import samples_file
from include.settings import settings
from tests.include.quality.small_lake import DAY, SmallLake
from tests.include.quality.test_quality_gates import broken, copy_release, gate


def release_before(small: SmallLake, configuration: Configuration, days: int, **rows: int) -> None:
    """A sealed release of an earlier day as its manifest tells of it: `cdp__customers=120` rows."""
    day = DAY - timedelta(days=days)
    folder = small.lake.published / "releases" / f"{day}_{days:012x}"
    folder.mkdir(parents=True)
    files = [{"table": table.replace("__", "/"), "rows": count} for table, count in rows.items()]
    manifest = {"business_day": f"{day}", "configuration": configuration.hash, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_customers_who_vanish_under_the_same_rules_stop_the_release(
    small: SmallLake, configuration: Configuration
) -> None:
    copy_release(small)
    release_before(small, configuration, 1, cdp__customers=500, dmp__visitors=500)
    with pytest.raises(StepFailed, match=r"customers_do_not_vanish.*release_rows=120 rows_before=500"):
        gate("publish", small, configuration)
    assert broken(small, "publish") == {"release_sizes: customers_do_not_vanish"}


def test_a_release_under_other_rules_is_compared_with_none(
    small: SmallLake, configuration: Configuration
) -> None:
    copy_release(small)
    other = configuration.model_copy(update={"own_features": ("another",)})
    release_before(small, other, 1, cdp__customers=500)
    assert not gate("publish", small, configuration).failed


@pytest.mark.parametrize(
    ("visitors", "is_unusual"),
    [((200, 210, 190), False), ((950, 1000, 1050), True), ((40, 45, 42), True), ((100, 1000, 300), False)],
    ids=["as before", "far fewer", "far more", "the days before scatter as much"],
)
def test_the_usual_size_of_a_table_is_learned_from_the_releases_before(
    visitors: tuple[int, ...], is_unusual: bool, small: SmallLake, configuration: Configuration
) -> None:
    copy_release(small)
    for days, rows in enumerate(visitors, start=1):
        release_before(small, configuration, days, dmp__visitors=rows)
    result = gate("publish", small, configuration)
    assert result.warned == is_unusual
    assert broken(small, "publish") == ({"release_sizes: sizes_are_as_usual"} if is_unusual else set())


def samples(small: SmallLake, step: str) -> dict[str, list[dict[str, Any]]]:
    """The samples that were kept, by expectation: `asset: subject`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(samples_file(small.lake, DAY, step)).to_pylist():
        found.setdefault(f"{row['asset']}: {row['column_name']}", []).append(json.loads(row["sample"]))
    return found


def test_rows_that_break_an_expectation_are_kept_and_no_more_than_twenty(
    small: SmallLake, configuration: Configuration
) -> None:
    small.change_warehouse(
        "update stg_events set occurred_at = timestamp '1970-01-18' where event_id like 'e%2%'"
    )
    small.change_warehouse("update stg_events set event_id = 'e1' where event_id in ('e11', 'e21')")
    small.change_warehouse("update stg_orders set total = -5 where order_id = 'o35'")
    with pytest.raises(GateStopped):
        gate("stage", small, configuration)
    kept = samples(small, "stage")
    assert kept["stg_events: occurred_at_is_plausible"][1] == {
        "channel": "web", "event_id": "e12", "occurred_at": "1970-01-18 00:00:00",
    }  # fmt: skip
    assert kept["stg_events: channel, event_id"] == [{"channel": "web", "event_id": "e1"}]
    assert kept["stg_orders: total"] == [{"total": "-5.0000"}]
    small.change_warehouse("update stg_events set occurred_at = timestamp '1970-01-18'")
    with pytest.raises(GateStopped):
        gate("stage", small, configuration)
    assert len(samples(small, "stage")["stg_events: occurred_at_is_plausible"]) == 20
    page = small.lake.quality_page(DAY, "stage").read_text()
    assert "<summary>20 rows</summary>" in page


def test_what_is_personal_in_a_sample_is_a_keyed_hash(small: SmallLake, configuration: Configuration) -> None:
    small.change(
        small.lake.staged("identity_evidence"),
        "from old union all (from old order by all limit 1)",
    )
    with pytest.raises(GateStopped):
        gate("stage", small, configuration)
    (sample,) = samples(small, "stage")["identity_evidence: node_key, id_type, id_value"]
    first = pq.read_table(small.lake.staged("identity_evidence")).to_pylist()
    clear = {row["id_value"] for row in first} | {row["node_key"] for row in first}
    assert not clear & set(sample.values())
    key = os.environ["TANDEM_PSEUDONYM_KEY"].encode()
    hashes = {f"#{hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:16]}" for value in clear}
    assert {sample["node_key"], sample["id_value"]} <= hashes


def test_a_gate_that_holds_keeps_no_row(small: SmallLake, configuration: Configuration) -> None:
    gate("stage", small, configuration)
    assert samples(small, "stage") == {}


@dataclass
class Heard:
    """What servers of ours were sent."""

    posts: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """A web server and a mail server, with the connections `alerts` and `mail` that lead to them."""
    heard = Heard()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.posts.append((self.path, self.headers["Authorization"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                self.wfile.write(b"354 go on\r\n" if verb == b"DATA" else b"250 fine\r\n")
                if verb == b"DATA":
                    text = b""
                    while (line := self.rfile.readline()) != b".\r\n":
                        text += line
                    heard.mails.append(text.decode())
                    self.wfile.write(b"250 taken\r\n")

    servers = [HTTPServer(("127.0.0.1", 0), Web), socketserver.TCPServer(("127.0.0.1", 0), Mail)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    web, mail = (server.server_address[1] for server in servers)
    alerts = {"conn_type": "http", "host": f"http://127.0.0.1:{web}/hooks/x", "password": "secret-token"}
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", json.dumps(alerts))
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", f"smtp://127.0.0.1:{mail}")
    yield heard
    for server in servers:
        server.shutdown()
        server.server_close()


NOTICES = (
    Notice(to="log", at="warn"),
    Notice(to="webhook", connection="alerts"),
    Notice(to="email", connection="mail", addresses=("data@example.com",), at="warn"),
)


def test_a_gate_that_stops_is_told_with_its_meaning_and_owner_and_no_row_of_the_data(
    heard: Heard, small: SmallLake, configuration: Configuration, caplog: pytest.LogCaptureFixture
) -> None:
    small.change_warehouse("update stg_orders set total = -5 where order_id = 'o35'")
    small.change_warehouse("update stg_events set event_id = null where event_id = 'e7'")
    with pytest.raises(GateStopped) as stopped:
        gate("stage", small, configuration)
    tell_of_gate(NOTICES, "stage", DAY, stopped.value, settings())
    ((path, authorization, body),) = heard.posts
    assert (path, authorization) == ("/hooks/x", "Bearer secret-token")
    assert body["severity"] == "stop"
    assert [(each["severity"], each["rows"], each["owner"]) for each in body["failures"]] == [
        ("stop", 1, "data engineering"), ("warn", 1, "data engineering"),
    ]  # fmt: skip
    assert "a record without a key cannot be told from another" in body["text"]
    assert "the gate after stage stopped the run" in heard.mails[0]
    assert "To: data@example.com" in heard.mails[0]
    assert "the gate after stage stopped the run" in caplog.text
    assert "o35" not in json.dumps(body) + heard.mails[0] + caplog.text


def test_a_warning_is_told_to_those_who_asked_for_warnings_and_nothing_when_all_holds(
    heard: Heard, small: SmallLake, configuration: Configuration
) -> None:
    tell_of_gate(NOTICES, "stage", DAY, gate("stage", small, configuration), settings())
    assert (heard.posts, heard.mails) == ([], [])
    small.change_warehouse("update stg_orders set total = -5 where order_id = 'o35'")
    tell_of_gate(NOTICES, "stage", DAY, gate("stage", small, configuration), settings())
    assert heard.posts == []
    assert "the gate after stage warns" in heard.mails[0]


def test_a_gate_that_could_not_be_evaluated_is_told_too(heard: Heard) -> None:
    tell_of_gate(NOTICES, "unify", DAY, StepFailed("gate unify: x.parquet is missing"), settings())
    assert "x.parquet is missing" in heard.posts[0][2]["text"]


def test_a_notice_that_cannot_be_sent_fails_nothing_and_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", "http://:secret-token@127.0.0.1:1/hooks/secret-path")
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", "smtp://127.0.0.1:1")
    tell_of_gate(NOTICES[1:], "unify", DAY, StepFailed("gate unify: broken"), settings())
    assert caplog.text.count("not sent") == 2
    assert "secret" not in caplog.text


def test_the_day_of_a_release_is_no_history_of_its_own(
    small: SmallLake, configuration: Configuration
) -> None:
    release: Path = copy_release(small)
    release_before(small, configuration, 0, cdp__customers=500)
    release_before(small, configuration, -1, cdp__customers=500)
    assert not run_gate("publish", small.lake, DAY, configuration, release=release).failed
