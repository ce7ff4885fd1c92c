"""What customers who are signed in say in their events, against the same said in Python one event after the other."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import duckdb
import pytest

from include.config import dbt_variables, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.lake import Lake
from include.settings import DEFAULT_CONFIG
from include.warehouse.dbt import compile_model
from tests.dbt_project.small_lake import DAY

ANSWER = "Segment Consent Preference Updated"
PURPOSES = ("advertising", "email")
GRANTS = (True, "Opt-In")  # as records say it too


class Event(NamedTuple):
    """A row of stg_events, as far as the model reads it."""

    channel: str
    user_id: str | None
    anonymous_id: str | None
    device_id: str | None
    advertising_id: str | None
    name: str | None
    consent: str | None
    is_bot: bool
    occurred_at: datetime


def drawn_events(seed: int, count: int = 400) -> list[Event]:
    """Few browsers, answers and moments, so that each meets each, also in one moment; some say one thing only."""
    draw = random.Random(seed)
    first = datetime(DAY.year, DAY.month, DAY.day) - timedelta(days=60)
    answers = [
        None,
        "{}",
        *(json.dumps({name: said}) for name in PURPOSES for said in (*GRANTS, False, "pending")),
    ]
    answers += [json.dumps(dict.fromkeys(PURPOSES, said)) for said in (True, False)]
    return [
        Event(
            draw.choice(["site", "app"]),
            draw.choice([None, *(f"u{number}" for number in range(12))]),
            draw.choice(["d1", "d2", None]),
            None,
            None,
            draw.choice([None] * 9 + [ANSWER]),
            draw.choice(answers),
            draw.random() < 0.05,
            first + timedelta(hours=draw.randrange(65 * 24) // 48 * 48),
        )
        for _ in range(count)
    ]


def told(events: Iterable[Event]) -> set[tuple]:
    """The latest statement of each user, purpose, channel and status."""
    end = datetime(DAY.year, DAY.month, DAY.day) + timedelta(days=1)
    said: dict[tuple, list[tuple]] = {}
    for event in events:
        if event.user_id and event.consent and not event.is_bot and event.occurred_at < end:
            for purpose, answer in json.loads(event.consent).items():
                device = (event.user_id, purpose, event.channel, event.anonymous_id)
                said.setdefault(device, []).append((event.occurred_at, answer not in GRANTS, event.name))
    first_grants: dict[tuple, datetime] = {}
    for (user, purpose, *_), answers in said.items():
        for at, is_refused, _ in answers:
            if not is_refused:
                first_grants[user, purpose] = min(at, first_grants.get((user, purpose), at))
    latest: dict[tuple, datetime] = {}
    for (user, purpose, channel, _), answers in said.items():
        statements = [(at, is_refused) for at, is_refused, name in answers if name == ANSWER]
        # Of one moment the refusal comes last, and a grant beside it is none that goes on.
        states = sorted({(at, is_refused) for at, is_refused, _ in answers})
        begun_at, state = states[0]
        for at, is_refused in states:
            if is_refused != state:
                begun_at, state = at, is_refused
        if len({is_refused for _, is_refused in states}) == 1 and not state:
            begun_at = first_grants[user, purpose]
        for at, is_refused in [*statements, (begun_at, state)]:
            key = (user, purpose, channel, "denied" if is_refused else "granted")
            latest[key] = max(at, latest.get(key, at))
    return {(*key, at) for key, at in latest.items()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SQL that dbt would run with the project's own configuration."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    configuration = load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS)
    return compile_model("int_signed_in_consents", lake, dbt_variables(configuration, DAY, lake))


def statements(model: str, events: list[Event]) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute(
            "create table warehouse.stg_events (channel varchar, user_id varchar, anonymous_id varchar,"
            " device_id varchar, advertising_id varchar, name varchar, consent varchar, is_bot boolean,"
            " occurred_at timestamp)"
        )
        connection.executemany("insert into warehouse.stg_events values (?, ?, ?, ?, ?, ?, ?, ?, ?)", events)
        return connection.execute(
            f"select user_id, purpose, channel, status, effective_at from ({model})"
        ).fetchall()


@pytest.mark.parametrize("seed", range(5))
def test_statements_are_those_that_are_found_event_by_event(model: str, seed: int) -> None:
    events = drawn_events(seed)
    found = statements(model, events)
    assert len(found) > 10
    assert len(found) == len(set(found))
    assert set(found) == told(events)


def test_the_order_in_which_events_land_changes_nothing(model: str) -> None:
    events = drawn_events(7)
    assert set(statements(model, events[::-1])) == set(statements(model, events)) != set()


def test_a_page_seen_after_unsubscribing_grants_nothing(model: str) -> None:
    page = Event("site", "u1", "d1", None, None, None, '{"email": true}', False, datetime(2024, 1, 1))
    later = page._replace(occurred_at=datetime(2024, 3, 1))
    new_cookie = later._replace(anonymous_id="d2")
    assert statements(model, [page, later, new_cookie]) == [
        ("u1", "email", "site", "granted", datetime(2024, 1, 1))
    ]
