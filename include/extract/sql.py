"""Names and texts as SQL, and how a text becomes a value of a record kind's type."""

from __future__ import annotations

from collections.abc import Mapping

# A time or date starts with a year of four digits; words such as `epoch` and `infinity` are DuckDB's own.
ISO = "substr({text}, 5, 1) in ('-', '/') and not contains({text}, '(')"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def texts(values: list[str] | tuple[str, ...]) -> str:
    """A list of texts as an SQL list."""
    return "[" + ", ".join(literal(value) for value in values) + "]::varchar[]"


def clean(text: str) -> str:
    """A text without white space around it, NULL when nothing is left.

    `trim` counts characters and costs more than parsing the JSON around it, so it runs only where it is needed.
    """
    return f"""case
        when {text} < '!' or suffix({text}, ' ') or suffix({text}, e'\\n') or suffix({text}, e'\\t')
            or suffix({text}, e'\\r') then nullif(trim({text}, e' \\t\\r\\n'), '')
        else {text}
    end"""


def as_text(value: str, sql_type: str) -> str:
    """A value of any DuckDB type as text: nested ones as JSON, whole numbers without a point."""
    if sql_type == "VARCHAR":
        return value
    if sql_type.endswith("]") or sql_type.startswith(NESTED):
        return f"to_json({value})::varchar"
    if sql_type in ("DOUBLE", "FLOAT"):
        return f"""case
            when {value} = trunc({value}) and abs({value}) < 1e15 then cast({value} as bigint)::varchar
            else {value}::varchar
        end"""
    return f"{value}::varchar"


def read_value(text: str, kind_type: str) -> str:
    """SQL that reads a clean text as a value of a type of `kinds.yml`; NULL when it cannot be read."""
    iso = ISO.format(text=text)
    if kind_type == "timestamp":
        # A cast to timestamp ignores an offset. One to timestamp with time zone costs four times as much, and reads a
        # time without a zone in the zone of a row before it (DuckDB 1.5.5).
        # Nor does it read ISO's form with an offset and without seconds.
        seconds = rf"regexp_replace({text}, '^(.{{10}}[T ]\d\d:\d\d)( ?[+A-Z-])', '\1:00\2')"
        return f"""case
            when {iso} then case
                when regexp_matches({text}, '^.{{10}}.+[+A-Ya-z-]')
                    then coalesce(try_cast({text} as timestamptz), try_cast({seconds} as timestamptz))::timestamp
                else coalesce(try_cast({text} as timestamp), try_cast({seconds} as timestamp))
            end
            else {_read_digits(text)}
        end"""
    if kind_type == "date":
        digits = _read_digits(text)
        return f"""case
            when {iso} and length({text}) <= 10 then try_cast({text} as date)
            when {iso} then try_cast({text} as timestamp)::date
            else cast({digits} as date)
        end"""
    if kind_type == "integer":
        return (
            rf"case when regexp_full_match({text}, '[+-]?[0-9]+(\.0*)?') then try_cast({text} as bigint) end"
        )
    if kind_type == "decimal":
        return f"case when regexp_full_match({text}, '{NUMBER}') then try_cast({text} as decimal(18, 4)) end"
    if kind_type == "double":
        number = f"try_cast({text} as double)"
        return f"case when regexp_full_match({text}, '{NUMBER}') and isfinite({number}) then {number} end"
    if kind_type == "boolean":
        return f"""case
            when lower({text}) in ('true', 't', 'yes', 'y', '1') then true
            when lower({text}) in ('false', 'f', 'no', 'n', '0') then false
        end"""
    if kind_type == "json":
        return f"case when json_valid({text}) then {text} end"
    if kind_type == "consent":
        # A consent string of the IAB (TCF or GPP) stands alone, without quotes; as a JSON string it is one type with
        # the objects that other platforms send.
        return f"""case
            when regexp_full_match({text}, '[CD][A-Za-z0-9_.~-]+') then concat('"', {text}, '"')
            when json_valid({text}) then {text}
        end"""
    return text


def with_times(query: str, names: Mapping[str, str]) -> str:
    """A query with texts read as times beside its own columns: new name to the text's SQL.

    A text is cleaned in a step of its own. What reads it names it twenty times, and to plan all of that takes longer
    than to land a small file.
    """
    cleaned = ", ".join(f"{clean(text)} as {identifier(name)}" for name, text in names.items())
    read = ", ".join(f"{read_value(identifier(name), 'timestamp')} as {identifier(name)}" for name in names)
    return f"select * replace ({read}) from (select *, {cleaned} from ({query}))"


def _read_digits(text: str) -> str:
    """Epoch seconds, milliseconds or microseconds by their number of digits, yyyymmdd or yyyymmddhhmmss."""
    return f"""case
        when regexp_full_match({text}, '[0-9]{{9,10}}(\\.[0-9]+)?')
            then make_timestamp(round(try_cast({text} as double) * 1000000)::bigint)
        when regexp_full_match({text}, '[0-9]{{12,13}}') then make_timestamp(try_cast({text} as bigint) * 1000)
        when regexp_full_match({text}, '[0-9]{{15,16}}') then make_timestamp(try_cast({text} as bigint))
        when regexp_full_match({text}, '[0-9]{{8}}') then try_strptime({text}, '%Y%m%d')
        when regexp_full_match({text}, '[0-9]{{14}}') then try_strptime({text}, '%Y%m%d%H%M%S')
    end"""
