"""Identifiers are spelled and hashed as each platform publishes it."""

from __future__ import annotations

from hashlib import sha256

import duckdb
import pytest

from include.activate.formats import Column, expression, formats, is_hashed, spellings, teach_spellings

GOOGLE = "google_customer_match"


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    teach_spellings(opened)
    return opened


def column(format_: str, name: str) -> Column:
    known = formats()[format_]
    (found,) = {row[name] for row in (*known.rows, known.also) if name in row}
    return found


def spelled(connection: duckdb.DuckDBPyConnection, steps: Column, value: str | None) -> str | None:
    query = f"select {expression(('value', *steps))} from (select ?::varchar as value)"
    return connection.execute(query, [value]).fetchone()[0]


@pytest.mark.parametrize(
    ("format_", "name", "value", "expected"),
    [
        # Google: "Format your user data", Data Manager API and Customer Match.
        (GOOGLE, "Email", "dana@example.com", "07e2f1394b0ea80e2adca010ea8318df697001a005ba7452720edda4b0ce57b3"),
        (GOOGLE, "Email", " DanaM@example.com", "1df6b43bc68dd38eca94e6a65b4f466ae537b796c81a526918b40ac4a7b906c7"),
        (
            "google_data_manager", "emailAddress", "cloudySanFrancisco@GMAIL.com",
            "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4",
        ),
        (GOOGLE, "Phone", "+16505551234", "a2996076d3ad4af5dc818b908b3d8e354f26ededf7df0e0aa6ac354143805ee0"),
        (
            "display_video_360", "hashedEmails", "da na@Example.com ",
            "07e2f1394b0ea80e2adca010ea8318df697001a005ba7452720edda4b0ce57b3",
        ),
        # Meta: the same phone without + and leading zeros.
        (
            "meta_custom_audience", "PHONE", "+16505551234",
            "6069d14bf122fdfd931dc7beb58e5dfbba395b1faf05bdcd42d12358d63d8599",
        ),
        # Segment's tests of its destination for Meta, and Meta's own normaliser for what follows a dash.
        (
            "meta_custom_audience", "ZIP", " 94102-1234 ",
            "8137c19c8f35f6b6a1cce99753226e1c7211eaaebd68528b789f973b0be95e31",
        ),
        (
            "meta_custom_audience", "COUNTRY", "US",
            "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621",
        ),
        ("meta_custom_audience", "GEN", " Male", "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"),
        ("meta_custom_audience", "GEN", "F", "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111"),
        (
            "meta_custom_audience", "CT", "San Francisco",
            "1a6bd4d9d79dc0a79b53795c70d3349fa9e38968a3fbefbfe8783efb1d2b6aac",
        ),
        (
            "meta_custom_audience", "ST", "California ",
            "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126",
        ),
        ("meta_custom_audience", "ST", "US-CA", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
        (
            "linkedin_dmp_segment", "SHA256_EMAIL", "user@example.com",
            "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
        ),
        # UID2: "Normalization and Encoding", Base64 of the bytes.
        ("uid2", "email_hash", "user@example.com", "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="),
        ("uid2", "email_hash", "JANE.SAOIRSE@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
        ("uid2", "email_hash", "JaneSaoirse+Work@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
        ("uid2", "email_hash", "JaneSaoirse+Work@example.com", "KKruSBUjDNO069iMUVImVQZm6RrAGZKeOtrD9mwogYA="),
        ("uid2", "phone_hash", "+12345678901", "EObwtHBUqDNZR33LNSMdtt5cafsYFuGmuY4ZLenlue4="),
    ],
)  # fmt: skip
def test_a_platforms_own_example_is_hashed_as_it_says(
    connection: duckdb.DuckDBPyConnection, format_: str, name: str, value: str, expected: str
) -> None:
    assert spelled(connection, column(format_, name)[1:], value) == expected


def test_the_same_phone_has_another_hash_for_google_than_for_meta(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    hashes = {
        spelled(connection, column(format_, name)[1:], "+16505551234")
        for format_, name in ((GOOGLE, "Phone"), ("meta_custom_audience", "PHONE"))
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("name", "value", "hashed"),
    [
        ("GEN", "female", "f"),
        ("GEN", "divers", None),
        ("DOBY", "1990-05-01", "1990"),
        ("DOBM", "1990-05-01", "05"),
        ("DOBD", "1990-05-01", "01"),
        ("CT", "St. John's", "stjohns"),
        ("ST", "ca", "ca"),
        ("ST", "District of Columbia", "dc"),
        ("ST", "Baden-Württemberg", "badenwürttemberg"),
    ],
)  # fmt: skip
def test_meta_takes_what_else_is_known_of_somebody(
    connection: duckdb.DuckDBPyConnection, name: str, value: str, hashed: str | None
) -> None:
    expected = hashed and sha256(hashed.encode()).hexdigest()
    assert spelled(connection, column("meta_custom_audience", name)[1:], value) == expected


def test_tiktok_takes_an_address_without_its_tag(connection: duckdb.DuckDBPyConnection) -> None:
    plain = column("tiktok_custom_audience", "Email_SHA256")[1:]
    assert spelled(connection, plain, "Ann+shop@example.com") == spelled(connection, plain, "ann@example.com")


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+cmd", "'-1+cmd"),
        ("+49 30 1234", "+49 30 1234"),
        ("-1.5", "-1.5"),
        ("Ann", "Ann"),
    ],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_is_text(
    connection: duckdb.DuckDBPyConnection, cell: str, written: str
) -> None:
    assert spelled(connection, ("no_formula",), cell) == written


def test_nothing_gives_no_hash(connection: duckdb.DuckDBPyConnection) -> None:
    for format_ in formats().values():
        for row in (*format_.rows, format_.also):
            for steps in row.values():
                assert spelled(connection, steps[1:], "") is None
                assert spelled(connection, steps[1:], None) is None


def test_every_step_of_a_format_is_a_spelling_and_what_says_who_somebody_is_goes_hashed() -> None:
    plain = {"member_id", "ad_consent", "country", "postcode"}
    for format_ in formats().values():
        for row in (*format_.rows, format_.also):
            for steps in row.values():
                assert set(steps[1:]) <= set(spellings())
                assert is_hashed(steps) or steps[0] in plain
