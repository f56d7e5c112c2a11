"""The specification a holder is started with: one JSON file, checked field by field."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SOCKET_PATH = 100
MAX_WORKERS = 1000
MIN_MEMORY_BYTES = 128 * 2**20
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?b|b)?", re.IGNORECASE)
_UNITS = {"b": 1} | {
    f"{letter}{infix}b": base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for infix, base in (("", 1000), ("i", 1024))
}


class SpecError(ValueError):
    """A specification that cannot be used; *field* names the faulty entry (empty: the file as a whole)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster: where it runs, with which python, how large.

    *folder* is the holder's private state folder, *socket* its control socket; both folders are made for this
    cluster alone (0700). *memory_limit* and *threads_per_worker* are per worker. *env* is all that the
    cluster's processes see of ``MLFLOW_*`` and ``HIMALIA_*`` variables.
    """

    name: str
    project: str
    profile: dict[str, Any]
    python: Path
    layer: Path | None
    folder: Path
    socket: Path
    workers: int
    threads_per_worker: int
    memory_limit: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        """Name of the backend, from the profile."""
        return str(self.profile["backend"])

    @property
    def memory_bytes(self) -> int:
        """Memory limit of one worker in bytes."""
        return parse_size(self.memory_limit)

    @classmethod
    def load(cls, path: Path) -> ClusterSpec:
        """Read and check the file *path*; it may hold secrets in ``env`` and must belong to its owner alone.

        Raises SpecError.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError("", f"cannot read the cluster specification {path}: {error}") from error
        if mode & 0o077:
            raise SpecError("", f"{path} is readable by others (mode {mode:04o}); make it 0600")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise SpecError("", f"{path} is not valid JSON: {error}") from error
        return cls.parse(value)

    @classmethod
    def parse(cls, value: object) -> ClusterSpec:
        """Check the JSON object *value*; raises SpecError that names the first faulty field."""
        if not isinstance(value, dict):
            raise SpecError("", "a cluster specification must be a JSON object")
        unknown = sorted(set(value) - set(cls.__dataclass_fields__))
        if unknown:
            raise SpecError(str(unknown[0]), f"unknown field; known are {', '.join(cls.__dataclass_fields__)}")
        layer = value.get("layer")
        memory_limit = _text(value, "memory_limit")
        check_memory_limit(memory_limit)
        return cls(
            name=_slug(value, "name"),
            project=_slug(value, "project"),
            profile=_profile(value),
            python=_python(value),
            layer=None if layer is None else _layer(value),
            folder=_absolute(value, "folder"),
            socket=_socket(value),
            workers=check_workers(value.get("workers")),
            threads_per_worker=_integer(value, "threads_per_worker", 1, 1024),
            memory_limit=memory_limit,
            env=_env(value),
        )


def parse_size(text: str) -> int:
    """Return the bytes in a size like ``2GiB``, ``512 MB`` or ``1073741824``; raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write it like '2GiB' or '512MB'")
    number, unit = match.groups()
    return int(float(number) * _UNITS[(unit or "b").lower()])


def check_memory_limit(text: str) -> int:
    """Return the bytes of a worker's memory limit; raises SpecError when it is no size or too small."""
    try:
        size = parse_size(text)
    except ValueError as error:
        raise SpecError("memory_limit", str(error)) from error
    if size < MIN_MEMORY_BYTES:
        raise SpecError("memory_limit", f"{text} is too little to start a Dask worker; give at least 128MiB")
    return size


def check_workers(value: object) -> int:
    """Return a number of workers; raises SpecError when it is not a whole number from 0 to 1000."""
    return _integer({"workers": value}, "workers", 0, MAX_WORKERS)


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text or "\0" in text:
        raise SpecError(name, f"must be a text that is not empty, not {text!r}")
    return text


def _slug(value: dict[str, Any], name: str) -> str:
    text = _text(value, name)
    if _NAME.fullmatch(text) is None:
        raise SpecError(
            name, f"{text!r} is no name: up to 63 lower-case letters, digits and inner hyphens, like 'team-a'"
        )
    return text


def _integer(value: dict[str, Any], name: str, least: int, most: int) -> int:
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise SpecError(name, f"must be a whole number from {least} to {most}, not {number!r}")
    return number


def _absolute(value: dict[str, Any], name: str) -> Path:
    path = Path(_text(value, name))
    if not path.is_absolute():
        raise SpecError(name, f"{str(path)!r} must be an absolute path")
    return path


def _profile(value: dict[str, Any]) -> dict[str, Any]:
    profile = value.get("profile")
    if not isinstance(profile, dict) or not isinstance(profile.get("backend"), str):
        raise SpecError("profile", 'must be an object with the name of a backend, like {"backend": "local"}')
    return profile


def _python(value: dict[str, Any]) -> Path:
    python = _absolute(value, "python")
    if not python.is_file() or not os.access(python, os.X_OK):
        raise SpecError("python", f"{python} is not a program that can be run; build the project's environment")
    return python


def _layer(value: dict[str, Any]) -> Path:
    layer = _absolute(value, "layer")
    if not (layer / "himalia" / "_dask_main.py").is_file():
        raise SpecError("layer", f"{layer} holds no package 'himalia' with the Dask launcher")
    return layer


def _socket(value: dict[str, Any]) -> Path:
    socket = _absolute(value, "socket")
    length = len(os.fsencode(socket))
    if length > MAX_SOCKET_PATH:
        raise SpecError("socket", f"{socket} has {length} bytes; unix sockets allow {MAX_SOCKET_PATH}")
    return socket


def _env(value: dict[str, Any]) -> dict[str, str]:
    env = value.get("env", {})
    if not isinstance(env, dict):
        raise SpecError("env", "must be an object of texts")
    for name, text in env.items():
        if _VARIABLE.fullmatch(name) is None:
            raise SpecError("env", f"{name!r} is not a name of an environment variable")
        if not isinstance(text, str) or "\0" in text:
            raise SpecError("env", f"the value of {name} must be a text")
    return dict(env)
