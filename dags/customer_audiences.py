"""
# customer_audiences

From raw channel files to published audiences, once a day: extract, stage, resolve, unify, learn, segment, expand,
publish. Each step ends in a **gate** of quality checks.

**What a failure means.** A step that fails, or a gate whose checks do not hold, stops everything after it. What
readers see (`published/current`) stays the last good release. The task's log ends in one line that says what
failed, how many rows, an example, and where the readable result lies. When `deliver` fails, the release is published
and a destination was not reached; what it was to get is sent by the next run.

**How to re-run.** Mend the cause, then clear the failed task (its successors run too), or trigger the DAG for the
same day again: a run is a function of its inputs, so a day may be run as often as you like and changes nothing
that it did not change before.

**To run another day** trigger the DAG with `day`. Files of later days are ignored; late files of earlier days are
taken in. With `channels` only those are asked for data; what the others have is taken in by a later run.

**What to look at.** *Report* in the tabs above shows what was published, *Models* what each table is made of; a run has
*Quality gates*, a task *Quality gate*. A gate, a dbt task and the tasks of *publish* link to the page that is theirs.
Who is named under `notify` in `publishing.yml` is told of a task that fails, and, with `late_after_hours`, of a day
that is not published in time.

**What others can wait for.** The assets `tandem_landed`, `tandem_unified`, `tandem_scored` and `tandem_published` are
updated when the gate of that step holds, the last when readers see the release.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import Asset, chain, dag, task, task_group

from include.airflow_declared import daily_deadline
from include.airflow_form import daily_form
from include.airflow_spread import spread

LEARNED = ("value", "segmentation", "product_profiles", "triggers", "needs", "offsite")
# What answers over a network may be away for a moment, and a worker may be lost with what it runs: each is worth a
# second try. A broken contract is not, and never gets one (`include.airflow_task.call`).
ONCE_MORE = {"retries": 1, "retry_delay": timedelta(seconds=10)}
DAY = "{{ ti.xcom_pull(task_ids='open_run', key='day') }}"
LANDED, UNIFIED, SCORED, PUBLISHED = (
    Asset(name=f"tandem_{name}", uri=f"x-tandem://data/{name}")
    for name in ("landed", "unified", "scored", "published")
)


def _tell_of_failure(context) -> None:
    from include.airflow_task import tell_of_failure

    tell_of_failure(context)


@dag(
    schedule=os.environ.get("TANDEM_SCHEDULE", "@daily") or None,
    start_date=datetime(2017, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["tandem", "cdp", "dmp"],
    default_args={"owner": "data-engineering", "on_failure_callback": _tell_of_failure, **ONCE_MORE},
    params=daily_form(),
    deadline=daily_deadline(),
)
def customer_audiences():
    @task
    def open_run(**context) -> list[str]:
        from include.airflow_task import chosen_channels, day_of

        return chosen_channels(context, _call("open_run", day_of(context)))

    @task(map_index_template="{{ task.op_kwargs['channel'] }}")
    def land(day: str, channel: str) -> dict[str, int]:
        return _call("extract", day, channel)

    @task
    def run(function: str, day: str, *arguments: str) -> str:
        return _call(function, day, *arguments)

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def anything_new(day: str, params: dict | None = None) -> bool:
        return params["rebuild"] or _call("is_new", day)

    @task(pool="warehouse")
    def build(step: str, day: str) -> int:
        return _call("build", day, step)

    @task(pool="warehouse")
    def gate(step: str, day: str) -> str:
        return _call("check", day, step)

    channels = open_run()

    @task_group
    def extract():
        landed = land.partial(day=DAY).expand(channel=channels)
        complete = run.override(task_id="complete")("complete_landing", DAY)
        normalise = run.override(task_id="normalise")("normalise", DAY)
        landed >> complete >> normalise >> gate.override(outlets=[LANDED])("extract", DAY)

    @task_group
    def stage():
        build("stage", DAY) >> gate("stage", DAY)

    @task_group
    def resolve():
        run.override(task_id="identify")("resolve", DAY) >> gate("resolve", DAY)

    @task_group
    def unify():
        build("unify", DAY) >> gate.override(outlets=[UNIFIED])("unify", DAY)

    @task_group
    def learn():
        value, segmentation, profiles, *others = (
            run.override(task_id=name)("learn", DAY, name) for name in LEARNED
        )
        recommendation = spread("recommendation", DAY)
        value >> segmentation >> [recommendation, profiles]
        [recommendation, spread("propensity", DAY), profiles, *others] >> gate.override(outlets=[SCORED])(
            "learn", DAY
        )

    @task_group
    def segment():
        build("segment", DAY) >> gate("segment", DAY)

    @task_group
    def expand():
        reach = run.override(task_id="reach")("measure_reach", DAY)
        spread("lookalikes", DAY) >> build("expand", DAY) >> reach >> gate("expand", DAY)

    @task_group
    def publish():
        activate = run.override(task_id="activate")("activate", DAY)
        write = run.override(task_id="write")("write_release", DAY)
        swap = run.override(task_id="swap", outlets=[PUBLISHED])("swap_release", DAY)
        serve = run.override(task_id="serve")("serve_release", DAY)
        # A day on which nothing is new still sends what did not arrive before.
        deliver = run.override(task_id="deliver", trigger_rule="none_failed")("deliver", DAY)
        activate >> build("publish", DAY) >> write >> gate("publish", DAY) >> swap >> [serve, deliver]

    steps = [step() for step in (stage, resolve, unify, learn, segment, expand, publish)]
    chain(extract(), anything_new(DAY), *steps)


def _call(function: str, day: str, *arguments: str):
    from include.airflow_task import call

    return call(function, day, *arguments)


customer_audiences()
