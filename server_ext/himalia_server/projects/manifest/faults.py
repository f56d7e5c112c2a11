"""All that is wrong with the text of a manifest, each fault with its place and the nearest right name."""

from __future__ import annotations

import copy
import heapq
import re
import tomllib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import ValidationError

from ...service.problems import nearest
from ...service.toml_reader import read_toml
from .tables import NAME, NAMED, SITE, Manifest, table_at
from .toml_text import Path, Spot, place, spots

PROTECTED = {".git", ".himalia"}
ROUNDS = 50
"""Of looking anew at what is left when the faults that were found are taken out."""
MOST = 200
"""Faults that are told; nobody reads more, and a file can hold a hundred thousand."""
_AT = re.compile(r"^(?P<message>.*?)(?: \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\))?$", re.S)


@dataclass(frozen=True)
class Fault:
    """Something wrong. `line`, `column`, `end`: from 1, the end behind the last character of the key, on that line."""

    line: int
    column: int
    end: int
    key: str
    message: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"


class Places:
    """Where the keys of a text stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spots: dict[Path, Spot] | None = None

    def fault(
        self, path: Path, message: str, hint: str | None = None, severity: Literal["error", "warning"] = "error"
    ) -> Fault:
        """A fault of the key *path*, or of the nearest table above it that is written down."""
        if self._spots is None:
            self._spots = {spot.path: spot for spot in reversed(spots(self.text))}
        above = (path[:length] for length in range(len(path), -1, -1))
        spot = next((self._spots[part] for part in above if part in self._spots), None)
        key = ".".join(str(part) for part in path) or "the file"
        if spot is None:
            return Fault(1, 1, 1, key, message, hint, severity)
        line, column = place(self.text, spot.begin)
        last, end = place(self.text, spot.end)
        return Fault(line, column, end if last == line else column, key, message, hint, severity)


def examine(text: str) -> tuple[Manifest | None, list[Fault]]:
    """What is left of the manifest without its faults (None: nothing), and the faults, the most telling ones first."""
    try:
        data = read_toml(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax(text, str(error))]
    places, faults = Places(text), list[Fault]()
    known = {key: set(data[key]) if isinstance(data.get(key), dict) else set[str]() for key in NAMED}
    manifest: Manifest | None = None
    rest = data
    for _ in range(ROUNDS):
        try:
            manifest = Manifest.model_validate(rest)
            break
        except ValidationError as error:
            found = [entry for entry in error.errors(include_url=False) if not _told(entry, faults)]
            # a misspelt key explains the one that is then missing
            found.sort(key=lambda entry: entry["type"] != "extra_forbidden")
            faults += [_fault(places, entry) for entry in found[: MOST - len(faults)]]
            without = _without(rest, error)
            if without is None or len(faults) >= MOST:
                break
            rest = without
    if manifest is not None:
        faults += islice(_of_stages(places, manifest, known["stages"]), MOST - len(faults))
        faults += islice(_of_environments(places, manifest, known["environments"]), MOST - len(faults))
    return manifest, faults


def sentence(fault: Fault, file: str = NAME) -> str:
    """For a person, in one line."""
    where = f"{file}, line {fault.line}, {fault.key}" if fault.key else file
    return f"{where}: {fault.message}."


def _syntax(text: str, said: str) -> Fault:
    match = _AT.match(said)
    message = match["message"] if match else said
    if match and match["line"]:
        line, column = int(match["line"]), int(match["column"])
    else:
        line, column = place(text, len(text.rstrip()))
    return Fault(line, column, column + 1, "", f"{message} (at line {line}, column {column})")


def _path(entry: Any) -> Path:
    return tuple(part for part in entry["loc"] if part != "[key]")


def _told(entry: Any, faults: list[Fault]) -> bool:
    """Whether a table is only missing because its faults were taken out."""
    key = ".".join(str(part) for part in _path(entry))
    return any(fault.key == key or fault.key.startswith(key + ".") for fault in faults)


def _fault(places: Places, entry: Any) -> Fault:
    path = _path(entry)
    message, hint = str(entry["msg"]).removeprefix("Value error, "), None
    if entry["type"] == "extra_forbidden":
        table = table_at([str(part) for part in path[:-1]])
        message, hint = "there is no such key", nearest(str(path[-1]), table.model_fields if table else ())
    elif entry["type"] == "missing":
        message = "this key is missing"
        if path == ("project",):
            hint = 'Write [project] with name = "…".'
    elif entry["type"] == "literal_error":
        hint = nearest(str(entry.get("input")), re.findall(r"'([^']*)'", str(entry["ctx"]["expected"])))
    return places.fault(path, message, hint)


def _without(data: dict[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """The data without what is wrong in it; None when nothing can be taken out."""
    rest = copy.deepcopy(data)
    changed = False
    for entry in reversed(error.errors(include_url=False)):  # so that the items of a list keep their numbers
        path = _path(entry)
        if entry["type"] == "missing":
            if path[0] == "project":  # whatever its name shall be
                rest["project"] = {"name": "unnamed"} | rest.get("project", {})
                changed = True
                continue
            path = path[:-1]
        changed = _take_out(rest, path) or changed
    return rest if changed else None


def _take_out(data: Any, path: Path) -> bool:
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    if isinstance(data, dict) and path and path[-1] in data:
        del data[path[-1]]
        return True
    if isinstance(data, list) and isinstance(path[-1], int) and path[-1] < len(data):
        del data[path[-1]]
        return True
    return False


def _of_stages(places: Places, manifest: Manifest, known: set[str]) -> Iterator[Fault]:
    """What no table tells alone: who writes what, and who waits for whom."""
    makers, within = dict[str, str](), dict[str, str]()
    notebooks = {stage.notebook for stage in manifest.stages.values()}
    around = {str(folder): notebook for notebook in notebooks for folder in PurePosixPath(notebook).parents}
    for name, stage in manifest.stages.items():
        for number, output in enumerate(stage.outputs):
            path = ("stages", name, "outputs", number)
            first = PurePosixPath(output).parts[0]
            above = [str(folder) for folder in PurePosixPath(output).parents]
            other = next((folder for folder in above if folder in makers), within.get(output))
            if output in notebooks or output == NAME or first in PROTECTED or other:
                why = f"lies within {other!r}, or the other way round" if other else "is no place for an output"
                yield places.fault(path, f"{output!r} {why}")
            elif output in around:  # each run replaces all that is in an output
                yield places.fault(path, f"{output!r} holds the notebook {around[output]!r}, which it would replace")
            elif output in makers:
                yield places.fault(path, f"{makers[output]!r} writes {output!r} too")
            makers.setdefault(output, name)
            for folder in above:
                within.setdefault(folder, output)
        for number, other in enumerate(stage.after):
            if other not in manifest.stages and other not in known:
                hint = nearest(other, manifest.stages)
                yield places.fault(("stages", name, "after", number), f"there is no stage {other!r}", hint)
    try:
        order(manifest)
    except ValueError as error:
        yield places.fault(("stages",), str(error))


def _of_environments(places: Places, manifest: Manifest, known: set[str]) -> Iterator[Fault]:
    if SITE in manifest.environments:
        yield places.fault(("environments", SITE), f"{SITE!r} is the name of the site's own; choose another one")
    for name, stage in manifest.stages.items():
        wanted = stage.environment
        if wanted is not None and manifest.environment_table(wanted) is None and wanted not in known:
            near = nearest(wanted, [*manifest.environments, SITE])
            hint = near if near.startswith("Did") else f"Describe it in [environments.{wanted}]."
            yield places.fault(("stages", name, "environment"), f"there is no [environments.{wanted}]", hint)


def edges(manifest: Manifest) -> dict[str, set[str]]:
    """For each stage the stages it waits for: the makers of its inputs, and its `after`."""
    maker = {output: name for name, stage in manifest.stages.items() for output in stage.outputs}
    return {
        name: {maker[output] for path in stage.inputs if (output := output_of(path, maker))} | set(stage.after)
        for name, stage in manifest.stages.items()
    }


def outputs_of(manifest: Manifest) -> set[str]:
    """Paths of what the stages make."""
    return {output for stage in manifest.stages.values() for output in stage.outputs}


def output_of(path: str, outputs: Container[str]) -> str | None:
    """Which of *outputs* an input is, or lies in; None: no stage makes it.

    As good for other places that are known by their relative paths; of these, the innermost.
    """
    place = path
    while place and place not in outputs:  # no path objects: there may be a hundred thousand
        place = place.rpartition("/")[0]
    return place or None


def _circle(waits: dict[str, set[str]], done: set[str]) -> list[str]:
    """Stages of which each waits for the next, and the last is the first; not those that only wait for the circle."""
    rank = {name: number for number, name in enumerate(waits)}
    following = next(name for name in waits if name not in done)
    way: dict[str, None] = {}
    while following not in way:
        way[following] = None
        following = min(waits[following] - done, key=rank.__getitem__)
    stages = list(way)
    return [*stages[stages.index(following) :], following]


def order(manifest: Manifest) -> list[str]:
    """Stages in an order in which each comes after those it waits for; ties as written in the file.

    Raises:
        ValueError: they wait for each other in a circle; the text names it.
    """
    known, done, ordered = edges(manifest), set[str](), list[str]()
    # one that does not exist is another fault
    waits = {name: {other for other in after if other in known} for name, after in known.items()}
    names, followers = list(waits), dict[str, list[int]]()
    for number, name in enumerate(names):
        for other in waits[name]:
            followers.setdefault(other, []).append(number)
    missing = [len(waits[name]) for name in names]
    ready = [number for number, count in enumerate(missing) if not count]
    while len(ordered) < len(waits):
        if not ready:
            raise ValueError(f"the stages wait for each other in a circle: {' → '.join(_circle(waits, done))}")
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        done.add(name)
        for number in followers.get(name, ()):
            missing[number] -= 1
            if not missing[number]:
                heapq.heappush(ready, number)
    return ordered
