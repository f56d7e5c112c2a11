"""Ask a zygote to fork a kernel, or what runs a stage, and start one in the background where there is none (Linux).

>>> zygote = zygote_for(folder, python=python, launcher=launcher, preload=None, key=digest, env=env)
>>> process = zygote.fork("kernel", argv, env=env, cwd=cwd)   # a process like subprocess.Popen's, or Refused

What a zygote is and says is in `himalia.zygote`. Nothing here is an error for the user: where a fork is not possible,
`Refused` says why, and the caller starts an ordinary process.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from himalia import _zygote_wire as wire
from himalia_kernels._forked import ForkedProcess
from himalia_kernels.environment import NEVER, SECRET, matches
from himalia_kernels.files import write_whole
from himalia_kernels.limits import control_groups
from himalia_kernels.zygotes import alive, read_facts

DEFAULT_PRELOAD = (
    "numpy",
    "pandas",
    "pyarrow",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "mlflow",
    "mlflow.sklearn",
    "distributed",
    "dask.array",
    "dask.dataframe",
    "matplotlib.pyplot",
    "seaborn",
    "ipywidgets",
    "requests",
)
"""What a zygote imports when nobody says otherwise; what is not installed is left out."""
IDLE_SECONDS = 1800.0
ANSWER_SECONDS = 1.0
"""For how long at most a start waits for a zygote that does not answer."""
BOUND_SECONDS = 10.0
"""For how long a forked process may take from there to its bound sockets, where an ordinary start would be slow too."""
AGAIN_SECONDS = 300.0
"""After a zygote that died while it imported, for how long none is started."""
PASSED = ("HOME", "LANG", "LANGUAGE", "PATH", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "CUDA_VISIBLE_DEVICES")
PASSED_PATTERNS = tuple(
    f"{name}*"
    for name in (
        *("PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "GOTO_", "MKL_", "BLIS_"),
        *(
            "NUMEXPR_",
            "NUMBA_",
            "TBB_",
            "ARROW_",
            "JE_",
            "MIMALLOC_",
            "JOBLIB_",
            "SKLEARN_",
            "SCIPY_",
            "NPY_",
            "NUMPY_",
        ),
        *(
            "PANDAS_",
            "POLARS_",
            "MPL",
            "XDG_",
            "IPYTHON",
            "MLFLOW_LOGGING_",
            "MLFLOW_CONFIGURE_",
            "TF_CPP_",
            "TF_ENABLE_",
        ),
        *("TORCH_", "PYTORCH_", "XLA_", "PROTOCOL_BUFFERS_"),
    )
)
UNKEYED = frozenset({"PATH", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "XDG_SESSION_ID", "OPENBLAS_NUM_THREADS"})
"""Of what a zygote is given, what no import depends on, or what the child sets right."""
CONFINED = ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "user", "time")


class Refused(Exception):
    """No fork; the message says why. *startable*: a zygote started now may be of use to the next one."""

    def __init__(self, reason: str, startable: bool = False) -> None:
        super().__init__(reason)
        self.startable = startable


@dataclass(frozen=True)
class Zygote:
    """The place of one zygote: that of an interpreter, an environment, a preload list and a set of variables."""

    folder: Path
    name: str
    python: str
    launcher: Path
    preload: tuple[str, ...]
    environment: Mapping[str, str]
    idle_s: float = IDLE_SECONDS
    kernels: bool = True

    def fork(
        self,
        run: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdout: int = 1,
        stderr: int = 2,
        independent: bool = False,
        sweep: bool = False,
        rlimits: Mapping[str, tuple[int, int]] | None = None,
        affinity: Sequence[int] | None = None,
        limit_folders: Sequence[Path] = (),
    ) -> ForkedProcess:
        """Fork a process that runs *run* as if started with *argv*; it leads a session of its own.

        *run*: "kernel", or "module" for the function `main` of a module (*argv*: ``-m MODULE ARGUMENTS``).

        *stdout* and *stderr* are descriptors. The process ends with this one, unless *independent*. *sweep*: whatever
        it leaves running is killed at its end. *rlimits* (by the names of `resource`), *affinity* and the control
        groups *limit_folders* hold it further than this process. Raises Refused, after at most about a second.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        connection = self._connect()
        try:
            connection.settimeout(ANSWER_SECONDS)
            process = self._asked(connection, run, argv, stdout, stderr, env, cwd, independent, sweep)
            request = surroundings(rlimits or {}, affinity, limit_folders) | {
                "argv": list(argv),
                "env": dict(env),
                "cwd": cwd,
                "adopt_orphans": sweep,
            }
            try:
                self._becomes(connection, process, request, deadline)
            except BaseException:
                process.kill()
                raise
        except (OSError, wire.WireError, KeyError, ValueError) as error:
            connection.close()
            reason = f"the zygote does not answer as it should ({error or type(error).__name__})"
            # it may just have been killed; one that lives holds its lock
            raise Refused(reason, startable=True) from error
        except BaseException:
            connection.close()
            raise
        return process

    def start(self) -> None:
        """Start the zygote, detached from this process; nothing happens where one lives already."""
        done = subprocess.run(
            self.command(),
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=(log := os.open(self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)),
            stderr=log,
            start_new_session=True,
            check=False,
        )
        os.close(log)
        if done.returncode:
            raise Refused(f"the zygote did not start; see {self.path('log')}")

    def want(self) -> None:
        """Leave word for `start_wanted` that the zygote is wanted: one that this process started would end with it."""
        document = {"command": self.command(), "environment": dict(self.environment), "log": str(self.path("log"))}
        write_whole(self.path("want"), json.dumps(document), durable=False)

    def command(self) -> list[str]:
        """The command line of the zygote."""
        settings = {
            "folder": str(self.folder),
            "name": self.name,
            "preload": self.preload,
            "idle_s": self.idle_s,
            "kernels": self.kernels,
            # room for the command line of a kernel, which ps is shown
            "for": " " * 200,
        }
        return [self.python, str(self.launcher.with_name("zygote.py")), json.dumps(settings)]

    def path(self, kind: str) -> Path:
        """The zygote's file: sock, json (facts), log or lock."""
        return self.folder / f"{self.name}.{kind}"

    def facts(self) -> dict[str, Any] | None:
        """What the zygote says of itself (see `himalia.zygote`), or None."""
        return read_facts(self.path("json"))

    def _connect(self) -> socket.socket:
        self._check_folder()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self.path("sock")))
            if wire.peer_uid(connection) != os.getuid():
                raise Refused(f"{self.path('sock')} belongs to another user")
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            raise self._absent() from error
        except OSError as error:
            connection.close()
            raise Refused(f"the zygote's socket does not answer ({error})", startable=True) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_folder(self) -> None:
        try:
            status = os.lstat(self.folder)
        except OSError as error:
            raise Refused(f"the folder of zygotes is not there ({self.folder})") from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise Refused(f"{self.folder} is open to other users")

    def _absent(self) -> Refused:
        """Why no zygote listens, and whether to start one."""
        facts = self.facts() or {}
        state = facts.get("state")
        if state == "refused":
            changed = any(_changed(path) != when for path, when in facts.get("stamp", {}).items())
            return Refused(str(facts.get("refused")), startable=changed)
        if state == "starting" and alive(facts.get("pid")):
            return Refused("its zygote is still importing")
        if state == "starting" and time.time() - facts.get("started_at", 0.0) < AGAIN_SECONDS:
            return Refused(f"its zygote ended while it imported; see {self.path('log')}")
        return Refused("no zygote of its environment runs yet", startable=True)

    def _asked(
        self,
        connection: socket.socket,
        run: str,
        argv: Sequence[str],
        stdout: int,
        stderr: int,
        env: Mapping[str, str],
        cwd: str,
        independent: bool,
        sweep: bool,
    ) -> ForkedProcess:
        """Ask; returns the process, which waits for its request."""
        # where a kernel finds modules of its user's
        look = [folder for folder in [*env.get("HIMALIA_PATH", "").split(os.pathsep), cwd] if folder and self.kernels]
        descriptors = {"stdout": stdout, "stderr": stderr}
        parent = None
        if not independent:
            parent = descriptors["parent"] = os.pidfd_open(os.getpid())
        try:
            head = {"run": run, "look": look, "sweep": sweep, "descriptors": list(descriptors)}
            wire.send(connection, head, list(descriptors.values()))
        finally:
            if parent is not None:
                os.close(parent)
        answer, received = wire.receive(connection)
        if "refused" in answer:
            raise Refused(str(answer["refused"]), startable=bool(answer.get("stale")))
        (pidfd,) = received
        return ForkedProcess(int(answer["pid"]), pidfd, connection, list(argv))

    def _becomes(
        self, connection: socket.socket, process: ForkedProcess, request: dict[str, Any], deadline: float
    ) -> None:
        """Give the process its request and see that it has bound its sockets."""
        wire.send(connection, request)
        while True:
            connection.settimeout(max(0.05, deadline - time.monotonic()))
            answer, _ = wire.receive(connection)
            if "refused" in answer:
                raise Refused(str(answer["refused"]))
            if "exit" in answer or "leaving" in answer:
                raise Refused("the forked process ended at once")
            if "bound" in answer:
                return
            deadline = time.monotonic() + BOUND_SECONDS


