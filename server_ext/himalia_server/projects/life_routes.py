"""REST of the life of projects: names, copies, exports, moves, archive, trash, members."""

from __future__ import annotations

import shutil
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from ..service.auth import Caller, authorize, authorize_site
from ..service.inputs import Known, Slug
from ..service.once import KeyText, OnceKey, make_once, once_of
from ..service.paging import Limit, NameCursor
from ..service.replies import errors
from .depends import Manager, view_of
from .folders import name_of_source
from .life import Removal
from .making import DATA_BYTES, ENDING, read_index, require_person, unpacked
from .models import FolderName, Located, MemberList, MemberSet, MemberView, NameCheck, ProjectClone, ProjectView
from .templates import TemplateAdd, TemplateView

router = APIRouter(tags=["projects"])
of_project = errors(403, 404, 409)
UPLOAD_PATH = "/api/v1/project-imports"


@router.post("/templates", status_code=201, responses=of_project)
def add_template(body: TemplateAdd, caller: Caller, manager: Manager, once: OnceKey) -> TemplateView:
    """Take a snapshot of a folder or of a git repository as a template of the team."""
    authorize_site(manager.context, caller, "template.write")
    library = manager.library
    return make_once(
        once,
        manager.context,
        lambda: library.add(caller, body.source, body.name, once),
        lambda name: library.view(name),
    )


@router.post("/templates/{name}/update", responses=of_project)
def update_template(name: Known, caller: Caller, manager: Manager) -> TemplateView:
    """Take the snapshot of one of the team's templates anew, from where it was taken."""
    authorize_site(manager.context, caller, "template.write")
    return manager.library.update(caller, name)


@router.delete("/templates/{name}", status_code=204, responses=of_project)
def remove_template(name: Known, caller: Caller, manager: Manager) -> Response:
    """Forget one of the team's templates; projects that were made from it stay."""
    authorize_site(manager.context, caller, "template.write")
    manager.library.remove(caller, name)
    return Response(status_code=204)


@router.get("/project-names")
def suggest_name(
    caller: Caller, manager: Manager, name: Annotated[str, Query(max_length=200, description="A name, or any text.")]
) -> NameCheck:
    """Whether a new project can be called so, and a free name like it."""
    return manager.suggest(name)


@router.post("/project-locations", responses=of_project)
def locate_folder(body: FolderName, caller: Caller, manager: Manager) -> Located:
    """Whose folder it is. A project that was moved there is known there from now on."""
    return manager.locate(caller, body.path)


