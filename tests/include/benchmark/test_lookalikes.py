from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.benchmark import lookalikes
from include.benchmark.harness import Cost, measure
from include.benchmark.planted_tastes import TASTES, compare_with_truth

KEY = b"k" * 32


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, dict[str, Cost]]:
    """The inputs of 8,000 visitors, and what every way to score them came to."""
    folder = tmp_path_factory.mktemp("lookalikes") / "bench"
    costs = measure(lookalikes.TOPIC, folder, size=8000, repeats=1)
    return folder / "inputs", costs


def test_every_visitor_is_scored_alike_by_the_task_and_by_the_bare_model(measured):
    _, costs = measured
    assert {name: cost.rows for name, cost in costs.items()} == {
        "lookalikes": 8000, "bare_model": 8000, "logistic": 8000, "boosting": 8000, "lookalikes_quarter": 2000,
        "start": 0,
    }  # fmt: skip
    assert costs["lookalikes"].digest == costs["bare_model"].digest != ""
    assert costs["logistic"].digest == costs["boosting"].digest == costs["start"].digest == ""


def test_plain_pipelines_find_the_seeds_likes_as_the_task_does(measured, tmp_path):
    """The seed is drawn of those who have the first feature: whoever has it is more alike to all three."""
    inputs, _ = measured
    first = pd.read_parquet(inputs / "features.parquet", columns=["visitor_id", "feature"])
    has_it = first["feature"].eq("category:000").groupby(first["visitor_id"]).any().to_numpy()
    assert 500 < has_it.sum() < 1500
    for name, file in (("lookalikes", "scores"), ("logistic", "logistic"), ("boosting", "boosting")):
        lookalikes.TOPIC.variant(name).run(inputs, tmp_path / name)
        scores = np.load(tmp_path / name / f"{file}.npy")
        assert np.median(scores[has_it]) > np.quantile(scores[~has_it], 0.95)


def test_members_are_held_against_the_truth_about_strangers_and_against_an_oracle():
    """Of 1,000 strangers a tenth are of each taste and read of nothing else; half of the 50 chosen are of it."""
    generator = np.random.default_rng(0)
    cookies = [f"c{number:04d}" for number in range(1000)]
    ids = [hmac.new(KEY, f"anonymous_id:{name}".encode(), hashlib.sha256).hexdigest() for name in cookies]
    names = [*TASTES.values(), *(f"other{number}" for number in range(7))]
    primary = np.arange(1000) % 10
    truth = pd.DataFrame(
        [
            (cookie, f"s{place}", name, float(primary[place] == at), primary[place] == at, False)
            for place, cookie in enumerate(cookies)
            for at, name in enumerate(names)
        ],
        columns=["cookie", "person_id", "taste", "affinity", "is_primary", "would_respond"],
    )
    reads = np.where(generator.random(1000) < 0.9, primary, generator.integers(0, 10, 1000))
    features = pd.DataFrame(
        {"visitor_id": ids, "feature": [f"category:{names[at]}" for at in reads], "value": 3.0}
    )
    chosen = [*np.flatnonzero(primary == 0)[:25], *np.flatnonzero(primary == 5)[:25]]
    members = pd.DataFrame(
        {"audience_id": "baby_families", "visitor_id": [ids[at] for at in chosen], "percentile": 99.0}
    )
    found = compare_with_truth(members, features, pd.DataFrame({"visitor_id": []}), truth, KEY)
    row = found.audiences.set_index("audience_id").loc["baby_families"]
    assert row["chosen"] == 50 and row["base_rate"] == 0.1
    assert row["lift"] == 5 and row["omniscient_lift"] == 10
    assert 8 < row["oracle_lift"] <= 10
    assert found.share_of_oracle == row["lift"] / row["oracle_lift"]
