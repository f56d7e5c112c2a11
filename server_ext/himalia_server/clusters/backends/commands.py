"""Command lines and environments of a local cluster's processes."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..certificates import ClusterCertificates
from ..spec import ClusterSpec
from .process import Command

WORKER_NICENESS = 5
STAGE_SLOTS = "himalia-stage"
"""As `himalia._remote_stage.RESOURCE`."""
_DEATH_TIMEOUT = "60"  # seconds a worker looks for its scheduler before it ends and is started again
_HIDDEN_PREFIXES = ("MLFLOW_", "HIMALIA_", "JUPYTER", "JPY_")
_HIDDEN = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"})


def launcher_path(layer: Path | None) -> Path:
    """Return the launcher of *layer*, or that of the ``himalia`` package beside this service."""
    if layer is not None:
        return layer / "himalia" / "_dask_main.py"
    spec = importlib.util.find_spec("himalia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "_dask_main.py").is_file():
            return Path(folder) / "_dask_main.py"
    raise FileNotFoundError("the package 'himalia' with the Dask launcher is missing; install Himalia again")


def dask_environment(spec: ClusterSpec, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the cluster's processes.

    It is *inherited* without the service's own Python settings and without everything of Jupyter, MLflow and
    Himalia, which may hold tokens; then the threads of numerical libraries; then the specification's ``env``.
    """
    env = {
        name: value
        for name, value in inherited.items()
        if name not in _HIDDEN and not name.startswith(_HIDDEN_PREFIXES)
    }
    threads = str(spec.threads_per_worker)
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    env["MALLOC_TRIM_THRESHOLD_"] = "65536"  # as Dask's nanny: freed memory goes back to the system
    # each Dask server makes a folder there, and would do so in the machine's temporary folder
    env["DASK_TEMPORARY_DIRECTORY"] = str(spec.folder / "scratch")
    return env | spec.env


@dataclass(frozen=True)
class Commands:
    """Builds one cluster's commands. Sockets lie beside the control socket, scratch data in its folder."""

    spec: ClusterSpec
    certificates: ClusterCertificates
    env: Mapping[str, str]
    launcher: Path

    @property
    def scheduler_socket(self) -> Path:
        """Unix socket of the scheduler's HTTP server."""
        return self.spec.socket.with_name("scheduler.sock")

    @property
    def scheduler_file(self) -> Path:
        """File that the scheduler writes once it listens.

        Workers and the holder wait for it instead of trying to connect: distributed doubles its pause after each
        refused connection, so that a scheduler that starts slowly would be found up to as late again.
        """
        return self.spec.folder / "scheduler.json"

    def worker_socket(self, name: str) -> Path:
        """Unix socket of the HTTP server of worker *name*."""
        return self.spec.socket.with_name(f"{name}.sock")

    def scratch(self, name: str) -> Path:
        """Folder of worker *name* for spilled data."""
        return self.spec.folder / "scratch" / name

    @property
    def work(self) -> Path:
        """Working directory of the processes."""
        return self.spec.folder / "work"

    def scheduler(self, port: int) -> Command:
        """Return the command of the scheduler on *port* of the loopback interface."""
        dask = ["--host", "127.0.0.1", "--port", str(port), "--protocol", "tls", "--no-dashboard"]
        dask += ["--scheduler-file", str(self.scheduler_file)]
        return self._command("scheduler", self.scheduler_socket, dask, niceness=0)

    def worker(self, name: str) -> Command:
        """Return the command of worker *name*."""
        dask = ["--scheduler-file", str(self.scheduler_file), "--name", name]
        dask += ["--host", "127.0.0.1", "--protocol", "tls"]
        dask += [
            "--nthreads",
            str(self.spec.threads_per_worker),
            "--memory-limit",
            str(self.spec.memory_bytes),
        ]
        dask += ["--local-directory", str(self.scratch(name)), "--death-timeout", _DEATH_TIMEOUT]
        dask += ["--no-nanny", "--no-dashboard"]
        # how many stages of pipelines it may run at a time
        dask += ["--resources", f"{STAGE_SLOTS}={self.spec.threads_per_worker}"]
        return self._command("worker", self.worker_socket(name), dask, niceness=WORKER_NICENESS)

    def _command(self, role: str, http: Path, dask: list[str], niceness: int) -> Command:
        argv = [str(self.spec.python), str(self.launcher), role, "--parent", str(os.getpid())]
        argv += ["--http", str(http), "--nice", str(niceness)]
        if self.spec.layer is not None:
            argv += ["--layer", str(self.spec.layer)]
        files = self.certificates
        tls = ["--tls-ca-file", files.ca, "--tls-cert", files.node_cert, "--tls-key", files.node_key]
        return Command(argv=(*argv, "--", *dask, *map(str, tls)), env=self.env, cwd=self.work)
