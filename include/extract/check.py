"""What a run would do with each channel, found out on a sample and before anything runs: `make check`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from include.extract.channel import check_header, dialect_of, land_file, open_source
from include.extract.connectors import find_deliveries
from include.extract.connectors.delivery import Delivery
from include.extract.drift import find_drift
from include.extract.formats.delimited import FIRST_LOOK_BYTES, repeated_names, settle
from include.extract.formats.lines import has_a_byte_per_sign, looks_like_utf8
from include.extract.formats.reading import SourceFile
from include.extract.kinds import Kind, kinds
from include.extract.landing import Part, Receipt, read_receipts, write_receipts
from include.extract.profile import PERSONAL_SHAPES, VALUES, SourceColumn, pattern_of, profile_columns, shown
from include.extract.sample import BYTES, take_sample
from include.extract.specs.fields import settled
from include.extract.sql import identifier, literal
from include.extract.suggest import names_a_person, suggest
from include.identity.rules import rubbish
from include.lake import Lake
from include.ledger import StepFailed
from include.quality.samples import PERSONAL_COLUMNS
from include.scratch import scratch_engine
from include.settings import Settings

if TYPE_CHECKING:
    from include.config import Channel, Configuration

NEWEST = date(9998, 12, 31)  # later than any delivery
WIDTH = 100
EXAMPLES = 5
DELIVERIES = 5
MANY = 0.05
MONEY = ("total", "discount", "amount")  # as in the expectation `money_can_be_read` of suites/extract.yml
# What tells a later version of a record from one that only has the same key.
VERSION = {"customers": ("observed_at",), "traits": ("observed_at",), "orders": ("updated_at",)}
ID_COLUMNS = (
    "customer_number", "loyalty_number", "user_id", "national_id", "email", "phone", "anonymous_id", "device_id",
    "advertising_id",
)  # fmt: skip


@dataclass
class ChannelCheck:
    """What was found out of one channel. `verdict` is `ok`, `warn` when something needs a look, or `fail` when a run
    would stop at the channel; `lines` say why."""

    title: str
    verdict: str = "ok"
    lines: list[str] = field(default_factory=list)

    def tell(self, line: str = "") -> None:
        self.lines.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")

    def warn(self, line: str) -> None:
        self.verdict = "warn" if self.verdict == "ok" else self.verdict
        self.lines.append(f"  WARN {line}")

    def fail(self, line: str) -> None:
        self.verdict = "fail"
        self.lines.append(f"  FAIL {line}")

    def __str__(self) -> str:
        return "\n".join([f"{self.title:<{WIDTH - 5}} {self.verdict.upper()}", *self.lines, ""])


@dataclass(frozen=True)
class _Look:
    """What is looked at: the sample, its columns, and what landed of it."""

    connection: duckdb.DuckDBPyConnection
    channel: Channel
    kind: Kind
    columns: list[SourceColumn]
    part: Part

    def rows(self, sql: str) -> list[tuple]:
        return self.connection.execute(sql).fetchall()

    @property
    def landing(self) -> str:
        return f"read_parquet({literal(str(self.part.landing))}, hive_partitioning = false)"

    @property
    def quarantine(self) -> str:
        return f"read_parquet({literal(str(self.part.quarantine))}, hive_partitioning = false)"


def check_channels(
    configuration: Configuration, day: date | None, settings: Settings
) -> Iterator[ChannelCheck]:
    """Look at a sample of every channel's newest delivery up to `day` (not given: of the newest there is).

    Each goes the way that a run's files go, into a folder that is gone afterwards; nothing is written elsewhere. A
    channel that fails keeps no other from being looked at.
    """
    for channel in configuration.channels.values():
        yield _check_channel(channel, configuration, day, settings)


def _check_channel(
    channel: Channel, configuration: Configuration, day: date | None, settings: Settings
) -> ChannelCheck:
    layout = getattr(channel.source, "format", channel.source.connector)
    check = ChannelCheck(f"{channel.name}: {channel.kind}, {channel.spec}, {layout}, {channel.party} party")
    with tempfile.TemporaryDirectory(prefix="tandem-check-") as temporary:
        folder = Path(temporary)
        with scratch_engine(Lake(folder), settings, "check") as (connection, _):
            try:
                receipts = read_receipts(connection, Lake(settings.data), channel.name)
                deliveries = _find_deliveries(check, channel, day, settings)
                for number, delivery in enumerate(deliveries[:DELIVERIES], start=1):
                    work = folder / f"{number}"
                    work.mkdir()
                    if _check_delivery(check, connection, channel, configuration, delivery, receipts, work):
                        _check_headers(check, connection, channel, deliveries[number:])
                        break
            except StepFailed as failure:
                check.fail(str(failure).removeprefix(f"channel {channel.name}: "))
            except duckdb.Error as error:
                check.fail(f"the delivery cannot be read ({str(error).strip().splitlines()[0]})")
    return check


def _find_deliveries(
    check: ChannelCheck, channel: Channel, day: date | None, settings: Settings
) -> list[Delivery]:
    """The deliveries up to the day, the newest first: when it has no rows, one of the few before it is looked at."""
    asked = channel if day else channel.model_copy(update={"required": False})
    deliveries = find_deliveries(asked, day or NEWEST, settings, [])
    place = getattr(channel.source, "path", channel.source.connector)
    if not deliveries:
        if channel.required:
            check.fail(f"no file matches {place}; set required: false if the day may be missing")
        else:
            check.warn(f"no file matches {place}; the channel is not required, so a run would go on")
        return []
    dates = sorted({f"{delivery.day:%Y-%m-%d}" for delivery in deliveries if delivery.day})
    span = f" of {dates[0]} to {dates[-1]}" if len(dates) > 1 else ""
    check.tell(f"  {len(deliveries):,} {'files' if len(deliveries) > 1 else 'file'}{span}")
    return deliveries[::-1]


def _check_delivery(
    check: ChannelCheck, connection: duckdb.DuckDBPyConnection, channel: Channel, configuration: Configuration,
    delivery: Delivery, receipts: list[Receipt], folder: Path,
) -> bool:  # fmt: skip
    """Tell what a run would do with a delivery. Returns whether there was something to look at."""
    kind = kinds()[channel.kind]
    sample = take_sample(connection, channel, delivery, folder)
    columns: list[SourceColumn] = []
    try:
        source = open_source(connection, sample.channel, sample.file)
        columns, channel = profile_columns(connection, source), settled(channel, source.columns)
        part = land_file(
            connection, sample.channel, kind, sample.file, _receipt_of(channel, delivery), folder
        )
    except StepFailed as failure:
        _tell_columns(check, channel, columns)
        is_copy = sample.file.path.is_relative_to(folder)  # it is gone when the message is read
        message = str(failure).replace(str(sample.file.path), delivery.name) if is_copy else str(failure)
        check.fail(message.removeprefix(f"channel {channel.name}: "))
        _suggest(check, channel, kind, columns)
        return True
    look = _Look(connection, channel, kind, columns, part)
    received = part.receipt.received
    extent = f"{'all its' if sample.is_whole else 'its first'} {received:,} rows" if received else "no rows"
    check.tell(f"  looked at {delivery.name}: {extent}")
    if not received:
        if channel.required:
            check.warn(f"{delivery.name} has no row; set required: false if the day may be without data")
        return False
    if channel.spec == "mapped":
        _tell_columns(check, channel, columns)
    else:
        _tell_canonical(check, look)
    if _is_in_utf8(channel, sample.delivered, BYTES):
        _warn_of_encoding(check, channel, [delivery.name])
    _tell_repeated_names(check, sample.channel, sample.file)
    _tell_key(check, look, configuration)
    _tell_identifiers(check, look, configuration)
    _tell_amounts(check, look, configuration)
    _tell_quarantine(check, look)
    _tell_rejected(check, look)
    _suggest(check, channel, kind, columns)
    _tell_drift(check, look, receipts, folder)
    return True


def _check_headers(
    check: ChannelCheck, connection: duckdb.DuckDBPyConnection, channel: Channel, older: list[Delivery]
) -> None:
    """Tell of older files on this machine that do not fit: after the map has changed, a run reads all again."""
    if channel.source.connector != "file" or channel.source.is_remote:
        return
    failures, in_utf8 = [], []
    for delivery in older:
        path = delivery.fetch(Path())
        file = SourceFile(path, delivery.name, delivery.format, delivery.partitions)
        try:
            check_header(connection, channel, kinds()[channel.kind], file)
            in_utf8 += [delivery.name] if _is_in_utf8(channel, path, FIRST_LOOK_BYTES) else []
        except StepFailed as failure:
            failures.append(str(failure).removeprefix(f"channel {channel.name}: "))
    if in_utf8:
        _warn_of_encoding(check, channel, in_utf8)
    for failure in failures[:1]:
        check.fail(failure)
        if len(failures) > 1:
            check.tell(f"       and {len(failures) - 1:,} more of the older files")
        if "has no column" in failure:
            check.tell("       where files differ, map a list of names: the first one that a file has counts")


def _is_in_utf8(channel: Channel, path: Path, size: int) -> bool:
    """Whether a file of an encoding with a byte per sign is in UTF-8."""
    encoding = getattr(channel.source, "encoding", "utf-8")
    return has_a_byte_per_sign(encoding) and looks_like_utf8(path, size)


def _warn_of_encoding(check: ChannelCheck, channel: Channel, names: list[str]) -> None:
    encoding, others = (
        channel.source.encoding,
        f" and {len(names) - 1:,} more of the older files" if names[1:] else "",
    )
    example = "Müller".encode().decode(encoding, "replace")
    check.warn(
        f"{names[0]}{others}: UTF-8, but encoding is {encoding}, so that Müller would land as {example}"
    )


def _receipt_of(channel: Channel, delivery: Delivery) -> Receipt:
    return Receipt(
        channel=channel.name, kind=channel.kind, party=channel.party, source_file=delivery.name,
        delivered_on=delivery.day or NEWEST, file_hash="", spec_hash="", received=0, landed=0, quarantined=0,
        delivery=channel.delivery, columns={},
    )  # fmt: skip


def _tell_columns(check: ChannelCheck, channel: Channel, columns: list[SourceColumn]) -> None:
    if not columns:
        return
    check.tell(f"  {'source column':<28} {'type':<12} {'filled':>7}  {'example':<30} goes to")
    for column in columns:
        targets = _targets(channel, column.name)
        is_personal = column.shape in PERSONAL_SHAPES or names_a_person(column.name)
        is_personal = is_personal or any(name in PERSONAL_COLUMNS for name in targets)
        is_plain = column.shape in ("boolean", "date", "d/m/y", "timestamp", "decimal") or column.is_category
        is_short = column.shape == "integer" and len(column.example) <= 6
        example = shown(column.example, is_personal or not (is_plain or is_short)) if column.filled else ""
        goes_to = ", ".join(targets) if channel.spec == "mapped" else ""
        check.tell(
            f"  {_short(column.name, 28):<28} {_short(column.type, 12):<12} {column.filled:>7,}  "
            f"{_short(example, 30):<30} {goes_to}".rstrip()
        )


def _targets(channel: Channel, name: str) -> list[str]:
    """The canonical columns that a source column goes to."""
    if channel.spec != "mapped":
        return []
    mapped = [
        canonical
        for canonical, entry in channel.map.items()
        if name.lower() in (column.lower() for column in entry.columns)
    ]
    if mapped:
        return mapped
    is_trait = channel.unpivot == "all" or name in (channel.unpivot or ())
    return ["trait and value" if is_trait else "attributes"]


def _tell_canonical(check: ChannelCheck, look: _Look) -> None:
    """What a spec made of the rows, by canonical column."""
    check.tell(f"  {'canonical column':<28} {'type':<12} {'filled':>7}  example")
    for column in look.kind.columns:
        name = identifier(column.name)
        ((filled, distinct, example),) = look.rows(
            f"select count({name}), count(distinct {name}), min_by({name}::varchar, source_row) from {look.landing}"
        )
        if filled:
            found = SourceColumn(column.name, column.type, "text", filled, distinct, example)
            is_open = column.type not in ("string", "json", "consent") or found.is_category
            example = shown(example, column.name in PERSONAL_COLUMNS or not is_open)
            check.tell(f"  {column.name:<28} {column.type:<12} {filled:>7,}  {example}")
    kept = [
        name
        for (name,) in look.rows(
            f"select distinct unnest(map_keys(attributes)) as name from {look.landing} order by name"
        )
    ]
    if kept:
        check.tell(f"  kept as attributes: {', '.join(kept)}")


def _tell_repeated_names(check: ChannelCheck, channel: Channel, file: SourceFile) -> None:
    """Of columns that a map names and a header has twice, the first one counts."""
    if file.format != "csv" or channel.source.connector != "file":
        return
    for name in repeated_names(file.path, settle(file.path, dialect_of(channel.source))):
        if any(name.lower() in map(str.lower, entry.columns) for entry in channel.map.values()):
            check.warn(
                f"the header has {name!r} more than once: the first counts, the next one is '{name}_2'"
            )


def _tell_key(check: ChannelCheck, look: _Look, configuration: Configuration) -> None:
    """How many rows and how many records: of rows that are the same record, and no later version of it, one counts.

    What differs in attributes only is the matter of another channel, where one reads the same files."""
    others = [other for other in configuration.channels.values() if other.name != look.channel.name]
    is_shared = any(other.source == look.channel.source for other in others)
    names = [column.name for column in look.kind.columns] + ([] if is_shared else ["attributes"])
    record = ", ".join(map(identifier, (*look.kind.key, *VERSION.get(look.kind.name, ()))))
    ((rows, keys, records, versions),) = look.rows(
        f"""
        select
            count(*), count(distinct row({", ".join(map(identifier, look.kind.key))})), count(distinct row({record})),
            count(distinct row({", ".join(map(identifier, names))}))
        from {look.landing}
        """
    )
    if not rows:
        return
    key = ", ".join(look.kind.key)
    check.tell(f"  key {key}: {rows:,} rows, {keys:,} different")
    if versions - records > MANY * rows:
        check.warn(
            f"{versions - records:,} of {rows:,} rows have the {key} of another row and say something else: "
            "only one of each would count"
        )


def _tell_amounts(check: ChannelCheck, look: _Look, configuration: Configuration) -> None:
    """Tell of orders that would all be worth nothing."""
    if look.kind.name != "orders" or any(c.kind == "order_lines" for c in configuration.channels.values()):
        return
    ((rows, totals),) = look.rows(f"select count(*), count(total) from {look.landing}")
    if rows and not totals:
        check.warn(
            "no order has a total, and no channel brings order_lines, so each would be of 0.00; one file may be both: "
            "docs/channels.md"
        )


def _tell_identifiers(check: ChannelCheck, look: _Look, configuration: Configuration) -> None:
    names = {column.name for column in look.kind.columns}
    given = [name for name in ID_COLUMNS if name in names]
    if "id_type" in names:
        selects = [f"select id_type, id_value, source_row from {look.landing}"]
    elif given:
        selects = [
            f"select {literal(name)} as id_type, {identifier(name)} as id_value, source_row from {look.landing}"
            for name in given
        ]
    else:
        return
    rows = look.rows(
        f"""
        with identifiers as (
            select id_type, id_value, source_row, {rubbish(configuration.identity)} as reason
            from ({" union all ".join(selects)}) where id_value is not null
        )
        select
            id_type, count(*) as rows, count(distinct lower(trim(id_value))),
            count(*) filter (where reason is not null), min(source_row) filter (where reason is not null),
            string_agg(distinct reason, ', ' order by reason),
            count(*) filter (where regexp_full_match(id_value, '[0-9]+[.]0+'))
        from identifiers group by id_type order by rows desc, id_type
        """
    )
    for id_type, count, distinct, blocked, row, reasons, fractions in rows:
        refused = f"; {blocked:,} rows say nothing ({reasons}), e.g. row {row}" if blocked else ""
        check.tell(f"  identifier {id_type}: {count:,} rows, {distinct:,} different{refused}")
        if fractions > MANY * count:
            check.warn(
                f"{fractions:,} of {id_type} end in .0, and 17850.0 is not 17850: {{sql: …::double::bigint}}"
            )
    if not rows and look.part.receipt.landed:
        check.warn(
            f"no identifier was found, so no row can belong to anybody; map one of {', '.join(given) or 'id_value'}"
        )


def _tell_quarantine(check: ChannelCheck, look: _Look) -> None:
    receipt, tolerance = look.part.receipt, look.channel.tolerance
    if not receipt.quarantined:
        return
    share = receipt.quarantined / receipt.received
    counts = f"{receipt.quarantined:,} of {receipt.received:,} rows"
    line = f"{counts} would be quarantined ({share:.1%}, tolerance {tolerance:.1%})"
    (check.fail if share > tolerance else check.warn)(line)
    reasons = look.rows(
        f"""
        select reason, count(*) as rows, min(source_row)
        from (select unnest(string_split(reason, ';')) as reason, source_row from {look.quarantine})
        group by reason order by rows desc, reason
        """
    )
    for reason, count, row in reasons[:EXAMPLES]:
        check.tell(f"       {count:,} {reason}, e.g. row {row}{_found(look, reason.partition(':')[2], row)}")
    if len(reasons) > EXAMPLES:
        check.tell(f"       and {len(reasons) - EXAMPLES} more reasons")


def _found(look: _Look, canonical: str, row: int) -> str:
    """What a row has in the source columns of a canonical one: `, found updated_at = 'never'`."""
    entry = look.channel.map.get(canonical)
    if entry is None or not entry.columns:
        return ""
    names = ", ".join(literal(name.lower()) for name in entry.columns)
    found = look.rows(
        f"select name, value from {VALUES} where source_row = {row} and lower(name) in ({names}) order by name"
    )
    values = " and ".join(f"{name} = {_refused(canonical, value)}" for name, value in found)
    return f", found {values}" if values else f", found nothing in {' and '.join(entry.columns)}"


def _refused(canonical: str, value: str) -> str:
    """A value that cannot be read, or, where it may say who somebody is, how it is written."""
    return f"one like {pattern_of(value)!r}" if canonical in PERSONAL_COLUMNS else repr(shown(value, False))


def _tell_rejected(check: ChannelCheck, look: _Look) -> None:
    rejected = look.rows(
        f"""
        select entry.key, count(*) as rows, min(source_row), min_by(entry.value, source_row)
        from (
            select unnest(map_entries(rejected_values)) as entry, source_row
            from {look.landing} where cardinality(rejected_values) > 0
        )
        group by entry.key order by rows desc, entry.key
        """
    )
    for name, count, row, value in rejected:
        found = _refused(name, value)
        rows = "row" if count == 1 else "rows"
        line = f"{count:,} {rows} would land without {name}, which cannot be read, e.g. row {row}: {found}"
        if name in MONEY and _stops(look, name, count):
            check.fail(f"{line}; a run would stop at the gate of extract")
        else:
            check.warn(line)


def _stops(look: _Look, name: str, refused: int) -> bool:
    """Whether the gate of extract stops for so many amounts: `money_can_be_read`."""
    ((read,),) = look.rows(f"select count({identifier(name)}) from {look.landing}")
    return refused > look.channel.tolerance * (read + refused)


def _suggest(check: ChannelCheck, channel: Channel, kind: Kind, columns: list[SourceColumn]) -> None:
    if channel.spec != "mapped" or channel.unpivot:
        return
    free = [column for column in columns if _targets(channel, column.name) == ["attributes"]]
    for canonical, name in suggest(kind, set(channel.map), free).items():
        line = f"map.{canonical} is not given, and the column {name!r} looks like it"
        if canonical in ID_COLUMNS:
            check.warn(line)
        else:
            check.tell(f"  hint {line}")


def _tell_drift(check: ChannelCheck, look: _Look, receipts: list[Receipt], folder: Path) -> None:
    """How the file differs from the newest of those that were landed before it."""
    own = look.part.receipt
    known = [
        receipt
        for receipt in receipts
        if receipt.source_file != own.source_file and receipt.delivered_on <= own.delivered_on
    ]
    path = folder / "receipts.parquet"
    write_receipts(look.connection, path, [*known, replace(own, delivered_on=NEWEST)])
    drift = find_drift(f"select * from read_parquet({literal(str(path))}, hive_partitioning = false)")
    rows = look.rows(
        f"select change, source_column, from_type, to_type from ({drift}) where since_date = date '{NEWEST}'"
    )
    for change, column, from_type, to_type in rows:
        types = f" from {from_type} to {to_type}" if change == "retyped" else ""
        check.warn(f"the column {column!r} is {change}{types} since the files that were landed before")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
