"""The parts of a key, and the words for what differs between two of them."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

ENGINE = "1"
"""Raised when the same parts come to mean something else: all keys change then."""


@dataclass(frozen=True)
class Parts:
    """All that decides what a stage makes.

    `cells`: digests of its code cells in their order; `parameters`: what is given to it; `inputs`: path → digest of
    what it declares; `modules`: path → digest of the project's modules that it imports; `environment`: digest of the
    packages and Python's version; `kernel`: the language; `outputs`: paths that it declares. `notebook` (digest of the
    whole file) is kept to show what changed, and is no part of the key.
    """

    cells: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    environment: str = ""
    kernel: str = "python"
    outputs: tuple[str, ...] = ()
    engine: str = ENGINE
    notebook: str = ""

    @cached_property
    def key(self) -> str:
        """The digest of all parts."""
        document = self._document()
        del document["notebook"]
        return "key:" + hashlib.sha256(canonical(document)).hexdigest()

    def dump(self) -> bytes:
        """As it is kept."""
        return canonical(self._document())

    def _document(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def load(cls, data: bytes) -> Parts:
        """What `dump` has written.

        Raises:
            ValueError: it is something else.
        """
        document = json.loads(data)
        known = {item.name for item in fields(cls)}
        if not isinstance(document, dict) or not known >= set(document) or "cells" not in document:
            raise ValueError("these are no parts of a key")
        for name in ("cells", "outputs"):
            document[name] = tuple(document.get(name, ()))
        return cls(**document)


@dataclass(frozen=True)
class Change:
    """One difference between two keys.

    `part`: "code", "parameter", "input", "module", "environment", "kernel", "outputs" or "engine"; `name`: of the
    parameter or the path, the cell's place (from 0) among the cells of the newer notebook for code.
    """

    part: str
    name: str
    text: str
    """A sentence without its full stop."""


def canonical(document: Any) -> bytes:
    """JSON that is the same for the same values: 1 and 1.0 differ, the order of keys does not."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def explain(old: Parts, new: Parts) -> list[Change]:
    """What differs, in the order in which a person asks."""
    found = _code(old.cells, new.cells)
    found += _values(old.parameters, new.parameters)
    found += _files("input", old.inputs, new.inputs)
    found += _files("module", old.modules, new.modules)
    if old.environment != new.environment:
        found.append(Change("environment", "", "the environment's packages changed"))
    if old.kernel != new.kernel:
        found.append(Change("kernel", "", f"the kernel changed: {old.kernel} → {new.kernel}"))
    if sorted(old.outputs) != sorted(new.outputs):
        found.append(Change("outputs", "", "other outputs are declared"))
    if old.engine != new.engine:
        found.append(Change("engine", "", "Himalia itself executes stages in another way now"))
    return found


def _code(old: tuple[str, ...], new: tuple[str, ...]) -> list[Change]:
    found = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "replace":
            same = min(i2 - i1, j2 - j1)
            found += [Change("code", str(j1 + n), f"code cell {j1 + n + 1} changed") for n in range(same)]
            i1, j1 = i1 + same, j1 + same
        if tag in ("replace", "insert"):
            found += [Change("code", str(n), f"code cell {n + 1} is new") for n in range(j1, j2)]
        if tag in ("replace", "delete"):
            found += [Change("code", f"-{n}", f"code cell {n + 1} was removed") for n in range(i1, i2)]
    return found


def _values(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    found = []
    for name in sorted({*old, *new}):
        if name not in old:
            found.append(Change("parameter", name, f"the parameter {name} is given now: {_short(new[name])}"))
        elif name not in new:
            found.append(Change("parameter", name, f"the parameter {name} is no longer given"))
        elif canonical(old[name]) != canonical(new[name]):
            text = f"the parameter {name} changed: {_short(old[name])} → {_short(new[name])}"
            found.append(Change("parameter", name, text))
    return found


def _files(part: str, old: dict[str, str], new: dict[str, str]) -> list[Change]:
    found = []
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            what = "changed" if name in old and name in new else "is new" if name in new else "is no longer used"
            found.append(Change(part, name, f"the {part} {name} {what}"))
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
