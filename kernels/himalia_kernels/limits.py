"""Holds one kernel to a limit of memory and processors, by control groups where that is allowed, else by rlimits."""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from himalia_kernels.endings import KernelDied
from himalia_kernels.processes import OomCounter
from himalia_kernels.spec import Oom

PERIOD_US = 100_000
PREFIX = "himalia-kernel-"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Limits:
    """What one kernel may use; None: no limit. *cpus* counts processors, and may be a fraction."""

    memory_bytes: int | None = None
    cpus: float | None = None

    @property
    def memory_text(self) -> str:
        """The limit of memory as a person writes it: 4 GiB."""
        amount, unit = float(self.memory_bytes or 0), 0
        while amount >= 1024 and unit < len(UNITS) - 1:
            amount, unit = amount / 1024, unit + 1
        return f"{amount:.4g} {UNITS[unit]}"


@dataclass
class Fence:
    """What holds one kernel to its limits."""

    limits: Limits
    folders: list[Path] = field(default_factory=list)
    """Control groups made for this kernel."""
    rlimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    affinity: list[int] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that the kernel needs, unless it has them."""
    memory_group: Path | None = None
    kills: int = 0
    """Kills for memory that the group had counted when it was removed."""
    counter: OomCounter = field(default_factory=OomCounter)

    def admit(self, pid: int) -> None:
        """Hold an ordinary process, which has just been started. Raises OSError."""
        if self.folders or self.rlimits or self.affinity:
            for folder in self.folders:
                (folder / "cgroup.procs").write_text(str(pid))
            import resource

            for name, pair in self.rlimits.items():
                resource.prlimit(pid, getattr(resource, name), pair)
            if self.affinity is not None:
                os.sched_setaffinity(pid, self.affinity)

    def verdict(self, returncode: int | None) -> Oom:
        """Whether a kill for memory explains the end of the kernel; "unknown" where nobody counts them."""
        if self.memory_group is None or returncode != -signal.SIGKILL:
            return self.counter.verdict(returncode)
        return max(self.kills, _kills(self.memory_group)) > 0

    def remove(self) -> None:
        """Remove the kernel's control groups; one that still has a process is left to `sweep`."""
        if self.memory_group is not None:
            self.kills = max(self.kills, _kills(self.memory_group))
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def fence(limits: Limits) -> Fence:
    """Prepare to hold a kernel to *limits* by the best means that this system allows."""
    made = Fence(limits)
    if sys.platform != "linux" or (limits.memory_bytes is None and limits.cpus is None):
        return made
    homes = _homes()
    name = f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}"
    _sweep(set(homes.values()))
    if limits.memory_bytes is not None:
        made.memory_group = _group(homes.get("memory"), name, _memory_files(limits.memory_bytes))
        if made.memory_group is not None:
            made.folders.append(made.memory_group)
        else:
            made.rlimits["RLIMIT_DATA"] = (limits.memory_bytes, limits.memory_bytes)
            # Arrow's own allocator reserves a GiB at once, which would count as used
            made.environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    available = sorted(os.sched_getaffinity(0))
    if limits.cpus is not None and limits.cpus < len(available):
        whole = max(1, math.ceil(limits.cpus))
        group = _group(homes.get("cpu"), name, _cpu_files(limits.cpus))
        if group is None:
            made.affinity = sorted(random.sample(available, whole))
        else:
            if group not in made.folders:
                made.folders.append(group)
            # a library would start a thread for each processor it sees, and all would wait for their turn
            made.environment.update(dict.fromkeys(THREAD_VARIABLES, str(whole)))
    return made


def control_groups(root: Path = Path("/")) -> dict[str, Path]:
    """The control groups of this process: line of /proc/self/cgroup to its folder, which may be out of sight."""
    groups = {}
    for line in _lines(root / "proc/self/cgroup"):
        hierarchy, controllers, path = line.split(":", 2)
        groups[line] = _folder(root, "" if hierarchy == "0" else controllers, path)
    return groups


