"""Specs: how the rows of a format become the canonical columns of a record kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from include.extract.specs.canonical import Canonical
from include.ledger import StepFailed

if TYPE_CHECKING:
    from include.config import Channel
    from include.extract.formats.reading import Source, SourceFile
    from include.extract.kinds import Kind


def read_spec(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, source: Source, file: SourceFile
) -> Canonical:
    """The canonical columns of a channel over one of its files, by the channel's spec.

    Raises StepFailed when the file has not what the spec needs.
    """
    from include.extract.specs.apache import map_apache
    from include.extract.specs.ga4 import map_ga4
    from include.extract.specs.mapped import map_columns
    from include.extract.specs.segment import map_segment
    from include.extract.specs.segment_tables import map_tables
    from include.extract.specs.snowplow import map_snowplow

    if channel.spec == "mapped":
        return map_columns(channel, source, file.name)
    if kind.name != "events":
        raise StepFailed(f"spec {channel.spec} gives events, not {kind.name}")
    if channel.spec == "segment" and not source.columns:
        return map_segment(connection, channel, source)
    if channel.spec == "segment":
        return map_tables(channel, source, file.name)
    if channel.spec == "ga4":
        return map_ga4(channel, source, file.name)
    if channel.spec == "snowplow":
        return map_snowplow(channel, source, file.name)
    if channel.spec == "apache_combined":
        return map_apache(channel, file.name)
    raise StepFailed(f"spec {channel.spec} is not known to this version")
