"""A lake of the DMP side alone: few devices, each there for one thing that must not cross the wall, on two days with
a key each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from include.config import Configuration, dbt_variables, load_configuration
from include.config.columns import PROMISED_COLUMNS
from include.extract.kinds import kinds
from include.lake import Lake
from include.normalise.landing import normalise_landing
from include.privacy.pseudonym import visitor_id
from include.settings import settings
from include.warehouse.dbt import run_models
from tests.landed import land_delivery

FIRST_DAY, LATER = date(2024, 6, 30), date(2024, 9, 20)  # 82 days later: events are gone, visitors are not
KEYS = {FIRST_DAY: b"the key of the first epoch", LATER: b"the key of the second epoch"}
EPOCHS = {FIRST_DAY: 1, LATER: 2}
MODELS = ["+traits", "+visitor_features", "+visitor_activity", "+iab_categories"]

# Policy 4; purposes 1, 3 and 4, and the same without purpose 4.
TCF_GRANTED = "COvFyGBOvFyGBAbAAAENAPEAAPAAAAAAAAAAAEEUACCKAAA"
TCF_REFUSED = "COvFyGBOvFyGBAbAAAENAPEAAOAAAAAAAAAAAEEUACCKAAA"
OBJECT = '{"advertising": true}'

NORMALISATION = """
content_categories:
  - {site: clinic.example, category: Medical Health}
  - {site: paper.example, path: /faith, category: Religion & Spirituality}
  - {property: topic, value: pets, category: Pets}
  - {property: topic, value: elections, category: Elections}
trait_taxonomy:
  - {trait: has_pet, value: yes, audience: Interest | Pets}
  - {trait: illness, audience: Interest | Medical Health}
  - {trait: habit, value: church, audience: Interest | Music and Audio | Religious (Music and Audio)}
"""
AUDIENCES = """
traits:
  - {id: reads_secret, where: "title = 'secret' or url like '%secret%'", ttl_days: 90}
  - {id: reads_pets, where: "content_category = 'Pets'", ttl_days: 90}
audiences:
  - {id: secret_readers, side: dmp, where: "frequency('reads_secret', 90) >= 1"}
  - {id: pet_readers, side: dmp, where: "frequency('reads_pets', 30) >= 1"}
"""


@dataclass(frozen=True)
class WallLake:
    """The lake after one day's models of the DMP side. `files` are the tables and hand-overs as they were then."""

    lake: Lake
    day: date
    files: dict[str, list[dict[str, Any]]]

    def visitor(self, cookie: str) -> str:
        """The visitor id of a cookie on this day."""
        return visitor_id(KEYS[self.day], "anonymous_id", cookie)

    def names(self, visitor_ids: Iterable[str]) -> set[str]:
        """The cookies of visitor ids; an id of nobody stays as it is."""
        known = {self.visitor(cookie): cookie for cookie in COOKIES}
        return {known.get(each, each) for each in visitor_ids}

    def ids(self, table: str) -> set[str]:
        return {row["visitor_id"] for row in self.files[table]}


COOKIES = ("ck-reader", "ck-patient", "ck-tcf", "ck-no", "ck-idle", "ck-told", "ck-late")


def land(lake: Lake) -> None:
    """Every kind has its typed empty file, as after extract."""
    for kind in kinds():
        land_delivery(lake, kind, "none", date(2024, 1, 1), [])
    land_delivery(lake, "events", "publisher", date(2024, 1, 1), _events())
    land_delivery(lake, "traits", "broker", date(2024, 1, 1), _traits())


def build(lake: Lake, day: date, folder: Path) -> WallLake:
    """Run the models of the DMP side as of a day, under the key of that day."""
    configuration = configure(folder, EPOCHS[day])
    normalise_landing(lake, configuration.normalisation, settings())
    run_models(MODELS, lake, variables(configuration, day, lake), KEYS[day])
    return WallLake(lake, day, {path.stem: _rows(path) for path in files_of(lake)})


