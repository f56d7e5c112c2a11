"""The digest of a folder of files, as used for saved models. Standard library only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def tree_digest(path: Path) -> str:
    """Return ``"sha256:<hex>"`` over the files below *path*.

    The digest is the sha256 of the concatenation, in the order of the sorted relative POSIX paths, of
    ``<path>\\0<sha256 of the file, hex>\\n`` in UTF-8. Times, modes and empty folders do not count.
    ``__pycache__`` folders are left out: Python writes them while a model's own code is imported.

    Raises NotADirectoryError when *path* is no folder, and ValueError for a link to a folder or for
    anything that is not a regular file, since its content could not be part of the digest.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder, so it has no tree digest")
    total = hashlib.sha256()
    for relative, file in sorted(_files(path)):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{relative}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def _files(root: Path) -> list[tuple[str, Path]]:
    """Return (relative POSIX path, path) of every file below *root*."""
    found: list[tuple[str, Path]] = []
    for folder, subfolders, names in os.walk(root, onerror=_fail):
        here = Path(folder)
        subfolders[:] = [name for name in subfolders if name != "__pycache__"]
        for name in subfolders:
            if (here / name).is_symlink():
                raise ValueError(f"{here / name} is a link to a folder; copy the folder instead")
        for name in names:
            file = here / name
            if not file.is_file():
                raise ValueError(f"{file} is not a regular file, so it cannot be part of a digest")
            found.append((file.relative_to(root).as_posix(), file))
    return found


def _fail(error: OSError) -> None:
    raise error
