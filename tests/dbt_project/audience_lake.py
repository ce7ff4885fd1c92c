"""A lake for the DMP side, the bridge and the marts: few devices, each there for one rule.

It is built once per session, step by step through dbt, with the answers of resolve, learn and expand written by hand.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import pytest

from include.activate.export import ACTIVATIONS, REFUSALS
from include.config import Normalisation, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.config.schema import Placements
from include.config.variables import feature_variables, profile_variables
from include.extract.drift import write_drift
from include.extract.kinds import kinds
from include.lake import HISTORY_TABLES, Lake
from include.normalise.landing import normalise_landing
from include.privacy.pseudonym import pads, visitor_id
from include.privacy.requests.proofs import keep_proofs
from include.settings import DEFAULT_CONFIG, settings
from include.warehouse import run_dbt
from ml.offsite import OFFSITE_INTERESTS
from ml.offsite_offers import UPSELL_OFFERS
from ml.reach import measure_reach
from ml.tables import LOOKALIKE_FAIRNESS, LOOKALIKE_MODELS, LOOKALIKE_TRAITS, write_table
from tests.landed import land_delivery

DAY = date(2024, 6, 30)
DAY_BEFORE = date(2024, 6, 29)
KEY = b"the key of the audience lake"
OTHER_KEY = b"another key, longer than one block of SHA-256, so that HMAC hashes it first"

GRANTED, REFUSED = '{"advertising": true}', '{"advertising": false}'
# The framework's own example under a newer policy: it grants all of advertising, and the vendors 2, 6 and 8.
GRANTED_IN_TCF = '{"advertising": true, "tcString": "COvFyGBOvFyGBAbAAAENAPEAAPAAAAAAAAAAAEEUACCKAAA"}'
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1"
LAPTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0 Safari/537.36"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

KIOSK_USERS = tuple(f"u-kiosk-{number:02d}" for number in range(11))
USERS = ("u-ann", "u-ben", "u-cal", "u-dora", "u-eve", "u-fay", *KIOSK_USERS)

# Whatever must not be found on the DMP side, in any file, in any form.
SECRETS = (
    "ck-ann", "ck-ben", "ck-cal", "ck-dora", "ck-kiosk", "ck-stranger", "ad-7c9e6679", "dv-tablet", "u-ann", "u-kiosk",
    "ann@example.org", "ann%40example.org", "dora@example.org", "Annabel", "203.0.113.77", "198.51.100.23",
    "2001:db8:ab:1::1", "session=s3cr3t", "+49301234567",
)  # fmt: skip


# Of so few people nothing could be told: what is told of many has tests of its own.
TELLS_EVERYTHING = SimpleNamespace(
    privacy=SimpleNamespace(minimum_cell=1), models=SimpleNamespace(placements=Placements())
)


@dataclass(frozen=True)
class AudienceLake:
    """The lake after `publish`."""

    lake: Lake

    @property
    def manifest(self) -> dict[str, Any]:
        """dbt's own description of the project."""
        return json.loads((self.lake.data / "dbt" / "target" / "manifest.json").read_text())

    def read(self, query: str, key: bytes = KEY) -> list[tuple]:
        """Ask the warehouse, as a reader who holds the pseudonym key, `getvariable('hmac_inner')` and outer."""
        inner, outer = pads(key)
        with duckdb.connect(str(self.lake.warehouse), read_only=True) as connection:
            connection.execute("set variable hmac_inner = $1", [inner])
            connection.execute("set variable hmac_outer = $1", [outer])
            return connection.execute(query).fetchall()

    def compiled(self, model: str) -> str:
        """The SQL that dbt ran for a model."""
        (path,) = (self.lake.data / "dbt" / "target" / "compiled" / "tandem" / "models").rglob(f"{model}.sql")
        return path.read_text()


def visitor(cookie: str, id_type: str = "anonymous_id") -> str:
    """The visitor id of an identifier of the lake, by Python's own HMAC."""
    return visitor_id(KEY, id_type, cookie)


def built_audience_lake(tmp_path_factory: pytest.TempPathFactory) -> AudienceLake:
    """The lake after `publish`; the first caller of the session builds it."""
    return _built(tmp_path_factory.getbasetemp() / "audience_lake")


