"""What the rules of `identity.yml` say of a single identifier: its strength and whether its value is rubbish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from include.identity.engine import matches, text

# Types that name a browser or a device and not a person: alone they never make a customer.
ANONYMOUS_TYPES = ("anonymous_id", "device_id", "advertising_id")
# Reasons of values that carry no information at all; nobody may claim them.
BLOCKED_VALUE, BLOCKED_PATTERN, INVALID = "blocked_value", "blocked_pattern", "invalid"
NOT_CONFIGURED = "not_configured"


class IdType(Protocol):
    """The rules of one id type: `include.config` reads them from `identity.yml`."""

    @property
    def priority(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def unique(self) -> bool: ...
    @property
    def blocked_values(self) -> Iterable[str]: ...
    @property
    def blocked_patterns(self) -> Iterable[str]: ...
    @property
    def valid_pattern(self) -> str | None: ...


class IdentityRules(Protocol):
    """The rules of every id type by name."""

    @property
    def id_types(self) -> Mapping[str, IdType]: ...


@dataclass(frozen=True)
class Strength:
    """An id type in the order of strength: `number` 1 is the strongest; -1 in SQL is a type without rules."""

    number: int
    name: str
    limit: int
    is_unique: bool

    @property
    def is_anonymous(self) -> bool:
        return self.name in ANONYMOUS_TYPES


def strengths(rules: IdentityRules) -> tuple[Strength, ...]:
    """The id types from the strongest to the weakest; equal priorities go by name."""
    ordered = sorted(rules.id_types.items(), key=lambda item: (item[1].priority, item[0]))
    return tuple(
        Strength(number, name, id_type.limit, id_type.unique)
        for number, (name, id_type) in enumerate(ordered, 1)
    )


def personal_numbers(types: Iterable[Strength]) -> str:
    """The numbers of the types that name a person and not a browser or a device, for a list in SQL."""
    return ", ".join(str(each.number) for each in types if not each.is_anonymous) or "0"


def type_number(types: Iterable[Strength]) -> str:
    """An expression over `id_type`: the number of its strength, -1 for a type without rules."""
    cases = "".join(f" when {text(id_type.name)} then {id_type.number}" for id_type in types)
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
    return f"case\nwhen trim(id_value) = '' then {text(INVALID)}\n{cases}\nelse {text(NOT_CONFIGURED)}\nend"


def _rubbish_of_type(id_type: IdType) -> str:
    cases = []
    if values := sorted({value.strip().lower() for value in id_type.blocked_values}):
        listed = ", ".join(text(value) for value in values)
        cases.append(f"when lower(trim(id_value)) in ({listed}) then {text(BLOCKED_VALUE)}")
    if patterns := list(id_type.blocked_patterns):
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        cases.append(f"when {matches('id_value', f'(?i){joined}')} then {text(BLOCKED_PATTERN)}")
    if id_type.valid_pattern:
        cases.append(f"when not {matches('id_value', f'^(?:{id_type.valid_pattern})$')} then {text(INVALID)}")
    return f"case {' '.join(cases)} end" if cases else "cast(null as varchar)"
