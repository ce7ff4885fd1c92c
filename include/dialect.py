"""A statement in DuckDB's dialect, said in Spark's: the one place that knows how the two differ.

sqlglot translates what has another name or another place. The rewrites here are for what has the same name and means
something else, or has no counterpart: there the same rows have to come out, down to ties, nulls and rounding. What
the translation cannot carry over without changing its meaning is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

import duckdb
import sqlglot
from sqlglot import exp, transforms
from sqlglot.dialects.spark import Spark


class SparkDialect(Spark):
    """Spark as of version 4, which lets a query in a query have names of its own."""

    class Generator(Spark.Generator):
        EXPRESSIONS_WITHOUT_NESTED_CTES: ClassVar[set[type[exp.Expression]]] = set()
        TRANSFORMS: ClassVar[dict] = Spark.Generator.TRANSFORMS | {
            exp.Select: transforms.preprocess(
                [transforms.eliminate_distinct_on, transforms.unnest_to_explode]
            ),
        }


MICROSECONDS = {"SECOND": 1_000_000, "MINUTE": 60_000_000, "HOUR": 3_600_000_000}


ColumnsOf = Callable[[exp.Query], list[str]]


@lru_cache(maxsize=1024)
def translated(query: str) -> str:
    """A query in Spark's dialect. Raises sqlglot's UnsupportedError when there is nothing that means the same."""
    return spark_sql(rewritten(sqlglot.parse_one(query, read="duckdb")))


def spark_sql(tree: exp.Expression) -> str:
    """The text of a rewritten statement."""
    return tree.sql(dialect=SparkDialect, unsupported_level=sqlglot.ErrorLevel.RAISE)


def rewritten(tree: exp.Expression, columns_of: ColumnsOf | None = None) -> exp.Expression:
    """The statement with all that Spark would take otherwise said in its own words; inner parts first.

    `columns_of` tells the names of a query's columns, which a union by name needs: Spark has none.
    """
    _within(tree)
    for node in reversed(list(tree.walk())):
        if isinstance(node, exp.Union) and node.args.get("by_name"):
            _by_name(node, columns_of)
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


def _within(tree: exp.Expression) -> None:
    """What a function needs to know of the query around it is said before the query is taken apart."""
    for select in tree.find_all(exp.Select):
        windows = {each.name.lower(): each for each in select.args.get("windows") or ()}
        for window in select.find_all(exp.Window):
            named = windows.get(window.args["alias"].name.lower()) if window.args.get("alias") else None
            if named is not None and isinstance(window.this, exp.Lag | exp.Lead | exp.RowNumber | exp.Rank):
                # Spark refuses a frame where it means nothing.
                window.set("alias", None)
                window.set("over", "OVER")
                window.set("partition_by", [each.copy() for each in named.args.get("partition_by") or ()])
                window.set("order", named.args["order"].copy())


def _by_name(union: exp.Union, columns_of: ColumnsOf | None) -> None:
    """Both sides with the columns of both, in one order; what a side does not have is null."""
    if columns_of is None:
        raise sqlglot.UnsupportedError("a union by name of columns that are not known")
    union.set("by_name", False)
    above = _ctes_before(union)
    sides = [union.this, union.expression]
    found = []
    for side in sides:
        query = side.copy().unnest()
        own = query.args.get("with_")
        query.set(
            "with_",
            exp.With(expressions=[*(each.copy() for each in above), *(own.expressions if own else ())]),
        )
        found.append(columns_of(query))
    names = list(dict.fromkeys(name for columns in found for name in columns))
    for place, (side, columns) in enumerate(zip(sides, found, strict=True)):
        if columns == names:
            continue
        inner = side.copy().unnest() if isinstance(side, exp.Subquery) else side.copy()
        own = inner.args.get("with_")
        if own is not None:
            inner.set("with_", None)
        select = exp.select(
            *(exp.column(name) if name in columns else exp.alias_(exp.Null(), name) for name in names)
        )
        union.set("this" if place == 0 else "expression", select.from_(inner.subquery("side")))
        if own is not None:
            union.set("with_", own)


def _ctes_before(node: exp.Expression) -> list[exp.CTE]:
    """The common table expressions that a part of a statement can name, the outermost first."""
    found: list[exp.CTE] = []
    while node is not None:
        cte = node.find_ancestor(exp.CTE)
        if cte is None:
            break
        siblings = cte.parent.expressions
        found = [*siblings[: next(i for i, each in enumerate(siblings) if each is cte)], *found]
        node = cte.parent
    return found


def _select(node: exp.Select) -> exp.Expression:
    _replaced_columns(node)
    _numbered_items(node)
    _asof(node)
    return _qualified(node)


def _replaced_columns(node: exp.Select) -> None:
    """`* replace (…)` as all but these, and these."""
    for place, each in reversed(list(enumerate(node.expressions))):
        star = each if isinstance(each, exp.Star) else each.this if isinstance(each, exp.Column) else None
        if isinstance(star, exp.Star) and star.args.get("replace"):
            replaced = star.args["replace"]
            star.set("replace", None)
            names = [exp.to_identifier(new.alias) for new in replaced]
            star.set("except_", [*(star.args.get("except_") or ()), *names])
            node.set(
                "expressions", [*node.expressions[: place + 1], *replaced, *node.expressions[place + 1 :]]
            )


def _numbered_items(node: exp.Select) -> None:
    """A list's items with their places: Spark takes one generator in a select, which can give several columns."""
    subscripts = [each for each in node.expressions if each.unalias().name.lower() == "generate_subscripts"]
    for number in subscripts:
        (items,) = [
            each for each in node.expressions
            if isinstance(each.unalias(), exp.Explode) and each.unalias().this == number.unalias().expressions[0]
        ]  # fmt: skip
        pair = f"(item, place) -> struct(item as {items.alias}, bigint(place + 1) as {number.alias})"
        rows = _call("inline", _call("transform", items.unalias().this.copy(), exp.var(pair)))
        others = [each for each in node.expressions if each is not number and each is not items]
        node.set("expressions", [*others, rows])


