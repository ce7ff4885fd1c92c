"""Features of customers as numbers: which columns may be learned from, and how they are scaled.

What is learned here (medians, scales, categories, refusals) is learned from training rows alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from include.lake import Lake
from ml.evaluation import auc
from ml.tables import read_blocks, read_table

SNAPSHOTS = "customer_feature_snapshots"
LABEL = "bought_in_horizon"
BOOKKEEPING = ("customer_id", "as_of_date", "is_current", LABEL)
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
# Below so many rows of either class a single feature can separate them by chance.
ROWS_TO_JUDGE = 30
DISTINCT_SHARE_OF_AN_ID = 0.99
UNIFORM_DISTANCE_OF_AN_ID = 0.25
MAX_CATEGORIES = 12
MIN_CATEGORY_SHARE = 0.01
SCALED_LIMIT = 8.0

# How the three best known facts about a customer may be called, best first.
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


@dataclass(frozen=True)
class CategoricalFeature:
    """A column of categories: each of `categories` becomes a column of zeros and ones."""

    name: str
    categories: tuple[str, ...]


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

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """The matrix (rows, names) of scaled features; values beyond 8 scales are cut off."""
        columns, missing = [], []
        for feature in self.numeric:
            raw = numbers(frame[feature.name])
            if feature.has_missing:
                missing.append(np.isnan(raw).astype(np.float64))
            values = np.where(np.isnan(raw), feature.fill, raw)
            if feature.is_logarithmic:
                values = np.log1p(np.maximum(values, 0.0))
            columns.append(np.clip((values - feature.center) / feature.scale, -SCALED_LIMIT, SCALED_LIMIT))
        for feature in self.categorical:
            values = categories(frame[feature.name])
            missing.extend((values == category).astype(np.float64) for category in feature.categories)
        return np.column_stack([*columns, *missing]) if columns or missing else np.zeros((len(frame), 0))


def read_snapshots(
    lake: Lake, filters: list[tuple] | None = None, columns: list[str] | None = None
) -> pd.DataFrame | None:
    """Read the snapshots (one row per customer and cutoff) ordered by cutoff and customer, or None without any."""
    frame = read_table(lake.staged(SNAPSHOTS), filters, columns)
    if frame is None:
        return None
    frame["as_of_date"] = pd.to_datetime(frame["as_of_date"]).dt.date
    return frame.sort_values(["as_of_date", "customer_id"], kind="stable").reset_index(drop=True)


def read_current(lake: Lake, rows: int) -> Iterator[pd.DataFrame]:
    """Yield the snapshots of the business day in blocks of at most about `rows`, in the order of customers."""
    for block in read_blocks(lake.staged(SNAPSHOTS), rows, "is_current"):
        yield block.assign(as_of_date=pd.to_datetime(block["as_of_date"]).dt.date)


def cutoffs(snapshots: pd.DataFrame) -> list[date]:
    """The cutoffs whose labels are known, oldest first."""
    return sorted(snapshots.loc[snapshots[LABEL].notna(), "as_of_date"].unique())


def learn_space(frame: pd.DataFrame, labels: np.ndarray | None = None) -> FeatureSpace:
    """Choose and scale the features of `frame`, the training rows; `labels` (rows,) let it look for leaks.

    A column is allowed by its type (numbers, booleans, categories) and refused when it identifies a row, tells
    the label, or does not vary.
    """
    refused = refuse_features(frame, labels)
    numeric, categorical = [], []
    for name in feature_columns(frame):
        if name in refused:
            continue
        if is_categorical(frame[name]):
            shares = pd.Series(categories(frame[name])).value_counts(normalize=True)
            ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
            kept = [
                category for category, share in ordered if category != "" and MIN_CATEGORY_SHARE <= share < 1
            ]
            if kept:
                categorical.append(CategoricalFeature(name, tuple(kept[:MAX_CATEGORIES])))
            else:
                refused[name] = "does not vary"
        else:
            feature = _learn_numeric(name, numbers(frame[name]))
            if feature is None:
                refused[name] = "does not vary"
            else:
                numeric.append(feature)
    return FeatureSpace(tuple(numeric), tuple(categorical), refused)


def feature_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that are no bookkeeping, in alphabetical order so that results do not hang on theirs."""
    return sorted(name for name in frame.columns if name not in BOOKKEEPING)


def refuse_features(frame: pd.DataFrame, labels: np.ndarray | None = None) -> dict[str, str]:
    """Say for every column that must not be learned from why not: the leak guard.

    Refused are names of identifiers, dates and of the label; types that are neither numbers nor categories;
    columns that are different in every row as an id is; and, given `labels` (rows,) of 0 and 1, columns that
    alone order the rows with an AUC above 0.99, by value or by being missing: no honest feature foresees so well.
    """
    refused = {}
    for name in feature_columns(frame):
        reason = _refusal(frame[name], labels)
        if reason:
            refused[name] = reason
    return refused


def find_column(frame: pd.DataFrame, patterns: tuple[str, ...]) -> str | None:
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
    values = (
        pd.to_numeric(column, errors="coerce").astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
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


def _refusal(column: pd.Series, labels: np.ndarray | None) -> str | None:
    name = str(column.name)
    if IDENTIFYING_NAME.search(name):
        return "named like an identifier or a date"
    if TELLING_NAME.search(name):
        return "named like the label or the time after the cutoff"
    if not _is_allowed(column):
        return f"type {column.dtype} is neither number nor category"
    if _is_like_an_id(column):
        return "different in every row, as an identifier is"
    if labels is not None and min(labels.sum(), (1 - labels).sum()) >= ROWS_TO_JUDGE:
        telling = _telling_auc(column, np.asarray(labels, dtype=np.float64))
        if telling > TELLING_AUC:
            return f"alone it tells the label (AUC {telling:.3f}), as only the future can"
    return None


def _is_like_an_id(column: pd.Series) -> bool:
    """Text or whole numbers that hardly ever repeat; numbers only when spread evenly, as amounts never are."""
    known = column.dropna()
    if len(known) < ROWS_TO_JUDGE or known.nunique() < DISTINCT_SHARE_OF_AN_ID * len(known):
        return False
    if is_categorical(column):
        return True
    values = np.sort(numbers(known))
    if np.isnan(values).any() or (values != np.floor(values)).any():
        return False
    spread = (values - values[0]) / (values[-1] - values[0])
    return float(np.abs(spread - np.linspace(0, 1, len(spread))).max()) <= UNIFORM_DISTANCE_OF_AN_ID


def _telling_auc(column: pd.Series, labels: np.ndarray) -> float:
    """The larger AUC of the column's value and of its being there, in whichever direction."""
    known = column.notna().to_numpy()
    if is_categorical(column):
        values = categories(column)
        rates = pd.Series(labels).groupby(values).mean()
        # A category seen once always tells its only row: judge by those seen often enough.
        counts = pd.Series(labels).groupby(values).size()
        rates[counts < ROWS_TO_JUDGE] = labels.mean()
        by_value = auc(labels, pd.Series(values).map(rates).to_numpy(dtype=np.float64))
    else:
        values = numbers(column)
        if np.isnan(values).all():
            return 0.5
        by_value = auc(labels, np.where(np.isnan(values), np.nanmedian(values), values))
    by_presence = auc(labels, known.astype(np.float64))
    return max(by_value, 1 - by_value, by_presence, 1 - by_presence)


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
    return float((((values - values.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0
