"""The fixtures of the small lake."""

from tests.include.quality.small_lake import clean_lake, cleared_lake, configuration, empty_lake, small

__all__ = ["clean_lake", "cleared_lake", "configuration", "empty_lake", "small"]
