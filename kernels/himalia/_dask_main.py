"""Launcher of one Dask scheduler or worker inside a project's environment.

Started by path with the project's python::

    python …/himalia/_dask_main.py worker --parent 4711 --http /run/…/worker-0.sock -- <`dask worker`'s own>

It ties the process's life to its parent, appends the kernel layer to ``sys.path``, makes the HTTP server
listen on a unix socket only, and hands over to Dask's own command line.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

EXIT_USAGE = 2
EXIT_NO_DISTRIBUTED = 3
EXIT_PARENT_GONE = 4
_PR_SET_PDEATHSIG = 1
_PARENT_CHECK_SECONDS = 0.5


def die_with_parent(parent: int) -> None:
    """End this process by SIGKILL when process *parent*, which must be its parent, ends.

    On Linux the kernel does it (``PR_SET_PDEATHSIG``); elsewhere a thread looks twice a second.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    else:
        threading.Thread(target=_exit_without_parent, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before the tie was made
        sys.exit(EXIT_PARENT_GONE)


def _exit_without_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(EXIT_PARENT_GONE)


def prepare_path(layer: str | None) -> None:
    """Take this file's folder off ``sys.path`` and append *layer*, so that the project's own packages win."""
    own = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != own]
    if layer is not None and layer not in sys.path:
        sys.path.append(layer)


def load_preload() -> ModuleType:
    """Return ``himalia.dask_preload``, loaded from beside this file: himalia need not be installed."""
    name = "himalia.dask_preload"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().with_name("dask_preload.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is missing beside {__file__}; install Himalia's kernel layer again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def parse(argv: list[str]) -> argparse.Namespace:
    """Split *argv* into the launcher's own options and, after ``--``, Dask's arguments."""
    parser = argparse.ArgumentParser(prog="_dask_main.py", description=__doc__)
    parser.add_argument("role", choices=["scheduler", "worker"])
    parser.add_argument("--parent", type=int, required=True, help="process id of the holder")
    parser.add_argument("--http", required=True, help="unix socket of the HTTP server (dashboard, metrics, health)")
    parser.add_argument("--layer", help="folder of the kernel layer, appended to sys.path")
    parser.add_argument("--nice", type=int, default=0, help="added to the niceness after the start")
    own, rest = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    options = parser.parse_args(own)
    options.dask = rest
    return options


def dask_command(role: str) -> Any:
    """Return Dask's click command ``dask scheduler`` or ``dask worker``.

    Taken from its module: ``dask.cli`` would load every installed plugin of the command line first.
    """
    if role == "scheduler":
        from distributed.cli.dask_scheduler import main as scheduler

        return scheduler
    from distributed.cli.dask_worker import main as worker

    return worker


def main(argv: list[str] | None = None) -> None:
    """Run one scheduler or worker until it ends; never returns normally (click exits)."""
    options = parse(sys.argv[1:] if argv is None else argv)
    die_with_parent(options.parent)
    prepare_path(options.layer)
    for stream in (sys.stdout, sys.stderr):  # a log file: lines of several processes must not be torn
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if importlib.util.find_spec("distributed") is None:
        sys.stderr.write(
            f"Dask cannot start: {sys.executable} has no package 'distributed'. "
            "Add 'distributed' to the project's requirements and lock it again.\n"
        )
        sys.exit(EXIT_NO_DISTRIBUTED)
    load_preload().configure(options.role, options.http, options.nice)
    dask_command(options.role).main(args=options.dask, prog_name=f"dask {options.role}")


if __name__ == "__main__":
    main()
