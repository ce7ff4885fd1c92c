"""Groups of customers who behave alike, as many as the data bears, named by what sets them apart.

Customers who have bought are grouped by k-means on robustly scaled behaviour; the others are one segment of
their own. Of the numbers of segments that are stable under resampling and leave no segment tiny, the largest is
taken whose silhouette comes near the best: more segments say more, as long as they are as real. A segment keeps
its id from one day to the next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from include.lake import Lake
from include.ledger import StepFailed
from ml.evaluation import Estimate
from ml.features import (
    FREQUENCY_NAMES,
    RECENCY_NAMES,
    SPEND_NAMES,
    FeatureSpace,
    find_column,
    learn_space,
    numbers,
    read_snapshots,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skipped_card, write_model_cards
from ml.tables import CUSTOMER_SEGMENTS, SEGMENTS, read_table, stable_uniform, write_table
from ml.threads import single_threaded
from ml.wording import name_group, phrase, plain, strongest_first, trait_of

MODEL = "segments"
TASK = "segmentation"
NO_PURCHASE = "no_purchase_yet"
MIN_SHARE = 0.02
MIN_STABILITY = 0.6
NEAR_BEST = 0.90  # of the best silhouette is near enough to prefer more segments
NEAR_YESTERDAY = 0.80  # of the best silhouette is enough to keep the number of the day before
SILHOUETTE_ROWS = 2_000
RESAMPLES = 6
RESTARTS = 4
CUSTOMERS_PER_SEGMENT = 20
MAX_CORRELATION = 0.95
OUTLIER_LIMIT = 3.0
BLOCK = 200_000


@dataclass(frozen=True)
class Space:
    """The plane in which customers are compared: features that vary and are no repetition of one another."""

    features: FeatureSpace
    columns: np.ndarray

    @property
    def names(self) -> list[str]:
        return [self.features.numeric[column].name for column in self.columns]

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """The matrix (customers, features), outliers cut at three scales."""
        return np.clip(self.features.transform(frame)[:, self.columns], -OUTLIER_LIMIT, OUTLIER_LIMIT)

    def place(self, raw: dict[str, float]) -> np.ndarray:
        """The point of raw feature values; features that are not given are NaN."""
        frame = pd.DataFrame([{f.name: raw.get(f.name, np.nan) for f in self.features.numeric}], dtype=float)
        known = np.array([name in raw for name in self.names])
        return np.where(known, self.transform(frame)[0], np.nan)

    def raw(self, point: np.ndarray) -> dict[str, float]:
        """The raw feature values of a point: the inverse of `place`."""
        values = {}
        for coordinate, column in zip(point, self.columns, strict=True):
            feature = self.features.numeric[column]
            value = coordinate * feature.scale + feature.center
            values[feature.name] = float(np.expm1(value) if feature.is_logarithmic else value)
        return values


@dataclass(frozen=True)
class Trial:
    """One number of segments tried on the sample."""

    k: int
    centers: np.ndarray
    silhouette: Estimate
    stability: Estimate
    smallest_share: float

    @property
    def qualifies(self) -> bool:
        return self.stability.value >= MIN_STABILITY and self.smallest_share >= MIN_SHARE


@dataclass(frozen=True)
class Yesterday:
    """The segments of the last day before: ids, raw centroids, and the highest number ever given."""

    centroids: dict[str, dict[str, float]]
    last_number: int


def segment_customers(lake: Lake, day: date, models: Any) -> Summary:
    """Write `segments`, `customer_segments` and their model card as of `day`.

    Uses `models.segmentation.k_min`, `.k_max`, `.sample_rows` and `models.seed`. With too few buyers the tables
    are written empty and the card says why. Raises StepFailed when the snapshots are those of another day.
    """
    with single_threaded():
        snapshots = read_snapshots(lake, filters=[("is_current", "=", True)])
        reason, buyers = _buyers(snapshots, day, models.segmentation.k_min)
        if reason:
            return _write_nothing(lake, day, reason)
        customers = snapshots[buyers].reset_index(drop=True)
        sample = _sample(customers, models.segmentation.sample_rows, models.seed)
        space = learn_plane(sample)
        if not len(space.columns):
            return _write_nothing(lake, day, "no behaviour varies between customers")
        before = _yesterday(lake, day)
        trials = try_numbers(
            space.transform(sample), models.segmentation.k_min, models.segmentation.k_max, models.seed
        )
        trial = choose_number(trials, len(before.centroids))
        ids = match_ids(space, trial.centers, before, sample)
        labels, distances = _assign(space, customers, trial.centers)
        version = model_version(
            {"task": TASK, "k": trial.k, "seed": models.seed, "ids": ids}, space.transform(sample)
        )
        segments = _describe(customers, snapshots[~buyers], labels, ids, trial, space, day, version)
        members = _members(customers, snapshots[~buyers], labels, distances, ids, day)
        card = _card(trial, trials, space, sample, version, models.seed)
        write_table(segments, SEGMENTS, ["segment_id"], lake.ml(day, "segments"))
        rows = write_table(members, CUSTOMER_SEGMENTS, ["customer_id"], lake.ml(day, "customer_segments"))
        write_model_cards(lake, day, TASK, [card])
    return Summary(
        TASK,
        "reported",
        rows,
        f"{len(segments)} segments of {rows:,} customers; silhouette {trial.silhouette.value:.2f}, "
        f"stability {trial.stability.value:.2f}",
    )


def learn_plane(sample: pd.DataFrame) -> Space:
    """Choose the features to compare customers by: numbers that vary, of those that repeat one another the first."""
    features = replace(learn_space(sample), categorical=())
    matrix = features.transform(sample)[:, : len(features.numeric)]
    kept: list[int] = []
    if matrix.shape[1]:
        ranks = rankdata(matrix, axis=0)
        varies = matrix.std(axis=0) > 1e-9
        correlation = np.abs(np.nan_to_num(np.corrcoef(ranks, rowvar=False))).reshape(matrix.shape[1], -1)
        for column in range(matrix.shape[1]):
            if varies[column] and all(correlation[column, other] < MAX_CORRELATION for other in kept):
                kept.append(column)
    return Space(features, np.array(kept, dtype=int))


def try_numbers(matrix: np.ndarray, k_min: int, k_max: int, seed: int) -> list[Trial]:
    """Group the sample (customers, features) into each number of segments and measure the result.

    The silhouette is of a bounded part of the sample; stability is the mean adjusted Rand index of the grouping
    with groupings learned on random halves.
    """
    generator = np.random.default_rng(seed)
    shown = np.sort(generator.permutation(len(matrix))[:SILHOUETTE_ROWS])
    halves = [np.sort(generator.permutation(len(matrix))[: len(matrix) // 2]) for _ in range(RESAMPLES)]
    trials = []
    for k in range(k_min, k_max + 1):
        if k * CUSTOMERS_PER_SEGMENT > len(matrix) or len(np.unique(matrix, axis=0)) <= k:
            break
        fitted = KMeans(k, n_init=RESTARTS, random_state=seed).fit(matrix)
        labels = fitted.labels_
        agreement = [
            adjusted_rand_score(
                labels, KMeans(k, n_init=1, random_state=seed).fit(matrix[half]).predict(matrix)
            )
            for half in halves
        ]
        trials.append(
            Trial(
                k,
                fitted.cluster_centers_,
                _silhouette(matrix[shown], labels[shown]),
                Estimate(float(np.mean(agreement)), float(np.min(agreement)), float(np.max(agreement))),
                float(np.bincount(labels, minlength=k).min() / len(labels)),
            )
        )
    return trials


def choose_number(trials: list[Trial], before: int = 0) -> Trial:
    """The largest number that qualifies with at least 90 % of the best silhouette of those that do.

    The number of the day before is kept while it qualifies with at least 80 %. When none is stable without a tiny
    segment, the most stable one is taken.
    """
    qualified = [trial for trial in trials if trial.qualifies]
    if not qualified:
        return max(trials, key=lambda trial: (trial.stability.value, -trial.k))
    best = max(trial.silhouette.value for trial in qualified)
    for trial in qualified:
        if trial.k == before and trial.silhouette.value >= best - (1 - NEAR_YESTERDAY) * abs(best):
            return trial
    near = [trial for trial in qualified if trial.silhouette.value >= best - (1 - NEAR_BEST) * abs(best)]
    return max(near, key=lambda trial: trial.k)


def match_ids(space: Space, centers: np.ndarray, before: Yesterday, sample: pd.DataFrame) -> list[str]:
    """The id of each center (k,): that of the nearest segment of the day before, or a number never used.

    Centers and yesterday's centroids are paired so that the sum of distances in today's scaled space is least
    (Hungarian assignment); a pair farther apart than yesterday's segments were from one another is not the same
    segment. New segments are numbered by size of spend, or of the first feature without one.
    """
    ids: list[str | None] = [None] * len(centers)
    points = {name: space.place(raw) for name, raw in sorted(before.centroids.items())}
    shared = ~np.isnan(np.array(list(points.values()))).any(axis=0) if points else np.zeros(0, dtype=bool)
    if shared.any() and shared.sum() * 2 >= len(space.columns):
        old = np.array(list(points.values()))[:, shared]
        distances = np.linalg.norm(centers[:, None, shared] - old[None], axis=2)
        apart = np.linalg.norm(old[:, None] - old[None], axis=2)[np.triu_indices(len(old), 1)]
        limit = float(np.median(apart)) if len(apart) else np.inf
        for center, name in zip(*linear_sum_assignment(distances), strict=True):
            if distances[center, name] <= limit:
                ids[center] = list(points)[name]
    lead = find_column(sample, SPEND_NAMES)
    lead = lead if lead in space.names else space.names[0]
    order = sorted(
        range(len(centers)), key=lambda center: (-centers[center, space.names.index(lead)], center)
    )
    number = before.last_number
    for center in order:
        if ids[center] is None:
            number += 1
            ids[center] = f"s{number:02d}"
    return [str(name) for name in ids]


def _assign(space: Space, customers: pd.DataFrame, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest center of each customer and the distance to it, in blocks."""
    labels, distances = [], []
    for begin in range(0, len(customers), BLOCK):
        matrix = space.transform(customers.iloc[begin : begin + BLOCK])
        apart = np.stack([np.linalg.norm(matrix - center, axis=1) for center in centers], axis=1)
        labels.append(apart.argmin(axis=1))
        distances.append(apart.min(axis=1))
    return np.concatenate(labels), np.concatenate(distances)


