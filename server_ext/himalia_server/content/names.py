"""How content is named, and what can be wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as escaped
from operator import itemgetter
from pathlib import PurePosixPath

FILE, FOLDER = "sha256:", "tree:sha256:"
_DIGEST = re.compile(r"(?:tree:)?sha256:([0-9a-f]{64})")
_first = itemgetter(0)
_PLAIN_NAME = re.compile(r"[^/\\\0.][^/\\\0]*(?:/[^/\\\0.][^/\\\0]*)*")


class MissingContent(LookupError):
    """An object is not in the store, or no longer what its name says."""


class UnfitContent(ValueError):
    """Something that cannot be kept by content, or a place where nothing can be put; the text names the path."""


class Cancelled(RuntimeError):
    """The caller did not want the rest."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file or folder. `size` in bytes, of a folder that of all its files."""

    digest: str
    size: int


def is_tree(digest: str) -> bool:
    """Whether a digest names a folder (`tree:sha256:…`) and not the bytes of a file (`sha256:…`)."""
    return digest.startswith(FOLDER)


def as_tree(digest: str) -> str:
    """The name of the folder that a tree object lists, from that object's own digest (what `put_tree` returns)."""
    return digest if is_tree(digest) else f"tree:{digest}"


def hex_of(digest: str) -> str:
    """The 64 digits of the object that a digest names; of a folder's, the object that lists its files.

    Raises:
        ValueError: not a digest of ours.
    """
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise ValueError(f"{digest!r} is not a digest")
    return found[1]


def checked(name: str) -> str:
    """A relative POSIX path that stays below its folder.

    Raises:
        ValueError: it does not.
    """
    if _PLAIN_NAME.fullmatch(name):  # nearly all of them, and ten times as quick
        return name
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise ValueError(f"{name!r} is not a relative path inside the project")
    return name


def tree_bytes(files: Mapping[str, FileEntry]) -> bytes:
    """The bytes of a tree object: each relative path with digest and size, in the order of the paths.

    Raises:
        ValueError: a path leaves its folder, or a digest is none.
    """
    for name, entry in files.items():
        checked(name)
        hex_of(entry.digest)
    return listed(files)


def listed(files: Mapping[str, FileEntry]) -> bytes:
    """As `tree_bytes`, of paths and digests that are known to be good. JSON without spaces, in ASCII."""
    # three times as quick as json.dumps of so many small objects; a digest has nothing to escape
    lines = (
        f'{escaped(name)}:{{"digest":"{e.digest}","size":{e.size}}}' for name, e in sorted(files.items(), key=_first)
    )
    return f'{{"files":{{{",".join(lines)}}}}}'.encode()


def parsed_tree(data: bytes) -> dict[str, FileEntry]:
    """What `tree_bytes` wrote.

    Raises:
        ValueError: it did not write that.
    """
    try:
        return {checked(name): FileEntry(**entry) for name, entry in json.loads(data)["files"].items()}
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("not a list of files") from error
