"""Where a measured pipeline is worse than what was accepted of its size: dearer, larger, moving more, or with a part
gone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from include.benchmark.pipeline import Measured
from include.benchmark.steps import MODELS, Cost, parts_of

# Anything may be worse by a quarter of what was accepted, and by what is mostly chance: in CPU half of the limit, but
# no less than a process's seconds differ from run to run and no more than one; in MiB of memory, and moved.
TOLERANCE = 0.25
SECONDS_AT_LEAST, LIMITS, SECONDS_AT_MOST = 0.5, 0.5, 1.0
MEMORY, MOVED = 128, 64


def regressions(measured: Measured, before: Measured) -> list[str]:
    """A line for each step, model and task that is worse than accepted, and for each that is not there any more."""
    found: list[str] = []
    least = slack(measured.limit.cpu)
    for run in ("first", "daily"):
        now, then = getattr(measured, run), getattr(before, run)
        if then and not now:
            found.append(f"{run}: nothing was measured")
        if not then or not now:
            continue
        lines = [
            *_worse(
                measured.by_step(now), before.by_step(then), least, "takes", ".3f", "limits", unknown=0.0
            ),
            *_worse(_cpu(now), _cpu(then), least, "takes", ".3f", "limits", unknown=0.0),
            *_worse(_peaks(now), _peaks(then), MEMORY, "needs", ",.0f", "MiB"),
            *_worse(_moved(now, "read"), _moved(then, "read"), MOVED, "reads", ",.0f", "MiB"),
            *_worse(_moved(now, "written"), _moved(then, "written"), MOVED, "writes", ",.0f", "MiB"),
            *(f"{name} is not there any more" for name in _cpu(then) if name not in _cpu(now)),
        ]
        found += [f"{run}: {line}" for line in lines]
    return found


def slack(limit: float) -> float:
    """What of `limit` CPU seconds is chance, in limits."""
    return min(max(LIMITS * limit, SECONDS_AT_LEAST), SECONDS_AT_MOST) / limit


def _worse(
    now: dict[str, float],
    then: dict[str, float],
    least: float,
    verb: str,
    form: str,
    unit: str,
    unknown: float = math.inf,
) -> Iterator[str]:
    """A line for each that is above what was accepted, or above `unknown` where it is new, by TOLERANCE and `least`."""
    for name, value in now.items():
        accepted = then.get(name, unknown)
        if value > accepted * (1 + TOLERANCE) and value > accepted + least:
            yield f"{name} {verb} {value:{form}} {unit}, accepted are {accepted:{form}}"


def _name(cost: Cost) -> str:
    """How many tests there are is in their name, and changes."""
    return f"{cost.step}, {'tests' if cost.part.endswith(' tests') else cost.part}"


def _cpu(costs: Iterable[Cost]) -> dict[str, float]:
    """Models and tasks alone."""
    return {_name(cost): cost.cpu for cost in costs if cost.part != MODELS}


def _peaks(costs: Iterable[Cost]) -> dict[str, float]:
    """The peak of each process. Models of a step share one, which keeps memory of the model before: theirs is the
    largest."""
    peaks: dict[str, float] = defaultdict(float)
    for cost in costs:
        name = f"{cost.step}, {cost.part if cost.part in parts_of(cost.step) else MODELS}"
        peaks[name] = max(peaks[name], cost.peak)
    return peaks


def _moved(costs: Iterable[Cost], way: str) -> dict[str, float]:
    """The MiB that models and tasks read or wrote, where that was counted."""
    moved = {_name(cost): getattr(cost, way) for cost in costs if cost.part != MODELS}
    return {name: amount for name, amount in moved.items() if amount is not None}
