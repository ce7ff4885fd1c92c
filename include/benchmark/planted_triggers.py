"""Holds the published purchase triggers of the demo against the effects that its simulator planted."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

# How the signals read to which the demo's causes lead; its effects are on on-line orders.
SIGNALS = {
    "advice_call_resolved": r"call: product advice, resolved",
    "advice_call_unresolved": r"call: product advice, (unresolved|escalated)",
    "points_call": r"call: loyalty points, \w+",
    "price_drop": r"price drop on line on a third or more of what they buy",
}
CHANNEL = "online"


@dataclass(frozen=True)
class TriggerTruth:
    """`planted`: one row per signal of a planted cause, with the planted ratio, what was found, and whether it is found
    and covered; a ratio of 1 is found when nothing is claimed. `false_found`: effects claimed, over all purchases of a
    channel, of signals without a planted effect; `judged`: how many of those could have been."""

    planted: pd.DataFrame
    false_found: int
    judged: int

    @property
    def found_share(self) -> float:
        """Share of the signals with a planted effect that are found, in the right direction."""
        real = self.planted[self.planted["planted_effect"] != 1]
        return float(real["is_found"].mean())

    @property
    def covered_share(self) -> float:
        """Share of the intervals, placebos' too, that hold the planted effect."""
        return float(self.planted["is_covered"].mean())

    @property
    def false_share(self) -> float:
        """Share of the signals without effect of which one is claimed."""
        return self.false_found / max(self.judged, 1)


def compare_with_truth(triggers: pd.DataFrame, truth: pd.DataFrame) -> TriggerTruth:
    """Compare `purchase_triggers` with the demo's `triggers.parquet` (trigger, hazard_multiplier).

    What could not be judged is left out. The total of both channels is no test of its own, nor are stages and
    categories: their rows repeat the same signals.
    """
    whole = triggers[(triggers["category"] == "any") & (triggers["stage"] == "any")]
    judged = whole[(whole["verdict"] != "too few") & (whole["sales_channel"] != "any")]
    online = judged[judged["sales_channel"] == CHANNEL]
    parts = []
    for cause, ratio in zip(truth["trigger"], truth["hazard_multiplier"], strict=True):
        part = online[online["trigger"].str.fullmatch(SIGNALS[cause])]
        right = "none shown" if ratio == 1 else "raises" if ratio > 1 else "lowers"
        parts.append(
            part.assign(
                cause=cause,
                planted_effect=ratio,
                is_found=part["verdict"] == right,
                is_covered=(part["low"] <= ratio) & (part["high"] >= ratio),
            )
        )
    planted = pd.concat(parts, ignore_index=True)
    real = planted.loc[planted["planted_effect"] != 1, "trigger"]
    others = judged[~((judged["sales_channel"] == CHANNEL) & judged["trigger"].isin(real))]
    columns = ["cause", "trigger", "window_days", "planted_effect", "effect", "low", "high", "verdict"]
    return TriggerTruth(
        planted[[*columns, "is_found", "is_covered"]],
        int(others["verdict"].isin(["raises", "lowers"]).sum()),
        len(others),
    )
