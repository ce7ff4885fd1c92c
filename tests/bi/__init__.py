"""The dashboards in a real Superset: `python -m tests.bi`."""
