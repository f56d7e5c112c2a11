"""Bounded waits and short temporary folders, shared by all tests."""

from __future__ import annotations

import shutil
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


@contextmanager
def short_dir() -> Iterator[Path]:
    """A private folder with a path short enough for unix sockets (their limit is about 100 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="hm-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
