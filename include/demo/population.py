"""The people of the demo: households and their adults, strangers, and the devices they use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.demo import words
from include.demo.calendar import DAY, NEVER, Calendar
from include.demo.store import REAL_HOUSEHOLDS, Store
from include.demo.tastes import affinities, leanings

# Numbers of made-up households begin here, beyond every real household_id.
FIRST_MADE_UP = 10_001
LAPSED_AFTER_DAYS = 45
_AGES = {
    "19-24": (19, 24),
    "25-34": (25, 34),
    "35-44": (35, 44),
    "45-54": (45, 54),
    "55-64": (55, 64),
    "65+": (65, 84),
}
_ANY_AGE = (22, 78)


@dataclass(frozen=True)
class Population:
    """A chunk of people; `household` and `person` in the frames are positions in the chunk.

    `households`: number, household_id, source (position in the store's households), source_household,
    loyalty_number, taste, activity, is_digital, address, landline, moved_at and new address, left_at, ip.
    `affinity`: (households, tastes). `persons`: person_id, household, is_primary, names, birth_date, gender, email,
    phone, customer_number, user_id, is_digital, has_account, is_in_crm, registered_at (seconds).
    `strangers`: person_id, activity, ip; `stranger_affinity`: (strangers, tastes).
    `devices`: channel (web, app, desktop), role (own, shared, kiosk, stranger, bot), anonymous_id, hardware ids,
    consent, `household` and `stranger` (-1 for none), is_synced (its cookie is known off-site).
    `device_use`: device, person.
    """

    households: pd.DataFrame
    affinity: np.ndarray
    persons: pd.DataFrame
    strangers: pd.DataFrame
    stranger_affinity: np.ndarray
    devices: pd.DataFrame
    device_use: pd.DataFrame


def populate(
    store: Store, calendar: Calendar, first: int, size: int, first_stranger: int, strangers: int, seed: int
) -> Population:
    """Make the households `first` to `first + size` and the strangers of one chunk.

    Household i is the i-th real one as long as there is one; after that, real ones are drawn again.
    """
    rng = np.random.default_rng([seed, 2, first, first_stranger])
    leaning = leanings(store.spend)
    households = _households(store, calendar, np.arange(first, first + size), leaning, rng)
    affinity = affinities(leaning[households["source"].to_numpy()])
    persons = _persons(store, households, calendar, rng)
    drawn = rng.integers(0, len(leaning), strangers)
    stranger_leaning = leaning[drawn] + rng.normal(0.0, 0.4, (strangers, leaning.shape[1]))
    number = first_stranger + np.arange(strangers)
    stranger_frame = pd.DataFrame(
        {
            "person_id": _padded("s", number, 7),
            "activity": rng.lognormal(0.0, 0.8, strangers),
            "ip": _addresses(500_000 + number),
        }
    )
    devices, device_use = _devices(households, persons, stranger_frame, rng)
    return Population(
        households=households,
        affinity=affinity,
        persons=persons,
        strangers=stranger_frame,
        stranger_affinity=affinities(stranger_leaning),
        devices=devices,
        device_use=device_use,
    )


def _households(
    store: Store, calendar: Calendar, index: np.ndarray, leaning: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    size, known = len(index), len(store.households)
    is_real = index < known
    source = np.where(is_real, index, rng.integers(0, known, size))
    real_ids = store.households["household_id"].to_numpy()
    number = np.where(is_real, real_ids[source], FIRST_MADE_UP + index - min(known, REAL_HOUSEHOLDS))
    last_basket = store.households["last_basket_at"].to_numpy()[source]
    data_end = store.households["last_basket_at"].max()
    leaves_store = last_basket < data_end - LAPSED_AFTER_DAYS * DAY
    leaves_online = rng.random(size) < 0.05
    left_at = np.where(leaves_store, last_basket + 3 * DAY, NEVER)
    random_exit = calendar.online_from + rng.integers(30 * DAY, calendar.end - calendar.online_from, size)
    left_at = np.where(leaves_online, np.minimum(left_at, random_exit), left_at)
    composition = store.households["household_comp"].to_numpy(dtype=object)[source]
    said = pd.Series(composition, dtype="string")
    two_adults = np.where(
        said.isna(), rng.random(size) < 0.55, said.str.startswith("2").fillna(False)
    ).astype(bool)
    frame = pd.DataFrame(
        {
            "number": number,
            "household_id": _padded("h", number, 7),
            "source": source,
            "source_household": real_ids[source],
            "loyalty_number": _padded("60", number * 7_368_787 % 10**10, 10),
            "taste": leaning[source].argmax(axis=1),
            "activity": rng.lognormal(0.0, 0.6, size),
            "is_digital": rng.random(size) < 0.82,
            "two_adults": two_adults,
            "left_at": left_at,
            "joined_at": store.households["first_basket_at"].to_numpy()[source],
            "moved_at": np.where(
                rng.random(size) < 0.06,
                calendar.online_from + rng.integers(0, calendar.end - calendar.online_from, size),
                NEVER,
            ),
            "ip": _addresses(number),
            "landline": _phone_numbers(3 * number + 2),
            "has_landline": rng.random(size) < 0.3,
        }
    )
    return pd.concat([frame, _homes(size, rng), _homes(size, rng).add_prefix("new_")], axis=1)


def _homes(size: int, rng: np.random.Generator) -> pd.DataFrame:
    place = rng.integers(0, len(words.PLACES), size)
    cities, regions, prefixes = (np.array(column) for column in zip(*words.PLACES, strict=True))
    # One street in twelve stands for a block of flats: several households, one address but for the flat.
    shared = rng.random(size) < 0.08
    house = np.where(shared, rng.integers(1, 4, size) * 100, rng.integers(1, 2400, size))
    street = rng.integers(0, len(words.STREETS), size)
    text = (
        pd.Series(house.astype(str))
        + " "
        + np.array(words.STREETS)[np.where(shared, street % 3, street)]
        + " "
        + np.array(words.STREET_TYPES)[rng.integers(0, len(words.STREET_TYPES), size)]
    )
    has_flat = shared | (rng.random(size) < 0.1)
    flat = " Apt " + pd.Series(rng.integers(1, 60, size).astype(str))
    return pd.DataFrame(
        {
            "street": text + flat.where(pd.Series(has_flat), ""),
            "city": cities[place],
            "region": regions[place],
            "postcode": pd.Series(prefixes[place])
            + pd.Series(rng.integers(1, 60, size).astype(str)).str.zfill(2),
        }
    )


def _persons(
    store: Store, households: pd.DataFrame, calendar: Calendar, rng: np.random.Generator
) -> pd.DataFrame:
    two = households["two_adults"].to_numpy()
    household = np.concatenate([np.arange(len(households)), np.flatnonzero(two)])
    adult = np.concatenate([np.ones(len(households), int), np.full(int(two.sum()), 2)])
    order = np.lexsort((adult, household))
    household, adult = household[order], adult[order]
    size = len(household)
    number = households["number"].to_numpy()[household]
    is_primary = adult == 1
    primary_is_female = rng.random(len(households)) < 0.6
    is_female = np.where(is_primary, primary_is_female[household], ~primary_is_female[household])
    is_female ^= (rng.random(size) < 0.04) & ~is_primary
    given = np.where(is_female, _name(words.FEMALE, size, rng), _name(words.MALE, size, rng))
    shared_name = _name(words.FAMILY, len(households), rng)[household]
    family = np.where(is_primary | (rng.random(size) < 0.8), shared_name, _name(words.FAMILY, size, rng))
    birth_date = _birth_dates(store, households, household, is_primary, calendar, rng)
    is_digital = households["is_digital"].to_numpy()[household] & (is_primary | (rng.random(size) < 0.6))
    person_number = 2 * number + adult - 1
    email = _emails(given, family, birth_date, person_number, number >= FIRST_MADE_UP, rng)
    shares_email = (rng.random(len(households)) < 0.10) & two
    family_email = (
        pd.Series(shared_name).str.lower()
        + ".family."
        + pd.Series((number * 48_271 % 10**7).astype(str))
        + "@home.example.net"
    )
    email = np.where(shares_email[household], family_email, email)
    mobile = _phone_numbers(3 * number + adult - 1)
    uses_landline = households["has_landline"].to_numpy()[household] & (rng.random(size) < 0.35)
    joined = households["joined_at"].to_numpy()[household]
    is_new = rng.random(size) < 0.05
    recent = calendar.cutoff + rng.integers(-45 * DAY, calendar.days * DAY, size)
    return pd.DataFrame(
        {
            "person_id": pd.Series(households["household_id"].to_numpy()[household])
            + "-"
            + adult.astype(str),
            "household": household,
            "is_primary": is_primary,
            "given_name": given,
            "family_name": family,
            "gender": np.where(is_female, "F", "M"),
            "birth_date": birth_date.astype(str),
            "email": email,
            "mobile": mobile,
            "phone": np.where(uses_landline, households["landline"].to_numpy()[household], mobile),
            "customer_number": _padded("K", person_number * 7_919 % 10**8, 8),
            "user_id": _hexed("usr_", person_number * 2_654_435_761 % 2**32),
            "is_digital": is_digital,
            "has_account": is_digital & (rng.random(size) < 0.85),
            "is_in_crm": np.where(is_primary, rng.random(size) < 0.95, rng.random(size) < 0.7),
            "registered_at": np.where(is_new, recent, joined - rng.integers(0, 900 * DAY, size)),
            "likes_email": rng.beta(1.6, 2.4, size),
        }
    )


def _birth_dates(
    store: Store,
    households: pd.DataFrame,
    household: np.ndarray,
    is_primary: np.ndarray,
    calendar: Calendar,
    rng: np.random.Generator,
) -> np.ndarray:
    band = pd.Series(
        store.households["age"].to_numpy(dtype=object)[households["source"].to_numpy()[household]]
    )
    low = band.map({name: ages[0] for name, ages in _AGES.items()}).fillna(_ANY_AGE[0]).to_numpy(dtype=float)
    high = band.map({name: ages[1] for name, ages in _AGES.items()}).fillna(_ANY_AGE[1]).to_numpy(dtype=float)
    age = low + rng.random(len(household)) * (high + 1 - low)
    # Partners are of about the same age: the second adult stands right after the first.
    gap = rng.normal(0.0, 4.0, len(household))
    age = np.where(is_primary, age, np.clip(np.roll(age, 1) + gap, 19.0, 89.0))
    return np.datetime64(calendar.first_business_day, "D") - (age * 365.25).astype(int).astype(
        "timedelta64[D]"
    )


def _emails(
    given: np.ndarray,
    family: np.ndarray,
    birth_date: np.ndarray,
    person_number: np.ndarray,
    needs_number: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    size = len(given)
    first, last = pd.Series(given).str.lower(), pd.Series(family).str.lower()
    year = pd.Series(birth_date.astype("datetime64[Y]").astype(str))
    style = rng.integers(0, 4, size)
    local = (first + "." + last).to_numpy(dtype=object)
    local = np.where(style == 1, first + last + year.str[2:], local)
    local = np.where(style == 2, first.str[0] + last + year, local)
    local = np.where(style == 3, last + "_" + first.str[0] + year.str[2:], local)
    domain = np.array(words.MAIL_DOMAINS)[
        rng.choice(len(words.MAIL_DOMAINS), size, p=[0.40, 0.22, 0.16, 0.10, 0.09, 0.03])
    ]
    plain = pd.Series(local) + "@" + domain
    taken = plain.duplicated().to_numpy() | needs_number
    numbered = pd.Series(local) + "." + (person_number * 48_271 % 10**7).astype(str) + "@" + domain
    return np.where(taken, numbered, plain)


def _devices(
    households: pd.DataFrame, persons: pd.DataFrame, strangers: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    digital = np.flatnonzero(persons["is_digital"].to_numpy())
    draw = rng.random((4, len(digital)))
    owned = [
        ("web", "desktop", digital[draw[0] < 0.72]),
        ("web", "mobile", digital[(draw[1] < 0.55) | (draw[0] >= 0.72)]),
        ("app", "mobile", digital[draw[2] < 0.42]),
        ("desktop", "desktop", digital[draw[3] < 0.07]),
    ]
    in_household = persons["household"].to_numpy()
    couples = np.flatnonzero(np.bincount(in_household[digital], minlength=len(households)) == 2)
    tablets = couples[rng.random(len(couples)) < 0.35]
    kiosks = max(1, len(households) // 1000)
    bots = max(2, len(households) // 350)
    cookies = np.repeat(np.arange(len(strangers)), 1 + (rng.random(len(strangers)) < 0.15))
    parts, uses, start = [], [], 0
    for channel, form, owner in owned:
        parts.append(_some(channel, form, "own", in_household[owner], -1))
        uses.append(pd.DataFrame({"device": start + np.arange(len(owner)), "person": owner}))
        start += len(owner)
    parts.append(_some("web", "tablet", "shared", tablets, -1))
    both = np.flatnonzero(persons["is_digital"].to_numpy() & np.isin(in_household, tablets))
    uses.append(
        pd.DataFrame({"device": start + np.searchsorted(tablets, in_household[both]), "person": both})
    )
    start += len(tablets)
    parts.append(_some("web", "desktop", "kiosk", np.full(kiosks, -1), -1))
    visitors = rng.choice(digital, min(len(digital), 25 * kiosks), replace=False)
    uses.append(pd.DataFrame({"device": start + np.arange(len(visitors)) % kiosks, "person": visitors}))
    parts.append(_some("web", "desktop", "bot", np.full(bots, -1), -1))
    parts.append(_some("web", "any", "stranger", np.full(len(cookies), -1), cookies))
    devices = pd.concat(parts, ignore_index=True)
    size = len(devices)
    role = devices["role"].to_numpy()
    is_home = devices["household"].to_numpy() >= 0
    ip = np.where(
        is_home,
        households["ip"].to_numpy()[devices["household"].to_numpy()],
        _addresses(900_000 + rng.integers(0, 10**5, size)),
    )
    is_stranger = role == "stranger"
    if len(strangers):
        ip = np.where(
            is_stranger, strangers["ip"].to_numpy()[np.maximum(devices["stranger"].to_numpy(), 0)], ip
        )
    ip = np.where(devices["channel"] == "app", _carrier_addresses(rng.integers(0, 2**22, size)), ip)
    return (
        devices.assign(
            agent=_agents(devices, rng),
            anonymous_id=_uuids(size, rng),
            hardware_id=_uuids(size, rng),
            advertising_id=_uuids(size, rng),
            ip=ip,
            # 0: no banner answer, 1: everything, 2: analytics only, 3: everything refused
            consent=np.where(role == "bot", 0, rng.choice(4, size, p=[0.08, 0.66, 0.11, 0.15])),
            is_synced=is_stranger
            | ((devices["channel"] == "web") & ~np.isin(role, ["kiosk", "bot"]) & (rng.random(size) < 0.85)),
            reading=rng.lognormal(0.0, 0.75, size),
            clock_skew=np.where(rng.random(size) < 0.02, rng.integers(-7200, 7200, size), 0),
        ),
        pd.concat(uses, ignore_index=True).sort_values(["person", "device"], ignore_index=True),
    )


def _some(
    channel: str, form: str, role: str, household: np.ndarray, stranger: np.ndarray | int
) -> pd.DataFrame:
    return pd.DataFrame(
        {"channel": channel, "form": form, "role": role, "household": household, "stranger": stranger}
    )


def _agents(devices: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A position in words.BROWSERS, words.BOTS or words.PHONES that fits the device's form."""
    forms = np.array([browser[0] for browser in words.BROWSERS])
    shares = np.array([browser[2] for browser in words.BROWSERS])
    agent = np.zeros(len(devices), dtype=np.int64)
    for form in ("desktop", "mobile", "tablet", "any"):
        weight = np.where((forms == form) | (form == "any"), shares, 0.0)
        chosen = rng.choice(len(shares), len(devices), p=weight / weight.sum())
        agent = np.where(devices["form"] == form, chosen, agent)
    phone = rng.choice(len(words.PHONES), len(devices), p=[phone[4] for phone in words.PHONES])
    bot = np.cumsum(devices["role"] == "bot") % len(words.BOTS)
    return np.where(devices["role"] == "bot", bot, np.where(devices["channel"] == "app", phone, agent))


def _name(names: tuple[str, ...], size: int, rng: np.random.Generator) -> np.ndarray:
    # Common names are common: the weight falls with the place in the list.
    weight = 1.0 / (8.0 + np.arange(len(names)))
    return np.array(names)[rng.choice(len(names), size, p=weight / weight.sum())]


def _phone_numbers(index: np.ndarray) -> np.ndarray:
    """`+1` and ten digits. The first 10,000 lie in 555-0100 to 555-0199 of 100 area codes, the range reserved for
    fiction; a larger population runs on into numbers that nobody reserved but that this data invents alike."""
    small = index < 10_000
    spread = np.where(small, index * 7_919 % 10_000, index)
    area = np.array(words.AREA_CODES[:100])[spread % 100]
    return (
        pd.Series("+1").repeat(len(index)).reset_index(drop=True)
        + area
        + (5_550_100 + spread // 100).astype(str)
    ).to_numpy()


def _addresses(index: np.ndarray) -> np.ndarray:
    """IPv4 addresses of 198.18.0.0/15, reserved for benchmarking; they repeat after 130,000."""
    spread = index * 40_503 % 131_072
    return _dotted(198, 18 + spread // 65_536, spread // 256 % 256, spread % 256)


def _carrier_addresses(index: np.ndarray) -> np.ndarray:
    """IPv4 addresses of 100.64.0.0/10, shared by the customers of a carrier."""
    return _dotted(100, 64 + index // 65_536, index // 256 % 256, index % 256)


def _dotted(first: int, *parts: np.ndarray) -> np.ndarray:
    text = pd.Series(str(first)).repeat(len(parts[0])).reset_index(drop=True)
    for part in parts:
        text = text + "." + part.astype(str)
    return text.to_numpy()


def _padded(prefix: str, number: np.ndarray, width: int) -> np.ndarray:
    return (prefix + pd.Series(number.astype(str)).str.zfill(width)).to_numpy()


def _hexed(prefix: str, number: np.ndarray) -> np.ndarray:
    digits = number.astype(">u4").tobytes().hex().encode()
    return (prefix + pd.Series(np.frombuffer(digits, dtype="S8").astype(str))).to_numpy()


def _uuids(size: int, rng: np.random.Generator) -> np.ndarray:
    """Random version 4 UUIDs."""
    raw = rng.integers(0, 256, (size, 16), dtype=np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = pd.Series(np.frombuffer(raw.tobytes().hex().encode(), dtype="S32").astype(str))
    return (
        text.str[:8]
        + "-"
        + text.str[8:12]
        + "-"
        + text.str[12:16]
        + "-"
        + text.str[16:20]
        + "-"
        + text.str[20:]
    ).to_numpy()
