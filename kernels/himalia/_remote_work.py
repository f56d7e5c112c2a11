"""One stage in a worker's private folder: laid out, run as a process of its own, looked after, its results sent."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from himalia._http import REQUEST_VARIABLE
from himalia._remote_service import BLOCK, Away, Refused, Service

log = logging.getLogger("himalia.stage")
FETCHES = 4
"""Files that are fetched at a time."""
LOOK_SECONDS = 0.5
NOTEBOOK_SECONDS = 2.0
MOST_SHOWN = 32 << 20
"""Bytes of a notebook that is sent while it runs; a larger one is sent at its end."""
GONE = {401, 403, 404}
"""Answers that say that this attempt is no longer wanted."""
STOP_SECONDS = 25.0
LAST_SECONDS = 5.0
QUIET_SECONDS = 5.0
MOST_LOG = 64 << 20
"""Bytes of the log that are kept."""
Outputs = dict[str, str | dict[str, str]]


class Unfit(Exception):
    """An output that cannot be sent."""


class Work:
    """The stage of *offer* (the answer to its claim) on the worker *name*, in a new folder below *scratch*."""

    def __init__(
        self, service: Service, offer: dict[str, Any], name: str, scratch: str, ending: threading.Event
    ) -> None:
        self._service, self._offer, self._name, self._ending = service, offer, name, ending
        Path(scratch).mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix="himalia-stage-", dir=scratch))
        # sockets of the stage's programs lie there, and their paths must be short
        self.temporary = Path(tempfile.mkdtemp(prefix="hs-"))
        self.work, self.log = self.root / "work", self.root / "log"
        self._sent = 0
        self._told_at = time.monotonic()
        self._shown: tuple[int, float] = (0, 0.0)
        """When the notebook that was sent last was written (ns), and when it was sent."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)  # without a grace
            process.wait()
        for folder in (self.root, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)

    def result(self) -> dict[str, Any]:
        """Run it and tell how it ended; a fault of the worker or of the way to the service is no fault of the code."""
        try:
            self._lay_out()
            if self._ending.is_set():
                return self._told("cancelled", "The run was cancelled before the stage began.")
            if (absent := self._absent_environment()) is not None:
                return self._told("failed", absent)
            outcome = self._run()
            return self._send(outcome)
        except (OSError, Refused, Away) as error:
            log.warning("the stage could not be run here", exc_info=error)
            status = "cancelled" if self._ending.is_set() else "lost"
            return self._told(
                status, f"The worker {self._name} could not run the stage, or not send its result: {error}"
            )

    def _absent_environment(self) -> str | None:
        """Why the stage would run with other packages than its key says; None: it does not."""
        grant = self._offer["grant"]
        environment = grant["environment"]
        if environment["digest"] == "shared" or os.access(grant["python"], os.X_OK):
            return None
        return (
            f"The worker {self._name} does not have the environment that the stage runs in ({environment['name']}): "
            f"there is no {grant['python']} on its machine. Run the stage without a cluster, or on one of the "
            "service's own machine."
        )

    def _told(self, status: str, error: str) -> dict[str, Any]:
        return {"outcome": {"status": status, "error": error}, "outputs": {}}

    def _lay_out(self) -> None:
        for folder in self._offer["folders"]:
            (self.work / _inside(folder)).mkdir(parents=True, exist_ok=True)
        files = self._offer["files"]
        with ThreadPoolExecutor(FETCHES, "himalia-fetch") as pool:
            fetched = [
                pool.submit(self._service.fetch, digest, self.work / _inside(path)) for path, digest in files.items()
            ]
            try:
                for one in fetched:
                    one.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _run(self) -> dict[str, Any]:
        outcome = self.root / "outcome.json"
        command, environment = self._command(outcome)
        self._process = process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.root,
            env=environment,
            start_new_session=True,
            umask=0o022,
        )
        self.log.touch()
        reader = threading.Thread(target=self._read_log, args=(process,), name="himalia-log", daemon=True)
        reader.start()
        deadline: float | None = None
        while process.poll() is None:
            try:
                process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                self._tell()
            if self._ending.is_set() and deadline is None:
                deadline = time.monotonic() + STOP_SECONDS
                process.send_signal(signal.SIGTERM)
            elif deadline is not None and time.monotonic() > deadline:
                process.send_signal(signal.SIGINT)
        reader.join(LAST_SECONDS)  # ends by itself: no process of the stage is left that could write
        try:
            found: dict[str, Any] = json.loads(outcome.read_text("utf-8"))
        except (OSError, ValueError):
            how = f"exit code {process.returncode}"
            return {"status": "lost", "error": f"The stage's process on {self._name} ended without a result: {how}."}
        return found

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        """Keep what is printed, up to MOST_LOG: programs that the notebook starts may print without end."""
        assert process.stdout is not None
        left = MOST_LOG
        with process.stdout as source, self.log.open("ab") as file:
            while data := source.read1(BLOCK):  # type: ignore[attr-defined]
                if left > 0:
                    file.write(data[:left])
                    left -= len(data)
                    if left <= 0:
                        file.write(f"\n(The rest of the log, above {MOST_LOG >> 20} MiB, was left out.)\n".encode())
                    file.flush()

    def _command(self, outcome: Path) -> tuple[list[str], dict[str, str]]:
        """The command of the stage's process and its environment; its specification lies beside it then."""
        spec, grant = dict(self._offer["spec"]), dict(self._offer["grant"])
        token = self._keep_token(self._service.token)
        there, python = spec["workdir"], _python(grant.get("python"))
        env = dict(grant["env"])
        env["HIMALIA_TOKEN_FILE"] = str(token)
        if "HIMALIA_PATH" in env:
            env["HIMALIA_PATH"] = os.pathsep.join(
                str(self.work / _inside(os.path.relpath(path, there))) for path in env["HIMALIA_PATH"].split(os.pathsep)
            )
        # a zygote is the service's own machine's
        grant |= {"env": env, "cwd": str(self.work), "python": python, "zygote": None}
        spec |= {
            "workdir": str(self.work),
            "output": str(self.root / "executed.ipynb"),
            "grant_file": str(self._write("grant.json", json.dumps(grant))),
            "token_file": str(token),
            "outcome": str(outcome),
        }
        file = self._write("spec.json", json.dumps(spec))
        jupyter = self.root / "jupyter"
        command = [_python(self._offer["runner"]), "-m", "himalia_kernels.on_worker", "--spec", str(file)]
        command += ["--parent", str(os.getpid()), "--jupyter", str(jupyter), "--python", python]
        command += ["--layer", str(Path(__file__).parent.parent), "--project", str(self._offer["project"])]
        command += ["--temporary", str(self.temporary)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
        environment |= {
            "HIMALIA_GRANT_FILE": str(grant_file) if (grant_file := spec["grant_file"]) else "",
            "TMPDIR": str(self.temporary),
            "JUPYTER_PATH": str(jupyter),
            "JUPYTER_RUNTIME_DIR": str(self.root / "runtime"),
        }
        if REQUEST_VARIABLE in env:
            environment[REQUEST_VARIABLE] = env[REQUEST_VARIABLE]
        return command, environment

    def _write(self, name: str, text: str) -> Path:
        """A file for the owner alone."""
        path = self.root / name
        draft = self.root / f".{name}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
        return path

    def _keep_token(self, token: str) -> Path:
        self._service.token = token
        return self._write("token", token + "\n")

    def _tell(self) -> None:
        """Send what was printed, and the notebook as far as it is. Learns whether the stage is still wanted.

        While the service is away nothing is lost: it is told the next time.
        """
        try:
            while self._has_news():
                with self.log.open("rb") as file:
                    file.seek(self._sent)
                    data = file.read(BLOCK)
                answer = self._service.append(f"/log?offset={self._sent}", data)
                self._sent = int(answer["size"])
                if answer["token"]:
                    self._keep_token(str(answer["token"]))
                self._told_at = time.monotonic()
            self._show()
        except Refused as refused:
            log.warning("the service refuses to hear of the stage: %s", refused)
            if refused.status in GONE:
                self._ending.set()
        except (OSError, HTTPException, ValueError) as error:
            log.info("the service is not told of the stage now: %s", error)

    def _has_news(self) -> bool:
        """Whether something was printed, or nothing was sent for long: the answer says whether we are wanted."""
        return self.log.stat().st_size > self._sent or time.monotonic() > self._told_at + QUIET_SECONDS

    def _show(self) -> None:
        notebook = self.root / "executed.ipynb"
        try:
            status = notebook.stat()
        except FileNotFoundError:
            return
        at = time.monotonic()
        if status.st_mtime_ns == self._shown[0] or at < self._shown[1] + NOTEBOOK_SECONDS:
            return
        if status.st_size <= MOST_SHOWN:
            self._service.put("/notebook", notebook)
        self._shown = (status.st_mtime_ns, at)

    def _send(self, outcome: dict[str, Any]) -> dict[str, Any]:
        self._tell()
        notebook = self.root / "executed.ipynb"
        if notebook.exists():
            self._service.put("/notebook", notebook)
        outputs: Outputs = {}
        if outcome["status"] == "succeeded":
            try:
                outputs = {path: self._send_output(path) for path in self._offer["spec"]["outputs"]}
            except Unfit as fault:
                return {"outcome": outcome | {"status": "failed", "error": str(fault)}, "outputs": {}}
        return {"outcome": outcome, "outputs": outputs}

    def _send_output(self, path: str) -> str | dict[str, str]:
        source = self.work / path
        mode = source.lstat().st_mode
        plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        if not plain or not source.resolve().is_relative_to(self.work.resolve()):
            raise Unfit(f"The output {path!r} is not an ordinary file.")
        if stat.S_ISREG(mode):
            return self._service.upload(source)
        return {str(file.relative_to(source)): self._service.upload(file) for file in _files(source)}


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder. Raises Unfit for what is neither file nor folder."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        else:
            raise Unfit(f"The output {entry.path!r} cannot be kept: it is a link, or no ordinary file.")


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise OSError(f"{path} leads out of the stage's folder")
    return path


def _python(wanted: str | None) -> str:
    """The interpreter of the service's machine where there is the same here, else the worker's own."""
    return wanted if wanted and os.access(wanted, os.X_OK) else sys.executable
