"""How modules hang together: each can be read and tried with what lies below it alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from include.settings import PROJECT

PACKAGES = ("include", "ml", "dags")


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = {_name(path): path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")}
    assert len(files) > 200
    graph = {name: set(_imports(path, files)) - {name} for name, path in files.items()}
    assert sum(map(len, graph.values())) > 500
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path, files: dict[str, Path]) -> Iterator[str]:
    """The project's modules that one imports, wherever in it: in functions, and for its types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in files:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if module in files else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
