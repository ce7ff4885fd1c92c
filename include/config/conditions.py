"""Compiles the conditions and expressions that a configuration may hold into SQL that is safe to run.

A text is parsed into a syntax tree, every node of the tree must be on an allow-list, and the SQL that runs is
generated from the tree again: the user's text itself never reaches an engine. What is left is bound against an
empty in-memory table, so that a wrong type or a wrong number of arguments shows before anything runs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from include.config.errors import refusal, refusal_of
from include.extract.kinds import kinds

MAXIMUM_CHARACTERS = 4000
MAXIMUM_TOKENS = 1500
MAXIMUM_DEPTH = 150
MAXIMUM_DAYS = 3650
# What the engine said of an expression is remembered: files say the same again, and so do loads of one configuration.
TRIED = 20_000

# Known in every row of `customer_scores` (the fixed names of the published contract), and how the names begin of those
# that depend on what is sold and on what models.yml asks.
SCORES = ("probability_active", "purchase_probability", "expected_orders", "expected_value")
SCORE_PREFIXES = ("purchase_probability:", "propensity:")
# Who is in which segment, `segments`: those that are there in every company, and how the ids look of those learned.
SEGMENTS = (
    "no_purchase_yet", "rfm_champions", "rfm_loyal", "rfm_potential_loyalists", "rfm_new", "rfm_promising",
    "rfm_need_attention", "rfm_about_to_sleep", "rfm_at_risk", "rfm_cant_lose", "rfm_hibernating", "rfm_lost",
    "rfm_no_purchase",
)  # fmt: skip
LEARNED_SEGMENT = re.compile(r"s\d+")
# The columns of the customer timeline that a label may name.
TIMELINE_COLUMNS = {
    "channel": "varchar",
    "activity": "varchar",
    "order_id": "varchar",
    "product_id": "varchar",
    "category": "varchar",
    "outcome": "varchar",
    "amount": "decimal(18, 4)",
    "occurred_at": "timestamp",
}
# What rules for actions may ask for beside the columns of customers.
OCCASION_COLUMNS = {"has_open_issue": "boolean", "has_abandoned_cart": "boolean", "messages_sent": "bigint"}
# A trait crosses to the dmp side by its name alone, so no rule may be a list of who has it.
IDENTIFYING_COLUMNS = (
    "event_id", "anonymous_id", "user_id", "previous_id", "group_id", "device_id", "advertising_id", "email", "phone",
    "ip", "traits", "consent",
)  # fmt: skip

_STRUCTURE = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.RawString,
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.Is,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg,
    exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var,
    exp.DPipe, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey,
    exp.JSONPathSubscript,
    exp.DateTrunc,  # what date_trunc becomes when its value is a date for sure
)  # fmt: skip
# Name as written, and the class that the parser makes of it; None where it keeps the name as it is.
_CONDITION_FUNCTIONS: dict[str, type[exp.Expression] | None] = {
    "abs": exp.Abs,
    "ceil": exp.Ceil,
    "coalesce": exp.Coalesce,
    "contains": exp.Contains,
    "date_diff": exp.DateDiff,
    "date_part": None,
    "date_trunc": exp.TimestampTrunc,
    "ends_with": exp.EndsWith,
    "extract": exp.Extract,
    "floor": exp.Floor,
    "greatest": exp.Greatest,
    "if": exp.If,
    "json_extract_string": exp.JSONExtractScalar,
    "least": exp.Least,
    "left": exp.Left,
    "length": exp.Length,
    "list_contains": exp.ArrayContains,
    "lower": exp.Lower,
    "nullif": exp.Nullif,
    "regexp_matches": exp.RegexpLike,
    "replace": exp.Replace,
    "right": exp.Right,
    "round": exp.Round,
    "split_part": exp.SplitPart,
    "starts_with": exp.StartsWith,
    "substring": exp.Substring,
    "trim": exp.Trim,
    "try_cast": exp.TryCast,
    "upper": exp.Upper,
}
_SOURCE_FUNCTIONS: dict[str, type[exp.Expression] | None] = _CONDITION_FUNCTIONS | {
    "concat": exp.Concat,
    "concat_ws": exp.ConcatWs,
    "element_at": None,
    "epoch_ms": exp.UnixToTime,
    "json_extract": exp.JSONExtract,
    "list_extract": None,
    "lpad": exp.Pad,
    "make_date": exp.DateFromParts,
    "make_timestamp": exp.UnixToTime,
    "make_timestamp_ms": None,
    "map_extract": None,
    "md5": exp.MD5,
    "regexp_extract": exp.RegexpExtract,
    "regexp_replace": exp.RegexpReplace,
    "reverse": exp.Reverse,
    "sha256": exp.SHA2,
    "sign": exp.Sign,
    "string_split": exp.Split,
    "strftime": exp.TimeToStr,
    "strip_accents": None,
    "strptime": exp.StrToTime,
    "timezone": None,
    "to_timestamp": exp.UnixToTime,
    "translate": exp.Translate,
    "try_strptime": None,
}
_TYPES = {
    exp.DataType.Type[name]
    for name in (
        "BIGINT", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "INT", "SMALLINT", "TEXT", "TIME", "TIMESTAMP",
        "TIMESTAMPTZ", "TINYINT", "VARCHAR",
    )
}  # fmt: skip
_SAME_TYPES = {exp.DataType.Type.TIMESTAMPNTZ}  # what sqlglot reads DuckDB's `timestamp` as
_UNITS = {
    "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year",
    "dow", "isodow", "doy", "isoyear", "epoch",
}  # fmt: skip
_UNSAFE_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|\{\{|\{%|\{#")

# What staging adds to an event, of the columns that a rule may ask for.
DERIVED_EVENT_COLUMNS = {
    "site_domain": "varchar",
    "browser": "varchar",
    "operating_system": "varchar",
    "device": "varchar",
    "content_category_id": "varchar",
    "content_category_tier_1": "varchar",
}
# What a rule about products may ask for, of the catalogue that dbt hands over.
PRODUCT_COLUMNS = {
    "product_id": "varchar",
    "name": "varchar",
    "brand": "varchar",
    "category": "varchar",
    "price": "double",
}


class ConditionError(Exception):
    """A condition that is refused: every reason, each `found X, allowed: Y`."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        super().__init__("; ".join(self.reasons))