@functools.cache
def _built(folder: Path) -> AudienceLake:
    lake = Lake(folder)
    land(lake)
    run_dbt("stage", lake, variables(), KEY)
    resolve(lake)
    run_dbt("unify", lake, variables(), KEY)
    learn(lake)
    run_dbt("segment", lake, variables(), KEY)
    expand(lake)
    remember(lake)
    run_dbt("expand", lake, variables(lake), KEY)
    measure_reach(lake, DAY, TELLS_EVERYTHING)
    operate(lake)
    run_dbt("publish", lake, variables(lake), KEY)
    return AudienceLake(lake)


def variables(lake: Lake | None = None) -> dict[str, Any]:
    """What the configuration would tell dbt; of a `lake`, what was published on the day before too."""
    return {
        "as_of_date": f"{DAY:%Y-%m-%d}",
        "horizon_days": 28,
        **feature_variables(load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS), DAY),
        "session_timeout_minutes": 30,
        "visitor_idle_days": 120,
        "event_days": 60,
        "control_share": 0.3,
        "minimum_cell": 1,
        "advertising_purposes": ["advertising"],
        "traits": [
            {"trait_id": "runner", "predicate": "\"url\" like '%running%'", "ttl_days": 90, "name": "Runs"},
            {
                "trait_id": "brief",
                "predicate": "\"content_category\" = 'brief'",
                "ttl_days": 1,
                "name": "Brief",
            },
        ],
        "atoms": [],
        "trait_windows": [30],
        "questions": [
            question("runner", "frequency_30 >= 1", 1),
            question("runner", "recency <= 29", 2),
            question("age", "value = '30-39'", 4),
            question("brief", "value = 'true'", 8),
            question("golfer", "value = 'true'", 16),
        ],
        "audience_history": {
            table: dict.fromkeys(("cdp", "dmp"), str(lake.audiences(DAY_BEFORE, table)))
            for table in HISTORY_TABLES
        }
        if lake
        else {},
        "audiences": [
            audience("known_people", "cdp", "record_count >= 1", min_size=2, lookalike=True),
            audience(
                "likely_ann",
                "cdp",
                "scores['purchase_probability'] > 0.8 and list_contains(segment_ids, 's1')",
            ),
            audience("in_bath", "cdp", "\"city\" = 'Bath'", min_size=2, lookalike=True),
            audience("runners", "dmp", '(("answers_1" & 1) <> 0)', ttl_days=0, traits=["runner"]),
            audience("recent_runners", "dmp", '(("answers_1" & 2) <> 0)', ttl_days=7, traits=["runner"]),
            audience("thirties", "dmp", '(("answers_1" & 4) <> 0)', lookalike=True, traits=["age"]),
            audience(
                "brief_readers",
                "dmp",
                '(("answers_1" & 8) <> 0 or ("answers_1" & 16) <> 0)',
                traits=["brief", "golfer"],
            ),
        ],
        "tcf_vendors": [2, 755],
        "channels": [],
        **profile_variables(load_configuration(DEFAULT_CONFIG, PROMISED_COLUMNS).profile),
    }


def question(trait_id: str, predicate: str, bit: int) -> dict[str, Any]:
    return {
        "trait_id": trait_id, "predicate": predicate, "default": False, "word": "answers_1", "bit": bit
    }  # fmt: skip


def audience(
    audience_id: str,
    side: str,
    predicate: str,
    min_size: int = 1,
    ttl_days: int = 30,
    lookalike: bool = False,
    traits: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "audience_id": audience_id,
        "side": side,
        "name": audience_id.replace("_", " "),
        "description": "What it's for",
        "definition": predicate,
        "definition_version": "v1",
        "predicate": predicate,
        "trait_ids": list(traits),
        "ttl_days": ttl_days,
        "min_size": min_size,
        "lookalike": lookalike,
        "control_share": 0.0 if audience_id == "likely_ann" else None,
        "destinations": ["ads"] if audience_id in ("known_people", "runners") else [],
    }


