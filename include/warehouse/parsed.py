"""dbt's project, parsed once for all lakes, days and configurations.

dbt parses a project anew whenever a variable has another value, and a business day is one. To parse takes longer than
most steps of a small company take to run. What a model is and what it reads does not depend on the variables, only its
SQL does, and dbt renders that again for every run (decision 29).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumuro_decoder

from include.settings import PROJECT, settings

PARSED, WRITTEN = "partial_parse.msgpack", "manifest.json"
KEPT = 4  # parsed projects of a cache, those that were used last
NOT_READ = {"target", "logs", "dbt_packages"}


def parsed_project(project: Path, cache: Path, options: list[str]) -> tuple[Manifest, Path]:
    """The manifest of a dbt project and the path of `manifest.json`, from the cache when nothing in the project has
    changed since. `options` are what dbt is told besides folders and variables.

    Raises dbt's own exception when the project does not parse.
    """
    parsed = cache / key_of(project)
    if not is_parsed(parsed):
        _parse(project, parsed, options)
    use(parsed)
    manifest: Manifest = Manifest.from_msgpack(
        (parsed / PARSED).read_bytes(), decoder=extended_mashumuro_decoder
    )
    manifest.build_flat_graph()
    return manifest, parsed / WRITTEN


def is_parsed(parsed: Path) -> bool:
    """Whether a folder of the cache holds a parsed project."""
    return all((parsed / name).exists() for name in (PARSED, WRITTEN))


def bind_sources(manifest: Manifest, lake: str, as_of_date: str) -> None:
    """Tell the sources where the lake lies and which day it is: `sources.yml` has a place for each in its paths."""
    for source in manifest.sources.values():
        source.meta |= {"lake": lake, "as_of_date": as_of_date}


def _parse(project: Path, parsed: Path, options: list[str]) -> None:
    """Parse beside the cache and move it there whole: several processes may do so at once, and the first one wins."""
    making = parsed.with_name(f".{parsed.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    folders = ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(making)]
    outcome = dbtRunner().invoke(["parse", *folders, *options])
    if outcome.exception is not None:
        shutil.rmtree(making)
        raise outcome.exception
    for path in making.iterdir():
        if path.name not in (PARSED, WRITTEN):
            path.unlink()
    try:
        making.rename(parsed)
    except OSError:
        shutil.rmtree(making)
    forget_unused(parsed.parent)


def use(parsed: Path) -> None:
    """Note that a parsed project is in use: another process that parses its own forgets what was used before it."""
    os.utime(parsed)


def forget_unused(cache: Path) -> None:
    """Leave the parsed projects of a cache that were used last."""
    for older in sorted(cache.glob("[!.]*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(older, ignore_errors=True)


def key_of(project: Path) -> str:
    """A hash of all that parsing reads."""
    target = settings().target
    versions = [version(package) for package in ("dbt-core", "dbt-adapters", f"dbt-{target}")]
    digest = hashlib.sha256(json.dumps([str(PROJECT), str(project), target, *versions]).encode())
    for path in sorted(project.rglob("*")):
        if path.is_file() and not NOT_READ & set(path.relative_to(project).parts):
            digest.update(f"{path.relative_to(project).as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
