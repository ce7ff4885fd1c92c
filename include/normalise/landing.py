"""Which landed columns have a dictionary, and the step that keeps the dictionaries up to date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.extract.kinds import kinds
from include.extract.sql import literal
from include.lake import Lake
from include.normalise.content import normalise_content_category
from include.normalise.countries import normalise_country
from include.normalise.dictionaries import Dictionary, Update, update_dictionary
from include.normalise.emails import normalise_email
from include.normalise.phones import normalise_phone
from include.normalise.sites import ContentRule, host_of, normalise_site
from include.normalise.taxonomies import content_taxonomy
from include.normalise.user_agents import normalise_user_agent
from include.normalise.versions import dictionary_version
from include.scratch import scratch_engine
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Normalisation

NAMED_VALUES = ("traits", "consents")  # kinds whose rows say in `id_type` what their `id_value` is
CONTENT_RULE = pa.struct([(name, pa.string()) for name in ("path", "category_id", "name", "tier_1")])


@dataclass(frozen=True)
class Normalised:
    """What one run of the step did to each dictionary."""

    dictionaries: tuple[Update, ...]

    @property
    def new(self) -> int:
        return sum(update.new for update in self.dictionaries)

    def __str__(self) -> str:
        refused = [
            f"{update.refused:,} of {update.values:,} {update.name.replace('_', ' ')}"
            for update in self.dictionaries
            if update.refused
        ]
        return f"{self.new:,} new values" + (f"; refused {', '.join(refused)}" if refused else "")


def normalise_landing(lake: Lake, normalisation: Normalisation, settings: Settings) -> Normalised:
    """Bring the dictionaries of everything landed up to date. The landing must be complete: each kind has a file."""
    with scratch_engine(lake, settings, "normalise") as (connection, scratch):
        updates = [
            update_dictionary(connection, lake, dictionary, scratch)
            for dictionary in _dictionaries(lake, normalisation)
        ]
    return Normalised(tuple(updates))


def _dictionaries(lake: Lake, normalisation: Normalisation) -> Iterator[Dictionary]:
    """In the order in which one may read another."""

    def dictionary(
        name: str,
        landed: str,
        normalise: Any,
        values: dict[str, pa.DataType],
        key: tuple[str, ...] = ("raw",),
    ) -> Dictionary:
        return Dictionary(name, key, values, landed, normalise, dictionary_version(name, normalisation))

    text, flag = pa.string(), pa.bool_()
    yield dictionary(
        "emails",
        _identifiers(lake, "email"),
        partial(normalise_email, has_provider_rules=normalisation.email.provider_rules),
        {"email": text, "is_disposable": flag, "is_role": flag, "reason": text},
    )
    yield dictionary(
        "countries",
        _countries(lake),
        normalise_country,
        {"country": text, "reason": text},
    )
    yield dictionary(
        "phones",
        _phones(lake),
        lambda raw, country: normalise_phone(raw, country or normalisation.region),
        {"phone": text, "reason": text},
        key=("raw", "country"),
    )
    yield dictionary(
        "user_agents",
        f"select user_agent as raw from {_landed(lake, 'events')} where {_is_filled('user_agent')}",
        normalise_user_agent,
        {"browser": text, "operating_system": text, "device": text, "is_bot": flag},
    )
    yield dictionary(
        "sites",
        f"select raw from (select {site_text()} as raw from {_landed(lake, 'events')}) where {_is_filled('raw')}",
        partial(normalise_site, rules=_content_rules(normalisation)),
        {"site": text, "site_domain": text, "content_rules": pa.list_(CONTENT_RULE)},
    )
    yield dictionary(
        "content_categories",
        f"select content_category as raw from {_landed(lake, 'events')} where {_is_filled('content_category')}",
        normalise_content_category,
        {"category_id": text, "name": text, "tier_1": text},
    )


def site_text() -> str:
    """What names the site of an event: its site, or what stands between `//` and the path of its address. The macro
    `site_text` of the dbt project says the same, in a join. In a projection DuckDB takes what nullif compares out of a
    coalesce, and would search the address of each event, also beside a site."""
    host = "nullif(regexp_extract(url, '://(?:[^/?#]*@)?([^/?#]*)', 1), '')"
    return f"case when site is null then {host} else site end"


def _identifiers(lake: Lake, id_type: str, without: tuple[str, ...] = ()) -> str:
    """All values of an id type, of the columns of its name and of rows that say of which type they are."""
    columns = [
        f"select {id_type} as raw from {_landed(lake, kind.name)} where {_is_filled(id_type)}"
        for kind in kinds().values()
        if id_type in kind.landing_schema() and kind.name not in without
    ]
    rows = [
        f"select id_value as raw from {_landed(lake, kind)} where id_type = '{id_type}' and {_is_filled('id_value')}"
        for kind in NAMED_VALUES
    ]
    return " union ".join([*columns, *rows])


def _countries(lake: Lake) -> str:
    """All countries of records, and of the traits that a log-in says; of a hundred million events few name one. The
    macro `address_of_traits` of the dbt project reads the same keys."""
    texts = "json_extract_string(traits, ['$.address.country', '$.address_country'])"
    return f"""
        select country as raw from {_landed(lake, "customers")} where {_is_filled("country")}
        union
        select trim(raw) as raw from (
            select unnest({texts}) as raw from {_landed(lake, "events")}
            where type = 'identify' and contains(traits, 'country"')
        ) where {_is_filled("raw")}
    """


def _phones(lake: Lake) -> str:
    """Telephone numbers, each beside the country of its record where that is known: only customers have one."""
    return f"""
        select raw, null::varchar as country from ({_identifiers(lake, "phone", without=("customers",))})
        union
        select customers.phone as raw, countries.country
        from {_landed(lake, "customers")} as customers
        left join read_parquet({literal(str(lake.dictionary("countries")))}) as countries
            on customers.country = countries.raw
        where {_is_filled("customers.phone")}
    """


def _landed(lake: Lake, kind: str) -> str:
    return f"read_parquet({literal(str(lake.landing(kind) / '*' / '*' / '*.parquet'))}, hive_partitioning = false)"


def _is_filled(column: str) -> str:
    return f"trim({column}) <> ''"


def _content_rules(normalisation: Normalisation) -> tuple[ContentRule, ...]:
    rules = []
    for rule in normalisation.content_categories:
        if rule.site is None:
            continue  # a rule over properties, which staging reads
        category = content_taxonomy().find(rule.category)
        rules.append(
            ContentRule(
                host_of(rule.site) or rule.site,
                (rule.path or "/").rstrip("/") + "/",
                category.category_id,
                category.name,
                category.tier_1,
            )
        )
    return tuple(rules)
