"""The fixtures of the small lake."""

from tests.include.quality.small_lake import clean_lake, configuration, small

__all__ = ["clean_lake", "configuration", "small"]
