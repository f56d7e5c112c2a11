"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ..pipelines import RunView
from ..service.auth import Caller, Principal, authorize, deny
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor, Limit, NameCursor
from ..service.problems import Forbidden
from ..service.replies import errors
from ..store import Project
from .manager import Schedules
from .models import (
    CodeUpdated,
    PreviewView,
    ScheduleCreate,
    ScheduleList,
    SchedulePatch,
    SchedulePreview,
    ScheduleView,
    SlotList,
)

router = APIRouter(tags=["schedules"])
of_project = errors(403, 404, 409)


def _manager(request: Request) -> Schedules:
    return request.app.state.schedules  # type: ignore[no-any-return]


Manager = Annotated[Schedules, Depends(_manager)]


def _write(manager: Schedules, caller: Principal, slug: str, name: str, action: str = "schedule.write") -> Project:
    """The project, when the caller may change its schedules: a person, since a schedule outlives kernels and stages.

    Raises:
        Forbidden: they may not, or are no person.
    """
    project = authorize(manager.context, caller, slug, action, name)
    if caller.purpose in ("kernel", "stage"):
        deny(manager.context, caller, action, slug, name)
        raise Forbidden(
            f"{action} is for persons; this came from a {caller.purpose}.",
            hint="Use JupyterLab or the himalia command.",
        )
    return project


@router.post("/schedules/preview")
def preview_schedule(body: SchedulePreview, caller: Caller, manager: Manager) -> PreviewView:
    """What a cron expression means in a zone, and its next five times. Nothing is made."""
    return manager.preview(body.cron, body.zone)


@router.get("/projects/{slug}/schedules", responses=of_project)
def list_schedules(
    slug: Slug, caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200
) -> ScheduleList:
    """Schedules of the project, by name."""
    project = authorize(manager.context, caller, slug, "schedule.read")
    items, following = manager.page(project, cursor, limit)
    return ScheduleList(items=items, next=following)


@router.post("/projects/{slug}/schedules", status_code=201, responses=of_project)
def create_schedule(slug: Slug, body: ScheduleCreate, caller: Caller, manager: Manager, once: OnceKey) -> ScheduleView:
    """Have the pipeline, or a notebook, run by the clock, on the code of the project as it is now."""
    project = _write(manager, caller, slug, body.name)
    return make_once(
        once,
        manager.context,
        lambda: manager.create(caller, project, body, once),
        lambda row_id: manager.made(project, row_id),
    )


@router.get("/projects/{slug}/schedules/{name}", responses=of_project)
def read_schedule(slug: Slug, name: Known, caller: Caller, manager: Manager) -> ScheduleView:
    """One schedule: what it runs, when next, and what became of its newest slot."""
    return manager.view(authorize(manager.context, caller, slug, "schedule.read", name), name)


@router.patch("/projects/{slug}/schedules/{name}", responses=of_project)
def change_schedule(slug: Slug, name: Known, body: SchedulePatch, caller: Caller, manager: Manager) -> ScheduleView:
    """Change when, how or with which parameters it runs. Whoever changes what runs is whom it runs as."""
    return manager.patch(caller, _write(manager, caller, slug, name), name, body)


@router.delete("/projects/{slug}/schedules/{name}", status_code=204, responses=of_project)
def delete_schedule(slug: Slug, name: Known, caller: Caller, manager: Manager) -> Response:
    """Forget a schedule and its history; its runs stay, and one that goes on is not stopped."""
    manager.delete(caller, _write(manager, caller, slug, name), name)
    return Response(status_code=204)


@router.post("/projects/{slug}/schedules/{name}/pause", responses=of_project)
def pause_schedule(slug: Slug, name: Known, caller: Caller, manager: Manager) -> ScheduleView:
    """Start nothing more of it until it is resumed."""
    return manager.pause(caller, _write(manager, caller, slug, name, "schedule.operate"), name)


@router.post("/projects/{slug}/schedules/{name}/resume", responses=of_project)
def resume_schedule(slug: Slug, name: Known, caller: Caller, manager: Manager) -> ScheduleView:
    """Go on with the next slot. Slots of the pause are recorded, and not run."""
    return manager.resume(caller, _write(manager, caller, slug, name, "schedule.operate"), name)


@router.post("/projects/{slug}/schedules/{name}/run", status_code=201, responses=of_project)
def run_schedule(slug: Slug, name: Known, caller: Caller, manager: Manager, once: OnceKey) -> RunView:
    """Run it now, once, beside its slots."""
    project = _write(manager, caller, slug, name, "schedule.operate")
    return make_once(
        once,
        manager.context,
        lambda: manager.run_now(caller, project, name, once),
        lambda run_id: manager.pipelines.view(project, run_id),
    )


@router.post("/projects/{slug}/schedules/{name}/update-code", responses=of_project)
def update_schedule_code(slug: Slug, name: Known, caller: Caller, manager: Manager) -> CodeUpdated:
    """Pin it to the project's code as it is now. It runs in the name of the caller from then on."""
    return manager.update_code(caller, _write(manager, caller, slug, name), name)


@router.get("/projects/{slug}/schedules/{name}/slots", responses=of_project)
def list_slots(
    slug: Slug,
    name: Known,
    caller: Caller,
    manager: Manager,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> SlotList:
    """What became of its slots, newest first: started with which run, waiting, or skipped and why."""
    project = authorize(manager.context, caller, slug, "schedule.read", name)
    items, following = manager.slots(project, name, cursor, limit)
    return SlotList(items=items, next=following)
