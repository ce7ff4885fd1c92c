"""A dbt-duckdb plugin that gives each cursor the pseudonym key, as two DuckDB variables.

It runs its own statements, so the key is in no SQL of dbt, and with it in no log and no file. DuckDB keeps variables
per cursor and dbt opens one per thread, hence `configure_cursor`.
"""

from __future__ import annotations

from dbt.adapters.duckdb.plugins import BasePlugin

from include.privacy.pseudonym import pads
from include.settings import pseudonym_key


class Plugin(BasePlugin):
    """Sets `hmac_inner` and `hmac_outer` for the macro `visitor_id`; without a key they stay null."""

    def configure_cursor(self, cursor) -> None:
        key = pseudonym_key()
        if not key:
            return
        # Hex text and not a bound parameter: to bind one, DuckDB imports pandas and pyarrow, which takes seconds.
        for name, pad in zip(("hmac_inner", "hmac_outer"), pads(key), strict=True):
            cursor.execute(f"set variable {name} = unhex('{pad.hex()}')")
