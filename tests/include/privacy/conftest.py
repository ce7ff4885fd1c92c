from __future__ import annotations

from pathlib import Path

import pytest

from tests.include.privacy.people import BOB, CYD, Shop, copied, make_shop


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop that `shop` is a copy of: the three people in every place."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    shop.spread()
    shop.publish()
    return shop


@pytest.fixture
def shop(filled: Shop, tmp_path: Path) -> Shop:
    """A shop of the test's own."""
    return copied(filled, tmp_path)


@pytest.fixture(scope="session")
def without_ann(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same company that Ann never had to do with."""
    return make_shop(tmp_path_factory.mktemp("without"), (BOB, CYD))


@pytest.fixture(scope="session")
def erased(filled: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop after Ann was erased by her card. Not to be changed."""
    shop = copied(filled, tmp_path_factory.mktemp("erased"))
    shop.ask("erasure", "loyalty_number", "600000000017")
    shop.fulfil()
    return shop
