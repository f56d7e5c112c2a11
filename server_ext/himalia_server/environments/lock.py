"""Locks: what an environment holds, to the byte. Text that a project commits; the same on every machine.

A lock is a requirements file with exact versions and hashes below a few lines of comment. The comment notes the digest
of the source that it was made from; the lock's own digest is taken of its entries alone, so that two sources that come
to the same packages have the same environment.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from packaging.markers import InvalidMarker, Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..service.toml_reader import read_toml

HEADER = """\
# What the environment of this project holds. Made by Himalia: commit it, and change its source instead of it.
# source: {source}
"""
CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")
"""Name and password within an address."""
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+*_-]+")
_HASH = re.compile(r"[a-z0-9_]+:[0-9A-Fa-f]+")


class LockFault(ValueError):
    """A lock cannot be used; the text says why, for a person."""


@dataclass(frozen=True)
class Entry:
    """One package of a lock. `version`: as text, or the address of a direct reference."""

    name: str
    version: str
    direct: bool
    marker: str | None
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """As pip and uv read it, without the hashes."""
        pinned = f"{self.name} @ {self.version}" if self.direct else f"{self.name}=={self.version}"
        return f"{pinned} ; {self.marker}" if self.marker else pinned

    @property
    def line(self) -> str:
        """As it stands in a lock."""
        return " \\\n    ".join([self.requirement, *(f"--hash={text}" for text in self.hashes)])

    def applies(self, python: str) -> bool:
        """Whether it belongs to an environment of this machine with *python* ("3.12.1")."""
        if self.marker is None:
            return True
        here = {key: str(value) for key, value in default_environment().items()}
        here |= {"extra": "", "python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
        found = Requirement(self.requirement).marker
        return found is None or found.evaluate(here)


@dataclass(frozen=True)
class Lock:
    """Entries in the order of their names; `source`: the digest noted in the header, None in a lock of others."""

    entries: tuple[Entry, ...]
    source: str | None = None

    @property
    def digest(self) -> str:
        """`sha256:…` over the entries."""
        return "sha256:" + hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def body(self) -> str:
        """The entries as text."""
        return "".join(f"{entry.line}\n" for entry in self.entries)

    @property
    def text(self) -> str:
        """The whole file."""
        return HEADER.format(source=self.source) + self.body

    @property
    def names(self) -> set[str]:
        """Of its packages."""
        return {entry.name for entry in self.entries}

    def plus(self, others: Iterable[Entry], source: str | None) -> Lock:
        """With the entries of *others* whose names it does not have."""
        return make_lock([*self.entries, *(entry for entry in others if entry.name not in self.names)], source)


def make_lock(entries: Iterable[Entry], source: str | None) -> Lock:
    """A lock in the one order."""
    return Lock(tuple(sorted(entries, key=lambda entry: (entry.name, entry.marker or "", entry.version))), source)


def parse_lock(text: str) -> Lock:
    """Read a lock, ours or another tool's in the form of a requirements file.

    Raises:
        LockFault: a line has no exact version, leads to a local path, or holds a password.
    """
    source, entries = None, []
    for line in _lines(text):
        noted = re.match(r"# source: (sha256:[0-9a-f]{64})\s*$", line)
        if noted:
            source = noted[1]
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not line or re.match(r"-(?!e\b|-editable\b)", line):
            continue  # options (indexes, strictness) are the machine's business
        entries.append(_entry(line))
    return make_lock(entries, source)


def _lines(text: str) -> list[str]:
    return re.sub(r"\\\r?\n", " ", text).splitlines()


def _entry(line: str) -> Entry:
    requirement, *hashes = re.split(r"\s+--hash[=\s]", line)
    try:
        parsed = Requirement(requirement.strip())
    except InvalidRequirement as error:
        raise LockFault(f"{requirement.strip()[:80]!r} is not a package with an exact version") from error
    pins = [spec.version for spec in parsed.specifier if spec.operator in ("==", "===") and "*" not in spec.version]
    if parsed.url is None and (len(pins) != 1 or len(parsed.specifier) != 1):
        raise LockFault(f"{parsed.name} has no exact version (name==version)")
    return entry(parsed.name, parsed.url or pins[0], parsed.url is not None, parsed.marker, hashes)


def entry(name: str, version: str, direct: bool, marker: object, hashes: Iterable[str]) -> Entry:
    """An entry from its parts.

    Raises:
        LockFault: it leads to a local path, its address holds a password, or it is none: it would be another line.
    """
    if not _NAME.fullmatch(name):
        raise LockFault(f"{name[:80]!r} is no name of a package")
    name = str(canonicalize_name(name))
    if not (version.isprintable() and " " not in version if direct else _VERSION.fullmatch(version)):
        raise LockFault(f"{version[:80]!r} is no version of {name}")
    if direct and not re.match(r"(git\+)?(https?|ssh)://", version):
        raise LockFault(f"{name} is to come from the local path {version}, which no other machine has")
    if direct and not version.startswith("git+ssh") and CREDENTIALS.search(version):
        raise LockFault(f"the address of {name} holds a password, which would be committed with the lock")
    text = str(marker).replace("'", '"') if marker else None
    try:
        if text is not None and (not text.isprintable() or not Marker(text)):
            raise InvalidMarker("it has more than a line")
    except InvalidMarker as error:
        raise LockFault(f"{str(marker)[:80]!r}, of {name}, is no marker") from error
    found = sorted({value.strip() for value in hashes})
    if wrong := next((value for value in found if not _HASH.fullmatch(value)), None):
        raise LockFault(f"{wrong[:80]!r}, of {name}, is no hash")
    return Entry(name, version, direct, text, tuple(found))


def parse_pylock(text: str) -> Lock:
    """Read a `pylock.toml` (PEP 751).

    Raises:
        LockFault: it is none, or holds what no other machine has.
    """
    try:
        document = read_toml(text)
        return make_lock([_from_pylock(package) for package in document["packages"]], None)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise LockFault(f"it cannot be read as pylock.toml: {error}") from error


def _from_pylock(package: dict[str, Any]) -> Entry:
    name, marker = str(package["name"]), package.get("marker")
    if "vcs" in package:
        vcs = package["vcs"]
        return entry(name, f"{vcs['type']}+{vcs['url']}@{vcs['commit-id']}", True, marker, [])
    if "archive" in package:
        archive = package["archive"]
        address = archive.get("url") or archive.get("path", "")
        return entry(name, address, True, marker, _hashes([archive]))
    if "directory" in package:
        return entry(name, str(package["directory"]["path"]), True, marker, [])
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    return entry(name, str(package["version"]), False, marker, _hashes(files))


def _hashes(files: list[dict[str, Any]]) -> list[str]:
    return [f"{kind}:{value}" for file in files for kind, value in file["hashes"].items()]


def environment_key(lock: str, python: str, version: str, site: str | None) -> str:
    """SHA-256 (hex) over what decides what an environment is.

    *python*: the interpreter below it; *version*: that one's, in full; *site*: for an overlay, what the site holds.
    """
    text = json.dumps([1, lock, python, version, site])
    return hashlib.sha256(text.encode()).hexdigest()
