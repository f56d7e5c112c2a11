"""Keeps one stage on a worker of a cluster: ``python -m himalia_kernels.on_worker``, started by himalia._remote_work.

It runs `himalia_kernels.stage` as its child. However the worker ends, SIGKILL too, no process and no file of the stage
is left. SIGTERM cancels the stage; SIGINT ends it at once.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from himalia_kernels.kernelspec import write_kernelspec
from himalia_kernels.processes import adopt_orphans, end_descendants
from himalia_kernels.spec import StageSpec

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT_SECONDS = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run the stage of a specification; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m himalia_kernels.on_worker", description="Keep one stage.")
    parser.add_argument("--spec", type=Path, required=True, help="the stage's specification, alone in its folder")
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    parser.add_argument("--jupyter", type=Path, required=True, help="where its kernelspec is written")
    parser.add_argument("--python", required=True, help="the interpreter of the kernel")
    parser.add_argument("--layer", type=Path, required=True, help="folder of the package himalia for the kernel")
    parser.add_argument("--project", required=True, help="the project's slug")
    parser.add_argument("--temporary", type=Path, required=True, help="folder of temporary files")
    given = parser.parse_args(arguments)
    keeper = Keeper(given.parent, [given.spec.parent, given.temporary])
    adopt_orphans()
    keeper.watch()
    import json

    spec = StageSpec.from_json(json.loads(given.spec.read_text("utf-8")))
    write_kernelspec(
        given.jupyter / "kernels",
        spec.kernel_name,
        given.project,
        given.python,
        given.layer,
        given.project,
        given.spec.parent,
    )
    return keeper.run([sys.executable, "-m", "himalia_kernels.stage", "--spec", str(given.spec)])


class Keeper:
    """Runs the stage for the worker *parent*; *folders* go when the worker has ended before the stage."""

    def __init__(self, parent: int, folders: list[Path]) -> None:
        self._parent, self._folders = parent, folders
        self._stage: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def watch(self) -> None:
        """Have this process told of the end of its parent."""
        signal.signal(signal.SIGTERM, lambda *_: self._told())
        signal.signal(signal.SIGINT, lambda *_: end_descendants())
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
                error = ctypes.get_errno()
                raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
        # the signal comes also when only the thread ends that started us, and elsewhere never
        threading.Thread(target=self._watch, name="himalia-parent", daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()
        while os.getppid() == self._parent:
            pause.wait(PARENT_SECONDS)
        self._end()

    def _told(self) -> None:
        if os.getppid() != self._parent:
            self._end()
        self._cancelled = True
        if self._stage is not None and self._stage.poll() is None:
            self._stage.send_signal(signal.SIGTERM)

    def _end(self) -> None:
        end_descendants()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    def run(self, command: list[str]) -> int:
        """The exit status of the stage's process."""
        self._stage = subprocess.Popen(command, start_new_session=True)
        if self._cancelled:  # before there was anything to tell it to
            self._stage.send_signal(signal.SIGTERM)
        status = self._stage.wait()
        end_descendants()
        return status


if __name__ == "__main__":
    raise SystemExit(main())
