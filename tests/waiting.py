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
    """Ask a Jupyter server to end (SIGTERM) until its *log* says that it has heard.

    Its handler writes to the log. A signal during another write of the log fails there ("reentrant call") and is
    forgotten; seen in 1 of 6,000 signals to a server that logs requests.
    """
    for _ in range(10):
        process.terminate()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if process.poll() is not None or "received signal 15, stopping" in log.read_text():
                return
            time.sleep(0.05)
    raise AssertionError(f"the Jupyter server does not hear SIGTERM\n{log.read_text()}")


@contextmanager
def short_dir() -> Iterator[Path]:
    """A private folder with a path short enough for unix sockets (their limit is about 100 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="hm-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
