"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .manager import Pipelines
from .models import RunCreate, RunList, RunView, StageProgress

router = APIRouter(prefix="/projects/{slug}/runs", tags=["runs"], responses=errors(403, 404, 409))


def _manager(request: Request) -> Pipelines:
    return request.app.state.pipelines  # type: ignore[no-any-return]


Manager = Annotated[Pipelines, Depends(_manager)]


@router.get("")
def list_runs(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> RunList:
    """Runs, newest first."""
    project = authorize(manager.context, caller, slug, "run.read")
    items, following = manager.page(project, cursor, limit)
    return RunList(items=items, next=following)


@router.post("", status_code=201)
def start_run(slug: Slug, body: RunCreate, caller: Caller, manager: Manager, once: OnceKey) -> RunView:
    """Snapshot the project and run its pipeline."""
    project = authorize(manager.context, caller, slug, "run.start")
    return make_once(
        once,
        manager.context,
        lambda: manager.start_run(caller, project, body.params, once),
        lambda run_id: manager.view(project, run_id),
    )


@router.get("/{run_id}")
def read_run(slug: Slug, run_id: Known, caller: Caller, manager: Manager) -> RunView:
    """One run with its stages."""
    return manager.view(authorize(manager.context, caller, slug, "run.read", run_id), run_id)


@router.post("/{run_id}/cancel")
def cancel_run(slug: Slug, run_id: Known, caller: Caller, manager: Manager) -> RunView:
    """Stop a run."""
    return manager.cancel(caller, authorize(manager.context, caller, slug, "run.cancel", run_id), run_id)


@router.post("/{run_id}/stages/{stage}/progress", status_code=204)
def report_progress(
    slug: Slug, run_id: Known, stage: Known, body: StageProgress, caller: Caller, manager: Manager
) -> Response:
    """For the running stage itself."""
    project = authorize(manager.context, caller, slug, "run.progress", run_id)
    manager.progress(caller, project, run_id, stage, body)
    return Response(status_code=204)


@router.get(
    "/{run_id}/stages/{stage}/notebook",
    response_class=FileResponse,
    responses={200: {"content": {"application/x-ipynb+json": {}}}},
)
def executed_notebook(slug: Slug, run_id: Known, stage: Known, caller: Caller, manager: Manager) -> FileResponse:
    """The executed notebook, as it was kept."""
    path = manager.notebook(authorize(manager.context, caller, slug, "run.read", run_id), run_id, stage)
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="application/x-ipynb+json", filename=f"{stage}.ipynb", headers=headers)


@router.get(
    "/{run_id}/stages/{stage}/log", response_class=FileResponse, responses={200: {"content": {"text/plain": {}}}}
)
def stage_log(slug: Slug, run_id: Known, stage: Known, caller: Caller, manager: Manager) -> FileResponse:
    """What the stage printed."""
    path = manager.log_of(authorize(manager.context, caller, slug, "run.read", run_id), run_id, stage)
    return FileResponse(path, media_type="text/plain; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})