def land(lake: Lake) -> None:
    """Write the landing files, and the typed empty one that every kind has."""
    for kind in kinds():
        land_delivery(lake, kind, "none", date(1970, 1, 1), [])
    land_delivery(lake, "customers", "crm", DAY, _customers())
    land_delivery(lake, "events", "web", DAY, _own_events())
    land_delivery(lake, "events", "publisher", DAY, _offsite_events())
    land_delivery(lake, "traits", "broker", DAY, _traits())
    land_delivery(lake, "consents", "preferences", DAY, _consents())
    normalise_landing(lake, Normalisation(), settings())


def resolve(lake: Lake) -> None:
    """Each user id is a customer, and so is each device that it was seen on, as resolve would have it."""
    evidence = f"read_parquet('{lake.staged('identity_evidence')}')"
    users = f"(select distinct node_key, 'c_' || id_value as customer_id from {evidence} where id_type = 'user_id')"
    _write(
        lake.identity(DAY, "node_customers"),
        f"""select node_key, min(kind) as kind, min(channel) as channel, min(record_id) as record_id,
            min(customer_id) as customer_id, min(customer_id) as exact_id, min(customer_id) as loose_id,
            'exact' as tier, 'user_id' as linked_by
        from {evidence} left join {users} as users using (node_key) group by node_key order by node_key""",
    )
    _write(
        lake.identity(DAY, "identifier_customers"),
        f"""select id_type, id_value, customer_id, min(first_seen_at) as first_seen_at,
            max(last_seen_at) as last_seen_at, cast(sum(observations) as bigint) as observations
        from {evidence} inner join {users} as users using (node_key) group by all order by all""",
    )
    _write(
        lake.identity(DAY, "edges"),
        f"""select node_key, kind, channel, record_id, id_type, id_value, 'exact' as tier, first_seen_at, last_seen_at,
            observations, 'active' as status, cast(null as varchar) as reason
        from {evidence} where id_type is not null order by all""",
    )
    _write(
        lake.identity(DAY, "links"),
        """select '' as node_key_a, '' as node_key_b, '' as channel_a, '' as record_id_a, '' as channel_b,
                '' as record_id_b, '' as tier, '' as rule, '' as evidence, 0.0::double as probability,
                0.0::double as match_weight
            where false""",
    )
    _write(
        lake.identity(DAY, "health"),
        f"select date '{DAY}' as as_of_date, 'customers' as measure, 'all' as part, 0::bigint as value",
    )
    _write(
        lake.identity(DAY, "changes"),
        f"""select customer_id, cast(null as varchar) as previous_customer_id, 'created' as change,
            'first seen' as reason, date '{DAY}' as as_of_date from {users} group by customer_id order by all""",
    )
    _write(
        lake.identity(DAY, "history"),
        f"""select customer_id as issued_customer_id, customer_id, 'created' as change, 'first seen' as reason,
            timestamp '{DAY}' as effective_at, date '{DAY}' as as_of_date
        from {users} group by customer_id order by all""",
    )


