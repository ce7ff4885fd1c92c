"""What each recommender knows at a cutoff, and the products that it would put forward for a block of customers.

Four are simple: what most people buy, what people of the same taste or place buy, what the customer bought and is due
to buy again, and what the customer bought most often. Two are of the library implicit: similar items by BM25 (items
that share buyers) and alternating least squares for implicit feedback (Hu, Koren, Volinsky 2008). All see purchases up
to the cutoff and nothing after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight
from scipy import sparse

from ml.toplists import places_of

# A purchase counts half after so many days; weights are whole millionths, so that their sums do not hang on the order.
HALF_LIFE_DAYS = 90
WEIGHT_UNIT = 1_000_000
POPULAR_DAYS = 56
MIN_BUYERS = 5
MAX_ITEMS = 5_000
MIN_GROUP = 100
MAX_GROUPS = 100
# So many customers of a group's own weigh as much as everybody together.
PRIOR_CUSTOMERS = 50
REPEATED_SHARE = 0.10
MIN_REPEATERS = 5
JUST_BOUGHT = 0.25  # of the usual gap, in which an item is not recommended again
OWN_ITEMS = 150
NEIGHBOURS = 50
# Robertson and Walker 1994, as usual: how soon repeats add no more, and how far much bought items count less.
K1, B = 1.2, 0.75
FACTORS = 32
ITERATIONS = 8
CONFIDENCE = 5.0
MAX_TRAINING_PAIRS = 3_000_000
CELLS = 10_000_000

POPULAR, POPULAR_IN_GROUP, BUY_AGAIN, MOST_BOUGHT, SIMILAR, FACTORISED, BLEND = (
    "popular",
    "popular_in_group",
    "buy_again",
    "most_bought",
    "similar_items",
    "als",
    "blend",
)
OWN = (BUY_AGAIN, MOST_BOUGHT)  # which know nothing of what is new to a customer
BASELINES = (POPULAR, POPULAR_IN_GROUP, *OWN)
FEATURES = (
    "is_own",
    "own_days",
    "own_share",
    "own_freshness",
    "days_since_own",
    "rhythm",
    "item_gap",
    "item_repeated",
    "item_age",
    "popular",
    "popular_in_group",
    "similar_items",
    "als",
    "category_share",
    "customer_days",
    "customer_items",
    "customer_recency",
)


@dataclass(frozen=True)
class Learning:
    """How recommenders learn: what was not sold for `unsold_days` is not put forward; `shortlist` candidates each."""

    unsold_days: int
    shortlist: int
    seed: int


@dataclass(frozen=True)
class Rules:
    """What may not be recommended: `excluded` (items,) at all, and each of `only_for` (items that are meant, customers
    who may be offered them) to all other customers."""

    excluded: np.ndarray
    only_for: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


@dataclass(frozen=True)
class Items:
    """What is known of each item at a cutoff; arrays (items,). `gap` is the usual number of days until it is bought
    again, NaN when hardly anybody does; `is_allowed` is false for what is excluded, gone, or was not sold for long."""

    buyers: np.ndarray
    popularity: np.ndarray
    age: np.ndarray
    gap: np.ndarray
    repeated: np.ndarray
    is_allowed: np.ndarray
    category: np.ndarray


@dataclass(frozen=True)
class Groups:
    """Groups of customers with popularity of their own: `taste` and `place` (customers,) are rows of `popularity`
    (groups, items), the last of which is everybody. `names` says what is popular where."""

    taste: np.ndarray
    place: np.ndarray
    popularity: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class Pairs:
    """What customers bought before the cutoff, one entry per customer and item in this order. `last` and `first` are
    days before the cutoff, `days` how many days it was bought on, `weight` the same with old days counting less."""

    customer: np.ndarray
    item: np.ndarray
    days: np.ndarray
    last: np.ndarray
    first: np.ndarray
    weight: np.ndarray
    is_returned: np.ndarray

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True)
class Moment:
    """Everything known at a cutoff, `age` days before the business day. Each recommender puts forward `shortlist` items
    per customer: `popular` (groups, shortlist) are those of each group, similarity and factors are of the items that
    `trained` numbers."""

    age: int
    items: Items
    groups: Groups
    rules: Rules
    shortlist: int
    popular: np.ndarray
    trained: np.ndarray
    similarity: sparse.csr_matrix
    als: AlternatingLeastSquares | None


@dataclass(frozen=True)
class Candidates:
    """Products that may be put forward: customer and item (rows,) in this order, and `features` (rows, FEATURES)."""

    customer: np.ndarray
    item: np.ndarray
    features: np.ndarray

    def column(self, name: str) -> np.ndarray:
        return self.features[:, FEATURES.index(name)]

    def score(self, recommender: str) -> np.ndarray:
        """How strongly one of the recommenders (not the blend) puts each row forward; ties broken by popularity."""
        popular = self.column(POPULAR).astype(np.float64)
        if recommender == POPULAR:
            return popular
        if recommender == BUY_AGAIN:
            # What is overdue by more than twice its rhythm has perhaps been given up.
            again = self.column("own_freshness") * np.minimum(
                1.0, 2.0 / np.maximum(self.column("rhythm"), 1e-6)
            )
            return np.where(self.column("is_own") > 0, again, 0.0) + 1e-6 * popular
        if recommender == MOST_BOUGHT:
            return self.column("own_share") + 1e-6 * popular
        return self.column(recommender).astype(np.float64) + 1e-6 * popular


def remember(
    engine: duckdb.DuckDBPyConnection,
    age: int,
    rules: Rules,
    settings: Learning,
    sample: np.ndarray,
) -> Moment:
    """Learn every recommender from purchases of at least `age` days before the business day.

    Item-to-item and factors are learned from the customers of `sample`, as many of them as have 3 million pairs. Leaves
    the table `pairs` of this cutoff in the engine, which `read_pairs` reads.
    """
    _make_pairs(engine, age)
    items = _describe_items(engine, rules, settings.unsold_days)
    groups = _group_customers(engine, items)
    popular = _most_popular(items, groups, settings.shortlist)
    order = np.lexsort((np.arange(len(items.buyers)), -items.buyers))
    trained = np.sort(order[items.buyers[order] >= MIN_BUYERS][:MAX_ITEMS])
    pairs = read_pairs(engine, _bounded(engine, sample))
    matrix = weigh(pairs, trained, len(items.buyers))[0]
    if not matrix.nnz:
        nothing = sparse.csr_matrix((0, 0), dtype=np.float32)
        return Moment(age, items, groups, rules, settings.shortlist, popular, trained[:0], nothing, None)
    similar = ItemItemRecommender(K=NEIGHBOURS, num_threads=1)
    similar.fit(bm25_weight(matrix.T, K1, B).T.tocsr(), show_progress=False)
    factors = int(min(FACTORS, max(2, min(matrix.shape) // 2)))
    als = AlternatingLeastSquares(
        factors=factors,
        regularization=1.0,
        alpha=CONFIDENCE,
        iterations=ITERATIONS,
        num_threads=1,
        random_state=settings.seed,
    )
    als.fit(matrix, show_progress=False)
    similarity = similar.similarity.tocsr().astype(np.float32)
    similarity.sort_indices()
    return Moment(age, items, groups, rules, settings.shortlist, popular, trained, similarity, als)


def read_pairs(
    engine: duckdb.DuckDBPyConnection,
    customers: np.ndarray | None = None,
    span: tuple[int, int] | None = None,
) -> Pairs:
    """Pairs of these customers, or of those numbered from `span[0]` up to before `span[1]`."""
    where = "true" if span is None else f"customer >= {span[0]} and customer < {span[1]}"
    chosen = "pairs"
    if customers is not None:
        engine.register("wanted", {"customer": np.asarray(customers, dtype=np.int32)})
        chosen = "(select pairs.* from pairs semi join wanted using (customer)) as pairs"
    columns = engine.execute(
        f"""
        select customer, item, days, last, first, weight, returns.item is not null as is_returned
        from {chosen}
        left join returns using (customer, item)
        where {where}
        order by customer, item
        """
    ).fetchnumpy()
    if customers is not None:
        engine.unregister("wanted")
    columns = {name: np.asarray(values) for name, values in columns.items()}
    columns["weight"] = columns["weight"].astype(np.float64) / WEIGHT_UNIT
    return Pairs(**columns)


def shortlist(moment: Moment, customers: np.ndarray, pairs: Pairs) -> Iterator[Candidates]:
    """Candidates of `customers` (their numbers, rising) in blocks; `pairs` holds all that these customers bought.

    Nothing that the rules exclude is among them, nothing that the customer returned, and nothing just bought.
    """
    rows = max(1, min(5_000, CELLS // max(1, len(moment.trained))))
    for begin in range(0, len(customers), rows):
        block = customers[begin : begin + rows]
        left, right = np.searchsorted(pairs.customer, [block[0], block[-1] + 1])
        part = Pairs(*(getattr(pairs, name)[left:right] for name in Pairs.__dataclass_fields__))
        yield _candidates(moment, block, part)


def _make_pairs(engine: duckdb.DuckDBPyConnection, age: int) -> None:
    fresh = f"round({WEIGHT_UNIT} * pow(0.5, (age - {age}) / {HALF_LIFE_DAYS}.0))"
    engine.execute(
        f"""
        create or replace table pairs as
        select
            customer,
            item,
            cast(count(*) as integer) as days,
            cast(min(age) - {age} as integer) as last,
            cast(max(age) - {age} as integer) as first,
            cast(sum(cast({fresh} as bigint)) as bigint) as weight
        from purchases
        where age >= {age}
        group by customer, item
        order by customer, item
        """
    )


def _describe_items(engine: duckdb.DuckDBPyConnection, rules: Rules, unsold_days: int) -> Items:
    columns = engine.execute(
        f"""
        with known as (
            select
                item,
                count(*) as buyers,
                count(*) filter (where last < {POPULAR_DAYS}) as lately,
                min(last) as age,
                count(*) filter (where days > 1) as repeaters,
                median((first - last) / (days - 1)) filter (where days > 1) as gap
            from pairs
            group by item
        )
        select
            coalesce(buyers, 0) as buyers, coalesce(lately, 0) as lately, coalesce(age, 1000000) as age,
            coalesce(repeaters, 0) as repeaters, coalesce(gap, 'nan'::double) as gap,
            is_in_catalogue, dense_rank() over (order by category nulls first) as category
        from items
        left join known using (item)
        order by item
        """
    ).fetchnumpy()
    columns = {name: np.asarray(values) for name, values in columns.items()}
    (active,) = engine.execute(
        f"select greatest(count(distinct customer) filter (where last < {POPULAR_DAYS}), 1) from pairs"
    ).fetchone()
    buyers = columns["buyers"].astype(np.int64)
    repeated = columns["repeaters"] / np.maximum(buyers, 1)
    is_repeated = (repeated >= REPEATED_SHARE) & (columns["repeaters"] >= MIN_REPEATERS)
    return Items(
        buyers=buyers,
        popularity=(columns["lately"] / active).astype(np.float32),
        age=columns["age"].astype(np.int64),
        gap=np.where(is_repeated, columns["gap"].astype(np.float64), np.nan),
        repeated=repeated.astype(np.float32),
        is_allowed=columns["is_in_catalogue"].astype(bool) & (columns["age"] < unsold_days) & ~rules.excluded,
        category=columns["category"].astype(np.int64),
    )


def _group_customers(engine: duckdb.DuckDBPyConnection, items: Items) -> Groups:
    """Taste is the category that a customer mostly bought, place where a customer lives; small groups are everybody."""
    engine.execute(
        """
        create or replace table memberships as
        with tastes as (
            select customer, category as name
            from pairs
            inner join items using (item)
            where category is not null
            group by customer, category
            qualify row_number() over (partition by customer order by sum(weight) desc, category) = 1
        )
        select customer, 'taste' as kind, name from tastes
        union all
        select customer, 'place' as kind, name from places
        """
    )
    large = engine.execute(
        f"""
        create or replace table large_groups as
        select cast(row_number() over (order by members desc, kind, name) - 1 as integer) as number, kind, name, members
        from (select kind, name, count(*) as members from memberships group by all having count(*) >= {MIN_GROUP})
        order by number
        limit {MAX_GROUPS};
        select kind, name, members from large_groups order by number
        """
    ).fetchall()
    everybody = len(large)
    popularity = np.tile(items.popularity, (everybody + 1, 1))
    counts = engine.execute(
        f"""
        select number, item, count(*) as buyers
        from pairs
        inner join memberships using (customer)
        inner join large_groups using (kind, name)
        where last < {POPULAR_DAYS}
        group by all
        order by number, item
        """
    ).fetchnumpy()
    active = engine.execute(
        f"""
        select number, count(distinct customer) as active
        from pairs
        inner join memberships using (customer)
        inner join large_groups using (kind, name)
        where last < {POPULAR_DAYS}
        group by all
        order by number
        """
    ).fetchnumpy()
    size = np.zeros(everybody + 1)
    size[np.asarray(active["number"], dtype=np.int64)] = active["active"]
    popularity *= (PRIOR_CUSTOMERS / (size + PRIOR_CUSTOMERS))[:, None].astype(np.float32)
    popularity[everybody] = items.popularity
    number = np.asarray(counts["number"], dtype=np.int64)
    popularity[number, np.asarray(counts["item"], dtype=np.int64)] += (
        np.asarray(counts["buyers"]) / (size[number] + PRIOR_CUSTOMERS)
    ).astype(np.float32)
    members = engine.execute(
        f"""
        select
            coalesce(max(number) filter (where kind = 'taste'), {everybody}) as taste,
            coalesce(max(number) filter (where kind = 'place'), {everybody}) as place
        from people
        left join (select customer, kind, number from memberships inner join large_groups using (kind, name)) as found
            using (customer)
        group by customer
        order by customer
        """
    ).fetchnumpy()
    names = [
        f"popular with customers who mostly buy {name}" if kind == "taste" else f"popular in {name}"
        for kind, name, _ in large
    ]
    return Groups(
        np.asarray(members["taste"], dtype=np.int64),
        np.asarray(members["place"], dtype=np.int64),
        popularity,
        [*names, "popular with all customers"],
    )


def _bounded(engine: duckdb.DuckDBPyConnection, sample: np.ndarray) -> np.ndarray:
    """As many of the customers of the sample, in its order, as have three million pairs between them."""
    if not len(sample):
        return sample
    counted = engine.execute("select customer, count(*) as pairs from pairs group by customer").fetchnumpy()
    sizes = np.zeros(int(max(sample.max(), np.max(counted["customer"], initial=0))) + 1, dtype=np.int64)
    sizes[np.asarray(counted["customer"], dtype=np.int64)] = counted["pairs"]
    return np.sort(sample[np.cumsum(sizes[sample]) <= MAX_TRAINING_PAIRS])


def weigh(
    pairs: Pairs, trained: np.ndarray, items: int, customers: np.ndarray | None = None
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The matrix (customers, trained items) of weights, and the row of each pair; without `customers`, one row for each
    that has a pair."""
    present = np.unique(pairs.customer) if customers is None else customers
    rows = np.searchsorted(present, pairs.customer)
    place = np.full(items, -1, dtype=np.int64)
    place[trained] = np.arange(len(trained))
    columns = place[pairs.item]
    known = columns >= 0
    weights = np.log1p(pairs.weight[known]).astype(np.float32)
    matrix = sparse.csr_matrix(
        (weights, (rows[known], columns[known])), shape=(len(present), len(trained)), dtype=np.float32
    )
    matrix.sort_indices()
    return matrix, rows


