"""The scorecard of a look-alike: what is published of each model, whether it is used or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ml import pu
from ml.calibration import isotonic
from ml.evaluation import Estimate, evaluate, exact
from ml.likeness import REACH_SHARES, Judgement, Sample, TestOverTime
from ml.registry import CardLine, ModelCard
from ml.tables import LOOKALIKE_MODELS
from ml.visitors import drawn

TASK = "lookalike"
TRAITS_SHOWN = 50


@dataclass(frozen=True)
class Comparison:
    """What changed since the last run: nothing when there was none."""

    day: date | None = None
    largest_drift: float | None = None
    drifted_feature: str | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a model beside its judgement: sizes in people or visitors, and what was refused and why."""

    audience_id: str
    day: date
    version: str
    sizes: Mapping[str, int]
    features: int
    refused: Mapping[str, str]
    over_time: TestOverTime
    compared: Comparison = field(default_factory=Comparison)


def model_row(facts: Facts, judgement: Judgement) -> dict[str, Any]:
    """The model's row of `lookalike_models`."""
    metrics, over_time = judgement.metrics, facts.over_time
    model, activity, weights = (metrics[name] for name in ("model", "activity", "trait weights"))
    later = over_time.metrics
    tests = "hidden members" + (", later members" if later else f" (later members: {over_time.note})")
    return _identity(facts) | {
        "algorithm": judgement.algorithm,
        "features": facts.features,
        "base_rate": float(judgement.labels.mean()),
        "auc": model["auc"].value,
        **_with_interval("lift_at_1", model["lift_at_1"]),
        **_with_interval("lift_at_5", model["lift_at_5"]),
        **_with_interval("lift_at_10", model["lift_at_10"]),
        "activity_lift_at_5": activity["lift_at_5"].value,
        **_with_interval("gain_over_activity", metrics["model - activity"]["lift_at_5"]),
        "trait_weights_lift_at_5": weights["lift_at_5"].value,
        **_with_interval("gain_over_trait_weights", metrics["model - trait weights"]["lift_at_5"]),
        "calibration_error": calibration_error(judgement),
        "tests": tests,
        "joined_size": over_time.joined,
        **(_with_interval("later_lift_at_5", later["model"]["lift_at_5"]) if later else {}),
        "later_activity_lift_at_5": later["activity"]["lift_at_5"].value if later else None,
        "verdict": "published" if judgement.published else "refused",
        "reason": judgement.reason,
        "curve": json.dumps(_curve(judgement)),
    }


def row_without_model(facts: Facts, reason: str) -> dict[str, Any]:
    """The row of an audience of which nothing could be learned."""
    return _identity(facts) | {
        "features": facts.features,
        "verdict": "refused",
        "reason": reason,
        "curve": "[]",
    }


def card(facts: Facts, judgement: Judgement, traits: pd.DataFrame, fairness: pd.DataFrame) -> ModelCard:
    """Everything measured of the model, line by line."""
    verdict = "promoted" if judgement.published else "refused"
    metrics, later = judgement.metrics, facts.over_time.metrics
    lines = [
        CardLine(
            "lift_at_5_difference",
            metrics["model - activity"]["lift_at_5"],
            0.0,
            "activity alone",
            verdict,
            judgement.reason,
        ),
        CardLine(
            "lift_at_5_over_trait_weights",
            metrics["model - trait weights"]["lift_at_5"],
            0.0,
            "trait weights",
            verdict,
            "the log-odds weights that closed platforms use",
        ),
        *(
            CardLine(
                metric, metrics["model"][metric], metrics["activity"][metric].value, "activity alone", verdict
            )
            for metric in ("auc", "average_precision", "lift_at_1", "lift_at_5", "lift_at_10")
        ),
        CardLine("lift_at_5_of_trait_weights", metrics["trait weights"]["lift_at_5"], 1.0, "random", verdict),
        CardLine(
            "later_lift_at_5",
            later["model"]["lift_at_5"] if later else None,
            later["activity"]["lift_at_5"].value if later else None,
            "activity alone",
            verdict,
            facts.over_time.note,
        ),
        CardLine("ece", exact(calibration_error(judgement)), None, None, verdict, "of the score, ten bins"),
        CardLine(
            "base_rate",
            exact(judgement.labels.mean()),
            None,
            None,
            verdict,
            "seeds among the people held out",
        ),
        CardLine(
            "features", exact(facts.features), None, None, verdict, reasons(facts.refused, 2000) or None
        ),
        CardLine("top_features", None, None, None, verdict, _in_words(traits)),
        *(
            CardLine(
                f"hidden_seed_lift of {algorithm}",
                exact(value),
                1.0,
                "random",
                verdict,
                "chosen" if algorithm == judgement.algorithm else None,
            )
            for algorithm, value in judgement.hidden_seed_lifts.items()
        ),
        *_fairness_lines(fairness, verdict),
        *_comparison_lines(facts.compared, verdict),
    ]
    return ModelCard(f"{TASK}:{facts.audience_id}", facts.version, TASK, tuple(lines))


def card_without_model(facts: Facts, reason: str) -> ModelCard:
    line = CardLine("lift_at_5_difference", None, None, None, "refused", reason)
    features = CardLine(
        "features", exact(facts.features), None, None, "refused", reasons(facts.refused, 2000) or None
    )
    return ModelCard(f"{TASK}:{facts.audience_id}", facts.version, TASK, (line, features))


