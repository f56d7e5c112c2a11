"""Live controls of clusters and runs in a notebook. Imported only where ipywidgets is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from himalia._errors import HimaliaError
from himalia._resources import Cluster
from himalia._runs import Run

FOLLOW_SECONDS = 60.0
PAUSE_SECONDS = 1.0


def cluster_panel(cluster: Cluster) -> Any:
    """A widget that shows *cluster* and can scale, refresh and stop it.

    After an action it follows the cluster until nothing changes any more, for a minute at most; at rest it
    asks the service for nothing.
    """
    return _Panel(cluster).box


class _Panel:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.view = ipywidgets.HTML(cluster._repr_html_())
        self.message = ipywidgets.HTML()
        self.workers = ipywidgets.BoundedIntText(value=cluster.workers or 0, min=0, max=10_000, description="Workers")
        self.target: int | None = None
        self.following = threading.Lock()
        buttons = [
            self._button("Scale", "Change the number of workers", self._scale),
            self._button("Refresh", "Ask for the present state", self.cluster.refresh),
            self._button("Stop", "Stop the cluster; work that runs on it is lost", self._stop),
        ]
        self.box = ipywidgets.VBox([self.view, ipywidgets.HBox([self.workers, *buttons]), self.message])
        if cluster.state == "starting":
            self._follow()

    def _button(self, label: str, tooltip: str, act: Callable[[], object]) -> Any:
        button = ipywidgets.Button(description=label, tooltip=tooltip)
        button.on_click(lambda _: self._do(act))
        return button

    def _do(self, act: Callable[[], object]) -> None:
        self.message.value = ""
        try:
            act()
        except HimaliaError as error:
            self.message.value = f"<p>{escape(str(error))}</p>"
        self.view.value = self.cluster._repr_html_()
        if self._moving():
            self._follow()

    def _scale(self) -> None:
        self.target = int(self.workers.value)
        self.cluster.scale(self.target)

    def _stop(self) -> None:
        self.target = None
        self.cluster.stop()

    def _moving(self) -> bool:
        if self.cluster.state in {"stopped", "failed"}:
            return False
        waiting = self.target is not None and self.target != self.cluster.workers
        return waiting or self.cluster.state in {"starting", "closing"}

    def _follow(self) -> None:
        if self.following.acquire(blocking=False):
            threading.Thread(target=self._watch, name="himalia-cluster-panel", daemon=True).start()

    def _watch(self) -> None:
        end = time.monotonic() + FOLLOW_SECONDS
        try:
            while self._moving() and time.monotonic() < end:
                time.sleep(PAUSE_SECONDS)
                self.cluster.refresh()
                self.view.value = self.cluster._repr_html_()
        except HimaliaError as error:
            self.message.value = f"<p>{escape(str(error))}</p>"
        finally:
            self.following.release()


def run_panel(run: Run) -> Any:
    """A widget that shows *run* and can cancel it; it follows the run to its end, then asks for nothing more."""
    return _RunPanel(run).box


class _RunPanel:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.view = ipywidgets.HTML(run._repr_html_())
        self.message = ipywidgets.HTML()
        self.button = ipywidgets.Button(description="Cancel", tooltip="Stop the run", disabled=run.ended)
        self.button.on_click(lambda _: self._cancel())
        self.box = ipywidgets.VBox([self.view, self.button, self.message])
        threading.Thread(target=self._watch, name="himalia-run-panel", daemon=True).start()

    def _cancel(self) -> None:
        try:
            self._show(self.run.cancel())
        except HimaliaError as error:
            self.message.value = f"<p>{escape(str(error))}</p>"

    def _show(self, run: Run) -> None:
        self.view.value = run._repr_html_()
        self.button.disabled = run.ended

    def _watch(self) -> None:
        try:
            self.run.follow(self._show)
        except HimaliaError as error:
            self.message.value = f"<p>It is no longer followed here: {escape(str(error))}</p>"
