"""What a run would do now, stage by stage, and what has changed since the last one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..content import ContentStore, FileEntry, MissingContent, UnfitContent
from ..projects import Manifest, ManifestFault, ProjectPaths, Projects, output_of, read_manifest
from ..service.problems import Invalid, NotFound, nearest
from ..store import Database, Project, StageRun
from .file_changes import Differing, FileChanges, differing_files
from .graph import Graph
from .keys import Code, NotebookUnfit, Parts
from .outputs import differing
from .planning import Planned, Planner, Scene
from .results import KnownResult
from .starting import Subject, code_names, input_names, take_files
from .status_models import CellChange, ChangeView, PipelineView, StageChanges, StageStatus

STATES = {"skip": "up_to_date", "run": "changed", "later": "waits"}


class StatusReader:
    """Reads the state of pipelines. Puts code into the content store, as a run would; changes nothing else."""

    def __init__(
        self,
        database: Database,
        projects: Projects,
        content: ContentStore,
        planner: Planner,
        used: Callable[[Project, Manifest], dict[str, FileEntry]],
    ) -> None:
        """*used*: the files of the components that a project uses."""
        self.database, self.projects, self.content, self.planner = database, projects, content, planner
        self._used = used

    def read(self, project: Project) -> PipelineView:
        """All stages of the project as it is now, each after those it waits for."""
        try:
            manifest = read_manifest(Path(project.path))
        except ManifestFault as fault:  # no refusal: pages look at projects that somebody is editing just now
            return PipelineView(project=project.slug, problem=fault.detail, environment=None, waiting=None, stages=[])
        scene, faults = self._scene(project, manifest)
        return self._view(project, scene, scene.graph.order, faults)

    def plan(self, project: Project, subject: Subject, code: Mapping[str, FileEntry], *, force: bool) -> PipelineView:
        """What a run of *subject* would do now, each of its stages after those it waits for. *code*: its files.

        Raises:
            Invalid: an input holds what cannot be kept.
        """
        return self._view(project, self._seen(project, subject, code, force=force), subject.names, {})

    def _view(self, project: Project, scene: Scene, order: Iterable[str], faults: Mapping[str, str]) -> PipelineView:
        """The stages of *order*: what would become of them, and of those with *faults* why nothing can."""
        order, manifest = list(order), scene.manifest
        names = [name for name in order if name not in faults]
        with self.database.read() as session:
            plans = {
                planned.stage: planned for planned in self.planner.plan(session, scene, names, {}, unfinished=faults)
            }
            made = self._made(session, plans.values(), scene)
        known = {path: digest for name in names for path, digest in _outputs(plans[name]).items()}
        missing = set(differing(self.content, Path(project.path), known))
        stages = [
            _invalid(manifest, scene.graph, name, faults[name])
            if name in faults
            else _status(manifest, scene, plans[name], made.get(name), missing)
            for name in order
        ]
        used = self.projects.kernels.environment_of(project)
        digest = used.environment.digest
        return PipelineView(
            project=project.slug,
            environment=None if digest == "shared" else digest,
            waiting=used.waiting or used.refused,
            stages=stages,
        )

    def changes(self, project: Project, manifest: Manifest, name: str, *, readable: bool) -> StageChanges:
        """What differs from the last result of one stage, with the cells, and the lines of files if *readable*.

        Raises:
            NotFound: there is no such stage. Invalid: it could not run.
        """
        if name not in manifest.stages:
            raise NotFound(f"There is no stage {name!r}.", hint=nearest(name, manifest.stages))
        scene, faults = self._scene(project, manifest)
        if name in faults:
            raise Invalid(faults[name], field=f"stages.{name}")
        order = [other for other in scene.graph.order if other in scene.graph.above([name])]
        with self.database.read() as session:
            planned = self.planner.plan(session, scene, order, {}, unfinished=faults)[-1]
        last = scene.newest.get(name)
        cells, files = list[CellChange](), list[Differing]()
        if last is not None and planned.parts is not None:
            try:
                old = Parts.load(self.content.path(last.parts).read_bytes())
            except (MissingContent, ValueError):
                pass  # what it was made of is no longer kept; that it differs is told all the same
            else:
                cells = self._cells(old, planned.parts)
                if planned.action != "skip" or planned.changes:  # else it has an older result of just this
                    files = differing_files(old, planned.parts, _reads(last, scene))
        told = FileChanges(self.content, scene.folder, readable=readable).tell(files)
        return StageChanges(
            stage=name,
            why=planned.why,
            changes=_changes(planned),
            cells=cells,
            files=told,
            files_left_out=len(files) - len(told),
        )

    def _cells(self, old: Parts, new: Parts) -> list[CellChange]:
        try:
            return cell_changes(self.planner.reader.notebook(old.notebook), self.planner.reader.notebook(new.notebook))
        except (MissingContent, NotebookUnfit):
            return []  # the notebook of that time is no longer kept

    def _scene(self, project: Project, manifest: Manifest) -> tuple[Scene, dict[str, str]]:
        """What a run would see, and the stages that could not run, with the reason."""
        folder, graph = Path(project.path), Graph.of(manifest)
        paths = ProjectPaths(folder)
        faults = dict[str, str]()
        for name, stage in manifest.stages.items():
            missing = [
                path
                for path in (stage.notebook, *(path for path in stage.inputs if not output_of(path, graph.maker)))
                if not paths.exists(path)
            ]
            if missing:
                faults[name] = f"{missing[0]} does not exist"
        fit = [name for name in graph.order if name not in faults]
        subject = Subject(manifest, graph, fit, {name: manifest.stages[name].params for name in fit})
        code = take_files(self.content, folder, code_names(folder, manifest, subject)) | self._used(project, manifest)
        return self._seen(project, subject, code), faults

    def _seen(self, project: Project, subject: Subject, code: Mapping[str, FileEntry], *, force: bool = False) -> Scene:
        """What a run of *subject* would see, whose inputs are looked at where they are: nothing of them is stored."""
        folder, manifest, inputs = Path(project.path), subject.manifest, input_names(subject)
        files = {path: entry.digest for path, entry in code.items()}
        try:
            there = self.content.entries_of([folder / path for path in inputs])
        except UnfitContent as error:
            raise Invalid(str(error), field="inputs") from error
        files |= {path: there[folder / path].digest for path in inputs if folder / path in there}
        wanted = {None, *(stage.environment for stage in manifest.stages.values())}
        used = {name: self.projects.kernels.environment_of(project, name) for name in wanted}
        return Scene(project.id, manifest, subject.graph, subject.params, files, folder, used, force)

    def _made(self, session: Session, plans: Iterable[Planned], scene: Scene) -> dict[str, StageRun]:
        """The run of each stage in which its last result was made."""
        results = {planned.stage: planned.result or scene.newest.get(planned.stage) for planned in plans}
        pairs = {(result.run_id, stage) for stage, result in results.items() if result is not None}
        runs, found = {run for run, _ in pairs}, {}
        for row in session.scalars(select(StageRun).where(StageRun.run_id.in_(runs))) if runs else ():
            if (row.run_id, row.stage) in pairs:
                found[row.stage] = row
        return found


def cell_changes(old: Code, new: Code) -> list[CellChange]:
    """The code cells that differ, with their differences as a person reads them."""
    found = []
    matcher = difflib.SequenceMatcher(a=old.cells, b=new.cells, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        for offset in range(max(i2 - i1, j2 - j1)):
            before = old.sources[i1 + offset] if i1 + offset < i2 else ""
            after = new.sources[j1 + offset] if j1 + offset < j2 else ""
            number = new.numbers[j1 + offset] if j1 + offset < j2 else None
            lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))
            found.append(CellChange(number=number, diff="\n".join(lines[2:])))
    return found


def _reads(last: KnownResult, scene: Scene) -> list[Differing]:
    """What the stage opened without having declared it, and is not what it was."""
    now = scene.files
    return [
        Differing("read", path, old, now.get(path)) for path, old in sorted(last.reads.items()) if now.get(path) != old
    ]


def _changes(planned: Planned) -> list[ChangeView]:
    return [ChangeView(part=change.part, name=change.name, text=change.text) for change in planned.changes]


def _outputs(planned: Planned) -> dict[str, str]:
    return dict(planned.result.outputs) if planned.action == "skip" and planned.result is not None else {}


def _status(
    manifest: Manifest, scene: Scene, planned: Planned, made: StageRun | None, missing: set[str]
) -> StageStatus:
    stage = manifest.stages[planned.stage]
    last = planned.result or scene.newest.get(planned.stage)
    state = STATES[planned.action]
    if state == "changed" and last is None:
        state = "new"
    restore = sorted(missing & set(stage.outputs)) if state == "up_to_date" else []
    why = f"unchanged; {', '.join(restore)} would be restored from the cache" if restore else planned.why
    return StageStatus(
        name=planned.stage,
        notebook=stage.notebook,
        state=state,
        why=why,
        changes=_changes(planned),
        waits_for=sorted(scene.graph.waits[planned.stage]),
        inputs=stage.inputs,
        outputs=stage.outputs,
        restore=restore,
        params=scene.params[planned.stage],
        cluster=stage.cluster,
        environment=stage.environment,
        key=planned.parts.key if planned.parts else None,
        deterministic=planned.deterministic,
        last_run=last.run_id if last else None,
        last_seconds=made.ended_at - made.started_at if made and made.ended_at and made.started_at else None,
        last_ended_at=last.created_at if last else None,
    )


def _invalid(manifest: Manifest, graph: Graph, name: str, why: str) -> StageStatus:
    stage = manifest.stages[name]
    return StageStatus(
        name=name,
        notebook=stage.notebook,
        state="invalid",
        why=why,
        changes=[],
        waits_for=sorted(graph.waits[name]),
        inputs=stage.inputs,
        outputs=stage.outputs,
        restore=[],
        params=stage.params,
        cluster=stage.cluster,
        environment=stage.environment,
        key=None,
        deterministic=True,
        last_run=None,
        last_seconds=None,
        last_ended_at=None,
    )
