"""One channel up to one business day: find its files, read what is new or changed, check it, land it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.connectors import find_deliveries
from include.extract.connectors.delivery import Delivery
from include.extract.drift import keys_found
from include.extract.formats.delimited import Dialect, read_header, settle
from include.extract.formats.lines import Tally, open_text
from include.extract.formats.reading import (
    SOURCE,
    Source,
    SourceFile,
    open_csv,
    open_json_document,
    open_json_lines,
    open_parquet,
    with_partitions,
)
from include.extract.kinds import Kind, kinds
from include.extract.landing import (
    Part,
    Receipt,
    move_file,
    read_receipts,
    remove_file,
    replace_partition,
    write_rows,
)
from include.extract.specs import read_spec
from include.extract.specs.canonical import Canonical
from include.extract.specs.mapped import check_keys_exist
from include.extract.validation import checked
from include.lake import Lake, hash_file
from include.ledger import StepFailed
from include.privacy.requests.tombstones import open_tombstones, without_erased
from include.scratch import scratch_engine
from include.settings import Settings, erasure_key

if TYPE_CHECKING:
    from include.config import Channel, FileSource, Normalisation

READING_VERSION = (
    2  # raise it when the same file and map become other rows, so that all files are landed again
)


@dataclass(frozen=True)
class Extracted:
    """What one run of a channel did: `files` were landed with `received`, `landed`, `quarantined` and `erased` rows,
    `skipped_files` had not changed since they were landed before."""

    channel: str
    files: int
    received: int
    landed: int
    quarantined: int
    skipped_files: int
    erased: int = 0


def extract_channel(
    channel: Channel, day: date, lake: Lake, settings: Settings, normalisation: Normalisation | None = None
) -> Extracted:
    """Land a channel's files up to `day` that are new or changed; a second run of the day changes nothing.

    A file with a date in its path lands under that date, however late it comes; any other under the earliest day that
    was run with its content, also when that day is run last. Rows that break the kind's contract go to quarantine,
    those of erased people, who are recognised by the rules of `normalisation`, nowhere; landed + quarantined + erased =
    received, always.
    Raises StepFailed for a missing, empty or unreadable file and for a missing column.
    """
    kind = kinds()[channel.kind]
    spec_hash = _spec_hash(channel, kind)
    with scratch_engine(lake, settings, "extract") as (connection, folder):
        has_erased = open_tombstones(connection, lake, erasure_key())
        receipts = read_receipts(connection, lake, channel.name)
        same_rules = [receipt for receipt in receipts if receipt.spec_hash == spec_hash]
        deliveries = find_deliveries(channel, day, settings, same_rules)
        undated = {delivery.name for delivery in deliveries if delivery.day is None}
        if _date_back(connection, lake, receipts, undated, day, folder):
            receipts = read_receipts(connection, lake, channel.name)
        parts: dict[date, list[Part]] = defaultdict(list)
        for number, delivery in enumerate(deliveries):
            fingerprint, path = delivery.fingerprint, None
            part_folder = folder / str(number)
            part_folder.mkdir()
            if fingerprint is None:
                path = delivery.fetch(part_folder)
                fingerprint = _hash(channel, path)
            delivered_on = _delivered_on(receipts, delivery, day, fingerprint, spec_hash)
            if delivered_on is None:
                continue
            receipt = Receipt(
                channel=channel.name,
                kind=kind.name,
                party=channel.party,
                source_file=delivery.name,
                delivered_on=delivered_on,
                file_hash=fingerprint,
                spec_hash=spec_hash,
                received=0,
                landed=0,
                quarantined=0,
                delivery=channel.delivery,
                columns={},
            )
            path = path or delivery.fetch(part_folder)
            file = SourceFile(path, delivery.name, delivery.format, delivery.partitions)
            part = land_file(connection, channel, kind, file, receipt, part_folder)
            if has_erased:
                part = without_erased(connection, lake, part, kind, normalisation)
            parts[delivered_on].append(part)
        for delivered_on in sorted(parts):
            new = {part.receipt.source_file for part in parts[delivered_on]}
            kept = [
                receipt
                for receipt in receipts
                if receipt.delivered_on == delivered_on and receipt.source_file not in new
            ]
            replaced = [receipt for receipt in receipts if receipt.delivered_on == delivered_on]
            stale = {receipt.kind for receipt in replaced} - {kind.name}
            replace_partition(connection, lake, channel.name, delivered_on, parts[delivered_on], kept, stale)
    landed = [part.receipt for day_parts in parts.values() for part in day_parts]
    return Extracted(
        channel=channel.name,
        files=len(landed),
        received=sum(receipt.received for receipt in landed),
        landed=sum(receipt.landed for receipt in landed),
        quarantined=sum(receipt.quarantined for receipt in landed),
        erased=sum(receipt.erased for receipt in landed),
        skipped_files=len(deliveries) - len(landed),
    )


def _hash(channel: Channel, path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise StepFailed(
            f"channel {channel.name}: {path} cannot be read ({error.strerror}): let the account of the pipeline read it"
        ) from error


def _date_back(
    connection: duckdb.DuckDBPyConnection, lake: Lake, receipts: list[Receipt], undated: set[str], day: date,
    folder: Path,
) -> bool:  # fmt: skip
    """Have files without a date that landed on later days alone be of this day, with their first content, as they would
    be had the days been run in order. Returns whether anything has changed."""
    has_changed = False
    for name in sorted(undated):
        own = sorted(
            (each for each in receipts if each.source_file == name), key=lambda each: each.delivered_on
        )
        if own and own[0].delivered_on > day:
            move_file(connection, lake, receipts, own[0], day, folder)
        elif len(own) > 1 and own[0].file_hash == own[1].file_hash:  # such a move broke off
            remove_file(connection, lake, receipts, own[1])
        else:
            continue
        has_changed = True
        receipts = read_receipts(connection, lake, own[0].channel)
    return has_changed


def _delivered_on(
    receipts: list[Receipt], delivery: Delivery, day: date, file_hash: str, spec_hash: str
) -> date | None:
    """The day to land a delivery under; None when it is landed already."""
    own = [receipt for receipt in receipts if receipt.source_file == delivery.name]
    if delivery.day is not None:
        known = [receipt for receipt in own if receipt.delivered_on == delivery.day]
        is_known = any((receipt.file_hash, receipt.spec_hash) == (file_hash, spec_hash) for receipt in known)
        return None if is_known else delivery.day
    if any(receipt.delivered_on > day and receipt.file_hash == file_hash for receipt in own):
        return None  # this content came after the day that is run again, which has what it had
    earlier = [receipt for receipt in own if receipt.delivered_on <= day]
    last = max(earlier, key=lambda receipt: receipt.delivered_on, default=None)
    if last is None or last.file_hash != file_hash:
        return day
    return None if last.spec_hash == spec_hash else last.delivered_on


def land_file(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, file: SourceFile, receipt: Receipt,
    folder: Path, is_whole: bool = True,
) -> Part:  # fmt: skip
    """Read, check and write one file; unless `is_whole` it is some rows of one, of which nothing is said in general.

    Raises StepFailed, naming channel and file.
    """
    # Pushing the filter on the reason below the parse would make it parse twice, and the common parts of two
    # expressions would be evaluated outside the `try` that is around each.
    with_sql = any(entry.sql is not None for entry in channel.map.values())
    disabled = "filter_pushdown, common_subexpressions" if with_sql else "filter_pushdown"
    connection.execute(f"set disabled_optimizers = '{disabled}'")
    try:
        source = open_source(connection, channel, file)
        canonical = read_spec(connection, channel, kind, source, file)

        def check(canonical: Canonical) -> str:
            types = _types(connection, channel, source, canonical)
            return checked(kind, canonical, types, channel.party, file.name)

        remainder = canonical.remainder
        landing, quarantine, received, landed, quarantined = write_rows(
            connection, source, check(canonical), kind, file.name, folder, canonical.is_unpivoted,
            None if remainder is None else lambda landed: check(remainder(landed)),
        )  # fmt: skip
        is_mapped_json = file.format in ("jsonl", "json") and channel.spec == "mapped"
        if is_whole and is_mapped_json and received and not landed:
            _explain_missing_keys(connection, channel, kind, source, file)
    except StepFailed as failure:
        message = str(failure)
        raise StepFailed(
            message if message.startswith("channel ") else f"channel {channel.name}: {message}"
        ) from failure.__cause__
    except duckdb.Error as error:
        raise StepFailed(
            f"channel {channel.name}: {file.name} cannot be landed ({_first_line(error)})"
        ) from error
    columns = source.columns
    if is_whole and not columns:
        columns = keys_found(connection, channel, kind, landing)
    counted = replace(receipt, received=received, landed=landed, quarantined=quarantined, columns=columns)
    return Part(counted, landing, quarantine)


def open_source(connection: duckdb.DuckDBPyConnection, channel: Channel, file: SourceFile) -> Source:
    """A channel's file as a relation. Raises StepFailed when it cannot be read as the channel says."""
    return with_partitions(_open_rows(connection, channel, file), file.partitions)


