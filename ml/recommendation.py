"""The next best products of each customer, by the recommender that foresees best what customers buy.

Simple recommenders (popular, popular in the group, due to be bought again, bought most often) compete with learned
ones: similar items, factors, and a blend that learns from earlier purchases how probable each candidate of all of them
is. The blend learns on the horizon before the last, everything is judged on the last, which none of them has seen. A
learned one recommends only when it is better there than the best simple one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

from include.config.columns import CUSTOMER_TABLES, customer_columns
from include.config.conditions import PRODUCT_COLUMNS, compile_row_condition, text_literal
from include.lake import Lake
from include.scratch import scratch_engine
from include.settings import settings
from ml.evaluation import Estimate, calibration_metrics
from ml.purchases import Shop, load_purchases, names_of_people
from ml.recommenders import (
    BASELINES,
    BLEND,
    BUY_AGAIN,
    FACTORISED,
    FEATURES,
    OWN,
    POPULAR,
    SIMILAR,
    Candidates,
    Learning,
    Moment,
    Pairs,
    Rules,
    alike,
    group_of,
    read_pairs,
    remember,
    shortlist,
    usual_gap,
    weigh,
)
from ml.registry import CardLine, ModelCard, Summary, model_version, skip, write_model_cards
from ml.spread import Part, Spread, in_one_process, join_parts, share
from ml.tables import parquet, quoted, stable_uniform, write_table, writing_table
from ml.threads import single_threaded
from ml.toplists import AT, DIGITS, Hits, estimate_means, judge_lists, take_best

MODEL = "next_best_product"
TASK = "recommendation"
PRODUCT_RECOMMENDATIONS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of_date", pa.date32()),
        ("rank", pa.int64()),
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("category", pa.string()),
        ("is_new", pa.bool_()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("recommender", pa.string()),
        ("model_version", pa.string()),
    ]
)
KEY = ["customer_id", "rank"]
LEARNED = (SIMILAR, FACTORISED, BLEND)
MIN_HORIZON = 7
MIN_JUDGED = 50
TRAINING_CUSTOMERS = 5_000
JUDGED_CUSTOMERS = 10_000
MIN_POSITIVES = 100
BLOCK = 20_000
HANDED_ON = ("people", "pairs", "returns")  # tables of the engine


@dataclass(frozen=True)
class Choice:
    """The recommender that is used, the blend's model when there is one, and what was measured."""

    recommender: str
    blend: HistGradientBoostingClassifier | None
    lines: tuple[CardLine, ...]
    verdict: str
    note: str


@dataclass(frozen=True)
class Round:
    """One cutoff with what was bought in the horizon after it: candidates, and keys customer * items + item."""

    candidates: Candidates
    bought: np.ndarray
    owned: np.ndarray


@dataclass(frozen=True)
class Learnt:
    """What recommends to everybody: what is known at the day, who was chosen, `products` for each customer, and the
    items (items,) by id, name and category."""

    moment: Moment
    choice: Choice
    version: str
    products: int
    catalogue: Mapping[str, np.ndarray]


def recommend_products(lake: Lake, day: date, models: Any) -> Summary:
    """Write `product_recommendations` and its model card as of `day`, in one process.

    Uses `models.recommendation`, `models.purchase.horizon_days` and `models.seed`. Without products the categories are
    recommended; without either the table is empty and the card says why.
    """
    return in_one_process(train, score, gather, lake, day, models)