def learn(lake: Lake) -> None:
    """One score and one segment for Ann, a lower score for Ben, none for the others."""
    day = f"date '{DAY}'"
    _write(
        lake.ml(DAY, "customer_scores"),
        f"""select customer_id, {day} as as_of_date, 'purchase_probability' as score, value, 50.0 as percentile,
            0.0 as low, 1.0 as high, 'v1' as model_version
        from (values ('c_u-ann', 0.9), ('c_u-ben', 0.85)) as scores (customer_id, value)""",
    )
    _write(
        lake.ml(DAY, "product_profiles"),
        f"""select {day} as as_of_date, 'gender' as profile_type, 'F' as profile, 'gender F' as profile_name,
            'category' as level, 'coffee' as product_key, 'coffee' as product_name, 'coffee' as category,
            40 as customers, 30 as buyers, 0.3 as support, 0.75 as share, 0.5 as share_elsewhere, 1.25 as lift,
            1.1 as low, 1.4 as high, 0.01 as p_value, 0.02 as q_value, true as is_significant, 0.1 as spend_share,
            1.2 as spend_lift, {day} - 364 as window_start, 'v1' as model_version""",
    )
    _write(
        lake.ml(DAY, "product_recommendations"),
        f"""select 'c_u-ann' as customer_id, {day} as as_of_date, 1 as rank, 'p1' as product_id,
            'Coffee' as product_name, 'coffee' as category, true as is_new, 0.1 as score,
            'popular with all customers' as reason, 'popular' as recommender, 'v1' as model_version""",
    )
    _write(
        lake.ml(DAY, "purchase_triggers"),
        f"""select 'price drop|3' as trigger_id, 'price drop' as trigger, 'price' as trigger_kind, 'any' as category,
            'any' as stage, 'any' as sales_channel, 3::bigint as window_days, 50::bigint as customers,
            60::bigint as support, 40::bigint as purchases_after, 1.5 as effect, 1.2 as low, 1.8 as high,
            0.001 as p_value, 0.01 as q_value, 1.0 as placebo, 0.8 as placebo_low, 1.2 as placebo_high,
            1.0 as before_effect, 0.8 as before_low, 1.2 as before_high, 'raises' as verdict,
            'A price drop raises purchases.' as meaning, 'v1' as model_version, {day} as as_of_date""",
    )
    _write(
        lake.ml(DAY, "segments"),
        f"""select 's1' as segment_id, 'behaviour' as scheme, {day} as as_of_date, 'One' as name,
            'Only Ann' as description, 1::bigint as size, 1.0 as share, 0.0 as mean_recency_days, 0.0 as mean_orders,
            0.0 as mean_spend, null::double as mean_expected_value, null::date as compared_with,
            null::bigint as size_before, null::double as mean_spend_before, null::double as trend,
            '{{}}' as differences, '{{}}' as centroid, 'v1' as model_version""",
    )
    _write(
        lake.ml(DAY, "customer_segments"),
        f"""select 'c_u-ann' as customer_id, {day} as as_of_date, 'behaviour' as scheme, 's1' as segment_id,
            0.0 as distance, null::bigint as recency_score, null::bigint as frequency_score,
            null::bigint as money_score""",
    )
    _write(
        lake.ml(DAY, "stage_needs"),
        f"""select 'lead' as stage, 'channel' as need_kind, 'web' as need, {day} as as_of_date, 40 as in_stage,
            30 as customers, 20 as with_need, 0.6 as share, 0.2 as share_elsewhere, 2.0 as lift, 1.5 as low,
            2.5 as high, 0.01 as p_value, 0.02 as q_value, true as is_significant, 1 as rank, '' as meaning,
            'v1' as model_version""",
    )
    _write(
        lake.ml(DAY, "model_cards"),
        f"""select 'purchase' as model, 'v1' as model_version, {day} as as_of_date, 'classification' as task,
            'auc' as metric, 0.7::double as value, 0.6::double as low, 0.8::double as high,
            0.5::double as baseline, 'chance' as baseline_name, 'promoted' as verdict, '' as note""",
    )
    write_table(None, OFFSITE_INTERESTS, [], lake.ml(DAY, "offsite_interests"))
    write_table(None, UPSELL_OFFERS, [], lake.ml(DAY, "upsell_offers"))


def expand(lake: Lake) -> None:
    """The model of `known_people` and of `in_bath` are published, the one of `thirties` is refused."""
    visitors = f"read_parquet('{lake.table('dmp', 'visitors')}')"
    known = f"read_parquet('{lake.staged('known_visitors')}')"
    verdicts = {"known_people": "published", "in_bath": "published", "thirties": "refused"}
    model = dict.fromkeys(LOOKALIKE_MODELS.names) | {"as_of_date": DAY, "reason": "", "curve": "[]"}
    models = pd.DataFrame(
        [model | {"audience_id": name, "verdict": verdict} for name, verdict in verdicts.items()]
    )
    write_table(models, LOOKALIKE_MODELS, ["audience_id"], lake.ml(DAY, "lookalike_models"))
    for name, schema in (("traits", LOOKALIKE_TRAITS), ("fairness", LOOKALIKE_FAIRNESS)):
        row = dict.fromkeys(schema.names) | {"audience_id": "in_bath", "as_of_date": DAY}
        row |= {column: "x" for column in ("feature", "attribute", "group_name") if column in row}
        frame = pd.DataFrame([row])
        write_table(frame, schema, ["audience_id"], lake.ml(DAY, f"lookalike_{name}"))
    _write(
        lake.ml(DAY, "lookalike_members"),
        f"""select audience_id, visitor_id, date '{DAY}' as as_of_date, 0.5::double as score, 99::double as percentile,
            'narrow' as level, false as is_control, timestamp '2024-07-30 00:00:00' as expires_at
        from (select unnest(['known_people', 'in_bath', 'thirties']) as audience_id)
        cross join (select visitor_id from {visitors} anti join {known} as known using (visitor_id))
        union all
        select 'known_people', repeat('0', 64), date '{DAY}', 0.5, 99.0, 'narrow', false, timestamp '2024-07-30'
        order by all""",
    )


