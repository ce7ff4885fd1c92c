"""E-mail addresses in one spelling, by email-validator: syntax only, nothing is asked of the network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

# A local part that needs no library: RFC 5322's dot-atom in ASCII. Validating the domain is what takes time, and
# there are far fewer domains than addresses.
PLAIN_NAME = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.IGNORECASE)
# White space, and what copying from pages and files leaves unseen: spaces without width, marks of byte order.
UNSEEN = r"[\s\u200b-\u200d\u2060\ufeff]+"
OUTSIDE = re.compile(rf"^{UNSEEN}|{UNSEEN}$")
MAXIMUM_NAME, MAXIMUM_ADDRESS = 64, 254  # RFC 5321

# Mailboxes that several people read, or none: RFC 2142's and those that shops and offices use.
ROLE_NAMES = frozenset({
    "abuse", "accounting", "accounts", "admin", "administrator", "billing", "careers", "compliance", "contact",
    "customerservice", "do-not-reply", "donotreply", "enquiries", "finance", "ftp", "hello", "help", "helpdesk",
    "hostmaster", "hr", "info", "inquiries", "invoice", "invoices", "it", "jobs", "kontakt", "legal", "mail",
    "mailer-daemon", "marketing", "news", "newsletter", "no-reply", "noc", "noreply", "office", "orders",
    "postmaster", "press", "privacy", "purchasing", "reception", "root", "sales", "security", "service", "shop",
    "spam", "support", "sysadmin", "team", "usenet", "uucp", "webmaster", "www",
})  # fmt: skip
GMAIL = frozenset({"gmail.com", "googlemail.com"})
# Providers that deliver name+tag@ to name@.
TAGGING = re.compile(
    r"(?:outlook|hotmail|live)\.[a-z]{2,3}(?:\.[a-z]{2})?|msn\.com|icloud\.com|me\.com|mac\.com|fastmail\.(?:com|fm)"
    r"|proton\.me|protonmail\.com|pm\.me"
)


@dataclass(frozen=True)
class Domain:
    """A domain that mail can be sent to: in Unicode as it is compared, in ASCII as its length is limited."""

    name: str
    ascii_name: str
    is_disposable: bool


def normalise_email(raw: str, has_provider_rules: bool) -> tuple[str | None, bool, bool, str | None]:
    """One spelling of an address, whether its domain gives addresses to throw away, whether it is of a role and not
    of a person, and why it is refused: `no_at_sign`, `invalid_domain` or `invalid_name`.

    Case and outer spaces, seen or unseen, do not count; an international domain is in Unicode. With provider rules the
    spellings of one mailbox become one.
    """
    text = OUTSIDE.sub("", raw)
    name, at_sign, domain_text = text.rpartition("@")
    if not at_sign:
        return None, False, False, "no_at_sign"
    domain = _domain(domain_text)
    if domain is None:
        return None, False, False, "invalid_domain"
    is_plain = PLAIN_NAME.fullmatch(name) and len(name) <= MAXIMUM_NAME
    if not is_plain or len(name) + 1 + len(domain.ascii_name) > MAXIMUM_ADDRESS:
        validated = _validated(text)
        if validated is None:
            return None, False, False, "invalid_name"
        name = validated.local_part
    name, domain_name = name.lower(), domain.name
    if has_provider_rules:
        name, domain_name = _mailbox(name, domain_name)
    return f"{name}@{domain_name}", domain.is_disposable, name in ROLE_NAMES, None


def _mailbox(name: str, domain: str) -> tuple[str, str]:
    """The mailbox behind an address. A name that is nothing but a tag stays as it is."""
    if domain in GMAIL:
        return name.partition("+")[0].replace(".", "") or name, "gmail.com"
    if TAGGING.fullmatch(domain):
        return name.partition("+")[0] or name, domain
    return name, domain


@lru_cache(maxsize=100_000)
def _domain(text: str) -> Domain | None:
    validated = _validated(f"a@{text}")
    if validated is None or validated.ascii_domain is None:
        return None
    name = validated.domain.lower()
    labels = name.split(".")
    parents = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return Domain(name, validated.ascii_domain, any(parent in blocklist for parent in parents))


def _validated(text: str) -> ValidatedEmail | None:
    try:
        return validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return None
