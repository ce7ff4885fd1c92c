from __future__ import annotations

import gzip
from datetime import datetime

import pytest

HEADER = "id,updated_at,mail,born,shoe_size\n"
FILE = "customers_2017-12-01.csv"


def row(number: int, mail: str = "", born: str = "1980-02-03") -> str:
    return f"{number},2017-11-30T10:00:00Z,{mail or f'{number}@example.com'},{born},4{number % 10}\n"


def rows(*numbers: int) -> str:
    return "".join(row(number) for number in numbers)


def ids(desk) -> list[str]:
    return [item["record_id"] for item in desk.landed("record_id")]


def test_a_clean_file_lands_with_types_row_numbers_and_unknown_columns(customers):
    customers.deliver(FILE, HEADER + rows(1, 2))
    customers.extract()
    first = customers.landed()[0]
    assert first["record_id"] == "1"
    assert first["observed_at"] == datetime(2017, 11, 30, 10)
    assert str(first["birth_date"]) == "1980-02-03"
    assert first["attributes"] == {"shoe_size": "41"}
    assert first["rejected_values"] == {}
    assert (first["source_file"], first["source_row"], first["party"]) == (FILE, 2, "first")
    assert (str(first["date"]), first["channel"]) == ("2017-12-01", "crm")


def test_repeated_rows_land_as_they_came(customers):
    customers.deliver(FILE, HEADER + rows(1, 2, 3, 1, 2, 3))
    result = customers.extract()
    assert (result.received, result.landed) == (6, 6)


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + rows(1, 2)).encode("utf-8-sig"),
        (HEADER + rows(1, 2)).replace("\n", "\r\n").encode(),
        (HEADER + rows(1, 2)).rstrip("\n").encode(),
        (HEADER + row(1) + "\n\n" + row(2) + "\n").encode(),
        (HEADER.replace("\n", "\r\n") + row(1) + row(2).replace("\n", "\r\n")).encode(),
        (HEADER + rows(1, 2)).encode("utf-16"),
        gzip.compress((HEADER + rows(1, 2)).encode()),
        gzip.compress((HEADER + row(1)).encode()) + gzip.compress(row(2).encode()),
    ],
    ids=["byte order mark", "crlf", "no final newline", "blank lines", "mixed line ends", "utf-16", "gzip",
         "gzip in two members"],
)  # fmt: skip
def test_the_way_a_file_is_written_changes_no_row(customers, content):
    customers.deliver(FILE, content)
    assert customers.extract().landed == 2
    values = [(item["record_id"], item["email"]) for item in customers.landed()]
    assert values == [("1", "1@example.com"), ("2", "2@example.com")]


def test_quoted_line_ends_and_delimiters_belong_to_the_value(customers):
    customers.deliver(FILE, HEADER + row(1, '"a,""b""\nc@example.com"') + row(2))
    customers.extract()
    landed = customers.landed("record_id, email, source_row")
    assert [item["email"] for item in landed] == ['a,"b"\nc@example.com', "2@example.com"]
    assert [item["source_row"] for item in landed] == [2, 4]


def test_rows_of_another_width_are_quarantined_alone_with_their_text(customers):
    customers.deliver(
        FILE, HEADER + row(1) + "2,too,few\n" + row(3) + row(4).rstrip() + ",one,more\n" + row(5)
    )
    customers.extract()
    assert ids(customers) == ["1", "3", "5"]
    assert customers.reasons() == [(3, "malformed"), (5, "malformed")]
    assert customers.quarantined()[0]["raw"] == "2,too,few"


def test_an_open_quote_takes_no_other_row_with_it(customers):
    customers.deliver(FILE, HEADER + row(1) + row(2, '"open') + rows(3, 4) + row(5, '"a\nb"') + row(6))
    customers.extract()
    assert ids(customers) == ["1", "3", "4", "5", "6"]
    assert customers.reasons() == [(3, "malformed")]


def test_a_quote_inside_an_unquoted_value_is_part_of_it(customers):
    customers.deliver(FILE, HEADER + row(1, '5" nails') + row(2) + row(3, '6" nails'))
    customers.extract()
    assert [item["email"] for item in customers.landed()] == ['5" nails', "2@example.com", '6" nails']


def test_damage_in_one_row_changes_no_other_row(customers):
    good = HEADER + row(1, '"x ""y"", z"') + row(2, ' "spaced" ') + row(3, '""') + row(4, "ü@example.com")
    customers.deliver(FILE, good)
    customers.extract()
    clean = [{**item, "source_row": 0} for item in customers.landed()]
    customers.deliver(FILE, good + "too,few\n")
    customers.extract()
    assert customers.reasons() == [(6, "malformed")]
    assert [{**item, "source_row": 0} for item in customers.landed()] == clean


