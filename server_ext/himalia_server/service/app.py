"""The application: rooms, routes, errors. Made once a process."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from himalia import __version__

from .. import (
    clusters,
    components,
    deployments,
    environments,
    notifications,
    pipelines,
    projects,
    schedules,
    tracking,
    vault,
    verifications,
)
from ..content import ContentStore
from . import metrics, routes, stream
from .children import Exit
from .context import Context
from .gatekeeper import Denials, Gatekeeper
from .housekeeping import prune
from .layer import publish_layer
from .logs import decent_id, request_id
from .metrics import CountRequests, RequestCounts, SiteMetrics
from .replies import BODY_BYTES, PROBLEM_SCHEMA, add_error_handlers, as_problem, errors, reply, too_large, unexpected
from .site import write_private

log = logging.getLogger(__name__)
REPAIR = 15.0
"""Seconds between looks at whether all that should run does."""
HOUSEKEEPING_TURNS = 20
"""Of these; between renewals of tokens and prunings of events."""


def create_app(context: Context, shut_down: Callable[[], None]) -> FastAPI:
    """The service's application on *context*; *shut_down* ends the server."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=_start, args=(app, context), name="start", daemon=True).start()
        yield
        await app.state.mlflow_proxy.close()

    app = routed(lifespan)
    layer = publish_layer(context.site.home)
    content = ContentStore(context.site.home / "content")
    state = app.state
    state.context, state.shut_down = context, shut_down
    state.projects = projects.Projects(context, layer)
    state.environments = environments.Environments(context, state.projects)
    state.projects.watch.sources = environments.source_files
    state.vault = vault.Vault(context)
    state.projects.kernels.secrets = state.vault.variables
    state.components = components.Components(context, state.projects, content)
    state.projects.kernels.sources = state.components.sources
    state.projects.manifests.noticed.append(state.components.noticed)
    state.tracking = tracking.Tracking(context)
    state.clusters = clusters.Clusters(context, layer)
    state.pipelines = pipelines.Pipelines(context, state.projects, state.tracking, content)
    state.pipelines.cluster_fault = state.clusters.fault
    state.pipelines.components = state.components.for_run
    state.pipelines.would_use = state.components.would_run
    state.pipelines.component_files = state.components.inside
    state.verifications = verifications.Verifications(context, state.projects, state.pipelines, content)
    state.schedules = schedules.Schedules(context, state.pipelines)
    state.pipelines.pinned_by = state.schedules.pinned
    state.notifications = notifications.Notifications(context, state.vault)
    state.schedules.clock.on_failure = state.notifications.on_start_failed
    state.pipelines.rooms.ended.extend([state.notifications.on_run_ended, state.schedules.on_run_ended])
    state.deployments = deployments.Deployments(context, state.tracking, layer)
    state.deployments.freeze = state.components.frozen
    state.deployments.paths_of = state.components.frozen_paths
    state.mlflow_proxy = tracking.MlflowProxy(state.tracking.socket)
    life = state.projects.life
    life.on_rest += [
        state.environments.stop_all,
        state.pipelines.stop_all,
        state.clusters.end_all,
        state.deployments.pause,
    ]
    life.on_wake += [state.deployments.go_on]
    life.before_purge += [state.tracking.require]
    life.on_purge += [
        state.pipelines.end_all,
        state.environments.end_all,
        state.deployments.end_all,
        state.clusters.end_all,
        state.tracking.delete,
    ]
    state.projects.count_models = state.tracking.count_models

    denials = Denials(context)
    state.gatekeeper_flush = denials.flush
    counts = RequestCounts()
    state.metrics = SiteMetrics(context, counts, lambda: state.tracking.wait(0), state.deployments.gateway.counts)
    # the last one is the outermost
    app.add_middleware(_BodyLimit)
    app.add_middleware(Gatekeeper, context=context, denials=denials)
    app.add_middleware(_RequestId, home=context.site.home)
    app.add_middleware(CountRequests, counts=counts)
    add_error_handlers(app)
    return app


