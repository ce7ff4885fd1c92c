from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from include.config.schema import IdentityRules
from include.identity.engine import DuckDBEngine
from include.identity.linkage import contradictions, linking
from include.identity.linkage.comparisons import near
from include.identity.linkage.contradictions import find_contradictions
from include.identity.linkage.linking import link_file, link_records
from include.identity.linkage.records import COLUMNS, create_records
from tests.include.identity.linkage.people import COLUMNS as GENERATED
from tests.include.identity.linkage.people import FAMILIES, MEN, STREETS, WOMEN, records_of_households

RULES = IdentityRules(id_types={"email": {"priority": 1}, "phone": {"priority": 2}})
ANNA = {
    "given_name": "Anna", "family_name": "Berger", "birth_date": "1984-03-09", "gender": "f",
    "street": "12 Mill Road", "city": "Riverton", "postcode": "10481", "phone": "+15550134455",
}  # fmt: skip


def write(path: Path, rows: Iterable[dict[str, str | None]]) -> Path:
    frame = pd.DataFrame(list(rows), columns=["node_key", *COLUMNS], dtype="string")
    frame.to_parquet(path)
    return path


def people(households: int, seed: int = 5) -> list[dict[str, str | None]]:
    return [dict(zip(GENERATED, row, strict=True)) for row in records_of_households(households, seed)]


