"""Holds the published off-site interests of the demo against what its simulator planted."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

FOUND = ("rises", "falls")


@dataclass(frozen=True)
class InterestTruth:
    """`planted`: one row per planted interest and window that could be judged, with the planted multiplier, what was
    found, and whether it is found and covered; a multiplier of 1 is found when nothing is claimed. `untold`: planted
    interests, with their multiplier, of which too few people or pages are seen. `false_found`: interests claimed of
    which none is planted; `found`: all that are claimed; `judged`: the comparisons without a planted effect."""

    planted: pd.DataFrame
    untold: pd.DataFrame
    false_found: int
    found: int
    judged: int
    false_intervals: int

    @property
    def found_share(self) -> float:
        """Share of the judged interests with an effect that are found, in one of their windows at least."""
        real = self.planted[self.planted["planted_multiplier"] != 1]
        return float(real.groupby(["bought_category", "content_category"])["is_found"].any().mean())

    @property
    def covered_share(self) -> float:
        """Share of the intervals, the placebo's too, that hold the planted multiplier."""
        return float(self.planted["is_covered"].mean())

    @property
    def false_discovery_share(self) -> float:
        """Share of what is claimed that is not planted."""
        return self.false_found / max(self.found, 1)

    @property
    def false_interval_share(self) -> float:
        """Share of the comparisons without an effect whose 95 % interval says that there is one."""
        return self.false_intervals / max(self.judged, 1)


def compare_with_truth(interests: pd.DataFrame, truth: pd.DataFrame) -> InterestTruth:
    """Compare `offsite_interests` with the demo's `post_purchase_interests.parquet` (bought_category,
    content_category, multiplier, window_days).

    Only windows up to the planted one are of the planted multiplier.
    """
    key = ["bought_category", "content_category"]
    planted = truth[[*key, "multiplier", "window_days"]].rename(
        columns={"multiplier": "planted_multiplier", "window_days": "planted_days"}
    )
    judged = interests[interests["verdict"] != "too few"]
    rows = planted.merge(judged, on=key)
    rows = rows[rows["window_days"] <= rows["planted_days"]]
    right = rows["planted_multiplier"].map(lambda ratio: "rises" if ratio > 1 else "falls")
    is_null = rows["planted_multiplier"] == 1
    rows = rows.assign(
        is_found=(~is_null & (rows["verdict"] == right)) | (is_null & ~rows["verdict"].isin(FOUND)),
        is_covered=(rows["multiplier_low"] <= rows["planted_multiplier"])
        & (rows["multiplier_high"] >= rows["planted_multiplier"]),
    )
    real = planted.loc[planted["planted_multiplier"] != 1, key].assign(is_planted=True)
    others = judged.merge(real, on=key, how="left")
    others = others[others["is_planted"].isna()]
    columns = [
        *(*key, "window_days", "planted_multiplier", "buyers", "multiplier", "multiplier_low"),
        *("multiplier_high", "q_value", "verdict", "is_found", "is_covered"),
    ]
    told = rows.drop_duplicates(key)[key].assign(is_told=True)
    untold = planted.merge(told, on=key, how="left")
    return InterestTruth(
        rows[columns].reset_index(drop=True),
        untold.loc[untold["is_told"].isna(), [*key, "planted_multiplier"]].reset_index(drop=True),
        int(others["verdict"].isin(FOUND).sum()),
        int(judged["verdict"].isin(FOUND).sum()),
        len(others),
        int((others["p_value"] <= 0.05).sum()),
    )
