"""When a cron expression is due in a time zone: the rules across changes of the clocks are ours, and tested.

* Fixed hours (`30 2 * * *`) mean the wall clock. What falls into a gap (clocks go forward) is due once, at the gap's
  end; what the clock shows twice (clocks go back) is due once, at the first.
* `*` or a step as the hour (`30 * * * *`) means real hours: both of an overlap, none of a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .cron import Cron

DAY = 25 * 3600.0
"""Seconds; no change of a clock is larger (Samoa left out a day)."""
HORIZON_YEARS = 60
"""29 February on a given weekday comes within 40 years."""


@dataclass(frozen=True)
class Slot:
    """One time at which a schedule is due.

    `name`: the wall time and zone as in RFC 9557, by which it is known for ever: `2026-03-08T02:30[America/New_York]`;
    with the offset when real hours are meant, since the same wall time may then come twice. `at`: UTC seconds since the
    epoch. `moved`: its wall time does not exist on that day, so that it is due when the gap ends.
    """

    name: str
    at: float
    moved: bool = False


class Occurrences:
    """The slots of an expression in a zone. Immutable; safe for all threads."""

    def __init__(self, cron: Cron, zone: ZoneInfo) -> None:
        self.cron, self.zone = cron, zone

    def after(self, at: float) -> Iterator[Slot]:
        """Slots later than *at* (UTC seconds), in their order; each name and each instant once."""
        pending: dict[float, Slot] = {}
        for hour in self._hours(self._begin(at)):
            # nothing of this hour or a later one is due before its first moment
            bound = self._first(hour)[0]
            for instant in sorted(instant for instant in pending if instant < bound):
                slot = pending.pop(instant)
                if instant > at:
                    yield slot
            for slot in self._of(hour):
                known = pending.get(slot.at)
                if known is None or (known.moved and not slot.moved):
                    pending[slot.at] = slot
        for instant in sorted(pending):
            if instant > at:
                yield pending[instant]

    def between(self, after: float, until: float) -> Iterator[Slot]:
        """Slots later than *after* and not later than *until* (UTC seconds)."""
        for slot in self.after(after):
            if slot.at > until:
                return
            yield slot

    def next(self, after: float, count: int = 5) -> list[Slot]:
        """The next slots, fewer only when there are no more within decades."""
        found = []
        for slot in self.after(after):
            found.append(slot)
            if len(found) == count:
                break
        return found

    def local(self, at: float) -> datetime:
        """An instant on this zone's wall clock."""
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone)

    def _begin(self, at: float) -> datetime:
        """The wall time from which on to look: earlier than what the clock shows where it shows something twice."""
        local = self.local(at)
        quiet = {local.utcoffset(), self.local(at - DAY).utcoffset(), self.local(at + DAY).utcoffset()}
        back = timedelta() if len(quiet) == 1 else timedelta(seconds=DAY)
        return local.replace(tzinfo=None, fold=0, minute=0, second=0, microsecond=0) - back

    def _hours(self, start: datetime) -> Iterator[datetime]:
        """Full hours of the wall clock within which there are slots."""
        for day in self._days(start.date()):
            for hour in self.cron.hour.values:
                wall = datetime.combine(day, time(hour))
                if wall >= start:
                    yield wall

    def _days(self, start: date) -> Iterator[date]:
        for number in range(start.year * 12 + start.month - 1, (start.year + HORIZON_YEARS) * 12):
            year, month = divmod(number, 12)
            if year > date.max.year - 1:
                return
            if month + 1 not in self.cron.month:
                continue
            day = max(start, date(year, month + 1, 1))
            while day.month == month + 1:
                if self.cron.on(day):
                    yield day
                day += timedelta(days=1)

    def _of(self, hour: datetime) -> Iterator[Slot]:
        real = self.cron.real_hours
        for minute in self.cron.minute.values:
            wall = hour.replace(minute=minute)
            if real:
                yield from self._each(wall)
            else:
                at, moved = self._first(wall)
                yield Slot(f"{wall:%Y-%m-%dT%H:%M}[{self.zone.key}]", at, moved)

    def _each(self, wall: datetime) -> Iterator[Slot]:
        """All instants at which the clock shows *wall*: none, one or two."""
        seen = set()
        for fold in (0, 1):
            there = wall.replace(tzinfo=self.zone, fold=fold)
            at = there.timestamp()
            if at in seen or self.local(at).replace(tzinfo=None, fold=0) != wall:
                continue
            seen.add(at)
            yield Slot(f"{there.isoformat(timespec='minutes')}[{self.zone.key}]", at)

    def _first(self, wall: datetime) -> tuple[float, bool]:
        """The first instant at which the clock shows *wall*; the end of the gap (and true) when it never does."""
        before = wall.replace(tzinfo=self.zone, fold=0)
        at = before.timestamp()
        if self.local(at).replace(tzinfo=None, fold=0) == wall:
            return at, False
        # in a gap, fold 0 counts with the offset from before it and fold 1 with the one after it (PEP 495)
        offset = before.utcoffset()
        low, high = int(wall.replace(tzinfo=self.zone, fold=1).timestamp()), int(at)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.local(middle).utcoffset() == offset else (low, middle)
        return float(high), True
