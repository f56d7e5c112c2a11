"""The application: rooms, routes, errors. Made once a process."""

from __future__ import annotations

import errno
import json
import logging
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from himalia import __version__

from .. import clusters, deployments, pipelines, projects, tracking
from ..content import ContentStore
from . import metrics, routes, stream
from .children import Exit
from .context import Context
from .gatekeeper import Denials, Gatekeeper
from .housekeeping import prune
from .layer import publish_layer
from .logs import request_id
from .metrics import CountRequests, RequestCounts, SiteMetrics
from .problems import Problem, StorageFull
from .site import write_private

log = logging.getLogger(__name__)
HOUSEKEEPING = 300.0
"""Seconds between renewals of tokens and prunings of events."""
PROBLEM_JSON = "application/problem+json"
BODY_BYTES = 2 << 20
"""Of a request to the API; files go to MLflow, which has limits of its own."""


def create_app(context: Context, shut_down: Callable[[], None]) -> FastAPI:
    """The service's application on *context*; *shut_down* ends the server."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=_start, args=(app, context), name="start", daemon=True).start()
        yield
        await app.state.mlflow_proxy.close()

    app = _routed(lifespan)
    layer = publish_layer(context.site.home)
    content = ContentStore(context.site.home / "content")
    state = app.state
    state.context, state.shut_down = context, shut_down
    state.projects = projects.Projects(context, layer)
    state.tracking = tracking.Tracking(context)
    state.clusters = clusters.Clusters(context, layer)
    state.pipelines = pipelines.Pipelines(context, state.projects, state.tracking, content)
    state.pipelines.has_cluster = state.clusters.exists
    state.deployments = deployments.Deployments(context, state.tracking, layer)
    state.mlflow_proxy = tracking.MlflowProxy(state.tracking.socket)
    state.projects.before_delete = [state.tracking.require]
    state.projects.on_delete = [
        state.pipelines.end_all,
        state.deployments.end_all,
        state.clusters.end_all,
        state.tracking.delete,
    ]

    denials = Denials(context)
    state.gatekeeper_flush = denials.flush
    counts = RequestCounts()
    state.metrics = SiteMetrics(context, counts, lambda: state.tracking.wait(0))
    app.add_middleware(Gatekeeper, context=context, denials=denials)
    app.add_middleware(CountRequests, counts=counts)
    app.add_middleware(_RequestId)
    _add_error_handlers(app)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document, without a site."""
    return _routed(None).openapi()


def _routed(lifespan: Any) -> FastAPI:
    app = FastAPI(
        title="Himalia",
        version=__version__,
        description="The control plane of a Himalia site. Every route needs a bearer token.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        responses={422: {"description": "Invalid input", "content": {PROBLEM_JSON: {}}}},
    )
    api = APIRouter(prefix="/api/v1", max_body_size=BODY_BYTES)
    rooms = (projects, clusters, pipelines, deployments, tracking, stream, metrics, routes)
    for room in rooms:
        api.include_router(room.router)
    app.include_router(api)
    app.include_router(tracking.mlflow_router)
    app.include_router(clusters.dashboard_router)
    app.include_router(routes.health_router)
    return app


def _start(app: FastAPI, context: Context) -> None:
    """What needs the service to answer already: adopted children, MLflow, unfinished runs."""

    def on_change(name: str, what: str, end: Exit | None) -> None:
        with context.change() as change:
            change.event("child." + what, name, {"how": end.sentence if end else None})

    context.children.on_change = on_change
    context.children.adopt()
    state = app.state
    steps = (
        state.tracking.start,
        state.projects.repair_kernelspecs,
        state.clusters.resume,
        state.deployments.resume,
        state.pipelines.resume,
    )
    for step in steps:
        _guarded(step)
    while not context.stopping.is_set():
        _guarded(state.projects.finish_deletions)
        _guarded(state.projects.renew_tokens)
        _guarded(lambda: prune(context))
        _guarded(state.gatekeeper_flush)
        context.stopping.wait(HOUSEKEEPING)


