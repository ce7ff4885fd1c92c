"""The audit of the lock fails for what is known and not allowed, and never passes for what it could not ask."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from tests.audit import PIP_AUDIT, judge, main

TODAY = date(2026, 11, 26)
ALLOWED = {"CVE-2026-1": {"reason": "we never call it", "until": date(2026, 12, 1)}}


def report(*vulnerabilities: dict, **more: str) -> str:
    sound = {"name": "duckdb", "version": "1.5.5", "vulns": []}
    found = {"name": "requests", "version": "2.0.0", "vulns": list(vulnerabilities)} | more
    return json.dumps({"dependencies": [sound, found], "fixes": []})


def known(**more: object) -> dict:
    return {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.1.0"], "description": ""} | more


def test_a_known_vulnerability_fails_with_the_version_that_mends_it() -> None:
    verdict = judge(report(known()), "", {}, TODAY)
    assert verdict.code == 1
    assert verdict.lines[0] == "vulnerable: requests 2.0.0: GHSA-1, fixed in 2.1.0"


def test_one_that_is_allowed_passes_until_its_day() -> None:
    assert judge(report(known()), "", ALLOWED, date(2026, 12, 1)).code == 0
    late = judge(report(known()), "", ALLOWED, date(2026, 12, 2))
    assert (late.code, late.lines[0].split(":")[0]) == (1, "no longer allowed")
    assert judge(report(known(), known(id="GHSA-2", aliases=[])), "", ALLOWED, TODAY).code == 1


def test_packages_that_could_not_be_asked_about_are_not_sound() -> None:
    verdict = judge(report(skip_reason="not found"), "", {}, TODAY)
    assert (verdict.code, verdict.lines) == (
        2,
        ("not audited: 1 packages are unknown there, requests first",),
    )
    assert judge("", "usage: pip-audit\nerror: no such option", {}, TODAY).code == 2
    assert judge(report(), "", {}, TODAY).lines == ("2 packages audited",)


def test_without_a_network_it_says_that_nothing_was_audited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_TOOL_DIR", str(tmp_path / "tools"))
    assert main() == 0
    assert capsys.readouterr().out == "not audited: no network\n"
    assert "==" in PIP_AUDIT
