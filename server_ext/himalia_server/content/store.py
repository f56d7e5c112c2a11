"""A local content-addressed store. Objects are files named by their SHA-256; a tree is an object that lists files.

Layout: `objects/ab/cdef…` (0400). Safe for several threads: an object appears by rename or link, whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import restoring
from .collecting import Collected, collect
from .digests import Digests, Row
from .files import Tick, draft_beside, no_tick
from .folders import Found
from .intake import Asked, Intake, P, look
from .names import FILE, FileEntry, MissingContent, as_tree, is_tree, listed, parsed_tree, tree_bytes
from .objects import Objects
from .restoring import Linked
from .spreading import Progress, spread

DIGESTS = "digests.db"
"""The memory of digests, below the store's folder; not worth a backup."""
Cancel = Callable[[], bool]


class ContentStore:
    """Puts files and folders in, and materialises them elsewhere.

    A *digest* is `sha256:…` of a file's bytes, or `tree:sha256:…` for a folder, by the digest of the object that lists
    its files. A snapshot (`put_tree`) is named by the plain digest of such a list; `as_tree` makes a folder's of it.
    Neither modes nor times nor empty folders are kept.
    """

    def __init__(self, root: Path, *, hard_links: bool | None = None) -> None:
        """The store below *root*, which one process at a time writes to.

        *hard_links*: whether read-only files may be given out as hard links; by default unless this process is
        root, for whom no file is read-only.
        """
        self._objects = Objects(root)
        self.objects, self.incoming = self._objects.folder, self._objects.incoming
        self.digests = Digests(root / DIGESTS)
        self._intake = Intake(self._objects, self.digests)
        self.hard_links = os.geteuid() != 0 if hard_links is None else hard_links

    def path(self, digest: str) -> Path:
        """Where an object lies (a folder's: the list of its files).

        Raises:
            ValueError: not a digest of ours. MissingContent: it is not here.
        """
        return Path(self._objects.path(digest))

    def close(self) -> None:
        """Let go of the memory of digests; the next call takes it again."""
        self.digests.close()

    # --- what things are

    def entry_of(self, path: Path) -> FileEntry:
        """Digest and size of a file or folder as it is now; nothing is stored.

        Raises:
            UnfitContent: it, or something in it, cannot be kept. OSError: it is not there, or cannot be read.
        """
        entry = self.entries_of([path]).get(path)
        if entry is None:
            raise FileNotFoundError(f"{path} does not exist.")
        return entry

    def entries_of(
        self, paths: Iterable[P], progress: Progress | None = None, cancelled: Cancel | None = None
    ) -> dict[P, FileEntry]:
        """As `entry_of`, for many at once: one look into the memory. Those that do not exist are left out.

        Raises:
            UnfitContent, OSError: as `entry_of`. Cancelled: *cancelled* said so.
        """
        asked = look(paths)
        files = [file for found in asked.values() for file in found.values()]
        entries = iter(self.digests.of_found(files, progress, cancelled))
        known = {}
        for path, found in asked.items():
            here = {name: next(entries) for name in found}
            whole = {name: entry for name, entry in here.items() if entry is not None}
            if "" not in found:
                known[path] = _folder_entry(_digest(listed(whole)), whole)
            elif whole:
                known[path] = whole[""]
        return known

    def files_of(self, path: Path) -> dict[str, FileEntry]:
        """Digest and size of each file of a folder, as it is now; nothing is stored.

        Raises:
            UnfitContent: something in it cannot be kept. OSError: it is not there, or cannot be read.
        """
        found = look([path]).get(path)
        if found is None:
            raise FileNotFoundError(f"{path} does not exist.")
        entries = self.digests.of_found(list(found.values()))
        return {name: entry for name, entry in zip(found, entries, strict=True) if entry is not None}

    # --- putting

    def put_bytes(self, data: bytes) -> str:
        """Store bytes; returns their digest."""
        digest = _digest(data)
        if self._objects.renew(digest, len(data)):
            return digest
        descriptor, draft = self._objects.draft()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            self._objects.adopt(draft, digest)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        return digest

    def put_file(self, source: Path, known: FileEntry | None = None) -> FileEntry:
        """Store a file as it is at this moment; the digest is of the bytes stored, even if the source changes.

        Neither read nor copied when its digest is known and in the store. *known*: what `entry_of` said just now.

        Raises:
            UnfitContent: not an ordinary file. OSError: it cannot be read, or the disk is full.
        """
        path = _absolute(source)
        if known is None:
            known = self.digests.recall([Found(path, source.stat())])[0]
        if known is not None and self._objects.renew(known.digest, known.size):
            return known
        entry, row = self._intake.copy(path)
        self.digests.remember([row] if row else [])
        return entry

    def put_path(self, path: Path, progress: Progress | None = None, cancelled: Cancel | None = None) -> FileEntry:
        """Store a file, or a folder with all its files.

        Raises:
            UnfitContent: it, or something in it, cannot be kept.
            OSError: it is not there or cannot be read, or the disk is full. Cancelled: *cancelled* said so.
        """
        entry = self.put_paths([path], progress, cancelled).get(path)
        if entry is None:
            raise FileNotFoundError(f"{path} does not exist.")
        return entry

    def put_paths(
        self, paths: Iterable[P], progress: Progress | None = None, cancelled: Cancel | None = None
    ) -> dict[P, FileEntry]:
        """As `put_path`, for many at once. Those that do not exist are left out."""
        asked = look(paths)
        known = self.digests.recall([file for found in asked.values() for file in found.values()])
        by_path = dict(zip((file.path for found in asked.values() for file in found.values()), known, strict=True))
        rows: list[Row] = []

        def put(file: Found, tick: Tick) -> FileEntry:
            entry = by_path[file.path]
            if entry is not None and self._objects.renew(entry.digest, entry.size):
                return entry
            entry, row = self._intake.copy(file.path, tick)
            if row is not None:
                rows.append(row)
            return entry

        try:
            return self._each(asked, put, progress, cancelled)
        finally:
            self.digests.remember(rows)

    def put_tree(self, files: Mapping[str, FileEntry]) -> str:
        """Store a list of files and folders by relative POSIX path; returns the list's digest (plain, `sha256:`).

        What it lists is made as young as if it were put now; what is not here (yet) is listed all the same.

        Raises:
            ValueError: a path that leaves its folder, or a digest that is none.
        """
        data = tree_bytes(files)
        for entry in files.values():
            self.renew(entry.digest)
        return self.put_bytes(data)

    def take(self, path: Path, *, leave: bool = False) -> FileEntry:
        """Move a finished file into the store: no byte is copied where both are on one file system.

        *leave*: the file stays where it is, read-only, as a second name of the object, so that who is killed before
        the reference is committed can take it again; remove its folder after that. For files of a stage's own
        folder. A file that has other names, or that somebody still writes to, is copied.

        Raises:
            UnfitContent: not an ordinary file. OSError: it cannot be read, or the disk is full.
        """
        entry = self._intake.take(_absolute(path))
        if not leave:
            path.unlink()
        return entry

    def take_path(
        self,
        path: Path,
        *,
        leave: bool = False,
        progress: Progress | None = None,
        cancelled: Cancel | None = None,
    ) -> FileEntry:
        """As `take`, for a file or a folder with all its files.

        Raises:
            UnfitContent: it, or something in it, cannot be kept.
            OSError: it is not there or cannot be read, or the disk is full. Cancelled: *cancelled* said so.
            Whatever is raised, all files are where they were.
        """
        asked = look([path])
        if not asked:
            raise FileNotFoundError(f"{path} does not exist.")

        # the copies first: what they copy is taken afterwards
        entry = self._each(
            asked, lambda file, tick: self._intake.take(file.path, tick), progress, cancelled, first=lambda f: f.linked
        )[path]
        if not leave:
            # at once and only now: whoever is killed finds all of it, or nothing
            if "" in asked[path]:
                path.unlink()
            else:
                gone = path.rename(draft_beside(_absolute(path)))
                shutil.rmtree(gone)
        return entry

    # --- taking out

    def tree(self, digest: str) -> dict[str, FileEntry]:
        """The files of a tree, by either of its names; looked at whole.

        Raises:
            MissingContent: its list is not here, or damaged (and then removed).
        """
        path = self.path(digest)
        try:
            seen, data = path.stat(), path.read_bytes()
        except FileNotFoundError:
            raise MissingContent(f"{digest} is not in the content store.") from None
        if as_tree(_digest(data)) != as_tree(digest):
            self._objects.remove_damaged(digest, seen)
        try:
            return parsed_tree(data)
        except ValueError as error:
            raise MissingContent(f"{digest} is not a list of files; it may have been damaged before.") from error

    def materialise(
        self, digest: str, target: Path, *, verify: bool = False, writable: bool = True, exact: bool = False
    ) -> list[Linked]:
        """Make *target* a copy of an object (a file), or a folder of copies. Each file appears whole, by rename.

        *writable*: a private copy, by reflink where the file system can. Otherwise read-only, and then files of 1 MiB
        and more may be hard links to the object: no byte is copied, but a program that makes the file writable and
        changes it in place changes the store. So these are returned, for `check_unchanged` when the user is done; and
        root, for whom no file is read-only, gets none.
        *exact*: of a folder that is there already, files that are right stay, and what else is in it is removed.

        Raises:
            MissingContent: it, or a file of it, is not here, or (with *verify*) damaged, and then removed.
            UnfitContent: a link or a file is where a folder must be. OSError: the disk is full.
        """
        known = self.digests.of_found if exact else None
        job = restoring.Restoring(self._objects, self.tree, known, verify, writable, self.hard_links and not writable)
        return job.run(digest, _absolute(target))

    def check_unchanged(self, links: Iterable[Linked]) -> list[Linked]:
        """Which of the objects that were given out as hard links were changed meanwhile.

        They are no longer in the store; what else was given out of the same object is changed too.
        """
        return [link for link in links if restoring.is_changed(self._objects, link)]

    # --- keeping

    def renew(self, digest: str) -> bool:
        """Whether an object, of a folder all its files too, is here. What is here counts as put now for `collect`.

        To be called before a reference to something that was put earlier is committed.
        """
        if not self._objects.renew(digest):
            return False
        if not is_tree(digest):
            return True
        try:
            entries = self.tree(digest).values()
        except MissingContent:
            return False
        whole = True
        for entry in entries:
            here = self.renew(entry.digest) if is_tree(entry.digest) else self._objects.renew(entry.digest, entry.size)
            whole = whole and here
        return whole

    def verify(self, digest: str) -> None:
        """Hash an object, of a folder all its files; damaged ones are removed.

        Raises:
            MissingContent: something is not here, or was damaged; all else was looked at too.
        """
        if not is_tree(digest):
            self._objects.verify(digest)
            return
        entries = {entry.digest: entry.size for entry in self.tree(digest).values()}
        lost: list[str] = []

        def one(index: int, _tick: Tick) -> None:
            try:
                self.verify(digests[index])
            except MissingContent as error:
                lost.append(str(error))

        digests = list(entries)
        spread(list(entries.values()), one)
        if lost:
            more = f" And {len(lost) - 1} more." if lost[1:] else ""
            raise MissingContent(f"{digest} is not whole: {min(lost)}{more}")

    def collect(self, live: Iterable[str], *, older_than_s: float, dry_run: bool) -> Collected:
        """Remove objects that nothing refers to; see `collecting.collect`."""
        return collect(self._objects, live, older_than_s=older_than_s, dry_run=dry_run)

    # --- inner

    def _each(
        self,
        asked: Asked[P],
        put: Callable[[Found, Tick], FileEntry],
        progress: Progress | None,
        cancelled: Cancel | None,
        first: Callable[[Found], bool] = lambda _file: False,
    ) -> dict[P, FileEntry]:
        """Put all files of *asked*, then a list for each folder."""
        files = [(path, name, file) for path, found in asked.items() for name, file in found.items()]
        done: dict[P, dict[str, FileEntry]] = {path: {} for path in asked}

        def work(index: int, tick: Tick) -> None:
            path, name, file = files[index]
            done[path][name] = put(file, tick)

        early = [item for item in files if first(item[2])]
        if early:
            for path, name, file in early:
                done[path][name] = put(file, no_tick)
            files = [item for item in files if not first(item[2])]
        spread([file.status.st_size for _, _, file in files], work, progress, cancelled)
        entries = {}
        for path, found in done.items():
            folder = "" not in asked[path]
            entries[path] = _folder_entry(self.put_bytes(listed(found)), found) if folder else found[""]
        return entries


def _folder_entry(digest: str, files: Mapping[str, FileEntry]) -> FileEntry:
    return FileEntry(as_tree(digest), sum(entry.size for entry in files.values()))


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _digest(data: bytes) -> str:
    return FILE + hashlib.sha256(data).hexdigest()
