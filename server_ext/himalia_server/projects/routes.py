"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ..service.auth import Caller, Principal, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .guides import open_guide
from .manager import Projects
from .models import (
    GuideCopy,
    GuideOpen,
    KernelCreate,
    KernelGrant,
    ProjectCreate,
    ProjectList,
    ProjectView,
    TemplateList,
)

router = APIRouter(tags=["projects"])
of_project = errors(403, 404, 409)


def _manager(request: Request) -> Projects:
    return request.app.state.projects  # type: ignore[no-any-return]


Manager = Annotated[Projects, Depends(_manager)]


@router.get("/templates")
def list_templates(caller: Caller, manager: Manager) -> TemplateList:
    """What a new project can be made from."""
    return TemplateList(items=manager.templates())


@router.put("/guides/{name}", responses=of_project)
def put_guide(name: Known, body: GuideOpen, caller: Caller, manager: Manager) -> GuideCopy:
    """The caller's own copy of a guide, in the project of the guides; both are made when they are not there.

    A copy that is there is left as it is, so that this may be repeated.
    """
    return open_guide(manager, caller, name, body.below)


@router.get("/projects")
def list_projects(
    caller: Caller,
    manager: Manager,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ProjectList:
    """Projects that the caller may see, newest first."""
    items, following = manager.page(caller, cursor, limit)
    return ProjectList(items=items, next=following)


@router.post("/projects", status_code=201, responses=of_project)
def create_project(body: ProjectCreate, caller: Caller, manager: Manager, once: OnceKey) -> ProjectView:
    """Make a project from a template or from a folder; the caller becomes its owner."""
    return make_once(
        once,
        manager.context,
        lambda: manager.create(caller, body.name, body.template, body.path, once),
        lambda slug: _view(manager, caller, slug),
    )


@router.get("/projects/{slug}", responses=of_project)
def read_project(slug: Slug, caller: Caller, manager: Manager) -> ProjectView:
    """One project, with its stages and, if so, what is wrong with its manifest."""
    return _view(manager, caller, slug)


def _view(manager: Projects, caller: Principal, slug: Slug) -> ProjectView:
    project = authorize(manager.context, caller, slug, "project.read")
    return manager.view(project, manager.role(caller, project))


@router.delete("/projects/{slug}", status_code=204, responses=of_project)
def delete_project(slug: Slug, caller: Caller, manager: Manager, remove_files: bool = False) -> Response:
    """Stop what runs in it and take it off the site. `remove_files` deletes its folder as well."""
    project = authorize(manager.context, caller, slug, "project.delete")
    manager.delete(caller, project, remove_files=remove_files)
    return Response(status_code=204)


@router.post("/projects/{slug}/kernels", status_code=201, responses=of_project)
def grant_kernel(slug: Slug, body: KernelCreate, caller: Caller, manager: Manager) -> KernelGrant:
    """Environment and token file for a kernel that is about to start."""
    project = authorize(manager.context, caller, slug, "kernel.start", body.kernel_id, persons_only=True)
    return manager.grant_kernel(caller, project, body.kernel_id, body.pid)


@router.delete("/projects/{slug}/kernels/{kernel_id}", status_code=204, responses=of_project)
def end_kernel(slug: Slug, kernel_id: Known, caller: Caller, manager: Manager) -> Response:
    """The kernel has ended: its token is void."""
    project = authorize(manager.context, caller, slug, "kernel.start", kernel_id, persons_only=True)
    manager.end_kernel(caller, project, kernel_id)
    return Response(status_code=204)
