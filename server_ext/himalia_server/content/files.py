"""Reading, hashing and copying ordinary files."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from .names import FILE, UnfitContent

FICLONE = 0x40049409
"""Linux ioctl: share the blocks of another file, copied when one of them is written (linux/fs.h)."""
BLOCK = 1 << 18
SMALL = 1 << 16
"""Bytes that are read at once."""
DRAFT = re.compile(r"\.[0-9a-f]{16}\.himalia")
"""Names of files that are being written, to be renamed when they are whole."""
_STATE = struct.Struct("<QQQqq")
_UNSIGNED = (1 << 64) - 1
_NO_SHARING = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF}
_FULL = {errno.ENOSPC, errno.EDQUOT}

Tick = Callable[[int], None]
"""Told how many bytes more are done; may raise to end the work."""


def no_tick(_count: int) -> None:
    """Nobody wants to know."""


def digest_of(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with path.open("rb") as file:
        return FILE + hashlib.file_digest(file, "sha256").hexdigest()


def state_of(status: os.stat_result) -> bytes:
    """Device, inode, size, and times of the last change: equal as long as nobody wrote to the file."""
    return _STATE.pack(
        status.st_dev & _UNSIGNED, status.st_ino & _UNSIGNED, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def open_plain(path: str) -> int:
    """A descriptor to read an ordinary file by. Never waits, as opening a pipe would.

    Raises:
        UnfitContent: it is something else. OSError: it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnfitContent(f"{path} is not an ordinary file.")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was changed for something else meanwhile
        os.close(descriptor)
        raise UnfitContent(f"{path} is not an ordinary file.")
    return descriptor


def hash_rest(source: int, tick: Tick = no_tick, copy: int | None = None) -> tuple[str, int]:
    """Digest and number of bytes from where a descriptor is to its end. *copy*: written to on the way."""
    data = os.read(source, SMALL)
    sha, size = hashlib.sha256(data), len(data)
    if copy is not None:
        write_all(copy, data)
    if len(data) == SMALL:
        buffer = memoryview(bytearray(BLOCK))
        while count := os.readv(source, [buffer]):
            tick(count)
            sha.update(buffer[:count])
            if copy is not None:
                write_all(copy, buffer[:count])
            size += count
    return FILE + sha.hexdigest(), size


def write_all(target: int, data: bytes | memoryview) -> None:
    """Write, however many calls it takes."""
    left = memoryview(data)
    while left:
        left = left[os.write(target, left) :]


def share(source: int, target: int) -> bool:
    """Let *target* have the blocks of *source*; False when the file system cannot.

    Raises:
        OSError: the disk is full.
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def copy_rest(source: int, target: int, size: int) -> None:
    """Copy from where the descriptors are to the end: inside of the kernel where it can. *size*: expected bytes."""
    if size > SMALL and hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1 << 30):
                pass
        except OSError as error:
            if error.errno not in _NO_SHARING:
                raise
    # all of it, or what has come since; some kernels also say "end" for files that they cannot copy so
    while data := os.read(source, BLOCK):
        write_all(target, data)


def has_writers(descriptor: int) -> bool:
    """Whether some process has the file, open for reading here, open for writing. False where it cannot be known.

    A read lease is granted only when there is none (fcntl(2), F_SETLEASE; Linux, the owner's files).
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    # whoever opens it just now makes the kernel send us a signal: not SIGIO, which would end this process
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def draft_beside(target: str) -> str:
    """A new name in the same folder, that nobody can have put a link under; `DRAFT` tells such names."""
    return os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.himalia")
