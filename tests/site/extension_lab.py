"""A real Jupyter server with Himalia's extension, for tests. Reached through a unix socket, so no port is needed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.sync.client import ClientConnection, unix_connect

from himalia_server.service import lifecycle
from himalia_server.service.lifecycle import Found
from himalia_server.service.site import Site
from tests.waiting import short_dir, terminate_jupyter, wait_until

TOKEN = "a-token-of-this-test"
BASE_URL = "/user/ada/"
HOST = "localhost"
STOP_SECONDS = 60.0
"""For how long a server that has heard may take to end."""
ORIGIN = f"http://{HOST}"

TWO_USERS = """
from jupyter_server.auth import IdentityProvider, User


class ByCookie(IdentityProvider):
    token = ""

    def get_user(self, handler):
        name = handler.get_cookie("who")
        return User(name) if name else None


c.ServerApp.identity_provider_class = ByCookie
"""
"""Configuration of a Jupyter server that believes the cookie `who`, as one on a Hub believes the Hub."""


@dataclass(frozen=True)
class Jupyter:
    """A running Jupyter server and the home of its Himalia site."""

    folder: Path
    process: subprocess.Popen[bytes]
    base_url: str = BASE_URL

    @property
    def socket(self) -> Path:
        return self.folder / "jupyter.sock"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def site(self) -> Site:
        return Site.open(self.home)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def terminate(self) -> None:
        """Ask it to end."""
        terminate_jupyter(self.process, self.folder / "log")

    def client(self, *, token: str | None = TOKEN, who: str | None = None, **settings: Any) -> httpx.Client:
        """Requests below `himalia/`, with the token, with the cookie of a user, or without both."""
        headers = {"Authorization": f"token {token}"} if token else {}
        headers |= {"Cookie": f"who={who}"} if who else {}
        headers |= settings.pop("headers", {})
        transport = httpx.HTTPTransport(uds=str(self.socket))
        url = f"http://{HOST}{self.base_url}himalia/"
        return httpx.Client(transport=transport, base_url=url, headers=headers, timeout=90, **settings)

    def get(self, path: str, **settings: Any) -> httpx.Response:
        """One GET below the base URL (of Jupyter's own API too)."""
        with self.client(**settings) as client:
            return client.get(f"http://{HOST}{self.base_url}{path}")

    def websocket(
        self, path: str, *, token: str | None = TOKEN, headers: dict[str, str] | None = None, **settings: Any
    ) -> ClientConnection:
        """A WebSocket below `himalia/`."""
        sent = {"Authorization": f"token {token}"} if token else {}
        uri = f"ws://{HOST}{self.base_url}himalia/{path}"
        return unix_connect(
            str(self.socket), uri, additional_headers=sent | (headers or {}), open_timeout=60, proxy=None, **settings
        )

    def found(self) -> Found | None:
        """The running service."""
        return lifecycle.find(self.site) if Site.exists(self.home) else None

    def start_service(self) -> Found:
        """Start the service as the page does."""
        with self.client() as client:
            answer = client.post("api/status")
        assert answer.status_code == 200, answer.text
        found = self.found()
        assert found is not None
        return found

    def last_activity(self) -> str:
        """When Jupyter believes that somebody did something last."""
        return str(self.get("api/status").json()["last_activity"])


@contextmanager
def jupyter(
    config: str = "",
    *,
    base_url: str = BASE_URL,
    environment: dict[str, str] | None = None,
    unauthenticated: bool = False,
) -> Iterator[Jupyter]:
    """A Jupyter server with Himalia's extension; it and the service that it started end with the block.

    *unauthenticated*: Jupyter leaves it to each route to want a login (its default).
    """
    with short_dir() as folder:
        (folder / "jupyter_server_config.py").write_text(f"c = get_config()\n{config}")
        (folder / "tmp").mkdir()
        command = [
            *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
            *(f"--ServerApp.sock={folder / 'jupyter.sock'}", f"--ServerApp.base_url={base_url}"),
            *(f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}"),
            f"--ServerApp.allow_unauthenticated_access={unauthenticated}",
            "--ServerApp.jpserver_extensions=himalia_server.extension=True",
            "--ServerApp.log_level=DEBUG",
        ]
        variables = {
            "HIMALIA_HOME": str(folder / "home"),
            "JUPYTER_CONFIG_DIR": str(folder),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "run"),
            "PATH": str(Path(sys.executable).parent),
            "PYTHONFAULTHANDLER": "1",  # what hangs is told, see _stop
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=variables | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        server = Jupyter(folder, process, base_url)
        try:
            wait_until(lambda: answers(server) or process.poll() is not None, 60, "the Jupyter server")
            assert process.poll() is None, server.log()
            yield server
        finally:
            try:
                _stop(server)
            finally:
                if found := server.found():
                    lifecycle.stop(found)
                _end_services(server.home)
                if Site.exists(server.home):
                    shutil.rmtree(server.site.runtime, ignore_errors=True)


def _stop(server: Jupyter) -> None:
    """Ask the server to end; one that does not is made to say what it is doing."""
    server.terminate()
    try:
        server.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        children = [child.cmdline() for child in psutil.Process(server.process.pid).children(recursive=True)]
        server.process.send_signal(signal.SIGABRT)
        server.process.wait()
        raise AssertionError(f"the Jupyter server did not end; its children: {children}\n{server.log()}") from None


def _end_services(home: Path) -> None:
    """End what is left of the site: a fake service may have taken the state file of a real one."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("HIMALIA_HOME") == str(home) and "himalia_server.service" in process.cmdline():
                process.kill()
                process.wait(20)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def answers(server: Jupyter) -> bool:
    """Whether the server takes requests (whoever asks)."""
    try:
        return server.get("api").status_code < 500
    except httpx.TransportError:
        return False


def message(socket: ClientConnection, timeout: float = 30) -> dict[str, Any]:
    """The next event."""
    document: dict[str, Any] = json.loads(socket.recv(timeout=timeout))
    return document
