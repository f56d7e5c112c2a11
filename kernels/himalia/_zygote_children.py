"""The children of a zygote, from the fork until who asked has heard of the end.

Apart from the server because a process id is all that links a kernel to who asked for it: a child is not waited for
before that one has hung up, so that its id cannot mean another process; and what a stage's kernel leaves behind is
killed, while what a person's kernel leaves is the person's own. The server adds what it has forked, passes on what its
epoll has heard, and calls `reap` after each round.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from himalia import _zygote_wire as wire

GRACE_SECONDS = 1.0
"""For how long a kernel whose parent has died may take to end by itself, unless it is a stage's."""
SWEEPS, SWEEP_SECONDS = 20, 0.01
"""How often a stage's leavings are looked for, as they may fork meanwhile, and the pause between."""


@dataclass
class Child:
    """A forked process: who asked for it, and how it ended once it has."""

    pid: int
    connection: socket.socket | None
    parent: int | None
    sweep: bool
    kill_at: float | None = None
    status: int | None = None


class Children:
    """All that are not forgotten yet. Their connections and parents are registered with *poll*."""

    def __init__(self, poll: select.epoll) -> None:
        self._poll = poll
        self._all: dict[int, Child] = {}
        self._spared: set[int] = set()

    def __len__(self) -> int:
        return len(self._all)

    def pids(self) -> list[int]:
        """Their process ids, in order."""
        return sorted(self._all)

    def parents(self) -> set[int]:
        """The pidfds, of those given to `add`, that are still in use here."""
        return {child.parent for child in self._all.values() if child.parent is not None}

    def add(self, pid: int, connection: socket.socket, parent: int | None, *, sweep: bool) -> None:
        """Look after a process just forked, for who is at the other end of *connection*.

        It ends with the process of the pidfd *parent*. *sweep*: what it leaves running is killed at its end.
        """
        self._all[pid] = Child(pid, connection, parent, sweep)
        # a request is still to be read from it, by the child
        self._poll.register(connection, select.EPOLLRDHUP)
        if parent is not None:
            self._poll.register(parent, select.EPOLLIN)

    def hang_up(self, pid: int) -> None:
        """Nobody waits to hear of that child's end any more."""
        child = self._all[pid]
        if child.connection is not None:
            self._poll.unregister(child.connection)
            child.connection.close()
            child.connection = None

    def let_go(self) -> None:
        """In a new child: close what belongs to its siblings. The epoll is shared with the zygote: leave it alone."""
        for child in self._all.values():
            if child.connection is not None:
                child.connection.close()
            if child.parent is not None:
                os.close(child.parent)
        self._all = {}

    def seconds_to_kill(self, most: float) -> float:
        """How long until a child is to be killed by `reap`; *most* when none is before."""
        kills = [child.kill_at for child in self._all.values() if child.kill_at is not None]
        return min([most, *(max(0.0, at - time.monotonic()) for at in kills)])

    def heard(self, descriptor: int) -> None:
        """Who asked has hung up, or has died."""
        for child in self._all.values():
            if child.connection is not None and child.connection.fileno() == descriptor:
                self.hang_up(child.pid)
            elif child.parent == descriptor:
                self._forget_parent(child)
                # the kernel ends by itself, unless it is deep in native code
                child.kill_at = time.monotonic() + (0.0 if child.sweep else GRACE_SECONDS)

    def _forget_parent(self, child: Child) -> None:
        if child.parent is not None:
            self._poll.unregister(child.parent)
            os.close(child.parent)
            child.parent = None

    def reap(self) -> bool:
        """Kill who is due, tell how kernels ended, forget those whose end has been heard; whether there were any."""
        forgotten = swept = False
        orphans = set(self._orphans())  # before the look at who has ended
        for child in list(self._all.values()):
            if child.kill_at is not None and time.monotonic() >= child.kill_at and child.status is None:
                child.kill_at = None
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            if child.status is None:
                ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    continue
                child.status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                if child.sweep:
                    self._sweep(child.pid)
                    swept = True
                if child.connection is not None:
                    with contextlib.suppress(OSError):
                        wire.send(child.connection, {"exit": child.status})
            if child.connection is None:
                os.waitpid(child.pid, 0)
                self._forget_parent(child)
                del self._all[child.pid]
                forgotten = True
        if not swept:
            self._spared = orphans  # all stages' kernels lived then, and one that lives adopts its orphans itself
        self._reap_orphans()
        return forgotten

    def _sweep(self, session: int) -> None:
        """Kill what a stage's kernel leaves: its group, and its orphans, which have become our children."""
        for _ in range(SWEEPS):
            with contextlib.suppress(OSError):
                os.killpg(session, signal.SIGKILL)
            orphans = [pid for pid in self._orphans() if self._belongs(pid, session)]
            for pid in orphans:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not orphans:
                return
            self._reap_orphans()
            time.sleep(SWEEP_SECONDS)

    def _belongs(self, pid: int, session: int) -> bool:
        """Whether an orphan is of the stage's kernel that led *session*, and not a person's.

        For certain, unless a person's kernel ended at the same time, or it left that session since the last round.
        """
        try:
            leader = os.getsid(pid)
        except OSError:
            return False
        people = [child for child in self._all.values() if not child.sweep]
        if leader == session or pid in self._spared or any(child.pid == leader for child in people):
            return leader == session
        return all(child.status is None for child in people)

    def _orphans(self) -> Iterator[int]:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            for word in file.read().split():
                if int(word) not in self._all:
                    yield int(word)

    def _reap_orphans(self) -> None:
        for pid in list(self._orphans()):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    self._spared.discard(pid)
