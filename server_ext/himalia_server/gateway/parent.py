"""The gateway's parent process: listener, control socket, and the lives of worker and replicas.

It handles no request, so that there is little in it that could fail. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from himalia_server.gateway.config import Config, ConfigError, read_config
from himalia_server.gateway.control import ControlServer
from himalia_server.gateway.counts import Counts
from himalia_server.gateway.fleet import Fleet
from himalia_server.gateway.logs import Log
from himalia_server.gateway.worker_process import WorkerProcess

EXIT_UNAVAILABLE, EXIT_PORT_TAKEN, EXIT_CONFIG = 69, 75, 78
BACKLOG = 1024
END_SECONDS = 5.0


class StartError(Exception):
    """The gateway cannot start; the text is for a person, *code* is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Parent:
    """The loop. StartError when the configuration, the run folder or the port cannot be used."""

    def __init__(self, config_path: Path, run_dir: Path) -> None:
        self._log = Log("parent")
        self._config_path = config_path
        self._run_dir = run_dir
        self._config = _first_config(config_path)
        self._config_error: str | None = None
        self._lock = _take_run_dir(run_dir)
        self._listener = _listen(self._config.host, self._config.port)
        self._counts = Counts()
        self._control = ControlServer(run_dir / "control.sock", self.state, self._counts.total, self.reload)
        self._fleet = Fleet(run_dir, self._log)
        self._awaited: tuple[int, int] | None = None
        self._confirmed_version = 0
        self._apply(self._config)
        self._worker = WorkerProcess(self._listener, self._log)
        self._stopping_since: float | None = None
        self._changed = True
        self._wake, wake_write = os.pipe()
        for fd in (self._wake, wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._log.info("gateway listens", **self._address())

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        while True:
            now = time.monotonic()
            self._settle(now)
            if self._ended(now):
                break
            self._wait(now)
        self._control.close()
        self._log.info("gateway ended")
        return 0

    def state(self) -> dict[str, Any]:
        """What the control socket tells."""
        return {
            "pid": os.getpid(),
            "worker_pid": self._worker.pid,
            "config_version": self._confirmed_version,
            "config_error": self._config_error,
            "listen": self._address(),
            "deployments": self._fleet.state(),
        }

    def reload(self) -> None:
        """Read the configuration again; one that is invalid is refused, and the error told."""
        self._changed = True
        try:
            config = read_config(self._config_path)
            if (config.host, config.port) != (self._config.host, self._config.port):
                raise ConfigError("listen: host and port cannot change while the gateway runs; restart it")
        except ConfigError as error:
            self._config_error = str(error)
            self._log.error("new configuration refused", error=str(error))
            return
        self._config, self._config_error = config, None
        self._apply(config)
        self._log.info("configuration applied", version=config.version)

    def _apply(self, config: Config) -> None:
        """Hand a configuration over; its version is told when the worker has confirmed the next table."""
        self._fleet.apply(config)
        self._awaited = (self._fleet.sequence, config.version)

    def _address(self) -> dict[str, Any]:
        host, port = self._listener.getsockname()[:2] if self._listener.fileno() >= 0 else (None, None)
        return {"host": host, "port": port}

    def _settle(self, now: float) -> None:
        """Notice ended processes, start what is due, tell the worker and the clients what has changed."""
        self._fleet.reap(now)
        self._worker.watch(now)
        if self._worker.reap(now):
            self._fleet.worker_gone()
            self._changed = True
        if self._stopping_since is None or self._worker.running:
            self._fleet.tick(now)
        due = self._worker.wanted and not self._worker.running and now >= self._worker.next_start
        starts = due and self._worker.start(now)
        if self._worker.running and (self._fleet.dirty or starts):
            self._worker.send(self._fleet.routes())
        if self._fleet.dirty or self._changed or starts:
            self._fleet.dirty = self._changed = False
            self._control.push()

    def _wait(self, now: float) -> None:
        """Wait for the next event or time, and handle what has come."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._control.accepts:
            poll.register(self._control.listener, select.POLLIN)
        for fd, sends in self._control.sources():
            poll.register(fd, select.POLLIN | (select.POLLOUT if sends else 0))
        reports = self._fleet.status_fds()
        for fd in reports:
            poll.register(fd, select.POLLIN)
        link = self._worker.fd
        if link is not None:
            poll.register(link, select.POLLIN | (select.POLLOUT if self._worker.wants_to_send else 0))
        for fd, _ in poll.poll(self._milliseconds(now)):
            if fd == self._wake:
                self._signals(os.read(self._wake, 4096))
            elif fd == self._control.listener.fileno():
                self._control.accept()
            elif fd == link:
                self._hear_worker()
            elif fd in reports:
                self._fleet.read_reports(reports[fd], time.monotonic())
            else:
                self._control.serve(fd)

    def _milliseconds(self, now: float) -> float | None:
        times = [self._fleet.next_time(now)]
        if self._worker.wanted and not self._worker.running:
            times.append(max(0.0, self._worker.next_start - now))
        if self._worker.running:
            times.append(max(0.0, self._worker.next_ping - now))
        if not self._control.accepts:
            times.append(1.0)
        if self._stopping_since is not None:
            times.append(0.2)
        known = [item for item in times if item is not None]
        return min(known) * 1000 + 1 if known else None

    def _hear_worker(self) -> None:
        self._worker.flush()
        for message in self._worker.receive():
            if "pong" in message:
                continue
            if "counts" in message:
                self._counts.merge(message["counts"])
            elif "stuck" in message:
                self._fleet.kill(message["stuck"])
            else:
                self._fleet.used(message["sequence"], message["links"])
                if self._awaited is not None and message["sequence"] >= self._awaited[0]:
                    self._confirmed_version, self._awaited = self._awaited[1], None
                    self._changed = True

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGHUP in numbers:
            self.reload()
        if (signal.SIGTERM in numbers or signal.SIGINT in numbers) and self._stopping_since is None:
            self._log.info("gateway ends", drain_seconds=self._config.limits.drain_seconds)
            self._stopping_since = time.monotonic()
            self._worker.wanted = False
            self._listener.close()
            self._worker.send({"drain": self._config.limits.drain_seconds})

    def _ended(self, now: float) -> bool:
        """After SIGTERM: first the worker drains, then the replicas end."""
        if self._stopping_since is None:
            return False
        if self._worker.running:
            if now - self._stopping_since > self._config.limits.drain_seconds + END_SECONDS:
                self._worker.kill()
            return False
        self._fleet.stop_all(now)
        self._fleet.tick(now)
        return self._fleet.empty


def _first_config(path: Path) -> Config:
    try:
        return read_config(path)
    except ConfigError as error:
        raise StartError(f"The gateway's configuration cannot be used: {error}", EXIT_CONFIG) from error


def _take_run_dir(run_dir: Path) -> int:
    """Make the run folder private and ours alone, and remove what a killed gateway left in it."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if run_dir.stat().st_uid != os.getuid():
        raise StartError(f"The run folder {run_dir} belongs to another user.", EXIT_UNAVAILABLE)
    run_dir.chmod(0o700)
    if len(str(run_dir)) > 70:
        raise StartError(f"The path of the run folder {run_dir} is too long for sockets.", EXIT_UNAVAILABLE)
    lock = os.open(run_dir / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"Another gateway runs in {run_dir}; end it first."
        raise StartError(message, EXIT_UNAVAILABLE) from error
    for left in run_dir.glob("replica-*"):
        shutil.rmtree(left, ignore_errors=True)
    return lock


def _listen(host: str, port: int) -> socket.socket:
    """Bind the listener; StartError with exit code 75 when the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"The gateway cannot use the address {host}: {error}.", EXIT_UNAVAILABLE) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {port} on {host} is taken by another program, so predictions cannot be served there. "
                "End that program, or choose another port: [gateway] port in settings.toml."
            )
            raise StartError(message, EXIT_PORT_TAKEN) from error
        message = f"The gateway cannot listen on {host}:{port} ([gateway] port in settings.toml): {error}."
        raise StartError(message, EXIT_UNAVAILABLE) from error
    return listener


def main(argv: list[str] | None = None) -> int:
    """Run the gateway. Exit codes: 0 after SIGTERM; 75 port taken; 78 configuration; 69 anything else."""
    arguments = argparse.ArgumentParser(prog="himalia_server.gateway", description="Himalia's data plane")
    arguments.add_argument("--config", type=Path, required=True, help="configuration file (JSON)")
    arguments.add_argument("--run-dir", type=Path, required=True, help="folder for sockets, with a short path")
    given = arguments.parse_args(argv)
    try:
        parent = Parent(given.config.absolute(), given.run_dir.absolute())
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    with contextlib.suppress(KeyboardInterrupt):
        return parent.run()
    return 0
