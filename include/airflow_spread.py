"""The tasks of a learner that scores everybody in parts, as a group of a DAG."""

from __future__ import annotations

from airflow.sdk import TaskGroup, task


def spread(what: str, day: str) -> TaskGroup:
    """Train once, score everybody in as many tasks as there are parts, wherever there is room, and gather what they
    scored. `what` is one of `SPREAD` of the pipeline and names the group; `day` is a template."""
    with TaskGroup(group_id=what) as group:
        parts = train(day, what)
        scored = score.partial(day=day, what=what).expand(part=parts)
        # Where nothing is to be scored there are no parts, and no tasks that score.
        gathered = gather.override(trigger_rule="none_failed_min_one_success")(day, what)
        [parts, scored] >> gathered
    return group


@task
def train(day: str, what: str) -> list[str]:
    return _call("train", day, what)


@task(map_index_template="{{ task.op_kwargs['part'] }}")
def score(day: str, what: str, part: str) -> None:
    _call("score", day, what, part)


@task
def gather(day: str, what: str) -> str:
    return _call("gather", day, what)


def _call(function: str, day: str, *arguments: str):
    from include.airflow_task import call

    return call(function, day, *arguments)