def train(lake: Lake, day: date, models: Any) -> int:
    """Judge the recommenders, and hand on the one that recommends with what everybody bought. Returns how many parts
    recommend."""
    options = models.recommendation
    spread = Spread.of(lake, day, TASK)
    spread.begin()
    with single_threaded(), scratch_engine(lake, settings(), TASK) as (engine, _):
        shop = load_purchases(engine, lake, day, options.history_days)
        reason = _nothing_to_recommend(shop)
        if reason:
            return spread.hand_on(skip(lake, day, TASK, [MODEL], reason))
        rules = read_rules(engine, lake, options)
        _load_places(engine, lake)
        names = names_of_people(engine)
        order = np.argsort(stable_uniform(names, TASK, models.seed), kind="stable")
        learning = Learning(options.unsold_days, max(40, 2 * options.products), models.seed)
        horizon = min(models.purchase.horizon_days, shop.days // 4)
        choice = _choose(engine, shop, rules, learning, order, horizon)
        moment = remember(engine, 0, rules, learning, order)
        version = model_version(
            {"task": TASK, "recommender": choice.recommender, "options": str(options), "seed": models.seed},
            moment.items.buyers,
            moment.items.popularity,
        )
        catalogue = engine.execute(
            "select item_id, item_name, category from items order by item"
        ).fetchnumpy()
        for table in HANDED_ON:
            engine.execute(f"copy {table} to {text_literal(str(spread.folder / table))} (format parquet)")
    write_model_cards(lake, day, TASK, [ModelCard(MODEL, version, TASK, choice.lines)])
    what = "products" if shop.level == "product" else "categories"
    spread.keep("learnt", Learnt(moment, choice, version, options.products, catalogue))
    summary = Summary(TASK, choice.verdict, 0, f"{what} recommended; {choice.note}")
    return spread.hand_on(summary, share(shop.customers, BLOCK))


def score(lake: Lake, day: date, part: Part) -> None:
    """Recommend to the customers of a part, block by block."""
    spread = Spread.of(lake, day, TASK)
    learnt: Learnt = spread.load("learnt")
    with (
        single_threaded(),
        scratch_engine(lake, settings(), TASK) as (engine, _),
        writing_table(PRODUCT_RECOMMENDATIONS, KEY, spread.path(part)) as table,
    ):
        for name in HANDED_ON:
            engine.execute(f"create view {name} as from {parquet(spread.folder / name)}")
        span = spread.rows(part)
        for begin in range(span.start, span.stop, BLOCK):
            customers = np.arange(begin, min(begin + BLOCK, span.stop))
            frame = _recommended(engine, learnt, customers)
            table.add(frame.assign(as_of_date=day)[PRODUCT_RECOMMENDATIONS.names])


def _recommended(engine: duckdb.DuckDBPyConnection, learnt: Learnt, customers: np.ndarray) -> pd.DataFrame:
    """The recommendations of a block of customers, their numbers one after another."""
    span = int(customers[0]), int(customers[-1]) + 1
    names, pairs = names_of_people(engine, span), read_pairs(engine, span=span)
    same = alike(learnt.moment, customers, pairs)
    frame = pd.concat(
        [_rows(candidates, learnt, pairs) for candidates in shortlist(learnt.moment, np.unique(same), pairs)],
        ignore_index=True,
    )
    customer, row = _for_all(customers, same, frame["customer"].to_numpy())
    return frame.iloc[row].assign(customer_id=names[customer - span[0]], model_version=learnt.version)


def gather(lake: Lake, day: date) -> Summary:
    """Make one table of what the parts recommend."""
    spread = Spread.of(lake, day, TASK)
    summary, paths = spread.handed_on()
    path = lake.ml(day, "product_recommendations")
    if summary.skipped:
        write_table(None, PRODUCT_RECOMMENDATIONS, KEY, path)
        return summary
    rows = join_parts(paths, path)
    return replace(summary, rows=rows, note=f"{rows:,} {summary.note}")


def read_rules(engine: duckdb.DuckDBPyConnection, lake: Lake, options: Any) -> Rules:
    """The configured rules over the tables `items` and `people` of the engine. Raises ConditionError for a bad one."""
    columns = customer_columns() if options.only_for else {}
    excluded = [compile_row_condition(text, PRODUCT_COLUMNS).predicate() for text in options.exclude]
    only_for = [
        (
            compile_row_condition(rule.products, PRODUCT_COLUMNS).predicate(),
            compile_row_condition(rule.customers, columns).predicate(),
        )
        for rule in options.only_for
    ]
    return Rules(
        _holds_for_items(engine, " or ".join(excluded) or "false"),
        tuple(
            (_holds_for_items(engine, products), _holds_for_people(engine, lake, customers, columns))
            for products, customers in only_for
        ),
    )


def _nothing_to_recommend(shop: Shop) -> str | None:
    if not shop.customers:
        return "there are no customers"
    if shop.level is None:
        return "no purchase names a product or a category"
    return None if shop.items else "nothing was bought"


def _holds_for_items(engine: duckdb.DuckDBPyConnection, predicate: str) -> np.ndarray:
    found = engine.execute(
        f"""
        select coalesce({predicate}, false) as holds
        from (select item, item_id as product_id, item_name as name, brand, category, price from items)
        order by item
        """
    ).fetchnumpy()
    return np.asarray(found["holds"], dtype=bool)


def _holds_for_people(
    engine: duckdb.DuckDBPyConnection, lake: Lake, predicate: str, columns: Mapping[str, str]
) -> np.ndarray:
    """Whether each customer fulfils the condition; a column that is not there is null."""
    tables, present = [], set()
    for table in CUSTOMER_TABLES:
        path = lake.table("cdp", table)
        if path.exists():
            source = parquet(path)
            found = [row[0] for row in engine.execute(f"describe select * from {source}").fetchall()]
            kept = [
                name for name in found if name in columns and name not in present and name != "customer_id"
            ]
            present.update(kept)
            tables.append(
                f"(select customer_id, {', '.join(map(quoted, kept)) or '1 as nothing'} from {source})"
            )
    absent = "".join(
        f", null::{kind} as {quoted(name)}"
        for name, kind in columns.items()
        if name not in present and name != "customer_id"
    )
    joins = " ".join(
        f"left join {table} as table_{number} using (customer_id)" for number, table in enumerate(tables)
    )
    rows = engine.execute(
        f"""
        select coalesce({predicate}, false) as holds
        from (select *{absent} from people {joins})
        order by customer
        """
    ).fetchnumpy()
    return np.asarray(rows["holds"], dtype=bool)


def _load_places(engine: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """The region, or else the country, that a customer lives in."""
    engine.execute(
        f"""
        create table places as
        select people.customer, coalesce(region, country) as name
        from people
        inner join {parquet(lake.table("cdp", "customers"))} as customers using (customer_id)
        where coalesce(region, country) is not null
        order by customer
        """
    )


# Judging


def _choose(
    engine: duckdb.DuckDBPyConnection,
    shop: Shop,
    rules: Rules,
    learning: Learning,
    order: np.ndarray,
    horizon: int,
) -> Choice:
    """Train the blend one horizon earlier, judge every recommender on the last one, and choose."""
    if horizon < MIN_HORIZON:
        return _unjudged(
            f"{shop.days} days of purchases are too few to judge by, {4 * MIN_HORIZON} are needed"
        )
    earlier = _play(engine, shop, rules, learning, order, 2 * horizon, horizon, TRAINING_CUSTOMERS)
    labels = np.isin(_keys(earlier.candidates, shop), earlier.bought)
    blend = None
    if MIN_POSITIVES <= labels.sum() < len(labels):
        blend = HistGradientBoostingClassifier(
            max_iter=30,
            max_leaf_nodes=15,
            min_samples_leaf=50,
            early_stopping=False,
            random_state=learning.seed,
        ).fit(earlier.candidates.features, labels)
    del earlier
    later = _play(engine, shop, rules, learning, order, horizon, horizon, JUDGED_CUSTOMERS)
    judged = len(np.unique(later.bought // shop.items))
    if judged < MIN_JUDGED:
        return _unjudged(f"{judged} customers bought in the last {horizon} days, {MIN_JUDGED} are needed")
    candidates = later.candidates
    scores = {name: candidates.score(name) for name in (*BASELINES, SIMILAR, FACTORISED)}
    if blend is not None:
        scores[BLEND] = blend.predict_proba(candidates.features)[:, 1]
    return _promote(later, scores, blend, shop, learning.seed, horizon)


def _play(
    engine: duckdb.DuckDBPyConnection,
    shop: Shop,
    rules: Rules,
    learning: Learning,
    order: np.ndarray,
    age: int,
    horizon: int,
    customers: int,
) -> Round:
    """Candidates as of `age` days ago for the first so many customers who were known by then, and what they bought."""
    moment = remember(engine, age, rules, learning, order)
    known = np.asarray(
        engine.execute("select known_age from people order by customer").fetchnumpy()["known_age"]
    )
    chosen = np.sort(order[known[order] >= age][:customers])
    pairs = read_pairs(engine, chosen)
    parts = list(shortlist(moment, chosen, pairs))
    engine.register("chosen", pd.DataFrame({"customer": chosen.astype(np.int32)}))
    found = engine.execute(
        f"""
        select distinct customer, item
        from purchases
        semi join chosen using (customer)
        where age < {age} and age >= {age - horizon}
        order by customer, item
        """
    ).fetchnumpy()
    engine.unregister("chosen")
    return Round(
        Candidates(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                if parts
                else np.zeros((0, len(FEATURES)) if name == "features" else 0, dtype=np.int64)
                for name in ("customer", "item", "features")
            )
        ),
        np.asarray(found["customer"]).astype(np.int64) * shop.items + np.asarray(found["item"]),
        pairs.customer.astype(np.int64) * shop.items + pairs.item,
    )


def _keys(candidates: Candidates, shop: Shop) -> np.ndarray:
    return candidates.customer.astype(np.int64) * shop.items + candidates.item


def _promote(
    later: Round,
    scores: dict[str, np.ndarray],
    blend: HistGradientBoostingClassifier | None,
    shop: Shop,
    seed: int,
    horizon: int,
) -> Choice:
    """The strongest learned recommender, if its difference to the best simple one is above 0 for certain."""
    candidates = later.candidates
    hits = {
        name: judge_lists(candidates.customer, candidates.item, score, later.bought, shop.items)
        for name, score in scores.items()
    }
    ndcg = estimate_means({name: hit.ndcg for name, hit in hits.items()}, seed)
    best = max(BASELINES, key=lambda name: (round(ndcg[name].value, 12), name))
    contenders = [name for name in LEARNED if name in scores]
    challenger = _strongest(hits, ndcg, contenders, seed)
    gain = estimate_means(
        {challenger: hits[challenger].ndcg, best: hits[best].ndcg}, seed, best, len(contenders)
    )[challenger]
    wins = gain.low > 0
    champion, verdict = (challenger, "promoted") if wins else (best, "refused")
    note = (
        f"{champion} recommends: NDCG@{AT} {ndcg[champion].value:.3f}, {best} {ndcg[best].value:.3f}"
        if wins
        else f"{best} recommends, {challenger} is not better for certain"
    )
    lines = [
        CardLine(
            f"gain_in_ndcg_at_{AT}",
            gain,
            0.0,
            best,
            verdict,
            f"{challenger} against the best simple recommender on purchases of the last {horizon} days; paired, the "
            f"interval is for {len(contenders)} comparisons; {note}",
        )
    ]
    lines += _measured(hits, later, "", f"{len(hits[best].ndcg):,} customers who bought", seed, best)
    is_new = candidates.column("is_own") == 0
    bought_new = later.bought[~np.isin(later.bought, later.owned)]
    if len(bought_new):
        new_hits = {
            name: judge_lists(
                candidates.customer[is_new], candidates.item[is_new], score[is_new], bought_new, shop.items
            )
            for name, score in scores.items()
            if name not in OWN
        }
        judged = f"{len(new_hits[POPULAR].ndcg):,} customers who bought something new to them"
        lines += _measured(new_hits, later, "_new", judged, seed, None)
    if blend is not None:
        labels = np.isin(_keys(candidates, shop), later.bought).astype(np.float64)
        error = calibration_metrics(labels, scores[BLEND], np.ones((1, len(labels))))["ece"][0]
        lines.append(
            CardLine(
                "ece.blend",
                Estimate(float(error), float("nan"), float("nan")),
                float(labels.mean()),
                "share of candidates that were bought",
                note="mean gap between the probability that the blend gives and the share that was bought",
            )
        )
    return Choice(champion, blend if champion == BLEND else None, tuple(lines), verdict, note)


def _strongest(hits: dict[str, Hits], ndcg: dict[str, Estimate], learned: list[str], seed: int) -> str:
    """The learned recommender with the best NDCG; the blend, whose scores are probabilities, unless another is better
    for certain."""
    best = max(learned, key=lambda name: (round(ndcg[name].value, 12), name))
    if best == BLEND or BLEND not in learned:
        return best
    lead = estimate_means({best: hits[best].ndcg, BLEND: hits[BLEND].ndcg}, seed, BLEND, len(learned))[best]
    return best if lead.low > 0 else BLEND


def _measured(
    hits: dict[str, Hits], later: Round, suffix: str, judged: str, seed: int, best: str | None
) -> list[CardLine]:
    """Recall and NDCG of every recommender, each beside the best simple one."""
    lines = []
    for metric in ("recall", "ndcg"):
        means = estimate_means({name: getattr(hit, metric) for name, hit in hits.items()}, seed)
        simple = best or max(
            (name for name in BASELINES if name in means), key=lambda name: (means[name].value, name)
        )
        lines += [
            CardLine(
                f"{metric}_at_{AT}{suffix}.{name}",
                estimate,
                means[simple].value if name != simple else None,
                simple if name != simple else None,
                note=judged,
            )
            for name, estimate in means.items()
        ]
    return lines


def _unjudged(reason: str) -> Choice:
    note = f"{BUY_AGAIN} and what is popular recommend: {reason}"
    line = CardLine("none", None, None, None, "reported", note)
    return Choice(BUY_AGAIN, None, (line,), "reported", note)


# Publishing


def _rows(part: Candidates, learnt: Learnt, pairs: Pairs) -> pd.DataFrame:
    """The recommendations of a block of customers, with the reason of each in words."""
    moment, choice, catalogue = learnt.moment, learnt.choice, learnt.catalogue
    score = (
        choice.blend.predict_proba(part.features)[:, 1]
        if choice.blend is not None
        else part.score(choice.recommender)
    )
    rows, place = take_best(part.customer, part.item, score, learnt.products)
    customer, item = part.customer[rows], part.item[rows]
    is_new = part.column("is_own")[rows] == 0
    return pd.DataFrame(
        {
            "customer": customer,
            "rank": place + 1,
            "product_id": np.asarray(catalogue["item_id"])[item],
            "product_name": np.asarray(catalogue["item_name"])[item],
            "category": _filled(catalogue["category"])[item],
            "is_new": is_new,
            "score": np.round(score[rows], DIGITS),
            "reason": explain(moment, pairs, customer, item, is_new, np.asarray(catalogue["item_name"])),
            "recommender": choice.recommender,
        }
    )


def _for_all(customers: np.ndarray, same: np.ndarray, customer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each customer and the rows of the one that they are alike; `customer` (rows,) says whose those are, rising."""
    begin, end = np.searchsorted(customer, same, side="left"), np.searchsorted(customer, same, side="right")
    size = end - begin
    ends = np.cumsum(size)
    place = np.arange(ends[-1]) - np.repeat(ends - size, size)
    return np.repeat(customers, size), np.repeat(begin, size) + place


def _filled(values: np.ndarray) -> np.ndarray:
    """Text with None for what is missing."""
    filled = np.asarray(np.ma.getdata(values), dtype=object).copy()
    filled[np.ma.getmaskarray(values)] = None
    return filled


def explain(
    moment: Moment,
    pairs: Pairs,
    customer: np.ndarray,
    item: np.ndarray,
    is_new: np.ndarray,
    item_names: np.ndarray,
) -> np.ndarray:
    """Why each row (rows,) is recommended, from what is known of it and not from what the model made of it."""
    reasons = np.empty(len(customer), dtype=object)
    group = group_of(moment.groups, customer)
    everybody = len(moment.groups.names) - 1
    is_popular = moment.groups.popularity[group, item] > moment.groups.popularity[everybody, item]
    for number in np.unique(group):
        reasons[(group == number) & is_popular] = moment.groups.names[number]
    reasons[~is_popular] = moment.groups.names[everybody]
    because = _strongest_link(moment, pairs, customer, item)
    linked = is_new & (because >= 0)
    reasons[linked] = [f"bought by customers who also buy {name}" for name in item_names[because[linked]]]
    again = np.flatnonzero(~is_new)
    count = len(moment.items.buyers)
    owned = pairs.customer.astype(np.int64) * count + pairs.item
    at = np.searchsorted(owned, customer[again].astype(np.int64) * count + item[again])
    gap, last = usual_gap(moment.items, pairs)[at], pairs.last[at]
    reasons[again] = [
        f"usually bought again every {max(1, round(days))} days, last {_ago(ago)}"
        for days, ago in zip(gap, last, strict=True)
    ]
    return reasons


def _ago(days: int) -> str:
    return "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"


def _strongest_link(moment: Moment, pairs: Pairs, customer: np.ndarray, item: np.ndarray) -> np.ndarray:
    """The item that the customer bought and that speaks most for each recommended one (rows,), -1 without one."""
    result = np.full(len(customer), -1, dtype=np.int64)
    if not len(moment.trained) or not len(pairs):
        return result
    people = np.unique(customer)
    left, right = np.searchsorted(pairs.customer, [people[0], people[-1] + 1])
    part = Pairs(*(getattr(pairs, name)[left:right] for name in Pairs.__dataclass_fields__))
    everyone = np.arange(people[0], people[-1] + 1)
    bought = weigh(part, moment.trained, len(moment.items.buyers), everyone)[0]
    place = np.full(len(moment.items.buyers), -1, dtype=np.int64)
    place[moment.trained] = np.arange(len(moment.trained))
    rows = np.flatnonzero(place[item] >= 0)
    if not len(rows):
        return result
    # Columns of the likeness are what leads to an item; those of the rows, one after another, times what was bought.
    leads = moment.similarity.T.tocsr()[place[item[rows]]]
    links = leads.multiply(bought[customer[rows] - people[0]]).tocsr()
    links.sort_indices()
    found = np.flatnonzero(np.diff(links.indptr))
    if len(found):
        owner = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
        best = np.lexsort((links.indices, -np.round(links.data, DIGITS), owner))
        first = best[links.indptr[found]]
        result[rows[found]] = moment.trained[links.indices[first]]
    return result
