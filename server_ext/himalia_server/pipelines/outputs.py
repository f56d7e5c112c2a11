"""What a stage made: checked, kept by content, and put where the user looks for it."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ..content import ContentStore, FileEntry, MissingContent, UnfitContent, as_tree, is_tree
from ..projects import output_of

DRAFT = re.compile(r"\.[0-9a-f]{16}\.himalia")
_publishing = threading.Lock()
"""One run at a time puts its outputs into a live folder, so that two runs never mix theirs."""


class OutputFault(RuntimeError):
    """A declared output is not what it should be, or has no place to go; the text says which and why."""


def keep_outputs(content: ContentStore, work: Path, outputs: Iterable[str]) -> dict[str, str]:
    """Store each output of a stage by content; returns path → digest. Safe to repeat.

    Raises:
        OutputFault: one is no ordinary file or folder of the stage's own.
        OSError: the disk is full, or one cannot be read.
    """
    kept = {}
    for path in outputs:
        source = work / path
        mode = source.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or not source.resolve().is_relative_to(work.resolve()):
            raise OutputFault(f"The output {path!r} is not an ordinary file.")
        try:
            # as a second name of the same bytes: who is killed before the commit finds it here again
            kept[path] = content.take_path(source, leave=True).digest
        except UnfitContent as error:
            raise OutputFault(f"The output {path!r} cannot be kept: {error}") from error
    return kept


def digest_in(content: ContentStore, produced: Mapping[str, str], path: str) -> str | None:
    """The digest of *path* among what stages have made (*produced*), also within a folder; None: none makes it.

    Raises:
        MissingContent: a stage has made the folder around it, but not this; or the list of the folder is gone.
    """
    output = output_of(path, produced)
    if output is None or output == path:
        return produced.get(path)
    digest, rest = produced[output], PurePosixPath(path).relative_to(output).as_posix()
    files = content.tree(digest) if is_tree(digest) else {}
    if rest in files:
        return files[rest].digest
    inside = {name.removeprefix(f"{rest}/"): entry for name, entry in files.items() if name.startswith(f"{rest}/")}
    if not inside:
        raise MissingContent(f"There is no {path} in {output!r}, as the stage before has made it.")
    return as_tree(content.put_tree(inside))


class StageFiles:
    """Path → digest of what one stage finds: of its inputs (path → digest) what they hold, of all else the code."""

    def __init__(
        self, tree: Callable[[str], Mapping[str, FileEntry]], code: Mapping[str, str], inputs: Mapping[str, str]
    ) -> None:
        self._tree, self._code, self._inputs = tree, code, inputs
        self._tops = {path.partition("/")[0] for path in inputs}  # most of what is asked for lies elsewhere

    def get(self, path: str) -> str | None:
        """The digest of a file; None: there is none.

        Raises:
            MissingContent: the list of a folder's files is not in the content store, or damaged.
        """
        if path.partition("/")[0] not in self._tops or (place := output_of(path, self._inputs)) is None:
            return self._code.get(path)
        digest = self._inputs[place]
        if not is_tree(digest):
            return digest if place == path else None
        entry = self._tree(digest).get(path[len(place) + 1 :])
        return entry.digest if entry is not None else None


def publish_outputs(content: ContentStore, folder: Path, outputs: Mapping[str, str]) -> list[str]:
    """Put what differs of *outputs* (path → digest) into the live folder; returns the paths that were written.

    Neither reads nor writes through links that leave *folder*.

    Raises:
        OutputFault: a place is taken by something else. OSError: the disk is full.
        MissingContent: one is not in the content store.
    """
    written = []
    with _publishing:
        for path in differing(content, folder, outputs):
            _publish(content, folder, path, outputs[path])
            written.append(path)
    return written


def differing(content: ContentStore, folder: Path, outputs: Mapping[str, str]) -> list[str]:
    """Those of *outputs* (path → digest) that the live folder does not hold as they are."""
    targets = {f"{folder}/{path}": path for path in outputs}
    plain = [target for target in targets if not os.path.islink(target)]  # noqa: PTH114 - there may be thousands
    try:
        there = content.entries_of(plain)
    except (OSError, UnfitContent):
        there = {}
        for target in plain:
            with suppress(OSError, UnfitContent):
                there[target] = content.entry_of(Path(target))
    return [path for target, path in targets.items() if target not in there or there[target].digest != outputs[path]]


def _publish(content: ContentStore, folder: Path, path: str, digest: str) -> None:
    target = folder / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        inside = target.parent.resolve().is_relative_to(folder.resolve())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputFault(f"The output {path!r} has no place in the project's folder: {error}.") from error
    if not inside:
        raise OutputFault(f"The output {path!r} would be written outside of the project: its folder is a link.")
    taken = target.is_dir() and not target.is_symlink()
    if taken and not is_tree(digest):
        raise OutputFault(f"The output {path!r} cannot be put in place: a folder is there. Remove it and run again.")
    # of a service that was killed right here; nobody else writes such files, and we one at a time
    for left in target.parent.iterdir():
        if DRAFT.fullmatch(left.name):
            _remove(left)
    # a name that nobody can have put a link under
    draft = target.with_name(f".{secrets.token_hex(8)}.himalia")
    try:
        content.materialise(digest, draft)
        if taken:
            old = target.with_name(f".{secrets.token_hex(8)}.himalia")
            target.replace(old)
            draft.replace(target)
            _remove(old)
        else:
            if is_tree(digest):
                target.unlink(missing_ok=True)  # a file, or a link: a folder does not take its place by itself
            draft.replace(target)
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