def test_bytes_that_are_no_text_are_quarantined_and_can_be_had_back(customers):
    damaged = b"2,2017-11-30,\xff\xfeM\xfcller,,\n"
    customers.deliver(
        FILE, HEADER.encode() + row(1).encode() + damaged + row(3).encode() + b"4,2017\x00,,,\n"
    )
    customers.extract()
    assert ids(customers) == ["1", "3"]
    assert customers.reasons() == [(3, "encoding"), (5, "encoding")]
    assert customers.quarantined()[0]["raw"].encode("latin-1") == damaged.rstrip()


def test_another_encoding_quote_and_delimiter_are_read(desk):
    desk.describe(
        path="f.csv", format="csv", delimiter=";", quote="'", encoding="cp1252", null_values=["", "n/a"],
        map={"record_id": "id", "observed_at": "at", "family_name": "name", "email": "mail"},
    )  # fmt: skip
    desk.deliver("f.csv", "id;at;name;mail\n1;2017-01-01;'Mül;ler';n/a\n".encode("cp1252"))
    desk.extract()
    landed = desk.landed("family_name, email")
    assert landed == [{"family_name": "Mül;ler", "email": None}]


def test_a_backslash_may_escape_a_quote(desk):
    desk.describe(
        path="f.csv", format="csv", escape="\\", map={"record_id": "id", "observed_at": "at", "email": "mail"}
    )
    desk.deliver("f.csv", 'id,at,mail\n1,2017-01-01,"a\\"b"\n2,2017-01-01,"c"\n3,few\n')
    desk.extract()
    assert [item["email"] for item in desk.landed("*")] == ['a"b', "c"]
    assert desk.reasons() == [(4, "malformed")]


def test_a_file_without_a_header_has_numbered_columns(desk):
    desk.describe(
        path="f.csv", format="csv", header=False, map={"record_id": "column_1", "observed_at": "column_2"}
    )
    desk.deliver("f.csv", "1,2017-01-01\n2,2017-01-02\n")
    desk.extract()
    assert [(item["record_id"], item["source_row"]) for item in desk.landed()] == [("1", 1), ("2", 2)]


def test_a_row_that_breaks_several_rules_names_them_all(customers):
    customers.deliver(FILE, HEADER + " ,yesterday,a@example.com,1980-01-01,\n" + row(2))
    customers.extract()
    assert customers.reasons() == [(2, "missing:record_id;unreadable:observed_at")]
    assert '"mail":"a@example.com"' in customers.quarantined()[0]["raw"]


def test_an_unreadable_optional_value_is_kept_and_its_row_lands(customers):
    dates = ["soon", "1066-10-14", "31.12.1999", "infinity", "1980-02-30", "1980-01-01 (BC)"]
    customers.deliver(FILE, HEADER + "".join(row(number, born=born) for number, born in enumerate(dates)))
    customers.extract()
    landed = customers.landed("birth_date, rejected_values")
    assert landed == [{"birth_date": None, "rejected_values": {"birth_date": born}} for born in dates]


def test_times_are_read_as_utc(customers):
    times = [
        ("2017-12-01", datetime(2017, 12, 1)),
        ("2017-12-01 08:30", datetime(2017, 12, 1, 8, 30)),
        ("2017-12-01T08:30:00.25Z", datetime(2017, 12, 1, 8, 30, 0, 250000)),
        ("2017-12-01T08:30:00+02:00", datetime(2017, 12, 1, 6, 30)),
        ("2017-12-01T08:30:00-0530", datetime(2017, 12, 1, 14, 0)),
        ("2017-12-01T08:30Z", datetime(2017, 12, 1, 8, 30)),
        ("2017-12-01T08:30+02:00", datetime(2017, 12, 1, 6, 30)),
        ("2017-12-01 08:30 UTC", datetime(2017, 12, 1, 8, 30)),
        ("20171201083000", datetime(2017, 12, 1, 8, 30)),
        ("1512117000", datetime(2017, 12, 1, 8, 30)),
        ("1512117000250", datetime(2017, 12, 1, 8, 30, 0, 250000)),
        ("20171201", datetime(2017, 12, 1)),
    ]
    customers.deliver(FILE, HEADER + "".join(f"1,{text},,,\n" for text, _ in times))
    customers.extract()
    assert [item["observed_at"] for item in customers.landed()] == [expected for _, expected in times]


