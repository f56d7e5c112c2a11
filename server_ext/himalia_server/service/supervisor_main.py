"""The supervisor: a tiny process around one child. Standard library only; run as a script with `-I -S`.

It leads a session of its own, owns the child's log file, waits for the child and writes its exit record atomically.
It outlives the service that started it. When the child ends, whatever the child left running is killed. When the
supervisor itself is killed, the kernel of the operating system kills the child (Linux).

Usage: supervisor_main.py FOLDER, where FOLDER/spec.json holds argv, env, cwd, log, log_bytes, nice, umask, grace.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
RECORD_BYTES = 4096
NOT_WRITTEN = 74
"""Exit code (EX_IOERR of sysexits.h) when our own files cannot be written."""
LINUX = sys.platform.startswith("linux")


def prctl(option: int, value: int) -> None:
    """Linux's prctl; elsewhere nothing."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def ticks(pid: int) -> str:
    """Start time of *pid* in clock ticks since boot; empty where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def write_json(path: str, data: object) -> None:
    """Atomic and durable, readable by the owner only."""
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def reserve(path: str) -> None:
    """Take the room that the record at *path* will need, while there is some: an end is told on a full disk too."""
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(" " * RECORD_BYTES)
        file.flush()
        os.fsync(file.fileno())


def write_reserved(path: str, data: object) -> None:
    """Like `write_json`, in the room that `reserve` took."""
    with open(os.open(path + ".new", os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        file.write(json.dumps(data).encode().ljust(RECORD_BYTES))
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def descendants(pid: int) -> list[int]:
    """All living descendants of *pid* (Linux)."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def kill_rest(group: int) -> None:
    """Kill what is left of the child's group and of its orphans, and reap them."""
    for _ in range(50):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        rest = descendants(os.getpid())
        for pid in rest:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if not rest:
            return
        time.sleep(0.02)


def rotate(path: str, limit: int) -> None:
    """Keep one older part of a log that grew past *limit* bytes. Writers append, so truncating loses no place."""
    if limit and os.path.exists(path) and os.path.getsize(path) > limit:
        with (
            open(path, "rb") as source,
            open(os.open(path + ".1", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as old,
        ):
            while block := source.read(1 << 20):
                old.write(block)
        os.truncate(path, 0)


def main(folder: str) -> None:
    """Run the child of *folder* to its end."""
    with open(os.path.join(folder, "spec.json")) as file:
        spec = json.load(file)
    # held as long as we live: says that this folder has a supervisor even before supervisor.json does
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if LINUX:
        with open("/proc/sys/kernel/random/boot_id") as file:
            me = {"boot": file.read().strip(), "pid": os.getpid(), "ticks": ticks(os.getpid())}
        write_json(os.path.join(folder, "supervisor.json"), me)
    record_file = os.path.join(folder, "exit.json")
    reserve(record_file)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    asked: list[int] = []
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    parent = os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.umask(spec["umask"])
        if spec["nice"]:
            os.nice(spec["nice"])

    began = time.time()
    try:
        child = subprocess.Popen(
            spec["argv"],
            env=spec["env"],
            cwd=spec["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=before_exec,
        )
    except OSError as error:
        write_reserved(record_file, {"code": 127, "signal": None, "error": str(error), "ended_at": time.time()})
        return
    write_json(os.path.join(folder, "state.json"), {"pid": child.pid, "ticks": ticks(child.pid), "started_at": began})
    kill_at = None
    while child.poll() is None:
        if asked and kill_at is None:
            kill_at = time.monotonic() + spec["grace"]
            child.send_signal(signal.SIGTERM)
        if kill_at is not None and time.monotonic() > kill_at:
            os.killpg(child.pid, signal.SIGKILL)
        select.select([wake_read], [], [], 30 if kill_at is None else 0.1)
        try:
            while os.read(wake_read, 512):
                pass
        except BlockingIOError:
            pass
        rotate(spec["log"], spec["log_bytes"])
    code = child.returncode
    kill_rest(child.pid)
    record = {"code": code if code >= 0 else None, "signal": -code if code < 0 else None, "error": None}
    write_reserved(record_file, record | {"asked": bool(asked), "ended_at": time.time()})


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as fault:  # the disk is full, or the folder is gone; the child ends with us
        sys.stderr.write(f"{fault}\n")
        sys.exit(NOT_WRITTEN)
