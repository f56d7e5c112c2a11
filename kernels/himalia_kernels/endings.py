"""The ways a notebook's execution can end other than well.

These classes know nothing of papermill, so that they can be told apart before and without importing it.
"""

from __future__ import annotations

from himalia_kernels.processes import signal_name
from himalia_kernels.spec import Limit, Oom
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
    """A time limit was reached (*limit* says which, *seconds* how long it is), or the stage was cancelled."""

    def __init__(self, reason: Reason, limit: Limit | None = None, seconds: float | None = None) -> None:
        self.reason, self.limit, self.seconds = reason, limit, seconds
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if self.reason == "cancelled":
            return "The stage was cancelled"
        length = "" if self.seconds is None else f" of {self.seconds:g} s"
        if self.limit == "start":
            return f"The kernel did not start within its time limit{length}"
        return f"The {self.limit or 'stage'} reached its time limit{length}"


def status_of(error: BaseException) -> str:
    """The status that an ending stands for."""
    if isinstance(error, StageStopped):
        return error.reason
    return "kernel_died" if isinstance(error, KernelDied) else "failed"
