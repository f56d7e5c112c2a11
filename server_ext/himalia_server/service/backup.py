"""A site as one file, and back: databases, content, models, artifacts, settings and identity.

The archive is a gzipped tar. Its last member, `backup.json`, lists every other member with size and SHA-256, so that
an archive that was cut off or changed is recognised before anything of it is used. Databases are copied first: what
they name is never changed afterwards, only added to, so that the service may go on meanwhile.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from himalia import __version__

from ..content import DIGESTS, holding
from ..locking import LockTimeout, acquire
from ..store import Database, Project, Revision, Token
from ..store.copying import copy_to_file
from . import keyring, lifecycle
from .context import open_store
from .site import Site, private_folder

FORMAT = 1
INDEX = "backup.json"
STORE, TRACKING = "himalia.db", "mlflow.db"
FOLDERS = ("content", "models", "mlflow-artifacts", "templates")
FILES = ("site.json", "settings.toml", "remembered.json")
KEYS = keyring.FILE
"""Without them the projects' secrets in the database could never be opened again."""
PROJECTS = "project-folders"
SKIPPED = {"incoming"}
BLOCK = 1 << 20
INDEX_BYTES = 256 << 20
"""More than a million files need."""
RESERVE = 64 << 20
"""Bytes that a restore leaves free on the disk."""
Progress = Callable[[str], None]


class BackupError(RuntimeError):
    """The backup cannot be made, read or restored; the text says what to do."""


@dataclass(frozen=True)
class Summary:
    """What an archive holds. `created_at`: UTC seconds; `size`: bytes unpacked; `home`: where the site was."""

    site: str
    version: str
    created_at: float
    home: str
    projects: list[str]
    files: int
    size: int


def back_up(site: Site, target: Path, *, with_projects: bool, progress: Progress) -> Summary:
    """Write the whole site into the new file *target* (0600). The service may run.

    *with_projects*: the folders of the projects too, which otherwise are left to their owners' version control.

    Raises:
        BackupError: there is something at *target*, or nothing to back up. OSError: it cannot be written.
    """
    if not site.database.exists() and site.settings().database_url is None:
        raise BackupError(f"The site {site.home} has no data yet.")
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BackupError(f"{target} is there already. Name another file, or move it away.") from None
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tempfile.TemporaryDirectory(dir=site.home / "backups") as scratch,
            # what the copied database names must still be there when its turn comes
            holding(site.home / "content"),
        ):
            summary = _write(site, file, Path(scratch), with_projects=with_projects, progress=progress)
            file.flush()
            os.fsync(file.fileno())
    except (OperationalError, sqlite3.OperationalError) as error:
        target.unlink(missing_ok=True)
        if "disk is full" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(site.home)) from error
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return summary


