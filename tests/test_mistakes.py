"""The likeliest mistakes: what is done, and that the message says what is wrong, where, and what to do.

The first table is done here, by the commands of the Makefile in this process. The second names the tests that do what
needs a run, a server or a full disk.
"""

from __future__ import annotations

import logging
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from include.__main__ import main
from include.settings import PROJECT, settings

CHANNELS = """\
channels:
  crm:
    party: first
    kind: customers
    source: {connector: file, path: "crm_{date}.csv", format: csv}
    spec: mapped
    map: {record_id: id, observed_at: at, email: mail}
"""
ROWS = "id,at,mail\n1,2026-03-01 10:00:00,a@example.com\n"
DATABASE = "{connector: sql, connection: crm_db, table: crm}"
AUDIENCE = "audiences:\n  - {id: big, side: cdp, where: %s}\n"
RUN = ["run", "--date", "2026-03-01"]


class Desk:
    """A configuration folder and an empty DATA folder, and what the commands say of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.data, self._capsys = folder / "config", folder / "data", capsys
        self.config.mkdir()
        self.write("channels.yml", CHANNELS)
        self.write("crm_2026-03-01.csv", ROWS)

    def write(self, name: str, text: str) -> None:
        (self.config / name).write_text(text)

    def change(self, old: str, new: str) -> None:
        assert old in CHANNELS
        self.write("channels.yml", CHANNELS.replace(old, new))

    def says(self, *command: str) -> str:
        """What a command that fails prints, on both streams."""
        options = {"--config": str(self.config), "--data": str(self.data)}
        given = [each for pair in options.items() if pair[0] not in command for each in pair]
        settings.cache_clear()
        try:
            code = main([*command, *given])
        except SystemExit as left:
            code = left.code
        said = self._capsys.readouterr()
        assert code, f"no failure: {said.out}"
        assert "Traceback" not in said.err
        return said.out + said.err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The commands set variables for the processes that they start; nobody else is to see them."""
    for name in ("TANDEM_CONFIG", "TANDEM_DATA"):
        monkeypatch.setenv(name, "")
    # A command that logs to the streams of this test leaves a handler, which the next test would find closed.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield Desk(tmp_path, capsys)
    settings.cache_clear()


