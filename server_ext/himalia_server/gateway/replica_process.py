"""One replica as the parent sees it: a process, its folder in the run folder, the pipe of its reports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import himalia._version
from himalia_server.gateway.config import Revision

KEPT = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
    ]
)


class ReplicaProcess:
    """Starts a replica at once. OSError when that is impossible, for instance without its Python."""

    def __init__(self, number: str, revision: Revision, run_dir: Path) -> None:
        self.number = number
        self.folder = run_dir / f"replica-{number}"
        self.socket = str(self.folder / "s")
        self.folder.mkdir(mode=0o700)
        status, status_child = os.pipe()
        lifeline_child, self._lifeline = os.pipe()
        try:
            self._process = self._start(revision, status_child, lifeline_child)
        except OSError:
            os.close(status)
            os.close(self._lifeline)
            self._remove_folder()
            raise
        finally:
            os.close(status_child)
            os.close(lifeline_child)
        self.status_fd: int | None = status
        os.set_blocking(status, False)
        self._buffer = b""
        self.pid = self._process.pid

    def _start(self, revision: Revision, status_fd: int, lifeline: int) -> subprocess.Popen[bytes]:
        spec = {
            "model_path": revision.model_path,
            "model_digest": revision.model_digest,
            "layer": revision.layer,
            "paths": list(revision.paths),
            "socket": self.socket,
            "status_fd": status_fd,
            "parent_pid": os.getpid(),
        }
        layer = Path(revision.layer) if revision.layer else Path(himalia._version.__file__).parent.parent
        file = self.folder / "spec.json"
        file.write_text(json.dumps(spec), "utf-8")
        file.chmod(0o600)
        return subprocess.Popen(
            [revision.python, str(layer / "himalia" / "replica.py"), "--spec", str(file)],
            env=replica_environment(revision),
            cwd=self.folder,
            stdin=lifeline,
            stdout=sys.stderr.fileno(),
            pass_fds=[status_fd],
            start_new_session=True,
        )

    def reports(self) -> list[dict[str, Any]]:
        """Read what the replica has reported since the last call; sets ``status_fd`` to None at the end."""
        if self.status_fd is None:
            return []
        ended = False
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.status_fd, 65536):
                self._buffer += data
            ended = True
        if ended:
            self.close_status()
        *lines, self._buffer = self._buffer.split(b"\n")
        return [json.loads(line) for line in lines]

    def close_status(self) -> None:
        """Close the pipe of reports."""
        if self.status_fd is not None:
            os.close(self.status_fd)
            self.status_fd = None

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal) once the process has ended."""
        return self._process.poll()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the replica and to all processes that its model started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter for a zombie
            os.killpg(self.pid, how)

    def clean(self) -> None:
        """Remove what is left after the process has ended."""
        self.stop(signal.SIGKILL)  # children of the model, if any
        self.close_status()
        os.close(self._lifeline)
        self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def replica_environment(revision: Revision) -> dict[str, str]:
    """The environment of a replica: a few harmless variables, and what the revision sets.

    Secrets of whoever started the gateway do not reach the model's code.
    """
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", **revision.env}
