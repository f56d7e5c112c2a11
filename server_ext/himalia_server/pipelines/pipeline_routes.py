"""REST of a project's pipeline as it is now, of its stages, and of sweeps over it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from ..projects import RelativePath, read_manifest
from ..service.auth import Caller, authorize, authorize_site
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.replies import errors
from ..team import may
from .manager import Pipelines
from .models import CollectRequest, CollectView, ParameterView, SweepCreate, SweepView
from .requests import RunRequest
from .starting import parameters_of
from .status_models import PipelineView, PlanRequest, StageChanges

router = APIRouter(prefix="/projects/{slug}", tags=["pipeline"], responses=errors(403, 404, 409))


def _manager(request: Request) -> Pipelines:
    return request.app.state.pipelines  # type: ignore[no-any-return]


Manager = Annotated[Pipelines, Depends(_manager)]


@router.get("/pipeline")
def read_pipeline(slug: Slug, caller: Caller, manager: Manager) -> PipelineView:
    """The stages, and what a run would do now: skip, or run and why."""
    return manager.status.read(authorize(manager.context, caller, slug, "run.read"))


@router.get("/pipeline/stages/{stage}/changes")
def stage_changes(slug: Slug, stage: Known, caller: Caller, manager: Manager) -> StageChanges:
    """What has changed since the last result of a stage, with the cells and files that differ."""
    project = authorize(manager.context, caller, slug, "run.read")
    # a viewer reads notebooks and their code, not the files beside them
    readable = may(manager.projects.role(caller, project), "project.export")
    return manager.status.changes(project, read_manifest(Path(project.path)), stage, readable=readable)


@router.post("/pipeline/plan")
def plan_run(slug: Slug, body: PlanRequest, caller: Caller, manager: Manager) -> PipelineView:
    """What a run with these options and parameters would do; refused as that run would be. Nothing is changed."""
    project = authorize(manager.context, caller, slug, "run.read")
    return manager.plan(caller, project, RunRequest(params=body.params, options=body.options))


@router.get("/pipeline/parameters")
def notebook_parameters(
    slug: Slug, caller: Caller, manager: Manager, notebook: Annotated[RelativePath, Query()]
) -> list[ParameterView]:
    """The parameters that a notebook of the project takes."""
    project = authorize(manager.context, caller, slug, "run.read")
    return parameters_of(Path(project.path), notebook)


@router.post("/sweeps", status_code=201)
def start_sweep(slug: Slug, body: SweepCreate, caller: Caller, manager: Manager, once: OnceKey) -> SweepView:
    """Run the pipeline once for each combination of values."""
    project = authorize(manager.context, caller, slug, "run.start")
    return make_once(
        once,
        manager.context,
        lambda: manager.sweeps.start(caller, project, body.grid, body.options, once),
        lambda made: manager.sweeps.view(project, made),
    )


@router.get("/sweeps/{sweep_id}")
def read_sweep(slug: Slug, sweep_id: Known, caller: Caller, manager: Manager) -> SweepView:
    """A sweep with its runs."""
    return manager.sweeps.view(authorize(manager.context, caller, slug, "run.read", sweep_id), sweep_id)


site_router = APIRouter(tags=["service"], responses=errors(403, 409))


@site_router.post("/storage/collect")
def collect(body: CollectRequest, caller: Caller, manager: Manager) -> CollectView:
    """Remove runs and results that are past their time, and content that nothing refers to."""
    authorize_site(manager.context, caller, "site.manage")
    return manager.retention.collect(caller, dry_run=body.dry_run)