def check_header(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, file: SourceFile
) -> None:
    """Raise StepFailed when the channel cannot take a file because of its columns, or because it is empty; of its rows
    nothing is read. JSON and other texts have no columns."""
    held_as = file.stored_as or file.format
    if held_as == "parquet":
        source = open_parquet(connection, file, getattr(channel.source, "max_expansion", None))
    elif _has_nothing(channel, file) or held_as != "csv":
        return
    else:
        header, _ = read_header(file.path, settle(file.path, dialect_of(channel.source)))
        source = Source("", dict.fromkeys(header, "VARCHAR"), lambda _: None, Tally())
    read_spec(connection, channel, kind, with_partitions(source, file.partitions), file)


def _open_rows(connection: duckdb.DuckDBPyConnection, channel: Channel, file: SourceFile) -> Source:
    held_as = file.stored_as or file.format
    layout = channel.source
    if held_as == "parquet":
        return open_parquet(connection, file, getattr(layout, "max_expansion", None))
    if _has_nothing(channel, file):
        return open_json_lines(file, layout)  # of whatever format it is, there is nothing to be read by it
    if held_as == "csv":
        return open_csv(connection, file, dialect_of(layout))
    if held_as == "json":
        return open_json_document(file, layout)
    return open_json_lines(file, layout)


