"""Staging joins what the values are normalised to, and keeps what they could not be."""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import pytest

from include.config import Normalisation
from include.lake import Lake
from include.normalise.landing import normalise_landing
from include.settings import settings
from include.warehouse import run_dbt
from tests.dbt_project.small_lake import BROWSER, CRAWLER, DAY, KEY, land_records, variables

RULES = Normalisation(
    region="US",
    content_categories=[
        {"site": "example.com", "category": "Shopping"},
        {"site": "example.com", "path": "/sport", "category": "483"},
    ],
)
TELEVISION = "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/79.0 Safari/537.36"


def person(record_id: str, **columns: object) -> dict:
    return {"record_id": record_id, "observed_at": "2024-01-05 09:00"} | columns


def event(event_id: str, **columns: object) -> dict:
    return {
        "event_id": event_id,
        "type": "page",
        "occurred_at": "2024-03-10 10:00",
        "anonymous_id": "a",
    } | columns


def signed_up(name: str, status: str, purpose: str = "ads") -> dict:
    return {
        "id_type": "email", "id_value": f"{name}@example.org", "purpose": purpose, "status": status,
        "effective_at": "2024-02-05 09:00",
    }  # fmt: skip


RECORDS = {
    ("customers", "crm", DAY): [
        person("german", phone="030 1234567", country="Germany", given_name="  Jörg ", postcode=" d-10115 "),
        person("american", phone="(212) 555-0147", email="ANN@Example.ORG", country=None),
        person("abroad", phone="0012125550147", email="info@mailinator.com", country="usa"),
        person("wrong", phone="555-0147", email="ann@@example", country="Nowhere", given_name="-",
               rejected_values={"birth_date": "soon"}),
    ],
    ("events", "web", DAY): [
        event("own", site="www.Shop.co.uk", user_agent=BROWSER, content_category="soccer",
              url="https://www.shop.co.uk/?token=abc&utm_source=x", referrer="https://ann:pw@x.example/"),
        event("by_url", url="https://ann:pw@News.example.com:8080/sport/cup?a=1", user_agent=TELEVISION),
        event("near_miss", site="news.example.com", url="https://news.example.com/sportswear"),
        event("own_words", site="example.com", url="https://example.com/sport", content_category="Our own"),
        event("app", site="Our App", platform="iOS", phone="nonsense", user_agent="whatever"),
        event("robot", site="example.com", user_agent=CRAWLER),
        event("script", site="example.com", user_agent="python-requests/2.31"),
        event("server", platform="server", user_agent="python-requests/2.31"),
        event("ahead", occurred_at="2099-01-01 00:00:01", received_at="2024-03-10 10:00:02"),
        event("day_alone", occurred_at="2024-03-10 23:59", received_at="2024-03-10"),
    ],
    ("interactions", "calls", DAY): [
        {"interaction_id": "1", "occurred_at": "2024-03-09 08:00", "phone": "1 212 555 0147"},
    ],
    ("consents", "cmp", DAY): [
        {"id_type": id_type, "id_value": value, "purpose": "ads", "status": "granted",
         "effective_at": "2024-01-05 09:00"}
        for id_type, value in [("email", "ann@example.org"), ("email", "ANN@example.org"), ("email", "no"),
                               ("email", "none"), ("phone", "2125550147"), ("user_id", " U-1 ")]
    ],
    # One address with a yes and a no of one moment, the yes last; and one that the next day's file corrects.
    ("consents", "newsletter", date(2024, 3, 9)): [
        signed_up("ann", "denied"), signed_up("ann", "granted"), signed_up("ann", "denied", purpose="email"),
        signed_up("bob", "denied"), signed_up("cy", "granted"),
        signed_up("dee", "unknown"), signed_up("dee", "granted"),
        signed_up("eli", "denied"), signed_up("eli", "unknown"),
    ],
    ("consents", "newsletter", date(2024, 3, 10)): [signed_up("bob", "granted"), signed_up("cy", "denied")],
}  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("spellings"))
    land_records(lake, RECORDS)
    normalise_landing(lake, RULES, settings())
    run_dbt("stage", lake, variables(), KEY)
    return lake


