"""Who a process is: boot id, pid and start ticks, so that a reused pid is never taken for the old process."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def boot_id() -> str:
    """An id of this boot of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    if path.exists():
        return path.read_text().strip()
    import psutil

    return str(int(psutil.boot_time()))


def start_ticks(pid: int) -> str | None:
    """When *pid* started, in the system's own units; None when there is no such process (or it is a zombie)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one boot."""

    boot: str
    pid: int
    ticks: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a living process."""
        ticks = start_ticks(pid)
        return cls(boot_id(), pid, ticks) if ticks is not None else None

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process."""
        identity = cls.of(os.getpid())
        assert identity is not None
        return identity

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ProcessIdentity:
        """From `to_dict`."""
        return cls(str(data["boot"]), int(data["pid"]), str(data["ticks"]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot == boot_id() and start_ticks(self.pid) == self.ticks

    def signal(self, number: int) -> None:
        """Send a signal to this very process; nothing happens when it has ended."""
        if self.alive():
            with suppress(ProcessLookupError):  # it ended between the look and the signal
                os.kill(self.pid, number)
