"""The gateway's configuration: what the file may say, checked strictly.

The service writes the file under another name and renames it, so that it is always whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any, TypeVar

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
T = TypeVar("T")


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the place and says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A deployment token, known only by its sha256 (hex), until *expires_at* (seconds since 1970)."""

    id: str
    sha256: str
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Revision:
    """One model version behind a deployment; *weight* is its share of the requests in percent."""

    id: str
    weight: int
    model_path: str
    model_digest: str | None
    python: str
    layer: str | None
    env: dict[str, str]
    min_replicas: int
    max_replicas: int
    paths: tuple[str, ...] = ()
    """Folders that the model's modules are imported from."""

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, running replicas must be replaced."""
        parts: list[Any] = [self.model_path, self.model_digest, self.python, self.layer, sorted(self.env.items())]
        if self.paths:  # without them as it was before there were any: an upgrade replaces no replica
            parts.append(self.paths)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stable endpoint, its keys and its revisions; the revisions' weights sum to 100."""

    name: str
    project: str
    keys: tuple[Key, ...]
    revisions: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients and replicas may take; seconds, bytes, counts."""

    body_bytes: int = 16 * 1024 * 1024
    deadline_seconds: float = 60.0
    queue_requests: int = 1024
    queue_bytes: int = 64 * 1024 * 1024
    batch_rows: int = 2048
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    start_seconds: float = 300.0
    stuck_seconds: float = 120.0
    drain_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. ``port`` 0 lets the system choose one (see the state's ``listen``)."""

    version: int
    host: str
    port: int
    deployments: dict[str, Deployment]
    limits: Limits = field(default_factory=Limits)


