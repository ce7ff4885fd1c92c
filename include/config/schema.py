"""The configuration as frozen objects. Each class is one mapping of a file; its fields are the keys allowed there."""

from __future__ import annotations

import codecs
import datetime
import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pycountry
from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from include.activate.formats import OF_CUSTOMERS, OF_MEMBERS, Format, formats, spellings
from include.config.conditions import ConditionError, compile_source
from include.config.errors import ConfigError, Problem, refusal, refusal_of
from include.core_yaml import load_yaml
from include.extract.dates import PARTS, PLACE, parts_of
from include.extract.kinds import kinds
from include.normalise.taxonomies import Taxonomy, audience_taxonomy, content_taxonomy
from include.settings import DEFAULT_CONFIG

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_NAMES = ("none",)
STORAGE_SCHEMES = ("s3", "gs", "az")
PATH_PLACEHOLDERS = ("{date}", "{date:%Y%m%d}", "{demo}", "{config}")
ID_TYPES = (
    "customer_number", "loyalty_number", "user_id", "national_id", "email", "phone",
    "anonymous_id", "device_id", "advertising_id",
)  # fmt: skip
MAXIMUM_SHARE = 0.5
MAXIMUM_FOLDER_LEVELS = 5
PURPOSE_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9 _.:-]{0,62}")


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{message}", {"message": message})


def _name(value: str) -> str:
    """A name that becomes part of paths and SQL: words of lower-case letters, digits and underscores."""
    if value in RESERVED_NAMES:
        raise _problem(refusal(value, "any name but 'none', which stands for no channel"))
    if not NAME_PATTERN.fullmatch(value):
        raise _problem(refusal(value, "a to z, 0 to 9 and _, a letter first, at most 63"))
    return value


