"""Sweeps: one pipeline over a grid of parameters, a run for each combination."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..projects import read_manifest
from ..service.auth import Principal
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Invalid, NotFound
from ..store import Project, Sweep
from .models import SweepView
from .requests import Options, Pinned, RunRequest
from .starting import check_stages, grid_of

if TYPE_CHECKING:
    from .manager import Pipelines

MOST_POINTS = 1000
"""Runs of one sweep."""


class Sweeps:
    """Starts and reads sweeps."""

    def __init__(self, context: Context, pipelines: Pipelines) -> None:
        self.context, self.pipelines = context, pipelines

    def start(
        self,
        principal: Principal,
        project: Project,
        given: dict[str, dict[str, list[Any]]],
        options: Options,
        once: Once | None = None,
    ) -> SweepView:
        """Run the pipeline once for each combination of values; the points share what they have in common.

        Raises:
            Invalid: there are no values, or too many combinations.
        """
        manifest = read_manifest(Path(project.path))
        grid = grid_of(manifest, given)
        axes = [(stage, name, values) for stage, of in grid.items() for name, values in of.items()]
        count = math.prod(len(values) for _, _, values in axes)
        if not axes or count > MOST_POINTS:
            raise Invalid(
                f"The sweep has {count} points; the most is {MOST_POINTS}." if axes else "The sweep has no values.",
                hint="Give lists of values, or set sweep = true for a stage whose parameters are lists.",
                field="grid",
            )
        points = [_point(axes, values) for values in itertools.product(*(values for _, _, values in axes))]
        # all are checked before one of them runs
        for point in points:
            subject = self.pipelines.subject(manifest, RunRequest(point, options))
            check_stages(Path(project.path), subject, RunRequest(point, options), lambda _: None, project.slug)
        with self.context.change(principal) as change:
            change.require_live(project)
            sweep = Sweep(project_id=project.id, grid=grid, created_by=principal.user)
            change.session.add(sweep)
            change.session.flush()
            change.made(once, sweep.id)
            change.audit("sweep.start", project, sweep.id, points=count)
            change.event("sweep.created", sweep.id, {"points": count}, project)
        pinned: Pinned | None = None
        for point in points:
            request = RunRequest(point, options, trigger="sweep", sweep_id=sweep.id)
            pinned = pinned or self.pipelines.pin(principal, project, request)
            self.pipelines.start(principal, project, replace(request, pinned=pinned))
        return self.view(project, sweep.id)

    def view(self, project: Project, sweep_id: str) -> SweepView:
        """A sweep with its runs.

        Raises:
            NotFound: the project has none of that id.
        """
        with self.context.database.read() as session:
            sweep = session.get(Sweep, sweep_id)
        if sweep is None or sweep.project_id != project.id:
            raise NotFound(f"There is no sweep {sweep_id!r} in {project.slug}.", hint="himalia run list shows runs.")
        runs = self.pipelines.history.of_sweep(project, sweep_id)
        return SweepView(
            id=sweep.id,
            project=project.slug,
            grid=sweep.grid,
            created_by=sweep.created_by,
            created_at=sweep.created_at,
            points=[
                {
                    stage.name: {name: stage.params.get(name) for name in sweep.grid[stage.name]}
                    for stage in run.stages
                    if stage.name in sweep.grid
                }
                for run in runs
            ],
            runs=runs,
        )


def _point(axes: list[tuple[str, str, list[Any]]], values: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
    """One combination: stage → parameter → value."""
    point: dict[str, dict[str, Any]] = {}
    for (stage, name, _), value in zip(axes, values, strict=True):
        point.setdefault(stage, {})[name] = value
    return point
