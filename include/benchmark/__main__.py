"""What `make bench` calls: `python -m include.benchmark [--size small|medium|large] [--topic name]` measures and
writes docs/benchmarks.md; `python -m include.benchmark <topic> <variant> <folder>` is one measured process."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path

from include.settings import PROJECT

# One module of this package each, with a TOPIC.
TOPICS = ("segment_json", "sessions", "stitching", "learning", "audiences", "lookalikes", "reach")
PREPARE, DIGEST = "prepare", "digest"
PAGE = PROJECT / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in TOPICS:
        return _run_variant(*arguments)
    options = _parse(arguments)
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
        PAGE.write_text(_page(machine, sections))
        print(f"written to {PAGE.relative_to(PROJECT)}")
    return 0


def _run_variant(topic: str, variant: str, folder: str, size: str = "") -> int:
    inputs, output = Path(folder) / "inputs", Path(folder) / "output"
    if variant == PREPARE:
        _topic(topic).prepare(inputs, int(size))
    elif variant == DIGEST:
        print(json.dumps({"digest": _topic(topic).digest(output)}))
    else:
        print(json.dumps({"rows": _topic(topic).variant(variant).run(inputs, output)}))
    return 0


def _topic(name: str):
    return importlib.import_module(f"include.benchmark.{name}").TOPIC


def _page(machine: str, sections: list[str]) -> str:
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
            *sections,
        ]
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark", description=__doc__)
    parser.add_argument("--size", choices=["small", "medium", "large"], default="medium")
    parser.add_argument("--topic", choices=TOPICS, help="this one only; the page is not written then")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the data is made, the system's own when not given")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
