"""The page and the picture of what the whole pipeline costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from include.benchmark.pipeline import (
    DAILY_AT_MOST,
    ENGINE_AT_MOST,
    GROWTH_AT_MOST,
    LEARNING_AT_MOST,
    MODELS,
    STARTING_AT_MOST,
    Measured,
)
from include.benchmark.results import dated
from include.benchmark.steps import STEPS, Cost

PICTURE = "benchmarks.svg"
SHOWN = 0.25  # of the limit: parts that take less are told together
WIDTH, MARGIN = 860, 24
STYLE = (
    "text{font:14px system-ui,sans-serif}.label,.value{fill:#1b1c1e}.value{font-weight:600}"
    ".ground{fill:#fff}.track{fill:#ececea}.s1{fill:#1f6aa5}.s2{fill:#c2571a}"
)
TEXT = """The pipeline on a made-up company, first all of it and then the next day's with one row in a hundred more:
ten events of each customer (seven on the own site, each of them a visit, four pages read elsewhere) or a hundred (80
and 20, in visits of eight), by as many browsers of strangers as of customers, nine order lines, five messages, 0.4
calls; a record of each and a second one of each hundredth, linked by the default rules. Each part is a process of its
own, and the models of dbt run one after another. The limit is to read every column of what has landed once and to
sort it by time and key, in DuckDB, with the memory of a run, measured in the same run: ten million wide rows do not
fit in it and are sorted through the disk, so that the limit grows by more than the rows. Of more than 20 million rows
of a kind it is reckoned from so many, which is less than sorting all would take, for that needs more than 70 GB of
disk for a hundred million. What a process takes to start (Python, dbt, Great Expectations, the libraries that learn)
is measured by processes that start and do nothing, taken off the parts, and told as *starting* for a run through
Airflow, which starts each once (dbt, in what was accepted before 2026-11-29, for each of its calls). That is the CPU
of the one process of `dags test` and of that of dbt: Celery and Kubernetes start Python, with what a task imports,
anew for each of the tasks, which comes on top of it.

`python -m include.benchmark --check --size small` measures again and names each step, model and task that takes a
quarter more CPU, in limits, than was accepted (`include/benchmark/accepted/`), needs a quarter more memory, moves a
quarter more bytes or is not there any more, beyond what is chance: up to a CPU second, 128 MiB of memory and 64 MiB
moved. `--accept` accepts what is measured."""


def section(measured: dict[str, Measured]) -> str:
    """The figures of all sizes, the smallest first, as Markdown."""
    lines = ["## The whole pipeline", "", TEXT, "", f"![CPU of each step in limits]({PICTURE})", ""]
    lines += [f"- {size}{_accepted(each)}: {_says(each)}" for size, each in measured.items()]
    lines += ["", *_steps_table(measured), "", *_targets(measured)]
    for each in measured.values():
        lines += ["", f"### Parts at {_whom(each)}", "", *_parts_table(each)]
    return "\n".join(lines) + "\n"


def _whom(measured: Measured) -> str:
    return f"{measured.customers:,} customers, {measured.events} events of each"


def _pairs(measured: dict[str, Measured]) -> Iterator[tuple[str, Measured, Measured]]:
    """Each size and the next one with as many events of each customer."""
    for (small, smaller), (large, larger) in pairwise(measured.items()):
        if smaller.events == larger.events:
            yield f"{small} to {large}", smaller, larger


def _accepted(measured: Measured) -> str:
    return f", accepted {dated(measured.day, measured.commit)}" if measured.day else ""


def _says(measured: Measured) -> str:
    return (
        f"{_whom(measured)}, {measured.limit.rows:,} landed rows; the limit is {measured.limit.cpu:.1f}"
        f" CPU s. {measured.machine}"
    )


def _steps_table(measured: dict[str, Measured]) -> list[str]:
    """Each step's CPU in seconds and limits by size, how it grows, and what the next day takes of it."""
    heads = []
    for size, each in measured.items():
        heads += [f"{size}, CPU s", "limits"] + (["next day, limits"] if each.daily else [])
    grown = [f"growth {sizes}" for sizes, *_ in _pairs(measured)]
    lines = [
        f"| step | {' | '.join([*heads, *grown])} |",
        "|---|" + "--:|" * len([*heads, *grown]),
    ]
    growths = [larger.growth(smaller) for _, smaller, larger in _pairs(measured)]
    for step in STEPS:
        cells = []
        for each in measured.values():
            first = each.by_step(each.first).get(step, 0.0)
            cells += [f"{first * each.limit.cpu:.1f}", f"{first:.1f}"]
            cells += [f"{each.by_step(each.daily).get(step, 0.0):.1f}"] if each.daily else []
        cells += [f"{growth[step]:.2f}" if step in growth else "" for growth in growths]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return lines