@dataclass(frozen=True, order=True)
class Atom:
    """What a condition on the dmp side asks of one trait: its latest value, how often (within `days`), how recently."""

    kind: str  # trait | frequency | recency
    trait_id: str
    days: int | None = None

    @property
    def sql_type(self) -> str:
        return "varchar" if self.kind == "trait" else "bigint"


@dataclass(frozen=True)
class Condition:
    """A condition that passed. `normalised` is the same for texts that differ in layout only."""

    normalised: str
    atoms: tuple[Atom, ...] = ()
    columns: tuple[str, ...] = ()
    tree: exp.Expression = field(default_factory=exp.Null, compare=False, repr=False)

    def predicate(self, aliases: Mapping[Atom, str] | None = None) -> str:
        """DuckDB SQL in parentheses over the columns, with the `aliases` of its atoms in their places."""
        names = {placeholder(index): (aliases or {})[atom] for index, atom in enumerate(self.atoms)}
        return f"({sql_of(renamed(self.tree, names))})"

    def atoms_in(self, node: exp.Expression) -> dict[str, Atom]:
        """The atoms that a node of the tree asks for, by the name of the column that stands for each."""
        names = {placeholder(index): atom for index, atom in enumerate(self.atoms)}
        return {column.name: names[column.name] for column in node.find_all(exp.Column)}


