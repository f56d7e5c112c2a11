"""Expressions: read, refused with words, described."""

from __future__ import annotations

from datetime import date

import pytest

from himalia_server.schedules.cron import ALIASES, Cron, CronError, describe, parse
from himalia_server.schedules.zones import ZoneError, zone

DESCRIBED = {
    "30 2 * * 1-5": "at 02:30 on weekdays",
    "* * * * *": "every minute",
    "*/15 * * * *": "every 15 minutes",
    "*/7 * * * *": "every hour at the minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56",
    "0 * * * *": "every hour",
    "@hourly": "every hour",
    "5 */2 * * *": "at minute 5 of every 2nd hour",
    "0 */6 * * *": "every 6 hours",
    "0 */6 * * 0,6": "every 6 hours on weekends",
    "0 6,18 * * *": "at 06:00 and 18:00 every day",
    "0 9-17 * * *": "every hour from 09:00 to 17:00",
    "*/10 9-17 * * MON-FRI": "every 10 minutes from 09:00 to 17:50 on weekdays",
    "@weekly": "at 00:00 on Sundays",
    "0 0 * * 6,7": "at 00:00 on weekends",
    "0 0 * * fri,mon": "at 00:00 on Mondays and Fridays",
    "0 0 1 * *": "at 00:00 on day 1 of the month",
    "0 0 31 * *": "at 00:00 on day 31 of the month (when there is one)",
    "0 0 29 2 *": "at 00:00 on day 29 of February (when there is one)",
    "0 12 1-7 jan,jul *": "at 12:00 on days 1-7 of January and July",
    "0 0 13 * 5": "at 00:00 on day 13 of the month or on Fridays",
    "0 0 1 1,2 1": "at 00:00 on day 1 of the month or on Mondays, in January and February",
    "0 0 */2 * 1": "at 00:00 on every 2nd day of the month (1, 3, 5, …), when it is a Monday",
    "30 4 * 12 *": "at 04:30 every day in December",
}

REFUSED = {
    "": "five fields",
    "* * * *": "4 fields were written, and 5 are needed",
    "0 0 * * * 2026": "6 fields were written, and 5 are needed: minute, hour, day of the month, month, weekday. Sec",
    "61 * * * *": "minute has '61': 61 is not in 0-59",
    "* 24 * * *": "hour has '24': 24 is not in 0-23",
    "* * 0 * *": "day of the month has '0': 0 is not in 1-31",
    "* * * 13 *": "month has '13': 13 is not in 1-12",
    "* * * * 8": "weekday has '8': 8 is not in 0-7",
    "0 0 30 2 *": "a day that February never has: it would never run",
    "0 0 31 4,6 *": "a day that April and June never have",
    "0 0 ? * *": "Quartz: write * instead",
    "0 0 L * *": "28-31",
    "0 0 15W * *": "nearest weekday",
    "0 0 * * 5#3": "1-7 for the first week",
    "H * * * *": "Jenkins",
    "*/90 * * * *": "never steps. For several hours, set the field hour",
    "*/0 * * * *": "after / stands a step",
    "5/10 * * * *": "Write 5-59/10, or */10",
    "0 22-6 * * *": "backwards. Write 22-23,0-6",
    "0 0 * * FRI-MON": "backwards. Write 5-6,0-1",
    "1,,2 * * * *": "a comma too many",
    "0 0 * FOO *": "one of JAN, FEB",
    "0 0 * * montag": "one of SUN, MON",
    "1-2-3 * * * *": "write a number in 0-59",
    "٣ * * * *": "write a number in 0-59",
    "@reboot": "Nothing starts with the machine",
    "@often": "use one of @hourly, @daily",
    "0 " * 200: "five fields",
}


@pytest.mark.parametrize(("text", "words"), DESCRIBED.items())
def test_in_plain_english(text: str, words: str) -> None:
    assert describe(parse(text)) == words


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
def test_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(CronError) as caught:
        parse(text)
    assert words in str(caught.value)


def test_spaces_names_and_aliases() -> None:
    assert parse("  0   0 *  * SUN ").text == "0 0 * * SUN"
    assert parse("0 0 * * 7").weekday == parse("0 0 * * 0").weekday
    assert parse("0 0 * * SAT-SUN").weekday.values == (0, 6)
    assert {parse(alias).text for alias in ALIASES} == set(ALIASES.values())


@pytest.mark.parametrize("text", ["0 * * * *", "0 */2 * * *", "0 9-17/4 * * *", "0 1,*/6 * * *", "0 0-23 * * *"])
def test_real_hours(text: str) -> None:
    assert parse(text).real_hours


@pytest.mark.parametrize("text", ["0 2 * * *", "* 2 * * *", "*/5 9-17 * * *", "0 1,3 * * *"])
def test_fixed_hours(text: str) -> None:
    assert not parse(text).real_hours


def days(cron: Cron) -> list[int]:
    return [day for day in range(1, 32) if cron.on(date(2026, 5, day))]


def test_days_as_in_crontab() -> None:
    assert days(parse("0 0 10 * *")) == [10]
    assert days(parse("0 0 * * MON")) == [4, 11, 18, 25]
    assert days(parse("0 0 10 * MON")) == [4, 10, 11, 18, 25], "either is enough when both are restricted"
    assert days(parse("0 0 */10 * MON")) == [11], "a field that begins with * restricts, and does not add"
    assert days(parse("0 0 10 6 *")) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Mars/Phobos", "The nearest that is known is"),
        ("europe/berlin", "Did you mean 'Europe/Berlin'?"),
        ("Berlin", "Did you mean 'Europe/Berlin'?"),
        ("New York", "Did you mean 'America/New_York'?"),
        ("Europe/Brelin", "Did you mean 'Europe/Berlin'?"),
        ("UTC+2", "does not say when clocks change"),
        ("CEST", "no IANA time zone"),
        ("../../etc/passwd", "There is no time zone"),
        ("", "Write a place"),
    ],
)
def test_zones_that_are_none(name: str, words: str) -> None:
    with pytest.raises(ZoneError) as caught:
        zone(name)
    assert words in str(caught.value)


def test_zones() -> None:
    assert zone("Europe/Berlin").key == "Europe/Berlin"
    assert zone("UTC").key == "UTC"
