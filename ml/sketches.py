"""Count what people of the sketches have in common, and where they were met, as products of sparse matrices.

Who is in which set and who was met where are matrices of noughts and ones; how many of a set were met at a placement
is a cell of their product. Joined and grouped in SQL every one of the pairs is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import sparse

BATCH_ROWS = 1 << 20
PLACEMENT = ["placement_id", "dimension", "value", "within_site", "within_category"]


class Sketches:
    """The sketches of all sets (n,) of `counts`, rows of reach_counts, from the rows of sketched_people at `path`.

    `members` (people, n) says by ones who is in which set; the row of a person is their number.
    """

    def __init__(self, counts: pd.DataFrame, path: Path) -> None:
        rows = pq.read_table(path, columns=["person", "set_id", "band"])
        self.sets = counts["set_id"].to_numpy()
        self.thresholds = counts["threshold"].to_numpy()
        self.people, sets = rows["person"].to_numpy(), _positions(self.sets, rows["set_id"].to_numpy())
        self.bands = rows["band"].fill_null(0).to_numpy()
        size = int(self.people.max(initial=0)) + 1
        self.members = _ones(self.people, sets, (size, len(self.sets)))

    def count_overlaps(self) -> pd.DataFrame:
        """How many people each two sets have in common (`set_a`, `set_b`, `found`) and the `threshold` below which they
        were looked for, of sets that have any."""
        common = sparse.coo_array(sparse.triu(self.members.T @ self.members, 1))
        first, second = common.row, common.col
        pairs = pd.DataFrame(
            {
                "set_a": np.minimum(self.sets[first], self.sets[second]),
                "set_b": np.maximum(self.sets[first], self.sets[second]),
                "threshold": np.minimum(self.thresholds[first], self.thresholds[second]),
                "found": common.data.astype(np.int64),
            }
        )
        return pairs.sort_values(["set_a", "set_b"], ignore_index=True)

    def count_placements(self, placements: pd.DataFrame, path: Path) -> pd.DataFrame:
        """How many people of each set were met at each of `placements`, rows of placement_counts, by the rows of
        sketched_placements at `path`, with the share that would have been met of people who are as active.

        One row per set and placement where somebody was met: `set_id`, what the placement is, `population_people`,
        `found`, `threshold`, `expected_share`.
        """
        places = placements[PLACEMENT].drop_duplicates("placement_id").sort_values("placement_id")
        ids = places["placement_id"].to_numpy()
        everybody = placements.groupby("placement_id")["people"].sum().loc[ids].to_numpy()
        found = np.zeros((len(self.sets), len(ids)), dtype=np.int64)
        for people, met in _read_in_parts(path):
            column = _positions(ids, met)
            people, column = people[column >= 0], column[column >= 0]
            if len(people):
                first, end = people.min(), people.max() + 1
                there = _ones(people - first, column, (end - first, len(ids)))
                found += (self.members[first:end].T @ there).toarray()
        row, column = np.nonzero(found)
        expected = self._expect(placements, ids)
        cells = places.iloc[column].reset_index(drop=True)
        return cells.assign(
            set_id=self.sets[row],
            population_people=everybody[column],
            found=found[row, column],
            threshold=self.thresholds[row],
            expected_share=expected[row, column],
        ).sort_values(["set_id", "placement_id"], ignore_index=True)

    def _expect(self, placements: pd.DataFrame, ids: np.ndarray) -> np.ndarray:
        """The share of each set (n, m) that would have been met if people were met there as often as everybody of
        their band."""
        sketched = np.asarray(self.members.sum(axis=0)).ravel()
        by_person = np.zeros(self.members.shape[0], dtype=np.int64)
        by_person[self.people] = self.bands
        expected = np.zeros((len(self.sets), len(ids)))
        for band, rows in placements.groupby("band", sort=True):
            of_band = np.asarray(self.members[by_person == band].sum(axis=0)).ravel()
            shares = np.zeros(len(ids))
            shares[_positions(ids, rows["placement_id"].to_numpy())] = rows["people"] / rows["band_people"]
            expected += np.outer(of_band, shares)
        return expected / np.maximum(sketched, 1)[:, None]


def _read_in_parts(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """People (k,) and placements (k,), some rows at a time; the rows lie in the order of people."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=["person", "placement_id"]):
            yield batch["person"].to_numpy(), batch["placement_id"].to_numpy()


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)


def _positions(ids: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Where each of `asked` stands among the ids, -1 where it does not."""
    return pd.Index(ids).get_indexer(asked)
