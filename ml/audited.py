"""The audited attributes of visitors, kept apart from what is learned from: how each group fares in a look-alike."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from include.lake import Lake
from ml.audience_world import Settings, World
from ml.fairness import audit, group_values
from ml.likeness import Judgement, Learned, Sample, places_of_unlabelled
from ml.scorecard import Facts
from ml.tables import parquet


def read_audited(lake: Lake, settings: Settings, world: World) -> dict[str, np.ndarray]:
    """For each audited trait the group (rows looked at,) of everybody in the sample, None where it is not known."""
    path = lake.staged("audited_traits")
    if not settings.audited or not path.exists():
        return {}
    ids = world.visitors.ids.take(pa.array(world.rows))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("sampled", pa.table({"visitor_id": ids, "place": np.arange(len(ids))}))
        found = connection.execute(f"""
            select sampled.place, audited.trait_id, min(audited.value) as value
            from {parquet(path)} as audited
            inner join sampled on audited.visitor_id = sampled.visitor_id
            where audited.value is not null
            group by all
            order by all
        """).df()
    groups = {}
    for trait, rows in found.groupby("trait_id"):
        if trait not in settings.audited:
            continue
        numbers = pd.to_numeric(rows["value"], errors="coerce")
        values = rows["value"].to_numpy(dtype=object)
        if numbers.notna().mean() >= 0.95 and numbers.nunique() > 10:
            values = group_values(numbers.to_numpy(dtype=np.float64))
        groups[trait] = np.full(len(ids), None, dtype=object)
        groups[trait][rows["place"].to_numpy()] = values
    return groups


def audit_groups(
    facts: Facts,
    sample: Sample,
    learned: Learned | None,
    judgement: Judgement,
    audited: dict[str, np.ndarray],
    world: World,
    settings: Settings,
) -> pd.DataFrame:
    """How each group of each audited attribute fares: rows of `lookalike_fairness`."""
    if not audited:
        return pd.DataFrame()
    if learned is None:
        of_candidates = ~judgement.labels
        rows, places = judgement.rows[of_candidates], judgement.places[of_candidates]
    else:
        candidates = np.flatnonzero(~sample.is_seed)
        rows, places = sample.rows[candidates], places_of_unlabelled(learned, sample)[candidates]
    order = np.argsort(rows, kind="stable")
    rows, places = rows[order], places[order]
    part = sample.take(np.searchsorted(sample.rows, rows))
    found = []
    for attribute, groups in sorted(audited.items()):
        of_rows = groups[np.searchsorted(world.rows, rows)]
        frame = audit(
            of_rows, places, part.matrix, part.families, part.folds, settings.minimum_cell, settings.seed
        )
        found.append(frame.assign(audience_id=facts.audience_id, attribute=attribute, as_of_date=facts.day))
    return pd.concat(found, ignore_index=True)
