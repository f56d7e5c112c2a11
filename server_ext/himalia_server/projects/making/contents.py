"""Which files of a project go along when it is copied or exported."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ...service.problems import Invalid
from ..manifest import NAME, Manifest, ManifestFault, ProjectTable, code_files, read_manifest
from .filling import Fill, Progress

ALONG = ("*.md", "*.rst", "*.txt", "*.cfg", "*.lock", "*.css", "*.html", "*.svg", "*.png", "LICENSE*", ".gitignore")
"""What is no code and belongs to it."""
DATA_BYTES = 256 << 20
"""An input above this stays where it is unless somebody asks for more."""


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
    made = {path for stage in manifest.stages.values() for path in stage.outputs}
    inputs = {path for stage in manifest.stages.values() for path in stage.inputs} - made
    files = set(code_files(folder, manifest, ALONG)) - inputs
    table = manifest.environment
    named = {stage.notebook for stage in manifest.stages.values()} | {table.requirements, table.pyproject, table.lock}
    files |= {name for name in (*named, NAME) if name and _plain(folder, name)}
    locks = [f".himalia/{path.name}" for path in (folder / ".himalia").glob("*.lock")]
    files |= {name for name in locks if _plain(folder, name)}
    left_out: dict[str, int] = {}
    for name in sorted((inputs if data else set()) | (made if outputs else set())):
        if _plain(folder, name):
            size = (folder / name).stat().st_size
            if name in made or size <= limit:
                files.add(name)
            else:
                left_out[name] = size
    if not data:
        left_out = {name: (folder / name).stat().st_size for name in sorted(inputs) if _plain(folder, name)}
    return Contents(sorted(files), left_out)


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
