"""A PostgreSQL server of the tests' own: on a unix socket, in a folder that goes with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests import system
from tests.waiting import wait_until

ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this account."""


class Postgresql:
    """A running server. `database()` makes a new, empty database and returns its URL."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process = folder, process
        self._numbers = count(1)

    def database(self) -> str:
        """The URL of a new database."""
        name = f"d{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{ACCOUNT}@/{name}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement."""
        with psycopg.connect(host=str(self.folder), user=ACCOUNT, dbname=database, autocommit=True) as connection:
            connection.execute(statement.encode())


def binaries() -> Path:
    """The folder of PostgreSQL's programs, of the newest version installed; installed when there is none.

    Raises:
        RuntimeError: it is not there and cannot be installed.
    """
    found = system.find_or_install("PostgreSQL", _find, ["postgresql"], elsewhere="macOS: brew install postgresql")
    return Path(found).parent


def _find() -> str | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    return str(versions[-1]) if versions else shutil.which("postgres")


@contextmanager
def running_postgresql() -> Iterator[Postgresql]:
    """A server that ends with this process, however that ends."""
    programs = binaries()
    # not below TMPDIR, which may be closed to the server's account
    folder = Path(tempfile.mkdtemp(prefix="hm-pg-", dir="/tmp"))
    become: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT, ACCOUNT)
        become = [f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"]
    data = folder / "data"
    subprocess.run(
        [
            "setpriv",
            *become,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            ACCOUNT,
            "-A",
            "trust",
            "-N",
            "--no-sync",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    settings = ["listen_addresses=", "fsync=off", "max_connections=300", "shared_buffers=64MB"]
    options = [word for setting in settings for word in ("-c", setting)]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            "setpriv",
            *become,
            "--pdeathsig=QUIT",
            str(programs / "postgres"),
            "-D",
            str(data),
            "-k",
            str(folder),
            *options,
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )
    server = Postgresql(folder, process)
    try:
        wait_until(lambda: _answers(server), 60, "PostgreSQL")
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown
        process.wait(60)
        log.close()
        shutil.rmtree(folder)


def _answers(server: Postgresql) -> bool:
    assert server.process.poll() is None, (server.folder / "log").read_text()
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
