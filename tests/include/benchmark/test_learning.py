from __future__ import annotations

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from include.benchmark import learning
from include.benchmark.harness import measure
from include.benchmark.learning_inputs import DAY, write_inputs
from include.config import load_configuration
from include.lake import Lake
from include.pipeline import LEARNING
from include.settings import DEFAULT_CONFIG

TOPIC = learning.TOPIC


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("made") / "data")
    write_inputs(lake, 300)
    return lake


def test_every_task_of_learn_is_measured_against_reading_its_inputs():
    assert set(learning.READS) == set(LEARNING)
    tasks = [task for task in LEARNING if task != "offsite"]
    assert {variant.name for variant in TOPIC.variants} == {
        *tasks,
        *(f"{task}_inputs" for task in tasks),
    }
    assert [(ratio.variant, ratio.other) for ratio in TOPIC.ratios] == [
        (task, f"{task}_inputs") for task in tasks
    ]


def test_every_column_that_counts_as_read_is_in_the_inputs(made):
    for task in learning.MEASURED:
        for name, columns in learning.READS[task].items():
            path = made.table("cdp", name[4:]) if name.startswith("cdp/") else made.staged(name)
            assert set(columns or []) <= set(pq.read_schema(path).names)


def test_customers_have_twenty_rows_each_and_labels_where_the_outcome_is_known(made):
    timeline = pq.read_metadata(made.table("cdp", "customer_timeline")).num_rows
    assert 17 * 300 < timeline < 23 * 300
    snapshots = pq.read_table(made.staged("customer_feature_snapshots")).to_pandas()
    assert len(snapshots) == 3 * 300
    assert (snapshots["bought_in_horizon"].isna() == (snapshots["as_of_date"] == DAY)).all()
    assert 0.05 < snapshots["bought_in_horizon"].dropna().astype(float).mean() < 0.5


def test_the_inputs_are_such_that_the_tasks_learn_from_them(made):
    from ml.needs import find_needs

    models = load_configuration(DEFAULT_CONFIG).models
    summary = find_needs(made, DAY, models)
    assert summary.status == "reported" and summary.rows > 10


def test_a_task_and_the_reading_of_its_inputs_are_measured(tmp_path):
    value = tuple(variant for variant in TOPIC.variants if variant.name.startswith("value"))
    costs = measure(replace(TOPIC, variants=value), tmp_path / "bench", size=4000, repeats=1)
    assert costs["value"].rows > 3 * 200
    assert costs["value_inputs"].rows == 2
