"""docs/reliability.md: what a run must survive, what shows that it does, and what was found the last time.

`faults.yml` lists the faults; `measured.json` keeps the last finding about each fault of a whole run; the tests of the
list are run anew."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

from include.core_yaml import load_yaml
from include.settings import PROJECT
from tests.faults.scenarios import Finding

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
PAGE = PROJECT / "docs" / "reliability.md"
HEAD = """# What a run survives

`make faults` writes this page. It does each fault of a whole run to the second day of a small company (60 households, \
all channels of the demo) and compares what is published with an undisturbed second day, table by table and byte by \
byte; then it runs the tests that show the rest. `make faults ONLY=late,spike` does some of them, `KILLS=n` says how \
often the run is killed. What was found is kept in `tests/faults/measured.json`.

**{faults:,} faults done to {runs:,} runs: {lost:,} rows lost, readers' release broken {broken:,} times.** A row is \
lost when the day should have published it and did not.

| fault | what must hold | found in a whole run | tests |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Fault:
    """One line of the list: a fault, what must hold, its scenario if a whole run is needed, and pytest's names."""

    fault: str
    figure: str
    whole: str | None = None
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tested:
    """How many tests passed, failed (or ended with an error), and were skipped."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        others = [
            f"{number} {word}"
            for number, word in ((self.failed, "FAILED"), (self.skipped, "skipped"))
            if number
        ]
        return ", ".join([f"{self.passed} passed", *others])


def faults() -> list[Fault]:
    return [
        Fault(**entry | {"tests": tuple(entry.get("tests", ()))}) for entry in load_yaml(HERE / "faults.yml")
    ]


def keep(name: str, finding: Finding) -> None:
    """Remember the last finding about a fault of a whole run."""
    found = {each: asdict(kept) for each, kept in (measured() | {name: finding}).items()}
    MEASURED.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


def measured() -> dict[str, Finding]:
    found = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    return {name: Finding(**entry | {"problems": tuple(entry["problems"])}) for name, entry in found.items()}


def run_tests() -> dict[str, Tested]:
    """Run every test of the list once. Returns what came of each name in the list."""
    names = sorted({name for fault in faults() for name in fault.tests})
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", *names]
        subprocess.run(command, cwd=PROJECT, check=False)
        return read_results(results)


def read_results(path: Path) -> dict[str, Tested]:
    """What came of each name in the list, of the XML that pytest writes."""
    cases = [_outcome(case) for case in ElementTree.parse(path).iter("testcase")]
    names = sorted({name for fault in faults() for name in fault.tests})
    return {name: _counted([outcome for test, outcome in cases if _is_of(test, name)]) for name in names}


def write_page(tested: dict[str, Tested]) -> bool:
    """Write the page. Returns whether all that it lists holds."""
    found, rows, holds = measured(), [], True
    for fault in faults():
        results = [tested[name] for name in fault.tests]
        total = Tested(
            *(sum(getattr(each, part) for each in results) for part in ("passed", "failed", "skipped"))
        )
        finding = found.get(fault.whole) if fault.whole else None
        said = "not measured" if fault.whole else ""
        if finding:
            said = finding.done + "".join(f"; **{problem}**" for problem in finding.problems)
        is_whole = bool(finding and not finding.problems) if fault.whole else True
        holds &= is_whole and not total.failed and all(each.passed for each in results)
        rows.append(f"| {fault.fault} | {fault.figure} | {said} | {total if results else ''} |")
    PAGE.write_text(_head(list(found.values())) + "\n".join(rows) + "\n")
    return holds


def _head(findings: list[Finding]) -> str:
    parts = ("runs", "faults", "lost", "broken")
    return HEAD.format(**{part: sum(getattr(each, part) for each in findings) for part in parts})


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    bad = case.find("failure") is not None or case.find("error") is not None
    skipped = case.find("skipped") is not None
    test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
    return test, "failed" if bad else "skipped" if skipped else "passed"


def _is_of(test: str, name: str) -> bool:
    return test == name or test.startswith((f"{name}::", f"{name}/"))


def _counted(outcomes: list[str]) -> Tested:
    return Tested(*(outcomes.count(word) for word in ("passed", "failed", "skipped")))
