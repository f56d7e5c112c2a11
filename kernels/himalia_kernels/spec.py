"""What one stage's process is told, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from himalia_kernels.files import write_whole

Status = Literal["succeeded", "failed", "timed_out", "kernel_died", "cancelled"]
Oom = bool | Literal["unknown"] | None


class SpecError(ValueError):
    """The specification of a stage cannot be used; the message names the key."""


@dataclass(frozen=True)
class StageSpec:
    """One stage to run. ``timeout_s`` is in seconds; paths are absolute unless said otherwise."""

    run_id: str
    stage: str
    notebook: str  # relative to workdir
    workdir: Path
    output: Path
    kernel_name: str
    grant_file: Path
    outcome: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    progress_url: str | None = None
    token_file: Path | None = None
    outputs: tuple[str, ...] = ()  # relative to workdir
    inputs: tuple[str, ...] = ()  # relative to workdir

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageSpec:
        """Read a specification; raises SpecError for a key that is missing or of the wrong kind."""
        timeout = data.get("timeout_s")
        if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
            raise SpecError(f"timeout_s must be seconds above 0, or null, not {timeout!r}")
        parameters = data.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise SpecError("parameters must be an object")
        token_file = data.get("token_file")
        return cls(
            run_id=_text(data, "run_id"),
            stage=_text(data, "stage"),
            notebook=_relative("notebook", _text(data, "notebook")),
            workdir=_absolute(data, "workdir"),
            output=_absolute(data, "output"),
            kernel_name=_text(data, "kernel_name"),
            grant_file=_absolute(data, "grant_file"),
            outcome=_absolute(data, "outcome"),
            parameters=parameters,
            timeout_s=None if timeout is None else float(timeout),
            progress_url=data.get("progress_url"),
            token_file=None if token_file is None else _absolute(data, "token_file"),
            outputs=tuple(_relative("outputs", path) for path in data.get("outputs") or ()),
            inputs=tuple(_relative("inputs", path) for path in data.get("inputs") or ()),
        )


@dataclass
class Outcome:
    """How a stage ended.

    ``cell`` is the code cell where it ended, counted from 1 over the code cells with content of the executed
    notebook; ``cells`` counts them, ``cells_run`` those that ended well. ``cell_index`` is its place among
    all cells, from 0. ``signal`` is the name of the signal that ended the kernel, ``exit_status`` its exit
    status otherwise; ``oom`` says whether the system killed it for memory. Times are ISO 8601 in UTC.
    """

    status: Status
    started_at: str
    ended_at: str = ""
    cell: int | None = None
    cell_index: int | None = None
    error_name: str | None = None
    error: str | None = None
    traceback_tail: str | None = None
    signal: str | None = None
    exit_status: int | None = None
    oom: Oom = None
    cells: int = 0
    cells_run: int = 0
    missing_outputs: list[str] = field(default_factory=list)
    hint: str | None = None


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write the outcome document (0600)."""
    write_whole(path, json.dumps(asdict(outcome), ensure_ascii=False, indent=1))


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise SpecError(f"{key} must be a text, not {value!r}")
    return value


def _absolute(data: Mapping[str, Any], key: str) -> Path:
    path = Path(_text(data, key))
    if not path.is_absolute():
        raise SpecError(f"{key} must be an absolute path, not {str(path)!r}")
    return path


def _relative(key: str, value: Any) -> str:
    path = PurePosixPath(value if isinstance(value, str) else "")
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise SpecError(f"{key} must be a path inside the project, not {value!r}")
    return str(path)
