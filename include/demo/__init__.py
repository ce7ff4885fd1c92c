"""The demo data: real-pattern store baskets and a simulator of all other channels, with the truth beside them."""

from include.demo.simulate import Summary, prepare
from include.demo.store import educational_use_note

__all__ = ["Summary", "educational_use_note", "prepare"]