ROW = "_row"


def _asof(node: exp.Select) -> None:
    """The one row of the right side that comes before (or after) each of the left side's, and is the nearest."""
    for join in node.args.get("joins") or ():
        if join.method != "ASOF":
            continue
        left, right = node.args["from_"].this, join.alias_or_name
        (bound,) = [
            each
            for each in join.args["on"].flatten()
            if isinstance(each, exp.GT | exp.GTE | exp.LT | exp.LTE)
        ]
        nearest = exp.Ordered(
            this=bound.expression.copy(), desc=isinstance(bound, exp.GT | exp.GTE), nulls_first=False
        )
        if bound.expression.table != right or node.args.get("group"):
            raise sqlglot.UnsupportedError(
                "an as-of join of groups, or whose bound does not end with its right side"
            )
        numbered = exp.select("*", exp.alias_(_call("monotonically_increasing_id"), ROW)).from_(left.copy())
        left.replace(numbered.subquery(left.alias_or_name))
        for each in node.find_all(exp.Column):
            if isinstance(each.this, exp.Star) and each.table == left.alias_or_name:
                each.this.set("except_", [*(each.this.args.get("except_") or ()), exp.to_identifier(ROW)])
        join.set("method", None)
        rank = exp.Window(
            this=exp.RowNumber(),
            partition_by=[exp.column(ROW, table=left.alias_or_name)],
            order=exp.Order(expressions=[nearest]),
        )
        conditions: list[exp.Expression] = [exp.EQ(this=rank, expression=_number(1))]
        # What else is asked is asked of the nearest row, and does not make another one the nearest.
        for name in ("where", "qualify"):
            if node.args.get(name):
                conditions.append(exp.paren(node.args[name].this.copy()))
                node.set(name, None)
        node.set("qualify", exp.Qualify(this=exp.and_(*conditions)))


QUALIFIED = "_is_qualified"


