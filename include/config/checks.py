"""What has to agree between the keys of a file: looked at in the values as written, so that every problem shows
even when another key of the same entry is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
from sqlglot.errors import TokenError
from sqlglot.tokens import Tokenizer, TokenType

from include.activate.formats import formats
from include.config.conditions import (
    OCCASION_COLUMNS,
    PRODUCT_COLUMNS,
    TIMELINE_COLUMNS,
    Condition,
    ConditionError,
    check_source,
    compile_customer_condition,
    compile_event_condition,
    compile_row_condition,
    compile_row_value,
    compile_source,
    compile_visitor_condition,
    engine,
    text_literal,
)
from include.config.document import Document, KeyPath
from include.config.errors import Problem, refusal, refusal_of
from include.config.features import ALLOWED, NEEDED, OPTIONS, SOURCES, TEXTS, source_columns
from include.config.schema import (
    CONTACTS,
    PATH_PLACEHOLDERS,
    Destination,
    FolderDelivery,
    HttpDelivery,
    Privacy,
)
from include.extract.kinds import Kind, kinds
from include.settings import settings

CSV_OPTIONS = ("delimiter", "quote", "escape", "header", "null_values")
TEXT_OPTIONS = ("encoding",)
DOCUMENT_OPTIONS = ("records",)
UNPIVOTED = ("trait", "value")
# What people stay in until they are taken out, by the way there; files in a folder are new ones each time.
KEPT_IN = {"table": "table", "http": "list"}
# The formats that each spec reads; what a database gives is read like Parquet.
SPEC_FORMATS = {
    "mapped": ("csv", "jsonl", "json", "parquet"),
    "segment": ("jsonl", "json", "csv", "parquet"),
    "ga4": ("parquet", "jsonl", "json"),
    "snowplow": ("csv", "parquet", "jsonl", "json"),
    "apache_combined": ("text",),
}


def check_channels(document: Document) -> Iterator[Problem]:
    """What a channel maps against what its kind has, and whether its SQL can be evaluated."""
    for name, channel in _entries(document.data, "channels"):
        path = ("channels", name)
        if not isinstance(channel, dict):
            continue
        kind = kinds().get(channel.get("kind")) if isinstance(channel.get("kind"), str) else None
        if kind is not None:
            yield from _check_columns(document, path, channel, kind)
        yield from _check_format(document, path, channel)
        yield from _check_options(document, path, channel)
        for column, entry in _entries(channel, "map"):
            sql = entry.get("sql") if isinstance(entry, dict) else None
            reason = _source_reason(sql) if isinstance(sql, str) else None
            if reason:
                yield document.problem((*path, "map", column, "sql"), reason)


def _check_columns(document: Document, path: KeyPath, channel: dict, kind: Kind) -> Iterator[Problem]:
    columns = [column.name for column in kind.columns]
    mapped, unpivot = dict(_entries(channel, "map")), channel.get("unpivot")
    for column in mapped:
        if column not in columns:
            yield document.problem((*path, "map", column), refusal_of(column, columns, "the column"))
    spec = channel.get("spec")
    if spec in SPEC_FORMATS and spec != "mapped" and kind.name != "events":
        yield document.problem((*path, "spec"), refusal(spec, f"mapped for the kind {kind.name}"))
    if unpivot is not None:
        if kind.name != "traits":
            yield document.problem(
                (*path, "unpivot"), f"found with the kind {kind.name}, allowed: with traits"
            )
        for column in UNPIVOTED:
            if column in mapped:
                message = refusal(column, "no entry, because unpivot fills trait and value")
                yield document.problem((*path, "map", column), message)
    if channel.get("spec") == "mapped" and isinstance(channel.get("map", {}), dict):
        filled = {*mapped, *(UNPIVOTED if unpivot is not None else ())}
        source = channel.get("source")
        # With a watermark single lines are delivered, out of their order: they cannot be counted.
        if isinstance(source, dict) and "watermark" not in source:
            filled.add(kind.counted)
        required = [column.name for column in kind.columns if column.required]
        missing = [column for column in required if column not in filled]
        if missing:
            message = f"found no {', '.join(missing)}, allowed: a map with {', '.join(required)}"
            yield document.problem((*path, "map"), message)


def _check_format(document: Document, path: KeyPath, channel: dict) -> Iterator[Problem]:
    """Whether the spec can read what the source delivers."""
    spec, source = channel.get("spec"), channel.get("source")
    formats = SPEC_FORMATS.get(spec) if isinstance(spec, str) else None
    if formats is None or not isinstance(source, dict):
        return
    delivered = source.get("format")
    if source.get("connector") == "sql" and "parquet" not in formats:
        yield document.problem((*path, "source", "connector"), refusal("sql", f"file with the spec {spec}"))
    elif any(delivered in others for others in SPEC_FORMATS.values()) and delivered not in formats:
        allowed = f"{', '.join(formats)} with the spec {spec}"
        yield document.problem((*path, "source", "format"), refusal(delivered, allowed))


def _check_options(document: Document, path: KeyPath, channel: dict) -> Iterator[Problem]:
    source = channel.get("source")
    if not isinstance(source, dict):
        return
    not_for = {
        "csv": DOCUMENT_OPTIONS,
        "jsonl": CSV_OPTIONS + DOCUMENT_OPTIONS,
        "json": CSV_OPTIONS,
        "text": CSV_OPTIONS + DOCUMENT_OPTIONS,
        "parquet": CSV_OPTIONS + TEXT_OPTIONS + DOCUMENT_OPTIONS,
    }.get(str(source.get("format")), ())
    for option in not_for:
        if option in source:
            message = f"found with the format {source['format']}, allowed: with {_formats_of(option)}"
            yield document.problem((*path, "source", option), message)
    if source.get("connector") == "sql":
        yield from _check_sql(document, path, channel, source)
        return
    if source.get("quote") == "" and "escape" in source:
        message = "found without a quote, allowed: with one, because it escapes the quote only"
        yield document.problem((*path, "source", "escape"), message)
    if "connection" in source and "://" not in str(source.get("path")):
        message = "found with a path of this machine, allowed: with s3://, gs:// and az://"
        yield document.problem((*path, "source", "connection"), message)


def _check_sql(document: Document, path: KeyPath, channel: dict, source: dict) -> Iterator[Problem]:
    """A database has no days and no missing files: a watermark says what is new, and a table is there or not."""
    for option in ("table", "query", "where"):
        text = source.get(option)
        if not isinstance(text, str):
            continue
        placeholder = next((item for item in PATH_PLACEHOLDERS if item in text), None)
        if placeholder:
            message = refusal(
                placeholder, "SQL as the database reads it; a watermark limits a read to its day"
            )
            yield document.problem((*path, "source", option), message)
        if option == "query":
            text = text.strip().rstrip(";")
        if option != "table" and _holds_semicolon(text):
            allowed = "one query" if option == "query" else "one condition"
            yield document.problem((*path, "source", option), refusal(";", allowed))
    if "lookback_days" in source and not source.get("watermark"):
        message = "found without a watermark, allowed: with one, because without one all rows are read"
        yield document.problem((*path, "source", "lookback_days"), message)
    if source.get("watermark") and channel.get("delivery") == "snapshot":
        message = "found with delivery: snapshot, allowed: without it, because a snapshot is all rows"
        yield document.problem((*path, "source", "watermark"), message)
    if channel.get("required") is False:
        message = "found false with the connector sql, allowed: with file; a day without rows is no failure of a table"
        yield document.problem((*path, "required"), message)


def _holds_semicolon(sql: str) -> bool:
    """Whether a semicolon, outside of quotes and comments, ends a statement."""
    try:
        return any(token.token_type == TokenType.SEMICOLON for token in Tokenizer().tokenize(sql))
    except TokenError:
        return False  # the database will say what it cannot read


def _formats_of(option: str) -> str:
    if option in DOCUMENT_OPTIONS:
        return "json"
    return "csv" if option in CSV_OPTIONS else "csv, jsonl, json and text"


def _source_reason(sql: str) -> str | None:
    try:
        compile_source(sql)
    except ConditionError:
        return None  # the schema reports what is not on the allow-list
    try:
        check_source(sql)
    except ConditionError as error:
        return str(error)
    return None


def check_identity(document: Document) -> Iterator[Problem]:
    """Priorities differ, and every pattern is one that DuckDB can match."""
    by_priority: dict[int, str] = {}
    for name, rules in _entries(document.data, "id_types"):
        if not isinstance(rules, dict):
            continue
        path, priority = ("id_types", name), rules.get("priority")
        if isinstance(priority, int):
            other = by_priority.setdefault(priority, name)
            if other != name:
                message = refusal(priority, f"a priority of its own, {other} has this one")
                yield document.problem((*path, "priority"), message)
        yield from _check_patterns(document, path, rules)
    yield from _check_patterns(document, (), document.data)


def _check_patterns(document: Document, path: KeyPath, rules: dict) -> Iterator[Problem]:
    patterns = [
        ((*path, "blocked_patterns", index), item) for index, item in _items(rules, "blocked_patterns")
    ]
    for where, pattern in [*patterns, ((*path, "valid_pattern"), rules.get("valid_pattern"))]:
        if not isinstance(pattern, str):
            continue
        try:
            engine().execute(f"select regexp_matches('', {text_literal(pattern)})").fetchall()
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            yield document.problem(where, refusal(pattern, f"a regular expression (RE2): {reason}"))


def check_profile(document: Document, channels: tuple[str, ...]) -> Iterator[Problem]:
    """The channels that rules of survivorship name exist, and each attribute has rules that it can have."""
    attributes = _entries(document.data, "attributes")
    for name, rules in [("", document.data), *attributes]:
        path: KeyPath = ("attributes", name) if name else ()
        for index, rule in _items(rules, "rules"):
            if rule == "most_complete" and name != "address":
                yield document.problem((*path, "rules", index), "found most_complete, allowed: with address")
        if name and name not in CONTACTS and isinstance(rules, dict) and rules.get("verified_by"):
            message = f"found with {name}, allowed: with {' and '.join(CONTACTS)}"
            yield document.problem((*path, "verified_by"), message)
        for key in ("source_priority", "verified_channels"):
            for index, channel in _items(rules, key):
                if isinstance(channel, str) and channel not in channels:
                    message = refusal_of(channel, channels, "the channel")
                    yield document.problem((*path, key, index), f"{message}; see channels.yml")


def check_features(
    document: Document,
    taken: tuple[str, ...],
    columns: tuple[str, ...],
) -> Iterator[Problem]:
    """Each feature has what its measure needs and no more, its expressions compile, and its name is its own.

    `taken` are the features of the project, empty for its own file; `columns` those that conditions know already.
    """
    for name, rule in _entries(document.data, "features"):
        path = ("features", name)
        if taken and name in (*taken, *columns):
            yield document.problem(path, refusal(name, "a name that no feature or column has yet"))
        if not isinstance(rule, dict):
            continue
        measure, over = rule.get("measure"), rule.get("over")
        if taken and measure in TEXTS:
            message = refusal(measure, "a measure that is a number, for a feature of your own")
            yield document.problem((*path, "measure"), message)
        if isinstance(measure, str) and measure in {**ALLOWED, **NEEDED}:
            yield from _check_options_of(document, path, rule, measure)
        if isinstance(over, str) and over in SOURCES:
            yield from _check_expressions(document, path, rule, source_columns(over))


def _check_options_of(document: Document, path: KeyPath, rule: dict, measure: str) -> Iterator[Problem]:
    needed, allowed = NEEDED.get(measure, ()), ALLOWED.get(measure, ())
    for option in needed:
        if rule.get(option) is None:
            yield document.problem(path, f"found no {option}, allowed: {measure} with {' and '.join(needed)}")
    for option in OPTIONS:
        if option in rule and option not in (*needed, *allowed):
            words = ", ".join((*needed, *allowed)) or "nothing more"
            yield document.problem((*path, option), f"found with {measure}, allowed: {measure} with {words}")


def _check_expressions(
    document: Document,
    path: KeyPath,
    rule: dict,
    columns: Mapping[str, str],
) -> Iterator[Problem]:
    for option in ("of", "per", "by", "where"):
        text = rule.get(option)
        if not isinstance(text, str):
            continue
        try:
            if option == "where":
                compile_row_condition(text, columns)
            else:
                _require_kind(option, text, compile_row_value(text, columns)[1], rule)
        except ConditionError as error:
            for reason in error.reasons:
                yield document.problem((*path, option), reason)


def _require_kind(option: str, text: str, kind: str, rule: dict) -> None:
    """Raise ConditionError when a sum is asked of what is no number, or groups of what is no text."""
    is_text = option == "by" or rule.get("measure") == "most_frequent"
    if is_text and kind != "VARCHAR":
        raise ConditionError([refusal(text, f"a text; this is {kind.lower()}")])
    is_number = kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")) or kind.endswith("INT") or kind == "INTEGER"
    if not is_text and rule.get("measure") != "distinct" and not is_number:
        raise ConditionError([refusal(text, f"a number; this is {kind.lower()}")])


def check_audiences(
    document: Document,
    customer_columns: Mapping[str, str],
    destinations: Mapping[str, Destination] | None,
    own_features: tuple[str, ...],
) -> Iterator[Problem]:
    """Ids differ, conditions compile, destinations exist and can take the members; without `destinations`, where these
    are wrong themselves, nothing is said of them."""
    yield from check_ids(document, "traits")
    yield from check_ids(document, "audiences")
    for index, trait in _items(document.data, "traits"):
        if isinstance(trait, dict) and isinstance(trait.get("where"), str):
            found = _try(compile_event_condition, trait["where"])
            yield from _reasons(document, ("traits", index, "where"), found)
    yield from _check_folders(document)
    same_side = {side: _conditions_of(document, side) for side in ("cdp", "dmp")}
    for index, audience in _items(document.data, "audiences"):
        if not isinstance(audience, dict):
            continue
        path, where = ("audiences", index), audience.get("where")
        if isinstance(where, str) and audience.get("side") == "cdp":
            found = _try(
                lambda where: compile_customer_condition(
                    where, customer_columns, own_features, same_side["cdp"]
                ),
                where,
            )
            yield from _reasons(document, (*path, "where"), found)
        if isinstance(where, str) and audience.get("side") == "dmp":
            found = _try(lambda where: compile_visitor_condition(where, same_side["dmp"]), where)
            yield from _reasons(document, (*path, "where"), found)
        for position, name in _items(audience, "destinations"):
            if isinstance(name, str) and destinations is not None:
                for reason in _unreachable(audience, name, destinations):
                    yield document.problem(
                        (*path, "destinations", position), f"{reason}; see destinations.yml"
                    )
    if destinations is not None:
        yield from _check_shared_places(document, destinations)


def _check_shared_places(document: Document, destinations: Mapping[str, Destination]) -> Iterator[Problem]:
    """No two destinations have the same people in the same table or list: who leaves one is taken out of it, though
    the other still has them."""
    taken: dict[tuple[object, ...], str] = {}
    for index, audience in _items(document.data, "audiences"):
        for position, name in _items(audience, "destinations"):
            destination = destinations.get(name) if isinstance(name, str) else None
            if destination is None or not isinstance(audience.get("id"), str):
                continue
            way, *place = destination.place_of(audience["id"]) or [""]
            if way not in KEPT_IN:
                continue
            if way == "table":
                place.append(audience["id"])
            for side in destination.layout.takes:
                first = taken.setdefault((way, *place, destination.layout.columns, side), name)
                if first != name:
                    message = (
                        f"found the {KEPT_IN[way]} {place[0]} of {first} for {name}, allowed: one of its own, for each "
                        "takes out who is not in it; see destinations.yml"
                    )
                    yield document.problem(("audiences", index, "destinations", position), message)
                    break


def _unreachable(
    audience: dict[str, Any], name: str, destinations: Mapping[str, Destination]
) -> Iterator[str]:
    """Why an audience cannot be sent to a destination."""
    destination = destinations.get(name)
    if destination is None:
        yield refusal_of(name, destinations, "the destination")
        return
    layout = destination.layout
    if audience.get("side") == "cdp" and "cdp" not in layout.takes and not audience.get("lookalike"):
        yield f"found customers for {name}, allowed: an audience of visitors or with look-alikes, by its sides"
    if audience.get("side") == "dmp" and "dmp" not in layout.takes:
        able = ", ".join(each.name for each in formats().values() if "dmp" in each.takes)
        yield (
            f"found visitors for {name}, whose format {layout.name} knows people by what only customers have; "
            f"allowed: a destination with the format {able}"
        )
    names_lists = isinstance(destination.deliver, HttpDelivery) and layout.http.body != "rows"
    if names_lists and audience.get("id") not in destination.lists:
        yield f"found no list of {name} for the audience, allowed: its id at the platform, in lists"


def check_destinations(
    document: Document, privacy: Privacy, destinations: Iterable[Destination], folder: Path
) -> Iterator[Problem]:
    """Ids differ, what they ask consent for has a meaning, and no file takes the place of another one's."""
    yield from check_ids(document, "destinations")
    taken: dict[tuple[Path, str], str] = {}
    for index, destination in enumerate(destinations):
        delivery, name = destination.deliver, destination.destination_id
        if isinstance(delivery, FolderDelivery) and delivery.send == "full":
            place = delivery.seen_from(folder, settings().data), destination.layout.file
            first = taken.setdefault(place, name)
            if first != name:
                message = (
                    f"found the folder of {first}, whose files have the same names; allowed: one of its own"
                )
                yield document.problem(("destinations", index, "deliver", "path"), message)
    for index, destination in _items(document.data, "destinations"):
        for position, purpose in _items(destination, "purposes"):
            if isinstance(purpose, str) and purpose not in privacy.purposes:
                message = refusal_of(purpose, privacy.purposes, "the purpose")
                path = ("destinations", index, "purposes", position)
                yield document.problem(path, f"{message}; see privacy.yml")


