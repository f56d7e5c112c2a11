"""One child of the service: what is to run, its folder on disk, how it is found again and how it ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from ..locking import try_lock
from .identity import ProcessIdentity
from .supervisor_main import NOT_WRITTEN

LISTEN_SECONDS = 300.0
"""A child that has made no socket after so long never will."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `keep`: start it again whenever it ends unasked. `grace`: seconds from SIGTERM to SIGKILL.

    `final`: exit codes that another attempt would not change; a child that ends with one is not started again.
    `sockets`: where it listens once it has started; a child that cannot be reached any more is started again.
    """

    name: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    keep: bool = False
    grace: float = 10.0
    nice: int = 0
    umask: int = 0o077
    sockets: list[str] = field(default_factory=list)
    final: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Exit:
    """How a child ended. `lost`: its supervisor was killed too, so that nobody saw the end."""

    code: int | None
    signal: int | None
    error: str | None = None
    asked: bool = False
    lost: bool = False

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.error:
            return self.error
        if self.lost:
            return "its supervisor was killed, and it with it"
        if self.signal:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit code {self.code}"


class Child:
    """One supervised process of the present or, after a restart of the service, of the past."""

    def __init__(self, folder: Path, spec: ChildSpec, supervisor: ProcessIdentity) -> None:
        self.folder, self.spec, self.supervisor = folder, spec, supervisor
        self.popen: subprocess.Popen[bytes] | None = None
        self.ended = threading.Event()
        self.exit: Exit | None = None
        self.began = time.monotonic()
        self.listened = False

    def unreachable(self) -> bool:
        """Whether it has listened, or should by now, and its socket is gone."""
        if all(Path(socket).exists() for socket in self.spec.sockets):
            self.listened = True
            return False
        return self.listened or time.monotonic() - self.began > LISTEN_SECONDS

    def process(self) -> ProcessIdentity | None:
        """The child itself (not its supervisor); None before it started or after it ended."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return None
        identity = ProcessIdentity(self.supervisor.boot, int(state["pid"]), str(state["ticks"]))
        return identity if identity.alive() else None

    def read_exit(self) -> Exit:
        """The exit record that the supervisor wrote."""
        try:
            record = json.loads((self.folder / "exit.json").read_text())
        except (OSError, ValueError):
            if self.popen is not None and self.popen.returncode == NOT_WRITTEN:
                return Exit(None, None, error="its files could not be written; is the disk full?")
            return Exit(None, None, lost=True)
        return Exit(record["code"], record["signal"], record["error"], bool(record.get("asked")))


def supervisor_of(folder: Path) -> ProcessIdentity:
    """Who supervises the child of a folder.

    Raises:
        OSError: nobody ever did. ValueError, KeyError: what is written there is no identity.
    """
    path = folder / "supervisor.json"
    deadline = time.monotonic() + 5
    # the service before us may have died right after it had started the supervisor
    while not path.exists() and time.monotonic() < deadline:
        lock = try_lock(folder / "lock")
        if lock is not None:
            os.close(lock)
            break
        time.sleep(0.02)
    return ProcessIdentity.from_dict(json.loads(path.read_text()))


def discard(folder: Path) -> None:
    """Remove a child's folder; a supervisor that is only just starting finds nothing to supervise then."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def wait_for_end(child: Child) -> None:
    """Block until the supervisor of *child* has ended, whether or not it is our own child."""
    if child.popen is not None:
        child.popen.wait()
        return
    if not child.supervisor.alive():
        return
    try:
        descriptor = os.pidfd_open(child.supervisor.pid)
    except (OSError, AttributeError):
        # no pidfd (macOS), or it ended just now
        while child.supervisor.alive():
            time.sleep(0.2)
        return
    try:
        # between the look above and the open the pid could have been given to another process
        while child.supervisor.alive():
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll(60_000)
    finally:
        os.close(descriptor)
