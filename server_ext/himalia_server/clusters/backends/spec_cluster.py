"""Distributed's SpecCluster over child processes; importing this module imports distributed (0.5 s)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import ProcessInterface, SpecCluster
from distributed.security import Security

from ..certificates import ClusterCertificates
from .process import DaskProcess
from .slot import WorkerSlot

log = logging.getLogger(__name__)

_RETIRE_SECONDS = 30.0
_SCHEDULER_GRACE = 3.0
_SYNC_SECONDS = 60  # of the cluster's name, which does not change; Dask would send it each second


class SchedulerHandle(ProcessInterface):  # type: ignore[misc]
    """The scheduler's process, started before, as SpecCluster sees it."""

    def __init__(self, process: DaskProcess, address: str) -> None:
        self.address = address
        super().__init__()
        self.process = process

    async def close(self) -> None:
        """End the scheduler."""
        await self.process.stop(_SCHEDULER_GRACE)
        await super().close()


class WorkerHandle(ProcessInterface):  # type: ignore[misc]
    """A worker's slot as SpecCluster sees it."""

    def __init__(self, scheduler: str, name: str, slot: WorkerSlot) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.slot = slot

    async def start(self) -> None:
        """Start the worker; does not wait until it is ready."""
        self.slot.start()
        await super().start()

    async def close(self) -> None:
        """End the worker."""
        await self.slot.stop()
        await super().close()


class ProcessCluster(SpecCluster):  # type: ignore[misc]
    """A SpecCluster whose workers heal themselves: it follows who is registered and retires who has to go."""

    def __init__(
        self,
        scheduler: DaskProcess,
        address: str,
        slots: Mapping[str, WorkerSlot],
        make_slot: Callable[[], WorkerSlot],
        certificates: ClusterCertificates,
        name: str,
        registered: Callable[[str], None],
    ) -> None:
        self._make_slot = make_slot
        self._registered = registered
        self._retires = True
        super().__init__(
            scheduler={"cls": SchedulerHandle, "options": {"process": scheduler, "address": address}},
            workers={name: _worker_spec(slot) for name, slot in slots.items()},
            worker={"cls": WorkerHandle, "options": {}},
            asynchronous=True,
            security=_client_security(certificates),
            name=name,
            scheduler_sync_interval=_SYNC_SECONDS,
            shutdown_scheduler=False,  # it is ended as a process, also when it does not answer
        )

    def new_worker_spec(self) -> dict[str, Any]:
        """Return the next worker; its slot carries the name."""
        slot = self._make_slot()
        return {slot.name: _worker_spec(slot)}

    async def _start(self) -> None:
        await super()._start()
        for worker in self.scheduler_info["workers"].values():  # those faster than this object
            self._registered(str(worker["name"]))

    async def _correct_state_internal(self) -> None:
        leaving = sorted(set(self.workers) - set(self.worker_spec))
        for name in leaving:
            self.workers[name].slot.expect_end()
        if leaving and self._retires and self.scheduler.status == Status.running:
            # SpecCluster hands names to retire_workers(workers=…), which takes addresses: nothing would move.
            await self._retire(leaving)
        await super()._correct_state_internal()

    async def _retire(self, names: list[str]) -> None:
        """Move what *names* hold in memory to the others; a bounded wait, then they end anyhow."""
        try:
            await asyncio.wait_for(self.scheduler_comm.retire_workers(names=names), _RETIRE_SECONDS)
        except Exception as error:  # of any type: the scheduler's own are raised here again
            log.warning("results on %s may be computed again: %r", ", ".join(names), error)

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # Not SpecCluster's, which would end a worker for good that was away for 15 s.
        added = list(msg["workers"].values()) if op == "add" else []
        Cluster._update_worker_status(self, op, msg)
        for worker in added:
            self._registered(str(worker["name"]))

    async def leave(self) -> None:
        """Close this object without asking the scheduler or retiring workers, and end all processes."""
        self._retires = False
        if self.scheduler is not None:
            self.scheduler.status = Status.closed
        await self.close()


def _worker_spec(slot: WorkerSlot) -> dict[str, Any]:
    return {"cls": WorkerHandle, "options": {"name": slot.name, "slot": slot}}


def _client_security(certificates: ClusterCertificates) -> Security:
    return Security(
        require_encryption=True,
        tls_ca_file=str(certificates.ca),
        tls_client_cert=str(certificates.client_cert),
        tls_client_key=str(certificates.client_key),
    )