def _conditions_of(document: Document, side: str) -> dict[str, str]:
    """The conditions of the audiences of one side, right or wrong, by id: those that audiences of it may name."""
    return {
        audience["id"]: audience["where"]
        for _, audience in _items(document.data, "audiences")
        if isinstance(audience, dict)
        and audience.get("side") == side
        and isinstance(audience.get("id"), str)
        and isinstance(audience.get("where"), str)
    }


def _check_folders(document: Document) -> Iterator[Problem]:
    """A folder has no trait's name, for a condition could not tell them apart, and holds no rule from outside."""
    rules = {
        item["id"]
        for _, item in _items(document.data, "traits")
        if isinstance(item, dict) and isinstance(item.get("id"), str)
    }
    for index, trait in _items(document.data, "traits"):
        folder = trait.get("folder") if isinstance(trait, dict) else None
        if isinstance(folder, str) and folder.split("/")[0] in rules:
            name = folder.split("/")[0]
            message = refusal(name, "a folder whose name no trait has")
            yield document.problem(("traits", index, "folder"), message)
    for folder, traits in _entries(document.data, "folders"):
        if isinstance(folder, str) and folder.split("/")[0] in rules:
            message = refusal(folder.split("/")[0], "a folder whose name no trait has")
            yield document.problem(("folders", folder), message)
        for index, trait_id in enumerate(traits if isinstance(traits, list) else []):
            if trait_id in rules:
                message = refusal(trait_id, "a trait of another party; a rule says `folder:` itself")
                yield document.problem(("folders", folder, index), message)


