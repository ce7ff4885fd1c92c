"""Can the release be trusted, and what did it cost: gates, time and memory."""

from __future__ import annotations

from include.ledger import STEPS
from include.report.charts import Bar, bars
from include.report.formats import count, plural, seconds
from include.report.sections import MOST_ROWS, Absent, Chapter, Figure, Source, text_of

GATE_COLUMNS = "step, asset, expectation, column_name, severity, observed, meaning, owner"


def run(source: Source) -> Chapter:
    return Chapter(
        "run",
        "Quality and cost",
        "A gate of checks stands after every step; one that does not hold stops the run or warns.",
        (_gates(source), _costs(source)),
    )


def warnings_of_gates(source: Source) -> list[tuple]:
    """Expectations that did not hold and only warn: step, asset, expectation, column, severity, observed, meaning,
    owner."""
    return [
        row
        for step in STEPS
        for row in source.file(
            source.lake.ops(source.day, f"quality_{step}"),
            f"""
            select '{step}' as step, asset, expectation, column_name, severity, observed, meaning, owner
            from released where not success order by asset, expectation, column_name, meaning
            """,
        )
    ]


def _gates(source: Source) -> Figure | Absent:
    rows = [
        (step, *found)
        for step in STEPS
        for found in source.file(
            source.lake.ops(source.day, f"quality_{step}"),
            "select count(*), count(*) filter (where success) from released",
        )
    ]
    if not rows:
        return Absent("Quality gates", "No gate has left its results.")
    made, held = sum(row[1] for row in rows), sum(row[2] for row in rows)
    title = (
        f"All {plural(made, 'expectation')} hold"
        if made == held
        else f"{held:,} of {made:,} expectations hold, {plural(made - held, 'warns', 'warn')}"
    )
    warned = warnings_of_gates(source)
    return Figure(
        title,
        "What does not hold and is published nevertheless, warns: the table says what it means and who looks after it.",
        "expectations",
        bars(title, [Bar(row[0], f"{row[2]} of {row[1]}", (row[2], row[1] - row[2])) for row in rows]),
        ("step", "expectations", "hold", "warns", "what that means", "found", "who looks after it"),
        tuple(
            text_of(row[0], count(row[1]), count(row[2]), each[1], each[6], each[5], each[7])
            for row in rows
            for each in [each for each in warned if each[0] == row[0]] or [("",) * 8]
        )[:MOST_ROWS],
        key=(("s1", "hold"), ("s2", "warn")),
    )


def _costs(source: Source) -> Figure | Absent:
    rows = source.table(
        "ops/run_costs",
        f"""
        select step, sum(wall_seconds), sum(cpu_seconds), max(peak_memory_bytes) / 1048576
        from released where as_of_date = {source.date} group by step
        order by step <> 'configure', list_position({list(STEPS)}, step), step
        """,
    )
    if not rows:
        return Absent("Time and memory", "No step has left what it cost.")
    total, slowest = sum(row[1] for row in rows), max(rows, key=lambda row: row[1])
    title = f"{seconds(total)} of work up to this page, of which {slowest[0]} takes {seconds(slowest[1])}"
    return Figure(
        title,
        "Wall time of each step up to the writing of this page; parts side by side are counted each.",
        "wall time in seconds",
        bars(title, [Bar(row[0], f"{seconds(row[1])}, {row[3]:,.0f} MB", (row[1],)) for row in rows]),
        ("step", "wall seconds", "CPU seconds", "peak memory, MB"),
        tuple(text_of(row[0], *(f"{each:,.1f}" for each in row[1:])) for row in rows),
    )
