"""Which files of a project folder are its code."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import subprocess
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from .faults import output_of, outputs_of
from .tables import NAME, Manifest, StageTable

PATTERNS = ("*.ipynb", "*.py", "*.toml", "*.sql", "*.json", "*.yaml", "*.yml")
LIMIT = 10 << 20
"""Bytes; larger files are data and have to be declared as inputs."""
SKIPPED = {".git", ".himalia", ".ipynb_checkpoints", "__pycache__", "node_modules", ".venv", "venv"}
SOURCES = "src/"
"""Where modules lie, with the files that belong to them."""
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""The settings of a folder from elsewhere name no program that is run here."""
_GIT_SECONDS = 60


def code_files(folder: Path, manifest: Manifest, more: tuple[str, ...] = ()) -> list[str]:
    """Relative POSIX paths of the code: what git tracks or would track, by `PATTERNS`, *more* of them, and
    `[snapshot] include`.

    Without git: all files below the folder. Stage outputs, what lies within them, and files above `LIMIT` are left
    out; symbolic links that leave the folder too.
    """
    called, paths = code_by_name(manifest, more), ProjectPaths(folder)
    names = _from_git(folder) or _from_walk(folder)
    return sorted(name for name in names if called(name) and _is_code(f"{folder}/{name}") and name in paths)


def code_by_name(manifest: Manifest, more: tuple[str, ...] = ()) -> Callable[[str], bool]:
    """Whether a file of that relative path would be code, as far as its name tells; *more*: further patterns."""
    outputs = outputs_of(manifest)
    wanted = _one_of((*PATTERNS, *more, *manifest.snapshot.include))

    def called(name: str) -> bool:
        return bool(
            (wanted(name) or wanted(name.rpartition("/")[2]))
            and SKIPPED.isdisjoint(name.split("/"))
            and output_of(name, outputs) is None
        )

    return called


def without_data(names: Iterable[str], stages: Mapping[str, StageTable], outputs: Container[str]) -> Iterator[str]:
    """Those of *names* that do not lie within *outputs*, nor as data within an input of *stages*.

    The inputs of all stages of a pipeline count, whichever run: what a stage finds does not hang on which others run
    beside it. Notebooks and modules (with all that lies in src/) stay code within an input that is a folder, for
    stages that use them without having declared it. Inputs themselves stay, and the notebooks of stages.
    """
    inputs = {path for stage in stages.values() for path in stage.inputs}
    notebooks = {stage.notebook for stage in stages.values()}
    for name in names:
        declared = name in notebooks or name in inputs
        if declared or (output_of(name, outputs) is None and (_is_module(name) or output_of(name, inputs) is None)):
            yield name


def _is_module(name: str) -> bool:
    """Whether a file is a notebook or a module, or belongs to one."""
    return name.endswith((".py", ".ipynb")) or name.startswith(SOURCES)


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
    """What git tracks or would track; empty when no repository has anything to say about the folder.

    One around the project counts when the manifest is among that. A project may lie below a repository that does not
    mean it (a home directory with its settings, a folder that is ignored), and would be left without its code.
    """
    own = (folder / ".git").exists()
    if not own and not any((above / ".git").exists() for above in folder.resolve().parents):
        return []
    names = git_names(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard") or []
    return names if own or NAME in names else []


def git_names(folder: Path, *command: str) -> list[str] | None:
    """What a command of git prints, run in *folder*, as texts that end with a zero byte.

    None: it failed, or there is no git here that can be run. Raises subprocess.TimeoutExpired.
    """
    line = [*_GIT, "-C", str(folder), *command]
    try:
        done = subprocess.run(line, capture_output=True, timeout=_GIT_SECONDS, check=False)
    except OSError:
        return None
    if done.returncode != 0:
        return None
    return [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]


def _from_walk(folder: Path) -> list[str]:
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        below = os.path.relpath(base, folder).replace(os.sep, "/")
        found += files if below == "." else [f"{below}/{name}" for name in files]
    return found
