"""Yesterday without what is removed, with what is added, is today; and the same inputs give the same bytes."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from include.activate.export import export_audiences
from include.ledger import StepFailed
from include.publish import write_release
from tests.include.activate.conftest import AUDIENCES, DAY, NEXT_DAY, THIRD_DAY, Activation


def difference_holds(small: Activation, before: date, day: date) -> bool:
    added, removed = set(small.file(day, "add")), set(small.file(day, "remove"))
    yesterday, today = set(small.file(before)), set(small.file(day))
    return removed <= yesterday and not added & yesterday and (yesterday - removed) | added == today


def test_whoever_left_expired_withdrew_or_was_erased_is_removed(small: Activation, csv_out) -> None:
    small.add("ann", "left", "expired", "withdrew", "held_back", "erased", "moved")
    small.export(DAY, csv_out())
    assert small.file(DAY, "add") == small.file(DAY) and not small.file(DAY, "remove")
    small.members["loyal"] -= {"left", "erased"}
    del small.people["erased"], small.people["expired"]
    small.people["withdrew"].consents["advertising"] = False
    small.control = {"held_back"}
    small.people["moved"].emails = ["elsewhere@example.com"]
    small.members["loyal"].discard("expired")
    small.add("new")
    exported = small.export(NEXT_DAY, csv_out())
    assert small.file(NEXT_DAY, "remove") == [
        f"{name}@example.com" for name in ("erased", "expired", "held_back", "left", "moved", "withdrew")
    ]
    assert small.file(NEXT_DAY, "add") == ["elsewhere@example.com", "new@example.com"]
    assert difference_holds(small, DAY, NEXT_DAY)
    assert (exported.people, exported.refused, exported.added_rows, exported.removed_rows) == (3, 2, 2, 6)


def test_a_contact_that_somebody_else_still_has_is_not_removed(small: Activation, csv_out) -> None:
    small.add("ann", "ben", emails=["home@example.com"])
    small.export(DAY, csv_out())
    small.members["loyal"].discard("ben")
    small.export(NEXT_DAY, csv_out())
    assert small.file(DAY) == small.file(NEXT_DAY) == ["home@example.com"]
    assert small.file(NEXT_DAY, "remove") == []


def test_an_audience_that_is_no_longer_sent_is_removed_whole(small: Activation, csv_out) -> None:
    small.add("ann", "ben")
    small.export(DAY, csv_out())
    unsent = small.configure(
        "- id: out\n  columns: {mail: [emails]}\n", AUDIENCES.replace(", destinations: [%s]", "")
    )
    small.export(NEXT_DAY, unsent)
    assert (small.file(NEXT_DAY), small.file(NEXT_DAY, "remove")) == ([], small.file(DAY))
    small.export(THIRD_DAY, unsent)
    assert not (small.lake.activation(THIRD_DAY) / "out").exists()


def test_who_left_on_a_day_that_was_not_published_is_removed_by_the_next(small: Activation, csv_out) -> None:
    small.add("ann", "ben", "cal")
    small.export(DAY, csv_out())
    small.members["loyal"].discard("ann")
    small.write()
    export_audiences(small.lake, NEXT_DAY, csv_out())  # and then the gate of publish stops the run
    small.members["loyal"].discard("ben")
    small.export(THIRD_DAY, csv_out())
    assert small.file(THIRD_DAY, "remove") == ["ann@example.com", "ben@example.com"]


def test_a_day_that_is_run_again_and_fails_changes_nothing_of_what_was_published(
    small: Activation, csv_out
) -> None:
    """Whoever takes the files holds those of the release, and a person may ask where they were sent."""
    small.add("ann", "ben")
    small.export(DAY, csv_out())
    small.members["loyal"].discard("ben")
    small.add("cal")
    small.write()
    export_audiences(small.lake, DAY, csv_out())  # and then the gate of publish stops the run
    assert small.file(DAY) == ["ann@example.com", "ben@example.com"]
    assert small.decisions(DAY) == {"ann": None, "ben": None}
    small.export(NEXT_DAY, csv_out())
    assert small.file(NEXT_DAY, "remove") == ["ben@example.com"]
    assert small.file(NEXT_DAY, "add") == ["cal@example.com"]


UNTIL = "- id: out\n  columns: {visitor: [member_id], until: [expires_at]}\n"


def test_nobody_is_said_to_stay_longer_than_the_destination_may_keep_them(small: Activation) -> None:
    small.visitors = {"loyal": {"5f", "6a"}}
    small.expires = {"6a": datetime(2024, 7, 2)}
    small.export(DAY, small.configure(UNTIL + "  membership_days: 10\n"))
    assert small.file(DAY) == ["5f,2024-07-09 00:00:00", "6a,2024-07-02 00:00:00"]


def test_whoever_stays_is_not_removed_and_added_each_day_because_the_end_moves(small: Activation) -> None:
    configuration = small.configure(UNTIL)  # the audience's members stay for 30 days
    small.visitors = {"loyal": {"5f", "6a"}}
    days = {DAY: 29, NEXT_DAY: 30, date(2024, 7, 13): 44, date(2024, 7, 15): 46}
    for day, after in days.items():
        small.expires = dict.fromkeys(("5f", "6a"), datetime(2024, 6, 29) + timedelta(days=after))
        small.expires["5f"] = min(small.expires["5f"], datetime(2024, 8, 1))
        small.export(day, configuration)
    assert small.file(NEXT_DAY) == small.file(DAY) == ["5f,2024-07-28 00:00:00", "6a,2024-07-28 00:00:00"]
    assert small.file(date(2024, 7, 13)) == small.file(DAY)
    # Half of the days are gone: they are told anew.
    assert small.file(date(2024, 7, 15)) == ["5f,2024-08-01 00:00:00", "6a,2024-08-14 00:00:00"]
    assert difference_holds(small, date(2024, 7, 13), date(2024, 7, 15))


def test_an_end_that_comes_earlier_is_told_at_once(small: Activation) -> None:
    configuration = small.configure(UNTIL)
    small.visitors = {"loyal": {"5f"}}
    small.export(DAY, configuration)
    small.expires = {"5f": datetime(2024, 7, 20)}
    small.export(NEXT_DAY, configuration)
    assert small.file(NEXT_DAY, "add") == ["5f,2024-07-20 00:00:00"]
    assert small.file(NEXT_DAY, "remove") == ["5f,2024-08-01 00:00:00"]


def test_running_a_day_again_writes_the_same_bytes_even_after_a_later_day(small: Activation, csv_out) -> None:
    def written() -> dict[str, bytes]:
        folder = small.lake.activation(NEXT_DAY)
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    small.add("ann", "ben")
    small.export(DAY, csv_out())
    small.add("cal")
    small.export(NEXT_DAY, csv_out())
    first = written()
    small.export(THIRD_DAY, csv_out())
    small.export(NEXT_DAY, csv_out())
    assert written() == first
    assert len(first) == 5


def test_a_manifest_says_what_is_in_the_files(small: Activation, csv_out) -> None:
    small.add("ann")
    small.add("ben", consents={})
    small.export(DAY, csv_out("  membership_days: 10"))
    folder = small.lake.activation(DAY) / "out" / "loyal"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["people"] == 1 and manifest["refused"] == {"consent_unknown:advertising": 1}
    assert manifest["membership_days"] == 10  # less than the audience's 30
    for entry in manifest["files"].values():
        assert (folder / entry["path"]).stat().st_size == entry["bytes"]
    assert manifest["files"]["full"]["rows"] == 1


def test_odd_characters_come_back_as_they_were(small: Activation, csv_out) -> None:
    small.add("ann", emails=['a,"b"\n@example.com', "ü@example.com", "=a@example.com"])
    small.export(DAY, csv_out())
    small.export(NEXT_DAY, csv_out())
    assert (small.file(NEXT_DAY, "add"), small.file(NEXT_DAY, "remove")) == ([], [])
    assert "'=a@example.com" in small.file(DAY)


def test_a_destination_that_holds_rows_in_other_columns_is_not_left_with_them(
    small: Activation, csv_out
) -> None:
    small.add("ann")
    small.export(DAY, csv_out())
    other = small.configure("- id: out\n  columns: {phone: [phones]}\n")
    with pytest.raises(StepFailed, match="out holds rows of loyal in other columns"):
        small.export(NEXT_DAY, other)


def test_without_destinations_nothing_but_empty_counts_is_written(small: Activation) -> None:
    configuration = small.configure("", AUDIENCES.replace(", destinations: [%s]", ""))
    exported = export_audiences(small.lake, DAY, configuration)  # there is not even a table to read
    assert exported.skipped and str(exported) == "no destinations"
    assert small.refusals(DAY) == {} and small.log(DAY).num_rows == 0


def test_days_that_nobody_compares_with_are_forgotten(small: Activation, csv_out) -> None:
    (small.folder / "privacy.yml").write_text(
        "purposes: {advertising: [advertising]}\nkeep_releases_days: 1\n"
    )
    small.add("ann")
    days = [date(2024, 6, 1), date(2024, 6, 2), DAY, NEXT_DAY]
    for day in days:
        small.export(day, csv_out())
    left = sorted(path.name for path in Path(small.lake.activation(DAY)).parent.glob("date=*"))
    assert left == ["date=2024-06-28", "date=2024-06-29"]
    small.write()
    for day in (date(2024, 7, 5), date(2024, 7, 6)):  # neither is published
        export_audiences(small.lake, day, csv_out())
    assert small.lake.activation(NEXT_DAY).exists()


def test_a_release_is_not_written_without_what_is_to_be_sent(small: Activation, csv_out) -> None:
    small.add("ann")
    small.write()
    with pytest.raises(StepFailed, match="run the task activate before"):
        write_release(small.lake, DAY, csv_out())
