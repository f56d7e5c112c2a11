"""REST of the room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from ..projects import RelativePath
from ..service.auth import Caller, authorize
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor
from ..service.replies import errors
from .manager import Verifications
from .models import VerificationCreate, VerificationDetail, VerificationList, VerificationView

router = APIRouter(prefix="/projects/{slug}/verifications", tags=["verifications"], responses=errors(403, 404, 409))


def _manager(request: Request) -> Verifications:
    return request.app.state.verifications  # type: ignore[no-any-return]


Manager = Annotated[Verifications, Depends(_manager)]


@router.get("")
def list_verifications(
    slug: Slug,
    caller: Caller,
    manager: Manager,
    notebook: Annotated[RelativePath | None, Query(description="Only of this notebook.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> VerificationList:
    """Verifications, newest first. The first one of a notebook is its badge, as long as it is `current`.

    Of one notebook, `by_stage` is a stage that it needs no verification after.
    """
    project = authorize(manager.context, caller, slug, "verify.read")
    items, following = manager.page(project, notebook, cursor, limit)
    by_stage = manager.by_stage(project, notebook) if notebook is not None else None
    return VerificationList(items=items, next=following, by_stage=by_stage)


@router.post("", status_code=201)
def start_verification(
    slug: Slug, body: VerificationCreate, caller: Caller, manager: Manager, once: OnceKey
) -> VerificationView:
    """Execute a notebook on a snapshot in a clean kernel, and compare it with its saved outputs."""
    project = authorize(manager.context, caller, slug, "verify.start", body.notebook)
    return make_once(
        once,
        manager.context,
        lambda: manager.start(caller, project, body, once),
        lambda row_id: manager.view(project, row_id),
    )


@router.get("/{verification}")
def read_verification(slug: Slug, verification: Known, caller: Caller, manager: Manager) -> VerificationDetail:
    """One verification with its cells."""
    return manager.detail(authorize(manager.context, caller, slug, "verify.read", verification), verification)


@router.post("/{verification}/cancel")
def cancel_verification(slug: Slug, verification: Known, caller: Caller, manager: Manager) -> VerificationView:
    """Stop a verification."""
    project = authorize(manager.context, caller, slug, "verify.start", verification)
    return manager.cancel(caller, project, verification)
