from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.evaluation import Estimate
from ml.registry import CardLine, ModelCard, model_version, skipped_card, write_model_cards
from ml.tables import KeyRepeated, stable_uniform
from tests.ml.shoppers import DAY

DATA = pd.DataFrame({"orders": [1, 2, 3]})


def test_a_version_is_the_same_for_the_same_code_parameters_and_data():
    assert model_version({"b": 1, "a": 2}, DATA) == model_version({"a": 2, "b": 1}, DATA.copy())


@pytest.mark.parametrize(
    ("parameters", "data"),
    [({"seed": 2}, DATA), ({"seed": 1}, DATA + 1), ({"seed": 1}, DATA.rename(columns={"orders": "calls"}))],
    ids=["parameters", "values", "columns"],
)
def test_a_version_changes_with(parameters, data):
    assert model_version(parameters, data) != model_version({"seed": 1}, DATA)
    assert model_version({"seed": 1}, np.arange(3)) != model_version({"seed": 1}, np.arange(4))


def test_cards_of_two_tasks_stand_beside_each_other_and_are_read_as_one_table(lake):
    line = CardLine("auc", Estimate(0.8, 0.7, float("nan")), 0.5, "random", "promoted")
    write_model_cards(lake, DAY, "propensity", [ModelCard("buys", "v1", "propensity", (line,))])
    write_model_cards(lake, DAY, "segmentation", [skipped_card("segments", "segmentation", "nobody bought")])
    folder = lake.ml(DAY, "x").parent
    cards = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("model_cards_*.parquet"))])
    assert cards["model"].tolist() == ["buys", "segments"]
    assert cards["note"].tolist()[1] == "skipped: nobody bought"
    assert cards["value"].tolist()[0] == 0.8 and cards["high"].isna().all()


def test_a_metric_that_comes_twice_is_refused(lake):
    line = CardLine("auc", Estimate(0.8, 0.7, 0.9))
    with pytest.raises(KeyRepeated, match="auc"):
        write_model_cards(lake, DAY, "propensity", [ModelCard("buys", "v1", "propensity", (line, line))])


def test_a_stable_draw_depends_on_the_id_and_the_purpose_alone():
    ids = np.array([f"c{i}" for i in range(2000)], dtype=object)
    drawn = stable_uniform(ids, "fold")
    assert (stable_uniform(ids[::-1], "fold")[::-1] == drawn).all()
    assert abs(np.corrcoef(drawn, stable_uniform(ids, "control"))[0, 1]) < 0.1
    assert drawn.mean() == pytest.approx(0.5, abs=0.03) and (drawn < 0.1).mean() == pytest.approx(
        0.1, abs=0.03
    )
