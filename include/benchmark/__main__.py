"""What `make bench` calls: `python -m include.benchmark [--size small|medium|large] [--events 10|100] [--topic name]`
measures and writes docs/benchmarks.md; `--check` measures the whole pipeline alone and fails when it is dearer than was
accepted; `python -m include.benchmark <topic> <variant> <folder>` is one measured process."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from include.settings import PROJECT

# One module of this package each, with a TOPIC.
TOPICS = (
    "segment_json",
    "sessions",
    "profiles",
    "stitching",
    "linking",
    "learning",
    "audiences",
    "lookalikes",
    "reach",
)
PIPELINE = "pipeline"
PREPARE, DIGEST, TELL = "prepare", "digest", "tell"
PAGE = PROJECT / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in TOPICS:
        return _run_variant(*arguments)
    options = _parse(arguments)
    if options.check or options.accept or options.topic == PIPELINE:
        return _measure_pipeline(options)
    from include.benchmark.harness import describe_machine, measure, page

    machine, sections = describe_machine(), []
    print(machine, flush=True)
    for name in [options.topic] if options.topic else TOPICS:
        topic = _topic(name)
        size = topic.sizes[options.size]
        with tempfile.TemporaryDirectory(prefix="tandem-bench-", dir=options.folder) as folder:
            costs = measure(topic, Path(folder), size, options.repeats)
        sections.append(page(topic, costs, size, options.repeats))
        print("\n" + sections[-1], flush=True)
    if not options.topic:
        _measure_pipeline(options)
        PAGE.write_text(_page(machine, sections))
        print(f"written to {PAGE.relative_to(PROJECT)}")
    return 0


def _measure_pipeline(options: argparse.Namespace) -> int:
    """Measure the whole pipeline and hold it against what was accepted of its size. Returns 1 when `--check` is asked
    for and something is dearer."""
    from include.benchmark import pipeline
    from include.benchmark.pipeline_page import section

    size = options.size if options.events == 10 else f"{options.size}-{options.events}"
    kept = options.folder / f"pipeline-{size}" if options.folder else None
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") if kept is None else nullcontext(kept) as folder:
        measured = pipeline.measure(Path(folder), size, lambda line: print(line, flush=True), options.resume)
    print("\n" + section({size: measured}))
    before = pipeline.accepted().get(size)
    dearer = pipeline.dearer(measured, before) if before else []
    print(
        "\n".join(dearer)
        or ("no step is dearer than accepted" if before else "nothing is accepted of this size")
    )
    if options.accept:
        print(f"accepted: {pipeline.accept(measured, size).relative_to(PROJECT)}")
    return 1 if options.check and dearer else 0


def _run_variant(topic: str, variant: str, folder: str, size: str = "") -> int:
    inputs, output = Path(folder) / "inputs", Path(folder) / "output"
    if variant == PREPARE:
        _topic(topic).prepare(inputs, int(size))
    elif variant == DIGEST:
        print(json.dumps({variant: _topic(topic).digest(output)}))
    elif variant == TELL:
        print(json.dumps({variant: _topic(topic).tell(output)}))
    else:
        print(json.dumps({"rows": _topic(topic).variant(variant).run(inputs, output)}))
    return 0


def _topic(name: str):
    return importlib.import_module(f"include.benchmark.{name}").TOPIC


def _page(machine: str, sections: list[str]) -> str:
    """The page, with the whole pipeline as it was accepted of each size."""
    from include.benchmark import pipeline
    from include.benchmark.pipeline_page import PICTURE, section, write_picture

    sizes = pipeline.accepted()
    write_picture(sizes, PAGE.with_name(PICTURE))
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "`make bench` writes this page. Every variant is a whole process, start-up included, on two threads; they"
            " run in turns.",
            "CPU is user and system time of the process. On a machine that does other work besides, seconds grow and"
            " ratios stay about the same.",
            "",
            machine,
            "",
            section(sizes),
            *sections,
        ]
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark", description=__doc__)
    parser.add_argument("--size", choices=["small", "medium", "large"], default="medium")
    parser.add_argument("--events", type=int, choices=[10, 100], default=10, help="of each customer, about")
    topics = (*TOPICS, PIPELINE)
    parser.add_argument("--topic", choices=topics, help="this one only; the page is not written then")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the data is made, the system's own when not given")
    parser.add_argument("--check", action="store_true", help="fail when the pipeline is dearer than accepted")
    parser.add_argument("--accept", action="store_true", help="accept what is measured of the pipeline")
    parser.add_argument(
        "--resume", action="store_true", help="with --folder: measure of the pipeline what is missing"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
