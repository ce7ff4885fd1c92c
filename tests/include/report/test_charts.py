"""Charts put their marks where the numbers are."""

from __future__ import annotations

import re

import pytest

from include.report import formats
from include.report.charts import Bar, Cell, Dot, Line, bars, dots, heat_map, lines


def test_parts_of_a_bar_stand_beside_each_other_on_one_scale() -> None:
    drawn = bars("b", [Bar("one", "40", (30, 10), 20, 40, 5), Bar("two", "20", (20,))])
    found = re.findall(r'class="s(\d)" x="([\d.]+)%" y="\d+" width="([\d.]+)%"', drawn)
    assert found == [("1", "0.0", "75.0"), ("2", "75.0", "25.0"), ("1", "0.0", "50.0")]
    assert 'class="over" x1="50.0%" x2="100.0%"' in drawn
    assert 'class="mark" x1="12.5%" x2="12.5%"' in drawn


def test_twice_and_half_are_as_far_from_one() -> None:
    drawn = dots("d", [Dot("up", "2", 2, 1, 4), Dot("down", "0.5", 0.5, 0.25, 1)])
    up, down = (float(each) for each in re.findall(r'<circle class="s1" cx="([\d.]+)%"', drawn))
    (one,) = set(re.findall(r'class="mark" x1="([\d.]+)%"', drawn))
    assert up - float(one) == pytest.approx(float(one) - down, abs=0.02)


def test_lines_go_from_the_first_point_to_the_last_above_zero() -> None:
    drawn = lines("l", [Line("a", ((0, 0.0), (5, 4.0)), ((0, 0, 1), (5, 3, 8)))], str, str, reference=2.0)
    assert 'class="l1" points="0.0,1000.0 1000.0,500.0"' in drawn
    assert 'class="mark dashed" points="0.0,750.0 1000.0,750.0"' in drawn
    assert 'class="band"' in drawn


def test_a_line_of_zeros_is_drawn() -> None:
    assert 'points="0.0,1000.0 1000.0,1000.0"' in lines("l", [Line("a", ((0, 0.0), (1, 0.0)))], str, str)


def test_a_field_without_a_number_is_left_free_and_names_are_escaped() -> None:
    drawn = heat_map("h", [("<b>", [Cell(2, "9"), Cell(None)])], ["one", "<two>"])
    assert drawn.count("<rect") == 1
    assert "&lt;b&gt;" in drawn
    assert "&lt;two&gt;" in drawn


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (formats.short(1_234_567), "1.23 M"),
        (formats.short(12_345), "12.3 k"),
        (formats.short(1_234), "1,234"),
        (formats.share(0.004), "< 1 %"),
        (formats.share(0.1234, 1), "12.3 %"),
        (formats.seconds(95), "1 min 35 s"),
        (formats.times(12.34), "12.3"),
        (formats.plural(1, "row"), "1 row"),
        (formats.listed(["a", "b", "c"]), "a, b and c"),
        (formats.listed(list("abcdefgh")), "a, b, c, d, e and 3 more"),
    ],
)
def test_numbers_are_told_as_people_read_them(said: str, told: str) -> None:
    assert said.replace("\N{NO-BREAK SPACE}", " ") == told
