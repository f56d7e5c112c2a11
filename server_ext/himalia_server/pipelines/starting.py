"""What is checked before a run starts, the snapshot that it runs on, and how it is written down."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from sqlalchemy import Table, insert

from himalia_kernels.describing import Description, derived_values, describe_parameters
from himalia_kernels.parameters import NotebookUnreadableError, check_parameters

from ..content import ContentStore, FileEntry, UnfitContent
from ..projects import (
    Manifest,
    ProjectPaths,
    StageTable,
    code_by_name,
    code_files,
    git_names,
    output_of,
    outputs_of,
    without_data,
)
from ..service.auth import Principal
from ..service.context import Change
from ..service.logs import request_id
from ..service.once import Once
from ..service.problems import Invalid, NotFound
from ..store import Project, Run, StageRun
from .graph import Graph
from .models import ParameterView
from .requests import NOTEBOOK_STAGE, RunRequest

_STAGE_RUNS = cast(Table, StageRun.__table__)
NOT_RUNNING, NO_WORKER = "does not run", "has no worker"
SWEEP_WAITS = "waiting because other runs of this sweep go on"


@dataclass(frozen=True)
class Subject:
    """What is run: of a manifest the stages `names` in their order, with these parameters. `graph`: of all stages."""

    manifest: Manifest
    graph: Graph
    names: list[str]
    params: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """A run that was checked and may be written down. `options`: of its row; `components`, `code`: as in `Pinned`.

    `files`: code and inputs by path; `snapshot`: the digest of their list.
    """

    request: RunRequest
    subject: Subject
    components: dict[str, str]
    code: dict[str, Any]
    files: dict[str, FileEntry]
    snapshot: str
    options: dict[str, Any]


def add_run(
    change: Change, principal: Principal, project: Project, prepared: Prepared, once: Once | None = None
) -> Run:
    """Write down a run that is to be driven."""
    request, subject = prepared.request, prepared.subject
    change.require_live(project)
    run = Run(
        project_id=project.id,
        kind=request.kind,
        trigger=request.trigger,
        status="pending",
        params=request.params,
        options=prepared.options,
        snapshot=prepared.snapshot,
        code=prepared.code,
        manifest=subject.manifest.model_dump() | {"components": prepared.components},
        origin_id=request.origin_id,
        sweep_id=request.sweep_id,
        schedule_id=request.schedule_id,
        slot=request.slot,
        created_by=principal.user,
        request_id=request_id.get(),
    )
    change.session.add(run)
    change.session.flush()
    change.made(once, run.id)
    waits = SWEEP_WAITS if request.sweep_id else None
    rows = [
        {
            "run_id": run.id,
            "stage": name,
            "position": position,
            "status": "pending",
            "params": subject.params[name],
            "reason": None if position else waits,
        }
        for position, name in enumerate(subject.names)
    ]
    change.session.execute(insert(_STAGE_RUNS), rows)  # no objects: there may be thousands
    if request.on_created is not None:
        request.on_created(change.session, run)
    detail = {"kind": request.kind, "trigger": request.trigger, "snapshot": prepared.snapshot}
    change.audit("run.start", project, run.id, components=prepared.components, **detail)
    change.event("run.created", run.id, {"status": "pending", **detail}, project)
    return run


def notebook_manifest(manifest: Manifest, notebook: str, inputs: Iterable[str]) -> Manifest:
    """A manifest with the one stage that runs *notebook*, whatever was made before; all else is as in *manifest*."""
    named = next((stage for stage in manifest.stages.values() if stage.notebook == notebook), None)
    known = list(named.inputs) if named is not None else []
    environment = named.environment if named is not None else None
    table = StageTable(
        notebook=notebook, inputs=list(dict.fromkeys([*known, *inputs])), environment=environment, cache="never"
    )
    return manifest.model_copy(update={"stages": {NOTEBOOK_STAGE: table}})


def own_folder(manifest: Manifest, request: RunRequest) -> str | None:
    """The folder, in the project, where a notebook runs that is no stage: its own, as in JupyterLab.

    None: the project's, as stages do.
    """
    staged = {stage.notebook for stage in manifest.stages.values()}
    if request.kind == "pipeline" or request.notebook is None or request.notebook in staged:
        return None
    place = PurePosixPath(request.notebook).parent.as_posix()
    return None if place == "." else place


def check_stages(
    folder: Path, subject: Subject, request: RunRequest, cluster_fault: Callable[[str], str | None], slug: str
) -> None:
    """Refuse what can be known to fail.

    Raises:
        Invalid: a notebook or an input is missing or leads out of the project, a parameter is unknown or of the wrong
            kind, a cluster does not run or has no worker.
    """
    manifest = subject.manifest
    made = {output for name in subject.names for output in manifest.stages[name].outputs}
    paths, pinned = ProjectPaths(folder), request.pinned is not None
    for name in subject.names:
        stage = manifest.stages[name]
        where = "notebook" if request.kind != "pipeline" else f"stages.{name}.notebook"
        if not pinned:
            _require_file(paths, stage.notebook, where, f"{where}: {stage.notebook} does not exist.")
        for path in stage.inputs:
            if not output_of(path, made):
                _require_input(paths, path, f"stages.{name}.inputs", manifest)
        if not pinned:
            check_params(folder / stage.notebook, name, stage, subject.params[name], request)
        fault = cluster_fault(stage.cluster) if stage.cluster else None
        if fault is not None:
            absent, verb = fault == NOT_RUNNING, "scale" if fault == NO_WORKER else "start"
            first = "" if absent or verb == "scale" else f"himalia cluster stop {stage.cluster} --project {slug}; then "
            count = " 2" if verb == "scale" else ""
            raise Invalid(
                f"Stage {name!r} wants the cluster {stage.cluster!r}, which {fault}.",
                hint=f"{first}himalia cluster {verb} {stage.cluster}{count} --project {slug}",
                field=f"stages.{name}.cluster",
            )


def _require_file(paths: ProjectPaths, path: str, field: str, missing: str) -> None:
    if not paths.is_file(path):
        raise Invalid(
            missing, hint=f"Put the notebook there, or change its path in himalia.toml ({paths.root}).", field=field
        )
    _require_inside(paths, path, field)


def _require_input(paths: ProjectPaths, path: str, field: str, manifest: Manifest) -> None:
    if not paths.exists(path):
        maker = next((name for name, table in manifest.stages.items() if output_of(path, table.outputs)), None)
        also = f"Run the stage {maker!r}, which makes it, as well." if maker else f"Put it there ({paths.root})."
        raise Invalid(
            f"{field}: {path} does not exist, and no stage of this run makes it.",
            hint=also,
            field=field,
        )
    _require_inside(paths, path, field)


def _require_inside(paths: ProjectPaths, path: str, field: str) -> None:
    if path not in paths:
        raise Invalid(f"{field}: {path} leads out of the project.", field=field)


def check_params(notebook: Path, name: str, stage: StageTable, params: dict[str, Any], request: RunRequest) -> None:
    """Refuse parameters that the notebook of a stage does not take.

    Raises:
        Invalid: there are such, or it is no notebook.
    """
    try:
        problems = check_parameters(notebook, params)
    except NotebookUnreadableError as error:
        raise Invalid(f"Stage {name!r}: {error}", field=f"stages.{name}.notebook") from error
    if problems:
        where = f"params.{name}" if name in request.params else f"stages.{name}.params"
        text = " ".join(str(problem) for problem in problems)
        raise Invalid(f"Stage {name!r} ({stage.notebook}): {text}", field=where)


def code_names(folder: Path, manifest: Manifest, subject: Subject) -> list[str]:
    """Paths of the code, without what is an input (see `input_names`), or lies within one or within an output.

    *manifest*: the project's, whose outputs are no code of a notebook that runs alone either.
    """
    names = {*code_files(folder, manifest), *_notebooks(subject)}
    return sorted(
        set(without_data(names, subject.manifest.stages, outputs_of(manifest))).difference(input_names(subject))
    )


def input_names(subject: Subject) -> list[str]:
    """Paths of the inputs that no stage of the run makes. The notebooks of its stages are code whoever reads them."""
    stages = [subject.manifest.stages[name] for name in subject.names]
    made = {output for stage in stages for output in stage.outputs}
    names = {path for stage in stages for path in stage.inputs if not output_of(path, made)}
    return sorted(names - _notebooks(subject))


def _notebooks(subject: Subject) -> set[str]:
    return {subject.manifest.stages[name].notebook for name in subject.names}


def take_files(content: ContentStore, folder: Path, names: Iterable[str]) -> dict[str, FileEntry]:
    """Put files and folders of a project into the content store.

    Raises:
        Invalid: one vanished meanwhile, or holds what cannot be kept. OSError: the disk is full.
    """
    places = {name: f"{folder}/{name}" for name in names}
    try:
        found = content.put_paths(places.values())
    except UnfitContent as error:
        raise Invalid(f"This cannot be part of a snapshot: {error}", field="inputs") from error
    gone = next((name for name, place in places.items() if place not in found), None)
    if gone is not None:
        raise Invalid(f"{gone} vanished while the snapshot was taken.", hint="Try again.")
    return {name: found[place] for name, place in places.items()}


def git_state(folder: Path, manifest: Manifest, code: Collection[str]) -> dict[str, Any]:
    """`commit`, `branch` and `dirty` of the repository that holds *folder*.

    Empty without one, and when it tracks nothing in the folder: then no commit of it tells what runs. `dirty`: what
    runs is not what the commit holds. A file of the *code* is not tracked (ignored, it runs all the same), or it, or
    an input that is tracked, was changed, or removed, since. Outputs and what is no part of a run do not count.
    """
    try:
        tracked = git_names(folder, "ls-files", "-z", "--cached")
        command = ("status", "-z", "--porcelain=v2", "--branch", "--untracked-files=no", "--no-renames", "--", ".")
        lines = git_names(folder, *command) if tracked else None
        prefix = git_names(folder, "rev-parse", "--show-prefix") if lines and not (folder / ".git").exists() else None
    except subprocess.TimeoutExpired:
        return {}
    if not tracked or lines is None:
        return {}
    within = prefix[0].rstrip("\n") if prefix else ""
    inputs = {path for stage in manifest.stages.values() for path in stage.inputs}
    outputs, called, known = outputs_of(manifest), code_by_name(manifest), set(code)
    state: dict[str, Any] = {"dirty": not known.issubset(tracked)}
    for line in lines:
        if line.startswith("# branch.oid "):
            state["commit"] = line.rpartition(" ")[2]
        elif line.startswith("# branch.head "):
            state["branch"] = line.rpartition(" ")[2]
        elif not line.startswith("#"):
            # before the path stand eight values, of one that is to be merged ten
            name = line.split(" ", 10 if line.startswith("u") else 8)[-1].removeprefix(within)
            gone = called(name) and not os.path.lexists(folder / name)  # a link may lead nowhere
            runs = gone or name in known or output_of(name, inputs)
            state["dirty"] |= bool(runs and not output_of(name, outputs))
    return state if state.get("commit", "(initial)") != "(initial)" else {}


def grid_of(manifest: Manifest, given: Mapping[str, Mapping[str, list[Any]]]) -> dict[str, dict[str, list[Any]]]:
    """The values that a sweep is over: those *given*, and those of the stages that have `sweep`."""
    grid = {
        name: {key: list(value) for key, value in stage.params.items() if isinstance(value, list)}
        for name, stage in manifest.stages.items()
        if stage.sweep
    }
    for name, values in given.items():
        grid[name] = {**grid.get(name, {}), **{key: list(value) for key, value in values.items()}}
    return {name: values for name, values in grid.items() if values}


def parameters_of(folder: Path, notebook: str) -> list[ParameterView]:
    """What a notebook's parameters cell sets.

    Raises:
        NotFound: there is no such notebook in the project. Invalid: it is none.
    """
    path = folder / notebook
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise NotFound(f"There is no notebook {notebook} in the project.", hint="Paths are relative to its folder.")
    try:
        found = describe_parameters(path)
    except NotebookUnreadableError as error:
        raise Invalid(f"{notebook}: {error}", field="notebook") from error
    return [_parameter_view(one) for one in found]


def _parameter_view(found: Description) -> ParameterView:
    plain = found.literal
    try:
        json.dumps([found.value, found.choices], allow_nan=False)
    except (TypeError, ValueError):
        plain = False  # a set, bytes, infinity: Python has it, JSON has not
    return ParameterView(
        name=found.name,
        type=found.type,
        annotation=found.annotation,
        default=found.default,
        help=found.help,
        plain=plain,
        value=found.value if plain else None,
        choices=list(found.choices) if plain else [],
    )


def warnings_of(folder: Path, subject: Subject) -> list[str]:
    """What papermill does with the parameters that a person may not expect."""
    found = []
    for name in subject.names:
        stage = subject.manifest.stages[name]
        with suppress(NotebookUnreadableError):  # told by `check_stages`
            found += [
                f"Stage {name!r}: {value}" for value in derived_values(folder / stage.notebook, subject.params[name])
            ]
    return found
