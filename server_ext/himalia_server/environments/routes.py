"""REST of the room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from ..projects import StageName
from ..service.auth import Caller, authorize, authorize_site
from ..service.inputs import BIGGEST, Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Limit, NameCursor, page_of
from ..service.replies import errors
from .housekeeping import collect, stored
from .manager import Environments
from .models import (
    BuildAnswer,
    EnvironmentBuild,
    EnvironmentPrune,
    EnvironmentView,
    PackageList,
    Pruned,
    StoredEnvironments,
)

router = APIRouter(tags=["environments"])
OF_PROJECT = "/projects/{slug}/environment"
refusals = errors(403, 404, 409)
LOOK = 0.3
"""Seconds between looks at a log that is followed."""
BLOCK = 1 << 16


def _manager(request: Request) -> Environments:
    return request.app.state.environments  # type: ignore[no-any-return]


Manager = Annotated[Environments, Depends(_manager)]


Which = Annotated[
    StageName | None,
    Query(description="One of [environments] in himalia.toml; absent: the project's own environment."),
]


@router.get(OF_PROJECT, responses=refusals)
def read_environment(slug: Slug, caller: Caller, manager: Manager, environment: Which = None) -> EnvironmentView:
    """What the project's code runs in, and whether that is what its manifest asks for."""
    return manager.reader.view(authorize(manager.context, caller, slug, "environment.read"), environment)


@router.post(OF_PROJECT, status_code=202, responses=refusals)
def build_environment(
    slug: Slug,
    body: EnvironmentBuild,
    caller: Caller,
    manager: Manager,
    once: OnceKey,
    environment: Which = None,
) -> BuildAnswer:
    """Build it in the background, unless it is up to date or being built already."""
    project = authorize(manager.context, caller, slug, "environment.build")
    return make_once(
        once,
        manager.context,
        lambda: manager.build(caller, project, environment, upgrade=body.upgrade, once=once),
        lambda _build: manager.repeated(project, environment),
    )


@router.delete(OF_PROJECT, responses=refusals)
def cancel_build(slug: Slug, caller: Caller, manager: Manager, environment: Which = None) -> EnvironmentView:
    """Stop the build that runs; the environment that was there before stays."""
    return manager.cancel(caller, authorize(manager.context, caller, slug, "environment.build"), environment)


@router.get(OF_PROJECT + "/packages", responses=refusals)
def list_packages(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    environment: Which = None,
    cursor: NameCursor = None,
    limit: Limit = 200,
) -> PackageList:
    """The packages of the environment's lock."""
    project = authorize(manager.context, caller, slug, "environment.read")
    items, following = page_of(
        manager.reader.packages(project, environment),
        lambda item: f"{item.name} {item.marker or ''} {item.version}",
        cursor,
        limit,
    )
    return PackageList(items=items, next=following)


@router.get(
    OF_PROJECT + "/log",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}, **refusals},
)
async def build_log(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    build: Known | None = None,
    environment: Which = None,
    offset: Annotated[int, Query(ge=0, le=BIGGEST, description="Bytes to leave out at the beginning.")] = 0,
    follow: Annotated[bool, Query(description="Go on until the build has ended.")] = False,
) -> StreamingResponse:
    """The log of a build, of the last one unless told otherwise."""

    def find() -> tuple[Path, str]:
        return manager.reader.log_of(authorize(manager.context, caller, slug, "environment.read"), build, environment)

    path, build_id = await asyncio.to_thread(find)

    async def blocks() -> AsyncIterator[bytes]:
        place = offset
        while True:
            # asked first: what is written before the end is read after it
            going = follow and await asyncio.to_thread(manager.reader.build_state, build_id) == "building"
            while block := await asyncio.to_thread(_block, path, place):
                place += len(block)
                yield block
            if not going or manager.context.stopping.is_set():
                return
            await asyncio.sleep(LOOK)

    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Himalia-Build": build_id}
    return StreamingResponse(blocks(), media_type="text/plain; charset=utf-8", headers=headers)


def _block(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(BLOCK)
    except FileNotFoundError:  # it has said nothing yet
        return b""


@router.get("/environments", responses=errors(403))
def list_environments(caller: Caller, manager: Manager) -> StoredEnvironments:
    """All environments on the site's disk."""
    authorize_site(manager.context, caller, "site.manage")
    return StoredEnvironments(items=stored(manager))


@router.post("/environments/prune", responses=errors(403))
def prune_environments(body: EnvironmentPrune, caller: Caller, manager: Manager) -> Pruned:
    """Remove those that nothing has used for some days."""
    authorize_site(manager.context, caller, "site.manage")
    return collect(manager, body.days, caller)
