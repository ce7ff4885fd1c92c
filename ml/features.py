"""Features of customers as numbers: which columns may be learned from, and how they are scaled.

What is learned here (medians, scales, categories, refusals) is learned from training rows alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from include.lake import Lake
from include.ledger import StepFailed
from include.settings import settings
from ml.evaluation import auc
from ml.rows import Rows
from ml.tables import read_table

SNAPSHOTS = "customer_feature_snapshots"
LABEL = "bought_in_horizon"
VALUE_LABEL = "value_in_horizon"
BOOKKEEPING = ("customer_id", "as_of_date", "is_current", LABEL, VALUE_LABEL)
# Maps that become columns, with what their names begin with.
MAPS = {"own_features": "", "attributes": "attribute_"}
# An attribute is a number when so many of its values are written as one; the others are missing then.
SHARE_OF_NUMBERS = 0.95
# Columns that say who somebody is, or when, and not how they behave.
IDENTIFYING_NAME = re.compile(
    r"(^|_)(id|ids|uuid|key|hash|code|email|phone|name|street|address|postcode|ip|row|version)$"
    r"|(_date|_at|_on|_number|_no)$|^(date|timestamp|birth)",
    re.IGNORECASE,
)
# Columns that tell of the time after the cutoff, or are the label under another name.
TELLING_NAME = re.compile(
    r"(^|_)(label|target|future|next|will|upcoming|horizon)(_|$)|in_horizon|_after_cutoff", re.IGNORECASE
)
TELLING_AUC = 0.99
# A column of few values has no other way to be this good than to be a copy of the label with some mistakes.
TELLING_AUC_OF_FEW_VALUES = 0.975
FEW_VALUES = 10
# A number foresees by a few ranges of its values too, found on so many rows.
RANGES, ROWS_OF_RANGES = 12, 20_000
# Narrower ranges, counted first: whoever stays so far below the limits in them tells nothing in any other ranges.
NARROW_RANGES, SUSPICIOUS_AUC = 128, 0.88
# Below so many rows of either class a single feature can separate them by chance.
ROWS_TO_JUDGE = 30
DISTINCT_SHARE_OF_AN_ID = 0.99
# How far whole numbers that never repeat may be from evenly spread, to be ids; further when all have as many digits.
UNIFORM_DISTANCE_OF_AN_ID = 0.15
UNIFORM_DISTANCE_OF_A_CODE = 0.3
SHARE_OF_EQUAL_STEPS = 0.5
ROWS_TO_JUDGE_FRACTIONS = 500
DATE_TEXT = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4}")
SHARE_OF_DATES = 0.95
MAX_CATEGORIES = 12
MIN_CATEGORY_SHARE = 0.01
SCALED_LIMIT = 8.0

# How the best known facts about a customer may be called, best first.
RECENCY_NAMES = (
    r"^(days_since_last_(order|purchase|basket|transaction)|recency(_days)?|order_recency_days)$",
    r"days_since.*(order|purchase|transaction|bought)",
    r"(order|purchase).*recency|recency.*(order|purchase)",
)
FREQUENCY_NAMES = (
    r"^(orders|order_count|orders_count|orders_total|purchases|purchase_count|transactions|baskets)$",
    r"^frequency(_orders|_purchases|_baskets)?$",
    r"^(orders|purchases|baskets|transactions)_(total|lifetime|all|ever)$",
    r"^(number_of|lifetime|total)_(orders|purchases|baskets)$",
    r"^(orders|purchases|baskets|transactions)_(in_last_|last_)?365(d|_days)?$",
    r"^(orders|purchases|baskets|transactions)_",
)
LATELY_NAMES = (r"^(orders|purchases|baskets|transactions)_(in_last_|last_)?(84|90|91)(d|_days)?$",)
SPEND_NAMES = (
    r"^(spend|total_spend|spend_total|spend_amount|total_amount|revenue|monetary(_value|_total)?|sales|lifetime_value)$",
    r"^(lifetime|total)_(spend|revenue|amount)|^(spend|revenue|order)_(amount_)?(lifetime|total|ever)|order_amount$",
    r"^(spend|revenue|amount|sales)",
)


@dataclass(frozen=True)
class NumericFeature:
    """A column of numbers: `fill` stands for missing; the rest is of the values after the logarithm, if any."""

    name: str
    is_logarithmic: bool
    fill: float
    center: float
    scale: float
    has_missing: bool

    def scaled(self, column: pd.Series) -> np.ndarray:
        """The column (n,) as a model sees it."""
        raw = numbers(column)
        values = np.where(np.isnan(raw), self.fill, raw)
        if self.is_logarithmic:
            values = np.log1p(np.maximum(values, 0.0))
        scaled = (values - self.center) / self.scale
        return np.clip(scaled, -SCALED_LIMIT, SCALED_LIMIT).astype(np.float32)


@dataclass(frozen=True)
class CategoricalFeature:
    """A column of categories: each of `categories` becomes a column of zeros and ones."""

    name: str
    categories: tuple[str, ...]

    def place(self, column: pd.Series) -> np.ndarray:
        """Which of the categories each row (n,) has, -1 for none of them."""
        return pd.Index(self.categories).get_indexer(categories(column)).astype(np.int8)


@dataclass(frozen=True)
class FeatureSpace:
    """Which columns are used and how each becomes numbers; `refused` holds a reason for every other column."""

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]
    refused: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The names of the columns of `transform`, in order."""
        return [
            *(feature.name for feature in self.numeric),
            *(f"{feature.name} is missing" for feature in self.numeric if feature.has_missing),
            *(
                f"{feature.name} = {category}"
                for feature in self.categorical
                for category in feature.categories
            ),
        ]

    def transform(self, rows: pd.DataFrame | Rows) -> np.ndarray:
        """The matrix (rows, names) of scaled features; values beyond 8 scales are cut off."""
        return Rows.of(rows).latest(self, self._matrix)

    def _matrix(self, rows: Rows) -> np.ndarray:
        # Column by column, as they are made, and as models read them.
        columns = np.empty((len(self.names), len(rows)), dtype=np.float32)
        at = len(self.numeric)
        for place, feature in enumerate(self.numeric):
            columns[place] = rows.row_by_row(feature.name, feature, feature.scaled)
            if feature.has_missing:
                columns[at] = rows.row_by_row(feature.name, "missing", _is_missing)
                at += 1
        for feature in self.categorical:
            place = rows.row_by_row(feature.name, feature, feature.place)
            for number in range(len(feature.categories)):
                columns[at] = place == number
                at += 1
        return columns.T


