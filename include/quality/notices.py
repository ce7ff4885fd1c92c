"""Tells people when a gate does not hold: in the log, by a webhook, by e-mail.

A notice says which expectations do not hold, what that means and whose they are. It holds no row of the data, because
it leaves the house; secrets come from the connection alone. That a notice could not be sent never fails a run.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable
from datetime import date
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import requests

from include.extract.connectors.connections import Connection, connection_of
from include.ledger import StepFailed
from include.quality.gate import GateStopped
from include.quality.results import ExpectationResult, GateResult
from include.settings import Settings

if TYPE_CHECKING:
    from include.config.schema import Notice

logger = logging.getLogger(__name__)
SECONDS_TO_ANSWER = 10


def tell_of_gate(
    notices: Iterable[Notice], step: str, day: date, outcome: GateResult | StepFailed, settings: Settings
) -> None:
    """Tell everybody who asked for it what a gate found: a result that only warns, or what stops the run."""
    result = outcome.result if isinstance(outcome, GateStopped) else outcome
    broken = [each for each in result.results if not each.success] if isinstance(result, GateResult) else []
    stopped = isinstance(outcome, StepFailed)
    if not stopped and not broken:
        return
    body = _body(step, day, stopped, broken, "" if broken else str(outcome))
    for notice in notices:
        if stopped or notice.at == "warn":
            _send(notice, body, settings)


def tell_of_task(notices: Iterable[Notice], task: str, day: str, settings: Settings) -> None:
    """Tell everybody that a task has failed. Why is in its log alone, for the reason may quote a row of the data."""
    text = f"Tandem, {day}: {task} failed, its log says why; readers keep the last good release."
    body = {"text": text, "business_day": day, "step": task, "severity": "stop", "failures": []}
    for notice in notices:
        _send(notice, body, settings)


def tell_of_run(notices: Iterable[Notice], day: date, due: str, settings: Settings) -> None:
    """Tell everybody that a day has not been published by the time `due`."""
    text = f"Tandem, {day}: not published by {due}; readers keep the last good release."
    body = {"text": text, "business_day": f"{day}", "step": "run", "severity": "late", "failures": []}
    for notice in notices:
        _send(notice, body, settings)


def _body(
    step: str, day: date, stopped: bool, broken: list[ExpectationResult], reason: str
) -> dict[str, Any]:
    """The notice as data; `text` says it in words, under the name that chat tools show."""
    ordered = sorted(
        broken, key=lambda each: (each.severity != "stop", each.asset, each.expectation, each.subject)
    )
    failures = [
        {
            "severity": each.severity,
            "asset": each.asset,
            "expectation": f"{each.expectation}({each.subject})",
            "rows": each.unexpected_count,
            "meaning": each.meaning,
            "owner": each.owner,
        }
        for each in ordered
    ]
    lines = [
        f"Tandem, {day}: the gate after {step} {'stopped the run' if stopped else 'warns'}. {reason}".strip()
    ]
    lines += [f"- {each['meaning']} ({each['asset']}; {each['owner']})" for each in failures]
    return {
        "text": "\n".join(lines),
        "business_day": f"{day}",
        "step": step,
        "severity": "stop" if stopped else "warn",
        "failures": failures,
    }


def _send(notice: Notice, body: dict[str, Any], settings: Settings) -> None:
    if notice.to == "log":
        logger.log(logging.ERROR if body["severity"] == "stop" else logging.WARNING, "%s", body["text"])
        return
    try:
        connection = connection_of(notice.connection, settings)
    except StepFailed as failure:
        logger.warning("notice by %s not sent: %s", notice.to, failure)
        return
    try:
        if notice.to == "webhook":
            _post(connection, body)
        else:
            _mail(connection, notice.addresses, body)
    except (OSError, requests.RequestException, smtplib.SMTPException) as error:
        # An error of a request names its URL, which may be a secret itself.
        logger.warning("notice by %s to %s not sent: %s", notice.to, notice.connection, type(error).__name__)


def _post(connection: Connection, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    requests.post(_url(connection), json=body, headers=headers, timeout=SECONDS_TO_ANSWER).raise_for_status()


def _url(connection: Connection) -> str:
    """Where a webhook is: the host as a whole URL, or as a connection's URI has its parts."""
    if "://" in connection.host:
        return connection.host
    scheme = connection.type if connection.type in ("http", "https") else "https"
    port = f":{connection.port}" if connection.port else ""
    return f"{scheme}://{connection.host}{port}/{connection.schema}"


def _mail(connection: Connection, addresses: tuple[str, ...], body: dict[str, Any]) -> None:
    message = EmailMessage()
    message["Subject"] = body["text"].splitlines()[0]
    message["From"] = connection.extra.get("from_email") or connection.login or "tandem@localhost"
    message["To"] = ", ".join(addresses)
    message.set_content(body["text"])
    with smtplib.SMTP(connection.host, connection.port or 25, timeout=SECONDS_TO_ANSWER) as server:
        if server.has_extn("starttls"):
            server.starttls()
        if connection.password:
            server.login(connection.login, connection.password)
        server.send_message(message)
