"""A project with a schedule, and the room on a real store; what is delivered goes to real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from himalia_server.notifications import Notifications
from himalia_server.service.auth import Principal
from himalia_server.service.context import Context
from himalia_server.store import Member, Project, Run, Schedule, StageRun, User, new_id
from himalia_server.vault import Vault
from tests.pure.stores import site_context

ANN = Principal("ann", "user", None, "t", None, None, None, None)
BOB = Principal("bob", "user", None, "t", None, None, None, None)


class Bench:
    """`now`: UTC seconds."""

    def __init__(self, context: Context, project: Project, schedule: Schedule) -> None:
        self.context, self.project, self.schedule = context, project, schedule
        self.now = 1_800_000_000.0
        self.again()

    def again(self) -> None:
        """What a service that starts anew has: nothing but the store."""
        self.vault = Vault(self.context)
        self.room = Notifications(self.context, self.vault, lambda: self.now, lambda work: work())

    def configure(self, **settings: Any) -> None:
        self.context.settings = replace(self.context.settings, **settings)

    def end_run(
        self, status: str, error: str = "ValueError: bad\nmore", abort: bool = False, by: str | None = "ann"
    ) -> str:
        """A scheduled run ends: the stage `train` so, in cell 4; *by*: who has cancelled it."""
        run_id = new_id()
        outcome = {} if status == "succeeded" else {"error": error, "cell": 4, "cell_index": 6}
        with self.context.change() as change:
            run = Run(
                id=run_id,
                project_id=self.project.id,
                status=status if status in ("succeeded", "cancelled") else "failed",
                snapshot="s",
                created_by="ann",
                schedule_id=self.schedule.id,
                slot="2027-01-15T02:30[UTC]",
                cancel_requested_by=by if status == "cancelled" else None,
            )
            change.session.add(run)
            change.session.flush()
            rows = [
                StageRun(run_id=run_id, stage="prepare", position=0, status="succeeded", outcome={}),
                StageRun(run_id=run_id, stage="train", position=1, status=status, outcome=outcome),
                StageRun(run_id=run_id, stage="score", position=2, status="upstream_failed", outcome={}),
            ]
            change.session.add_all(rows)
            change.session.flush()
            self.room.on_run_ended(change.session, run)
            if abort:
                raise KeyboardInterrupt("killed before the commit")
        return run_id

    def told(self) -> list[str]:
        """Kinds of all notices, oldest first."""
        return [notice.kind for notice in self.room.notices(ANN, self.project, False, None, 200)[0]][::-1]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with site_context(tmp_path) as made:
        yield made


@pytest.fixture
def bench(context: Context) -> Bench:
    with context.database.write() as session:
        session.add_all([User(name="ann"), User(name="bob")])
        session.flush()
        project = Project(slug="flights", path="/a", python="p", kernelspec="a", created_by="ann")
        session.add(project)
        session.flush()
        session.add(Member(project_id=project.id, user="ann", role="owner"))
        schedule = Schedule(
            project_id=project.id,
            name="nightly",
            kind="pipeline",
            cron="30 2 * * *",
            zone="UTC",
            decided_until=0.0,
            created_by="ann",
        )
        session.add(schedule)
    return Bench(context, project, schedule)
