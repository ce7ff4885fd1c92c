"""The other channels' files: customer records, orders on line, calls, e-mail, consents, partner, off-site, broker."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from include.demo import words
from include.demo.behaviour import ADVICE, CALL_REASONS, Behaviour
from include.demo.calendar import DAY, NEVER, Calendar, timestamps
from include.demo.deliveries import Deliveries
from include.demo.events import order_numbers
from include.demo.population import FIRST_MADE_UP, Population
from include.demo.store import Store, campaign_households
from include.demo.tastes import CONTENTS, TASTE_NAMES

OFFSITE_CONSENTS = (
    None,
    '{"analytics": true, "advertising": true}',
    '{"analytics": true, "advertising": false}',
)


def write_customer_records(
    population: Population, deliveries: Deliveries, chunk: int, seed: int
) -> pd.DataFrame:
    """Write `crm/customers` and `loyalty/members`; return which record belongs to whom.

    A record is delivered again, under its id, when its person moves or confirms a detail. Some people have a
    second record without a customer number, typed by somebody else.
    """
    rng = np.random.default_rng([seed, 6, chunk])
    crm = _crm_records(population, deliveries.calendar, rng)
    loyalty = _loyalty_records(population, rng)
    _write_crm(crm, deliveries)
    _write_loyalty(loyalty, deliveries)
    whose = pd.concat(
        [
            pd.DataFrame({"channel": name, "record_id": frame["record_id"], "person": frame["person"]})
            for name, frame in (("crm", crm), ("loyalty", loyalty))
        ]
    )
    whose = whose[whose["record_id"].notna()].drop_duplicates(["channel", "record_id"])
    persons, households = population.persons, population.households
    return pd.DataFrame(
        {
            "channel": whose["channel"],
            "record_id": whose["record_id"],
            "person_id": persons["person_id"].to_numpy()[whose["person"]],
            "household_id": households["household_id"].to_numpy()[
                persons["household"].to_numpy()[whose["person"]]
            ],
        }
    ).sort_values(["channel", "record_id"], ignore_index=True)


def _crm_records(population: Population, calendar: Calendar, rng: np.random.Generator) -> pd.DataFrame:
    persons, households = population.persons, population.households
    person = np.flatnonzero(persons["is_in_crm"].to_numpy())
    home = persons["household"].to_numpy()[person]
    number = persons["customer_number"].to_numpy()[person]
    is_primary = persons["is_primary"].to_numpy()[person]
    shows_card = is_primary & (rng.random(len(person)) < 0.8)
    master = pd.DataFrame(
        {
            "record_id": "C" + pd.Series(number).str[1:],
            "person": person,
            "customer_number": number,
            "loyalty_card": np.where(shows_card, households["loyalty_number"].to_numpy()[home], None),
            "email": np.where(rng.random(len(person)) < 0.92, persons["email"].to_numpy()[person], None),
            "phone": np.where(rng.random(len(person)) < 0.90, persons["phone"].to_numpy()[person], None),
            "given_name": persons["given_name"].to_numpy()[person],
            "family_name": persons["family_name"].to_numpy()[person],
            "birth_date": np.select(
                [rng.random(len(person)) < 0.9, rng.random(len(person)) < 0.1],
                [persons["birth_date"].to_numpy()[person], "0000-00-00"],
                None,
            ),
            "created_at": persons["registered_at"].to_numpy()[person],
            "is_moved": False,
        }
    )
    master["updated_at"] = master["created_at"]
    master = _with_rubbish(_with_typing_errors(master, 0.03, rng), rng)
    second = _second_records(master, persons, calendar, rng)
    records = pd.concat([master, second], ignore_index=True)
    records = pd.concat([records, _redelivered(records, population, calendar, rng)], ignore_index=True)
    home = persons["household"].to_numpy()[records["person"]]
    address = {}
    for column in ("street", "city", "region", "postcode"):
        old, new = households[column].to_numpy()[home], households[f"new_{column}"].to_numpy()[home]
        address[column] = np.where(records["is_moved"], new, old)
    gender = persons["gender"].to_numpy()[records["person"]]
    return records.assign(gender=gender, **address).sort_values(
        ["updated_at", "record_id"], ignore_index=True, kind="stable"
    )


def _second_records(
    master: pd.DataFrame, persons: pd.DataFrame, calendar: Calendar, rng: np.random.Generator
) -> pd.DataFrame:
    """Records of people who are known already: some share the e-mail, some the telephone, and one in four only
    name, birth date and postcode, which nothing but probabilistic linkage can find."""
    again = master[rng.random(len(master)) < 0.10].reset_index(drop=True)
    person = again["person"].to_numpy()
    kind = rng.choice(3, len(again), p=[0.45, 0.30, 0.25])
    created = again["created_at"].to_numpy()
    span = np.maximum(calendar.end - created, DAY)
    at = created + (rng.beta(3.0, 1.2, len(again)) * span).astype(np.int64)
    second = again.assign(
        # Another number of its own: nothing in it tells whose second record it is.
        record_id="D"
        + _scrambled(pd.Series(persons["customer_number"].to_numpy()[person]).str[1:].astype(np.int64), 8),
        customer_number=None,
        loyalty_card=None,
        email=np.where(kind == 0, persons["email"].to_numpy()[person], None),
        phone=np.where(kind == 1, persons["phone"].to_numpy()[person], None),
        given_name=persons["given_name"].to_numpy()[person],
        family_name=persons["family_name"].to_numpy()[person],
        birth_date=np.where(
            (kind == 2) | (rng.random(len(again)) < 0.6), persons["birth_date"].to_numpy()[person], None
        ),
        created_at=at,
        updated_at=at,
    )
    return _with_typing_errors(second, 0.35, rng)


def _redelivered(
    records: pd.DataFrame, population: Population, calendar: Calendar, rng: np.random.Generator
) -> pd.DataFrame:
    moved_at = population.households["moved_at"].to_numpy()[
        population.persons["household"].to_numpy()[records["person"]]
    ]
    has_number = records["customer_number"].notna().to_numpy()
    moves = has_number & (moved_at != NEVER) & (moved_at > records["created_at"].to_numpy())
    told = moved_at + rng.integers(0, 5 * DAY, len(records))
    confirmed = calendar.cutoff + rng.integers(-60 * DAY, calendar.days * DAY, len(records))
    confirms = has_number & (rng.random(len(records)) < 0.2) & (confirmed > records["created_at"].to_numpy())
    moved = records[moves].assign(updated_at=told[moves], is_moved=True)
    still = records[confirms].assign(
        updated_at=confirmed[confirms], is_moved=(moves & (confirmed >= told))[confirms]
    )
    # A careless export lost the id of a few confirmations; they cannot be used and belong in quarantine.
    is_lost = (still["updated_at"] < calendar.cutoff) & (rng.random(len(still)) < 0.03)
    still["record_id"] = still["record_id"].mask(is_lost, None)
    return pd.concat([moved, still], ignore_index=True)


def _with_typing_errors(records: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    return records.assign(
        given_name=mistyped(records["given_name"].to_numpy(), rng.random(len(records)) < share, rng),
        family_name=mistyped(records["family_name"].to_numpy(), rng.random(len(records)) < share, rng),
    )


def mistyped(texts: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The chosen texts with two neighbouring letters swapped, one letter left out, or one typed twice."""
    width = max((len(text) for text in texts), default=1) + 1
    if not len(texts):
        return texts
    letters = np.array(texts, dtype=f"U{width}").view("U1").reshape(len(texts), width)
    length = (letters != "").sum(axis=1)
    at = 1 + (rng.random(len(texts)) * np.maximum(length - 2, 1)).astype(np.int64)
    place = np.arange(width)[None, :] + np.zeros((len(texts), 1), dtype=np.int64)
    kind = rng.integers(0, 3, len(texts))[:, None]
    at = at[:, None]
    swapped = np.where(place == at, at + 1, np.where(place == at + 1, at, place))
    shorter = np.where(place >= at, place + 1, place)
    doubled = np.where(place > at, place - 1, place)
    source = np.where(kind == 0, swapped, np.where(kind == 1, shorter, doubled))
    source = np.where(chosen[:, None] & (length[:, None] > 2), source, place)
    padded = np.concatenate([letters, np.full((len(texts), 1), "")], axis=1)
    return (
        np.ascontiguousarray(np.take_along_axis(padded, source, axis=1))
        .view(f"U{width}")
        .ravel()
        .astype(object)
    )