def _describe(
    customers: pd.DataFrame,
    others: pd.DataFrame,
    labels: np.ndarray,
    ids: list[str],
    trial: Trial,
    space: Space,
    day: date,
    version: str,
) -> pd.DataFrame:
    columns = {
        "mean_recency_days": find_column(customers, RECENCY_NAMES),
        "mean_orders": find_column(customers, FREQUENCY_NAMES),
        "mean_spend": find_column(customers, SPEND_NAMES),
    }
    total = len(customers) + len(others)
    matrix = space.transform(customers)
    mean, deviation = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-9)
    names: dict[str, int] = {}
    rows = []
    for center in sorted(range(len(ids)), key=lambda center: ids[center]):
        inside = labels == center
        differences = (
            dict(zip(space.names, (matrix[inside].mean(axis=0) - mean) / deviation, strict=True))
            if inside.any()
            else {}
        )
        name = _unique_name(differences, names)
        rows.append(
            {
                "segment_id": ids[center],
                "name": name,
                "description": _sentence(customers, inside, differences, total),
                "size": int(inside.sum()),
                **{key: _mean(customers, inside, column) for key, column in columns.items()},
                "differences": json.dumps(
                    {key: round(float(value), 4) for key, value in differences.items()}
                ),
                "centroid": json.dumps(space.raw(trial.centers[center])),
            }
        )
    if len(others):
        rows.append(
            {
                "segment_id": NO_PURCHASE,
                "name": "No purchase yet",
                "description": f"{len(others):,} customers ({len(others) / total:.1%}) who have not bought yet.",
                "size": len(others),
                "differences": "{}",
                "centroid": "{}",
            }
        )
    frame = pd.DataFrame(rows).reindex(columns=SEGMENTS.names)
    return frame.assign(as_of_date=day, share=frame["size"] / total, model_version=version)


