"""The data dictionary tells what the contracts say."""

from __future__ import annotations

from include.report.data_model import PAGE, data_dictionary


def test_the_data_dictionary_is_that_of_the_contracts() -> None:
    assert PAGE.read_text() == data_dictionary(), "renew it: python -m include.report.data_model"


def test_every_column_of_the_dictionary_has_a_type_a_pii_label_and_a_meaning() -> None:
    rows = [line.split(" | ", 3) for line in data_dictionary().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert all(len(row) == 4 and all(cell.strip(" |") for cell in row) for row in rows)
    assert {row[2] for row in rows} <= {"none", "indirect", "direct", "pseudonymous"}
