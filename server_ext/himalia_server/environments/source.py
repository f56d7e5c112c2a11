"""Sources: the files of a project that say what its environment holds. Read inside the project only."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..service.problems import Invalid
from ..service.toml_reader import read_toml
from .lock import CREDENTIALS, Lock, LockFault, parse_lock

if TYPE_CHECKING:
    from ..projects import EnvironmentTable, Manifest

LOCK = ".himalia/environment.lock"
MAX_BYTES = 4 << 20
NESTED = {"-r": "requirement", "--requirement": "requirement", "-c": "constraint", "--constraint": "constraint"}
INDEXES = {
    "-i": "--default-index",
    "--index-url": "--default-index",
    "--extra-index-url": "--index",
    "-f": "--find-links",
    "--find-links": "--find-links",
}
"""Options of a requirements file that say where packages are, and uv's names for them."""
PLACES = re.compile(r"(^|[\s@])((git\+)?file:|\.{0,2}/|~)")
"""The beginning of a local path in a requirement."""
ELSEWHERE = {"pip": ("target", "prefix"), "": ("cache-dir",)}
"""Settings of uv that would have a build write elsewhere than into the environment."""


class SourceFault(Invalid):
    """The source of an environment cannot be used."""

    title = "The project's environment cannot be built as it is described"


@dataclass(frozen=True)
class Source:
    """What is asked for. `digest` covers the manifest's table and all `files` (relative paths)."""

    form: Literal["requirements", "pyproject", "lock"]
    path: str
    kind: Literal["overlay", "isolated"]
    python: str | None
    digest: str
    files: tuple[str, ...] = ()
    indexes: tuple[str, ...] = field(default=(), repr=False)
    """Options for uv: where else packages are."""
    lock: str = LOCK
    """Where its lock is kept."""
    table: str = "environment"
    """The manifest's table that describes it."""

    @property
    def overlay(self) -> bool:
        """Whether it lies over the site's own packages."""
        return self.kind == "overlay"


def lock_of(name: str | None) -> str:
    """Where a project keeps the lock of its environment *name*; None: of its own."""
    return LOCK if name is None else f".himalia/environment.{name}.lock"


def read_source(folder: Path, table: EnvironmentTable, name: str | None = None) -> Source | None:
    """What a project asks for in the *table* of its environment *name*; None: the site's own environment.

    Raises:
        SourceFault: a file is not there, leads out of the project, or asks for what cannot be locked.
    """
    if table.source is None:
        return None
    described = "environment" if name is None else f"environments.{name}"
    reader = _Reader(folder.resolve(), described)
    form: Literal["requirements", "pyproject", "lock"]
    if table.requirements is not None:
        form = "requirements"
        reader.requirements(table.requirements)
    elif table.pyproject is not None:
        form = "pyproject"
        reader.pyproject(table.pyproject)
    else:
        form = "lock"
        if Path(table.source).suffix in (".toml", ".lock"):
            reader.read(table.source)
        else:
            reader.requirements(table.source)
        if Path(table.source).name == "uv.lock":
            reader.read(_beside(table.source, "pyproject.toml"))
    reader.settings()
    text = json.dumps([form, table.kind, table.python, reader.seen])
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    files = tuple(name for name, _ in reader.seen)
    return Source(
        form, table.source, table.kind, table.python, digest, files, tuple(reader.indexes), lock_of(name), described
    )


def source_files(folder: Path, manifest: Manifest) -> list[str]:
    """Relative paths of the files that say what the project asks for, also of those that are not there."""
    found = set[str]()
    for table in (manifest.environment, *manifest.environments.values()):
        found |= {name for name in (table.requirements, table.pyproject, table.lock) if name is not None}
        with suppress(SourceFault, OSError):
            source = read_source(folder, table)
            found |= set(source.files if source else ())
    return sorted(found)


