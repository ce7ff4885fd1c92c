"""A statement in DuckDB's dialect, said in Spark's: the one place that knows how the two differ.

sqlglot translates what has another name or another place. The rewrites here are for what has the same name and means
something else, or has no counterpart: there the same rows have to come out, down to ties, nulls and rounding. What
the translation cannot carry over without changing its meaning is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import sqlglot
from sqlglot import exp

# What Spark has no function for, said once in a session. Both engines take the same arguments.
FUNCTIONS = (
    """
    create or replace temporary function list_median(numbers array<double>) returns double return
    case when size(numbers) > 0 then (
        get(array_sort(numbers), int((size(numbers) - 1) div 2)) + get(array_sort(numbers), int(size(numbers) div 2))
    ) / 2 end
    """,
    """
    create or replace temporary function list_stddev_samp(numbers array<double>) returns double return
    case when size(numbers) > 1 then sqrt(
        aggregate(
            numbers,
            double(0),
            (total, number) -> total + power(
                number - aggregate(numbers, double(0), (sum, value) -> sum + value) / size(numbers), 2
            )
        ) / (size(numbers) - 1)
    ) end
    """,
    """
    create or replace temporary function histogram_of(texts array<string>) returns map<string, bigint> return
    map_from_entries(
        transform(
            array_sort(array_distinct(texts)),
            text -> struct(text as key, bigint(size(filter(texts, other -> other = text))) as value)
        )
    )
    """,
)

MICROSECONDS = {"SECOND": 1_000_000, "MINUTE": 60_000_000, "HOUR": 3_600_000_000}


@lru_cache(maxsize=1024)
def translated(query: str) -> str:
    """A query in Spark's dialect. Raises sqlglot's UnsupportedError when there is nothing that means the same."""
    return spark_sql(rewritten(sqlglot.parse_one(query, read="duckdb")))


def spark_sql(tree: exp.Expression) -> str:
    """The text of a rewritten statement."""
    return tree.sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)


def rewritten(tree: exp.Expression) -> exp.Expression:
    """The statement with all that Spark would take otherwise said in its own words; inner parts first."""
    for node in reversed(list(tree.walk())):
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node)
        rewrite = REWRITES.get(name)
        if rewrite is not None:
            new = rewrite(node)
            if new is not node:
                if node is tree:
                    tree = new
                else:
                    node.replace(new)
    return tree


def _call(name: str, *arguments: exp.Expression | str) -> exp.Expression:
    """A function of Spark that sqlglot hands on as it is."""
    return exp.Anonymous(this=name, expressions=[exp.maybe_parse(each, dialect="spark") for each in arguments])


def _number(value: int) -> exp.Literal:
    return exp.Literal.number(value)


def _parquet(node: exp.Table) -> exp.Expression:
    """A file without its `hive_partitioning` option: Spark looks for partitions in folders only."""
    if not isinstance(node.this, exp.ReadParquet):
        return node
    path = node.this.expressions[0].this
    table = exp.Table(this=exp.to_identifier(path, quoted=True), db=exp.to_identifier("parquet"))
    table.set("alias", node.args.get("alias"))
    for name in ("joins", "pivots", "laterals"):
        if node.args.get(name):
            table.set(name, node.args[name])
    return table


def _md5_number(node: exp.Anonymous) -> exp.Expression:
    """DuckDB reads the sixteen bytes from the last to the first; only so do both engines order keys alike."""
    return exp.func("unhex", _reversed_bytes(exp.func("md5", *node.expressions)))


def _md5_number_upper(node: exp.Anonymous) -> exp.Expression:
    first = _reversed_bytes(_call("substr", exp.func("md5", *node.expressions), _number(1), _number(16)))
    return exp.cast(_call("conv", first, _number(16), _number(10)), "decimal(20, 0)")


def _reversed_bytes(digest: exp.Expression) -> exp.Expression:
    pair, swapped = exp.Literal.string("(.)(.)"), exp.Literal.string("$2$1")
    return exp.func("regexp_replace", exp.func("reverse", digest), pair, swapped)


def _regexp_like(node: exp.Expression) -> exp.Expression:
    """Java ignores the case of ASCII letters only, unless told otherwise."""
    pattern = node.expression
    if isinstance(pattern, exp.Literal) and pattern.this.startswith("(?i)"):
        pattern.set("this", "(?iu)" + pattern.this.removeprefix("(?i)"))
    return node


def _regexp_full_match(node: exp.RegexpFullMatch) -> exp.Expression:
    pattern = node.expression
    if isinstance(pattern, exp.Literal):
        whole = exp.Literal.string(rf"\A(?:{pattern.this})\z")
    else:
        whole = _call("concat", exp.Literal.string(r"\A(?:"), pattern, exp.Literal.string(r")\z"))
    return _regexp_like(exp.RegexpLike(this=node.this, expression=whole))


def _regexp_replace(node: exp.RegexpReplace) -> exp.Expression:
    """Spark always replaces all that it finds, and names groups `$1`."""
    replacement = node.args.get("replacement")
    text = replacement.this if isinstance(replacement, exp.Literal) else ""
    found, modifiers = node.expression, node.args.get("modifiers")
    if modifiers is None or "g" not in modifiers.this:
        if not isinstance(found, exp.Literal) or re.search(r"\(\?", found.this.replace("(?:", "")):
            raise sqlglot.UnsupportedError(f"the first match of a pattern that is not a literal: {node.sql()}")
        # The first match with all before it: a pattern at the beginning of the text matches once.
        if not found.this.startswith("^"):
            text = re.sub(r"\\(\d)", lambda group: f"\\{int(group[1]) + 1}", text)
            found, text = exp.Literal.string(rf"\A((?s:.*?))(?:{found.this})"), rf"\1{text}"
    if isinstance(replacement, exp.Literal):
        replacement = exp.Literal.string(re.sub(r"\\(\d)", r"$\1", text.replace("$", r"\$")))
    return _call("regexp_replace", node.this, found, replacement)


def _regexp_extract(node: exp.RegexpExtract) -> exp.Expression:
    """Without a group DuckDB gives the whole match and Spark the first group."""
    group = node.args.get("group") or _number(0)
    return _call("regexp_extract", node.this, node.expression, group)


def _divided(node: exp.Div) -> exp.Expression:
    """DuckDB divides in floats, whatever it divides; Spark divides decimals in decimals."""
    if isinstance(node.this, exp.Cast) and node.this.to.this in exp.DataType.FLOAT_TYPES:
        return node
    return exp.Div(this=exp.cast(exp.paren(node.this, copy=False), "double"), expression=node.expression)


def _avg(node: exp.Avg) -> exp.Expression:
    if not isinstance(node.this, exp.Distinct):
        node.set("this", exp.cast(node.this, "double"))
    return node


def _date_diff(node: exp.DateDiff) -> exp.Expression:
    """DuckDB counts the bounds between two times, Spark the whole units."""
    unit = (node.unit.name if node.unit else "DAY").upper()
    start, end = node.expression, node.this
    if unit == "DAY":
        days = exp.func("date_diff", exp.cast(end, "date"), exp.cast(start, "date"), dialect="spark")
        return exp.cast(_call("datediff", exp.cast(end, "date"), exp.cast(start, "date")), "bigint") if days else node
    if unit in MICROSECONDS:
        return exp.paren(exp.Sub(this=_units(end, MICROSECONDS[unit]), expression=_units(start, MICROSECONDS[unit])))
    if unit in ("MONTH", "YEAR"):
        return exp.cast(exp.paren(exp.Sub(this=_months(end, unit), expression=_months(start, unit))), "bigint")
    raise sqlglot.UnsupportedError(f"date_diff in {unit}")


def _units(time: exp.Expression, size: int) -> exp.Expression:
    micros = _epoch_us(_call("epoch_us", time))
    return exp.IntDiv(
        this=exp.paren(exp.Sub(this=micros, expression=_call("pmod", micros.copy(), _number(size)))),
        expression=_number(size),
    )


def _months(time: exp.Expression, unit: str) -> exp.Expression:
    year = _call("year", time.copy())
    if unit == "YEAR":
        return year
    return exp.paren(
        exp.Add(this=exp.Mul(this=year, expression=_number(12)), expression=_call("month", time.copy()))
    )


def _epoch_us(node: exp.Anonymous) -> exp.Expression:
    return _call("unix_micros", _zoned(node.expressions[0]))


def _zoned(time: exp.Expression) -> exp.Expression:
    """A time as Spark's instant; a session's zone is UTC."""
    return exp.Cast(this=time.copy(), to=exp.DataType.build("timestampltz", dialect="spark"))


def _make_timestamp(node: exp.UnixToTime) -> exp.Expression:
    return exp.cast(_call("timestamp_micros", node.this), "timestamp_ntz", dialect="spark")


def _arg(name: str) -> Callable[[exp.Expression], exp.Expression]:
    """DuckDB passes over rows without a value to give, Spark only over those without one to compare."""

    def rewrite(node: exp.Expression) -> exp.Expression:
        value, by = node.this, node.expression
        if value.sql() != by.sql():
            by = exp.Case().when(exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null())), by)
        return _call(name, value, by)

    return rewrite


def _explode(node: exp.Explode) -> exp.Expression:
    """Structs of which each field becomes a column."""
    return _call("inline", node.this) if node.expressions else node


def _bracket(node: exp.Bracket) -> exp.Expression:
    """A place outside of a list is null. (sqlglot counts from zero.)"""
    (place,) = node.expressions
    if isinstance(place, exp.Slice):
        return _slice(node.this, place)
    if place.is_int:
        return _call("get", node.this, place)
    return node


def _slice(values: exp.Expression, place: exp.Slice) -> exp.Expression:
    begin, end = place.this, place.expression
    size = _call("size", values.copy())
    first = begin or _number(1)
    if end is None:
        last = size
    elif isinstance(end, exp.Neg):
        last = exp.paren(exp.Sub(this=size, expression=_number(int(end.this.this) - 1)))
    else:
        last = end
    length = _call("greatest", exp.Add(this=exp.Sub(this=last, expression=first.copy()), expression=_number(1)), "0")
    return _call("slice", values, first, length)


def _list_slice(node: exp.Anonymous) -> exp.Expression:
    values, first, last = node.expressions
    return _slice(values, exp.Slice(this=first, expression=last))


def _list_resize(node: exp.Anonymous) -> exp.Expression:
    values, size, filler = node.expressions
    missing = _call("greatest", exp.Sub(this=exp.paren(size), expression=_call("size", values.copy())), "0")
    filled = _call("concat", values, _call("array_repeat", filler, exp.cast(missing, "int")))
    return _call("slice", filled, "1", exp.cast(size.copy(), "int"))


def _list_zip(node: exp.Anonymous) -> exp.Expression:
    return _call("zip_with", *node.expressions, "(one, other) -> array(one, other)")


def _histogram(node: exp.Anonymous) -> exp.Expression:
    collected = exp.func("collect_list", *node.expressions, dialect="spark")
    parent = node.parent
    if isinstance(parent, exp.Filter):
        parent.replace(_call("histogram_of", exp.Filter(this=collected, expression=parent.expression)))
        return node
    return _call("histogram_of", collected)


def _hash_part(node: exp.Mod) -> exp.Expression:
    """Which part a key is in: any hash does, as long as the rest is not negative."""
    if isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "hash":
        return _call("pmod", _call("xxhash64", *node.this.expressions), node.expression)
    return node


def _cte(node: exp.CTE) -> exp.Expression:
    node.set("materialized", None)
    return node


def _to_json(node: exp.Anonymous) -> exp.Expression:
    """One value: Spark writes only structures."""
    text = _call("to_json", _call("array", *node.expressions))
    return _call("substr", text, "2", exp.Sub(this=_call("length", text.copy()), expression=_number(2)))


def _generate_subscripts(node: exp.Anonymous) -> exp.Expression:
    return node


REWRITES: dict[object, Callable[[exp.Expression], exp.Expression]] = {
    exp.Table: _parquet,
    exp.RegexpLike: _regexp_like,
    exp.RegexpFullMatch: _regexp_full_match,
    exp.RegexpReplace: _regexp_replace,
    exp.RegexpExtract: _regexp_extract,
    exp.Div: _divided,
    exp.Avg: _avg,
    exp.DateDiff: _date_diff,
    exp.UnixToTime: _make_timestamp,
    exp.ArgMax: _arg("max_by"),
    exp.ArgMin: _arg("min_by"),
    exp.Explode: _explode,
    exp.Bracket: _bracket,
    exp.Mod: _hash_part,
    exp.CTE: _cte,
    "md5_number": _md5_number,
    "md5_number_upper": _md5_number_upper,
    "epoch_us": _epoch_us,
    "list_slice": _list_slice,
    "list_resize": _list_resize,
    "list_zip": _list_zip,
    "histogram": _histogram,
    "to_json": _to_json,
}