def _sentence(customers: pd.DataFrame, inside: np.ndarray, differences: dict[str, float], total: int) -> str:
    """Size and share, then the four largest differences with the means on both sides."""
    parts = []
    for feature, difference in strongest_first(differences)[:4]:
        values = numbers(customers[feature])
        parts.append(
            f"{plain(feature)} {_figure(np.nanmean(values[inside]))} on average against "
            f"{_figure(np.nanmean(values))} of all buyers ({difference:+.1f} standard deviations)"
            if (~np.isnan(values[inside])).any()
            else f"{plain(feature)} is never known"
        )
    return f"{int(inside.sum()):,} customers ({inside.sum() / total:.1%}): " + "; ".join(parts) + "."


def _unique_name(differences: dict[str, float], taken: dict[str, int]) -> str:
    """A name that no other segment of the day has: one more phrase, or a number, when it is taken."""
    name = name_group(differences)
    if name in taken:
        topics = {trait_of(feature).topic for feature, _ in strongest_first(differences)[:3]}
        for feature, difference in strongest_first(differences):
            longer = f"{name}, {phrase(feature, difference)}"
            if trait_of(feature).topic not in topics and longer not in taken:
                name = longer
                break
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name} ({taken[name]})"


def _members(
    customers: pd.DataFrame,
    others: pd.DataFrame,
    labels: np.ndarray,
    distances: np.ndarray,
    ids: list[str],
    day: date,
) -> pd.DataFrame:
    grouped = pd.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "segment_id": np.array(ids, dtype=object)[labels],
            "distance": distances,
        }
    )
    ungrouped = pd.DataFrame(
        {"customer_id": others["customer_id"], "segment_id": NO_PURCHASE, "distance": np.nan}
    )
    return pd.concat([part for part in (grouped, ungrouped) if len(part)], ignore_index=True).assign(
        as_of_date=day, distance=lambda frame: frame["distance"].astype("Float64")
    )[CUSTOMER_SEGMENTS.names]


