"""What a manifest says, compared with the files of the project: all problems at once, needs no service."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from himalia_kernels.parameters import NotebookUnreadableError, check_parameters, load_notebook, parameters_source

from ...service.problems import nearest
from .faults import MOST, Fault, Places, examine, output_of
from .files import SKIPPED
from .models import ManifestProblem, ManifestProblems
from .reading import ManifestFault, read_text
from .tables import NAME, EnvironmentTable, Manifest, StageTable
from .toml_text import Path as Keys

FILES = 5000
"""Of a project that are looked at for names, at most."""


def digest_of_text(text: str) -> str:
    """`sha256:…` of a manifest's text as it is on the disk."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_folder(folder: Path, clusters: Iterable[str] | None = None) -> ManifestProblems:
    """All problems of the project in *folder*. *clusters*: names of those that run; None: not known."""
    try:
        text = read_text(folder)
    except ManifestFault as fault:
        return ManifestProblems(items=[_plain(fault)], digest=None)
    return ManifestProblems(items=check_text(text, folder, clusters), digest=digest_of_text(text))


def check_text(text: str, folder: Path | None = None, clusters: Iterable[str] | None = None) -> list[ManifestProblem]:
    """All problems of a manifest's *text*; with a *folder*, those between it and the files there too."""
    manifest, faults = examine(text)
    found = [as_problem(fault) for fault in faults]
    if manifest is not None:
        places = Places(text)
        if folder is not None:
            found += [as_problem(fault) for fault in islice(_with_files(places, manifest, folder), MOST)]
        if clusters is not None:
            found += [as_problem(fault) for fault in islice(_with_clusters(places, manifest, set(clusters)), MOST)]
        found += [as_problem(fault, "info") for fault in islice(_unused(places, manifest), MOST)]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def as_problem(fault: Fault, severity: str | None = None) -> ManifestProblem:
    """A fault as it crosses the wire."""
    return ManifestProblem(
        file=NAME,
        line=fault.line,
        column=fault.column,
        end_column=max(fault.end, fault.column),
        key=fault.key,
        message=fault.message,
        hint=fault.hint,
        severity="info" if severity == "info" else fault.severity,
    )


def _plain(fault: ManifestFault) -> ManifestProblem:
    return ManifestProblem(
        file=NAME, line=1, column=1, end_column=1, key="", message=fault.detail, hint=fault.hint, severity="error"
    )


def files_of(folder: Path) -> list[str]:
    """Relative paths of the project's files, at most `FILES`; what only tools use is left out."""
    found: list[str] = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        for name in sorted(names):
            if len(found) >= FILES:
                return found
            found.append((Path(base) / name).relative_to(folder).as_posix())
    return found


def _with_files(places: Places, manifest: Manifest, folder: Path) -> Iterator[Fault]:
    files = files_of(folder)
    made = {output for stage in manifest.stages.values() for output in stage.outputs}
    tables: dict[Keys, EnvironmentTable] = {("environment",): manifest.environment}
    tables |= {("environments", name): table for name, table in manifest.environments.items()}
    for place, table in tables.items():
        for key in ("requirements", "pyproject", "lock"):
            name = getattr(table, key)
            if name is not None and not (folder / name).is_file():
                yield places.fault((*place, key), f"{name} does not exist", _near(name, files))
    for name, stage in manifest.stages.items():
        yield from _notebook(places, name, stage, folder, files)
        for number, path in enumerate(stage.inputs):
            where: Keys = ("stages", name, "inputs", number)
            if output_of(path, made):
                continue
            if not (folder / path).exists():
                hint = _near(path, [*made, *files]) or "Put the file there, or name the stage that makes it."
                yield places.fault(where, f"{path} does not exist, and no stage makes it", hint)
            elif not _inside(folder / path, folder):
                yield places.fault(where, f"{path} leads out of the project")


def _notebook(places: Places, name: str, stage: StageTable, folder: Path, files: list[str]) -> Iterator[Fault]:
    where: Keys = ("stages", name, "notebook")
    notebook = folder / stage.notebook
    if not notebook.is_file():
        hint = _near(stage.notebook, [file for file in files if file.endswith(".ipynb")])
        yield places.fault(where, f"{stage.notebook} does not exist", hint or "Put the notebook there.")
        return
    if not _inside(notebook, folder):
        yield places.fault(where, f"{stage.notebook} leads out of the project")
        return
    try:
        book = load_notebook(notebook)
        problems = [problem for params in _given(stage) for problem in check_parameters(book, params)]
        tagged = parameters_source(book) is not None
    except NotebookUnreadableError as error:
        yield places.fault(where, str(error).rstrip("."))
        return
    first = {problem.name: problem for problem in reversed(problems)}
    for problem in first.values() if tagged else ():
        yield places.fault(("stages", name, "params", problem.name), problem.message.rstrip("."), problem.hint or None)
    if not tagged and stage.params:
        yield places.fault(
            ("stages", name, "params"),
            f"{stage.notebook} has no cell tagged 'parameters', so it takes none",
            "Tag the cell that sets the defaults: property inspector (gear), Cell Tags, parameters.",
        )


def _given(stage: StageTable) -> Iterator[dict[str, Any]]:
    """What the notebook may be given; of a sweep the values of its lists in turn, as it never gets a list."""
    swept = {name: value for name, value in stage.params.items() if stage.sweep and isinstance(value, list)}
    yield {name: value for name, value in stage.params.items() if name not in swept}
    for index in range(max(map(len, swept.values()), default=0)):
        yield {name: values[index] for name, values in swept.items() if index < len(values)}


def _with_clusters(places: Places, manifest: Manifest, clusters: set[str]) -> Iterator[Fault]:
    for name, stage in manifest.stages.items():
        if stage.cluster is not None and stage.cluster not in clusters:
            near = nearest(stage.cluster, clusters) if clusters else ""
            hint = near if near.startswith("Did") else "Start it before the pipeline."
            where: Keys = ("stages", name, "cluster")
            yield places.fault(where, f"no cluster {stage.cluster!r} runs", hint, "warning")


def _unused(places: Places, manifest: Manifest) -> Iterator[Fault]:
    """Outputs that no stage reads; those of the last stages are results."""
    read = {path for stage in manifest.stages.values() for path in stage.inputs}
    read |= {str(folder) for path in read for folder in PurePosixPath(path).parents}
    waited = {other for stage in manifest.stages.values() for other in stage.after}
    for name, stage in manifest.stages.items():
        if name not in waited and not read & set(stage.outputs):
            continue
        for number, output in enumerate(stage.outputs):
            if output not in read:
                yield places.fault(("stages", name, "outputs", number), f"no stage reads {output}")


def _near(name: str, known: Iterable[str]) -> str | None:
    found = nearest(name, known)
    return found if found.startswith("Did") else None


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
