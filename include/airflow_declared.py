"""What the DAG itself takes from the configuration: the channels its form offers, and when a run is late.

Airflow reads a DAG file every half minute, so this takes milliseconds and checks nothing: `open_run` checks the whole
configuration, and says what is wrong with it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import yaml
from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

from include.core_yaml import load_yaml
from include.settings import DEFAULT_CONFIG, settings


def channel_names() -> list[str]:
    """The channels of `channels.yml`, in its order."""
    channels = _read("channels.yml").get("channels")
    return [str(name) for name in channels] if isinstance(channels, dict) else []


def daily_deadline() -> DeadlineAlert | None:
    """When somebody is told that a run has not published yet: `late_after_hours` of `publishing.yml` after it was
    queued. None without it."""
    hours = _read("publishing.yml").get("late_after_hours")
    if not isinstance(hours, int) or hours < 1:
        return None
    return DeadlineAlert(
        name="published in time",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=SyncCallback(tell_of_delay),
    )


def tell_of_delay(context: dict[str, Any]) -> None:
    """What Airflow calls, in a process of its own, when a run has missed its deadline."""
    from include.airflow_task import tell_of_delay as tell

    tell(context)


def _read(name: str) -> dict[str, Any]:
    own = settings().config / name
    try:
        content = load_yaml(own if own.exists() else DEFAULT_CONFIG / name)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}
