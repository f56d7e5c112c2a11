"""Which replicas should run, which revisions take traffic: the parent's decisions.

A *group* is the replicas of one revision as it was configured; a changed revision is a new group. A
deployment's traffic moves to its new groups in one step, when each of them has a ready replica; the old
groups then drain and end. Time is the monotonic clock's seconds; ``since`` in the state is since 1970.
"""

from __future__ import annotations

import itertools
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from himalia_server.gateway.config import Config, Revision
from himalia_server.gateway.logs import Log
from himalia_server.gateway.replica_process import ReplicaProcess

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
MAX_RETRIES = 5
STABLE_SECONDS = 30.0
KILL_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Replica:
    """A running replica of a group."""

    process: ReplicaProcess
    started: float
    ready_at: float | None = None
    draining_from: int | None = None
    """Number of the table from which on it is not named any more."""
    stopped_at: float | None = None
    why: str | None = None
    """Why it was killed by us, or what it reported before it ended."""
    permanent: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """The replicas of one revision as it was configured."""

    id: str
    deployment: str
    revision: Revision
    state: str = "starting"
    since: float = field(default_factory=time.time)
    restarts: int = 0
    failures: int = 0
    deaths: int = 0
    error: str | None = None
    final: bool = False
    next_start: float = 0.0
    description: dict[str, Any] | None = None
    replicas: list[Replica] = field(default_factory=list)

    @property
    def ready(self) -> list[Replica]:
        """Replicas that can take batches."""
        return [item for item in self.replicas if item.ready_at is not None and item.stopped_at is None]

    def turn(self, state: str) -> None:
        """Change the state, and note when."""
        if state != self.state:
            self.state = state
            self.since = time.time()


Split = list[tuple[Group, int]]
"""The groups of a deployment and their weights in percent."""


