"""
# privacy_requests

Access, erasure and objection, for any identifier that a person gives. The form takes one request in; whatever else is
in the queue (`DATA/privacy/requests`, one file per request) is worked off in the same run.

- **access**: a page and a JSON file of all that is held of the person, in `DATA/privacy/answers/<request>`.
- **erasure**: the person is taken out of every place of the index, releases that readers see among them, every file is
  searched once more, and tombstones keep them away. `ops.privacy_requests` shows the proof from the next run on.
- **objection**: a refusal of a purpose, as from any other channel; the next run acts on it.
- **return**: an erased person begins a new relation; rows of that day and later are taken in again.

A request that comes to several customers waits: *approve* shows how many, and asks for a decision under *Required
Actions*. What was typed into the form is removed from Airflow as soon as it is in the queue.

**What a failure means.** *fulfil* found a value of an erased person after all, in the place that its last log line
names, or a run of `customer_audiences` has the data: nothing is half done that a second try does not complete.

**How to re-run.** Clear *fulfil*, or trigger the DAG with an empty form: it goes on with the queue.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, chain, dag, task

KINDS = ["", "access", "erasure", "objection", "return"]
ID_TYPES = [
    "email", "phone", "customer_number", "loyalty_number", "user_id", "national_id", "anonymous_id", "device_id",
    "advertising_id", "customer_id",
]  # fmt: skip
APPROVE, REFUSE = "Approve", "Refuse"


@dag(
    schedule=None,
    start_date=datetime(2017, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["tandem", "privacy"],
    default_args={"owner": "data-protection", "retries": 0},
    params={
        "kind": Param("", type=["null", "string"], enum=KINDS, title="Request",
                      description="What the person asks for. Empty: only the queue is worked off."),
        "id_type": Param("email", type="string", enum=ID_TYPES, title="Known by",
                         description="The sort of identifier; everything that belongs to it is found through it."),
        "id_value": Param("", type=["null", "string"], title="Identifier", description="In any spelling."),
        "purpose": Param("", type=["null", "string"], title="Purpose",
                         description="Of an objection: advertising, for example."),
        "reason": Param("", type=["null", "string"], title="Reason",
                        description="For your own files; no personal data."),
        "day": Param(os.environ.get("TANDEM_DAY"), type=["null", "string"], format="date", title="Received on",
                     description="The day of the request, and the business day of what is done. Empty: yesterday."),
    },
)  # fmt: skip
def privacy_requests():
    @task
    def receive(**context) -> list[str]:
        from include.airflow_task import call, day_of, forget_form

        day, form = day_of(context), context["params"]
        names = ("kind", "id_type", "id_value", "purpose", "reason")
        waiting = call("receive_requests", day, *(form[name] or "" for name in names))
        forget_form(context)
        return waiting

    @task.branch
    def needs_a_person(waiting: list[str]) -> str:
        return "approve" if waiting else "fulfil"

    approve = HITLOperator(
        task_id="approve",
        subject="Privacy requests that come to several customers",
        options=[APPROVE, REFUSE],
        body="{{ ti.xcom_pull(task_ids='receive') | join('\n\n') }}",
    )

    @task
    def decide(waiting: list[str], answer: dict, **context) -> None:
        from include.airflow_task import call

        by = (answer.get("responded_by_user") or {}).get("name") or "unknown"
        is_approved = answer["chosen_options"] == [APPROVE]
        call(
            "decide_requests",
            context["ti"].xcom_pull(task_ids="receive", key="day"),
            waiting,
            by,
            is_approved,
        )

    # A run of the day has the data for as long as it goes; the queue can wait.
    @task(trigger_rule="none_failed_min_one_success", retries=24, retry_delay=timedelta(minutes=10))
    def fulfil(**context) -> str:
        from include.airflow_task import call, refuse_beside

        refuse_beside("customer_audiences", context)
        return call("fulfil_requests", context["ti"].xcom_pull(task_ids="receive", key="day"))

    waiting = receive()
    branch, done = needs_a_person(waiting), fulfil()
    chain(branch, approve, decide(waiting, approve.output), done)
    chain(branch, done)


privacy_requests()
