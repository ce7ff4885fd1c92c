"""Sites as host names in one spelling, and the registrable domain of each, by tldextract.

Its bundled snapshot of the Public Suffix List is read, nothing is fetched and nothing is kept in a home folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import idna
import tldextract

HOST = re.compile(r"[\w-]+(\.[\w-]+)+")
ADDRESS = re.compile(r"[0-9.]+")
PORT = re.compile(r":\d*$")


@dataclass(frozen=True)
class ContentRule:
    """Pages of `site` and its subdomains at `path` or below it, which ends in a slash, are of a content category."""

    site: str
    path: str
    category_id: str
    name: str
    tier_1: str


Rules = Sequence[ContentRule]


def normalise_site(raw: str, rules: Rules) -> tuple[str, str | None, list[dict[str, str]] | None]:
    """The host without port, `www.` and case, its registrable domain, and the rules of content that it falls under,
    the one to take first first: the longest path, then the nearest site.

    `raw` is a host, an address or any other name of a site; what is no host stays as it is and has no domain.
    """
    host = host_of(raw)
    if host is None:
        return raw.strip(), None, None
    found = sorted(
        (rule for rule in rules if host == rule.site or host.endswith(f".{rule.site}")),
        key=lambda rule: (-len(rule.path), -len(rule.site), rule.site, rule.path),
    )
    fitting = [
        {"path": rule.path, "category_id": rule.category_id, "name": rule.name, "tier_1": rule.tier_1}
        for rule in found
    ]
    return host, _registrable_domain(host), fitting or None


def host_of(text: str) -> str | None:
    """The host name that a text is or that is in an address, in Unicode; None when there is none."""
    is_address = "://" in text
    authority = re.split(r"[/?#]", text.strip().rpartition("://")[2] if is_address else text.strip())[0]
    bare = PORT.sub("", authority.rpartition("@")[2]).rstrip(".").lower()
    if not HOST.fullmatch(bare):
        is_local = is_address or bare != authority.lower()
        return bare if is_local and re.fullmatch(r"[\w-]+", bare) else None
    host = ".".join(_in_unicode(label) for label in bare.split("."))
    shorter = host.removeprefix("www.")
    return shorter if "." in shorter else host


def _in_unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return idna.decode(label)
    except idna.IDNAError:
        return label


def _registrable_domain(host: str) -> str | None:
    """One label more than the public suffix. A suffix that the list does not have is one label, as the list says."""
    if ADDRESS.fullmatch(host) or "." not in host:
        return None
    found = _extractor()(host)
    if not found.suffix:
        return ".".join(host.split(".")[-2:])
    return found.top_domain_under_public_suffix or None


@lru_cache(maxsize=1)
def _extractor() -> tldextract.TLDExtract:
    # With the list's private part, as browsers have it: two people's pages on one hoster are two sites.
    return tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