class Fleet:
    """All groups. Call `tick` after every change and when `next_time` has come."""

    def __init__(self, run_dir: Path, log: Log) -> None:
        self.config: Config | None = None
        self.sequence = 0
        self.dirty = True
        self._run_dir = run_dir
        self._log = log
        self._group_numbers = itertools.count(1)
        self._replica_numbers = itertools.count(1)
        self._groups: list[Group] = []
        self._target: dict[str, Split] = {}
        self._serving: dict[str, Split] = {}
        self._leaving: list[Replica] = []
        self._used: tuple[int, set[str]] = (-1, set())

    @property
    def empty(self) -> bool:
        """Whether no replica runs."""
        return not self._leaving and not any(group.replicas for group in self._groups)

    def apply(self, config: Config) -> None:
        """Take over a configuration that was checked. Groups that failed for good get another chance."""
        self.config = config
        self._target = {
            name: [(self._group(name, revision), revision.weight) for revision in deployment.revisions]
            for name, deployment in config.deployments.items()
        }
        for group, _ in itertools.chain.from_iterable(self._target.values()):
            if group.final:
                group.final, group.failures, group.next_start = False, 0, 0.0
                group.turn("starting")
        self._serving = {name: self._serving.get(name, groups) for name, groups in self._target.items()}
        self._change()

    def _group(self, deployment: str, revision: Revision) -> Group:
        """Find the group that runs this revision as it is configured, or make one."""
        wanted = (revision.id, revision.fingerprint)
        for group, _ in self._target.get(deployment, []) + self._serving.get(deployment, []):
            if (group.revision.id, group.revision.fingerprint) == wanted:
                group.revision = revision
                return group
        group = Group(f"g{next(self._group_numbers)}", deployment, revision)
        self._groups.append(group)
        return group

    def tick(self, now: float) -> None:
        """Start, stop and switch what is due."""
        self._switch()
        wanted = {group for group, _ in itertools.chain(*self._target.values(), *self._serving.values())}
        for group in list(self._groups):
            if group in wanted:
                self._fill(group, now)
            else:
                self._groups.remove(group)
                self._leave(group.replicas)
        for replica in list(self._leaving):
            self._let_go(replica, now)

    def _switch(self) -> None:
        """Move the traffic of each deployment to its new groups once all of them are ready."""
        for name, target in self._target.items():
            serving = self._serving[name]
            hopeless = all(group.final and not group.ready for group, _ in serving)
            if serving != target and (hopeless or all(group.ready for group, _ in target)):
                self._log.info("traffic moves", deployment=name, revisions=[g.revision.id for g, _ in target])
                self._serving[name] = target
                self._change()

    def _fill(self, group: Group, now: float) -> None:
        """Start missing replicas, end surplus ones and those that take too long to become ready."""
        assert self.config is not None
        wanted = group.revision.min_replicas
        if len(group.replicas) > wanted:
            surplus = group.replicas[wanted:]
            del group.replicas[wanted:]
            self._leave(surplus)
        for replica in group.replicas:
            late = replica.ready_at is None and now - replica.started > self.config.limits.start_seconds
            if late and replica.why is None:
                replica.why = f"it was not ready after {self.config.limits.start_seconds:g} s"
                replica.process.stop(signal.SIGKILL)
        while len(group.replicas) < wanted and not group.final and now >= group.next_start:
            self._start(group, now)

    def _start(self, group: Group, now: float) -> None:
        number = str(next(self._replica_numbers))
        try:
            process = ReplicaProcess(number, group.revision, self._run_dir)
        except OSError as error:
            self._failed(group, f"{group.revision.python} cannot be started: {error}", False, now)
            return
        self._log.info(
            "replica starts",
            deployment=group.deployment,
            revision=group.revision.id,
            replica=number,
            replica_pid=process.pid,
        )
        group.replicas.append(Replica(process, now))
        if not group.ready:
            group.turn("starting")
        self._change()

    def _reported(self, number: str, message: dict[str, Any], now: float) -> None:
        for group, replica in self._running():
            if replica.process.number == number:
                if message["state"] == "ready":
                    replica.ready_at = now
                    group.description = {key: message[key] for key in message if key != "state"}
                    group.failures, group.error = 0, None
                    group.turn("ready")
                    self._log.info("replica ready", deployment=group.deployment, replica=number)
                else:
                    replica.why, replica.permanent = message["error"], message["permanent"]
                self._change()

    def kill(self, number: str) -> None:
        """Kill a replica that hangs; another takes its place."""
        for _, replica in self._running():
            if replica.process.number == number and replica.why is None:
                replica.why = "it hung in predict"
                replica.process.stop(signal.SIGKILL)

    def reap(self, now: float) -> None:
        """Notice replicas that have ended."""
        for replica in list(self._leaving):
            if replica.process.poll() is not None:
                self._leaving.remove(replica)
                replica.process.clean()
        for group, replica in self._running():
            code = replica.process.poll()
            if code is not None:
                self.read_reports(replica.process, now)
                group.replicas.remove(replica)
                replica.process.clean()
                self._ended(group, replica, code, now)

    def read_reports(self, process: ReplicaProcess, now: float) -> None:
        """Take what a replica has reported on its pipe."""
        for message in process.reports():
            self._reported(process.number, message, now)

    def _ended(self, group: Group, replica: Replica, code: int, now: float) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if replica.ready_at is None:
            why = replica.why or f"the replica ended with {how} before it was ready; the log says more"
            self._failed(group, why, replica.permanent, now)
            return
        group.deaths = 0 if now - replica.ready_at > STABLE_SECONDS else group.deaths
        group.next_start = now + _delay(group.deaths)
        group.deaths += 1
        group.restarts += 1
        group.error = f"a replica ended with {how}" + (f": {replica.why}" if replica.why else "")
        if not group.ready:
            group.turn("starting")
        self._log.warning("replica died", deployment=group.deployment, error=group.error)
        self._change()

    def _failed(self, group: Group, why: str, permanent: bool, now: float) -> None:
        """A replica did not become ready. A model that has never been ready is given up after some tries."""
        group.next_start = now + _delay(group.failures)
        group.failures += 1
        group.error = why
        group.final = permanent or (group.failures > MAX_RETRIES and group.description is None)
        if not group.ready:
            group.turn("failed")
        self._log.error("replica failed", deployment=group.deployment, error=why, given_up=group.final)
        self._change()

    def _leave(self, replicas: list[Replica]) -> None:
        """Replicas are not named in the next table; they end when the worker has let them go."""
        self._change()
        for replica in replicas:
            replica.draining_from = self.sequence
            self._leaving.append(replica)

    def used(self, sequence: int, numbers: list[str]) -> None:
        """The worker has applied the table *sequence* and holds links to these replicas."""
        self._used = (sequence, set(numbers))

    def worker_gone(self) -> None:
        """No worker holds any link."""
        self._used = (self.sequence, set())

    def _let_go(self, replica: Replica, now: float) -> None:
        assert replica.draining_from is not None
        if replica.stopped_at is not None:
            if now - replica.stopped_at > KILL_SECONDS:
                replica.process.stop(signal.SIGKILL)
            return
        sequence, used = self._used
        if sequence >= replica.draining_from and replica.process.number not in used:
            replica.stopped_at = now
            replica.process.stop()

    def stop_all(self, now: float) -> None:
        """End all replicas; no more are started."""
        for group in self._groups:
            self._leaving += group.replicas
        self._groups, self._target, self._serving = [], {}, {}
        for replica in self._leaving:
            if replica.stopped_at is None:
                replica.draining_from, replica.stopped_at = 0, now
                replica.process.stop()

    def next_time(self, now: float) -> float | None:
        """When `tick` must be called at the latest, if nothing happens before."""
        times = [r.stopped_at + KILL_SECONDS for r in self._leaving if r.stopped_at is not None]
        for group in self._groups:
            if len(group.replicas) < group.revision.min_replicas and not group.final:
                times.append(group.next_start)
            if self.config is not None:
                limit = self.config.limits.start_seconds
                times += [r.started + limit for r in group.replicas if r.ready_at is None and r.why is None]
        return max(0.0, min(times) - now) if times else None

    def status_fds(self) -> dict[int, ReplicaProcess]:
        """The pipes on which replicas report."""
        processes = [replica.process for _, replica in self._running()]
        return {item.status_fd: item for item in processes if item.status_fd is not None}

    def _running(self) -> list[tuple[Group, Replica]]:
        return [(group, replica) for group in self._groups for replica in group.replicas]

    def _change(self) -> None:
        self.sequence += 1 if not self.dirty else 0
        self.dirty = True

    def routes(self) -> dict[str, Any]:
        """The table for the worker (`himalia_server.gateway.router.Router.apply`)."""
        assert self.config is not None
        deployments = {}
        for name, groups in self._serving.items():
            deployments[name] = {
                "keys": [asdict(key) for key in self.config.deployments[name].keys],
                "failed": all(group.final and not group.ready for group, _ in groups),
                "revisions": [
                    {
                        "group": group.id,
                        "id": group.revision.id,
                        "weight": weight,
                        "description": group.description,
                        "replicas": {item.process.number: item.process.socket for item in group.ready},
                    }
                    for group, weight in groups
                ],
            }
        return {"sequence": self.sequence, "limits": asdict(self.config.limits), "deployments": deployments}

    def state(self) -> dict[str, Any]:
        """What is told to clients of the control socket, by deployment."""
        deployments: dict[str, Any] = {}
        for name, target in self._target.items():
            serving = self._serving[name]
            revisions = {group.revision.id: _group_state(group) for group, _ in [*serving, *target]}
            deployments[name] = {"revisions": revisions, "serving": [g.revision.id for g, _ in serving]}
        return deployments


def _delay(times: int) -> float:
    """Seconds before the next start after so many earlier failures in a row."""
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(times, 10)))


def _group_state(group: Group) -> dict[str, Any]:
    description = group.description or {}
    pids = [replica.process.pid for replica in group.replicas]
    return {
        "state": group.state,
        "pid": pids[0] if pids else None,
        "pids": pids,
        "since": group.since,
        "restarts": group.restarts,
        "error": group.error,
        "given_up": group.final,
        "model": description.get("model"),
        "signature": description.get("signature"),
    }