def read_config(path: Path) -> Config:
    """Read and check the file; ConfigError when it is missing, is not JSON or says something impossible."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    return parse_config(data)


def parse_config(data: object) -> Config:
    """Check a decoded configuration; ConfigError names the first thing that is wrong."""
    top = _Table(data, "", {"version", "listen", "deployments", "limits"})
    listen = top.table("listen", {"host", "port"})
    config = Config(
        version=top.integer("version", 0, 2**53),
        host=listen.text("host"),
        port=listen.integer("port", 0, 65535),
        deployments={},
        limits=_limits(top),
    )
    for table in top.tables("deployments", {"name", "project", "keys", "revisions"}):
        deployment = _deployment(table)
        if deployment.name in config.deployments:
            raise ConfigError(f"{table.at('name')}: {deployment.name!r} is there twice; names are addresses")
        config.deployments[deployment.name] = deployment
    return config


def _limits(top: _Table) -> Limits:
    if top.data.get("limits") is None:
        return Limits()
    known = {item.name: item.type for item in fields(Limits)}
    table = top.table("limits", set(known))
    values: dict[str, Any] = {}
    for name in table.data:
        whole = known[name] == "int"
        values[name] = table.integer(name, 1, 2**40) if whole else table.number(name, 0.001, 86400.0)
    return Limits(**values)


def _deployment(table: _Table) -> Deployment:
    keys = tuple(_key(item) for item in table.tables("keys", {"id", "sha256", "expires_at"}))
    known = {f.name for f in fields(Revision)} - {"min_replicas", "max_replicas"} | {"replicas"}
    revisions = tuple(_revision(item) for item in table.tables("revisions", known))
    _once([key.id for key in keys], table.at("keys"))
    _once([revision.id for revision in revisions], table.at("revisions"))
    total = sum(revision.weight for revision in revisions)
    if total != 100:
        raise ConfigError(f"{table.at('revisions')}: the weights sum to {total}, they must sum to 100")
    return Deployment(table.matching("name", NAME), table.matching("project", NAME), keys, revisions)


def _key(table: _Table) -> Key:
    expires = table.data.get("expires_at")
    return Key(
        id=table.matching("id", IDENTIFIER),
        sha256=table.matching("sha256", re.compile("[0-9a-f]{64}")),
        expires_at=None if expires is None else table.number("expires_at", 0, 2**53),
    )


def _revision(table: _Table) -> Revision:
    replicas = table.table("replicas", {"min", "max"})
    minimum = replicas.integer("min", 1, 64)
    digest = table.data.get("model_digest")
    return Revision(
        id=table.matching("id", IDENTIFIER),
        weight=table.integer("weight", 0, 100),
        model_path=table.absolute("model_path"),
        model_digest=None if digest is None else table.matching("model_digest", re.compile("sha256:[0-9a-f]{64}")),
        python=table.absolute("python"),
        layer=None if table.data.get("layer") is None else table.absolute("layer"),
        env=table.environment("env"),
        min_replicas=minimum,
        max_replicas=replicas.integer("max", minimum, 64),
        paths=table.absolutes("paths"),
    )


def _once(values: list[str], place: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ConfigError(f"{place}: the id {value!r} is there twice")


class _Table:
    """A JSON object, and where it stands in the document, for errors that name the place."""

    def __init__(self, data: object, place: str, known: set[str]) -> None:
        if not isinstance(data, dict):
            raise ConfigError(f"{place or 'the configuration'}: must be an object, is {_kind(data)}")
        self.data: dict[str, Any] = data
        self._place = place
        for key in data:
            if key not in known:
                raise ConfigError(f"{self.at(key)}: unknown key; known are {', '.join(sorted(known))}")

    def at(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def _get(self, key: str, kind: type[T], what: str) -> T:
        if key not in self.data:
            raise ConfigError(f"{self.at(key)}: is missing; it must be {what}")
        value = self.data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{self.at(key)}: must be {what}, is {_kind(value)}")
        return value

    def table(self, key: str, known: set[str]) -> _Table:
        return _Table(self._get(key, dict, "an object"), self.at(key), known)

    def tables(self, key: str, known: set[str]) -> list[_Table]:
        items = self._get(key, list, "a list")
        return [_Table(item, f"{self.at(key)}[{n}]", known) for n, item in enumerate(items)]

    def text(self, key: str) -> str:
        value = self._get(key, str, "a text")
        if not value or "\0" in value:
            raise ConfigError(f"{self.at(key)}: must be a text that is not empty")
        return value

    def matching(self, key: str, pattern: re.Pattern[str]) -> str:
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise ConfigError(f"{self.at(key)}: {value!r} does not match {pattern.pattern}")
        return value

    def absolute(self, key: str) -> str:
        value = self.text(key)
        if not PurePath(value).is_absolute():
            raise ConfigError(f"{self.at(key)}: {value!r} must be an absolute path")
        return value

    def absolutes(self, key: str) -> tuple[str, ...]:
        """A list of absolute paths; absent: none."""
        values = self._get(key, list, "a list") if key in self.data else []
        for number, value in enumerate(values):
            if not isinstance(value, str) or "\0" in value or not PurePath(value).is_absolute():
                raise ConfigError(f"{self.at(key)}[{number}]: {value!r} must be an absolute path")
        return tuple(values)

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._get(key, int, "a whole number")
        self._check_range(key, value, low, high)
        return value

    def number(self, key: str, low: float, high: float) -> float:
        whole = isinstance(self.data.get(key), int)
        value = float(self._get(key, int, "a number")) if whole else self._get(key, float, "a number")
        self._check_range(key, value, low, high)
        return value

    def _check_range(self, key: str, value: float, low: float, high: float) -> None:
        if not math.isfinite(value) or not low <= value <= high:
            raise ConfigError(f"{self.at(key)}: {value} is not between {low} and {high}")

    def environment(self, key: str) -> dict[str, str]:
        table = self._get(key, dict, "an object")
        for name, value in table.items():
            if not name or "=" in name or "\0" in name or not isinstance(value, str) or "\0" in value:
                raise ConfigError(f"{self.at(key)}.{name}: an environment variable is a name and a text")
        return dict(table)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
