"""Children of the service: started under a supervisor, watched, restarted when they should live, adopted.

On disk a child is `children/<name>/`: `spec.json` (what was started), `state.json` (the child), `exit.json` (how it
ended), `supervisor.json` (who supervises it). These files, not the service's memory, are the truth, so that a service
that was killed finds its children again.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..locking import try_lock
from .identity import ProcessIdentity
from .logs import REQUEST_VARIABLE, request_id
from .site import Site, private_folder, write_private
from .supervisor_main import NOT_WRITTEN

log = logging.getLogger(__name__)
SUPERVISOR = Path(__file__).with_name("supervisor_main.py")
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
LISTEN_SECONDS = 300.0
"""A child that has made no socket after so long never will."""
STEADY = 60.0
"""A child that lived so many seconds is started again without delay."""


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


class Children:
    """Starts, stops, watches and adopts children. Thread-safe.

    `on_change(name, what, exit)` is called with what in {"started", "ended", "restarting"}, by the thread that starts
    or watches the child; `exit` is None for "started".
    """

    def __init__(self, site: Site, log_bytes: int) -> None:
        self.site, self.log_bytes = site, log_bytes
        self.root = site.home / "children"
        self.on_change: Callable[[str, str, Exit | None], None] = lambda _name, _what, _exit: None
        self._children: dict[str, Child] = {}
        self._lock = threading.RLock()
        self._closing = False
        self._delays: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._restarts: Counter[str] = Counter()

    def start(self, spec: ChildSpec) -> Child:
        """Start a child; one of the same name must not be alive.

        Raises:
            RuntimeError: it is alive already, or the service is going down.
            OSError: the disk is full, or the program cannot be started.
        """
        with self._lock:
            old = self._children.get(spec.name)
            if old is not None and not old.ended.is_set():
                raise RuntimeError(f"{spec.name} runs already.")
        return self.ensure(spec)

    def ensure(self, spec: ChildSpec) -> Child:
        """The living child of that name, else a new one; a restart that is waiting its turn is done now.

        Raises:
            RuntimeError: the service is going down.
            OSError: see `start`.
        """
        with self._lock:
            if self._closing:
                raise RuntimeError("The service is going down; nothing new is started.")
            timer = self._timers.pop(spec.name, None)
            if timer is not None:
                timer.cancel()
            old = self._children.get(spec.name)
            if old is not None and not old.ended.is_set():
                return old
            child = self._launch(spec)
            self._children[spec.name] = child
        self._watch(child)
        self._tell(spec.name, "started", None)
        return child

    def _tell(self, name: str, what: str, end: Exit | None) -> None:
        """Tell of a change; a fault there (a full disk, say) must not end the watch."""
        try:
            self.on_change(name, what, end)
        except Exception:
            log.exception("a change of a child could not be told", extra={"child": name, "what": what})

    def get(self, name: str) -> Child | None:
        """The child of that name, alive or ended; None when there was none."""
        with self._lock:
            return self._children.get(name)

    def alive(self, name: str) -> bool:
        """Whether the child runs."""
        child = self.get(name)
        return child is not None and not child.ended.is_set()

    def names(self) -> list[str]:
        """Names of living children."""
        with self._lock:
            return sorted(name for name, child in self._children.items() if not child.ended.is_set())

    def known(self) -> list[str]:
        """Names of all children, also of those that have ended and were not forgotten."""
        with self._lock:
            return sorted(self._children)

    def restarts(self) -> dict[str, int]:
        """How many children of each kind (a name's part before the first hyphen) were started again, unasked."""
        with self._lock:
            return dict(self._restarts)

    def wait(self, name: str, timeout: float | None = None) -> Exit | None:
        """Wait for the end of a child; None when it still runs after *timeout* seconds."""
        child = self.get(name)
        if child is None:
            return Exit(None, None, lost=True)
        child.ended.wait(timeout)
        return child.exit

    def stop(self, name: str) -> Exit | None:
        """End a child and what it started: SIGTERM, then SIGKILL after its grace. Returns how it ended."""
        with self._lock:
            timer = self._timers.pop(name, None)
            child = self._children.get(name)
        if timer is not None:
            timer.cancel()
        if child is None:
            return None
        if not child.ended.is_set():
            self._unkeep(child)
            _signal(child.supervisor, signal.SIGTERM)
            if not child.ended.wait(child.spec.grace + 10):
                _signal(child.supervisor, signal.SIGKILL)
                child.ended.wait(10)
        return child.exit

    def unreachable(self) -> list[str]:
        """Names of living children that should be started again, because their sockets were removed."""
        with self._lock:
            children = [child for child in self._children.values() if not child.ended.is_set() and child.spec.keep]
        return [child.spec.name for child in children if child.unreachable()]

    def restart(self, name: str) -> None:
        """End a child that is to live; it is started again as if it had ended by itself."""
        child = self.get(name)
        process = child.process() if child else None
        if child is not None and process is not None:
            child.listened, child.began = False, time.monotonic()
            _signal(process, signal.SIGTERM)
            patience = threading.Timer(child.spec.grace, _signal, args=(process, signal.SIGKILL))
            patience.daemon = True
            patience.start()

    def forget(self, name: str) -> None:
        """Remove what is left on disk of an ended child (its log stays)."""
        with self._lock:
            child = self._children.get(name)
            if child is not None and child.ended.is_set():
                del self._children[name]
                _discard(child.folder)

    def stop_all(self) -> None:
        """End all children, side by side; nothing can be started any more."""
        with self._lock:
            self._closing = True
            names = list(self._children)
            for timer in self._timers.values():
                timer.cancel()
        threads = [threading.Thread(target=self.stop, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in names:
            self.forget(name)

    def detach(self) -> None:
        """Stop watching; the children go on for the next service."""
        with self._lock:
            self._closing = True
            for timer in self._timers.values():
                timer.cancel()

    def adopt(self, *, restart: bool = True) -> list[Child]:
        """After a start of the service: take over the living, record the ends of the others.

        `restart`: start those that should live again.
        """
        adopted = []
        for folder in sorted(self.root.iterdir()) if self.root.exists() else []:
            if folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                spec = ChildSpec(**json.loads((folder / "spec.json").read_text())["child"])
                supervisor = _supervisor_of(folder)
            except (OSError, ValueError, KeyError, TypeError):
                _discard(folder)
                continue
            child = Child(folder, spec if restart else replace(spec, keep=False), supervisor)
            if not supervisor.alive():
                child.exit = child.read_exit()
                child.ended.set()
            with self._lock:
                self._children[spec.name] = child
            adopted.append(child)
            log.info("child adopted", extra={"child": spec.name, "alive": supervisor.alive()})
            self._watch(child)
        return adopted

    def _launch(self, spec: ChildSpec) -> Child:
        folder = self.root / spec.name
        _discard(folder)
        private_folder(folder)
        for place in [*(Path(socket).parent for socket in spec.sockets), Path(spec.env.get("TMPDIR", "/"))]:
            if place.is_relative_to(self.site.runtime):
                private_folder(place)
        asked = request_id.get()
        document = {
            "argv": spec.argv,
            "env": spec.env | ({REQUEST_VARIABLE: asked} if asked else {}),
            "cwd": spec.cwd,
            "log": str(self.site.log(spec.name)),
            "log_bytes": self.log_bytes,
            "nice": spec.nice,
            "umask": spec.umask,
            "grace": spec.grace,
            "child": asdict(spec),
        }
        write_private(folder / "spec.json", json.dumps(document))
        errors = os.open(self.site.log(spec.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "")},
                start_new_session=True,
            )
        finally:
            os.close(errors)
        identity = ProcessIdentity.of(popen.pid) or ProcessIdentity("", popen.pid, "")
        write_private(folder / "supervisor.json", json.dumps(identity.to_dict()))
        child = Child(folder, spec, identity)
        child.popen = popen
        log.info("child started", extra={"child": spec.name, "pid": popen.pid})
        return child

    def _unkeep(self, child: Child) -> None:
        """Note on disk that the child is not to be started again, for the case that we die now."""
        child.spec = replace(child.spec, keep=False)
        path = child.folder / "spec.json"
        if path.exists():
            write_private(path, json.dumps(json.loads(path.read_text()) | {"child": asdict(child.spec)}))

    def _watch(self, child: Child) -> None:
        threading.Thread(target=self._await_end, args=(child,), name=f"watch-{child.spec.name}", daemon=True).start()

    def _await_end(self, child: Child) -> None:
        _wait_for_end(child)
        child.exit = child.read_exit()
        child.ended.set()
        with self._lock:
            closing = self._closing
        if closing:
            return
        name = child.spec.name
        log.info("child ended", extra={"child": name, "how": child.exit.sentence})
        if not child.spec.keep or child.exit.asked or child.exit.code in child.spec.final:
            self._tell(name, "ended", child.exit)
            return
        steady = time.monotonic() - child.began > STEADY
        delay = FIRST_DELAY if steady else min(LAST_DELAY, self._delays.get(name, FIRST_DELAY / 2) * 2)
        self._delays[name] = delay
        timer = threading.Timer(delay, self._restart, args=(child,))
        timer.daemon = True
        with self._lock:
            if self._closing or self._children.get(name) is not child:
                return
            self._timers[name] = timer
            self._restarts[name.partition("-")[0]] += 1
        timer.start()
        self._tell(name, "restarting", child.exit)

    def _restart(self, child: Child) -> None:
        with self._lock:
            if self._closing or self._children.get(child.spec.name) is not child or not child.spec.keep:
                return
        try:
            self.ensure(child.spec)
        except (OSError, RuntimeError):
            log.exception("child could not be started again", extra={"child": child.spec.name})
            self._await_end(child)


def _supervisor_of(folder: Path) -> ProcessIdentity:
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


def _discard(folder: Path) -> None:
    """Remove a child's folder; a supervisor that is only just starting finds nothing to supervise then."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _signal(identity: ProcessIdentity, number: int) -> None:
    if identity.alive():
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return  # it ended between the look and the signal


def _wait_for_end(child: Child) -> None:
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
