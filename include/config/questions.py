"""What all conditions of the dmp side together ask of one trait of one visitor, each question once.

A condition is and, or and not over comparisons. A comparison that concerns one trait is answered where the trait's
row is, by one bit; the bits of a visitor are then joined with `bit_or` into a few words, and a condition is and and or
over bits. So the work grows with the traits that visitors have and not with the traits that audiences ask for.
`not` is moved to the comparisons first (De Morgan): with SQL's unknown, a condition without `not` holds exactly when
it does with every comparison that is unknown taken as false, which is what one bit can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from include.config.conditions import Atom, Condition, atom_aliases, engine, renamed, sql_of

BITS = 62  # of a signed word of 64, whose highest is the sign


@dataclass(frozen=True, order=True)
class Question:
    """A comparison over the row of one trait: its `value`, `recency` in days and `frequency_<days>`.

    `default` is its answer for who does not have the trait.
    """

    trait_id: str
    predicate: str
    default: bool


@dataclass(frozen=True)
class Questions:
    """The questions with the place of each answer, and `atoms`, the answers that are needed as values because a
    comparison concerns several traits; `predicates` are the conditions over all of these, by audience."""

    places: dict[Question, tuple[str, int]]
    atoms: dict[Atom, str]
    predicates: dict[str, str]

    @property
    def windows(self) -> list[int]:
        """The days over which any question counts."""
        asked = {days for question in self.places for days in _windows_of(question.predicate)}
        return sorted(asked | {atom.days for atom in self.atoms if atom.days})


def ask(conditions: Mapping[str, Condition]) -> Questions:
    """The questions that the conditions of the dmp side ask, by audience."""
    leaves = {
        name: [(leaf, _trait_of(leaf, condition)) for leaf in _leaves(_without_not(condition.tree))]
        for name, condition in conditions.items()
    }
    questions = sorted(
        {
            _question(leaf, trait_id, conditions[name])
            for name, found in leaves.items()
            for leaf, trait_id in found
            if trait_id is not None
        }
    )
    places = {
        question: (f"answers_{number // BITS + 1}", 1 << number % BITS)
        for number, question in enumerate(questions)
    }
    aliases = atom_aliases(
        atom
        for name, found in leaves.items()
        for leaf, trait_id in found
        if trait_id is None
        for atom in conditions[name].atoms_in(leaf).values()
    )
    predicates = {name: _predicate(condition, places, aliases) for name, condition in conditions.items()}
    return Questions(places, aliases, predicates)


def _predicate(
    condition: Condition,
    places: Mapping[Question, tuple[str, int]],
    aliases: Mapping[Atom, str],
) -> str:
    tree = exp.Paren(this=_without_not(condition.tree))
    for leaf in list(_leaves(tree.this)):
        trait_id = _trait_of(leaf, condition)
        if trait_id is None:
            atoms = condition.atoms_in(leaf)
            answer = renamed(leaf, {column: aliases[atom] for column, atom in atoms.items()})
        else:
            question = _question(leaf, trait_id, condition)
            word, bit = places[question]
            sign = "=" if question.default else "<>"
            answer = exp.condition(f'("{word}" & {bit}) {sign} 0', dialect="duckdb")
        leaf.replace(exp.Paren(this=answer))
    return sql_of(tree)


def _question(leaf: exp.Expression, trait_id: str, condition: Condition) -> Question:
    atoms = condition.atoms_in(leaf)
    predicate = sql_of(renamed(leaf, {column: _column(atom) for column, atom in atoms.items()}))
    values = ", ".join(
        f"{'0' if atom.kind == 'frequency' else 'null'}::{atom.sql_type} as {_column(atom)}"
        for atom in set(atoms.values())
    )
    (default,) = engine().execute(f"select {predicate} from (select {values})").fetchone()
    return Question(trait_id, predicate, bool(default))


def _column(atom: Atom) -> str:
    """The column of a trait's row that has the answer to an atom."""
    return {"trait": "value", "recency": "recency", "frequency": f"frequency_{atom.days}"}[atom.kind]


def _windows_of(predicate: str) -> Iterator[int]:
    for column in exp.maybe_parse(predicate, dialect="duckdb").find_all(exp.Column):
        if column.name.startswith("frequency_"):
            yield int(column.name.removeprefix("frequency_"))


def _trait_of(leaf: exp.Expression, condition: Condition) -> str | None:
    """The only trait that a comparison concerns, None when it concerns none or several."""
    traits = {atom.trait_id for atom in condition.atoms_in(leaf).values()}
    return traits.pop() if len(traits) == 1 else None


def _leaves(tree: exp.Expression) -> Iterator[exp.Expression]:
    """What stands between and and or."""
    inner = tree.unnest()
    if isinstance(inner, exp.And | exp.Or):
        yield from _leaves(inner.left)
        yield from _leaves(inner.right)
    else:
        yield inner


def _without_not(tree: exp.Expression, is_negated: bool = False) -> exp.Expression:
    """The same condition with `not` in front of comparisons only."""
    inner = tree.unnest()
    if isinstance(inner, exp.Not):
        return _without_not(inner.this, not is_negated)
    if isinstance(inner, exp.And | exp.Or):
        kind = {exp.And: exp.Or, exp.Or: exp.And}[type(inner)] if is_negated else type(inner)
        return exp.Paren(
            this=kind(
                this=_without_not(inner.left, is_negated), expression=_without_not(inner.right, is_negated)
            )
        )
    return exp.Not(this=exp.Paren(this=inner.copy())) if is_negated else exp.Paren(this=inner.copy())