def _guarded(step: Callable[[], object]) -> None:
    """One part that cannot start or be kept in order must not stop the others."""
    try:
        step()
    except Exception:
        log.exception("a part of the start or of the housekeeping failed")


def stop(app: FastAPI, *, keep_children: bool) -> None:
    """End what the service drives; its children only when they are not kept for the next service."""
    context: Context = app.state.context
    _guarded(app.state.gatekeeper_flush)
    app.state.pipelines.stop()
    if keep_children:
        context.children.detach()
    else:
        context.children.stop_all()
        shutil.rmtree(context.site.runtime, ignore_errors=True)


def announce_stop(context: Context) -> None:
    """End event streams, so that the server can end; from now on, whoever looks is told that the service is stopped."""
    file = context.site.state_file
    with suppress(OSError, ValueError):  # not written yet, or removed already
        write_private(file, json.dumps(json.loads(file.read_text()) | {"stopping": True}))
    context.stopping.set()
    context.events.announce()


class _ProblemResponse(JSONResponse):
    media_type = PROBLEM_JSON

    def render(self, content: Any) -> bytes:
        # escaped, because what is quoted from the input may be no valid text
        return json.dumps(content).encode()


def _problem(document: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return _ProblemResponse(document, document["status"], headers=headers)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        headers = {"Retry-After": "2"} if problem.status == 503 else None
        if request.url.path.startswith("/mlflow/"):
            # MLflow's clients show `message` and know these codes
            code = {403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST"}
            document = {"error_code": code.get(problem.status, "INTERNAL_ERROR"), "message": problem.detail}
            return JSONResponse(document, problem.status, headers=headers)
        return _problem(problem.to_dict(), headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        if first["type"] == "json_invalid":
            detail = f"The body is not JSON: {first['ctx']['error']} at character {place[-1]}."
            return _problem(
                {"type": "about:blank", "title": "Not JSON", "status": 400, "detail": detail, "field": "body"}
            )
        detail = f"{'.'.join(place)}: {first['msg']}."
        document = {"type": "about:blank", "title": "Invalid input", "status": 422, "detail": detail}
        return _problem(document | {"field": ".".join(place[1:]) or place[0]})

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> JSONResponse:
        document = {"type": "about:blank", "title": str(error.detail), "status": error.status_code}
        return _problem(document | {"detail": str(error.detail)}, dict(error.headers or {}))

    @app.exception_handler(OSError)
    async def on_os_error(request: Request, error: OSError) -> JSONResponse:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _problem(_full(request).to_dict())
        raise error

    @app.exception_handler(OperationalError)
    async def on_database(request: Request, error: OperationalError) -> JSONResponse:
        if "disk is full" in str(error):
            return _problem(_full(request).to_dict())
        raise error


def _full(request: Request) -> StorageFull:
    home = request.app.state.context.site.home
    return StorageFull(f"There is no space left on the disk that holds {home}.", hint="Free some space and try again.")


def _unexpected(path: str, error: Exception) -> JSONResponse:
    log.error("unexpected fault", exc_info=error, extra={"path": path})
    detail = f"An unexpected fault, recorded in the service's log as request {request_id.get()}."
    document = {"type": "about:blank", "title": "Something went wrong", "status": 500, "detail": detail}
    return _problem(document | {"hint": "himalia logs service"})


class _RequestId:
    """Gives each request an id (the caller's, when it sent a decent one) that log lines and the reply carry.

    A fault that nobody foresaw is answered here, as problem+json with that id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        chosen = sent if 0 < len(sent) <= 64 and sent.replace("-", "").isalnum() else secrets.token_hex(8)
        token = request_id.set(chosen)
        started = False

        async def tagged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", chosen.encode())]
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        except Exception as error:
            if started:
                raise
            await _unexpected(scope["path"], error)(scope, receive, tagged)
        finally:
            request_id.reset(token)
