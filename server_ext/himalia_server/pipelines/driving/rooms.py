"""What drivers of runs use, and the words that they share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from ...content import ContentStore
from ...projects import Projects
from ...service.context import Context
from ...service.site import Site
from ...store import Run, now
from ...tracking import Tracking
from ..leases import Leases
from ..planning import Planner

Outcome = dict[str, Any]
"""How a stage ended: as `himalia_kernels.spec.Outcome`; `status` and mostly `error` are there in any case."""


@dataclass(frozen=True)
class End:
    """Why all that runs is to stop. `status`: what stages get that are stopped; `words`: without the full stop."""

    status: str
    words: str


@dataclass(frozen=True)
class Rooms:
    """What a driver uses of the site. `ended`: called in the transaction that ends a run, with the run.

    `stages`: the most that run at a time at the site; `pools`: limits of the named ones.
    """

    context: Context
    projects: Projects
    tracking: Tracking
    content: ContentStore
    planner: Planner
    leases: Leases
    stopping: threading.Event
    stages: int
    pools: dict[str, int] = field(default_factory=dict)
    ended: list[Callable[[Session, Run], None]] = field(default_factory=list)


def child_name(run_id: str, stage: str) -> str:
    """The name of a stage's supervised process."""
    return f"stage-{run_id}-{stage}"


def temporary_folder(runtime: Path, run_id: str, stage: str) -> Path:
    """Where a stage's temporary files lie; sockets below it bound its length."""
    return runtime / f"s{run_id[-8:]}-{stage[:20]}"


def token_file(site: Site, run_id: str, stage: str) -> Path:
    """Where the newest token of a stage lies."""
    return site.home / "tokens" / f"stage-{run_id}-{stage}"


def later(before: float | None) -> float:
    """Now, or *before* when the clock was put back meanwhile: nothing ends before it began."""
    return max(now(), before or 0.0)
