"""REST of the room."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.responses import RedirectResponse

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Limit, NameCursor, page_of
from ..service.problems import Problem
from ..service.replies import errors
from . import dashboard
from .manager import Clusters
from .models import ClusterConnection, ClusterCreate, ClusterList, ClusterScale, ClusterView

router = APIRouter(prefix="/projects/{slug}/clusters", tags=["clusters"], responses=errors(403, 404, 409))
dashboard_router = APIRouter(prefix="/dashboard/{slug}/{name}", include_in_schema=False)


def _manager(request: Request) -> Clusters:
    return request.app.state.clusters  # type: ignore[no-any-return]


Manager = Annotated[Clusters, Depends(_manager)]


@router.get("")
def list_clusters(
    slug: Slug, caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200
) -> ClusterList:
    """Clusters of the project, by name."""
    clusters = manager.of(authorize(manager.context, caller, slug, "cluster.read"))
    items, following = page_of(clusters, lambda cluster: cluster.name, cursor, limit)
    return ClusterList(items=items, next=following)


@router.post("", status_code=201)
def start_cluster(slug: Slug, body: ClusterCreate, caller: Caller, manager: Manager, once: OnceKey) -> ClusterView:
    """Start a cluster; it is `starting` until the first worker has joined."""
    project = authorize(manager.context, caller, slug, "cluster.write", body.name)
    return make_once(
        once,
        manager.context,
        lambda: manager.start(caller, project, body, once),
        lambda name: manager.view(project, name),
    )


@router.get("/{name}")
def read_cluster(slug: Slug, name: Known, caller: Caller, manager: Manager) -> ClusterView:
    """One cluster."""
    return manager.view(authorize(manager.context, caller, slug, "cluster.read", name), name)


@router.get("/{name}/connection")
def connection(slug: Slug, name: Known, caller: Caller, manager: Manager) -> ClusterConnection:
    """Address and certificates for a Dask client."""
    return manager.connection(authorize(manager.context, caller, slug, "cluster.connect", name), name)


@router.patch("/{name}")
def scale_cluster(slug: Slug, name: Known, body: ClusterScale, caller: Caller, manager: Manager) -> ClusterView:
    """Change the number of workers."""
    project = authorize(manager.context, caller, slug, "cluster.write", name)
    return manager.scale(caller, project, name, body.workers)


@router.delete("/{name}", status_code=204)
def stop_cluster(slug: Slug, name: Known, caller: Caller, manager: Manager) -> Response:
    """Stop a cluster; what it computes is lost."""
    manager.stop(caller, authorize(manager.context, caller, slug, "cluster.write", name), name)
    return Response(status_code=204)


@dashboard_router.get("")
def dashboard_root(slug: Slug, name: Known, caller: Caller, manager: Manager) -> RedirectResponse:
    """Dask's pages use relative addresses, which need the slash."""
    authorize(manager.context, caller, slug, "cluster.read", name)
    return RedirectResponse(f"{name}/status", status_code=307)


@dashboard_router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def dashboard_page(
    slug: Slug, name: Known, path: str, request: Request, caller: Caller, manager: Manager
) -> Response:
    """A page of Dask's dashboard."""

    def enter() -> str:
        return manager.dashboard(authorize(manager.context, caller, slug, "cluster.read", name), name)

    return await dashboard.forward(request, await asyncio.to_thread(enter), path)


@dashboard_router.websocket("/{path:path}")
async def dashboard_socket(slug: Slug, name: Known, path: str, websocket: WebSocket) -> None:
    """What a page of the dashboard is kept up to date by."""
    manager: Clusters = websocket.app.state.clusters

    def enter() -> str:
        project = authorize(manager.context, websocket.state.principal, slug, "cluster.read", name)
        return manager.dashboard(project, name)

    try:
        await dashboard.bridge(websocket, await asyncio.to_thread(enter), path)
    except Problem as problem:
        await websocket.close(4000 + problem.status, problem.detail[:100])
