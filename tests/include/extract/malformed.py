"""What goes wrong with deliveries: each kind by its name, what is delivered, and what has to become of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "id,updated_at,mail,born,shoe_size\n"


@dataclass(frozen=True)
class Kind:
    """One way to be malformed. Either the delivery is `refused`, with an error that says so (a pattern), or these rows
    are `quarantined` (number and reason) or come `without` a value (column and what it was), and so many have `landed`
    in all."""

    content: bytes | str | Callable[[Path], object]
    landed: int = 0
    quarantined: dict[int, str] = field(default_factory=dict)
    refused: str = ""
    without: dict[str, str] = field(default_factory=dict)


def row(number: int | str, mail: str = "m@example.com", born: str = "1980-02-03", size: str = "41") -> str:
    return f"{number},2017-11-30T10:00:00Z,{mail},{born},{size}\n"


def dated(text: str) -> str:
    return f"2,{text},m@example.com,1980-02-03,41\n"


def between(damage: str | bytes) -> bytes:
    """Damage in row 3 of a CSV, between two good rows."""
    damage = damage.encode() if isinstance(damage, str) else damage
    return (HEADER + row(1)).encode() + damage.rstrip(b"\n") + b"\n" + row(4).encode()


def call(number: int, **more: object) -> str:
    return json.dumps({"id": f"c{number}", "at": "2017-12-01T10:00:00Z", "seconds": 60, **more}) + "\n"


def among(damage: bytes) -> bytes:
    """Damage in line 2 of JSON lines, between two good ones."""
    return call(1).encode() + damage + b"\n" + call(3).encode()


def apart(damage: bytes, reason: str) -> Kind:
    """A line that is quarantined alone."""
    return Kind(among(damage), 2, {2: reason})


def apart_in_csv(damage: str | bytes, reason: str) -> Kind:
    """A row of CSV that is quarantined alone."""
    return Kind(between(damage), 2, {3: reason})


def no_number(text: str) -> Kind:
    """A line with a duration that is none and is kept as it came."""
    damage = f'{{"id": "x", "at": "2017-12-01", "seconds": {text}}}'
    return Kind(among(damage.encode()), 3, without={"duration_seconds": text})


def zipped(*members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(members):
            archive.writestr(f"{number}.csv", content)
    return file.getvalue()


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("customers.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def table(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        folder = os.open(path.parent, os.O_RDONLY)
        one.bind(f"/proc/self/fd/{folder}/{path.name}")  # the name of a socket has to be short
        os.close(folder)


def linked(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def nested(sign: str, depth: int, close: str = "") -> bytes:
    return f'{{"id": "x", "at": "2017-12-01", "tree": {sign * depth}1{close * depth}}}'.encode()


def bomb(pack: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """80 MB of next to nothing behind good rows."""
    return lambda path: path.write_bytes(pack(GOOD + b" " * (80 << 20)))


def empty_rows(path: Path) -> None:
    """70 million rows of nothing, which a Parquet file of a few kilobytes can hold."""
    columns = pa.table({"id": pa.nulls(70_000_000), "at": pa.nulls(70_000_000)})
    pq.write_table(columns, path, row_group_size=70_000_000)


def damage_of(kind: Kind) -> bytes:
    """The line that `among` put among good ones."""
    return kind.content.split(b"\n")[1]


GOOD = (HEADER + row(1) + row(2)).encode()
ZSTD = pa.Codec("zstd")

FILES = {
    "an empty file": Kind("", refused="is empty; set required: false"),
    "blank lines only": Kind("\n \n\r\n", refused="is empty; set required: false"),
    "a header only": Kind(HEADER, landed=0),
    "a header and no more, packed": Kind(gzip.compress(b""), refused="is empty; set required: false"),
    "no header": Kind(row(1) + row(2), refused="has no column 'id'"),
    "a header of other names": Kind(
        HEADER.replace("mail", "e_mail") + row(1),
        refused=r"no column 'mail' \(map\.email\), nearest: 'e_mail'",
    ),
    "a header without a column": Kind("updated_at,mail,born\n", refused="has no column 'id'"),
    "a header with the same name twice": Kind(
        "id,updated_at,mail,mail,born\n1,2017-11-30,a@x.com,b@x.com,1980-02-03\n", landed=1
    ),
    "a header of a million columns": Kind("," * 1_000_000 + "id\n", refused="1,000,001 columns.*max_fields"),
    "another delimiter": Kind(GOOD.replace(b",", b";"), refused="one column only, is delimiter ',' right"),
    "a page of an error": Kind("<html>503 Service Unavailable</html>\n", refused="has no column 'id'"),
    "another format": Kind(call(1) + call(2), refused="has no column 'id'"),
    "binary rubbish": Kind(bytes(range(256)) * 40, refused=r"customers_2017-12-01\.csv"),
    "rubbish after a good header": Kind(
        HEADER.encode() + b"\xc8\x01\xff\n" * 9, quarantined=dict.fromkeys(range(2, 11), "encoding")
    ),
    "UTF-16 without a mark": Kind(GOOD.decode().encode("utf-16-le"), refused="has no column 'id'"),
    "gzip that is cut off": Kind(
        gzip.compress(GOOD * 50)[:-40], refused="cut off or damaged gzip.*deliver it again"
    ),
    "gzip in name only": Kind(b"\x1f\x8b" + GOOD, refused="cut off or damaged gzip"),
    "gzip of another sum": Kind(gzip.compress(GOOD)[:-8] + bytes(8), refused="damaged gzip .*CRC"),
    "gzip with more behind it": Kind(gzip.compress(GOOD) + b"more", refused="cut off or damaged gzip"),
    "zstd that is cut off": Kind(
        ZSTD.compress(GOOD * 50, asbytes=True)[:-9], refused="cut off or damaged zstd"
    ),
    "packed twice": Kind(gzip.compress(gzip.compress(GOOD)), refused="packed twice"),
    "a gzip bomb": Kind(bomb(gzip.compress), refused="more than 200 times its size.*max_expansion"),
    "a zstd bomb": Kind(bomb(ZSTD.compress), refused="more than 200 times its size.*max_expansion"),
    "a zip bomb": Kind(bomb(zipped), refused="is a zip archive"),
    "a zip of two files": Kind(zipped(GOOD, GOOD), refused="is a zip archive.*deliver the file in it"),
    "a zip in a zip": Kind(zipped(zipped(GOOD)), refused="is a zip archive"),
    "a tar in gzip": Kind(tarred(GOOD), refused="is a tar archive"),
    "bzip2": Kind(b"BZh91AY&SY" + bytes(50), refused="packed by bzip2"),
    "Parquet as CSV": Kind(b"PAR1" + bytes(50), refused="format: parquet"),
    "a folder of that name": Kind(Path.mkdir, refused=r"is a folder: .* end path in /\*"),
    "a link to nowhere": Kind(linked("gone.csv"), refused="leads nowhere"),
    "a link to itself": Kind(linked("customers_2017-12-01.csv"), refused="leads nowhere"),
    "a link out of the folder": Kind(
        linked("/etc/passwd"), refused="link to a file outside of .*deliver the file"
    ),
    "a device": Kind(listening, refused="a pipe or a device"),
}

ROWS = {
    "too few fields": apart_in_csv("2,few", "malformed"),
    "too many fields": apart_in_csv(row(2).rstrip() + ",one,more", "malformed"),
    "an open quote": apart_in_csv(row(2, '"open'), "malformed"),
    "text after a closing quote": apart_in_csv(row(2, '"a"b'), "malformed"),
    "a NUL": apart_in_csv(row(2, "a\0b"), "encoding"),
    "Latin-1 bytes": apart_in_csv(row(2, "é").encode("latin-1"), "encoding"),
    "half a surrogate": apart_in_csv(row(2).encode().replace(b"m@", b"\xed\xa0\x80@"), "encoding"),
    "a cell of 10 MB": Kind(between(row(2, size="x" * 10_000_000)), 3),
    "a cell of 20 MB": apart_in_csv(row(2, size="x" * 20_000_000), "malformed"),
    "no id": apart_in_csv(row("  "), "missing:record_id"),
    "the day zero": apart_in_csv(dated("0000-00-00"), "unreadable:observed_at"),
    "the year 99999": apart_in_csv(dated("99999-01-01"), "unreadable:observed_at"),
    "29 February of no leap year": apart_in_csv(dated("2017-02-29"), "unreadable:observed_at"),
    "a time that is a word": apart_in_csv(dated("infinity"), "unreadable:observed_at"),
    "a day of birth that cannot be": Kind(
        between(row(2, born="1980-02-30")), 3, without={"birth_date": "1980-02-30"}
    ),
    "a day of birth of another age": Kind(
        between(row(2, born="1066-10-14")), 3, without={"birth_date": "1066-10-14"}
    ),
    "an id that comes twice with other content": Kind(between(row(1, "other@example.com")), 3),
    "line ends of all sorts": Kind(HEADER.replace("\n", "\r\n") + row(1) + "\n\r\n" + row(2), 2),
    "a byte order mark": Kind(GOOD.decode().encode("utf-8-sig"), 2),
}

# What is no damage, though it looks like it: it lands as it came.
AS_IT_CAME = (
    "=cmd|'/c calc'!A1",
    "@SUM(1)",
    "../../etc/passwd",
    "Robert'); drop table customers;--",
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "a\u200bb",
    "\N{DOG FACE}\ufe0f",
    "a\x07b",
    "a\u2028b",
    "NULL",
    "1e5",
)

LINES = {
    "cut off": apart(b'{"id": "x", "at": "2017-', "malformed"),
    "words": apart(b"Traceback (most recent call last):", "malformed"),
    "an array": apart(b'[{"id": "x"}]', "malformed"),
    "a number": apart(b"42", "malformed"),
    "null": apart(b"null", "malformed"),
    "a text": apart(b'"id"', "malformed"),
    "two objects": apart(b'{"id": "x"}{"id": "y"}', "malformed"),
    "single quotes": apart(b"{'id': 'x'}", "malformed"),
    "a comment": apart(b'{"id": "x", /* why */ "at": "2017-12-01"}', "malformed"),
    "a byte order mark in the middle": apart(b'\xef\xbb\xbf{"id": "x", "at": "2017-12-01"}', "malformed"),
    "a lone surrogate": apart(b'{"id": "\\ud800", "at": "2017-12-01"}', "malformed"),
    "a key that comes twice": apart(b'{"id": "x", "id": "y", "at": "2017-12-01"}', "malformed"),
    "an unknown key that comes twice": apart(b'{"id": "x", "at": "2017-12-01", "z": 1, "z": 2}', "malformed"),
    "invalid UTF-8": apart(b'{"id": "\xff\xfe", "at": "2017-12-01"}', "encoding"),
    "a NUL in a line": apart(b'{"id": "x\x00", "at": "2017-12-01"}', "encoding"),
    "UTF-16 in the middle": apart('{"id"}'.encode("utf-16-le"), "encoding"),
    "a wrong type": apart(b'{"id": "x", "at": {"day": 1}}', "unreadable:occurred_at"),
    "a missing id": apart(b'{"at": "2017-12-01T10:00:00Z"}', "missing:interaction_id"),
    "an empty id": apart(b'{"id": "  ", "at": "2017-12-01T10:00:00Z"}', "missing:interaction_id"),
    "an ancient date": apart(b'{"id": "x", "at": "0217-12-01T10:00:00Z"}', "out_of_range:occurred_at"),
    "a date far in the future": apart(
        b'{"id": "x", "at": "9999-12-31T10:00:00Z"}', "out_of_range:occurred_at"
    ),
    "an open bracket 5000 times": apart(b'{"id": "x", "at": ' + b"[" * 5000, "oversized"),
    "lists in lists 100,000 deep": apart(nested("[", 100_000, "]"), "oversized"),
    "objects in objects 100,000 deep": apart(nested('{"a":', 100_000, "}"), "oversized"),
    "a hundred thousand keys": apart(
        json.dumps(dict.fromkeys(map(str, range(100_000)))).encode(), "oversized"
    ),
    "a number of 100,000 digits": no_number("9" * 100_000),
    "a number beyond 64 bits": no_number("9223372036854775808"),
    "a number without end": no_number("Infinity"),
    "a number that is none": no_number("NaN"),
    "less than nothing": no_number("-5"),
}

# Fields of an order line in row 3, as CSV.
AMOUNTS = {
    "a comma for the point": Kind('1,2,1,"3,50"', 3, without={"unit_price": "3,50"}),
    "a sign of the currency": Kind("1,2,1,€ 3.50", 3, without={"unit_price": "€ 3.50"}),
    "more digits than money has": Kind(
        "1,2,1,12345678901234567", 3, without={"unit_price": "12345678901234567"}
    ),
    "more places than money has": Kind("1,2,1,3.4999999999", 3),  # four, as kinds.yml says
    "a price that is no number": Kind("1,2,1,NaN", 3, without={"unit_price": "NaN"}),
    "a line number beyond 64 bits": Kind("1,9223372036854775808,1,3.50", 2, {3: "unreadable:line_number"}),
    "half a line number": Kind("1,1.5,1,3.50", 2, {3: "unreadable:line_number"}),
}

TABLES = {
    "Parquet that is cut off": Kind(table(id=["1"])[:-30], refused="is no readable Parquet file"),
    "Parquet in name only": Kind(b"PAR1" + bytes(500), refused="is no readable Parquet file"),
    "an empty file as Parquet": Kind("", refused="is no readable Parquet file"),
    "Parquet without a column": Kind(table(id=["1"]), refused="has no column 'at'.*map.occurred_at"),
    "Parquet of other types": Kind(
        table(id=[1, 2], at=[1512117000, None], seconds=["60", "a minute"]), 1, {2: "missing:occurred_at"}
    ),
    "Parquet with a list for a time": Kind(
        table(id=["1", "2"], at=[["2017-12-01"], []]), 0, dict.fromkeys((1, 2), "unreadable:occurred_at")
    ),
    "a Parquet bomb": Kind(empty_rows, refused="more than 200 times its size"),
}
