"""Children of the service: started under a supervisor, watched, restarted when they should live, adopted.

On disk a child is `children/<name>/`: `spec.json` (what was started), `state.json` (the child), `exit.json` (how it
ended), `supervisor.json` (who supervises it). These files, not the service's memory, are the truth, so that a service
that was killed finds its children again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from .child import Child, ChildSpec, Exit, discard, supervisor_of, wait_for_end
from .identity import ProcessIdentity
from .logs import REQUEST_VARIABLE, request_id
from .site import Site, private_folder, write_private

__all__ = ["Child", "ChildSpec", "Children", "Exit"]

log = logging.getLogger(__name__)
SUPERVISOR = Path(__file__).with_name("supervisor_main.py")
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
STEADY = 60.0
"""A child that lived so many seconds is started again without delay."""


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
            child.supervisor.signal(signal.SIGTERM)
            if not child.ended.wait(child.spec.grace + 10):
                child.supervisor.signal(signal.SIGKILL)
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
            process.signal(signal.SIGTERM)
            patience = threading.Timer(child.spec.grace, process.signal, args=(signal.SIGKILL,))
            patience.daemon = True
            patience.start()

    def forget(self, name: str) -> None:
        """Remove what is left on disk of an ended child (its log stays)."""
        with self._lock:
            child = self._children.get(name)
            if child is not None and child.ended.is_set():
                del self._children[name]
                discard(child.folder)

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
                supervisor = supervisor_of(folder)
            except (OSError, ValueError, KeyError, TypeError):
                discard(folder)
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
        discard(folder)
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
        wait_for_end(child)
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
