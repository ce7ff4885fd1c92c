"""Three people in every place below DATA: what they did landed through extraction and was resolved; what dbt and the
learning steps make of it is written down in a line each."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from include.config import Configuration, load_configuration
from include.extract import complete_landing, extract_channel
from include.identity import resolve
from include.lake import Lake
from include.normalise.landing import normalise_landing
from include.privacy.pseudonym import visitor_id
from include.privacy.requests.fulfil import Fulfilled, fulfil
from include.privacy.requests.ownership import IDENTIFIERS
from include.privacy.requests.queue import Identifier, Request, add, new_request
from include.publish import keep_history, seal_release, write_release
from include.settings import Settings, pseudonym_key

DAY = date(2017, 12, 1)
KEY = b"a key for the tests alone"
CHANNELS = """channels:
  crm:
    {party: first, kind: customers, spec: mapped,
     required: false, source: {connector: file, path: "crm_{date}.csv", format: csv},
     map: {record_id: id, observed_at: seen, email: email, phone: phone, given_name: name, loyalty_number: card}}
  web:
    {party: first, kind: events, spec: mapped,
     required: false, source: {connector: file, path: "web_{date}.csv", format: csv},
     map: {event_id: id, type: {value: page}, occurred_at: at, anonymous_id: cookie, email: email, url: url}}
  shop:
    {party: first, kind: orders, spec: mapped,
     required: false, source: {connector: file, path: "shop_{date}.csv", format: csv},
     map: {order_id: id, ordered_at: at, loyalty_number: card, status: status}}
  lines:
    {party: first, kind: order_lines, spec: mapped,
     required: false, source: {connector: file, path: "lines_{date}.csv", format: csv},
     map: {order_id: id, line_number: n, amount: amount}}
  broker:
    {party: third, kind: traits, spec: mapped,
     required: false, source: {connector: file, path: "broker_{date}.csv", format: csv},
     map: {id_type: {value: anonymous_id}, id_value: cookie, observed_at: at, trait: {value: income}, value: income}}
  said:
    {party: first, kind: consents, spec: mapped,
     required: false, source: {connector: file, path: "said_{date}.csv", format: csv},
     map: {id_type: {value: email}, id_value: email, purpose: {value: advertising}, status: status, effective_at: at}}
