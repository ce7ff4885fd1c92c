"""`make faults`: does to a company's day what can go wrong, and compares what it publishes with an undisturbed day.

    python -m tests.faults [--only killed,late,...] [--kills 200] [--seed 7] [--folder F] [--page]

Every fault is listed with what must hold in faults.yml, and the result in docs/reliability.md: `--page` runs the
tests of that list too and writes it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import backfill, erasure, reliability
from tests.faults.flow import RunFailed
from tests.faults.scenarios import SCENARIOS, Finding, killed
from tests.faults.world import World, make_world

KILLED = "killed"
# What is done to companies of their own, each in a folder.
OTHERS: dict[str, Callable[[Path], Finding]] = {
    "erased": erasure.compare,
    "erased_many": partial(erasure.compare, people=1_000, households=2_469),
    "shuffled": backfill.compare,
}
NAMES = (KILLED, *SCENARIOS, *OTHERS)


def main() -> int:
    """Returns the exit code: 1 when anything does not hold."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="tandem-faults-"))
    holds = True
    world = make_world(folder / "company") if set(options.only) - OTHERS.keys() else None
    for name in options.only:
        try:
            finding = OTHERS[name](folder / name) if name in OTHERS else _done_to(world, name, options)
        except RunFailed as failed:
            finding = Finding("the run did not come to its end", (str(failed),))
        holds &= _tell(name, finding)
    if options.page:
        holds &= reliability.write_page(reliability.run_tests())
    if holds and not options.folder:
        shutil.rmtree(folder)
    return int(not holds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only", type=_names, default=NAMES, help=f"of {', '.join(NAMES)}; all when not given"
    )
    parser.add_argument("--kills", type=int, default=200, help="how often the run is killed")
    parser.add_argument("--seed", type=int, default=7, help="of the moments")
    parser.add_argument("--folder", help="where to work; a temporary one when not given")
    parser.add_argument(
        "--page", action="store_true", help="run the tests of the list too and write the page"
    )
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"found {', '.join(sorted(unknown))}, allowed: {', '.join(NAMES)}")
    return names


def _done_to(world: World, name: str, options: argparse.Namespace) -> Finding:
    world.reset()
    return killed(world, options.kills, options.seed) if name == KILLED else SCENARIOS[name](world)


def _tell(name: str, finding: Finding) -> bool:
    reliability.keep(name, finding)
    for problem in finding.problems:
        print(f"PROBLEM: {name}: {problem}", flush=True)
    print(f"{name}: {finding.done}, {len(finding.problems)} problems", flush=True)
    return not finding.problems


if __name__ == "__main__":
    sys.exit(main())