def remember(lake: Lake) -> None:
    """What was published of audiences on the day before."""
    versions = {
        "known_people": "v1", "likely_ann": "v0", "in_bath": "v1", "runners": "v1", "thirties": "v1",
        "brief_readers": "v1", "retired": "v1",
    }  # fmt: skip
    audiences = ", ".join(f"('{audience_id}', '{version}')" for audience_id, version in versions.items())
    _write(
        lake.audiences(DAY_BEFORE, "audiences"),
        f"""select audience_id, definition_version, date '{DAY_BEFORE}' as as_of_date,
            if(audience_id = 'brief_readers', 'below_min_size', 'published') as status,
            if(audience_id in ('runners', 'thirties', 'brief_readers'), 'dmp', 'cdp') as side
        from (values {audiences}) as audiences (audience_id, definition_version)""",
    )
    members = [
        ("runners", visitor("ck-ann"), "dmp", "rule"),
        ("runners", visitor("ck-day-before"), "dmp", "rule"),
        ("runners", visitor("ck-ben"), "dmp", "rule"),
        ("runners", visitor("ck-idle"), "dmp", "rule"),
        ("brief_readers", visitor("ck-brief"), "dmp", "rule"),
        ("known_people", "c_u-ann", "cdp", "rule"),
        ("known_people", "c_gone", "cdp", "rule"),
        ("known_people", visitor("ck-ann"), "dmp", "lookalike"),
        ("known_people", visitor("ck-stranger"), "dmp", "lookalike"),
        ("likely_ann", "c_u-ben", "cdp", "rule"),
        ("thirties", visitor("ck-stranger"), "dmp", "lookalike"),
        ("in_bath", "c_u-ann", "cdp", "rule"),
        ("retired", "c_u-ann", "cdp", "rule"),
    ]
    _write(
        lake.audiences(DAY_BEFORE, "audience_members"),
        f"""select audience_id, member_id, side, source, timestamp '2024-06-20' as entered_at
        from (values {", ".join(map(str, members))}) as members (audience_id, member_id, side, source)""",
    )
    changes = [
        ("runners", visitor("ck-ann"), "2024-06-20", "entered"),
        ("runners", visitor("ck-ann"), "2024-03-02", "entered"),
        ("runners", visitor("ck-ann"), "2024-03-03", "left"),
        ("runners", visitor("ck-ben"), "2024-06-20", "entered"),
        ("thirties", visitor("ck-ben"), "2024-06-01", "left"),
        # Comes back today.
        ("thirties", visitor("ck-ann"), "2024-06-01", "left"),
        ("thirties", visitor("ck-ben"), "2024-05-31", "left"),
    ]
    _write(
        lake.audiences(DAY_BEFORE, "audience_changes"),
        f"""select audience_id, member_id, cast(changed_date as date) as changed_date, 'dmp' as side, change,
            'rule' as source, if(change = 'entered', 'qualified', 'rule_no_longer_holds') as reason
        from (values {", ".join(map(str, changes))}) as changes (audience_id, member_id, changed_date, change)""",
    )


