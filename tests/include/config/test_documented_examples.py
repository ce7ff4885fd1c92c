"""What the pages show of a configuration is one: all blocks of a page together are accepted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml

from include.config import load_configuration
from include.config.document import read_document
from include.config.loading import FILES
from include.core_yaml import CoreLoader
from include.settings import DEFAULT_CONFIG, PROJECT

PAGES = {page.name: page for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))}
# Blocks that are of no file of a configuration: dbt's, Kubernetes', and a line to be put into the block before it.
OTHERS = {"bi.md": 1, "deployment.md": 3, "first-hour.md": 1}


def shown_on(page: str) -> tuple[dict[str, dict], int]:
    """What a page shows of each file, the entries of its blocks together; and how many documents are of no file."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGES[page].read_text(), re.DOTALL)
    files: dict[str, dict] = defaultdict(dict)
    others = 0
    for block in blocks:
        # An entry that stands in from the margin is a channel's.
        for data in yaml.load_all(f"channels:\n{block}" if re.match(r"  \w", block) else block, CoreLoader):
            file = next((file for file, model in FILES.items() if set(data) <= set(model.model_fields)), None)
            others += file is None
            for key, value in data.items() if file else ():
                seen = files[file].get(key, type(value)())
                files[file][key] = seen + value if isinstance(value, list) else seen | value
    return files, others


SHOWN = {page: shown_on(page) for page in PAGES}


def test_every_block_is_of_a_file_or_known_to_be_of_none():
    assert Counter(file for files, _ in SHOWN.values() for file in files)["channels.yml"] >= 3
    assert {page: others for page, (_, others) in SHOWN.items() if others} == OTHERS


@pytest.mark.parametrize("page", [page for page, (files, _) in SHOWN.items() if files])
def test_what_a_page_shows_is_accepted(page: str, tmp_path: Path):
    for file, data in SHOWN[page][0].items():
        # A company's own identity.yml is a copy of the project's.
        copied = read_document(DEFAULT_CONFIG / file).data if file == "identity.yml" else {}
        (tmp_path / file).write_text(yaml.safe_dump(copied | data, sort_keys=False))
    load_configuration(tmp_path)