# What is done to the desk, the command, and what its message must say: what, where, and what to do.
Done = Callable[[Desk], object]
MISTAKES: dict[str, tuple[Done, list[str], str]] = {
    "a configuration folder that is not there": (
        lambda desk: None, [*RUN, "--config", "/not/there"], r"CONFIG: /not/there is not a folder"),
    "a configuration that is a file": (
        lambda desk: None, [*RUN, "--config", "/etc/hostname"], r"CONFIG: /etc/hostname is not a folder"),
    "a DATA folder that is a file": (
        lambda desk: None, [*RUN, "--data", "/etc/hostname"], r"DATA: /etc/hostname is not a folder"),
    "a DATA folder below a file": (
        lambda desk: None, ["check", "--data", "/etc/hostname/data"], r"DATA: /etc/hostname is not a folder"),
    "a folder without channels": (
        lambda desk: (desk.config / "channels.yml").unlink(), RUN,
        r"channels\.yml:1 channels: found no channels, allowed: at least one; describe where your data is"),
    "bad YAML": (
        lambda desk: desk.write("channels.yml", "channels:\n  crm: [a\n"), RUN,
        r"channels\.yml:3 file: not readable as YAML: did not find expected ',' or '\]'"),
    "a record kind that does not exist": (
        lambda desk: desk.change("customers", "custmers"), RUN,
        r"channels\.yml:4 channels\.crm\.kind: found 'custmers', allowed: customers, .*did you mean 'customers'\?"),
    "a missing key": (
        lambda desk: desk.change("    kind: customers\n", ""), RUN,
        r"channels\.yml:2 channels\.crm\.kind: found nothing, allowed: a record kind"),
    "a map without a required column": (
        lambda desk: desk.change("record_id: id, ", ""), RUN,
        r"channels\.yml:7 channels\.crm\.map: found no record_id, allowed: a map with record_id, observed_at"),
    "a key that does not exist": (
        lambda desk: desk.change("spec: mapped", "spec: mapped\n    tolerence: 0.1"), RUN,
        r"channels\.yml:7 channels\.crm\.tolerence: found the key .*did you mean 'tolerance'\?"),
    "a column that the file does not have": (
        lambda desk: desk.change("email: mail", "email: e_mail"), ["check"],
        r"FAIL crm_2026-03-01\.csv has no column 'e_mail' \(map\.email\), nearest: 'mail'"),
    "a path that leads to no file": (
        lambda desk: (desk.config / "crm_2026-03-01.csv").unlink(), ["check"],
        r"no file matches crm_\{date\}\.csv; set required: false if the day may be missing"),
    "an empty file": (
        lambda desk: desk.write("crm_2026-03-01.csv", ""), ["check"],
        r"crm_2026-03-01\.csv is empty; set required: false if the day may be without data"),
    "a database without a connection": (
        lambda desk: desk.change('{connector: file, path: "crm_{date}.csv", format: csv}', DATABASE), ["check"],
        r"connection 'crm_db': there is none of that id; add it in the Airflow UI .*or set AIRFLOW_CONN_CRM_DB"),
    "an audience of a column that does not exist": (
        lambda desk: desk.write("audiences.yml", AUDIENCE % "spend_356d > 1"), RUN,
        r"audiences\.yml:2 .*where: found the column 'spend_356d', allowed: .*did you mean 'spend_365d'\?"),
    "an audience that is no condition": (
        lambda desk: desk.write("audiences.yml", AUDIENCE % "'spend_365d >'"), RUN,
        r"audiences\.yml:2 audiences\[big\]\.where: found 'spend_365d >', allowed: an SQL expression that parses"),
    "an audience of visitors that asks for an address": (
        lambda desk: desk.write("audiences.yml", (AUDIENCE % "email = 'x'").replace("cdp", "dmp")), RUN,
        r"where: found 'email', allowed: trait\('…'\), frequency\('…', days\), recency\('…'\) and no columns"),
    "cells that are too small": (
        lambda desk: desk.write("privacy.yml", "minimum_cell: 5\n"), RUN,
        r"privacy\.yml:1 minimum_cell: found 5, allowed: at least 50"),
    "a place to publish without its connection": (
        lambda desk: desk.write("publishing.yml", "postgres: {conection: bi}\n"), RUN,
        r"publishing\.yml:1 postgres\.conection: found the key .*did you mean 'connection'\?"),
    "a date that is none": (
        lambda desk: None, ["run", "--date", "2026-13-01"], r"'2026-13-01' is not a date like 2017-12-01"),
    "no date": (lambda desk: None, ["run"], r"run needs CONFIG and DATE: make run CONFIG=my/config DATE="),
    "a day in the future": (
        lambda desk: None, ["run", "--date", "2996-03-01"],
        r"DATE: 2996-03-01 has not come yet: a run is about a day that has ended"),
    "a command that does not exist": (lambda desk: None, ["launch"], r"invalid choice: 'launch' \(choose from"),
    "a channel to replay that does not exist": (
        lambda desk: None, ["replay", "--channel", "cmr"], r"found CHANNEL 'cmr', allowed: crm"),
    "a plan before the first run": (
        lambda desk: None, ["plan"], r"plan: nobody has been resolved up to .*; run the day first"),
    "a release that is not there": (
        lambda desk: None, ["rollback", "--to", "2026-03-01_0123456789ab"],
        r"rollback: there is no release '2026-03-01_0123456789ab' in .*, kept are: none"),
    "no name of a release": (
        lambda desk: None, ["rollback", "--to", "yesterday"],
        r"'yesterday' is no release: it is called like 2017-12-01_0123456789ab"),
    "a report before the first run": (
        lambda desk: None, ["report"], r"nothing is published in .* yet: make demo, or make run"),
    "a file to describe that is not there": (
        lambda desk: None, ["check", "--file", "/not/there.csv"],
        r"/not/there\.csv: found no such file or folder, allowed: a data file, or a folder with some"),
    "a port that is none": (
        lambda desk: None, ["ui", "--port", "99999"], r"'99999' is not a port from 1 to 65535"),
    "a privacy request of an unknown kind": (
        lambda desk: None, ["privacy", "--date", "2026-03-01", "--kind", "delete", "--id", "a@example.com"],
        r"found kind 'delete', allowed: access, erasure, objection, return"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line_with_what_to_do(desk: Desk, mistake: str) -> None:
    do, command, message = MISTAKES[mistake]
    do(desk)
    said = desk.says(*command)
    assert re.search(message, said), said
    assert not (desk.data / "lake" / "landing").exists()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("TANDEM_THREADS", "two", "a whole number from 1"),
        ("TANDEM_TARGET", "snowflake", "duckdb or spark"),
        ("TANDEM_MEMORY_LIMIT", "plenty", "a size like 1200MB"),
    ],
)
def test_a_variable_of_the_environment_that_cannot_be_used_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    assert f"{name}: found {value!r}, allowed: {allowed}" in desk.says("check")


