"""Values are those of YAML 1.2, as a reader of its own reads them, and this project's files are read alike by both."""

from __future__ import annotations

import pytest
import yaml
from ruamel.yaml import YAML

from include.core_yaml import load_yaml
from include.settings import PROJECT

FILES = sorted(
    path
    for folder in ("include", "dbt_project/models")
    for suffix in ("yml", "yaml")
    for path in (PROJECT / folder).rglob(f"*.{suffix}")
)
SCALARS = (
    "no", "NO", "yes", "on", "off", "y", "n", "true", "False", "TRUE", "~", "null", "", "12", "-3", "+7", "012", "0o14",
    "0x1F", "190:20:30", "1.5", ".5", "-1e3", "1e3", ".inf", "1.", "2024-02-29", "2024-02-29 10:11:12",
    "12:30", "1.2.3", "a: b", "'12'", '"no"',
)  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_value_is_what_version_1_2_says(scalar: str) -> None:
    (found,) = load_yaml(f"- {scalar}\n")
    (expected,) = YAML(typ="safe", pure=True).load(f"- {scalar}\n")
    assert (type(found), found) == (type(expected), expected)


def test_every_file_of_the_project_reads_as_before() -> None:
    assert len(FILES) > 60
    for path in FILES:
        assert load_yaml(path) == YAML(typ="safe", pure=True).load(path), path


def test_no_object_is_made_of_a_tag() -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        load_yaml("!!python/object/apply:os.getcwd []")