def _qualified(node: exp.Select) -> exp.Expression:
    """The condition as a column, where it can name all that the select can."""
    qualify = node.args.get("qualify")
    if qualify is None:
        return node
    inner = node.copy()
    inner.set("qualify", None)
    with_, order = inner.args.pop("with_", None), inner.args.pop("order", None)
    inner.append("expressions", exp.alias_(exp.paren(qualify.this.copy()), QUALIFIED))
    outer = exp.select(exp.Star(except_=[exp.to_identifier(QUALIFIED)])).from_(inner.subquery("qualified"))
    outer = outer.where(exp.column(QUALIFIED))
    outer.set("with_", with_)
    outer.set("order", order)
    return outer


def _call(name: str, *arguments: exp.Expression | str) -> exp.Expression:
    """A function of Spark that sqlglot hands on as it is."""
    return exp.Anonymous(
        this=name, expressions=[exp.maybe_parse(each, dialect="spark") for each in arguments]
    )


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
            raise sqlglot.UnsupportedError(
                f"the first match of a pattern that is not a literal: {node.sql()}"
            )
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
        return exp.cast(_call("datediff", exp.cast(end, "date"), exp.cast(start, "date")), "bigint")
    if unit in MICROSECONDS:
        return exp.paren(
            exp.Sub(this=_units(end, MICROSECONDS[unit]), expression=_units(start, MICROSECONDS[unit]))
        )
    if unit in ("MONTH", "YEAR"):
        return exp.cast(
            exp.paren(exp.Sub(this=_months(end, unit), expression=_months(start, unit))), "bigint"
        )
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


def _date_part(node: exp.Anonymous) -> exp.Expression:
    part, time = node.expressions
    return _day_of_week(exp.DayOfWeekIso(this=time)) if part.name.lower() == "isodow" else node


def _day_of_week(node: exp.DayOfWeekIso) -> exp.Expression:
    return _call("date_part", exp.Literal.string("DAYOFWEEK_ISO"), node.this)


def _extract(node: exp.Extract) -> exp.Expression:
    return _day_of_week(exp.DayOfWeekIso(this=node.expression)) if node.name.upper() == "ISODOW" else node


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
    if isinstance(place, exp.Neg):  # from the end
        return _call("try_element_at", node.this, _number(1 - int(place.this.this)))
    if place.is_int:
        return _call("get", node.this, place)
    if place.is_string:  # a field, or the key of a map
        return node
    # A place that is worked out, which sqlglot leaves as it is, or such a key.
    return _call(
        "try_element_at", node.this, exp.cast(place, "int") if isinstance(node.this, exp.Array) else place
    )


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
    length = _call(
        "greatest", exp.Add(this=exp.Sub(this=last, expression=first.copy()), expression=_number(1)), "0"
    )
    return _call("slice", values, first, length)


def _list_contains(node: exp.ArrayContains) -> exp.Expression:
    """Nulls in a list, and a list of nothing, leave Spark unsure of what is not found."""
    values, value = node.this, node.expression
    unknown = exp.or_(*(exp.Is(this=each.copy(), expression=exp.Null()) for each in (values, value)))
    found = exp.func("coalesce", _call("array_contains", values, value), exp.false())
    return exp.Case().when(exp.not_(unknown), found)


def _list_slice(node: exp.Anonymous) -> exp.Expression:
    values, first, last = node.expressions
    return _slice(values, exp.Slice(this=first, expression=last))


def _list_resize(node: exp.Anonymous) -> exp.Expression:
    values, size, filler = node.expressions
    missing = _call("greatest", exp.Sub(this=exp.paren(size), expression=_call("size", values.copy())), "0")
    filled = _call("concat", values, _call("array_repeat", filler, exp.cast(missing, "int")))
    return _call("slice", filled, "1", exp.cast(size.copy(), "int"))


def _list_zip(node: exp.Anonymous) -> exp.Expression:
    return _call("zip_with", *node.expressions, exp.var("(one, other) -> array(one, other)"))


