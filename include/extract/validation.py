"""The contract of a record kind, checked for all rows at once in the engine.

An unreadable required value sends the row to quarantine; an unreadable optional one only the value, which becomes
NULL and is kept in `rejected_values`.
"""

from __future__ import annotations

from include.extract.formats.reading import IS_MALFORMED, RAW, ROW
from include.extract.kinds import TECHNICAL_COLUMNS, Column, Kind
from include.extract.specs.canonical import Canonical
from include.extract.sql import as_text, clean, identifier, literal, read_value, texts

REASON = "tandem_reason"


def checked(kind: Kind, canonical: Canonical, types: dict[str, str], party: str, source_file: str) -> str:
    """A query that gives the kind's landed columns with `tandem_raw` and `tandem_reason`: NULL for a good row,
    else every reason code, joined by `;`. What the kind counts, unless it is given, is counted over all rows of the
    file, also those that are refused, so that a row that is mended later changes no other's number.

    `types` are the DuckDB types of the canonical query's columns.
    """
    given = [column for column in kind.columns if column.name in canonical.columns]
    cleaned, values, rules = [], [], {}
    for column in given:
        text = _text(column.name)
        if f"{column.name}__text" in types:  # the spec has read it
            cleaned += [
                f"{clean(identifier(column.name + '__text'))} as {text}",
                f"{identifier(column.name)} as {_value(column.name)}",
            ]
        elif _is_native(column, types[column.name]):
            source = f"{column.name}__source"
            own = f"{identifier(column.name)}::varchar"
            cleaned += [
                f"{f'coalesce({own}, {clean(identifier(source))})' if source in types else own} as {text}",
                f"{identifier(column.name)}::{column.sql_type} as {_value(column.name)}",
            ]
        elif f"{column.name}__source" in types:
            own, failed_on = (
                clean(as_text(identifier(column.name), types[column.name])),
                f"{column.name}__source",
            )
            cleaned += [
                f"coalesce({own}, {clean(identifier(failed_on))}) as {text}",
                f"{own} as {identifier(column.name + '__own')}",
            ]
            values.append(f"{_read(column, identifier(column.name + '__own'))} as {_value(column.name)}")
        else:
            cleaned.append(f"{clean(as_text(identifier(column.name), types[column.name]))} as {text}")
            values.append(f"{_read(column, text)} as {_value(column.name)}")
        rule = _rule(column, may_fail=f"{column.name}__source" in types)
        if rule:
            rules[column.name] = rule
    bad = {name: identifier(f"{name}__bad") for name in rules}
    counted = None if kind.counted in canonical.columns else kind.counted
    required = [column for column in kind.columns if column.required and column.name != counted]
    optional = [column for column in given if not column.required and column.name in bad]
    landed = [
        *(f"{_count(kind, given) if column.name == counted else _landed(column, column in given, bad.get(column.name))}"
          f" as {identifier(column.name)}" for column in kind.columns),
        f"attributes::{TECHNICAL_COLUMNS['attributes']} as attributes",
        f"{_rejected(optional, bad)} as rejected_values",
        f"{literal(party)} as party",
        f"{literal(source_file)} as source_file",
        f"{ROW} as source_row",
        RAW,
        f"{_reason(required, given, bad)} as {REASON}",
    ]  # fmt: skip
    return f"""
        select {_lines(landed)}
        from (
            select *{"".join(f", {rule} as {bad[name]}" for name, rule in rules.items())}
            from (
                select *{"".join(f", {value}" for value in values)}
                from (
                    select {ROW}, {RAW}, {IS_MALFORMED}, attributes{"".join(f", {item}" for item in cleaned)}
                    from ({canonical.query})
                )
            )
        )
        {f"order by {ROW}" if counted else ""}
    """


def _read(column: Column, text: str) -> str:
    """SQL that reads a clean text as a value of the column; of one of few words case and hyphens do not count."""
    known = column.allowed or tuple(dict.fromkeys(meant for _, meant in column.words))
    if not known:
        return read_value(text, column.type)
    word = f"regexp_replace(lower({text}), '[ -]', '_', 'g')"
    others = " ".join(f"when {literal(other)} then {literal(meant)}" for other, meant in column.words)
    # Most texts are such a word already, and need no more.
    return f"""case
        when list_contains({texts(known)}, {text}) then {text}
        else {f"case {word} {others} else {word} end" if others else word}
    end"""


def _rule(column: Column, may_fail: bool) -> str | None:
    """SQL that gives the reason why a value that is there cannot stay, NULL when it can; None without any rule."""
    text, value = _text(column.name), _value(column.name)
    cases = []
    if column.type != "string" or may_fail:
        cases.append(f"when {value} is null then 'unreadable'")
    if column.allowed:
        cases.append(f"when not list_contains({texts(column.allowed)}, {value}) then 'not_allowed'")
    bounds = []
    if column.min is not None:
        bounds.append(f"{value} < {_bound(column, column.min)}")
    if column.max is not None:
        bounds.append(f"{value} > {_bound(column, column.max)}")
    if bounds:
        cases.append(f"when {' or '.join(bounds)} then 'out_of_range'")
    return f"case when {text} is null then null {' '.join(cases)} end" if cases else None


def _count(kind: Kind, given: list[Column]) -> str:
    key = ", ".join(_text(column.name) for column in given if column.name in kind.key)
    return f"row_number() over (partition by {key} order by {ROW})"


def _landed(column: Column, is_given: bool, rule: str | None) -> str:
    if not is_given:
        return f"null::{column.sql_type}"
    value = _value(column.name)
    has_limits = bool(column.allowed) or column.min is not None or column.max is not None
    if rule is not None and has_limits and not column.required:
        return f"case when ({rule}) is null then {value} end"
    return value


def _rejected(optional: list[Column], bad: dict[str, str]) -> str:
    empty = f"map()::{TECHNICAL_COLUMNS['rejected_values']}"
    if not optional:
        return empty
    is_bad = " or ".join(f"({bad[column.name]}) is not null" for column in optional)
    entries = ", ".join(
        f"{{'key': {literal(column.name)}, 'value': case when ({bad[column.name]}) is not null"
        f" then {_text(column.name)} end}}"
        for column in optional
    )
    return f"""case
            when {is_bad}
                then map_from_entries(list_filter([{entries}], lambda entry: entry.value is not null))
            else {empty}
        end"""


def _reason(required: list[Column], given: list[Column], bad: dict[str, str]) -> str:
    parts = []
    for column in required:
        if column not in given:
            parts.append(literal(f"missing:{column.name}"))
            continue
        missing = f"case when {_text(column.name)} is null then {literal(f'missing:{column.name}')}"
        rule = f" else ({bad[column.name]}) || {literal(f':{column.name}')}" if column.name in bad else ""
        parts.append(f"{missing}{rule} end")
    joined = f"nullif(concat_ws(';', {', '.join(parts)}), '')" if parts else "null::varchar"
    return f"case when {IS_MALFORMED} then 'malformed' else {joined} end"


def _bound(column: Column, bound: str | int | float) -> str:
    return f"{column.sql_type} {literal(str(bound))}" if isinstance(bound, str) else str(bound)


def _is_native(column: Column, sql_type: str) -> bool:
    """Times that a source delivers as times; one with a zone becomes UTC, which the session's zone is."""
    is_time = sql_type.startswith(("TIMESTAMP", "DATE"))
    return is_time and column.type in ("timestamp", "date")


def _text(name: str) -> str:
    return identifier(f"{name}__clean")


def _value(name: str) -> str:
    return identifier(f"{name}__value")


def _lines(items: list[str]) -> str:
    return ",\n            ".join(items)