@router.post(
    "/project-imports",
    status_code=201,
    responses=of_project,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_project(
    request: Request,
    caller: Caller,
    manager: Manager,
    name: Annotated[
        str | None, Query(max_length=200, description="Default: the exported project's, or like it.")
    ] = None,
    path: Annotated[str | None, Query(max_length=1000, description="An absolute folder that is new or empty.")] = None,
    idempotency_key: Annotated[
        KeyText | None,
        Header(description="Your own random text for this request: repeated within a day, it makes nothing more."),
    ] = None,
) -> ProjectView:
    """Make a project from an exported one (the body). Every file of it is compared with the digest it had."""
    require_person(caller)
    told = request.headers.get("content-length", "")
    file, digest = await manager.transfers.receive(request.stream(), int(told) if told.isdigit() else 0)
    asked = f"{name or ''}\n{path or ''}\n{digest}".encode()
    once = once_of(caller, idempotency_key, request, asked) if idempotency_key is not None else None

    def make() -> ProjectView:
        index = read_index(file)
        like = name_of_source(str(index.get("name") or "project"))
        detail = {"digest": index["digest"]}
        project = manager.making.make(
            caller, name, path, once, like=like, fill=unpacked(file), detail=detail, renamed=False
        )
        return manager.view(project, manager.role(caller, project))

    try:
        return await run_in_threadpool(
            make_once, once, manager.context, make, lambda slug: view_of(manager, caller, slug)
        )
    finally:
        await run_in_threadpool(shutil.rmtree, file.parent, True)


@router.get(
    "/projects/{slug}/export",
    responses={
        **of_project,
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
    },
    response_class=FileResponse,
)
def export_project(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    data: Annotated[bool, Query(description="Declared inputs too.")] = True,
    outputs: Annotated[bool, Query(description="What its stages have made, too.")] = False,
    limit: Annotated[int, Query(ge=0, le=1 << 50, description="Bytes; a larger input stays out.")] = DATA_BYTES,
) -> FileResponse:
    """The project as one file, for another site: code, locks and data, no secrets. Same content, same bytes."""
    project = authorize(manager.context, caller, slug, "project.export", persons_only=True)
    file, summary = manager.transfers.export(project, data=data, outputs=outputs, limit=limit)
    with manager.context.change(caller) as change:
        change.audit("project.export", project, slug, digest=summary.digest, data=data, outputs=outputs)
    return FileResponse(
        file,
        media_type="application/zip",
        filename=f"{slug}{ENDING}",
        headers={"ETag": f'"{summary.digest}"', "X-Himalia-Left-Out": str(len(summary.left_out))},
        background=BackgroundTask(shutil.rmtree, file.parent, ignore_errors=True),
    )


@router.post("/projects/{slug}/clone", status_code=201, responses=of_project)
def clone_project(slug: Slug, body: ProjectClone, caller: Caller, manager: Manager, once: OnceKey) -> ProjectView:
    """A project of its own from the code of this one, with its declared inputs on request."""
    project = authorize(manager.context, caller, slug, "project.export", persons_only=True)
    return make_once(
        once,
        manager.context,
        lambda: manager.clone(caller, project, body.name, body.path, body.data, once),
        lambda made: view_of(manager, caller, made),
    )


@router.get("/projects/{slug}/removal", responses=of_project)
def read_removal(slug: Slug, caller: Caller, manager: Manager) -> Removal:
    """What deleting the project would take away."""
    project = authorize(manager.context, caller, slug, "project.read", trashed=True)
    return manager.removal(caller, project)


@router.post("/projects/{slug}/archive", responses=of_project)
def archive_project(slug: Slug, caller: Caller, manager: Manager) -> ProjectView:
    """Stop what runs in it and hide it. Its endpoints stop to answer; they and their keys are kept.

    Kernels of notebooks are Jupyter's: they lose every right in the project, and go on until they are shut down there.
    """
    project = authorize(manager.context, caller, slug, "project.archive", persons_only=True)
    manager.life.archive(caller, project)
    return view_of(manager, caller, slug)


@router.post("/projects/{slug}/unarchive", responses=of_project)
def unarchive_project(slug: Slug, caller: Caller, manager: Manager) -> ProjectView:
    """Bring an archived project back, with its endpoints."""
    project = authorize(manager.context, caller, slug, "project.archive", persons_only=True)
    manager.life.unarchive(caller, project)
    return view_of(manager, caller, slug)


@router.post("/projects/{slug}/restore", responses=of_project)
def restore_project(slug: Slug, caller: Caller, manager: Manager) -> ProjectView:
    """Bring a deleted project back as it was."""
    project = authorize(manager.context, caller, slug, "project.delete", trashed=True)
    manager.life.restore(caller, project)
    return view_of(manager, caller, slug)


@router.put("/projects/{slug}/path", responses=of_project)
def put_path(slug: Slug, body: FolderName, caller: Caller, manager: Manager) -> ProjectView:
    """Say where the project's folder is now."""
    project = authorize(manager.context, caller, slug, "project.move", persons_only=True)
    manager.locating.move(caller, project, body.path)
    return view_of(manager, caller, slug)


@router.get("/projects/{slug}/members", responses=of_project)
def list_members(
    slug: Slug, caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200
) -> MemberList:
    """Who belongs to the project, and as what, by name."""
    project = authorize(manager.context, caller, slug, "member.read")
    items, following = manager.members.page(project, cursor, limit)
    return MemberList(items=items, next=following)


@router.put("/projects/{slug}/members/{user}", responses=of_project)
def put_member(slug: Slug, user: Known, body: MemberSet, caller: Caller, manager: Manager) -> MemberView:
    """Give a person a role in the project, whether they had one or not."""
    project = authorize(manager.context, caller, slug, "member.write", user, persons_only=True)
    return manager.members.put(caller, project, user, body.role)


@router.delete("/projects/{slug}/members/{user}", status_code=204, responses=of_project)
def remove_member(slug: Slug, user: Known, caller: Caller, manager: Manager) -> Response:
    """Take a person out of the project. The last owner stays."""
    project = authorize(manager.context, caller, slug, "member.write", user, persons_only=True)
    manager.members.remove(caller, project, user)
    return Response(status_code=204)