def operate(lake: Lake) -> None:
    """What extract, the gates and the pipeline note of the run, of this day and of the day before."""
    for day, key in (("2024-06-29", "reader@example.org"), ("2024-06-30", "site")):
        _write(
            lake.receipts("web", date.fromisoformat(day)) / "receipts.parquet",
            f"""select 'web' as channel, 'events' as kind, 'first' as party, 'web_{day}.jsonl' as source_file,
                date '{day}' as delivered_on, 'h' as file_hash, 's' as spec_hash, 10::bigint as received,
                7::bigint as landed, 3::bigint as quarantined, 'increment' as delivery,
                map {{'url': 'text', '{key}': 'text'}} as columns""",
        )
        _write(
            lake.quarantine("events", "web", date.fromisoformat(day)) / "part.parquet",
            f"""select 'ann@example.org,broken' as raw, reason, 'web_{day}.jsonl' as source_file,
                row as source_row from (values ('missing:event_id', 7::bigint), ('malformed', 9::bigint),
                ('missing:event_id;unreadable:occurred_at', 3::bigint)) as refused (reason, row)""",
        )
        _write(
            lake.ops(date.fromisoformat(day), "run_costs"),
            f"""select date '{day}' as as_of_date, step, 'dbt' as part, status, 1::bigint as rows,
                1.0::double as wall_seconds, 1.0::double as cpu_seconds, 1::bigint as peak_memory_bytes
            from (values ('stage', 'failed'), ('stage', 'done')) as costs (step, status)""",
        )
        _write(
            lake.ops(date.fromisoformat(day), "deliveries"),
            f"""select date '{day}' as as_of_date, 1::bigint as delivery_number, 'ads' as destination_id,
                'runners' as audience_id, '{day}_0' as release_id, 'add' as action, 'failed' as status,
                'no ann@example.org' as reason, 1::bigint as rows, 0::bigint as refused_rows, 0::bigint as batches,
                4::bigint as attempts""",
        )
        for step in ("stage", "publish"):
            _write(
                lake.ops(date.fromisoformat(day), f"quality_{step}"),
                f"""select date '{day}' as as_of_date, '{step}' as step, 'stg_customers' as asset,
                    'expect_column_values_to_not_be_null' as expectation, 'email' as column_name, 'stop' as severity,
                    true as success, '0' as observed, 0::bigint as unexpected_count,
                    0.0::double as unexpected_share, 'ann@example.org' as examples, 'There is one' as meaning,
                    'CDP team' as owner""",
            )
    _write(
        lake.quarantine("events", "none", date(1970, 1, 1)) / "part.parquet",
        "select '' as raw, '' as reason, '' as source_file, 0::bigint as source_row where false",
    )
    write_drift(lake, DAY)
    with duckdb.connect() as connection:
        for name, columns in (("activations", ACTIVATIONS), ("activation_refusals", REFUSALS)):
            connection.execute(f"create table {name} ({columns})")
            connection.execute(f"copy {name} to '{lake.ops(DAY, name)}' (format parquet)")
    keep_proofs(lake, [])


def _customers() -> list[dict]:
    people = [
        {"record_id": f"r-{user}", "observed_at": "2024-01-01 09:00", "user_id": user, "city": "Rome"}
        for user in USERS
    ]
    people[0] |= {
        "email": "ann@example.org",
        "given_name": "Annabel",
        "phone": "+49301234567",
        "city": "Bath",
    }
    people[3] |= {"email": "dora@example.org"}
    return people


def _own_events() -> list[dict]:
    def seen(event_id: str, at: str, consent: str | None = GRANTED, **columns: object) -> dict:
        return {
            "event_id": event_id, "type": "page", "occurred_at": f"2024-06-{at}", "consent": consent,
            "user_agent": LAPTOP, "site": "shop.example", "is_owned_site": True,
        } | columns  # fmt: skip

    return [
        seen("ann-1", "20 10:59:59", anonymous_id="ck-ann", ip="203.0.113.77", url="https://shop.example/"),
        seen(
            "ann-2", "21 10:30", GRANTED_IN_TCF, anonymous_id="ck-ann", user_id="u-ann", ip="198.51.100.23",
            user_agent=PHONE, name="ann@example.org", content_category="mail ann%40example.org",
            url="https://shop.example/running?session=s3cr3t", campaign_term="u-ann", referrer="ck-ann",
            advertising_id="ad-7c9e6679-7425-40de-944b-e07fc1f90ae7",
        ),
        seen("ben-1", "20 10:00", REFUSED, anonymous_id="ck-ben", user_id="u-ben"),
        seen("cal-1", "20 10:00", None, anonymous_id="ck-cal", user_id="u-cal", rejected_values={"sent_at": "soon"}),
        seen("cal-2", "20 11:00", '{"analytics": true}', anonymous_id="ck-cal", user_id="u-cal"),
        seen("dora-1", "20 10:00", anonymous_id="ck-dora", user_id="u-dora"),
        seen("eve-1", "20 10:00", anonymous_id="ck-eve", user_id="u-eve"),
        # Granted once, refused later: nothing of the earlier visit stays.
        seen("eve-2", "22 10:00", REFUSED, anonymous_id="ck-eve", user_id="u-eve"),
        seen("fay-1", "20 10:00", device_id="dv-tablet", user_id="u-fay", user_agent=None, platform="iOS"),
        seen("bot-1", "20 10:00", anonymous_id="ck-robot", user_agent=CRAWLER),
        *(
            seen(f"kiosk-{user}", "20 10:00", anonymous_id="ck-kiosk", user_id=user, ip="2001:db8:ab:1::1")
            for user in KIOSK_USERS
        ),
    ]  # fmt: skip