def _with_rubbish(records: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Values that stand for nothing, capitals and blanks, and telephone numbers in every habit."""
    size = len(records)
    email = records["email"].to_numpy(dtype=object)
    shouted = records["email"].str.upper().to_numpy(dtype=object)
    email = np.where(rng.random(size) < 0.04, shouted, email)
    email = np.where(rng.random(size) < 0.01, (records["email"] + " ").to_numpy(dtype=object), email)
    email = np.where(
        rng.random(size) < 0.012, np.array(words.RUBBISH_EMAILS)[rng.integers(0, 5, size)], email
    )
    phone = records["phone"]
    digits = phone.str[2:]
    habit = rng.choice(4, size, p=[0.76, 0.12, 0.08, 0.04])
    spaced = "+1 " + digits.str[:3] + " " + digits.str[3:6] + " " + digits.str[6:]
    national = "(" + digits.str[:3] + ") " + digits.str[3:6] + "-" + digits.str[6:]
    dialled = "001" + digits
    typed = np.select(
        [habit == 1, habit == 2, habit == 3],
        [column.to_numpy(dtype=object) for column in (spaced, national, dialled)],
        phone.to_numpy(dtype=object),
    )
    typed = np.where(
        rng.random(size) < 0.015, np.array(words.RUBBISH_PHONES)[rng.integers(0, 5, size)], typed
    )
    return records.assign(email=_nulls(email), phone=_nulls(typed))


def _nulls(values: np.ndarray) -> np.ndarray:
    return np.where(pd.isna(values), None, values)


def _write_crm(crm: pd.DataFrame, deliveries: Deliveries) -> None:
    # The landline column holds what is no mobile number: the mapping takes whichever there is.
    is_landline = (crm["person"] % 5 == 0).to_numpy() & crm["phone"].notna().to_numpy()
    table = _table(
        {
            "id": crm["record_id"],
            "customer_number": crm["customer_number"],
            "loyalty_card": crm["loyalty_card"],
            "email_address": crm["email"],
            "mobile": np.where(is_landline, None, crm["phone"]),
            "landline": np.where(is_landline, crm["phone"], None),
            "first_name": crm["given_name"],
            "last_name": crm["family_name"],
            "birth_date": crm["birth_date"],
            "gender": crm["gender"],
            "street": crm["street"],
            "city": crm["city"],
            "state": crm["region"],
            "zip": crm["postcode"],
            "country": np.full(len(crm), "US"),
            "signup_source": np.where(crm["customer_number"].isna(), "web form", "store"),
            "created_at": timestamps(crm["created_at"].to_numpy()),
            "updated_at": timestamps(crm["updated_at"].to_numpy()),
        }
    )
    deliveries.csv("crm/customers", table, deliveries.calendar.delivery(crm["updated_at"].to_numpy()))


def _loyalty_records(population: Population, rng: np.random.Generator) -> pd.DataFrame:
    persons, households = population.persons, population.households
    person = np.flatnonzero(persons["is_primary"].to_numpy())
    size = len(person)
    card = households["loyalty_number"].to_numpy()
    joined = households["joined_at"].to_numpy()
    frame = pd.DataFrame(
        {
            "record_id": "L" + pd.Series(card).str[2:],
            "person": person,
            "loyalty_number": card,
            "email": np.where(rng.random(size) < 0.72, persons["email"].to_numpy()[person], None),
            "phone": np.where(rng.random(size) < 0.78, persons["phone"].to_numpy()[person], None),
            "given_name": persons["given_name"].to_numpy()[person],
            "family_name": persons["family_name"].to_numpy()[person],
            "birth_date": persons["birth_date"].to_numpy()[person],
            "postcode": households["postcode"].to_numpy(),
            "at": joined - rng.integers(0, 300 * DAY, size),
        }
    )
    frame = _with_typing_errors(frame, 0.05, rng)
    return frame.sort_values(["at", "record_id"], ignore_index=True)


def _write_loyalty(loyalty: pd.DataFrame, deliveries: Deliveries) -> None:
    born = loyalty["birth_date"]
    table = _table(
        {
            "member_id": loyalty["record_id"],
            "card_no": loyalty["loyalty_number"],
            "first": loyalty["given_name"],
            "surname": loyalty["family_name"],
            "mail": loyalty["email"],
            "mobile_no": loyalty["phone"],
            "dob": born.str[5:7] + "/" + born.str[8:10] + "/" + born.str[:4],
            "zip_code": loyalty["postcode"],
            "member_since": pd.Series(timestamps(loyalty["at"].to_numpy())).str[:10],
            "changed": pd.Series(timestamps(loyalty["at"].to_numpy())).str.replace("T", " ").str[:19],
        }
    )
    deliveries.csv(
        "loyalty/members", table, deliveries.calendar.delivery(loyalty["at"].to_numpy()), delimiter=";"
    )


def write_webshop(population: Population, behaviour: Behaviour, store: Store, deliveries: Deliveries) -> None:
    """Write `webshop/orders` and `webshop/order_lines`. A returned order comes again on the day of its return."""
    orders, lines, persons = behaviour.orders, behaviour.order_lines, population.persons
    number = order_numbers(orders, population.households["number"].to_numpy())
    person = orders["person"].to_numpy()
    at = orders["at"].to_numpy()
    has_account = persons["has_account"].to_numpy()[person]
    placed = {
        "order_number": number,
        "placed_at": timestamps(at),
        "updated_at": timestamps(at),
        "status": np.full(len(orders), "completed"),
        "user_id": np.where(has_account, persons["user_id"].to_numpy()[person], None),
        "email": persons["email"].to_numpy()[person],
        "phone": np.where(at % 4 == 0, None, persons["phone"].to_numpy()[person]),
        "currency": np.full(len(orders), "USD"),
        "total": orders["total"].to_numpy() / 100,
        "discount": orders["discount"].to_numpy() / 100,
        "coupon": orders["coupon"].to_numpy(dtype=object),
    }
    back = np.flatnonzero(orders["returned_at"].to_numpy() > 0)
    returned = {name: values[back] for name, values in placed.items()} | {
        "updated_at": timestamps(orders["returned_at"].to_numpy()[back]),
        "status": np.full(len(back), "returned"),
    }
    due = np.concatenate([at, orders["returned_at"].to_numpy()[back]])
    order = np.lexsort((np.concatenate([number, number[back]]), due))
    both = {name: np.concatenate([placed[name], returned[name]])[order] for name in placed}
    deliveries.csv(
        "webshop/orders", _table(both, money=("total", "discount")), deliveries.calendar.delivery(due[order])
    )
    table = _table(
        {
            "order_number": number[lines["order"]],
            "line": lines["line_number"],
            "product_id": store.products["product_id"].to_numpy()[lines["product"]],
            "quantity": lines["quantity"],
            "unit_price": lines["unit_price"].to_numpy() / 100,
            "amount": lines["amount"].to_numpy() / 100,
        },
        money=("unit_price", "amount"),
    )
    deliveries.csv("webshop/order_lines", table, deliveries.calendar.delivery(at[lines["order"]]))


def write_calls(
    population: Population, behaviour: Behaviour, deliveries: Deliveries, chunk: int, seed: int
) -> None:
    """Write `callcentre/calls`: who called is a telephone number, a customer number, both, or withheld."""
    rng = np.random.default_rng([seed, 7, chunk])
    calls, persons, households = behaviour.calls, population.persons, population.households
    size = len(calls)
    primary = np.flatnonzero(persons["is_primary"].to_numpy())[calls["household"]]
    asked = rng.random(size) < 0.45
    resolved, reason = calls["is_resolved"].to_numpy(), calls["reason"].to_numpy()
    outcome = np.where(resolved, "resolved", np.where(rng.random(size) < 0.3, "escalated", "unresolved"))
    rating = np.clip(np.round(np.where(resolved, 4.2, 2.1) + rng.normal(0, 0.8, size)), 1, 5).astype(int)
    phone = np.where(rng.random(size) < 0.12, "anonymous", persons["phone"].to_numpy()[primary])
    at = calls["at"].to_numpy()
    number = households["number"].to_numpy()[calls["household"]]
    table = _table(
        {
            "call_id": "T" + _scrambled(number * 2**25 + at % 2**25, 14),
            "started_at": timestamps(at),
            "caller": phone,
            "customer_number": np.where(asked, persons["customer_number"].to_numpy()[primary], None),
            "reason": np.array(CALL_REASONS)[reason],
            "outcome": outcome,
            "seconds": (rng.gamma(2.0, 120.0, size) + np.where(reason == ADVICE, 60, 20)).astype(int),
            "satisfaction": np.where(rng.random(size) < 0.4, rating.astype(str), None),
            "agent": "agent-" + pd.Series(rng.integers(1, 25, size).astype(str)).str.zfill(2),
        }
    )
    deliveries.csv("callcentre/calls", table, deliveries.calendar.delivery(at))


def write_messages_and_consents(
    population: Population, store: Store, deliveries: Deliveries, chunk: int, seed: int
) -> None:
    """Write `email/messages` and `consents/consents`: what was sent to whom follows from who allowed it."""
    rng = np.random.default_rng([seed, 8, chunk])
    calendar, persons = deliveries.calendar, population.persons
    allows_email = rng.random(len(persons)) < 0.68
    allows_ads = rng.random(len(persons)) < 0.72
    messages, left_at = _messages(population, calendar, allows_email, rng)
    table = _table(
        {
            "message_key": messages["message_id"],
            "address": persons["email"].to_numpy()[messages["person"]],
            "event": messages["action"],
            "campaign": messages["campaign"],
            "sent_at": timestamps(messages["at"].to_numpy()),
        }
    )
    store.connection.register("chunk_messages", table)
    lines = store.connection.execute(_MESSAGE_TEXT).to_arrow_table()["line"].combine_chunks()
    deliveries.lines("email/messages", lines, calendar.delivery(messages["at"].to_numpy()))
    store.connection.unregister("chunk_messages")
    _write_consents(population, deliveries, allows_email, allows_ads, left_at, rng)


def _messages(
    population: Population, calendar: Calendar, allows_email: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """All that happened to the messages, sorted by time; and when each person unsubscribed (NEVER for most)."""
    persons, households = population.persons, population.households
    reader = np.flatnonzero(allows_email & persons["is_in_crm"].to_numpy())
    weeks = (calendar.end - calendar.online_from) // (7 * DAY)
    newsletter = pd.DataFrame(
        {
            "person": np.tile(reader, weeks),
            "campaign": np.repeat([f"newsletter-{week:02d}" for week in range(1, weeks + 1)], len(reader)),
            "at": np.repeat(calendar.online_from + np.arange(weeks) * 7 * DAY + 15 * 3600, len(reader)),
        }
    )
    sent_to = campaign_households()
    sent_to = sent_to[(sent_to["starts_at"] >= calendar.online_from) & (sent_to["starts_at"] < calendar.end)]
    home = pd.DataFrame(
        {
            "person": reader,
            "household_id": households["number"].to_numpy()[persons["household"].to_numpy()[reader]],
        }
    )
    offers = home[home["household_id"] < FIRST_MADE_UP].merge(sent_to, on="household_id")
    offers = pd.DataFrame(
        {
            "person": offers["person"],
            "campaign": "store-campaign-" + offers["campaign_id"].astype(str),
            "at": offers["starts_at"] + 14 * 3600,
        }
    )
    sent = pd.concat([newsletter, offers], ignore_index=True).sort_values(
        ["at", "person", "campaign"], ignore_index=True
    )
    sent["at"] += rng.integers(0, 7200, len(sent))
    sent = sent[sent["at"] >= persons["registered_at"].to_numpy()[sent["person"]]].reset_index(drop=True)
    person = sent["person"].to_numpy()
    is_dead = (rng.random(len(persons)) < 0.02)[person]
    opens = ~is_dead & (rng.random(len(sent)) < persons["likes_email"].to_numpy()[person])
    clicks = opens & (rng.random(len(sent)) < 0.16)
    leaves = opens & (rng.random(len(sent)) < 0.006)
    opened_at = sent["at"].to_numpy() + rng.exponential(6 * 3600, len(sent)).astype(np.int64) + 60
    left_at = np.full(len(persons), NEVER)
    np.minimum.at(left_at, person[leaves], opened_at[leaves] + 40)
    # Whoever left, or whose address bounced twice, gets nothing more.
    bounced = np.zeros(len(sent), dtype=np.int64)
    bounced[is_dead] = pd.Series(person[is_dead]).groupby(person[is_dead]).cumcount()
    is_sent = (sent["at"].to_numpy() < left_at[person]) & (bounced < 2)
    is_last = leaves & (opened_at + 40 == left_at[person])
    key = sent["campaign"] + "-" + persons["person_id"].to_numpy()[person]
    base = sent.assign(message_id=key)
    parts = [
        base[is_sent].assign(action="sent"),
        base[is_sent & ~is_dead].assign(action="delivered", at=(sent["at"] + 2)[is_sent & ~is_dead]),
        base[is_sent & is_dead].assign(action="bounced", at=(sent["at"] + 5)[is_sent & is_dead]),
        base[is_sent & opens].assign(action="opened", at=opened_at[is_sent & opens]),
        base[is_sent & clicks].assign(action="clicked", at=opened_at[is_sent & clicks] + 25),
        base[is_sent & is_last].assign(action="unsubscribed", at=opened_at[is_sent & is_last] + 40),
    ]
    messages = pd.concat(parts, ignore_index=True)
    return messages.sort_values(["at", "message_id", "action"], ignore_index=True), left_at


def _write_consents(
    population: Population,
    deliveries: Deliveries,
    allows_email: np.ndarray,
    allows_ads: np.ndarray,
    left_at: np.ndarray,
    rng: np.random.Generator,
) -> None:
    calendar, persons, devices = deliveries.calendar, population.persons, population.devices
    in_crm = np.flatnonzero(persons["is_in_crm"].to_numpy())
    number = persons["customer_number"].to_numpy()[in_crm]
    registered = persons["registered_at"].to_numpy()[in_crm]
    left = np.flatnonzero(left_at < NEVER)
    withdraws = in_crm[allows_ads[in_crm] & (rng.random(len(in_crm)) < 0.03)]
    withdrawn_at = calendar.cutoff + rng.integers(-60 * DAY, calendar.days * DAY, len(withdraws))
    has_banner = np.flatnonzero(
        (devices["consent"] > 0).to_numpy()
        & (devices["role"] != "bot").to_numpy()
        & (devices["channel"] == "web").to_numpy()
    )
    has_banner = has_banner[(devices["role"].to_numpy()[has_banner] != "stranger")]
    cookie = devices["anonymous_id"].to_numpy()[has_banner]
    answer = devices["consent"].to_numpy()[has_banner]
    answered_at = calendar.online_from + rng.integers(0, calendar.end - calendar.online_from, len(has_banner))
    parts = [
        _consents("customer_number", number, "email", allows_email[in_crm], registered, "sign-up form"),
        _consents("customer_number", number, "advertising", allows_ads[in_crm], registered, "sign-up form"),
        _consents(
            "customer_number",
            number,
            "analytics",
            allows_ads[in_crm] | (registered % 3 > 0),
            registered,
            "sign-up form",
        ),
        _consents(
            "email",
            persons["email"].to_numpy()[left],
            "email",
            np.zeros(len(left), bool),
            left_at[left],
            "unsubscribe link",
        ),
        _consents(
            "customer_number",
            persons["customer_number"].to_numpy()[withdraws],
            "advertising",
            np.zeros(len(withdraws), bool),
            withdrawn_at,
            "preference centre",
        ),
        _consents("anonymous_id", cookie, "analytics", answer <= 2, answered_at, "cookie banner"),
        _consents("anonymous_id", cookie, "advertising", answer == 1, answered_at, "cookie banner"),
    ]
    frame = pd.concat(parts, ignore_index=True).sort_values(["at", "id_value", "purpose"], ignore_index=True)
    at = frame.pop("at").to_numpy()
    table = _table({name: frame[name] for name in frame.columns} | {"effective_at": timestamps(at)})
    deliveries.csv("consents/consents", table, calendar.delivery(at))


def _consents(
    id_type: str, values: np.ndarray, purpose: str, granted: np.ndarray, at: np.ndarray, source: str
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id_type": id_type,
            "id_value": values,
            "purpose": purpose,
            "status": np.where(granted, "granted", "denied"),
            "source": source,
            "at": at,
        }
    )


def write_partner(population: Population, deliveries: Deliveries, chunk: int, seed: int) -> None:
    """Write `partner/members`: what a partner of the coalition knows by e-mail address, also of people unknown here."""
    rng = np.random.default_rng([seed, 9, chunk])
    calendar, persons = deliveries.calendar, population.persons
    member = np.flatnonzero(rng.random(len(persons)) < 0.35)
    affinity = population.affinity[persons["household"].to_numpy()[member]]
    favourite = np.where(
        rng.random(len(member)) < 0.6, affinity.argmax(axis=1), rng.integers(0, len(TASTE_NAMES), len(member))
    )
    others = max(1, len(member) // 4)
    email = np.concatenate(
        [
            persons["email"].to_numpy()[member],
            (
                f"member.{chunk}." + pd.Series(np.arange(others).astype(str)) + "@partner.example.org"
            ).to_numpy(),
        ]
    )
    size = len(email)
    category = np.concatenate([favourite, rng.integers(0, len(TASTE_NAMES), others)])
    at = calendar.cutoff - rng.integers(1, 200 * DAY, size)
    changed = np.flatnonzero(rng.random(size) < 0.08)
    later = calendar.cutoff + rng.integers(0, calendar.days * DAY, len(changed))
    tier = rng.choice(3, size, p=[0.6, 0.3, 0.1])
    frame = pd.DataFrame({"email": email, "tier": tier, "category": category, "at": at})
    frame = pd.concat([frame, frame.iloc[changed].assign(tier=np.minimum(tier[changed] + 1, 2), at=later)])
    frame = frame.sort_values(["at", "email"], ignore_index=True)
    table = _table(
        {
            "email": frame["email"],
            "partner_tier": np.array(["silver", "gold", "platinum"])[frame["tier"]],
            "partner_category": np.array(TASTE_NAMES)[frame["category"]],
            "as_of": timestamps(frame["at"].to_numpy()),
        }
    )
    deliveries.csv("partner/members", table, calendar.delivery(frame["at"].to_numpy()))


def write_offsite(
    population: Population, behaviour: Behaviour, deliveries: Deliveries, chunk: int, seed: int
) -> None:
    """Write `offsite/hits`: pages that browsers opened on other people's sites, as a third party sells them."""
    rng = np.random.default_rng([seed, 10, chunk])
    devices, hits = population.devices, behaviour.hits
    contents = list(CONTENTS)
    device = hits["device"].to_numpy()
    slug = [content.lower().replace(" & ", "-").replace(" ", "-") for content in contents]
    sites = [
        f"{name}.{host}"
        for name in slug
        for host in ("daily.example.net", "magazine.example.org", "world.example.com")
    ]
    site = hits["content"].to_numpy() * 3 + rng.choice(3, len(hits), p=[0.5, 0.3, 0.2])
    articles = [f"https://{name}/article-{article}" for name in sites for article in range(1, 21)]
    article = site * 20 + rng.integers(0, 20, len(hits))
    consent = rng.choice(3, len(devices), p=[0.10, 0.74, 0.16])
    agents = [browser[3] for browser in words.BROWSERS]
    forms = [browser[0] for browser in words.BROWSERS]
    hit_id = pa.array(_hit_ids(len(hits), chunk))
    table = pa.table(
        {
            "hit_id": hit_id,
            "cookie": _coded(device, devices["anonymous_id"].to_numpy()),
            "seen_at": pa.array(hits["at"].to_numpy().astype("datetime64[s]")).cast(pa.timestamp("us")),
            "site": _coded(site, np.array(sites)),
            "url": _coded(article, np.array(articles)),
            "content_category": _coded(hits["content"].to_numpy(), np.array(contents)),
            "device_type": _coded(devices["agent"].to_numpy()[device], np.array(forms)),
            "user_agent": _coded(devices["agent"].to_numpy()[device], np.array(agents)),
            "ip": _coded(device, devices["ip"].to_numpy()),
            "consent": pa.array(OFFSITE_CONSENTS, pa.string()).take(pa.array(consent[device])),
        }
    )
    deliveries.parquet("offsite/hits", table, deliveries.calendar.delivery(hits["at"].to_numpy()))


def _hit_ids(size: int, chunk: int) -> np.ndarray:
    return (f"h{chunk:05d}-" + pd.Series(np.arange(size).astype(str)).str.zfill(8)).to_numpy()


def write_broker(population: Population, deliveries: Deliveries, chunk: int, seed: int) -> None:
    """Write `broker/traits`: a wide table of what a third party believes of a cookie, often right, never certain."""
    rng = np.random.default_rng([seed, 11, chunk])
    calendar, devices = deliveries.calendar, population.devices
    known = np.flatnonzero(devices["is_synced"].to_numpy() & (rng.random(len(devices)) < 0.7))
    stranger, home = devices["stranger"].to_numpy()[known], devices["household"].to_numpy()[known]
    affinity = np.concatenate([population.affinity, population.stranger_affinity])
    affinity = affinity[np.where(stranger >= 0, len(population.households) + stranger, home)]
    size = len(known)

    def believed(taste: str, base: float, gain: float) -> np.ndarray:
        chance = base + gain * affinity[:, TASTE_NAMES.index(taste)]
        return rng.random(size) < np.minimum(chance, 0.95)

    frame = pd.DataFrame(
        {
            "cookie": devices["anonymous_id"].to_numpy()[known],
            "at": calendar.cutoff - rng.integers(1, 60 * DAY, size),
            "age_band": rng.choice(["18-24", "25-34", "35-44", "45-54", "55-64", "65+"], size),
            "income_band": rng.choice(["low", "middle", "high"], size, p=[0.3, 0.5, 0.2]),
            "household_type": np.where(
                believed("family", 0.22, 0.5), "with children", rng.choice(["single", "couple"], size)
            ),
            "has_pet": np.where(believed("pets", 0.25, 0.5), "yes", "no"),
            "home_owner": np.where(believed("home", 0.5, 0.2), "yes", "no"),
            "interest_fitness": np.where(believed("wellness", 0.2, 0.4), "high", "low"),
            "interest_gaming": np.where(believed("convenience", 0.2, 0.4), "high", "low"),
            "interest_cars": np.where(believed("celebration", 0.2, 0.3), "high", "low"),
            "in_market": rng.choice(
                ["car", "insurance", "travel", "phone", "none"], size, p=[0.08, 0.1, 0.14, 0.12, 0.56]
            ),
        }
    )
    for column in frame.columns[2:]:
        frame[column] = np.where(rng.random(size) < 0.2, None, frame[column])
    renewed = np.flatnonzero(rng.random(size) < 0.25)
    again = frame.iloc[renewed].assign(
        at=calendar.cutoff + rng.integers(0, calendar.days * DAY, len(renewed)),
        in_market=rng.choice(["car", "insurance", "travel", "phone", "none"], len(renewed)),
    )
    frame = pd.concat([frame, again]).sort_values(["at", "cookie"], ignore_index=True)
    at = frame.pop("at").to_numpy()
    columns = {
        name: pa.array(frame[name].to_numpy(dtype=object), pa.string(), from_pandas=True)
        for name in frame.columns
    }
    table = pa.table(
        {
            "cookie": columns.pop("cookie"),
            "seen_at": pa.array(at.astype("datetime64[s]")).cast(pa.timestamp("us")),
        }
        | columns
    )
    deliveries.parquet("broker/traits", table, calendar.delivery(at))


def _scrambled(number: np.ndarray | pd.Series, digits: int) -> pd.Series:
    """Other numbers of so many digits, one to one, because 48,271 shares no factor with a power of ten."""
    return pd.Series(np.asarray(number) * 48_271 % 10**digits).astype(str).str.zfill(digits)


def _coded(position: np.ndarray, values: np.ndarray) -> pa.DictionaryArray:
    """The values at the positions, each value stored once: Parquet's writer repeats its bytes only then."""
    distinct, place = np.unique(values.astype(str), return_inverse=True)
    return pa.DictionaryArray.from_arrays(
        pa.array(place[position].astype(np.int32)), pa.array(distinct.tolist(), pa.string())
    )


def _table(columns: dict[str, object], money: tuple[str, ...] = ()) -> pa.Table:
    """An Arrow table of texts and whole numbers; money gets two digits after the point."""
    arrays = {}
    for name, values in columns.items():
        plain = np.asarray(values)
        if name in money:
            arrays[name] = pa.array(np.char.mod("%.2f", plain.astype(float))).cast(pa.decimal128(12, 2))
        elif plain.dtype.kind in "iu":
            arrays[name] = pa.array(plain)
        else:
            arrays[name] = pa.array(plain.astype(object), pa.string(), from_pandas=True)
    return pa.table(arrays)


_MESSAGE_TEXT = """
select
    to_json({
        'message_id': md5(message_key), 'event': event, 'email': address, 'campaign_id': campaign, 'timestamp': sent_at
    })::varchar || chr(10) as line,
from chunk_messages
"""
