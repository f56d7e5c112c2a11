"""The worker's side of `_sources`. Imports distributed."""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from himalia import _sources


class SourcesPlugin(WorkerPlugin):  # type: ignore[misc]
    """Has a worker import the project's modules; one that takes its place replaces them."""

    name = _sources.NAME

    def __init__(self, lot: str, files: _sources.Files) -> None:
        self.lot, self.files = lot, dict(files)

    def setup(self, worker: Any) -> None:
        """Called by each worker, also by those that come later."""
        _sources.install(self.lot, self.files)