def describe() -> dict[str, Any]:
    """The OpenAPI document, without a site."""
    return routed(None).openapi()


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """With what all operations share: how to sign in, and the form of problems."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if not made:
            components = document.setdefault("components", {})
            components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
        return document


def routed(lifespan: Any) -> FastAPI:
    """All routes and no site behind them: for the OpenAPI document, and for who walks them."""
    app = _Application(
        title="Himalia",
        version=__version__,
        description="The control plane of a Himalia site. Every route needs a bearer token.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        responses=errors(400, 401, 413, 415, 422, 503, 507),
    )
    api = APIRouter(prefix="/api/v1")
    rooms = (
        projects,
        environments,
        vault,
        components,
        clusters,
        pipelines,
        verifications,
        schedules,
        notifications,
        deployments,
        tracking,
        stream,
        metrics,
        routes,
    )
    for room in rooms:
        api.include_router(room.router)
    api.include_router(pipelines.pipeline_router)
    api.include_router(pipelines.remote_router)
    api.include_router(pipelines.site_router)
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
        state.vault.repair,
        state.environments.resume,
        state.projects.start,
        state.clusters.resume,
        state.deployments.resume,
        state.pipelines.resume,
        state.verifications.resume,
        state.notifications.start,
        state.schedules.start,
    )
    for step in steps:
        _guarded(step)
    # what was imported stays: each full collection would else look through all of it, for a tenth of a second
    gc.collect()
    gc.freeze()
    for turn in count():
        if context.stopping.is_set():
            return
        if context.due.is_set() or turn % HOUSEKEEPING_TURNS == 0:
            context.due.clear()
            _guarded(state.projects.life.settle)
            _guarded(state.projects.kernels.renew_tokens)
            _guarded(lambda: prune(context))
            _guarded(lambda: environments.tidy(state.environments))
            _guarded(lambda: components.tidy(state.components))
            _guarded(state.pipelines.retention.tidy)
            _guarded(lambda: schedules.tidy(context))
            _guarded(state.notifications.tidy)
            _guarded(state.gatekeeper_flush)
        _guarded(state.projects.kernels.start_zygotes)
        _guarded(state.projects.watch.look)
        for room in (
            state.tracking,
            state.clusters,
            state.deployments,
            state.environments,
            state.pipelines,
            state.verifications,
        ):
            _guarded(room.repair)
        context.due.wait(REPAIR)


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
    app.state.schedules.stop()
    app.state.notifications.stop()
    app.state.verifications.stop()
    app.state.pipelines.stop()
    if keep_children:
        context.children.detach()
    else:
        context.children.stop_all()
        _guarded(app.state.projects.kernels.end_zygotes)
        shutil.rmtree(context.site.runtime, ignore_errors=True)


def announce_stop(context: Context) -> None:
    """End event streams, so that the server can end; from now on, whoever looks is told that the service is stopped."""
    file = context.site.state_file
    with suppress(OSError, ValueError):  # not written yet, or removed already
        document = json.loads(file.read_text())
        if document["pid"] == os.getpid():  # else another service's, in a folder that was made anew
            write_private(file, json.dumps(document | {"stopping": True}))
    context.stopping.set()
    context.due.set()
    context.events.announce()


class _BodyLimit:
    """Refuses bodies above `BODY_BYTES`, told beforehand or found while reading."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        upload = path == projects.UPLOAD_PATH or pipelines.takes_files(path)  # which have limits of their own
        if scope["type"] != "http" or not scope["path"].startswith("/api/") or upload:
            await self.app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > BODY_BYTES:
            await reply(scope["path"], too_large())(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_BYTES:
                raise HTTPException(413)
            return message

        await self.app(scope, counted, send)


class _RequestId:
    """Gives each request an id (the caller's, when it sent a decent one) that log lines and the reply carry.

    A fault of the door, or one that nobody foresaw, is answered here, as problem+json with that id.
    """

    def __init__(self, app: ASGIApp, home: Path) -> None:
        self.app, self.home = app, home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        chosen = decent_id(dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1"))
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
            if started or scope["type"] == "websocket":
                raise
            problem = as_problem(error, self.home)
            answer = reply(scope["path"], problem) if problem else unexpected(scope["path"], error)
            await answer(scope, receive, tagged)
        finally:
            request_id.reset(token)
