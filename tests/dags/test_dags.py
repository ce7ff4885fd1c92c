"""The DAGs are exactly these, wired as the design says."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.business_day import business_day
from include.config import load_configuration
from include.ledger import SourceUnreachable
from include.settings import settings

PROJECT = Path(__file__).resolve().parents[2]
STEPS = ["extract", "stage", "resolve", "unify", "learn", "segment", "expand", "publish"]
TASKS = {
    "open_run": set(),
    "extract.land": {"open_run"},
    "extract.complete": {"extract.land"},
    "extract.normalise": {"extract.complete"},
    "extract.gate": {"extract.normalise"},
    "anything_new": {"extract.gate"},
    "stage.build": {"anything_new"},
    "stage.gate": {"stage.build"},
    "resolve.identify": {"stage.gate"},
    "resolve.gate": {"resolve.identify"},
    "unify.build": {"resolve.gate"},
    "unify.gate": {"unify.build"},
    "learn.value": {"unify.gate"},
    "learn.segmentation": {"learn.value"},
    "learn.recommendation.train": {"learn.segmentation"},
    "learn.recommendation.score": {"learn.recommendation.train"},
    "learn.recommendation.gather": {"learn.recommendation.train", "learn.recommendation.score"},
    "learn.product_profiles": {"learn.segmentation"},
    "learn.propensity.train": {"unify.gate"},
    "learn.propensity.score": {"learn.propensity.train"},
    "learn.propensity.gather": {"learn.propensity.train", "learn.propensity.score"},
    "learn.triggers": {"unify.gate"},
    "learn.needs": {"unify.gate"},
    "learn.offsite": {"unify.gate"},
    "learn.gate": {
        "learn.recommendation.gather",
        "learn.product_profiles",
        "learn.propensity.gather",
        "learn.triggers",
        "learn.needs",
        "learn.offsite",
    },
    "segment.build": {"learn.gate"},
    "segment.gate": {"segment.build"},
    "expand.lookalikes.train": {"segment.gate"},
    "expand.lookalikes.score": {"expand.lookalikes.train"},
    "expand.lookalikes.gather": {"expand.lookalikes.train", "expand.lookalikes.score"},
    "expand.build": {"expand.lookalikes.gather"},
    "expand.reach": {"expand.build"},
    "expand.gate": {"expand.reach"},
    "publish.activate": {"expand.gate"},
    "publish.build": {"publish.activate"},
    "publish.write": {"publish.build"},
    "publish.gate": {"publish.write"},
    "publish.swap": {"publish.gate"},
    "publish.deliver": {"publish.swap"},
    "publish.serve": {"publish.swap"},
}


@pytest.fixture(scope="session")
def dag_bag(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(PROJECT / "dags")


def test_every_dag_file_imports(dag_bag):
    assert dag_bag.import_errors == {}


def test_the_dags_are_exactly_these(dag_bag):
    assert set(dag_bag.dags) == {"customer_audiences", "plan_identity", "privacy_requests", "roll_back"}
    assert [task.task_id for task in dag_bag.dags["plan_identity"].tasks] == ["plan"]


def test_a_privacy_request_about_many_is_done_only_after_a_person_has_decided(dag_bag):
    dag = dag_bag.dags["privacy_requests"]
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "receive": set(),
        "needs_a_person": {"receive"},
        "approve": {"needs_a_person"},
        "decide": {"approve", "receive"},
        "fulfil": {"needs_a_person", "decide"},
    }
    templates = [str(getattr(task, name, "")) for task in dag.tasks for name in task.template_fields]
    assert templates
    assert not any("id_value" in text for text in templates)


@pytest.mark.parametrize("running", [0, 1])
def test_requests_wait_for_a_run_of_the_day(dag_bag, monkeypatch, running):
    """The task `fulfil` as Airflow would call it, beside so many runs of the day."""

    class Instance:
        def get_dr_count(self, dag_id: str, states: list[str]) -> int:
            return {("customer_audiences", "running"): running}[dag_id, *states]

        def xcom_pull(self, task_ids: str, key: str) -> str:
            return {("receive", "day"): "2017-12-01"}[task_ids, key]

    called = []
    monkeypatch.setattr("include.airflow_task.call", lambda *asked: called.append(asked))
    fulfil = dag_bag.dags["privacy_requests"].get_task("fulfil").python_callable
    with pytest.raises(SourceUnreachable, match="tried again") if running else nullcontext():
        fulfil(ti=Instance())
    assert called == ([] if running else [("fulfil_requests", "2017-12-01")])


def test_the_form_of_privacy_requests_offers_what_the_queue_takes(dag_bag):
    from include.privacy.requests.queue import ID_TYPES, KINDS

    params = dag_bag.dags["privacy_requests"].params
    assert set(params) == {"kind", "id_type", "id_value", "purpose", "reason", "day"}
    assert params.get_param("kind").schema["enum"] == ["", *KINDS]
    assert params.get_param("id_type").schema["enum"] == [*ID_TYPES]


def test_tasks_and_their_order_are_those_of_the_design(dag_bag):
    dag = dag_bag.dags["customer_audiences"]
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == TASKS


def test_the_form_of_the_daily_run_has_types_limits_and_help(dag_bag):
    params = dag_bag.dags["customer_audiences"].params
    assert {name: params.get_param(name).schema["type"] for name in params} == {
        "day": ["null", "string"],
        "channels": ["null", "array"],
        "rebuild": "boolean",
    }
    offered = params.get_param("channels").schema["examples"]
    assert offered == list(load_configuration(settings().config).channels)
    for name in params:
        assert params.get_param(name).schema["title"]
        assert len(params.get_param(name).description) > 40


def test_a_backfill_of_a_range_is_of_each_of_its_days_in_order(dag_bag):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_bag.dags["customer_audiences"]))
    midnights = [datetime(2017, 12, day, tzinfo=UTC) for day in (2, 4)]
    runs = list(dag.iter_dagrun_infos_between(*midnights))
    assert [str(business_day({}, None, run.logical_date)) for run in runs] == [
        "2017-12-01",
        "2017-12-02",
        "2017-12-03",
    ]
    assert dag.max_active_runs == 1


def test_an_asset_is_updated_when_its_gate_holds_and_the_last_when_readers_see_the_release(dag_bag):
    dag = dag_bag.dags["customer_audiences"]
    assert {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets} == {
        "extract.gate": ["tandem_landed"],
        "unify.gate": ["tandem_unified"],
        "learn.gate": ["tandem_scored"],
        "publish.swap": ["tandem_published"],
    }


def test_every_task_has_an_owner_and_tells_of_its_failure(dag_bag):
    for task in dag_bag.dags["customer_audiences"].tasks:
        assert task.owner == "data-engineering"
        told = task.on_failure_callback  # of a mapped task as it was given, of others as a list
        assert [each.__name__ for each in (told if isinstance(told, list) else [told])] == [
            "_tell_of_failure"
        ]


def test_a_task_whose_worker_is_lost_is_tried_again(dag_bag):
    """What a second try cannot mend never gets one: `call` raises AirflowFailException for it."""
    tries = {task.task_id: task.retries for task in dag_bag.dags["customer_audiences"].tasks}
    assert tries == dict.fromkeys(TASKS, 1)


def test_nothing_runs_before_the_gate_of_the_step_before(dag_bag):
    dag = dag_bag.dags["customer_audiences"]
    for earlier, later in itertools.pairwise(STEPS):
        first = [t for t in dag.tasks if t.task_id.startswith(f"{later}.")]
        assert first
        for task in first:
            assert f"{earlier}.gate" in task.get_flat_relative_ids(upstream=True)


def test_a_task_that_opens_the_warehouse_takes_the_one_slot_pool(dag_bag):
    dag = dag_bag.dags["customer_audiences"]
    pooled = {task.task_id for task in dag.tasks if task.pool == "warehouse"}
    assert pooled == {task for task in TASKS if task.endswith((".build", ".gate"))}


def test_a_dag_file_has_the_dags_name_its_page_and_less_than_a_hundred_lines_of_code(dag_bag):
    for path in (PROJECT / "dags").glob("*.py"):
        dag = dag_bag.dags[path.stem]
        text = path.read_text()
        assert "What a failure means" in dag.doc_md
        assert "How to re-run" in dag.doc_md
        code = [line for line in text.split('"""', 2)[2].splitlines() if line.strip()]
        assert len(code) < 100


def test_a_dag_file_imports_nothing_heavy_when_it_is_parsed():
    code = (
        "import sys; sys.path.insert(0, 'dags'); "
        "import customer_audiences, plan_identity, privacy_requests, roll_back; "
        "print([m for m in ('pandas', 'sklearn', 'great_expectations', 'dbt', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_table_of_dags_tells_the_truth(dag_bag):
    table = (PROJECT / "dags" / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)` \|", table, flags=re.MULTILINE)
    assert dict(rows) == {name: str(dag.schedule) for name, dag in dag_bag.dags.items()}
