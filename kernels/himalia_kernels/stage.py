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
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from himalia._http import REQUEST_VARIABLE
from himalia_kernels import hints
from himalia_kernels.caps import LogCap, OutputCap, shorten
from himalia_kernels.describing import derived_values
from himalia_kernels.endings import CellFailed, KernelDied, StageStopped
from himalia_kernels.files import keep_room, use_room
from himalia_kernels.masking import Mask, mask_of
from himalia_kernels.notebook import Tally, plain, save, stamp_unreached
from himalia_kernels.observing import Observer
from himalia_kernels.parameters import NotebookUnreadableError, check_parameters, load_notebook
from himalia_kernels.processes import adopt_orphans, end_descendants
from himalia_kernels.progress import ProgressReporter
from himalia_kernels.spec import Outcome, SpecError, StageSpec, write_outcome
from himalia_kernels.watchdog import Watchdog

log = logging.getLogger("himalia.stage")
EXIT_STATUS = {"succeeded": 0, "failed": 1, "timed_out": 3, "kernel_died": 4, "cancelled": 5}
BAD_SPEC = 2
TAIL_LINES = 30
TAIL_CHARACTERS = 4000
SAVE_SECONDS = 1.0
"""How often the notebook of a running stage is saved at most."""


class StageError(Exception):
    """The stage cannot start, or did not do what it declares."""

    def __init__(self, name: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.hint = hint


class _LogHandler(logging.StreamHandler[Any]):
    """Writes messages as they are, but for secrets: the notebook's output has line ends of its own.

    The notebook's output is cut to what the log may hold; what the stage itself says is always written.
    """

    terminator = ""
    mask = Mask()
    cap = LogCap()

    def format(self, record: logging.LogRecord) -> str:
        text = self.mask.text(super().format(record))
        text = text if text.endswith("\n") else text + "\n"
        return text if record.name == log.name else self.cap.admit(text)


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
    watchdog = Watchdog(spec.timeout_s, spec.grace_s, spec.cell_timeout_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watchdog.stop("cancelled"))
    keep_room(spec.outcome)
    try:
        outcome = run_stage(spec, watchdog, started_at)
    except BaseException as error:
        log.exception("the stage's runner failed")
        message = f"The stage's runner failed: {error}"
        outcome = Outcome("failed", started_at, _now(), error_name=type(error).__name__, error=message)
    use_room(spec.outcome)
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
    observer: Observer | None = None
    memory: str | None = None
    _LogHandler.cap = LogCap()
    try:
        mask = _LogHandler.mask = mask_of(spec.grant_file)
        memory = _memory_limit(spec.grant_file)
        adopt_orphans()
        watchdog.start()
        spec.output.unlink(missing_ok=True)
        os.chdir(spec.workdir / spec.cwd)
        os.environ["HIMALIA_GRANT_FILE"] = str(spec.grant_file)
        _check_before(spec, outcome)
        observer = Observer(spec)
        _execute(spec, watchdog, outcome, mask)
        _check_after(spec, outcome)
        outcome.status = "succeeded"
    except BaseException as error:
        _explain(spec, outcome, error, memory)
        log.error("%s: %s", outcome.error_name, outcome.error)
    finally:
        watchdog.finish()
        for name in ("error", "traceback_tail", "hint"):
            setattr(outcome, name, mask.document(getattr(outcome, name)))
        _clean_up(spec, outcome, observer)
        outcome.ended_at = _now()
    return outcome


def _memory_limit(grant_file: Path) -> str | None:
    """The memory that the stage's kernel may use, in words; None for no limit, or a grant that cannot be read."""
    from himalia_kernels.limits import Limits

    try:
        granted = (json.loads(grant_file.read_text("utf-8")).get("limits") or {}).get("memory_bytes")
    except (OSError, ValueError):
        return None  # then no kernel starts
    return Limits(granted).memory_text if granted else None


def _check_environment(grant_file: Path) -> None:
    """Refuse a stage whose environment is gone: its key says what it runs in, and another one is another result."""
    try:
        grant = json.loads(grant_file.read_text("utf-8"))
        python, name = grant.get("python"), (grant.get("environment") or {}).get("name")
    except (OSError, ValueError, AttributeError):
        return  # then no kernel starts
    if isinstance(python, str) and python and not os.access(python, os.X_OK):
        message = f"The environment of this stage ({name}) was removed meanwhile: there is no {python}"
        raise StageError("EnvironmentMissing", message, "Run it again: the environment is built anew first.")


def _check_before(spec: StageSpec, outcome: Outcome) -> None:
    _check_environment(spec.grant_file)
    path = spec.workdir / spec.notebook
    try:
        notebook = load_notebook(path)
        _check_language(spec, notebook)
        problems = check_parameters(notebook, spec.parameters)
        derived = [] if problems else derived_values(notebook, spec.parameters)
    except NotebookUnreadableError as error:
        hint = "Open it in JupyterLab, or take an earlier version of it."
        raise StageError("NotebookUnreadableError", f"{spec.notebook}: {error}", hint) from error
    outcome.warnings += [str(warning) for warning in derived]
    for warning in derived:
        log.warning("%s: %s", spec.notebook, warning)
    if problems:
        found = " ".join(problem.message + "." for problem in problems)
        hint = " ".join(problem.hint for problem in problems if problem.hint)
        raise StageError("ParameterError", found, hint or None)
    for output in spec.outputs:
        (spec.workdir / output).parent.mkdir(parents=True, exist_ok=True)


def _check_language(spec: StageSpec, notebook: Mapping[str, Any]) -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        speaks = KernelSpecManager().get_kernel_spec(spec.kernel_name).language
    except NoSuchKernel as error:
        message = f"There is no kernel {spec.kernel_name!r} on this host"
        hint = "`himalia down`, then `himalia up`: that writes the kernels of the site's projects anew."
        raise StageError("NoSuchKernel", message, hint) from error
    metadata = notebook.get("metadata", {})
    written = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
    if written and speaks and str(written).lower() != speaks.lower():
        message = f"{spec.notebook} is written in {written}, and the kernel {spec.kernel_name!r} runs {speaks}"
        hint = "Open the notebook with the project's kernel and save it, or give the stage a notebook in that language."
        raise StageError("LanguageMismatch", message, hint)


def _execute(spec: StageSpec, watchdog: Watchdog, outcome: Outcome, mask: Mask) -> None:
    import papermill
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError

    from himalia_kernels.engine import HimaliaEngine

    papermill_engines.register("himalia", HimaliaEngine)
    reporter: ProgressReporter | None = None
    if spec.progress_url:
        reporter = ProgressReporter(spec.progress_url, spec.token_file, spec.progress_detail)
    tally, cap = Tally(), OutputCap()
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
            start_timeout=spec.start_timeout_s,
            save_seconds=SAVE_SECONDS,
            autosave_cell_every=0,
            on_progress=reporter.report if reporter else None,
            on_cell_end=reporter.ended if reporter else None,
            cap=cap,
            log_cap=_LogHandler.cap,
            watchdog=watchdog,
            tally=tally,
            mask=mask,
        )
    except PapermillExecutionError as error:
        if isinstance(error, CellFailed):
            raise
        # the notebook ran to its end: papermill found the error of a cell that may raise (tag raises-exception)
    finally:
        outcome.cells, outcome.cells_run = tally.cells, tally.cells_run
        outcome.cell, outcome.cell_index = tally.cell, tally.cell_index
        outcome.exited_cell, outcome.cell_seconds = tally.exited, tally.seconds
        outcome.warnings += [f"A part of the output of cell {cell} was lost: it wrote too fast." for cell in tally.lost]
        outcome.cut_cells, outcome.cut_bytes = cap.cut_cells, cap.cut_bytes
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


