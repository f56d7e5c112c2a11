"""What differs in the files that a stage reads: which, how large they are, and of short texts the lines.

What was comes from the content store, what is from there or from the live folder.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..content import ContentStore, FileEntry, MissingContent, UnfitContent, is_tree, open_plain
from ..projects import ProjectPaths
from .differences import text_difference
from .keys import Parts
from .status_models import ChangedFile, FileDifference

TEXT_BYTES = 256 << 10
"""Of either text, that is compared line by line."""
TABLE_BYTES = 32 << 20
"""Of either table whose lines are counted."""
READ_BYTES = 256 << 20
"""Of all files that are looked into for one answer: somebody waits for it."""
FILES, INSIDE = 200, 100
"""Files that are told of: of a stage, and of each folder that it reads."""
DIFFS, DIFFS_INSIDE = 10, 5
"""Those of them whose lines are compared."""
TABLES = {".csv", ".tsv"}
ORDER = ("changed", "added", "removed")
GONE = "what it held at that time is no longer kept"
BUSY = "it is being changed just now"
OUTSIDE = "it leads out of the project"
HIDDEN = "its lines are for contributors of the project"
UNREAD = f"it is not looked into: {READ_BYTES >> 20} MiB of other files were"


@dataclass(frozen=True)
class Differing:
    """A path of the project that a stage reads, and its digest then and now. None: it was not, or is not, read.

    `part`: as in `ChangedFile`.
    """

    part: str
    path: str
    old: str | None
    new: str | None


def differing_files(old: Parts, new: Parts, reads: Iterable[Differing]) -> list[Differing]:
    """The inputs and modules that differ between two keys, and *reads* that are among neither."""
    found = [
        Differing(part, path, before.get(path), after.get(path))
        for part, before, after in (("input", old.inputs, new.inputs), ("module", old.modules, new.modules))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]
    known = {*old.inputs, *new.inputs, *old.modules, *new.modules}
    return found + [one for one in reads if one.path not in known]


class FileChanges:
    """Tells of differing files of one project. *readable*: whether of what is in them, too."""

    def __init__(self, content: ContentStore, folder: Path, *, readable: bool) -> None:
        self.content, self.folder, self.readable = content, folder, readable
        self._paths = ProjectPaths(folder)
        self._left, self._bytes = DIFFS, READ_BYTES

    def tell(self, differing: list[Differing]) -> list[ChangedFile]:
        """All of them, or the first `FILES`."""
        return [self._tell(one) for one in differing[:FILES]]

    def _tell(self, one: Differing) -> ChangedFile:
        change = ChangedFile(
            part=one.part, path=one.path, change=_word(one.old, one.new), old_digest=one.old, new_digest=one.new
        )
        if one.path not in self._paths:
            # neither the file there nor what the store holds of it: it may be another project's
            change.note = OUTSIDE
            return change
        if any(digest is not None and is_tree(digest) for digest in (one.old, one.new)):
            self._tell_folder(change)
        else:
            change.old_size, change.new_size = self._size(one.old), self._size(one.new, one.path)
            self._compare(change)
        return change

    def _tell_folder(self, change: ChangedFile) -> None:
        old, new = change.old_digest, change.new_digest
        if old is not None and new is not None and is_tree(old) != is_tree(new):
            change.old_size, change.new_size = self._size(old), self._size(new, change.path)
            change.note = "it was a file and is a folder" if is_tree(new) else "it was a folder and is a file"
            return
        try:
            before = self.content.tree(old) if old is not None else {}
        except MissingContent:
            change.note = GONE
            return
        try:
            after = self._files_now(change.path, new) if new is not None else {}
        except (OSError, UnfitContent):
            change.note = BUSY
            return
        change.old_size = sum(entry.size for entry in before.values()) if old is not None else None
        change.new_size = sum(entry.size for entry in after.values()) if new is not None else None
        if old is None or new is None:
            return
        names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
        left = DIFFS_INSIDE
        for name in names[:INSIDE]:
            was, now = before.get(name), after.get(name)
            inner = FileDifference(
                path=f"{change.path}/{name}",
                change=_word(was and was.digest, now and now.digest),
                old_digest=was.digest if was else None,
                new_digest=now.digest if now else None,
                old_size=was.size if was else None,
                new_size=now.size if now else None,
            )
            if left:
                self._compare(inner)
                left -= inner.diff is not None
            change.files.append(inner)
        change.left_out = len(names) - len(change.files)
        counts = Counter(_word(before.get(name), after.get(name)) for name in names)
        change.note = "files: " + ", ".join(f"{counts[word]:,} {word}" for word in ORDER if counts[word])

    def _files_now(self, path: str, digest: str) -> dict[str, FileEntry]:
        try:
            return self.content.tree(digest)
        except MissingContent:
            return self.content.files_of(self.folder / path)

    def _compare(self, change: FileDifference) -> None:
        """Compare what is in a file that is on both sides, unless it is too large."""
        if change.old_digest is None or change.new_digest is None:
            return
        if not self.readable:
            change.note = HIDDEN
            return
        if self._size(change.old_digest) is None:
            change.note = GONE
            return
        if change.new_size is None:
            change.note = BUSY
            return
        largest = max(change.old_size or 0, change.new_size)
        table = PurePosixPath(change.path).suffix.lower() in TABLES and largest <= TABLE_BYTES
        if not table and largest > TEXT_BYTES:
            return
        self._bytes -= (change.old_size or 0) + change.new_size
        if self._bytes < 0:
            change.note = UNREAD
            return
        try:
            notes = [self._rows(change) if table else None]
            old, new = self._text(change.old_digest), self._text(change.new_digest, change.path)
        except (MissingContent, UnfitContent, OSError):
            change.note = BUSY
            return
        if old is not None and new is not None:
            if self._left:
                change.diff, change.cut, note = text_difference(old, new)
                self._left -= change.diff is not None
            else:
                note = f"its lines are not compared: {DIFFS} other files were"
            notes.append(note)
        change.note = "; ".join(note for note in notes if note) or None

    def _place(self, digest: str, path: str | None) -> Path:
        """Where the bytes of a digest are, or were when *path*, in the live folder, was looked at.

        Raises:
            MissingContent: nowhere.
        """
        try:
            return self.content.path(digest)
        except MissingContent:
            if path is None:
                raise
            return self.folder / path

    def _size(self, digest: str | None, path: str | None = None) -> int | None:
        if digest is None:
            return None
        try:
            if is_tree(digest):
                files = self.content.tree(digest) if path is None else self._files_now(path, digest)
                return sum(entry.size for entry in files.values())
            return self._place(digest, path).stat().st_size
        except (MissingContent, UnfitContent, OSError):
            return None

    def _text(self, digest: str, path: str | None = None) -> str | None:
        """The text of that digest; None: it is none, or longer than `TEXT_BYTES`.

        Raises:
            MissingContent: it is nowhere, and the file of that path is another by now. UnfitContent, OSError: it
                cannot be read.
        """
        data = _read(self._place(digest, path), TEXT_BYTES)
        if data is None or b"\0" in data:
            return None
        # what is shown is what was looked at, wherever a link of that name leads by now
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise MissingContent(f"{path} has changed.")
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    def _rows(self, change: FileDifference) -> str:
        """How many lines more a table has."""
        assert change.old_digest is not None
        assert change.new_digest is not None
        before = _count(self._place(change.old_digest, None))
        after = _count(self._place(change.new_digest, change.path))
        if before == after:
            return "it has as many lines as before"
        count = abs(after - before)
        lines = "1 line" if count == 1 else f"{count:,} lines"
        return f"{lines} {'more' if after > before else 'fewer'}: {before:,} → {after:,}"


def _word(old: object, new: object) -> str:
    return "added" if old is None else "removed" if new is None else "changed"


def _read(path: Path, most: int) -> bytes | None:
    """The bytes of a file; None: there are more than *most*."""
    with os.fdopen(open_plain(str(path)), "rb") as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def _count(path: Path) -> int:
    """The lines of a file, of its first `TABLE_BYTES`."""
    lines, left, last = 0, TABLE_BYTES, b""
    with os.fdopen(open_plain(str(path)), "rb") as file:
        while left > 0 and (block := file.read(1 << 20)):
            lines, left, last = lines + block.count(b"\n"), left - len(block), block[-1:]
    return lines + (last not in (b"", b"\n"))
