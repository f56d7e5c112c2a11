"""What one run is: read from the store when a driver takes it over, kept in step with it from then on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ...projects import Manifest, Used
from ...store import Project, Run, StageRun
from ..graph import Graph
from ..models import GOOD
from ..planning import Scene
from ..views import options_of
from .rooms import Rooms, later


class RunState:
    """One run and its stages. Thread-safe: statuses and outputs are changed by `set` only, which is told of commits.

    `params`: stage → its parameters. `declared`: inputs of any stage. `publish`: whether outputs go into the live
    folder. `env`: variables beyond the project's; `cwd`: the folder, within the project, that notebooks run in.
    """

    def __init__(self, rooms: Rooms, run_id: str, manifest: Manifest | None = None) -> None:
        """Reads the run, which is running from now on. *manifest*: its own, when it is at hand."""
        self.rooms, self.run_id = rooms, run_id
        self.folder = rooms.context.site.home / "runs" / run_id
        self._lock = threading.Lock()
        with rooms.context.change() as change:
            run = change.session.get_one(Run, run_id)
            project = change.session.get_one(Project, run.project_id)
            if run.status == "pending":
                run.status, run.started_at = "running", later(run.created_at)
                change.event("run.started", run_id, {"status": "running"}, project)
            columns = select(StageRun.stage, StageRun.status, StageRun.outputs, StageRun.params)
            query = columns.where(StageRun.run_id == run_id).order_by(StageRun.position)
            rows = change.session.execute(query).all()
        self.run, self.project = run, project
        self._statuses: dict[str, str] = {row.stage: row.status for row in rows}
        self._outputs: dict[str, dict[str, str]] = {row.stage: row.outputs for row in rows}
        self.params: dict[str, dict[str, Any]] = {row.stage: row.params for row in rows}
        self.options = options_of(run)
        self.env = dict(run.options.get("env", {}))
        self.publish = bool(run.options.get("publish", True))
        self.cwd = str(run.options.get("cwd", ""))
        self.manifest = manifest or Manifest.model_validate(
            {k: v for k, v in run.manifest.items() if k != "components"}
        )
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
        files = {path: entry.digest for path, entry in self.rooms.content.tree(self.run.snapshot).items()}
        graph = Graph.of(self.manifest)
        # what is not part of this run is not waited for
        waits = {name: frozenset(graph.waits[name] & set(self.params)) for name in self.params}
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
