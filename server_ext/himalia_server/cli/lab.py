"""JupyterLab in a project: the command that starts it, and JupyterLab beside the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from jupyter_core.paths import jupyter_runtime_dir

from ..service.site import Site
from .output import Failure

START_SECONDS = 60.0
STOP_SECONDS = 10.0


def lab_command(view: dict[str, Any], arguments: tuple[str, ...] = ()) -> list[str]:
    """The command that opens JupyterLab in the workspace of a project (*view*, as the service tells it).

    The file browser's root is the folder above the project, so that projects beside it can be opened too.
    """
    folder = Path(view["path"])
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.parent}"]
    command += [
        f"--LabApp.default_url=/{_page(view)}",
        f"--MultiKernelManager.default_kernel_name={view['kernelspec']}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # whoever started the service as root has decided already
    return [*command, *arguments]


def _page(view: dict[str, Any]) -> str:
    """The project's workspace, below JupyterLab's address."""
    return f"lab/workspaces/{quote(view['slug'])}/tree/{quote(Path(view['path']).name)}"


def has_browser() -> bool:
    """Whether a window can be opened: over ssh a browser of the terminal would take it over."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class RunningLab:
    """A JupyterLab of our own, in a session of its own: Ctrl-C is for us to pass on, or not. It does not outlive us:
    until it is stopped, a closed terminal and SIGTERM are taken as Ctrl-C."""

    def __init__(self, site: Site, view: dict[str, Any]) -> None:
        self._log = site.log("jupyterlab")
        arguments = () if has_browser() else ("--no-browser",)
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._before = {number: signal.signal(number, _interrupt) for number in (signal.SIGHUP, signal.SIGTERM)}
        try:
            self._process = subprocess.Popen(
                lab_command(view, arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._page = _page(view)

    def address(self) -> str:
        """Where it is, with its token; waits until it serves.

        Raises:
            Failure: it does not start.
        """
        file = Path(jupyter_runtime_dir()) / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Failure(f"JupyterLab ended at once (exit code {self._process.returncode}).", f"See {self._log}.")
            try:
                facts = json.loads(file.read_text())
            except (OSError, ValueError):
                time.sleep(0.1)
                continue
            return f"{facts['url']}{self._page}?token={facts['token']}"
        raise Failure(f"JupyterLab did not start within {START_SECONDS:g} s.", f"See {self._log}.")

    def wait(self) -> None:
        """Until the user ends it with Ctrl-C.

        Raises:
            Failure: it ended by itself.
        """
        try:
            code = self._process.wait()
        except KeyboardInterrupt:
            self.stop()
            return
        self.stop()
        if code != 0:
            raise Failure(f"JupyterLab ended by itself (exit code {code}).", f"See {self._log}.")

    def stop(self) -> None:
        """End it. Runs, clusters and endpoints are the service's and go on."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
