"""Scoring in parts, each perhaps on another machine, gives the tables of scoring at once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.schema import Models
from include.lake import Lake
from include.ledger import StepFailed
from include.settings import settings
from ml import lookalike, propensity, recommendation, spread
from ml.spread import Part, Spread, in_one_process, share
from tests.ml import shop, shoppers
from tests.ml.web_worlds import configuration_of, web_world

Learner = tuple[Any, Callable[[Lake], None], date, Any, int]
TABLES = {
    "propensity": ["customer_scores_propensity", "model_cards_propensity"],
    "recommendation": ["product_recommendations", "model_cards_recommendation"],
    "lookalike": ["lookalike_members", "lookalike_models", "lookalike_seeds", "model_cards_lookalike"],
}


def _hand_over_web(lake: Lake) -> None:
    for table, frame in web_world().items():
        in_order = frame.sort_values(["visitor_id", "feature"]) if table == "visitor_features" else frame
        shoppers.hand_over(lake, table, in_order)


@pytest.fixture(scope="module", params=TABLES)
def learner(request) -> Learner:
    """A learner, its inputs, its day, what the configuration says, and how many people it scores."""
    if request.param == "lookalike":
        return lookalike, _hand_over_web, shoppers.DAY, configuration_of(level="broad"), 1950
    if request.param == "recommendation":
        bought = shop.tasteful_purchases()
        open_shop = lambda lake: shop.open_shop(lake, bought, None, shop.catalogue_of(bought))  # noqa: E731
        return recommendation, open_shop, shop.DAY, Models(), bought["customer_id"].nunique()
    snapshots = request.getfixturevalue("snapshots")
    write = lambda lake: shoppers.hand_over(lake, "customer_feature_snapshots", snapshots)  # noqa: E731
    return propensity, write, shoppers.DAY, shoppers.MODELS, int(snapshots["is_current"].sum())


@pytest.fixture(scope="module")
def trained(learner, tmp_path_factory) -> Lake:
    """What was learned, to be scored in four parts."""
    module, hand_over, day, told, people = learner
    lake = Lake(tmp_path_factory.mktemp("trained"))
    hand_over(lake)
    with pytest.MonkeyPatch.context() as patch:
        _use_small_blocks(patch)
        patch.setattr(spread, "settings", lambda: replace(settings(), rows_per_task=people // 3 - 1))
        assert module.train(lake, day, told) == 4
    return lake


def _use_small_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(propensity, "SCORING_BLOCK", 300)
    patch.setattr(recommendation, "BLOCK", 70)


def _copied(lake: Lake, folder: Path) -> Lake:
    return Lake(shutil.copytree(lake.data, folder))


def _tables(lake: Lake, day: date, task: str) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(lake.ml(day, name)) for name in TABLES[task]}


def test_many_parts_in_any_order_give_the_tables_of_one(learner, trained, tmp_path, monkeypatch):
    module, hand_over, day, told, _ = learner
    task, parts = module.__name__.removeprefix("ml."), 4
    whole, parted = Lake(tmp_path / "whole"), _copied(trained, tmp_path / "parted")
    hand_over(whole)
    _use_small_blocks(monkeypatch)
    summary = in_one_process(module.train, module.score, module.gather, whole, day, told)
    for number in reversed(range(parts)):
        module.score(parted, day, Part(number, parts))
    sizes = [each.stat().st_size for each in Spread.of(parted, day, module.TASK).folder.glob("part-*")]
    assert len(sizes) == parts and max(sizes) < 2 * min(sizes)
    assert module.gather(parted, day) == summary
    expected = _tables(whole, day, task)
    for name, table in _tables(parted, day, task).items():
        pd.testing.assert_frame_equal(table, expected[name], check_exact=True)
    # As Airflow has it where a worker is lost after its work is done.
    assert module.gather(parted, day) == summary


def test_a_part_that_is_missing_is_named_and_not_left_out(learner, trained, tmp_path, monkeypatch):
    module, hand_over, day, _, _ = learner
    untrained, lake = Lake(tmp_path / "untrained"), _copied(trained, tmp_path / "trained")
    hand_over(untrained)
    with pytest.raises(StepFailed, match=r"joblib is not there; clear the task train of \w+"):
        module.score(untrained, day, Part(0, 1))
    _use_small_blocks(monkeypatch)
    for number in (0, 1, 3):
        module.score(lake, day, Part(number, 4))
    with pytest.raises(StepFailed, match=r"part-00002-of-00004.parquet is not there; clear the task score"):
        module.gather(lake, day)


@pytest.mark.parametrize("module", [lookalike, propensity, recommendation])
def test_nothing_to_score_is_no_part_and_an_empty_table(module, tmp_path):
    lake, told = Lake(tmp_path), configuration_of(level="broad") if module is lookalike else Models()
    assert module.train(lake, shoppers.DAY, told) == 0
    summary = module.gather(lake, shoppers.DAY)
    assert summary.skipped and summary.rows == 0
    tables = _tables(lake, shoppers.DAY, module.__name__.removeprefix("ml."))
    assert {len(table) for name, table in tables.items() if not name.startswith("model_cards")} == {0}


@pytest.mark.parametrize("most, block", [(1, 1), (3, 10), (10, 3), (25, 10), (1000, 7)])
@pytest.mark.parametrize("rows", [1, 7, 24, 25, 26, 100])
def test_parts_are_as_few_as_may_be_and_of_whole_blocks(rows, most, block, monkeypatch):
    monkeypatch.setattr(spread, "settings", lambda: replace(settings(), rows_per_task=most))
    edges = share(rows, block)
    assert edges[0] == 0 and edges[-1] == rows and len(edges) - 1 == -(-rows // most)
    sizes = [after - before for before, after in itertools.pairwise(edges)]
    assert min(sizes) > 0 and max(sizes) <= most + block
    assert {edge % min(block, most) for edge in edges[:-1]} == {0}
    assert share(0, block) == [0]


def test_a_part_is_read_as_it_is_written():
    assert str(Part(1, 3)) == "2 of 3" and Part.read("2 of 3") == Part(1, 3)
    for wrong in ("4 of 3", "0 of 3", "1", "1 of 3 "):
        with pytest.raises(ValueError, match="allowed: a text like '2 of 3'"):
            Part.read(wrong)


def test_what_is_handed_on_is_swept_by_the_next_run(tmp_path: Path):
    from include.lake import sweep_temporary

    lake = Lake(tmp_path)
    handed = Spread.of(lake, shoppers.DAY, "propensity")
    handed.begin()
    handed.keep("scorers", [1])
    assert handed.load("scorers") == [1]
    sweep_temporary(lake)
    assert not handed.folder.exists()
