"""The process that owns one cluster: ``python -m himalia_server.clusters.holder --spec SPEC.json``.

It is started under the service's supervisor and outlives the service. It starts the cluster through a
backend, keeps it alive, and answers on a control socket (see ``control_server``; ``control`` is the client).
SIGTERM, SIGINT or the operation ``close`` end everything with exit code 0. When it is killed, the
scheduler and the workers end by themselves.

Exit codes: 0 closed, 2 the specification cannot be used, 3 another holder owns this cluster, 4 its folders
cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .backends import Backend, create_backend
from .certificates import ClusterCertificates, ensure_certificates
from .control_server import ControlServer
from .spec import ClusterSpec, SpecError
from .state import ClientFiles, ClusterState

log = logging.getLogger(__name__)

EXIT_SPEC = 2
EXIT_OWNED = 3
EXIT_FOLDER = 4


class OwnedError(Exception):
    """Another holder owns the cluster."""


def private_folder(path: Path) -> None:
    """Make *path* (0700) when it is missing; raises PermissionError when others can look into it.

    The mode of a folder that exists is never changed: it may be a common one, named by mistake.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{path} is not a folder of this user; choose another")
    if mode := stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{path} is open to others (mode …{mode:02o}); use a folder of its own with 0700")


@contextmanager
def ownership(folder: Path) -> Iterator[None]:
    """Hold the cluster's lock; raises OwnedError when another holder lives."""
    with (folder / "holder.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OwnedError(f"another holder owns the cluster in {folder}") from error
        yield


class Holder:
    """One cluster with its control socket."""

    def __init__(self, spec: ClusterSpec, certificates: ClusterCertificates) -> None:
        self._spec = spec
        self._wanted = spec.workers
        self._stop = asyncio.Event()
        self._publishing = False
        self._client = ClientFiles(
            ca=str(certificates.ca), cert=str(certificates.client_cert), key=str(certificates.client_key)
        )
        self._backend: Backend = create_backend(spec, certificates, self._changed)
        self._control = ControlServer(spec.socket, self.state, self._scale, self._stop.set)

    async def run(self) -> None:
        """Run until told to end; returns when nothing of the cluster is left."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._control.start()
        try:
            await self._backend.start()
            await self._stop.wait()
            log.info("closing cluster %s", self._spec.name)
        finally:
            await self._backend.close()
            await self._control.stop()

    def state(self) -> ClusterState:
        """Return the cluster's present state."""
        view = self._backend.view()
        return ClusterState(
            name=self._spec.name,
            state="closing" if self._stop.is_set() else view.state,
            address=view.address,
            workers=view.workers,
            wanted=self._wanted,
            threads=self._wanted * self._spec.threads_per_worker,
            memory_bytes=self._wanted * self._spec.memory_bytes,
            scheduler_pid=view.scheduler_pid,
            error=view.error,
            client=self._client,
            dashboard=view.dashboard,
        )

    def _scale(self, workers: int) -> None:
        if self._stop.is_set():
            raise ValueError("the cluster is closing; start it again to scale it")
        self._wanted = workers
        self._backend.scale(workers)

    def _changed(self) -> None:
        """Publish soon: several changes of one moment make one message."""
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_soon(self._publish)

    def _publish(self) -> None:
        self._publishing = False
        self._control.publish()


def main(argv: list[str] | None = None) -> int:
    """Run the holder of the specification named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="himalia-cluster-holder", description="Own one Dask cluster.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON file with the cluster's specification")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return _own(ClusterSpec.load(options.spec))
    except SpecError as error:
        log.error("%s", error)
        return EXIT_SPEC
    except OwnedError as error:
        log.error("%s", error)
        return EXIT_OWNED
    except PermissionError as error:
        log.error("%s", error)
        return EXIT_FOLDER


def _own(spec: ClusterSpec) -> int:
    private_folder(spec.folder)
    private_folder(spec.socket.parent)
    with ownership(spec.folder):
        _sweep(spec)
        certificates = ensure_certificates(spec.folder / "tls", spec.name)
        asyncio.run(_hold(spec, certificates))
        _sweep(spec)
    return 0


async def _hold(spec: ClusterSpec, certificates: ClusterCertificates) -> None:
    await Holder(spec, certificates).run()


def _sweep(spec: ClusterSpec) -> None:
    """Remove sockets and scratch data, also those of a holder that was killed."""
    run = spec.socket.parent
    for path in (spec.socket, run / "scheduler.sock", *run.glob("worker-*.sock")):
        path.unlink(missing_ok=True)
    scratch = spec.folder / "scratch"
    if scratch.exists():
        shutil.rmtree(scratch)


if __name__ == "__main__":
    sys.exit(main())
