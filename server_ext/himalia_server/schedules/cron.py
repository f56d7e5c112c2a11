"""Cron expressions of five fields: read, refused with words, and told in plain English.

The fields and their meaning are those of crontab(5) (Vixie cron): when both the day of the month and the weekday are
restricted, either is enough; a field that begins with `*` restricts nothing in that sense.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST = 200
"""Characters of an expression."""
MONTHS = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
DAYS_IN = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""At most, by month."""
FOREIGN = {
    "?": "'?' is of Quartz: write * instead.",
    "L": "'L' (last) is not known: for the last day of a month write 28-31 and let the notebook look at the date, or "
    "choose day 1.",
    "W": "'W' (nearest weekday) is not known: write 1-5 as the weekday.",
    "#": "'#' (n-th weekday) is not known: write days of the month instead, for example 1-7 for the first week.",
    "H": "'H' is of Jenkins: write a number.",
}
"""Signs of other programs' dialects."""


class CronError(ValueError):
    """The expression cannot be read; the text says which field, and what to write."""


@dataclass(frozen=True)
class _Kind:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """For `low`, `low` + 1 and so on."""


FIELDS = (
    _Kind("minute", 0, 59),
    _Kind("hour", 0, 23),
    _Kind("day of the month", 1, 31),
    _Kind("month", 1, 12, tuple(name[:3].upper() for name in MONTHS)),
    _Kind("weekday", 0, 7, tuple(name[:3].upper() for name in WEEKDAYS)),
)


@dataclass(frozen=True)
class Field:
    """One field: the values that match, in order; `star`: begins with `*`; `step`: of the whole field, else None."""

    values: tuple[int, ...]
    star: bool
    stepped: bool
    step: int | None

    def __contains__(self, value: int) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Cron:
    """A cron expression that was understood. `weekday`: 0 is Sunday."""

    text: str
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def real_hours(self) -> bool:
        """Whether it means every real hour: the hour is `*` or has a step. Else the hours are fixed by the clock."""
        return self.hour.stepped or len(self.hour.values) == 24

    def on(self, day: date) -> bool:
        """Whether it has a time on this date."""
        if day.month not in self.month:
            return False
        in_month, in_week = day.day in self.day, day.isoweekday() % 7 in self.weekday
        if self.day.star or self.weekday.star:
            return in_month and in_week
        return in_month or in_week


def parse(text: str) -> Cron:
    """Read an expression such as `30 2 * * 1-5` or `@daily`.

    Raises:
        CronError: it is none.
    """
    text = " ".join(text.split())
    if not text or len(text) > LONGEST:
        raise CronError("Write five fields: minute, hour, day of the month, month, weekday. For example 30 2 * * 1-5.")
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            more = " Nothing starts with the machine here." if text.lower() == "@reboot" else ""
            raise CronError(f"{text} is not known: use one of {', '.join(ALIASES)}.{more}")
        text = ALIASES[text.lower()]
    parts = text.split(" ")
    if len(parts) != 5:
        why = " Seconds and years are not known here." if len(parts) in (6, 7) else ""
        were = "field was" if len(parts) == 1 else "fields were"
        raise CronError(
            f"{len(parts)} {were} written, and 5 are needed: minute, hour, day of the month, month, weekday.{why}"
        )
    fields = [_field(part, kind) for part, kind in zip(parts, FIELDS, strict=True)]
    cron = Cron(text, *fields)
    _require_possible(cron)
    return cron


def _field(text: str, kind: _Kind) -> Field:
    values: set[int] = set()
    stepped = False
    for item in text.split(","):
        low, high, step = _item(item, kind)
        values.update(range(low, high + 1, step))
        stepped |= step > 1 or item == "*"
    if kind.high == 7:  # both 0 and 7 are Sunday
        values = {value % 7 for value in values}
    alone = re.fullmatch(r"\*/([0-9]+)", text)
    step_of_all = int(alone[1]) if alone else 1 if text == "*" else None
    return Field(tuple(sorted(values)), text.startswith("*"), stepped, step_of_all)


def _item(item: str, kind: _Kind) -> tuple[int, int, int]:
    """First and last value and step of `*`, `5`, `1-5`, `*/15` or `1-31/2`."""
    where = f"The field {kind.name} has {item!r}: " if item else f"The field {kind.name} has a comma too many: "
    if not item:
        raise CronError(where + "write values between the commas, for example 1,15.")
    span, slash, step_text = item.partition("/")
    first, dash, last = span.partition("-")
    if span == "*":
        low, high = kind.low, 6 if kind.high == 7 else kind.high
    else:
        low = _value(first, kind, where)
        high = _value(last, kind, where, last=True) if dash else low
    if high < low:
        top = kind.high if kind.high != 7 else 6
        raise CronError(f"{where}the range goes backwards. Write {low}-{top},{kind.low}-{high}.")
    if not slash:
        return low, high, 1
    if not re.fullmatch(r"[0-9]{1,3}", step_text) or int(step_text) == 0:
        raise CronError(f"{where}after / stands a step, a whole number from 1 on.")
    step = int(step_text)
    if span != "*" and not dash:
        raise CronError(f"{where}a step needs a range. Write {low}-{min(kind.high, 59)}/{step}, or */{step}.")
    if step > high - low:
        raise CronError(f"{where}the step is larger than the range {low}-{high}, so that it never steps.{_long(kind)}")
    return low, high, step


def _long(kind: _Kind) -> str:
    return " For several hours, set the field hour, for example 0 */2." if kind.name == "minute" else ""


