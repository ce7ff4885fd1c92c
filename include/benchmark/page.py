"""docs/benchmarks.md, made of what is kept: results of topics (`measured/`) and accepted pipelines (`accepted/`)."""

from __future__ import annotations

from pathlib import Path

from include.benchmark import pipeline, pipeline_page
from include.benchmark.harness import Cost, Ratio, Topic
from include.benchmark.results import Result, kept
from include.benchmark.topics import TOPICS, topic
from include.settings import PROJECT

PAGE = PROJECT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

`python -m include.benchmark --page` writes this page from what was measured last of each topic
(`include/benchmark/measured/`) and what was accepted of the whole pipeline (`include/benchmark/accepted/`), and so
does every measurement at its end: `make bench` of all topics, `make bench TOPIC=reach` of one. Each section says its
day, the commit that it was measured or recorded with (`+`: the code differed from it), its machine and the machine's
load.

Every variant is a whole process, start-up included, on two threads; they run in turns. CPU is user and system time of
the process; read and written is what it moved, from disk or from what the system keeps of it in memory. On a machine
that does other work besides, seconds grow and ratios stay about the same; wall seconds far above those of the CPU tell
of one.
"""


def write(page: Path = PAGE) -> None:
    """Write the page and its picture."""
    page.write_text(render())
    page.with_name(pipeline_page.PICTURE).write_text(pipeline_page.picture(pipeline.accepted()))


def render() -> str:
    """The page as Markdown."""
    results = kept()
    return "\n".join(
        [
            HEAD,
            pipeline_page.section(pipeline.accepted()),
            *(section(topic(name), results.get(name)) for name in TOPICS),
        ]
    )


def section(topic: Topic, result: Result | None) -> str:
    """The figures of a topic as Markdown: a table of the variants and one of the ratios, of what was measured."""
    lines = [f"## {topic.title}", "", topic.text, ""]
    if result is None:
        return "\n".join([*lines, f"Not measured yet: `make bench TOPIC={topic.name}`."]) + "\n"
    runs = "one run of each" if result.repeats == 1 else f"medians of {result.repeats} runs"
    lines += [f"{result.size:,} rows, {runs} in turns; {result.occasion}.", ""]
    return "\n".join([*lines, *_variants(topic, result.costs), "", *_ratios(topic, result.costs)]) + "\n"


def _variants(topic: Topic, costs: dict[str, Cost]) -> list[str]:
    lines = [
        "| variant | | CPU s | wall s | peak memory MB | read MB | written MB | rows written |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for variant in topic.variants:
        if cost := costs.get(variant.name):
            text = f"{variant.text}: {cost.told}" if cost.told else variant.text
            lines.append(
                f"| `{variant.name}` | {text} | {cost.cpu:.1f} | {cost.wall:.1f} | {_megabytes(cost.memory)}"
                f" | {_megabytes(cost.read)} | {_megabytes(cost.written)} | {cost.rows:,} |"
            )
    return lines


def _ratios(topic: Topic, costs: dict[str, Cost]) -> list[str]:
    lines = ["| CPU ratio | measured | target |", "|---|--:|--:|"]
    for ratio in topic.ratios:
        if {ratio.variant, ratio.other, ratio.beyond} - {None} <= set(costs):
            measured = ratio.measured(costs)
            lines.append(f"| {ratio.text} | {measured:.2f} | {_target(ratio, measured)} |")
    return lines


def _megabytes(moved: int | None) -> str:
    return "" if moved is None else f"{moved / 1e6:,.0f}"


def _target(ratio: Ratio, measured: float) -> str:
    if ratio.at_most is not None:
        return f"at most {ratio.at_most}: {'reached' if measured <= ratio.at_most else 'missed'}"
    if ratio.at_least is not None:
        return f"at least {ratio.at_least}: {'reached' if measured >= ratio.at_least else 'missed'}"
    return ""
