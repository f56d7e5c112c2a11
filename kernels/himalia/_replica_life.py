"""A child process that ends when its parent ends, however the parent ends. Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, lifeline: int | None, *, use_kernel: bool | None = None) -> None:
    """Arrange that this process ends as soon as process *parent_pid*, its parent, has ended.

    On Linux the kernel sends SIGKILL (``PR_SET_PDEATHSIG``); elsewhere a thread waits for the end of
    file of *lifeline*, the read end of a pipe whose write end only the parent holds. *use_kernel*
    overrides the choice. Exits at once when the parent is gone already.
    """
    kernel = sys.platform.startswith("linux") if use_kernel is None else use_kernel
    if kernel:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    elif lifeline is not None:
        threading.Thread(target=_exit_at_end_of, args=(lifeline,), daemon=True).start()
    if os.getppid() != parent_pid:  # it died before the arrangement was made
        os._exit(0)


def _exit_at_end_of(lifeline: int) -> None:
    while os.read(lifeline, 4096):
        pass
    os._exit(0)
