"""A session of a Spark Thrift server (HiveServer2's protocol): statements are texts, and rows what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from include.settings import SettingsError, spark_password

if TYPE_CHECKING:
    from impala.hiveserver2 import HiveServer2Cursor

THRIFT = "thrift://"
PORT = 10000
# A server's `hive.server2.authentication`, and what its clients call it.
MECHANISMS = {"NONE": "PLAIN", "NOSASL": "NOSASL", "LDAP": "LDAP", "CUSTOM": "PLAIN"}
ALLOWED = f"{THRIFT}[user@]host[:port][?auth={'|'.join(MECHANISMS)}][&ca=file], the password in TANDEM_SPARK_PASSWORD"


class ThriftSession:
    """What a SparkSession does with a statement, for as much as the rest of the project asks of one."""

    def __init__(self, cursor: HiveServer2Cursor) -> None:
        self._cursor = cursor

    def sql(self, statement: str) -> ThriftRows:
        """Run a statement to its end."""
        self._cursor.execute(statement)
        return ThriftRows(self._cursor)


class ThriftRows:
    """What the session's last statement gave, under the names that a DataFrame has for it."""

    def __init__(self, cursor: HiveServer2Cursor) -> None:
        self._cursor = cursor

    @property
    def dtypes(self) -> list[tuple[str, str]]:
        """The columns and their types, which the protocol tells without sizes and what they are made of."""
        return [(name, kind.lower()) for name, kind, *_ in self._cursor.description]

    def collect(self) -> list[tuple]:
        return self._cursor.fetchall()


@contextmanager
def thrift_session(address: str, configuration: Mapping[str, str]) -> Iterator[ThriftSession]:
    """A session of the server at an address, with a configuration from its opening on. Raises SettingsError for an
    address that cannot be used."""
    from impala.dbapi import connect

    # No statement sets them: the server writes statements to its log.
    variables = {f"set:{name}": value for name, value in configuration.items()}
    with (
        closing(connect(**connection_of(address))) as connection,
        # A statement is closed by the next one: before it closes one itself, the client asks for its log, which a
        # server need not have.
        closing(connection.cursor(configuration=variables, close_finished_queries=False)) as cursor,
    ):
        yield ThriftSession(cursor)


def connection_of(address: str) -> dict[str, Any]:
    """How to connect to the server of an address. Raises SettingsError, which does not repeat a password."""
    server = urlsplit(address)
    options = dict(parse_qsl(server.query, keep_blank_values=True))
    authentication, authority = options.pop("auth", "NONE").upper(), options.pop("ca", None)
    if server.password or not server.hostname or server.path or options or authentication not in MECHANISMS:
        found = f"{THRIFT}{server.netloc.rpartition('@')[2]}{server.path}?{server.query}"
        raise SettingsError(f"TANDEM_SPARK_MASTER: found {found!r}, allowed: {ALLOWED}")
    return {
        "host": server.hostname,
        "port": server.port or PORT,
        "auth_mechanism": MECHANISMS[authentication],
        # A server that asks nobody for a name and a password wants some all the same.
        "user": unquote(server.username or "tandem"),
        "password": spark_password() or "none",
        "use_ssl": authority is not None,
        "ca_cert": authority,
        "verify_cert": True,
    }
