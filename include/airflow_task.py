"""What happens between an Airflow task and the pipeline: the day, the key, and which errors are worth a second try."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from include import pipeline
from include.airflow_home import AirflowHome
from include.business_day import business_day
from include.config import ConfigError, load_configuration
from include.ledger import SourceUnreachable, StepFailed
from include.settings import settings

logger = logging.getLogger(__name__)


def day_of(context: Mapping[str, Any]) -> str:
    """The business day of a run as text, and as the XCom `day` for the tasks after this one."""
    run = context["dag_run"]
    partition = getattr(run, "partition_key", None)
    day = business_day(context["params"], partition, run.logical_date or run.run_after).isoformat()
    context["ti"].xcom_push("day", day)
    return day


def chosen_channels(context: Mapping[str, Any], channels: list[str]) -> list[str]:
    """The channels that a run asks for data: those of its form, in the order of the configuration, or all.

    Raises AirflowFailException for a name that is not configured.
    """
    chosen = context["params"].get("channels") or channels
    unknown = sorted(set(chosen) - set(channels))
    if unknown:
        raise AirflowFailException(f"channels: found {', '.join(unknown)}, allowed: {', '.join(channels)}")
    return [channel for channel in channels if channel in chosen]


def tell_of_failure(context: Mapping[str, Any]) -> None:
    """Tell everybody whom `publishing.yml` names that a task has failed. A gate has told them itself."""
    from include.quality.notices import tell_of_task

    task_id = context["ti"].task_id
    if task_id.endswith(".gate"):
        return
    try:
        notices = load_configuration(settings().config).publishing.notify
    except ConfigError as error:
        logger.warning("nobody is told that %s failed: %s", task_id, error)
        return
    day = context["ti"].xcom_pull(task_ids="open_run", key="day") or "day not known yet"
    tell_of_task(notices, task_id, day, settings())


def tell_of_delay(context: Mapping[str, Any]) -> None:
    """Tell everybody whom `publishing.yml` names that a run has not ended in time. Of a backfill nobody is told: its
    days wait for each other, and none of them is of today.

    `context` is what Airflow tells a deadline's callback: the run as its API shows it, and the deadline.
    """
    from include.quality.notices import tell_of_run

    run, due = context["dag_run"], str(context["deadline"]["deadline_time"])
    if run["run_type"] == "backfill":
        return
    began = datetime.fromisoformat(str(run["logical_date"] or run["run_after"]))
    day = business_day(run.get("conf") or {}, run.get("partition_key"), began)
    notices = load_configuration(settings().config).publishing.notify
    tell_of_run(notices, day, f"{datetime.fromisoformat(due):%Y-%m-%d %H:%M} UTC", settings())


def call(function: str, day: str, *arguments: Any) -> Any:
    """Call one function of `include.pipeline`.

    Raises AirflowFailException, which is not tried again, for what a second try cannot mend: a broken contract or
    configuration. Everything else passes through, and so is tried again where the task has retries: above all
    SourceUnreachable, of which only the one line of its message is worth showing.
    """
    _adopt_pseudonym_key()
    try:
        return getattr(pipeline, function)(date.fromisoformat(day), *arguments)
    except SourceUnreachable as error:
        raise type(error)(str(error)) from None
    except (StepFailed, ConfigError) as error:
        raise AirflowFailException(str(error)) from None


def forget_form(context: Mapping[str, Any]) -> None:
    """Remove what people typed into the form of this DAG from Airflow's database, where it would stay for good: the
    configuration of its runs and the audit log of who triggered them."""
    AirflowHome(settings().data).forget_forms(context["dag_run"].dag_id)


def refuse_beside(dag_id: str, context: Mapping[str, Any]) -> None:
    """Raises SourceUnreachable, after which a task is tried again, while a run of another DAG goes on."""
    if context["ti"].get_dr_count(dag_id=dag_id, states=["running"]):
        raise SourceUnreachable(f"a run of {dag_id} has the data; this is tried again")


def _adopt_pseudonym_key() -> None:
    """Take the key from the Airflow connection when the environment does not hold it.

    The connection is called `tandem_pseudonym_key`; the key is its password, its extra has those of earlier epochs.
    """
    if os.environ.get("TANDEM_PSEUDONYM_KEY"):
        return
    try:
        found = BaseHook.get_connection("tandem_pseudonym_key")
    except AirflowNotFoundException:
        return  # the first task says that there is no key, and how to give one
    os.environ["TANDEM_PSEUDONYM_KEY"] = found.password or ""
    for epoch, key in found.extra_dejson.items():
        os.environ[f"TANDEM_PSEUDONYM_KEY_{epoch}"] = str(key)