def test_a_zone_is_of_its_own_row_alone(customers):
    times = [
        "10:00:00 Asia/Tokyo",
        "00:30:00",
        "10:00:00 CET",
        "00:30:00",
        "10:00:00+02",
        "00:30:00",
        "10:00:00 UTC",
    ]
    rows = (f"{number},2024-02-29 {time},,,\n" for number, time in enumerate(times))
    customers.deliver(FILE, HEADER + "".join(rows))
    customers.extract()
    read = [f"{item['observed_at']:%H:%M}" for item in customers.landed()]
    assert read == ["01:00", "00:30", "09:00", "00:30", "08:00", "00:30", "10:00"]


def test_a_time_before_there_were_such_systems_is_set_apart(customers):
    customers.deliver(FILE, HEADER + "1,1970-01-01,,,\n2,2024-01-01,,,\n")
    assert (customers.extract().landed, customers.quarantined()[0]["reason"]) == (
        1,
        "out_of_range:observed_at",
    )


def test_an_expression_that_fails_on_one_row_does_not_fail_the_file(desk):
    desk.describe(
        kind="products", path="f.csv", format="csv",
        map={"product_id": "id", "name": {"sql": "upper(title)"}, "price": {"sql": "cast(cents as int) / 100"},
             "brand": {"value": "Own"}},
    )  # fmt: skip
    desk.deliver("f.csv", "id,title,cents\n1,tea,250\n2,soap,many\n")
    desk.extract()
    landed = desk.landed("product_id, name, brand, price, rejected_values")
    assert [(item["name"], item["brand"], item["price"] and float(item["price"])) for item in landed] == [
        ("TEA", "Own", 2.5),
        ("SOAP", "Own", None),
    ]
    assert landed[1]["rejected_values"] == {"price": "many"}


def test_numbers_are_never_rounded_to_fit(desk):
    desk.describe(
        kind="order_lines", path="f.csv", format="csv",
        map={"order_id": "o", "line_number": "n", "quantity": "q", "unit_price": "p"},
    )  # fmt: skip
    desk.deliver("f.csv", "o,n,q,p\n1,1,2.0,NaN\n1,1.5,1,1\n1,2.0,1e2,12345678901234567\n")
    desk.extract()
    assert desk.reasons() == [(3, "unreadable:line_number")]
    landed = desk.landed("line_number, quantity::double as quantity, unit_price, rejected_values")
    assert [(item["line_number"], item["quantity"]) for item in landed] == [(1, 2.0), (2, 100.0)]
    assert [item["rejected_values"] for item in landed] == [
        {"unit_price": "NaN"},
        {"unit_price": "12345678901234567"},
    ]


# Any delimiter, quoting and encoding, with and without damage: the rows are the same and none is lost


def dressed(people: list[tuple[str, str, str]], delimiter: str, quote: str, end: str = "\n") -> str:
    """People as CSV; fields that need it are quoted, if there is a quote."""

    def field(text: str) -> str:
        needs = quote and any(sign in text for sign in (delimiter, quote, "\n", "\r"))
        return quote + text.replace(quote, quote * 2) + quote if needs else text

    return "".join(delimiter.join(map(field, row)) + end for row in [("id", "at", "mail"), *people])


DIALECTS = [
    (",", '"'), (";", "'"), ("\t", ""), ("|", '"'), ("||", '"'), ("||", ""), ("\t|\t", '"'), ("<=>", "'"), ("^|^~", "")
]  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "shift_jis")


@pytest.mark.parametrize(("delimiter", "quote"), DIALECTS)
def test_any_delimiter_and_quote_give_the_same_rows(desk, delimiter, quote):
    damages = {"clean.csv": "", "damaged.csv": "too few", "control signs.csv": "few\x01\x02"}
    mails = ["a@example.com", "", "ü|x", "back\\slash", "'s", '5" nail'[: 8 if quote != '"' else 1]]
    if quote:
        mails += [
            f"x{delimiter}{quote}y{quote}",
            f"line\nend{delimiter}.",
            quote,
            f"a{delimiter[0]}z",
        ]
    people = [(str(number), "2017-01-01", mail) for number, mail in enumerate(mails, start=1)]
    desk.describe(
        path="*.csv", format="csv", delimiter=delimiter, quote=quote, escape=quote or '"',
        map={"record_id": "id", "observed_at": "at", "email": "mail"},
    )  # fmt: skip
    for name, damage in damages.items():
        desk.deliver(name, dressed(people, delimiter, quote) + (damage and damage + "\n"))
    assert desk.extract().files == len(damages)
    landed, refused, receipts = desk.landed(), desk.quarantined(), desk.receipts()
    for name, damage in damages.items():
        rows = [row for row in landed if row["source_file"] == name]
        assert [(row["record_id"], row["email"]) for row in rows] == [
            (number, mail or None) for number, _, mail in people
        ], name
        assert [row["raw"] for row in refused if row["source_file"] == name] == [damage] * bool(damage)
        (receipt,) = (each for each in receipts if each["source_file"] == name)
        assert receipt["received"] == len(people) + bool(damage)