class Choice(Protocol):
    """Which features a model may learn from, as models.yml says: names, where * stands for anything."""

    only: tuple[str, ...]
    except_: tuple[str, ...]


def read_snapshots(
    lake: Lake, filters: list[tuple[str, str, Any]] | None = None, columns: list[str] | None = None
) -> pd.DataFrame | None:
    """Read the snapshots (one row per customer and cutoff) ordered by cutoff and customer, or None without any.

    Own features and attributes become columns, those in which numbers are written numbers; lists are left out.
    `filters` are conditions that all hold, each column, operator and value; `columns` are those that are wanted, all
    when not given.
    """
    path = lake.staged(SNAPSHOTS)
    if not path.exists():
        return None
    with _engine() as connection:
        condition = " and ".join(f'"{name}" {operator} ?' for name, operator, _ in filters or []) or "true"
        values = [value for _, _, value in filters or []]
        wanted = ", ".join(f'"{name}"' for name in columns) if columns else "*"
        query = f"select {wanted} from ({_spread(connection, path)} where {condition})"
        table = connection.execute(query, values).to_arrow_table()
        # Of a million customers every copy is a gigabyte: a column of one kind is given up as the other is made.
        frame = _dated(table.to_pandas(use_threads=False, split_blocks=True, self_destruct=True))
        del table
    return _in_order(frame)


