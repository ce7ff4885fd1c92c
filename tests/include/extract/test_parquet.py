from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.ledger import StepFailed

SEEN = [datetime(2017, 11, 30, 8, tzinfo=UTC), datetime(2017, 11, 30, 9, tzinfo=UTC)]


@pytest.fixture
def broker(desk):
    return desk.describe(
        name="broker", party="third", kind="traits", path="traits.parquet", format="parquet", unpivot="all",
        map={"id_type": {"value": "anonymous_id"}, "id_value": "cookie", "observed_at": "seen_at"},
    )  # fmt: skip


def deliver(desk, columns: dict, name: str = "traits.parquet") -> None:
    path = desk.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_a_wide_table_becomes_one_row_per_trait_that_has_a_value(broker):
    deliver(
        broker,
        {
            "cookie": ["a", "b"],
            "seen_at": SEEN,
            "age": [34, None],
            "likes": ["tea", ""],
            "owner": [True, False],
        },
    )
    broker.extract()
    landed = [
        (item["id_value"], item["trait"], item["value"], item["source_row"]) for item in broker.landed()
    ]
    assert landed == [
        ("a", "age", "34", 1),
        ("a", "likes", "tea", 1),
        ("a", "owner", "true", 1),
        ("b", "owner", "false", 2),
    ]
    assert broker.landed()[0]["observed_at"] == datetime(2017, 11, 30, 8)


def test_every_statement_of_a_bad_row_is_counted_in_quarantine(broker):
    deliver(broker, {"cookie": ["a", None], "seen_at": SEEN, "age": [34, 35], "likes": ["tea", "art"]})
    result = broker.extract()
    assert (result.received, result.landed, result.quarantined) == (4, 2, 2)
    assert broker.reasons() == [(2, "missing:id_value")] * 2


def test_only_listed_columns_are_unpivoted_and_the_others_kept(broker):
    broker.channel = broker.channel.model_copy(update={"unpivot": ("likes",)})
    deliver(broker, {"cookie": ["a"], "seen_at": SEEN[:1], "age": [34], "likes": ["tea"]})
    broker.extract()
    assert [(item["trait"], item["attributes"]) for item in broker.landed()] == [("likes", {"age": "34"})]


def test_typed_columns_keep_their_values(desk):
    desk.describe(
        kind="orders", path="orders.parquet", format="parquet",
        map={"order_id": "id", "ordered_at": "at", "total": {"sql": "cents / 100"}, "customer_number": "customer"},
    )  # fmt: skip
    columns = {
        "id": [1, 2], "at": SEEN, "cents": [250, 1999], "customer": [17.0, None],
        "basket": [[{"sku": "x"}], None], "source_row": [7, 8],
    }  # fmt: skip
    deliver(desk, columns, "orders.parquet")
    desk.extract()
    landed = desk.landed(
        "order_id, ordered_at, total::double as total, customer_number, attributes, source_row"
    )
    assert landed[0] == {
        "order_id": "1", "ordered_at": datetime(2017, 11, 30, 8), "total": 2.5, "customer_number": "17",
        "attributes": {"basket": '[{"sku":"x"}]', "source_row": "7"}, "source_row": 1,
    }  # fmt: skip
    assert landed[1]["total"] == 19.99


def test_a_missing_column_fails_with_the_nearest_one_present(broker):
    deliver(broker, {"cookies": ["a"], "seen_at": SEEN[:1], "age": [34]})
    with pytest.raises(
        StepFailed, match=r"traits.parquet has no column 'cookie' \(map.id_value\), nearest: 'cookies'"
    ):
        broker.extract()
