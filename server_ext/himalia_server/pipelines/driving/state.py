"""What one run is: read from the store when a driver takes it over, kept in step with it from then on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from ...projects import Manifest, Used, outputs_of, without_data
from ...store import Project, Run, StageRun
from ..graph import Graph
from ..models import GOOD
from ..planning import Scene
from ..views import options_of
from .rooms import Rooms, later


@dataclass(frozen=True)
class Fresh:
    """What is known of a run that was written down just now, so that it need not be read again.

    `graph`: of all stages of the manifest; `params`: of the run's stages, in their order; `files`: path → digest of
    its snapshot.
    """

    manifest: Manifest
    graph: Graph
    params: dict[str, dict[str, Any]]
    files: dict[str, str]


class RunState:
    """One run and its stages. Thread-safe: statuses and outputs are changed by `set` only, which is told of commits.

    `params`: stage → its parameters. `declared`: inputs of any stage. `publish`: whether outputs go into the live
    folder. `env`: variables beyond the project's; `cwd`: the folder, within the project, that notebooks run in.
    """

    def __init__(self, rooms: Rooms, run_id: str, fresh: Fresh | None = None) -> None:
        """Reads the run, which is running from now on; of one that is *fresh* only what is not known."""
        self.rooms, self.run_id = rooms, run_id
        self.folder = rooms.context.site.home / "runs" / run_id
        self._lock = threading.Lock()
        with rooms.context.change() as change:
            run = change.session.get_one(Run, run_id)
            project = change.session.get_one(Project, run.project_id)
            if run.status != "pending":
                fresh = None  # somebody has begun with it
            else:
                run.status, run.started_at = "running", later(run.created_at)
                change.event("run.started", run_id, {"status": "running"}, project)
            rows = [] if fresh else _rows(change.session, run_id)
        self.run, self.project, self._fresh = run, project, fresh
        if fresh:
            self.params = fresh.params
            self._statuses = dict.fromkeys(fresh.params, "pending")
            self._outputs = dict[str, dict[str, str]]()
        else:
            self.params = {row.stage: row.params for row in rows}
            self._statuses = {row.stage: row.status for row in rows}
            self._outputs = {row.stage: row.outputs for row in rows}
        self.options = options_of(run)
        self.env = dict(run.options.get("env", {}))
        self.publish = bool(run.options.get("publish", True))
        self.cwd = str(run.options.get("cwd", ""))
        self.manifest = fresh.manifest if fresh else _manifest(run)
        self.declared = {path for stage in self.manifest.stages.values() for path in stage.inputs}
        self.scene: Scene

    @property
    def statuses(self) -> dict[str, str]:
        """Stage → status, as they are now."""
        with self._lock:
            return dict(self._statuses)

    def produced(self) -> dict[str, str]:
        """Path → digest of what the run's stages have made so far."""
        with self._lock:
            return {path: digest for outputs in self._outputs.values() for path, digest in outputs.items()}

    def set(self, stage: str, status: str, outputs: dict[str, str] | None = None) -> None:
        """What was committed of a stage."""
        with self._lock:
            self._statuses[stage] = status
            if outputs is not None:
                self._outputs[stage] = dict(outputs)

    def set_scene(self, used: dict[str | None, Used]) -> None:
        """What the stages see, now that it is known what they run in (`Scene.used`)."""
        if self._fresh:
            files, graph = self._fresh.files, self._fresh.graph
        else:
            held, outputs = self.rooms.content.tree(self.run.snapshot), outputs_of(self.manifest)
            # one that another version of us has taken may hold data as code
            files = {path: held[path].digest for path in without_data(held, self.manifest.stages, outputs)}
            graph = Graph.of(self.manifest)
        # what is not part of this run is not waited for
        waits = {name: frozenset(o for o in graph.waits[name] if o in self.params) for name in self.params}
        graph = Graph(tuple(name for name in graph.order if name in self.params), waits, graph.maker)
        reused = {}
        if self.run.origin_id:
            with self.rooms.context.database.read() as session:
                rows = session.scalars(select(StageRun).where(StageRun.run_id == self.run.origin_id))
                reused = {row.stage: row.key for row in rows if row.status in GOOD and row.key}
        self.scene = Scene(
            project_id=self.project.id,
            manifest=self.manifest,
            graph=graph,
            params=self.params,
            files=files,
            folder=Path(self.project.path),
            used=used,
            force=self.options.force,
            reused=reused,
        )


def _rows(session: Session, run_id: str) -> Sequence[Row[Any]]:
    columns = select(StageRun.stage, StageRun.status, StageRun.outputs, StageRun.params)
    return session.execute(columns.where(StageRun.run_id == run_id).order_by(StageRun.position)).all()


def _manifest(run: Run) -> Manifest:
    return Manifest.model_validate({key: value for key, value in run.manifest.items() if key != "components"})
