"""Rubbish values: blocked with their reason, and without power to merge."""

from __future__ import annotations

import pytest

from include.config import load_configuration
from include.config.schema import IdentityRules
from tests.include.identity.evidence import Desk, event, node_of, record

RUBBISH = [
    ("customer_number", "unknown", "blocked_value"),
    ("customer_number", "UNKNOWN", "blocked_value"),
    ("user_id", " Anonymous ", "blocked_value"),
    ("email", "test@test.com", "blocked_value"),
    ("email", "nobody", "invalid"),
    ("email", "@", "invalid"),
    ("loyalty_number", "a b", "invalid"),
    ("phone", "+0000", "blocked_pattern"),
    ("phone", "+49123456", "blocked_pattern"),
    ("phone", "  ", "invalid"),
    ("national_id", "4711", "not_configured"),
]
LEFT = [
    ("customer_number", "#N/A"), ("customer_number", "(null)"), ("customer_number", "99999999"),
    ("customer_number", "XXX"), ("user_id", "(not set)"), ("user_id", r"\N"), ("user_id", "{{user_id}}"),
    ("user_id", "%%USERID%%"), ("user_id", "${id}"), ("email", "*|EMAIL|*"), ("user_id", "a" * 2000),
    ("anonymous_id", "OPTOUT"), ("email", "no@email.com"), ("email", "no-email@shop.example"),
]  # fmt: skip


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory, rules: IdentityRules) -> Desk:
    """Two records for every piece of rubbish."""
    desk = Desk(tmp_path_factory.mktemp("littered"), rules)
    for id_type, value, _ in RUBBISH:
        desk.put(record(f"one {value}", **{id_type: value}), record(f"other {value}", **{id_type: value}))
    desk.resolve()
    return desk


@pytest.mark.parametrize(("id_type", "value", "reason"), RUBBISH)
def test_rubbish_never_merges(littered: Desk, id_type: str, value: str, reason: str) -> None:
    one, other = record(f"one {value}", **{id_type: value}), record(f"other {value}", **{id_type: value})
    assert littered.customer(one) != littered.customer(other)
    fates = littered.fates()
    assert fates[node_of(one), value] == fates[node_of(other), value] == ("blocked", reason)


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two records for everything of LEFT, by the default rules."""
    folder = tmp_path_factory.mktemp("left")
    (folder / "config").mkdir()
    desk = Desk(folder / "data", load_configuration(folder / "config").identity)
    for id_type, value in LEFT:
        desk.put(record(f"one {value}", **{id_type: value}), record(f"other {value}", **{id_type: value}))
    desk.resolve()
    return desk


@pytest.mark.parametrize(("id_type", "value"), LEFT)
def test_what_spreadsheets_trackers_and_templates_leave_is_nobody_by_default(
    left_behind: Desk, id_type: str, value: str
) -> None:
    one, other = record(f"one {value}", **{id_type: value}), record(f"other {value}", **{id_type: value})
    assert left_behind.customer(one) != left_behind.customer(other)


def test_nobody_claims_rubbish(littered: Desk) -> None:
    assert littered.read("identifier_customers") == []
    health = {(row["measure"], row["part"]): row["value"] for row in littered.read("health")}
    assert health["customers", "all"] == 2 * len(RUBBISH)
    assert {part: value for (measure, part), value in health.items() if measure == "edges"} == {
        "blocked": 2 * len(RUBBISH)
    }


def test_a_value_is_rubbish_only_for_the_type_that_says_so(desk: Desk) -> None:
    one, other = record("1", loyalty_number="unknown"), record("2", loyalty_number="unknown")
    desk.put(one, other).resolve()
    assert desk.customer(one) == desk.customer(other)


def test_a_record_with_rubbish_alone_is_a_customer_and_an_event_is_not(desk: Desk) -> None:
    known, unknown = record("1", phone="0000"), event(phone="0000", anonymous_id="a")
    desk.put(known, unknown).resolve()
    assert desk.customer(known) is not None
    assert desk.customer(unknown) is None


def test_a_quote_in_a_rule_is_a_quote(desk: Desk) -> None:
    logins = {"priority": 1, "blocked_values": ("o'x",), "blocked_patterns": ("'$",)}
    rules = IdentityRules(id_types={"user_id": logins})
    desk.put(record("1", user_id="O'X"), record("2", user_id="y'"), record("3", user_id="o'neill")).resolve(
        rules=rules
    )
    assert {value: fate for (_, value), fate in desk.fates().items()} == {
        "O'X": ("blocked", "blocked_value"),
        "y'": ("blocked", "blocked_pattern"),
        "o'neill": ("active", None),
    }
