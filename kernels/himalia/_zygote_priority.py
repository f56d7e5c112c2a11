"""How a zygote gives way while it imports: a person waits for other things than the next kernel's start.

Each of its children is a kernel that must be as nice as who asked for it, so there must be a way back.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

CAP_SYS_NICE = 23  # linux/capability.h


@contextlib.contextmanager
def low_priority() -> Iterator[None]:
    """Give way to others, where the way back is open: without the right to, a process cannot be less nice again."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        capabilities = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    if capabilities >> CAP_SYS_NICE & 1 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - before:
        os.setpriority(os.PRIO_PROCESS, 0, min(19, before + 10))
        yield
        os.setpriority(os.PRIO_PROCESS, 0, before)
    else:
        _autogroup("10")
        yield
        _autogroup("0")


def _autogroup(nice: str) -> None:
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(nice)
