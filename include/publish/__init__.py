"""Publishing: write a release where no reader looks, audit it, then point readers to it in one step."""

from include.publish.manifest import verify_release
from include.publish.release import (
    Release,
    point_readers_to,
    prune_releases,
    seal_release,
    write_release,
)

__all__ = ["Release", "point_readers_to", "prune_releases", "seal_release", "verify_release", "write_release"]
