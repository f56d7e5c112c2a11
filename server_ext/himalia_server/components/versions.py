"""Versions of components: their order, and the next one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from packaging.version import InvalidVersion, Version

FORM = r"[0-9][A-Za-z0-9.+-]{0,62}"


def ordered(versions: Iterable[str]) -> list[str]:
    """Oldest first, by the rules of Python's packages; what these do not know comes before, as text."""
    return sorted(versions, key=_key)


def newest(versions: Collection[str]) -> str | None:
    """The highest version that is no preview of one; else the highest."""
    finals = [version for version in versions if not _preview(version)]
    return ordered(finals or versions)[-1] if versions else None


def next_free(version: str, taken: Collection[str]) -> str:
    """*version* with its last number counted up until nobody has it."""
    head, number, tail = re.fullmatch(r"(.*?)(\d+)(\D*)", version).groups()  # type: ignore[union-attr] # it begins with one
    step = int(number)
    while (candidate := f"{head}{step}{tail}") in taken:
        step += 1
    return candidate


def _key(version: str) -> tuple[int, Version, str]:
    try:
        return 1, Version(version), version
    except InvalidVersion:
        return 0, Version("0"), version


def _preview(version: str) -> bool:
    try:
        return Version(version).is_prerelease
    except InvalidVersion:
        return False
