"""Every member is asked for consent at the moment of export; who is not sent stands in the ledger with the reason."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.include.activate.conftest import DAY, NEXT_DAY, Activation, Person

GOOGLE = "- id: google\n  format: google_customer_match\n"
EVERYBODY = {"advertising": True, "ad_user_data": True, "ad_personalization": True}


def crowd(small: Activation, size: int = 100) -> list[str]:
    """As many customers as Google takes at least."""
    names = [f"c{number:03d}" for number in range(size)]
    small.add(*names)
    return names


def test_consent_that_nobody_gave_is_refused_and_so_is_a_refusal(small: Activation, csv_out) -> None:
    small.add("ann")
    small.add("ben", consents={"advertising": False})
    small.add("cal", consents={"email": True})
    small.export(DAY, csv_out())
    assert small.file(DAY) == ["ann@example.com"]
    assert small.decisions(DAY) == {
        "ann": None, "ben": "consent_refused:advertising", "cal": "consent_unknown:advertising"
    }  # fmt: skip
    assert small.refusals(DAY) == {"consent_refused:advertising": 1, "consent_unknown:advertising": 1}


def test_all_names_of_a_purpose_must_be_granted(small: Activation, csv_out) -> None:
    (small.folder / "privacy.yml").write_text("purposes: {advertising: [ads, sharing]}\n")
    small.add("ann", consents={"ads": True, "sharing": True})
    small.add("ben", consents={"ads": True})
    small.add("cal", consents={"ads": True, "sharing": False})
    small.export(DAY, csv_out())
    assert small.file(DAY) == ["ann@example.com"]


def test_google_is_sent_people_of_the_eea_only_with_both_of_its_consents(small: Activation) -> None:
    configuration = small.configure(GOOGLE)
    crowd(small)
    small.add("berlin_both", country="DE", consents=EVERYBODY)
    small.add("berlin_one", country="DE", consents=EVERYBODY | {"ad_personalization": False})
    small.add("berlin_none", country="DE")
    small.add("nowhere", country=None)
    small.export(DAY, configuration)
    decided = small.decisions(DAY)
    assert decided["berlin_both"] is None and decided["c000"] is None
    assert decided["berlin_one"] == "consent_refused:ad_personalization"
    assert decided["berlin_none"] == "consent_unknown:ad_personalization"
    assert decided["nowhere"] == "consent_unknown:ad_personalization"


def test_people_elsewhere_and_those_whose_country_nobody_knows_are_not_served(
    small: Activation, csv_out
) -> None:
    small.add("ann", country="DE")
    small.add("ben", country="US")
    small.add("cal", country=None)
    small.export(DAY, csv_out("  countries: [DE, AT]"))
    assert small.file(DAY) == ["ann@example.com"]
    assert small.refusals(DAY) == {"country_not_served": 2}


def test_a_vendor_that_a_tcf_string_refuses_gets_nobody_and_another_does(small: Activation, csv_out) -> None:
    small.add("ann", "ben", "cal")
    small.vendors = {("ann", 755): True, ("ben", 755): False, ("cal", 12): False}
    small.export(DAY, csv_out("  tcf_vendor: 755"))
    assert small.decisions(DAY) == {"ann": None, "ben": "vendor_refused", "cal": None}
    small.export(NEXT_DAY, csv_out())
    assert set(small.decisions(NEXT_DAY).values()) == {None}


def test_the_control_group_and_who_has_expired_are_never_sent(small: Activation, csv_out) -> None:
    small.add("ann", "ben", "cal")
    small.control = {"ben"}
    small.expires = {"cal": datetime(2024, 6, 29)}
    small.export(DAY, csv_out())
    assert small.decisions(DAY) == {"ann": None, "ben": "control", "cal": "expired"}


def test_fewer_people_than_the_destination_wants_are_nobody(small: Activation) -> None:
    configuration = small.configure(GOOGLE)
    names = crowd(small, 99)
    small.export(DAY, configuration)
    assert small.file(DAY, destination="google") == []
    assert small.refusals(DAY) == {"too_few_people": 99}
    small.add("one_more")
    small.export(NEXT_DAY, configuration)
    assert len(small.file(NEXT_DAY, destination="google")) == len(names) + 1


def test_a_person_without_anything_that_the_destination_takes_is_refused(small: Activation, csv_out) -> None:
    small.add("ann")
    small.people["ben"] = Person(phones=["+16505551234"])
    small.members["loyal"].add("ben")
    small.export(DAY, csv_out())
    assert small.decisions(DAY) == {"ann": None, "ben": "no_identifier"}


def test_visitors_go_by_their_pseudonym_and_not_to_who_knows_only_customers(small: Activation) -> None:
    configuration = small.configure("- id: out\n- id: mails\n  columns: {mail: [emails]}\n  sides: [cdp]\n")
    small.add("ann")
    small.visitors = {"loyal": {"5f"}}
    small.export(DAY, configuration)
    assert small.file(DAY) == ["5f", "ann"]
    assert small.file(DAY, destination="mails") == ["ann@example.com"]
    assert small.refusals(DAY) == {"not_recognisable": 1}


def test_a_person_has_a_row_for_each_way_of_being_recognised(small: Activation) -> None:
    configuration = small.configure(
        "- id: google\n  format: google_customer_match\n"
        "  columns: {Email: [emails], Phone: [phones], First Name: [given_name], Last Name: [family_name]}\n"
    )
    names = crowd(small)
    small.people["c000"] = Person(
        ["ann@example.com", "ann@example.org"], ["+16505551234"], "Ann", "O'Neil", "94105", "US"
    )
    small.people["c001"] = Person(["bea@example.com"], [], "Bea", None, "94105", "US")
    small.export(DAY, configuration)
    rows = small.file(DAY, destination="google")
    assert {row for row in rows if not row.startswith("c")} == {
        "ann@example.com,,,,,", "ann@example.org,,,,,", ",+16505551234,,,,", ",,Ann,O'Neil,US,94105",
        "bea@example.com,,,,,",
    }  # fmt: skip
    assert len(rows) == len(names) - 2 + 5


@pytest.mark.parametrize("granted", [True, False])
def test_a_row_says_whether_googles_consents_were_granted(small: Activation, granted: bool) -> None:
    configuration = small.configure("- id: dm\n  format: google_data_manager\n")
    crowd(small)
    small.people["c000"].consents = EVERYBODY if granted else {"advertising": True}
    small.export(DAY, configuration)
    rows = small.file(DAY, destination="dm")
    assert sum('"consent":"granted"' in row for row in rows) == granted
    assert len(rows) == 100


def test_a_phone_of_two_people_has_one_row_and_stays_when_one_leaves(small: Activation) -> None:
    configuration = small.configure("- id: dm\n  format: google_data_manager\n")
    crowd(small)
    small.add("ann", phones=["+16505551234"], consents=EVERYBODY)
    small.add("ben", phones=["+16505551234"])
    small.export(DAY, configuration)
    phone = [row for row in small.file(DAY, destination="dm") if '"phoneNumber":null' not in row]
    assert len(phone) == 1 and '"consent":"unspecified"' in phone[0]
    small.members["loyal"].discard("ann")
    small.export(NEXT_DAY, configuration)
    assert phone[0] in small.file(NEXT_DAY, destination="dm")
    assert phone[0] not in small.file(NEXT_DAY, "remove", destination="dm")
