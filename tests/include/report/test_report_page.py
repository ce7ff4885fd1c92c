"""The page: who reads it finds everything, on any screen, in any light, and with a screen reader."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import duckdb
import pytest

from include.report.html import TEMPLATES, write_report
from tests.include.quality.small_lake import DAY, SmallLake

CHAPTERS = ["inputs", "customers", "value", "purchases", "audiences", "activation", "run"]
FIGURES = {
    "inputs": 2, "customers": 7, "value": 4, "purchases": 5, "audiences": 8, "activation": 4, "run": 1,
}  # fmt: skip


def test_each_chapter_has_its_figures(document: Element) -> None:
    found = {each.get("id"): len(each.findall(".//figure")) for each in document.findall("body/main/section")}
    assert found == {"state": 0, **FIGURES}


def test_every_chart_says_what_it_shows_in_which_unit_of_which_day_and_keeps_its_table(
    document: Element,
) -> None:
    figures = document.findall(".//figure")
    assert len(figures) == sum(FIGURES.values())
    for figure in figures:
        title, unit = figure.find("h3").text, figure.find("p").text
        (chart,) = [each for each in figure.iter("svg") if each.get("role")]
        assert (chart.get("role"), chart.get("aria-label")) == ("img", title)
        assert len(figure.find("figcaption").text) > 20
        assert re.fullmatch(r".{5,} · 1 December 2017", unit), unit
        (table,) = figure.findall("details//table")
        assert table.find("caption").text == unit.replace(" · ", ", ")
        head = table.findall("thead/tr/th")
        assert {each.get("scope") for each in head} == {"col"}
        rows = table.findall("tbody/tr")
        assert rows
        assert {len(row) for row in rows} == {len(head)}
        assert {row[0].get("scope") for row in rows} == {"row"}


def test_nothing_is_drawn_outside_its_chart(document: Element) -> None:
    drawn = [each for chart in document.iter("svg") if chart.get("role") for each in chart.iter("rect")]
    assert len(drawn) > 100
    for each in drawn:
        if each.get("class") != "ground":
            left, width = (float(each.get(name, "0").rstrip("%")) for name in ("x", "width"))
            assert left >= 0, each.attrib
            assert left + width <= 100.5, each.attrib


def test_headings_go_down_one_level_at_a_time_and_landmarks_have_names(document: Element) -> None:
    levels = [int(each.tag[1]) for each in document.iter() if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = {each.get("id") for each in document.iter() if each.get("id")}
    assert {"header", "nav", "main", "footer"} <= {each.tag for each in document.find("body")}
    for link in document.iter("a"):
        assert link.get("href").removeprefix("#") in ids
    for section in document.iter("section"):
        assert section.get("aria-labelledby") in ids
    assert document.find("body")[0].get("class") == "skip"


def test_the_page_needs_no_network_and_is_small(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"src=|https?://|<script|<link|@import|url\(", text)
    assert page.stat().st_size < 1_000_000


def test_the_first_screen_tells_the_state_what_changed_and_what_to_look_at(document: Element) -> None:
    assert document.find(".//header/p[@class='summary']").text == (
        "This release knows 120 customers and 200 anonymous visitors. 0 customers bought within 28 days. "
        "2 of 2 audiences are published. 1 point to look at."
    )
    tiles = {
        each.find("dt").text: each.find("dd/strong").text
        for each in document.findall(".//dl[@class='tiles']/div")
    }
    assert tiles == {
        "customers": "120",
        "active: bought within 28 days": "0",
        "order value in 28 days": "0",
        "order value to expect in 90 days": "7,140",
        "at risk or lapsed": "0",
        "anonymous visitors": "200",
        "audiences published": "2 of 2",
    }
    changes = [each.text for each in document.findall(".//section[@id='state']//li")]
    assert "Customers on this day: 120 new." in changes
    assert "Audiences: 60 members entered, 0 left." in changes


def test_numbers_of_the_page_are_those_of_the_tables(document: Element, page: Path) -> None:
    tables = page.parents[1]
    rows = {
        tuple("".join(cell.itertext()) for cell in row)
        for table in document.iter("table")
        for row in table.findall("tbody/tr")
    }
    (members,) = duckdb.sql(
        f"select count(*), count(*) filter (where is_control) from '{tables}/both/audience_members.parquet' "
        "where audience_id = 'loyal'"
    ).fetchall()
    assert ("loyal", "Loyal", "cdp", *map(str, members), "") in rows
    (moves,) = duckdb.sql(
        f"select entered, moved, 100 * conversion from '{tables}/cdp/lifecycle_funnel.parquet' where within_days = 90"
    ).fetchall()
    assert ("lead", "active", *map(str, moves[:2]), f"{moves[2]:.1f}\N{NO-BREAK SPACE}%") in {
        row[:5] for row in rows
    }
    expected = duckdb.sql(
        f"select sum(value) from '{tables}/cdp/customer_scores.parquet' where score = 'expected_value'"
    ).fetchone()[0]
    tenths = [
        row
        for row in rows
        if row[0].endswith("tenth") or row[0] in ("best", "last") or re.match(r"\dth|\d[nr]d", row[0])
    ]
    assert len(tenths) == 10
    assert sum(float(row[2].replace(",", "")) for row in tenths) == expected
    received = [row for row in rows if row[:2] == ("crm", "customers")]
    assert received == [("crm", "customers", "121", "121", "120", "1")]


def test_the_same_release_gives_the_same_bytes(small: SmallLake) -> None:
    tables = small.lake.root / "tables"
    assert (
        write_report(small.lake, tables, DAY, 90).read_bytes()
        == write_report(small.lake, tables, DAY, 90).read_bytes()
    )


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (
            ["dmp", "bridge", "both", "cdp/purchase_triggers*", "cdp/product_*"],
            {"inputs", "customers", "value", "purchases", "activation", "run"},
        ),
        (["cdp", "bridge", "ops"], {"inputs", "audiences", "activation"}),
        (["cdp", "dmp", "bridge", "both", "ops"], {"inputs"}),
    ],
    ids=["customers alone", "visitors alone", "no table"],
)
def test_what_is_missing_is_said_in_a_sentence_and_not_drawn(
    small: SmallLake, gone: list[str], left: set[str]
) -> None:
    tables = small.lake.root / "tables"
    for pattern in gone:
        for path in tables.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    document = ElementTree.fromstring(write_report(small.lake, tables, DAY, 90).read_text())
    sections = {each.get("id"): each for each in document.findall("body/main/section")}
    assert [name for name in sections if name != "state"] == CHAPTERS
    assert {name for name, each in sections.items() if each.findall(".//figure")} == left
    for name in CHAPTERS:
        told = len(sections[name].findall(".//figure")) + len(
            sections[name].findall("div[@class='absent']/dl/div")
        )
        assert told >= 2, name
        assert all(len(each.text) > 20 for each in sections[name].findall("div[@class='absent']//dd"))


def test_empty_tables_are_not_drawn(small: SmallLake) -> None:
    for path in (small.lake.root / "tables").rglob("*.parquet"):
        small.change(path, "from old limit 0")
    page = write_report(small.lake, small.lake.root / "tables", DAY, 90).read_text()
    assert "This release knows 0 customers." in page
    assert page.count("<figure") == 1  # what came in


def test_names_from_configuration_cannot_break_the_page(small: SmallLake) -> None:
    attack = "<script>alert(1)</script>"
    small.change(small.lake.table("both", "audiences"), f"select * replace ('{attack}' as name) from old")
    small.change(
        small.lake.table("cdp", "purchase_triggers"), f"select * replace ('{attack}' as trigger) from old"
    )
    page = write_report(small.lake, small.lake.root / "tables", DAY, 90).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 4


def test_what_is_wrong_is_on_the_first_screen(small: SmallLake) -> None:
    small.change(
        small.lake.table("both", "audiences"),
        "select * replace ('below_min_size' as status, 9 as size) from old",
    )
    small.change(
        small.lake.table("dmp", "lookalike_models"),
        "select * replace ('refused' as verdict, 'no better' as reason) from old",
    )
    small.change(small.lake.table("ops", "deliveries"), "select * replace ('failed' as status) from old")
    small.write(
        small.lake.ops(DAY, "quality_stage"),
        "select 'stg_orders' as asset, 'e' as expectation, 'c' as column_name, 'warn' as severity, "
        "'3 of 9' as observed, 'orders are missing' as meaning, 'data' as owner, false as success",
    )
    page = write_report(small.lake, small.lake.root / "tables", DAY, 90).read_text()
    for sentence in (
        "1 row of today went to quarantine.",
        "Gate of stage: orders are missing (3 of 9).",
        "Audience “Loyal” is not published: 9 of 50 people needed.",
        "Look-alikes of “Loyal” are not published: no better.",
        "1 delivery to ads failed.",
    ):
        assert f"<li>{sentence} <a href=" in page


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_both_modes(mode: str) -> None:
    colours = _colours(mode)
    pairs = [
        ("text", "page"),
        ("text", "card"),
        ("quiet", "page"),
        ("quiet", "card"),
        ("link", "page"),
        ("link", "card"),
    ]
    pairs += [("text", each) for each in ("m1", "z", "p1", "p2")] + [
        ("card", each) for each in ("m2", "p3", "p4")
    ]
    for front, ground in pairs:
        assert _contrast(colours[front], colours[ground]) >= 4.5, (front, ground)
    drawn = [
        (each, "card") for each in ("s1", "s2", "s3", "l1", "l2", "l3", "l4", "l5", "l6", "over", "warn")
    ]
    for front, ground in drawn:
        assert _contrast(colours[front], colours[ground]) >= 3, (front, ground)


def _colours(mode: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{([^}]*--page[^}]*)\}", (TEMPLATES / "report.css").read_text())[:2]
    return dict(re.findall(r"--(\w+): #(\w{6})", light)) | (
        dict(re.findall(r"--(\w+): #(\w{6})", dark)) if mode == "dark" else {}
    )


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours: WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
