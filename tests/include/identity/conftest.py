from __future__ import annotations

from pathlib import Path

import pytest

from include.config.schema import IdentityRules
from tests.include.identity.evidence import Desk


@pytest.fixture(scope="session")
def rules() -> IdentityRules:
    """Rules of every id type, with a little of everything that can be blocked."""
    return IdentityRules(
        id_types={
            "customer_number": {"priority": 1, "limit": 1, "unique": True, "blocked_values": ("unknown",)},
            "user_id": {"priority": 2, "limit": 1, "unique": True, "blocked_values": ("anonymous",)},
            "loyalty_number": {"priority": 3, "valid_pattern": "[a-z0-9]+"},
            "email": {"priority": 4, "blocked_values": ("Test@Test.com",), "valid_pattern": ".+@.+"},
            "phone": {"priority": 5, "blocked_patterns": (r"^\+?0+$", "12345")},
            "advertising_id": {"priority": 6},
            "device_id": {"priority": 7},
            "anonymous_id": {"priority": 8},
        }
    )


@pytest.fixture
def desk(tmp_path: Path, rules: IdentityRules) -> Desk:
    return Desk(tmp_path / "one", rules)


@pytest.fixture
def other_desk(tmp_path: Path, rules: IdentityRules) -> Desk:
    """A second lake, to compare with."""
    return Desk(tmp_path / "other", rules)
