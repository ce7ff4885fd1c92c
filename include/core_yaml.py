"""YAML by the core schema of its version 1.2 (`no` is a word, 012 is twelve), read by libyaml: every task reads some
twenty such files before it begins, and the readers written in Python take longer for that than most tasks work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

TAG = "tag:yaml.org,2002:"
# What a plain scalar is read as, and the characters that it may begin with. Days and times are of version 1.1.
RESOLVED = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", tuple("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}"
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?",
        tuple("0123456789"),
    ),
    ("merge", r"<<", ("<",)),
)  # fmt: skip


class CoreLoader(yaml.CSafeLoader):
    """libyaml's reader with the scalars of version 1.2."""

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


for kind, pattern, beginnings in RESOLVED:
    CoreLoader.add_implicit_resolver(f"{TAG}{kind}", re.compile(rf"(?:{pattern})\Z"), beginnings)
CoreLoader.add_constructor(f"{TAG}int", CoreLoader.construct_whole_number)


def load_yaml(source: str | Path) -> Any:
    """The values of a text, or of a file of this project. Raises yaml.YAMLError."""
    return yaml.load(source.read_text() if isinstance(source, Path) else source, Loader=CoreLoader)
