"""Who may not use a cluster: everybody without the right certificate, and what leaks to whom."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from himalia_server.clusters import ClientFiles, ClusterState
from himalia_server.clusters.certificates import create_certificates
from tests.site.test_clusters_holder import RunningHolder, connected, running_holder

SECRET = "s3cret-of-the-service"


@pytest.fixture(scope="module")
def secured() -> Iterator[RunningHolder]:
    environment = {
        "JUPYTERHUB_API_TOKEN": SECRET,
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "HIMALIA_TOKEN": SECRET,
    }
    given = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1/mlflow/flights"}
    with running_holder(environment=environment, env=given) as running:
        yield running


@pytest.fixture
def state(secured: RunningHolder) -> ClusterState:
    return secured.ready()


def port_of(address: str | None) -> int:
    assert address is not None
    return int(address.rpartition(":")[2])


def listening(holder: RunningHolder) -> dict[int, set[tuple[str, int]]]:
    """TCP and UDP sockets of the holder's processes that accept from outside, by process."""
    found: dict[int, set[tuple[str, int]]] = {}
    for process in holder.tree():
        open_sockets = process.net_connections(kind="inet")
        found[process.pid] = {
            (connection.laddr.ip, connection.laddr.port)
            for connection in open_sockets
            if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
        }
    return found


OWN = "own"


def tls(state: ClusterState, cert: tuple[Path, Path] | str | None = OWN) -> ssl.SSLContext:
    """A client's TLS settings with the cluster's own client certificate, another one, or none."""
    context = ssl.create_default_context(cafile=state.client.ca)
    if cert is OWN:
        context.load_cert_chain(state.client.cert, state.client.key)
    elif isinstance(cert, tuple):
        context.load_cert_chain(*cert)
    return context


def answer_of(port: int, context: ssl.SSLContext | None) -> bytes:
    """Return the first bytes *port* says after an HTTP request; empty when it refuses or hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection.recv(1000)
    except (ssl.SSLError, ConnectionError):  # a plain timeout is not an answer and fails the test
        return b""


def test_a_client_with_the_certificate_is_let_in(state: ClusterState) -> None:
    with connected(state) as client:
        assert client.submit(pow, 2, 3).result(20) == 8


CONNECT = """
import json, os, sys
from distributed import Client, Security
address, files = json.loads(sys.argv[1])
security = Security(require_encryption=True, **files) if files else None
try:
    client = Client(address, security=security, timeout=4)
    print("result", client.submit(pow, 2, 3).result(20), flush=True)
except (OSError, TypeError) as error:
    print("refused", "OSError" if isinstance(error, OSError) else "TypeError", flush=True)
os._exit(0)
"""


def connect(address: str | None, files: ClientFiles | None) -> list[str]:
    """Try to compute with a Dask client in a process of its own; return what it says.

    Its own, because a refused client that Python collects while another one starts waits for ever for a lock
    that its own thread holds (``Client.__del__`` within ``LoopRunner.start``).
    """
    tls = files and {"tls_ca_file": files.ca, "tls_client_cert": files.cert, "tls_client_key": files.key}
    command = [sys.executable, "-c", CONNECT, json.dumps([address, tls])]
    ended = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout.split()


def test_a_certificate_of_another_cluster_is_refused(state: ClusterState, tmp_path: Path) -> None:
    other = create_certificates(tmp_path / "tls", "other")
    files = replace(state.client, cert=str(other.client_cert), key=str(other.client_key))
    assert connect(state.address, files) == ["refused", "OSError"]
    assert connect(state.address, state.client) == ["result", "8"]


def test_a_foreign_scheduler_is_refused_by_the_client(state: ClusterState, tmp_path: Path) -> None:
    other = create_certificates(tmp_path / "tls", "other")
    assert connect(state.address, replace(state.client, ca=str(other.ca))) == ["refused", "OSError"]


def test_a_client_without_a_certificate_is_refused(state: ClusterState) -> None:
    assert connect(state.address, None) == ["refused", "TypeError"]
    assert connect(f"tcp://127.0.0.1:{port_of(state.address)}", None) == ["refused", "OSError"]


def test_every_listening_socket_demands_a_certificate(
    secured: RunningHolder, state: ClusterState, tmp_path: Path
) -> None:
    found = listening(secured)
    workers = {worker.pid for worker in state.workers}
    assert found[secured.process.pid] == set()
    assert {pid for pid, sockets in found.items() if sockets} == {state.scheduler_pid, *workers}
    assert {len(sockets) for pid, sockets in found.items() if sockets} == {1}
    assert {ip for sockets in found.values() for ip, _ in sockets} == {"127.0.0.1"}
    assert found[state.scheduler_pid or 0] == {("127.0.0.1", port_of(state.address))}
    other = create_certificates(tmp_path / "tls", "other")
    for port in {port for sockets in found.values() for _, port in sockets}:
        assert answer_of(port, tls(state))  # Dask greets who may come in
        assert not answer_of(port, None)
        assert not answer_of(port, tls(state, cert=None))
        assert not answer_of(port, tls(state, cert=(other.client_cert, other.client_key)))


def test_http_is_served_to_the_owner_only(secured: RunningHolder, state: ClusterState) -> None:
    folder = secured.socket.parent
    assert secured.sockets() == ["control.sock", "scheduler.sock", "worker-0.sock", "worker-1.sock"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.parent / "state").stat().st_mode) == 0o700
    for path in folder.glob("*.sock"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert state.dashboard == str(folder / "scheduler.sock")
    for name in ("scheduler.sock", "worker-0.sock"):
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(folder / name))
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b"ok"
        connection.close()


def test_no_secret_in_arguments_or_environment(secured: RunningHolder, state: ClusterState) -> None:
    keys = [path.read_text().splitlines()[1] for path in Path(state.client.key).parent.glob("*.key")]
    assert len(keys) == 2
    holder, *children = secured.tree()
    for process in (holder, *children):
        arguments = " ".join(process.cmdline())
        assert not [secret for secret in (SECRET, *keys) if secret in arguments]
    for process in children:
        environment = process.environ()
        assert not [name for name, text in environment.items() if SECRET in text or "PRIVATE KEY" in text]
        assert [name for name in environment if name.startswith(("MLFLOW_", "HIMALIA_"))] == ["MLFLOW_TRACKING_URI"]
        assert environment["OMP_NUM_THREADS"] == "1"


def test_a_silent_reader_of_the_control_socket_harms_nobody(secured: RunningHolder) -> None:
    async def flood() -> None:
        reader, writer = await asyncio.open_unix_connection(str(secured.socket))
        writer.write(b"not json\n" + b'{"op": "fly"}\n' + b"x" * 200_000)
        lines = [await reader.readline() for _ in range(3)]
        assert b"not valid JSON" in lines[1]
        assert b"unknown operation" in lines[2]
        assert await reader.read() == b""  # a line without end: hung up
        writer.close()

    asyncio.run(flood())
    assert secured.control.state().state == "running"
