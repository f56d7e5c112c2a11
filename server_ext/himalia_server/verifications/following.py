"""One verification, from its first run to its verdict. The truth is in the store: another service can go on with it."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ..content import ContentStore, MissingContent
from ..pipelines import NOTEBOOK_STAGE, TERMINAL, Options, Pinned, Pipelines, RunRequest
from ..service.auth import Principal
from ..service.context import Context
from ..service.problems import Problem
from ..store import Project, Run, StageRun, Verification, now
from ..team import Role
from .causes import needs_second_run
from .compare import DeclarationFault, NotebookComparison, Tolerance, Verdict, code_cells, compare_notebooks, failing
from .inputs import error_text, missing_in, within
from .judging import Judgement, document, judge, summary
from .reading import read_book

log = logging.getLogger(__name__)
MOST_RUNS = 6
"""A first one, and again for each input that was found missing."""
LOOK_SECONDS = 5.0
"""Between looks while no event comes."""
HASH_SEEDS = ("1", "2")
"""PYTHONHASHSEED of the second run: one that the first did not have."""


@dataclass(frozen=True)
class Ended:
    """A run that has ended. *book*: its executed notebook; None when there is none."""

    run: Run
    stage: StageRun
    book: dict[str, Any] | None


class Follower:
    """Follows one verification in the calling thread."""

    def __init__(
        self, context: Context, pipelines: Pipelines, content: ContentStore, stopping: threading.Event, row_id: str
    ) -> None:
        self.context, self.pipelines, self.content = context, pipelines, content
        self.stopping, self.row_id = stopping, row_id
        self._told: tuple[Any, ...] = ()

    def run(self) -> None:
        """To its end, or to that of the service."""
        wake = threading.Event()
        self.context.events.listen(wake.set)
        try:
            while not self.stopping.is_set():
                wake.clear()
                if self._step():
                    return
                wake.wait(LOOK_SECONDS)
        except Exception as error:
            if self.stopping.is_set():
                return
            log.exception("a verification ended by a fault", extra={"verification": self.row_id})
            self._end("failed", reason=f"It could not be carried out: {_said(error)}")
        finally:
            self.context.events.unlisten(wake.set)

    def _step(self) -> bool:
        """Look where it is; returns whether it has ended."""
        with self.context.database.read() as session:
            row = session.get(Verification, self.row_id)
            if row is None or row.status != "running":
                return True
            project = session.get_one(Project, row.project_id)
            run = session.get(Run, str(row.runs[-1]))
            stage = session.get(StageRun, (str(row.runs[-1]), NOTEBOOK_STAGE))
        if run is None or stage is None:
            self._end("failed", reason="The run that executed it is gone.")
            return True
        if run.status not in TERMINAL:
            self._tell(project, row, stage)
            return False
        return self._run_ended(project, row, run, stage)

    def _tell(self, project: Project, row: Verification, stage: StageRun) -> None:
        where = (stage.run_id, stage.status, stage.reason, stage.cell, stage.cells)
        if where == self._told:
            return
        self._told = where
        data = {
            "notebook": row.notebook,
            "run": stage.run_id,
            "pass": _pass(row),
            "status": stage.status,
            "cell": stage.cell,
            "cells": stage.cells,
            "label": stage.label,
            "waiting": stage.reason if stage.status in ("pending", "waiting") else None,
        }
        with self.context.change() as change:
            change.event("verification.progress", self.row_id, data, project)

    # --- when a run has ended

    def _run_ended(self, project: Project, row: Verification, run: Run, stage: StageRun) -> bool:
        if row.options.get("second") == run.id:
            first = self._load(str(row.options["first"]))
            second = self._load(run.id)
            # what a second run cannot tell, because it was stopped or its kernel died, is left open
            usable = second if stage.status in ("succeeded", "failed") else None
            self._conclude(project, row, first, usable)
            return True
        if run.status == "cancelled" or stage.status == "cancelled":
            self._end("cancelled", reason=run.reason or stage.outcome.get("error"))
            return True
        ended = self._load(run.id)
        if ended.book is None or not _began(ended.book):
            reason = stage.outcome.get("error") or run.reason or "The notebook was not executed."
            hint = stage.outcome.get("hint")
            self._end("failed", reason=f"{reason} {hint}" if hint else str(reason))
            return True
        if (more := self._missing(project, row, ended)) and len(row.runs) < MOST_RUNS:
            self._again(project, row, ended, more)
            return False
        comparison = self._compared(project, row, ended)
        saved = self._saved(row)
        able = row.options.get("second_run", True) and stage.status in ("succeeded", "failed")
        if able and needs_second_run(saved, comparison):
            self._second(project, row, ended)
            return False
        self._conclude(project, row, ended, None)
        return True

    def _load(self, run_id: str) -> Ended:
        with self.context.database.read() as session:
            run, stage = session.get_one(Run, run_id), session.get_one(StageRun, (run_id, NOTEBOOK_STAGE))
        book = None
        if stage.notebook_digest is not None:
            book = read_book(self.content.path(stage.notebook_digest).read_bytes(), "The executed notebook")
        return Ended(run, stage, book)

    def _saved(self, row: Verification) -> dict[str, Any]:
        return read_book(self.content.path(row.notebook_digest).read_bytes(), row.notebook)

    def _missing(self, project: Project, row: Verification, ended: Ended) -> list[str]:
        """Project files that the notebook wanted and did not get."""
        assert ended.book is not None
        saved = [cell for _, cell in code_cells(self._saved(row))]
        texts = []
        for place, (_, cell) in enumerate(code_cells(ended.book)):
            before = saved[place] if place < len(saved) else {}
            if failing(cell.get("outputs", [])) and not failing(before.get("outputs", [])):
                texts.append(error_text(cell["outputs"]))
        if ended.stage.outcome.get("error"):
            texts.append(str(ended.stage.outcome["error"]))
        work = [str(self._work(ended.run.id))]
        known = {*row.options.get("inputs", []), *self.content.tree(ended.run.snapshot)}
        found = missing_in(Path(project.path), row.notebook, "\n".join(texts), work)
        return [path for path in found if path not in known]

    def _again(self, project: Project, row: Verification, ended: Ended, more: list[str]) -> None:
        """Run once more, with inputs that were found missing; the code stays what it was."""
        inputs = sorted({*row.options.get("inputs", []), *more})

        def on_created(session: Any, run: Run) -> None:
            mine = session.get_one(Verification, self.row_id)
            mine.runs = [*mine.runs, run.id]
            mine.snapshot = run.snapshot
            mine.options = mine.options | {"inputs": inputs}

        request = RunRequest(
            options=Options(force=True),
            kind="verification",
            notebook=row.notebook,
            inputs=tuple(more),
            trigger="verification",
            pinned=_pinned(ended.run, row.notebook),
            on_created=on_created,
        )
        self.pipelines.start(_acting(row), project, request)

    def _second(self, project: Project, row: Verification, ended: Ended) -> None:
        """Run the same snapshot once more, with the order of sets and dictionaries' hashes chosen anew."""

        def on_created(session: Any, run: Run) -> None:
            mine = session.get_one(Verification, self.row_id)
            mine.runs = [*mine.runs, run.id]
            mine.options = mine.options | {"first": ended.run.id, "second": run.id}

        had = ended.run.options.get("env", {}).get("PYTHONHASHSEED")
        request = RunRequest(
            options=Options(force=True),
            kind="verification",
            notebook=row.notebook,
            trigger="verification",
            pinned=_pinned(ended.run, row.notebook),
            env={"PYTHONHASHSEED": next(seed for seed in HASH_SEEDS if seed != had)},
            on_created=on_created,
        )
        self.pipelines.start(_acting(row), project, request)

    # --- the verdict

    def _work(self, run_id: str) -> Path:
        return self.context.site.home / "runs" / run_id / NOTEBOOK_STAGE / "work"

    def _places(self, project: Project, *run_ids: str) -> list[str]:
        places = [Path(project.path), *(self._work(run_id) for run_id in run_ids)]
        return list(dict.fromkeys([str(place) for place in places] + [str(place.resolve()) for place in places]))

    def _tolerance(self, row: Verification) -> Tolerance:
        rtol = row.options.get("rtol")
        return Tolerance() if rtol is None else Tolerance(rtol=float(rtol))

    def _compared(self, project: Project, row: Verification, ended: Ended) -> NotebookComparison:
        assert ended.book is not None
        places = self._places(project, ended.run.id)
        return compare_notebooks(self._saved(row), ended.book, self._tolerance(row), places=places)

    def _conclude(self, project: Project, row: Verification, first: Ended, second: Ended | None) -> None:
        assert first.book is not None
        runs = [first.run.id] + ([second.run.id] if second else [])
        try:
            found = judge(
                self._saved(row),
                first.book,
                tolerance=self._tolerance(row),
                places=self._places(project, *runs),
                second=second.book if second else None,
                changed_files=self._changed_files(project, row, first),
                cut=_cut_cells(first),
            )
        except DeclarationFault as fault:
            self._end("failed", reason=str(fault))
            return
        reason = None
        if first.stage.status not in ("succeeded", "failed"):
            found.verdict = Verdict.FAILED
            reason = str(first.stage.outcome.get("error") or first.stage.status)
        kept = self.content.put_bytes(json.dumps(document(found)).encode())
        self._end("ended", found, kept, first, reason=reason)

    def _changed_files(self, project: Project, row: Verification, ended: Ended) -> dict[str, str]:
        """Files that the notebook read and that changed after it was saved, as far as can be known."""
        outcome = ended.stage.outcome
        files = {path: entry.digest for path, entry in self.content.tree(ended.run.snapshot).items()}
        own = {row.notebook, *(outcome.get("writes") or ()), *(outcome.get("changed_inputs") or ())}
        # what its code names too: not every system tells what a kernel reads
        named = (path for path in files if any(within(path, one) for one in row.options.get("inputs", [])))
        known = dict.fromkeys([*(outcome.get("reads") or ()), *named])
        reads = [path for path in known if path in files and path not in own]
        earlier = self._earlier(row)
        found: dict[str, str] = {}
        for path in reads:
            before = earlier.get(path)
            if before is not None and before != files[path]:
                found[path] = "has another content than when this notebook was last verified"
                continue
            try:
                changed = (Path(project.path) / path).stat().st_mtime
            except OSError:
                continue
            if changed > float(row.options.get("saved_at", 0.0)) and not path.endswith((".py", ".ipynb")):
                found[path] = "was changed after the notebook was saved"
            elif changed > float(row.options.get("saved_at", 0.0)):
                found[path] = "is code that was changed after the notebook was saved"
        return found

    def _earlier(self, row: Verification) -> dict[str, str]:
        """Files and their digests as the last verification of this very notebook read them."""
        query = (
            select(Verification)
            .where(
                Verification.project_id == row.project_id,
                Verification.notebook == row.notebook,
                Verification.notebook_digest == row.notebook_digest,
                Verification.status == "ended",
                Verification.id < row.id,
            )
            .order_by(Verification.id.desc())
            .limit(1)
        )
        with self.context.database.read() as session:
            last = session.scalar(query)
        if last is None or last.snapshot is None:
            return {}
        try:
            return {path: entry.digest for path, entry in self.content.tree(last.snapshot).items()}
        except MissingContent:
            return {}  # collected meanwhile: then the times of the files have to do

    def _end(
        self,
        status: str,
        found: Judgement | None = None,
        kept: str | None = None,
        ended: Ended | None = None,
        *,
        reason: str | None = None,
    ) -> None:
        with self.context.change() as change:
            row = change.session.get(Verification, self.row_id)
            if row is None or row.status != "running":
                return
            project = change.session.get_one(Project, row.project_id)
            row.status, row.reason, row.ended_at = status, reason, max(now(), row.created_at)
            if ended is not None:
                row.environment = ended.run.environment
            if found is not None:
                row.verdict, row.comparison, row.summary = found.verdict.value, kept, summary(found)
            first = row.summary.get("first") if found else None
            data = {
                "notebook": row.notebook,
                "status": status,
                "verdict": row.verdict,
                "cell": first["number"] if first else None,
                "reason": reason,
            }
            change.audit("verify.end", project, row.id, notebook=row.notebook, verdict=row.verdict, status=status)
            change.event("verification.ended", row.id, data, project)


