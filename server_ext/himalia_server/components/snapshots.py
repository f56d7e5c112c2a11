"""Trees of the content store laid out to import from: one folder a digest, made once, looked at before each use."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from ..content import ContentStore, FileEntry, digest_of

READ_ONLY = 0o444


class Snapshots:
    """Folders below *root*, named by digest. Their files are read-only, and put right again when somebody changed them.

    A guard-rail: all runs as one account, which can change what it owns.
    """

    def __init__(self, content: ContentStore, root: Path) -> None:
        self.content, self.root = content, root
        self._lock = threading.Lock()

    def folder(self, digest: str) -> Path:
        """Where the tree *digest* lies.

        Raises:
            MissingContent: it, or a file of it, is not in the content store.
        """
        target = self.root / digest.removeprefix("sha256:")
        files = self.content.tree(digest)
        with self._lock:
            if not _whole(target, files):
                self._lay_out(files, target)
            os.utime(target)  # when it was last asked for
        return target

    def parts(self, digest: str) -> list[Path]:
        """The folders of a tree that `numbered` made, in their order."""
        folder = self.folder(digest)
        return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))

    def collect(self, kept: Collection[str], before: float) -> list[str]:
        """Remove folders that were last asked for *before* that moment (seconds since the epoch), but none of *kept*.

        Returns: the digests of what was removed.
        """
        removed = []
        with self._lock:
            for path in self.root.iterdir() if self.root.is_dir() else ():
                digest = f"sha256:{path.name}"
                if not path.is_dir() or digest in kept or path.stat().st_mtime >= before:
                    continue
                path.rename(self.root / f".{secrets.token_hex(8)}")  # whoever looks now finds nothing, not a half
                removed.append(digest)
            self._sweep()
        return removed

    def _sweep(self) -> None:
        for left in self.root.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)

    def _lay_out(self, files: Mapping[str, FileEntry], target: Path) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.root / f".{secrets.token_hex(8)}"
        try:
            for name, entry in files.items():
                self.content.materialise(entry.digest, draft / name, verify=True)
                (draft / name).chmod(READ_ONLY)
            draft.mkdir(exist_ok=True)
            if target.exists():
                target.rename(self.root / f".{secrets.token_hex(8)}")
            draft.rename(target)
        finally:
            self._sweep()


def numbered(parts: list[Mapping[str, FileEntry]]) -> dict[str, FileEntry]:
    """One tree of several, each below its number."""
    return {f"{place}/{name}": entry for place, files in enumerate(parts) for name, entry in files.items()}


def _whole(folder: Path, files: Mapping[str, FileEntry]) -> bool:
    """Whether exactly these files are in *folder*, but for what Python compiles."""
    if not folder.is_dir():
        return False
    found = set()
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(root, name)
            relative = path.relative_to(folder).as_posix()
            entry = files.get(relative)
            if entry is None or path.is_symlink() or digest_of(path) != entry.digest:
                return False
            found.add(relative)
    return found == set(files)
