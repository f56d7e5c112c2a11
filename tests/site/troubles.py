"""Troubles for `himalia doctor` to find: each is made for the time of a block, and mended again."""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from himalia import __version__
from himalia_server.cli.doctor import service as service_checks
from tests.site.lab import Lab
from tests.waiting import wait_until


@contextmanager
def written(file: Path, text: str | None) -> Iterator[None]:
    """*file* holds *text* (None: it is gone) for the time of the block.

    It is replaced in one step: the service makes some of its files again when it finds them gone.
    """
    before = file.read_bytes() if file.exists() else None
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    file.parent.mkdir(parents=True, exist_ok=True)
    _put(file, None if text is None else text.encode(), mode)
    try:
        yield
    finally:
        _put(file, before, mode)


def _put(file: Path, content: bytes | None, mode: int) -> None:
    if content is None:
        file.unlink(missing_ok=True)
        return
    draft = file.with_name(f"{file.name}.draft")
    draft.touch(mode)
    draft.write_bytes(content)
    draft.replace(file)


@contextmanager
def state(lab: Lab, **changes: object) -> Iterator[None]:
    """The service's state file says something else."""
    with written(lab.site.state_file, json.dumps(json.loads(lab.site.state_file.read_text()) | changes)):
        yield


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """*path* lies elsewhere."""
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Variables of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@contextmanager
def distribution(lab: Lab, *lines: str) -> Iterator[None]:
    """The installed distribution of Himalia says so."""
    info = lab.root / "other" / f"himalia-{__version__}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = ["Metadata-Version: 2.1", "Name: himalia", f"Version: {__version__}"]
    (info / "METADATA").write_text("\n".join([*head, *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(info.parent))
        yield


@contextmanager
def sql(lab: Lab, harm: str, mend: str | None = None) -> Iterator[None]:
    """The database was changed behind Himalia's back."""
    with closing(sqlite3.connect(lab.site.database, timeout=30)) as connection:
        connection.execute(harm)
        connection.commit()
        yield
        if mend is not None:
            connection.execute(mend)
            connection.commit()


@contextmanager
def few_files() -> Iterator[None]:
    """As after `ulimit -n 256`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def little_memory(lab: Lab) -> Iterator[None]:
    """psutil reads another /proc, of a machine with 0.5 GiB available."""
    (lab.root / "proc").mkdir(exist_ok=True)
    real = Path("/proc/meminfo").read_text().splitlines()
    lines = ["MemAvailable:     524288 kB" if line.startswith("MemAvailable:") else line for line in real]
    (lab.root / "proc" / "meminfo").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psutil, "PROCFS_PATH", str(lab.root / "proc"), raising=False)
        yield


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[int]:
    """A stranger on a port, who answers each request with *answer*, or is silent."""
    if answer is None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            yield other.getsockname()[1]
        return

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            return None

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def stranger(lab: Lab, answer: bytes | None) -> Iterator[None]:
    """Somebody else listens where the state file points."""
    with listening(answer) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_checks, "ANSWER_SECONDS", 0.3)
        with state(lab, address=f"http://127.0.0.1:{port}"):
            yield


@contextmanager
def halted(lab: Lab) -> Iterator[None]:
    """The service was sent SIGSTOP."""
    assert lab.found is not None
    process = psutil.Process(lab.found.identity.pid)
    process.suspend()
    try:
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10, "the halt")
        yield
    finally:
        process.resume()


@contextmanager
def without_runtime(lab: Lab) -> Iterator[None]:
    """The runtime folder is gone, and the service, which would make it again within a second, is halted."""
    with halted(lab), moved(lab.site.runtime):
        yield


@contextmanager
def kernelspec(lab: Lab, python: str | None) -> Iterator[None]:
    """The project's kernelspec is gone, or its Python is."""
    file = Path(os.environ["JUPYTER_DATA_DIR"]) / "kernels" / f"himalia-{lab.site.id}-well" / "kernel.json"
    document = json.loads(file.read_text())
    document["argv"][0] = python
    with written(file, json.dumps(document) if python else None):
        yield


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o777
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def mounted(*options: str, at: Path) -> Iterator[None]:
    """A file system at *at* until the end of the block."""
    subprocess.run(["mount", *options, str(at)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """Pages in the middle of an SQLite file are noise."""
    content = bytearray(file.read_bytes())
    content[4096 : len(content) - 4096] = os.urandom(len(content) - 8192)
    file.write_bytes(content)
    yield


@contextmanager
def taken(lab: Lab, what: str) -> Iterator[None]:
    """A chosen port is another program's."""
    with listening() as port:
        if what == "service":
            (lab.home / "settings.toml").write_text(f"[service]\nport = {port}\n")
        else:
            lab.site.remember(gateway_port=port)
        yield
