"""Who may connect to a debugger: this account."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from himalia._debug_guard.peers import of_this_account
from himalia._debugger import GUARD, _GuardedSocket

needs_table = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells whose a connection is")


@needs_table
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_account_of_the_other_end_is_looked_up(family: int, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener, socket.create_connection(listener.getsockname()[:2]), listener.accept()[0] as accepted:
        assert of_this_account(accepted) is True
        monkeypatch.setattr(os, "getuid", lambda: 4711)
        assert of_this_account(accepted) is False


@needs_table
def test_a_guarded_socket_hangs_up_on_others_and_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = socket.create_server(("127.0.0.1", 0))
    made.settimeout(10)
    with _GuardedSocket(fileno=made.detach()) as listener:
        listener.settimeout(10)
        answers = iter([False, True])
        monkeypatch.setattr("himalia._debug_guard.peers.of_this_account", lambda _: next(answers))
        with (
            socket.create_connection(listener.getsockname()) as first,
            socket.create_connection(listener.getsockname()),
        ):
            accepted, _ = listener.accept()
            accepted.close()
            assert first.recv(1) == b""


def test_python_loads_the_guard_by_itself() -> None:
    """As debugpy's adapter is started: by a path, with an environment."""
    code = "import socket, sitecustomize; print(socket.socket.accept is sitecustomize.accept)"
    environment = {**os.environ, "PYTHONPATH": GUARD}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
