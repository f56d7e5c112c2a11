"""Schedules on a real store, with a clock that tests set and pipelines that run nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from himalia_server.pipelines import Pinned, RunRequest
from himalia_server.schedules import Schedules
from himalia_server.schedules.models import ScheduleCreate, SlotView
from himalia_server.service.auth import Principal
from himalia_server.service.context import Context
from himalia_server.service.once import Once
from himalia_server.service.problems import Conflict
from himalia_server.store import Member, Project, Run, ScheduleSlot, User
from tests.pure.stores import site_context

ANN = Principal("ann", "user", None, "t", None, None, None, None)
BOB = Principal("bob", "user", None, "t", None, None, None, None)


class FakePipelines:
    """Makes rows of runs as the real room does, and drives none of them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.code = "sha256:one"
        self.fault: Exception | None = None
        """What the next starts meet."""
        self.kill: str | None = None
        """"before" or "after" the commit that makes a run: the service dies there."""
        self.requests: list[RunRequest] = []
        self.cancelled: list[tuple[str, str]] = []

    def pin(self, principal: Principal, project: Project, request: RunRequest) -> Pinned:
        return Pinned(self.code, {"stages": {}}, {}, {"commit": "abc", "branch": "main", "dirty": False})

    def check_pinned(self, request: RunRequest) -> None:
        assert request.pinned is not None

    def start(self, principal: Principal, project: Project, request: RunRequest, once: Once | None = None) -> Any:
        self.requests.append(request)
        if self.fault is not None:
            raise self.fault
        assert request.pinned is not None
        with self.context.change(principal) as change:
            change.require_live(project)
            run = Run(
                project_id=project.id,
                status="running",
                snapshot=request.pinned.snapshot,
                created_by=principal.user,
                schedule_id=request.schedule_id,
                slot=request.slot,
                trigger=request.trigger,
            )
            change.session.add(run)
            change.session.flush()
            change.made(once, run.id)
            if request.on_created is not None:
                request.on_created(change.session, run)
            if self.kill == "before":
                raise KeyboardInterrupt("killed before the commit")
        if self.kill == "after":
            raise KeyboardInterrupt("killed after the commit")
        return run.id

    def cancel(self, principal: Principal, project: Project, run_id: str) -> Any:
        with self.context.change(principal) as change:
            run = change.session.get_one(Run, run_id)
            if run.cancel_requested_by is not None:
                raise Conflict("already")
            run.cancel_requested_by = principal.user
        self.cancelled.append((run_id, principal.user))

    def view(self, project: Project, run_id: str) -> Any:
        return run_id

    def end(self, run_id: str, status: str = "succeeded") -> None:
        with self.context.database.write() as session:
            session.get_one(Run, run_id).status = status


class Bench:
    """A project of ann's, its schedules, and the time of day."""

    def __init__(self, context: Context, project: Project) -> None:
        self.context, self.project = context, project
        self.pipelines = FakePipelines(context)
        self.now = seconds("2026-06-01 00:00")
        self.schedules = self.again()

    def again(self) -> Schedules:
        """What a service that starts anew has: nothing but the store."""
        self.schedules = Schedules(self.context, cast(Any, self.pipelines), lambda: self.now, lambda work: work())
        return self.schedules

    def create(self, cron: str = "0 2 * * *", **more: Any) -> None:
        body = {"name": "nightly", "target": {"kind": "pipeline"}, "cron": cron, "zone": "UTC"} | more
        self.schedules.create(ANN, self.project, ScheduleCreate.model_validate(body))

    def at(self, time: str) -> float:
        """Set the clock and let it tick."""
        self.now = seconds(time)
        return self.schedules.clock.tick()

    def slots(self) -> list[SlotView]:
        """Oldest first."""
        return self.schedules.slots(self.project, "nightly", None, 500)[0][::-1]

    def told(self) -> list[str]:
        return [f"{slot.slot.partition('[')[0]} {slot.state}" for slot in self.slots()]

    def runs(self) -> list[Run]:
        with self.context.database.read() as session:
            return list(session.scalars(select(Run).order_by(Run.id)))

    def states(self) -> dict[str, str]:
        with self.context.database.read() as session:
            return {row.slot: row.state for row in session.scalars(select(ScheduleSlot))}


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with site_context(tmp_path) as made:
        yield made


@pytest.fixture
def bench(context: Context) -> Bench:
    with context.database.write() as session:
        session.add_all([User(name="ann"), User(name="bob")])
        session.flush()
        project = Project(slug="a", path="/a", python="p", kernelspec="a", created_by="ann")
        session.add(project)
        session.flush()
        session.add_all(
            [
                Member(project_id=project.id, user="ann", role="owner"),
                Member(project_id=project.id, user="bob", role="contributor"),
            ]
        )
    return Bench(context, project)
