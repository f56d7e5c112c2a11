"""What a stage made: checked, kept by content, and put where the user looks for it."""

from __future__ import annotations

import errno
import re
import secrets
import stat
import threading
from pathlib import Path

from ..content import ContentStore

DRAFT = re.compile(r"\.[0-9a-f]{16}\.himalia")
_publishing = threading.Lock()
"""One run at a time puts its outputs into a live folder, so that two runs never mix theirs."""


class OutputFault(RuntimeError):
    """A declared output is not what it should be, or has no place to go; the text says which and why."""


def keep_outputs(content: ContentStore, work: Path, folder: Path, outputs: list[str]) -> dict[str, str]:
    """Store each output of a stage by content, then put a copy into the live folder; returns path → digest.

    Safe to repeat. Neither reads nor writes through links that leave *work* or *folder*.

    Raises:
        OutputFault: an output is no ordinary file of the stage's own, or its place is taken by something else.
        OSError: the disk is full, or an output cannot be read.
    """
    kept = {}
    for path in outputs:
        source = work / path
        if not stat.S_ISREG(source.lstat().st_mode) or not source.resolve().is_relative_to(work.resolve()):
            raise OutputFault(f"The output {path!r} is not an ordinary file.")
        kept[path] = content.put_file(source).digest
    with _publishing:
        for path, digest in kept.items():
            _publish(content, folder, path, digest)
    return kept


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
    if target.is_dir() and not target.is_symlink():
        raise OutputFault(f"The output {path!r} cannot be put in place: a folder is there. Remove it and run again.")
    # of a service that was killed right here; nobody else writes such files, and we one at a time
    for left in target.parent.iterdir():
        if DRAFT.fullmatch(left.name):
            left.unlink(missing_ok=True)
    # a name that nobody can have put a link under
    draft = target.with_name(f".{secrets.token_hex(8)}.himalia")
    try:
        content.materialise(digest, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