def test_a_delimiter_of_several_signs_is_split_from_the_left(desk):
    """As DuckDB's reader does, so that damage in one row changes no other."""
    desk.describe(
        path="f.csv",
        format="csv",
        delimiter="||",
        map={"record_id": "id", "observed_at": "at", "email": "mail"},
    )
    text = 'id||at||mail\n1||2017-01-01|||x\n2||2017-01-01||"a|||b"\n'
    for damage in ("", "too few\n"):
        desk.deliver("f.csv", text + damage)
        desk.extract()
        assert [row["email"] for row in desk.landed("*")] == ["|x", "a|||b"]


def test_a_header_is_split_and_quoted_like_its_rows(desk):
    desk.describe(
        path="f.csv",
        format="csv",
        delimiter="||",
        map={"record_id": "i||d", "observed_at": "at", "email": "e|m"},
    )
    desk.deliver("f.csv", '"i||d"||at||e|m\n1||2017-01-01||x\n')
    desk.extract()
    assert [row["email"] for row in desk.landed("email")] == ["x"]


def test_a_file_of_several_signs_without_a_header_has_numbered_columns(desk):
    desk.describe(
        path="f.csv", format="csv", delimiter="||", header=False,
        map={"record_id": "column_1", "observed_at": "column_2"},
    )  # fmt: skip
    desk.deliver("f.csv", "1||2017-01-01\n2||2017-01-02\n3\n")
    desk.extract()
    assert [(row["record_id"], row["source_row"]) for row in desk.landed()] == [("1", 1), ("2", 2)]
    assert desk.reasons() == [(3, "malformed")]


def test_an_open_quote_among_delimiters_of_several_signs_takes_no_other_row_with_it(desk):
    desk.describe(
        path="f.csv",
        format="csv",
        delimiter="||",
        map={"record_id": "id", "observed_at": "at", "email": "mail"},
    )
    desk.deliver("f.csv", 'id||at||mail\n1||2017-01-01||"open\n2||2017-01-01||x\n3||2017-01-01||"a||\nb"\n')
    desk.extract()
    assert [(row["email"], row["source_row"]) for row in desk.landed()] == [("x", 3), ("a||\nb", 4)]
    assert desk.reasons() == [(2, "malformed")]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", "||"])
def test_every_encoding_gives_the_same_rows(desk, encoding, delimiter):
    mail = "日本" if encoding == "shift_jis" else "Müller ß"
    people = [("1", "2017-01-01", mail), ("2", "2017-01-01", f"{delimiter}\n{mail}")]
    desk.describe(
        path="f.csv", format="csv", delimiter=delimiter, encoding=encoding,
        map={"record_id": "id", "observed_at": "at", "email": "mail"},
    )  # fmt: skip
    desk.deliver("f.csv", (dressed(people, delimiter, '"') + "too few\n").encode(encoding))
    desk.extract()
    assert [(row["email"], row["source_row"]) for row in desk.landed()] == [(mail, 2), (people[1][2], 3)]
    assert desk.reasons() == [(5, "malformed")]


@pytest.mark.parametrize("delimiter", [",", "||"])
def test_lines_may_end_in_a_carriage_return_alone(desk, delimiter):
    people = [
        ("1", "2017-01-01", "a"),
        ("2", "2017-01-01", f"two\rlines{delimiter}"),
        ("3", "2017-01-01", "c"),
    ]
    desk.describe(
        path="f.csv",
        format="csv",
        delimiter=delimiter,
        map={"record_id": "id", "observed_at": "at", "email": "mail"},
    )
    desk.deliver("f.csv", dressed(people, delimiter, '"', end="\r") + "too few\r")
    result = desk.extract()
    assert [(row["email"], row["source_row"]) for row in desk.landed()] == [
        ("a", 2),
        (people[1][2], 3),
        ("c", 5),
    ]
    assert desk.reasons() == [(6, "malformed")]
    assert result.received == 4


def test_a_carriage_return_in_a_file_with_line_feeds_ends_no_line(desk):
    desk.describe(path="f.csv", format="csv", map={"record_id": "id", "observed_at": "at", "email": "mail"})
    desk.deliver("f.csv", 'id,at,mail\n1,2017-01-01,"a\rb"\n2,2017-01-01,c\n')
    desk.extract()
    assert [row["email"] for row in desk.landed("*")] == ["a\rb", "c"]