def _folder(root: Path, controllers: str, path: str) -> Path:
    """Where the group at *path* of a hierarchy lies; *controllers* "" is version 2."""
    wanted = set(filter(None, controllers.split(",")))
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        if (kind == "cgroup2" and not wanted) or (kind == "cgroup" and wanted and wanted <= set(options.split(","))):
            inside, place = mount.split(" ")[3:5]
            relative = os.path.relpath(path, inside) if path.startswith(inside) else path.lstrip("/")
            return root / place.lstrip("/") / relative
    return root / "nonexistent"


def _homes() -> dict[str, Path]:
    """For each of the controllers memory and cpu, the group in which this process may make groups."""
    homes: dict[str, Path] = {}
    for line, folder in control_groups().items():
        hierarchy, controllers, _ = line.split(":", 2)
        for controller in ("memory", "cpu"):
            if hierarchy != "0":
                if controller in controllers.split(","):
                    homes[controller] = folder
            elif controller not in homes:
                # a group of version 2 has either processes or groups with controllers, so that ours go beside us
                for place in (folder, folder.parent):
                    if controller in _words(place / "cgroup.subtree_control"):
                        homes[controller] = place
                        break
    return homes


def _group(home: Path | None, name: str, files: Mapping[str, str]) -> Path | None:
    """Make a group with these settings, of version 1 or 2 as its files show; None where that is not allowed."""
    if home is None:
        return None
    folder = home / name
    fresh = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        written = 0
        for file, value in files.items():
            if (folder / file).exists():
                (folder / file).write_text(value)
                written += 1
        if written:
            return folder
    except OSError:
        pass
    if fresh:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return None


def _memory_files(limit: int) -> dict[str, str]:
    """Settings of both versions; those that a group has not are passed over. No swap beyond the limit."""
    return {
        "memory.max": str(limit),
        "memory.swap.max": "0",
        "memory.limit_in_bytes": str(limit),
        "memory.memsw.limit_in_bytes": str(limit),
    }


def _cpu_files(cpus: float) -> dict[str, str]:
    quota = max(1000, round(cpus * PERIOD_US))
    return {
        "cpu.max": f"{quota} {PERIOD_US}",
        "cpu.cfs_period_us": str(PERIOD_US),
        "cpu.cfs_quota_us": str(quota),
    }


def _kills(group: Path) -> int:
    """How many processes of the group the system has killed for memory."""
    for name in ("memory.events", "memory.oom_control"):
        for line in _lines(group / name):
            if found := re.fullmatch(r"oom_kill (\d+)", line):
                return int(found[1])
    return 0


def _sweep(homes: set[Path]) -> None:
    """Remove empty groups of processes that did not live to do it."""
    for home in homes:
        for folder in home.glob(f"{PREFIX}*"):
            words = folder.name.removeprefix(PREFIX).split("-")
            if words[0].isdigit() and _started(int(words[0])) != words[1]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def last_end(returncode: int, oom: Oom, limits: Limits) -> str:
    """What to tell the user of a kernel that ended without being asked to: what happened, why, what to do."""
    sentence = str(KernelDied(returncode, oom)).replace("The kernel", "The kernel before this one", 1)
    if oom is True and limits.memory_bytes is not None:
        return (
            "The kernel before this one was ended by the system because it used more than "
            f"{limits.memory_text} of memory, the limit of this project's kernels. Its variables are gone. Work on "
            "less data at once, or raise `memory` under `[kernel]` in himalia.toml."
        )
    if oom is True:
        advice = "The system had no memory left: work on less data at once, or on a cluster."
    elif returncode == -signal.SIGKILL:
        advice = "Somebody, or the system for want of memory, killed it."
    elif returncode < 0:
        advice = "This is a crash in native code, or a signal that was sent to it."
    else:
        advice = "Look for os._exit() in the cells and in the libraries that they use."
    return f"{sentence}, and its variables are gone. {advice}"
