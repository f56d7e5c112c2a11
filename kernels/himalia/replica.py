"""One replica: a process that holds one model and predicts for the gateway over a unix socket.

Started by its path in a project's environment, ``python …/himalia/replica.py --spec FILE``, where only
mlflow and the model's libraries need be installed. The spec is a JSON file: ``model_path``,
``model_digest`` (or null), ``layer`` (folder that holds the package ``himalia``, or null: the one that
this file is in), ``paths`` (folders of the modules that the model imports), ``socket``, ``status_fd``
(where its state is reported, one JSON object a line) and ``parent_pid``. Standard input is a pipe that
ends with the parent.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from himalia._replica_model import ServedModel

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
log = logging.getLogger("himalia.replica")


def main() -> int:
    """Load the model, report, serve until the parent ends; 1 when the model cannot be loaded."""
    arguments = argparse.ArgumentParser(description="one replica of a Himalia deployment")
    arguments.add_argument("--spec", type=Path, required=True)
    spec: dict[str, Any] = json.loads(arguments.parse_args().spec.read_text("utf-8"))
    _prepare_path(spec["layer"])
    from himalia._replica_life import die_with_parent
    from himalia._sources import place

    place(spec.get("paths", []))
    die_with_parent(spec["parent_pid"], sys.stdin.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    _log_as_json()
    status = _Status(spec["status_fd"])
    model = _load(spec, status)
    if model is None:
        return 1
    listener = _listen(spec["socket"])
    status.report(state="ready", **model.describe())
    _serve(listener, model)
    return 0


def _prepare_path(layer: str | None) -> None:
    """Put the layer last on sys.path, and the script's own folder not on it at all.

    Otherwise modules of this package could hide packages of the environment that have the same name.
    ``himalia`` itself is imported from the layer even if the environment has another version of it.
    """
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != here]
    folder = layer or str(here.parent)
    sys.path.insert(0, folder)
    __import__("himalia")
    del sys.path[0]
    if folder not in sys.path:
        sys.path.append(folder)


class _Status:
    """Reports to the parent, one JSON object a line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_inheritable(fd, False)

    def report(self, **message: Any) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(self._fd, data) :]


def _load(spec: dict[str, Any], status: _Status) -> ServedModel | None:
    from himalia._replica_model import DigestError, load

    try:
        return load(spec["model_path"], spec["model_digest"])
    except Exception as error:  # any model may raise anything; it is reported and logged
        last = traceback.format_exception_only(error)[-1].strip()
        log.error("the model cannot be loaded: %s", last, exc_info=True)
        status.report(state="failed", error=last[:2000], permanent=isinstance(error, DigestError))
        return None


def _listen(path: str) -> socket.socket:
    """Listen on a unix socket that only this user can open."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def _serve(listener: socket.socket, model: ServedModel) -> None:
    """Answer the batches of all gateway workers that are connected, one batch at a time."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            assert isinstance(key.fileobj, socket.socket)
            if not _answer(key.fileobj, model):
                selector.unregister(key.fileobj)
                key.fileobj.close()


def _answer(connection: socket.socket, model: ServedModel) -> bool:
    """Answer one batch; False when the gateway worker on the other end has gone."""
    from himalia._replica_wire import FrameError, pack, read_frame

    try:
        frame = read_frame(connection)
        if frame is None:
            return False
        header, body = frame
        results = model.answer(header, body)
        sizes = [[ok, len(data)] for ok, data in results]
        reply = {"id": header["id"], "results": sizes, "batchable": model.batchable}
        connection.sendall(pack(reply, b"".join(data for _, data in results)))
    except (ConnectionError, FrameError) as error:
        log.warning("a connection of the gateway ended: %s", error)
        return False
    return True


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(time.time(), 3),
            "level": record.levelname.lower(),
            "part": "replica",
            "pid": os.getpid(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


if __name__ == "__main__":
    sys.exit(main())
