"""The bits of questions, put together, say what the conditions say of every visitor."""

from __future__ import annotations

import itertools

import pytest

from include.config.conditions import atom_aliases, compile_visitor_condition
from include.config.questions import BITS, ask

VALUES = (None, "true", "31", "no")
CONDITIONS = [
    "trait('a') = 'true'",
    "not (trait('a') = 'true') and frequency('b', 30) >= 1",
    "not (trait('a') = 'true' or not frequency('b', 7) >= 2) and recency('a') > 3",
    "trait('a') > 30 and not recency('b') <= 5",
    "coalesce(trait('a'), 'no') <> 'true' and frequency('b', 30) between 1 and 3",
    "(recency('a') is null or recency('a') > 5) and recency('b') <= 6",
    "frequency('a', 30) + frequency('b', 30) >= 3",
    "case when trait('a') = 'true' then frequency('b', 7) >= 1 end",
    "coalesce(trait('a'), trait('b')) = 'no' or not (recency('a') > 3 or frequency('b', 7) < 1)",
    "not (not (trait('a') is null)) and (trait('b') is not null or trait('b') in ('31', 'no'))",
]


def visitors() -> list[dict]:
    """Every way to hold or not to hold two traits."""
    row = [None] + [
        {"value": value, "recency": recency, "frequency_7": seven, "frequency_30": seven + 1}
        for value, recency, seven in itertools.product(VALUES, (0, 6), (0, 2))
    ]
    return [{"a": a, "b": b} for a, b in itertools.product(row, row)]


def literal(value: object) -> str:
    return "null" if value is None else repr(value)


@pytest.mark.parametrize("where", CONDITIONS)
def test_bits_answer_as_the_condition_itself_does(connection, where):
    condition = compile_visitor_condition(where)
    aliases = atom_aliases(condition.atoms)
    questions = ask({"it": condition})
    answers = set()
    for visitor in visitors():
        oracle = {
            aliases[atom]: f"{literal(_answer(visitor[atom.trait_id], atom))}::{atom.sql_type}"
            for atom in condition.atoms
        }
        expected = _holds(connection, condition.predicate(aliases), oracle)
        assert (
            _holds(connection, questions.predicates["it"], _words(connection, questions, visitor)) == expected
        )
        answers.add(expected)
    assert answers == {True, False}


@pytest.mark.parametrize("where", ["not trait('a') = 'true'", "trait('a') not in ('true', '31')"])
def test_who_never_had_a_trait_is_who_does_not_have_it(connection, where):
    """Of a rule every value is 'true': were the negation of the unknown unknown, nobody would be left."""
    condition = compile_visitor_condition(f"frequency('b', 30) >= 1 and {where}")
    questions = ask({"it": condition})
    reader = {"value": "true", "recency": 0, "frequency_7": 1, "frequency_30": 1}
    holds = {
        name: _holds(connection, questions.predicates["it"], _words(connection, questions, visitor))
        for name, visitor in {
            "never had it": {"a": None, "b": reader},
            "has it": {"a": reader, "b": reader},
            "has another value": {"a": {**reader, "value": "no"}, "b": reader},
            "has neither": {"a": None, "b": None},
        }.items()
    }
    assert holds == {"never had it": True, "has it": False, "has another value": True, "has neither": False}


def test_the_questions_of_all_conditions_are_asked_once_and_fill_as_many_words_as_needed():
    texts = {f"a{number}": f"frequency('t{number:03d}', 30) >= 1" for number in range(BITS + 1)}
    texts["again"] = "trait('t000') = 'x' and frequency('t000',30) >= 1"
    conditions = {name: compile_visitor_condition(text) for name, text in texts.items()}
    questions = ask(conditions)
    assert len(questions.places) == BITS + 2
    assert {word for word, _ in questions.places.values()} == {"answers_1", "answers_2"}
    assert len(set(questions.places.values())) == BITS + 2
    assert ask(dict(reversed(conditions.items()))) == questions


def _answer(row: dict | None, atom) -> object:
    if row is None:
        return 0 if atom.kind == "frequency" else None
    return row[{"trait": "value", "recency": "recency", "frequency": f"frequency_{atom.days}"}[atom.kind]]


def _words(connection, questions, visitor: dict) -> dict[str, str]:
    """What the model int_audience_answers makes of a visitor."""
    words = {word: 0 for word, _ in questions.places.values()}
    for question, (word, bit) in questions.places.items():
        row = visitor[question.trait_id]
        if row is not None:
            types = {"value": "varchar"}
            columns = {name: f"{literal(value)}::{types.get(name, 'bigint')}" for name, value in row.items()}
            words[word] |= bit if _holds(connection, question.predicate, columns) != question.default else 0
    values = {
        alias: f"{literal(_answer(visitor[atom.trait_id], atom))}::{atom.sql_type}"
        for atom, alias in questions.atoms.items()
    }
    return {word: f"{value}::bigint" for word, value in words.items()} | values


def _holds(connection, predicate: str, columns: dict[str, str]) -> bool:
    selected = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    return connection.execute(f"select coalesce({predicate}, false) from (select {selected})").fetchone()[0]
