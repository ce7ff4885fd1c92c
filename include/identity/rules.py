"""What the rules of `identity.yml` say of a single identifier: its strength and whether its value is rubbish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from include.identity.engine import matches, text

# Types that name a browser or a device and not a person: alone they never make a customer.
ANONYMOUS_TYPES = ("anonymous_id", "device_id", "advertising_id")
# Reasons of values that carry no information at all; nobody may claim them.
BLOCKED_VALUE, BLOCKED_PATTERN, INVALID = "blocked_value", "blocked_pattern", "invalid"
NOT_CONFIGURED = "not_configured"
MANUAL = "manual"
# People's decisions are evidence of types of their own: a link is a value that its ends share, a barrier a unique
# type of which two records have different values. Their numbers stay clear of those of the id types.
MANUAL_LINK, MANUAL_BLOCK = "manual_link", "manual_block"
LINK_NUMBER, FIRST_BARRIER = 100, 1000
EXACT, STRICT, LOOSE = "exact", "strict", "loose"


class IdType(Protocol):
    """The rules of one id type: `include.config` reads them from `identity.yml`."""

    @property
    def priority(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def window_days(self) -> int | None: ...
    @property
    def unique(self) -> bool: ...
    @property
    def tier(self) -> str: ...
    @property
    def blocked_values(self) -> Iterable[str]: ...
    @property
    def blocked_patterns(self) -> Iterable[str]: ...
    @property
    def valid_pattern(self) -> str | None: ...


class ManualLink(Protocol):
    """Two ends that are one customer: `record:<channel>:<record_id>` or `<id type>:<value>`."""

    @property
    def between(self) -> tuple[str, str]: ...


class ManualBlock(Protocol):
    """An identifier that means nothing, or a record and what it must not be linked by or to."""

    @property
    def value(self) -> str | None: ...
    @property
    def between(self) -> tuple[str, str] | None: ...


class Manual(Protocol):
    """What people decided."""

    @property
    def links(self) -> Sequence[ManualLink]: ...
    @property
    def blocks(self) -> Sequence[ManualBlock]: ...


class LinkageRules(Protocol):
    """The section `linkage` of `identity.yml`."""

    @property
    def strict(self) -> float: ...
    @property
    def loose(self) -> float: ...
    @property
    def comparisons(self) -> Sequence[str]: ...
    @property
    def blocking_rules(self) -> Sequence[Sequence[str]]: ...
    @property
    def largest_block(self) -> int: ...
    @property
    def pairs_per_record(self) -> int: ...


class IdentityRules(Protocol):
    """The rules of every id type by name, and people's decisions."""

    @property
    def id_types(self) -> Mapping[str, IdType]: ...
    @property
    def manual(self) -> Manual: ...
    @property
    def linkage(self) -> LinkageRules: ...
    @property
    def blocked_values(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class Strength:
    """An id type in the order of strength: `number` 1 is the strongest; -1 in SQL is a type without rules."""

    number: int
    name: str
    limit: int
    is_unique: bool
    window_days: int | None = None
    tier: str = EXACT

    @property
    def is_anonymous(self) -> bool:
        """Whether a value of the type is no sign of a person."""
        return self.name in ANONYMOUS_TYPES or self.is_manual

    @property
    def is_manual(self) -> bool:
        return self.number >= LINK_NUMBER

    @property
    def is_barrier(self) -> bool:
        return self.number >= FIRST_BARRIER

    @property
    def order(self) -> tuple[bool, bool, int]:
        """Evidence is taken in this order: people's links, unique types, then the others by priority."""
        return (not self.is_manual, not self.is_unique, self.number)


def strengths(rules: IdentityRules) -> tuple[Strength, ...]:
    """The id types from the strongest to the weakest, equal priorities by name, and what people decided."""
    ordered = sorted(rules.id_types.items(), key=lambda item: (item[1].priority, item[0]))
    id_types = tuple(
        Strength(number, name, id_type.limit, id_type.unique, id_type.window_days, id_type.tier)
        for number, (name, id_type) in enumerate(ordered, 1)
    )
    links = (Strength(LINK_NUMBER, MANUAL_LINK, 1, False),) if rules.manual.links else ()
    barriers = tuple(Strength(FIRST_BARRIER + number, MANUAL_BLOCK, 1, True) for number in barriers_of(rules))
    return id_types + links + barriers


def barriers_of(rules: IdentityRules) -> dict[int, tuple[str, str]]:
    """The blocks that keep two records apart, by their number in the file."""
    return {
        number: block.between
        for number, block in enumerate(rules.manual.blocks)
        if block.between and is_record(block.between[1])
    }


def is_record(end: str) -> bool:
    """Whether an end of a manual link or block is a record and not an identifier."""
    return end.startswith("record:")


def without_manual(types: Iterable[Strength]) -> tuple[Strength, ...]:
    """The id types alone."""
    return tuple(each for each in types if not each.is_manual)


def personal_numbers(types: Iterable[Strength]) -> str:
    """The numbers of the types that name a person and not a browser or a device, for a list in SQL."""
    return ", ".join(str(each.number) for each in types if not each.is_anonymous) or "0"


def type_number(types: Iterable[Strength]) -> str:
    """An expression over `id_type`: the number of its strength, -1 for a type without rules."""
    cases = "".join(f" when {text(id_type.name)} then {id_type.number}" for id_type in without_manual(types))
    return f"cast(case id_type{cases} else -1 end as smallint)" if cases else "cast(-1 as smallint)"


def types_named(types: Iterable[Strength], number: str) -> str:
    """An aggregate over the type numbers in `number`: the names that occur, strongest first, with commas."""
    names = ", ".join(
        f"case when max(case when {number} = {each.number} then 1 else 0 end) = 1 then {text(each.name)} end"
        for each in types
    )
    return f"concat_ws(',', {names})" if names else "''"


def rubbish(rules: IdentityRules) -> str:
    """An expression over `id_type` and `id_value`: why the value means nothing, NULL when it means something.

    Values and patterns are compared without regard to case; a blocked pattern may match anywhere in the value,
    the valid pattern must match all of it.
    """
    cases = "\n".join(
        f"when id_type = {text(name)} then {_rubbish_of_type(rules.id_types[name])}"
        for name in sorted(rules.id_types)
    )
    blocked = [block.value.split(":", 1) for block in rules.manual.blocks if block.value]
    manual = "\n".join(
        f"when id_type = {text(name)} and lower(trim(id_value)) = {text(value.strip().lower())} then {text(MANUAL)}"
        for name, value in blocked
    )
    return (
        f"case\nwhen trim(id_value) = '' then {text(INVALID)}\n{manual}\n{cases}"
        f"\nelse {text(NOT_CONFIGURED)}\nend"
    )


def _rubbish_of_type(id_type: IdType) -> str:
    cases = []
    if values := sorted({value.strip().lower() for value in id_type.blocked_values}):
        # `in` would be a join of its own for every type, made wherever the edges are read, whoever asks for the reason.
        listed = ", ".join(text(value) for value in values)
        cases.append(f"when list_contains([{listed}], lower(trim(id_value))) then {text(BLOCKED_VALUE)}")
    if patterns := list(id_type.blocked_patterns):
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        cases.append(f"when {matches('id_value', f'(?i){joined}')} then {text(BLOCKED_PATTERN)}")
    if id_type.valid_pattern:
        cases.append(f"when not {matches('id_value', f'^(?:{id_type.valid_pattern})$')} then {text(INVALID)}")
    return f"case {' '.join(cases)} end" if cases else "cast(null as varchar)"
