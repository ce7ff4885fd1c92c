"""Columns of few words: an export has them in its own case, and calls a withdrawn consent in many ways."""

from __future__ import annotations


def statuses(desk, *words: str) -> list[str]:
    desk.describe(
        kind="consents", path="consents.csv", format="csv",
        map={"id_type": {"value": "email"}, "id_value": "mail", "purpose": {"value": "email"}, "status": "said",
             "effective_at": {"value": "2017-12-01"}},
    )  # fmt: skip
    desk.deliver(
        "consents.csv", "mail,said\n" + "".join(f"{n}@a.example,{word}\n" for n, word in enumerate(words))
    )
    desk.extract()
    return [row["status"] for row in desk.landed("status, date, source_file, source_row")]


def test_a_withdrawn_consent_is_a_refusal_whatever_it_is_called(desk):
    words = [
        "denied",
        "Denied",
        "REVOKED",
        "withdrawn",
        "expired",
        "opted-out",
        "Opt Out",
        "OptOut",
        "unsubscribed",
        "false",
        "0",
        "No",
        "n",
    ]
    assert statuses(desk, *words) == ["denied"] * len(words)


def test_a_grant_is_read_in_any_case(desk):
    words = ["granted", "GRANTED", "opted_in", "OptIn", "Subscribed", "accepted", "True", "1", "y"]
    assert statuses(desk, *words) == ["granted"] * len(words)


def test_what_is_not_confirmed_or_never_said_is_unknown_whatever_it_is_called(desk):
    words = ["unknown", "Pending", "not set", "OPT_IN_UNVERIFIED", "Not specified", "NotSeen"]
    assert statuses(desk, *words) == ["unknown"] * len(words)


def test_a_word_that_is_none_of_these_is_quarantined(desk):
    assert statuses(desk, "granted", "perhaps") == ["granted"]
    assert desk.reasons() == [(3, "not_allowed:status")]


def test_the_type_of_an_identifier_is_read_as_others_call_it(desk):
    desk.describe(
        kind="consents", path="consents.csv", format="csv",
        map={"id_type": "type", "id_value": {"value": "7"}, "purpose": {"value": "email"},
             "status": {"value": "denied"}, "effective_at": {"value": "2017-12-01"}},
    )  # fmt: skip
    words = ["EMAIL", "E-Mail", "Phone number", "customer_number", "Loyalty card"]
    desk.deliver("consents.csv", "type\n" + "".join(f"{word}\n" for word in words))
    desk.extract()
    assert [row["id_type"] for row in desk.landed("id_type, date, source_file, source_row")] == [
        "email", "email", "phone", "customer_number", "loyalty_card",
    ]  # fmt: skip


def test_what_was_done_with_a_message_is_read_as_its_sender_calls_it(desk):
    desk.describe(
        kind="messages", path="mail.csv", format="csv",
        map={"message_id": "id", "action": "event", "occurred_at": {"value": "2017-12-01"}},
    )  # fmt: skip
    words = ["Sent", "delivered", "open", "CLICK", "bounce", "unsubscribe", "spamreport"]
    desk.deliver("mail.csv", "id,event\n" + "".join(f"m,{word}\n" for word in words))
    desk.extract()
    assert [row["action"] for row in desk.landed("action, date, source_file, source_row")] == [
        "sent", "delivered", "opened", "clicked", "bounced", "unsubscribed",
    ]  # fmt: skip
    assert desk.reasons() == [(8, "not_allowed:action")]