def _card(
    trial: Trial, trials: list[Trial], space: Space, sample: pd.DataFrame, version: str, seed: int
) -> ModelCard:
    """Silhouette and stability beside those of data with the same columns but no joint structure."""
    matrix = space.transform(sample)
    generator = np.random.default_rng(seed)
    shuffled = np.column_stack([generator.permutation(column) for column in matrix.T])
    chance = try_numbers(shuffled, trial.k, trial.k, seed)
    baseline = "the same with every column shuffled"
    tried = "; ".join(
        f"k={other.k}: silhouette {other.silhouette.value:.3f}, stability {other.stability.value:.2f}, "
        f"smallest {other.smallest_share:.1%}"
        for other in trials
    )
    criterion = (
        f"the largest k with at least {NEAR_BEST:.0%} of the best silhouette among those with stability of at least "
        f"{MIN_STABILITY} and segments of at least {MIN_SHARE:.0%}; yesterday's k while it has {NEAR_YESTERDAY:.0%}"
        + ("" if trial.qualifies else "; none qualified, so the most stable k was taken")
    )
    refused = space.features.refused
    lines = (
        CardLine("segments", _exact(trial.k), None, None, "reported", f"{criterion}. Tried {tried}"),
        CardLine(
            "silhouette",
            trial.silhouette,
            chance[0].silhouette.value if chance else None,
            baseline,
        ),
        CardLine(
            "stability",
            trial.stability,
            chance[0].stability.value if chance else None,
            baseline,
            note=f"adjusted Rand index with groupings of {RESAMPLES} random halves; low and high are the extremes",
        ),
        CardLine("smallest_share", _exact(trial.smallest_share)),
        CardLine(
            "features",
            _exact(len(space.columns)),
            note=("used: " + ", ".join(space.names) + "; refused: " + ", ".join(sorted(refused)))[:2000],
        ),
    )
    return ModelCard(MODEL, version, TASK, lines)


