"""A pipeline's stage on a worker of a Dask cluster: what `himalia_kernels.on_cluster` submits, one task for an attempt.

The worker shares no folder with the service. The task claims its attempt there, gets code and inputs by digest, runs
the stage's ordinary process, and sends back what it made. Whoever may connect to a cluster may run code on its workers
(they have its certificates): it is one domain of trust, and what is kept from the dashboard and from logs here is the
token; the project's secrets come with the claim, and are never in a graph.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

from himalia._remote_service import Refused, Service

log = logging.getLogger("himalia.stage")
RESOURCE = "himalia-stage"
"""What a worker has as many of as it may run stages at a time."""
_running: dict[str, threading.Event] = {}
"""By ticket: what ends the stage."""


class Ticket:
    """What a task needs to claim its attempt. Shown nowhere: a failed task's arguments are logged by their `repr`."""

    __slots__ = ("id", "token", "url")

    def __init__(self, ident: str, url: str, token: str) -> None:
        self.id, self.url, self.token = ident, url, token

    def __reduce__(self) -> tuple[Any, ...]:
        return (Ticket, (self.id, self.url, self.token))

    def __repr__(self) -> str:
        return f"<ticket {self.id}>"


def stop(ident: str) -> bool:
    """Interrupt the stage with this ticket, in the worker that is called; false when it runs none such."""
    asked = _running.get(ident)
    if asked is not None:
        asked.set()
    return asked is not None


def run(ticket: Ticket) -> dict[str, Any]:
    """The task: ``{"outcome": …, "outputs": …}``, or ``{"refused": why}`` when this attempt is not to be run (again).

    `outputs`: path → digest, or for a folder a digest for each file in it by its path there.
    """
    from distributed import get_worker, secede

    from himalia._remote_work import Work

    worker = get_worker()
    # the stage has processes of its own: the worker's thread is free for tasks, also for those of this very stage
    secede()
    asked = _running[ticket.id] = threading.Event()
    service = Service(ticket.url, ticket.token, asked)
    name = str(worker.name)
    try:
        claim = {"ticket": ticket.id, "claimant": uuid.uuid4().hex, "worker": name, "address": worker.address}
        try:
            offer = service.call("POST", "/claim", claim)
        except Refused as refused:
            return {"refused": str(refused)}
        with Work(service, offer, name, worker.local_directory, asked) as work:
            return work.result()
    finally:
        _running.pop(ticket.id, None)
