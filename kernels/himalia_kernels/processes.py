"""The kernel's processes: how they ended, and that none is left."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from himalia_kernels.spec import Oom

log = logging.getLogger(__name__)
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SWEEPS = 20


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, so that they can be found (Linux)."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        log.warning("orphans of the kernel cannot be adopted: %s", os.strerror(ctypes.get_errno()))


def end_session(session: int) -> list[int]:
    """Kill what is left of the kernel's session, whose id is the kernel's process id; returns the ids killed.

    To be called when the kernel itself has been waited for.
    """
    return _end(lambda: _members(session))


def end_descendants() -> list[int]:
    """Kill every descendant of this process, adopted orphans included; returns the ids killed.

    Only for a process that is alone responsible for all of them, such as a stage's.
    """
    import psutil

    return _end(lambda: psutil.Process().children(recursive=True))


def _end(find: Callable[[], Iterable[Any]]) -> list[int]:
    """Kill what *find* finds, again and again: a process may fork while it is being killed."""
    import psutil

    killed: list[int] = []
    for _ in range(SWEEPS):
        left = [process for process in find() if _alive(process)]
        if not left:
            break
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            killed.append(process.pid)
        psutil.wait_procs(left, timeout=1.0)
    return killed


def _members(session: int) -> Iterable[Any]:
    import psutil

    for pid in psutil.pids():
        try:
            if pid != os.getpid() and os.getsid(pid) == session:
                yield psutil.Process(pid)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue


def _alive(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def signal_name(returncode: int | None) -> str | None:
    """``SIGKILL`` for -9, as Popen reports the end by a signal."""
    if returncode is None or returncode >= 0:
        return None
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


class OomCounter:
    """How often the system has killed for memory, in this process's control group or else on this host.

    A kernel inherits the group, so that it is read here, before the kernel starts and after it died.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.before = self._read()

    def verdict(self, returncode: int | None) -> Oom:
        """Whether a kill for memory explains the end of the kernel; "unknown" where nobody counts them."""
        if returncode != -signal.SIGKILL:
            return False
        after = self._read()
        if self.before is None or after is None:
            return "unknown"
        return after > self.before

    def _read(self) -> int | None:
        for path in (*self._group_files(), self.root / "proc/vmstat"):
            try:
                found = re.search(r"^oom_kill (\d+)$", path.read_text("ascii"), re.MULTILINE)
            except OSError:
                continue
            if found:
                return int(found[1])
        return None

    def _group_files(self) -> list[Path]:
        try:
            lines = (self.root / "proc/self/cgroup").read_text("utf-8").splitlines()
        except OSError:
            return []
        groups = self.root / "sys/fs/cgroup"
        files = []
        for line in lines:
            hierarchy, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                files.append(groups / "memory" / path.lstrip("/") / "memory.oom_control")
            elif hierarchy == "0":
                files.append(groups / path.lstrip("/") / "memory.events")
        return files
