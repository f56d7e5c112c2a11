"""A zygote: a process that has imported an environment's heavy modules once, and forks kernels that need not.

Started by path with the project's python: ``python <layer>/himalia/zygote.py SETTINGS``, where SETTINGS is a JSON
object: ``folder`` (0700), ``name`` (of the files in it), ``preload`` (module names), ``idle_s``, ``kernels`` (whether
its children are kernels, or run a module). It detaches itself, imports, listens at ``<folder>/<name>.sock`` and keeps
``<folder>/<name>.json``, its facts. It ends when it was idle for that long, when its socket has gone, or when its
environment has changed and no child of its own lives.

Who asks sends ``{"run": "kernel" or "module", "look": [folders], "descriptors": [names]}`` with these descriptors
(stdout, stderr; parent: a pidfd) and is answered ``{"refused": why, "stale": bool}`` or ``{"pid": n}`` with a pidfd. It
then sends the request that `_zygote_child.become` reads, which the child answers ``{"accepted": true}``,
``{"bound": true}`` or ``{"refused": why}``. At the end comes ``{"exit": status}``; the process is a zombie until who
asked hangs up, so that its id means nobody else.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from himalia._zygote_child import Inherited
    from himalia._zygote_children import Children

PACKAGE = os.path.dirname(os.path.realpath(__file__))
LOOK_SECONDS = 2.0
"""How often the zygote looks whether its socket is still there."""
SEND_SECONDS = 0.5
FORCED = {
    "OPENBLAS_NUM_THREADS": "1",  # it starts its threads when it is loaded
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # so does pyarrow's jemalloc
}
DEFAULTS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as ipykernel sets it; read by matplotlib's import
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Variables for the imports; no child sees them."""
KERNEL_MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "ipykernel.displayhook",
    "ipykernel.subshell_manager",
    "ipykernel.compiler",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.core.history",
    "IPython.core.magics",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
    "pdb",
    "sqlite3",
    "jedi",
    "comm",
    "uuid",
    "tempfile",
    "himalia._magics",
    "himalia._output_pipe",
    "himalia._debugger",
    "himalia._observed",
)
"""What every kernel imports as it starts."""


class _Shell:
    """What `get_ipython()` gives while modules are imported that look, just then, whether they are in a kernel.

    pandas is such a one: taken for one in a terminal, it would cut wide tables that an ordinary kernel shows.
    """

    kernel: ClassVar[object] = None
    config: ClassVar[dict[str, object]] = {}


