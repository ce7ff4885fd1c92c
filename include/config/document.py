"""Reads one YAML file into plain values and the line of every key. Nothing in a file can run or explode."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, MarkedYAMLError, Node, ScalarNode, SequenceNode, YAMLError
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

from include.config.errors import Problem, shown
from include.core_yaml import TAG, CoreLoader

MAXIMUM_BYTES = 1_000_000
MAXIMUM_DEPTH = 20
MAXIMUM_ALIASES = 100
MAXIMUM_VALUES = 50_000  # counted after aliases are expanded: a few nested aliases can stand for billions
PLAIN_KEY = re.compile(r"[\w .:/()<>=-]{1,70}")  # what an error shows as it is, on one line
MERGE = f"{TAG}merge"

KeyPath = tuple[str | int, ...]


@dataclass
class Document:
    """The values of one file, the line (from 1) of each of its keys, and what is wrong with its form."""

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """The line of the key at `path`, or of the nearest key around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def problem(self, path: KeyPath, message: str) -> Problem:
        return Problem(self.file, self.line(path), self._key(path), message)

    def _key(self, path: KeyPath) -> str:
        """`channels.crm.kind`, `audiences[loyal].where`: list items by their id when they have one."""
        text, value = "", self.data
        for part in path:
            value = _inside(value, part)
            if isinstance(part, int):
                name = value.get("id") if isinstance(value, dict) else None
                text += f"[{name if isinstance(name, str) and PLAIN_KEY.fullmatch(name) else part}]"
            else:
                word = part if PLAIN_KEY.fullmatch(part) else shown(part)
                text += f".{word}" if text else word
        return text or "file"


def read_document(path: Path) -> Document:
    """Read `path`; what is wrong with it as YAML is in `problems`, and then `data` may be None."""
    document = Document(path.name)
    text = _text(path, document)
    if text is not None and _is_harmless(text, document):
        try:
            node = yaml.compose(text, Loader=CoreLoader)
            document.data = None if node is None else _Builder(document).build(node, ())
        except (YAMLError, ValueError) as error:
            document.problems.append(_yaml_problem(document, error))
    return document


def _text(path: Path, document: Document) -> str | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        document.problems.append(Problem(document.file, 1, "file", f"cannot be read: {error.strerror}"))
        return None
    if len(content) > MAXIMUM_BYTES:
        message = f"found {len(content)} bytes, allowed: at most {MAXIMUM_BYTES}"
        document.problems.append(Problem(document.file, 1, "file", message))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"found the byte 0x{content[error.start]:02x}, allowed: text in UTF-8"
        document.problems.append(Problem(document.file, line, "file", message))
        return None


def _is_harmless(text: str, document: Document) -> bool:
    """Look at the stream of events, before any value is built: no tags, no deep nesting, few aliases."""
    depth = aliases = 0
    anchors: set[str] = set()
    try:
        for event in yaml.parse(text, Loader=CoreLoader):
            line = event.start_mark.line + 1
            if isinstance(event, NodeEvent) and getattr(event, "tag", None):
                message = f"found the tag '{event.tag}', allowed: plain values without tags"
                document.problems.append(Problem(document.file, line, "file", message))
            if not isinstance(event, AliasEvent) and getattr(event, "anchor", None):
                if event.anchor in anchors:
                    message = f"found the anchor '&{event.anchor}' again, allowed: once"
                    document.problems.append(Problem(document.file, line, "file", message))
                anchors.add(event.anchor)
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            aliases += isinstance(event, AliasEvent)
            if depth > MAXIMUM_DEPTH or aliases > MAXIMUM_ALIASES:
                message = (
                    f"found too much nesting, allowed: {MAXIMUM_DEPTH} levels and {MAXIMUM_ALIASES} aliases"
                )
                document.problems.append(Problem(document.file, line, "file", message))
                break
    except (YAMLError, ValueError) as error:
        document.problems.append(_yaml_problem(document, error))
    return not document.problems


def _yaml_problem(document: Document, error: Exception) -> Problem:
    mark = None
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
    line = getattr(mark, "line", getattr(error, "line", None))
    reason = getattr(error, "problem", None) or str(error).strip().splitlines()[0]
    return Problem(document.file, 1 if line is None else line + 1, "file", f"not readable as YAML: {reason}")


def _inside(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


class _Builder:
    """Builds plain values from YAML nodes, remembers lines, and counts what aliases expand to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._constructor = CoreLoader("")
        self._open: list[Node] = []
        self._count = 0

    def build(self, node: Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAXIMUM_VALUES or any(node is parent for parent in self._open):
            raise ConstructorError(
                problem=f"found more than {MAXIMUM_VALUES} values after expanding aliases",
                problem_mark=node.start_mark,
            )
        if isinstance(node, ScalarNode):
            return self._constructor.construct_object(node)
        self._open.append(node)
        try:
            if isinstance(node, SequenceNode):
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.pop()

    def _item(self, node: Node, path: KeyPath) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        return self.build(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        keys = [(self._key(key), key, value) for key, value in node.value if key.tag != MERGE]
        counted = Counter(name for name, _, _ in keys)
        values: dict[str, Any] = {}
        for name, key, value in keys:
            line = key.start_mark.line + 1
            if name in values:
                message = f"found the key {shown(name)} {counted[name]} times, allowed: once"
                key_shown = ".".join(str(part) for part in (*path, name))
                self._document.problems.append(Problem(self._document.file, line, key_shown, message))
                continue
            # A mapping reached through an alias keeps the line of where it is written.
            self._document.lines.setdefault((*path, name), line)
            values[name] = self.build(value, (*path, name))
        for key, value in node.value:
            if key.tag == MERGE:
                values = self._merged(value, path) | values
        return values

    def _merged(self, node: Node, path: KeyPath) -> dict[str, Any]:
        """What `<<: *other` brings; own keys win, and of several others the first wins."""
        others = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for other in others:
            if not isinstance(other, MappingNode):
                raise ConstructorError(problem="'<<' needs a mapping", problem_mark=other.start_mark)
            merged = self.build(other, path) | merged
        return merged

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise ConstructorError(problem="a key must be a plain word", problem_mark=node.start_mark)
        return str(node.value)
