"""A dbt-duckdb plugin: it gives each cursor the pseudonym key and writes what is built in parts.

The key is two DuckDB variables. The plugin runs its own statements, so it is in no SQL of dbt, and with it in no log
and no file. DuckDB keeps variables per cursor and dbt opens one per thread, hence `configure_cursor`.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from dbt.adapters.duckdb.environments import Environment
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.events.logging import AdapterLogger
from dbt_common.exceptions import DbtRuntimeError

from include.lake import replacing
from include.privacy.pseudonym import pads
from include.settings import pseudonym_key

if TYPE_CHECKING:
    from dbt.adapters.duckdb.utils import TargetConfig

ROW_GROUP = 122_880  # rows, as many as DuckDB writes, and reads at a time
logger = AdapterLogger("DuckDB")


class Plugin(BasePlugin):
    """Sets `hmac_inner` and `hmac_outer` for the macro `visitor_id`; without a key they stay null."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        self._connection = conn

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        key = pseudonym_key()
        if not key:
            return
        # Hex text and not a bound parameter: to bind one, DuckDB imports pandas and pyarrow, which takes seconds.
        for name, pad in zip(("hmac_inner", "hmac_outer"), pads(key), strict=True):
            cursor.execute(f"set variable {name} = unhex('{pad.hex()}')")

    def store(self, target_config: TargetConfig) -> None:
        """Write a query's rows to one Parquet file, part by part as macros/parts.sql has them.

        Each part is taken from DuckDB while it is written: no more of it is kept than what the query itself keeps.
        `config` has the `query` and, for each of its `parts`, the `statements` that make it the part to take. Raises
        DbtRuntimeError when the query fails or the file cannot be written.
        """
        # Only what is built in parts needs it.
        import pyarrow as pa

        query, parts = target_config.config["query"], target_config.config["parts"]
        path = Path(target_config.location.path)
        own = {self.name: self}
        try:
            with closing(Environment.initialize_cursor(self.creds, self._connection.cursor(), own)) as cursor:
                _write(cursor, query, parts, path)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise DbtRuntimeError(f"{target_config.relation.identifier}: {error}") from error


def _write(cursor: duckdb.DuckDBPyConnection, query: str, parts: list[list[str]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    with replacing(path) as temporary:
        try:
            for number, statements in enumerate(parts, 1):
                logger.debug(f"{path.stem}: part {number} of {len(parts)}: {'; '.join(statements)}")
                for statement in statements:
                    cursor.execute(statement)
                batches = cursor.execute(query).to_arrow_reader(ROW_GROUP)
                if writer is None:
                    writer = pq.ParquetWriter(
                        temporary,
                        batches.schema,
                        compression="zstd",
                        compression_level=3,
                        store_schema=False,
                        store_decimal_as_integer=True,
                    )
                for batch in batches:
                    writer.write_table(pa.Table.from_batches([batch]), row_group_size=ROW_GROUP)
        finally:
            if writer is not None:
                writer.close()
