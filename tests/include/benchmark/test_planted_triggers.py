from __future__ import annotations

import pandas as pd
import pytest

from include.benchmark.planted_triggers import compare_with_truth
from include.demo.behaviour import EFFECTS

TRUTH = pd.DataFrame(
    {
        "trigger": [effect.trigger for effect in EFFECTS],
        "hazard_multiplier": [effect.multiplier for effect in EFFECTS],
    }
)


def test_what_is_found_covered_and_false_is_counted_once_per_signal_and_channel():
    rows = [
        ("call: product advice, resolved", "online", 2.9, 2.5, 3.4, "raises"),
        ("call: product advice, resolved", "store", 1.2, 1.1, 1.3, "raises"),
        ("call: product advice, resolved", "any", 1.5, 1.4, 1.6, "raises"),
        ("call: product advice, escalated", "online", 0.7, 0.5, 1.1, "none shown"),
        ("call: loyalty points, resolved", "online", 1.1, 0.9, 1.3, "none shown"),
        ("price drop on line on a third or more of what they buy", "online", 2.0, 1.9, 2.1, "raises"),
        ("birthday", "online", 1.0, 0.8, 1.2, "none shown"),
        ("move", "online", None, None, None, "too few"),
    ]
    table = pd.DataFrame(rows, columns=["trigger", "sales_channel", "effect", "low", "high", "verdict"])
    truth = compare_with_truth(table.assign(category="any", stage="any", window_days=7), TRUTH)
    assert truth.found_share == pytest.approx(2 / 3)
    assert truth.covered_share == pytest.approx(2 / 4)
    assert (truth.false_found, truth.judged) == (1, 3)
