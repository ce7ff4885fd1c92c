"""A small lake with members of both sides, whose people and consents a test may change from day to day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.activate.export import Exported, export_audiences, keep_activation
from include.activate.files import written_for
from include.activate.formats import OF_CUSTOMERS
from include.config import Configuration, load_configuration
from include.lake import Lake, hash_file
from include.settings import settings

DAY, NEXT_DAY, THIRD_DAY = date(2024, 6, 28), date(2024, 6, 29), date(2024, 6, 30)
COLUMNS = {"customer_id": "varchar", "lifecycle_stage": "varchar"}
AUDIENCES = """\
audiences:
  - {id: loyal, side: cdp, where: "lifecycle_stage = 'loyal'", ttl_days: 30, min_size: 1, destinations: [%s]}
  - {id: readers, side: dmp, where: "frequency('reader', 30) >= 1", ttl_days: 7, min_size: 1}
"""
LISTED, DATES = ("emails", "phones"), ("birth_date",)
CUSTOMER = pa.schema(
    [
        (name, pa.list_(pa.string()) if name in LISTED else pa.date32() if name in DATES else pa.string())
        for name in OF_CUSTOMERS
        if name != "ad_consent"
    ]
)
MEMBER = pa.schema(
    {"audience_id": pa.string(), "member_id": pa.string(), "side": pa.string(), "is_control": pa.bool_(),
     "expires_at": pa.timestamp("us"), "entered_at": pa.timestamp("us")}
)  # fmt: skip
CONSENT = pa.schema(
    {"side": pa.string(), "member_id": pa.string(), "purpose": pa.string(), "is_granted": pa.bool_()}
)
VENDOR = pa.schema(
    {"side": pa.string(), "member_id": pa.string(), "tcf_vendor": pa.int64(), "is_granted": pa.bool_()}
)
LATER = datetime(2024, 8, 1)
_CHECKED: dict[tuple[str, ...], str] = {}  # the hash of a configuration, by the texts of its files


@dataclass
class Person:
    """A customer; `consents` map purposes of consent records to whether they are granted."""

    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    given_name: str | None = None
    family_name: str | None = None
    postcode: str | None = None
    country: str | None = "US"
    consents: dict[str, bool] = field(default_factory=lambda: {"advertising": True})
    gender: str | None = None
    birth_date: date | None = None
    city: str | None = None
    region: str | None = None


@dataclass
class Activation:
    """A lake, the folder of its configuration, and who is in which audience."""

    lake: Lake
    folder: Path
    people: dict[str, Person] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=lambda: {"loyal": set()})
    visitors: dict[str, set[str]] = field(default_factory=dict)
    control: set[str] = field(default_factory=set)
    expires: dict[str, datetime] = field(default_factory=dict)
    vendors: dict[tuple[str, int], bool] = field(default_factory=dict)

    def configure(self, destinations: str, audiences: str | None = None) -> Configuration:
        ids = [line.split("id:")[1].strip() for line in destinations.splitlines() if "- id:" in line]
        (self.folder / "destinations.yml").write_text("destinations:\n" + (destinations or "  []\n"))
        (self.folder / "audiences.yml").write_text(audiences or AUDIENCES % ", ".join(ids))
        # What was loaded before and says the same is not tried again.
        said = tuple(path.read_text() for path in sorted(self.folder.glob("*.yml")))
        configuration = load_configuration(self.folder, COLUMNS, checked=_CHECKED.get(said))
        _CHECKED[said] = configuration.hash
        return configuration

    def add(self, *names: str, audience: str = "loyal", **facts: object) -> None:
        """Customers with an address of their own."""
        for name in names:
            self.people[name] = Person(**{"emails": [f"{name}@example.com"], **facts})
            self.members.setdefault(audience, set()).add(name)

    def export(self, day: date, configuration: Configuration) -> Exported:
        """The files of a day that is published."""
        self.write()
        exported = export_audiences(self.lake, day, configuration)
        self.release(day, configuration.privacy.keep_releases_days)
        return exported

    def write(self) -> None:
        """The files that dbt would have written."""
        blank = dict.fromkeys(CUSTOMER.names)
        customers = [
            blank
            | {
                "customer_id": name, "email": next(iter(person.emails), None), "emails": person.emails,
                "phone": next(iter(person.phones), None), "phones": person.phones, "given_name": person.given_name,
                "family_name": person.family_name, "gender": person.gender, "birth_date": person.birth_date,
                "city": person.city, "region": person.region, "postcode": person.postcode, "country": person.country,
            }
            for name, person in sorted(self.people.items())
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(customers, CUSTOMER), _made(self.lake.table("cdp", "customers")))
        rows = [
            (audience, member, side, member in self.control, self.expires.get(member, LATER))
            for side, audiences in (("cdp", self.members), ("dmp", self.visitors))
            for audience, members in sorted(audiences.items())
            for member in sorted(members)
        ]
        _write(
            self.lake.table("both", "audience_members"),
            MEMBER,
            [(*row, datetime(2024, 6, 1)) for row in rows],
        )
        consents = [
            ("cdp", name, purpose, granted)
            for name, person in sorted(self.people.items())
            for purpose, granted in person.consents.items()
        ] + [("dmp", each, "advertising", True) for members in self.visitors.values() for each in members]
        _write(self.lake.staged("member_consents"), CONSENT, sorted(set(consents)))
        vendors = [("cdp", name, vendor, granted) for (name, vendor), granted in self.vendors.items()]
        _write(self.lake.staged("member_vendors"), VENDOR, vendors)

    def file(
        self, day: date, action: str = "full", destination: str = "out", audience: str = "loyal"
    ) -> list[str]:
        """The lines of a file, without the header of a CSV file."""
        (path,) = (self.lake.activation(day) / destination / audience).glob(f"{action}.*")
        return path.read_text().splitlines()[path.suffix == ".csv" :]

    def refusals(self, day: date) -> dict[str, int]:
        """How many of `loyal` are refused, by reason."""
        return dict(
            duckdb.sql(
                f"select reason, sum(people)::int from '{self.lake.ops(day, 'activation_refusals')}' "
                "where audience_id = 'loyal' group by all"
            ).fetchall()
        )

    def decisions(self, day: date) -> dict[str, str | None]:
        """Whether and why a member is refused."""
        path = self.lake.activation(day) / "decisions.parquet"
        return {row["member_id"]: row["reason"] for row in pq.read_table(path).to_pylist()}

    def release(self, day: date, keep_days: int = 30) -> Path:
        """Seal the day's files as a release that readers see."""
        release = self.lake.published / "releases" / f"{day:%Y-%m-%d}_000000000000"
        shutil.rmtree(release, ignore_errors=True)
        shutil.copytree(written_for(self.lake, day), release / "activation")
        self.seal(release)
        self.point_to(release)
        keep_activation(self.lake, day, keep_days)
        return release

    def point_to(self, release: Path) -> None:
        pointer = self.lake.published / ".new"
        pointer.symlink_to(release)
        pointer.replace(self.lake.current)

    def seal(self, release: Path) -> None:
        files = sorted(path for path in release.rglob("*") if path.is_file())
        listed = [{"path": str(path.relative_to(release)), "sha256": hash_file(path)} for path in files]
        (release / "manifest.json").write_text(json.dumps({"files": listed}))

    def log(self, day: date) -> pa.Table:
        return pq.read_table(self.lake.ops(day, "deliveries"))


def _write(path: Path, schema: pa.Schema, rows: list[tuple]) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    pq.write_table(pa.table(list(map(list, columns)), schema=schema), _made(path))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Activation]:
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "identity.yml").write_text("id_types: {email: {priority: 1}}\n")
    yield Activation(Lake(tmp_path / "data"), folder)
    settings.cache_clear()


@pytest.fixture
def csv_out(small: Activation) -> Callable[..., Configuration]:
    """One destination, `out`, of e-mail addresses as they are."""

    def configure(more: str = "") -> Configuration:
        return small.configure(f"- id: out\n  columns: {{mail: [emails]}}\n{more}")

    return configure
