"""REST of runs; that of the pipeline itself is in `pipeline_routes`."""

from __future__ import annotations

from collections.abc import Iterator
from io import SEEK_END
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .manager import Pipelines
from .models import (
    AttemptView,
    CompareView,
    RestoreView,
    RunCreate,
    RunList,
    RunView,
    StageKey,
    StageProgress,
)
from .requests import Kind, RunRequest

BLOCK = 1 << 16
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
    kind: Annotated[Kind | None, Query(description="Only runs of this kind.")] = None,
    schedule: Annotated[str | None, Query(description="Only runs of the schedule with this id.", max_length=32)] = None,
) -> RunList:
    """Runs, newest first."""
    project = authorize(manager.context, caller, slug, "run.read")
    items, following = manager.history.page(project, cursor, limit, kind, schedule)
    return RunList(items=items, next=following)


@router.post("", status_code=201)
def start_run(slug: Slug, body: RunCreate, caller: Caller, manager: Manager, once: OnceKey) -> RunView:
    """Snapshot the project and run its pipeline, or one of its notebooks."""
    project = authorize(manager.context, caller, slug, "run.start")
    return make_once(
        once,
        manager.context,
        lambda: manager.start(caller, project, request_of(body), once),
        lambda run_id: manager.history.view(project, run_id),
    )


def request_of(body: RunCreate) -> RunRequest:
    """What a person asks for."""
    kind: Kind = "notebook" if body.notebook else "pipeline"
    return RunRequest(body.params, body.options, kind, body.notebook, tuple(body.inputs))


@router.get("/compare")
def compare_runs(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    runs: Annotated[list[Annotated[str, Query(max_length=32)]], Query(min_length=2, max_length=10)],
) -> CompareView:
    """Runs side by side: what differs, and what is the same."""
    return manager.history.compare(authorize(manager.context, caller, slug, "run.read"), runs)


@router.get("/{run_id}")
def read_run(slug: Slug, run_id: Known, caller: Caller, manager: Manager) -> RunView:
    """One run with its stages."""
    return manager.history.view(authorize(manager.context, caller, slug, "run.read", run_id), run_id)


@router.post("/{run_id}/cancel")
def cancel_run(slug: Slug, run_id: Known, caller: Caller, manager: Manager) -> RunView:
    """Stop a run."""
    return manager.cancel(caller, authorize(manager.context, caller, slug, "run.cancel", run_id), run_id)


@router.post("/{run_id}/resume", status_code=201)
def resume_run(slug: Slug, run_id: Known, caller: Caller, manager: Manager, once: OnceKey) -> RunView:
    """Go on where a run failed: a new run with the same parameters; what is unchanged is not run again."""
    project = authorize(manager.context, caller, slug, "run.start", run_id)
    return make_once(
        once,
        manager.context,
        lambda: manager.rerun(caller, project, run_id, once),
        lambda made: manager.history.view(project, made),
    )


@router.post("/{run_id}/outputs/restore")
def restore_outputs(slug: Slug, run_id: Known, caller: Caller, manager: Manager) -> RestoreView:
    """Put the outputs of a run into the project's folder."""
    project = authorize(manager.context, caller, slug, "run.start", run_id)
    return RestoreView(paths=manager.restore(caller, project, run_id))


@router.get("/{run_id}/stages/{stage}/key")
def stage_key(slug: Slug, run_id: Known, stage: Known, caller: Caller, manager: Manager) -> StageKey:
    """What a stage was made of."""
    return manager.history.key(authorize(manager.context, caller, slug, "run.read", run_id), run_id, stage)


@router.get("/{run_id}/stages/{stage}/attempts")
def stage_attempts(slug: Slug, run_id: Known, stage: Known, caller: Caller, manager: Manager) -> list[AttemptView]:
    """Tries of a stage that were tried again."""
    return manager.history.attempts(authorize(manager.context, caller, slug, "run.read", run_id), run_id, stage)


Number = Annotated[int, Path(ge=1, le=1000)]


@router.get(
    "/{run_id}/stages/{stage}/attempts/{number}/notebook",
    response_class=FileResponse,
    responses={200: {"content": {"application/x-ipynb+json": {}}}},
)
def attempt_notebook(
    slug: Slug, run_id: Known, stage: Known, number: Number, caller: Caller, manager: Manager
) -> FileResponse:
    """The executed notebook of an attempt."""
    project = authorize(manager.context, caller, slug, "run.read", run_id)
    return _notebook(manager.history.notebook(project, run_id, stage, number), f"{stage}-{number}.ipynb")


@router.get(
    "/{run_id}/stages/{stage}/attempts/{number}/log",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}},
)
def attempt_log(
    slug: Slug, run_id: Known, stage: Known, number: Number, caller: Caller, manager: Manager
) -> StreamingResponse:
    """What an attempt printed."""
    project = authorize(manager.context, caller, slug, "run.read", run_id)
    return _text(manager.history.log_of(project, run_id, stage, number))


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
    """The executed notebook, as it was kept; of a stage that runs, as far as it is."""
    project = authorize(manager.context, caller, slug, "run.read", run_id)
    return _notebook(manager.history.notebook(project, run_id, stage), f"{stage}.ipynb")


@router.get(
    "/{run_id}/stages/{stage}/log", response_class=StreamingResponse, responses={200: {"content": {"text/plain": {}}}}
)
def stage_log(
    slug: Slug,
    run_id: Known,
    stage: Known,
    caller: Caller,
    manager: Manager,
    offset: Annotated[int, Query(ge=0, le=1 << 40, description="Bytes of it that are known already.")] = 0,
) -> StreamingResponse:
    """What the stage printed (so far), from *offset* on; all of it when it is shorter, of another attempt.

    The header Himalia-Offset says how many bytes were left out.
    """
    project = authorize(manager.context, caller, slug, "run.read", run_id)
    return _text(manager.history.log_of(project, run_id, stage), offset)


def _notebook(path: FilePath, name: str) -> FileResponse:
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="application/x-ipynb+json", filename=name, headers=headers)


def _text(path: FilePath, offset: int = 0) -> StreamingResponse:
    """A log, which may grow (or be rotated) while it is read: its length is not told beforehand."""
    file = path.open("rb")
    begin = offset if offset <= file.seek(0, SEEK_END) else 0
    file.seek(begin)

    def blocks() -> Iterator[bytes]:
        with file:
            while block := file.read(BLOCK):
                yield block

    headers = {"X-Content-Type-Options": "nosniff", "Himalia-Offset": str(begin)}
    return StreamingResponse(blocks(), media_type="text/plain; charset=utf-8", headers=headers)
