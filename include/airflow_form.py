"""The fields of the form that the Airflow UI shows when a person triggers the daily DAG."""

from __future__ import annotations

import os

from airflow.sdk import Param

from include.airflow_declared import channel_names


def daily_form() -> dict[str, Param]:
    """The parameters of a daily run. None changes what a day is: a run with a form is the run of that day, later."""
    return {
        "day": Param(
            os.environ.get("TANDEM_DAY"),
            type=["null", "string"],
            format="date",
            title="Business day",
            description="All data up to the end of this day (UTC) is taken in. Empty: the day before the run.",
        ),
        "channels": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "minLength": 1},
            uniqueItems=True,
            examples=channel_names(),
            title="Channels",
            description="Ask only these for data; of the others the run takes what they brought before, and one that "
            "must deliver needs to have brought something by this day. Empty: all channels.",
        ),
        "rebuild": Param(
            False,
            type="boolean",
            title="Rebuild",
            description="Run every step even when nothing has changed since this day was published.",
        ),
    }