def read_current(
    lake: Lake, rows: int, first: str | None = None, beyond: str | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the snapshots of the business day in blocks of about `rows`, in the order of customers, like
    `read_snapshots`: of all of them, or from the customer `first` up to before the customer `beyond`."""
    path = lake.staged(SNAPSHOTS)
    bounds = {"customer_id >= ?": first, "customer_id < ?": beyond}
    asked = {condition: bound for condition, bound in bounds.items() if bound is not None}
    with _engine() as connection:
        query = " and ".join([f"{_spread(connection, path)} where is_current", *asked])
        reader = connection.execute(query, [*asked.values()]).to_arrow_reader(rows)
        for batch in reader:
            if batch.num_rows:
                yield _in_order(_dated(batch.to_pandas(use_threads=False)))


def count_current(lake: Lake) -> int:
    """How many customers the business day has snapshots of."""
    with _engine() as connection:
        query = f"select count(*) from read_parquet('{lake.staged(SNAPSHOTS)}') where is_current"
        return connection.execute(query).fetchone()[0]


def current_customers_at(lake: Lake, places: list[int]) -> list[str | None]:
    """The customers of the business day at some places (rising) in their order, None where none is any more."""
    query = f"""
        with everybody as (
            select customer_id, row_number() over (order by customer_id) - 1 as place
            from read_parquet('{lake.staged(SNAPSHOTS)}')
            where is_current
        )
        select customer_id from unnest(?::bigint[]) as asked (place) left join everybody using (place) order by place
    """
    with _engine() as connection:
        return [customer for (customer,) in connection.execute(query, [places]).fetchall()]


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by cutoff and customer: the last bits of what a product of matrices says of a row hang on its place."""
    if frame["as_of_date"].nunique() == 1 and frame["customer_id"].is_monotonic_increasing:
        return frame
    return frame.sort_values(["as_of_date", "customer_id"], kind="stable").reset_index(drop=True)


def refuse_another_day(lake: Lake, day: date) -> None:
    """Raise StepFailed when the snapshots are not those of `day`; without any there is nothing to refuse."""
    found = read_table(lake.staged(SNAPSHOTS), [("is_current", "=", True)], ["as_of_date"])
    if found is None or found.empty:
        return
    current = pd.Timestamp(found["as_of_date"].max()).date()
    if current != day:
        raise StepFailed(
            f"learn: customer_feature_snapshots is of {current:%Y-%m-%d}, the run of {day:%Y-%m-%d}: "
            "run the step unify of this day first"
        )


def _engine() -> duckdb.DuckDBPyConnection:
    """One thread reads a file in its order, which is that of customers."""
    return duckdb.connect(config={"threads": 1, "memory_limit": settings().memory_limit})


def _spread(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The query of the snapshots with maps as columns and decimals as numbers, for learning works on floats."""
    source = f"read_parquet('{path}')"
    types = {name: kind for name, kind, *_ in connection.execute(f"describe from {source}").fetchall()}
    columns = [
        f'cast("{name}" as double) as "{name}"' if kind.startswith("DECIMAL") else f'"{name}"'
        for name, kind in types.items()
        if not kind.endswith("[]") and not kind.startswith(("MAP", "STRUCT", "NULL"))
    ]
    for column, prefix in MAPS.items():
        if not types.get(column, "").startswith("MAP"):
            continue
        keys = connection.execute(f"""
            select entry.key, count(*), count(try_cast(entry.value as double))
            from (select unnest(map_entries("{column}")) as entry from {source})
            where entry.value is not null
            group by all
            order by all
        """).fetchall()
        for key, known, written_as_number in keys:
            name = f"{prefix}{key}"
            if name in types:
                continue
            value = f""""{column}"['{key.replace("'", "''")}']"""
            if written_as_number >= SHARE_OF_NUMBERS * known:
                value = f"try_cast({value} as double)"
            columns.append(f'{value} as "{name.replace(chr(34), "")}"')
    return f"select {', '.join(columns)} from {source}"


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(as_of_date=pd.to_datetime(frame["as_of_date"]).dt.date)


def learn_space(
    frame: pd.DataFrame | Rows, labels: np.ndarray | None = None, choice: Choice | None = None
) -> FeatureSpace:
    """Choose and scale the features of `frame`, the training rows; `labels` (rows,) let it look for leaks.

    A column is allowed by its type (numbers, booleans, categories) and refused when `choice` leaves it out, when it
    identifies a row, tells the label, or does not vary.
    """
    rows = Rows.of(frame)
    refused = refuse_features(rows, labels, choice)
    numeric, categorical = [], []
    for name in feature_columns(rows):
        if name in refused:
            continue
        feature = rows.once(name, "feature", _learn_feature)
        if feature is None:
            refused[name] = "does not vary"
        elif isinstance(feature, CategoricalFeature):
            categorical.append(feature)
        else:
            numeric.append(feature)
    return FeatureSpace(tuple(numeric), tuple(categorical), refused)


def feature_columns(frame: pd.DataFrame | Rows) -> list[str]:
    """The columns that are no bookkeeping, in alphabetical order so that results do not hang on theirs."""
    return sorted(name for name in frame.columns if name not in BOOKKEEPING)


def refuse_features(
    frame: pd.DataFrame | Rows, labels: np.ndarray | None = None, choice: Choice | None = None
) -> dict[str, str]:
    """Say for every column that must not be learned from why not: the leak guard.

    Refused are names of identifiers, dates and of the label; types that are neither numbers nor categories; dates
    under any name; and columns that differ in every row of a cutoff as an id does. Given `labels` (rows,) of 0 and 1,
    columns too that alone foresee them with an AUC above 0.99, 0.975 for columns of at most 10 values: by their order,
    by the rate of each value or range of values as other rows have it, or by being missing. No honest feature foresees
    so well. A value that only a few rows have tells nothing, so it takes 30 rows of either class to judge.
    """
    rows, refused = Rows.of(frame), {}
    is_judged = labels is not None and min(labels.sum(), (1 - labels).sum()) >= ROWS_TO_JUDGE
    if is_judged:
        labels = np.asarray(labels, dtype=np.float64)
        positive = np.flatnonzero(labels)
    once = rows.once("as_of_date", "one cutoff", _rows_of_one_cutoff) if "as_of_date" in rows else slice(None)
    for name in feature_columns(rows):
        reason = _left_out(name, choice) or rows.once(
            name, "refusal", lambda column: _refusal(column, column[once])
        )
        if not reason and is_judged:
            reason = _telling(rows, name, labels, positive)
        if reason:
            refused[name] = reason
    return refused


def _left_out(name: str, choice: Choice | None) -> str | None:
    if choice is None:
        return None
    is_chosen = not choice.only or any(fnmatchcase(name, pattern) for pattern in choice.only)
    if is_chosen and not any(fnmatchcase(name, pattern) for pattern in choice.except_):
        return None
    return "left out by models.yml"


def _rows_of_one_cutoff(cutoff: pd.Series) -> np.ndarray:
    """The rows of the cutoff with most of them, of equals the last: over several, even an id repeats."""
    number, known = pd.factorize(cutoff.astype(str), sort=True)
    counts = np.bincount(number, minlength=len(known))
    return number == len(known) - 1 - int(np.argmax(counts[::-1])) if len(known) else number == 0


def find_column(frame: pd.DataFrame | Rows, patterns: tuple[str, ...]) -> str | None:
    """The first numeric column whose name one of the patterns describes, best pattern first."""
    for pattern in patterns:
        for name in feature_columns(frame):
            if (
                re.search(pattern, name, re.IGNORECASE)
                and not is_categorical(frame[name])
                and _is_allowed(frame[name])
            ):
                return name
    return None


def numbers(column: pd.Series) -> np.ndarray:
    """A column of numbers or booleans as floats, missing and infinite as NaN."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        values = column.to_numpy(dtype=np.float64)
    else:
        values = (
            pd.to_numeric(column, errors="coerce")
            .astype("Float64")
            .to_numpy(dtype=np.float64, na_value=np.nan)
        )
    return np.where(np.isfinite(values), values, np.nan)


def categories(column: pd.Series) -> np.ndarray:
    """A column of categories as text, missing as the empty text."""
    return column.astype("str").where(column.notna(), "").to_numpy(dtype=object)


def is_categorical(column: pd.Series) -> bool:
    """Whether the column holds text; lists and other objects are none."""
    if column.dtype == object:
        return pd.api.types.infer_dtype(column, skipna=True) == "string"
    return isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column.dtype)


def _is_allowed(column: pd.Series) -> bool:
    return is_categorical(column) or pd.api.types.is_numeric_dtype(column.dtype) or _is_boolean_object(column)


def _is_boolean_object(column: pd.Series) -> bool:
    """Booleans with missing values arrive from Parquet as objects."""
    return column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in ("boolean", "empty")


def _refusal(column: pd.Series, once: pd.Series) -> str | None:
    """What speaks against a column whatever is to be foreseen; `once` are its rows of one cutoff."""
    name = str(column.name)
    if IDENTIFYING_NAME.search(name):
        return "named like an identifier or a date"
    if TELLING_NAME.search(name):
        return "named like the label or the time after the cutoff"
    if not _is_allowed(column):
        return f"type {column.dtype} is neither number nor category"
    if _is_like_a_date(once):
        return "holds dates"
    if _is_like_an_id(once):
        return "different in every row, as an identifier is"
    return None


def _telling(rows: Rows, name: str, labels: np.ndarray, positive: np.ndarray) -> str | None:
    """Why a column foresees the labels (n,), 1 at `positive` (positives,), better than any honest one, if it does."""
    telling = _telling_auc(rows[name], rows.once(name, "codes", _codes), labels, positive)
    if telling > TELLING_AUC or (telling > TELLING_AUC_OF_FEW_VALUES and rows[name].nunique() <= FEW_VALUES):
        return f"alone it tells the label (AUC {telling:.3f}), as only the future can"
    return None


def _is_like_a_date(column: pd.Series) -> bool:
    """Texts that begin with a date, and numbers that are dates as 20240131 or seconds or milliseconds since 1970."""
    known = column.dropna()
    if known.empty or _is_boolean_object(column) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    if is_categorical(column):
        return bool(known.astype(str).str.match(DATE_TEXT).mean() >= SHARE_OF_DATES)
    values = numbers(known)
    values = values[~np.isnan(values)]
    if not len(values) or len(np.unique(values)) < 2 or (values != np.floor(values)).any():
        return False
    year, month, day = values // 10_000, values // 100 % 100, values % 100
    is_written = (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    is_epoch = [(values >= 3e8 * unit) & (values < 2.5e9 * unit) for unit in (1, 1_000, 1_000_000)]
    return any(found.mean() >= SHARE_OF_DATES for found in [is_written, *is_epoch])


def _is_like_an_id(column: pd.Series) -> bool:
    """Text, or numbers spread evenly or counted on as amounts never are, that hardly ever repeat."""
    known = column.dropna()
    if len(known) < ROWS_TO_JUDGE or known.nunique() < DISTINCT_SHARE_OF_AN_ID * len(known):
        return False
    if is_categorical(column):
        return True
    values = np.sort(numbers(known))
    if np.isnan(values).any():
        return False
    steps = np.round(np.diff(values), 9)
    most_common = np.unique(steps, return_counts=True)[1].max()
    if most_common >= SHARE_OF_EQUAL_STEPS * len(steps):
        return True
    spread = (values - values[0]) / (values[-1] - values[0])
    distance = float(np.abs(spread - np.linspace(0, 1, len(spread))).max())
    if (values != np.floor(values)).any():
        # A fraction is no id unless it is as even as only chance makes it: within the 1 % limit of Kolmogorov's test.
        return len(values) >= ROWS_TO_JUDGE_FRACTIONS and distance <= 1.63 / np.sqrt(len(values))
    digits = np.floor(np.log10(np.maximum(np.abs(values[[0, -1]]), 1)))
    is_code = digits[0] == digits[1] and digits[0] >= 4
    return distance <= (UNIFORM_DISTANCE_OF_A_CODE if is_code else UNIFORM_DISTANCE_OF_AN_ID)


def _codes(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The code (n,) of each row's value or narrow range of values, and how many rows each code (codes,) has."""
    codes = pd.factorize(categories(column))[0] if is_categorical(column) else _narrow_ranges(numbers(column))
    return codes.astype(np.int32), np.bincount(codes)


def _telling_auc(
    column: pd.Series, codes: tuple[np.ndarray, np.ndarray], labels: np.ndarray, positive: np.ndarray
) -> float:
    """The largest AUC of the column's order, of the rates of its values, and of its being there, in any direction.

    Most columns tell too little to come near a limit, which one count shows; of those this is less exact.
    """
    at_most = _auc_of_rates(*codes, positive)
    if at_most < SUSPICIOUS_AUC:
        return at_most
    found = [auc(labels, column.notna().to_numpy().astype(np.float64))]
    if is_categorical(column):
        found.append(auc(labels, _rates_of_others(codes[0], labels)))
    else:
        values = numbers(column)
        if np.isnan(values).all():
            return 0.5
        found.append(auc(labels, np.where(np.isnan(values), np.nanmedian(values), values)))
        found.append(_auc_of_ranges(values, labels))
    return max(max(value, 1 - value) for value in found)


def _narrow_ranges(values: np.ndarray) -> np.ndarray:
    """The code (n,) of each value: ranges of equally many rows, the values between them by themselves, and missing."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(
        np.quantile(
            known[:: -(-len(known) // ROWS_OF_RANGES)],
            np.linspace(0, 1, NARROW_RANGES + 1),
            method="closest_observation",
        )
    )
    codes = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right") + 1
    return np.where(np.isnan(values), 0, codes)


def _auc_of_rates(codes: np.ndarray, everyone: np.ndarray, positive: np.ndarray) -> float:
    """The AUC of the rates of the codes (n,) among the very rows, `everyone` (codes,) of each and some of them
    `positive`: no other guess by the codes has a higher one."""
    positives = np.bincount(codes[positive], minlength=len(everyone))
    positives, everyone = positives[everyone > 0], everyone[everyone > 0]
    order = np.argsort(positives / everyone, kind="stable")
    positives, negatives = positives[order], (everyone - positives)[order]
    lower = np.cumsum(negatives) - negatives / 2
    return float(positives @ lower / (positives.sum() * negatives.sum()))


def _auc_of_ranges(values: np.ndarray, labels: np.ndarray) -> float:
    """How well a few ranges of the values, found on half of the rows, tell the labels of the other half."""
    every = -(-len(values) // ROWS_OF_RANGES)
    values, labels = values[::every], labels[::every]
    half = np.arange(len(labels)) % 2
    guesses = np.full(len(labels), labels.mean())
    for side in (0, 1):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=RANGES, min_samples_leaf=ROWS_TO_JUDGE // 3, random_state=0
        )
        told = half != side
        if len(np.unique(labels[told])) == 2:
            tree.fit(values[told, None], labels[told])
            guesses[~told] = tree.predict_proba(values[~told, None])[:, 1]
    return auc(labels, guesses) if len(np.unique(labels)) == 2 else 0.5


def _rates_of_others(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each row the rate of its code among the rows of the other half: a value must tell of rows it was not told."""
    guesses = np.full(len(labels), labels.mean())
    half = np.arange(len(labels)) % 2
    for side in (0, 1):
        told = half != side
        counts = np.bincount(codes[told], minlength=codes.max() + 1)
        sums = np.bincount(codes[told], weights=labels[told], minlength=codes.max() + 1)
        rates = np.where(counts >= ROWS_TO_JUDGE / 2, sums / np.maximum(counts, 1), labels.mean())
        guesses[~told] = rates[codes[~told]]
    return guesses


def _learn_feature(column: pd.Series) -> NumericFeature | CategoricalFeature | None:
    """How a column becomes numbers, or None when it does not vary."""
    name = str(column.name)
    if not is_categorical(column):
        return _learn_numeric(name, numbers(column))
    shares = pd.Series(categories(column)).value_counts(normalize=True)
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    kept = [category for category, share in ordered if category != "" and MIN_CATEGORY_SHARE <= share < 1]
    return CategoricalFeature(name, tuple(kept[:MAX_CATEGORIES])) if kept else None


def _is_missing(column: pd.Series) -> np.ndarray:
    return np.isnan(numbers(column))


def _learn_numeric(name: str, raw: np.ndarray) -> NumericFeature | None:
    known = raw[~np.isnan(raw)]
    if not len(known):
        return None
    has_missing = bool(len(known) < 0.99 * len(raw))
    if known.min() == known.max() and not has_missing:
        return None
    # The longest time since something stands for "never", the median for any other missing value.
    fill = float(known.max() if "since" in name or "recency" in name else np.median(known))
    is_logarithmic = bool(known.min() >= 0 and _skewness(known) > 1)
    values = np.log1p(known) if is_logarithmic else known
    low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
    scale = (high - low) / 1.349 or values.std() or 1.0
    return NumericFeature(name, is_logarithmic, fill, float(center), float(scale), has_missing)


def _skewness(values: np.ndarray) -> float:
    deviation = values.std()
    if not deviation > 0:
        return 0.0
    standard = (values - values.mean()) / deviation
    # Two products: numpy's power of what is below 0 takes a hundred times as long.
    return float((standard * standard * standard).mean())
