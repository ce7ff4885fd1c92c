"""An entry of `channels.yml` for a file of which nothing is known yet, to be pasted and corrected."""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from include.config import Channel
from include.extract.channel import open_source
from include.extract.connectors.delivery import Delivery
from include.extract.formats.lines import open_text
from include.extract.kinds import Column, Kind, kinds
from include.extract.profile import SourceColumn, profile_columns
from include.extract.sample import take_sample
from include.extract.sql import identifier, literal
from include.extract.suggest import suggest, words_of
from include.ledger import StepFailed

SUFFIXES = (".csv", ".tsv", ".txt", ".psv", ".json", ".jsonl", ".ndjson", ".parquet", ".log")
PACKED = (".gz", ".zst")
MOST_FILES = 20
WIDTH = 100
# Keys that only the files of one spec have.
MARKS = {
    "segment": {"type", "messageId"},
    "ga4": {"event_name", "event_timestamp", "event_params"},
    "snowplow": {"collector_tstamp", "event_id", "domain_userid"},
}
SNOWPLOW_COLUMNS = 131  # of an enriched event, which has no header
KIND_WORDS = {
    "customers": {
        "customers",
        "customer",
        "crm",
        "contacts",
        "members",
        "people",
        "persons",
        "users",
        "clients",
    },
    "events": {"events", "hits", "clicks", "pageviews", "web", "app", "tracking"},
    "orders": {"orders", "order", "sales", "transactions", "invoices", "purchases"},
    "order_lines": {"lines", "items", "baskets", "positions"},
    "products": {"products", "product", "catalogue", "catalog", "articles", "stock"},
    "interactions": {"calls", "call", "tickets", "chats", "callcentre", "callcenter", "visits"},
    "messages": {"messages", "emails", "mailings", "newsletter", "sends"},
    "traits": {"traits", "segments", "broker", "partner"},
    "consents": {"consents", "consent", "permissions", "optins"},
}
YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
ACCESS_LOG = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "[^"]*" \d{3} (\d+|-)')
EXAMPLE_DAY = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?P<sign>[-_.]?)(?:0[1-9]|1[0-2])(?P=sign)(?:0[1-9]|[12]\d|3[01])(?!\d)"
)
DAY_FIRST = re.compile(r"(\d+)([-/.])(\d+)([-/.])(\d+)(?:([ T])\d+:\d+(:\d+)?)?")
FILES_TRIED = 5


@dataclass(frozen=True)
class _Layout:
    """How a file is written, as keys of `source`, and what reads it."""

    format: str
    options: dict[str, object]
    spec: str = "mapped"


def propose(place: Path, config: Path) -> Iterator[str]:
    """A text for a file, or for each of the first data files of a folder: an entry of `channels.yml` in `config`.

    Raises StepFailed when there is no such place or no data file in it.
    """
    place, config = place.resolve(), config.resolve()
    if not place.exists():
        raise StepFailed(
            f"{place}: found no such file or folder, allowed: a data file, or a folder with some"
        )
    files = [[place]] if place.is_file() else _data_files(place)
    if not files:
        allowed = ", ".join(SUFFIXES)
        raise StepFailed(f"{place}: found no channels.yml and no data file, allowed: files with {allowed}")
    taken: set[str] = set()
    yield "# Proposed for channels.yml, from the beginning of each file. Check kind, map and path.\nchannels:"
    for alike in files[:MOST_FILES]:
        yield _newest_entry(alike, config, taken)
    if len(files) > MOST_FILES:
        yield f"  # and {len(files) - MOST_FILES} files more: make check FILE=path"


def _newest_entry(alike: list[Path], config: Path, taken: set[str]) -> str:
    """An entry from the newest file of which there can be one, below what is wrong with those after it."""
    wrong = ""
    for path in alike[: -FILES_TRIED - 1 : -1]:
        try:
            entry = _entry(path, config, taken)
        except (StepFailed, duckdb.Error) as failure:
            wrong += f"  # {path.name}: {str(failure).strip().splitlines()[0]}\n"
            continue
        if len(alike) > 1 and not EXAMPLE_DAY.search(path.as_posix()):
            said = "say where in path the day is, e.g. {date:%d%m%Y}, or put * there"
            wrong += f"  # {path.name} is one of {len(alike)} that differ in digits: {said}\n"
        return wrong + entry
    return wrong.splitlines(keepends=True)[0]


