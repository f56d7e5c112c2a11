"""Names of projects: which can be, and which are free."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ...service.problems import Invalid
from ...tracking import SCRATCH
from ..manifest import SLUG

RESERVED = frozenset({"default"})
"""MLflow's own workspace."""
LONGEST = 63


def require_name(name: str) -> None:
    """Refuse what cannot be a project's name.

    Raises:
        Invalid: it cannot; the hint has one that would do.
    """
    if problem := name_problem(name):
        found = sluggified(name)
        raise Invalid(problem, hint=f"{found!r} would do." if found else None, field="name")


def name_problem(name: str) -> str | None:
    """Why a text cannot be a project's name; None when it can."""
    if SCRATCH.fullmatch(name):
        return f"{name!r} cannot be a project's name: verifications use such names in MLflow."
    if not SLUG.fullmatch(name) or name in RESERVED:
        return f"{name!r} cannot be a project's name: use 2 to 63 small letters, digits and -, and not 'default'."
    return None


def sluggified(text: str) -> str | None:
    """A name like *text*; None when nothing of it can be used."""
    plain = unicodedata.normalize("NFKD", text.lower()).replace("ß", "ss")
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    found = "-".join(re.findall("[a-z0-9]+", plain))[:LONGEST].strip("-")
    found = f"{found}-project" if found in RESERVED or len(found) == 1 else found
    return found if SLUG.fullmatch(found) else None


def free_name(text: str, taken: Callable[[str], bool]) -> str:
    """A name like *text* that is not *taken*: with a number, when it has to be."""
    base = sluggified(text) or "project"
    number, name = 1, base
    while taken(name):
        number += 1
        tail = f"-{number}"
        name = base[: LONGEST - len(tail)].rstrip("-") + tail
    return name


def name_of_source(source: str) -> str:
    """The last part of a folder or an address."""
    try:
        path = urlsplit(source).path if "://" in source else source.rpartition(":")[2]
    except ValueError:  # no address, whatever it looks like
        path = source
    return PurePosixPath(path.rstrip("/")).name.removesuffix(".git")
