"""What the page on channels shows is a configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.config import load_configuration
from include.settings import PROJECT

BLOCKS = re.findall(r"```yaml\n(channels:.*?)```", (PROJECT / "docs" / "channels.md").read_text(), re.DOTALL)


def test_the_page_shows_channels():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS)
def test_every_channel_shown_can_be_loaded(block: str, tmp_path: Path):
    (tmp_path / "channels.yml").write_text(block)
    assert load_configuration(tmp_path).channels
