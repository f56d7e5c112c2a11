"""Scheduler and workers as processes of this host."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import socket
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from ..certificates import ClusterCertificates
from ..spec import ClusterSpec
from ..state import ClusterPhase
from .base import BackendView
from .commands import Commands, dask_environment, launcher_path
from .process import DaskProcess, explain_exit
from .slot import WorkerSlot, restart_delay

if TYPE_CHECKING:
    from .spec_cluster import ProcessCluster

log = logging.getLogger(__name__)

_ATTACH_SECONDS = 60.0
_SAME_PORT_LAUNCHES = 3
_SAME_PORT_PROBES = 20
_PROBE_INTERVAL = 0.1
_READY_INTERVAL = 0.02
_STOP_GRACE = 3.0
_PROBE_SECONDS, _SILENT_SECONDS = 15.0, 30.0
_SILENT = (
    f"the scheduler has not answered for {_SILENT_SECONDS:g} s: it is very busy, or it hangs; if that lasts, stop the "
    "cluster and start it anew"
)


class LaunchError(Exception):
    """The scheduler did not come up."""


def free_port(port: int) -> int | None:
    """Return *port* (0: any) of the loopback interface when a server can bind it, else None."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


async def choose_port(previous: int | None) -> int:
    """Return *previous* when it gets free within 2 s (a connection may hold it a moment), else another."""
    for _ in range(_SAME_PORT_PROBES if previous is not None else 0):
        if previous is not None and free_port(previous) is not None:
            return previous
        await asyncio.sleep(_PROBE_INTERVAL)
    port = free_port(0)
    if port is None:
        raise LaunchError("no free TCP port on 127.0.0.1; end programs that hold many")
    return port


