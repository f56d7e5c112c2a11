"""An exclusive lock between processes, freed by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockTimeout(RuntimeError):
    """Another process held the lock for longer than the caller would wait."""


def try_lock(path: Path) -> int | None:
    """Take the lock at once; the open file descriptor holds it. None when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def acquire(path: Path, timeout: float) -> int:
    """Take the lock, waiting at most *timeout* seconds; the open file descriptor holds it.

    Raises:
        LockTimeout: somebody else kept it.
    """
    deadline = time.monotonic() + timeout
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise LockTimeout(f"{path} is locked by another process for more than {timeout:g} s.")
        time.sleep(0.02)
    return descriptor


@contextmanager
def exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock for the block; see `acquire`."""
    descriptor = acquire(path, timeout)
    try:
        yield
    finally:
        os.close(descriptor)