def with_overlap(card: ModelCard, overlap: float | None) -> ModelCard:
    """The card with how many members stayed since the last run, which is known once all have been scored."""
    if overlap is None:
        return card
    line = CardLine(
        "member_overlap", exact(overlap), note="members of the last run and of today over either's"
    )
    return replace(card, lines=(*card.lines, line))


def top_traits(facts: Facts, sample: Sample, features: tuple[str, ...], minimum: int) -> pd.DataFrame:
    """What sets the seed apart, the features of at least `minimum` visitors whose shares differ most by their standard
    error: rows of `lookalike_traits`."""
    seeds, others = pu.presence(sample.matrix, sample.is_seed), pu.presence(sample.matrix, ~sample.is_seed)
    n_seeds, n_others = sample.is_seed.sum(), (~sample.is_seed).sum()
    seed_share, other_share = seeds / n_seeds, others / n_others
    everyone = (seeds + others) / (n_seeds + n_others)
    error = np.sqrt(np.maximum(everyone * (1 - everyone), 1e-12) * (1 / n_seeds + 1 / n_others))
    strength = np.where(seeds + others >= minimum, np.abs(seed_share - other_share) / error, -1)
    order = [at for at in np.argsort(-strength, kind="stable")[:TRAITS_SHOWN] if strength[at] >= 0]
    return pd.DataFrame(
        {
            "audience_id": facts.audience_id,
            "feature": [features[at] for at in order],
            "as_of_date": facts.day,
            "rank": np.arange(1, len(order) + 1),
            "seed_share": np.round(seed_share[order], 3),
            "candidate_share": np.round(other_share[order], 3),
            "ratio": np.round((seed_share[order] + 1 / n_seeds) / (other_share[order] + 1 / n_seeds), 2),
        }
    )


def shares_of(matrix: sparse.csr_array, features: tuple[str, ...]) -> pd.DataFrame:
    """How many of the rows have each feature: what drift is measured from."""
    visitors = np.bincount(matrix.indices, minlength=len(features))
    return pd.DataFrame(
        {"feature": features, "visitors": visitors, "share": visitors / max(matrix.shape[0], 1)}
    )


def drift_of_shares(before: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """The population stability index of having each feature or not, by feature, the largest first.

    A feature that one of the two days does not have counts as had by nobody then; half a visitor in ten thousand
    keeps the index finite.
    """
    shares = (
        before.set_index("feature")["share"]
        .to_frame("before")
        .join(now.set_index("feature")["share"].rename("now"), how="outer")
    )
    old, new = (shares[name].fillna(0).clip(5e-5, 1 - 5e-5) for name in ("before", "now"))
    index = (new - old) * np.log(new / old) + (old - new) * np.log((1 - new) / (1 - old))
    return index.rename("drift").sort_index().sort_values(ascending=False, kind="stable")


def calibration_error(judgement: Judgement) -> float:
    """The calibration error of each half of the held-out people under a calibration learned on the other half."""
    half = drawn(judgement.people, "calibration half", 0) < 0.5
    labels = judgement.labels.astype(np.float64)
    probabilities = np.zeros(len(labels))
    for part in (half, ~half):
        if not part.any() or part.all():
            return float("nan")
        probabilities[part] = isotonic(judgement.places[~part], labels[~part])(judgement.places[part])
    measured = evaluate(labels, {"score": probabilities}, probabilities=["score"], rounds=0)
    return measured["score"]["ece"].value


def reasons(refused: Mapping[str, str], limit: int = 300) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(refused.items()))[:limit]


def _identity(facts: Facts) -> dict[str, Any]:
    return dict.fromkeys(LOOKALIKE_MODELS.names) | {
        "audience_id": facts.audience_id,
        "model_version": facts.version,
        "as_of_date": facts.day,
        **facts.sizes,
        "refused_features": len(facts.refused),
        "compared_with": facts.compared.day,
        "largest_drift": facts.compared.largest_drift,
        "drifted_feature": facts.compared.drifted_feature,
    }


def _with_interval(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _curve(judgement: Judgement) -> list[dict[str, float | None]]:
    model, activity, weights = (judgement.metrics[name] for name in ("model", "activity", "trait weights"))
    return [
        {
            "share": share,
            "lift": round(model[name].value, 4),
            "low": _rounded(model[name].low),
            "high": _rounded(model[name].high),
            "activity_lift": round(activity[name].value, 4),
            "trait_weights_lift": round(weights[name].value, 4),
        }
        for name, share in REACH_SHARES.items()
    ]


def _in_words(traits: pd.DataFrame) -> str:
    return "; ".join(
        f"{row.feature}: {row.seed_share:.1%} of the seed, {row.candidate_share:.1%} of strangers"
        for row in traits.head(10).itertuples()
    )


def _fairness_lines(fairness: pd.DataFrame, verdict: str) -> list[CardLine]:
    return [
        CardLine(
            f"selection_ratio of {row.attribute}={row.group_name}",
            exact(row.selection_ratio),
            1.0,
            "the pool",
            verdict,
            "outside 0.8 to 1.25" if row.is_flagged else None,
        )
        for row in fairness.itertuples()
    ]


def _comparison_lines(compared: Comparison, verdict: str) -> list[CardLine]:
    if compared.day is None:
        return []
    lines = []
    if compared.largest_drift is not None:
        note = f"{compared.drifted_feature}, since {compared.day:%Y-%m-%d}"
        lines.append(CardLine("largest_drift", exact(compared.largest_drift), None, None, verdict, note))
    return lines


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
