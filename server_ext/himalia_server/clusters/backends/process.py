"""One Dask scheduler or worker as a child process of the holder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LAUNCHER_EXITS = {
    2: "the launcher refused its arguments",
    3: "the project's python has no package 'distributed'; add it to the requirements and lock them again",
    4: "the holder was gone before the process could start",
}


@dataclass(frozen=True)
class Command:
    """What to run: arguments, the whole environment, working directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def explain_exit(code: int) -> str:
    """Return why a child that ended with *code* (negative: minus the signal's number) did so."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    reason = LAUNCHER_EXITS.get(code, "see the cluster's log")
    return f"ended with status {code} ({reason})"


class DaskProcess:
    """A child in a process group of its own; it writes where the holder writes (a file, never a pipe)."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id while the child lives."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def start(self) -> None:
        """Start the child; raises OSError when its program cannot be run."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            env=dict(self._command.env),
            cwd=self._command.cwd,
            process_group=0,
        )

    async def wait(self) -> int:
        """Wait for the child's end, sweep what is left of its process group, and return its exit code."""
        if self._process is None:
            raise RuntimeError("the process was not started")
        code = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        return code

    async def stop(self, grace: float) -> None:
        """End the child: SIGTERM, after *grace* seconds SIGKILL to its group; harmless when it has ended."""
        if self._process is None:
            return
        if self.pid is not None and grace > 0:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
        self._signal_group(signal.SIGKILL)
        await self._process.wait()

    def kill(self) -> None:
        """Send SIGKILL to the child's whole group, now."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # nothing of the group is left
                os.killpg(self._process.pid, number)
