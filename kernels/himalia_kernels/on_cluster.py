"""Run one stage on a Dask cluster: ``python -m himalia_kernels.on_cluster --spec SPEC.json``.

The process of a stage whose work is done by a worker: it waits for a free slot, submits one task
(himalia._remote_stage), passes on what the worker prints, and writes the outcome as `himalia_kernels.stage` does.
SIGTERM cancels, on the worker too.

Beside the specification lie, shared with the service: ``ticket-ID`` while a task may still claim the attempt,
``claim.json`` from then on, ``remote.log``, ``uploads/`` and ``waiting``, what the stage waits for.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from himalia._http import problem, send
from himalia._remote_stage import RESOURCE, Ticket, run, stop
from himalia_kernels.files import write_whole

log = logging.getLogger("himalia.stage")
LOOK_SECONDS = 0.5
CONNECT_SECONDS = 10.0
CLAIM_SECONDS = 10.0
"""A task that has begun claims its attempt sooner; one that has not waits behind another."""
STOP_SECONDS = 32.0
EXIT_STATUS = {"succeeded": 0, "failed": 1, "timed_out": 3, "kernel_died": 4, "cancelled": 5, "lost": 6}
KEY = "himalia-stage"


class Lost(Exception):
    """The attempt has ended without a result, and not because of its code; the text says why."""


class Cancelled(Exception):
    """The attempt was cancelled before a worker had begun with it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the stage of the specification; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m himalia_kernels.on_cluster", description="Run one stage.")
    parser.add_argument("--spec", type=Path, required=True, help="the stage's specification, a JSON file")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    attempt = Attempt(json.loads(given.spec.read_text("utf-8")), given.spec.parent, stopping)
    try:
        outcome = attempt.run()
    except Cancelled:
        outcome = {"status": "cancelled", "error": "The run was cancelled before a worker began with the stage."}
    except Exception as error:
        log.error("%s", error, exc_info=None if isinstance(error, Lost) else error)
        # at the end of the whole site the cluster may be gone before the stage
        status = "cancelled" if stopping.is_set() else "lost"
        told = str(error) if isinstance(error, Lost) else f"The stage could not be run on its cluster: {error}"
        outcome = {"status": status, "error": told}
    finally:
        attempt.close()
    write_whole(Path(attempt.spec["outcome"]), json.dumps(outcome, ensure_ascii=False, indent=1))
    return EXIT_STATUS[outcome["status"]]