class Zygote:
    """The server. `serve` returns in the zygote when it ends, with None, and in each child with what it must run."""

    def __init__(self, base: str, lock: int, preload: list[str], idle_s: float, kernels: bool) -> None:
        self.base, self.lock, self.for_kernels = base, lock, kernels
        self.preload, self.idle_s = preload, idle_s
        self.last_used = time.monotonic()
        self.stale: str | None = None
        self.stopped = False
        self.facts: dict[str, Any] = {
            "state": "starting",
            "pid": os.getpid(),
            "started_at": time.time(),
            "python": sys.executable,
            "preload": preload,
            "import_seconds": {},
            "seconds": None,
            "failed": {},
            "absent": [],
            "memory": {},
            "forks": 0,
            "kernels": [],
            "refused": None,
        }

    def write_facts(self, **changes: Any) -> None:
        """Update the file of facts. A stale zygote leaves it to its successor."""
        from himalia._zygote_facts import write_facts

        self.facts.update(changes, kernels=self.children.pids())
        if self.stale is None:
            write_facts(f"{self.base}.json", self.facts)

    def prepare(self) -> str | None:
        """Import everything; returns why this process must not fork, or None."""
        from himalia import _zygote_facts as facts
        from himalia._zygote_child import Inherited, kernel_app
        from himalia._zygote_children import Children

        self.poll = select.epoll()
        self.children: Children = Children(self.poll)
        self.installed = facts.stamp()
        self.write_facts(stamp=self.installed)
        began = time.perf_counter()
        before = dict(os.environ)
        if self.for_kernels:
            for name in KERNEL_MODULES:
                self._import(name)
            kernel_app()
        ordinary = {name.partition(".")[0] for name in sys.modules}
        builtins.get_ipython = _Shell  # type: ignore[attr-defined]
        for name in self.preload:
            if importlib.util.find_spec(name.partition(".")[0]) is None:
                self.facts["absent"].append(name)
            else:
                self._import(name)
        if "matplotlib" in sys.modules:
            self._import("matplotlib_inline.backend_inline")
        del builtins.get_ipython  # type: ignore[attr-defined]
        names = {name.partition(".")[0] for name in sys.modules} - ordinary - set(sys.stdlib_module_names)
        self.preloaded = {name for name in names if not name.startswith("_")}
        self.sources = facts.sources()
        loaded = facts.accelerators()
        refused = f"a preloaded module has loaded {loaded}, which a fork breaks" if loaded else facts.in_the_way()
        if refused is None:
            variables = {name: value for name, value in os.environ.items() if before.get(name) != value}
            self.inherited: Inherited = Inherited(variables)
            gc.collect()
            gc.disable()
            gc.freeze()  # else each child copies the pages of every object when it collects
        self.write_facts(
            state="refused" if refused else "ready",
            refused=refused,
            seconds=round(time.perf_counter() - began, 3),
            memory=facts.memory(),
        )
        return refused

    def _import(self, name: str) -> None:
        began = time.perf_counter()
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            self.facts["failed"][name] = f"{type(error).__name__}: {error}"[:500]
        self.facts["import_seconds"][name] = round(time.perf_counter() - began, 3)

    def listen(self) -> None:
        """Open the socket, for this account alone."""
        self.listener = socket.socket(socket.AF_UNIX)
        draft = f"{self.base}.{os.getpid()}"
        before = os.umask(0o177)
        self.listener.bind(draft)
        os.umask(before)
        self.listener.listen(64)
        self.listener.setblocking(False)
        os.rename(draft, f"{self.base}.sock")
        self.inode = os.stat(f"{self.base}.sock").st_ino
        self.wake, written = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.wake_end = written
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.poll.register(self.listener, select.EPOLLIN)
        self.poll.register(self.wake, select.EPOLLIN)

    def serve(self) -> Callable[[], None] | None:
        """Answer until the end. Returns once more in each child, with its work."""
        while not self._ended():
            for descriptor, _ in self.poll.poll(self.children.seconds_to_kill(LOOK_SECONDS)):
                if descriptor == self.listener.fileno():
                    work = self._accept()
                    if work is not None:
                        return work
                elif descriptor == self.wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake, 4096)
                else:
                    self.children.heard(descriptor)
            if self.children.reap():
                self.last_used = time.monotonic()
                self.write_facts()
        self._unlink()
        return None

    def _ended(self) -> bool:
        """Whether to end now. Kernels that live go on without us."""
        if self.stopped:
            return True
        if self.stale is not None:
            return not self.children
        try:
            gone = os.stat(f"{self.base}.sock").st_ino != self.inode
        except OSError:
            gone = True
        return gone or (not self.children and time.monotonic() - self.last_used > self.idle_s)

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            if os.stat(f"{self.base}.sock").st_ino == self.inode:
                os.unlink(f"{self.base}.sock")
                if self.stale is None:
                    os.unlink(f"{self.base}.json")

    def _accept(self) -> Callable[[], None] | None:
        from himalia import _zygote_wire as wire

        try:
            connection, _ = self.listener.accept()
        except OSError:
            return None
        descriptors: list[int] = []
        work = None
        try:
            connection.settimeout(SEND_SECONDS)
            if wire.peer_uid(connection) != os.getuid():
                raise wire.WireError("another account")
            head, descriptors = wire.receive(connection)
            work = self._answer(connection, head, dict(zip(head["descriptors"], descriptors, strict=True)))
        except (OSError, ValueError, KeyError, TypeError, wire.WireError) as error:
            say(f"a request failed: {error!r}")
            connection.close()
        if work is None:  # in the child, they are its own
            kept = self.children.parents()
            for descriptor in descriptors:
                if descriptor not in kept:
                    os.close(descriptor)
        return work

    def _answer(
        self, connection: socket.socket, head: dict[str, Any], given: dict[str, int]
    ) -> Callable[[], None] | None:
        """Fork, or say why not."""
        from himalia import _zygote_child, _zygote_facts
        from himalia import _zygote_wire as wire

        entry = head["run"]
        refused = _zygote_facts.in_the_way()
        changed = _zygote_facts.changed(self.installed) or _zygote_facts.changed(self.sources)
        if changed is not None:
            self._retire(changed)
            refused = f"its environment has changed since ({changed})"
        elif entry not in _zygote_child.ENTRIES:
            refused = f"it cannot run {entry!r}"
        elif path := _zygote_facts.shadowed(self.preloaded, head["look"]):
            refused = f"{path} would be imported in place of a module that it has"
        if refused is not None:
            self.write_facts(refused=refused)
            wire.send(connection, {"refused": refused, "stale": self.stale is not None})
            connection.close()
            return None
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._let_go(connection, given)
            return lambda: _zygote_child.run(connection, given, entry, self.inherited)
        self.last_used = time.monotonic()
        self.children.add(pid, connection, given.get("parent"), sweep=bool(head.get("sweep")))
        pidfd = os.pidfd_open(pid)
        try:
            wire.send(connection, {"pid": pid}, [pidfd])
        except OSError:
            self.children.hang_up(pid)
        finally:
            os.close(pidfd)
        self.facts["forks"] += 1
        self.write_facts()
        return None

    def _retire(self, changed: str) -> None:
        """Fork no more; make room for a successor."""
        if self.stale is None:
            say(f"stale: {changed}")
            self.write_facts(state="stale", refused=f"its environment has changed since ({changed})")
            self._unlink()
            self.stale = changed
            os.close(self.lock)

    def _let_go(self, connection: socket.socket, given: dict[str, int]) -> None:
        """In a child: close what is the zygote's or another kernel's."""
        self.poll.close()
        self.listener.close()
        os.close(self.wake)
        os.close(self.wake_end)
        if self.stale is None:
            os.close(self.lock)
        self.children.let_go()


