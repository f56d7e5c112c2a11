"""Bytes that two servers could read differently, links that lead elsewhere, and a password in a setting."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.extension_lab import BASE_URL, HOST, TOKEN, Jupyter, jupyter
from tests.site.fake_service import FakeService, fake_service
from tests.site.lab import Lab
from tests.site.test_service_attacks import HIMALIA
from tests.waiting import short_dir

HIDDEN = b"DELETE /api/v1/projects/tiny HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n"

AMBIGUOUS = {
    "two lengths": (b"Content-Length: 0\r\nContent-Length: 49", HIDDEN),
    "lengths in one": (b"Content-Length: 0, 49", HIDDEN),
    "length and chunks": (b"Content-Length: 5\r\n" + CHUNKED, ENDED + HIDDEN),
    "chunks and length": (CHUNKED + b"\r\nContent-Length: 5", ENDED + HIDDEN),
    "chunks of another kind": (b"Transfer-Encoding: chunked, identity", ENDED + HIDDEN),
    "chunks, obfuscated": (b"Transfer-Encoding: xchunked\r\nContent-Length: 5", ENDED + HIDDEN),
    "chunks behind a tab": (b"Transfer-Encoding:\tchunked\r\nContent-Length: 5", ENDED + HIDDEN),
    "a space before the colon": (b"Transfer-Encoding : chunked", ENDED + HIDDEN),
    "a folded header": (b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5", ENDED + HIDDEN),
    "a negative length": (b"Content-Length: -1", HIDDEN),
    "a length with a sign": (b"Content-Length: +5", ENDED + HIDDEN),
    "a length in hexadecimal": (b"Content-Length: 0x5", ENDED + HIDDEN),
    "a chunk that is too long": (CHUNKED, b"fffffffffffffffff\r\n" + HIDDEN),
    "a bare line feed": (b"X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5", ENDED + HIDDEN),
    "a bare carriage return": (b"X-A: b\rX-Himalia-User: ada\r\nContent-Length: 0", b""),
    "a NUL in a header": (b"X-A: b\0c\r\nContent-Length: 0", b""),
}


def talk(connection: socket.socket, data: bytes) -> bytes:
    """Everything that is answered to *data*, until the other side has nothing more to say."""
    connection.settimeout(1.0)
    answer = b""
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    except OSError:  # reset, or silent
        pass
    return answer


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_the_service_reads_no_second_request_out_of_one(lab: Lab, case: str) -> None:
    headers, body = AMBIGUOUS[case]
    assert lab.found is not None
    token = lab.found.token().encode()
    head = b"POST /api/v1/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + b"\r\n"
    with socket.create_connection(("127.0.0.1", int(lab.url.rpartition(":")[2]))) as connection:
        answer = talk(connection, head + headers + b"\r\n\r\n" + body)
    # the request that is hidden has no token: a 401 would be its answer
    assert b" 401 " not in answer, answer
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 422 ")) or not answer, answer
    assert answer.count(b"HTTP/1.1 ") <= 1, answer


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Jupyter, FakeService]]:
    """A Jupyter server before a service that tells what it gets."""
    with jupyter() as server, fake_service(server.site) as service:
        yield server, service


@pytest.mark.parametrize("case", AMBIGUOUS)
@pytest.mark.parametrize("path", ["api/v1/projects", "mlflow/a/x"])
def test_the_forwarder_makes_no_second_request_out_of_one(
    both: tuple[Jupyter, FakeService], case: str, path: str
) -> None:
    server, service = both
    headers, body = AMBIGUOUS[case]
    service.requests.clear()
    head = f"POST {BASE_URL}himalia/{path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: token {TOKEN}\r\n".encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket))
        talk(connection, head + headers + b"\r\n\r\n" + body)
    assert len(service.requests) <= 1, service.requests
    for seen in service.requests:
        assert seen["method"] == "POST"
        assert "X-Himalia-User" not in seen["headers"], seen
        assert not {"Content-Length", "Transfer-Encoding"} <= set(seen["headers"]), seen


def test_forwarded_values_cannot_add_headers_or_another_user(both: tuple[Jupyter, FakeService]) -> None:
    server, service = both
    service.requests.clear()
    forged = {
        "X-Himalia-User": "ada",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=6.6.6.6;host=evil.example",
        "X-Real-IP": "6.6.6.6",
        "X-MLFLOW-WORKSPACE": "beta",
        "Cookie": "mlflow-workspace=beta",
        "Origin": f"http://{HOST}",
        "X-Request-ID": "a b",
        "Connection": "keep-alive, Authorization",
    }
    with server.client(headers=forged) as client:
        for path in ("api/v1/projects", "api/v1/projects?a=%0d%0aX-Himalia-User:%20ada", "mlflow/a/x"):
            assert client.get(path).status_code == 200
    assert len(service.requests) == 3
    for seen in service.requests:
        text = repr(seen["headers"])
        assert "ada" not in text.replace(BASE_URL, ""), text
        assert "evil" not in text
        assert "6.6.6.6" not in text
        assert "beta" not in text
        assert seen["headers"]["Authorization"].startswith("Bearer ")
        assert "Cookie" not in seen["headers"]


def test_large_headers_are_refused_by_both(lab: Lab, both: tuple[Jupyter, FakeService]) -> None:
    server, service = both
    service.requests.clear()
    long = b"X-Long: " + b"a" * (1 << 20) + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(lab.url.rpartition(":")[2]))) as connection:
        answer = talk(connection, b"GET /health HTTP/1.1\r\nHost: a\r\n" + long)
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket))
        talk(connection, f"GET {BASE_URL}himalia/api/v1/x HTTP/1.1\r\nHost: {HOST}\r\n".encode() + long)
    assert service.requests == []


def test_a_notebook_or_an_input_that_leads_out_of_the_project_is_refused(lab: Lab) -> None:
    for name, stage in (
        ("linked-notebook", {"notebook": "s.ipynb"}),
        ("linked-input", {"notebook": "s.ipynb", "inputs": ["in.txt"]}),
        ("linked-folder", {"notebook": "s.ipynb", "inputs": ["folder/hostname"]}),
    ):
        folder = lab.project(name, {"s": stage}, {"s.ipynb": ["x = 1"]})
        if name == "linked-notebook":
            outside = folder.parent / "outside.ipynb"
            (folder / "s.ipynb").rename(outside)
            (folder / "s.ipynb").symlink_to(outside)
        (folder / "in.txt").symlink_to("/etc/hostname")
        (folder / "folder").symlink_to("/etc")
        (folder / "code.py").symlink_to("/etc/hostname")
        reply = lab.request("POST", f"/projects/{name}/runs", json={})
        assert reply.status_code == 422, (name, reply.text)
        assert "leads out of the project" in reply.text, (name, reply.text)
        assert lab.request("DELETE", f"/projects/{name}?purge=true").status_code == 204


def test_code_that_is_a_link_out_of_the_project_is_no_part_of_a_snapshot(lab: Lab) -> None:
    """Nor is what is put in its place while stages run: each works on a copy."""
    code = "import os; assert not os.path.lexists('code.py'); open('build/o', 'w').write(open('in.txt').read())"
    stage = {"notebook": "s.ipynb", "inputs": ["in.txt"], "outputs": ["build/o"]}
    swap = "import os, pathlib; p = pathlib.Path({!r}); p.unlink(); p.symlink_to('/etc/hostname')"
    folder = lab.root / "projects" / "swapped"
    lab.project(
        "swapped",
        {"a": {"notebook": "a.ipynb", "outputs": ["build/a"]}, "s": stage | {"inputs": ["in.txt", "build/a"]}},
        {
            "a.ipynb": ["x = 1", swap.format(str(folder / "in.txt")), "open('build/a', 'w').write('')"],
            "s.ipynb": ["x = 1", code],
        },
    )
    (folder / "in.txt").write_text("mine")
    (folder / "code.py").symlink_to("/etc/hostname")
    lab.tracking_ready()
    run = lab.wait_run("swapped", lab.post("/projects/swapped/runs")["id"])
    assert run["status"] == "succeeded", run
    assert (folder / "in.txt").is_symlink()
    assert (folder / "build" / "o").read_text() == "mine"
    assert lab.request("DELETE", "/projects/swapped?purge=true").status_code == 204


def test_the_databases_password_is_told_to_nobody() -> None:
    """Not by the service that cannot connect, not by the command, not in a log, not in a command line."""
    password = "Pa55-w0rd-of-the-database"
    with short_dir() as root:
        home, said = root / "home", b""
        environment = {**os.environ, "HIMALIA_HOME": str(home), "TMPDIR": str(root)}
        environment["HIMALIA_DATABASE_URL"] = f"postgresql://ada:{password}@127.0.0.1:1/himalia"
        for words in (["up"], ["doctor"], ["status", "--json"]):
            done = subprocess.run([*HIMALIA, *words], env=environment, capture_output=True, timeout=120, check=False)
            said += done.stdout + done.stderr
        files = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert b"127.0.0.1" in said or b"himalia" in said
    assert password.encode() not in said
    assert password.encode() not in files


def test_python_of_children_is_not_led_astray_by_a_folder(lab: Lab, tmp_path: Path) -> None:
    """A module of a project's folder is not imported by a process of ours that starts there."""
    (tmp_path / "json.py").write_text("raise SystemExit('astray')")
    for command in (["status"], ["project", "list"]):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("himalia")), *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "astray" not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