class Attempt:
    """One attempt to run the stage of *spec* on its cluster; *place*: the folder shared with the service."""

    def __init__(self, spec: Mapping[str, Any], place: Path, stopping: threading.Event) -> None:
        self.spec, self.place, self._stopping = spec, place, stopping
        self.cluster = str(spec["cluster"])
        self._log_at = 0
        self._said: str | None = None
        self._client: Any = None
        self._taken: dict[str, Path] = {}

    def close(self) -> None:
        """Pass on the last of the log and disconnect."""
        self._pass_log()
        if self._client is not None:
            self._client.close(timeout=2)

    def run(self) -> dict[str, Any]:
        """The outcome. Raises Cancelled, Lost."""
        ticket, future, address = self._place()
        log.info("stage %s of run %s on worker %s", self.spec["stage"], self.spec["run_id"], self._claim()["worker"])
        self._say(None)
        told = 0.0
        while not future.done():
            self._pass_log()
            if self._client.status != "running":
                raise Lost(f"The scheduler of the cluster {self.cluster} has ended while the stage ran.")
            if self._is_gone(address):
                future.cancel()
                raise Lost(self._gone())
            if self._stopping.is_set() and not told:
                told = time.monotonic()
                # not through a task: the worker may have no thread for one
                self._client.run(stop, ticket, workers=[address], on_error="ignore")
            if told and time.monotonic() > told + STOP_SECONDS:
                future.cancel()
                return {"status": "cancelled", "error": "The stage did not end in time after it was cancelled."}
            self._wait()
        if future.status != "finished":
            if self._stopping.is_set():
                return {"status": "cancelled", "error": "The run was cancelled."}
            why = future.exception() if future.status == "error" else "it was stopped, or its scheduler has ended"
            raise Lost(f"The cluster {self.cluster} did not finish the stage: {why}")
        result = future.result()
        if "refused" in result:  # Dask gave it to another worker
            raise Lost(self._gone())
        outcome: dict[str, Any] = result["outcome"]
        for path, made in result["outputs"].items():
            self._take(path, made)
        return outcome

    def _gone(self) -> str:
        return f"The worker {self._claim()['worker']} of the cluster {self.cluster} has ended while it ran the stage."

    # --- a worker

    def _place(self) -> tuple[str, Any, str]:
        """Ticket, future and worker's address, when a worker has claimed the attempt."""
        while True:
            self._connect()
            address = self._free_worker()
            if address is None:
                self._wait_or_cancel()
                continue
            ident = secrets.token_hex(8)
            (self.place / f"ticket-{ident}").touch()
            future = self._client.submit(
                run,
                Ticket(ident, str(self.spec["url"]), self._token()),
                key=f"{KEY}-{self.spec['stage']}-{ident}",
                resources={RESOURCE: 1},
                workers=[address],
                pure=False,
                retries=0,
            )
            if self._is_claimed(ident, future, address):
                return ident, future, address
            future.cancel()

    def _is_claimed(self, ident: str, future: Any, address: str) -> bool:
        """Wait for the claim; false when none will come, and then the ticket is worth nothing any more."""
        until = time.monotonic() + CLAIM_SECONDS
        while not (self.place / "claim.json").exists():
            late = time.monotonic() > until or self._client.status != "running" or self._is_gone(address)
            if (late or self._stopping.is_set() or future.done()) and self._withdraw(ident):
                if future.done() and future.status == "error":
                    raise Lost(f"The worker at {address} could not begin with the stage: {future.exception()}")
                if self._stopping.is_set():
                    future.cancel()
                    raise Cancelled
                return False
            self._wait()
        return True

    def _withdraw(self, ident: str) -> bool:
        """Whether it could be: whoever renames the file, we or the claim, has decided."""
        try:
            (self.place / f"ticket-{ident}").unlink()
        except FileNotFoundError:
            return False
        return True

    def _free_worker(self) -> str | None:
        """The address of a worker with a free slot; otherwise says what is waited for."""
        workers = self._workers()
        if workers is None:
            self._say(f"the scheduler of the cluster {self.cluster} does not answer")
            return None
        slots = {address: int(worker.get("resources", {}).get(RESOURCE, 0)) for address, worker in workers.items()}
        taken = {address: sum(_is_stage(key) for key in keys) for address, keys in self._client.processing().items()}
        free = {address: count - taken.get(address, 0) for address, count in slots.items()}
        best = max(free, key=lambda address: free[address], default=None)
        if best is not None and free[best] > 0:
            return best
        if not workers:
            self._say(f"the cluster {self.cluster} has no worker now (himalia cluster scale {self.cluster} 1)")
        elif not any(slots.values()):
            self._say(
                f"no worker of the cluster {self.cluster} has a slot for stages: it was started by an older version; "
                "stop it and start it anew"
            )
        else:
            self._say(f"the cluster {self.cluster} has no free slot: each of its {sum(slots.values())} runs a stage")
        return None

    def _workers(self) -> dict[str, Any] | None:
        """The cluster's workers by address; None when the scheduler does not answer."""
        try:
            found: dict[str, Any] = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            log.info("the scheduler does not answer: %s", error)
            return None
        return found

    def _is_gone(self, address: str) -> bool:
        workers = self._workers()
        return workers is not None and address not in workers

    # --- the cluster

    def _connect(self) -> None:
        """Connect unless it is; waits for the cluster."""
        from distributed import Client, Security

        while self._client is None or self._client.status != "running":
            found = self._connection()
            if found is not None:
                security = Security(
                    tls_ca_file=found["ca_pem"],
                    tls_client_cert=found["cert_pem"],
                    tls_client_key=found["key_pem"],
                    require_encryption=True,
                )
                try:
                    self._client = Client(
                        found["address"],
                        security=security,
                        name="himalia-stage",
                        timeout=CONNECT_SECONDS,
                        set_as_default=False,
                    )
                    return
                except (OSError, TimeoutError) as error:
                    self._say(f"the scheduler of the cluster {self.cluster} does not answer: {error}")
            self._wait_or_cancel()

    def _connection(self) -> dict[str, Any] | None:
        try:
            reply = send("GET", str(self.spec["connection_url"]), token=self._token(), timeout=CONNECT_SECONDS)
        except (OSError, HTTPException) as error:
            self._say(f"the service does not answer: {error}")
            return None
        if reply.status == 200:
            found: dict[str, Any] = json.loads(reply.content)
            return found
        if reply.status == 404:
            self._say(f"the cluster {self.cluster} does not run (himalia cluster start {self.cluster})")
        else:
            self._say(str(problem(reply)))
        return None

    def _token(self) -> str:
        return Path(self.spec["token_file"]).read_text("ascii").strip()

    # --- what is shared with the service

    def _claim(self) -> dict[str, Any]:
        claim: dict[str, Any] = json.loads((self.place / "claim.json").read_text("utf-8"))
        return claim

    def _say(self, reason: str | None) -> None:
        """Say what is waited for; None: nothing any more."""
        if reason == self._said:
            return
        self._said = reason
        if reason is None:
            (self.place / "waiting").unlink(missing_ok=True)
            return
        log.info("waiting because %s", reason)
        write_whole(self.place / "waiting", f"waiting because {reason}", durable=False)

    def _wait_or_cancel(self) -> None:
        if self._stopping.wait(LOOK_SECONDS):
            raise Cancelled

    def _wait(self) -> None:
        if self._stopping.is_set():
            threading.Event().wait(LOOK_SECONDS)
        else:
            self._stopping.wait(LOOK_SECONDS)

    def _pass_log(self) -> None:
        """Print what the worker has sent of the stage's log since the last time."""
        try:
            with (self.place / "remote.log").open("rb") as file:
                file.seek(self._log_at)
                while data := file.read(1 << 20):
                    self._log_at += len(data)
                    sys.stdout.buffer.write(data)
        except FileNotFoundError:
            return
        sys.stdout.flush()

    def _take(self, path: str, made: str | Mapping[str, str]) -> None:
        """Put an output where the service takes a stage's outputs from."""
        if path not in self.spec["outputs"]:
            raise Lost(f"The worker sent {path!r}, which the stage does not declare.")
        target = Path(self.spec["workdir"]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(made, str):
            self._take_file(made, target)
            return
        target.mkdir(exist_ok=True)
        for name, digest in made.items():
            inner = PurePosixPath(name)
            if inner.is_absolute() or ".." in inner.parts or not inner.parts:
                raise Lost(f"The worker sent {name!r} as a file of {path!r}, which leads out of it.")
            (target / inner).parent.mkdir(parents=True, exist_ok=True)
            self._take_file(digest, target / inner)

    def _take_file(self, digest: str, target: Path) -> None:
        source = self.place / "uploads" / digest.removeprefix("sha256:")
        if source.parent != self.place / "uploads":
            raise Lost(f"The worker named {digest!r}, which is no digest.")
        first = self._taken.setdefault(digest, target)
        # several of the same content are files of their own: what is taken over must have no other name
        if first == target:
            source.replace(target)
        else:
            shutil.copyfile(first, target)


def _is_stage(key: object) -> bool:
    return str(key).startswith(f"{KEY}-")


if __name__ == "__main__":
    raise SystemExit(main())
