"""Run a stage where papermill is imported already: ``python -m himalia_kernels.run_stage FOLDER --spec SPEC``.

FOLDER is that of the site's zygotes. A runner forked there saves the second that an ordinary one spends on imports;
where there is none yet, one is asked for, and this process becomes an ordinary runner itself. It passes signals on and
ends as the runner does; all else is in :mod:`himalia_kernels.stage`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from himalia_kernels import zygote
from himalia_kernels._forked import ForkedProcess

RUNNER = "himalia_kernels.stage"
PRELOAD = ("himalia_kernels._warm",)


def main(arguments: list[str]) -> int:
    """Run the stage; returns its exit status, or does not return."""
    folder, *rest = arguments
    try:
        mother = runner_zygote(Path(folder))
    except zygote.Refused:
        become_ordinary(rest)
    # those that come between the fork and the handlers are kept
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        process = mother.fork("module", ["-m", RUNNER, *rest], env=os.environ, cwd=str(Path.cwd()), sweep=True)
    except zygote.Refused as refused:
        if refused.startable:
            with contextlib.suppress(OSError):  # a full disk: the next stage starts slowly as well
                mother.want()
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)
        become_ordinary(rest)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: process.send_signal(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, kept)
    return status_of(process)


def runner_zygote(folder: Path) -> zygote.Zygote:
    """The zygote of runners. Raises Refused where there are none."""
    import himalia

    launcher = Path(himalia.__file__).with_name("kernel_main.py")
    # what only kernels look at makes no other zygote
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IPYTHON", "MPL"))}
    return zygote.zygote_for(
        folder, python=sys.executable, launcher=launcher, preload=PRELOAD, key="runner", env=environment, kernels=False
    )


def become_ordinary(rest: list[str]) -> None:
    """Replace this process by a runner that imports for itself."""
    # not from the folder of the stage, where a file of the user's may have the name of a module
    os.execv(sys.executable, [sys.executable, "-P", "-m", RUNNER, *rest])  # noqa: S606 (no shell is wanted)


def status_of(process: ForkedProcess) -> int:
    """Wait for the runner; a signal that ended it ends this process as well."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(60.0)
            break
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler to remove
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
