"""What a holder tells about its cluster: plain dataclasses, the same on both sides of the control socket."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

ClusterPhase = Literal["starting", "running", "failed", "closing"]
WorkerPhase = Literal["starting", "running", "restarting", "closing"]


@dataclass(frozen=True)
class WorkerState:
    """One worker: *name* in Dask, process id (None between two lives), phase, number of restarts."""

    name: str
    pid: int | None
    state: WorkerPhase
    restarts: int
    error: str | None = None


@dataclass(frozen=True)
class ClientFiles:
    """Paths of the PEM files with which a client connects."""

    ca: str
    cert: str
    key: str


@dataclass(frozen=True)
class ClusterState:
    """A cluster as its holder sees it.

    *address* is what a client connects to (None before the first start), *wanted* the number of workers asked
    for, *threads* and *memory_bytes* the total of their limits, *dashboard* the unix socket of the
    scheduler's HTTP server.
    """

    name: str
    state: ClusterPhase
    address: str | None
    workers: tuple[WorkerState, ...]
    wanted: int
    threads: int
    memory_bytes: int
    scheduler_pid: int | None
    error: str | None
    client: ClientFiles
    dashboard: str | None = None

    @property
    def running(self) -> int:
        """Number of workers registered with the scheduler."""
        return sum(worker.state == "running" for worker in self.workers)

    def to_wire(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return asdict(self)

    @classmethod
    def from_wire(cls, value: dict[str, Any]) -> ClusterState:
        """Rebuild a state from :meth:`to_wire`; raise KeyError or TypeError when it is none.

        What is not known here is passed over: a holder of another version may have outlived an upgrade.
        """
        known = cls.__dataclass_fields__.keys() - {"workers", "client"}
        rest = {key: value[key] for key in value if key in known}
        workers = tuple(WorkerState(**worker) for worker in value["workers"])
        return cls(workers=workers, client=ClientFiles(**value["client"]), **rest)