"""
ANN, BOB, CYD = "ann", "bob", "cyd"
COOKIE = {name: f"{name}-cookie-0000-4711-{n}" for n, name in enumerate((ANN, BOB, CYD))}
CARD = {ANN: "600000000017", BOB: "600000000025", CYD: "600000000033"}
SHARED_PHONE, ANNS_PHONE = "(201) 555-0199", "+1 201-555-0101"
EMAIL = "ann.example@mail.example.com"
# One line each, of whom; the second file of each channel is of the second day.
FILES = {
    "crm": (
        "id,seen,email,phone,name,card,note",
        [
            (ANN, f"C1,2017-11-01 10:00:00,Ann.Example@Mail.example.com,{ANNS_PHONE},Ann,,vip"),
            (ANN, f"C9,2017-11-02 10:00:00,ann.example@mail.example.com,,Ann,{CARD[ANN]},"),
            (BOB, f"C2,2017-11-01 10:00:00,bob@mail.example.com,{SHARED_PHONE},Bob,{CARD[BOB]},"),
            (CYD, f"C3,2017-11-01 10:00:00,cyd@mail.example.com,,Cyd,{CARD[CYD]},friend of {EMAIL}"),
            (ANN, ",2017-11-01 10:00:00,ann.example@mail.example.com,,Ann,,no id"),
            (BOB, ",2017-11-01 10:00:00,bob@mail.example.com,,Bob,,no id"),
        ],
    ),
    "web": (
        "id,at,cookie,email,url",
        [
            (ANN, f"e1,2017-11-03 10:00:00,{COOKIE[ANN]},,https://shop.example.com/a"),
            (ANN, f"e2,2017-11-03 10:01:00,{COOKIE[ANN]},ann.example@mail.example.com,https://shop.example.com/b"),
            (BOB, f"e3,2017-11-03 10:00:00,{COOKIE[BOB]},bob@mail.example.com,https://shop.example.com/a"),
            (CYD, f"e4,2017-11-03 10:00:00,{COOKIE[CYD]},,https://shop.example.com/r?from=ann.example%40mail.example.com"),
        ],
    ),
    "shop": (
        "id,at,card,status",
        [
            (ANN, f"o-1001,2017-11-04 10:00:00,{CARD[ANN]},paid"),
            (ANN, "o-1001,2017-11-05 10:00:00,,shipped"),
            (BOB, f"o-1002,2017-11-04 10:00:00,{CARD[BOB]},paid"),
        ],
    ),
    "lines": ("id,n,amount", [(ANN, "o-1001,1,5.00"), (ANN, "o-1001,2,6.00"), (BOB, "o-1002,1,7.00")]),
    "broker": (
        "cookie,at,income",
        [(name, f"{COOKIE[name]},2017-11-06 10:00:00,low") for name in (ANN, BOB)],
    ),
    "said": (
        "email,at,status",
        [
            (ANN, "ANN.EXAMPLE@mail.example.com,2017-11-07 10:00:00,granted"),
            (BOB, "bob@mail.example.com,2017-11-07 10:00:00,granted"),
        ],
    ),
}  # fmt: skip
# What was sent to a folder below DATA: whom a destination is to add, and whom to remove.
ADDED = f"outbox/mail/{DAY}_0123456789ab_all_add.csv"
REMOVED = f"outbox/mail/{DAY}_0123456789ab_all_remove_2.csv"
ANNS_VALUES = (
    EMAIL, "Ann.Example@Mail.example.com", "ANN.EXAMPLE@mail.example.com", COOKIE[ANN], CARD[ANN], "+12015550101",
    "12015550101", visitor_id(KEY, "anonymous_id", COOKIE[ANN]),
)  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """A company with the three people: where its files come from, and its DATA folder."""

    source: Path
    lake: Lake
    configuration: Configuration

    @property
    def settings(self) -> Settings:
        return Settings(self.source, self.lake.data, "duckdb", threads=2, memory_limit="500MB")

    def deliver(self, channel: str, day: date, lines: list[str]) -> None:
        (self.source / f"{channel}_{day}.csv").write_text("\n".join([FILES[channel][0], *lines]) + "\n")

    def land(self, day: date = DAY) -> dict[str, tuple[int, int, int, int]]:
        """Extract every channel; returns what each received, landed, quarantined and left out as erased."""
        rules = self.configuration.normalisation
        done = {
            name: extract_channel(channel, day, self.lake, self.settings, rules)
            for name, channel in self.configuration.channels.items()
        }
        complete_landing(self.lake)
        normalise_landing(self.lake, rules, self.settings)
        return {
            name: (each.received, each.landed, each.quarantined, each.erased) for name, each in done.items()
        }

    def resolve(self, day: date = DAY) -> None:
        self.write_evidence(day)
        resolve(self.lake, day, self.configuration.identity, self.settings)

    def ask(
        self, kind: str, id_type: str, id_value: str, purpose: str | None = None, day: date = DAY
    ) -> Request:
        named = [Identifier(id_type, id_value)]
        return add(self.lake, new_request(pseudonym_key(), kind, named, day, "asked by mail", purpose))

    def fulfil(self, day: date = DAY) -> Fulfilled:
        return fulfil(self.lake, self.configuration, self.settings, day)

    def rows(self, query: str) -> list[tuple]:
        """Rows of a query in which `{landing}` and so on are folders of the lake."""
        folders = {path.name: str(path) for path in self.lake.root.iterdir()}
        with duckdb.connect() as connection:
            return connection.execute(query.format(**folders)).fetchall()

    def landed(self, kind: str, columns: str = "*") -> list[tuple]:
        """Landed rows of a kind by value, without where in its file each was."""
        return self.rows(
            f"select {columns} from (select * exclude (source_row) from "
            f"read_parquet('{{landing}}/{kind}/*/*/*.parquet', hive_partitioning = true)) order by all"
        )

    def prints(self) -> dict[str, str]:
        """The hash of every file below DATA."""
        return {
            path.relative_to(self.lake.data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.lake.data.rglob("*"))
            if path.is_file() and "current" not in path.parts
        }

    def write(self, path: Path, query: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")

    def write_evidence(self, day: date) -> None:
        """What staging hands to resolve: the identifiers of each record, or of each set of them that rows carry."""
        parts = []
        for kind, columns in IDENTIFIERS.items():
            if not columns:
                continue
            spelt = {"email": "emails.email", "phone": "phones.phone"}
            values = {name: spelt.get(name, f"landed.{name}") for name in columns}
            key = ", ".join(f"'{name}:' || {value}" for name, value in values.items())
            hashed = f"md5(nullif(concat_ws('|', {key}), ''))"
            node = "record_id" if kind == "customers" else hashed
            at = {"customers": "observed_at", "orders": "ordered_at"}.get(kind, "occurred_at")
            pairs = ", ".join(
                f"{{'id_type': '{'anonymous_id' if name == 'previous_id' else name}', 'id_value': {value}}}"
                for name, value in values.items()
            )
            parts.append(
                f"""
                select '{kind}:' || channel || ':' || {node} as node_key, '{kind}' as kind, channel,
                    {"record_id" if kind == "customers" else "null::varchar"} as record_id,
                    unnest([{pairs}], recursive := true), date as landed_on, {at} as seen_at
                from read_parquet('{self.lake.root}/landing/{kind}/*/*/*.parquet', hive_partitioning = true,
                    hive_types = {{'channel': varchar, 'date': date}}) as landed
                left join read_parquet('{self.lake.dictionary("emails")}') as emails on landed.email = emails.raw
                left join read_parquet('{self.lake.dictionary("phones")}') as phones on landed.phone = phones.raw
                where date <= date '{day}'
                """
            )
        self.write(
            self.lake.staged("identity_evidence"),
            f"""
            select node_key, kind, channel, record_id, id_type, id_value, min(landed_on) as landed_on,
                min(seen_at) as evident_at, min(seen_at) as first_seen_at, max(seen_at) as last_seen_at,
                count(*) as observations
            from ({" union all ".join(parts)}) where id_value is not null and node_key is not null
            group by all order by all
            """,
        )

    def spread(self, day: date = DAY) -> None:
        """Have everybody in all other places, as a run leaves them."""
        identity = self.lake.identity(day, "identifier_customers").parent
        people = f"""
            select customer_id, max(id_value) filter (where id_type = 'email') as email,
                max(id_value) filter (where id_type = 'anonymous_id') as cookie
            from read_parquet('{identity}/identifier_customers.parquet') group by customer_id
        """
        visitor = "sha256('visitor of ' || email)"
        with duckdb.connect() as connection:
            for customer_id, cookie in connection.execute(
                f"select customer_id, cookie from ({people})"
            ).fetchall():
                found = visitor_id(pseudonym_key(), "anonymous_id", cookie or "none")
                visitor = f"case when customer_id = '{customer_id}' then '{found}' else {visitor} end"
        tables = {
            "cdp/customers": "select customer_id, email, [email] as emails, 1.5 as value, "
            "timestamp '2017-11-01' as first_seen_at, ['crm'] as channels, 'exact' as confidence_tier "
            "from people order by 1",
            "cdp/customer_identifiers": "select customer_id, 'email' id_type, email id_value from people order by 1",
            "cdp/company": "select 'customers' as measure, count(*) as value from people",
            "dmp/visitors": f"select {visitor} as visitor_id, 'anonymous_id' as id_type, "
            "timestamp '2017-12-01' as last_seen_at from people order by 1",
            "both/audiences": "select 'all' as audience_id, 'All' as name, 'cdp' as side, 'published' as status, "
            "3::bigint as size, 0::bigint as lookalike_size, 1::bigint as min_size, null::varchar as trait_warning, "
            "date '2017-12-01' as as_of_date",
            "both/audience_members": "select 'all' audience_id, customer_id member_id, false is_control from people",
            "both/audience_changes": "select 'all' as audience_id, customer_id as member_id, 'entered' as change, "
            "date '2017-12-01' as changed_date from people order by 1",
        }
        for name, query in tables.items():
            self.write(self.lake.table(*name.split("/")), f"with people as ({people}) {query}")
        self.write(
            self.lake.ml(day, "customer_scores_value"), f"select customer_id, 0.5 as value from ({people})"
        )
        self.write(
            self.lake.ops(day, "notes"),
            f"select 'stage' as step, 'e.g. ' || string_agg(email, ', ' order by email) as examples from ({people})",
        )
        with duckdb.connect(str(self.lake.warehouse)) as warehouse:
            warehouse.execute(f"create or replace table stg_customers as {people}")
        self.write(self.lake.spark_warehouse / "stg_customers" / "part-0.parquet", people)
        hashed = {
            name: hashlib.sha256(f"{name}@mail.example.com".encode()).hexdigest()
            for name in ("ann.example", "bob", "cyd")
        }
        texts = {
            self.lake.quality_page(day, "stage"): "<p>1 row, as ann.example@mail.example.com, is late</p>",
            self.lake.run_file(day, "airflow.log"): f"INFO failed at {COOKIE[ANN]}\nINFO went on\n",
            self.lake.data / "dbt" / "logs" / "dbt.log": f"select '{CARD[ANN]}'\n",
            self.lake.data / "docs" / "index.html": "<p>dbt's pages, of `make docs`</p>",
            self.lake.data / "identity_plan" / f"date={day}" / "plan.json": json.dumps(
                {"email": ANNS_VALUES[0]}
            ),
            self.lake.data / "tmp" / "extract-x" / "left.csv": ANNS_VALUES[0],
            self.lake.data / "activation" / "mail" / "all.csv": "\n".join(hashed.values()),
            self.lake.data / ADDED: "\n".join(["Email", *hashed.values(), ""]),
            self.lake.data / REMOVED: f"Email\n{hashed['ann.example']}\n",
        }
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def publish(self, day: date = DAY) -> str:
        release = seal_release(
            self.lake, day, self.configuration, write_release(self.lake, day, self.configuration)
        )
        keep_history(self.lake, day, release.path, 30)
        return release.release_id


def make_shop(folder: Path, people: tuple[str, ...] = (ANN, BOB, CYD)) -> Shop:
    """A company that these people, and nobody else, have to do with, after its first day."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "channels.yml").write_text(CHANNELS)
    shop = Shop(source, Lake(folder / "data"), load_configuration(source))
    for channel, (_, lines) in FILES.items():
        shop.deliver(channel, DAY, [line for name, line in lines if name in people])
    shop.land()
    shop.resolve()
    return shop


