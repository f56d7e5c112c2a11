"""Which files of a project folder are its code."""

from __future__ import annotations

import fnmatch
import os
import subprocess
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
    patterns = (*PATTERNS, *more, *manifest.snapshot.include)
    chosen = []
    for name in _from_git(folder) or _from_walk(folder):
        path = folder / name
        if name in outputs or SKIPPED & set(name.split("/")):
            continue
        if not any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
            continue
        if not path.is_file() or path.stat().st_size > LIMIT or not path.resolve().is_relative_to(folder.resolve()):
            continue
        chosen.append(name)
    return sorted(chosen)


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
        found += [(Path(base) / name).relative_to(folder).as_posix() for name in files]
    return found
