"""What the routes of the room share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ..service.auth import Principal, authorize
from .manager import Projects
from .models import ProjectView


def _manager(request: Request) -> Projects:
    return request.app.state.projects  # type: ignore[no-any-return]


Manager = Annotated[Projects, Depends(_manager)]


def view_of(manager: Projects, caller: Principal, slug: str) -> ProjectView:
    """A project as the caller may see it; looked for when its folder was moved.

    Raises:
        NotFound: there is none that the caller may see.
    """
    project = authorize(manager.context, caller, slug, "project.read")
    manager.find_folders([project])
    return manager.view(project, manager.role(caller, project))
