"""A second and a third try for what may pass by itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from include.ledger import SourceUnreachable

PAUSES = (2.0, 10.0)  # seconds before the second and the third try

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def try_again(attempt: Callable[[], Result]) -> Result:
    """Call `attempt` up to three times, with growing pauses, while it raises SourceUnreachable.

    Raises the last SourceUnreachable, which then says how often it was tried.
    """
    for pause in PAUSES:
        try:
            return attempt()
        except SourceUnreachable as failure:
            log.warning("%s; next try in %s seconds", failure, pause)
            time.sleep(pause)
    try:
        return attempt()
    except SourceUnreachable as failure:
        raise SourceUnreachable(f"{failure}; tried {len(PAUSES) + 1} times") from None