def say(text: str) -> None:
    """A line in the zygote's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} zygote {os.getpid()}: {text}\n")
    sys.stderr.flush()


def take_lock(path: str) -> int | None:
    """The lock of a zygote's name, held as long as the descriptor is open; None when another has it."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def provide_himalia() -> None:
    """Make ``import himalia`` mean this layer's, as in an ordinary kernel."""
    place = os.path.join(PACKAGE, "kernel_main.py")
    spec = importlib.util.spec_from_file_location("himalia_kernel_main", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {place}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.leave_own_folder()
    module.provide_himalia()


def main() -> None:
    """Run the zygote; in a child, run what it was forked for."""
    settings = json.loads(sys.argv[1])
    base = f"{settings['folder']}/{settings['name']}"
    lock = take_lock(f"{base}.lock")
    if lock is None:
        return
    if os.fork():
        os._exit(0)  # who started us has nothing to wait for
    os.setsid()
    zygote = Zygote(base, lock, settings["preload"], settings["idle_s"], settings["kernels"])
    os.environ.update(FORCED)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    provide_himalia()
    from himalia._zygote_child import PR_SET_CHILD_SUBREAPER, PR_SET_NAME, prctl
    from himalia._zygote_priority import low_priority

    prctl(PR_SET_NAME, b"himalia-zygote")
    with low_priority():
        refused = zygote.prepare()
    if refused is not None:
        say(refused)
        return
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    zygote.listen()
    work = zygote.serve()
    if work is not None:
        work()


if __name__ == "__main__":
    status = 1
    try:
        main()
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)  # not even a thread that a preloaded module has started may keep a refused zygote alive
