"""The service SIGKILLed again and again while slots are due: each slot is decided once, and has at most one run."""

from __future__ import annotations

import collections
import random
import time
from typing import Any

import pytest
from sqlalchemy import func, select

from himalia_server.service.context import open_store
from himalia_server.store import Run, Schedule, ScheduleSlot, now
from tests.site.lab import running_lab
from tests.soak.kit import times
from tests.waiting import wait_until

SEED = time.time_ns() % 100_000
POLICIES = ("skip", "queue(3)", "cancel", "allow")


@pytest.mark.timeout(3600)
def test_killed_around_slots() -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with running_lab() as lab:
        lab.project("clockwork", {"one": {"notebook": "one.ipynb"}}, {"one.ipynb": ["seed = 1", "print(seed)"]})
        for number, overlap in enumerate(POLICIES):
            body: dict[str, Any] = {"name": f"s{number}", "target": {"kind": "pipeline"}, "cron": "* * * * *"}
            body |= {"zone": "UTC", "overlap": overlap, "catch_up": "all(100)"}
            lab.post("/projects/clockwork/schedules", body)
        for _ in range(times(20)):
            store = open_store(lab.site, lab.site.settings())
            lab.kill_service()
            with store.write() as session:  # as if it had been down since before all that was decided
                for row in session.scalars(select(Schedule)):
                    due = select(func.min(ScheduleSlot.due_at)).where(ScheduleSlot.schedule_id == row.id)
                    oldest = session.scalar(due) or row.decided_until
                    row.decided_until = min(oldest, row.decided_until) - chance.choice((1, 61, 121))
            store.close()
            lab.start()
            time.sleep(chance.uniform(0, 4))  # and killed in the middle of deciding and starting
        lab.kill_service()
        lab.start()
        lab.tracking_ready()

        def settled() -> bool:
            states = [
                slot["state"]
                for number in range(len(POLICIES))
                for slot in lab.get(f"/projects/clockwork/schedules/s{number}/slots?limit=500")["items"]
            ]
            return bool(states) and "queued" not in states

        wait_until(settled, 900, "all that was queued")
        store = open_store(lab.site, lab.site.settings())
        with store.read() as session:
            runs = list(session.scalars(select(Run)))
            slots = list(session.scalars(select(ScheduleSlot)))
        store.close()
        by_slot = collections.Counter((run.schedule_id, run.slot) for run in runs)
        assert max(by_slot.values()) == 1, by_slot.most_common(3)
        started = {(slot.schedule_id, slot.slot): slot.run_id for slot in slots if slot.state == "started"}
        assert started == {(run.schedule_id, run.slot): run.id for run in runs}
        assert all(slot.reason for slot in slots if slot.state == "skipped")
        # without a gap: each minute since the first has its row
        for schedule in {slot.schedule_id for slot in slots}:
            minutes = sorted(slot.due_at for slot in slots if slot.schedule_id == schedule)
            assert minutes == [minutes[0] + 60 * step for step in range(len(minutes))]
            assert minutes[-1] <= now()
        print(f"{len(slots)} slots, {len(runs)} runs, states {collections.Counter(slot.state for slot in slots)}")