def _targets(measured: dict[str, Measured]) -> list[str]:
    lines = ["| | size | measured | target |", "|---|---|--:|--:|"]

    def tell(what: str, size: str, value: float, at_most: float | None, form: str = ".1f") -> None:
        target = f"at most {at_most:g}: {'reached' if value <= at_most else 'missed'}" if at_most else ""
        lines.append(f"| {what} | {size} | {value:{form}} | {target} |")

    for size, each in measured.items():
        # What is done however little there is outweighs the limit of a small company, which is a second or two.
        is_judged = not size.startswith("small")
        engine_at_most = ENGINE_AT_MOST if is_judged else None
        tell("extract to publish without learning, in limits", size, each.engine, engine_at_most)
        tell("learning, in limits", size, each.learning, LEARNING_AT_MOST if is_judged else None)
        tell("starting, CPU s of a run", size, each.starting, STARTING_AT_MOST)
        if each.daily_share is not None:
            tell("the next day's run over the first load", size, each.daily_share, DAILY_AT_MOST, ".2f")
    for sizes, smaller, larger in _pairs(measured):
        step, growth = max(larger.growth(smaller).items(), key=lambda each: each[1])
        tell(f"the step that grows most over the data, {step}", sizes, growth, GROWTH_AT_MOST, ".2f")
    return lines


def _parts_table(measured: Measured) -> list[str]:
    lines = [
        "| step | part | CPU s | limits | wall s | peak MiB | read MiB | written MiB | over its inputs |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    told = [cost for cost in measured.first if cost.part != MODELS]
    for step in STEPS:
        costs = [cost for cost in told if cost.step == step]
        lines += [_row(cost, measured.limit.cpu) for cost in costs if cost.cpu >= SHOWN]
        rest = [cost for cost in costs if cost.cpu < SHOWN]
        if rest:
            lines.append(_row(_together(rest), measured.limit.cpu))
    return lines


def _together(costs: list[Cost]) -> Cost:
    def total(name: str) -> int | None:
        found = [value for cost in costs if (value := getattr(cost, name)) is not None]
        return sum(found) if found else None

    return Cost(
        costs[0].step,
        f"{len(costs)} others" if len(costs) > 1 else costs[0].part,
        sum(cost.cpu for cost in costs),
        sum(cost.wall for cost in costs),
        max(cost.peak for cost in costs),
        read=total("read"),
        written=total("written"),
    )


def _row(cost: Cost, limit: float) -> str:
    moved = " | ".join("" if each is None else f"{each:,}" for each in (cost.read, cost.written))
    inputs = f"{cost.cpu / cost.inputs:.1f}" if cost.inputs else ""
    part = f"`{cost.part}`" if "_" in cost.part else cost.part
    return (
        f"| {cost.step} | {part} | {cost.cpu * limit:.1f} | {cost.cpu:.2f} | {cost.wall * limit:.1f}"
        f" | {cost.peak:,} | {moved} | {inputs} |"
    )


def picture(measured: dict[str, Measured]) -> str:
    """Each step's CPU in limits as SVG, a bar for each size: the engine's and, beside it, what is learned."""
    from include.report.charts import ROW, Bar, bars

    rows = []
    for step in STEPS:
        for each in measured.values():
            parts = tuple(
                each.by_step(each.first, is_learned=is_learned).get(step, 0.0) for is_learned in (False, True)
            )
            rows.append(Bar(f"{step}, {each.customers:,} × {each.events}", f"{sum(parts):.1f} limits", parts))
    label = (
        "CPU of each step, by customers and events of each, in multiples of reading and sorting what has landed;"
        " what is learned is orange"
    )
    height = len(rows) * ROW + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f'<style>{STYLE}</style><rect class="ground" width="100%" height="100%"/>'
        f'<svg x="{MARGIN}" y="{MARGIN}" width="{WIDTH - 2 * MARGIN}" height="{height}">'
        f"{bars(label, rows)}</svg></svg>\n"
    )
