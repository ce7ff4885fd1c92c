"""People of our own making: households with twins, fathers and sons, short forms, slips and gaps, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

MEN = (
    "james", "robert", "john", "michael", "david", "william", "richard", "joseph", "thomas", "charles",
    "daniel", "matthew", "anthony", "mark", "steven", "andrew", "paul", "kenneth", "kevin", "brian", "george",
    "edward", "ronald", "jason", "gary", "nicholas", "eric", "stephen", "larry", "justin", "scott", "brandon",
    "samuel", "gregory", "frank", "raymond", "patrick", "dennis", "jerry", "tyler", "aaron", "nathan", "henry",
    "douglas", "peter", "zachary", "kyle", "walter", "harold", "carl",
)  # fmt: skip
WOMEN = (
    "mary", "patricia", "jennifer", "linda", "elizabeth", "barbara", "susan", "jessica", "sarah", "karen",
    "lisa", "nancy", "betty", "margaret", "sandra", "ashley", "kimberly", "emily", "donna", "michelle", "carol",
    "amanda", "dorothy", "melissa", "deborah", "stephanie", "rebecca", "sharon", "laura", "cynthia", "amy",
    "kathleen", "angela", "shirley", "anna", "brenda", "pamela", "emma", "nicole", "helen", "samantha",
    "katherine", "christine", "rachel", "janet", "catherine",
)  # fmt: skip
FAMILIES = (
    "smith", "johnson", "williams", "brown", "jones", "garcia", "miller", "davis", "rodriguez", "martinez",
    "hernandez", "lopez", "gonzalez", "wilson", "anderson", "thomas", "taylor", "moore", "jackson", "martin",
    "lee", "perez", "thompson", "white", "harris", "sanchez", "clark", "ramirez", "lewis", "robinson", "walker",
    "young", "allen", "king", "wright", "scott", "torres", "nguyen", "hill", "flores", "green", "adams",
    "nelson", "baker", "hall", "rivera", "campbell", "mitchell", "carter", "roberts", "gomez", "phillips",
    "evans", "turner", "diaz", "parker", "cruz", "edwards", "collins", "reyes", "stewart", "morris",
)  # fmt: skip
STREETS = (
    "oak", "maple", "cedar", "pine", "elm", "lake", "hill", "park", "church", "high", "mill", "spring", "river",
    "ridge", "walnut", "chestnut",
)  # fmt: skip
SHORT = {
    "robert": "bob", "william": "bill", "james": "jim", "michael": "mike", "thomas": "tom", "edward": "ted",
    "elizabeth": "betty", "margaret": "peggy", "patricia": "trish", "jennifer": "jen", "deborah": "debbie",
}  # fmt: skip
COLUMNS = (
    "node_key", "given_name", "family_name", "birth_date", "gender", "street", "city", "postcode", "email", "phone",
)  # fmt: skip


def records_of_households(households: int, seed: int) -> Iterator[tuple[str | None, ...]]:
    """Rows of COLUMNS in a random order; the text before the last dash of a node_key is the person."""
    draw = random.Random(seed)
    rows = [
        _record(draw, person, copy)
        for number in range(households)
        for person in _household(draw, number)
        for copy in range(draw.choices((1, 2, 3, 5), (45, 30, 18, 7))[0])
    ]
    draw.shuffle(rows)
    yield from rows


def _household(draw: random.Random, number: int) -> list[dict[str, str]]:
    place = draw.randrange(150)
    shared = {
        "family_name": draw.choice(FAMILIES),
        "street": f"{draw.randrange(1, 250)} {draw.choice(STREETS)} {draw.choice(('street', 'road', 'lane'))}",
        "city": f"{STREETS[place % 16]}{('ville', 'ton', 'field', 'burg')[place // 16 % 4]}",
        "postcode": f"{10_000 + place * 37}",
        "landline": f"1555{draw.randrange(1_000_000, 9_999_999)}",
    }
    members: list[dict[str, str]] = []
    for place in range(draw.choices((1, 2, 3, 4), (35, 30, 15, 20))[0]):
        gender = draw.choice("mf") if place != 1 else {"m": "f", "f": "m"}[members[0]["gender"]]
        names = [
            name
            for name in (MEN if gender == "m" else WOMEN)
            if all(name != each["given_name"] for each in members)
        ]
        year = draw.randrange(1945, 1975) if place < 2 else draw.randrange(1985, 2005)
        birth_date = f"{year}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}"
        if place == 3 and draw.random() < 0.3:
            birth_date = members[2]["birth_date"]  # twins
        given = draw.choice(names)
        members.append(
            shared
            | {
                "person": f"{number}.{place}",
                "given_name": given,
                "birth_date": birth_date,
                "gender": gender,
                "mobile": f"1777{draw.randrange(1_000_000, 9_999_999)}",
                "email": f"{given}.{shared['family_name']}{draw.randrange(1, 999)}@mail.example",
            }
        )
    return members


def _record(draw: random.Random, person: dict[str, str], copy: int) -> tuple[str | None, ...]:
    said: dict[str, str | None] = {
        **{column: person[column] for column in COLUMNS[1:-1]},
        "phone": person["landline"] if draw.random() < 0.3 else person["mobile"],
    }
    if draw.random() < 0.2:
        said["given_name"] = SHORT.get(person["given_name"], person["given_name"])
    for column in ("given_name", "family_name", "street", "city", "postcode"):
        if draw.random() < 0.1:
            said[column] = _slip(draw, said[column])
    for column in COLUMNS[3:]:
        if draw.random() < 0.2:
            said[column] = None
    return (f"{person['person']}-{copy}", *(said[column] for column in COLUMNS[1:]))


def _slip(draw: random.Random, text: str) -> str:
    place = draw.randrange(1, len(text))
    return draw.choice(
        (
            text[:place] + text[place + 1 :],
            text[:place] + draw.choice("abcdefghij") + text[place:],
            text[: place - 1] + text[place] + text[place - 1] + text[place + 1 :],
        )
    )
