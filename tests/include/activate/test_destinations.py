"""What cannot be sent is refused before anything runs, with what would be allowed."""

from __future__ import annotations

import pytest

from include.config import ConfigError
from tests.include.activate.conftest import AUDIENCES, Activation

READERS = AUDIENCES.replace(", destinations: [%s]", "").replace(
    "ttl_days: 7,", "ttl_days: 7, destinations: [out],"
)


def problem(small: Activation, destination: str, audiences: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        small.configure(destination, audiences or AUDIENCES.replace(", destinations: [%s]", ""))
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("format: gogle", "destinations[out].format: found 'gogle', allowed: google_customer_match"),
        ("format: uid2\n  deliver: {to: http, connection: x}", "found http with the format uid2, which is of files"),
        ("format: tiktok_custom_audience\n  min_size: 10", "allowed: min_size of at least 1000"),
        ("format: google_customer_match\n  membership_days: 600", "allowed: membership_days of at most 540"),
        ("format: uid2\n  columns: {email: [emails]}", "found the column of uid2 'email', allowed: email_hash"),
        ("columns: {mail: [mail]}", "found what the column mail is of 'mail', allowed: member_id"),
        ("columns: {mail: [email, sha1]}", "found the spelling of the column mail 'sha1', allowed: trimmed"),
        ("purposes: [advertizing]", "found the purpose 'advertizing', allowed: advertising"),
        ("purposes: []", "allowed: at least one purpose of privacy.yml"),
        ("countries: [UK]", "allowed: the ISO 3166 code of a country"),
        ("format: uid2\n  sides: [dmp]", "allowed: sides of cdp"),
        ("lists: {loyal: 7, readers: 7}", "found the list 7 for loyal and readers, allowed: a list for each audience"),
        ("format: display_video_360\n  deliver: {to: http, connection: x}", "found no account, which display_v"),
        ("format: linkedin_dmp_segment\n  deliver: {to: http, connection: x}",
         "found no header LinkedIn-Version, which linkedin_dmp_segment is asked with; allowed: deliver: {headers: "
         "{LinkedIn-Version: '202610'}} or the like"),
        ("format: meta_custom_audience\n  also: [GEN, AGE]",
         "found the further column of meta_custom_audience 'AGE', allowed: GEN, DOBY, DOBM, DOBD, CT, ST"),
        ("also: [GEN]", "found the further column of csv 'GEN', allowed: none"),
        ("format: google_data_manager\n  account_type: ADS",
         "found the account_type of google_data_manager 'ADS', allowed: GOOGLE_ADS, DISPLAY_VIDEO_ADVERTISER"),
        ("account_type: GOOGLE_ADS", "found the account_type of csv 'GOOGLE_ADS', allowed: none"),
        ("deliver: {to: ftp, path: x}", "found 'ftp', allowed: folder, http, table"),
        ("deliver: {to: table, connection: x, table: 'a; drop'}", "destinations[out].deliver.table"),
    ],
)  # fmt: skip
def test_a_destination_that_cannot_work_is_refused(small: Activation, more: str, said: str) -> None:
    assert said in problem(small, f"- id: out\n  {more}\n")


WHOLE = "- id: {0}\n  format: {1}\n  deliver: {{to: folder, path: '{2}', send: full}}\n"


def test_two_destinations_do_not_write_all_they_have_under_the_same_names(small: Activation) -> None:
    first = WHOLE.format("one", "csv", "{data}/box")
    same = small.lake.data / "box" / "."
    assert problem(small, first + WHOLE.format("two", "csv", same)) == (
        "destinations.yml:7 destinations[two].deliver.path: found the folder of one, whose files have the same names; "
        "allowed: one of its own"
    )
    for other in (("json", same), ("csv", "box")):
        assert len(small.configure(first + WHOLE.format("two", *other)).destinations) == 2


def test_visitors_cannot_go_where_people_are_known_by_their_address(small: Activation) -> None:
    assert problem(small, "- id: out\n  format: meta_custom_audience\n", READERS).endswith(
        "audiences[readers].destinations[0]: found visitors for out, whose format meta_custom_audience knows people by "
        "what only customers have; allowed: a destination with the format csv, json; see destinations.yml"
    )
    assert small.configure("- id: out\n", READERS).destinations[0].layout.takes == ("cdp", "dmp")


def test_a_platform_is_told_its_own_id_of_each_audience(small: Activation) -> None:
    meta = "- id: out\n  format: meta_custom_audience\n  deliver: {to: http, connection: x}\n"
    assert "found no list of out for the audience" in problem(small, meta, AUDIENCES % "out")
    configured = small.configure(meta + "  lists: {loyal: 2384}\n", AUDIENCES % "out")
    assert configured.destinations[0].list_of("loyal") == "2384"


def test_a_folder_of_before_is_still_read(small: Activation) -> None:
    (destination,) = small.configure("- id: out\n  description: somewhere\n").destinations
    assert (destination.format_, destination.purposes, destination.deliver) == ("csv", ("advertising",), None)
