"""Saves the notebook while it runs.

To be imported through :mod:`himalia_kernels.engine` only, for the reason said there.
"""

# mypy: disable-error-code="misc,has-type"

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from papermill.engines import NotebookExecutionManager

from himalia_kernels.notebook import save

SAVE_SHARE = 10
"""A notebook is saved again after this many times the time that its last save took."""


class ExecutionManager(NotebookExecutionManager):
    """papermill's keeper of the notebook, which saves a local file in one step, and not too often."""

    save_seconds = 0.0
    changed = False
    """Whether something is not saved yet."""
    _due = 0.0

    def save(self, **kwargs: Any) -> None:
        """Save the notebook as it is, or note that it is to be saved."""
        self.nb = kwargs.get("nb") or self.nb
        if not self.output_path or "://" in self.output_path:
            super().save()
            return
        started = time.monotonic()
        self.changed = bool(self.save_seconds) and started < self._due
        if self.changed:
            return
        save(self.nb, Path(self.output_path))
        ended = time.monotonic()
        # a long notebook takes long to write, and must not be written all the time
        self._due = ended + max(self.save_seconds, SAVE_SHARE * (ended - started))
        self.last_save_time = self.now()

    def save_changes(self) -> None:
        """Save what has changed, if it is time to."""
        if self.changed:
            self.save()