def _list_median(node: exp.Anonymous) -> exp.Expression:
    middle = exp.var(
        "numbers -> CASE WHEN size(numbers) > 0 THEN (get(numbers, int((size(numbers) - 1) div 2)) "
        "+ get(numbers, int(size(numbers) div 2))) / 2D END"
    )
    ordered = _call("array_sort", *node.expressions)
    # A list of one list: the numbers are sorted once and named thrice.
    return _call("get", _call("transform", _call("array", ordered), middle), _number(0))


def _list_stddev(node: exp.Anonymous) -> exp.Expression:
    """In one pass (Welford 1962)."""
    (values,) = node.expressions
    shifted = _call("transform", values.copy(), exp.var("value -> double(value)"))
    zero = exp.var("named_struct('count', 0D, 'mean', 0D, 'squares', 0D)")
    step = exp.var(
        "(so_far, value) -> named_struct('count', so_far.count + 1D, "
        "'mean', so_far.mean + (value - so_far.mean) / (so_far.count + 1D), "
        "'squares', so_far.squares + (value - so_far.mean) * "
        "(value - (so_far.mean + (value - so_far.mean) / (so_far.count + 1D))))"
    )
    end = exp.var("so_far -> CASE WHEN so_far.count > 1 THEN sqrt(so_far.squares / (so_far.count - 1D)) END")
    return _call("aggregate", shifted, zero, step, end)


def _percentile(node: exp.PercentileCont) -> exp.Expression:
    return _call("percentile", node.this, node.expression)


def _list(node: exp.ArrayAgg) -> exp.Expression:
    """DuckDB's list has nulls in it, and is null itself where there is nothing to list."""
    if isinstance(node.this, exp.Order):
        return _ordered_list(node)
    value = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if isinstance(value, exp.Struct) or isinstance(node.parent, exp.Window):
        return node
    item = exp.Struct(expressions=[exp.PropertyEQ(this=exp.to_identifier("item"), expression=value.copy())])
    value.replace(item)
    return _of_group(
        node, node.copy(), lambda listed: f"nullif(transform({listed}, each -> each.item), array())"
    )


def _ordered_list(node: exp.ArrayAgg) -> exp.Expression:
    """Spark keeps no order in a list: its items are sorted by what they are, and that is all that is asked so far."""
    values, (order, *others) = node.this.this, node.this.expressions
    value = values.expressions[0] if isinstance(values, exp.Distinct) else values
    if others or order.this != value or order.args.get("desc"):
        raise sqlglot.UnsupportedError(f"a list in another order than that of its items: {node.sql()}")
    return _of_group(node, exp.ArrayAgg(this=values.copy()), lambda listed: f"array_sort({listed})")


def _window(node: exp.Window) -> exp.Expression:
    """Numbers of rows are as long as DuckDB's."""
    if isinstance(node.this, exp.RowNumber | exp.Rank | exp.DenseRank):
        return exp.cast(node.copy(), "bigint")
    return node


def _histogram(node: exp.Anonymous) -> exp.Expression:
    """Each value of a group with how often it is there."""

    def counted(values: str) -> str:
        return (
            f"map_from_entries(transform(array_sort(array_distinct({values})), value -> "
            f"struct(value as key, bigint(size(filter({values}, other -> other = value))) as value)))"
        )

    return _of_group(node, exp.ArrayAgg(this=node.expressions[0].copy()), counted)


def _of_group(node: exp.Expression, aggregate: exp.Expression, text: Callable[[str], str]) -> exp.Expression:
    """A function of an aggregate in the place of a node; which rows the aggregate is of stays with it."""
    rows = node.parent
    if not isinstance(rows, exp.Filter):
        return exp.var(text(spark_sql(aggregate)))
    rows.replace(exp.var(text(spark_sql(exp.Filter(this=aggregate, expression=rows.expression.copy())))))
    return node


def _hash(node: exp.Anonymous) -> exp.Expression:
    """A number of 64 bits to tell rows apart; Spark's own `hash` is of 32."""
    return _call("xxhash64", *node.expressions)


def _cte(node: exp.CTE) -> exp.Expression:
    node.set("materialized", None)
    return node