def _printable(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]|\{\{|\{%|\{#", value):
        raise _problem(refusal(value, "one line of text without {{, {% and {#"))
    return value


def _folder(value: str) -> str:
    """The path of a folder of traits, e.g. interests/food."""
    steps = value.split("/")
    if len(steps) > MAXIMUM_FOLDER_LEVELS or not all(NAME_PATTERN.fullmatch(step) for step in steps):
        allowed = f"at most {MAXIMUM_FOLDER_LEVELS} names with / between them, e.g. interests/food"
        raise _problem(refusal(value, allowed))
    return value


def _one_of(allowed: Callable[[], Mapping[str, Any] | tuple[str, ...]]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed():
            raise _problem(refusal_of(value, allowed()))
        return value

    return AfterValidator(check)


def _text_of(value: Any) -> Any:
    """An unquoted number or word is the text as which it is compared: `-1` and '-1' block the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(_printable)]
Folder = Annotated[str, AfterValidator(_folder)]
Share = Annotated[float, Field(strict=True)]
Times = Annotated[float, Field(strict=True)]
BlockedValue = Annotated[str, BeforeValidator(_text_of)]
FeaturePattern = Annotated[str, Field(pattern=r"^[a-z*][a-z0-9_*]{0,62}$")]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
KindName = Annotated[str, _one_of(kinds)]
Days = Annotated[StrictInt, Field(ge=1, le=3650)]
TraitDays = Annotated[StrictInt, Field(ge=0, le=3650)]  # 0: without end


class Model(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Named(Model):
    """An entry of a mapping, named by its key."""

    name: str = ""


# channels.yml


class MapEntry(Model):
    """Where a canonical column comes from: exactly one of a source column, an SQL expression, a constant.

    Of a list of source columns the first one counts that the file has, or in JSON the row. `sql` is generated from
    the syntax tree of what was written, in DuckDB's dialect, and reads `columns`.
    """

    column: str | tuple[str, ...] | None = None
    sql: str | None = None
    value: str | StrictInt | float | StrictBool | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, entry: Any) -> Any:
        if isinstance(entry, MapEntry):
            return entry
        if isinstance(entry, str | list):
            entry = {"column": entry}
        allowed = "a source column, a list of them, {sql: expression} or {value: constant}"
        if not isinstance(entry, dict):
            raise _problem(refusal(entry, allowed))
        unknown = [key for key in entry if key not in cls.model_fields]
        if unknown:
            raise _problem(refusal_of(unknown[0], cls.model_fields))
        given = {key: value for key, value in entry.items() if value is not None}
        if len(given) != 1:
            raise _problem(refusal(entry, allowed))
        ((key, value),) = given.items()
        if key == "value":
            if isinstance(value, datetime.date):
                value = value.isoformat()
            if (
                not isinstance(value, str | int | float)
                or value in (float("inf"), float("-inf"))
                or value != value
            ):
                raise _problem(refusal(value, "a constant"))
        elif key == "column" and isinstance(value, list | tuple):
            if not value or not all(isinstance(name, str) and name.strip() for name in value):
                raise _problem(refusal(value, "names of source columns, the one of today's files first"))
            value = tuple(value)
        elif not isinstance(value, str) or not value.strip():
            raise _problem(refusal(value, "text"))
        return {key: value}

    @field_validator("column", "value")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                _printable(text)
        return value

    @field_validator("sql")
    @classmethod
    def _compiled(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return compile_source(text)[0]
        except ConditionError as error:
            raise _problem(str(error)) from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that the entry reads."""
        if self.column is not None:
            return self.column if isinstance(self.column, tuple) else (self.column,)
        return compile_source(self.sql)[1] if self.sql is not None else ()


class FileSource(Model):
    """Files of one layout, on this machine or in object storage (`s3://`, `gs://`, `az://`).

    `delimiter`, `quote`, `escape`, `header` and `null_values` are of csv only; `encoding` is any that Python knows,
    for csv, jsonl, json and text. `null_values` are the texts that mean "no value". `records` is where the rows of
    a json document are, keys with dots between them; without it the document itself is the array. `connection` is
    the Airflow connection with the keys to the object storage; without it its client looks for them as usual.

    A file that unfolds to more than `max_expansion` times its size (64 MB it always may), or has more than `max_fields`
    columns, is refused; a JSON object that is nested more than `max_depth` deep, or has more than `max_fields` keys of
    its own, is quarantined.
    """

    connector: Literal["file"] = "file"
    path: str = Field(description="the path of a file, with * and {date} where it varies")
    format: Literal["csv", "jsonl", "json", "parquet", "text"]
    connection: ConnectionId | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=4)
    quote: str = Field(default='"', max_length=1)
    escape: str = Field(default='"', min_length=1, max_length=1)
    header: StrictBool = True
    null_values: tuple[BlockedValue, ...] = ("",)
    records: str | None = Field(default=None, min_length=1)
    encoding: str = "utf-8"
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    max_expansion: StrictInt = Field(default=200, ge=1)
    max_depth: StrictInt = Field(default=500, ge=1)
    max_fields: StrictInt = Field(default=10_000, ge=1)

    @property
    def is_remote(self) -> bool:
        return "://" in self.path

    @field_validator("path")
    @classmethod
    def _usable_path(cls, path: str) -> str:
        _printable(path)
        if not path.strip() or path != path.strip():
            raise _problem(refusal(path, "the path of a file, with * and {date} where it varies"))
        scheme = path.partition("://")[0] if "://" in path else None
        if scheme is not None and scheme not in STORAGE_SCHEMES:
            raise _problem(refusal_of(scheme, STORAGE_SCHEMES, "the scheme"))
        rest = PLACE.sub("", path)
        for placeholder in PATH_PLACEHOLDERS:
            rest = rest.replace(placeholder, "")
        wrong = re.search(r"\{[^}]*\}?|\}", rest)
        if wrong:
            raise _problem(refusal_of(wrong.group(), PATH_PLACEHOLDERS, "the placeholder"))
        if parts_of(path) not in (set(), set(PARTS)):
            raise _problem(refusal(path, "a {date}, or one in other forms that have %Y, %m and %d together"))
        for placeholder in ("{demo}", "{config}"):
            if placeholder in path[1:]:
                raise _problem(refusal(path, f"{placeholder} at the beginning of a path only"))
        return path

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            is_text = codecs.lookup(encoding)._is_text_encoding
        except (LookupError, ValueError):
            is_text = False
        if not is_text:
            raise _problem(refusal_of(encoding, ("utf-8", "utf-16", "latin-1", "cp1252"), "the encoding"))
        return encoding.lower()

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _single_byte(cls, value: str) -> str:
        if not value.isascii() or re.search(r"[\r\n\x00]", value):
            raise _problem(refusal(value, "an ASCII sign that does not end a line"))
        return value

    @model_validator(mode="after")
    def _signs_differ(self) -> FileSource:
        if self.delimiter in (self.quote, self.escape) or (self.quote and self.quote in self.delimiter):
            raise _problem(refusal(self.delimiter, "a delimiter that is neither the quote nor the escape"))
        return self


class SqlSource(Model):
    """Tables or a query of a database, through the Airflow connection `connection`.

    Exactly one of `table`, `tables` (one layout per table, as warehouses of events have them) and `query` says what
    is read; `where` is a condition that the database itself applies. With a `watermark`, a column of the time of
    the last change, a run reads only rows from `lookback_days` before the last day that was read up to the end of
    its own day; without one it reads everything every day.
    """

    connector: Literal["sql"]
    connection: ConnectionId = Field(description="the id of an Airflow connection")
    table: str | None = Field(default=None, min_length=1)
    tables: tuple[str, ...] = ()
    query: str | None = Field(default=None, min_length=1)
    where: str | None = Field(default=None, min_length=1)
    watermark: Line | None = Field(default=None, min_length=1)
    lookback_days: StrictInt = Field(default=1, ge=0, le=3650)

    @model_validator(mode="after")
    def _one_thing_to_read(self) -> SqlSource:
        given = [name for name in ("table", "tables", "query") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "nothing to read"
            raise _problem(f"found {found}, allowed: exactly one of table, tables and query")
        return self


Source = Annotated[FileSource | SqlSource, Field(discriminator="connector")]


class Channel(Named):
    """Where one kind of record comes from, and how its columns become canonical ones.

    `tolerance` is the share of a file's rows that may be quarantined before the channel fails. `delivery: snapshot`
    says that each day's delivery is all there is: a record that the newest one does not have is gone.
    """

    party: Literal["first", "second", "third"]
    kind: KindName = Field(description="a record kind, e.g. customers or events")
    source: Source = Field(description="{connector: file, path: …, format: …}")
    spec: Literal["mapped", "segment", "ga4", "snowplow", "apache_combined"]
    map: dict[str, MapEntry] = {}
    unpivot: Literal["all"] | tuple[str, ...] | None = None
    attributes: Literal["keep"] = "keep"
    required: StrictBool = True
    tolerance: Share = Field(default=0.05, ge=0, le=1)
    delivery: Literal["increment", "snapshot"] = "increment"

    @field_validator("source", mode="before")
    @classmethod
    def _files_by_default(cls, source: Any) -> Any:
        return {"connector": "file", **source} if isinstance(source, dict) else source

    @field_validator("unpivot", mode="before")
    @classmethod
    def _all_or_columns(cls, unpivot: Any) -> Any:
        is_list = (
            isinstance(unpivot, list | tuple) and unpivot and all(isinstance(item, str) for item in unpivot)
        )
        if unpivot is None or unpivot == "all":
            return unpivot
        if not is_list:
            raise _problem(refusal(unpivot, "all, or a list of source columns"))
        return tuple(unpivot)


class ChannelsFile(Model):
    """`channels.yml`"""

    channels: dict[Name, Channel] = {}

    @field_validator("channels", mode="before")
    @classmethod
    def _none_is_empty(cls, channels: Any) -> Any:
        return {} if channels is None else channels


# identity.yml


class IdType(Named):
    """The rules of one id type. `priority` 1 is the strongest; `limit` is how many values one customer may have, within
    `window_days` when that is given; `unique` forbids a merge of two customers that have different values of it;
    `tier` says how sure it is that two records with the same value are one person.

    Values are compared without regard to case and outer spaces. A blocked pattern may match anywhere in a value,
    the valid pattern must match all of it.
    """

    priority: StrictInt = Field(ge=1, description="1 for the strongest, 2 for the next …")
    limit: StrictInt = Field(default=5, ge=1)
    window_days: StrictInt | None = Field(default=None, ge=1)
    unique: StrictBool = False
    tier: Literal["exact", "strict", "loose"] = "exact"
    blocked_values: tuple[BlockedValue, ...] = ()
    blocked_patterns: tuple[str, ...] = ()
    valid_pattern: str | None = None

    @model_validator(mode="after")
    def _unique_is_one(self) -> IdType:
        if self.unique and (self.window_days or ("limit" in self.model_fields_set and self.limit != 1)):
            raise _problem(refusal(self.limit, "limit: 1 without window_days for a type that is unique"))
        if self.unique and self.tier == "loose":
            raise _problem(refusal(self.tier, "tier: exact or strict for a type that is unique"))
        return self


COMPARISON_NAMES = (
    "given_name", "family_name", "birth_date", "gender", "national_id", "email", "phone", "loyalty_number", "street",
    "place", "country",
)  # fmt: skip
BLOCKING_PARTS = (
    "given_name", "family_name", "full_name", "full_sound", "given_sound", "family_sound", "given_root",
    "given_initial", "family_initial", "birth_date", "birth_year", "birth_day", "gender", "national_id",
    "loyalty_number", "email", "email_name", "phone", "phone_end", "street", "street_name", "street_sound",
    "house_number", "city", "city_sound", "region", "postcode", "postcode_area", "country",
)  # fmt: skip
BLOCKING_RULES = (
    ("national_id",),
    ("loyalty_number",),
    ("email",),
    ("phone",),
    ("full_name",),
    ("birth_date", "given_sound"),
    ("birth_date", "family_sound"),
    ("birth_date", "postcode"),
    ("full_sound", "birth_year"),
    ("full_sound", "city"),
    ("full_sound", "postcode"),
    ("postcode", "given_sound"),
    ("postcode", "family_sound"),
    ("city", "given_root"),
    ("city", "family_sound"),
    ("street_name", "city"),
    ("street_name", "postcode"),
    ("house_number", "street_name"),
    ("house_number", "postcode"),
    ("house_number", "city"),
    ("house_number", "family_sound"),
    ("street_sound", "city_sound"),
    ("street_sound", "given_sound"),
    ("street_sound", "family_sound"),
    ("birth_date",),
    ("full_sound",),
    ("email_name",),
    ("phone_end",),
)
BlockingPart = Annotated[str, _one_of(lambda: BLOCKING_PARTS)]


class Linkage(Model):
    """How records of one person are found that share no identifier; see docs/decisions on linkage.

    `strict` and `loose` are the least probabilities of their tiers. `comparisons` are what records are compared by.
    Only pairs that agree on all parts of a blocking rule are compared; a block of more than `largest_block` records
    is tightened or left out, and so are the largest blocks of a rule that makes more than about `pairs_per_record`
    pairs for each record on average.
    """

    enabled: StrictBool = True
    strict: Share = Field(default=0.9, gt=0.5, lt=1)
    loose: Share = Field(default=0.8, gt=0.5, lt=1)
    comparisons: tuple[Annotated[str, _one_of(lambda: COMPARISON_NAMES)], ...] = COMPARISON_NAMES
    blocking_rules: tuple[tuple[BlockingPart, ...], ...] = BLOCKING_RULES
    largest_block: StrictInt = Field(default=100, ge=2, le=10_000)
    pairs_per_record: StrictInt = Field(default=1, ge=1, le=100)

    @field_validator("comparisons", "blocking_rules")
    @classmethod
    def _distinct(cls, items: tuple) -> tuple:
        if repeated := [item for item in items if items.count(item) > 1 or not item]:
            raise _problem(refusal(repeated[0], "each once, and none empty"))
        return items

    @model_validator(mode="after")
    def _strict_is_stricter(self) -> Linkage:
        if self.loose > self.strict:
            raise _problem(refusal(self.loose, f"loose: at most strict, which is {self.strict}"))
        return self


RECORD = "record"


def _endpoint(value: str) -> str:
    """`record:<channel>:<record_id>`, or an identifier as `<id type>:<value>`."""
    kind, _, rest = value.partition(":")
    channel, _, record_id = rest.partition(":")
    if kind == RECORD and not (channel and record_id):
        raise _problem(refusal(value, "record:<channel>:<record_id>"))
    if kind != RECORD and (kind not in ID_TYPES or not rest.strip()):
        allowed = f"record:<channel>:<record_id> or <id type>:<value>, id types: {', '.join(ID_TYPES)}"
        raise _problem(refusal(value, allowed))
    return value


Endpoint = Annotated[Line, AfterValidator(_endpoint)]


class ManualLink(Model):
    """Two records or identifiers that are one customer, whatever else says so or not."""

    between: tuple[Endpoint, Endpoint]
    reason: str | None = None


class ManualBlock(Model):
    """What must not link: an identifier `value`, the identifier of one record, or two records."""

    value: Endpoint | None = None
    between: tuple[Endpoint, Endpoint] | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ManualBlock:
        if (self.value is None) == (self.between is None):
            raise _problem(refusal({}, "either value or between"))
        if self.value and self.value.startswith(f"{RECORD}:"):
            raise _problem(refusal(self.value, "an identifier as <id type>:<value>; between blocks a record"))
        if self.between and not self.between[0].startswith(f"{RECORD}:"):
            raise _problem(
                refusal(self.between[0], "record:<channel>:<record_id>, then a record or an identifier")
            )
        return self


class Manual(Model):
    """What people decided: links and blocks that go before all rules; a block goes before a link."""

    links: tuple[ManualLink, ...] = ()
    blocks: tuple[ManualBlock, ...] = ()


class IdentityRules(Model):
    """`identity.yml`. Once loaded, each id type has the common blocked values and patterns beside its own."""

    blocked_values: tuple[BlockedValue, ...] = ()
    blocked_patterns: tuple[str, ...] = ()
    linkage: Linkage = Linkage()
    id_types: dict[Annotated[str, _one_of(lambda: ID_TYPES)], IdType] = Field(
        description="the rules of each id type"
    )
    manual: Manual = Manual()

    @model_validator(mode="after")
    def _at_least_one(self) -> IdentityRules:
        if not self.id_types:
            raise _problem(refusal({}, f"id_types: at least one of {', '.join(ID_TYPES)}"))
        return self


# audiences.yml


class Lookalike(Model):
    """Strangers who resemble an audience: the best `size` (a share of the eligible), or a `level` of it.

    `seed_tier` says whose devices are learned from: strict, the members' own; loose, also those of customers who are
    probably the same person as a member.
    """

    size: Share | None = Field(default=None, gt=0, le=MAXIMUM_SHARE)
    level: Literal["narrow", "balanced", "broad"] | None = None
    seed_tier: Literal["strict", "loose"] = "strict"

    @model_validator(mode="after")
    def _size_or_level(self) -> Lookalike:
        if (self.size is None) == (self.level is None):
            found = "both size and level" if self.size is not None else "neither size nor level"
            allowed = f"{{size: above 0, at most {MAXIMUM_SHARE}}} or {{level: narrow, balanced or broad}}"
            raise _problem(f"found {found}, allowed: {allowed}")
        return self


class Audience(Model):
    """People chosen by a condition. Without `min_size` the minimum cell of `privacy.yml` counts, without
    `control_share` the one there; 0 holds nobody back."""

    audience_id: Name = Field(alias="id", description="the name of the audience")
    side: Literal["cdp", "dmp"]
    where: str = Field(description="a condition")
    name: Line = ""
    description: Line = ""
    ttl_days: Days = 30
    min_size: StrictInt | None = Field(default=None, ge=1)
    destinations: tuple[str, ...] = ()
    control_share: Share | None = Field(default=None, ge=0, le=MAXIMUM_SHARE)
    lookalike: Lookalike | None = None


class TraitRule(Model):
    """A trait that every consented event which satisfies `where` gives to its visitor.

    It is held for `ttl_days` after the last such event, without end when that is 0. In a `folder`, it counts for the
    folder and for those above it too.
    """

    trait_id: Name = Field(alias="id", description="the name of the trait")
    where: str = Field(description="a condition")
    name: Line = ""
    description: Line = ""
    folder: Folder | None = None
    ttl_days: TraitDays = 120


class AudiencesFile(Model):
    """`audiences.yml`. `folders` put traits of other parties, by their names as delivered, beside those of rules."""

    traits: tuple[TraitRule, ...] = ()
    folders: dict[Folder, tuple[Line, ...]] = {}
    audiences: tuple[Audience, ...] = ()


# models.yml


class FeatureChoice(Model):
    """Which features a model learns from: `only` these, or all but those `except`; patterns with * are names too."""

    only: tuple[FeaturePattern, ...] = ()
    except_: tuple[FeaturePattern, ...] = Field(default=(), alias="except")


class Purchase(Model):
    """The propensity to buy within `horizon_days` after the day: at all, and in each of the `categories` that sell
    to most customers. Learned on `cutoffs` days before it, each a horizon apart, from the chosen `features`. A champion
    is challenged again after `retrain_days`."""

    horizon_days: StrictInt = Field(default=28, ge=1, le=365)
    cutoffs: StrictInt = Field(default=2, ge=2, le=6)
    features: FeatureChoice = FeatureChoice()
    categories: StrictInt = Field(default=10, ge=0, le=100)
    retrain_days: StrictInt = Field(default=7, ge=1, le=365)


class PropensityLabel(Model):
    """What a propensity foresees: an `activity` of the customer timeline, of the rows that satisfy `where`."""

    activity: Line = Field(description="an activity of the customer timeline")
    where: str | None = Field(default=None, description="a condition over the customer timeline")


class Propensity(Model):
    """Something else that customers may do within the horizon of `purchase`. Its score is `propensity:<id>`."""

    propensity_id: Name = Field(alias="id", description="the name of the propensity")
    label: PropensityLabel
    name: Line = ""

    @property
    def score(self) -> str:
        return f"propensity:{self.propensity_id}"


class Value(Model):
    """What customers are worth: orders and value expected in `horizon_days` after the day."""

    horizon_days: StrictInt = Field(default=90, ge=1, le=1830)


class Segmentation(Model):
    """Customer segments: the number of them is chosen between `k_min` and `k_max`, on at most `sample_rows`."""

    k_min: StrictInt = Field(default=2, ge=2, le=50)
    k_max: StrictInt = Field(default=8, ge=2, le=50)
    sample_rows: StrictInt = Field(default=20_000, ge=100)

    @model_validator(mode="after")
    def _in_order(self) -> Segmentation:
        if self.k_max < self.k_min:
            raise _problem(refusal(self.k_max, f"k_max of at least k_min, which is {self.k_min}"))
        return self


class Lifecycle(Model):
    """The stages of a customer's life, judged by their own rhythm: the average of the days between their orders, among
    which `default_gap_days` counts as `default_gap_weight` gaps, and at least `minimum_gap_days`.

    `loyal_orders` make an active customer loyal; a silence of `at_risk_after` and `lapsed_after` times the rhythm ends
    it; who comes back is won back until their `won_back_orders`th order since. Stages that fewer than `minimum_support`
    stays entered are not in the funnel.
    """

    default_gap_days: StrictInt = Field(default=60, ge=1, le=3650)
    default_gap_weight: Times = Field(default=0.5, gt=0, le=20)
    minimum_gap_days: StrictInt = Field(default=7, ge=1, le=3650)
    loyal_orders: StrictInt = Field(default=5, ge=2, le=1000)
    at_risk_after: Times = Field(default=2.0, ge=1, le=20)
    lapsed_after: Times = Field(default=4.0, ge=1, le=20)
    won_back_orders: StrictInt = Field(default=2, ge=1, le=1000)
    minimum_support: StrictInt = Field(default=20, ge=5)

    @model_validator(mode="after")
    def _in_order(self) -> Lifecycle:
        if self.lapsed_after <= self.at_risk_after:
            raise _problem(
                refusal(self.lapsed_after, f"lapsed_after above at_risk_after, which is {self.at_risk_after}")
            )
        if self.default_gap_days < self.minimum_gap_days:
            raise _problem(
                refusal(
                    self.default_gap_days,
                    f"default_gap_days of at least minimum_gap_days, which is {self.minimum_gap_days}",
                )
            )
        return self


class Eligibility(Model):
    """Products that only some customers may be offered: both are conditions, over the catalogue (`products`) and over
    `customers` and `customer_features` (`customers`). Who is not known to fulfil it is not offered them."""

    products: str = Field(description="a condition over the catalogue")
    customers: str = Field(description="a condition over the customers")


class Recommendation(Model):
    """The next best products: `products` for each customer, learned from the last `history_days`.

    Never recommended: what fulfils a condition of `exclude`, what was not sold for `unsold_days`, and what `only_for`
    keeps from a customer.
    """

    products: StrictInt = Field(default=10, ge=1, le=100)
    history_days: StrictInt = Field(default=365, ge=7)
    unsold_days: StrictInt = Field(default=90, ge=1)
    exclude: tuple[str, ...] = ()
    only_for: tuple[Eligibility, ...] = ()


class ProductProfiles(Model):
    """Which profiles buy what, in the last `window_days`; cells of fewer than `min_support` customers are not shown."""

    window_days: StrictInt = Field(default=365, ge=7)
    min_support: StrictInt = Field(default=20, ge=5)
    max_products: StrictInt = Field(default=200, ge=0)


class Triggers(Model):
    """What makes customers buy: signals of the last `history_days`, each with its effect in the days after it."""

    history_days: StrictInt = Field(default=365, ge=28)
    categories: StrictInt = Field(default=10, ge=0, le=100)
    min_support: StrictInt = Field(default=50, ge=20)


class Needs(Model):
    """What customers of each stage need: behaviour of the last `window_days`, per stage at that time."""

    window_days: StrictInt = Field(default=90, ge=7)
    min_support: StrictInt = Field(default=20, ge=5)


class ActionRule(Model):
    """When something is offered, what, and whether with a promotion. Of the rules that apply, those of a lower
    `priority` come first; among equals the offer that is expected to bring most."""

    rule_id: Name = Field(alias="id", description="the name of the rule")
    when: str = Field(description="a condition")
    offer: Literal["service", "cart", "product", "repeat", "new", "category", "content"]
    promotion: Literal["never", "if_sensitive", "always"] = "never"
    priority: StrictInt = Field(default=3, ge=1)
    words: Line = ""


@cache
def _default_action_rules() -> tuple[ActionRule, ...]:
    """The rules of the project's own models.yml, for whoever writes no rules of their own."""
    rules = load_yaml(DEFAULT_CONFIG / "models.yml")["actions"]["rules"]
    return tuple(ActionRule.model_validate(rule, by_alias=True, by_name=False) for rule in rules)


class Actions(Model):
    """The next best actions: at most `per_customer`, and no message to who has had `max_messages` in `fatigue_days`.

    `service_days` and `cart_days` are how long an unresolved contact and a basket left behind are worth an action.
    """

    per_customer: StrictInt = Field(default=3, ge=1, le=10)
    max_messages: StrictInt = Field(default=4, ge=0)
    fatigue_days: StrictInt = Field(default=14, ge=1)
    service_days: StrictInt = Field(default=14, ge=1)
    cart_days: StrictInt = Field(default=7, ge=1)
    rules: tuple[ActionRule, ...] = Field(default_factory=_default_action_rules)


class Offsite(Model):
    """What buyers look at on other sites, before and after a purchase, for at most `people` of them.

    A purchase counts when its category was not bought for `pause_days`. It is judged in each of `windows`, days after
    it, against `before_days` before it; of the most bought `categories` and the most read `contents`. Up to `controls`
    times as many who bought something else are compared with. Who bought within `recent_days` may be offered more.
    `sales_channel` says which purchases count.
    """

    sales_channel: Literal["any", "store", "online"] = "any"
    windows: tuple[Annotated[StrictInt, Field(ge=3, le=90)], ...] = Field(default=(7, 14, 28), min_length=1)
    before_days: StrictInt = Field(default=28, ge=7, le=365)
    pause_days: Days = 60
    categories: StrictInt = Field(default=300, ge=1, le=1000)
    contents: StrictInt = Field(default=50, ge=1, le=700)
    controls: StrictInt = Field(default=5, ge=1, le=100)
    people: StrictInt = Field(default=200_000, ge=1_000)
    recent_days: Days = 28

    @field_validator("windows")
    @classmethod
    def _rising(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        if list(windows) != sorted(set(windows)):
            raise _problem(refusal(list(windows), "rising numbers of days, e.g. [7, 14, 28]"))
        return windows


class LookalikeModel(Model):
    """Look-alikes: fewer than `min_seed` people are not learned from; `hold_out_share` of them only judge.

    The test over time learns from what was known `test_days` before the day. `features` are chosen by family (site,
    category, device, hours) or trait. `audited` traits are never features: they only show whom a model leaves out.
    """

    min_seed: StrictInt = Field(default=100, ge=20)
    hold_out_share: Share = Field(default=0.3, ge=0.1, le=0.5)
    ttl_days: Days = 30
    test_days: Days = 28
    features: FeatureChoice = FeatureChoice()
    audited: tuple[Line, ...] = ()
    bootstrap_rounds: StrictInt = Field(default=200, ge=10, le=10_000)


class Placements(Model):
    """Where audiences are met: off-site events of the last `window_days` count, at most as many as event_days of
    privacy.yml. Audiences of more people than `sketch_size` are counted by a sample of about so many of each."""

    window_days: Days = 28
    sketch_size: StrictInt = Field(default=32_768, ge=1_024, le=2**24)


class Models(Model):
    """`models.yml`. `seed` starts every random draw."""

    seed: StrictInt = Field(default=7, ge=0, le=2**31 - 1)
    purchase: Purchase = Purchase()
    propensities: tuple[Propensity, ...] = ()
    value: Value = Value()
    segmentation: Segmentation = Segmentation()
    lifecycle: Lifecycle = Lifecycle()
    recommendation: Recommendation = Recommendation()
    product_profiles: ProductProfiles = ProductProfiles()
    triggers: Triggers = Triggers()
    needs: Needs = Needs()
    actions: Actions = Actions()
    offsite: Offsite = Offsite()
    lookalike: LookalikeModel = LookalikeModel()
    placements: Placements = Placements()


# destinations.yml and privacy.yml


class FolderDelivery(Model):
    """Files into a folder that somebody else empties, relative to the configuration; `{data}` is the DATA folder.
    `send: changes` puts what is to be removed and added, `full` everybody."""

    to: Literal["folder"]
    path: Line = Field(min_length=1, description="the path of a folder")
    send: Literal["changes", "full"] = "changes"

    def seen_from(self, folder: Path, data: Path) -> Path:
        """Where the folder is, for a configuration in `folder` and the DATA folder `data`."""
        return (folder / self.path.replace("{data}", str(data))).resolve()


class HttpDelivery(Model):
    """Requests to the platform: the Airflow connection has its address as host, and as password the token that goes
    into the header Authorization. `add` and `remove` are paths to use instead of the format's."""

    to: Literal["http"]
    connection: ConnectionId = Field(description="the id of an Airflow connection")
    add: Line | None = None
    remove: Line | None = None
    headers: dict[Line, Line] = {}
    timeout_seconds: StrictInt = Field(default=60, ge=1, le=600)


class TableDelivery(Model):
    """Rows of a table of a database, PostgreSQL or SQLite, through an Airflow connection; it is made when it is not
    there."""

    to: Literal["table"]
    connection: ConnectionId = Field(description="the id of an Airflow connection")
    table: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")


Delivery = Annotated[FolderDelivery | HttpDelivery | TableDelivery, Field(discriminator="to")]


def _country(value: str) -> str:
    if pycountry.countries.get(alpha_2=value) is None:
        raise _problem(refusal(value, "the ISO 3166 code of a country, e.g. DE, GB or US"))
    return value


Country = Annotated[str, AfterValidator(_country)]


class Destination(Model):
    """Somewhere audiences are sent, in one of the formats of include/activate/formats.yml.

    Whoever is sent is of one of `sides` and lives in one of `countries` when there are any, has granted every one of
    `purposes`, and has not refused the vendor `tcf_vendor` in a TCF string. `lists` are the platform's own ids of the
    audiences, `account` its id of the company, of an `account_type` where there are several. Fewer than `min_size`
    people are not sent. `columns` replace columns of the format; of `csv` and `json` they are all there are; `also` are
    further columns that it knows. Without `deliver` the files stay in the release.
    """

    destination_id: Name = Field(alias="id", description="the name of the destination")
    description: Line = ""
    format_: Annotated[str, _one_of(formats)] = Field(default="csv", alias="format")
    purposes: tuple[Name, ...] = ("advertising",)
    sides: tuple[Literal["cdp", "dmp"], ...] = ()
    countries: tuple[Country, ...] = ()
    tcf_vendor: StrictInt | None = Field(default=None, ge=1, le=65535)
    min_size: StrictInt | None = Field(default=None, ge=1)
    membership_days: Days | None = None
    lists: dict[Name, BlockedValue] = {}
    account: BlockedValue | None = None
    account_type: Line | None = None
    columns: dict[Line, tuple[str, ...]] = {}
    also: tuple[Line, ...] = ()
    deliver: Delivery | None = None

    @field_validator("purposes")
    @classmethod
    def _some_purpose(cls, purposes: tuple[str, ...]) -> tuple[str, ...]:
        if not purposes:
            raise _problem(refusal(purposes, "at least one purpose of privacy.yml"))
        return purposes

    @field_validator("lists")
    @classmethod
    def _one_audience_each(cls, lists: dict[str, str]) -> dict[str, str]:
        for list_id in lists.values():
            audiences = [name for name, each in lists.items() if each == list_id]
            if len(audiences) > 1:
                allowed = (
                    "a list for each audience: who left one is removed from it, though still in the other"
                )
                raise _problem(f"found the list {list_id} for {' and '.join(audiences)}, allowed: {allowed}")
        return lists

    @field_validator("columns")
    @classmethod
    def _known_steps(cls, columns: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        sources = (*OF_MEMBERS, *OF_CUSTOMERS)
        for name, steps in columns.items():
            if not steps or steps[0] not in sources:
                raise _problem(
                    refusal_of(steps[0] if steps else "", sources, f"what the column {name} is of")
                )
            for step in steps[1:]:
                if step not in spellings():
                    raise _problem(refusal_of(step, spellings(), f"the spelling of the column {name}"))
        return columns

    @model_validator(mode="after")
    def _as_the_format_allows(self) -> Destination:
        known = formats()[self.format_]
        for name in self.also:
            if name not in known.also:
                raise _problem(
                    refusal_of(name, known.also or ["none"], f"the further column of {known.name}")
                )
        types = known.http.account_types if known.http else ()
        if self.account_type is not None and self.account_type not in types:
            raise _problem(
                refusal_of(self.account_type, types or ["none"], f"the account_type of {known.name}")
            )
        layout = self.layout
        if not layout.columns_are_free:
            for name in self.columns:
                if name not in layout.columns:
                    raise _problem(refusal_of(name, layout.columns, f"the column of {layout.name}"))
        if self.min_size is not None and self.min_size < layout.minimum:
            raise _problem(
                refusal(self.min_size, f"min_size of at least {layout.minimum} with {layout.name}")
            )
        if not layout.takes:
            raise _problem(refusal(self.sides[0], f"sides of {', '.join(formats()[self.format_].takes)}"))
        longest = layout.longest_days
        if longest and self.membership_days and self.membership_days > longest:
            raise _problem(
                refusal(self.membership_days, f"membership_days of at most {longest} with {layout.name}")
            )
        if isinstance(self.deliver, HttpDelivery) and layout.http is None:
            able = ", ".join(name for name, each in formats().items() if each.http)
            raise _problem(
                f"found http with the format {layout.name}, which is of files; allowed: with {able}"
            )
        if isinstance(self.deliver, HttpDelivery):
            self._check_what_is_asked_for(self.deliver)
        return self

    def _check_what_is_asked_for(self, delivery: HttpDelivery) -> None:
        """Without these every request would be refused."""
        http = self.layout.http
        if http.needs_account and not self.account:
            raise _problem(
                f"found no account, which {self.format_} is asked with; allowed: the platform's id of it"
            )
        given = {name.lower() for name in delivery.headers}
        for name, example in (http.needs_headers or {}).items():
            if name.lower() not in given:
                allowed = f"deliver: {{headers: {{{name}: '{example}'}}}} or the like"
                raise _problem(
                    f"found no header {name}, which {self.format_} is asked with; allowed: {allowed}"
                )

    @property
    def layout(self) -> Format:
        """What is written and of whom, with what the configuration says otherwise."""
        chosen = formats()[self.format_]
        if self.sides:
            chosen = replace(chosen, takes=tuple(side for side in chosen.takes if side in self.sides))
        if chosen.columns_are_free:
            return replace(chosen, rows=(self.columns,)) if self.columns else chosen
        *others, last = chosen.rows
        also = {name: steps for name, steps in chosen.also.items() if name in self.also}
        rows = tuple(
            {name: self.columns.get(name, steps) for name, steps in row.items()}
            for row in (*others, {**last, **also})
        )
        return replace(chosen, rows=rows)

    @property
    def minimum(self) -> int:
        """Fewer people than this are not sent."""
        return self.min_size or self.layout.minimum

    def list_of(self, audience_id: str) -> str:
        """The platform's own id of an audience, or ours when none is given."""
        return self.lists.get(audience_id, audience_id)

    def place_of(self, audience_id: str) -> tuple[str, ...]:
        """What rows of an audience are put into: the way there; the folder, or the list or table with its connection;
        the account with its type, if there is one."""
        match self.deliver:
            case FolderDelivery(path=path):
                return "folder", posixpath.normpath(path)
            case TableDelivery(table=table, connection=connection):
                return "table", table, connection
            case HttpDelivery(connection=connection):
                known = self.account_type or next(iter(self.layout.http.account_types), None)
                account = [each for each in (self.account, known) if each]
                return "http", self.list_of(audience_id), connection, *account
        return ()

    @property
    def longest_days(self) -> int | None:
        """How long the platform may keep a member of any audience; None when nobody says."""
        return min((each for each in (self.membership_days, self.layout.longest_days) if each), default=None)

    def days_of(self, ttl_days: int) -> int:
        """How long the platform may keep a member of an audience."""
        return min(ttl_days, self.longest_days or ttl_days)


class DestinationsFile(Model):
    """`destinations.yml`"""

    destinations: tuple[Destination, ...] = ()


def _category_of(taxonomy: Callable[[], Taxonomy]) -> AfterValidator:
    """Text that names one category of a taxonomy, by its id, its name or its path."""

    def check(text: str) -> str:
        if taxonomy().find(text) is not None:
            return text
        allowed = f"the id, the name or the path of a category of the {taxonomy().title}"
        namesakes = taxonomy().namesakes(text)
        nearest = taxonomy().nearest(text)
        if namesakes:
            allowed += f", which has this name {len(namesakes)} times, e.g. '{namesakes[0].path}'"
        elif nearest:
            allowed += f" (did you mean '{nearest}'?)"
        raise _problem(refusal(text, allowed))

    return AfterValidator(check)


ContentName = Annotated[str, BeforeValidator(_text_of), _category_of(content_taxonomy)]
AudienceName = Annotated[str, BeforeValidator(_text_of), _category_of(audience_taxonomy)]
TcfPurpose = Annotated[StrictInt, Field(ge=1, le=24)]


@cache
def _default_of(file: str, key: str) -> tuple[str, ...]:
    """A list of the project's own file, for whoever writes a file without it: what guards people guards them unless
    somebody says otherwise."""
    return tuple(load_yaml(DEFAULT_CONFIG / file)[key])


@cache
def _regions_by_default() -> dict[str, list[str]]:
    return load_yaml(DEFAULT_CONFIG / "privacy.yml")["regions"]


class Key(Model):
    """The pseudonym key, which itself is never in a file: `epoch` counts its changes, see docs/privacy.md."""

    epoch: StrictInt = Field(default=1, ge=1)


class Requests(Model):
    """When a privacy request waits for a person: it comes to more than `approve_above_customers` customers, or to more
    than `approve_above_likely_records` records that only likeness links; and erasures when more than
    `approve_above_erasures` come at once."""

    approve_above_customers: StrictInt = Field(default=1, ge=0)
    approve_above_likely_records: StrictInt = Field(default=5, ge=0)
    approve_above_erasures: StrictInt = Field(default=100, ge=0)


class Retention(Model):
    """For how many days what is kept: rows of a record kind after their own time, lines with their orders; refused rows
    after they were delivered, answers to requests after they were given, results and logs of runs after their day.
    What is not named is kept without end."""

    customers: Days | None = None
    events: Days | None = None
    orders: Days | None = None
    interactions: Days | None = None
    messages: Days | None = None
    traits: Days | None = None
    consents: Days | None = None
    quarantine: Days | None = None
    answers: Days | None = 30
    runs: Days | None = None

    def named(self) -> dict[str, int]:
        """What has an end, and after how many days."""
        return {name: days for name, days in self.model_dump().items() if days is not None}


class Privacy(Model):
    """`privacy.yml`. `purposes` says by which names in consent records a purpose is asked for, `tcf_purposes` by which
    numbers in a TCF string; all must be granted.

    `regions` are countries of one law; who lives nobody knows where is of all of them. Of the people of an audience
    `control_share` are held back, unless the audience says otherwise; a visitor is forgotten after `visitor_idle_days`,
    an event of the dmp side after `event_days`, what another party said of a visitor after `foreign_trait_days`;
    `minimum_cell` is the least number of people that leaves the bridge.
    Of pages of `sensitive_content` and of traits of `sensitive_audiences`, each with all categories below, the dmp side
    keeps nothing.
    """

    purposes: dict[Name, tuple[str, ...]] = Field(
        description="the names of each purpose, e.g. {advertising: [ads]}"
    )
    tcf_purposes: dict[Name, tuple[TcfPurpose, ...]] = {"advertising": (1, 3, 4)}
    key: Key = Key()
    regions: dict[Name, tuple[Country, ...]] = Field(
        default_factory=lambda: {region: tuple(codes) for region, codes in _regions_by_default().items()}
    )
    control_share: Share = Field(default=0.1, ge=0, le=MAXIMUM_SHARE)
    visitor_idle_days: Days = 120
    event_days: Days = 60
    foreign_trait_days: Days = 120
    minimum_cell: StrictInt = Field(default=50, ge=50)
    keep_releases_days: Days = 30
    retention: Retention = Retention()
    requests: Requests = Requests()
    sensitive_content: tuple[ContentName, ...] = Field(
        default_factory=lambda: _default_of("privacy.yml", "sensitive_content")
    )
    sensitive_audiences: tuple[AudienceName, ...] = Field(
        default_factory=lambda: _default_of("privacy.yml", "sensitive_audiences")
    )

    @field_validator("purposes")
    @classmethod
    def _advertising_is_named(cls, purposes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not purposes.get("advertising"):
            raise _problem(
                refusal(purposes, "advertising with at least one name: without it nobody is a visitor")
            )
        for names in purposes.values():
            for name in names:
                if not PURPOSE_PATTERN.fullmatch(name):
                    raise _problem(refusal(name, "letters, digits, spaces and . _ : -, a letter first"))
        return purposes

    @model_validator(mode="after")
    def _tcf_purposes_are_purposes(self) -> Privacy:
        for purpose, numbers in self.tcf_purposes.items():
            if purpose not in self.purposes:
                raise _problem(refusal_of(purpose, self.purposes, "the purpose in tcf_purposes"))
            if not numbers:
                raise _problem(refusal(numbers, f"at least one number of a TCF purpose for {purpose}"))
        return self

    def names_of(self, purpose: str) -> tuple[str, ...]:
        """By which names consent records ask for a purpose; one that nobody configured is asked for by its own."""
        return self.purposes.get(purpose, (purpose,))

    @property
    def sensitive_content_ids(self) -> frozenset[str]:
        """The ids of all sensitive categories of pages."""
        return _ids_below(content_taxonomy(), self.sensitive_content)

    @property
    def sensitive_audience_ids(self) -> frozenset[str]:
        """The ids of all sensitive categories of people."""
        return _ids_below(audience_taxonomy(), self.sensitive_audiences)


def _ids_below(taxonomy: Taxonomy, names: tuple[str, ...]) -> frozenset[str]:
    return taxonomy.below([taxonomy.find(name).category_id for name in names])


# publishing.yml


class PostgresPlace(Model):
    """A PostgreSQL that serves the releases: `connection` is Airflow's, `reader` the role that may read there."""

    connection: ConnectionId = Field(description="the id of an Airflow connection, e.g. bi")
    reader: Name = "tandem_reader"


class StoragePlace(Model):
    """A folder of an object storage that serves the releases."""

    url: Line = Field(description="a bucket and a folder, e.g. s3://bucket/tandem")
    connection: ConnectionId | None = None

    @field_validator("url")
    @classmethod
    def _bucket_and_folder(cls, url: str) -> str:
        schemes = "|".join(STORAGE_SCHEMES)
        if not re.fullmatch(rf"({schemes})://[^/\s]+(/[^/\s]+)+", url):
            raise _problem(
                refusal(url, f"{', '.join(STORAGE_SCHEMES)}, a bucket and a folder: s3://bucket/tandem")
            )
        return url


class Notice(Model):
    """Who is told when an expectation does not hold: `at` stop alone, or also when one warns.

    A webhook is sent JSON to the connection's host, an e-mail goes through it to `addresses`; what is secret is in the
    connection alone.
    """

    to: Literal["log", "webhook", "email"]
    at: Literal["stop", "warn"] = "stop"
    connection: ConnectionId | None = None
    addresses: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Notice:
        if self.to != "log" and self.connection is None:
            raise _problem(f"found no connection, allowed: the id of an Airflow connection for {self.to}")
        if self.to == "email" and not self.addresses:
            raise _problem("found no addresses, allowed: at least one to write to")
        return self


class Publishing(Model):
    """`publishing.yml`: where else readers find a release than in DATA, and who hears of a gate that does not hold, or
    of a run that is late."""

    postgres: PostgresPlace | None = None
    storage: StoragePlace | None = None
    notify: tuple[Notice, ...] = ()
    late_after_hours: StrictInt | None = Field(
        default=None, ge=1, le=7 * 24, description="hours after a run was queued until it is late"
    )


# normalisation.yml


class EmailRules(Model):
    """With `provider_rules` the spellings of one mailbox become one, as its provider defines them: without dots and
    without a tag after + at Gmail, without the tag at the others that know tags."""

    provider_rules: StrictBool = False


class Sessions(Model):
    """A visit ends after `inactivity_minutes` without an event."""

    inactivity_minutes: StrictInt = Field(default=30, ge=1, le=24 * 60)


class ContentCategory(Model):
    """Pages that are of an IAB Content Taxonomy 3.1 `category`, named by its id or its name: those of `site` (and of
    its subdomains) at `path` or below it, or those whose event has the `value` of a `property`.

    A property goes before a site: of two properties the one that is listed first, of the sites the longest path that
    fits, and of two the one of the nearest site.
    """

    site: Line | None = Field(default=None, min_length=1)
    path: Line | None = None
    property: Line | None = Field(default=None, min_length=1)
    value: Annotated[Line, BeforeValidator(_text_of)] | None = None
    category: ContentName = Field(description="the id or the name of an IAB content category")

    @field_validator("site")
    @classmethod
    def _host(cls, site: str | None) -> str | None:
        if site is not None and not re.fullmatch(r"[\w-]+(\.[\w-]+)+", site):
            raise _problem(refusal(site, "the host name of a site, e.g. example.com"))
        return site

    @field_validator("path")
    @classmethod
    def _below_the_root(cls, path: str | None) -> str | None:
        if path is not None and (not path.startswith("/") or re.search(r"[?#]", path)):
            raise _problem(refusal(path, "a path that starts with /, without ? and #"))
        return path

    @field_validator("property")
    @classmethod
    def _plain_property(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w .-]+", name):
            raise _problem(refusal(name, "the name of a property: letters, digits, spaces and . _ -"))
        return name

    @model_validator(mode="after")
    def _site_or_property(self) -> ContentCategory:
        by_property = self.property is not None
        if by_property == (self.site is not None):
            found = "both site and property" if by_property else "neither site nor property"
            raise _problem(f"found {found}, allowed: {{site, path}} or {{property, value}}")
        if by_property != (self.value is not None) or (by_property and self.path is not None):
            raise _problem("found a mixture, allowed: {site, path} or {property, value}")
        return self


class TraitCategory(Model):
    """What a trait says in the words of the IAB Audience Taxonomy 1.1: `audience` is the id, the path or the name of a
    category. With a `value` it is what this value of the trait says, without one what every value says."""

    trait: Line = Field(min_length=1, description="the name of a trait")
    value: Annotated[Line, BeforeValidator(_text_of)] | None = None
    audience: AudienceName = Field(description="a category of the IAB Audience Taxonomy 1.1")


class Normalisation(Model):
    """`normalisation.yml`. How values get one spelling, and what a visit and a page are.

    `region` is the country (ISO 3166 alpha-2) of phone numbers without a country code; `secret_parameters` are the
    parameters of addresses whose values are not kept, whatever their case; without the key, those of the project.
    `trait_taxonomy` gives traits the categories of the IAB Audience Taxonomy 1.1.
    """

    region: str = "US"
    email: EmailRules = EmailRules()
    sessions: Sessions = Sessions()
    secret_parameters: tuple[BlockedValue, ...] = Field(
        default_factory=lambda: _default_of("normalisation.yml", "secret_parameters")
    )
    content_categories: tuple[ContentCategory, ...] = ()
    trait_taxonomy: tuple[TraitCategory, ...] = ()

    @field_validator("trait_taxonomy")
    @classmethod
    def _each_value_once(cls, rules: tuple[TraitCategory, ...]) -> tuple[TraitCategory, ...]:
        named = [(rule.trait, rule.value) for rule in rules]
        for trait, value in named:
            if named.count((trait, value)) > 1:
                found = trait if value is None else f"{trait} = {value}"
                raise _problem(refusal(found, "each trait and value once"))
        return rules

    @field_validator("region")
    @classmethod
    def _has_telephones(cls, region: str) -> str:
        if region not in SUPPORTED_REGIONS:
            hint = " (did you mean 'GB'?)" if region.upper() == "UK" else ""
            raise _problem(refusal(region, f"the ISO 3166 code of a country, e.g. DE, GB or US{hint}"))
        return region

    @field_validator("secret_parameters")
    @classmethod
    def _names_of_parameters(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[^\s=&#?;%\[\]]+", name):
                raise _problem(
                    refusal(name, "the name of a parameter, without spaces and any of = & # ? ; % [ ]")
                )
        return names


# profile.yml

ATTRIBUTES = (
    "email", "phone", "given_name", "family_name", "birth_date", "gender", "address",
    "national_id", "customer_number", "loyalty_number", "user_id",
)  # fmt: skip
CONTACTS = ("email", "phone")
SurvivorshipRule = Literal[
    "verified", "source_priority", "most_recent", "most_frequent", "oldest", "most_complete"
]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise _problem(refusal(name, "each of them once"))
    return names


Channels = Annotated[tuple[Name, ...], AfterValidator(_each_once)]
SurvivorshipRules = Annotated[tuple[SurvivorshipRule, ...], AfterValidator(_each_once)]


class Survivorship(Model):
    """How the golden value of one attribute is chosen; what is not said here is as at the top of the file.

    `verified_by` says by what an e-mail address or a phone number is proven, `verified_channels` whose values are.
    """

    rules: SurvivorshipRules | None = None
    source_priority: Channels | None = None
    verified_channels: Channels | None = None
    verified_by: tuple[
        Literal["clicked", "opened", "ordered", "signed_in", "contacted", "consented"], ...
    ] = ()


class SharedDevices(Model):
    """What is done anonymously between two log-ins of one person, at most `longest_gap_days` apart, is theirs."""

    longest_gap_days: Days = 7


class Profile(Model):
    """`profile.yml`. Which of the values that sources say is the golden one, and whose a shared device is when.

    Once loaded, `attributes` has all of them: those that the file does not list are as in the project's default.
    """

    rules: SurvivorshipRules = ("verified", "source_priority", "most_recent")
    source_priority: Channels = ()
    verified_channels: Channels = ()
    attributes: dict[Annotated[str, _one_of(lambda: ATTRIBUTES)], Survivorship] = {}
    shared_devices: SharedDevices = SharedDevices()

    def survivorship(self, attribute: str) -> Survivorship:
        """The rules of an attribute, with what it does not say itself from the top of the file."""
        own = self.attributes.get(attribute, Survivorship())
        shared = {key: getattr(self, key) for key in ("rules", "source_priority", "verified_channels")}
        return own.model_copy(
            update={key: value for key, value in shared.items() if getattr(own, key) is None}
        )


# features.yml


class FeatureRule(Model):
    """A feature of customers: a `measure` of the rows of `over` that are known as of a day."""

    over: Literal[
        "orders", "placed_orders", "order_lines", "behaviours", "visits", "messages", "contacts", "consents"
    ]
    measure: Literal[
        "count", "distinct", "sum", "mean", "median", "min", "max", "share", "ratio", "change",
        "days_since_last", "days_since_first", "gap_mean", "gap_median", "gap_spread", "days_overdue",
        "most_frequent", "top", "top_five", "top_share", "new",
    ]  # fmt: skip
    of: str | None = None
    per: str | None = None
    by: str | None = None
    where: str | None = None
    days: Days | None = None
    missing: StrictInt | Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    description: Line = ""


class FeaturesFile(Model):
    """`features.yml`. What a company's own file declares is added to the project's default."""

    features: dict[Name, FeatureRule] = {}


class Configuration(Model):
    """Everything that one folder says, checked. Files that it does not have are the project's defaults.

    `folder` is what relative paths are relative to; `own_features` are the names of `features` that the company added
    to the project's; `customer_columns` are the columns that conditions of the cdp
    side were checked against, name to DuckDB type.
    """

    folder: Path
    channels: dict[str, Channel]
    identity: IdentityRules
    audiences: tuple[Audience, ...]
    traits: tuple[TraitRule, ...]
    trait_folders: dict[str, tuple[str, ...]]
    models: Models
    destinations: tuple[Destination, ...]
    privacy: Privacy
    normalisation: Normalisation
    profile: Profile
    features: dict[str, FeatureRule]
    own_features: tuple[str, ...]
    customer_columns: dict[str, str]
    publishing: Publishing = Publishing()

    @property
    def hash(self) -> str:
        """SHA-256 of what the configuration says, whatever its layout, comments and place; where a release is served
        says nothing of what is in it."""
        return _hash(self.model_dump(mode="json", exclude={"folder", "customer_columns", "publishing"}))

    def audiences_of(self, destination_id: str) -> dict[str, Audience]:
        """The audiences that are sent to a destination, by their ids."""
        return {each.audience_id: each for each in self.audiences if destination_id in each.destinations}

    def require_channels(self) -> None:
        """Raise ConfigError when there is no channel: a run would have nothing to read."""
        if not self.channels:
            message = "found no channels, allowed: at least one; describe where your data is in channels.yml"
            raise ConfigError([Problem("channels.yml", 1, "channels", message)])


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