def variables(configuration: Configuration, day: date, lake: Lake) -> dict[str, Any]:
    """What dbt is told; without receipts, which this lake does not have, staging keeps nothing from day to day."""
    return dbt_variables(configuration, day, lake) | {"staging_rules": ""}


def configure(folder: Path, epoch: int) -> Configuration:
    privacy = f"purposes: {{advertising: [advertising]}}\nkey: {{epoch: {epoch}}}\n"
    texts = {"normalisation": NORMALISATION, "audiences": AUDIENCES, "privacy": privacy}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    return load_configuration(folder, PROMISED_COLUMNS)


def files_of(lake: Lake) -> list[Path]:
    """The tables and hand-overs of the DMP side."""
    return sorted(
        [*lake.table("dmp", "any").parent.glob("*.parquet"), *lake.staged("any").parent.glob("*.parquet")]
    )


def manifest(lake: Lake) -> dict[str, Any]:
    return json.loads((lake.data / "dbt" / "target" / "manifest.json").read_text())


def _rows(path: Path) -> list[dict[str, Any]]:
    return duckdb.read_parquet(str(path)).to_arrow_table().to_pylist()


def _events() -> list[dict[str, Any]]:
    number = iter(range(1000))

    def seen(cookie: str, at: str, consent: str | None = OBJECT, **columns: object) -> dict[str, Any]:
        return {
            "event_id": f"e{next(number)}", "type": "page", "anonymous_id": cookie, "occurred_at": at,
            "consent": consent, "site": "paper.example", "is_owned_site": False, "party": "third",
        } | columns  # fmt: skip

    return [
        seen("ck-reader", "2024-06-10 10:00", content_category="Pets"),
        seen("ck-reader", "2024-06-11 10:00", properties='{"topic": "pets"}', title="secret"),
        # Of the same reader, each later than all that may be kept: by the event's own word, as a name and as an id, by
        # the site even beside a word that is no category, by the path, and by a property.
        seen("ck-reader", "2024-06-20 10:00", content_category="Cancer", url="https://paper.example/secret"),
        seen("ck-reader", "2024-06-21 10:00", content_category="457", title="secret"),
        seen("ck-reader", "2024-06-22 10:00", site="clinic.example", content_category="our treatments"),
        seen("ck-reader", "2024-06-23 10:00", url="https://paper.example/faith/secret"),
        seen("ck-reader", "2024-06-24 10:00", properties='{"topic": "elections"}', title="secret"),
        # Who was seen at nothing else is nobody.
        seen("ck-patient", "2024-06-20 10:00", site="clinic.example", title="secret"),
        seen("ck-tcf", "2024-06-12 10:00", f'"{TCF_GRANTED}"'),
        seen("ck-no", "2024-06-12 10:00", f'"{TCF_REFUSED}"'),
        seen("ck-no", "2024-06-12 11:00", '"DBABMA~CPXxRfAPXxRfAAfKABENB-CgAPgAAAAAAAYgAAAAAAAA"'),
        # The first day is the last of 120 after this one; on the later day only the trait of ck-told keeps it.
        seen("ck-idle", "2024-03-03 10:00"),
        seen("ck-told", "2024-06-01 10:00"),
        seen("ck-late", "2024-09-01 10:00"),
    ]  # fmt: skip


def _traits() -> list[dict[str, Any]]:
    def said(cookie: str, trait: str, value: str, at: str = "2024-06-05 10:00") -> dict[str, Any]:
        return {
            "party": "third", "id_type": "anonymous_id", "id_value": cookie, "trait": trait, "value": value,
            "observed_at": at, "provider": "broker",
        }  # fmt: skip

    return [
        said("ck-reader", "has_pet", "yes"),
        said("ck-tcf", "has_pet", "no"),
        said("ck-reader", "illness", "asthma"),
        said("ck-reader", "habit", "church"),
        said("ck-tcf", "habit", "running"),
        said("ck-told", "has_pet", "yes", "2024-08-20 10:00"),
    ]
