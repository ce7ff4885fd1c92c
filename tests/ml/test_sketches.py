"""What sketches have in common and where their people were met, against joins of the same rows by pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml import sketches
from ml.sketches import Sketches

PEOPLE, SETS, PLACEMENTS = 400, (3, 5, 6, 9), (1, 2, 4, 7, 8)


@pytest.fixture(scope="module")
def rows() -> dict[str, pd.DataFrame]:
    """People 1 to 300 are behind visitors, the others customers, who are in set 9 alone and met nowhere."""
    generator = np.random.default_rng(5)
    people = pd.DataFrame(
        [
            (person, set_id)
            for person in range(1, PEOPLE)
            for set_id in SETS
            if (set_id == 9) == (person > 300) and (person > 300 or generator.random() < 0.4)
        ],
        columns=["person", "set_id"],
    )
    bands = pd.Series(generator.choice([1, 2, 6], PEOPLE), name="band").astype("Int32")
    bands[bands.index % 7 == 0] = pd.NA
    people["band"] = people["person"].map(bands).where(people["person"] <= 300)
    met = pd.DataFrame(
        [
            (person, placement_id)
            for person in np.sort(people.loc[people["band"].notna(), "person"].unique())
            for placement_id in (*PLACEMENTS, 11)  # of 11 nothing may be told, so that it has no counts
            if generator.random() < 0.3
        ],
        columns=["person", "placement_id"],
    )
    placements = pd.DataFrame(
        [
            (
                placement_id,
                band,
                "site",
                f"site{placement_id}",
                None,
                None,
                40 + placement_id * band,
                400 + band,
            )
            for placement_id in PLACEMENTS
            for band in (1, 2, 6)
        ],
        columns=[*sketches.PLACEMENT[:1], "band", *sketches.PLACEMENT[1:], "people", "band_people"],
    )
    counts = pd.DataFrame({"set_id": SETS, "threshold": [40, 10, 30, 20]})
    return {"people": people, "met": met, "placements": placements, "counts": counts}


@pytest.fixture
def paths(rows: dict[str, pd.DataFrame], tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.parquet" for name in ("people", "met")}
    for name, path in paths.items():
        rows[name].to_parquet(path)
    return paths


def test_overlaps_are_those_of_a_join(rows: dict[str, pd.DataFrame], paths: dict[str, Path]) -> None:
    joined = rows["people"].merge(rows["people"], on="person", suffixes=("_a", "_b"))
    joined = joined[joined["set_id_a"] < joined["set_id_b"]]
    expected = joined.groupby(["set_id_a", "set_id_b"]).size()
    found = Sketches(rows["counts"], paths["people"]).count_overlaps().set_index(["set_a", "set_b"])
    assert found["found"].to_dict() == expected.to_dict()
    assert found["threshold"].to_dict() == {(3, 5): 10, (3, 6): 30, (5, 6): 10}


def test_placements_are_those_of_a_join_however_many_are_read_at_a_time(
    rows: dict[str, pd.DataFrame], paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows["people"].merge(rows["met"], on="person").groupby(["set_id", "placement_id"]).size()
    expected = expected[expected.index.get_level_values("placement_id") != 11]
    assert len(expected) == 3 * len(PLACEMENTS)
    cells = {}
    for size in (7, 1 << 20):
        monkeypatch.setattr(sketches, "BATCH_ROWS", size)
        drawn = Sketches(rows["counts"], paths["people"])
        cells[size] = drawn.count_placements(rows["placements"], paths["met"])
        assert cells[size].set_index(["set_id", "placement_id"])["found"].to_dict() == expected.to_dict()
    pd.testing.assert_frame_equal(*cells.values())


def test_the_share_expected_is_that_of_everybody_as_active(
    rows: dict[str, pd.DataFrame], paths: dict[str, Path]
) -> None:
    cells = Sketches(rows["counts"], paths["people"]).count_placements(rows["placements"], paths["met"])
    everybody = rows["placements"].assign(share=lambda found: found["people"] / found["band_people"])
    shares = rows["people"].merge(everybody, on="band").groupby(["set_id", "placement_id"])["share"].sum()
    sizes = rows["people"].groupby("set_id").size()
    for cell in cells.itertuples():
        expected = shares[cell.set_id, cell.placement_id] / sizes[cell.set_id]
        assert cell.expected_share == pytest.approx(expected, rel=1e-12)
        assert cell.population_people == 3 * 40 + cell.placement_id * (1 + 2 + 6)
