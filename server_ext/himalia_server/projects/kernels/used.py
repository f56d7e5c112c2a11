"""What code of a project runs in, as the room of environments tells it to kernels and runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol

from ...store import Project
from .models import EnvironmentGrant

SHARED = EnvironmentGrant(digest="shared", name="the site's own")


@dataclass(frozen=True)
class Used:
    """An interpreter and its environment. `overlay`: the site's own packages are below it.

    `note`: what a person should know who starts a kernel in it. `waiting`: why a run cannot begin yet; `refused`: why
    it cannot at all.
    """

    python: str
    environment: EnvironmentGrant
    note: str | None = None
    waiting: str | None = None
    refused: str | None = None
    overlay: bool = False


class ForKernel(Protocol):
    """What a kernel starts in, or a stage that asks for the environment *name*, as things are now."""

    def __call__(self, project: Project, name: str | None = None, /) -> Used:
        """See above."""
        ...


class ForRun(Protocol):
    """What a run starts in, or a stage of it that asks for the environment *name*.

    *begun*: it waits already, so that it begins no build that somebody stopped.
    """

    def __call__(self, project: Project, name: str | None = None, /, *, begun: bool = False) -> Used:
        """See above."""
        ...


def shared(_project: Project, _name: str | None = None, /, *, begun: bool = False) -> Used:
    """The site's own environment."""
    return Used(sys.executable, SHARED)