def _silhouette(matrix: np.ndarray, labels: np.ndarray) -> Estimate:
    if len(np.unique(labels)) < 2:
        return Estimate(0.0, 0.0, 0.0)
    values = silhouette_samples(matrix, labels)
    error = 1.96 * values.std() / np.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - error), float(values.mean() + error))


def _buyers(snapshots: pd.DataFrame | None, day: date, k_min: int) -> tuple[str | None, np.ndarray]:
    """Why there is nothing to group, or a mask (customers,) of those who have bought."""
    if snapshots is None or snapshots.empty:
        return "there are no customer features", np.zeros(0, dtype=bool)
    current = snapshots["as_of_date"].max()
    if current != day:
        raise StepFailed(
            f"learn: customer_feature_snapshots is of {current:%Y-%m-%d}, the run of {day:%Y-%m-%d}: "
            "run the step unify of this day first"
        )
    frequency, recency = find_column(snapshots, FREQUENCY_NAMES), find_column(snapshots, RECENCY_NAMES)
    buyers = np.zeros(len(snapshots), dtype=bool)
    if frequency:
        buyers |= np.nan_to_num(numbers(snapshots[frequency])) > 0
    if recency:
        buyers |= ~np.isnan(numbers(snapshots[recency]))
    if not frequency and not recency:
        buyers[:] = True  # a company without orders: everybody is grouped by what else they do
    needed = k_min * CUSTOMERS_PER_SEGMENT
    if buyers.sum() < needed:
        return f"{int(buyers.sum()):,} customers have bought, at least {needed} are needed", buyers
    return None, buyers


def _sample(customers: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    if len(customers) <= rows:
        return customers
    drawn = np.argsort(stable_uniform(customers["customer_id"], "segment sample", seed), kind="stable")[:rows]
    return customers.iloc[np.sort(drawn)].reset_index(drop=True)


def _yesterday(lake: Lake, day: date) -> Yesterday:
    """The segments of the last earlier day that has any, and the highest number of all earlier days."""
    today = lake.ml(day, "segments")
    earlier = [
        path
        for path in sorted(today.parent.parent.glob(f"date=*/{today.name}"))
        if path.parent.name < today.parent.name
    ]
    centroids: dict[str, dict[str, float]] = {}
    last_number = 0
    for path in earlier:
        ids = pq.read_table(path, columns=["segment_id"])["segment_id"].to_pylist()
        last_number = max([last_number, *(int(name[1:]) for name in ids if name != NO_PURCHASE)])
    for path in reversed(earlier):
        frame = read_table(path)
        if frame is not None and not frame.empty:
            grouped = frame[frame["segment_id"] != NO_PURCHASE]
            centroids = dict(zip(grouped["segment_id"], grouped["centroid"].map(json.loads), strict=True))
            break
    return Yesterday(centroids, last_number)


def _write_nothing(lake: Lake, day: date, reason: str) -> Summary:
    write_table(None, SEGMENTS, ["segment_id"], lake.ml(day, "segments"))
    write_table(None, CUSTOMER_SEGMENTS, ["customer_id"], lake.ml(day, "customer_segments"))
    write_model_cards(lake, day, TASK, [skipped_card(MODEL, TASK, reason)])
    return Summary(TASK, "skipped", 0, reason)


def _mean(customers: pd.DataFrame, inside: np.ndarray, column: str | None) -> float | None:
    if column is None:
        return None
    values = numbers(customers[column])[inside]
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else None


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _exact(value: float) -> Estimate:
    return Estimate(float(value), float(value), float(value))
