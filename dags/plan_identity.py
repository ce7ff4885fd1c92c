"""
# plan_identity

Shows what other identity rules would do before they are promoted: how many customers would merge, split and keep their
id, which identifiers would lose or gain power, the largest customers, and examples. Nothing that the daily run reads
is written: the plan is a page and a JSON file below `DATA/identity_plan`, and the lines of the task's log.

Give the folder of the changed configuration in `config`; it may hold an `identity.yml` alone. When the plan is as you
want it, put the rules into the configuration of `customer_audiences`: they take effect on its next run.

**What a failure means.** The rules are not valid (the log names the line), or no day has been resolved yet.

**How to re-run.** Trigger it again: equal rules on equal data give an equal plan.
"""

from __future__ import annotations

import os
from datetime import datetime

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    start_date=datetime(2017, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["tandem", "cdp", "identity"],
    default_args={"owner": "data-engineering", "retries": 0},
    params={
        "config": Param(
            os.environ.get("TANDEM_CONFIG", ""),
            type="string",
            title="Folder of the changed configuration",
            description="A folder with the identity.yml to try, as the machine of the worker sees it.",
        ),
        "day": Param(
            os.environ.get("TANDEM_DAY"),
            type=["null", "string"],
            format="date",
            title="Business day",
            description="The plan compares with the latest resolved day up to this one. Empty: the day before the run.",
        ),
    },
)
def plan_identity():
    @task
    def plan(**context) -> str:
        from include.airflow_task import call, day_of

        return call("plan_identity", day_of(context), context["params"]["config"])

    plan()


plan_identity()
