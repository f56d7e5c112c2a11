"""What a notebook declares about its own verification: a tolerance, and cells that are not compared.

In the notebook's metadata `{"himalia": {"verify": {"rtol": 0.01, "atol": 0, "integers": true, "pixels": 0.001}}}`, the
same in a cell's metadata for that cell alone; and the tag `volatile` on a cell whose output is not compared at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from .results import Tolerance

VOLATILE = "volatile"
SKIPPED = "skip-execution"
"""The tag of cells that nbclient does not execute."""
_LIMITS = {"rtol": 1.0, "atol": float("inf"), "pixels": 1.0}


class DeclarationFault(ValueError):
    """What is declared cannot be meant; the text says what to write."""


def declared(metadata: Mapping[str, Any], base: Tolerance, where: str = "the notebook's metadata") -> Tolerance:
    """*base* with what *metadata* (of a notebook or a cell) declares.

    Raises:
        DeclarationFault: it declares what cannot be meant.
    """
    room = metadata.get("himalia")
    found = room.get("verify") if isinstance(room, Mapping) else None
    if found is None:
        return base
    if not isinstance(found, Mapping):
        raise DeclarationFault(f'himalia.verify in {where} is no table: write {{"rtol": 0.01}}.')
    known = {field.name for field in fields(Tolerance)} - {"declared"}
    for key, value in found.items():
        if key not in known:
            raise DeclarationFault(f"himalia.verify.{key} in {where} is not known: write {', '.join(sorted(known))}.")
        if key == "integers":
            if not isinstance(value, bool):
                raise DeclarationFault(f"himalia.verify.integers in {where} is {value!r}: write true or false.")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LIMITS[key]:
            upper = "" if _LIMITS[key] == float("inf") else f" to {_LIMITS[key]:g}"
            raise DeclarationFault(f"himalia.verify.{key} in {where} is {value!r}: write a number from 0{upper}.")
    return replace(base, declared=True, **found) if found else base


def tags(metadata: Mapping[str, Any]) -> set[str]:
    """A cell's tags; what is no list of texts counts as none."""
    found = metadata.get("tags")
    return {tag for tag in found if isinstance(tag, str)} if isinstance(found, list) else set()
