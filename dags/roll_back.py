"""
# roll_back

Points readers back to an earlier release that is still kept: `published/current`, and the places of `publishing.yml`
(PostgreSQL, object storage), each in one step. Nothing is computed and nothing is removed; the next run of
`customer_audiences` moves forward again.

Give the id of the release, a folder of `published/releases`; the table `ops.releases` lists them.

**What a failure means.** There is no such release (the log names those there are), it is not whole, or a place did not
answer. The log says which place: those before it show the release already.

**How to re-run.** Trigger it again: what shows the release already is left as it is.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, dag, task


@dag(
    schedule=None,
    start_date=datetime(2017, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["tandem", "publish"],
    default_args={"owner": "data-engineering", "retries": 0},
    params={
        "release": Param(
            type="string",
            pattern=r"^\d{4}-\d\d-\d\d_[0-9a-f]{12}$",
            title="Release",
            description="The id of a release that is kept, e.g. 2017-12-01_0123456789ab.",
        ),
    },
)
def roll_back():
    @task
    def roll(params: dict | None = None) -> str:
        from include.airflow_task import call

        release = params["release"]
        return call("roll_back", release.split("_")[0], release)

    roll()


roll_back()
