"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace *path* by *text* in one step. *durable*: it is on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if mode != 0o600:  # as mkstemp makes them
            Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


ROOM = 1 << 20
"""Bytes; what is to be told at the end takes less."""


def keep_room(path: Path) -> None:
    """See that *path* can be written later, although the disk may be full then."""
    room = _room(path)
    room.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), room.open("wb") as file:  # full already: whoever starts to write is told
        file.write(b"\0" * ROOM)  # a hole would be no room


def use_room(path: Path) -> None:
    """Give back what `keep_room` has kept for *path*."""
    _room(path).unlink(missing_ok=True)


def _room(path: Path) -> Path:
    return path.with_name(f".{path.name}.room")
