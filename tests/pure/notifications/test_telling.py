"""When people are told, and what."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from himalia_server.store import Delivery, EventRow, Run, Schedule

from .conftest import ANN, BOB, Bench


def test_the_first_failure_and_the_recovery(bench: Bench) -> None:
    for status in ("succeeded", "failed", "kernel_died", "cancelled", "timed_out", "succeeded", "succeeded", "failed"):
        bench.end_run(status)
    assert bench.told() == ["failure", "recovery", "failure"]


def test_what_a_failure_says(bench: Bench) -> None:
    run_id = bench.end_run("failed", "ValueError: could not convert string 'x'\nat line 3")
    (notice,), unread, _ = bench.room.notices(ANN, bench.project, False, None, 10)
    assert (notice.kind, notice.stage, notice.cell, notice.run) == ("failure", "train", 4, run_id)
    assert notice.error == "ValueError: could not convert string 'x'"
    assert notice.link == f"lab?himalia-run=flights/{run_id}/train/6"
    assert notice.text.splitlines() == [
        "nightly of flights failed in the stage train, cell 4.",
        "Runs: pipeline",
        "Slot: 2027-01-15T02:30[UTC]",
        f"Run: {run_id}",
        "Error: ValueError: could not convert string 'x'",
        f"Show: himalia run show {run_id} --project flights",
    ]
    assert unread == 1


def test_links_are_whole_when_the_site_knows_where_it_is(bench: Bench) -> None:
    bench.configure(address="https://hub.example.org/user/ann/")
    run_id = bench.end_run("failed")
    (notice,), _, _ = bench.room.notices(ANN, bench.project, False, None, 10)
    assert notice.link == f"https://hub.example.org/user/ann/lab?himalia-run=flights/{run_id}/train/6"
    assert notice.text.endswith(f"Open: {notice.link}")


def test_a_recovery(bench: Bench) -> None:
    bench.end_run("failed")
    bench.end_run("succeeded")
    notice = bench.room.notices(ANN, bench.project, False, None, 10)[0][0]
    assert notice.text.startswith("nightly of flights works again.\n")
    assert notice.error is None


def test_a_slot_that_could_not_start(bench: Bench) -> None:
    for _ in range(2):
        with bench.context.change() as change:
            schedule = change.session.get_one(Schedule, bench.schedule.id)
            bench.room.on_start_failed(change.session, bench.project, schedule, "slot", "data.csv does not exist.")
    assert bench.told() == ["failure"]
    notice = bench.room.notices(ANN, bench.project, False, None, 10)[0][0]
    assert notice.text.startswith("nightly of flights could not start.")
    assert notice.error == "data.csv does not exist."
    bench.end_run("succeeded")
    assert bench.told() == ["failure", "recovery"]


def test_runs_that_nobody_scheduled_are_not_told(bench: Bench) -> None:
    with bench.context.change() as change:
        run = Run(project_id=bench.project.id, status="failed", snapshot="s", created_by="ann")
        change.session.add(run)
        change.session.flush()
        bench.room.on_run_ended(change.session, run)
    assert bench.told() == []


def test_a_run_that_ended_with_the_service_is_told(bench: Bench) -> None:
    bench.end_run("cancelled")
    assert bench.told() == []
    bench.end_run("cancelled", by=None)
    assert bench.told() == ["failure"]


def test_another_schedule_of_the_same_name_begins_anew(bench: Bench) -> None:
    bench.end_run("failed")
    with bench.context.database.write() as session:
        session.delete(session.get_one(Schedule, bench.schedule.id))
        session.flush()
        bench.schedule = Schedule(
            project_id=bench.project.id,
            name="nightly",
            kind="notebook",
            notebook="a.ipynb",
            cron="@daily",
            zone="UTC",
            decided_until=0.0,
            created_by="ann",
        )
        session.add(bench.schedule)
    bench.end_run("failed")
    assert bench.told() == ["failure", "failure"]


def test_nothing_is_told_of_what_was_not_committed(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.end_run("failed", abort=True)
    assert bench.told() == []
    with bench.context.database.read() as session:
        assert session.scalars(select(Delivery)).all() == []
        assert session.scalars(select(EventRow)).all() == []


def test_read_marks_are_each_persons_own(bench: Bench) -> None:
    bench.end_run("failed")
    bench.end_run("succeeded")
    newest, oldest = bench.room.notices(ANN, bench.project, False, None, 10)[0]
    bench.room.read(ANN, bench.project, oldest.id)
    items, unread, _ = bench.room.notices(ANN, bench.project, True, None, 10)
    assert ([item.id for item in items], unread) == ([newest.id], 1)
    assert bench.room.notices(BOB, bench.project, True, None, 10)[1] == 2


def test_pages(bench: Bench) -> None:
    for status in ("failed", "succeeded", "failed"):
        bench.end_run(status)
    items, _, following = bench.room.notices(ANN, bench.project, False, None, 2)
    rest, _, end = bench.room.notices(ANN, bench.project, False, following, 2)
    assert [len(items), len(rest), end] == [2, 1, None]


def test_old_notices_are_forgotten_but_those_on_their_way(bench: Bench) -> None:
    bench.end_run("failed")
    bench.now += 200 * 86400
    bench.room.tidy()
    assert bench.told() == []
