"""The worker's table: which deployment is served by which revisions, and who may ask.

The parent sends the whole table after each change. A revision that is not in it any more is retired: it
answers what it has, then lets its replicas go.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from himalia_server.gateway.casting import InputError
from himalia_server.gateway.config import Limits
from himalia_server.gateway.inputs import Model
from himalia_server.gateway.keys import HashedKey, KeyRing
from himalia_server.gateway.lane import Lane, Waiting
from himalia_server.gateway.logs import Log


@dataclass(slots=True)
class Endpoint:
    """A deployment as the worker sees it."""

    name: str
    lanes: list[tuple[float, Lane]] = field(default_factory=list)
    """Cumulated weight, and the revision's queue."""
    described: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """By revision: what a replica reported of its model (``ServedModel.describe``)."""
    failed: bool = False
    """No revision has a replica, and none will come before the configuration changes."""

    def main(self) -> tuple[str | None, dict[str, Any] | None]:
        """The revision that gets most requests, and what is known of its model."""
        before, best, chosen = 0.0, 0.0, None
        for total, lane in self.lanes:
            if total - before > best:
                best, chosen = total - before, lane.revision
            before = total
        return chosen, self.described.get(chosen) if chosen is not None else None

    def choose(self) -> Lane:
        """Choose a revision by its weight."""
        if len(self.lanes) == 1:
            return self.lanes[0][1]
        point = random.random() * self.lanes[-1][0]  # noqa: S311 (a share of traffic, no secret)
        return next(lane for weight, lane in self.lanes if point < weight)


class Router:
    """Applies the parent's tables and reports which replicas are in use."""

    def __init__(self, log: Log, report: Callable[[dict[str, Any]], None]) -> None:
        """*report* sends a message to the parent."""
        self.limits = Limits()
        self.keys = KeyRing({}, time.time)
        self.endpoints: dict[str, Endpoint] = {}
        self._lanes: dict[str, Lane] = {}
        self._owner: dict[str, str] = {}
        self._sequence = -1
        self._killed: set[str] = set()
        self._reported: dict[str, Any] = {}
        self._log = log
        self._report = report

    @property
    def ready(self) -> bool:
        """Whether the table is known and every deployment has a replica."""
        return self._sequence >= 0 and all(
            any(lane.live for _, lane in endpoint.lanes) for endpoint in self.endpoints.values()
        )

    @property
    def unanswered(self) -> int:
        """Requests queued and in flight, of all deployments."""
        return sum(lane.unanswered for lane in self._lanes.values())

    def apply(self, table: Mapping[str, Any]) -> None:
        """Take over a table of `himalia_server.gateway.fleet.Fleet.routes`."""
        self.limits = Limits(**table["limits"])
        deployments: dict[str, Any] = table["deployments"]
        keys = {
            name: [HashedKey(bytes.fromhex(key["sha256"]), key["expires_at"]) for key in item["keys"]]
            for name, item in deployments.items()
        }
        self.keys = KeyRing(keys, time.time)
        self.endpoints = {name: self._endpoint(name, item) for name, item in deployments.items()}
        named = {revision["group"] for item in deployments.values() for revision in item["revisions"]}
        for group, lane in self._lanes.items():
            if group not in named and not lane.retired:
                lane.retire()
        self._sequence = table["sequence"]
        self.settle()

    def _endpoint(self, name: str, item: Mapping[str, Any]) -> Endpoint:
        endpoint = Endpoint(name, failed=item["failed"])
        total = 0.0
        for revision in item["revisions"]:
            lane = self._lane(revision["group"], revision["id"])
            self._owner[revision["group"]] = name
            description = revision["description"]
            if description is not None:
                lane.model = lane.model or Model.from_description(description)
            lane.set_replicas(revision["replicas"])
            total += revision["weight"]
            if revision["weight"]:
                endpoint.lanes.append((total, lane))
            endpoint.described[revision["id"]] = description
            if endpoint.failed:
                lane.refuse_all("The model of this deployment cannot be loaded; its owner must look at it.")
        return endpoint

    def _lane(self, group: str, revision: str) -> Lane:
        lane = self._lanes.get(group)
        if lane is None:
            lane = self._lanes[group] = Lane(revision, self.limits, self._log, self.settle)
        lane.limits = self.limits
        return lane

    def settle(self) -> None:
        """Forget retired revisions that have drained, move what they cannot answer, tell the parent."""
        for group, lane in list(self._lanes.items()):
            if lane.retired and not lane.links:
                self._move(lane, self._owner.pop(group))
                del self._lanes[group]
        used = sorted(number for lane in self._lanes.values() for number in lane.links)
        message = {"sequence": self._sequence, "links": used}
        if message != self._reported:
            self._reported = message
            self._report(message)

    def _move(self, lane: Lane, name: str) -> None:
        for waiting in lane.surrender():
            self.submit(name, waiting)

    def submit(self, name: str, waiting: Waiting) -> None:
        """Queue a request for a deployment, or refuse it."""
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            waiting.refuse(404, "RESOURCE_DOES_NOT_EXIST", "There is no such deployment.")
        elif endpoint.failed:
            message = "The model of this deployment cannot be loaded; its owner must look at it."
            waiting.refuse(503, "TEMPORARILY_UNAVAILABLE", message, retry_after=30)
        else:
            try:
                endpoint.choose().push(waiting)
            except InputError as error:
                waiting.refuse(400, "INVALID_PARAMETER_VALUE", str(error))

    def sweep(self, now: float) -> None:
        """Refuse what waited too long; ask the parent to kill replicas that hang. *now*: the loop's time."""
        for lane in list(self._lanes.values()):
            lane.expire(now)
            for number, link in lane.links.items():
                stuck = link.batch and now - link.since > self.limits.stuck_seconds
                if stuck and number not in self._killed:
                    self._killed.add(number)
                    self._log.error("a replica hangs in predict and is killed", replica=number)
                    self._report({"stuck": number})
        self._killed &= {number for lane in self._lanes.values() for number in lane.links}
