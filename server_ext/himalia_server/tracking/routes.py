"""REST of the room, and the door to MLflow."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from ..service.auth import Caller, authorize, deny, role_in
from ..service.inputs import Form, Slug, visible
from ..service.paging import Limit, NameCursor, page_of
from ..service.replies import errors
from ..store import Run
from ..team import Role
from .errors import MlflowUnavailable
from .headers import RETRY_AFTER
from .manager import Tracking, TrackingUnavailable
from .models import AliasSet, ModelList, ModelView, TrackingStatus

router = APIRouter(tags=["models"], responses=errors(403, 404, 409))
mlflow_router = APIRouter(include_in_schema=False)
_threads = ThreadPoolExecutor(8, "mlflow-door")
"""Of the door alone: when MLflow hangs, only those wait who want something of it."""
MODEL_NAME = 200
"""Characters of a model's name that the store has room for; MLflow has for 256."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def _manager(request: Request) -> Tracking:
    return request.app.state.tracking  # type: ignore[no-any-return]


Manager = Annotated[Tracking, Depends(_manager)]


@router.get("/projects/{slug}/models")
def list_models(
    slug: Slug, caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200
) -> ModelList:
    """Registered models of the project, by name."""
    models = manager.models(authorize(manager.context, caller, slug, "model.read"))
    items, following = page_of(models, lambda model: model.name, cursor, limit)
    return ModelList(items=items, next=following)


@router.put("/projects/{slug}/models/{name}/aliases/{alias}")
def set_alias(
    slug: Slug,
    name: Annotated[str, visible(MODEL_NAME)],
    alias: Annotated[
        str, Form("[a-z][a-z0-9_-]{0,62}", "1 to 63 small letters, digits, - and _, and begin with a letter")
    ],
    body: AliasSet,
    caller: Caller,
    manager: Manager,
) -> ModelView:
    """Point an alias (champion, challenger, …) to a version."""
    project = authorize(manager.context, caller, slug, "model.alias", name)
    return manager.set_alias(caller, project, name, alias, body.version)


@router.get("/projects/{slug}/tracking")
def tracking_status(slug: Slug, caller: Caller, manager: Manager) -> TrackingStatus:
    """Whether MLflow answers."""
    authorize(manager.context, caller, slug, "tracking.read")
    return TrackingStatus(state="running" if manager.wait(0) else "starting")


@mlflow_router.get("/mlflow/{slug}")
def mlflow_root(slug: Slug, caller: Caller, manager: Manager) -> RedirectResponse:
    """MLflow's pages use relative addresses, which need the slash."""
    authorize(manager.context, caller, slug, "tracking.read")
    return RedirectResponse(f"{slug}/", status_code=307)


@mlflow_router.api_route("/mlflow/{slug}/{path:path}", methods=METHODS)
async def mlflow(slug: Slug, path: str, request: Request, caller: Caller, manager: Manager) -> Response:
    """MLflow itself, for what the caller's role allows; its workspace is forced."""
    context = manager.context

    def enter() -> tuple[str, str | None]:
        project = authorize(context, caller, slug, "tracking.read")
        with context.database.read() as session:
            role = role_in(session, caller, project)
            run = session.get(Run, caller.run_id) if caller.run_id else None
        manager.ready(project)
        scratch = manager.scratch.open(project, run.id) if run is not None and run.kind == "verification" else None
        return role or Role.VIEWER, scratch

    try:
        role, scratch = await asyncio.get_running_loop().run_in_executor(_threads, enter)
    except (TrackingUnavailable, MlflowUnavailable):
        text = "MLflow is starting. Try again in a few seconds."
        document = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": text}
        return JSONResponse(document, status_code=503, headers={"Retry-After": RETRY_AFTER})
    denied: list[tuple[str, str, str]] = []
    response: Response = await request.app.state.mlflow_proxy.forward(
        request, slug, role, path, on_denied=lambda *what: denied.append(what), scratch=scratch
    )
    for method, where, reason in denied:
        detail = {"method": method, "reason": reason}
        await asyncio.to_thread(deny, context, caller, "tracking", slug, where[:200], detail)
    return response