def copied(shop: Shop, folder: Path) -> Shop:
    """A shop of the test's own."""
    shutil.copytree(shop.source, folder / "source")
    shutil.copytree(shop.lake.data, folder / "data", symlinks=True)
    return replace(
        shop,
        source=folder / "source",
        lake=Lake(folder / "data"),
        configuration=shop.configuration.model_copy(update={"folder": (folder / "source").resolve()}),
    )


def limited(shop: Shop, **limits: int) -> Shop:
    """The shop with other limits of what needs a person's word."""
    privacy = shop.configuration.privacy
    asked = privacy.requests.model_copy(update=limits)
    changed = privacy.model_copy(update={"requests": asked})
    return replace(shop, configuration=shop.configuration.model_copy(update={"privacy": changed}))


def customer_ids(shop: Shop) -> dict[str, str]:
    """E-mail address to customer id, by the identity of the day."""
    return dict(
        shop.rows(
            f"select id_value, customer_id from read_parquet('{{identity}}/date={DAY}/identifier_customers.parquet') "
            "where id_type = 'email'"
        )
    )


def identifiers_in(text: str) -> list[str]:
    """Which of Ann's values a text has, whatever their case."""
    return [value for value in ANNS_VALUES if re.search(re.escape(value), text, re.IGNORECASE)]
