"""What lies in a folder that is to be kept by content."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from .files import DRAFT
from .names import UnfitContent


@dataclass(frozen=True, slots=True)
class Found:
    """A file. `path`: where it lies; `status`: of the file itself, also when `linked` (reached through a link)."""

    path: str
    status: os.stat_result
    linked: bool = False


def files_below(root: str) -> dict[str, Found]:
    """The files of a folder by relative POSIX path, drafts of ours left out. Empty folders are not told.

    A link to a file of the folder counts as that file; a link to a folder of the folder as that folder, but not
    when it lies below such a link: that would lead round in circles.

    Raises:
        UnfitContent: a link that leaves the folder or leads nowhere, a socket, a pipe, a device, a name with a
            backslash. OSError: a folder cannot be read.
    """
    real_root = os.path.realpath(root)
    found: dict[str, Found] = {}
    waiting: list[tuple[str, str, bool]] = [(root, "", False)]
    while waiting:
        folder, prefix, linked = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                through = linked
                if entry.is_symlink():
                    _check_link(entry.path, real_root, linked)
                    through = True
                # one system call a file; follows the link, which was looked at above
                if entry.is_dir():
                    waiting.append((entry.path, name + "/", through))
                    continue
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise UnfitContent(f"{entry.path} is {_kind(status.st_mode)}, which cannot be kept.")
                if entry.name.endswith(".himalia") and DRAFT.fullmatch(entry.name):
                    continue
                if "\\" in entry.name:  # nothing else in the name of a file makes a path that `checked` refuses
                    raise UnfitContent(f"{entry.path} cannot be kept: its name holds a backslash.")
                found[name] = Found(entry.path, status, through)
    return found


def _check_link(path: str, real_root: str, below_a_link: bool) -> None:
    target = os.path.realpath(path)
    if target != real_root and not target.startswith(real_root.rstrip("/") + "/"):
        raise UnfitContent(f"{path} is a link that leaves the folder: to {target}.")
    if not os.path.exists(target):
        raise UnfitContent(f"{path} is a link that leads nowhere: to {target}.")
    if below_a_link and os.path.isdir(target):
        raise UnfitContent(f"{path} is a link to a folder below another such link: it may lead round in circles.")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISBLK, "a device"))
    return next((name for test, name in kinds if test(mode)), "no ordinary file")
