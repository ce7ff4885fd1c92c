"""Networks of addresses, against Python's own `ipaddress`."""

from __future__ import annotations

import ipaddress
import random

import duckdb
import jinja2

from include.warehouse.dbt import DBT_PROJECT


def coarse_network(addresses: list[str]) -> dict[str, str | None]:
    """What the macro of the dbt project makes of each address."""
    text = (DBT_PROJECT / "macros" / "audience_privacy.sql").read_text()
    expression = (
        jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(text).module.coarse_network("address")
    )
    with duckdb.connect() as connection:
        connection.execute("create table addresses (address varchar)")
        connection.executemany("insert into addresses values (?)", [[address] for address in addresses])
        return dict(connection.execute(f"select address, {expression} from addresses").fetchall())


def expected_network(address: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and "." in address:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(ipaddress.ip_network(f"{parsed}/24", strict=False))
    groups = parsed.exploded.split(":")[:3]
    return ":".join(group.lstrip("0") or "0" for group in groups) + "::/48"


def test_networks_are_those_of_the_standard_library():
    draw = random.Random(7)
    addresses = {"256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.400", "", ":", "::", ":::", "1::2::3", "g::1",
                 "12345::1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
                 "::ffff:1.2.3.4", "::ffff:256.2.3.4", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:"}  # fmt: skip
    for _ in range(3000):
        v4, v6 = ipaddress.IPv4Address(draw.getrandbits(32)), ipaddress.IPv6Address(draw.getrandbits(128))
        # With runs of zeros, which are written in more than one way.
        mask = draw.getrandbits(128) & (draw.getrandbits(16) << 16 * draw.randrange(8))
        sparse = ipaddress.IPv6Address(int(v6) & mask)
        broken = str(draw.choice((v4, v6)))
        broken = broken.replace(draw.choice(broken), draw.choice("0:.f9"), 1)
        addresses |= {str(v4), f"::ffff:{v4}", str(v6), v6.exploded, str(sparse), sparse.exploded, broken}
    found = coarse_network(sorted(addresses))
    assert len(found) > 15_000
    different = {a: (n, expected_network(a)) for a, n in found.items() if n != expected_network(a)}
    assert different == {}
    assert sum(network is not None for network in found.values()) > 10_000
