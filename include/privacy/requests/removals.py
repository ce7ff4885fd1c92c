"""The one way from an erasure to the destinations that hold a person in an audience."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from include.lake import Lake

if TYPE_CHECKING:
    from include.config import Configuration


def remove_from_destinations(lake: Lake, configuration: Configuration, customer_ids: list[str]) -> None:
    """Ask every destination that was sent these customers, or their devices, to forget them. Without activation there
    is none."""
    if not customer_ids or find_spec("include.activate") is None:
        return
    from include.activate.removals import remove_people

    remove_people(lake, configuration, customer_ids)
