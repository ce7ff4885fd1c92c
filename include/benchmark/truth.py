"""What the demo's pipeline found, beside what its simulator planted: `python -m include.benchmark.truth [DATA]` after
`make demo`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from include.airflow_home import AirflowHome
from include.benchmark import planted_interests, planted_tastes, planted_triggers
from include.lake import Lake
from include.settings import DEMO_CONFIG, PROJECT


def compare_with_truth(data: Path, key: bytes) -> list[str]:
    """One line for each of triggers, interests and look-alikes, and one below it for each planted effect.

    `data` holds a finished run of the demo and the truth beside it, `key` is the run's pseudonym key. Raises
    FileNotFoundError when either is not there.
    """
    lake, truth = Lake(data), data / "demo_truth"

    def published(side: str, table: str) -> pd.DataFrame:
        return pd.read_parquet(lake.current / side / f"{table}.parquet")

    triggers = planted_triggers.compare_with_truth(
        published("cdp", "purchase_triggers"), pd.read_parquet(truth / "triggers.parquet")
    )
    interests = planted_interests.compare_with_truth(
        published("bridge", "offsite_interests"), pd.read_parquet(truth / "post_purchase_interests.parquet")
    )
    tastes = planted_tastes.compare_with_truth(
        published("dmp", "lookalike_members"),
        pd.read_parquet(lake.staged("visitor_features")),
        pd.read_parquet(lake.staged("known_visitors")),
        pd.read_parquet(truth / "stranger_tastes.parquet"),
        key,
    )
    return [*_triggers(triggers), *_interests(interests), *_tastes(tastes)]


def _triggers(truth: planted_triggers.TriggerTruth) -> list[str]:
    planted = truth.planted
    head = _head("triggers", planted["planted_effect"] != 1, planted["is_found"], planted["is_covered"])
    false = f"{truth.false_found} of {truth.judged} others claimed"
    return [
        f"{head}; {false}",
        *(
            f"  {row.trigger}: planted {row.planted_effect:g}, found {row.effect:.2f} ({row.low:.2f} to {row.high:.2f})"
            for row in planted.itertuples()
        ),
    ]


def _interests(truth: planted_interests.InterestTruth) -> list[str]:
    planted = truth.planted
    key = ["bought_category", "content_category"]
    found = planted.groupby(key)["is_found"].transform("any") if len(planted) else planted["is_found"]
    widest = ~planted.duplicated(key, keep="last")
    is_real = (planted["planted_multiplier"] != 1) & widest
    head = _head("interests", is_real, found, planted["is_covered"])
    false = f"{truth.false_found} of {truth.found} found are not planted; {truth.judged:,} others asked"
    return [
        f"{head}; {false}",
        *(
            f"  {row.bought_category} to {row.content_category}, {row.window_days} days: planted "
            f"{row.planted_multiplier:g}, found {row.multiplier:.2f} ({row.multiplier_low:.2f} to "
            f"{row.multiplier_high:.2f}), {row.verdict}"
            for row in planted[widest].itertuples()
        ),
        *(
            f"  {row.bought_category} to {row.content_category}: planted {row.planted_multiplier:g}, read by too few"
            for row in truth.untold.itertuples()
        ),
    ]


def _tastes(truth: planted_tastes.TasteTruth) -> list[str]:
    if truth.audiences.empty:
        return ["look-alikes: none is published"]
    return [
        f"look-alikes: {truth.share_of_oracle:.0%} of the lift at 5 % of an oracle that learned from the truth",
        *(
            f"  {row.audience_id}: lift {row.lift:.2f}, the oracle's {row.oracle_lift:.2f}, of chance 1"
            for row in truth.audiences.itertuples()
        ),
    ]


def _head(what: str, is_real: pd.Series, is_found: pd.Series, is_covered: pd.Series) -> str:
    found = f"{int((is_real & is_found).sum())} of {int(is_real.sum())} planted found"
    return f"{what}: {found}; {int(is_covered.sum())} of {len(is_covered)} intervals hold what is planted"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m include.benchmark.truth", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=PROJECT / "data", help="a finished demo")
    data = parser.parse_args(arguments).data.resolve()
    if not (data / "demo_truth").is_dir():
        parser.error(f"no {data / 'demo_truth'}: run `make demo` first")
    key = AirflowHome(data).environment(DEMO_CONFIG)["TANDEM_PSEUDONYM_KEY"]
    try:
        lines = compare_with_truth(data, key.encode())
    except ValueError as error:
        parser.error(f"{data}: {error}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
