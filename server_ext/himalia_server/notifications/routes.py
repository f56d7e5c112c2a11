"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .manager import Notifications
from .models import NoticeList, NoticesRead, NotifierCreate, NotifierCreated, NotifierList, Tested

router = APIRouter(tags=["notifications"])
of_project = errors(403, 404, 409)


def _manager(request: Request) -> Notifications:
    return request.app.state.notifications  # type: ignore[no-any-return]


Manager = Annotated[Notifications, Depends(_manager)]


@router.get("/projects/{slug}/notifiers", responses=of_project)
def list_notifiers(slug: Slug, caller: Caller, manager: Manager) -> NotifierList:
    """Who is told of failures and recoveries, and whether it arrives."""
    project = authorize(manager.context, caller, slug, "notifier.list")
    return NotifierList(items=manager.notifiers(project))


@router.post("/projects/{slug}/notifiers", status_code=201, responses=of_project)
def create_notifier(
    slug: Slug, body: NotifierCreate, caller: Caller, manager: Manager, once: OnceKey
) -> NotifierCreated:
    """Tell somebody more. What webhooks are signed with is in the reply, and never shown again."""
    project = authorize(manager.context, caller, slug, "notifier.write", body.name, persons_only=True)
    return make_once(once, manager.context, lambda: manager.create(caller, project, body, once), manager.made)


@router.delete("/projects/{slug}/notifiers/{name}", status_code=204, responses=of_project)
def delete_notifier(slug: Slug, name: Known, caller: Caller, manager: Manager) -> Response:
    """Tell it no more."""
    project = authorize(manager.context, caller, slug, "notifier.write", name, persons_only=True)
    manager.remove(caller, project, name)
    return Response(status_code=204)


@router.post("/projects/{slug}/notifiers/{name}/test", responses=of_project)
def check_notifier(slug: Slug, name: Known, caller: Caller, manager: Manager) -> Tested:
    """Send a test now, and say whether it arrived."""
    project = authorize(manager.context, caller, slug, "notifier.write", name, persons_only=True)
    return manager.test(caller, project, name)


@router.get("/projects/{slug}/notices", responses=of_project)
def list_notices(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    unread: Annotated[bool, Query(description="Only those that the caller has not read.")] = False,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> NoticeList:
    """First failures and recoveries of the project's schedules, newest first."""
    project = authorize(manager.context, caller, slug, "notice.read")
    items, count, following = manager.notices(caller, project, unread, cursor, limit)
    return NoticeList(items=items, unread=count, next=following)


@router.post("/projects/{slug}/notices/read", status_code=204, responses=of_project)
def read_notices(slug: Slug, body: NoticesRead, caller: Caller, manager: Manager) -> Response:
    """Mark notices as read by the caller."""
    project = authorize(manager.context, caller, slug, "notice.read")
    manager.read(caller, project, body.until, only=body.only)
    return Response(status_code=204)