def test_a_data_folder_in_use_is_left_to_who_has_it(desk: Desk) -> None:
    desk.data.mkdir()
    with FileLock(desk.data / ".run.lock"):
        assert f"another run uses {desk.data}: wait for it, or give another DATA folder" in desk.says(*RUN)


def test_a_port_that_is_taken_is_named_with_another(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is taken: stop what uses it, or give another: make ui PORT=" in desk.says(
            "ui", "--port", str(port)
        )


def test_another_python_is_named_with_how_to_give_the_right_one(tmp_path: Path) -> None:
    command = ["make", "--silent", "check", "PYTHON=/bin/false", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode
    said = "Tandem needs Python 3.11, and /bin/false is not: make check PYTHON=/path/to/python3.11"
    assert said in done.stderr
    assert not (tmp_path / "venv").exists()


# What needs a run, a server, a full disk or another machine is done elsewhere.
ELSEWHERE = {
    "a file that is empty, in a run": "include/extract/test_malformed.py::test_a_malformed_file_is_refused_and_named",
    "a database that does not answer": (
        "include/extract/test_sql_source.py::test_a_server_that_does_not_answer_is_tried_three_times"),
    "a table or schema that is not there": (
        "include/extract/test_sql_source.py::test_what_is_missing_is_named_with_the_nearest"),
    "an object storage that does not answer": (
        "include/extract/test_object_storage.py::test_a_server_that_does_not_answer_is_tried_three_times"),
    "a wrong key to it": "include/extract/test_object_storage.py::test_a_wrong_key_is_said_and_not_shown",
    "no space left": "faults/test_faults.py::test_a_full_disk_is_a_clear_failure_and_readers_keep_the_last_release",
    "a folder that cannot be written to": (
        "faults/test_faults.py::test_a_folder_that_cannot_be_written_to_is_named_and_readers_keep_the_last_release"),
    "two runs at once through Airflow": (
        "faults/test_faults.py::test_a_task_of_another_day_is_refused_once_a_new_run_has_begun"),
    "an audience that is too small": (
        "dbt_project/test_marts.py::test_an_audience_below_its_minimum_size_is_listed_without_members"),
    "an audience on a trait that nobody holds": (
        "dbt_project/test_marts.py::test_an_audience_on_a_trait_that_nobody_holds_says_so"),
    "consent for nothing": (
        "include/activate/test_who_may_be_sent.py::test_consent_that_nobody_gave_is_refused_and_so_is_a_refusal"),
    "a destination that refuses the credential": (
        "include/activate/test_deliveries.py::test_a_refusal_is_not_tried_again_and_tells_no_secret"),
    "another pseudonym key": (
        "include/test_key_epochs.py::test_another_key_without_another_epoch_is_refused_with_what_to_do"),
    "nothing to publish": (
        "include/publish/test_publish_release.py::test_nothing_to_publish_is_a_clear_failure"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ELSEWHERE)
def test_what_is_done_elsewhere_is_there(mistake: str) -> None:
    file, _, name = ELSEWHERE[mistake].partition("::")
    assert f"def {name}" in (PROJECT / "tests" / file).read_text()
