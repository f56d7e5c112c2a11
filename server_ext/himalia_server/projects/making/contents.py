"""Which files of a project go along when it is copied or exported."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...service.problems import Invalid
from ..manifest import (
    NAME,
    Manifest,
    ManifestFault,
    ProjectTable,
    code_files,
    output_of,
    outputs_of,
    read_manifest,
    without_data,
)
from .filling import Fill, Progress

ALONG = ("*.md", "*.rst", "*.txt", "*.cfg", "*.lock", "*.css", "*.html", "*.svg", "*.png", "LICENSE*", ".gitignore")
"""What is no code and belongs to it."""
PRIVATE = {".git", ".himalia", ".ipynb_checkpoints", "__pycache__"}
"""Folders whose files go along with no data."""
DATA_BYTES = 256 << 20
"""An input, or a folder of inputs, above this stays where it is unless somebody asks for more."""


@dataclass(frozen=True)
class Contents:
    """Relative paths of files that go along, and of inputs that do not, with their sizes in bytes."""

    files: list[str]
    left_out: dict[str, int]


def contents_of(folder: Path, *, data: bool, outputs: bool = False, limit: int = DATA_BYTES) -> Contents:
    """The files of the project in *folder*: its code and its locks; with *data* its declared inputs of at most
    *limit* bytes each, with *outputs* what its stages have made. Never what its `.himalia` holds beside locks.

    A manifest with a fault declares nothing.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestFault:
        manifest = Manifest(project=ProjectTable(name=folder.name[:63] or "project"))
    made = outputs_of(manifest)
    declared = {path for stage in manifest.stages.values() for path in stage.inputs}
    inputs = {path for path in declared if output_of(path, made) is None}
    files = set(without_data(code_files(folder, manifest, ALONG), manifest.stages, made)) - inputs
    table = manifest.environment
    named = {stage.notebook for stage in manifest.stages.values()} | {table.requirements, table.pyproject, table.lock}
    files |= {name for name in (*named, NAME) if name and _plain(folder, name)}
    locks = [f".himalia/{path.name}" for path in (folder / ".himalia").glob("*.lock")]
    files |= {name for name in locks if _plain(folder, name)}
    left_out: dict[str, int] = {}
    for name in sorted(inputs | (made if outputs else set())):
        held = _held(folder, name)
        sizes = {path: (folder / path).stat().st_size for path in held}
        if name in made or (data and sum(sizes.values()) <= limit):
            files.update(held)
        elif rest := sizes.keys() - files:
            left_out[name] = sum(sizes[path] for path in rest)
    return Contents(sorted(files), left_out)


def _held(folder: Path, name: str) -> list[str]:
    """The files that an input or an output is, or has in it."""
    if not (folder / name).is_dir():
        return [name] if _plain(folder, name) else []
    places = ((Path(base), file) for base, _, files in os.walk(folder / name) for file in files)
    paths = ((base / file).relative_to(folder).as_posix() for base, file in places)
    return sorted(path for path in paths if PRIVATE.isdisjoint(path.split("/")) and _plain(folder, path))


def _plain(folder: Path, name: str) -> bool:
    path = folder / name
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def copied_from(folder: Path, *, data: bool) -> Fill:
    """Fills a folder with another project's code, and its declared inputs on request."""

    def fill(target: Path, progress: Progress) -> None:
        if not folder.is_dir():
            raise Invalid(f"The folder {folder} is gone.", hint="himalia project list says where it was looked for.")
        found = contents_of(folder, data=data, limit=1 << 62).files
        target.mkdir()
        for number, name in enumerate(found):
            progress("copying", 100 * number // len(found))
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, target / name)

    return fill
