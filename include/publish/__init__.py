"""Publishing: write a release where no reader looks, audit it, then point readers to it in one step."""

from include.publish.history import forget_learned, keep_history
from include.publish.manifest import verify_release
from include.publish.release import (
    Release,
    current_release,
    point_readers_to,
    prune_releases,
    seal_release,
    write_release,
)
from include.publish.reuse import find_unchanged_release, release_of, remember_inputs
from include.publish.serving import roll_back, serve_release

__all__ = [
    "Release",
    "current_release",
    "find_unchanged_release",
    "forget_learned",
    "keep_history",
    "point_readers_to",
    "prune_releases",
    "release_of",
    "remember_inputs",
    "roll_back",
    "seal_release",
    "serve_release",
    "verify_release",
    "write_release",
]
