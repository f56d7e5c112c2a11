"""What becomes of slots that are due: pure, so that every case can be tried.

Each slot gets exactly one lasting answer, started or skipped with a reason; a queued one waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .occurrences import Slot

CatchUp = Literal["none", "last", "all"]
Overlap = Literal["skip", "queue", "cancel", "allow"]
ON_TIME = 90.0
"""Seconds within which a slot counts as met: a service that restarts in between has missed nothing."""


@dataclass(frozen=True)
class Policy:
    """`catch_up_most`: slots, of "all"; `queue_most`: slots that may wait, of "queue"; `deadline`: seconds."""

    catch_up: CatchUp = "last"
    catch_up_most: int = 1
    overlap: Overlap = "skip"
    queue_most: int = 1
    deadline: float | None = None

    @property
    def catch_up_words(self) -> str:
        """As a person writes it."""
        return f"all({self.catch_up_most})" if self.catch_up == "all" else self.catch_up

    @property
    def overlap_words(self) -> str:
        """As a person writes it."""
        return f"queue({self.queue_most})" if self.overlap == "queue" else self.overlap


@dataclass(frozen=True)
class Situation:
    """`active`: ids of the schedule's runs that go on; `queued`: slots that wait, oldest first.

    `refused`: why nothing of this schedule may start now (its owner has left the project); None: all is well.
    """

    active: tuple[str, ...] = ()
    queued: tuple[Slot, ...] = ()
    refused: str | None = None


@dataclass(frozen=True)
class Start:
    """Start a run for the slot. `reason`: what is to be known about that."""

    slot: Slot
    reason: str | None = None


@dataclass(frozen=True)
class Queue:
    """Let the slot wait for the end of the run before it; the runs `cancel` are told to end first."""

    slot: Slot
    reason: str
    cancel: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """Never run the slot, and say why."""

    slot: Slot
    reason: str


Decision = Start | Queue | Skip


def decide(policy: Policy, situation: Situation, due: Sequence[Slot], now: float) -> list[Decision]:
    """One decision for each slot of *due* (in their order), and for each queued one whose waiting is over."""
    return _Deciding(policy, situation, now).all(due)


class _Deciding:
    def __init__(self, policy: Policy, situation: Situation, now: float) -> None:
        self.policy, self.now, self.refused = policy, now, situation.refused
        self.active = list(situation.active)
        self.busy = bool(situation.active)
        """Whether something goes on, or will once these decisions are done."""
        self.waiting = list(situation.queued)
        self.new: set[str] = set()
        self.cancel: tuple[str, ...] = ()
        self.done: list[Decision] = []

    def all(self, due: Sequence[Slot]) -> list[Decision]:
        """See `decide`."""
        self._drain()
        late = [slot for slot in due if self.now - slot.at > ON_TIME]
        on_time = [slot for slot in due if self.now - slot.at <= ON_TIME]
        self._missed(late, on_time)
        for slot in on_time:
            self._one(slot)
        self._drain()
        self.done += [
            Queue(slot, self._why_waiting(number), self.cancel)
            for number, slot in enumerate(self.waiting)
            if slot.name in self.new
        ]
        order = {slot.name: number for number, slot in enumerate(due)}
        return sorted(self.done, key=lambda decision: order.get(decision.slot.name, -1))

    def _missed(self, late: list[Slot], on_time: list[Slot]) -> None:
        policy = self.policy
        words = f"missed: nothing ran at its time, and catch_up = {policy.catch_up_words}"
        if policy.catch_up == "none":
            kept: list[Slot] = []
            why = words
        elif policy.catch_up == "last":
            # what is due right now stands for all that was missed before it
            kept = [] if on_time else late[-1:]
            why = f"{words}: a later slot runs"
        else:
            kept = late[-policy.catch_up_most :] if policy.catch_up_most > 0 else []
            why = f"{words}: later slots run"
        self.done += [Skip(slot, why) for slot in late[: len(late) - len(kept)]]
        most = max(policy.catch_up_most, policy.queue_most if policy.overlap == "queue" else 1)
        for slot in kept:
            if self._refuse(slot):
                continue
            if policy.overlap == "allow":
                self._start(slot, reason="caught up")
            elif policy.overlap == "skip" and policy.catch_up == "last" and self.busy:
                self.done.append(Skip(slot, self._overlapping()))
            elif self.busy and len(self.waiting) >= most:
                self.done.append(Skip(slot, f"{len(self.waiting)} that were missed or queued wait already: {words}"))
            else:  # one after another: else catching up would skip, or cancel, its own runs
                self._wait(slot)
        self._drain()

    def _one(self, slot: Slot) -> None:
        if self._refuse(slot):
            return
        if self.policy.overlap == "allow" or not (self.busy or self.waiting):
            self._start(slot)
        elif self.policy.overlap == "skip":
            self.done.append(Skip(slot, self._overlapping()))
        elif self.policy.overlap == "queue":
            if len(self.waiting) >= self.policy.queue_most:
                several = "slots wait" if len(self.waiting) != 1 else "slot waits"
                words = f"overlap = {self.policy.overlap_words}"
                self.done.append(Skip(slot, f"{len(self.waiting)} {several} already, and {words}"))
            else:
                self._wait(slot)
        else:
            self._replace(slot)

    def _replace(self, slot: Slot) -> None:
        replaced = f"replaced by the slot {slot.name}: overlap = cancel"
        self.done += [Skip(other, replaced) for other in self.waiting]
        self.waiting.clear()
        for number, decision in enumerate(self.done):  # what would start with it
            if isinstance(decision, Start):
                self.done[number] = Skip(decision.slot, replaced)
        self.busy = bool(self.active)
        if self.busy:
            self.cancel = tuple(self.active)
            self._wait(slot)
        else:
            self._start(slot)

    def _drain(self) -> None:
        """Start the first that waits, when nothing goes on; drop what has waited too long."""
        for slot in list(self.waiting):
            if self._refuse(slot):
                self.waiting.remove(slot)
        if self.waiting and (not self.busy or self.policy.overlap == "allow"):
            slot = self.waiting.pop(0)
            self._start(slot, reason="caught up" if self.now - slot.at > ON_TIME and slot.name in self.new else None)
            if self.policy.overlap == "allow":
                self._drain()

    def _start(self, slot: Slot, reason: str | None = None) -> None:
        self.done.append(Start(slot, reason))
        self.busy = True

    def _wait(self, slot: Slot) -> None:
        self.waiting.append(slot)
        self.new.add(slot.name)

    def _refuse(self, slot: Slot) -> bool:
        reason = self.refused
        if self.policy.deadline is not None and self.now - slot.at > self.policy.deadline:
            late = round(self.now - slot.at)
            reason = f"too late: {late:,} s after its time, and the start deadline is {self.policy.deadline:,.0f} s"
        if reason is not None:
            self.done.append(Skip(slot, reason))
        return reason is not None

    def _overlapping(self) -> str:
        who = f"the run {self.active[0]}" if self.active else "the run of the slot before it"
        return f"{who} still went on, and overlap = {self.policy.overlap_words}"

    def _why_waiting(self, place: int) -> str:
        who = f"the run {self.active[0]}" if self.active else "the run before it"
        if self.cancel:
            return f"waiting for the end of {who}, which is being cancelled: overlap = cancel"
        before = f", and {place} {'slots wait' if place > 1 else 'slot waits'} before this one" if place else ""
        return f"waiting for the end of {who}{before}"
