"""Where a Spark Thrift server is, and who asks it."""

from __future__ import annotations

import pytest

from include.settings import SettingsError
from include.thrift import connection_of


def test_an_address_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_SPARK_PASSWORD", raising=False)
    found = connection_of("thrift://server")
    assert (found["host"], found["port"], found["auth_mechanism"]) == ("server", 10000, "PLAIN")
    assert not found["use_ssl"]


def test_a_user_and_how_the_server_knows_them_stand_in_the_address_and_the_password_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TANDEM_SPARK_PASSWORD", "hidden")
    found = connection_of("thrift://ana%40firm@[::1]:10001?auth=ldap&ca=/etc/ca.pem")
    assert (found["host"], found["port"], found["auth_mechanism"]) == ("::1", 10001, "LDAP")
    assert (found["user"], found["password"]) == ("ana@firm", "hidden")
    assert (found["use_ssl"], found["verify_cert"], found["ca_cert"]) == (True, True, "/etc/ca.pem")


@pytest.mark.parametrize(
    "address",
    [
        "thrift://",
        "thrift://ana:hidden@server",
        "thrift://server/sales",
        "thrift://server?auth=kerberos",
        "thrift://server?tls=1",
    ],
)
def test_an_address_that_says_what_nobody_would_read_is_an_error_without_the_password(address: str) -> None:
    with pytest.raises(SettingsError, match=r"TANDEM_SPARK_MASTER: .*TANDEM_SPARK_PASSWORD") as refused:
        connection_of(address)
    assert "hidden" not in str(refused.value)
