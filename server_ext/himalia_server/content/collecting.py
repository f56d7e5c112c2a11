"""Removing objects that nothing refers to any more."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .names import FILE, hex_of, is_tree
from .objects import Objects

_LISTED = re.compile(rb'"digest":"(tree:)?sha256:([0-9a-f]{64})"')
_SHARD = re.compile("[0-9a-f]{2}")
_LIST_BEGINS = b'{"files":{'
REST_EVERY, REST_SECONDS = 500, 0.0005
"""Objects after which other threads get their turn, and for how long."""


class CollectRefused(RuntimeError):
    """Nothing was removed: something needs the store as it is; the text says what."""


@dataclass(frozen=True)
class Collected:
    """What was removed (or would be), what was kept, in objects and bytes; live digests that are not in the store."""

    objects: int
    bytes: int
    kept_objects: int
    kept_bytes: int
    missing: tuple[str, ...] = ()


@contextmanager
def holding(root: Path) -> Iterator[None]:
    """While the block runs, nothing is collected from the store below *root*. For any process; any number at once.

    Waits for a collection that goes on.
    """
    folder = root / "objects"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def collect(objects: Objects, live: Iterable[str], *, older_than_s: float, dry_run: bool) -> Collected:
    """Remove objects that are neither *live* nor listed by what is, and were not put in the last *older_than_s*.

    *live*: digests of files and folders (`tree:sha256:…`). A plain digest may also be a snapshot's (`put_tree`): one
    whose object reads as a list of files keeps these too. So neither kind must be told apart; `as_tree` does it where
    that is known. It is read after the clock was: give an iterator that asks the database only then, and whatever is
    committed while this runs is kept, if it was put, taken or renewed within *older_than_s* of its commit. An hour is
    much; a second is too short.

    May be killed at any point: what is left is a good store. Other threads work on meanwhile.

    Raises:
        CollectRefused: a backup is being made, or another collection goes on.
        ValueError: one of *live* is not a digest.
    """
    with objects.lock:
        before = objects.ages.now(older_than_s) - older_than_s
    if dry_run:
        return _sweep(objects, live, before, dry_run=True)
    descriptor = os.open(objects.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CollectRefused(
                "Nothing was removed from the content store: a backup is being made, or it is being tidied already. "
                "Try again when that has ended."
            ) from None
        return _sweep(objects, live, before, dry_run=False)
    finally:
        os.close(descriptor)


def _sweep(objects: Objects, live: Iterable[str], before: float, *, dry_run: bool) -> Collected:
    wanted = _closure(objects, live)
    removed = removed_bytes = kept = kept_bytes = looked = 0
    for shard in sorted(name for name in os.listdir(objects.folder) if _SHARD.fullmatch(name)):
        with os.scandir(objects.folder / shard) as entries:
            for entry in entries:
                name = _name(shard + entry.name)
                if name is None:
                    continue
                looked += 1
                if looked % REST_EVERY == 0:
                    time.sleep(REST_SECONDS)
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # found damaged and removed just now
                    continue
                size: int | None = None
                is_live = name in wanted
                wanted.discard(name)
                if not is_live and status.st_ctime < before:
                    size = status.st_size if dry_run else objects.remove_old(entry.path, before)
                if size is None:
                    kept, kept_bytes = kept + 1, kept_bytes + status.st_size
                else:
                    removed, removed_bytes = removed + 1, removed_bytes + size
    # what was put since the folder was read is no loss
    missing = sorted(digest for digest in (FILE + name.hex() for name in wanted) if not _is_here(objects, digest))
    return Collected(removed, removed_bytes, kept, kept_bytes, tuple(missing))


def _is_here(objects: Objects, digest: str) -> bool:
    return os.path.exists(objects.place(digest))


def _name(text: str) -> bytes | None:
    """The 32 bytes that an object is named by; None for what is no object."""
    try:
        name = bytes.fromhex(text)
    except ValueError:
        return None
    return name if len(name) == 32 and name.hex() == text else None


def _closure(objects: Objects, live: Iterable[str]) -> set[bytes]:
    """Names of all objects that *live* needs."""
    wanted: set[bytes] = set()
    lists: set[bytes] = set()
    for looked, digest in enumerate(live):
        if looked % REST_EVERY == 0:
            time.sleep(REST_SECONDS)
        name = bytes.fromhex(hex_of(digest))
        wanted.add(name)
        if name in lists:
            continue
        waiting = [(name, is_tree(digest))]
        while waiting:
            name, known_as_list = waiting.pop()
            if name in lists:
                continue
            for nested, listed in _listed(objects, name, known_as_list):
                wanted.add(listed)
                if nested:
                    waiting.append((listed, True))
            lists.add(name)
    return wanted


def _listed(objects: Objects, name: bytes, known_as_list: bool) -> Iterator[tuple[bool, bytes]]:
    """Whether a folder, and name, of each thing that an object lists; nothing for one that is no list."""
    try:
        with open(objects.place(FILE + name.hex()), "rb") as file:
            begin = file.read(len(_LIST_BEGINS))
            if begin != _LIST_BEGINS and not known_as_list:
                return
            data = begin + file.read()
    except FileNotFoundError:
        return
    for looked, found in enumerate(_LISTED.finditer(data), 1):
        if looked % REST_EVERY == 0:
            time.sleep(REST_SECONDS)
        yield found[1] is not None, bytes.fromhex(found[2].decode())
