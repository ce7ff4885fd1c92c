"""What platforms take: `formats.yml` as objects, and the SQL that spells a value as they want it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import duckdb
import pycountry

from include.core_yaml import load_yaml
from include.extract.sql import texts

SPELLINGS = Path(__file__).with_name("spellings.sql")
# What is known of a member of either side, and of a customer; `emails` and `phones` are one value each in a row.
OF_MEMBERS = ("member_id", "audience_id", "entered_at", "expires_at")
TIMES_OF_MEMBERS = frozenset({"entered_at", "expires_at"})
OF_CUSTOMERS = (
    "customer_id", "emails", "phones", "email", "phone", "given_name", "family_name", "gender", "birth_date",
    "street", "city", "region", "postcode", "country", "loyalty_number", "customer_number", "ad_consent",
)  # fmt: skip
LISTED = {"emails": "each_email", "phones": "each_phone"}

Column = tuple[str, ...]


@dataclass(frozen=True)
class Http:
    """How a platform is asked: verb and path of an addition and a removal, rows per request, the body, the number of
    the answer that counts refused rows, headers, and what only the configuration can say: the account, of which of
    `account_types`, and headers, here with an example."""

    add: tuple[str, str]
    remove: tuple[str, str]
    rows: int
    body: str
    refused: str | None = None
    headers: Mapping[str, str] | None = None
    needs_account: bool = False
    account_types: tuple[str, ...] = ()
    needs_headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Format:
    """What one platform takes. Each of `rows` maps columns to what they are of and how that is spelled; the last may
    have those of `also` too, which may be missing."""

    name: str
    title: str
    takes: tuple[str, ...]
    file: Literal["csv", "jsonl"]
    rows: tuple[Mapping[str, Column], ...]
    minimum: int = 1
    longest_days: int | None = None
    purposes_in: Mapping[str, tuple[str, ...]] | None = None
    columns_are_free: bool = False
    also: Mapping[str, Column] = field(default_factory=dict)
    http: Http | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its files, in their order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def ends(self) -> tuple[str, ...]:
        """The columns that say until when somebody is a member."""
        return tuple(name for name in self.columns if self._said_by(name) <= {("expires_at",)})

    @property
    def names(self) -> tuple[str, ...]:
        """The columns by which a row is known again on another day, without those of times; all, if there are none."""
        times = {
            name for name in self.columns if {said[0] for said in self._said_by(name)} <= TIMES_OF_MEMBERS
        }
        return tuple(name for name in self.columns if name not in times) or self.columns

    def _said_by(self, name: str) -> set[Column]:
        return {row[name] for row in self.rows if name in row}


@lru_cache(maxsize=1)
def formats() -> Mapping[str, Format]:
    """Every format, by name."""
    document = load_yaml(Path(__file__).with_name("formats.yml"))
    return {name: _format(name, entry) for name, entry in document.items()}


@cache
def spellings() -> tuple[str, ...]:
    """The names of the spellings."""
    return tuple(re.findall(r"temp macro spell_(\w+)\(", SPELLINGS.read_text()))


def teach_spellings(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the spellings known to a connection, as macros `spell_<name>`."""
    states = {
        name.lower(): state.code.removeprefix("US-")
        for state in pycountry.subdivisions.get(country_code="US")
        for name in (state.name, state.code)
    }
    names, codes = texts(states), texts(states.values())
    connection.execute(f"set variable us_states = map({names}, {codes})")
    connection.execute(SPELLINGS.read_text())


def expression(column: Column) -> str:
    """The SQL of a column: what it is of, in each of its spellings in turn. An empty text is no value."""
    source, *steps = column
    sql = f"cast({LISTED.get(source, source)} as varchar)"
    for step in steps:
        sql = f"spell_{step}(nullif({sql}, ''))"
    return f"nullif({sql}, '')"


def is_hashed(column: Column) -> bool:
    """Whether what is written is a hash and not a value."""
    return column[-1].startswith("sha256")


def _format(name: str, entry: dict) -> Format:
    http = entry.pop("http", None)
    rows = tuple({column: tuple(steps) for column, steps in row.items()} for row in entry.pop("rows"))
    also = {column: tuple(steps) for column, steps in entry.pop("also", {}).items()}
    purposes = {region: tuple(names) for region, names in entry.pop("purposes_in", {}).items()}
    return Format(
        name=name,
        takes=tuple(entry.pop("takes")),
        rows=rows,
        also=also,
        purposes_in=purposes,
        http=Http(**{name: tuple(each) if isinstance(each, list) else each for name, each in http.items()})
        if http
        else None,
        **entry,
    )
