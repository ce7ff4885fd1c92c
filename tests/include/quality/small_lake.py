"""A lake of a few rows as every step leaves it, in which every gate holds. Tests break one thing in it."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest

from include.config import Configuration, load_configuration
from include.extract.drift import write_drift
from include.lake import Lake

DAY = date(2017, 12, 1)
CUSTOMERS = 120
VISITORS = 200

# Everything is written by one SQL per file, so that types are DuckDB's own. `{n}` marks are filled below.
CUSTOMER = "'c' || substr(md5('c' || i), 1, 24)"
VISITOR = "sha256('v' || i)"
NONE_REJECTED = "map()::map(varchar, varchar) as rejected_values"
NO_CONTACT = f"null::varchar as email, null::varchar as phone, {NONE_REJECTED}"

WAREHOUSE = {
    "stg_customers": f"""select 'crm' as channel, 'r' || i as record_id, timestamp '2017-11-01' as observed_at,
        'customers:crm:r' || i as node_key, 'p' || i || '@example.com' as email,
        if(i < 30, '+12125550' || (100 + i), null) as phone, {NONE_REJECTED} from range({CUSTOMERS}) t(i)""",
    "stg_events": f"""select 'web' as channel, 'e' || i as event_id, {NO_CONTACT}, 'cookie-' || i as anonymous_id,
        null::varchar as advertising_id, null::varchar as device_id, 'u' || i as user_id, '203.0.113.' || i as ip,
        true as is_owned_site, timestamp '2017-11-02' + to_minutes(i) as occurred_at, 'page' as type, 'web' as platform,
        date '2017-12-01' as first_landed_on
        from range(50) t(i)""",
    "stg_orders": f"""select 'shop' as channel, 'o' || i as order_id, {NO_CONTACT},
        timestamp '2017-11-03' + to_minutes(i) as ordered_at,
        cast(10 + i as decimal(18, 4)) as total, 'EUR' as currency, 'customers:crm:r' || i as node_key,
        'completed' as status, 'store' as sales_channel, date '2017-12-01' as first_landed_on
        from range(40) t(i)""",
    "stg_order_lines": """select 'shop' as channel, 'o' || i as order_id, n as line_number,
        'p1' as product_id, cast(1 as decimal(18, 4)) as quantity, null::decimal(18, 4) as unit_price,
        cast(5 + i / 2 as decimal(18, 4)) as amount, 'shop.csv' as source_file, date '2017-12-01' as first_landed_on
        from range(30) t(i), range(1, 3) u(n)""",
    "stg_event_orders": """select 'web' as channel, 'e1' as order_id, cast(0 as decimal(18, 4)) as total,
        'EUR' as currency, null::varchar as node_key where false""",
    "stg_event_order_lines": """select 'web' as channel, 'e1' as order_id, 1 as line_number,
        cast(0 as decimal(18, 4)) as amount where false""",
    "stg_products": "select 'shop' as channel, 'p' || i as product_id from range(10) t(i)",
    "stg_interactions": f"""select 'calls' as channel, 'i' || i as interaction_id, {NO_CONTACT},
        timestamp '2017-11-04' as occurred_at
        from range(10) t(i)""",
    "stg_messages": f"""select 'mail' as channel, 'm' || i as message_id, 'sent' as action, {NO_CONTACT},
        timestamp '2017-11-05' as occurred_at from range(10) t(i)""",
    "stg_traits": """select 'broker' as channel, 'anonymous_id' as id_type, 'a' || i as id_value, 'sport' as trait,
        'broker' as provider, 'third' as party, timestamp '2017-11-06' as observed_at from range(10) t(i)""",
    "stg_consents": """select 'cmp' as channel, 'anonymous_id' as id_type, 'a' || i as id_value,
        'advertising' as purpose, timestamp '2017-11-07' as effective_at from range(10) t(i)""",
    "int_audience_rules": "select * from (values ('loyal', 'cdp'), ('sporty', 'dmp')) as t(audience_id, side)",
    "int_audience_membership": f"""select 'loyal' as audience_id, 'cdp' as side, {CUSTOMER} as member_id
        from range(60) t(i) union all select 'sporty', 'dmp', {VISITOR} from range(60) t(i)""",
    "int_audience_traits": "select 'sporty' as audience_id, 'sport' as trait_id, 'held' as standing",
}

STAGED = {
    "identity_evidence": f"""select 'customers:crm:r' || i as node_key, 'customers' as kind, 'crm' as channel,
        'r' || i as record_id, 'email' as id_type, 'p' || i || '@example.com' as id_value,
        date '2017-11-01' as landed_on,
        timestamp '2017-11-01' as first_seen_at, timestamp '2017-11-20' as last_seen_at, 1::bigint as observations
        from range({CUSTOMERS}) t(i)""",
    "customer_feature_snapshots": f"""select {CUSTOMER} as customer_id, as_of_date,
        as_of_date = date '2017-12-01' as is_current,
        400::bigint as days_observed, (i % 60)::bigint as recency_days,
        case when as_of_date < date '2017-12-01' then i % 3 = 0 end as bought_in_horizon,
        cast(case when as_of_date < date '2017-12-01' then i % 3 * 10 end as decimal(18, 4)) as value_in_horizon
        from range({CUSTOMERS}) t(i), (values (date '2017-10-06'), (date '2017-11-03'),
        (date '2017-12-01')) d(as_of_date)""",
    "customer_category_snapshots": f"""select {CUSTOMER} as customer_id, as_of_date,
        as_of_date = date '2017-12-01' as is_current, 'TEA' as category,
        case when as_of_date < date '2017-12-01' then i % 3 = 0 end as bought_in_horizon
        from range({CUSTOMERS}) t(i), (values (date '2017-11-03'), (date '2017-12-01')) d(as_of_date)""",
    "customer_orders": f"""select {CUSTOMER} as customer_id, 'o' || i as order_id, 'shop' as channel,
        cast(10 + i as decimal(18, 4)) as total_amount, timestamp '2017-11-03' + to_minutes(i) as ordered_at
        from range(40) t(i)""",
    "customer_signals": f"""select {CUSTOMER} as customer_id, 'behaviour' as signal_kind,
        'Product viewed' as signal, 'TEA' as signal_category, 'active' as stage, date '2017-11-02' as signal_date,
        timestamp '2017-11-02 10:00' as occurred_at from range(20) t(i)""",
    "product_catalogue": "select 'p' || i as product_id, 'Tea ' || i as name from range(10) t(i)",
    "audience_seeds": f"""select 'loyal' as audience_id, {VISITOR} as visitor_id, 'p' || md5('k' || i) as person_key
        from range(40) t(i)""",
    "known_visitors": f"select {VISITOR} as visitor_id, 'p' || md5('k' || i) as person_key from range(50) t(i)",
    "visitor_features": f"""select {VISITOR} as visitor_id, 'category:sport' as feature, 1.0::double as value
        from range({VISITORS}) t(i)""",
    "row_counts": """select kind, channel, landed_rows::bigint as landed_rows,
        (landed_rows - superseded)::bigint as staged_rows,
        superseded::bigint as superseded_rows, 0::bigint as deleted_rows,
        'customer_timeline' as published_table,
        (landed_rows - superseded)::bigint as published_rows, 0::bigint as unattributed_rows
        from (values ('customers', 'crm', 120, 0), ('events', 'web', 50, 0), ('orders', 'shop', 42, 2),
        ('order_lines', 'lines', 60, 0), ('products', 'catalogue', 10, 0), ('interactions', 'calls', 10, 0),
        ('messages', 'mail', 10, 0), ('traits', 'broker', 10, 0), ('consents', 'cmp', 10, 0))
        as t(kind, channel, landed_rows, superseded)""",
}

IDENTITY = {
    "node_customers": f"""select 'customers:crm:r' || i as node_key, 'customers' as kind, 'crm' as channel,
        'r' || i as record_id, {CUSTOMER} as customer_id, {CUSTOMER} as exact_id, {CUSTOMER} as loose_id,
        'exact' as tier, 'email' as linked_by
        from range({CUSTOMERS}) t(i)""",
    "identifier_customers": f"""select 'email' as id_type, 'p' || i || '@example.com' as id_value,
        {CUSTOMER} as customer_id,
        timestamp '2017-11-01' as first_seen_at, timestamp '2017-11-20' as last_seen_at, 1::bigint as observations
        from range({CUSTOMERS}) t(i)""",
    "changes": f"""select {CUSTOMER} as customer_id, null::varchar as previous_customer_id, 'created' as change,
        'first record' as reason, date '2017-12-01' as as_of_date from range({CUSTOMERS}) t(i)""",
    "ids": f"""select {CUSTOMER} as customer_id, {CUSTOMER} as base_id, 0 as variant,
        'customers:crm:r' || i as anchor_key, date '2017-12-01' as issued_on, true as is_held, true as is_anchored
        from range({CUSTOMERS}) t(i)""",
    "history": f"""select {CUSTOMER} as issued_customer_id, {CUSTOMER} as customer_id, 'created' as change,
        'first record' as reason, timestamp '2017-11-01' as effective_at, date '2017-12-01' as as_of_date
        from range({CUSTOMERS}) t(i)""",
}

ML = {
    "lookalike_fairness": """select 'loyal' as audience_id, 'gender' as attribute, 'f' as group_name,
        0.9::double as selection_ratio, false as is_flagged, 0.5::double as proxy_auc""",
    "offsite_interests": """select bought as bought_category, 'Pets' as content_category, window_days,
        80::bigint as buyers, 400::bigint as controls, 0.2::double as rate_before, 0.6::double as rate_after,
        0.4::double as did, 0.3::double as low, 0.5::double as high, 3.0::double as multiplier,
        2.25::double as multiplier_low, 4.0::double as multiplier_high, p_value, p_value as q_value,
        1.1::double as placebo_multiplier, verdict, false as suppressed
        from (values ('DOG FOOD', 7::bigint, 0.01::double, 'rises'), ('DOG FOOD', 28, 0.001, 'rises'),
            ('TEA', 7, 0.5, 'none shown')) as found(bought, window_days, p_value, verdict)""",
    "compared_people": """select bought_category, 80::bigint as buyers, 400::bigint as controls
        from (values ('DOG FOOD'), ('TEA')) as compared(bought_category)""",
    "customer_scores": f"""select {CUSTOMER} as customer_id, date '2017-12-01' as as_of_date,
        'purchase_probability' as score, i / {CUSTOMERS} as value, 100.0 * (i + 1) / {CUSTOMERS} as percentile,
        i / {CUSTOMERS} - 0.01 as low, i / {CUSTOMERS} + 0.01 as high, 'v1' as model_version
        from range({CUSTOMERS}) t(i)""",
    "segments": """select scheme || '_' || i as segment_id, scheme, date '2017-12-01' as as_of_date,
        'Segment ' || i as name, 'they buy' as description, 60::bigint as size, 0.5::double as share,
        0.1::double as trend, 4.0::double as mean_orders, 80.0::double as mean_spend,
        20.0::double as mean_expected_value, 'v1' as model_version
        from range(2) t(i), (values ('behaviour'), ('rfm')) schemes(scheme)""",
    "customer_segments": f"""select {CUSTOMER} as customer_id, date '2017-12-01' as as_of_date, scheme,
        scheme || '_' || (i % 2) as segment_id, 0.1::double as distance
        from range({CUSTOMERS}) t(i), (values ('behaviour'), ('rfm')) schemes(scheme)""",
    "stage_needs": """select 'active' as stage, 'category' as need_kind, need, date '2017-12-01' as as_of_date,
        60::bigint as customers, 30::bigint as with_need, 0.5::double as share, 0.25::double as share_elsewhere,
        2.0::double as lift, 1.5::double as low, 2.5::double as high, 0.01::double as p_value, 0.02::double as q_value,
        true as is_significant from (values ('TEA'), ('CUPS')) needs(need)""",
    "product_profiles": """select date '2017-12-01' as as_of_date, 'gender' as profile_type, profile,
        'gender ' || profile as profile_name, 'category' as level, 'TEA' as product_key, 'TEA' as product_name,
        60::bigint as customers, 30::bigint as buyers, 0.5::double as share, 0.25::double as share_elsewhere,
        2.0::double as lift, 1.5::double as low, 2.5::double as high, 0.01::double as p_value, 0.02::double as q_value,
        true as is_significant from (values ('f'), ('m')) profiles(profile)""",
    "product_recommendations": f"""select {CUSTOMER} as customer_id, date '2017-12-01' as as_of_date, rank,
        'p' || rank as product_id, 'Tea ' || rank as product_name, 'TEA' as category, 1.0 / rank as score,
        'popular with all customers' as reason, 'v1' as model_version
        from range({CUSTOMERS}) t(i), range(1::bigint, 3::bigint) ranks(rank)""",
    "purchase_triggers": """select md5(trigger) as trigger_id, trigger, 'any' as category, 'any' as stage,
        'any' as sales_channel, 3::bigint as window_days, 60::bigint as support, effect, low, high, q_value,
        1.0::double as placebo, 0.8::double as placebo_low, 1.2::double as placebo_high, verdict,
        'what it does' as meaning, date '2017-12-01' as as_of_date
        from (values ('price drop', 1.5::double, 1.2::double, 1.9::double, 0.01::double, 'raises'),
            ('call: delivery', 0.9, 0.7, 1.1, 0.6, 'none shown'), ('birthday', null, null, null, null, 'too few'))
            as found(trigger, effect, low, high, q_value, verdict)""",
    "model_cards": """select 'propensity' as model, 'v1' as model_version, date '2017-12-01' as as_of_date,
        'purchase' as task, 'auc' as metric, 0.8::double as value, 0.75::double as low, 0.85::double as high,
        0.7::double as baseline, 'recency' as baseline_name, 'promoted' as verdict, 'beats recency' as note""",
    "model_cards_propensity": """select 'purchase_probability' as model, 'v1' as model_version,
        date '2017-12-01' as as_of_date, 'propensity' as task, metric, value, value - 0.01 as low, value + 0.01 as high,
        baseline, 'a baseline' as baseline_name, 'promoted' as verdict, 'AUC 0.8 against 0.7' as note
        from (values ('auc', 0.8::double, 0.7::double), ('auc_difference', 0.1, 0.0), ('challenger_auc', 0.8, 0.79),
            ('feature_drift', 0.05, 0.25), ('score_drift', 0.01, 0.25)) as lines(metric, value, baseline)""",
    "lookalike_models": """select 'loyal' as audience_id, 'v1' as model_version, date '2017-12-01' as as_of_date,
        'logistic' as algorithm, 40::bigint as seed_size, 150::bigint as candidate_size, 12::bigint as features,
        0.8::double as auc, 4.0::double as lift_at_1, 3.0::double as lift_at_5, 2.5::double as lift_at_5_low,
        3.5::double as lift_at_5_high, 2.0::double as lift_at_10, 1.9::double as activity_lift_at_5,
        'published' as verdict, 'beats activity' as reason, '[
            {"share": 0.01, "lift": 4.0, "low": 2.0, "high": 6.0, "activity_lift": 2.1},
            {"share": 0.05, "lift": 3.0, "low": 2.5, "high": 3.5, "activity_lift": 1.9},
            {"share": 0.1, "lift": 2.0, "low": 1.8, "high": 2.2, "activity_lift": 1.4}]' as curve""",
    "lookalike_members": f"""select 'loyal' as audience_id, {VISITOR} as visitor_id, date '2017-12-01' as as_of_date,
        1.0 / (i + 1) as score, 100.0 - i / 2 as percentile, 'narrow' as level, i % 10 = 0 as is_control,
        timestamp '2017-12-31' as expires_at from range(100, 150) t(i)""",
    "placements": """select 'loyal' as audience_id, 'lookalikes' as part, dimension, value,
        date '2017-12-01' as as_of_date, 1::bigint as rank, 60::bigint as reach,
        120::bigint as audience_people, 100::bigint as population_people,
        1000::bigint as population, 0.5::double as share, 0.1::double as population_share, 500.0::double as index,
        420.0::double as low, 580.0::double as high, 300.0::double as index_at_equal_activity, 0.001::double as q_value,
        true as is_significant, 'exact' as method, 0.0::double as error, false as is_held_back
        from (values ('site', 'news.example.com'), ('hour', '20')) as places(dimension, value)""",
    "audience_overlaps": """select 'visitors' as unit, 'loyal' as audience_a, 'lookalikes' as part_a,
        'sporty' as audience_b, 'members' as part_b, 120::bigint as people_a, 110::bigint as people_b,
        60::bigint as overlap, 60::bigint as only_a, 50::bigint as only_b, 0.5::double as share_of_a,
        0.55::double as share_of_b, 0.35::double as jaccard, 'exact' as method, 0.0::double as error,
        false as is_held_back, null::varchar as suppressed_because, date '2017-12-01' as as_of_date,
        date '2017-12-01' as counted_on""",
    "reach": """select 'visitors' as unit, audience_id, part, people, 1000::bigint as population, people as
        incremental_people, 2.5::double as mean_events, 55::bigint as met_2_or_more, null::bigint as met_6_or_more,
        date '2017-12-01' as counted_on, 'exact' as method, 0.0::double as error, false as is_held_back,
        if(people is null, 'too few people', null) as suppressed_because, date '2017-12-01' as as_of_date
        from (values ('loyal', 'lookalikes', 120::bigint), ('loyal', 'members', null), ('sporty', 'members', 110))
            as sets(audience_id, part, people)""",
}

