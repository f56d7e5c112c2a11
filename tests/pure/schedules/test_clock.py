"""What the clock does with slots: each once, whatever is killed, late, moved or refused."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from himalia_server.schedules.models import SchedulePatch
from himalia_server.service.problems import Invalid, StorageFull, Unavailable
from himalia_server.store import EventRow, Member, Project, Run, ScheduleSlot

from .conftest import ANN, BOB, Bench, seconds


def test_a_slot_runs_when_it_is_due_and_once(bench: Bench) -> None:
    bench.create()
    assert bench.at("2026-06-01 01:59:50") == pytest.approx(10)
    assert bench.told() == []
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-01 02:00:01")
    assert bench.told() == ["2026-06-01T02:00 started"]
    (run,) = bench.runs()
    assert (run.created_by, run.trigger, run.slot) == ("ann", "schedule", "2026-06-01T02:00[UTC]")
    assert bench.slots()[0].run_id == run.id
    request = bench.pipelines.requests[0]
    assert request.pinned is not None
    assert request.pinned.snapshot == "sha256:one"


def test_the_wait_is_bounded_so_that_a_moved_clock_is_noticed(bench: Bench) -> None:
    bench.create()
    assert bench.at("2026-06-01 00:00:01") == 20


def test_pinned_until_somebody_updates_it(bench: Bench) -> None:
    bench.create()
    bench.pipelines.code = "sha256:two"
    bench.at("2026-06-01 02:00")
    bench.pipelines.end(bench.runs()[0].id)
    done = bench.schedules.update_code(ANN, bench.project, "nightly")
    assert (done.before, done.pinned.snapshot, done.changed) == ("sha256:one", "sha256:two", True)
    bench.at("2026-06-02 02:00")
    assert [run.snapshot for run in bench.runs()] == ["sha256:one", "sha256:two"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_around_the_commit_that_makes_the_run(bench: Bench, where: str) -> None:
    bench.create()
    bench.pipelines.kill = where
    with pytest.raises(KeyboardInterrupt):
        bench.at("2026-06-01 02:00")
    assert len(bench.runs()) == (where == "after")
    bench.pipelines.kill = None
    bench.again()
    bench.at("2026-06-01 02:00:30")
    bench.at("2026-06-01 02:01")
    assert bench.told() == ["2026-06-01T02:00 started"]
    assert len(bench.runs()) == 1


def test_killed_before_the_decision_was_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.create()
    with monkeypatch.context() as patch:
        patch.setattr(bench.schedules.clock, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bench.at("2026-06-01 02:00")
    bench.again()
    bench.at("2026-06-01 02:00:30")
    assert bench.told() == ["2026-06-01T02:00 started"]


def test_what_was_missed_follows_the_policy_and_is_recorded(bench: Bench) -> None:
    bench.create("0 * * * *")
    bench.again()
    bench.at("2026-06-01 03:30")
    assert [slot[11:13] for slot in bench.told()] == ["01", "02", "03"]
    assert [slot.state for slot in bench.slots()] == ["skipped", "skipped", "started"]
    reason = bench.slots()[0].reason
    assert reason == "missed: nothing ran at its time, and catch_up = last: a later slot runs"
    assert bench.slots()[2].reason == "caught up"


def test_a_long_absence_is_told_in_one_line_beyond_the_newest(bench: Bench) -> None:
    bench.create("* * * * *")
    bench.at("2026-06-11 00:00")
    slots = bench.slots()
    assert len(slots) == 500
    with bench.context.database.read() as session:
        rows = list(session.scalars(select(ScheduleSlot).order_by(ScheduleSlot.due_at)))
    assert len(rows) == 501
    assert rows[0].slot.startswith("2026-06-01T00:01")
    assert rows[0].reason is not None
    assert "13,899 more until 2026-06-10T15:40" in rows[0].reason
    assert [row.state for row in rows].count("started") == 1


def test_catching_up_all_runs_one_after_another(bench: Bench) -> None:
    bench.create("0 * * * *", catch_up="all(2)")
    bench.at("2026-06-01 03:30")
    assert [slot.state for slot in bench.slots()] == ["skipped", "started", "queued"]
    bench.at("2026-06-01 03:31")
    assert len(bench.runs()) == 1
    bench.pipelines.end(bench.runs()[0].id)
    bench.at("2026-06-01 03:32")
    assert [slot.state for slot in bench.slots()] == ["skipped", "started", "started"]


def test_a_clock_that_was_put_back_repeats_nothing(bench: Bench) -> None:
    bench.create()
    bench.at("2026-06-01 02:00")
    bench.pipelines.end(bench.runs()[0].id)
    bench.at("2026-06-01 01:30")
    bench.at("2026-06-01 02:00")
    assert bench.told() == ["2026-06-01T02:00 started"]
    bench.at("2026-06-02 02:00")
    assert bench.told() == ["2026-06-01T02:00 started", "2026-06-02T02:00 started"]


def test_a_clock_that_was_put_forward_follows_catch_up_and_back_is_told(bench: Bench) -> None:
    bench.create()
    bench.at("2026-06-04 12:00")
    assert [slot.state for slot in bench.slots()] == ["skipped"] * 3 + ["started"]
    bench.pipelines.end(bench.runs()[0].id)
    bench.at("2026-06-02 02:00")
    assert len(bench.slots()) == 4
    trouble = bench.schedules.view(bench.project, "nightly").trouble
    assert trouble is not None
    assert "slots until 2026-06-04T02:00+00:00 were decided already" in trouble
    bench.at("2026-06-05 02:00")
    assert len(bench.runs()) == 2


def test_overlap_skip(bench: Bench) -> None:
    bench.create()
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-02 02:00")
    assert bench.told() == ["2026-06-01T02:00 started", "2026-06-02T02:00 skipped"]
    assert bench.slots()[1].reason == f"the run {bench.runs()[0].id} still went on, and overlap = skip"


def test_overlap_queue_starts_when_the_run_ends(bench: Bench) -> None:
    bench.create(overlap="queue(1)")
    for day in (1, 2, 3):
        bench.at(f"2026-06-0{day} 02:00")
    assert [slot.state for slot in bench.slots()] == ["started", "queued", "skipped"]
    run = bench.runs()[0]
    bench.pipelines.end(run.id)
    bench.again()  # another service finds what waits
    bench.at("2026-06-03 02:10")
    assert [slot.state for slot in bench.slots()] == ["started", "started", "skipped"]


def test_overlap_cancel_ends_the_run_before_the_next_starts(bench: Bench) -> None:
    bench.create(overlap="cancel")
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-02 02:00")
    first = bench.runs()[0]
    assert bench.pipelines.cancelled == [(first.id, "schedule nightly")]
    assert [slot.state for slot in bench.slots()] == ["started", "queued"]
    bench.pipelines.end(first.id, "cancelled")
    bench.at("2026-06-02 02:00:05")
    assert [slot.state for slot in bench.slots()] == ["started", "started"]


def test_overlap_allow(bench: Bench) -> None:
    bench.create(overlap="allow")
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-02 02:00")
    assert len(bench.runs()) == 2


def test_a_deadline(bench: Bench) -> None:
    bench.create(deadline="1h")
    bench.at("2026-06-01 04:00")
    assert bench.told() == ["2026-06-01T02:00 skipped"]
    assert "too late: 7,200 s after its time" in (bench.slots()[0].reason or "")


def test_what_cannot_start_is_skipped_with_the_reason(bench: Bench) -> None:
    failures: list[str] = []
    bench.schedules.clock.on_failure = lambda _s, _p, _row, _slot, reason: failures.append(reason)
    bench.create()
    bench.pipelines.fault = Invalid("data.csv does not exist.", hint="Put it there.")
    bench.at("2026-06-01 02:00")
    assert bench.slots()[0].state == "skipped"
    assert bench.slots()[0].reason == "could not start: data.csv does not exist. Put it there."
    assert failures == ["could not start: data.csv does not exist. Put it there."]


@pytest.mark.parametrize(
    "fault", [StorageFull("The disk is full."), Unavailable("MLflow starts."), OSError(28, "full")]
)
def test_what_may_go_well_later_is_tried_again(bench: Bench, fault: Exception) -> None:
    bench.create()
    bench.pipelines.fault = fault
    wait = bench.at("2026-06-01 02:00")
    assert wait <= 3
    assert bench.told() == ["2026-06-01T02:00 queued"]
    assert "is tried again" in (bench.slots()[0].reason or "")
    bench.pipelines.fault = None
    bench.at("2026-06-01 02:00:10")
    assert bench.told() == ["2026-06-01T02:00 started"]


def test_a_fault_of_ours_is_told(bench: Bench) -> None:
    bench.create()
    bench.pipelines.fault = ZeroDivisionError("oh")
    bench.at("2026-06-01 02:00")
    assert bench.slots()[0].reason == "could not start: a fault of Himalia: ZeroDivisionError: oh"


def test_nothing_runs_for_an_owner_who_left(bench: Bench) -> None:
    failures: list[str] = []
    bench.schedules.clock.on_failure = lambda _s, _p, _row, _slot, reason: failures.append(reason)
    bench.create()
    with bench.context.database.write() as session:
        session.delete(session.get_one(Member, (bench.project.id, "ann")))
    bench.at("2026-06-01 02:00")
    assert bench.runs() == []
    assert bench.slots()[0].reason == "ann, in whose name it runs, is no member of a any more"
    assert failures == ["ann, in whose name it runs, is no member of a any more"]
    assert bench.schedules.view(bench.project, "nightly").trouble == (
        "Ann, in whose name it runs, is no member of a any more"
    )
    # whoever updates the code takes it over
    bench.schedules.update_code(BOB, bench.project, "nightly")
    bench.at("2026-06-02 02:00")
    assert bench.runs()[0].created_by == "bob"


def test_an_owner_who_became_a_viewer(bench: Bench) -> None:
    bench.create()
    with bench.context.database.write() as session:
        session.get_one(Member, (bench.project.id, "ann")).role = "viewer"
    bench.at("2026-06-01 02:00")
    assert "is viewer of a and may start no runs" in (bench.slots()[0].reason or "")


def test_an_archived_project_rests(bench: Bench) -> None:
    bench.create()
    with bench.context.database.write() as session:
        session.get_one(Project, bench.project.id).archived_at = bench.now
    bench.at("2026-06-01 02:00")
    assert bench.slots()[0].reason == "the project a is archived"


def test_a_pause_is_recorded_and_not_caught_up(bench: Bench) -> None:
    bench.create(overlap="queue(3)")
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-02 02:00")
    bench.schedules.pause(BOB, bench.project, "nightly")
    assert bench.slots()[1].reason == "bob paused the schedule while it waited"
    bench.at("2026-06-04 12:00")
    bench.schedules.resume(ANN, bench.project, "nightly")
    bench.at("2026-06-04 12:01")
    assert [slot.state for slot in bench.slots()] == ["started", "skipped", "skipped", "skipped"]
    assert bench.slots()[2].reason == "the schedule was paused"
    bench.pipelines.end(bench.runs()[0].id)
    bench.at("2026-06-05 02:00")
    assert bench.slots()[-1].state == "started"


def test_what_is_due_while_the_schedule_is_changed_still_runs(bench: Bench) -> None:
    bench.create()
    bench.now = seconds("2026-06-01 02:00:00.200")  # the clock has not looked yet
    bench.schedules.patch(ANN, bench.project, "nightly", SchedulePatch(cron="0 9 * * *"))
    bench.schedules.clock.tick()
    assert bench.told() == ["2026-06-01T02:00 started"]


def test_another_zone_is_another_slot(bench: Bench) -> None:
    bench.now = seconds("2026-05-31 23:00")
    bench.create(zone="Europe/Berlin")
    bench.at("2026-06-01 00:00:01")
    bench.pipelines.end(bench.runs()[0].id)
    bench.schedules.patch(ANN, bench.project, "nightly", SchedulePatch(zone="America/New_York"))
    bench.at("2026-06-01 06:00")
    assert [(slot.slot, slot.state) for slot in bench.slots()] == [
        ("2026-06-01T02:00[Europe/Berlin]", "started"),
        ("2026-06-01T02:00[America/New_York]", "started"),
    ]


def test_a_change_between_decision_and_start_lets_the_slot_wait(bench: Bench) -> None:
    """The start was decided on the old code; somebody updates it before the run is made."""
    bench.create()
    held: list[object] = []
    bench.schedules.clock.spawn = held.append
    bench.at("2026-06-01 02:00")
    bench.pipelines.code = "sha256:two"
    bench.now += 1
    bench.schedules.update_code(ANN, bench.project, "nightly")
    bench.schedules.clock.spawn = lambda work: work()
    held[0]()  # type: ignore[operator]
    assert bench.runs() == []
    bench.at("2026-06-01 02:00:05")
    assert [run.snapshot for run in bench.runs()] == ["sha256:two"]


def test_a_start_that_takes_long_counts_as_a_run(bench: Bench) -> None:
    bench.create("* * * * *", overlap="queue(1)")
    held: list[object] = []
    bench.schedules.clock.spawn = held.append
    bench.at("2026-06-01 00:01")
    bench.at("2026-06-01 00:02")
    bench.at("2026-06-01 00:03")
    assert len(held) == 1
    assert [slot.state for slot in bench.slots()] == ["queued", "queued", "skipped"]
    held[0]()  # type: ignore[operator]
    assert [slot.state for slot in bench.slots()] == ["started", "queued", "skipped"]


def test_a_start_that_was_decided_twice_makes_one_run(bench: Bench) -> None:
    """Two services at once, which locks prevent: both decide to start what is queued."""
    bench.create()
    held: list[object] = []
    first = bench.schedules
    first.clock.spawn = held.append
    bench.at("2026-06-01 02:00")
    bench.again().clock.spawn = held.append
    bench.at("2026-06-01 02:00:01")
    assert len(held) == 2
    held[0]()  # type: ignore[operator]
    bench.pipelines.end(bench.runs()[0].id)
    held[1]()  # type: ignore[operator]
    assert len(bench.runs()) == 1


def test_by_hand(bench: Bench) -> None:
    bench.create()
    bench.schedules.run_now(BOB, bench.project, "nightly")
    (run,) = bench.runs()
    assert run.created_by == "bob"
    assert bench.slots()[0].reason == "bob asked for it"
    bench.at("2026-06-01 02:00")
    assert bench.slots()[1].state == "skipped", "a run by hand is a run of the schedule"


def test_events_tell_what_was_decided(bench: Bench) -> None:
    bench.create()
    bench.at("2026-06-01 02:00")
    bench.at("2026-06-02 02:00")
    with bench.context.database.read() as session:
        topics = [row.topic for row in session.scalars(select(EventRow).order_by(EventRow.seq))]
    assert topics == ["schedule.created", "schedule.started", "schedule.skipped"]


happenings = st.tuples(st.integers(-3000, 9000), st.sampled_from(["", "before", "after", "end", "full"]))


@given(steps=st.lists(happenings, min_size=3, max_size=15))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("overlap", ["skip", "queue(2)", "allow"])
def test_one_run_a_slot_whatever_happens(bench: Bench, overlap: str, steps: list[tuple[int, str]]) -> None:
    """The clock jumps about, runs end or go on, disks are full, and the service is killed around its commits."""
    with bench.context.database.write() as session:
        for table in (ScheduleSlot, Run):
            session.query(table).delete()
    bench.schedules = bench.again()
    bench.now = seconds("2026-06-01 00:00")
    if "nightly" in [view.name for view in bench.schedules.page(bench.project, None, 5)[0]]:
        bench.schedules.delete(ANN, bench.project, "nightly")
    bench.create("*/20 * * * *", overlap=overlap, catch_up="all(3)")
    furthest = bench.now
    for jump, what in steps:
        bench.now += jump
        furthest = max(furthest, bench.now)
        bench.pipelines.kill = what if what in ("before", "after") else None
        bench.pipelines.fault = OSError(28, "full") if what == "full" else None
        try:
            bench.schedules.clock.tick()
        except KeyboardInterrupt:
            bench.again()
        if what == "end":
            for run in bench.runs():
                bench.pipelines.end(run.id)
    bench.pipelines.kill = bench.pipelines.fault = None
    bench.now = furthest + 1
    for _ in range(30):
        for run in bench.runs():
            bench.pipelines.end(run.id)
        bench.schedules.clock.tick()
        if "queued" not in bench.states().values():
            break
    runs = [run.slot for run in bench.runs()]
    assert len(set(runs)) == len(runs)
    states = bench.states()
    assert {slot for slot, state in states.items() if state == "started"} == set(runs)
    assert set(states.values()) <= {"started", "skipped"}
    expected = int((furthest + 1 - seconds("2026-06-01 00:00")) // 1200)
    assert len(states) == expected, "each slot has its row, and no other has"
