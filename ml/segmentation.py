"""Groups of customers in two schemes: who behaves alike, and the well-known ones of recency, frequency and money.

Customers who have bought are grouped by k-means on robustly scaled behaviour; the others are one segment of
their own. Of the numbers of segments that are stable under resampling and leave no segment tiny, the largest is
taken whose silhouette comes near the best: more segments say more, as long as they are as real. A segment keeps
its id from one day to the next, and its name for as long as the name is true. How it has grown is told by the customers
of the cutoff before, who are put into today's segments by what was known of them then.
"""

from __future__ import annotations

import json
import re
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

from include.lake import Lake, earlier_days
from ml import rfm
from ml.evaluation import Estimate, exact
from ml.features import (
    FREQUENCY_NAMES,
    RECENCY_NAMES,
    SNAPSHOTS,
    SPEND_NAMES,
    FeatureSpace,
    find_column,
    learn_space,
    numbers,
    read_snapshots,
    refuse_another_day,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skipped_card, write_model_cards
from ml.tables import CUSTOMER_SEGMENTS, SEGMENTS, read_table, stable_uniform, write_table
from ml.threads import single_threaded
from ml.wording import name_group, name_holds, phrase, plain, strongest_first, trait_of

MODEL = "segments"
TASK = "segmentation"
BEHAVIOUR, RFM = "behaviour", "rfm"
NO_PURCHASE = "no_purchase_yet"
NUMBERED = re.compile(r"s(\d+)")
MIN_SHARE = 0.02
MIN_STABILITY = 0.6
NEAR_BEST = 0.90  # of the best silhouette is near enough to prefer more segments
NEAR_YESTERDAY = 0.80  # of the best silhouette is enough to keep the number of the day before
SILHOUETTE_ROWS = 2_000
STABILITY_ROWS = 50_000
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
    """The segments of the last day before: raw centroids and names by id, and the highest number ever given."""

    centroids: dict[str, dict[str, float]]
    names: dict[str, str]
    last_number: int


@dataclass(frozen=True)
class People:
    """Customers as of one cutoff: those to group, and those who have not bought while others have."""

    day: date
    grouped: pd.DataFrame
    others: pd.DataFrame

    @property
    def total(self) -> int:
        return len(self.grouped) + len(self.others)


@dataclass(frozen=True)
class Scheme:
    """The segments of one scheme, one row each, the segment of every customer, and what is to say of them."""

    segments: pd.DataFrame
    members: pd.DataFrame
    card: ModelCard
    note: str


def segment_customers(lake: Lake, day: date, models: Any) -> Summary:
    """Write `segments`, `customer_segments` and their model cards as of `day`, in the schemes behaviour and rfm.

    Uses `models.segmentation.k_min`, `.k_max`, `.sample_rows` and `models.seed`, and of the day the score
    expected_value, if it is written already. A scheme with too few buyers has no rows and its card says why. Raises
    StepFailed when the snapshots are those of another day.
    """
    with single_threaded():
        refuse_another_day(lake, day)
        snapshots = read_snapshots(lake, filters=[("is_current", "=", True)])
        if snapshots is None or snapshots.empty:
            return _write(lake, day, ["there are no customer features"] * 2)
        past = _people_before(lake, snapshots)
        today = _people(snapshots, day)
        del snapshots
        worth = _expected_value(lake, day)
        return _write(
            lake,
            day,
            [
                group_by_behaviour(lake, today, past, worth, models),
                group_by_rfm(today, past, worth, models.seed),
            ],
        )


def group_by_behaviour(
    lake: Lake, today: People, past: People | None, worth: pd.Series | None, models: Any
) -> Scheme | str:
    """The segments of customers who behave alike, or why there are none."""
    customers = today.grouped
    needed = models.segmentation.k_min * CUSTOMERS_PER_SEGMENT
    if len(customers) < needed:
        doing = "have bought" if _buyers(customers).any() else "are known"
        return f"{len(customers):,} customers {doing}, at least {needed} are needed"
    sample = _sample(customers, models.segmentation.sample_rows, models.seed)
    space = learn_plane(sample)
    if not len(space.columns):
        return "no behaviour varies between customers"
    before = _yesterday(lake, today.day)
    trials = try_numbers(
        space.transform(sample), models.segmentation.k_min, models.segmentation.k_max, models.seed
    )
    if not trials:
        return "too few customers differ from one another"
    trial = choose_number(trials, len(before.centroids))
    ids = match_ids(space, trial.centers, before, sample)
    labels, distances = _assign(space, customers, trial.centers)
    version = model_version(
        {"task": TASK, "k": trial.k, "seed": models.seed, "ids": ids}, space.transform(sample)
    )
    segments = _describe(today, labels, ids, trial, space, before.names)
    names = np.array(ids, dtype=object)
    members = _members(today, names[labels], NO_PURCHASE, BEHAVIOUR, {"distance": distances})
    earlier = None
    if past is not None:
        earlier = _members(
            past, names[_assign(space, past.grouped, trial.centers)[0]], NO_PURCHASE, BEHAVIOUR, {}
        )
    return Scheme(
        _measure(segments, BEHAVIOUR, today, members, past, earlier, worth).assign(model_version=version),
        members,
        _card(trial, trials, space, sample, version, models.seed),
        f"{len(segments)} by behaviour, silhouette {trial.silhouette.value:.2f}, "
        f"stability {trial.stability.value:.2f}",
    )


def group_by_rfm(today: People, past: People | None, worth: pd.Series | None, seed: int) -> Scheme | str:
    """The segments of recency, frequency and money, or why there are none."""
    values = _rfm_values(today.grouped)
    if values is None:
        return "there are no orders"
    if len(today.grouped) < rfm.MIN_BUYERS:
        return f"{len(today.grouped):,} customers have bought, at least {rfm.MIN_BUYERS} are needed"
    reference = rfm.learn_reference(*values)
    scores = rfm.score(reference, *values)
    named = rfm.name_segments(scores)
    members = _members(
        today,
        named,
        rfm.NO_PURCHASE,
        RFM,
        {
            "recency_score": scores.recency,
            "frequency_score": scores.frequency,
            "money_score": scores.money,
        },
    )
    earlier = None
    if past is not None:
        values_then = _rfm_values(past.grouped)
        named_then = (
            rfm.name_segments(rfm.score(reference, *values_then))
            if values_then
            else np.array([], dtype=object)
        )
        earlier = _members(past, named_then, rfm.NO_PURCHASE, RFM, {})
    segments = pd.DataFrame(
        [
            {
                "segment_id": segment.segment_id,
                "name": segment.name,
                "description": _describe_rfm(segment, named == segment.segment_id, values, today.total),
                "differences": "{}",
                "centroid": "{}",
            }
            for segment in rfm.NAMED
            if (named == segment.segment_id).any()
        ]
        + _nobody_bought(today, rfm.NO_PURCHASE)
    )
    generator = np.random.default_rng(seed)
    kept = rfm.stability(*(part[:STABILITY_ROWS] for part in values), generator, RESAMPLES)
    version = model_version({"task": TASK, "scheme": RFM, "seed": seed}, np.column_stack(values))
    card = ModelCard(
        f"{MODEL}_rfm",
        version,
        TASK,
        (
            CardLine("segments", exact(len(segments))),
            CardLine(
                "stability",
                Estimate(float(kept.mean()), float(kept.min()), float(kept.max())),
                note=f"share of buyers who keep their segment when scored against {RESAMPLES} random halves; low and "
                "high are the extremes",
            ),
        ),
    )
    return Scheme(
        _measure(segments, RFM, today, members, past, earlier, worth).assign(model_version=version),
        members,
        card,
        f"{len(segments)} by recency, frequency and money",
    )


def learn_plane(sample: pd.DataFrame) -> Space:
    """Choose the features to compare customers by: numbers that vary, of those that repeat one another the first."""
    features = replace(learn_space(sample), categorical=())
    matrix = features.transform(sample)[:, : len(features.numeric)]
    varying = np.flatnonzero(matrix.std(axis=0) > 1e-9)
    kept: list[int] = []
    if varying.size:
        ranks = rankdata(matrix[:, varying], axis=0)
        correlation = np.abs(np.corrcoef(ranks, rowvar=False)).reshape(varying.size, -1)
        for column in range(varying.size):
            if all(correlation[column, other] < MAX_CORRELATION for other in kept):
                kept.append(column)
    return Space(features, varying[np.array(kept, dtype=int)])


def try_numbers(matrix: np.ndarray, k_min: int, k_max: int, seed: int) -> list[Trial]:
    """Group the sample (customers, features) into each number of segments and measure the result.

    The silhouette is of a bounded part of the sample; stability is the mean adjusted Rand index of the grouping
    with groupings learned on random halves.
    """
    generator = np.random.default_rng(seed)
    shown = np.sort(generator.permutation(len(matrix))[:SILHOUETTE_ROWS])
    halves = [np.sort(generator.permutation(len(matrix))[: len(matrix) // 2]) for _ in range(RESAMPLES)]
    different = len(np.unique(matrix, axis=0))
    trials = []
    for k in range(k_min, k_max + 1):
        if k * CUSTOMERS_PER_SEGMENT > len(matrix) or different <= k:
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
    today: People,
    labels: np.ndarray,
    ids: list[str],
    trial: Trial,
    space: Space,
    names_before: dict[str, str],
) -> pd.DataFrame:
    customers = today.grouped
    matrix = space.transform(customers)
    mean, deviation = matrix.mean(axis=0), np.maximum(matrix.std(axis=0), 1e-9)
    differences = {
        name: dict(zip(space.names, (matrix[labels == center].mean(axis=0) - mean) / deviation, strict=True))
        for center, name in enumerate(ids)
        if (labels == center).any()
    }
    names = _name(differences, names_before)
    rows = [
        {
            "segment_id": ids[center],
            "name": names[ids[center]],
            "description": _sentence(customers, labels == center, differences[ids[center]], today.total),
            "differences": json.dumps(
                {key: round(float(value), 4) for key, value in differences[ids[center]].items()}
            ),
            "centroid": json.dumps(space.raw(trial.centers[center])),
        }
        for center in sorted(range(len(ids)), key=lambda center: ids[center])
        if ids[center] in differences
    ]
    return pd.DataFrame(rows + _nobody_bought(today, NO_PURCHASE))


def _nobody_bought(today: People, segment_id: str) -> list[dict[str, str]]:
    """The row of the segment of those who have not bought, if there are any."""
    if today.others.empty:
        return []
    share = len(today.others) / today.total
    return [
        {
            "segment_id": segment_id,
            "name": "No purchase yet",
            "description": f"{_counted(len(today.others))} ({share:.1%}) who have not bought yet.",
            "differences": "{}",
            "centroid": "{}",
        }
    ]


def _describe_rfm(
    segment: rfm.RfmSegment, members: np.ndarray, values: tuple[np.ndarray, ...], total: int
) -> str:
    """What an RFM segment is, with its figures: scores are relative, and "lately" may be half a year ago."""
    forms = ("{:,.0f} days since the last order", "{:,.1f} orders", "{:,.0f} spent")
    # Where nobody says what was spent, orders stand in for it.
    has_money = values[2] is not values[1] and np.nan_to_num(values[2]).any()
    known = [part[members & np.isfinite(part)] for part in (values if has_money else values[:2])]
    figures = [form.format(part.mean()) for form, part in zip(forms, known, strict=False) if part.size]
    size = int(members.sum())
    return (
        f"{_counted(size)} ({size / total:.1%}) who, compared with other buyers, {segment.meaning}; on average "
        f"{', '.join(figures)}."
    )


def _measure(
    segments: pd.DataFrame,
    scheme: str,
    today: People,
    members: pd.DataFrame,
    past: People | None,
    earlier: pd.DataFrame | None,
    worth: pd.Series | None,
) -> pd.DataFrame:
    """Add sizes and means of today and of the cutoff before, by the customers in each segment then."""
    ids = members["segment_id"].to_numpy()
    size = segments["segment_id"].map(members["segment_id"].value_counts()).astype(np.int64)
    measured = segments.assign(scheme=scheme, as_of_date=today.day, size=size, share=size / today.total)
    for name, patterns in (
        ("mean_recency_days", RECENCY_NAMES),
        ("mean_orders", FREQUENCY_NAMES),
        ("mean_spend", SPEND_NAMES),
    ):
        measured[name] = measured["segment_id"].map(_means(today, ids, patterns)).astype(float)
        # Who has not bought has no recency, orders or spend to speak of.
        measured.loc[measured["segment_id"].isin([NO_PURCHASE, rfm.NO_PURCHASE]), name] = np.nan
    expected = None if worth is None else members["customer_id"].map(worth).groupby(ids).mean()
    measured["mean_expected_value"] = (
        np.nan if expected is None else measured["segment_id"].map(expected).astype(float)
    )
    measured["compared_with"] = past.day if past is not None else None
    if past is None or earlier is None:
        return measured.assign(
            size_before=pd.array([pd.NA] * len(measured), dtype="Int64"),
            mean_spend_before=np.nan,
            trend=np.nan,
        )
    before = measured["segment_id"].map(earlier["segment_id"].value_counts()).fillna(0).astype("Int64")
    spend_before = measured["segment_id"].map(_means(past, earlier["segment_id"].to_numpy(), SPEND_NAMES))
    spend_before = spend_before.where(measured["mean_spend"].notna())
    growth = size / before.astype(float).replace(0, np.nan) - 1
    return measured.assign(size_before=before, mean_spend_before=spend_before.astype(float), trend=growth)


def _means(people: People, ids: np.ndarray, patterns: tuple[str, ...]) -> dict[str, float]:
    """The mean, for each segment, of the column that the patterns describe; `ids` are of the grouped and the others."""
    column = find_column(people.grouped, patterns)
    if column is None:
        return {}
    values = pd.Series(numbers(people.grouped[column]))
    return values.groupby(ids[: len(values)]).mean().to_dict()


def _sentence(customers: pd.DataFrame, inside: np.ndarray, differences: dict[str, float], total: int) -> str:
    """Size and share, then the four largest differences with the means on both sides."""
    everybody = "buyers" if _buyers(customers).any() else "customers"
    parts = []
    for feature, difference in strongest_first(differences)[:4]:
        values = numbers(customers[feature])
        parts.append(
            f"{plain(feature)} {_figure(np.nanmean(values[inside]))} on average against "
            f"{_figure(np.nanmean(values))} of all {everybody} ({difference:+.1f} standard deviations)"
            if (~np.isnan(values[inside])).any()
            else f"{plain(feature)} is never known"
        )
    return f"{_counted(int(inside.sum()))} ({inside.sum() / total:.1%}): " + "; ".join(parts) + "."


def _counted(number: int) -> str:
    return "1 customer" if number == 1 else f"{number:,} customers"


def _name(differences: dict[str, dict[str, float]], before: dict[str, str]) -> dict[str, str]:
    """A name for each segment: that of the day before while it is true, otherwise a new one that no other has."""
    names = {
        segment_id: before[segment_id]
        for segment_id, apart in sorted(differences.items())
        if segment_id in before and name_holds(before[segment_id], apart)
    }
    taken = set(names.values())
    for segment_id, apart in sorted(differences.items()):
        if segment_id not in names:
            names[segment_id] = _unique_name(apart, taken)
    return names


def _unique_name(differences: dict[str, float], taken: set[str]) -> str:
    """A name that no other segment of the day has: one more phrase, or a number, when it is taken."""
    name = name_group(differences)
    if name in taken:
        topics = {trait_of(feature).topic for feature, _ in strongest_first(differences)[:3]}
        for feature, difference in strongest_first(differences):
            longer = f"{name}, {phrase(feature, difference)}"
            if trait_of(feature).topic not in topics and longer not in taken:
                name = longer
                break
    plain_name, number = name, 1
    while name in taken:
        number += 1
        name = f"{plain_name} ({number})"
    taken.add(name)
    return name


def _members(
    people: People, ids: np.ndarray, others_id: str, scheme: str, values: dict[str, np.ndarray]
) -> pd.DataFrame:
    """The segment of each customer: of the grouped (customers,) with their `values`, then of the others."""
    grouped = pd.DataFrame({"customer_id": people.grouped["customer_id"].to_numpy(), "segment_id": ids})
    for name in ("distance", "recency_score", "frequency_score", "money_score"):
        kind = "Float64" if name == "distance" else "Int64"
        grouped[name] = pd.array(values[name] if name in values else [pd.NA] * len(grouped), dtype=kind)
    others = pd.DataFrame({"customer_id": people.others["customer_id"].to_numpy()}).assign(
        segment_id=others_id
    )
    members = pd.concat([part for part in (grouped, others) if len(part)] or [grouped], ignore_index=True)
    return members.assign(scheme=scheme, as_of_date=people.day)


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
        CardLine("segments", exact(trial.k), None, None, "reported", f"{criterion}. Tried {tried}"),
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
        CardLine("smallest_share", exact(trial.smallest_share)),
        CardLine(
            "features",
            exact(len(space.columns)),
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


def _people(snapshots: pd.DataFrame, day: date) -> People:
    """Split the customers of one cutoff. While nobody has bought, everybody is grouped by what else they do."""
    buyers = _buyers(snapshots)
    if not buyers.any():
        buyers[:] = True
    return People(day, *(snapshots[mask].reset_index(drop=True) for mask in (buyers, ~buyers)))


def _people_before(lake: Lake, snapshots: pd.DataFrame) -> People | None:
    """The customers of the last cutoff before, None without one; columns that are not compared are left out."""
    names = [
        name
        for name in snapshots.columns
        if name in ("customer_id", "as_of_date") or pd.api.types.is_numeric_dtype(snapshots[name].dtype)
    ]
    before = read_table(lake.staged(SNAPSHOTS), [("is_current", "=", False)], ["as_of_date"])
    if before is None or before.empty:
        return None
    day = pd.Timestamp(before["as_of_date"].max()).date()
    past = read_snapshots(lake, filters=[("is_current", "=", False), ("as_of_date", "=", day)], columns=names)
    # Columns that are numbers today may all be unknown then.
    past = past.assign(**{name: snapshots[name].iloc[:0] for name in snapshots.columns if name not in past})
    buyers = _buyers(past)
    if not _buyers(snapshots).any():
        buyers[:] = True
    return People(day, *(past[mask].reset_index(drop=True) for mask in (buyers, ~buyers)))


def _buyers(snapshots: pd.DataFrame) -> np.ndarray:
    """A mask (customers,) of those who have bought."""
    frequency, recency = find_column(snapshots, FREQUENCY_NAMES), find_column(snapshots, RECENCY_NAMES)
    buyers = np.zeros(len(snapshots), dtype=bool)
    if frequency:
        buyers |= np.nan_to_num(numbers(snapshots[frequency])) > 0
    if recency:
        buyers |= ~np.isnan(numbers(snapshots[recency]))
    return buyers


def _rfm_values(buyers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Days since the last order, orders and money of buyers (buyers,), None when they have not bought anything."""
    columns = [find_column(buyers, names) for names in (RECENCY_NAMES, FREQUENCY_NAMES, SPEND_NAMES)]
    if buyers.empty or columns[0] is None or columns[1] is None or not _buyers(buyers).any():
        return None
    recency, frequency = numbers(buyers[columns[0]]), numbers(buyers[columns[1]])
    return recency, frequency, numbers(buyers[columns[2]]) if columns[2] else frequency


def _expected_value(lake: Lake, day: date) -> pd.Series | None:
    """The score expected_value by customer_id, None when no model of the day has written it."""
    for path in sorted(lake.ml(day, "any").parent.glob("customer_scores*.parquet")):
        scores = read_table(path, [("score", "=", "expected_value")], ["customer_id", "value"])
        if scores is not None and not scores.empty:
            return scores.set_index("customer_id")["value"]
    return None


def _sample(customers: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    if len(customers) <= rows:
        return customers
    drawn = np.argsort(stable_uniform(customers["customer_id"], "segment sample", seed), kind="stable")[:rows]
    return customers.iloc[np.sort(drawn)].reset_index(drop=True)


def _yesterday(lake: Lake, day: date) -> Yesterday:
    """The segments of the last earlier day that has any, and the highest number of all earlier days."""
    earlier = earlier_days(lake.ml(day, "segments"))
    last_number = 0
    for path in earlier:
        ids = pq.read_table(path, columns=["segment_id"])["segment_id"].to_pylist()
        last_number = max(
            [last_number, *(int(found[1]) for name in ids if (found := NUMBERED.fullmatch(name)))]
        )
    for path in reversed(earlier):
        frame = read_table(path, columns=["segment_id", "name", "centroid"])
        grouped = frame[frame["segment_id"].map(lambda name: bool(NUMBERED.fullmatch(name)))]
        if not grouped.empty:
            return Yesterday(
                dict(zip(grouped["segment_id"], grouped["centroid"].map(json.loads), strict=True)),
                dict(zip(grouped["segment_id"], grouped["name"], strict=True)),
                last_number,
            )
    return Yesterday({}, {}, last_number)


def _write(lake: Lake, day: date, schemes: list[Scheme | str]) -> Summary:
    """Write what the schemes found, behaviour before rfm, and for each that found nothing a card that says why."""
    found = [scheme for scheme in schemes if isinstance(scheme, Scheme)]
    segments = pd.concat([scheme.segments for scheme in found], ignore_index=True) if found else None
    members = pd.concat([scheme.members for scheme in found], ignore_index=True) if found else None
    write_table(segments, SEGMENTS, ["segment_id"], lake.ml(day, "segments"))
    rows = write_table(
        members, CUSTOMER_SEGMENTS, ["customer_id", "scheme"], lake.ml(day, "customer_segments")
    )
    write_model_cards(
        lake,
        day,
        TASK,
        [
            scheme.card if isinstance(scheme, Scheme) else skipped_card(model, TASK, scheme)
            for model, scheme in zip((MODEL, f"{MODEL}_rfm"), schemes, strict=True)
        ],
    )
    note = "; ".join(
        scheme.note if isinstance(scheme, Scheme) else f"none in {name}: {scheme}"
        for name, scheme in zip((BEHAVIOUR, RFM), schemes, strict=True)
    )
    return Summary(TASK, "reported" if found else "skipped", rows, note)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2f}"