def _to_json(node: exp.Anonymous) -> exp.Expression:
    """One value, of which Spark writes only structures. No value is no JSON, where Spark would say `null`."""
    (value,) = node.expressions
    text = _call("to_json", _call("array", value))
    inner = _call("substr", text, "2", exp.Sub(this=_call("length", text.copy()), expression=_number(2)))
    return exp.Case().when(exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null())), inner)


def _nfc_normalize(node: exp.Anonymous) -> exp.Expression:
    """Spark composes no Unicode itself, but brings the library that does. (Its mode `false`: not for compatibility.)"""
    (text,) = node.expressions
    names = (exp.Literal.string(name) for name in ("com.ibm.icu.text.Normalizer", "compose"))
    composed = _call("java_method", *names, exp.cast(text.copy(), "string", dialect="spark"), exp.false())
    return exp.Case().when(exp.Not(this=exp.Is(this=text, expression=exp.Null())), composed)


# Korean letters: a beginning, a vowel and maybe an end are one syllable, and a syllable without an end may get one.
SYLLABLES = "[ᄀ-ᄒ][ᅡ-ᅵ][ᆨ-ᇂ]?|[가-힣][ᆨ-ᇂ]|(?s:.)"
SYLLABLE = """\
CASE WHEN char_length(letters) = 1 THEN letters
WHEN ascii(letters) < 44032 THEN decode(unhex(hex(
    44032 + (ascii(letters) - 4352) * 588 + (ascii(substr(letters, 2)) - 4449) * 28
    + if(char_length(letters) = 3, ascii(substr(letters, 3)) - 4519, 0))), 'UTF-16BE')
WHEN (ascii(letters) - 44032) % 28 = 0
    THEN decode(unhex(hex(ascii(letters) + ascii(substr(letters, 2)) - 4519)), 'UTF-16BE')
ELSE letters END"""


def _strip_accents(node: exp.Anonymous) -> exp.Expression:
    """Each character becomes what DuckDB makes of it, and what is left is composed: nothing but Korean letters is."""
    letters, plain = (exp.Literal.string(each) for each in _accents())
    composed = (
        f"text -> CASE WHEN text RLIKE '[ᅡ-ᅵᆨ-ᇂ]' THEN array_join(transform("
        f"regexp_extract_all(text, '{SYLLABLES}', 0), letters -> {SYLLABLE}), '') ELSE text END"
    )
    texts = _call("array", _call("translate", *node.expressions, letters, plain))
    # A list of one text: it is made once and named twice.
    return _call("get", _call("transform", texts, exp.var(composed)), _number(0))


@lru_cache(maxsize=1)
def _accents() -> tuple[str, str]:
    """The letters with accents, each beside the letter without; at the end the accents, which become nothing."""
    with duckdb.connect() as connection:
        pairs = connection.execute(
            "select letter, strip_accents(letter) as plain"
            " from (select chr(cast(range as integer)) as letter"
            " from (from range(128, 55296) union all from range(57344, 1114112)))"
            " where plain <> letter order by plain = '', letter"
        ).fetchall()
    return "".join(letter for letter, _ in pairs), "".join(plain for _, plain in pairs)


WIDE = {
    exp.DType.INT128: "decimal(38, 0)",
    exp.DType.UINT128: "decimal(38, 0)",
    exp.DType.UBIGINT: "decimal(20, 0)",
    exp.DType.JSON: "string",
}
BASES = {"0x": 16, "0b": 2}


def _data_type(node: exp.DataType) -> exp.Expression:
    wide = WIDE.get(node.this)
    return exp.DataType.build(wide, dialect="spark") if wide else node


