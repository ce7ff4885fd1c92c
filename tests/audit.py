"""`make audit`: asks the vulnerability database of OSV about every package of the lock, with pip-audit.

Fails when one has a known vulnerability that `[tool.tandem.vulnerabilities]` in pyproject.toml does not allow, with a
reason and until a day. Without a network nothing is audited, and that is what it says.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
PIP_AUDIT = (
    "pip-audit==2.10.1"  # of its own environment: it audits packages and is none that Tandem runs with
)
OFFLINE = ("ConnectionError", "Could not connect", "Failed to fetch", "network was disabled", "Timeout")


@dataclass(frozen=True)
class Verdict:
    """What an audit came to: its exit code and what it says."""

    code: int
    lines: tuple[str, ...]


def main() -> int:
    """Audit the lock; returns the exit code."""
    command = [
        str(Path(sys.executable).with_name("uv")), "tool", "run", PIP_AUDIT, "--requirement",
        str(PROJECT / "requirements.txt"), "--no-deps", "--disable-pip", "--vulnerability-service", "osv",
        "--format", "json", "--progress-spinner", "off", "--timeout", "10",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    allowed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["tandem"]["vulnerabilities"]
    verdict = judge(done.stdout, done.stderr, allowed, date.today())
    print("\n".join(verdict.lines))
    return verdict.code


def judge(report: str, errors: str, allowed: dict[str, dict[str, Any]], today: date) -> Verdict:
    """The verdict on pip-audit's report (JSON), or on why there is none. `allowed` says of each id why it is and until
    when (`reason`, `until`)."""
    if not report.strip():
        if any(sign in errors for sign in OFFLINE):
            return Verdict(0, ("not audited: no network",))
        return Verdict(
            2, (f"not audited: {(errors.strip().splitlines() or ['pip-audit said nothing'])[-1]}",)
        )
    packages = json.loads(report)["dependencies"]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped:
        return Verdict(2, (f"not audited: {len(skipped)} packages are unknown there, {skipped[0]} first",))
    lines, is_bad = [], False
    for package in packages:
        for found in package["vulns"]:
            names = [found["id"], *found.get("aliases", ())]
            excuse = next((allowed[name] for name in names if name in allowed), None)
            fixed = ", ".join(found["fix_versions"]) or "no version"
            what = f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"
            if excuse is not None and today <= excuse["until"]:
                lines.append(f"allowed until {excuse['until']}, {excuse['reason']}: {what}")
            else:
                is_bad = True
                lines.append(f"{'no longer allowed' if excuse else 'vulnerable'}: {what}")
    return Verdict(int(is_bad), (*lines, f"{len(packages)} packages audited"))


if __name__ == "__main__":
    sys.exit(main())
