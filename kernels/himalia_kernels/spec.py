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
Limit = Literal["cell", "stage", "start"]
Observed = Literal["full", "python", "none"]
START_TIMEOUT_S = 60.0
GRACE_S = 10.0


class SpecError(ValueError):
    """The specification of a stage cannot be used; the message names the key."""


@dataclass(frozen=True)
class StageSpec:
    """One stage to run. Times are in seconds; paths are absolute unless said otherwise.

    ``timeout_s`` is for the whole stage, ``cell_timeout_s`` for each cell, ``start_timeout_s`` for the kernel's start.
    At a limit, or on SIGTERM, the kernel is interrupted, and killed ``grace_s`` later. ``progress_detail``: the
    progress that is posted has also ``cells_done``, ``running`` and ``ended`` (see himalia_kernels.progress).
    """

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
    cell_timeout_s: float | None = None
    start_timeout_s: float = START_TIMEOUT_S
    grace_s: float = GRACE_S
    progress_detail: bool = False
    cwd: str = ""  # relative to workdir: where its kernel starts

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageSpec:
        """Read a specification; raises SpecError for a key that is missing or of the wrong kind."""
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
            timeout_s=_seconds(data, "timeout_s"),
            progress_url=data.get("progress_url"),
            token_file=None if token_file is None else _absolute(data, "token_file"),
            outputs=tuple(_relative("outputs", path) for path in data.get("outputs") or ()),
            inputs=tuple(_relative("inputs", path) for path in data.get("inputs") or ()),
            cell_timeout_s=_seconds(data, "cell_timeout_s"),
            start_timeout_s=_seconds(data, "start_timeout_s") or START_TIMEOUT_S,
            grace_s=_seconds(data, "grace_s", least=0.0, default=GRACE_S) or 0.0,
            progress_detail=bool(data.get("progress_detail")),
            cwd=_relative("cwd", data["cwd"]) if data.get("cwd") else "",
        )


@dataclass
class Outcome:
    """How a stage ended.

    ``cell`` is the code cell where it ended, counted from 1 over the code cells with content of the executed
    notebook; ``cells`` counts them, ``cells_run`` those that ended well. ``cell_index`` is its place among
    all cells, from 0. ``signal`` is the name of the signal that ended the kernel, ``exit_status`` its exit
    status otherwise, or that of a cell's ``sys.exit(1)``; ``oom`` says whether the system killed it for memory,
    and is true as well when a cell failed with a MemoryError.
    Times are ISO 8601 in UTC.

    ``limit``: which time limit was reached (only with the status timed_out). ``exited_cell``: the cell (from 1) that
    ended the notebook well before its last one, by ``sys.exit(0)``. ``cell_seconds``: how long each cell took that was
    reached, in order.

    ``reads``: files of the work folder that existed before the run and that its code opened for reading; the stage's
    own notebook and the declared outputs are left out. ``observed`` says how far that is complete: "full" (every
    process of this host), "python" (what Python opened in the kernel, not what native libraries or other programs
    did), "none". ``writes``: files that are new or changed after the run and are neither declared outputs nor
    inputs; ``removed``: files that are gone. ``changed_inputs``: declared inputs that the run changed or removed.
    All are relative POSIX paths, sorted.

    ``cut_cells``: cells (from 1) of which not all output was kept; ``cut_bytes``: how much was left out of the
    notebook; ``log_cut_bytes``: and of the log. ``warnings``: what else its user should know, a sentence each.
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
    limit: Limit | None = None
    exited_cell: int | None = None
    cell_seconds: list[float] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    observed: Observed = "none"
    writes: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed_inputs: list[str] = field(default_factory=list)
    cut_cells: list[int] = field(default_factory=list)
    cut_bytes: int = 0
    log_cut_bytes: int = 0
    warnings: list[str] = field(default_factory=list)


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write the outcome document (0600)."""
    write_whole(path, json.dumps(asdict(outcome), ensure_ascii=False, indent=1))


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise SpecError(f"{key} must be a text, not {value!r}")
    return value


def _seconds(
    data: Mapping[str, Any], key: str, *, least: float | None = None, default: float | None = None
) -> float | None:
    """A time, above 0 or at least *least*; *default* for one that is not there."""
    value = data.get(key)
    if value is None:
        return default
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (value <= 0 if least is None else value < least):
        bound = "above 0" if least is None else f"of at least {least:g}"
        raise SpecError(f"{key} must be seconds {bound}, or null, not {value!r}")
    return float(value)


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
