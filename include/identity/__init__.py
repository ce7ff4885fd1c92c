"""Who is who: evidence of identifiers in, customers with stable ids out."""

from include.identity.ids import forget_days
from include.identity.resolve import Resolved, resolve

__all__ = ["Resolved", "forget_days", "resolve"]
