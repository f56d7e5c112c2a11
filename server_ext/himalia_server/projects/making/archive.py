"""A project as one file, and back. The same content makes the same bytes.

A zip whose first member, `himalia-project.json`, lists every other with size and SHA-256. Nothing of an archive is used
before all of it was checked, and nothing is written outside of the folder that it is unpacked to.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...content import digest_of
from ...service.problems import Invalid, StorageFull
from .contents import DATA_BYTES, contents_of
from .filling import Fill, Progress

FORMAT = 1
INDEX = "himalia-project.json"
ENDING = ".himalia.zip"
BLOCK = 1 << 20
INDEX_BYTES = 64 << 20
FILES = 200_000
RESERVE = 64 << 20
"""Bytes that an import leaves free on the disk."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can tell; files have no other, so that the same content makes the same bytes."""
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError, NotImplementedError, RecursionError
)  # fmt: skip
"""What reading an archive raises that is damaged, or was written by something else."""


@dataclass(frozen=True)
class Summary:
    """What an archive holds. `digest`: over the names, contents and modes of all files. `size`: bytes unpacked."""

    name: str
    digest: str
    files: int
    size: int
    left_out: dict[str, int]


def export(
    folder: Path, name: str, target: Path, scratch: Path, *, data: bool, outputs: bool, limit: int = DATA_BYTES
) -> Summary:
    """Write the project in *folder* to the file *target*. *scratch*: an empty folder for copies, so that the files
    may change meanwhile.

    Raises:
        OSError: a file cannot be read, or there is no room.
    """
    found = contents_of(folder, data=data, outputs=outputs, limit=limit)
    entries: dict[str, dict[str, Any]] = {}
    for path in found.files:
        copy = scratch / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / path, copy)
        runs = bool((folder / path).stat().st_mode & stat.S_IXUSR)
        entries[path] = {"digest": digest_of(copy), "size": copy.stat().st_size, "executable": runs}
    digest = _digest(entries)
    index = {"format": FORMAT, "name": name, "digest": digest, "files": entries, "left_out": found.left_out}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(_info(INDEX), json.dumps(index, indent=1, sort_keys=True).encode(), zipfile.ZIP_DEFLATED, 6)
        for path in found.files:
            info = _info(path)
            info.file_size = entries[path]["size"]
            with (scratch / path).open("rb") as source, archive.open(info, "w") as sink:
                shutil.copyfileobj(source, sink, BLOCK)
    return Summary(name, digest, len(entries), sum(entry["size"] for entry in entries.values()), found.left_out)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _digest(entries: dict[str, dict[str, Any]]) -> str:
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def read_index(file: Path) -> dict[str, Any]:
    """The index of an archive, checked.

    Raises:
        Invalid: it is no whole archive of a project.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _index(archive)
    except (*DAMAGE, OSError) as error:
        raise _damaged(error) from error


def unpacked(file: Path) -> Fill:
    """Fills a folder with an archive.

    The filling raises Invalid when anything of it is not what its index says, and StorageFull when there is no room.
    """

    def fill(folder: Path, progress: Progress) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                index = _index(archive)
                entries = index["files"]
                total = sum(entry["size"] for entry in entries.values())
                free = shutil.disk_usage(folder.parent).free - RESERVE
                if total > free:
                    raise StorageFull(
                        f"The project has {total >> 20} MiB; {max(0, free) >> 20} MiB of the disk can be used.",
                        hint="Free some space, or import it elsewhere.",
                    )
                folder.mkdir()
                done = 0
                for name, entry in entries.items():
                    progress("unpacking", 100 * done // max(1, total))
                    _extract(archive, name, entry, folder / name)
                    done += entry["size"]
        except DAMAGE as error:
            raise _damaged(error) from error

    return fill


def _index(archive: zipfile.ZipFile) -> dict[str, Any]:
    members = archive.infolist()
    if len(members) > FILES:
        raise ValueError(f"it holds more than {FILES} files")
    if not members or members[0].filename != INDEX or members[0].file_size > INDEX_BYTES:
        raise ValueError("its index is missing")
    with archive.open(members[0]) as source:
        index = json.loads(source.read(INDEX_BYTES + 1))
    if not isinstance(index, dict) or not isinstance(index.get("files"), dict):
        raise ValueError("its index says nothing")
    if index.get("format") != FORMAT:
        raise Invalid(
            "The archive was written by a newer Himalia.", hint="Upgrade this one first, then import it.", field="body"
        )
    names = [member.filename for member in members[1:]]
    entries = index["files"]
    for name, entry in entries.items():
        _require_entry(name, entry)
    if sorted(names) != sorted(entries):
        raise ValueError("its files are not those of its index")
    for member in members[1:]:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or member.is_dir() or member.flag_bits & 1:
            raise ValueError(f"{member.filename!r} is no plain file")
        if member.file_size != entries[member.filename]["size"]:
            raise ValueError(f"{member.filename!r} is not as long as its index says")
    if _digest(entries) != index.get("digest"):
        raise ValueError("its index was changed")
    return index


def _require_entry(name: str, entry: Any) -> None:
    """Refuse what is no file that stays below the folder.

    Raises:
        ValueError: it is not.
    """
    path = PurePosixPath(name)
    parts = [part.lower() for part in path.parts]
    plain = str(path) == name and not path.is_absolute() and ".." not in parts and "\\" not in name and "\0" not in name
    ours = ".himalia" in parts and not (parts[0] == ".himalia" and len(parts) == 2 and name.endswith(".lock"))
    if not plain or not parts or ours or ".git" in parts or len(name) > 1000 or any(len(part) > 240 for part in parts):
        raise ValueError(f"it holds {name[:200]!r}, which is no plain file inside a project")
    good = isinstance(entry, dict) and isinstance(entry.get("size"), int) and isinstance(entry.get("digest"), str)
    if not good or not 0 <= entry["size"] < 1 << 50 or not isinstance(entry.get("executable"), bool):
        raise ValueError(f"its index says nothing of {name[:200]!r}")


def _extract(archive: zipfile.ZipFile, name: str, entry: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    sha, left = hashlib.sha256(), entry["size"]
    with archive.open(name) as source, target.open("xb") as file:
        while block := source.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise ValueError(f"{name!r} is longer than its index says")
            sha.update(block)
            file.write(block)
    if left or f"sha256:{sha.hexdigest()}" != entry["digest"]:
        raise ValueError(f"{name!r} is not what its index says")
    if entry["executable"]:
        target.chmod(target.stat().st_mode | stat.S_IXUSR)


def _damaged(error: Exception) -> Invalid:
    return Invalid(
        f"This is no whole export of a project: {str(error).rstrip('.')}.",
        hint="Export it again: himalia project export NAME",
        field="body",
    )