def check_models(document: Document, customer_columns: Mapping[str, str]) -> Iterator[Problem]:
    """Ids differ; the conditions of labels, of rules for actions and of what may be recommended to whom compile."""
    yield from check_ids(document, "propensities")
    columns = {**customer_columns, **OCCASION_COLUMNS}
    actions = document.data.get("actions")
    yield from check_ids(document, "actions", "rules")
    for index, rule in _items(actions, "rules"):
        if isinstance(rule, dict) and isinstance(rule.get("when"), str):
            found = _try(lambda when: compile_customer_condition(when, columns), rule["when"])
            yield from _reasons(document, ("actions", "rules", index, "when"), found)
    for index, propensity in _items(document.data, "propensities"):
        label = propensity.get("label") if isinstance(propensity, dict) else None
        where = label.get("where") if isinstance(label, dict) else None
        if isinstance(where, str):
            found = _try(lambda where: compile_row_condition(where, TIMELINE_COLUMNS), where)
            yield from _reasons(document, ("propensities", index, "label", "where"), found)
    section = document.data.get("recommendation") if isinstance(document.data, dict) else None
    path = ("recommendation",)
    for index, text in _items(section, "exclude"):
        if isinstance(text, str):
            found = _try(lambda text: compile_row_condition(text, PRODUCT_COLUMNS), text)
            yield from _reasons(document, (*path, "exclude", index), found)
    for index, rule in _items(section, "only_for"):
        for key, columns in (("products", PRODUCT_COLUMNS), ("customers", customer_columns)):
            text = rule.get(key) if isinstance(rule, dict) else None
            if isinstance(text, str):
                found = _try(lambda text, columns=columns: compile_row_condition(text, columns), text)
                yield from _reasons(document, (*path, "only_for", index, key), found)


