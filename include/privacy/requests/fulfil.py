"""Works off the queue: takes requests in, finds whom they are about, waits for a person where many are, does them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from include.lake import Lake
from include.privacy.requests.access import answer
from include.privacy.requests.erase import erase_people, forget_known
from include.privacy.requests.objection import object_to
from include.privacy.requests.people import Found, find_people
from include.privacy.requests.proofs import Proof, keep_proofs
from include.privacy.requests.queue import Request, keep, requests, take_in
from include.privacy.requests.tombstones import lift_tombstones
from include.scratch import scratch_engine
from include.settings import Settings, erasure_key, pseudonym_key

if TYPE_CHECKING:
    from include.config import Configuration
    from include.config.schema import Requests


@dataclass(frozen=True)
class Fulfilled:
    """What a round did: requests done, those that wait for a person, and the proof."""

    done: tuple[Request, ...]
    waiting: tuple[Request, ...]
    proofs: tuple[Proof, ...]

    def __str__(self) -> str:
        rows = sum(proof.rows_removed for proof in self.proofs)
        lost = next((proof.lost_epochs for proof in self.proofs if proof.lost_epochs), "")
        unsearched = (
            f"; visitors of key epoch {lost} could not be looked for: its key is gone" if lost else ""
        )
        waiting = f"{len(self.waiting):,} wait for approval"
        answers = [f"privacy/answers/{each.request_id}" for each in self.done if each.kind == "access"]
        answered = f"; answered in {', '.join(answers)}" if answers else ""
        return f"{len(self.done):,} requests done, {waiting}; {rows:,} rows removed{answered}{unsearched}"


def examine(lake: Lake, configuration: Configuration, settings: Settings, day: date) -> list[Request]:
    """Take in what is new in the queue and find out whom it is about. A request that comes to more customers, or to
    more records that are linked by likeness only, than `privacy.yml` allows without a person's word waits for one, and
    so do erasures when more come at once.

    Returns every open request.
    """
    open_requests = [each for each in take_in(lake, pseudonym_key(), day) if each.is_open]
    new = [each for each in open_requests if each.status == "received"]
    if new:
        limits = configuration.privacy.requests
        with scratch_engine(lake, settings, "privacy") as (connection, _):
            found = find_people(connection, lake, new, configuration.normalisation)
        erasures = sum(request.kind == "erasure" for request in new)
        for request in new:
            each = found[request.request_id]
            why = _why_it_waits(limits, each, erasures if request.kind == "erasure" else 0)
            examined = replace(
                request,
                customers=each.customers,
                likely_records=each.likely_records,
                waits_because=why,
                status="waiting" if why else "approved",
                decided_by="" if why else "rule",
            )
            keep(lake, examined)
    return [each for each in requests(lake) if each.is_open]


def _why_it_waits(limits: Requests, found: Found, erasures: int) -> str:
    """What of a request is more than a rule may decide; empty when nothing is."""
    if erasures > limits.approve_above_erasures:
        return f"it is one of {erasures:,} erasures at once"
    if found.customers > limits.approve_above_customers:
        return "it comes to several customers"
    if found.likely_records > limits.approve_above_likely_records:
        return "many records are linked by likeness only"
    return ""


def fulfil(lake: Lake, configuration: Configuration, settings: Settings, day: date) -> Fulfilled:
    """Do every request of the queue that needs no decision any more. The caller has the DATA folder alone.

    Raises StepFailed when an erasure leaves something behind; it stays open, and the next round goes on with it.
    """
    todo = [
        each for each in examine(lake, configuration, settings, day) if each.status in ("approved", "running")
    ]
    proofs: list[Proof] = []
    erasures = [each for each in todo if each.kind == "erasure"]
    if len(todo) > len(erasures):
        with scratch_engine(lake, settings, "privacy") as (connection, folder):
            for request in todo:
                if request.kind == "access":
                    proofs += answer(connection, lake, configuration, request, day)
                elif request.kind == "objection":
                    proofs += object_to(connection, lake, configuration, request, day, folder)
                elif request.kind == "return":
                    proofs.append(_lift(connection, lake, configuration, request, day))
    if erasures:
        # What a run has read of these people it would go on with: it begins anew.
        lake.open_run.unlink(missing_ok=True)
        for request in erasures:
            keep(lake, replace(request, status="running"))
        with scratch_engine(lake, settings, "privacy") as (connection, folder):
            proofs += erase_people(connection, lake, configuration, erasures, day, folder)
    keep_proofs(lake, proofs)
    done = tuple(replace(each, status="done", done_on=day, identifiers=()) for each in todo)
    for request in done:
        keep(lake, request)
    forget_known(lake)
    waiting = tuple(each for each in requests(lake) if each.status == "waiting")
    return Fulfilled(done, waiting, tuple(proofs))


def _lift(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    configuration: Configuration,
    request: Request,
    day: date,
) -> Proof:
    find_people(connection, lake, [request], configuration.normalisation)
    lifted = lift_tombstones(connection, lake, erasure_key(), request.received_on)
    return Proof(
        request.request_id, request.kind, request.person, "erasures", request.decided_by, 1, lifted, 0, 0,
        request.received_on, day,
    )  # fmt: skip
