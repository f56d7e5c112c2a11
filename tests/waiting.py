"""Bounded waits and short temporary folders, shared by all tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
HEARD = "received signal 15, stopping"


def wait_until(predicate: Callable[[], T], timeout: float, what: str) -> T:
    """Return the first truthy value of *predicate*; fail after *timeout* seconds, naming *what* was awaited."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last value: {value!r}")
        time.sleep(0.05)


def terminate_jupyter(process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask a Jupyter server to end (SIGTERM), again until its *log* says that it has heard. It may live on for a moment.

    Its handler writes to the log. A signal during another write of the log fails there ("reentrant call") and is
    forgotten; seen in 3 of 7,074 signals to a server that had just logged a request.
    """
    before = log.read_text().count(HEARD)  # by one that wrote to the same log
    for _ in range(10):
        process.terminate()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if process.poll() is not None or log.read_text().count(HEARD) > before:
                return
            time.sleep(0.05)


@contextmanager
def short_dir() -> Iterator[Path]:
    """A private folder with a path short enough for unix sockets (their limit is about 100 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="hm-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