@functools.cache
def engine() -> duckdb.DuckDBPyConnection:
    """The in-memory engine on which conditions are tried, without access to files or the network."""
    options = {"threads": 1, "enable_external_access": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(":memory:", config=options)
    connection.execute("set lock_configuration = true")
    return connection


def compile_source(text: str) -> tuple[str, tuple[str, ...]]:
    """Compile one `{sql: …}` expression: its SQL and the source columns that it reads. Raises ConditionError."""
    tree = _parsed(text, _SOURCE_FUNCTIONS, exp.Bracket, exp.AtTimeZone)
    return sql_of(tree), _columns(tree)


def check_source(text: str) -> None:
    """Raise ConditionError when `text` cannot be bound whatever the types of the source columns are.

    Values that it cannot read are not looked for here: extract sees them row by row.
    """
    sql, columns = compile_source(text)
    reasons = []
    for kind in ("varchar", "any"):
        try:
            engine().execute(f"describe select {sql} from ({_row(dict.fromkeys(columns, kind))})")
            return
        except duckdb.Error as error:
            reasons.append(str(error).strip().splitlines()[0])
    if "best candidate" not in reasons[-1]:
        raise ConditionError([refusal(text, f"an expression that DuckDB can evaluate: {reasons[0]}")])


def compile_customer_condition(
    text: str,
    columns: Mapping[str, str],
    own_features: Collection[str] = (),
    audiences: Mapping[str, str] = MappingProxyType({}),
) -> Condition:
    """Compile a condition of the cdp side over `columns` (name to DuckDB type), `score('…')`, `segment('…')`,
    `feature('…')`, one of the `own_features` of the company, and `audience('…')`, another of the `audiences` of
    this side, id to condition.

    The SQL reads the columns and three more: `scores` and `own_features`, both `map(varchar, double)`, and
    `segment_ids varchar[]`. Raises ConditionError with every reason.
    """
    own = {
        "score": _score,
        "segment": _segment,
        "feature": lambda call: _own_feature(call, columns, own_features),
    }
    tree = _nested(text, own, audiences)
    normalised = sql_of(tree)
    tree = _with_known_columns(tree, columns, allows_none=bool(_calls(tree, *own)))
    tree = _substituted(
        tree, {"score": _scores_lookup, "segment": _segment_lookup, "feature": _own_feature_lookup}
    )
    maps = dict.fromkeys(("scores", "own_features"), "map(varchar, double)")
    types = dict(columns) | maps | {"segment_ids": "varchar[]"}
    return Condition(normalised, (), _columns(tree), _bound(text, tree, types))


def compile_row_condition(text: str, columns: Mapping[str, str]) -> Condition:
    """Compile a condition over the rows of a table with `columns` (name to DuckDB type), and nothing else.

    Raises ConditionError with every reason.
    """
    tree = _parsed(text, _CONDITION_FUNCTIONS, own={})
    normalised = sql_of(tree)
    tree = _with_known_columns(tree, columns, allows_none=False)
    return Condition(normalised, (), _columns(tree), _bound(text, tree, dict(columns)))


def compile_event_condition(text: str) -> Condition:
    """Compile the rule of a trait: a condition over the columns of events but those that say who somebody is.

    Raises ConditionError with every reason.
    """
    tree = _parsed(text, _CONDITION_FUNCTIONS)
    normalised = sql_of(tree)
    events = {
        column.name: "json" if column.type in ("json", "consent") else column.sql_type
        for column in kinds()["events"].columns
    } | DERIVED_EVENT_COLUMNS
    columns = {name: kind for name, kind in events.items() if name not in IDENTIFYING_COLUMNS}
    named = sorted({column.name.lower() for column in tree.find_all(exp.Column)} & set(IDENTIFYING_COLUMNS))
    if named:
        allowed = f"{', '.join(columns)}; no rule may ask who somebody is"
        raise ConditionError([refusal(name, allowed) for name in named])
    tree = _with_known_columns(tree, columns)
    return Condition(normalised, (), _columns(tree), _bound(text, tree, columns))


def compile_row_value(text: str, columns: Mapping[str, str]) -> tuple[str, str]:
    """The SQL, in parentheses, and the DuckDB type of a value over the columns of one row. Raises ConditionError."""
    tree = _with_known_columns(_parsed(text, _CONDITION_FUNCTIONS), columns).transform(_harmless_cast)
    used = {name: columns[name] for name in _columns(tree)}
    sql = sql_of(tree)
    reason = _bind(sql, used)
    if reason:
        raise ConditionError([refusal(text, f"an expression that DuckDB can evaluate: {reason}")])
    return f"({sql})", _type_of(sql, used) or ""


def compile_visitor_condition(
    text: str,
    audiences: Mapping[str, str] = MappingProxyType({}),
) -> Condition:
    """Compile a condition of the dmp side over `trait('…')`, `frequency('…', days)` and `recency('…')`, of a trait or
    of a folder, and `audience('…')`, another of the `audiences` of this side, id to condition.

    Raises ConditionError with every reason, also when the condition would hold for somebody who never had any of
    its traits: such an audience is everybody (Adobe Audience Manager refuses a bare "at most n times" likewise).
    """
    own = {"trait": _trait, "frequency": _frequency, "recency": _recency}
    tree = _nested(text, own, audiences)
    normalised = sql_of(tree)
    named = sorted({column.name for column in tree.find_all(exp.Column)})
    if named:
        allowed = "trait('…'), frequency('…', days), recency('…') and no columns on the dmp side"
        raise ConditionError([refusal(name, allowed) for name in named])
    atoms = tuple(sorted({_atom(call) for call in _calls(tree, *own)}, key=_atom_order))
    if not atoms:
        raise ConditionError(
            [refusal(text, "a condition over trait('…'), frequency('…', days) or recency('…')")]
        )
    columns = {atom: exp.column(placeholder(index), quoted=True) for index, atom in enumerate(atoms)}
    tree = _substituted(tree, {name: lambda call: columns[_atom(call)].copy() for name in own})
    types = {placeholder(index): atom.sql_type for index, atom in enumerate(atoms)}
    tree = _bound(text, tree, types).transform(_certain)
    if _holds_for_strangers(tree, atoms):
        allowed = "a condition that needs at least one trait to be seen, e.g. … and frequency('…', 30) >= 1"
        raise ConditionError([refusal(text, f"{allowed}; this one holds for everybody who never had them")])
    return Condition(normalised, atoms, (), tree)


# Parsing and the allow-list


def _nested(
    text: str,
    own: Mapping[str, Callable[[exp.Anonymous], str | None]],
    audiences: Mapping[str, str],
    path: tuple[str, ...] = (),
) -> exp.Expression:
    """The tree of a condition with the condition of each audience that it names in the place of `audience('…')`."""
    tree = _parsed(text, _CONDITION_FUNCTIONS, own={**own, "audience": _audience})
    for call in _calls(tree, "audience"):
        name = call.expressions[0].name
        if name not in audiences:
            raise ConditionError([refusal_of(name, audiences, "the audience")])
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ConditionError([refusal(circle, "audiences that do not ask for themselves in the end")])
        inner = exp.Paren(this=_nested(audiences[name], own, audiences, (*path, name)))
        tree = tree.transform(
            lambda node, call=call, inner=inner: inner if node is call else node, copy=False
        )
    if sum(1 for _ in tree.walk()) > MAXIMUM_TOKENS:
        raise ConditionError(
            [f"found too many audiences in each other, allowed: {MAXIMUM_TOKENS} parts in all"]
        )
    return tree


def _parsed(
    text: str,
    functions: Mapping[str, type[exp.Expression] | None],
    *structure: type[exp.Expression],
    own: Mapping[str, Callable[[exp.Anonymous], str | None]] | None = None,
) -> exp.Expression:
    """The syntax tree of one expression in which every node is allowed. `own` checks Tandem's own functions."""
    tree = _single_expression(text)
    allowed_types = {*_STRUCTURE, *structure, *(kind for kind in functions.values() if kind)}
    names = [*(own or {}), *functions]
    reasons: list[str] = []

    def visit(node: exp.Expression) -> bool:
        """True when the children of `node` are to be looked at too."""
        if isinstance(node, exp.Anonymous):
            name = node.name.lower()
            if own and name in own:
                reasons.extend(filter(None, [own[name](node)]))
                return False
            if functions.get(name, exp.Null) is None:
                return True
            reasons.append(refusal_of(name, names, "the function"))
            return False
        if type(node) not in allowed_types:
            reasons.append(_refused(node, names))
            return False
        reasons.extend(filter(None, [_refused_detail(node)]))
        return True

    for node in tree.walk(bfs=False, prune=lambda node: not visit(node)):
        del node  # the walk itself does the work
    if reasons:
        raise ConditionError(reasons)
    return tree


def _single_expression(text: str) -> exp.Expression:
    if not text.strip():
        raise ConditionError([refusal(text, "one SQL expression")])
    if len(text) > MAXIMUM_CHARACTERS:
        raise ConditionError([f"found {len(text)} characters, allowed: at most {MAXIMUM_CHARACTERS}"])
    try:
        tokens = sqlglot.tokenize(text, dialect="duckdb")
        if any(token.token_type == sqlglot.TokenType.SEMICOLON for token in tokens):
            raise ConditionError([refusal(text, "one expression, without ';'")])
        if len(tokens) > MAXIMUM_TOKENS:
            raise ConditionError([f"found {len(tokens)} words and signs, allowed: at most {MAXIMUM_TOKENS}"])
        if any(first.text.lower() == "if" and then.text != "(" for first, then in pairwise(tokens)):
            raise ConditionError([refusal(text, "if(condition, value, otherwise)")])
        trees = sqlglot.Dialect.get_or_raise("duckdb").parse_into(exp.Condition, text)
        if len(trees) != 1 or trees[0] is None:
            raise ConditionError([refusal(text, "one SQL expression")])
        if max(_depth(node) for node in trees[0].walk()) > MAXIMUM_DEPTH:
            raise RecursionError
    except SqlglotError as error:
        reason = re.sub(r"\x1b\[\d+m", "", str(error)).split(". ")[0].splitlines()[0].rstrip(".")
        raise ConditionError([refusal(text, f"an SQL expression that parses: {reason}")]) from error
    except RecursionError as error:
        raise ConditionError([refusal(text, f"at most {MAXIMUM_DEPTH} levels of nesting")]) from error
    return trees[0]


def _depth(node: exp.Expression) -> int:
    depth = 0
    while node.parent is not None:
        node, depth = node.parent, depth + 1
    return depth


def _refused(node: exp.Expression, names: list[str]) -> str:
    if isinstance(node, exp.CurrentDate | exp.CurrentTimestamp | exp.CurrentTime | exp.Rand | exp.Uuid):
        return refusal(sql_of(node).lower(), "nothing that differs from run to run: no clock and no chance")
    if isinstance(node, exp.Subquery | exp.Query | exp.Exists):
        return refusal(sql_of(node), "one expression over one row, without select")
    if isinstance(node, exp.AggFunc | exp.Window):
        return refusal(sql_of(node), "one expression over one row, without aggregates or windows")
    if isinstance(node, exp.Func):
        return refusal_of(node.sql_name().lower(), names, "the function")
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return refusal(sql_of(node), "values written out, without parameters")
    return refusal(sql_of(node), "one expression of columns, values, comparisons, and/or/not and functions")


def _refused_detail(node: exp.Expression) -> str | None:
    """What is wrong with a node whose kind is allowed, or None."""
    if isinstance(node, exp.Column) and (node.table or not isinstance(node.this, exp.Identifier)):
        return refusal(sql_of(node), "a column's name alone, without a table before it")
    has_text = isinstance(node, exp.Literal | exp.Identifier | exp.RawString | exp.JSONPathKey)
    if has_text and _UNSAFE_TEXT.search(str(node.this)):
        return refusal(str(node.this), "text without control characters and without {{, {% and {#")
    if isinstance(node, exp.Var) and node.name.lower().rstrip("s") not in _UNITS:
        return refusal_of(node.name.lower(), sorted(_UNITS), "the unit")
    if isinstance(node, exp.DataType) and (node.this not in _TYPES | _SAME_TYPES or node.args.get("nested")):
        return refusal_of(sql_of(node).lower(), sorted(kind.value.lower() for kind in _TYPES), "the type")
    if isinstance(node, exp.Cast) and any(node.args.get(name) for name in ("format", "action", "default")):
        return refusal(sql_of(node), "cast(… as a type)")
    if isinstance(node, exp.Interval) and not isinstance(node.this, exp.Literal):
        return refusal(sql_of(node), "an interval written out, e.g. interval '30 days'")
    return None


# Tandem's own functions: each `_name` gives what is wrong with a call, or None


def _score(call: exp.Anonymous) -> str | None:
    texts = _texts(call)
    if texts is None or len(texts) != 1:
        return refusal(sql_of(call).lower(), "score('name')")
    if texts[0].startswith(SCORE_PREFIXES):
        return None
    return None if texts[0] in SCORES else refusal_of(texts[0], SCORES, "the score")


def _segment(call: exp.Anonymous) -> str | None:
    texts = _texts(call)
    if texts is None or len(texts) != 1:
        return refusal(sql_of(call).lower(), "segment('id')")
    if LEARNED_SEGMENT.fullmatch(texts[0]) or texts[0] in SEGMENTS:
        return None
    return refusal_of(texts[0], (*SEGMENTS, "and those learned: s01, s02 and on"), "the segment")


def _own_feature(
    call: exp.Anonymous, columns: Mapping[str, str], own_features: Collection[str]
) -> str | None:
    texts = _texts(call)
    if texts is None or len(texts) != 1:
        return refusal(sql_of(call).lower(), "feature('name')")
    if texts[0] in columns:
        return refusal(sql_of(call).lower(), f"the column {texts[0]} by its name alone")
    return None if texts[0] in own_features else refusal_of(texts[0], own_features, "the feature")


def _audience(call: exp.Anonymous) -> str | None:
    texts = _texts(call)
    return None if texts is not None and len(texts) == 1 else refusal(sql_of(call).lower(), "audience('id')")


def _trait(call: exp.Anonymous) -> str | None:
    texts = _texts(call)
    return None if texts is not None and len(texts) == 1 else refusal(sql_of(call).lower(), "trait('name')")


def _recency(call: exp.Anonymous) -> str | None:
    texts = _texts(call)
    return None if texts is not None and len(texts) == 1 else refusal(sql_of(call).lower(), "recency('name')")


def _frequency(call: exp.Anonymous) -> str | None:
    arguments = call.expressions
    allowed = f"frequency('name', days) with 1 to {MAXIMUM_DAYS} days"
    if len(arguments) != 2 or _text(arguments[0]) is None:
        return refusal(sql_of(call).lower(), allowed)
    days = arguments[1]
    is_number = isinstance(days, exp.Literal) and not days.is_string and days.name.isdigit()
    return (
        None if is_number and 1 <= int(days.name) <= MAXIMUM_DAYS else refusal(sql_of(call).lower(), allowed)
    )


def _texts(call: exp.Anonymous) -> list[str] | None:
    texts = [_text(argument) for argument in call.expressions]
    return None if None in texts else texts


def _text(node: exp.Expression) -> str | None:
    """The text of a quoted name that is not empty, else None."""
    if isinstance(node, exp.Literal) and node.is_string and 0 < len(node.name) <= 200:
        return None if _UNSAFE_TEXT.search(node.name) else node.name
    return None


def _calls(tree: exp.Expression, *names: str) -> list[exp.Anonymous]:
    return [call for call in tree.find_all(exp.Anonymous) if call.name.lower() in names]


def _scores_lookup(call: exp.Anonymous) -> exp.Expression:
    return exp.Bracket(this=exp.column("scores", quoted=True), expressions=[call.expressions[0].copy()])


def _own_feature_lookup(call: exp.Anonymous) -> exp.Expression:
    return exp.Bracket(this=exp.column("own_features", quoted=True), expressions=[call.expressions[0].copy()])


def _segment_lookup(call: exp.Anonymous) -> exp.Expression:
    column = exp.column("segment_ids", quoted=True)
    return exp.Anonymous(this="list_contains", expressions=[column, call.expressions[0].copy()])


def _atom(call: exp.Anonymous) -> Atom:
    days = int(call.expressions[1].name) if len(call.expressions) > 1 else None
    return Atom(call.name.lower(), call.expressions[0].name, days)


def _atom_order(atom: Atom) -> tuple[str, str, int]:
    return atom.kind, atom.trait_id, atom.days or 0


def placeholder(index: int) -> str:
    """The column that stands for the atom of that number in the tree of a condition."""
    return f"atom_{index}"


def atom_aliases(atoms: Iterable[Atom]) -> dict[Atom, str]:
    """One short name per atom: t1, t2 … for values, f1 … for frequency, r1 … for recency.

    They follow the order of the names, so that the order of the audiences in the file does not matter.
    """
    aliases: dict[Atom, str] = {}
    for atom in sorted(set(atoms), key=_atom_order):
        number = 1 + sum(other.kind == atom.kind for other in aliases)
        aliases[atom] = f"{atom.kind[0]}{number}"
    return aliases


# Columns, types and SQL


def _with_known_columns(
    tree: exp.Expression, columns: Mapping[str, str], allows_none: bool = False
) -> exp.Expression:
    """Spell columns as they are declared. Raises ConditionError for unknown ones, or when there is none at all."""
    spelled = {name.lower(): name for name in columns}
    found = [node.name for node in tree.find_all(exp.Column)]
    unknown = [name for name in found if name.lower() not in spelled]
    if unknown:
        raise ConditionError([refusal_of(name, columns, "the column") for name in unknown])
    if not found and not allows_none:
        raise ConditionError([refusal(sql_of(tree), "a condition that looks at a column at least")])
    return tree.transform(
        lambda node: (
            exp.column(spelled[node.name.lower()], quoted=True) if isinstance(node, exp.Column) else node
        )
    )


def _substituted(
    tree: exp.Expression, replacements: Mapping[str, Callable[[exp.Anonymous], exp.Expression]]
) -> exp.Expression:
    def replace(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.lower() in replacements:
            return replacements[node.name.lower()](node)
        return node

    return tree.transform(replace)


def renamed(tree: exp.Expression, names: Mapping[str, str]) -> exp.Expression:
    """The tree with other names for some of its columns."""
    return tree.transform(
        lambda node: (
            exp.column(names[node.name], quoted=True)
            if isinstance(node, exp.Column) and node.name in names
            else node
        )
    )


def _bound(text: str, tree: exp.Expression, types: Mapping[str, str]) -> exp.Expression:
    """The tree with casts that never fail, once DuckDB agrees that it is a condition over columns of these types."""
    tree = tree.transform(_harmless_cast)
    used = {name: types[name] for name in _columns(tree)}
    tree = _with_readable_texts(tree, used)
    sql = sql_of(tree)
    for node in _stated(tree):
        kind = _type_of(sql_of(node), used)
        if kind not in ("BOOLEAN", '"NULL"', None):
            allowed = f"a condition that is true or false, e.g. … = 'true'; this is {kind.lower()}"
            raise ConditionError([refusal(text, allowed)])
    reason = _bind(sql, used)
    if reason:
        raise ConditionError([refusal(text, f"a condition that DuckDB can evaluate: {reason}")])
    return tree


def _stated(tree: exp.Expression) -> Iterator[exp.Expression]:
    """The expressions that have to be true or false: the whole, and what and, or, not and case stand on.

    DuckDB would read a text as a boolean there, and fail on the first that is none.
    """
    yield tree
    for node in tree.find_all(exp.And, exp.Or, exp.Not, exp.If):
        if isinstance(node, exp.And | exp.Or):
            yield from (node.left, node.right)
        elif isinstance(node, exp.Not) or not (isinstance(node.parent, exp.Case) and node.parent.this):
            yield node.this


def _harmless_cast(node: exp.Expression) -> exp.Expression:
    """A value that cannot be cast is unknown: one dirty value must not stop the run of a whole company."""
    if type(node) is exp.Cast and not isinstance(node.this, exp.Literal):
        return exp.TryCast(this=node.this, to=node.args["to"])
    return node


def _with_readable_texts(tree: exp.Expression, types: Mapping[str, str]) -> exp.Expression:
    """Compare texts with numbers, dates and booleans as what those are: `trait('age') > 30` reads '31.5' as 31.5.

    Declared text columns are left alone: comparing `city` with 5 is an error that DuckDB then reports.
    """

    def operands(node: exp.Expression) -> list[exp.Expression]:
        if isinstance(node, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
            return [node.left, node.right]
        if isinstance(node, exp.Between):
            return [node.this, node.args["low"], node.args["high"]]
        return [node.this, *node.expressions] if isinstance(node, exp.In) else []

    for node in list(tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)):
        sides = operands(node)
        kinds_found = [_type_of(sql_of(side), types) for side in sides]
        others = {_comparable(kind) for kind in kinds_found} - {None}
        if len(others) != 1:
            continue
        target = others.pop()
        for side, kind in zip(sides, kinds_found, strict=True):
            if kind in ("VARCHAR", "JSON") and _is_read_text(side):
                side.replace(exp.TryCast(this=side.copy(), to=exp.DataType.build(target, dialect="duckdb")))
    return tree


def _is_read_text(node: exp.Expression) -> bool:
    """True for text that came out of a trait or a calculation, false for literals and declared columns."""
    inner = node.unnest()
    if isinstance(inner, exp.Literal | exp.RawString | exp.Null):
        return False
    return not isinstance(inner, exp.Column) or inner.name.startswith("atom_")


def _comparable(kind: str | None) -> str | None:
    if kind is None:
        return None
    if kind in ("BOOLEAN", "DATE", "TIMESTAMP"):
        return kind.lower()
    is_number = re.match(r"(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|FLOAT|DOUBLE|DECIMAL)", kind)
    return "double" if is_number else None


def _holds_for_strangers(tree: exp.Expression, atoms: tuple[Atom, ...]) -> bool:
    """True when the condition holds for a visitor who never had any trait of it: no values, no times, counts of 0."""
    values = ", ".join(
        f"{'0' if atom.kind == 'frequency' else 'null'}::{atom.sql_type} as {placeholder(index)}"
        for index, atom in enumerate(atoms)
    )
    return engine().execute(f"select {sql_of(tree)} from (select {values})").fetchone()[0] is True


def _certain(node: exp.Expression) -> exp.Expression:
    """Wraps each comparison that a `not` negates, so that it is false of the unknown: `not trait('x') = 'yes'` holds
    for who never had x, as people read it. Of SQL's unknown the negation is unknown, and `and not` would leave out
    everybody of whom nothing is known."""
    logical = exp.And | exp.Or | exp.Not | exp.Paren
    if isinstance(node, logical) or not isinstance(node.parent, logical):
        return node
    above = node.parent
    while isinstance(above, logical) and not isinstance(above, exp.Not):
        above = above.parent
    if not isinstance(above, exp.Not):
        return node
    return exp.Coalesce(this=exp.Paren(this=node.copy()), expressions=[exp.false()])


def _bind(sql: str, types: Mapping[str, str]) -> str:
    """Try `sql` on a row without values and on one with unhelpful ones, texts that are no number and no date.

    What DuckDB has against it in one line, or ''.
    """
    return _refusal_of_engine(sql, _row(types)) or _refusal_of_engine(sql, _row(types, with_values=True))


@functools.lru_cache(maxsize=TRIED)
def _refusal_of_engine(sql: str, row: str) -> str:
    try:
        engine().execute(f"select {sql} from ({row})").fetchall()
    except duckdb.Error as error:
        return str(error).strip().splitlines()[0]
    return ""


def _type_of(sql: str, types: Mapping[str, str]) -> str | None:
    return _type_in_row(sql, _row(types))


@functools.lru_cache(maxsize=TRIED)
def _type_in_row(sql: str, row: str) -> str | None:
    try:
        return engine().execute(f"describe select {sql} from ({row})").fetchone()[1]
    except duckdb.Error:
        return None


def _row(types: Mapping[str, str], with_values: bool = False) -> str:
    """One row of columns of these types. The type `any` has no values and fits every function."""
    columns = []
    for name, kind in types.items():
        value = _sample(kind) if with_values else f"null::{kind}"
        columns.append(
            f"{'null' if kind == 'any' else value} as {sql_of(exp.to_identifier(name, quoted=True))}"
        )
    return "select " + ", ".join(columns or ["1 as nothing"])


def _sample(kind: str) -> str:
    if kind in ("varchar", "json"):
        return "'some text'" if kind == "varchar" else """'{"a": "some text"}'::json"""
    tries = ", ".join(f"try_cast('{text}' as {kind})" for text in ("1", "2024-01-01", "[some text]"))
    return f"coalesce({tries})"


def text_literal(text: str) -> str:
    """`text` as an SQL literal."""
    return sql_of(exp.Literal.string(text))


def _columns(tree: exp.Expression) -> tuple[str, ...]:
    return tuple(sorted({node.name for node in tree.find_all(exp.Column)}))


def sql_of(tree: exp.Expression) -> str:
    """The SQL of a tree, for DuckDB."""
    return tree.sql(dialect="duckdb", identify=True, comments=False, normalize_functions="lower")
