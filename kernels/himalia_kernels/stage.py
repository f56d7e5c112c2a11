"""Run one stage: ``python -m himalia_kernels.stage --spec SPEC.json``.

The specification and the outcome are described in :mod:`himalia_kernels.spec`. The outcome is written however
the stage ends, and no process of it is left. SIGTERM cancels. Exit status: 0 succeeded, 1 failed, 2 the
specification cannot be used, 3 timed out, 4 the kernel died, 5 cancelled.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from himalia._http import REQUEST_VARIABLE
from himalia_kernels import hints
from himalia_kernels.endings import CellFailed, KernelDied, StageStopped
from himalia_kernels.masking import Mask, mask_of
from himalia_kernels.notebook import Tally, plain, save, stamp_unreached
from himalia_kernels.parameters import NotebookUnreadableError, check_parameters
from himalia_kernels.processes import adopt_orphans, end_descendants
from himalia_kernels.progress import ProgressReporter
from himalia_kernels.spec import Outcome, SpecError, StageSpec, write_outcome
from himalia_kernels.watchdog import Watchdog

log = logging.getLogger("himalia.stage")
EXIT_STATUS = {"succeeded": 0, "failed": 1, "timed_out": 3, "kernel_died": 4, "cancelled": 5}
BAD_SPEC = 2
TAIL_LINES = 30
TAIL_CHARACTERS = 4000


class StageError(Exception):
    """The stage cannot start, or did not do what it declares."""

    def __init__(self, name: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.hint = hint


class _LogHandler(logging.StreamHandler[Any]):
    """Writes messages as they are, but for secrets: the notebook's output has line ends of its own."""

    terminator = ""
    mask = Mask()

    def format(self, record: logging.LogRecord) -> str:
        text = self.mask.text(super().format(record))
        return text if text.endswith("\n") else text + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the stage of the specification; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m himalia_kernels.stage", description="Run one stage.")
    parser.add_argument("--spec", type=Path, required=True, help="the stage's specification, a JSON file")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_LogHandler(sys.stdout)])
    started_at = _now()
    document: Any = None
    try:
        document = json.loads(given.spec.read_text("utf-8"))
        if not isinstance(document, dict):
            raise SpecError("the specification must be a JSON object")
        spec = StageSpec.from_json(document)
    except (OSError, ValueError) as error:
        return _refuse(given.spec, document, started_at, error)
    asked = os.environ.get(REQUEST_VARIABLE)
    log.info("stage %s of run %s%s", spec.stage, spec.run_id, f", request {asked}" if asked else "")
    watchdog = Watchdog(spec.timeout_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watchdog.stop("cancelled"))
    try:
        outcome = run_stage(spec, watchdog, started_at)
    except BaseException as error:
        log.exception("the stage's runner failed")
        message = f"The stage's runner failed: {error}"
        outcome = Outcome("failed", started_at, _now(), error_name=type(error).__name__, error=message)
    write_outcome(spec.outcome, outcome)
    return EXIT_STATUS[outcome.status]


def _refuse(path: Path, document: Any, started_at: str, error: Exception) -> int:
    log.error("%s cannot be used: %s", path, error)
    place = document.get("outcome") if isinstance(document, dict) else None
    if isinstance(place, str) and Path(place).is_absolute():
        message = f"The stage's specification cannot be used: {error}"
        outcome = Outcome("failed", started_at, _now(), error_name=type(error).__name__, error=message)
        write_outcome(Path(place), outcome)
    return BAD_SPEC


def run_stage(spec: StageSpec, watchdog: Watchdog, started_at: str | None = None) -> Outcome:
    """Run the stage in this process and say how it ended."""
    outcome = Outcome("failed", started_at or _now())
    mask = Mask()
    try:
        mask = _LogHandler.mask = mask_of(spec.grant_file)
        adopt_orphans()
        watchdog.start()
        spec.output.unlink(missing_ok=True)
        os.chdir(spec.workdir)
        os.environ["HIMALIA_GRANT_FILE"] = str(spec.grant_file)
        _check_before(spec)
        _execute(spec, watchdog, outcome, mask)
        _check_after(spec, outcome)
        outcome.status = "succeeded"
    except BaseException as error:
        _explain(spec, outcome, error)
        log.error("%s: %s", outcome.error_name, outcome.error)
    finally:
        watchdog.finish()
        for name in ("error", "traceback_tail", "hint"):
            setattr(outcome, name, mask.document(getattr(outcome, name)))
        _clean_up(spec, outcome)
        outcome.ended_at = _now()
    return outcome


