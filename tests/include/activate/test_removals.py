"""A person who is erased is removed wherever they were sent, at once, and from every file of it."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.activate import transports
from include.activate.deliver import deliver_release
from include.activate.removals import remove_people
from include.ledger import DestinationUnreachable
from include.publish.release import current_release
from tests.include.activate.conftest import AUDIENCES, DAY, NEXT_DAY, THIRD_DAY, Activation
from tests.include.activate.platform import listening

DESTINATIONS = """\
- id: out
  format: json
  columns: {mail: [emails]}
  deliver: {to: http, connection: platform}
- id: box
  columns: {phone: [phones], mail: [emails]}
  deliver: {to: folder, path: box}
- id: nowhere
  columns: {mail: [emails]}
"""


PEOPLE = tuple(f"p{number}" for number in range(120))


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch):
    with listening() as listener:
        monkeypatch.setenv("AIRFLOW_CONN_PLATFORM", listener.connection())
        monkeypatch.setattr(transports, "PAUSES", ())
        yield listener


@pytest.fixture
def sent(small: Activation, platform) -> Activation:
    """Ann, with an address that Ben has too, and others, as they were sent."""
    small.add("ben", emails=["home@example.com"])
    small.add("ann", emails=["ann@example.com", "home@example.com"], phones=["+16505551234"])
    small.add("cal")
    small.export(DAY, small.configure(DESTINATIONS))
    small.release(DAY)
    deliver_release(small.lake, DAY, small.configure(DESTINATIONS))
    return small


def files_with(small: Activation, text: str) -> list[str]:
    found = [
        path for path in small.lake.data.rglob("*") if path.is_file() and path.suffix in (".csv", ".jsonl")
    ]
    assert len(found) >= 12
    return sorted(str(path.relative_to(small.lake.data)) for path in found if text in path.read_text())


def test_destinations_remove_a_person_and_keep_what_another_one_shares(sent: Activation, platform) -> None:
    removed = remove_people(sent.lake, sent.configure(DESTINATIONS), ["ann"])
    assert platform.mails() == ["cal@example.com", "home@example.com"]
    assert removed.problems == ()
    assert [(line.destination_id, line.action, line.rows, line.status) for line in removed.lines] == [
        ("out", "remove", 1, "sent"), ("box", "remove", 1, "sent")
    ]  # fmt: skip
    assert pq.read_table(sent.lake.ops(DAY, "deliveries")).num_rows == 4


def test_no_file_has_the_person_any_more_and_nothing_brings_them_back(sent: Activation, platform) -> None:
    assert files_with(sent, "ann@example.com") != []
    configuration = sent.configure(DESTINATIONS)
    removed = remove_people(sent.lake, configuration, ["ann"])
    assert {path.split("/")[0] for path in files_with(sent, "ann@example.com")} == {"published"}
    changed = removed.purge(current_release(sent.lake) / "activation")
    # Of each destination everybody, what was added, and the manifest.
    assert len(changed) == 9
    assert files_with(sent, "ann@example.com") == []
    sent.seal(current_release(sent.lake))
    assert str(deliver_release(sent.lake, DAY, configuration)) == "nothing to send"
    del sent.people["ann"]
    sent.members["loyal"].discard("ann")
    exported = sent.export(NEXT_DAY, configuration)
    assert (exported.added_rows, exported.removed_rows) == (0, 0)


def test_a_destination_that_is_away_removes_them_with_the_next_run(sent: Activation, platform) -> None:
    configuration = sent.configure(DESTINATIONS)
    platform.failures = [503]
    removed = remove_people(sent.lake, configuration, ["ann"])
    assert len(removed.problems) == 1 and "out: POST /audiences/loyal/remove: 503" in removed.problems[0]
    assert "ann@example.com" in platform.mails()
    del sent.people["ann"]
    sent.members["loyal"].discard("ann")
    sent.export(NEXT_DAY, configuration)
    sent.release(NEXT_DAY)
    deliver_release(sent.lake, NEXT_DAY, configuration)
    assert platform.mails() == ["cal@example.com", "home@example.com"]


def test_an_audience_that_is_sent_no_more_loses_them_while_the_destination_still_holds_it(
    sent: Activation, platform
) -> None:
    configuration = sent.configure(DESTINATIONS, AUDIENCES.replace(", destinations: [%s]", ""))
    for day in (NEXT_DAY, THIRD_DAY):  # the second release has no file of the audience any more
        platform.failures = [503]
        sent.export(day, configuration)
        sent.release(day)
        with pytest.raises(DestinationUnreachable):
            deliver_release(sent.lake, day, configuration)
    assert "ann@example.com" in platform.mails()
    removed = remove_people(sent.lake, configuration, ["ann"])
    assert [(line.destination_id, line.action, line.rows) for line in removed.lines] == [("out", "remove", 3)]
    assert (platform.mails(), removed.problems) == ([], ())


def test_an_erasure_after_a_rollback_brings_nobody_back_who_withdrew(sent: Activation, platform) -> None:
    configuration, earlier = sent.configure(DESTINATIONS), current_release(sent.lake)
    sent.people["cal"].consents = {"advertising": False}
    sent.export(NEXT_DAY, configuration)
    sent.release(NEXT_DAY)
    deliver_release(sent.lake, NEXT_DAY, configuration)
    sent.point_to(earlier)
    assert len(remove_people(sent.lake, configuration, ["ann"]).lines) == 2
    assert platform.mails() == ["home@example.com"]


def test_a_destination_whose_columns_changed_since_does_not_keep_them_in_silence(
    sent: Activation, platform
) -> None:
    changed = sent.configure(
        DESTINATIONS.replace("{mail: [emails]}\n  deliver", "{address: [emails]}\n  deliver")
    )
    removed = remove_people(sent.lake, changed, ["ann"])
    assert removed.problems == ("out holds loyal in other columns; give the new ones an id of their own",)


@pytest.mark.parametrize("form", ["google_customer_match", "json"])
def test_a_destination_of_before_that_still_holds_a_person_is_told(small: Activation, form: str) -> None:
    columns = "  columns: {mail: [emails]}\n" if form == "json" else ""
    gone = f"- id: gone\n  format: {form}\n{columns}  deliver: {{to: folder, path: box}}\n"
    small.add(*PEOPLE)
    small.export(DAY, small.configure(gone))
    assert deliver_release(small.lake, DAY, small.configure(gone)).rows == len(PEOPLE)
    (problem,) = remove_people(small.lake, small.configure(""), ["p7"]).problems
    assert problem.startswith("gone holds loyal and is no destination any more; configure it again, or have")
    assert problem.endswith("lake/activation/held/gone away")
    assert remove_people(small.lake, small.configure(gone), ["p7"]).problems == ()
    # Of free columns nothing is known, so whoever it may be is told.
    assert bool(remove_people(small.lake, small.configure(""), ["p7"]).problems) == (form == "json")


def test_devices_of_a_person_are_removed_too(small: Activation) -> None:
    configuration = small.configure(
        "- id: out\n  columns: {visitor: [member_id], until: [expires_at]}\n  deliver: {to: folder, path: box}\n"
    )
    small.visitors = {"loyal": {"5f", "6a"}}
    small.export(DAY, configuration)
    small.release(DAY)
    deliver_release(small.lake, DAY, configuration)
    removed = remove_people(small.lake, configuration, ["nobody"], ["5f"])
    assert [(line.action, line.rows) for line in removed.lines] == [("remove", 1)]
    assert (
        (small.folder / "box" / "2024-06-28_000000000000_loyal_remove.csv")
        .read_text()
        .startswith("visitor,until\n5f,")
    )


def test_a_person_is_removed_by_what_was_told_of_them_whatever_the_end_is_today(small: Activation) -> None:
    configuration = small.configure(
        "- id: out\n  columns: {visitor: [member_id], until: [expires_at]}\n  deliver: {to: folder, path: box}\n"
    )
    small.visitors = {"loyal": {"5f", "6a"}}
    for day, end in ((DAY, datetime(2024, 7, 29)), (NEXT_DAY, datetime(2024, 7, 30))):
        small.expires = dict.fromkeys(("5f", "6a"), end)
        small.export(day, configuration)
        deliver_release(small.lake, day, configuration)
    removed = remove_people(small.lake, configuration, [], ["5f"])
    assert [(line.action, line.rows) for line in removed.lines] == [("remove", 1)]
    box = small.folder / "box" / "2024-06-29_000000000000_loyal_remove.csv"
    assert box.read_text() == "visitor,until\n5f,2024-07-29 00:00:00\n"
    assert {small.file(day)[0][:2] for day in (DAY, NEXT_DAY)} == {"6a"}


def test_an_erasure_leaves_the_files_of_its_release_that_nobody_collected_yet(small: Activation) -> None:
    configuration = small.configure(
        "- id: out\n  columns: {mail: [emails]}\n  deliver: {to: folder, path: box}\n"
    )
    small.add("ann", "ben", "cal")
    for day in (DAY, NEXT_DAY):
        small.export(day, configuration)
        small.release(day)
        deliver_release(small.lake, day, configuration)
        small.members["loyal"].discard("ann")
    remove_people(small.lake, configuration, ["ben"])
    removals = {path.name: path.read_text() for path in (small.folder / "box").glob("*_remove*")}
    assert removals == {
        "2024-06-29_000000000000_loyal_remove.csv": "mail\nann@example.com\n",
        "2024-06-29_000000000000_loyal_remove_2.csv": "mail\nben@example.com\n",
    }


def test_who_was_never_sent_is_removed_nowhere(sent: Activation, platform) -> None:
    requests = len(platform.requests)
    removed = remove_people(sent.lake, sent.configure(DESTINATIONS), ["stranger"])
    assert (removed.lines, removed.problems, len(platform.requests)) == ((), (), requests)


def test_without_a_release_there_is_nothing_to_remove(small: Activation) -> None:
    assert remove_people(small.lake, small.configure(DESTINATIONS), ["ann"]).lines == ()


def test_files_of_a_destination_that_is_no_more_lose_the_person_too(small: Activation) -> None:
    small.add(*(f"c{number}" for number in range(120)))
    small.export(DAY, small.configure("- id: uid\n  format: uid2\n"))
    small.release(DAY)
    coded = b64encode(sha256(b"c7@example.com").digest()).decode()
    assert len(files_of(small, coded)) == 6  # of the run, the day and the release
    removed = remove_people(small.lake, small.configure("- {id: out, columns: {mail: [emails]}}\n"), ["c7"])
    assert [path.parts[0] for path in files_of(small, coded)] == ["published"] * 2
    removed.purge(current_release(small.lake) / "activation")
    assert files_of(small, coded) == []


def test_files_with_further_columns_lose_the_person_when_the_destination_is_no_more(
    small: Activation,
) -> None:
    small.add(*(f"c{number}" for number in range(120)))
    small.export(DAY, small.configure("- id: meta\n  format: meta_custom_audience\n  also: [GEN, CT]\n"))
    hashed = sha256(b"c7@example.com").hexdigest()
    assert len(files_of(small, hashed, "jsonl")) == 6
    removed = remove_people(small.lake, small.configure("- {id: out, columns: {mail: [emails]}}\n"), ["c7"])
    removed.purge(current_release(small.lake) / "activation")
    assert files_of(small, hashed, "jsonl") == []


def files_of(small: Activation, text: str, ending: str = "csv") -> list[Path]:
    found = (path for path in small.lake.data.rglob(f"*.{ending}") if text in path.read_text())
    return sorted(path.relative_to(small.lake.data) for path in found if not path.is_symlink())
