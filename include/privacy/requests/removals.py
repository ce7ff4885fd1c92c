"""The one way from an erasure to the destinations that hold a person in an audience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.lake import Lake
from include.ledger import StepFailed
from include.publish.release import sealed_releases

if TYPE_CHECKING:
    from include.config import Configuration


def remove_from_destinations(
    lake: Lake, configuration: Configuration, customer_ids: list[str], visitor_ids: list[str]
) -> None:
    """Have every destination that was sent these customers or their devices forget them, and take them out of the
    files that were sent.

    Raises StepFailed when one cannot be reached: what it holds is known from these files alone, so they stay until it
    has removed them.
    """
    from include.activate.removals import remove_people

    if not customer_ids and not visitor_ids:
        return
    removed = remove_people(lake, configuration, customer_ids, visitor_ids)
    if removed.problems:
        raise StepFailed(
            f"privacy: {removed.problems[0]}; run the request again when the destination can be reached"
        )
    for release in sealed_releases(lake):
        removed.purge(release / "activation")
