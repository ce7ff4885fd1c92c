"""Dashboards on the published tables, as code: what a marketer and who runs the pipeline look at in Apache Superset."""
