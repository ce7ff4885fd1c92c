"""The page says what is kept and nothing else."""

from __future__ import annotations

from include.benchmark import page, pipeline
from include.benchmark.harness import Cost
from include.benchmark.pipeline_page import PICTURE, picture
from include.benchmark.results import MEASURED, Occasion, Result, keep, kept
from include.benchmark.topics import TOPICS, topic

OCCASION = Occasion("2026-11-28", "abc1234", "a machine", 1.5)


def result(repeats: int = 3, occasion: Occasion = OCCASION, **costs: Cost) -> Result:
    same = {variant.name: Cost(1.0, 1.0, 1, 1) for variant in topic("segment_json").variants}
    return Result(1000, repeats, occasion, same | costs)


def section(of: Result | None) -> str:
    return page.section(topic("segment_json"), of)


def test_the_page_in_docs_is_what_is_kept() -> None:
    assert page.PAGE.read_text() == page.render()
    assert page.PAGE.with_name(PICTURE).read_text() == picture(pipeline.accepted())


def test_the_page_is_written_with_its_picture(tmp_path) -> None:
    page.write(tmp_path / "benchmarks.md")
    assert (tmp_path / "benchmarks.md").read_text() == page.render()
    assert f"]({PICTURE})" in page.render() and (tmp_path / PICTURE).read_text().startswith("<svg")


def test_every_topic_has_a_section_in_the_order_of_the_topics() -> None:
    titles = [line.removeprefix("## ") for line in page.render().splitlines() if line.startswith("## ")]
    assert titles == ["The whole pipeline", *(topic(name).title for name in TOPICS)]


def test_what_is_kept_is_of_topics_and_variants_that_there_are() -> None:
    results = kept()
    assert results and set(results) <= set(TOPICS)
    for name, found in results.items():
        assert found.costs and found.size > 0 and found.repeats > 0 and found.occasion.day
        known = {variant.name for variant in topic(name).variants}
        assert known & set(found.costs), name
    assert {path.suffix for path in MEASURED.iterdir()} == {".json"}


def test_a_result_is_kept_in_the_place_of_the_one_before_and_read_back_the_same(tmp_path) -> None:
    keep("segment_json", result(repeats=1), tmp_path)
    newer = result(tandem=Cost(3.0, 1.5, 7, 10, 20, None, "digest", "told"))
    keep("segment_json", newer, tmp_path)
    assert kept(tmp_path) == {"segment_json": newer}


def test_a_section_says_which_target_is_missed() -> None:
    text = section(result(tandem=Cost(3.0, 1.0, 1, 1)))
    assert "| Tandem over `read_json`, good lines | 3.00 | at most 2.0: missed |" in text


def test_a_section_says_how_often_when_and_where_it_was_measured() -> None:
    at = "2026-11-28 at abc1234, a machine, load 1.5 at the start"
    assert f"1,000 rows, medians of 3 runs in turns; {at}." in section(result())
    assert f"1,000 rows, one run of each in turns; {at}." in section(result(repeats=1))
    unknown = Occasion("2026-11-28", "", "a machine", None)
    assert "in turns; 2026-11-28, a machine, load not written down." in section(result(3, unknown))


def test_bytes_are_told_where_they_were_counted() -> None:
    text = section(result(tandem=Cost(3.0, 1.0, 2_000_000, 10, 30_000_000, 4_000_000)))
    assert "| `tandem` | Tandem, good lines | 3.0 | 1.0 | 2 | 30 | 4 | 10 |" in text
    assert "| `read_json` | DuckDB's `read_json`, good lines | 1.0 | 1.0 | 0 |  |  | 1 |" in text


def test_a_variant_that_was_not_measured_is_not_shown_and_neither_are_its_ratios() -> None:
    before = result()
    costs = {name: cost for name, cost in before.costs.items() if name != "orjson"} | {
        "loader": Cost(1.0, 1.0, 1, 1)
    }
    text = section(Result(1000, 3, OCCASION, costs))
    assert "`orjson`" not in text and "`loader`" not in text and "orjson loader over" not in text
    assert "Tandem over `read_json`" in text


def test_a_topic_without_a_result_says_so() -> None:
    assert section(None).endswith("Not measured yet: `make bench TOPIC=segment_json`.\n")
