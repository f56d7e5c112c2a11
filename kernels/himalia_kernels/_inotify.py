"""Tells which files of a folder any process of this host has read (Linux's inotify)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

IN_CLOSE_NOWRITE, IN_MOVED_FROM = 0x10, 0x40  # linux/inotify.h
IN_Q_OVERFLOW, IN_ISDIR, IN_ONLYDIR, IN_DONT_FOLLOW = 0x4000, 0x40000000, 0x01000000, 0x02000000
READ = IN_CLOSE_NOWRITE | IN_MOVED_FROM
HEAD = struct.Struct("iIII")
BUFFER = 1 << 18


class Unsupported(Exception):
    """The folders cannot be watched; the message says why."""


class ReadWatch:
    """Watches *folders* (not those below them) from its making to :meth:`finish`. Raises Unsupported.

    A file counts as read when it was opened for nothing else, or moved away. The compiled form of a module that is
    made meanwhile is not seen, but then its source was.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        if sys.platform != "linux":
            raise Unsupported("files are watched on Linux only")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._queue < 0:
            raise Unsupported(os.strerror(ctypes.get_errno()))
        self._folders: dict[int, Path] = {}
        self._files: set[Path] = set()
        self._complete = True
        self._ended, self._end = os.pipe2(os.O_CLOEXEC)
        try:
            for folder in folders:
                self._add(folder)
        except Unsupported:
            self._close()
            raise
        self._thread = threading.Thread(target=self._run, name="himalia-reads", daemon=True)
        self._thread.start()

    def finish(self) -> tuple[set[Path], bool]:
        """Stop; returns the files that were read, and whether none can be missing."""
        os.write(self._end, b".")
        self._thread.join()
        self._close()
        return self._files, self._complete

    def _add(self, folder: Path) -> None:
        mask = READ | IN_ONLYDIR | IN_DONT_FOLLOW
        watch = self._libc.inotify_add_watch(self._queue, os.fsencode(folder), ctypes.c_uint32(mask))
        if watch < 0:
            raise Unsupported(f"{folder} cannot be watched: {os.strerror(ctypes.get_errno())}")
        self._folders[watch] = folder

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._queue, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            self._drain()
            if self._ended in ready:
                self._drain()
                return

    def _drain(self) -> None:
        while True:
            try:
                block = os.read(self._queue, BUFFER)
            except BlockingIOError:
                return
            at = 0
            while at < len(block):
                watch, mask, _, length = HEAD.unpack_from(block, at)
                name = block[at + HEAD.size : at + HEAD.size + length].rstrip(b"\0")
                at += HEAD.size + length
                if mask & IN_Q_OVERFLOW:
                    self._complete = False
                elif mask & READ and not mask & IN_ISDIR and name and watch in self._folders:
                    self._files.add(self._folders[watch] / os.fsdecode(name))
                elif mask & IN_MOVED_FROM and mask & IN_ISDIR:
                    self._complete = False  # its files are another's from now on

    def _close(self) -> None:
        for descriptor in (self._queue, self._ended, self._end):
            with contextlib.suppress(OSError):
                os.close(descriptor)
