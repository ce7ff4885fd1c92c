"""What happens between an Airflow task and the pipeline: the day, the key, and which errors are worth a second try."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from include import pipeline
from include.business_day import business_day
from include.config import ConfigError
from include.ledger import StepFailed


def day_of(context: Mapping[str, Any]) -> str:
    """The business day of a run as text, and as the XCom `day` for the tasks after this one."""
    run = context["dag_run"]
    partition = getattr(run, "partition_key", None)
    day = business_day(context["params"], partition, run.logical_date or run.run_after).isoformat()
    context["ti"].xcom_push("day", day)
    return day


def call(function: str, day: str, *arguments: str) -> Any:
    """Call one function of `include.pipeline`.

    Raises AirflowFailException, which is not tried again, for what a second try cannot mend: a broken contract or
    configuration. Everything else passes through.
    """
    _adopt_pseudonym_key()
    try:
        return getattr(pipeline, function)(date.fromisoformat(day), *arguments)
    except (StepFailed, ConfigError) as error:
        raise AirflowFailException(str(error)) from None


def _adopt_pseudonym_key() -> None:
    """Take the key from the Airflow connection when the environment does not hold it.

    The connection is called `tandem_pseudonym_key`; the key is its password.
    """
    if os.environ.get("TANDEM_PSEUDONYM_KEY"):
        return
    try:
        os.environ["TANDEM_PSEUDONYM_KEY"] = BaseHook.get_connection("tandem_pseudonym_key").password or ""
    except AirflowNotFoundException:
        return  # the first task says that there is no key, and how to give one
