from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.config import ConfigError, load_configuration
from include.config.schema import Linkage
from include.identity.linkage.blocking import PARTS
from include.identity.linkage.comparisons import COMPARISONS
from include.identity.linkage.records import COLUMNS
from tests.include.identity.evidence import Desk, event, node_of, record

ANNA = {
    "given_name": "Anna", "family_name": "Berger", "birth_date": "1984-03-09", "gender": "f",
    "street": "12 Mill Road", "city": "Riverton", "postcode": "10481",
}  # fmt: skip


def say(desk: Desk, **people: dict[str, str]) -> None:
    """What the person records of the channel crm say."""
    path = desk.lake.staged("person_records")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"node_key": f"customers:crm:{name}", **person} for name, person in people.items()]
    pd.DataFrame(rows, columns=["node_key", *COLUMNS], dtype="string").to_parquet(path)


def test_records_without_a_shared_identifier_become_one_strict_customer(desk: Desk) -> None:
    mail, call = record("mail", email="anna@x.example"), record("call", phone="+15550134455")
    son = record("son", email="max@x.example")
    say(
        desk,
        mail=ANNA,
        call=ANNA,
        son=ANNA | {"given_name": "Max", "gender": "m", "birth_date": "2011-05-02"},
    )
    desk.put(mail, call, son).resolve()
    rows = {row["node_key"]: row for row in desk.read("node_customers")}
    assert rows[node_of(mail)]["customer_id"] == rows[node_of(call)]["customer_id"]
    assert rows[node_of(mail)]["customer_id"] != rows[node_of(son)]["customer_id"]
    assert sorted(rows[node_of(each)]["tier"] for each in (mail, call)) == ["exact", "strict"]
    assert rows[node_of(son)]["tier"] == "exact"
    (link,) = desk.read("links")
    assert link["tier"] == "strict"
    assert {link["node_key_a"], link["node_key_b"]} == {node_of(mail), node_of(call)}
    assert 0.9 <= link["probability"] < 1
    assert "birth_date: exact" in link["evidence"]


def test_a_unique_identifier_forbids_a_link(desk: Desk) -> None:
    one, other = record("one", customer_number="1"), record("other", customer_number="2")
    say(desk, one=ANNA, other=ANNA)
    desk.put(one, other).resolve()
    rows = {row["node_key"]: row["customer_id"] for row in desk.read("node_customers")}
    assert rows[node_of(one)] != rows[node_of(other)]
    assert [link["customer_id"] for link in desk.read("links")] == [None]


def test_the_written_defaults_are_those_of_a_file_without_linkage(tmp_path: Path) -> None:
    assert load_configuration(tmp_path).identity.linkage == Linkage()


def test_the_names_that_may_be_configured_are_those_that_are_there() -> None:
    linkage = Linkage()
    assert set(linkage.comparisons) == {comparison.name for comparison in COMPARISONS}
    assert {part for rule in linkage.blocking_rules for part in rule} <= set(PARTS)
    assert Linkage(blocking_rules=[[part] for part in PARTS]).blocking_rules


@pytest.mark.parametrize(("written", "said"), [
    ("{loose: 0.95}", "at most strict, which is 0.9"),
    ("{strict: 1.5}", "strict"),
    ("{comparisons: [shoe_size]}", "given_name"),
    ("{blocking_rules: [[shoe_size]]}", "full_sound"),
    ("{blocking_rules: [[]]}", "none empty"),
    ("{largest_block: 1}", "largest_block"),
    ("{pairs_per_record: 0}", "pairs_per_record"),
    ("{speed: high}", "speed"),
])  # fmt: skip
def test_a_wrong_setting_of_linkage_is_refused_with_what_is_allowed(
    written: str, said: str, tmp_path: Path
) -> None:
    id_types = "id_types: {email: {priority: 1}}"
    (tmp_path / "identity.yml").write_text(f"{id_types}\nlinkage: {written}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_configuration(tmp_path)


def test_a_households_telephone_ties_neither_mother_to_son_nor_loses_the_mothers_other_record(
    desk: Desk,
) -> None:
    mother, again = record("mother", phone="+15550134455"), record("again", phone="+15550134455")
    son, order = record("son", phone="+15550134455"), event(kind="orders", phone="+15550134455")
    say(
        desk,
        mother=ANNA | {"phone": "+15550134455"},
        again=ANNA | {"phone": "+15550134455", "postcode": "10418"},
        son=ANNA | {"given_name": "Max", "gender": "m", "birth_date": "2011-05-02", "phone": "+15550134455"},
    )
    desk.put(mother, again, son, order).resolve()
    assert desk.customer(mother) == desk.customer(again) != desk.customer(son)
    assert desk.customer(order) is None
    assert desk.fates()[node_of(son), "+15550134455"] == ("blocked", "shared_by_two_people")
    assert desk.claimants("phone", "+15550134455") == {desk.customer(mother), desk.customer(son)}


def test_a_short_form_and_a_new_name_share_their_telephone_still(desk: Desk) -> None:
    bob, robert = record("bob", phone="+15550134455"), record("robert", phone="+15550134455")
    person = ANNA | {"given_name": "Robert", "gender": "m"}
    say(desk, bob=person | {"given_name": "Bob"}, robert=person | {"family_name": "Moss-Berger"})
    desk.put(bob, robert).resolve()
    assert desk.customer(bob) == desk.customer(robert)
    assert {status for status, _ in desk.fates().values()} == {"active"}
