"""A real JupyterLab under a Hub-like prefix, with settings of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests import frontend
from tests.waiting import terminate_jupyter, wait_until

TOKEN = "a-token-of-this-test"
BASE_URL = "/user/ada/lab/"
QUIET: dict[str, dict[str, Any]] = {
    "notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}
"""Settings without which JupyterLab asks its own questions, or other hosts."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Jupyter:
    """One Jupyter server; it starts in the test's environment, so with the test's site."""

    folder: Path
    """Settings, workspaces, log."""
    root: Path
    """What the file browser shows."""
    base_url: str = BASE_URL
    himalia: bool = True
    program: str = "jupyterlab"
    config: str = ""
    """Python of a jupyter_server_config.py."""
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.origin + self.base_url

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = self.folder / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        for name, content in QUIET.items():
            (settings / name).write_text(json.dumps(content))
        (self.folder / "config" / "labconfig").mkdir(parents=True, exist_ok=True)
        if not self.himalia:
            page_config = self.folder / "config" / "labconfig" / "page_config.json"
            page_config.write_text(json.dumps({"disabledExtensions": {"himalia": True}}))
        (self.folder / "config" / "jupyter_server_config.py").write_text(f"c = get_config()\n{self.config}")
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=self.root, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: self.answers() or not self.lives(), 60, "the Jupyter server")
        assert self.lives(), self.log()

    def stop(self) -> None:
        """End it; the service goes on."""
        if self.process is not None:
            terminate_jupyter(self.process, self.folder / "log")
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def forget_layouts(self) -> None:
        """Forget the workspaces, so that the next page opens as the first one did."""
        shutil.rmtree(self.folder / "workspaces", ignore_errors=True)

    def end_kernels(self) -> None:
        """End all kernels, and the sessions that hold them."""
        for kernel in self.request("GET", "api/kernels").json():
            self.request("DELETE", f"api/kernels/{kernel['id']}")

    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        try:
            return self.request("GET", "api").status_code < 500
        except httpx.TransportError:
            return False

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request to Jupyter's own interface, with the token."""
        headers = {"Authorization": f"token {TOKEN}"}
        return httpx.request(method, self.url + path, headers=headers, trust_env=False, timeout=60, **kwargs)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _command(self) -> list[str]:
        command = [
            *(sys.executable, "-m", self.program, "--no-browser", "--allow-root"),
            *(f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
            *(f"--ServerApp.base_url={self.base_url}", f"--ServerApp.root_dir={self.root}"),
            *(f"--IdentityProvider.token={TOKEN}", "--ServerApp.allow_unauthenticated_access=False"),
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            # Himalia keeps no kernel alive and starts none; whichever lives was started by a test.
            "--ServerApp.terminals_enabled=False",
        ]
        if not self.himalia:
            return [*command, "--ServerApp.jpserver_extensions=himalia_server.extension=False"]
        if frontend.is_editable():
            command += [
                f"--LabServerApp.extra_labextensions_path={self._linked()}",
                "--ServerApp.jpserver_extensions=himalia_server.extension=True",
            ]
        return command

    def _linked(self) -> Path:
        """A folder of labextensions that holds the one of the working tree."""
        folder = self.folder / "labextensions"
        folder.mkdir(exist_ok=True)
        link = folder / "himalia"
        if not link.is_symlink():
            link.symlink_to(frontend.dist())
        return folder

    def _environ(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "run"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }
        return {name: value for name, value in os.environ.items() if name != "JUPYTER_TOKEN"} | own | self.environment
