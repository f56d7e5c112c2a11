"""REST of the service itself: health, status, stop, audit."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from himalia import __version__

from ..store import AuditRow
from .auth import Caller, authorize_site
from .context import Context
from .inputs import BIGGEST
from .journal import verify_chain
from .replies import errors

health_router = APIRouter()
router = APIRouter(tags=["service"])


Challenge = Annotated[str | None, Header(max_length=200)]


class ChildView(BaseModel):
    """A process that the service started."""

    name: str
    pid: int | None


class ServiceView(BaseModel):
    """The running service. `last_event`: the newest event's number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "site": "1a2b3c4d",
                    "version": "0.1.0",
                    "pid": 4711,
                    "started_at": 1790000000.0,
                    "user": "ada",
                    "tracking": "running",
                    "last_event": 42,
                    "children": [{"name": "mlflow", "pid": 4713}],
                }
            ]
        }
    )
    site: str
    version: str
    pid: int
    started_at: float
    user: str
    tracking: str
    last_event: int
    children: list[ChildView]


class StopRequest(BaseModel):
    """`keep_children`: let MLflow, clusters, stages and endpoints go on for the next service (an upgrade)."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"keep_children": False}]})
    keep_children: bool = False


class AuditView(BaseModel):
    """One change or denial. `at`: UTC seconds since the epoch."""

    seq: int
    at: float
    actor: str
    purpose: str
    action: str
    project: str | None
    subject: str | None
    outcome: str
    detail: dict[str, Any]
    hash: str


class AuditList(BaseModel):
    """Audit rows, newest first. `next`: pass it as `cursor` for older ones; null at the end."""

    items: list[AuditView]
    next: int | None


class AuditCheck(BaseModel):
    """Whether the chain of audit rows is whole. `first_bad`: the first row that was changed or lacks the one before."""

    rows: int
    whole: bool
    first_bad: int | None


@health_router.get("/health", include_in_schema=False)
async def health(request: Request, x_himalia_challenge: Challenge = None) -> JSONResponse:
    """Alive. With a challenge, proves to its own site's clients that it is theirs before they send a token."""
    document = {"status": "ok"}
    if x_himalia_challenge:
        secret = request.app.state.context.site.secret.encode()
        document["proof"] = hmac.new(secret, x_himalia_challenge.encode(), hashlib.sha256).hexdigest()
    return JSONResponse(document)


@router.get("/service")
def read_service(request: Request, caller: Caller) -> ServiceView:
    """What runs."""
    context: Context = request.app.state.context
    children = []
    # their names tell of projects that not everybody may know
    for name in context.children.names() if caller.site_role is not None else []:
        child = context.children.get(name)
        process = child.process() if child else None
        children.append(ChildView(name=name, pid=process.pid if process else None))
    tracking = request.app.state.tracking
    return ServiceView(
        site=context.site.id,
        version=__version__,
        pid=os.getpid(),
        started_at=context.started_at,
        user=caller.user,
        tracking="running" if tracking.wait(0) else f"failed: {tracking.failure}" if tracking.failure else "starting",
        last_event=context.events.bounds()[1],
        children=children,
    )


@router.post("/service/stop", status_code=202, responses=errors(403))
def stop_service(body: StopRequest, request: Request, caller: Caller) -> dict[str, str]:
    """Stop the service, and unless told otherwise all that it started."""
    context: Context = request.app.state.context
    authorize_site(context, caller, "site.manage")
    with context.change(caller) as change:
        change.audit("service.stop", None, None, keep_children=body.keep_children)
        change.event("service.stopping", None, {"keep_children": body.keep_children})
    context.keep_children = body.keep_children
    # after this reply has left
    threading.Timer(0.1, request.app.state.shut_down).start()
    return {"status": "stopping"}


@router.get("/audit", responses=errors(403))
def read_audit(
    request: Request,
    caller: Caller,
    cursor: Annotated[int | None, Query(ge=1, le=BIGGEST)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditList:
    """The audit log, newest first."""
    context: Context = request.app.state.context
    authorize_site(context, caller, "audit.read")
    query = select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(AuditRow.seq < cursor)
    with context.database.read() as session:
        rows = list(session.scalars(query))
    names = AuditView.model_fields
    items = [AuditView(**{name: getattr(row, name) for name in names}) for row in rows[:limit]]
    return AuditList(items=items, next=items[-1].seq if len(rows) > limit else None)


@router.get("/audit/check", responses=errors(403))
def check_audit(request: Request, caller: Caller) -> AuditCheck:
    """Recompute the chain of hashes over the whole audit log."""
    context: Context = request.app.state.context
    authorize_site(context, caller, "audit.read")
    count = 0

    def counted(rows: Iterable[AuditRow]) -> Iterator[AuditRow]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    with context.database.read() as session:
        # the log grows for ever, so it is never in memory as a whole
        rows = counted(session.scalars(select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=1000)))
        bad = verify_chain(rows)
        for _ in rows:
            pass  # verify_chain ends at the first that is bad
    return AuditCheck(rows=count, whole=bad is None, first_bad=bad)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, caller: Caller) -> JSONResponse:
    """The description of this API."""
    return JSONResponse(request.app.openapi())
