"""What a stage's code read and wrote in its work folder, whether it was declared or not."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from himalia._observed import LEFT_OUT, ROOT_VARIABLE, VARIABLE, source_of
from himalia_kernels._inotify import ReadWatch, Unsupported
from himalia_kernels.spec import Observed, Outcome, StageSpec

log = logging.getLogger("himalia.stage")
Mark = tuple[int, int, int]
"""Size, time of the last change in ns, and inode of a file."""


class Observer:
    """Observes the work folder of *spec* from its making until :meth:`finish`.

    It sets the variables that have the kernel keep its record (himalia._observed), and on Linux watches the folder.
    """

    def __init__(self, spec: StageSpec) -> None:
        self._spec = spec
        self._root = spec.workdir
        self._folder = Path(tempfile.mkdtemp(prefix="himalia-observed-"))
        self._record = self._folder / "record"
        self._before = scan(self._root)
        self._watch: ReadWatch | None = None
        try:
            self._watch = ReadWatch(_folders(self._root))
        except Unsupported as error:
            log.info("files that native libraries open are not observed: %s", error)
        os.environ[VARIABLE], os.environ[ROOT_VARIABLE] = str(self._record), str(self._root)

    def finish(self, outcome: Outcome) -> None:
        """Fill in what was read and written. To be called when no process of the stage is left."""
        for name in (VARIABLE, ROOT_VARIABLE):
            os.environ.pop(name, None)
        recorded, kept = self._recorded()
        seen, complete = self._watch.finish() if self._watch is not None else (set(), False)
        shutil.rmtree(self._folder, ignore_errors=True)
        outcome.observed = "full" if complete else _degree(kept)
        relative = {self._relative(path) for path in recorded | seen}
        outputs = self._spec.outputs
        outcome.reads = sorted(
            path
            for path in relative
            if path in self._before and path != self._spec.notebook and not within(path, outputs)
        )
        self._changes(outcome)

    def _changes(self, outcome: Outcome) -> None:
        after = scan(self._root)
        outputs = self._spec.outputs
        changed = {path for path, mark in after.items() if self._before.get(path) != mark}
        gone = self._before.keys() - after.keys()
        touched = {path for path in changed | gone if not within(path, outputs)}
        inputs = {path for path in self._spec.inputs if any(within(one, [path]) for one in touched)}
        undeclared = {path for path in touched if not within(path, self._spec.inputs)}
        outcome.changed_inputs = sorted(inputs)
        outcome.writes, outcome.removed = sorted(undeclared & changed), sorted(undeclared & gone)

    def _recorded(self) -> tuple[set[Path], bool]:
        """What the kernel opened for reading, and whether it says that this is all."""
        try:
            lines = self._record.read_text("ascii").splitlines()
        except FileNotFoundError:
            return set(), False
        whole = [line for line in lines if line[:2] == "r " and line.endswith('"')]
        return {Path(json.loads(line[2:])) for line in whole}, "!" not in lines

    def _relative(self, path: Path) -> str:
        """*path*, or for compiled code its source, relative to the work folder; empty for what lies elsewhere."""
        path = Path(source_of(str(path)))
        for root in (self._root, Path(os.path.realpath(self._root))):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return ""


def _degree(kept: bool) -> Observed:
    return "python" if kept else "none"


def within(path: str, declared: Sequence[str]) -> bool:
    """Whether *path* is one of the *declared* ones or lies below one."""
    given = PurePosixPath(path)
    return any(given.is_relative_to(one) for one in declared)


def scan(root: Path) -> dict[str, Mark]:
    """Every file below *root* by its relative POSIX path, but for those in folders that are never observed."""
    marks = {}
    for entry, relative in _entries(root):
        if not entry.is_dir(follow_symlinks=False):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed just now
            marks[relative] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return marks


def _folders(root: Path) -> Iterator[Path]:
    """*root* and every folder below it whose files are observed, and those of compiled modules."""
    yield root
    for entry, _ in _entries(root, left_out=LEFT_OUT - {"__pycache__"}):
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _entries(
    folder: Path, prefix: str = "", left_out: frozenset[str] = LEFT_OUT
) -> Iterator[tuple[os.DirEntry[str], str]]:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name in left_out:
                continue
            yield entry, prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path), f"{prefix}{entry.name}/", left_out)