def _cast(node: exp.Cast) -> exp.Expression:
    text = node.this
    if isinstance(text, exp.DPipe) and isinstance(text.this, exp.Literal) and text.this.this in BASES:
        base = _number(BASES[text.this.this])
        return exp.cast(_call("conv", text.expression, base, _number(10)), node.to)
    if isinstance(text, exp.JSONExtract) and node.to.this == exp.DType.ARRAY:
        texts = exp.Literal.string("array<string>")
        return _call("from_json", _call("get_json_object", text.this, text.expression.sql("spark")), texts)
    if node.to.this == exp.DType.DECIMAL and not isinstance(text, exp.Literal | exp.Null | exp.Cast):
        return _decimal(node)
    return node


def _decimal(node: exp.Cast) -> exp.Expression:
    """DuckDB rounds a float's product with the power of ten, Spark the digits that it is written with."""
    value, scale = node.this, node.to.expressions[1] if len(node.to.expressions) > 1 else _number(0)
    is_float = exp.In(
        this=_call("typeof", value.copy()),
        expressions=[exp.Literal.string(name) for name in ("double", "float")],
    )
    rounded = type(node)(this=_rounded(value.copy(), int(scale.name)), to=node.to.copy())
    return _call("if", is_float, rounded, node.copy())


def _round(node: exp.Round) -> exp.Expression:
    """What is rounded is a float, whatever it was."""
    places = node.args.get("decimals") or _number(0)
    if not places.is_int:
        raise sqlglot.UnsupportedError(f"rounding to places that are not a number: {node.sql()}")
    return _rounded(node.this, int(places.name))


def _rounded(value: exp.Expression, places: int) -> exp.Expression:
    power = exp.var(f"1E{places}D")
    product = exp.Mul(this=exp.cast(exp.paren(value, copy=False), "double"), expression=power)
    return exp.paren(exp.Div(this=_call("round", product), expression=power.copy()))


def _json_type(node: exp.Expression) -> exp.Expression:
    """Whether there is a list; nothing else is asked of a type."""
    if not (isinstance(node.parent, exp.EQ) and node.parent.expression.name == "ARRAY"):
        raise sqlglot.UnsupportedError(f"json_type for anything but a list: {node.sql()}")
    found = _call("get_json_object", node.this, node.expression.sql("spark"))
    return exp.Case().when(_call("startswith", found, exp.Literal.string("[")), exp.Literal.string("ARRAY"))


def _map(node: exp.ToMap) -> exp.Expression:
    pairs = [part for each in node.this.expressions for part in (_key(each.this), each.expression)]
    return _call("map", *pairs)


def _key(key: exp.Expression) -> exp.Expression:
    return exp.Literal.string(key.name) if isinstance(key, exp.Identifier) else key


def _to_years(node: exp.Anonymous) -> exp.Expression:
    return _call("make_ym_interval", *node.expressions)


def _to_days(node: exp.ToDays) -> exp.Expression:
    return _call("make_dt_interval", node.this)


def _truncated(node: exp.TimestampTrunc) -> exp.Expression:
    """Spark truncates to an instant."""
    cut = _call("date_trunc", exp.Literal.string(node.unit.name), node.this)
    return exp.Cast(this=cut, to=exp.DataType.build("timestamp_ntz", dialect="spark"))


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
    exp.ArrayContains: _list_contains,
    exp.Window: _window,
    exp.ArrayAgg: _list,
    exp.PercentileCont: _percentile,
    exp.CTE: _cte,
    exp.Select: _select,
    exp.DataType: _data_type,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Round: _round,
    exp.JSONType: _json_type,
    exp.ToMap: _map,
    exp.ToDays: _to_days,
    exp.TimestampTrunc: _truncated,
    exp.DayOfWeekIso: _day_of_week,
    exp.Extract: _extract,
    "date_part": _date_part,
    "to_years": _to_years,
    "hash": _hash,
    "md5_number": _md5_number,
    "md5_number_upper": _md5_number_upper,
    "epoch_us": _epoch_us,
    "list_slice": _list_slice,
    "list_resize": _list_resize,
    "list_zip": _list_zip,
    "list_median": _list_median,
    "list_stddev_samp": _list_stddev,
    "histogram": _histogram,
    "to_json": _to_json,
    "nfc_normalize": _nfc_normalize,
    "strip_accents": _strip_accents,
}