TABLES = {
    "cdp/customers": f"""select {CUSTOMER} as customer_id, 'p' || i || '@example.com' as email,
        'active' as lifecycle_stage, i % 2 = 0 as consent_email, ['crm'] as channels,
        'exact' as confidence_tier, timestamp '2017-11-01' as first_seen_at, timestamp '2017-11-20' as last_seen_at
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_attributes": f"""select {CUSTOMER} as customer_id, 'email' as attribute,
        'p' || i || '@example.com' as value, 'crm' as channel, 'only_value' as decided_by,
        null::varchar as runner_up_value, 1::bigint as different_values, timestamp '2017-11-20' as observed_at
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_attribute_values": f"""select {CUSTOMER} as customer_id, 'email' as attribute,
        'p' || i || '@example.com' as value, 'golden' as standing, ['crm'] as channels, 1::bigint as sources,
        timestamp '2017-11-01' as first_observed_at, timestamp '2017-11-20' as last_observed_at
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_other_values": f"""select {CUSTOMER} as customer_id, 'crm' as channel, 'r' || i as record_id,
        'shoe' as column_name, '42' as value, false as is_rejected from range(5) t(i)""",
    "cdp/device_ownership": f"""select 'anonymous_id' as id_type, 'a1' as id_value, i + 1 as interval_number,
        {CUSTOMER} as customer_id, timestamp '2017-11-02' + to_days(i::integer) as owned_from,
        timestamp '2017-11-02 01:00' + to_days(i::integer) as owned_until from range(4) t(i)""",
    "cdp/customer_records": f"""select 'crm' as channel, 'r' || i as record_id, {CUSTOMER} as customer_id,
        {CUSTOMER} as exact_id, {CUSTOMER} as loose_id, 'exact' as tier
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_identifiers": f"""select {CUSTOMER} as customer_id, 'email' as id_type,
        'p' || i || '@example.com' as id_value,
        timestamp '2017-11-01' as first_seen_at,
        timestamp '2017-11-20' as last_seen_at from range({CUSTOMERS}) t(i)""",
    "cdp/identity_changes": f"""select {CUSTOMER} as customer_id, null::varchar as previous_customer_id,
        'created' as change,
        'first record' as reason, date '2017-12-01' as as_of_date from range({CUSTOMERS}) t(i)""",
    "cdp/identity_edges": f"""select 'e' || i as edge_id, {CUSTOMER} as customer_id, 'email' as id_type,
        'p' || i || '@example.com' as id_value, 'email' as rule, 'exact' as tier, 'active' as status,
        null::varchar as reason, timestamp '2017-11-01' as first_seen_at, timestamp '2017-11-20' as last_seen_at
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_id_history": f"""select {CUSTOMER} as issued_customer_id, {CUSTOMER} as customer_id,
        'created' as change, 'first record' as reason, true as is_current, date '2017-12-01' as as_of_date,
        null::date as superseded_on, timestamp '2017-11-01' as effective_at, null::timestamp as superseded_at
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_timeline": f"""select {CUSTOMER} as customer_id,
        timestamp '2017-11-03' + to_minutes(i) as occurred_at,
        'shop' as channel, 'purchase' as activity, cast(5 + i / 2 as decimal(18, 4)) as amount, 'o' || i as order_id
        from range(30) t(i), range(2) u(n)
        union all select {CUSTOMER}, timestamp '2017-11-03' + to_minutes(i), 'shop', 'purchase',
        cast(10 + i as decimal(18, 4)), 'o' || i from range(30, 40) t(i)""",
    "cdp/sessions": f"""select 'x' || i as session_id, {CUSTOMER} as customer_id,
        timestamp '2017-11-03' as started_at,
        timestamp '2017-11-03 00:10' as ended_at, 3::bigint as page_views from range(20) t(i)""",
    "cdp/customer_stages": f"""select {CUSTOMER} as customer_id, number as stage_number, stage,
        previous as previous_stage, entered as entered_at, lefts as left_at, lefts is null as is_current
        from range({CUSTOMERS}) t(i),
        (values (1::bigint, 'lead', null, timestamp '2017-11-01', timestamp '2017-11-03'),
            (2, 'active', 'lead', timestamp '2017-11-03', null)) as stays(number, stage, previous, entered, lefts)""",
    "cdp/lifecycle_funnel": """select 'lead' as from_stage, 'active' as to_stage, 'all' as period, within_days,
        120::bigint as entered, 60::bigint as moved, 0.5::double as conversion, 0.4::double as low,
        0.6::double as high, 12.0::double as median_days from (values (28), (90)) as within(within_days)""",
    "cdp/customer_features": f"""select {CUSTOMER} as customer_id, date '2017-12-01' as as_of_date, i as orders
        from range({CUSTOMERS}) t(i)""",
    "cdp/customer_scores": ML["customer_scores"],
    "cdp/segments": ML["segments"],
    "cdp/customer_segments": ML["customer_segments"],
    "cdp/stage_needs": ML["stage_needs"],
    "cdp/product_profiles": ML["product_profiles"],
    "cdp/product_recommendations": ML["product_recommendations"],
    "cdp/purchase_triggers": ML["purchase_triggers"],
    "cdp/next_best_actions": f"""select {CUSTOMER} as customer_id, rank,
        if(i % 10 = 5, 'none', 'product') as action, if(i % 10 = 5, null, 'discover') as rule_id,
        if(i % 10 = 5, null, 'p' || rank) as product_id, if(i % 10 = 5, null, 'TEA') as category,
        null::varchar as content, 'none' as promotion,
        case when i % 10 <> 5 then if(i % 2 = 0, 'email', 'website') end as channel, 'New to them.' as reason,
        0.5::double as probability,
        i % 10 = 5 as is_control, date '2017-12-01' as as_of_date
        from range({CUSTOMERS}) t(i), range(1::bigint, 3::bigint) ranks(rank)
        where rank = 1 or i % 10 <> 5""",
    "dmp/visitors": f"""select {VISITOR} as visitor_id, 1 as key_epoch, 'anonymous_id' as id_type, 'mobile' as device,
        'FR' as place, timestamp '2017-11-01' as first_seen_at, timestamp '2017-11-20 10:00:01.5' as last_seen_at,
        timestamp '2018-03-01' as expires_at from range({VISITORS}) t(i)""",
    "dmp/trait_qualifications": f"""select {VISITOR} as visitor_id, 'sport' as trait_id, 'true' as value,
        2::bigint as frequency, timestamp '2017-11-20' as last_qualified_at, timestamp '2018-01-20' as expires_at
        from range(80) t(i)""",
    "dmp/traits": """select 'sport' as trait_id, '' as value, 'Sport' as trait_name, 'third' as source,
        '607' as iab_audience_id, 'Interest | Sports' as iab_audience_name, 120 as ttl_days, false as is_sensitive,
        80::bigint as visitors""",
    "dmp/iab_categories": """select 'audience' as taxonomy, '607' as category_id, '223' as parent_id,
        'Sports' as category_name, 'Interest | Sports' as path, 'Interest' as tier_1, false as is_sensitive,
        'IAB Tech Lab' as attribution""",
    "dmp/lookalike_models": ML["lookalike_models"],
    "dmp/lookalike_members": ML["lookalike_members"],
    "dmp/lookalike_traits": """select 'loyal' as audience_id, 'category:sport' as feature, 0.6::double as seed_share,
        0.3::double as candidate_share, 2.0::double as ratio""",
    "dmp/lookalike_fairness": ML["lookalike_fairness"],
    "bridge/match_rates": """select 'any' as id_type, 'matched' as outcome, 60::bigint as customers,
        120::bigint as all_customers, 0.5::double as share, false as suppressed""",
    "bridge/offsite_interests": ML["offsite_interests"],
    "bridge/upsell_opportunities": """select 'DOG FOOD' as bought_category, offered as offer_category, customers,
        1::bigint as rank, 'Pets' as content_category, 0.4::double as did, 0.3::double as low, 0.5::double as high,
        3.0::double as multiplier, 1.75::double as lift, 1.5::double as lift_low, 2.0::double as lift_high,
        'they read about pets' as reason, customers is null as suppressed
        from (values ('CAT FOOD', 70::bigint), ('LEASHES', null)) as offers(offered, customers)""",
    "dmp/placements": ML["placements"],
    "bridge/audience_overlaps": ML["audience_overlaps"],
    "bridge/reach": ML["reach"],
    "both/audiences": """select *, 60::bigint as size, 0::bigint as lookalike_size, 50::bigint as min_size,
        'published' as status, date '2017-12-01' as as_of_date
        from (values ('loyal', 'cdp', 'Loyal', 'd1'), ('sporty', 'dmp', 'Sporty', 'd2'))
        as t(audience_id, side, name, definition_version)""",
    "both/audience_members": f"""select 'loyal' as audience_id, {CUSTOMER} as member_id, i % 10 = 0 as is_control,
        timestamp '2017-12-01' as entered_at, timestamp '2017-12-31' as expires_at from range(60) t(i)
        union all select 'sporty', {VISITOR}, i % 10 = 1, timestamp '2017-12-01', timestamp '2017-12-31'
        from range(60) t(i)""",
    "both/audience_changes": f"""select 'loyal' as audience_id, {CUSTOMER} as member_id,
        date '2017-12-01' as changed_date, 'cdp' as side, 'entered' as change,
        'rule' as source, 'audience_added' as reason, i % 10 = 0 as is_control from range(60) t(i)""",
    "cdp/identity_health": f"""select measure, part, {CUSTOMERS}::bigint as value, share,
        date '2017-12-01' as as_of_date
        from (values ('customers', 'all', null::double), ('customers_by_size', '1', 1.0::double))
            as counted (measure, part, share)""",
    "ops/quarantine_summary": """select 'crm' as channel, 'customers' as kind, 'row' as refused, 'malformed' as reason,
        '' as column_name, 1::bigint as rows, 1::bigint as refused_rows, 121::bigint as received_rows, 1 / 121 as share,
        'crm.csv' as example_file, 7::bigint as example_row""",
    "ops/privacy_requests": """select '20171201-abc' as request_id, 'erasure' as kind, 'hash' as person,
        'landing' as place, 'Dana' as decided_by, 1::bigint as files_searched, 2::bigint as rows_found,
        2::bigint as rows_removed, 0::bigint as residue, '' as lost_epochs, true as is_proven,
        date '2017-12-01' as received_date, date '2017-12-01' as done_date""",
    "ops/schema_drift": """select 'crm' as channel, 'shoe_size' as source_column, 'added' as change,
        'crm.csv' as since_file, true as is_current, date '2017-11-20' as since_date""",
    "both/audience_lift": """select 'loyal' as audience_id, 'cdp' as side, 'rule' as source, outcome,
        54::bigint as treated, 6::bigint as control, 0.5::double as treated_mean, 0.4::double as control_mean,
        0.1::double as lift, -0.2::double as low, 0.4::double as high, true as is_sent, false as is_suppressed
        from (values ('buyers'), ('orders'), ('spend')) as outcomes (outcome)""",
    "ops/activations": """select 'ads' as destination_id, 'loyal' as audience_id, 'csv' as format,
        50::bigint as people, 10::bigint as refused, 60::bigint as rows, 5::bigint as added_rows,
        2::bigint as removed_rows, date '2017-11-30' as compared_with_date""",
    "ops/activation_refusals": """select 'ads' as destination_id, 'loyal' as audience_id, reason,
        people::bigint as people
        from (values ('control', 6), ('consent_unknown:advertising', 4)) as refused (reason, people)""",
    "ops/deliveries": """select date '2017-11-30' as as_of_date, 1::bigint as delivery_number, 'ads' as destination_id,
        'loyal' as audience_id, '2017-11-30_0' as release_id, 'add' as action, 'sent' as status,
        null::varchar as reason, 57::bigint as rows, 0::bigint as refused_rows, 1::bigint as batches,
        1::bigint as attempts""",
    "ops/model_cards": ML["model_cards"],
    "ops/quality_results": """select 'stage' as step, 1::bigint as result_number, 'stg_orders' as asset,
        'expect_column_values_to_be_unique' as expectation, 'order_id' as column_name, 'stop' as severity,
        '0 of 40 rows' as observed, null::varchar as examples, 'counted twice' as meaning, 'data' as owner,
        0::bigint as unexpected_count, 0.0::double as unexpected_share, true as success,
        date '2017-12-01' as as_of_date""",
    "ops/model_costs": """select 'stage' as step, 'stg_orders' as model, 2::bigint as tests,
        0::bigint as warned_tests, 0.4::double as wall_seconds, 0.1::double as test_seconds,
        date '2017-12-01' as as_of_date""",
    "ops/run_costs": """select 'stage' as step, 'dbt' as part, 4.2::double as wall_seconds,
        5.0::double as cpu_seconds,
        100000000::bigint as peak_memory_bytes, date '2017-12-01' as as_of_date""",
}

LANDED = {
    ("customers", "crm"): (CUSTOMERS + 1, CUSTOMERS),
    ("events", "web"): (50, 50),
    ("orders", "shop"): (42, 42),
    ("order_lines", "lines"): (60, 60),
    ("products", "catalogue"): (10, 10),
    ("interactions", "calls"): (10, 10),
    ("messages", "mail"): (10, 10),
    ("traits", "broker"): (10, 10),
    ("consents", "cmp"): (10, 10),
}


@functools.cache
def in_memory() -> duckdb.DuckDBPyConnection:
    """The database that writes all files: to open one takes as long as to write ten."""
    return duckdb.connect(config={"threads": 1})


@dataclass(frozen=True)
class SmallLake:
    """The lake and the means to spoil it."""

    lake: Lake

    def write(self, path: Path, query: str) -> None:
        """Replace a Parquet file by the rows of a query."""
        path.parent.mkdir(parents=True, exist_ok=True)
        in_memory().execute(f"copy ({query}) to '{path}' (format parquet)")

    def land(self, kind: str, channel: str, day: date, rows: int) -> None:
        """Replace what a channel delivered on a day by so many rows, all of whose values could be read."""
        self.write(
            self.lake.landing(kind, channel, day) / "part.parquet",
            f"""select i, {NONE_REJECTED}, '{channel}.csv' as source_file, i as source_row from range({rows}) t(i)""",
        )

    def change(self, path: Path, query: str) -> None:
        """Replace a Parquet file by a query over `old`, its rows so far."""
        in_memory().execute(
            f"create or replace table old as select * from read_parquet('{path}', hive_partitioning = false)"
        )
        in_memory().execute(f"copy ({query}) to '{path}' (format parquet)")

    def change_warehouse(self, statement: str) -> None:
        with duckdb.connect(str(self.lake.warehouse)) as connection:
            connection.execute(statement)


def make_small_lake(data: Path) -> SmallLake:
    """Write the whole lake below `data`."""
    small = SmallLake(Lake(data))
    lake = small.lake
    for (kind, channel), (received, landed) in LANDED.items():
        small.land(kind, channel, DAY, landed)
        small.write(
            lake.receipts(channel, DAY) / "receipts.parquet",
            f"""select '{channel}' as channel, '{kind}' as kind, 'first' as party, '{channel}.csv' as source_file,
            date '2017-12-01' as delivered_on, 'abc' as file_hash, 'def' as spec_hash, {received}::bigint as received,
            {landed}::bigint as landed, {received - landed}::bigint as quarantined, 'increment' as delivery,
            map {{'id': 'VARCHAR', 'mail': 'VARCHAR'}} as columns""",
        )
        if received > landed:
            small.write(
                lake.quarantine(kind, channel, DAY) / "part.parquet",
                f"""select 'x;y@example.com' as raw, 'missing:record_id' as reason, '{channel}.csv' as source_file,
                7 + i as source_row from range({received - landed}) t(i)""",
            )
    for kind in dict.fromkeys(kind for kind, _ in LANDED):
        small.land(kind, "none", date(1970, 1, 1), 0)
        small.write(
            lake.quarantine(kind, "none", date(1970, 1, 1)) / "part.parquet",
            """select ''::varchar as raw, ''::varchar as reason, ''::varchar as source_file, 0::bigint as source_row
            where false""",
        )
    with duckdb.connect(str(lake.warehouse)) as connection:
        for name, query in WAREHOUSE.items():
            connection.execute(f"create table {name} as {query}")
    for name, query in STAGED.items():
        small.write(lake.staged(name), query)
    for name, query in IDENTITY.items():
        small.write(lake.identity(DAY, name), query)
    for name, query in ML.items():
        small.write(lake.ml(DAY, name), query)
    for name, query in TABLES.items():
        side, table = name.split("/")
        small.write(lake.table(side, table), query)
    write_drift(lake, DAY)
    return small


CHANNELS_YML = "channels:\n" + "".join(
    f"""  {channel}:
    party: first
    kind: {kind}
    source: {{connector: file, path: {channel}.csv, format: csv}}
    spec: mapped
    map: {{{", ".join(f"{column}: {column}" for column in required)}}}
"""
    for (kind, channel), required in zip(
        LANDED,
        (
            ("record_id", "observed_at"),
            ("event_id", "type", "occurred_at"),
            ("order_id", "ordered_at"),
            ("order_id", "line_number"),
            ("product_id",),
            ("interaction_id", "occurred_at"),
            ("message_id", "occurred_at", "action"),
            ("id_type", "id_value", "trait", "observed_at"),
            ("id_type", "id_value", "purpose", "status", "effective_at"),
        ),
        strict=True,
    )
)


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """The channels of the small lake, and the project's defaults for everything else."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "channels.yml").write_text(CHANNELS_YML)
    return load_configuration(folder)


@pytest.fixture(scope="session")
def clean_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DATA folder that `small` is a copy of."""
    return make_small_lake(tmp_path_factory.mktemp("clean") / "data").lake.data


@pytest.fixture
def small(clean_lake: Path, tmp_path: Path) -> SmallLake:
    """A small lake of the test's own."""
    shutil.copytree(clean_lake, tmp_path / "data")
    return SmallLake(Lake(tmp_path / "data"))


@pytest.fixture(scope="session")
def cleared_lake(clean_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DATA folder that `empty_lake` is a copy of: every file and table is there, none has a row."""
    small = SmallLake(Lake(tmp_path_factory.mktemp("cleared") / "data"))
    shutil.copytree(clean_lake, small.lake.data)
    for path in small.lake.root.rglob("*.parquet"):
        small.change(path, "from old limit 0")
    with duckdb.connect(str(small.lake.warehouse)) as connection:
        for (table,) in connection.execute("select table_name from information_schema.tables").fetchall():
            connection.execute(f"delete from {table}")
    return small.lake.data


@pytest.fixture
def empty_lake(cleared_lake: Path, tmp_path: Path) -> SmallLake:
    """The small lake of a company without any data, of the test's own."""
    shutil.copytree(cleared_lake, tmp_path / "data")
    return SmallLake(Lake(tmp_path / "data"))