def _data_files(folder: Path) -> list[list[Path]]:
    """The files of each name, whatever digits it has, sorted by name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        suffixes = [suffix for suffix in path.suffixes if suffix not in PACKED]
        if path.is_file() and suffixes and suffixes[-1].lower() in SUFFIXES:
            found.setdefault(re.sub(r"\d+", "#", path.relative_to(folder).as_posix()), []).append(path)
    return list(found.values())


def _entry(path: Path, config: Path, taken: set[str]) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="tandem-check-") as temporary,
        duckdb.connect(":memory:", config={"threads": 2}) as connection,
    ):
        connection.execute("set timezone = 'UTC'")
        layout = _layout_of(connection, path, Path(temporary))
        name = path.relative_to(config).as_posix() if path.is_relative_to(config) else path.as_posix()
        columns: list[SourceColumn] = []
        if layout.spec != "apache_combined":
            delivery = Delivery(name, None, layout.format, lambda _: path)
            sample = take_sample(connection, _channel_of(path, layout), delivery, Path(temporary))
            columns = profile_columns(connection, open_source(connection, sample.channel, sample.file))
            layout = _with_spec(layout, columns)
            if len(columns) == 1 and layout.format == "csv":
                raise StepFailed(f"one column only, {columns[0].name!r}: text, or another delimiter?")
    kind = kinds()["events"] if layout.spec != "mapped" else _kind_of(path, columns)
    lines = [
        f"  {_name_of(path, taken)}:",
        _commented("party: first", "second for a partner's data, third for a broker's"),
        _commented(f"kind: {kind.name}", kind.grain),
        *_source_lines(name, layout),
        *_map_lines(layout, kind, columns),
    ]
    return "\n".join([*lines, ""])


def _layout_of(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> _Layout:
    with path.open("rb") as handle:
        if handle.read(4) == b"PAR1":
            return _Layout("parquet", {})
    encoding = _encoding_of(path)
    options: dict[str, object] = {} if encoding == "utf-8" else {"encoding": encoding}
    with open_text(path, encoding) as stream:
        start = stream.read(1 << 20).lstrip()
    if not start:
        raise StepFailed("is empty")
    if start.startswith(b"{"):
        is_lines = start.split(b"\n", 1)[0].rstrip().endswith(b"}")
        return _Layout("jsonl" if is_lines else "json", options)
    if start.startswith(b"[") and start[1:].lstrip().startswith(b"{"):
        return _Layout("json", options)
    if ACCESS_LOG.match(start.decode("utf-8", "replace")):
        return _Layout("text", options, spec="apache_combined")
    return _Layout("csv", options | _dialect_of(connection, start, folder))


def _encoding_of(path: Path) -> str:
    """UTF-8 unless its bytes are none: what is not is most likely Windows' Latin."""
    with open_text(path, "utf-8") as stream:
        start = stream.read(1 << 20)
    try:
        start[: start.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _dialect_of(connection: duckdb.DuckDBPyConnection, start: bytes, folder: Path) -> dict[str, object]:
    """What DuckDB's sniffer finds of a CSV, where it is not the default."""
    lines = folder / "start.csv"
    lines.write_bytes(start[: start.rfind(b"\n") + 1] or start)
    found = connection.execute(
        f"select Delimiter, Quote, Escape, HasHeader from sniff_csv({literal(str(lines))}, ignore_errors = true)"
    ).fetchone()
    delimiter, quote, escape, has_header = found
    options: dict[str, object] = {}
    if delimiter != ",":
        options["delimiter"] = delimiter
    if quote not in ('"', "", "(empty)"):
        options["quote"] = quote
    if escape not in ('"', "", "(empty)", quote):
        options["escape"] = escape
    if not has_header:
        options["header"] = False
    return options


def _with_spec(layout: _Layout, columns: list[SourceColumn]) -> _Layout:
    names = {column.name for column in columns}
    spec = next((spec for spec, marks in MARKS.items() if marks <= names), "mapped")
    if layout.format == "csv" and len(columns) == SNOWPLOW_COLUMNS and layout.options.get("header") is False:
        spec = "snowplow"
    return replace(layout, spec=spec)


def _channel_of(path: Path, layout: _Layout) -> Channel:
    """A channel that reads the file, whatever its rows will be."""
    source = {"path": path.name, "format": layout.format, **layout.options}
    return Channel.model_validate(
        {"name": "proposed", "party": "first", "kind": "customers", "spec": "mapped", "source": source}
    )


def _kind_of(path: Path, columns: list[SourceColumn]) -> Kind:
    """The kind whose columns the file has most of: required ones weigh most, the words of its name count too."""
    words = set(words_of(path.stem).split("_"))

    def score(kind: Kind) -> int:
        found = suggest(kind, set(), columns)
        required = [column.name for column in kind.columns if column.required]
        missing = sum(name not in found for name in required)
        return len(found) + 2 * len(required) - 4 * missing + 5 * bool(words & KIND_WORDS[kind.name])

    return max(kinds().values(), key=score)


def _name_of(path: Path, taken: set[str]) -> str:
    """A name for the channel from that of the file, one that no other has."""
    stem = path.name.removesuffix("".join(path.suffixes))
    words = words_of(EXAMPLE_DAY.sub("", stem))[:50]
    name = words if re.match("[a-z]", words) else f"channel_{words}".strip("_")
    number = 1
    while name in taken:
        number += 1
        name = f"{name.removesuffix(f'_{number - 1}')}_{number}"
    taken.add(name)
    return name


def _source_lines(name: str, layout: _Layout) -> list[str]:
    keys = {"path": EXAMPLE_DAY.sub(_date_in_path, name), "format": layout.format, **layout.options}
    written = ", ".join(f"{key}: {_yaml(value)}" for key, value in keys.items())
    return [f"    source: {{connector: file, {written}}}", f"    spec: {layout.spec}"]


def _date_in_path(day: re.Match) -> str:
    sign = day["sign"]
    return "{date}" if sign == "-" else f"{{date:%Y{sign}%m{sign}%d}}"


def _map_lines(layout: _Layout, kind: Kind, columns: list[SourceColumn]) -> list[str]:
    if layout.spec != "mapped":
        return [_commented("map: {}", "only what the spec does not say, e.g. site: {value: example.com}")]
    found, by_name = suggest(kind, set(), columns), {column.name: column for column in columns}
    if not found:
        names = ", ".join(column.name for column in columns)
        return [
            "    map: {}",
            *_wrapped(f"no column looks like one of a record kind: choose kind and map; it has {names}"),
        ]
    lines = ["    map:"]
    for column in kind.columns:
        if column.name in found:
            lines.append(f"      {column.name}: {_source_of(column, by_name[found[column.name]])}")
        elif column.required and column.name != kind.counted:
            allowed = f", one of {', '.join(column.allowed)}" if column.allowed else ""
            lines.append(f"      # {column.name}: REQUIRED, a column, {{sql: …}} or {{value: …}}{allowed}")
    rest = [column.name for column in columns if column.name not in found.values()]
    if rest:
        lines += _wrapped(f"kept as attributes: {', '.join(rest)}")
    return lines


def _source_of(canonical: Column, column: SourceColumn) -> str:
    """A source column as an entry of the map: a date that is no ISO one as an expression that reads it."""
    form = DAY_FIRST.match(column.example)
    if canonical.type not in ("date", "timestamp") or column.shape != "d/m/y" or form is None:
        return _yaml(column.name)
    first, sign, second, other_sign, year, between, seconds = form.groups()
    day, month = ("%m", "%d") if int(second) > 12 else ("%d", "%m")
    time = "" if between is None else f"{between}%H:%M{':%S' if seconds else ''}"
    written = f"{day}{sign}{month}{other_sign}%{'Y' if len(year) == 4 else 'y'}{time}"
    sql = json.dumps(f"try_strptime({identifier(column.name)}, {literal(written)})", ensure_ascii=False)
    is_sure = max(int(first), int(second)) > 12
    return f"{{sql: {sql}}}{'' if is_sure else ' # or %m before %d, if the month comes first'}"


def _commented(text: str, comment: str) -> str:
    return f"    {text:<22} # {comment}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    # ", subsequent_indent="    #   ")


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return (
        text
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) and text not in YAML_WORDS
        else json.dumps(text)
    )
