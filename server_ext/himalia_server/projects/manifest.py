"""`himalia.toml`: the project's only hand-written file. Faults are named with line and key."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..service.problems import Invalid, nearest

NAME = "himalia.toml"
PROTECTED = {".git", ".himalia"}
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
"""Names of projects; MLflow's workspaces, which bear them, have 2 characters or more."""
MAX_BYTES = 1 << 20
DEPTH = 32
"""Levels of tables and lists within a parameter."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """Seconds of "90s", "30m", "2h" or "1d".

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(duration.strip())
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write for example '90s', '30m' or '2h'")
    found = float(match[1]) * _SECONDS[match[2]]
    if not found:
        raise ValueError(f"{duration!r} is no time at all")
    return found


def _relative(path: str) -> str:
    parts = PurePosixPath(path)
    wrong = not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path
    if wrong or len(path) > 400 or any(len(part) > 200 for part in parts.parts) or "\0" in path:
        raise ValueError(f"{path!r} must be a relative path inside the project, with / between folders")
    return str(parts)


def _duration(text: str) -> str:
    seconds(text)
    return text


def _jsonable(params: dict[str, Any]) -> dict[str, Any]:
    if _deeper(params, DEPTH):
        raise ValueError(f"parameters are nested at most {DEPTH} deep")
    try:
        json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters are numbers, texts, true or false, lists and tables of them ({error})") from error
    return params


def _deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return depth == 0 or any(
        _deeper(part, depth - 1) for part in (value.values() if isinstance(value, dict) else value)
    )


def _stage_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise ValueError(f"stage name {name!r}: use small letters, digits, - and _")
    return name


