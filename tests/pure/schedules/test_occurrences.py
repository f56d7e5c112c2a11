"""Slots of generated expressions, zones and times, beside an oracle that looks at each minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from himalia_server.schedules.cron import CronError, parse
from himalia_server.schedules.occurrences import Occurrences
from himalia_server.schedules.zones import zone

ZONES = [
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Asia/Kolkata",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "UTC",
]
CHANGES = [
    "2010-11-07",
    "2011-12-30",
    "2018-11-04",
    "2019-02-17",
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-04-24",
]
CHANGES += ["2026-10-04", "2026-10-25", "2026-10-29", "2026-11-01", "2026-06-15"]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    span = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, (high - low) // 2).map(lambda size: f"*/{size}")
    items = st.lists(st.one_of(value.map(str), span), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), step, items)


crons = st.tuples(field(0, 59), field(0, 23), st.just("*"), st.just("*"), st.one_of(st.just("*"), field(0, 6))).map(
    " ".join
)


def oracle(text: str, name: str, after: float, until: float) -> list[float]:
    """Instants by brute force: each minute of UTC is looked at, with the wall clock that it shows."""
    cron, place = parse(text), zone(name)

    def matches(wall: datetime) -> bool:
        return wall.minute in cron.minute and wall.hour in cron.hour and cron.on(wall.date())

    found: list[float] = []
    shown: set[datetime] = set()
    start = datetime.fromtimestamp(after, UTC) - timedelta(days=2)
    last: datetime | None = None
    minute = start
    while minute.timestamp() <= until:
        wall = minute.astimezone(place).replace(tzinfo=None, fold=0)
        due = matches(wall) and (cron.real_hours or wall not in shown)
        if not cron.real_hours and last is not None:
            skipped = last + timedelta(minutes=1)
            while skipped < wall:  # a gap
                due = due or matches(skipped)
                skipped += timedelta(minutes=1)
        shown.add(wall)
        last = max(last, wall) if last is not None and not cron.real_hours else wall
        if due and minute.timestamp() > after:
            found.append(minute.timestamp())
        minute += timedelta(minutes=1)
    return found


@given(text=crons, name=st.sampled_from(ZONES), day=st.sampled_from(CHANGES), offset=st.integers(-1500, 1500))
@example(text="*/15 * * * *", name="America/St_Johns", day="2010-11-07", offset=0)
@example(text="30 2 * * *", name="Pacific/Apia", day="2011-12-30", offset=0)
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_minute_by_minute_oracle(text: str, name: str, day: str, offset: int) -> None:
    after = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + offset * 60
    until = after + 2 * 86400
    slots = list(Occurrences(parse(text), zone(name)).between(after, until))
    assert [slot.at for slot in slots] == oracle(text, name, after, until)
    assert len({slot.name for slot in slots}) == len(slots)


@given(
    text=st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map(" ".join),
    name=st.sampled_from(ZONES),
    at=st.integers(0, 4_000_000_000),
)
@settings(max_examples=150, deadline=None)
def test_slots_go_forward_and_never_come_twice(text: str, name: str, at: int) -> None:
    try:
        cron = parse(text)
    except CronError:
        return  # 31 April
    occurrences = Occurrences(cron, zone(name))
    slots = occurrences.next(at, 40)
    assert len(slots) == 40
    times = [slot.at for slot in slots]
    assert times == sorted(set(times))
    assert times[0] > at
    assert len({slot.name for slot in slots}) == 40
    # whoever begins later finds the same ones, under the same names
    assert occurrences.next(slots[19].at, 20) == slots[20:]
    assert occurrences.next(slots[19].at - 1, 1) == [slots[19]]
