"""What the pages show of a configuration is one: the blocks of a page together are accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config import load_configuration
from include.config.document import read_document
from include.config.loading import FILES
from include.core_yaml import CoreLoader
from include.settings import DEFAULT_CONFIG, PROJECT

PAGES = {page.name: page for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))}
# Documents that are of no file of a configuration: dbt's and Kubernetes'.
OTHERS = {"bi.md": 1, "deployment.md": 3}


def shown_on(page: str) -> tuple[list[dict[str, dict]], int]:
    """What a page shows of each file, its blocks put together for as long as no entry comes again; and how many
    documents are of no file. A block within the margin is a channel, and one deeper within a few lines of it."""
    shown: list[dict[str, dict]] = [{}]
    others = 0
    for block in re.findall(r"```yaml\n((?! {3}).*?)```", PAGES[page].read_text(), re.DOTALL):
        for data in yaml.load_all(f"channels:\n{block}" if block.startswith("  ") else block, CoreLoader):
            file = next((file for file, model in FILES.items() if set(data) <= set(model.model_fields)), None)
            if file is None:
                others += 1
                continue
            if _comes_again(shown[-1].get(file, {}), data):
                shown.append({})
            own = shown[-1].setdefault(file, {})
            for key, value in data.items():
                seen = own.get(key, type(value)())
                own[key] = seen + value if isinstance(value, list) else seen | value
    return shown, others


def _comes_again(own: dict[str, Any], data: dict[str, Any]) -> bool:
    return any(isinstance(value, dict) and own.get(key, {}).keys() & value for key, value in data.items())


SHOWN = {page: shown_on(page) for page in PAGES}


def test_every_block_is_of_a_file_or_known_to_be_of_none() -> None:
    assert {page: others for page, (_, others) in SHOWN.items() if others} == OTHERS


@pytest.mark.parametrize(
    ("page", "files"), [(page, files) for page, (shown, _) in SHOWN.items() for files in shown if files]
)
def test_what_a_page_shows_is_accepted(page: str, files: dict[str, dict], tmp_path: Path) -> None:
    for file, data in files.items():
        # A company's own identity.yml is a copy of the project's.
        copied = read_document(DEFAULT_CONFIG / file).data if file == "identity.yml" else {}
        (tmp_path / file).write_text(yaml.safe_dump(copied | data, sort_keys=False))
    load_configuration(tmp_path)
