"""What a forked child does before it is a kernel: it becomes the process that an ordinary start would have made.

The zygote never sees what comes here (environment, arguments): the child reads it from the connection itself, so that
no secret of one kernel stays in memory that the next one is copied from.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import logging
import os
import random
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from himalia import _zygote_wire as wire

PR_SET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 15, 38, 36  # linux/prctl.h
REQUEST_SECONDS = 5.0
BLAS_SETTERS = (
    "openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "scipy_openblas_set_num_threads64_",
)
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")  # in OpenBLAS's own order


class Refused(Exception):
    """The child cannot become what was asked for; the message says why."""


def prctl(option: int, value: Any) -> None:
    """Linux's prctl. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Inherited:
    """What the imports have left that a child must set right; found once, before the first fork.

    *variables* are those that imports have set, as they would have in an ordinary kernel.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables
        numpy = sys.modules.get("numpy")
        kinds: tuple[type[Any], ...] = (random.Random,)
        generators: tuple[type[Any], ...] = ()
        if numpy is not None:
            kinds += (numpy.random.RandomState,)
            generators = (numpy.random.Generator,)
        everything: list[Any] = list(gc.get_objects())
        self.random: list[Any] = [thing for thing in everything if isinstance(thing, kinds)]
        self.random = [thing for thing in self.random if not isinstance(thing, random.SystemRandom)]
        # not every one is tracked by the collector
        known = [random._inst] + ([numpy.random.mtrand._rand] if numpy is not None else [])
        self.random += [one for one in known if not any(one is thing for thing in self.random)]
        self.generators: list[Any] = [thing.bit_generator for thing in everything if isinstance(thing, generators)]
        self.blas = blas_setters()
        old = {id(sys.stdout): "stdout", id(sys.stderr): "stderr"}
        self.handlers = [
            (handler, old[id(handler.stream)])
            for handler in (reference() for reference in logging._handlerList)  # type: ignore[attr-defined]
            if isinstance(handler, logging.StreamHandler) and id(handler.stream) in old
        ]

    def reseed(self) -> None:
        """Give each generator new entropy. One that a module seeded with a number of its own stays as it is, where
        that can be told (numpy's new generators)."""
        for thing in self.random:
            thing.seed()
        for bits in self.generators:
            entropy = getattr(bits.seed_seq, "entropy", None)
            if isinstance(entropy, int) and entropy.bit_length() > 64:
                bits.state = type(bits)().state
        multiprocessing = sys.modules.get("multiprocessing.process")
        if multiprocessing is not None:  # the password of managers and listeners
            multiprocessing.current_process().authkey = os.urandom(32)

    def raise_threads(self) -> None:
        """As many OpenBLAS threads as it would start itself; in the zygote it has one."""
        asked = next((os.environ[name] for name in BLAS_VARIABLES if os.environ.get(name, "").isdigit()), None)
        number = int(asked) if asked else len(os.sched_getaffinity(0))
        if number > 1:
            for set_number in self.blas:
                set_number(number)

    def use_streams(self) -> None:
        """Let handlers that took sys.stdout or sys.stderr when they were made write to the notebook."""
        for handler, name in self.handlers:
            handler.setStream(getattr(sys, name))


def blas_setters() -> list[Callable[[int], None]]:
    """For each OpenBLAS that is loaded, its function that sets the number of threads."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        paths = {line.split(maxsplit=5)[5].strip() for line in file if "openblas" in line}
    found: list[Callable[[int], None]] = []
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        name = next((name for name in BLAS_SETTERS if hasattr(library, name)), None)
        if name is not None:
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_int], None
            found.append(setter)
    return found


def run(connection: socket.socket, descriptors: dict[str, int], entry: str, inherited: Inherited) -> None:
    """Become what the request on *connection* says and run *entry*; never returns."""
    code = 1
    try:
        _detach()
        inherited.reseed()
        connection.settimeout(REQUEST_SECONDS)
        request, _ = wire.receive(connection)
        connection.settimeout(None)
        _use_streams(descriptors)
        become(request)
        for name, value in inherited.variables.items():
            os.environ.setdefault(name, value)
        _watch(descriptors.get("parent"))
        wire.send(connection, {"accepted": True})
        gc.enable()
        code = _status(lambda: ENTRIES[entry](request, connection, inherited))
    except Refused as refusal:
        with contextlib.suppress(OSError):
            wire.send(connection, {"refused": str(refusal)})
        os._exit(0)
    except wire.WireError:
        os._exit(1)  # who asked has gone
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        finish(connection, code)


def _detach() -> None:
    """Leave the zygote's session and signals."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 0)


def _use_streams(descriptors: dict[str, int]) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptors[name], number)
    for name in ("stdout", "stderr"):
        os.close(descriptors[name])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=stream is sys.stderr or os.isatty(stream.fileno()))