RelativePath = Annotated[str, AfterValidator(_relative)]
Duration = Annotated[str, AfterValidator(_duration)]
Parameters = Annotated[dict[str, Any], AfterValidator(_jsonable)]
StageName = Annotated[str, AfterValidator(_stage_name)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProjectTable(_Table):
    """`[project]`."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    description: str = ""


class EnvironmentTable(_Table):
    """`[environment]`; absent means the site's own."""

    requirements: RelativePath | None = None


class SnapshotTable(_Table):
    """`[snapshot]`: more files that belong to the code."""

    include: list[str] = []


class StageTable(_Table):
    """`[stages.NAME]`: a notebook with parameters, inputs and outputs."""

    notebook: RelativePath
    params: Parameters = {}
    inputs: list[RelativePath] = []
    outputs: list[RelativePath] = []
    after: list[str] = []
    cluster: str | None = None
    timeout: Duration | None = None
    retries: Annotated[int, Field(ge=0, le=20)] = 0


class Manifest(_Table):
    """The whole file."""

    project: ProjectTable
    environment: EnvironmentTable = EnvironmentTable()
    snapshot: SnapshotTable = SnapshotTable()
    stages: dict[StageName, StageTable] = {}


_TABLES: dict[str, type[BaseModel]] = {
    "project": ProjectTable,
    "environment": EnvironmentTable,
    "snapshot": SnapshotTable,
    "stages": StageTable,
}


class ManifestFault(Invalid):
    """A fault in a manifest; `detail` begins with file, line and key."""

    title = "The project's himalia.toml has a fault"


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a project folder.

    Raises:
        ManifestFault: it is absent, does not parse, or says something that cannot be; line and key are named.
    """
    path = folder / NAME
    try:
        text = _read(path)
    except FileNotFoundError:
        raise ManifestFault(
            f"{path} does not exist.",
            hint='Every project has a himalia.toml with at least [project] and name = "…".',
        ) from None
    except (OSError, ValueError) as error:
        raise ManifestFault(f"{path} cannot be read: {error}.") from error
    return parse_manifest(text, NAME)


def _read(path: Path) -> str:
    # without waiting, should somebody have put a pipe there
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no ordinary file")
        if status.st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        return file.read().decode("utf-8")


class ManifestCache:
    """Manifests as last read, read again when the file has changed. Thread-safe: entries are replaced whole."""

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self._known: dict[Path, tuple[tuple[int, ...], Manifest | ManifestFault]] = {}

    def read(self, folder: Path) -> Manifest:
        """As `read_manifest`. What is returned is shared: do not change it."""
        try:
            status = (folder / NAME).stat()
        except OSError:
            return read_manifest(folder)
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        kept = self._known.get(folder)
        if kept is None or kept[0] != state:
            if len(self._known) >= self.size:
                self._known = {}
            found: Manifest | ManifestFault
            try:
                found = read_manifest(folder)
            except ManifestFault as fault:
                found = fault
            kept = self._known[folder] = (state, found)
        if isinstance(kept[1], ManifestFault):
            raise kept[1].with_traceback(None)
        return kept[1]


def parse_manifest(text: str, file: str = NAME) -> Manifest:
    """Check the text of a manifest.

    Raises:
        ManifestFault: see `read_manifest`.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestFault(f"{file}: {error}.", field="toml") from error
    except RecursionError as error:
        raise ManifestFault(f"{file}: lists or tables are nested too deeply.", field="toml") from error
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # a misspelt key explains the one that is then missing
        first = next((fault for fault in errors if fault["type"] == "extra_forbidden"), errors[0])
        raise _fault(text, file, [str(part) for part in first["loc"] if part != "[key]"], first) from error
    _check_dag(manifest, text, file)
    return manifest


def edges(manifest: Manifest) -> dict[str, set[str]]:
    """For each stage the stages it waits for: the makers of its inputs, and its `after`."""
    maker = {output: name for name, stage in manifest.stages.items() for output in stage.outputs}
    return {
        name: {maker[path] for path in stage.inputs if path in maker} | set(stage.after)
        for name, stage in manifest.stages.items()
    }


def order(manifest: Manifest) -> list[str]:
    """Stages in an order in which each comes after those it waits for; ties as written in the file.

    Raises:
        ValueError: they wait for each other in a circle; the text names it.
    """
    waits, done, ordered = edges(manifest), set[str](), list[str]()
    while len(ordered) < len(waits):
        ready = [name for name in waits if name not in done and waits[name] <= done]
        if not ready:
            circle = " → ".join(name for name in waits if name not in done)
            raise ValueError(f"the stages wait for each other in a circle: {circle}")
        ordered.append(ready[0])
        done.add(ready[0])
    return ordered


def _check_dag(manifest: Manifest, text: str, file: str) -> None:
    makers: dict[str, str] = {}
    notebooks = {stage.notebook for stage in manifest.stages.values()}
    for name, stage in manifest.stages.items():
        for output in stage.outputs:
            first = PurePosixPath(output).parts[0]
            others = [other for other in makers if _nested(output, other)]
            if output in notebooks or output == NAME or first in PROTECTED or others:
                why = f"lies within {others[0]!r}, or the other way round" if others else "is no place for an output"
                where = line_of(text, ["stages", name, "outputs"])
                raise ManifestFault(
                    f"{file}, line {where}, stages.{name}.outputs: {output!r} {why}.", field=f"stages.{name}.outputs"
                )
            if output in makers:
                where = line_of(text, ["stages", name, "outputs"])
                raise ManifestFault(
                    f"{file}, line {where}, stages.{name}.outputs: {makers[output]!r} writes {output!r} too.",
                    field=f"stages.{name}.outputs",
                )
            makers[output] = name
        for other in stage.after:
            if other not in manifest.stages:
                where = line_of(text, ["stages", name, "after"])
                raise ManifestFault(
                    f"{file}, line {where}, stages.{name}.after: there is no stage {other!r}.",
                    hint=nearest(other, manifest.stages),
                    field=f"stages.{name}.after",
                )
    try:
        order(manifest)
    except ValueError as error:
        where = line_of(text, ["stages"])
        raise ManifestFault(f"{file}, line {where}, stages: {error}.", field="stages") from error


def _nested(one: str, other: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first != second and (first.is_relative_to(second) or second.is_relative_to(first))


def _fault(text: str, file: str, path: Sequence[str], error: Any) -> ManifestFault:
    key = ".".join(path) or "the file"
    message = str(error["msg"]).removeprefix("Value error, ")
    hint = None
    if error["type"] == "extra_forbidden":
        table = _TABLES.get(path[0], Manifest) if len(path) > 1 else Manifest
        message, hint = "there is no such key", nearest(path[-1], table.model_fields)
    elif error["type"] == "missing":
        message = "this key is missing"
    return ManifestFault(f"{file}, line {line_of(text, path)}, {key}: {message}.", hint=hint, field=key)


def line_of(text: str, path: Sequence[str]) -> int:
    """The line (from 1) where the key *path* stands, or the nearest table above it."""
    best, table = 1, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = table
        else:
            pair = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
            if not pair:
                continue
            here = table + [part.strip().strip("\"'") for part in pair[1].split(".")]
        if list(path[: len(here)]) == here:
            best = number
    return best