def _offsite_events() -> list[dict]:
    def seen(event_id: str, at: str, cookie: str, consent: str | None = GRANTED, **columns: object) -> dict:
        return {
            "event_id": event_id, "type": "page", "occurred_at": at, "anonymous_id": cookie, "consent": consent,
            "user_agent": LAPTOP, "site": "news.example", "is_owned_site": False, "party": "third",
            "content_category": "sport",
        } | columns  # fmt: skip

    return [
        seen("off-1", "2024-06-25 20:00", "ck-ann"),
        seen("off-2", "2024-06-25 21:00", "ck-ann", content_category="ck-ann"),
        seen("off-3", "2024-06-25 20:00", "ck-ben", REFUSED),
        # The business day and the 29 days before it are the last 30 days.
        seen("off-4", "2024-06-01 00:00", "ck-first-day", url="https://news.example/running"),
        seen("off-5", "2024-05-31 23:59:59", "ck-day-before", url="https://news.example/running"),
        seen("off-6", "2024-06-30 23:59:59", "ck-stranger", url="https://news.example/running"),
        seen("off-7", "2024-06-30 09:00", "ck-stranger", content_category="brief"),
        seen("off-8", "2024-07-01 00:00", "ck-tomorrow"),
        # A trait of one day ends with that day; detail is kept for 60 days, visitors for 120.
        seen("off-9", "2024-06-29 23:59:59", "ck-brief", content_category="brief"),
        seen("off-10", "2024-04-20 10:00", "ck-old", site="old.example"),
        seen("off-11", "2024-03-02 23:59", "ck-idle"),
    ]


def _traits() -> list[dict]:
    def said(id_type: str, id_value: str, at: str = "2024-06-01 00:00", **columns: object) -> dict:
        return {
            "party": "third", "id_type": id_type, "id_value": id_value, "trait": "age", "value": "30-39",
            "observed_at": at, "provider": "broker",
        } | columns  # fmt: skip

    return [
        said("anonymous_id", "ck-ann"),
        said("anonymous_id", "ck-stranger", value="20-29"),
        said("anonymous_id", "ck-stranger", trait="contact", value="x@example.org"),
        said("anonymous_id", "ck-ben"),
        said("anonymous_id", "ck-cal"),
        said("anonymous_id", "ck-nobody"),
        said("anonymous_id", "ck-first-day", at="2024-03-02 12:00"),
        said("advertising_id", "ad-trait-only"),
        said("email", "ann@example.org"),
    ]


def _consents() -> list[dict]:
    def stated(id_type: str, id_value: str, status: str, purpose: str = "advertising") -> dict:
        return {
            "id_type": id_type, "id_value": id_value, "purpose": purpose, "status": status,
            "effective_at": "2024-05-01 00:00",
        }  # fmt: skip

    return [
        stated("advertising_id", "ad-trait-only", "granted"),
        stated("anonymous_id", "ck-nobody", "granted", purpose="analytics"),
        # After she granted it in her browser.
        stated("email", "dora@example.org", "denied") | {"effective_at": "2024-06-21 00:00"},
    ]


def _write(path: Path, query: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")
