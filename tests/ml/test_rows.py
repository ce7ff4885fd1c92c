from __future__ import annotations

import numpy as np
import pandas as pd

from ml.features import learn_space
from ml.rows import Rows


def _frame(rows: int = 600) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "as_of_date": np.repeat(["2024-01-01", "2024-02-01"], rows // 2),
            "orders": generator.poisson(2, rows),
            "channel": generator.choice(["web", "store"], rows),
        }
    )


def test_a_column_is_made_once_for_all_who_share_it():
    made = []
    base = Rows(_frame())
    for _ in range(3):
        question = Rows(pd.DataFrame({"own": np.zeros(len(base))}), base)
        question.once("orders", "sum", lambda column: made.append(column.sum()))
    assert len(made) == 1


def test_an_own_column_goes_before_one_of_the_base():
    base = Rows(_frame())
    question = Rows(pd.DataFrame({"orders": np.full(len(base), 7)}), base)
    assert set(question["orders"]) == {7} and set(base["orders"]) != {7}
    assert question.once("orders", "sum", lambda column: int(column.sum())) == 7 * len(base)
    assert sorted(question.columns) == sorted(base.columns)


def test_a_part_learns_from_its_own_rows_and_takes_what_is_made_row_by_row_from_the_whole():
    frame = _frame()
    later = frame.iloc[300:].reset_index(drop=True)
    rows = Rows(frame.assign(orders=np.where(np.arange(600) < 300, frame["orders"], 50)))
    space = learn_space(rows.part(0, 300))
    assert space == learn_space(rows.frame.iloc[:300])
    matrix = space.transform(rows)
    assert np.shares_memory(space.transform(rows.part(300, 600)), matrix)
    assert np.array_equal(space.transform(rows.part(300, 600)), space.transform(later.assign(orders=50)))


def test_features_of_shared_rows_are_those_of_one_frame():
    frame = _frame()
    own = pd.DataFrame({"views": np.random.default_rng(5).poisson(3, len(frame))})
    shared = Rows(own, Rows(frame))
    together = pd.concat([frame, own], axis=1)
    assert learn_space(shared) == learn_space(together)
    assert np.array_equal(learn_space(shared).transform(shared), learn_space(together).transform(together))
