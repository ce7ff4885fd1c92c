"""A dry run of other rules says what they would change, and changes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from include.__main__ import main
from include.config import load_configuration
from include.config.schema import IdentityRules
from include.identity.plan import Plan, masked, plan_identity, summary_of, write_plan
from include.ledger import StepFailed
from tests.include.identity.evidence import Desk, day, event, record
from tests.include.identity.test_resolve import random_evidence


def plan(desk: Desk, rules: IdentityRules, number: int = 1) -> Plan:
    return plan_identity(desk.lake, day(number), rules, desk.settings)


def other(rules: IdentityRules, **id_types: dict) -> IdentityRules:
    """The rules with some settings of id types replaced."""
    changed = {
        name: id_type.model_copy(update=id_types.get(name, {})) for name, id_type in rules.id_types.items()
    }
    return rules.model_copy(update={"id_types": changed})


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_equal_rules_give_an_empty_plan(desk: Desk) -> None:
    desk.put(*random_evidence(3)).resolve(4)
    planned = plan(desk, desk.rules, 4)
    assert planned.is_empty
    assert planned.kept == planned.customers_before == planned.customers_after > 20
    assert planned.kept_share == 1.0
    assert "nothing would change" in summary_of(planned)


def test_a_blocked_value_would_split_who_share_it_and_the_next_run_does_what_was_planned(desk: Desk) -> None:
    desk.put(record("1", email="desk@shop.example"), record("2", landed=2, email="desk@shop.example"))
    desk.put(record("3", email="ann@x.example")).resolve(2)
    changed = other(desk.rules, email={"blocked_values": ("desk@shop.example",)})
    before = hashes(desk.lake.root)
    planned = plan(desk, changed, 2)
    assert hashes(desk.lake.root) == before
    assert (planned.split, planned.merged, planned.created, planned.vanished) == (1, 0, 0, 0)
    assert (planned.customers_before, planned.customers_after, planned.kept) == (2, 3, 2)
    assert (planned.records, planned.moved_records) == (3, 1)
    (example,) = planned.splits
    assert example.identifiers == ("email d***@s***",)
    fates = {(fate.status, fate.reason): (fate.before, fate.after) for fate in planned.fates}
    assert fates == {("active", ""): (3, 1), ("blocked", "blocked_value"): (0, 2)}
    resolved = desk.resolve(3, changed)
    assert (resolved.split, resolved.merged, resolved.created) == (1, 0, 0)
    (change,) = desk.changes(3)
    assert change[:3] == (example.customer_id, example.previous_customer_id, "split")


def test_rules_that_trust_more_would_merge(desk: Desk) -> None:
    careful = other(desk.rules, phone={"blocked_values": ("5550000",)})
    desk.put(
        record("1", phone="5550000"),
        record("2", phone="5550000"),
        event(phone="5550000", email="a@x.example"),
    )
    desk.resolve(1, careful)
    planned = plan(desk, desk.rules)
    assert (planned.merged, planned.customers_before, planned.customers_after) == (2, 3, 1)
    assert planned.largest_after[0].nodes == 3 > planned.largest_before[0].nodes
    assert {example.reason for example in planned.merges} == {"linked by phone"}


def test_the_page_and_the_lines_hold_no_identifier(desk: Desk) -> None:
    desk.put(record("1", email="somebody@shop.example"), record("2", email="somebody@shop.example")).resolve(
        1
    )
    planned = plan(desk, other(desk.rules, email={"blocked_values": ("somebody@shop.example",)}))
    page = write_plan(desk.lake, planned)
    assert json.loads(page.with_name("plan.json").read_text())["split"] == 1
    for text in (page.read_text(), page.with_name("plan.json").read_text(), summary_of(planned)):
        assert planned.splits[0].customer_id in text
        assert "s***@s***" in text
        assert "somebody" not in text


def test_the_command_reads_the_rules_of_a_folder_and_names_the_page(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says which line of them is wrong."""
    monkeypatch.setenv("TANDEM_CONFIG", "")
    monkeypatch.setenv("TANDEM_DATA", "")
    folder = tmp_path / "changed"
    folder.mkdir()
    (folder / "identity.yml").write_text(
        "id_types: {email: {priority: 1, blocked_values: [desk@shop.example]}}\n"
    )
    desk.put(record("1", email="desk@shop.example"), record("2", email="desk@shop.example")).resolve(1)
    call = ["plan", "--config", str(folder), "--data", str(desk.lake.data)]
    assert main(call) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("1 customers would be 2; 1 keep their id (100.00%)")
    assert Path(printed[-1]).read_text().startswith("<!doctype html>")
    (folder / "identity.yml").write_text("id_types: {email: {priority: first}}\n")
    assert main(call) == 1
    assert "identity.yml:1" in capsys.readouterr().err


def test_promoted_rules_are_another_configuration_so_that_the_next_run_is_not_skipped(tmp_path: Path) -> None:
    rules = tmp_path / "identity.yml"
    hashes_of_rules = []
    for manual in ("", "manual: {blocks: [{value: email:a@x.example}]}\n"):
        rules.write_text(f"id_types: {{email: {{priority: 1}}}}\n{manual}")
        hashes_of_rules.append(load_configuration(tmp_path).hash)
    assert len(set(hashes_of_rules)) == 2


def test_a_plan_before_any_day_says_what_to_do(desk: Desk) -> None:
    with pytest.raises(StepFailed, match="run the day first"):
        plan(desk, desk.rules)


def test_a_mask_hides_all_but_the_ends() -> None:
    assert masked("ann.smith@example.org") == "a***@e***"
    assert masked("+4917012345678") == "+***8"
    assert masked("77") == "7***"