def staged(lake: Lake, query: str) -> list[tuple]:
    with duckdb.connect(str(lake.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_persons_number_is_read_by_their_own_country(lake):
    assert staged(lake, "select record_id, phone, country from stg_customers order by record_id") == [
        ("abroad", "+12125550147", "US"),
        ("american", "+12125550147", None),
        ("german", "+49301234567", "DE"),
        ("wrong", None, None),
    ]
    assert staged(lake, "select phone from stg_interactions") == [("+12125550147",)]


def test_what_is_refused_is_null_and_kept_beside_what_extract_refused(lake):
    assert staged(lake, "select rejected_values from stg_customers where record_id = 'wrong'") == [
        (
            {
                "birth_date": "soon",
                "email": "ann@@example",
                "phone": "555-0147",
                "country": "Nowhere",
                "given_name": "-",
            },
        )
    ]
    assert staged(lake, "select phone, rejected_values from stg_events where event_id = 'app'") == [
        (None, {"phone": "nonsense"})
    ]
    assert staged(lake, "select count(*) from stg_customers where rejected_values = map()") == [(3,)]


def test_an_event_happens_at_the_latest_when_it_was_received(lake):
    assert staged(
        lake,
        "select event_id, occurred_at, rejected_values from stg_events where received_at is not null order by all",
    ) == [
        ("ahead", datetime(2024, 3, 10, 10, 0, 2), {"occurred_at": "2099-01-01 00:00:01"}),
        ("day_alone", datetime(2024, 3, 10, 23, 59), {}),
    ]


def test_names_and_postcodes_have_one_spelling(lake):
    assert staged(lake, "select given_name, postcode from stg_customers where record_id = 'german'") == [
        ("Jörg", "D-10115")
    ]


def test_throw_away_and_role_addresses_are_marked(lake):
    marked = "select record_id from stg_customers where is_disposable_email and is_role_email"
    assert staged(lake, marked) == [("abroad",)]


def test_an_event_has_site_device_and_robot(lake):
    events = """
        select event_id, site, site_domain, device, browser, operating_system, is_bot
        from stg_events where received_at is null order by event_id"""
    assert staged(lake, events) == [
        ("app", "Our App", None, "mobile", None, None, False),
        ("by_url", "news.example.com", "example.com", "tv", "Chrome", "Web0S", False),
        ("near_miss", "news.example.com", "example.com", "other", None, None, False),
        ("own", "shop.co.uk", "shop.co.uk", "desktop", "Chrome", "Linux", False),
        ("own_words", "example.com", "example.com", "other", None, None, False),
        ("robot", "example.com", "example.com", "bot", "Googlebot", None, True),
        ("script", "example.com", "example.com", "other", "Python Requests", None, True),
        # The brand's own server tells by a program what a person did.
        ("server", None, None, "other", "Python Requests", None, False),
    ]


def test_an_event_says_its_category_itself_or_the_rules_say_it(lake):
    categories = """
        select event_id, content_category, content_category_id, content_category_tier_1
        from stg_events where received_at is null order by event_id"""
    assert staged(lake, categories) == [
        ("app", None, None, None),
        ("by_url", "Sports", "483", "Sports"),
        ("near_miss", "Shopping", "473", "Shopping"),
        ("own", "Soccer", "533", "Sports"),
        ("own_words", "Our own", "483", "Sports"),  # its words stay, what they mean the rules say
        ("robot", "Shopping", "473", "Shopping"),
        ("script", "Shopping", "473", "Shopping"),
        ("server", None, None, None),
    ]


def test_no_secret_of_an_address_is_staged(lake):
    addresses = (
        "select url, referrer from stg_events where event_id in ('own', 'by_url') order by event_id desc"
    )
    assert staged(lake, addresses) == [
        ("https://www.shop.co.uk/?token=&utm_source=x", "https://x.example/"),
        ("https://News.example.com:8080/sport/cup?a=1", None),
    ]


def test_an_identifier_that_is_part_of_a_key_stays_when_it_is_refused(lake):
    """Two that cannot be read are not one, two spellings are, and the counts of rows agree."""
    consents = (
        "select id_type, id_value, rejected_values from stg_consents where channel = 'cmp' order by all"
    )
    assert staged(lake, consents) == [
        ("email", "ann@example.org", {}),
        ("email", "no", {"id_value": "no"}),
        ("email", "none", {"id_value": "none"}),
        ("phone", "+12125550147", {}),
        ("user_id", "U-1", {}),
    ]
    counts = "select landed_rows, superseded_rows from stg_landed_counts where channel = 'cmp'"
    assert staged(lake, counts) == [(6, 1)]


def test_of_a_yes_and_a_no_of_one_moment_in_one_file_the_no_holds_and_a_later_file_corrects(lake):
    said = """
        select id_value, purpose, status from stg_consents where channel = 'newsletter' order by all"""
    assert staged(lake, said) == [
        ("ann@example.org", "ads", "denied"),
        ("ann@example.org", "email", "denied"),
        ("bob@example.org", "ads", "granted"),
        ("cy@example.org", "ads", "denied"),
        ("dee@example.org", "ads", "unknown"),
        ("eli@example.org", "ads", "denied"),
    ]