def zygote_for(
    folder: Path,
    *,
    python: str,
    launcher: Path,
    preload: Sequence[str] | None,
    key: str,
    env: Mapping[str, str],
    idle_s: float = IDLE_SECONDS,
    kernels: bool = True,
) -> Zygote:
    """The zygote for kernels that *python* would start with *launcher* and *env*; not *kernels*: for modules.

    *preload* None: DEFAULT_PRELOAD. *key* changes when the environment does. Raises Refused where this system, or an
    empty preload list, has no zygotes.
    """
    if reason := unsupported():
        raise Refused(reason)
    modules = tuple(DEFAULT_PRELOAD if preload is None else preload)
    if not modules:
        raise Refused("the project preloads nothing")
    environment = zygote_environment(env)
    keyed = {name: value for name, value in environment.items() if name not in UNKEYED}
    script = launcher.resolve()
    parts = [python, str(script), modules, key, keyed, confinement(), kernels]
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return Zygote(folder, name, python, script, modules, environment, idle_s, kernels)


def unsupported() -> str | None:
    """Why there are no zygotes on this system, or None."""
    if sys.platform != "linux":
        return "kernels are forked on Linux only"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return f"this system has no pidfd ({error})"
    return None


def zygote_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The part of a kernel's environment that its zygote is started with: what imports may depend on, no secret."""
    return {
        name: value
        for name, value in env.items()
        if (name in PASSED or matches(name, PASSED_PATTERNS)) and not (matches(name, NEVER) or SECRET.search(name))
    }


def confinement() -> list[str]:
    """What confines this process and cannot be changed in a child: account, capabilities, namespaces, root folder."""
    status = Path("/proc/self/status").read_text("utf-8", "replace")
    lines = [line for line in status.splitlines() if line.partition(":")[0] in CONFINED]
    spaces = [str(path.readlink()) for path in sorted(Path("/proc/self/ns").iterdir()) if path.name in NAMESPACES]
    root = Path("/").stat()
    return [*lines, *spaces, f"{root.st_dev}:{root.st_ino}"]


def surroundings(
    rlimits: Mapping[str, tuple[int, int]], affinity: Sequence[int] | None, limit_folders: Sequence[Path]
) -> dict[str, Any]:
    """What an ordinary child would inherit from this process, further held by what is given."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    mask = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text("utf-8", "replace"), re.MULTILINE)
    return {
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in names} | dict(rlimits),
        "umask": int(mask[1], 8) if mask else 0o077,
        "affinity": sorted(os.sched_getaffinity(0) if affinity is None else affinity),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text("ascii")),
        "control_groups": {line: str(folder) for line, folder in control_groups().items()},
        "limit_folders": [str(folder) for folder in limit_folders],
    }


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