def _candidates(moment: Moment, customers: np.ndarray, pairs: Pairs) -> Candidates:
    items, groups, trained = moment.items, moment.groups, moment.trained
    count = len(items.buyers)
    group = group_of(groups, customers)
    matrix, pair_row = weigh(pairs, trained, count, customers)
    linked = (matrix @ moment.similarity).tocsr() if len(trained) else matrix
    likeness = linked.toarray()
    if moment.als is not None:
        factors = moment.als.recalculate_user(np.arange(len(customers)), matrix)
        affinity = factors @ moment.als.item_factors.T
    else:
        affinity = np.zeros((len(customers), 0), dtype=np.float32)
    keys = [_own_keys(items, pairs, pair_row, count)]
    owned = pair_row * count + pairs.item
    is_allowed = items.is_allowed[trained]
    for rows, columns in (
        _best_links(linked, matrix, is_allowed, moment.shortlist),
        _best_affinities(affinity, matrix, is_allowed, moment.shortlist),
    ):
        keys.append(rows * count + trained[columns])
    best = moment.popular[group]
    keys.append((np.arange(len(customers))[:, None] * count + best).ravel())
    chosen = _rising(np.concatenate(keys))
    position = np.searchsorted(owned, chosen)
    is_own = (position < len(owned)) & (np.append(owned, -1)[np.minimum(position, len(owned))] == chosen)
    allowed_own = np.isin(chosen, keys[0], assume_unique=True)
    keep = ~is_own | allowed_own
    for meant, may in moment.rules.only_for:
        keep &= ~meant[chosen % count] | may[customers[chosen // count]]
    chosen, is_own, position = chosen[keep], is_own[keep], position[keep]
    row, item = chosen // count, chosen % count
    features = _features(moment, pairs, pair_row, row, item, is_own, position, group, likeness, affinity)
    return Candidates(customers[row], item, features)


def group_of(groups: Groups, customers: np.ndarray) -> np.ndarray:
    """The row of `popularity` that speaks for each customer: of the taste, else of the place, else everybody's."""
    taste = groups.taste[customers]
    return np.where(taste < len(groups.names) - 1, taste, groups.place[customers])


def alike(moment: Moment, customers: np.ndarray, pairs: Pairs) -> np.ndarray:
    """For each of the customers (their numbers, rising) the first of those whom the same is put forward for the same
    reasons: all who bought nothing, are of one group and may have the same. Who bought something is only alike
    themselves."""
    same = customers.copy()
    strangers = customers[~np.isin(customers, pairs.customer)]
    if len(strangers):
        traits = [group_of(moment.groups, strangers), *(may[strangers] for _, may in moment.rules.only_for)]
        _, first, which = np.unique(np.stack(traits), axis=1, return_index=True, return_inverse=True)
        same[np.searchsorted(customers, strangers)] = strangers[first[which.ravel()]]
    return same


def _own_keys(items: Items, pairs: Pairs, row: np.ndarray, count: int) -> np.ndarray:
    """What was bought before and may be bought again by now, of each customer the weightiest."""
    fits = items.is_allowed[pairs.item] & ~pairs.is_returned & is_due(items, pairs)
    order = np.flatnonzero(fits)
    order = order[np.lexsort((pairs.item[order], -pairs.weight[order], row[order]))]
    order = order[places_of(row[order]) < OWN_ITEMS]
    return row[order] * count + pairs.item[order]


def is_due(items: Items, pairs: Pairs) -> np.ndarray:
    """Whether each pair (pairs,) is of an item that is usually bought again, and not as good as just bought.

    Half of all repeats come before the usual gap has gone by, so only its first part rules an item out; how near the
    rhythm is to its end is for the models to weigh.
    The usual gap is the customer's own after three days of purchase, else the median of those who bought it again.
    """
    gap = usual_gap(items, pairs)
    return ~np.isnan(gap) & (pairs.last >= JUST_BOUGHT * gap)


def usual_gap(items: Items, pairs: Pairs) -> np.ndarray:
    """Days until the customer usually buys the item again (pairs,), NaN for what is bought once."""
    own = (pairs.first - pairs.last) / np.maximum(pairs.days - 1, 1)
    return np.where(pairs.days >= 3, own, items.gap[pairs.item])


def _most_popular(items: Items, groups: Groups, count: int) -> np.ndarray:
    """The `count` allowed items (groups, count) most bought in each group; of equals, what most ever bought."""
    allowed = np.flatnonzero(items.is_allowed)
    return np.stack(
        [
            allowed[np.lexsort((allowed, -items.buyers[allowed], -popularity[allowed]))][:count]
            for popularity in groups.popularity
        ]
    )


def _rising(keys: np.ndarray) -> np.ndarray:
    """The different keys, rising; on millions of whole numbers several times faster than numpy's unique."""
    ordered = np.sort(keys)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _best_links(
    linked: sparse.csr_matrix, owned: sparse.csr_matrix, is_allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (n,) of the `k` highest links above 0 of each row to what is allowed and not owned."""
    width = linked.shape[1]
    rows = np.repeat(np.arange(linked.shape[0]), np.diff(linked.indptr))
    open_to = (linked.data > 0) & is_allowed[linked.indices]
    rows, columns, scores = rows[open_to], linked.indices[open_to].astype(np.int64), linked.data[open_to]
    is_new = ~np.isin(rows * width + columns, _cells(owned), assume_unique=True)
    return _best_of_each(rows[is_new], columns[is_new], scores[is_new], k)


def _best_affinities(
    affinity: np.ndarray, owned: sparse.csr_matrix, is_allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same of affinities (rows, columns), hardly any of which are equal.

    The k-th best of a row is no less than the k-th best of the maxima of groups of its columns, so that what is below
    needs no sorting.
    """
    rows, columns = affinity.shape
    height = columns // max(4 * k, 1)
    cells = _cells(owned)
    kept = affinity.ravel()[cells]
    affinity.ravel()[cells] = -np.inf
    affinity[:, ~is_allowed] = -np.inf
    least = np.zeros(rows, dtype=np.float32)
    if height > 1:
        width = columns // height
        maxima = affinity[:, : width * height].reshape(rows, height, width).max(axis=1)
        least = np.maximum(np.partition(maxima, width - k, axis=1)[:, -k], 0)
    found = np.flatnonzero((affinity >= least[:, None]) & (affinity > 0))
    best = (
        _best_of_each(found // columns, found % columns, affinity.ravel()[found], k)
        if columns
        else (found, found)
    )
    affinity.ravel()[cells] = kept
    return best


def _cells(matrix: sparse.csr_matrix) -> np.ndarray:
    """The places of the values of a matrix among all of its cells, row after row."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def _best_of_each(
    rows: np.ndarray, columns: np.ndarray, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the `k` highest scores (n,) above 0 of each row, of equals the lower columns; `rows` rise.

    Whole numbers sort several times as fast as three keys: the row, then the score, of which the bits of a float above
    0 rise with it, then the column.
    """
    bits = int(columns.max(initial=0)).bit_length()
    falling = np.uint64(0xFFFFFFFF) - scores.astype(np.float32).view(np.uint32).astype(np.uint64)
    key = rows.astype(np.uint64) << np.uint64(32 + bits)
    key |= falling << np.uint64(bits)
    key |= columns.astype(np.uint64)
    key.sort(kind="stable")  # rows are in order already, of which the other kind makes no use
    columns = (key & np.uint64((1 << bits) - 1)).astype(np.int64)
    is_among = places_of(rows) < k
    return rows[is_among], columns[is_among]


def _features(
    moment: Moment,
    pairs: Pairs,
    pair_row: np.ndarray,
    row: np.ndarray,
    item: np.ndarray,
    is_own: np.ndarray,
    position: np.ndarray,
    group: np.ndarray,
    likeness: np.ndarray,
    affinity: np.ndarray,
) -> np.ndarray:
    items, rows = moment.items, len(group)
    at = np.where(is_own, position, 0)

    def own(values: np.ndarray, otherwise: float) -> np.ndarray:
        return np.where(is_own, values[at], otherwise) if len(values) else np.full(len(row), otherwise)

    place = np.full(len(items.buyers), -1, dtype=np.int64)
    place[moment.trained] = np.arange(len(moment.trained))
    column = place[item]

    def modelled(scores: np.ndarray) -> np.ndarray:
        return np.where(column >= 0, scores[row, column], 0.0) if scores.shape[1] else np.zeros(len(row))

    days = np.bincount(pair_row, weights=pairs.days, minlength=rows)
    bought = np.bincount(pair_row, minlength=rows)
    recency = np.full(rows, np.nan)
    if len(pairs):
        starts = np.flatnonzero(np.append(True, pair_row[1:] != pair_row[:-1]))
        recency[pair_row[starts]] = np.minimum.reduceat(pairs.last, starts)
    weights = np.bincount(pair_row, weights=pairs.weight, minlength=rows)
    categories = int(items.category.max()) + 1 if len(items.category) else 1
    in_category = pair_row * categories + items.category[pairs.item] if len(pairs) else pair_row
    found = _rising(in_category)
    inverse = np.searchsorted(found, in_category)
    sums = np.append(np.bincount(inverse, weights=pairs.weight, minlength=len(found)), 0.0)
    wanted = row * categories + items.category[item]
    where = np.searchsorted(found, wanted)
    matches = np.append(found, -1)[np.minimum(where, len(found))] == wanted
    category = np.where(matches, sums[np.minimum(where, len(found))], 0.0)
    gap = usual_gap(items, pairs)
    columns = {
        "is_own": is_own,
        "own_days": np.log1p(own(pairs.days, 0)),
        "own_share": own(pairs.weight, 0.0) / np.maximum(weights[row], 1e-6),
        "own_freshness": own(pairs.weight, 0.0),
        "days_since_own": own(pairs.last, np.nan),
        "rhythm": own(pairs.last / np.maximum(gap, 1.0), np.nan) if len(pairs) else np.full(len(row), np.nan),
        "item_gap": items.gap[item],
        "item_repeated": items.repeated[item],
        "item_age": items.age[item],
        "popular": items.popularity[item],
        "popular_in_group": moment.groups.popularity[group[row], item],
        "similar_items": modelled(likeness),
        "als": modelled(affinity),
        "category_share": category / np.maximum(weights[row], 1e-6),
        "customer_days": np.log1p(days[row]),
        "customer_items": np.log1p(bought[row]),
        "customer_recency": recency[row],
    }
    # What is not known is -1: a column of nothing else would be refused as one without values.
    return np.nan_to_num(
        np.column_stack([np.asarray(columns[name], dtype=np.float32) for name in FEATURES]), nan=-1.0
    )
