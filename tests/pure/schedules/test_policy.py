"""What becomes of due slots: a table of cases, and what holds in all of them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_server.schedules.occurrences import Slot
from himalia_server.schedules.policy import (
    CatchUp,
    Decision,
    Overlap,
    Policy,
    Queue,
    Situation,
    Skip,
    Start,
    decide,
)

HOUR = 3600.0
NOW = 100 * HOUR


def slot(hours: float) -> Slot:
    """One that was due so many hours ago."""
    return Slot(f"{-hours:g}h", NOW - hours * HOUR)


def told(decisions: list[Decision]) -> list[str]:
    return [f"{type(decision).__name__.lower()} {decision.slot.name}" for decision in decisions]


MISSED = [3, 2, 1]
CASES = [
    # catch-up, overlap, queued and active before, hours ago → decisions
    ("last", "skip", (), 0, [0], ["start 0h"]),
    ("none", "skip", (), 0, [0], ["start 0h"]),
    ("none", "skip", (), 0, MISSED, ["skip -3h", "skip -2h", "skip -1h"]),
    ("last", "skip", (), 0, MISSED, ["skip -3h", "skip -2h", "start -1h"]),
    ("last", "skip", (), 0, [2, 1, 0], ["skip -2h", "skip -1h", "start 0h"]),
    ("none", "skip", (), 0, [2, 1, 0], ["skip -2h", "skip -1h", "start 0h"]),
    ("all", "skip", (), 0, MISSED, ["skip -3h", "start -2h", "queue -1h"]),
    ("all", "allow", (), 0, MISSED, ["skip -3h", "start -2h", "start -1h"]),
    ("all", "cancel", (), 0, MISSED, ["skip -3h", "start -2h", "queue -1h"]),
    ("all", "queue", (), 0, MISSED, ["skip -3h", "start -2h", "queue -1h"]),
    ("all", "skip", (), 0, [2, 1, 0], ["start -2h", "queue -1h", "skip 0h"]),
    ("all", "skip", (5,), 1, MISSED, ["skip -3h", "queue -2h", "skip -1h"]),
    ("last", "skip", (), 1, [0], ["skip 0h"]),
    ("last", "skip", (), 1, [1], ["skip -1h"]),
    ("last", "queue", (), 1, [0], ["queue 0h"]),
    ("last", "queue", (1,), 1, [0], ["queue 0h"]),
    ("last", "queue", (2, 1), 1, [0], ["skip 0h"]),
    ("last", "queue", (2, 1), 0, [0], ["start -2h", "queue 0h"]),
    ("last", "queue", (2, 1), 0, [], ["start -2h"]),
    ("last", "queue", (2, 1), 1, [], []),
    ("last", "allow", (), 2, [0], ["start 0h"]),
    ("last", "allow", (2, 1), 1, [], ["start -2h", "start -1h"]),
    ("last", "cancel", (), 1, [0], ["queue 0h"]),
    ("last", "cancel", (1,), 1, [0], ["skip -1h", "queue 0h"]),
    ("last", "cancel", (1,), 0, [], ["start -1h"]),
    ("last", "cancel", (), 0, [0.02, 0], ["skip -0.02h", "start 0h"]),
    ("last", "skip", (), 0, [0.02, 0], ["start -0.02h", "skip 0h"]),
]


@pytest.mark.parametrize(("catch_up", "overlap", "queued", "active", "hours", "expected"), CASES)
def test_decisions(
    catch_up: CatchUp, overlap: Overlap, queued: tuple[float, ...], active: int, hours: list[float], expected: list[str]
) -> None:
    policy = Policy(catch_up, 2, overlap, 2)
    situation = Situation(tuple(f"run{number}" for number in range(active)), tuple(slot(hour) for hour in queued))
    decisions = decide(policy, situation, [slot(hour) for hour in hours], NOW)
    assert told(decisions) == expected
    for decision in decisions:
        if isinstance(decision, Queue) and overlap == "cancel" and active:
            assert decision.cancel == ("run0",)
            assert "being cancelled" in decision.reason


def test_a_deadline_ends_waiting_and_catching_up() -> None:
    policy = Policy("all", 10, "queue", 10, deadline=1.5 * HOUR)
    situation = Situation(("run0",), (slot(2),))
    decisions = decide(policy, situation, [slot(1.8), slot(1), slot(0)], NOW)
    assert told(decisions) == ["skip -2h", "skip -1.8h", "queue -1h", "queue 0h"]
    assert "7,200 s after its time, and the start deadline is 5,400 s" in str(decisions[0])


def test_nothing_starts_for_an_owner_who_left() -> None:
    decisions = decide(Policy(), Situation(refused="ann is no member any more"), [slot(1), slot(0)], NOW)
    assert told(decisions) == ["skip -1h", "skip 0h"]
    assert "ann" in decisions[1].reason  # type: ignore[operator]


def test_reasons_name_the_policy() -> None:
    missed = decide(Policy("none"), Situation(), [slot(1)], NOW)[0]
    assert missed == Skip(slot(1), "missed: nothing ran at its time, and catch_up = none")
    over = decide(Policy(), Situation(("abc",)), [slot(0)], NOW)[0]
    assert over == Skip(slot(0), "the run abc still went on, and overlap = skip")
    full = decide(Policy(overlap="queue", queue_most=1), Situation(("abc",), (slot(1),)), [slot(0)], NOW)[0]
    assert full == Skip(slot(0), "1 slot waits already, and overlap = queue(1)")


hours = st.lists(st.floats(0, 50).map(lambda value: round(value, 3)), unique=True, max_size=8).map(
    lambda values: sorted(values, reverse=True)
)
policies = st.builds(
    Policy,
    st.sampled_from(get_args(CatchUp)),
    st.integers(1, 4),
    st.sampled_from(get_args(Overlap)),
    st.integers(1, 3),
    st.one_of(st.none(), st.floats(60, 20 * HOUR)),
)


@given(policy=policies, due=hours, queued=st.integers(0, 3), active=st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_each_slot_gets_one_answer(policy: Policy, due: list[float], queued: int, active: int) -> None:
    waiting = tuple(slot(60 - number) for number in range(queued))
    situation = Situation(tuple(f"run{number}" for number in range(active)), waiting)
    slots = [slot(hour) for hour in due]
    decisions = decide(policy, situation, slots, NOW)
    names = [decision.slot.name for decision in decisions]
    assert len(set(names)) == len(names)
    assert {one.name for one in slots} <= set(names) <= {one.name for one in (*slots, *waiting)}
    started = [decision for decision in decisions if isinstance(decision, Start)]
    if policy.overlap != "allow":
        assert len(started) <= (0 if active else 1)
    if not active and any(isinstance(decision, Queue) for decision in decisions):
        assert started, "something waits, and nothing goes on that it could wait for"
    assert [one.slot.at for one in started] == sorted(one.slot.at for one in started)
    if policy.catch_up == "none":
        late = {one.name for one in slots if NOW - one.at > 90}
        assert not late & {decision.slot.name for decision in decisions if not isinstance(decision, Skip)}
