"""REST for stages that run on workers of a cluster: for the running stage itself and nobody else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ..service.auth import Caller, authorize
from ..service.inputs import Form, Known, Slug
from ..service.replies import errors
from .models import LogReply, StageClaim, StageOffer
from .remote import RemoteStages

router = APIRouter(
    prefix="/projects/{slug}/runs/{run_id}/stages/{stage}", tags=["runs"], responses=errors(403, 404, 409)
)
Digest = Annotated[str, Path(max_length=71), Form("sha256:[0-9a-f]{64}", "sha256: and 64 digits")]
FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _open(request: Request, caller: Caller, slug: str, run_id: str) -> RemoteStages:
    remote: RemoteStages = request.app.state.pipelines.remote
    authorize(remote.context, caller, slug, "run.progress", run_id)
    return remote


@router.post("/claim")
def claim_stage(
    slug: Slug, run_id: Known, stage: Known, body: StageClaim, caller: Caller, request: Request
) -> StageOffer:
    """A worker begins with an attempt: what it is run with. Who asks second is refused."""
    return _open(request, caller, slug, run_id).claim(caller, run_id, stage, body)


@router.get(
    "/objects/{digest}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
def stage_object(
    slug: Slug, run_id: Known, stage: Known, digest: Digest, caller: Caller, request: Request
) -> FileResponse:
    """A file that the stage is run with."""
    path = _open(request, caller, slug, run_id).object(caller, run_id, stage, digest)
    return FileResponse(path, media_type="application/octet-stream")


@router.put("/uploads/{digest}", status_code=204, openapi_extra=FILE)
async def upload_output(
    slug: Slug, run_id: Known, stage: Known, digest: Digest, caller: Caller, request: Request
) -> Response:
    """A file that the stage has made (the body)."""
    remote = await run_in_threadpool(_open, request, caller, slug, run_id)
    await remote.upload(caller, run_id, stage, digest, request.stream())
    return Response(status_code=204)


@router.put("/notebook", status_code=204, openapi_extra=FILE)
async def upload_notebook(slug: Slug, run_id: Known, stage: Known, caller: Caller, request: Request) -> Response:
    """The stage's notebook, as far as it is executed (the body)."""
    remote = await run_in_threadpool(_open, request, caller, slug, run_id)
    await remote.notebook(caller, run_id, stage, request.stream())
    return Response(status_code=204)


@router.post("/log", openapi_extra=FILE)
async def add_to_log(
    slug: Slug,
    run_id: Known,
    stage: Known,
    caller: Caller,
    request: Request,
    offset: Annotated[int, Query(ge=0, description="How many bytes were printed before these.")] = 0,
) -> LogReply:
    """What the stage has printed since (the body)."""
    remote = await run_in_threadpool(_open, request, caller, slug, run_id)
    return await remote.add_log(caller, run_id, stage, offset, request.stream())
