"""What the normalised values depend on beside the landed ones: libraries, their data, the taxonomy and the rules."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from include.lake import hash_file
from include.normalise.taxonomies import CONTENT_FILE

if TYPE_CHECKING:
    from include.config.schema import Normalisation

CODE_VERSION = 3  # raise it when this package gives another value for the same text
LIBRARIES = {
    "emails": ("email-validator", "idna", "disposable-email-domains"),
    "countries": ("pycountry",),
    "phones": ("phonenumbers", "pycountry"),
    "user_agents": ("ua-parser", "ua-parser-builtins", "ua-parser-rs"),
    "sites": ("tldextract", "idna"),
    "content_categories": (),
}


def dictionary_version(name: str, normalisation: Normalisation) -> str:
    """A hash that changes when a dictionary would say something else of the same values."""
    rules = {
        "emails": [normalisation.email.provider_rules],
        "phones": [normalisation.region],
        "sites": [
            [rule.site, rule.path, rule.category] for rule in normalisation.content_categories if rule.site
        ],
    }
    taxonomy = hash_file(CONTENT_FILE) if name in ("sites", "content_categories") else None
    libraries = [[library, version(library)] for library in LIBRARIES[name]]
    return _hash([CODE_VERSION, libraries, taxonomy, rules.get(name)])


def normalisation_version(normalisation: Normalisation) -> str:
    """A hash that changes when any dictionary would say something else."""
    return _hash({name: dictionary_version(name, normalisation) for name in LIBRARIES})


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
