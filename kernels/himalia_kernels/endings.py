"""The ways a notebook's execution can end other than well.

These classes know nothing of papermill, so that they can be told apart before and without importing it.
"""

from __future__ import annotations

from himalia_kernels.processes import signal_name
from himalia_kernels.spec import Oom
from himalia_kernels.watchdog import Reason


class CellFailed(Exception):
    """A cell raised; ``ename``, ``evalue`` and ``traceback`` are the kernel's."""

    def __init__(
        self,
        cell_index: int,
        exec_count: int | None,
        source: str,
        ename: str,
        evalue: str,
        traceback: list[str],
    ) -> None:
        self.ename, self.evalue, self.traceback = ename, evalue, traceback
        super().__init__(cell_index, exec_count, source, ename, evalue, traceback)


class KernelDied(Exception):
    """The kernel's process ended while it was needed."""

    def __init__(self, returncode: int | None, oom: Oom) -> None:
        self.returncode = returncode
        self.signal = signal_name(returncode)
        self.oom = oom
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if self.signal is not None:
            return f"The kernel was ended by {self.signal}"
        if self.returncode is not None:
            return f"The kernel ended by itself with exit status {self.returncode}"
        return "The kernel is gone"


class StageStopped(Exception):
    """The time limit was reached, or the stage was cancelled."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        limit = reason == "timed_out"
        super().__init__("The stage reached its time limit" if limit else "The stage was cancelled")


def status_of(error: BaseException) -> str:
    """The status that an ending stands for."""
    if isinstance(error, StageStopped):
        return error.reason
    return "kernel_died" if isinstance(error, KernelDied) else "failed"
