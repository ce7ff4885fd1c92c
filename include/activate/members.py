"""Who of an audience may be sent to a destination, and as which rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb

from include.activate.formats import LISTED, Column, Format, expression, is_hashed, teach_spellings
from include.extract.sql import identifier, literal, texts
from include.lake import Lake

if TYPE_CHECKING:
    from include.config.schema import Destination, Privacy

# As one side of an equality: with a condition of its own in an outer join, DuckDB compares every pair of rows.
OF_CUSTOMER = "if(members.side = 'cdp', members.member_id, null)"
AD_PURPOSES = ("ad_user_data", "ad_personalization")
TABLES = {
    "members": ("both", "audience_members"),
    "customers": ("cdp", "customers"),
}
HANDOVERS = ("member_consents", "member_vendors")


def open_members(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Make members, customers and what they consented to known to a connection, and the spellings of formats."""
    paths = {name: lake.table(*table) for name, table in TABLES.items()}
    paths |= {name: lake.staged(name) for name in HANDOVERS}
    for name, path in paths.items():
        source = f"read_parquet({literal(str(path))}, hive_partitioning = false)"
        connection.execute(f"create or replace temp view {name} as select * from {source}")
    teach_spellings(connection)


def decide(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    destination: Destination,
    audiences: tuple[str, ...],
    privacy: Privacy,
) -> None:
    """Make the temporary tables `decided`, one row per audience and member with the first `reason` why it is not sent,
    null for who is, and `identified`, the rows of the latter.

    Members come from `open_members`. Consent that nobody gave is refused; who lives nobody knows where is asked for
    what any region demands.
    """
    layout = destination.layout
    connection.execute(
        f"""
        create or replace temp table candidates as
        select members.audience_id, members.member_id, members.side, members.is_control, members.entered_at,
            {_ends_at(day, destination)} as expires_at, customers.country
        from members
        left join customers on {OF_CUSTOMER} = customers.customer_id
        where list_contains({texts(audiences)}, members.audience_id)
        """
    )
    # Told once per person and not per audience; of several refusals the first by name.
    connection.execute(
        f"""
        create or replace temp table unconsented as
        with people as (
            select distinct side, member_id, country from candidates
        ),
        asked as (
            select people.side, people.member_id, needed.purpose
            from people
            inner join ({_needed(destination, privacy)}) as needed
                on needed.countries is null or people.country is null
                    or list_contains(needed.countries, people.country)
        )
        select asked.side, asked.member_id,
            min(if(consents.is_granted is null, 'consent_unknown:', 'consent_refused:') || asked.purpose) as reason
        from asked
        left join member_consents as consents using (side, member_id, purpose)
        where consents.is_granted is distinct from true
        group by asked.side, asked.member_id
        """
    )
    connection.execute(
        f"""
        create or replace temp table decided as
        select candidates.* exclude (is_control, country),
            case
                when not list_contains({texts(layout.takes)}, candidates.side) then 'not_recognisable'
                when candidates.is_control then 'control'
                when candidates.expires_at <= timestamp '{day + timedelta(days=1)}' then 'expired'
                when {_elsewhere(destination)} then 'country_not_served'
                when unconsented.reason is not null then unconsented.reason
                when not vendors.is_granted then 'vendor_refused'
            end as reason
        from candidates
        left join unconsented using (side, member_id)
        left join member_vendors as vendors
            on candidates.side = vendors.side and candidates.member_id = vendors.member_id
                and vendors.tcf_vendor = {destination.tcf_vendor or 0}
        """
    )
    write_rows(connection, destination, "(select * from decided where reason is null)", privacy)
    connection.execute(
        f"""
        create or replace temp table decided as
        with recognised as (
            select distinct audience_id, member_id from identified
        ),
        large_enough as (
            select audience_id from recognised group by audience_id having count(*) >= {destination.minimum}
        )
        select decided.* replace (
            case
                when decided.reason is not null then decided.reason
                when recognised.member_id is null then 'no_identifier'
                when large_enough.audience_id is null then 'too_few_people'
            end as reason
        )
        from decided
        left join recognised using (audience_id, member_id)
        left join large_enough using (audience_id)
        """
    )
    connection.execute(
        f"""
        create or replace temp table identified as
        select identified.* {_shared_consent(layout)} from identified
        semi join decided
            on identified.audience_id = decided.audience_id and identified.member_id = decided.member_id
                and decided.reason is null
        """
    )


