"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Limit, NameCursor
from ..service.replies import errors
from .manager import Components
from .models import (
    Comparison,
    ComponentDetail,
    ComponentList,
    ComponentPublish,
    ComponentPublished,
    ComponentUsed,
    ProjectComponents,
    UseView,
    Version,
)

router = APIRouter(tags=["components"])
of_project = errors(403, 404, 409)
of_component = errors(404)


def _manager(request: Request) -> Components:
    return request.app.state.components  # type: ignore[no-any-return]


Manager = Annotated[Components, Depends(_manager)]


@router.get("/components")
def list_components(caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200) -> ComponentList:
    """Components that the caller may see: of their projects, and those that these use."""
    items, following = manager.page(caller, cursor, limit)
    return ComponentList(items=items, next=following)


@router.get("/components/{publisher}/{component}", responses=of_component)
def read_component(publisher: Known, component: Known, caller: Caller, manager: Manager) -> ComponentDetail:
    """One component: its versions, and the projects that use it."""
    return manager.detail(caller, f"{publisher}/{component}")


@router.get("/components/{publisher}/{component}/compare", responses=of_component)
def compare_versions(
    publisher: Known,
    component: Known,
    caller: Caller,
    manager: Manager,
    old: Annotated[Version, Query(alias="from", description="The version to compare with.")],
    new: Annotated[Version, Query(alias="to", description="The version that is compared.")],
) -> Comparison:
    """What would change: public functions, classes and methods, and files."""
    return manager.compare(caller, f"{publisher}/{component}", old, new)


@router.get("/projects/{slug}/components", responses=of_project)
def list_project_components(slug: Slug, caller: Caller, manager: Manager) -> ProjectComponents:
    """Components that the project uses and publishes, and what is wrong with its modules."""
    project = authorize(manager.context, caller, slug, "component.read")
    return manager.of(caller, project)


@router.post("/projects/{slug}/components", status_code=201, responses=of_project)
def publish_component(
    slug: Slug, body: ComponentPublish, caller: Caller, manager: Manager, once: OnceKey
) -> ComponentPublished:
    """Publish modules of the project's `src/` as a version that never changes."""
    subject = f"{body.name}@{body.version}"
    project = authorize(manager.context, caller, slug, "component.publish", subject, persons_only=True)
    return make_once(
        once,
        manager.context,
        lambda: manager.publish(caller, project, body, once),
        lambda row_id: manager.published(project, row_id),
    )


@router.put("/projects/{slug}/uses/{publisher}/{component}", responses=of_project)
def use_component(
    slug: Slug, publisher: Known, component: Known, body: ComponentUsed, caller: Caller, manager: Manager
) -> UseView:
    """Have the project use a component in this version, from its next kernels and runs on: edits himalia.toml."""
    subject = f"{publisher}/{component}@{body.version}"
    project = authorize(manager.context, caller, slug, "component.use", subject, persons_only=True)
    return manager.use(caller, project, f"{publisher}/{component}", body.version)


@router.delete("/projects/{slug}/uses/{publisher}/{component}", status_code=204, responses=of_project)
def leave_component(slug: Slug, publisher: Known, component: Known, caller: Caller, manager: Manager) -> Response:
    """Have the project no longer use a component: edits himalia.toml."""
    project = authorize(manager.context, caller, slug, "component.use", f"{publisher}/{component}", persons_only=True)
    manager.leave(caller, project, f"{publisher}/{component}")
    return Response(status_code=204)
