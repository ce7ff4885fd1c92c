"""Superset's configuration: everything secret comes from the environment, and the data source has no password of its
own, so that none is ever in a bundle of dashboards."""

import os
from typing import Any

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_DATABASE"]

# Pages load nothing from elsewhere and tell nobody that they were opened.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "object-src": "'none'",
        "script-src": ["'self'", "'strict-dynamic'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "worker-src": ["'self'", "blob:"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # whoever serves it to others puts a proxy with TLS before it
    "session_cookie_secure": False,
}


def SQLALCHEMY_CUSTOM_PASSWORD_STORE(_: Any) -> str:  # noqa: N802 - Superset's name
    """The password of the login that reads the published tables, the only one that Superset is given."""
    return os.environ["BI_READER_PASSWORD"]
