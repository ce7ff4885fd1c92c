"""No name that becomes part of a path leads out of its folder: refused when the configuration is read."""

from __future__ import annotations

import json

import pytest

from tests.ways_out import WAYS_OUT

CHANNEL = "{connector: file, path: crm.csv, format: csv}, spec: mapped, map: {record_id: id, observed_at: at}"
# Where a file of the configuration names something, the name written as NAME.
NAMES = {
    "a channel": ("channels", f"channels:\n  NAME: {{party: first, kind: customers, source: {CHANNEL}}}\n"),
    "an audience": ("audiences", "audiences:\n  - {id: NAME, side: cdp, where: orders > 5}\n"),
    "a trait": ("audiences", "traits:\n  - {id: NAME, where: type = 'page'}\naudiences: []\n"),
    "a folder of traits": (
        "audiences",
        "traits:\n  - {id: cat, folder: NAME, where: type = 'page'}\naudiences: []\n",
    ),
    "a destination": ("destinations", "destinations:\n  - {id: NAME}\n"),
    "a format": ("destinations", "destinations:\n  - {id: out, format: NAME}\n"),
    "a list of a destination": ("destinations", "destinations:\n  - {id: out, lists: {NAME: 1}}\n"),
    "a table of a destination": (
        "destinations",
        "destinations:\n  - {id: out, deliver: {to: table, connection: shop, table: NAME}}\n",
    ),
    "a purpose": ("destinations", "destinations:\n  - {id: out, purposes: [NAME]}\n"),
    "a propensity": ("models", "propensities:\n  - {id: NAME, label: {activity: call}}\n"),
    "a feature": ("features", "features:\n  NAME: {over: orders, measure: count}\n"),
    "an id type": ("identity", "id_types: {NAME: {priority: 1}}\n"),
}
# As far as paths of sources go: a folder of the operator's own may be anywhere.
PATHS = {
    "NUL": "crm/a\0.csv",
    "a line": "crm/a\n.csv",
    "this machine": "file:///etc/passwd",
    "a share": "smb://server/crm.csv",
    "the web": "http://169.254.169.254/crm.csv",
    "a program": "pipe://crm.csv",
    "a chain": "simplecache::s3://lake/crm.csv",
    "a placeholder": "{data}/crm.csv",
    "another folder": "crm/{config}/../crm.csv",
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("sort", NAMES)
def test_a_name_that_leads_out_of_its_folder_is_refused(problems, sort: str, way: str) -> None:
    file, text = NAMES[sort]
    lines = problems(**{file: text.replace("NAME", json.dumps(WAYS_OUT[way]))})
    assert lines
    assert all(line.startswith(f"{file}.yml:") for line in lines)
    assert "allowed: " in lines[0]


@pytest.mark.parametrize("way", PATHS)
def test_a_path_of_a_source_is_a_file_of_a_place_that_is_known(problems, way: str) -> None:
    file, text = NAMES["a channel"]
    lines = problems(
        **{file: text.replace("NAME", "crm").replace("path: crm.csv", f"path: {json.dumps(PATHS[way])}")}
    )
    assert [line.split(": ", 1)[0] for line in lines] == ["channels.yml:2 channels.crm.source.path"]


@pytest.mark.parametrize("sort", NAMES)
def test_what_is_refused_is_the_name_and_nothing_else(load, sort: str) -> None:
    file, text = NAMES[sort]
    known = {"a format": "csv", "a purpose": "advertising", "an id type": "email"}
    assert load(**{file: text.replace("NAME", known.get(sort, "loyal"))})