def _explain(spec: StageSpec, outcome: Outcome, error: BaseException, memory: str | None) -> None:
    """Fill in how and why the stage ended; *memory* is its limit in words."""
    outcome.status, outcome.error_name = "failed", type(error).__name__
    outcome.error = shorten(str(error), TAIL_CHARACTERS)
    if isinstance(error, StageError):
        outcome.error_name, outcome.hint = error.name, error.hint
    elif isinstance(error, CellFailed):
        outcome.error_name = error.ename
        # a KeyError says no more than the key
        outcome.error = shorten(f"{error.ename}: {error.evalue}" if error.evalue else error.ename, TAIL_CHARACTERS)
        outcome.traceback_tail = _tail(error.traceback)
        outcome.hint = hints.for_cell(spec, error.ename, error.evalue)
        if error.ename == "SystemExit":
            # Python's own rule: a text is printed, and the status 1
            outcome.exit_status = int(error.evalue) if error.evalue.lstrip("-").isdigit() else 1
            outcome.error = shorten(f"The cell ended the notebook by sys.exit({error.evalue})", TAIL_CHARACTERS)
            outcome.hint = hints.for_exit(outcome.exit_status)
        elif error.ename.endswith("MemoryError"):
            outcome.oom, outcome.hint = True, hints.for_memory(memory)
    elif isinstance(error, KernelDied):
        outcome.status, outcome.signal, outcome.oom = "kernel_died", error.signal, error.oom
        outcome.exit_status = error.returncode if error.signal is None else None
        outcome.hint = hints.for_dead_kernel(error.signal, error.oom)
        if error.oom is True and memory is not None:
            outcome.hint = hints.for_memory(memory)
    elif isinstance(error, StageStopped):
        outcome.status, outcome.limit = error.reason, error.limit
        outcome.hint = hints.for_timeout(spec, error.limit) if error.reason == "timed_out" else None
    else:
        log.error("the stage's runner failed", exc_info=error)


def _tail(traceback: list[str]) -> str:
    lines = plain("\n".join(traceback)).splitlines()
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def _clean_up(spec: StageSpec, outcome: Outcome, observer: Observer | None) -> None:
    """Leave a notebook, and no process."""
    left = end_descendants()
    if left:
        log.info("ended %d process(es) that the notebook left", len(left))
    outcome.log_cut_bytes = _LogHandler.cap.cut
    if observer is not None:
        try:
            observer.finish(outcome)
        except Exception as error:
            outcome.observed = "none"
            outcome.warnings.append(f"What the stage read and wrote could not be told: {error}")
            log.warning("what the stage read and wrote could not be told", exc_info=error)
    try:
        _keep_notebook(spec, outcome)
    except Exception as error:
        log.warning("the notebook could not be kept: %s", error)


def _keep_notebook(spec: StageSpec, outcome: Outcome) -> None:
    """See that there is a notebook and that it says how the stage ended."""
    import nbformat
    from papermill.execute import remove_error_markers

    source = spec.output if spec.output.exists() else spec.workdir / spec.notebook
    notebook = remove_error_markers(nbformat.read(source, as_version=4))
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