def _write(site: Site, file: IO[bytes], scratch: Path, *, with_projects: bool, progress: Progress) -> Summary:
    progress("copying the databases")
    before = _keys(site)
    store = open_store(site, site.settings())
    try:
        copy_to_file(store.engine, scratch / STORE)
        with store.read() as session:
            projects = list(session.scalars(select(Project).order_by(Project.slug)))
    finally:
        store.close()
    if site.tracking_database.exists():
        with (
            closing(sqlite3.connect(site.tracking_database)) as source,
            closing(sqlite3.connect(scratch / TRACKING)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
    # a rotation meanwhile: the copy of the database may need the keys from before or from after it
    keys = _keys(site).merged(before)
    if keys.keys:
        keys.write(scratch / KEYS)
    entries: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, path in _members(site, scratch, projects if with_projects else []):
            added = _add(archive, name, path)
            if added is not None:
                entries[name] = added
                if len(entries) % 200 == 0:
                    progress(f"{len(entries)} files")
        size = sum(entry["size"] for entry in entries.values())
        summary = Summary(
            site.id, __version__, time.time(), str(site.home), [row.slug for row in projects], len(entries), size
        )
        index = {"format": FORMAT, **vars(summary), "entries": entries}
        _add_bytes(archive, INDEX, json.dumps(index, indent=1).encode())
    return summary


def _keys(site: Site) -> keyring.Keyring:
    try:
        return keyring.Keyring.read(site.home / KEYS)
    except keyring.KeyringError as error:
        raise BackupError(f"The keys of the projects' secrets cannot be copied: {error}") from error


def _members(site: Site, scratch: Path, projects: list[Project]) -> Iterator[tuple[str, Path]]:
    for name in (STORE, TRACKING, KEYS):
        if (scratch / name).exists():
            yield name, scratch / name
    for name in FILES:
        if (site.home / name).exists():
            yield name, site.home / name
    for name in FOLDERS:
        for path in _files_below(site.home / name, SKIPPED):
            if name == "content" and path.name.startswith(DIGESTS):
                continue  # it tells files by their inodes: of no use elsewhere
            yield f"{name}/{path.relative_to(site.home / name).as_posix()}", path
    for project in projects:
        for path in _files_below(Path(project.path), set()):
            yield f"{PROJECTS}/{project.slug}/{path.relative_to(project.path).as_posix()}", path


def _files_below(folder: Path, skipped: set[str]) -> Iterator[Path]:
    """Ordinary files, in order; links are not followed, and a model's draft is no model yet."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in skipped)
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _add(archive: tarfile.TarFile, name: str, path: Path) -> dict[str, Any] | None:
    """Put a file in; None when it went away meanwhile (its project was deleted)."""
    try:
        with path.open("rb") as source:
            info = tarfile.TarInfo(name)
            status = os.fstat(source.fileno())
            info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), status.st_mode & 0o700
            digest = _Digesting(source, info.size)
            archive.addfile(info, digest)  # type: ignore[arg-type] # it only reads
            return {"size": info.size, "sha256": digest.hexdigest(), "mode": info.mode}
    except FileNotFoundError:
        return None


class _Digesting:
    """A file that is hashed while it is read; one that shrinks meanwhile is filled up, so that the tar stays whole."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self.source, self.left = source, size
        self._sha = hashlib.sha256()

    def read(self, count: int) -> bytes:
        block = self.source.read(min(count, self.left)).ljust(min(count, self.left), b"\0")
        self.left -= len(block)
        self._sha.update(block)
        return block

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
    archive.addfile(info, io.BytesIO(data))


def restore(archive: Path, home: Path, *, replace: bool, progress: Progress) -> Summary:
    """Make the site at *home* what it was when *archive* was written.

    With *replace* a site that is there already is moved aside first, to a folder beside it. Nothing at *home* is
    touched before the archive has been unpacked and checked as a whole.

    Raises:
        BackupError: the archive is damaged, from a newer Himalia, or the site is there or in use.
        OSError: there is no room.
    """
    if Site.exists(home):
        if not replace:
            raise BackupError(f"There is a site in {home} already. --replace moves it aside first.")
        _refuse_running(home)
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = private_folder(home.with_name(f".{home.name}.restoring-{os.getpid()}"))
    try:
        index = _unpack(archive, fresh, progress)
        progress("putting the databases in place")
        _settle(fresh, home, index)
        if home.exists():
            home.rename(home.with_name(f"{home.name}.before-restore-{time.strftime('%Y%m%dT%H%M%S')}"))
        fresh.rename(home)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return Summary(**{name: index[name] for name in Summary.__dataclass_fields__})


def _refuse_running(home: Path) -> None:
    site = Site.open(home)
    if lifecycle.find(site) is not None:
        raise BackupError("The service of this site runs. Stop it first: himalia down")
    try:
        os.close(acquire(site.lock_file, 2.0))
    except LockTimeout as error:
        raise BackupError("A service holds on to this site. Stop it first: himalia down") from error


def _unpack(archive: Path, target: Path, progress: Progress) -> dict[str, Any]:
    """Unpack and check; returns the index."""
    found: dict[str, tuple[int, str]] = {}
    index: dict[str, Any] | None = None
    try:
        with gzip.open(archive) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as members:
                for member in members:
                    name = _checked(member)
                    _require_room(member, target)
                    if name == INDEX:
                        index = json.load(members.extractfile(member))  # type: ignore[arg-type] # it is a file
                        continue
                    found[name] = _extract(members, member, target / name)
                    if len(found) % 200 == 0:
                        progress(f"{len(found)} files")
            while unzipped.read(BLOCK):
                pass  # its checksum is looked at when all of it was read
    except FileNotFoundError as error:
        raise BackupError(f"There is no file {archive}.") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise BackupError(f"{archive} is no whole backup of Himalia: {error}.") from error
    if not isinstance(index, dict) or not isinstance(index.get("entries"), dict):
        raise BackupError(f"{archive} is no whole backup of Himalia: its index is missing, so it was cut off.")
    if index.get("format") != FORMAT:
        raise BackupError(f"{archive} was written by a newer Himalia ({index.get('version')}). Upgrade this one first.")
    wanted = {name: (entry["size"], entry["sha256"]) for name, entry in index["entries"].items()}
    if wanted != found:
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise BackupError(f"{archive} is damaged: {', '.join(wrong[:3])} differ from its index. Use another backup.")
    return index


def _checked(member: tarfile.TarInfo) -> str:
    """The member's name, when it is an ordinary file that stays below the folder.

    Raises:
        ValueError: it is not.
    """
    path = PurePosixPath(member.name)
    if not member.isfile() or path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"it holds {member.name!r}, which is no plain file inside it")
    return str(path)


def _require_room(member: tarfile.TarInfo, target: Path) -> None:
    """Refuse what would fill the disk, however small it is in the archive.

    Raises:
        BackupError: there is no room. ValueError: the index is too large to be one.
    """
    if member.name == INDEX and member.size > INDEX_BYTES:
        raise ValueError(f"its index has {member.size} bytes")
    free = shutil.disk_usage(target).free
    if member.size > free - RESERVE:
        raise BackupError(
            f"There is no room for {member.name} of {member.size >> 20} MiB: {max(0, free - RESERVE) >> 20} MiB of the "
            f"disk of {target.parent} can be used. Free some space, or restore elsewhere."
        )


def _extract(members: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> tuple[int, str]:
    source = members.extractfile(member)
    if source is None or target.exists():
        raise ValueError(f"it holds {member.name!r} twice")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sha = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while block := source.read(BLOCK):
            sha.update(block)
            file.write(block)
    target.chmod((member.mode & 0o700) | 0o400)
    return member.size, sha.hexdigest()


def _settle(fresh: Path, home: Path, index: dict[str, Any]) -> None:
    """Turn the copies of the databases into the site's own, with paths as they are from now on."""
    site = Site.open(fresh)
    copy = fresh / f".{STORE}"
    (fresh / STORE).rename(copy)
    url = site.settings().database_url
    (fresh / "backups").mkdir(mode=0o700)
    store = Database(url or fresh / STORE, fresh / "backups")
    try:
        if store.revision() is not None:
            raise BackupError(f"The database {store.name} holds data already. Empty it, or name another one.")
        store.fill(copy)
        store.migrate()
        folders = _move_paths(store, index, home)
    finally:
        store.close()
    copy.unlink()
    for slug, path in folders.items():
        inside = path.is_relative_to(home)
        _put_back(fresh / PROJECTS / slug, fresh / path.relative_to(home) if inside else path)
    shutil.rmtree(fresh / PROJECTS, ignore_errors=True)


def _move_paths(store: Database, index: dict[str, Any], home: Path) -> dict[str, Path]:
    """Paths below the site's old folder lead to the new one; who had a token file gets a new token at the start.

    Returns the folders of the projects by slug.
    """
    old = PurePosixPath(index["home"])

    def moved(text: str) -> str:
        path = PurePosixPath(text)
        if ".." in path.parts or not path.is_absolute():
            raise BackupError(f"The backup is damaged: it holds the path {text!r}. Use another backup.")
        return str(home / path.relative_to(old)) if path.is_relative_to(old) else text

    folders: dict[str, Path] = {}
    with store.write() as session:
        for revision in session.scalars(select(Revision)):
            revision.model_path = moved(revision.model_path)
        for project in session.scalars(select(Project)):
            project.path = moved(project.path)
            project.trash = moved(project.trash) if project.trash is not None else None
            folders[project.slug] = Path(project.path)
        for token in session.scalars(select(Token).where(Token.revoked_at.is_(None))):
            token.revoked_at = time.time()
    return folders


def _put_back(source: Path, target: Path) -> None:
    """The files of a project's folder, when nothing is there; what a person has there stays."""
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target)
