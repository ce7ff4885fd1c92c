"""The report of a release: one self-contained page, `report/index.html`, drawn from the release's own tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from include.lake import Lake, replacing
from include.report.activation import activation
from include.report.audiences import audiences
from include.report.customers import customers
from include.report.formats import day_in_words
from include.report.inputs import inputs
from include.report.purchases import purchases
from include.report.run import run
from include.report.sections import Source
from include.report.state import state
from include.report.value import value
from include.settings import settings
from include.templates import fill

TEMPLATES = Path(__file__).with_name("templates")
CHAPTERS = (inputs, customers, value, purchases, audiences, activation, run)


def write_report(lake: Lake, release: Path, day: date, horizon_days: int) -> Path:
    """Write `report/index.html` into a release that is being sealed. Returns its path.

    Numbers come from the release's tables; what came in and what the gates found, from the lake as of the day.
    `horizon_days` are those that the value of a customer is expected for.
    """
    path = release / "report" / "index.html"
    with duckdb.connect(config=settings().limits) as connection:
        source = Source(connection, lake, release, day, horizon_days)
        content = {
            "state": state(source),
            "chapters": [chapter(source) for chapter in CHAPTERS],
            "day": day,
            "day_in_words": day_in_words(day),
        }
    with replacing(path) as temporary:
        temporary.write_text(fill(TEMPLATES / "report.html", content), encoding="utf-8")
    return path
