"""Which files of a project folder are its code."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from .tables import Manifest

PATTERNS = ("*.ipynb", "*.py", "*.toml", "*.sql", "*.json", "*.yaml", "*.yml")
LIMIT = 10 << 20
"""Bytes; larger files are data and have to be declared as inputs."""
SKIPPED = {".git", ".himalia", ".ipynb_checkpoints", "__pycache__", "node_modules", ".venv", "venv"}


def code_files(folder: Path, manifest: Manifest, more: tuple[str, ...] = ()) -> list[str]:
    """Relative POSIX paths of the code: what git tracks or would track, by `PATTERNS`, *more* of them, and
    `[snapshot] include`.

    Without git: all files below the folder. Stage outputs and files above `LIMIT` are left out; symbolic links that
    leave the folder too.
    """
    outputs = {output for stage in manifest.stages.values() for output in stage.outputs}
    wanted = _one_of((*PATTERNS, *more, *manifest.snapshot.include))
    paths = ProjectPaths(folder)
    return sorted(
        name
        for name in _from_git(folder) or _from_walk(folder)
        if name not in outputs
        and SKIPPED.isdisjoint(name.split("/"))
        and (wanted(name) or wanted(name.rpartition("/")[2]))
        and _is_code(f"{folder}/{name}")
        and name in paths
    )


class ProjectPaths:
    """Relative paths of a project's folder: `path in paths` when it leads to a place within, wherever links point.

    Each folder on the way is looked at once, so that thousands of paths cost little.
    """

    def __init__(self, folder: Path) -> None:
        self.root = os.path.realpath(folder)
        self._folders: dict[str, bool] = {}

    def __contains__(self, path: str) -> bool:
        place = os.path.join(self.root, path)
        base, name = os.path.split(place)
        if name in ("", ".", "..") or os.path.islink(place):
            return self._holds(place)
        known = self._folders.get(base)
        if known is None:
            known = self._folders[base] = self._holds(base)
        return known

    def exists(self, path: str) -> bool:
        """Whether something is there, within or not."""
        return os.path.exists(os.path.join(self.root, path))

    def is_file(self, path: str) -> bool:
        """Whether a file is there, within or not."""
        return os.path.isfile(os.path.join(self.root, path))

    def _holds(self, place: str) -> bool:
        real = os.path.realpath(place)
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)


def _one_of(patterns: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    return re.compile("|".join(fnmatch.translate(os.path.normcase(pattern)) for pattern in patterns)).match


def _is_code(path: str) -> bool:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= LIMIT


def _from_git(folder: Path) -> list[str]:
    if not (folder / ".git").exists():
        return []
    # the settings of a folder from elsewhere name no program that is run here
    harmless = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    command = ["git", *harmless, "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        return []
    return [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]


def _from_walk(folder: Path) -> list[str]:
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        below = os.path.relpath(base, folder).replace(os.sep, "/")
        found += files if below == "." else [f"{below}/{name}" for name in files]
    return found
