"""IANA time zones by name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones


class ZoneError(ValueError):
    """There is no such zone; the text says what to write."""


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """All zones of this machine, or of the package tzdata where the system has none."""
    return frozenset(available_timezones() - {"localtime", "Factory", "posixrules"})


def zone(name: str) -> ZoneInfo:
    """The zone called *name*.

    Raises:
        ZoneError: there is none; the text names the nearest.
    """
    if name in names():
        return ZoneInfo(name)
    if re.fullmatch(r"(UTC|GMT)?[+-]\d{1,2}(:?\d\d)?", name, re.IGNORECASE):
        raise ZoneError(
            f"{name!r} is an offset, which does not say when clocks change. Write a place, for example Europe/Berlin, "
            "or UTC."
        )
    if re.fullmatch(r"[A-Z]{2,5}", name):
        raise ZoneError(f"{name!r} is no IANA time zone. Write a place, for example Europe/Berlin, or UTC.")
    raise ZoneError(f"There is no time zone {name[:80]!r}. {_nearest(name[:80])}")


def _nearest(name: str) -> str:
    known = {zone.lower(): zone for zone in sorted(names())}
    cities = {zone.rpartition("/")[2].lower(): zone for zone in sorted(names())}
    asked = name.lower().replace(" ", "_")
    for choices, text, cutoff in ((known, asked, 0.75), (cities, asked.rpartition("/")[2], 0.8)):
        close = get_close_matches(text, choices, n=1, cutoff=cutoff)
        if close:
            return f"Did you mean {choices[close[0]]!r}?"
    rough = get_close_matches(asked, known, n=1, cutoff=0.1)
    like = f"The nearest that is known is {known[rough[0]]!r}. " if rough else ""
    return f"{like}Write a place as IANA names it, for example Europe/Berlin, or UTC."