def read_lock(folder: Path, name: str = LOCK) -> Lock | None:
    """The lock *name* in a project; None when there is none, or none that can be used."""
    path = folder / name
    try:
        if path.stat().st_size > MAX_BYTES or not path.resolve().is_relative_to(folder.resolve()):
            return None
        return parse_lock(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, LockFault):
        return None


def _beside(path: str, name: str) -> str:
    return (Path(path).parent / name).as_posix()


class _Reader:
    """Reads and judges the files of one source."""

    def __init__(self, folder: Path, table: str) -> None:
        self.folder, self.table = folder, table
        self.seen: list[tuple[str, str]] = []
        self.indexes: list[str] = []

    def read(self, name: str) -> str:
        """The text of a file of the project; noted for the digest."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise SourceFault(
                f"{name} leads out of the project.", hint="Put the file into the project's folder.", field="environment"
            )
        if not path.is_file():
            raise SourceFault(
                f"{name} does not exist.",
                hint=f"Write it, or name another file in [{self.table}] of himalia.toml ({self.folder}).",
                field="environment",
            )
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
            text = path.read_text("utf-8").replace("\r\n", "\n")
        except (OSError, ValueError) as error:
            raise SourceFault(f"{name} cannot be read: {error}.", field="environment") from error
        self.seen.append((name, hashlib.sha256(text.encode()).hexdigest()))
        return text

    def requirements(self, name: str) -> None:
        """A requirements file and those that it names."""
        text = self.read(name)
        # as uv reads it: a comment ends with its line, whatever its last character
        bare = "\n".join(re.sub(r"(^|\s)#.*$", "", line) for line in re.split(r"[\r\n]", text))
        for number, line in enumerate(bare.replace("\\\n", "  ").split("\n"), start=1):
            line = line.strip()
            if line.startswith("-"):
                self._option(name, number, line)
            elif line:
                self.requirement(f"{name}, line {number}", line)

    def _option(self, name: str, number: int, line: str) -> None:
        where = f"{name}, line {number}"
        word, value = _option(line)
        if word in ("-e", "--editable"):
            raise SourceFault(
                f"{where}: an editable package is a folder that changes under an environment, so it cannot be locked.",
                hint="Modules in src/ of the project can be imported without installing; publish others as wheels.",
                field="environment",
            )
        if word in NESTED and "${" in value:
            raise SourceFault(
                f"{where}: {value} holds a variable, so that it is another file on another machine.",
                hint="Name the file itself.",
                field="environment",
            )
        if word in NESTED:
            nested = _beside(name, value) if not Path(value).is_absolute() else value
            if nested not in [file for file, _ in self.seen]:
                self.requirements(nested)
        elif word == "--no-index":
            self.indexes.append(word)
        elif word in INDEXES:
            self._index(where, word, value, Path(name).parent)

    def _index(self, where: str, word: str, value: str, base: Path) -> None:
        if CREDENTIALS.search(value):
            raise _password(where)
        if not re.match(r"https?://", value):
            place = (self.folder / base / value).resolve()
            if not place.is_relative_to(self.folder) or "://" in value:
                raise SourceFault(
                    f"{where}: packages are looked for inside the project or at an https address, not in {value}.",
                    hint="Put the wheels into a folder of the project, or have an admin set UV_FIND_LINKS.",
                    field="environment",
                )
            value = str(place)
        self.indexes += [INDEXES[word], value]

    def requirement(self, where: str, line: str) -> None:
        """Refuse what leads to a local path or holds a password; what is no requirement at all, uv tells better."""
        if CREDENTIALS.search(line) and "git+ssh://" not in line:
            raise _password(where)
        if PLACES.search(line.partition(";")[0]):
            raise SourceFault(
                f"{where}: a local path cannot be locked, since no other machine has it.",
                hint="Put wheels into a folder of the project, name that with --find-links, and ask for name==version.",
                field="environment",
            )

    def pyproject(self, name: str) -> None:
        """A pyproject.toml; the lock of uv beside it is used when there is one."""
        try:
            document = read_toml(self.read(name))
        except tomllib.TOMLDecodeError as error:
            raise SourceFault(f"{name}: {error}.", field="environment") from error
        if (self.folder / _beside(name, "uv.lock")).is_file():
            self.read(_beside(name, "uv.lock"))
            return
        project = document.get("project")
        if not isinstance(project, dict):
            raise SourceFault(f"{name} has no table [project].", hint="dependencies stand there.", field="environment")
        dynamic = _list(project, "dynamic", name)
        if found := next((key for key in ("dependencies", "optional-dependencies") if key in dynamic), None):
            raise SourceFault(
                f"{name}: its {found} are dynamic, so that they cannot be read without building the project, which "
                "runs code of it.",
                hint=f"Write them into [project] {found}, or name a requirements file in himalia.toml.",
                field="environment",
            )
        for line in _list(project, "dependencies", name):
            self.requirement(f"{name}, dependencies", str(line))
        uv = _table(_table(document, "tool", name), "uv", name)
        for package, found in _table(uv, "sources", name).items():
            for source in found if isinstance(found, list) else [found]:
                if not isinstance(source, dict):
                    raise SourceFault(f"{name}, tool.uv.sources.{package}: it is no table.", field="environment")
                if "path" in source or "workspace" in source:
                    raise SourceFault(
                        f"{name}, tool.uv.sources.{package}: a local path cannot be locked, since no other machine "
                        "has it.",
                        hint="Modules in src/ of the project can be imported without installing them.",
                        field="environment",
                    )
                self.requirement(f"{name}, tool.uv.sources.{package}", str(source.get("url", "")))

    def settings(self) -> None:
        """What uv is told by files of the project: it looks into `uv.toml` and `pyproject.toml` of the folder."""
        for name in ("uv.toml", "pyproject.toml"):
            if not (self.folder / name).is_file():
                continue
            seen = [*self.seen]
            try:
                document = read_toml(self.read(name))
            except tomllib.TOMLDecodeError:
                continue  # uv tells it better
            told = document if name == "uv.toml" else _table(_table(document, "tool", name), "uv", name)
            self.seen = [*seen, (f"{name} (settings of uv)", _digest(told))] if told else seen
            for table, keys in ELSEWHERE.items():
                for key in keys:
                    if key in (_table(told, table, name) if table else told):
                        where = f"{table}.{key}" if table else key
                        raise SourceFault(
                            f"{name}: {where} would have packages put elsewhere than into the environment.",
                            hint="Take it out.",
                            field="environment",
                        )
            places = {key: value for key, value in told.items() if key != "sources"}  # judged one by one
            if CREDENTIALS.search(json.dumps(places, default=str)):
                raise _password(name)


def _digest(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, default=str, sort_keys=True).encode()).hexdigest()


def _table(above: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    found = above.get(key, {})
    if not isinstance(found, dict):
        raise SourceFault(f"{name}: {key} is no table.", field="environment")
    return found


def _list(above: dict[str, Any], key: str, name: str) -> list[Any]:
    found = above.get(key, [])
    if not isinstance(found, list):
        raise SourceFault(f"{name}: {key} is no list.", field="environment")
    return found


def _option(line: str) -> tuple[str, str]:
    """Name and value of an option, however they are written: `-rX`, `-r X`, `--requirement=X`."""
    match = re.match(r"(--[a-z-]+|-[a-z])(?:\s*=\s*|\s+|(?=\S))?(.*)$", line)
    if match is None:
        return line, ""
    try:
        words = shlex.split(match[2])
    except ValueError:
        words = match[2].split()
    return match[1], words[0] if words else ""


def _password(where: str) -> SourceFault:
    return SourceFault(
        f"{where}: an address holds a password, which everybody who sees the project would know.",
        hint="Take it out. An admin gives uv the password (~/.netrc, or UV_INDEX_<NAME>_PASSWORD of the service).",
        field="environment",
    )
