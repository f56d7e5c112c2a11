"""A local content-addressed store. Objects are files named by their SHA-256; a tree is an object that lists files.

Layout: `objects/ab/cdef…` (0400). Safe for several threads: an object appears by rename, whole.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

FICLONE = 0x40049409
"""Linux ioctl: share the blocks of another file, copied when one of them is written (linux/fs.h)."""
BLOCK = 1 << 20


class MissingContent(LookupError):
    """An object is not in the store, or no longer what its name says."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a tree. `size` in bytes."""

    digest: str
    size: int


def digest_of(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


class ContentStore:
    """Puts files in and materialises them elsewhere, by reflink where the file system can, else by copy.

    Never by hard link: a stage that changes an input in place would change the store.
    """

    def __init__(self, root: Path) -> None:
        """The store below *root*, which one process at a time writes to."""
        self.objects = root / "objects"
        self.incoming = root / "incoming"
        for folder in (self.objects, self.incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # what a killed process had begun to write
        for left in self.incoming.iterdir():
            left.unlink()

    def path(self, digest: str) -> Path:
        """Where an object lies.

        Raises:
            ValueError: not a digest of ours.
            MissingContent: it is not here.
        """
        scheme, _, name = digest.partition(":")
        if scheme != "sha256" or len(name) != 64 or set(name) - set("0123456789abcdef"):
            raise ValueError(f"{digest!r} is not a digest")
        path = self.objects / name[:2] / name[2:]
        if not path.exists():
            raise MissingContent(f"{digest} is not in the content store.")
        return path

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their digest."""
        descriptor, name = self._draft()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            return self._adopt(Path(name), "sha256:" + hashlib.sha256(data).hexdigest())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def put_file(self, source: Path) -> FileEntry:
        """Store a file as it is at this moment; the digest is of the bytes stored, even if the source changes.

        Raises:
            OSError: it cannot be read, or the disk is full.
        """
        descriptor, name = self._draft()
        os.close(descriptor)
        copy = Path(name)
        try:
            _clone(source, copy)
            digest, size = digest_of(copy), copy.stat().st_size
            self._adopt(copy, digest)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return FileEntry(digest, size)

    def put_tree(self, files: dict[str, FileEntry]) -> str:
        """Store a list of files by relative POSIX path; returns the tree's digest."""
        for name in files:
            _checked(name)
        document = {"files": {name: asdict(files[name]) for name in sorted(files)}}
        return self.put_bytes(json.dumps(document, separators=(",", ":")).encode())

    def tree(self, digest: str) -> dict[str, FileEntry]:
        """The files of a tree.

        Raises:
            MissingContent: its list is not here, or damaged.
        """
        data = self.path(digest).read_bytes()
        try:
            return {name: FileEntry(**entry) for name, entry in json.loads(data)["files"].items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise MissingContent(f"{digest} is damaged in the content store.") from error

    def materialise(self, digest: str, target: Path, *, verify: bool = False) -> None:
        """Make *target* a private, writable copy of an object.

        Raises:
            MissingContent: not here, or (with *verify*) damaged.
        """
        source = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        _clone(source, target)
        target.chmod(0o644)
        if verify and digest_of(target) != digest:
            target.unlink()
            raise MissingContent(f"{digest} is damaged in the content store.")

    def _draft(self) -> tuple[int, str]:
        self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have removed it
        return tempfile.mkstemp(dir=self.incoming)

    def _adopt(self, temporary: Path, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        target = self.objects / name[:2] / name[2:]
        if target.exists():
            temporary.unlink()
            return digest
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.chmod(0o400)
        temporary.replace(target)
        return digest


def _checked(name: str) -> str:
    """A relative POSIX path that stays below its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"{name!r} is not a relative path inside the project")
    return name


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            # this file system cannot share blocks
            shutil.copyfileobj(reader, writer, BLOCK)
