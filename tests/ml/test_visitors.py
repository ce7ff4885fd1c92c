from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml import visitors as module
from ml.pu import viewed
from ml.visitor_encoding import choose_features, learn_encoding
from ml.visitors import Unordered, index_visitors, parts, read_observations


@pytest.fixture
def rows() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "visitor_id": [f"v{number:03d}" for number in generator.integers(0, 200, 3000)],
            "feature": [f"site:{number:02d}" for number in generator.zipf(1.5, 3000).clip(max=60)],
            "value": generator.integers(0, 5, 3000).astype(float),
        }
    ).drop_duplicates(["visitor_id", "feature"])
    ages = frame[["visitor_id"]].drop_duplicates().iloc[::2].assign(feature="trait:age")
    ages["value"] = np.arange(len(ages)) * 1.0
    return pd.concat([frame, ages]).sort_values(["visitor_id", "feature"], ignore_index=True)


@pytest.mark.parametrize("batch", [7, 100, 10_000])
def test_parts_say_of_everybody_what_a_pivot_says(rows, batch, tmp_path, monkeypatch):
    """Whatever the size of a batch: a count of 0 is as good as none, an age of 0 is an age."""
    monkeypatch.setattr(module, "CELLS_PER_BATCH", batch)
    rows.to_parquet(tmp_path / "features.parquet", index=False, row_group_size=150)
    visitors = index_visitors(tmp_path / "features.parquet")
    expected = rows.pivot(index="visitor_id", columns="feature", values="value").sort_index()
    assert visitors.ids.to_pylist() == expected.index.tolist()
    everybody = read_observations(visitors, np.arange(len(visitors)))
    expected = expected[list(everybody.names)]
    assert np.array_equal(everybody.matrix.toarray(), expected.fillna(0).to_numpy())
    ages = everybody.names.index("trait:age")
    assert (everybody.matrix.indices == ages).sum() == expected["trait:age"].notna().sum()
    some = np.array([3, 50, 51, len(visitors) - 1])
    few = read_observations(visitors, some)
    assert np.array_equal(few.matrix.toarray(), expected[list(few.names)].fillna(0).to_numpy()[some])
    assert set(few.names) < set(everybody.names)
    total = len(visitors)
    streamed = [
        found
        for rows in (range(total // 3), range(total // 3, total - 1), range(total - 1, total))
        for found in parts(visitors.path, visitors.starts, everybody.names, rows)
    ]
    assert len(streamed) > 2
    assert [first for first, _ in streamed] == np.cumsum(
        [0, *(part.matrix.shape[0] for _, part in streamed[:-1])]
    ).tolist()
    together = np.vstack([part.matrix.toarray() for _, part in streamed])
    assert np.array_equal(together, everybody.matrix.toarray())


def test_a_hand_over_in_another_order_is_refused(rows, tmp_path):
    rows.iloc[::-1].to_parquet(tmp_path / "features.parquet", index=False)
    with pytest.raises(Unordered, match=r"features\.parquet is not in the order of visitor_id"):
        index_visitors(tmp_path / "features.parquet")


def test_a_number_becomes_steps_that_keep_its_order(rows, tmp_path):
    rows.to_parquet(tmp_path / "features.parquet", index=False)
    visitors = index_visitors(tmp_path / "features.parquet")
    observed = read_observations(visitors, np.arange(len(visitors)))
    kept = observed.keep(choose_features(observed, {}))
    encoding = learn_encoding(kept)
    matrix = encoding.encode(kept).toarray()
    steps = [at for at, name in enumerate(encoding.columns) if name.startswith("trait:age at least")]
    known = matrix[:, encoding.columns.index("trait:age known")] > 0
    ages = kept.matrix.toarray()[:, kept.names.index("trait:age")]
    assert len(steps) == 9 and known.sum() == (rows["feature"] == "trait:age").sum()
    height = matrix[:, steps].sum(axis=1)
    assert (np.diff(height[known][np.argsort(ages[known])]) >= 0).all() and set(height[known]) == set(
        range(10)
    )
    assert height[~known].sum() == 0
    others = [name for name in encoding.columns if not name.startswith("trait:")]
    assert others == [name for name in kept.names if name != "trait:age"]
    assert np.array_equal(
        matrix[:, [encoding.columns.index(name) for name in others]],
        kept.matrix.toarray()[:, [kept.names.index(name) for name in others]],
    )


def test_shares_do_not_depend_on_how_much_somebody_browses():
    from scipy import sparse

    matrix = sparse.csr_array(np.array([[10.0, 30.0, 1.0], [1000.0, 3000.0, 1.0]]))
    shares = viewed(matrix, "shares", np.array([0, 0, -1])).toarray()
    assert shares[0] == pytest.approx([np.sqrt(10 / 45), np.sqrt(30 / 45), 1])
    assert shares[1] == pytest.approx([np.sqrt(0.25), np.sqrt(0.75), 1], abs=0.001)


def test_a_feature_of_few_visitors_is_left_out_and_among_few_visitors_fewer_will_do(rows, tmp_path):
    rows.to_parquet(tmp_path / "features.parquet", index=False)
    visitors = index_visitors(tmp_path / "features.parquet")
    observed = read_observations(visitors, np.arange(len(visitors)))
    counts = np.bincount(observed.matrix.indices, minlength=len(observed.names))
    assert choose_features(observed, {}).tolist() == np.flatnonzero(counts >= 5).tolist()
    assert (counts < 5).sum() > 0
