"""What a holder needs of an engine: so little that any ``distributed.deploy.Cluster`` can stand behind it.

A class of Dask's ecosystem (``KubeCluster``, …) fits so: ``start`` creates it with ``asynchronous=True`` and
awaits it, ``scale`` calls its ``scale``, ``close`` its ``close``; the view is read from ``scheduler_info``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..state import ClusterPhase, WorkerState


@dataclass(frozen=True)
class BackendView:
    """The engine's side of a cluster's state; see ClusterState for the fields."""

    state: ClusterPhase = "starting"
    address: str | None = None
    workers: tuple[WorkerState, ...] = ()
    scheduler_pid: int | None = None
    dashboard: str | None = None
    error: str | None = None


class Backend(Protocol):
    """Runs one cluster. It calls the ``changed`` callback given to it whenever its view may differ."""

    async def start(self) -> None:
        """Begin to start the cluster and to keep it alive; returns at once, failures show in the view."""

    def scale(self, workers: int) -> None:
        """Make *workers* the wanted number; what it takes goes on in the background."""

    async def close(self) -> None:
        """End every process of the cluster; returns when none is left."""

    def view(self) -> BackendView:
        """Return the present state."""