def become(request: dict[str, Any]) -> None:
    """Take over what a child inherits from who starts it. Raises Refused where that is not allowed."""
    _join(request["control_groups"], request["limit_folders"])
    for name, pair in request["limits"].items():
        kind, wanted = getattr(resource, name, None), (pair[0], pair[1])
        if kind is None or resource.getrlimit(kind) == wanted:
            continue
        _allowed(f"its limit {name}", functools.partial(resource.setrlimit, kind, wanted))
    os.umask(request["umask"])
    _allowed("its processors", lambda: os.sched_setaffinity(0, request["affinity"]))
    if os.getpriority(os.PRIO_PROCESS, 0) != request["nice"]:
        _allowed("its priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, request["nice"]))
    _allowed("its weight in a shortage of memory", lambda: _oom_score(request["oom_score_adj"]))
    if request["adopt_orphans"]:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.environ.clear()
    os.environ.update(request["env"])
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        raise Refused(f"the folder {request['cwd']} cannot be entered: {error.strerror}") from error
    time.tzset()
    tempfile.tempdir = None
    importlib.invalidate_caches()
    if any(name.startswith("DASK_") for name in os.environ) and "dask.config" in sys.modules:
        sys.modules["dask.config"].refresh()
    sys.argv = list(request["argv"])
    with contextlib.suppress(OSError):
        prctl(PR_SET_NAME, b"himalia-stage" if sys.argv[0] == "-m" else b"himalia-kernel")
    _show_command([sys.executable, *sys.argv])


def _allowed(what: str, change: Callable[[], object]) -> None:
    try:
        change()
    except (OSError, ValueError) as error:
        raise Refused(f"a forked kernel cannot be given {what}: {error}") from error


def _oom_score(wanted: int) -> None:
    with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
        if int(file.read()) != wanted:
            file.seek(0)
            file.write(str(wanted))


def _join(groups: dict[str, str], folders: list[str]) -> None:
    """Enter the control groups of who asked (line of /proc/self/cgroup: folder), then those of the kernel's limits."""
    missing = set(groups) - _groups()
    for line in sorted(missing):
        with contextlib.suppress(OSError):
            _enter(groups[line])
    if missing and (left := set(groups) - _groups()):
        raise Refused(f"the zygote is in another control group ({', '.join(sorted(left))})")
    for folder in folders:
        _allowed("its limits", functools.partial(_enter, folder))


def _enter(folder: str) -> None:
    with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


def _groups() -> set[str]:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return set(file.read().splitlines())


def _show_command(command: list[str]) -> None:
    """Write *command* where ps reads it, as far as there is room; without the right to, leave the zygote's."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            start, end = (int(word) for word in file.read().rpartition(")")[2].split()[45:47])
    except (OSError, ValueError):
        return
    text = b" ".join(os.fsencode(word) for word in command) + b"\0"
    if start and len(text) < end - start:
        # a last byte that is not 0 tells the system that the rest is not to be shown
        ctypes.memmove(start, text.ljust(end - start - 1, b"\0") + b"x", end - start)


def _watch(parent: int | None) -> None:
    """End with the process that asked, whose pidfd is *parent*: ipykernel would look at the parent's id."""
    if parent is None:
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        while not poll.poll():
            pass
        os._exit(1)

    thread = threading.Thread(target=wait, name="himalia-parent", daemon=True)
    thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
    thread.start()


def _status(work: Callable[[], object]) -> int:
    """Run *work*; the exit status that Python would give the process."""
    try:
        work()
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return (ending.code or 0) & 0xFF
        print(ending.code, file=sys.stderr)  # noqa: T201 (as Python itself does)
        return 1
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        return 1
    return 0


def finish(connection: socket.socket, code: int) -> None:
    """End the process: threads, exit functions and open files, without the slow removal of every module."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        for thing in gc.get_objects():
            if isinstance(thing, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
                with contextlib.suppress(OSError, ValueError):
                    thing.flush()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.__stdout__.flush()  # type: ignore[union-attr]
        with contextlib.suppress(OSError):
            wire.send(connection, {"leaving": code})
        os._exit(code)


@functools.lru_cache(maxsize=1)
def kernel_app() -> Any:
    """The class of a forked kernel's application; made before the fork."""
    from himalia.kernel_main import project_kernel_app

    class ForkedKernelApp(project_kernel_app()):  # type: ignore[misc]
        """A project's kernel whose modules were imported before there was a shell, or a stream to a notebook."""

        on_bound: Callable[[], None]
        inherited: Inherited

        def write_connection_file(self, **kwargs: Any) -> None:
            super().write_connection_file(**kwargs)
            self.on_bound()  # not before: who asked reads the file next, and this writes it in two steps

        def init_io(self) -> None:
            super().init_io()
            self.inherited.use_streams()

        def init_gui_pylab(self) -> None:
            super().init_gui_pylab()
            backend = sys.modules.get("matplotlib_inline.backend_inline")
            if backend is not None:  # it looked for a shell when it was imported
                backend._enable_matplotlib_integration()

    return ForkedKernelApp


def _kernel(request: dict[str, Any], connection: socket.socket, inherited: Inherited) -> None:
    """Run a kernel until it is shut down."""
    from himalia.kernel_main import use_project_path

    def bound() -> None:
        with contextlib.suppress(OSError):
            wire.send(connection, {"bound": True})

    use_project_path()
    app = kernel_app().instance()
    app.parent_handle = 1  # process 1 is never polled; `_watch` does it
    app.on_bound, app.inherited = bound, inherited
    app.initialize(list(request["argv"])[1:])
    events = app.shell.events

    def raise_threads(*_: object) -> None:
        """Not before the first cell: OpenBLAS's new threads spin for a while, on processors that the start needs."""
        events.unregister("pre_execute", raise_threads)
        inherited.raise_threads()

    events.register("pre_execute", raise_threads)
    app.start()


def _module(request: dict[str, Any], connection: socket.socket, inherited: Inherited) -> None:
    """Run the function `main` of the module that the command line ``-m MODULE ARGUMENTS`` names."""
    wire.send(connection, {"bound": True})
    inherited.raise_threads()
    inherited.use_streams()
    main = importlib.import_module(request["argv"][1]).main
    raise SystemExit(main(list(request["argv"][2:])))


ENTRIES: dict[str, Callable[[dict[str, Any], socket.socket, Inherited], None]] = {"kernel": _kernel, "module": _module}
"""What a zygote can be asked to run in its child."""