def dialect_of(layout: FileSource) -> Dialect:
    """How the CSV files of a source are written."""
    escape = layout.quote if layout.escape in ('"', layout.quote) else layout.escape
    return Dialect(
        layout.delimiter, layout.quote, escape, layout.encoding, layout.header, layout.max_expansion,
        layout.max_fields,
    )  # fmt: skip


def _has_nothing(channel: Channel, file: SourceFile) -> bool:
    """Whether a text file is empty, as the files of some days may be. Raises StepFailed when they may not."""
    with open_text(file.path, channel.source.encoding, channel.source.max_expansion) as stream:
        while data := stream.read(1 << 16):
            if data.strip():
                return False
    if channel.required:
        raise StepFailed(f"{file.path} is empty; set required: false if the day may be without data")
    return True


def _types(
    connection: duckdb.DuckDBPyConnection, channel: Channel, source: Source, canonical: Canonical
) -> dict[str, str]:
    """The types of the canonical columns; this is also where an expression that cannot be evaluated shows."""
    try:
        described = source.run(connection, f"describe {canonical.query}")
    except duckdb.Error as error:
        raise StepFailed(
            f"channel {channel.name}: the map cannot be evaluated ({_first_line(error)})"
        ) from error
    return {name: kind for name, kind, *_ in described}


def _explain_missing_keys(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, source: Source, file: SourceFile
) -> None:
    rows = source.run(
        connection,
        f"""
        select distinct unnest(try(json_keys(tandem_line))) as name
        from {SOURCE}
        where tandem_is_object
        order by name
        """,
    )
    present = [name for (name,) in rows if name is not None]
    if present:
        required = {column.name for column in kind.columns if column.required}
        check_keys_exist(channel, required, present, file.name)


def _spec_hash(channel: Channel, kind: Kind) -> str:
    """Changes when the same file would become other rows; not when only `required` or `tolerance` do."""
    definition = channel.model_dump(mode="json", exclude={"required", "tolerance"})
    rules = [[getattr(column, name) for name in column.__dataclass_fields__] for column in kind.columns]
    content = json.dumps([READING_VERSION, definition, kind.name, rules], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