def _value(text: str, kind: _Kind, where: str, *, last: bool = False) -> int:
    if re.fullmatch(r"[0-9]{1,4}", text):
        value = int(text)
        if not kind.low <= value <= kind.high:
            raise CronError(f"{where}{value} is not in {kind.low}-{kind.high}.")
        return value
    if text.upper() in kind.names:
        value = kind.low + kind.names.index(text.upper())
        return 7 if last and kind.high == 7 and value == 0 else value  # SAT-SUN
    for sign, words in FOREIGN.items():
        if sign in text.upper() and re.fullmatch(r"[0-9?LWH#()\-*]*", text.upper()):
            raise CronError(where + words)
    known = f", or one of {', '.join(kind.names)}" if kind.names else ""
    raise CronError(f"{where}write a number in {kind.low}-{kind.high}{known}, or *.")


def _require_possible(cron: Cron) -> None:
    if not (cron.day.star or cron.weekday.star):
        return  # a weekday is enough
    if all(min(cron.day.values) > DAYS_IN[month - 1] for month in cron.month.values):
        months = _and([MONTHS[month - 1] for month in cron.month.values])
        raise CronError(
            f"The field day of the month has {min(cron.day.values)}, a day that {months} never "
            f"{'has' if len(cron.month.values) == 1 else 'have'}: it would never run."
        )


def describe(cron: Cron) -> str:
    """In plain English: 'at 02:30 on weekdays'."""
    times, days = _time(cron), _days(cron)
    if days == "every day":
        return times if "every " in times else f"{times} every day"
    return f"{times} {days}"


def _time(cron: Cron) -> str:
    minutes, hours = cron.minute, cron.hour
    if len(hours.values) == 24:
        return _of_each_hour(minutes)
    if hours.step is not None:
        each = f"every {hours.step} hours"
        if minutes.values == (0,):
            return each
        return f"{_minutes(minutes)} of every {_ordinal(hours.step)} hour"
    if len(hours.values) * len(minutes.values) <= 6:
        return "at " + _and([f"{hour:02}:{minute:02}" for hour in hours.values for minute in minutes.values])
    first, last = hours.values[0], hours.values[-1]
    if hours.values == tuple(range(first, last + 1)):
        if minutes.values == (0,):
            return f"every hour from {first:02}:00 to {last:02}:00"
        span = f"from {first:02}:{minutes.values[0]:02} to {last:02}:{minutes.values[-1]:02}"
        return f"{_of_each_hour(minutes)} {span}"
    return f"{_minutes(minutes)} of the hours {_and([f'{hour:02}' for hour in hours.values])}"


def _of_each_hour(minutes: Field) -> str:
    if minutes.values == (0,):
        return "every hour"
    if minutes.step == 1 or len(minutes.values) == 60:
        return "every minute"
    if minutes.step is not None and 60 % minutes.step == 0:
        return f"every {minutes.step} minutes"
    return f"every hour {_minutes(minutes)}"


def _minutes(minutes: Field) -> str:
    if minutes.step == 1 or len(minutes.values) == 60:
        return "every minute"
    if minutes.step is not None and 60 % minutes.step == 0:
        return f"every {minutes.step} minutes"
    shown = [str(minute) for minute in minutes.values]
    return f"at minute {shown[0]}" if len(shown) == 1 else f"at the minutes {_and(shown)}"


def _days(cron: Cron) -> str:
    all_days, all_weekdays = len(cron.day.values) == 31, len(cron.weekday.values) == 7
    either = not (cron.day.star or cron.weekday.star)
    months = "" if len(cron.month.values) == 12 else _and([MONTHS[value - 1] for value in cron.month.values])
    within = f" in {months}" if months else ""
    if (all_days and all_weekdays) or (either and (all_days or all_weekdays)):
        return f"every day{within}"
    weekdays = f"on {_weekdays(cron.weekday.values)}"
    if all_days:
        return weekdays + within
    if all_weekdays:
        return _month_days(cron, months or "the month")
    days = _month_days(cron, "the month")
    if either:
        return f"{days} or {weekdays}" + (f", in {months}" if months else "")
    names = " or ".join(WEEKDAYS[value] for value in cron.weekday.values)
    return f"{days}{within}, when it is a {names}"


def _month_days(cron: Cron, of: str) -> str:
    values = cron.day.values
    if cron.day.step is not None:
        return f"on every {_ordinal(cron.day.step)} day of {of} ({', '.join(str(value) for value in values[:3])}, …)"
    text = f"on {'day' if len(values) == 1 else 'days'} {_and(_spans(values))} of {of}"
    if any(value > days or (value, days) == (29, 29) for value in values for days in _lengths(cron)):
        text += " (when there is one)" if len(values) == 1 else " (as far as there are such)"
    return text


def _lengths(cron: Cron) -> list[int]:
    return [DAYS_IN[month - 1] for month in cron.month.values]


def _weekdays(values: Sequence[int]) -> str:
    if tuple(values) == (1, 2, 3, 4, 5):
        return "weekdays"
    if tuple(values) == (0, 6):
        return "weekends"
    return _and([f"{WEEKDAYS[value]}s" for value in sorted(values, key=lambda value: value or 7)])


def _spans(values: Sequence[int]) -> list[str]:
    """'1-7', '15': runs of three and more are drawn together."""
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][-1] + 1:
            spans[-1].append(value)
        else:
            spans.append([value])
    shown = []
    for span in spans:
        shown += [f"{span[0]}-{span[-1]}"] if len(span) > 2 else [str(value) for value in span]
    return shown


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _ordinal(number: int) -> str:
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
