"""Notebooks that need no verification: what they show is what a stage of the project has shown.

A stage runs on a snapshot in a clean kernel, as a verification does. So a notebook is verified by construction when its
file is the one that a stage kept, or the one that a stage executed and its saved outputs are what came of that.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from sqlalchemy import select

from ..content import ContentStore, MissingContent
from ..service.context import Context
from ..service.problems import Invalid
from ..store import Project, Run, StageRun
from .compare import DeclarationFault, Verdict, compare_notebooks, has_saved_outputs
from .models import StageVerdict
from .reading import read_book

GOOD = (Verdict.IDENTICAL, Verdict.WITHIN_TOLERANCE)
NEWEST = 50
"""Stages that are looked at, from the newest."""
REMEMBERED = 500
"""Comparisons; a notebook's badge is asked for again and again."""
INJECTED = "injected-parameters"


class Constructed:
    """Finds the stage that a notebook was verified by."""

    def __init__(self, context: Context, content: ContentStore) -> None:
        self.context, self.content = context, content
        self._known: OrderedDict[tuple[str, str], Verdict | None] = OrderedDict()

    def find(self, project: Project, notebook: str, digest: str | None) -> StageVerdict | None:
        """The newest stage that vouches for the notebook as it is now, whose content has this *digest*."""
        if digest is None:
            return None
        query = (
            select(StageRun, Run)
            .join(Run, Run.id == StageRun.run_id)
            .where(
                Run.project_id == project.id,
                Run.kind != "verification",
                StageRun.status == "succeeded",
                StageRun.notebook_digest.is_not(None),
            )
            .order_by(Run.id.desc(), StageRun.position)
            .limit(NEWEST)
        )
        with self.context.database.read() as session:
            rows = [(stage, run) for stage, run in session.execute(query)]
        for stage, run in rows:
            if run.manifest.get("stages", {}).get(stage.stage, {}).get("notebook") != notebook:
                continue
            verdict = self._verdict(notebook, digest, stage, run)
            if verdict in GOOD:
                return StageVerdict(
                    run=run.id,
                    stage=stage.stage,
                    verdict=verdict,
                    params=stage.params,
                    environment=run.environment,
                    ended_at=stage.ended_at,
                )
        return None

    def _verdict(self, notebook: str, digest: str, stage: StageRun, run: Run) -> Verdict | None:
        kept = str(stage.notebook_digest)
        if digest == kept:
            return Verdict.IDENTICAL
        try:
            executed = self.content.tree(run.snapshot).get(notebook)
            if executed is None or executed.digest != digest:
                return None
            if (digest, kept) not in self._known:
                self._known[digest, kept] = self._compared(notebook, digest, kept)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return self._known[digest, kept]
        except MissingContent:
            return None  # collected: nothing is left to compare with

    def _compared(self, notebook: str, digest: str, kept: str) -> Verdict | None:
        try:
            saved, executed = (self._book(notebook, one) for one in (digest, kept))
            return compare_notebooks(saved, executed).verdict if has_saved_outputs(saved) else None
        except (Invalid, DeclarationFault):
            return None  # verifying it says why

    def _book(self, notebook: str, digest: str) -> dict[str, Any]:
        """Without the cell of parameters that a run has put in."""
        book = read_book(self.content.path(digest).read_bytes(), notebook)
        cells = [cell for cell in book["cells"] if INJECTED not in cell.get("metadata", {}).get("tags", ())]
        return book | {"cells": cells}
