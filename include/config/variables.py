"""What dbt is told of a configuration: plain values that survive JSON, with every condition compiled to SQL."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from include.code import hash_of_code
from include.config.conditions import (
    OCCASION_COLUMNS,
    TIMELINE_COLUMNS,
    Condition,
    compile_customer_condition,
    compile_event_condition,
    compile_row_condition,
    compile_visitor_condition,
)
from include.config.features import compile_features
from include.config.folders import folders_of_traits
from include.config.questions import Questions, ask
from include.config.schema import (
    ATTRIBUTES,
    Audience,
    Channel,
    Configuration,
    Lifecycle,
    Normalisation,
    Privacy,
    Profile,
)
from include.extract.dates import parts_of
from include.extract.kinds import kinds
from include.lake import HISTORY_TABLES, Lake, earlier_days
from include.normalise.taxonomies import audience_taxonomy, content_taxonomy
from include.normalise.versions import normalisation_version
from include.privacy.epochs import files_of_epoch

VERSION_CHARACTERS = 12


def dbt_variables(configuration: Configuration, day: date, lake: Lake) -> dict[str, Any]:
    """The dbt variables of one run.

    `audiences[].predicate` of the cdp side reads the columns of `customers` and `customer_features`, `scores` and
    `segment_ids`; of the dmp side the aliases in `atoms`. `traits[].predicate` reads the events of the dmp side.
    """
    rules = {rule.trait_id: compile_event_condition(rule.where) for rule in configuration.traits}
    conditions = _conditions(configuration)
    questions = ask(
        {
            audience.audience_id: conditions[audience.audience_id]
            for audience in configuration.audiences
            if audience.side == "dmp"
        },
    )
    labels = [
        {
            "score": each.score,
            "activity": each.label.activity,
            "predicate": compile_row_condition(each.label.where or "true", TIMELINE_COLUMNS).predicate(),
        }
        for each in configuration.models.propensities
    ]
    columns = {**configuration.customer_columns, **OCCASION_COLUMNS}
    action_rules = [
        {
            **rule.model_dump(exclude={"when"}),
            "words": rule.words or _readable(rule.rule_id),
            "predicate": compile_customer_condition(rule.when, columns).predicate(),
        }
        for rule in configuration.models.actions.rules
    ]
    privacy, actions = configuration.privacy, configuration.models.actions
    return {
        "as_of_date": f"{day:%Y-%m-%d}",
        "lake": str(lake.root.resolve()),
        "staging_rules": _staging_rules(configuration),
        "horizon_days": configuration.models.purchase.horizon_days,
        "propensity_categories": configuration.models.purchase.categories,
        "propensities": labels,
        "action_rules": action_rules,
        "action_per_customer": actions.per_customer,
        "action_max_messages": actions.max_messages,
        "action_fatigue_days": actions.fatigue_days,
        "action_service_days": actions.service_days,
        "action_cart_days": actions.cart_days,
        "offsite_pause_days": configuration.models.offsite.pause_days,
        "offsite_sales_channel": configuration.models.offsite.sales_channel,
        "offsite_recent_days": configuration.models.offsite.recent_days,
        "offsite_people": configuration.models.offsite.people,
        **feature_variables(configuration, day),
        "session_timeout_minutes": configuration.normalisation.sessions.inactivity_minutes,
        **profile_variables(configuration.profile),
        **lifecycle_variables(configuration.models.lifecycle),
        "secret_parameters": [
            re.escape(name.lower()) for name in configuration.normalisation.secret_parameters
        ],
        "visitor_idle_days": privacy.visitor_idle_days,
        "event_days": privacy.event_days,
        "foreign_trait_days": privacy.foreign_trait_days,
        "lookalike_test_days": configuration.models.lookalike.test_days,
        "audited_traits": list(configuration.models.lookalike.audited),
        "control_share": privacy.control_share,
        "minimum_cell": privacy.minimum_cell,
        "placement_window_days": configuration.models.placements.window_days,
        "sketch_size": configuration.models.placements.sketch_size,
        "consent_purposes": {purpose: list(names) for purpose, names in privacy.purposes.items()},
        "consent_grants": kinds()["consents"].column("status").words_for("granted"),
        "advertising_purposes": list(privacy.purposes["advertising"]),
        **privacy_variables(privacy),
        **taxonomy_variables(configuration.normalisation, privacy),
        "audiences": [
            _audience(audience, conditions[audience.audience_id], questions, configuration, rules)
            for audience in configuration.audiences
        ],
        "traits": [
            {
                "trait_id": rule.trait_id,
                "name": rule.name or _readable(rule.trait_id),
                "predicate": rules[rule.trait_id].predicate(),
                "description": rule.description,
                "folder": rule.folder,
                "ttl_days": rule.ttl_days,
            }
            for rule in configuration.traits
        ],
        "trait_folders": [
            {"trait_id": trait_id, "folder": folder}
            for trait_id, folders in folders_of_traits(configuration).items()
            for folder in folders
        ],
        **question_variables(questions),
        "audience_history": {
            table: _latest_of_sides(lake, lake.audiences(day, table).resolve(), privacy.key.epoch)
            for table in HISTORY_TABLES
        },
        "removal_days": privacy.keep_releases_days,
        "tcf_vendors": sorted({each.tcf_vendor for each in configuration.destinations if each.tcf_vendor}),
        "channels": [
            {
                "channel": name,
                "party": channel.party,
                "kind": channel.kind,
                "delivery": channel.delivery,
                "is_dated": _is_dated(channel),
            }
            for name, channel in configuration.channels.items()
        ],
    }


def _latest_of_sides(lake: Lake, path: Path, epoch: int) -> dict[str, str]:
    """The file of the latest day before that of `path`, by the side whose rows are read of it: visitors have the names
    of one epoch of the key, customers keep theirs."""
    earlier = earlier_days(path)
    sides = {"cdp": earlier, "dmp": files_of_epoch(lake, earlier, epoch)}
    return {side: str(files[-1]) for side, files in sides.items() if files}


def privacy_variables(privacy: Privacy) -> dict[str, Any]:
    """What dbt is told of the privacy wall: `tcf_advertising` are the TCF purposes that advertising needs, none when
    TCF strings say nothing of it; `sensitive_content` are the ids of the categories of which nothing is kept."""
    return {
        "key_epoch": privacy.key.epoch,
        "tcf_advertising": list(privacy.tcf_purposes.get("advertising", ())),
        "sensitive_content": sorted(privacy.sensitive_content_ids),
        "sensitive_audiences": sorted(privacy.sensitive_audience_ids),
    }


def taxonomy_variables(normalisation: Normalisation, privacy: Privacy) -> dict[str, Any]:
    """What dbt is told of the IAB's categories: those of pages by their properties, and those of traits. A trait's
    `value` is '' where every value of it says the same."""
    content, audiences = content_taxonomy(), audience_taxonomy()
    sensitive = privacy.sensitive_audience_ids
    traits = [(rule, audiences.find(rule.audience)) for rule in normalisation.trait_taxonomy]
    pages = [(rule, content.find(rule.category)) for rule in normalisation.content_categories]
    return {
        "content_properties": [
            {
                "property": rule.property,
                "value": rule.value,
                "category_id": category.category_id,
                "name": category.name,
                "tier_1": category.tier_1,
            }
            for rule, category in pages
            if rule.property is not None
        ],
        "trait_taxonomy": [
            {
                "trait_id": rule.trait,
                "value": rule.value or "",
                "iab_audience_id": category.category_id,
                "iab_audience_name": category.path,
                "is_sensitive": category.category_id in sensitive,
            }
            for rule, category in traits
        ],
    }


def profile_variables(profile: Profile) -> dict[str, Any]:
    """What dbt is told of the golden record: for each attribute the rules that choose it, all of them spelt out."""
    return {
        "survivorship": {
            attribute: profile.survivorship(attribute).model_dump(mode="json") for attribute in ATTRIBUTES
        },
        "shared_device_gap_days": profile.shared_devices.longest_gap_days,
    }


def lifecycle_variables(lifecycle: Lifecycle) -> dict[str, Any]:
    """What dbt is told of the lifecycle: `lifecycle_<key>` for each key of the section in models.yml."""
    return {f"lifecycle_{key}": value for key, value in lifecycle.model_dump(mode="json").items()}


def feature_variables(configuration: Configuration, day: date) -> dict[str, Any]:
    """What dbt is told of features: how each is computed, and as of which days, the business day first."""
    purchase = configuration.models.purchase
    features = compile_features(configuration.features, configuration.own_features)
    cutoffs = [day - timedelta(days=number * purchase.horizon_days) for number in range(purchase.cutoffs + 1)]
    return {"feature_cutoffs": [f"{cutoff:%Y-%m-%d}" for cutoff in cutoffs], "features": features}


def question_variables(questions: Questions) -> dict[str, Any]:
    """What dbt is told of the questions: each with the place of its answer, the days over which traits are counted,
    and the atoms that are kept as values."""
    return {
        "questions": [
            {**vars(question), "word": word, "bit": bit} for question, (word, bit) in questions.places.items()
        ],
        "trait_windows": questions.windows,
        "atoms": [
            {"alias": alias, "trait_id": atom.trait_id, "kind": atom.kind, "days": atom.days}
            for atom, alias in questions.atoms.items()
        ],
    }


def _conditions(configuration: Configuration) -> dict[str, Condition]:
    texts = {
        side: {
            audience.audience_id: audience.where
            for audience in configuration.audiences
            if audience.side == side
        }
        for side in ("cdp", "dmp")
    }
    of_customers = {
        name: compile_customer_condition(
            where, configuration.customer_columns, configuration.own_features, texts["cdp"]
        )
        for name, where in texts["cdp"].items()
    }
    of_visitors = {
        name: compile_visitor_condition(where, texts["dmp"]) for name, where in texts["dmp"].items()
    }
    return of_customers | of_visitors


def definition_version(
    audience: Audience, condition: Condition, configuration: Configuration, rules: dict[str, Condition]
) -> str:
    """A short hash of what decides who is in an audience: layout, names and comments do not change it.

    A rule trait that the condition asks for, by its name or by a folder's, is part of the definition, so its change is
    a new version too, and so is another content of the folder.
    """
    named = {atom.trait_id for atom in condition.atoms}
    inside = {
        trait_id: sorted(named & set(folders))
        for trait_id, folders in folders_of_traits(configuration).items()
        if named & set(folders)
    }
    asked = named | set(inside)
    content = {
        "side": audience.side,
        "where": condition.normalised,
        "ttl_days": audience.ttl_days,
        "min_size": audience.min_size,
        "lookalike": audience.lookalike.model_dump() if audience.lookalike else None,
        "traits": {
            rule.trait_id: [rules[rule.trait_id].normalised, rule.ttl_days]
            for rule in configuration.traits
            if rule.trait_id in asked
        },
        **({"folders": inside} if inside else {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:VERSION_CHARACTERS]


def _audience(
    audience: Audience,
    condition: Condition,
    questions: Questions,
    configuration: Configuration,
    rules: dict[str, Condition],
) -> dict[str, Any]:
    return {
        "audience_id": audience.audience_id,
        "side": audience.side,
        "name": audience.name or _readable(audience.audience_id),
        "description": audience.description,
        "definition": " ".join(audience.where.split()),
        "definition_version": definition_version(audience, condition, configuration, rules),
        "predicate": questions.predicates.get(audience.audience_id) or condition.predicate(),
        "trait_ids": sorted({atom.trait_id for atom in condition.atoms}),
        "ttl_days": audience.ttl_days,
        "min_size": audience.min_size,
        "lookalike": audience.lookalike is not None,
        "seed_tier": audience.lookalike.seed_tier if audience.lookalike else None,
        "control_share": audience.control_share,
        "destinations": list(audience.destinations),
    }


def _staging_rules(configuration: Configuration) -> str:
    """A hash of what turns landed rows into staged ones: staging keeps its tables from day to day while it is the same.
    Of the channels, the receipts of what they landed say enough."""
    normalisation = configuration.normalisation
    rules = [hash_of_code(), normalisation.model_dump(mode="json"), normalisation_version(normalisation)]
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def _is_dated(channel: Channel) -> bool:
    """Whether each day's delivery is whole; files without a date in their path are each replaced in place."""
    return channel.source.connector == "sql" or bool(parts_of(channel.source.path))


def _readable(name: str) -> str:
    return name.replace("_", " ").capitalize()
