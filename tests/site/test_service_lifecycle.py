"""The service: started once, found again, replaced when older, killed and started again, gone without a trace."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from himalia_server.service import lifecycle
from himalia_server.service.lifecycle import ServiceError
from himalia_server.service.site import Site, write_private
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until


@pytest.fixture
def fresh() -> Iterator[Lab]:
    """A site of its own, for tests that harm it."""
    with running_lab() as lab:
        yield lab


def himalia(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """The real command."""
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_many_callers_start_one_service(fresh: Lab) -> None:
    fresh.stop()
    code = (
        "from himalia_server.service import lifecycle; from himalia_server.service.site import Site;"
        "print(lifecycle.ensure_running(Site.open()).identity.pid)"
    )
    callers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    pids = {caller.communicate(timeout=120)[0].strip() for caller in callers}
    assert len(pids) == 1
    services = [p for p in fresh.processes() if "himalia_server.service" in p.cmdline()]
    assert [str(p.pid) for p in services] == list(pids)


def test_a_second_up_finds_the_first(fresh: Lab) -> None:
    done = himalia("up", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["started"] is False


def test_a_killed_service_is_started_again_by_the_next_call_and_adopts(fresh: Lab) -> None:
    wait_until(lambda: fresh.child_pid("mlflow"), 60, "MLflow's process")
    mlflow, address = fresh.child_pid("mlflow"), fresh.url
    fresh.kill_service()
    assert himalia("status").returncode == 3
    done = himalia("project", "list", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    fresh.start()
    assert fresh.url == address
    assert fresh.child_pid("mlflow") == mlflow
    assert fresh.get("/audit/check")["whole"] is True


def test_an_older_service_is_replaced_and_its_children_go_on(fresh: Lab) -> None:
    wait_until(lambda: fresh.child_pid("mlflow"), 60, "MLflow's process")
    mlflow, old = fresh.child_pid("mlflow"), fresh.found
    assert old is not None
    state = json.loads(fresh.site.state_file.read_text())
    write_private(fresh.site.state_file, json.dumps(state | {"version": "0.0.1"}))
    new = fresh.start()
    assert new.identity != old.identity
    assert not old.identity.alive()
    assert fresh.child_pid("mlflow") == mlflow


def test_a_newer_service_is_left_alone(fresh: Lab) -> None:
    state = json.loads(fresh.site.state_file.read_text())
    write_private(fresh.site.state_file, json.dumps(state | {"version": "99.0"}))
    with pytest.raises(ServiceError, match="Upgrade this environment"):
        lifecycle.ensure_running(fresh.site)
    assert fresh.found is not None
    assert fresh.found.identity.alive()
    write_private(fresh.site.state_file, json.dumps(state))


def test_a_stranger_on_the_port_gets_no_token(fresh: Lab) -> None:
    """The state file points to a living process that is not ours: it does not know the site's secret."""
    state = json.loads(fresh.site.state_file.read_text())
    code = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        sys.stderr.write(str(self.headers)); self.send_response(200); self.end_headers()\n"
        '        self.wfile.write(b\'{"status":"ok","proof":"00"}\')\n'
        "s = http.server.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True); s.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        write_private(fresh.site.state_file, json.dumps(state | {"address": f"http://127.0.0.1:{port}"}))
        assert lifecycle.find(fresh.site) is None
        stranger.kill()
        assert stranger.stderr is not None
        assert b"Authorization" not in stranger.stderr.read()
    write_private(fresh.site.state_file, json.dumps(state))


def test_a_chosen_port_that_is_taken_is_told(fresh: Lab) -> None:
    fresh.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (fresh.home / "settings.toml").write_text(f"[service]\nport = {port}\n")
        done = himalia("up")
    assert done.returncode == 1
    assert f"The port {port} is taken" in done.stderr
    assert "settings.toml" in done.stderr


def test_a_remembered_port_that_is_taken_does_no_harm(fresh: Lab) -> None:
    fresh.stop()
    port = int(fresh.url.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        fresh.start()
        assert not fresh.url.endswith(str(port))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 1 MB, all of it in use."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_at_start_is_told(full_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIMALIA_HOME", str(full_disk / "home"))
    site = Site.open()
    site.prepare()
    with (full_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    done = himalia("up")
    assert done.returncode == 1
    assert "disk is full" in done.stderr.lower() or "No space left" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    site.runtime.rmdir()


def test_a_newer_store_is_refused(fresh: Lab) -> None:
    fresh.stop()
    import sqlite3

    with sqlite3.connect(fresh.site.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    done = himalia("up")
    assert done.returncode == 1
    assert "a newer Himalia wrote it" in done.stderr


def test_down_leaves_no_process_port_socket_or_file(fresh: Lab) -> None:
    fresh.project("tiny", {}, {})
    fresh.post("/projects/tiny/clusters", {"name": "local", "workers": 1, "memory_limit": "1GiB"})
    wait_until(lambda: fresh.get("/projects/tiny/clusters/local")["state"] == "running", 60, "the cluster")
    before = fresh.processes()
    assert len(before) >= 6
    ports = {c.laddr.port for p in before for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert len(ports) >= 2
    assert himalia("down").returncode == 0
    assert fresh.processes() == []
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert list(fresh.tmp.iterdir()) == []
    assert [path for path in fresh.home.rglob("*") if path.is_socket()] == []
    assert not fresh.site.state_file.exists()
    assert himalia("down").stdout == "The service does not run.\n"


def test_nothing_of_the_site_can_be_read_by_others(fresh: Lab) -> None:
    """Besides the private folder around it: each database, log, socket and token file by itself."""
    fresh.tracking_ready()
    open_to_others = [
        path
        for folder in (fresh.home, fresh.site.runtime)
        for path in folder.rglob("*")
        if not path.is_symlink() and path.stat().st_mode & 0o077 and "layers" not in path.parts
    ]
    assert open_to_others == []


def test_what_listens_belongs_to_us_and_asks_for_a_credential(fresh: Lab) -> None:
    """Only loopback addresses, and each is the service or speaks TLS with client certificates."""
    fresh.project("tiny", {}, {})
    fresh.post("/projects/tiny/clusters", {"name": "local", "workers": 1, "memory_limit": "1GiB"})
    wait_until(lambda: fresh.get("/projects/tiny/clusters/local")["workers"] == 1, 60, "the cluster")
    service = fresh.url.rpartition(":")[2]
    for process in fresh.processes():
        for connection in process.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN:
                continue
            assert connection.laddr.ip == "127.0.0.1", (process.cmdline(), connection)
            if str(connection.laddr.port) == service:
                continue
            with socket.create_connection(("127.0.0.1", connection.laddr.port), timeout=5) as plain:
                plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                try:
                    while block := plain.recv(4096):
                        answer += block
                except OSError:
                    pass
                assert b"HTTP/1" not in answer, (process.cmdline(), answer[:200])