def _check_before(spec: StageSpec) -> None:
    try:
        problems = check_parameters(spec.workdir / spec.notebook, spec.parameters)
    except NotebookUnreadableError as error:
        raise StageError("NotebookUnreadableError", f"{spec.notebook}: {error}") from error
    if problems:
        found = " ".join(problem.message + "." for problem in problems)
        hint = " ".join(problem.hint for problem in problems if problem.hint)
        raise StageError("ParameterError", found, hint or None)
    for output in spec.outputs:
        (spec.workdir / output).parent.mkdir(parents=True, exist_ok=True)


def _execute(spec: StageSpec, watchdog: Watchdog, outcome: Outcome, mask: Mask) -> None:
    import papermill
    from papermill.engines import papermill_engines

    from himalia_kernels.engine import HimaliaEngine

    papermill_engines.register("himalia", HimaliaEngine)
    reporter = ProgressReporter(spec.progress_url, spec.token_file) if spec.progress_url else None
    tally = Tally()
    try:
        papermill.execute_notebook(
            _literal(spec.workdir / spec.notebook),
            _literal(spec.output),
            parameters=dict(spec.parameters),
            engine_name="himalia",
            kernel_name=spec.kernel_name,
            language="python",
            progress_bar=False,
            log_output=True,
            on_progress=reporter.report if reporter else None,
            watchdog=watchdog,
            tally=tally,
            mask=mask,
        )
    finally:
        outcome.cells, outcome.cells_run = tally.cells, tally.cells_run
        outcome.cell, outcome.cell_index = tally.cell, tally.cell_index
        if reporter:
            reporter.close()


def _literal(path: Path) -> str:
    """papermill fills braces in paths with parameters; ours are meant as they are."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _check_after(spec: StageSpec, outcome: Outcome) -> None:
    outcome.cell, outcome.cell_index = None, None
    missing = [output for output in spec.outputs if not (spec.workdir / output).exists()]
    if not missing:
        return
    outcome.missing_outputs = missing
    message = f"The stage {spec.stage} ran to its end but did not write {', '.join(missing)}"
    raise StageError("MissingOutputs", message, hints.for_missing_outputs(spec, missing))


def _explain(spec: StageSpec, outcome: Outcome, error: BaseException) -> None:
    """Fill in how and why the stage ended."""
    outcome.status, outcome.error_name, outcome.error = "failed", type(error).__name__, str(error)
    if isinstance(error, StageError):
        outcome.error_name, outcome.hint = error.name, error.hint
    elif isinstance(error, CellFailed):
        outcome.error_name = error.ename
        # a KeyError says no more than the key
        outcome.error = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
        outcome.traceback_tail = _tail(error.traceback)
        outcome.hint = hints.for_cell(spec, error.ename, error.evalue)
    elif isinstance(error, KernelDied):
        outcome.status, outcome.signal, outcome.oom = "kernel_died", error.signal, error.oom
        outcome.exit_status = error.returncode if error.signal is None else None
        outcome.hint = hints.for_dead_kernel(error.signal, error.oom)
    elif isinstance(error, StageStopped):
        outcome.status = error.reason
        outcome.hint = hints.for_timeout(spec) if error.reason == "timed_out" else None
    else:
        log.error("the stage's runner failed", exc_info=error)


def _tail(traceback: list[str]) -> str:
    lines = plain("\n".join(traceback)).splitlines()
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def _clean_up(spec: StageSpec, outcome: Outcome) -> None:
    """Leave a notebook, and no process."""
    left = end_descendants()
    if left:
        log.info("ended %d process(es) that the notebook left", len(left))
    try:
        _keep_notebook(spec, outcome)
    except Exception as error:
        log.warning("the notebook could not be kept: %s", error)


def _keep_notebook(spec: StageSpec, outcome: Outcome) -> None:
    """See that there is a notebook and that it says how the stage ended."""
    import nbformat

    source = spec.output if spec.output.exists() else spec.workdir / spec.notebook
    notebook = nbformat.read(source, as_version=4)
    if source != spec.output:
        for cell in notebook.cells:
            cell.metadata.pop("papermill", None)
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        stamp_unreached(notebook)
    notebook.metadata["himalia"] = {"status": outcome.status, "run": spec.run_id, "stage": spec.stage}
    save(notebook, spec.output)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    raise SystemExit(main())