def _pinned(run: Run, notebook: str) -> Pinned:
    """What a run was run on, its inputs too: nothing is taken from the folder again."""
    components = dict(run.manifest.get("components", {}))
    # a notebook that is a stage stays one, for it runs in another folder than others do
    stages = {} if "cwd" in run.options else {NOTEBOOK_STAGE: {"notebook": notebook}}
    manifest = {key: value for key, value in run.manifest.items() if key != "components"} | {"stages": stages}
    return Pinned(run.snapshot, manifest, components, run.code)


def _acting(row: Verification) -> Principal:
    """Who further runs of a verification are for: whoever began it."""
    return Principal(row.created_by, "verification", None, "", row.project_id, Role.CONTRIBUTOR, None, None)


def _pass(row: Verification) -> str:
    if row.options.get("second"):
        return "second"
    return "first" if len(row.runs) == 1 else "inputs"


def _cut_cells(ended: Ended) -> frozenset[int]:
    """Places among all cells of those whose output was cut; the outcome counts code cells with content, from 1."""
    book = ended.book or {}
    places = [index for index, cell in code_cells(book) if str(cell.get("source", "")).strip()]
    return frozenset(
        places[number - 1] for number in ended.stage.outcome.get("cut_cells") or () if number <= len(places)
    )


def _began(book: dict[str, Any]) -> bool:
    return any(cell.get("execution_count") or cell.get("outputs") for _, cell in code_cells(book))


def _said(error: BaseException) -> str:
    if isinstance(error, Problem):
        return f"{error.detail} {error.hint or ''}".strip()
    return str(error) or type(error).__name__
