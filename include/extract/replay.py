"""Quarantined rows once more: what the configuration of today, or this version of Tandem, can read is landed."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.extract.channel import dialect_of, land_file
from include.extract.connectors.files import partitions_of
from include.extract.formats.delimited import Dialect
from include.extract.formats.lines import has_a_byte_per_sign
from include.extract.formats.reading import SourceFile
from include.extract.kinds import Kind, kinds
from include.extract.landing import (
    PARQUET,
    QUARANTINE_SCHEMA,
    Part,
    Receipt,
    read_receipts,
    typed_rows,
    write_receipts,
)
from include.extract.sql import identifier, literal
from include.lake import Lake, replacing
from include.ledger import StepFailed
from include.privacy.requests.tombstones import open_tombstones, without_erased
from include.scratch import scratch_engine
from include.settings import Settings, erasure_key

if TYPE_CHECKING:
    from include.config import Channel, Normalisation

REFUSED = "tandem_refused"  # the quarantined rows of one file, each source row once
ROWS_AT_A_TIME = 10_000
NEWLINE = "chr(10)"  # in SQL


@dataclass(frozen=True)
class Replayed:
    """What became of the quarantined rows of one file: `landed` now, and those that stay by `reasons`. `note` says
    what stood in the way of all of them, when something did."""

    channel: str
    source_file: str
    delivered_on: date
    landed: int
    reasons: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def stayed(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())
        stayed = f"; {self.stayed:,} stay in quarantine: {reasons}" if self.reasons else ""
        note = f"\n    {self.note}" if self.note else ""
        return (
            f"{self.channel}  {self.source_file} ({self.delivered_on}): {self.landed:,} landed{stayed}{note}"
        )


@dataclass(frozen=True)
class _Batch:
    """Rows of one form, written again as a file: its row `position` is row `source_row` of the delivery, by the table
    `rows`."""

    file: SourceFile
    channel: Channel
    rows: str


@dataclass(frozen=True)
class _Outcome:
    """New Parquet files of a source file, with the rows that took the place of quarantined ones."""

    landing: list[Path]
    quarantine: list[Path]


def replay_channel(
    channel: Channel, lake: Lake, settings: Settings, day: date | None = None,
    normalisation: Normalisation | None = None,
) -> list[Replayed]:  # fmt: skip
    """Put a channel's quarantined rows, of one day of delivery or of all, through today's spec and contract.

    Rows that pass land where the other rows of their file are, with their file and row number; the others stay, with
    today's reasons. Each source row is replayed as a whole, so a second replay, or one after a crash, changes
    nothing more. Receipts keep the hash of the rules that the file was landed by: if the file is still delivered
    and the channel's entry has changed, the next run lands all of it again.

    Raises StepFailed when the counts would not add up, which would be a fault of this program.
    """
    kind = kinds()[channel.kind]
    replayed = []
    with scratch_engine(lake, settings, "replay") as (connection, folder):
        has_erased = open_tombstones(connection, lake, erasure_key())

        def leave_out(part: Part) -> Part:
            return without_erased(connection, lake, part, kind, normalisation) if has_erased else part

        receipts = read_receipts(connection, lake, channel.name)
        days = {receipt.delivered_on for receipt in receipts if receipt.quarantined}
        for delivered_on in sorted(days if day is None else days & {day}):
            own = [receipt for receipt in receipts if receipt.delivered_on == delivered_on]
            work = folder / f"{delivered_on:%Y-%m-%d}"
            work.mkdir()
            replayed += _replay_day(connection, channel, kind, lake, own, work, leave_out)
            shutil.rmtree(work)
    return replayed


def summary_of(replayed: list[Replayed]) -> str:
    """One line about all files of a replay."""
    if not replayed:
        return "nothing is in quarantine"
    landed, stayed = sum(file.landed for file in replayed), sum(file.stayed for file in replayed)
    next_step = "; the next run takes them in" if landed else ""
    return f"{len(replayed):,} files: {landed:,} rows landed, {stayed:,} stay in quarantine{next_step}"


def _replay_day(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, lake: Lake, receipts: list[Receipt],
    folder: Path, leave_out: Callable[[Part], Part],
) -> list[Replayed]:  # fmt: skip
    delivered_on = receipts[0].delivered_on
    replayed, outcomes, notes = [], {}, {}
    quarantine = lake.quarantine(kind.name, channel.name, delivered_on) / "part.parquet"
    for number, receipt in enumerate(receipt for receipt in receipts if receipt.quarantined):
        name = receipt.source_file
        if receipt.kind != kind.name:
            note = (
                f"landed as {receipt.kind}, the channel is of kind {kind.name} today: deliver the file again"
            )
            replayed.append(
                Replayed(channel.name, name, delivered_on, 0, {"other kind": receipt.quarantined}, note)
            )
            continue
        if kind.counted and kind.counted not in channel.map:
            note = f"{kind.counted} is counted over all rows of a file: correct the map and let a run read it again"
            replayed.append(
                Replayed(channel.name, name, delivered_on, 0, {"counted": receipt.quarantined}, note)
            )
            continue
        work = folder / str(number)
        work.mkdir()
        _gather(connection, channel, quarantine, name)
        try:
            outcomes[name] = _replay_file(connection, channel, kind, receipt, work, leave_out)
        except (StepFailed, duckdb.Error) as failure:
            notes[name] = str(failure).strip().splitlines()[0]
            outcomes[name] = _Outcome([], [])
    changed = _exchange(connection, channel, kind, lake, receipts, outcomes, folder)
    for name in outcomes:
        landed = changed[name][0]
        replayed.append(
            Replayed(channel.name, name, delivered_on, landed, changed[name][1], notes.get(name, ""))
        )
    return replayed


def _gather(connection: duckdb.DuckDBPyConnection, channel: Channel, quarantine: Path, name: str) -> None:
    """The quarantined source rows of one file as the table `tandem_refused`. A lake of an earlier version does not say
    of which form a raw text is; of undecodable bytes it can then not be known how they were read."""
    tabular = getattr(channel.source, "format", "parquet") in ("csv", "parquet")
    is_row = "json_valid(raw) and json_type(raw) = 'OBJECT'" if tabular else "false"
    connection.execute(
        f"""
        create or replace temp table {REFUSED} as
        select
            source_row,
            min(raw) as raw,
            min(coalesce(form, case when reason = 'encoding' then 'mixed' when {is_row} then 'row' else 'line' end))
                as form
        from ({typed_rows([quarantine], QUARANTINE_SCHEMA)})
        where source_file = {literal(name)}
        group by source_row
        """
    )


def _replay_file(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, receipt: Receipt, folder: Path,
    leave_out: Callable[[Part], Part],
) -> _Outcome:  # fmt: skip
    """Land the rows of `tandem_refused` once more, below `folder`."""
    outcome = _Outcome([], [])
    for write in (_write_rows, _write_lines, _write_bytes):
        work = folder / write.__name__.strip("_")
        work.mkdir()
        batch = write(connection, channel, receipt, work)
        if batch is None:
            continue
        part = land_file(connection, batch.channel, kind, batch.file, receipt, work, is_whole=False)
        _require_all(connection, batch, part, channel)
        part = leave_out(part)  # a row of an erased person stays where it is
        # What does not pass keeps its text as it was received, so that another fix can be tried on it.
        for path, paths, own in (
            (part.landing, outcome.landing, ""),
            (part.quarantine, outcome.quarantine, ", refused.raw as raw, refused.form as form"),
        ):
            target = work / f"{path.stem}_renumbered.parquet"
            connection.execute(
                f"""copy (
                    select part.* replace (numbered.source_row as source_row{own})
                    from read_parquet({literal(str(path))}, hive_partitioning = false) as part
                    inner join {batch.rows} as numbered
                        on part.source_row = numbered.position
                    inner join {REFUSED} as refused
                        on numbered.source_row = refused.source_row
                ) to {literal(str(target))} ({PARQUET})"""
            )
            paths.append(target)
    return outcome


def _require_all(connection: duckdb.DuckDBPyConnection, batch: _Batch, part: Part, channel: Channel) -> None:
    (sent,) = connection.execute(f"select count(*) from {batch.rows}").fetchone()
    if not channel.unpivot and part.receipt.received != sent:
        raise StepFailed(
            f"{batch.file.name}: {sent} quarantined rows replayed, but {part.receipt.received} read again: "
            "this is a fault of Tandem, please report it"
        )


def _write_rows(
    connection: duckdb.DuckDBPyConnection, channel: Channel, receipt: Receipt, folder: Path
) -> _Batch | None:
    """Rows that are kept as JSON objects, as Parquet with the types that the file had. One that does not come back
    exactly as it was is left out."""
    rows = f"select source_row, raw from {REFUSED} where form = 'row'"
    known = receipt.columns or _structure_of(connection, rows)
    (kept,) = connection.execute(f"select json_keys(any_value(raw)) from ({rows})").fetchone()
    columns = {name: known[name] for name in known if name in (kept or ())}
    if not columns:
        return None
    again = ", ".join(f"{literal(name)}, typed.{identifier(name)}" for name in columns)
    connection.execute(
        f"""
        create or replace temp table tandem_typed as
        select typed, source_row, row_number() over (order by source_row) as position
        from (
            select source_row, raw, try(json_transform_strict(raw, {literal(json.dumps(columns))})) as typed
            from ({rows})
        )
        where typed is not null and json_object({again})::varchar = raw
        """
    )
    path = folder / "rows.parquet"
    (count,) = connection.execute(
        f"copy (select unnest(typed) from tandem_typed order by position) to {literal(str(path))} ({PARQUET})"
    ).fetchone()
    file = SourceFile(
        path, receipt.source_file, _format_of(channel), partitions_of(receipt.source_file), "parquet"
    )
    return _Batch(file, channel, "tandem_typed") if count else None


def _write_lines(
    connection: duckdb.DuckDBPyConnection, channel: Channel, receipt: Receipt, folder: Path
) -> _Batch | None:
    """Rows that are kept as lines, as a file of such lines."""
    connection.execute(
        f"create or replace temp table tandem_texts as select source_row, raw from {REFUSED} where form = 'line'"
    )
    return _write_texts(connection, channel, receipt, folder)


def _write_bytes(
    connection: duckdb.DuckDBPyConnection, channel: Channel, receipt: Receipt, folder: Path
) -> _Batch | None:
    """Lines that were no UTF-8, as text of the encoding that the channel has today. Only one with a byte per sign
    reads each line for itself."""
    encoding = getattr(channel.source, "encoding", "utf-8")
    if not has_a_byte_per_sign(encoding):
        return None
    connection.execute("create or replace temp table tandem_texts (source_row bigint, raw varchar)")
    kept = connection.execute(f"select source_row, raw from {REFUSED} where form = 'bytes'").fetchall()
    decoded = [
        [row, text] for row, raw in kept if (text := _decoded(raw.encode("latin-1"), encoding)) is not None
    ]
    if not decoded:
        return None
    connection.executemany("insert into tandem_texts values (?, ?)", decoded)
    return _write_texts(connection, channel, receipt, folder)


def _write_texts(
    connection: duckdb.DuckDBPyConnection, channel: Channel, receipt: Receipt, folder: Path
) -> _Batch | None:
    """The lines of `tandem_texts` as a UTF-8 file. A CSV line that is no whole record by today's dialect is left out:
    it would take others with it."""
    format_, head, chosen, text = _format_of(channel), "", "true", "raw"
    if format_ == "csv":
        dialect, names = dialect_of(channel.source), _names_in_file(receipt)
        if not names or len(dialect.delimiter) > 1:
            return (
                None  # of an earlier version, whose header is not known; or of no dialect that Python writes
            )
        head = _header(dialect, names)
        chosen = f"regexp_full_match(raw, {literal(dialect.record(len(names)))})"
    elif format_ == "parquet":
        return None
    elif format_ == "json":  # an object of a document may take several lines, and means the same in one
        text = f"replace(raw, {NEWLINE}, ' ')"
    connection.execute(
        f"""
        create or replace temp table tandem_numbered as
        select
            source_row,
            line,
            {head.count(chr(10)) + 1}
            + coalesce(sum(1 + length(line) - length(replace(line, {NEWLINE}, ''))) over (
                order by source_row rows between unbounded preceding and 1 preceding
            ), 0)::bigint as position
        from (select source_row, raw, {text} as line from tandem_texts)
        where {chosen}
        """
    )
    path = folder / "lines.txt"
    lines = connection.execute("select line from tandem_numbered order by position")
    count = 0
    with path.open("w", encoding="utf-8", newline="") as target:
        target.write(head)
        while batch := lines.fetchmany(ROWS_AT_A_TIME):
            target.writelines(f"{line}\n" for (line,) in batch)
            count += len(batch)
    source = channel.source.model_copy(update={"encoding": "utf-8", "compression": "auto"})
    stored_as = "jsonl" if format_ == "json" else format_
    file = SourceFile(path, receipt.source_file, format_, partitions_of(receipt.source_file), stored_as)
    return _Batch(file, channel.model_copy(update={"source": source}), "tandem_numbered") if count else None


def _exchange(
    connection: duckdb.DuckDBPyConnection, channel: Channel, kind: Kind, lake: Lake, receipts: list[Receipt],
    outcomes: dict[str, _Outcome], folder: Path,
) -> dict[str, tuple[int, dict[str, int]]]:  # fmt: skip
    """Put new rows in the place of quarantined ones, in the files of one channel and day: landing, quarantine, and
    receipts last. Returns how many rows of each file landed, and the reasons of those that stay. Files without
    any change are not written."""
    day = receipts[0].delivered_on
    new_landing = [path for outcome in outcomes.values() for path in outcome.landing]
    new_quarantine = [path for outcome in outcomes.values() for path in outcome.quarantine]
    connection.execute("create or replace temp table tandem_again (source_file varchar, source_row bigint)")
    for path in new_landing + new_quarantine:
        connection.execute(
            f"insert into tandem_again select distinct source_file, source_row from read_parquet({literal(str(path))})"
        )
    landing = lake.landing(kind.name, channel.name, day) / "part.parquet"
    quarantine = lake.quarantine(kind.name, channel.name, day) / "part.parquet"
    landed = _count_by_file(connection, new_landing)
    after_landing = landing
    if landed:
        after_landing = folder / "landing.parquet"
        _merge(connection, landing, new_landing, kind.landing_schema(), kind.key, after_landing)
    after_quarantine = folder / "quarantine.parquet"
    _merge(connection, quarantine, new_quarantine, QUARANTINE_SCHEMA, ("raw", "reason"), after_quarantine)
    in_landing = _count_by_file(connection, [after_landing])
    in_quarantine = _count_by_file(connection, [after_quarantine])
    after_receipts = [
        _recounted(receipt, channel, in_landing, in_quarantine) if receipt.kind == kind.name else receipt
        for receipt in receipts
    ]
    if landed:
        _replace(after_landing, landing)
    if _differ(connection, quarantine, after_quarantine):
        _replace(after_quarantine, quarantine)
    if after_receipts != receipts:
        write_receipts(connection, lake.receipts(channel.name, day) / "receipts.parquet", after_receipts)
    return {name: (landed.get(name, 0), _reasons(connection, after_quarantine, name)) for name in outcomes}


def _merge(
    connection: duckdb.DuckDBPyConnection, old: Path, new: list[Path], schema: dict[str, str], key: tuple[str, ...],
    target: Path,
) -> None:  # fmt: skip
    rows = (
        f"select * from ({typed_rows([old], schema)}) anti join tandem_again using (source_file, source_row)"
    )
    if new:
        rows += f" union all select * from ({typed_rows(new, schema)})"
    names = ", ".join(identifier(name) for name in schema)
    order = ", ".join(identifier(name) for name in dict.fromkeys(("source_file", "source_row", *key)))
    connection.execute(
        f"copy (select {names} from ({rows}) order by {order}) to {literal(str(target))} ({PARQUET})"
    )


def _recounted(
    receipt: Receipt, channel: Channel, in_landing: dict[str, int], in_quarantine: dict[str, int]
) -> Receipt:
    landed, quarantined = (counts.get(receipt.source_file, 0) for counts in (in_landing, in_quarantine))
    received = landed + quarantined + receipt.erased
    if received != receipt.received and not channel.unpivot:
        raise StepFailed(
            f"channel {channel.name}: {receipt.source_file}: {receipt.received} rows received, but {landed} landed and "
            f"{quarantined} quarantined after the replay: this is a fault of Tandem, please report it"
        )
    return replace(receipt, received=received, landed=landed, quarantined=quarantined)


def _replace(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _differ(connection: duckdb.DuckDBPyConnection, first: Path, second: Path) -> bool:
    before, after = (typed_rows([path], QUARANTINE_SCHEMA) for path in (first, second))
    (count,) = connection.execute(
        f"select count(*) from (({before} except all {after}) union all ({after} except all {before}))"
    ).fetchone()
    return count > 0


def _count_by_file(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> dict[str, int]:
    if not paths:
        return {}
    listed = ", ".join(literal(str(path)) for path in paths)
    return dict(
        connection.execute(
            f"select source_file, count(*) from read_parquet([{listed}], hive_partitioning = false)"
            " group by source_file"
        ).fetchall()
    )


def _reasons(connection: duckdb.DuckDBPyConnection, quarantine: Path, name: str) -> dict[str, int]:
    return dict(
        connection.execute(
            f"""
            select reason, count(*) as rows from read_parquet({literal(str(quarantine))}, hive_partitioning = false)
            where source_file = {literal(name)} group by reason order by rows desc, reason
            """
        ).fetchall()
    )


def _structure_of(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, Any]:
    """The columns of JSON objects of which an earlier version did not write down the types."""
    (found,) = connection.execute(f"select json_group_structure(raw::json)::varchar from ({rows})").fetchone()
    structure = json.loads(found) if found else {}
    return {name: "VARCHAR" if kind in ("NULL", "JSON") else kind for name, kind in structure.items()}


def _names_in_file(receipt: Receipt) -> list[str]:
    """The columns of a file itself, without those at their end that the folders `name=value` of its path give."""
    folders = {folder.partition("=")[0] for folder in receipt.source_file.split("/")[:-1] if "=" in folder}
    names = list(receipt.columns)
    while names and names[-1] in folders:
        names.pop()
    return names


def _format_of(channel: Channel) -> str:
    """The format of the files that a channel's source gives; what is read of a database comes as Parquet."""
    return getattr(channel.source, "format", "parquet")


def _header(dialect: Dialect, names: list[str]) -> str:
    """The line with the column names, if there is one."""
    if not dialect.has_header:
        return ""
    text = io.StringIO()
    csv.writer(
        text, delimiter=dialect.delimiter, quotechar=dialect.quote or None, lineterminator="\n",
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=dialect.escape == dialect.quote,
        escapechar=None if dialect.escape == dialect.quote else dialect.escape,
    ).writerow(names)  # fmt: skip
    return text.getvalue()


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None
