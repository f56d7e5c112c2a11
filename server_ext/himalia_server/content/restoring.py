"""Making files and folders out of objects."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .files import SMALL, Tick, copy_rest, draft_beside, hash_rest, share
from .folders import Found
from .names import FileEntry, MissingContent, UnfitContent, checked, hex_of, is_tree
from .objects import HARD_LINK_FAULTS, MODE, Objects
from .spreading import spread

LINK_BYTES = 1 << 20
"""Copying less than that is as quick as everything that a hard link asks for afterwards."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A hard link to an object at *target*, and the object's state when it was made. Plain values, to be stored."""

    digest: str
    target: str
    device: int
    inode: int
    size: int
    mtime_ns: int


class Restoring:
    """One call of `ContentStore.materialise`."""

    def __init__(
        self,
        objects: Objects,
        tree: Callable[[str], dict[str, FileEntry]],
        known: Callable[[Sequence[Found]], Sequence[FileEntry | None]] | None,
        verify: bool,
        writable: bool,
        may_link: bool,
    ) -> None:
        """*known*: digests of files that lie there already; with it, a folder becomes exactly the tree."""
        self._objects, self._tree, self._known = objects, tree, known
        self._verify, self._may_link = verify, may_link
        self._mode = 0o644 if writable else 0o444
        self._links: list[Linked] = []

    def run(self, digest: str, target: str) -> list[Linked]:
        """Make *target*. Returns: the hard links that were made."""
        if not is_tree(digest):
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            self._file(digest, target, None)
            return self._links
        files: dict[str, FileEntry] = {}
        folders = {""}
        self._list(digest, "", files, folders)
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        if self._known and os.path.isdir(target) and not os.path.islink(target):
            _clear(target, "", files, folders, everything=False)
        for folder in sorted(folders):
            _make_folder(f"{target}/{folder}".rstrip("/"))
        missing = self._wrong(target, files) if self._known else list(files)

        def work(index: int, _tick: Tick) -> None:
            entry = files[missing[index]]
            self._file(entry.digest, f"{target}/{missing[index]}", entry.size)

        spread([files[name].size for name in missing], work)
        if self._known:
            _clear(target, "", files, folders, everything=True)
        return self._links

    def _wrong(self, target: str, files: Mapping[str, FileEntry]) -> list[str]:
        """The names of those that do not lie there already as files of their own."""
        found = {}
        for name in files:
            try:
                status = os.lstat(f"{target}/{name}")
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                found[name] = Found(f"{target}/{name}", status)
        entries = self._known(list(found.values())) if self._known else ()
        right = {name for name, entry in zip(found, entries, strict=True) if entry == files[name]}
        return [name for name in files if name not in right]

    def _list(self, digest: str, prefix: str, files: dict[str, FileEntry], folders: set[str]) -> None:
        """All files of a folder, those of folders in it too."""
        for name, entry in self._tree(digest).items():
            place = prefix + checked(name)
            parent = place if is_tree(entry.digest) else os.path.dirname(place)
            while parent not in folders:
                folders.add(parent)
                parent = os.path.dirname(parent)
            if is_tree(entry.digest):
                self._list(entry.digest, place + "/", files, folders)
            else:
                files[place] = entry

    def _file(self, digest: str, target: str, size: int | None) -> None:
        """One file. *size*: what it must have in bytes."""
        path = self._objects.place(digest)
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise MissingContent(f"{digest} is not in the content store.") from None
        draft = draft_beside(target)
        try:
            status = os.fstat(source)
            if size is not None and status.st_size != size:
                self._objects.remove_damaged(digest, status)
            if not (
                self._may_link and status.st_size >= LINK_BYTES and self._link(digest, path, source, draft, target)
            ):
                self._copy(digest, source, status, draft)
                os.replace(draft, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            raise
        finally:
            os.close(source)

    def _copy(self, digest: str, source: int, status: os.stat_result, draft: str) -> None:
        copy = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            shared = status.st_size > SMALL and share(source, copy)
            if self._verify:
                self._check(digest, status, hash_rest(source, copy=None if shared else copy)[0])
            elif not shared:
                copy_rest(source, copy, status.st_size)
            os.fchmod(copy, self._mode)
        finally:
            os.close(copy)

    def _link(self, digest: str, path: str, source: int, draft: str, target: str) -> bool:
        status = os.fstat(source)
        if self._verify:
            self._check(digest, status, hash_rest(source)[0])
            os.lseek(source, 0, os.SEEK_SET)
        try:
            os.link(path, draft)
        except FileNotFoundError:
            raise MissingContent(f"{digest} is not in the content store.") from None
        except OSError as error:
            if error.errno in HARD_LINK_FAULTS:
                return False
            raise
        made = os.stat(draft)
        os.replace(draft, target)
        # renaming does nothing when both are the same file already
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        self._links.append(Linked(digest, target, made.st_dev, made.st_ino, made.st_size, made.st_mtime_ns))
        return True

    def _check(self, digest: str, status: os.stat_result, found: str) -> None:
        if hex_of(found) != hex_of(digest):
            self._objects.remove_damaged(digest, status)


def is_changed(objects: Objects, link: Linked) -> bool:
    """Whether an object is no longer what it was when it was linked; if so, it is removed."""
    path = objects.place(link.digest)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return True  # who found it changed before has removed it
    if (status.st_dev, status.st_ino) != (link.device, link.inode):
        return True  # and somebody has put it anew
    if (status.st_size, status.st_mtime_ns) != (link.size, link.mtime_ns):
        try:
            objects.verify(link.digest)  # only its time may have been set
        except MissingContent:
            return True
    if stat.S_IMODE(status.st_mode) != MODE:
        objects.renew(link.digest)
    return False


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        # never through a link: it may leave the project
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise UnfitContent(f"{path} is in the way: a folder must be there.") from None


def _clear(folder: str, prefix: str, files: Mapping[str, FileEntry], folders: set[str], *, everything: bool) -> None:
    """Remove what is in the way of *files* and *folders*; with *everything* all else too. Follows no links."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if name in folders:
                _clear(entry.path, name + "/", files, folders, everything=everything)
            elif everything or name in files:
                shutil.rmtree(entry.path)
        elif name in folders or (everything and name not in files):
            os.unlink(entry.path)
