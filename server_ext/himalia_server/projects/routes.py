"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .depends import Manager, view_of
from .guides import open_guide
from .kernels import KernelCreate, KernelGrant
from .life_routes import router as life_router
from .manifest import router as manifest_router
from .models import GuideCopy, GuideOpen, ProjectCreate, ProjectList, ProjectView
from .templates import TemplateList

router = APIRouter(tags=["projects"])
router.include_router(manifest_router)
router.include_router(life_router)
of_project = errors(403, 404, 409)


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
    archived: Annotated[bool, Query(description="The archived ones instead.")] = False,
    trashed: Annotated[bool, Query(description="The deleted ones that can be restored instead.")] = False,
) -> ProjectList:
    """Projects that the caller may see, newest first; archived and deleted ones only when they are asked for."""
    items, following = manager.page(caller, cursor, limit, archived=archived, trashed=trashed)
    return ProjectList(items=items, next=following)


@router.post("/projects", status_code=201, responses=of_project)
def create_project(body: ProjectCreate, caller: Caller, manager: Manager, once: OnceKey) -> ProjectView:
    """Make a project from a template, a repository or a folder; the caller becomes its owner.

    A repository is cloned within the request, which may take minutes; events `project.making` with the request's id
    (X-Request-ID) as their subject tell how far it is.
    """
    return make_once(
        once,
        manager.context,
        lambda: manager.make(caller, body, once),
        lambda slug: view_of(manager, caller, slug),
    )


@router.get("/projects/{slug}", responses=of_project)
def read_project(slug: Slug, caller: Caller, manager: Manager) -> ProjectView:
    """One project, with its stages and, if so, what is wrong with its manifest."""
    return view_of(manager, caller, slug)


@router.delete("/projects/{slug}", status_code=204, responses=of_project)
def delete_project(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    remove_files: Annotated[bool, Query(description="Its folder as well: put aside, or with `purge` deleted.")] = False,
    purge: Annotated[bool, Query(description="At once and for good, also one that is in the trash.")] = False,
) -> Response:
    """Stop what runs in it and put it into the trash, where it can be restored for 30 days.

    Kernels of notebooks are Jupyter's: they lose every right in the project, and go on until they are shut down there.
    """
    project = authorize(manager.context, caller, slug, "project.delete", trashed=purge)
    if remove_files:
        manager.find_folders([project])
    if purge:
        manager.life.purge(caller, project, remove_files=remove_files)
    else:
        manager.life.trash(caller, project, remove_files=remove_files)
    return Response(status_code=204)


@router.post("/projects/{slug}/kernels", status_code=201, responses=of_project)
def grant_kernel(slug: Slug, body: KernelCreate, caller: Caller, manager: Manager) -> KernelGrant:
    """Environment and token file for a kernel that is about to start."""
    project = authorize(manager.context, caller, slug, "kernel.start", body.kernel_id, persons_only=True)
    return manager.kernels.start(caller, project, body.kernel_id, body.pid)


@router.delete("/projects/{slug}/kernels/{kernel_id}", status_code=204, responses=of_project)
def end_kernel(slug: Slug, kernel_id: Known, caller: Caller, manager: Manager) -> Response:
    """The kernel has ended: its token is void."""
    project = authorize(manager.context, caller, slug, "kernel.start", kernel_id, persons_only=True)
    manager.kernels.end(caller, project, kernel_id)
    return Response(status_code=204)
