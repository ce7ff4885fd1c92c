"""What `make bench` calls: `python -m include.benchmark [--size small|medium|large] [--events 10|100] [--topic name]`
measures, keeps what it measured and writes docs/benchmarks.md; `--try` keeps nothing; `--page` writes the page from
what is kept; `--check` measures the whole pipeline alone and fails when it is worse than accepted, `--accept` accepts
it; `python -m include.benchmark <topic> <variant> <folder>` is one measured process."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from include.benchmark.topics import TOPICS, topic
from include.settings import PROJECT

PIPELINE = "pipeline"
PREPARE, ANSWER = "prepare", "answer"


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in TOPICS:
        return _run_variant(*arguments)
    options = _parse(arguments)
    if options.page:
        return _write_page()
    if options.check or options.accept or options.topic == PIPELINE:
        return _measure_pipeline(options)
    if options.topic:
        return _measure_topic(options.topic, options)
    for name in TOPICS:
        # In a process of its own: the peak memory of a process counts that of the one that started it.
        subprocess.run([sys.executable, "-m", "include.benchmark", *arguments, "--topic", name], check=True)
    return _measure_pipeline(options)


def _measure_topic(name: str, options: argparse.Namespace) -> int:
    """Measure a topic, keep the result in the place of the one before, and write the page."""
    from include.benchmark.harness import measure
    from include.benchmark.page import section
    from include.benchmark.results import Occasion, Result, keep

    chosen, occasion = topic(name), Occasion.now()
    size = chosen.sizes[options.size]
    print(f"{name}: {size:,} rows; {occasion}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", dir=options.folder) as folder:
        costs = measure(chosen, Path(folder).resolve(), size, options.repeats)
    result = Result(size, options.repeats, occasion, costs)
    print("\n" + section(chosen, result), flush=True)
    if not options.is_trial:
        print(f"kept: {keep(name, result).relative_to(PROJECT)}")
        _write_page()
    return 0


def _measure_pipeline(options: argparse.Namespace) -> int:
    """Measure the whole pipeline and hold it against what was accepted of its size; the page shows what is accepted.
    Returns 1 when `--check` is asked for and something is worse."""
    from include.benchmark import pipeline
    from include.benchmark.pipeline_page import section
    from include.benchmark.regressions import regressions

    size = options.size if options.events == 10 else f"{options.size}-{options.events}"
    kept = options.folder / f"pipeline-{size}" if options.folder else None
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") if kept is None else nullcontext(kept) as folder:
        measured = pipeline.measure(Path(folder), size, lambda line: print(line, flush=True), options.resume)
    print("\n" + section({size: measured}))
    before = pipeline.accepted().get(size)
    worse = regressions(measured, before) if before else []
    print(
        "\n".join(worse)
        or ("nothing is worse than accepted" if before else "nothing is accepted of this size")
    )
    if options.accept:
        print(f"accepted: {pipeline.accept(measured, size).relative_to(PROJECT)}")
        _write_page()
    elif not options.check:
        print("--accept takes it to the page")
    return 1 if options.check and worse else 0


def _write_page() -> int:
    from include.benchmark import page

    page.write()
    print(f"written: {page.PAGE.relative_to(PROJECT)}", flush=True)
    return 0


def _run_variant(name: str, variant: str, folder: str, size: str = "") -> int:
    inputs, output = Path(folder) / "inputs", Path(folder) / "output"
    if variant == PREPARE:
        topic(name).prepare(inputs, int(size))
    elif variant == ANSWER:
        for what in sys.stdin:
            print(json.dumps(getattr(topic(name), what.strip())(output)), flush=True)
    else:
        print(json.dumps({"rows": topic(name).variant(variant).run(inputs, output)}))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark", description=__doc__)
    parser.add_argument("--size", choices=["small", "medium", "large"], default="medium")
    parser.add_argument("--events", type=int, choices=[10, 100], default=10, help="of each customer, about")
    topics = (*TOPICS, PIPELINE)
    parser.add_argument("--topic", choices=topics, help="this one only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the data is made, the system's own when not given")
    parser.add_argument(
        "--page", action="store_true", help="measure nothing, write the page from what is kept"
    )
    parser.add_argument(
        "--try", action="store_true", dest="is_trial", help="say what was measured and keep nothing"
    )
    parser.add_argument("--check", action="store_true", help="fail when the pipeline is worse than accepted")
    parser.add_argument("--accept", action="store_true", help="accept what is measured of the pipeline")
    parser.add_argument(
        "--resume", action="store_true", help="with --folder: measure of the pipeline what is missing"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
