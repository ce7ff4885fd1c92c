"""From a channel's files to typed rows in the lake: nothing lost, nothing silently changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.extract.channel import Extracted, extract_channel
    from include.extract.landing import complete_landing

__all__ = ["Extracted", "complete_landing", "extract_channel"]


def __getattr__(name: str) -> Any:
    """Load the engine only for who extracts: the configuration and the DAG need no more than the record kinds."""
    if name in ("Extracted", "extract_channel"):
        from include.extract import channel

        return getattr(channel, name)
    if name == "complete_landing":
        from include.extract.landing import complete_landing

        return complete_landing
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