class LocalBackend:
    """Keeps a scheduler and the wanted number of workers alive.

    When the scheduler dies, its workers end with it and all start again at the same address. Dask cannot keep
    futures over that: a client that waits on one gets distributed's ``FutureCancelledError`` with the reason
    *scheduler-connection-lost* ("Client lost the connection to the scheduler. Please check your connection
    and re-run your work."), reconnects to the address by itself for its connection timeout (30 s), and may
    then submit again; a new client connects at once.
    """

    def __init__(self, spec: ClusterSpec, certificates: ClusterCertificates, changed: Callable[[], None]) -> None:
        self._spec = spec
        self._certificates = certificates
        self._changed = changed
        self._wanted = spec.workers
        self._phase: ClusterPhase = "starting"
        self._error: str | None = None
        self._address: str | None = None
        self._port_file = spec.folder / "port"
        self._slots: dict[str, WorkerSlot] = {}
        self._scheduler: DaskProcess | None = None
        self._cluster: ProcessCluster | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._rescale = asyncio.Event()
        self._commands = Commands(
            spec=spec,
            certificates=certificates,
            env=dask_environment(spec, os.environ),
            launcher=launcher_path(spec.layer),
        )

    async def start(self) -> None:
        """Begin to start the cluster and to keep it alive."""
        self._commands.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keeper = asyncio.create_task(self._keep_alive(), name="local cluster")

    def scale(self, workers: int) -> None:
        """Make *workers* the wanted number. Workers that go give their results to the others first."""
        self._wanted = workers
        self._rescale.set()
        self._changed()

    async def close(self) -> None:
        """End scheduler and workers."""
        self._phase = "closing"
        self._changed()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._tear_down(_STOP_GRACE)

    def view(self) -> BackendView:
        """Return the present state."""
        socket_path = self._commands.scheduler_socket
        return BackendView(
            state=self._phase,
            address=self._address,
            workers=tuple(slot.state() for slot in self._slots.values()),
            scheduler_pid=None if self._scheduler is None else self._scheduler.pid,
            dashboard=str(socket_path) if self._phase == "running" else None,
            error=self._error,
        )

    async def _keep_alive(self) -> None:
        failures = 0
        while True:
            try:
                await self._launch(failures)
                failures = 0
                end = await self._run()
                self._phase, self._error = "starting", f"the scheduler {end}; it was started again"
            except (LaunchError, OSError) as error:
                failures += 1
                self._phase, self._error = "failed", str(error)
            except Exception as error:  # whatever distributed raises must not end the holder
                log.exception("the cluster could not be kept alive")
                failures += 1
                self._phase, self._error = "failed", f"{type(error).__name__}: {error}"
            log.warning("%s", self._error)
            self._changed()
            await self._tear_down(grace=0)
            if failures:
                await asyncio.sleep(restart_delay(failures))

    async def _launch(self, failures: int) -> None:
        """Start scheduler and workers at the same time, then attach to them."""
        port = await choose_port(self._last_port() if failures < _SAME_PORT_LAUNCHES else None)
        self._address = f"tls://127.0.0.1:{port}"
        self._commands.scheduler_file.unlink(missing_ok=True)
        self._scheduler = DaskProcess(self._commands.scheduler(port))
        await self._scheduler.start()
        for _ in range(self._wanted):
            self._make_slot().start()
        self._changed()
        ended = asyncio.create_task(self._scheduler.wait())
        attached = asyncio.create_task(self._attach())
        try:
            await asyncio.wait({ended, attached}, timeout=_ATTACH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise LaunchError(f"the scheduler {explain_exit(ended.result())}")
            if not attached.done():
                raise LaunchError(f"the scheduler did not answer within {_ATTACH_SECONDS:g} s; see the log")
            try:
                await attached
            except RuntimeError as error:  # what SpecCluster makes of any failure to start
                raise LaunchError(str(error)) from error
        finally:
            for task in (ended, attached):
                task.cancel()
            await asyncio.gather(ended, attached, return_exceptions=True)
        self._port_file.write_text(f"{port}\n", encoding="ascii")
        self._phase = "running"
        self._changed()

    async def _attach(self) -> None:
        """Make the cluster object; distributed is imported while the processes import it too."""
        module = await asyncio.to_thread(importlib.import_module, f"{__package__}.spec_cluster")
        while not self._commands.scheduler_file.exists():  # noqa: ASYNC110  (another process writes it)
            await asyncio.sleep(_READY_INTERVAL)
        self._cluster = cluster = module.ProcessCluster(
            scheduler=self._scheduler,
            address=self._address,
            slots=self._slots,
            make_slot=self._make_slot,
            certificates=self._certificates,
            name=self._spec.name,
            registered=self._on_registered,
        )
        await cluster

    async def _run(self) -> str:
        """Follow the wanted number of workers until the scheduler ends; return how it ended."""
        assert self._scheduler is not None
        ended = asyncio.create_task(self._scheduler.wait())
        probing = asyncio.create_task(self._probe())
        try:
            while True:
                await self._apply_scale()
                rescale = asyncio.create_task(self._rescale.wait())
                await asyncio.wait({ended, rescale}, return_when=asyncio.FIRST_COMPLETED)
                rescale.cancel()
                if ended.done():
                    return explain_exit(ended.result())
                self._rescale.clear()
        finally:
            ended.cancel()
            probing.cancel()

    async def _probe(self) -> None:
        """Tell when the scheduler does not answer. It is not killed for that: what it holds would be lost, and it may
        only be busy."""
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            assert self._cluster is not None
            error = None
            try:
                await asyncio.wait_for(self._cluster.scheduler_comm.identity(n_workers=0), _SILENT_SECONDS)
            except TimeoutError:
                error = _SILENT
            except Exception as fault:  # of any type: it is ending, and its end is told by others
                log.info("the scheduler could not be asked: %r", fault)
                continue
            if (error is None) == (self._error == _SILENT):
                log.warning("%s", error or "the scheduler answers again")
                self._error = error
                self._changed()

    async def _apply_scale(self) -> None:
        assert self._cluster is not None
        if len(self._cluster.worker_spec) == self._wanted:
            return
        self._cluster.scale(self._wanted)
        await self._cluster
        for name in set(self._slots) - set(self._cluster.worker_spec):
            del self._slots[name]
        self._changed()

    def _make_slot(self) -> WorkerSlot:
        name = next(name for number in count() if (name := f"worker-{number}") not in self._slots)
        slot = WorkerSlot(
            name,
            command=self._commands.worker(name),
            scratch=self._commands.scratch(name),
            http_socket=self._commands.worker_socket(name),
            memory_bytes=self._spec.memory_bytes,
            changed=self._changed,
        )
        self._slots[name] = slot
        return slot

    def _on_registered(self, name: str) -> None:
        if name in self._slots:
            self._slots[name].registered()

    def _last_port(self) -> int | None:
        try:
            return int(self._port_file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except ValueError:
            log.warning("%s holds no port and is ignored", self._port_file)
            return None

    async def _tear_down(self, grace: float) -> None:
        """End all processes, after *grace* seconds by force, and let go of the cluster object.

        The scheduler goes first: it tells clients and workers, and the workers end by themselves.
        """
        for slot in self._slots.values():
            slot.expect_end()
        if self._scheduler is not None:
            await self._scheduler.stop(grace)
        await asyncio.gather(*(slot.stop(grace) for slot in self._slots.values()))
        if self._cluster is not None:
            await self._cluster.leave()
        self._cluster = self._scheduler = None
        self._slots = {}
        self._commands.scheduler_socket.unlink(missing_ok=True)
        self._commands.scheduler_file.unlink(missing_ok=True)
