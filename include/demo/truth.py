"""What really is and what really caused what: written beside the demo's channels, never read by the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from include.demo.behaviour import EFFECTS, INTERESTS, Behaviour, price_drops
from include.demo.calendar import NEVER, Calendar
from include.demo.population import Population
from include.demo.tastes import TASTE_NAMES, would_respond


class Truth:
    """Collects the truth of every chunk and writes it as Parquet, one file per question.

    - person_records: channel, record_id -> person_id, household_id
    - identifiers: id_type, id_value, person_id; a shared identifier has several rows
    - persons: person_id, household_id, whether on line; households: household_id, taste, when it left
    - device_use: channel, anonymous_id, device_id, person_id, role (own, shared, kiosk, stranger)
    - triggers: the planted effects with their multipliers, and what they brought; trigger_occurrences: when and whom
    - stranger_tastes: one row per cookie of a stranger and taste group: affinity, is_primary, would_respond
    - post_purchase_interests: bought category, off-site content, multiplier, window, buyers, page views added
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[str, list[pd.DataFrame]] = {}

    def add(
        self, population: Population, behaviour: Behaviour, records: pd.DataFrame, chunk: int, seed: int
    ) -> None:
        """Add the truth of one chunk; `records` says which customer record belongs to whom."""
        rng = np.random.default_rng([seed, 12, chunk])
        persons, households = population.persons, population.households
        self._keep("person_records", records)
        self._keep("identifiers", _identifiers(population))
        self._keep(
            "persons",
            pd.DataFrame(
                {
                    "person_id": persons["person_id"],
                    "household_id": households["household_id"].to_numpy()[persons["household"]],
                    "is_primary": persons["is_primary"],
                    "is_digital": persons["is_digital"],
                    "has_account": persons["has_account"],
                }
            ),
        )
        left = households["left_at"]
        self._keep(
            "households",
            pd.DataFrame(
                {
                    "household_id": households["household_id"],
                    "source_household": households["source_household"],
                    "loyalty_number": households["loyalty_number"],
                    "taste": np.array(TASTE_NAMES)[households["taste"]],
                    "activity": households["activity"],
                    "left_at": pd.to_datetime(left.where(left < NEVER), unit="s"),
                }
            ),
        )
        self._keep("device_use", _device_use(population))
        self._keep("triggers", behaviour.exposure)
        self._keep(
            "trigger_occurrences",
            pd.DataFrame(
                {
                    "trigger": behaviour.occurrences["trigger"],
                    "household_id": households["household_id"].to_numpy()[behaviour.occurrences["household"]],
                    "occurred_at": pd.to_datetime(behaviour.occurrences["at"], unit="s"),
                }
            ),
        )
        self._keep("stranger_tastes", _stranger_tastes(population, rng))
        self._keep("post_purchase_interests", behaviour.purchases_found)

    def write(self, calendar: Calendar, seed: int) -> None:
        """Write every table; sums over chunks where a row is an effect and not a person."""
        tables = {name: pd.concat(parts, ignore_index=True) for name, parts in self._parts.items()}
        planted = pd.DataFrame(
            {
                "trigger": [effect.trigger for effect in EFFECTS],
                "hazard_multiplier": [effect.multiplier for effect in EFFECTS],
                "window_days": [effect.window_days for effect in EFFECTS],
                "meaning": [effect.meaning for effect in EFFECTS],
            }
        )
        tables["triggers"] = planted.merge(
            tables["triggers"].groupby("trigger", as_index=False).sum(), on="trigger"
        )
        found = tables["post_purchase_interests"].groupby("interest").sum()
        tables["post_purchase_interests"] = pd.DataFrame(
            {
                "bought_category": [interest.category for interest in INTERESTS],
                "content_category": [interest.content for interest in INTERESTS],
                "multiplier": [interest.multiplier for interest in INTERESTS],
                "window_days": [interest.window_days for interest in INTERESTS],
                "buyers": found["buyers"].to_numpy(),
                "extra_page_views": found["extra_page_views"].to_numpy(),
            }
        )
        drops = price_drops(calendar, seed)
        tables["price_drops"] = pd.DataFrame(
            {
                "taste": np.array(TASTE_NAMES)[drops["taste"]],
                "starts_at": pd.to_datetime(drops["starts_at"], unit="s"),
            }
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
            pa.parquet.write_table(
                table, self.folder / f"{name}.parquet", compression="zstd", store_schema=False
            )

    def _keep(self, name: str, frame: pd.DataFrame) -> None:
        self._parts.setdefault(name, []).append(frame)


def _identifiers(population: Population) -> pd.DataFrame:
    persons, households, devices = population.persons, population.households, population.devices
    card_holder = persons["is_primary"].to_numpy()
    cards = households["loyalty_number"].to_numpy()[persons["household"]]
    use, person_id = population.device_use, persons["person_id"].to_numpy()
    used_by = person_id[use["person"]]
    role, channel = devices["role"].to_numpy()[use["device"]], devices["channel"].to_numpy()[use["device"]]
    strangers = devices["stranger"].to_numpy()
    own = np.flatnonzero(strangers >= 0)
    parts = [
        ("customer_number", persons["customer_number"], person_id),
        ("loyalty_number", cards[card_holder], person_id[card_holder]),
        ("user_id", persons["user_id"][persons["has_account"]], person_id[persons["has_account"]]),
        ("email", persons["email"], person_id),
        ("phone", persons["phone"], person_id),
        (
            "anonymous_id",
            devices["anonymous_id"].to_numpy()[use["device"]][role != "kiosk"],
            used_by[role != "kiosk"],
        ),
        (
            "device_id",
            devices["hardware_id"].to_numpy()[use["device"]][channel != "web"],
            used_by[channel != "web"],
        ),
        (
            "advertising_id",
            devices["advertising_id"].to_numpy()[use["device"]][channel == "app"],
            used_by[channel == "app"],
        ),
        (
            "anonymous_id",
            devices["anonymous_id"].to_numpy()[own],
            population.strangers["person_id"].to_numpy()[strangers[own]],
        ),
    ]
    frames = [
        pd.DataFrame({"id_type": name, "id_value": np.asarray(values), "person_id": owners})
        for name, values, owners in parts
    ]
    return pd.concat(frames, ignore_index=True).sort_values(
        ["id_type", "id_value", "person_id"], ignore_index=True
    )


def _device_use(population: Population) -> pd.DataFrame:
    devices, use = population.devices, population.device_use
    of_person = pd.DataFrame(
        {"device": use["device"], "person_id": population.persons["person_id"].to_numpy()[use["person"]]}
    )
    stranger = devices["stranger"].to_numpy()
    own = np.flatnonzero(stranger >= 0)
    of_stranger = pd.DataFrame(
        {"device": own, "person_id": population.strangers["person_id"].to_numpy()[stranger[own]]}
    )
    both = pd.concat([of_person, of_stranger], ignore_index=True)
    device = both["device"].to_numpy()
    return pd.DataFrame(
        {
            "channel": devices["channel"].to_numpy()[device],
            "anonymous_id": devices["anonymous_id"].to_numpy()[device],
            "device_id": np.where(devices["channel"] != "web", devices["hardware_id"], None)[device],
            "role": devices["role"].to_numpy()[device],
            "person_id": both["person_id"],
        }
    ).sort_values(["anonymous_id", "person_id"], ignore_index=True)


def _stranger_tastes(population: Population, rng: np.random.Generator) -> pd.DataFrame:
    devices, tastes = population.devices, len(TASTE_NAMES)
    cookies = np.flatnonzero(devices["stranger"].to_numpy() >= 0)
    stranger = devices["stranger"].to_numpy()[cookies]
    affinity = population.stranger_affinity
    responds = would_respond(affinity, rng)
    primary = affinity.argmax(axis=1) if len(affinity) else np.array([], dtype=np.int64)
    return pd.DataFrame(
        {
            "cookie": np.repeat(devices["anonymous_id"].to_numpy()[cookies], tastes),
            "person_id": np.repeat(population.strangers["person_id"].to_numpy()[stranger], tastes),
            "taste": np.tile(TASTE_NAMES, len(cookies)),
            "affinity": affinity[stranger].ravel(),
            "is_primary": (primary[stranger][:, None] == np.arange(tastes)[None, :]).ravel(),
            "would_respond": responds[stranger].ravel(),
        }
    )