def linked(
    folder: Path, rows: Iterable[dict[str, str | None]], rules: IdentityRules = RULES
) -> dict[str, str]:
    link_file(write(folder / "records.parquet", rows), rules, folder / "linked")
    query = f"select node_key, strict_id from '{folder}/linked/partitions.parquet'"
    return dict(duckdb.sql(query).fetchall())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_households_with_twins_and_gaps_stay_apart_and_their_records_are_found(tmp_path: Path) -> None:
    found = linked(tmp_path, people(400))
    frame = pd.DataFrame(
        [(key, key.rsplit("-", 1)[0], found[key]) for key in found], columns=["key", "person", "id"]
    )
    pairs = {
        name: int((sizes * (sizes - 1) // 2).sum())
        for name, sizes in (
            ("true", frame.groupby("person").size()),
            ("found", frame.groupby("id").size()),
            ("both", frame.groupby(["person", "id"]).size()),
        )
    }
    assert pairs["true"] > 800
    assert pairs["both"] / pairs["found"] >= 0.995
    assert pairs["both"] / pairs["true"] >= 0.97


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The people of sixty households, linked: the folder with what was written, and who is one."""
    folder = tmp_path_factory.mktemp("sixty")
    return folder, linked(folder, people(60))


def test_the_same_records_in_another_order_give_the_same_bytes(
    sixty: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows = people(60)
    random.Random(0).shuffle(rows)
    linked(tmp_path, rows)
    digests = [
        [digest(folder / "linked" / f"{name}.parquet") for name in ("links", "partitions")]
        for folder in (sixty[0], tmp_path)
    ]
    assert digests[0] == digests[1]
    assert duckdb.sql(f"select count(*) from '{sixty[0]}/linked/links.parquet'").fetchone()[0] > 50


def test_a_flood_of_records_that_hold_an_identifier_alone_changes_no_link(
    sixty: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows, (_, alone) = people(60), sixty
    flooded = linked(
        tmp_path,
        [*rows, *({"node_key": f"x{number}", "email": "one@example.org"} for number in range(20_000))],
    )
    assert len(set(alone.values())) < len(alone)
    assert {key: flooded[key] for key in alone} == alone
    assert len({flooded[key] for key in flooded if key.startswith("x")}) == 20_000


@pytest.mark.parametrize("records", [0, 1])
def test_too_few_records_to_link_are_each_their_own(records: int, tmp_path: Path) -> None:
    rows = [{"node_key": f"r{number}", **ANNA} for number in range(records)]
    assert linked(tmp_path, rows) == {f"r{number}": f"r{number}" for number in range(records)}


@pytest.mark.parametrize(("changed", "is_one"), [
    ({}, True),
    ({"given_name": "Berger", "family_name": "Anna"}, True),
    ({"family_name": "Weber"}, True),
    ({"phone": None, "street": "4 Oak Lane", "city": "Lakeville", "postcode": "20755"}, True),
    ({"given_name": "Ruth"}, False),
    ({"given_name": "Max", "gender": "m", "birth_date": None}, False),
    ({"birth_date": "2011-11-30"}, False),
    ({"given_name": None, "birth_date": None, "gender": None}, False),
])  # fmt: skip
def test_two_records_alone_are_judged_by_what_is_usual(
    changed: dict[str, str | None], is_one: bool, tmp_path: Path
) -> None:
    found = linked(tmp_path, [{"node_key": "a", **ANNA}, {"node_key": "b", **ANNA, **changed}])
    assert (found["a"] == found["b"]) is is_one


def test_short_forms_of_a_name_are_the_name(tmp_path: Path) -> None:
    bob, robert = ANNA | {"given_name": "Bob", "gender": "m"}, ANNA | {"given_name": "Robert", "gender": "m"}
    found = linked(tmp_path, [{"node_key": "a", **bob}, {"node_key": "b", **robert}])
    assert found["a"] == found["b"]


def neighbours(people: int, copies: int) -> list[dict[str, str | None]]:
    """People who live alone, `copies` records of each; every tenth second record has another given name, every tenth
    another birth date."""
    draw = random.Random(3)
    rows = []
    for number in range(people):
        said = {
            "given_name": draw.choice(MEN + WOMEN),
            "family_name": draw.choice(FAMILIES) + draw.choice(("", "son", "ley", "wood", "er")),
            "birth_date": f"{draw.randrange(1930, 2000)}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}",
            "street": f"{draw.randrange(1, 250)} {draw.choice(FAMILIES)} {draw.choice(('street', 'road', 'lane'))}",
            "city": f"{draw.choice(STREETS)}{draw.choice(('ville', 'ton', 'field', 'burg'))}",
            "postcode": str(draw.randrange(1000, 9999)),
        }
        for copy in range(copies):
            slip: dict[str, str | None] = {}
            if copy and number % 10 == 1:
                slip["given_name"] = draw.choice(MEN + WOMEN)
            if copy and number % 10 == 2:
                slip["birth_date"] = f"{draw.randrange(1930, 2000)}-05-17"
            rows.append({"node_key": f"{number}-{copy}", **said, **slip})
    return rows


@pytest.mark.parametrize(("copies", "is_one"), [(2, True), (1, False)])
def test_two_that_are_left_over_where_all_others_found_themselves_are_one(
    copies: int, is_one: bool, tmp_path: Path
) -> None:
    # The same given name would be enough; another one and another birth date is a spouse where people are alone.
    rows = neighbours(1500, copies)
    pairs = 6
    for number in range(pairs):
        one = next(row for row in rows if row["node_key"] == f"{number * 10 + 3}-0")
        other = one | {"given_name": "Xenia", "birth_date": f"1931-0{number + 1}-11"}
        rows = [row for row in rows if row["node_key"] != f"{number * 10 + 3}-1"]
        rows.append(other | {"node_key": f"{number * 10 + 3}-1"})
    found = linked(tmp_path, rows)
    joined = sum(found[f"{number * 10 + 3}-0"] == found[f"{number * 10 + 3}-1"] for number in range(pairs))
    assert joined == (pairs if is_one else 0)


def test_a_value_is_as_frequent_as_the_people_who_have_it_not_their_records(tmp_path: Path) -> None:
    one = [{"node_key": f"one{number}", **ANNA, "email": "anna@x.example"} for number in range(10)]
    ten = [
        {"node_key": f"ten{number}", **ANNA, "email": "info@x.example"}
        | {"given_name": name, "birth_date": f"19{60 + number}-03-09"}
        for number, name in enumerate(MEN[:10])
    ]
    write(tmp_path / "records.parquet", [*one, *ten, {"node_key": "single", **ANNA, "email": "a@y.example"}])
    engine = DuckDBEngine(duckdb.connect())
    engine.create_view("person_record", f"select * from '{tmp_path}/records.parquet'")
    create_records(engine, "person_record", ())
    frequencies = dict(engine.rows("select distinct email, tf_email from linkage_record"))
    assert frequencies["anna@x.example"] == frequencies["a@y.example"]
    assert frequencies["info@x.example"] > 100 * frequencies["a@y.example"]


def test_a_record_with_a_slip_in_street_and_city_is_still_compared(tmp_path: Path) -> None:
    one = {
        "given_name": "Jamie",
        "family_name": "Hoffman",
        "street": "592 Dalrymple Street",
        "city": "Vaucluse",
    }
    other = {
        "given_name": "Jajie",
        "family_name": "Hofmfan",
        "street": "592 Dalrymple S treet",
        "city": "Vauclyse",
    }
    found = linked(tmp_path, [*people(60), {"node_key": "a", **one}, {"node_key": "b", **other}])
    assert found["a"] == found["b"]


def test_a_block_that_is_too_large_is_tightened_or_left_out(tmp_path: Path) -> None:
    rows = [row | {"postcode": "10000", "city": "Capital"} for row in people(120)]
    rules = RULES.model_copy(update={"linkage": RULES.linkage.model_copy(update={"largest_block": 20})})
    outcome = link_file(write(tmp_path / "records.parquet", rows), rules, tmp_path / "linked")
    blocks = {block.rule: block for block in outcome.blocks}
    assert blocks["postcode + family_sound"].tightened > 0
    assert all(block.pairs <= 10 * len(rows) for block in outcome.blocks)
    assert outcome.links > 50


def test_a_rule_makes_about_as_many_pairs_a_record_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.identity.linkage.blocking._PAIRS_OF_SMALL_INPUTS", 0)
    rows = [row | {"postcode": "10000", "city": "Capital"} for row in people(120)]
    path = write(tmp_path / "records.parquet", rows)
    largest = {}
    for most in (1, 3):
        linkage = RULES.linkage.model_copy(update={"pairs_per_record": most})
        outcome = link_file(path, RULES.model_copy(update={"linkage": linkage}), tmp_path / f"linked {most}")
        by_city = next(block for block in outcome.blocks if block.rule == "city + family_sound")
        assert by_city.tightened > 0 or most == 3
        largest[most] = by_city.largest
        # What is tightened makes pairs of its own, and at most as many again for each of the two parts.
        assert all(block.pairs <= 3 * most * len(rows) for block in outcome.blocks)
    assert largest[1] < largest[3]


def test_unique_values_keep_two_pieces_apart_whatever_their_records_say(tmp_path: Path) -> None:
    write(tmp_path / "records.parquet", [{"node_key": key, **ANNA} for key in "abc"])
    engine = DuckDBEngine(duckdb.connect())
    engine.create_view("person_record", f"select * from '{tmp_path}/records.parquet'")
    engine.create_table(
        "held",
        "select md5_number(node_key) as node, 1 as type, md5_number(node_key) as value, 1 as most"
        " from person_record where node_key in ('a', 'b')",
    )
    link_records(engine, "person_record", RULES.linkage, holdings="held")
    assert engine.scalar("select count(*) from link") == 3
    assert engine.scalar("select count(*) from strict_membership") == 1
    assert engine.scalar("select count(*) from loose_membership") == 1


def test_the_partitions_are_nested_and_start_from_what_identifiers_tied(tmp_path: Path) -> None:
    write(tmp_path / "records.parquet", people(100))
    engine = DuckDBEngine(duckdb.connect())
    engine.create_view("person_record", f"select * from '{tmp_path}/records.parquet'")
    engine.create_table(
        "membership",
        """
        with placed as (
            select
                md5_number(node_key) as node,
                min(md5_number(node_key)) over (partition by phone) as component
            from person_record
            where phone like '1777%'
        )

        select * from placed where node <> component
        """,
    )
    link_records(engine, "person_record", RULES.linkage, membership="membership")
    for finer, coarser in (("membership", "strict_membership"), ("strict_membership", "loose_membership")):
        parted = engine.scalar(
            f"""
            select count(*)
            from {finer} as finer
            left join {coarser} as one on finer.node = one.node
            left join {coarser} as head on finer.component = head.node
            where coalesce(one.component, finer.node) <> coalesce(head.component, finer.component)
            """
        )
        assert parted == 0
    counts = [engine.scalar(f"select count(*) from {name}") for name in ("membership", "strict_membership")]
    assert 0 < counts[0] < counts[1]


@pytest.mark.parametrize(("changed", "contradicts"), [
    ({"given_name": "Ruth", "birth_date": "1951-07-30"}, True),
    ({"given_name": "Max", "gender": "m", "birth_date": None}, True),
    ({"given_name": "Ruth", "birth_date": "1983-12-27"}, True),
    ({"given_name": "Ruth", "birth_date": None}, False),
    ({"given_name": "Annie", "birth_date": "1984-04-09"}, False),
    ({"given_name": "A.", "birth_date": "1990-12-01"}, False),
    ({"family_name": "Weber", "birth_date": "1990-12-01"}, False),
    ({"given_name": "Berger", "family_name": "Anna", "birth_date": None}, False),
    ({"given_name": None, "birth_date": "1951-07-30"}, False),
])  # fmt: skip
def test_only_who_is_clearly_another_contradicts_a_shared_phone(
    changed: dict[str, str | None], contradicts: bool, tmp_path: Path
) -> None:
    write(tmp_path / "records.parquet", [{"node_key": "a", **ANNA}, {"node_key": "b", **ANNA, **changed}])
    engine = DuckDBEngine(duckdb.connect())
    engine.create_view("person_record", f"select * from '{tmp_path}/records.parquet'")
    create_records(engine, "person_record", ())
    engine.create_table("shared", "select md5_number(node_key) as node, 1 as value from person_record")
    find_contradictions(engine, "shared", "contradiction")
    assert engine.scalar("select count(*) from contradiction") == int(contradicts)


def test_pairs_in_parts_say_what_they_say_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A telephone is on the records of one person and on those of the next four as well.
    rows = people(60)
    phones = {row["phone"]: f"1777{place // 4}" for place, row in enumerate(rows) if row["phone"]}
    write(tmp_path / "records.parquet", [row | {"phone": phones.get(row["phone"])} for row in rows])
    found = []
    for name in ("whole", "parts"):
        if name == "parts":
            monkeypatch.setattr(linking, "_SCORED_PER_PART", 400)
            monkeypatch.setattr(linking, "PAIRS_PER_PART", 400)
            monkeypatch.setattr(contradictions, "PAIRS_PER_PART", 200)
        engine = DuckDBEngine(duckdb.connect())
        engine.create_view("person_record", f"select * from '{tmp_path}/records.parquet'")
        create_records(engine, "person_record", ())
        engine.create_table(
            "shared",
            "select md5_number(node_key) as node, phone as value from person_record where phone is not null",
        )
        find_contradictions(engine, "shared", "contradiction")
        pairs = link_file(tmp_path / "records.parquet", RULES, tmp_path / name).pairs
        found.append(
            (
                pairs,
                engine.rows("select * from contradiction order by all"),
                [(tmp_path / name / file).read_bytes() for file in ("links.parquet", "partitions.parquet")],
            )
        )
    assert found[0] == found[1]
    assert found[0][0] > 800
    assert len(found[0][1]) > 100


@pytest.mark.parametrize("edits", [1, 2])
def test_texts_that_are_near_are_those_of_so_few_edits_whatever_the_cheaper_measures_say(edits: int) -> None:
    draw = random.Random(edits)
    words = ["".join(draw.choices("abc", k=draw.randrange(1, 9))) for _ in range(900)]
    with duckdb.connect() as connection:
        connection.execute("create table words as select unnest(?) as word", [words])
        found, near_ones = connection.execute(
            f"""
            select
                count(*) filter ({near("word", edits, 3)} is distinct from (
                    least(length(word_l), length(word_r)) >= 3 and damerau_levenshtein(word_l, word_r) <= {edits}
                )),
                count(*) filter ({near("word", edits, 3)})
            from (select word as word_l from words), (select word as word_r from words)
            """
        ).fetchone()
    assert found == 0
    assert near_ones > 10_000
