"""`python include/airflow_health.py COMPONENT`: does Airflow's API call this component healthy? For health checks."""

from __future__ import annotations

import json
import os
import sys
import urllib.request

API = "http://api-server:8080"


def status_of(component: str, api: str) -> str:
    """What the API says of `scheduler`, `dag_processor` or `triggerer`. Raises URLError when it does not answer."""
    with urllib.request.urlopen(f"{api}/api/v2/monitor/health", timeout=10) as answer:
        return str(json.load(answer)[component]["status"])


if __name__ == "__main__":
    address = os.environ.get("AIRFLOW_API", API)
    try:
        found = status_of(sys.argv[1], address)
    except OSError as error:
        sys.exit(f"{address} does not answer: {error}")
    sys.exit(0 if found == "healthy" else f"{sys.argv[1]} is {found}")