def _shared_consent(layout: Format) -> str:
    """A contact of several people has one row, granted when all of them granted: of two rows that differ in that alone,
    the removal of one would take the contact from whoever stays."""
    said = sorted({name for row in layout.rows for name, column in row.items() if column[0] == "ad_consent"})
    if not said:
        return ""
    same = ", ".join(identifier(name) for name in ("audience_id", *layout.columns) if name not in said)
    shared = ", ".join(f"max({name}) over (partition by {same}) as {name}" for name in map(identifier, said))
    return f"replace ({shared})"


def write_rows(
    connection: duckdb.DuckDBPyConnection, destination: Destination, members: str, privacy: Privacy
) -> None:
    """Make the temporary table `identified`: for each row of `members` (audience_id, member_id, side, entered_at,
    expires_at) the rows by which the destination recognises the member, in the columns of its format."""
    layout = destination.layout
    kinds = "\nunion all\n".join(_rows(row, layout, members) for row in layout.rows)
    names = [name for purpose in AD_PURPOSES for name in privacy.names_of(purpose)]
    connection.execute(
        f"""
        create or replace temp view ad_consents as
        select member_id from member_consents
        where side = 'cdp' and is_granted and list_contains({texts(names)}, purpose)
        group by member_id
        having count(distinct purpose) = {len(set(names))}
        """
    )
    connection.execute(f"create or replace temp table identified as {kinds}")


def _rows(row: Mapping[str, Column], layout: Format, members: str) -> str:
    """The rows of one way of recognising people; but for free columns and those of `also` nothing may be missing."""
    values = {
        name: expression(column if is_hashed(column) or layout.file != "csv" else (*column, "no_formula"))
        for name, column in row.items()
    }
    cells = [f"cast({values.get(name, 'null')} as varchar) as {identifier(name)}" for name in layout.columns]
    listed = sorted({column[0] for column in row.values()} & LISTED.keys())
    unnested = "".join(f", unnest(customers.{name}) as {LISTED[name]}" for name in listed)
    needed = [f"{identifier(name)} is not null" for name in row if name not in layout.also]
    present = (" or " if layout.columns_are_free else " and ").join(needed)
    return f"""
        select * from (
            select audience_id, member_id, {", ".join(cells)}
            from (
                select members.audience_id, members.member_id, members.entered_at, members.expires_at, customers.*,
                    if(ad_consents.member_id is null, 'unspecified', 'granted') as ad_consent{unnested}
                from {members} as members
                left join customers on {OF_CUSTOMER} = customers.customer_id
                left join ad_consents on {OF_CUSTOMER} = ad_consents.member_id
            )
        ) where {present}
    """


def _needed(destination: Destination, privacy: Privacy) -> str:
    """The names of consent records that must be granted: `purpose`, and of which `countries`, null for all."""
    needed = [(name, "null") for purpose in destination.purposes for name in privacy.names_of(purpose)]
    for region, purposes in (destination.layout.purposes_in or {}).items():
        countries = texts(privacy.regions.get(region, ()))
        needed += [(name, countries) for purpose in purposes for name in privacy.names_of(purpose)]
    rows = ", ".join(
        f"({literal(name)}, {countries}::varchar[])" for name, countries in dict.fromkeys(needed)
    )
    return f"select * from (values {rows}) as needed (purpose, countries)"


def _ends_at(day: date, destination: Destination) -> str:
    """When a membership ends there, at the latest as many days from now as the destination may keep anybody."""
    longest = destination.longest_days
    if longest is None:
        return "members.expires_at"
    return f"least(members.expires_at, timestamp '{day + timedelta(days=longest + 1)}')"


def _elsewhere(destination: Destination) -> str:
    if not destination.countries:
        return "false"
    return f"not coalesce(list_contains({texts(destination.countries)}, candidates.country), false)"
