"""What to do about a stage that did not succeed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from himalia_kernels.spec import Limit, Oom, StageSpec

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
QUOTED = re.compile(r"""(?P<quote>['"])(?P<path>.+?)(?P=quote)""")


def table_of(stage: str) -> str:
    """The stage's table in himalia.toml, such as ``[stages.train]``."""
    return f"[stages.{stage if BARE_KEY.fullmatch(stage) else json.dumps(stage)}]"


def for_cell(spec: StageSpec, error_name: str, error: str) -> str | None:
    """A hint for an exception that a cell raised, or None."""
    if error_name == "FileNotFoundError":
        return _for_missing_file(spec, error)
    if error_name == "ModuleNotFoundError":
        found = QUOTED.search(error)
        name = found["path"] if found else "it"
        return (
            f"If {name} is a package, add it to the project's requirements; if it is a module of the "
            "project, see that git does not ignore it, or name it in `include` under `[snapshot]` in "
            "himalia.toml."
        )
    return None


def _for_missing_file(spec: StageSpec, error: str) -> str | None:
    found = list(QUOTED.finditer(error))
    named = found[-1]["path"] if found else error.rpartition(": ")[2].strip()
    if not named:
        return None
    path = Path(os.path.normpath(spec.workdir / named))
    if not path.is_relative_to(spec.workdir):
        return (
            f"A stage sees only its project's snapshot; {named} is outside. Copy it into the project, use a "
            f"relative path, and list that in `inputs` under `{table_of(spec.stage)}` in himalia.toml."
        )
    relative = path.relative_to(spec.workdir).as_posix()
    if relative in spec.inputs:
        return f"{relative} is a declared input, but not in the snapshot: does it exist in the project?"
    line = _line("inputs", [*spec.inputs, relative])
    return (
        f"A stage sees only what is declared. If {relative} is a file of the project, write `{line}` under "
        f"`{table_of(spec.stage)}` in himalia.toml."
    )


def _line(key: str, paths: Sequence[str]) -> str:
    return f"{key} = {json.dumps(list(paths), ensure_ascii=False)}"


def for_dead_kernel(signal: str | None, oom: Oom) -> str:
    """A hint for a kernel whose process ended."""
    if oom is True:
        return "The system killed it for want of memory: work on less data at once, or on a cluster."
    if signal == "SIGKILL":
        return "Somebody, or the system for want of memory, killed it; look at the memory the stage needs."
    if signal is not None:
        return "This is a crash in native code: the stage's log may name the library."
    return "Look for exit(), quit() or os._exit() in the cells; sys.exit(0) ends a notebook well."


def for_exit(exit_status: int) -> str:
    """A hint for a cell that ended the notebook by ``sys.exit`` with another status than 0."""
    return (
        f"The cell ended the notebook by sys.exit, with status {exit_status}, which says that something went wrong; "
        "sys.exit(0) would end it well."
    )


def for_memory(limit: str | None) -> str:
    """A hint for a cell that got no more memory; *limit* is the project's, in words."""
    if limit is None:
        return "There was not enough memory: work on less data at once, or on a cluster."
    return (
        f"The kernels of this project may use {limit} of memory: work on less data at once, or raise `memory` under "
        "`[kernel]` in himalia.toml."
    )


def for_timeout(spec: StageSpec, limit: Limit | None = None) -> str:
    """A hint for a stage that reached a time limit."""
    if limit == "start":
        return (
            f"It did not answer within {spec.start_timeout_s:g} s: is the host overloaded, or does a startup file of "
            "IPython wait for something? The stage's log may say more."
        )
    if limit == "cell":
        return (
            f"Each cell's limit is {spec.cell_timeout_s or 0.0:g} s: raise `cell_timeout` under "
            f"`{table_of(spec.stage)}` in himalia.toml."
        )
    seconds = spec.timeout_s or 0.0
    return f"Its limit is {seconds:g} s: raise `timeout` under `{table_of(spec.stage)}` in himalia.toml."


def for_missing_outputs(spec: StageSpec, missing: Sequence[str]) -> str:
    """A hint for outputs that were declared and not written."""
    return (
        f"Write {', '.join(missing)} in the notebook, by a path relative to the project, or take it out of "
        f"`outputs` under `{table_of(spec.stage)}` in himalia.toml."
    )
