"""The topics, in the order of the page: one module of this package each, with a TOPIC."""

from __future__ import annotations

import importlib

from include.benchmark.harness import Topic

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


def topic(name: str) -> Topic:
    return importlib.import_module(f"include.benchmark.{name}").TOPIC