def check_placements(document: Document, event_days: int) -> Iterator[Problem]:
    """Placements look back no further than privacy.yml keeps events: of the days before nothing would be counted."""
    section = document.data.get("placements")
    window = section.get("window_days") if isinstance(section, dict) else None
    if isinstance(window, int) and window > event_days:
        allowed = f"at most {event_days} days; privacy.yml keeps events no longer (event_days)"
        yield document.problem(("placements", "window_days"), refusal(window, allowed))


def check_ids(document: Document, *path: str) -> Iterator[Problem]:
    """The ids of the list at `path` differ."""
    *parents, key = path
    data = document.data
    for parent in parents:
        data = data.get(parent) if isinstance(data, dict) else None
    first: dict[str, int] = {}
    for index, item in _items(data, key):
        name = item.get("id") if isinstance(item, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            line = document.line((*path, first[name], "id"))
            yield document.problem(
                (*path, index, "id"), refusal(name, f"an id of its own, line {line} has this one")
            )


def _try(compile_text: Callable[[str], Condition], text: str) -> Condition | ConditionError:
    try:
        return compile_text(text)
    except ConditionError as error:
        return error


def _reasons(document: Document, path: KeyPath, found: Condition | ConditionError) -> Iterator[Problem]:
    if isinstance(found, ConditionError):
        for reason in found.reasons:
            yield document.problem(path, reason)


def _entries(data: Any, key: str) -> list[tuple[str, Any]]:
    value = data.get(key) if isinstance(data, dict) else None
    return list(value.items()) if isinstance(value, dict) else []


def _items(data: Any, key: str) -> list[tuple[int, Any]]:
    value = data.get(key) if isinstance(data, dict) else None
    return list(enumerate(value)) if isinstance(value, list) else []
