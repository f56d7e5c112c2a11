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
from .requests import Options, RunRequest
from .starting import Prepared, add_run, check_params, grid_of

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
        first = self.pipelines.prepare(principal, project, RunRequest(points[0], options, trigger="sweep"))
        prepared = [first, *(self._like(project, first, point) for point in points[1:])]
        # all or none: a sweep is whole, whenever the service is killed
        with self.context.change(principal) as change:
            change.require_live(project)
            sweep = Sweep(project_id=project.id, grid=grid, created_by=principal.user)
            change.session.add(sweep)
            change.session.flush()
            change.made(once, sweep.id)
            change.audit("sweep.start", project, sweep.id, points=count)
            change.event("sweep.created", sweep.id, {"points": count}, project)
            for one in prepared:
                request = replace(one.request, sweep_id=sweep.id)
                add_run(change, principal, project, replace(one, request=request))
        self.pipelines.drivers.drive_sweep(sweep.id)
        return self.view(project, sweep.id)

    def _like(self, project: Project, first: Prepared, point: dict[str, dict[str, Any]]) -> Prepared:
        """The run of another point: the same code and inputs, other parameters.

        Raises:
            Invalid: its notebook does not take them.
        """
        request = replace(first.request, params=point)
        subject = self.pipelines.subject(first.subject.manifest, request)
        for name in subject.names:
            stage = subject.manifest.stages[name]
            if name in point:  # the others have the parameters of the first
                check_params(Path(project.path) / stage.notebook, name, stage, subject.params[name], request)
        return replace(first, request=request, subject=subject)

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
