"""No identifier is in what a run says when it tells all, or when it fails with the value in hand."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.include.extract.conftest import DAY, Desk, desk
from tests.include.privacy.people import ANN, CARD, COOKIE, EMAIL, make_shop

__all__ = ["desk"]

PERSON = ("canary.person@mail.example.com", "+12015550147", "4929000000006", "Canaryname")
HEADER, ROW = "id,at,mail,phone,card,name\n", "2,2017-11-30," + ",".join(PERSON) + "\n"
# What is wrong with a file or with the company's own SQL: the rows after the first, the map of a column.
FAILURES = {
    "SQL that converts": ("", "cast(mail as integer)"),
    "SQL that reads a date": ("", "strptime(mail, '%Y')"),
    "SQL that reads JSON": ("", "json_extract_string(mail, '$.a')"),
    "a cell too many": (ROW.replace("\n", ",more\n"), "card"),
    "an open quote": (ROW.replace("30,", '30,"'), "card"),
    "no UTF-8": (ROW.replace("\n", "\udcff\n"), "card"),
}

Listen = Callable[[], str]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture) -> Callable[[], str]:
    """All that was logged, at the level that tells most, and printed."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + "".join(capfd.readouterr())


def in_hand(desk: Desk, failure: str) -> Desk:
    """A channel with one person in it, and what makes it fail."""
    rows, sql = FAILURES[failure]
    desk.deliver(f"crm_{DAY}.csv", (HEADER + ROW + rows).encode("utf-8", "surrogateescape"))
    columns = {
        "record_id": "id",
        "observed_at": "at",
        "email": "mail",
        "phone": "phone",
        "given_name": "name",
    }
    return desk.describe(
        path="crm_{date}.csv", format="csv", tolerance=1.0, map=columns | {"customer_number": {"sql": sql}}
    )


@pytest.mark.parametrize("failure", FAILURES)
def test_a_value_that_cannot_be_read_is_in_no_log(desk: Desk, said: Listen, failure: str) -> None:
    result = in_hand(desk, failure).extract()
    assert result.landed >= 1
    text = said()
    assert not [value for value in PERSON if value in text]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_task_that_ends_with_a_value_in_hand_tells_where_and_not_what(
    desk: Desk, said: Listen, failure: str
) -> None:
    """Nothing can be written when the rows have been read; the traceback is what Airflow's log has of it."""
    in_hand(desk, failure)
    blocked = desk.lake.landing("customers", "crm")
    blocked.parent.mkdir(parents=True)
    blocked.write_text("")
    with pytest.raises(OSError, match=f"{blocked}") as caught:
        desk.extract()
    text = said() + "".join(traceback.format_exception(caught.value))
    assert "Traceback" in text
    assert not [value for value in PERSON if value in text]


def test_a_day_of_a_shop_is_told_in_full_without_its_people(tmp_path: Path, said: Listen) -> None:
    """Landing, resolving, publishing and a request of Ann's."""
    shop = make_shop(tmp_path)
    shop.spread()
    shop.publish()
    shop.ask("access", "email", EMAIL)
    shop.fulfil()
    text = said()
    assert text
    assert not [value for value in (EMAIL, CARD[ANN], COOKIE[ANN]) if value in text]
