"""Find, start and stop a site's service. Light to import: the standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from himalia import __version__

from ..locking import LockTimeout, acquire, exclusive
from .identity import ProcessIdentity
from .site import Site

START_SECONDS = 60.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 5.0
HANGING_SECONDS = 30.0
"""A service that is stopping lives on for a while too."""
LOCK_SECONDS = 10.0
"""A killed process keeps its locks until the last of its threads has ended."""


class ServiceError(RuntimeError):
    """The service could not be started, stopped or used; the text says what to do."""


class KilledError(ServiceError):
    """The service was killed while it started."""


@dataclass(frozen=True)
class Found:
    """A running service that proved to be this site's."""

    address: str
    version: str
    identity: ProcessIdentity
    site: Site

    def token(self) -> str:
        """The OS account's token, read anew."""
        try:
            return self.site.user_token_file.read_text().strip()
        except OSError as error:
            raise ServiceError(
                f"The token of this account cannot be read: {error}. Restart the service to get a new one: "
                "himalia down, himalia up."
            ) from error


def find(site: Site, patience: float = ANSWER_SECONDS) -> Found | None:
    """The site's running service; None when there is none, or it does not answer yet, within *patience* seconds."""
    try:
        state = json.loads(site.state_file.read_text())
        identity = ProcessIdentity.from_dict(state)
        address, version = str(state["address"]), str(state["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not identity.alive() or not _proves_itself(site, address, patience):
        return None
    return Found(address, version, identity, site)


def _proves_itself(site: Site, address: str, patience: float) -> bool:
    """Whether who listens there knows the site's secret; else a token sent there could reach a stranger."""
    nonce = secrets.token_hex(16)
    request = urllib.request.Request(f"{address}/health", headers={"X-Himalia-Challenge": nonce})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=patience) as reply:
            proof = str(json.load(reply).get("proof", ""))
    except (OSError, ValueError):
        return False
    wanted = hmac.new(site.secret.encode(), nonce.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(proof, wanted)


def ensure_running(site: Site) -> Found:
    """The site's service, started when there is none, replaced when it is older than this Himalia.

    Callers may be many at once: one starts it, the others wait for it.

    Raises:
        ServiceError: it cannot be started, or it is newer than this Himalia.
    """
    found = _serving(site)
    if found is None or found.version != __version__:
        try:
            with exclusive(site.home / "start.lock", timeout=START_SECONDS + STOP_SECONDS):
                found = _serving(site)
                if found is not None and found.version != __version__:
                    _replace_older(found)
                    found = None
                if found is None:
                    found = _await_hanging(site) or _start(site)
        except LockTimeout as error:
            raise ServiceError(
                f"Another process is starting the service and does not come to an end: {error}"
            ) from error
    return found


def _serving(site: Site) -> Found | None:
    """The service that `find` finds, unless it is on its way to its end, where it still answers for a while."""
    return None if _stopping(site) else find(site)


def _await_hanging(site: Site) -> Found | None:
    """A service that lives but did not answer, when it answers after all; None when none lives (any more)."""
    deadline = time.monotonic() + (STOP_SECONDS if _stopping(site) else HANGING_SECONDS)
    while (identity := _hanging(site)) is not None:
        found = _serving(site)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise ServiceError(
                f"The service (pid {identity.pid}) lives but does not answer; the machine may be out of memory, or the "
                "process was stopped. End it and what it started with himalia down, then himalia up."
            )
        time.sleep(0.1)
    return None


def _replace_older(found: Found) -> None:
    from packaging.version import Version

    if Version(found.version) > Version(__version__):
        raise ServiceError(
            f"The running service is Himalia {found.version}, this is {__version__}: an older one does not replace a "
            "newer. Upgrade this environment (pip install -U himalia), or stop the service with its own "
            "'himalia down' first."
        )
    stop(found, keep_children=True)


def _start(site: Site) -> Found:
    try:
        return _start_once(site)
    except KilledError:
        # by somebody's hand, or because memory was short for a moment: the site itself is in order
        return _start_once(site)


def _start_once(site: Site) -> Found:
    site.prepare()
    # in memory, so that a full disk can still be told; the service moves on to a file once it serves
    descriptor = os.memfd_create("service-start") if hasattr(os, "memfd_create") else os.dup(2)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "himalia_server.service"],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=os.environ | {"HIMALIA_HOME": str(site.home)},
            start_new_session=True,
        )
        return _await_start(site, process, descriptor)
    except OSError as error:
        raise ServiceError(f"The service could not be started: {error}.") from error
    finally:
        os.close(descriptor)


def _await_start(site: Site, process: subprocess.Popen[bytes], output: int) -> Found:
    deadline = time.monotonic() + START_SECONDS
    while (found := find(site)) is None:
        if process.poll() == -signal.SIGKILL:
            raise KilledError(
                "The service was killed (SIGKILL) each time it started. Look whether the machine is out of memory, or "
                f"what kills it, then start it again. See {site.log('service')}."
            )
        if process.poll() is not None:
            raise ServiceError(_why(site, output, process.returncode))
        if time.monotonic() > deadline:
            process.kill()
            raise ServiceError(
                f"The service did not answer within {START_SECONDS:g} s. See himalia logs and himalia doctor."
            )
        time.sleep(0.02)
    return found


def _why(site: Site, output: int, code: int) -> str:
    with os.fdopen(os.dup(output), "rb") as file:
        file.seek(0)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    end = f"{signal.Signals(-code).name} ended it as it started" if code < 0 else f"exit code {code}"
    last = lines[-1].removeprefix("himalia: ") if lines else end
    return last if code == 78 else f"The service could not be started: {last}. See {site.log('service')}."


def stop(found: Found, *, keep_children: bool = False) -> None:
    """Stop the service and wait for its end.

    Raises:
        ServiceError: it does not end.
    """
    try:
        call(found, "POST", "/api/v1/service/stop", {"keep_children": keep_children})
    except ServiceError:
        # without a token it can still be asked as a process; its children are swept by the caller
        found.identity.signal(signal.SIGTERM)
    except urllib.error.HTTPError as error:
        raise ServiceError(f"The service refused to stop: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        # somebody else may have stopped it: then it listens no more, and ends
        if found.identity.alive() and not stopped(found.site):
            raise ServiceError(f"The service does not answer: {error}.") from error
    deadline = time.monotonic() + STOP_SECONDS
    while found.identity.alive():
        if time.monotonic() > deadline:
            raise ServiceError(f"The service (pid {found.identity.pid}) does not end; see himalia logs service.")
        time.sleep(0.02)


def sweep(site: Site) -> list[str]:
    """End what a service that was killed, or that hangs, has left running. Returns the names of what was ended.

    Raises:
        ServiceError: a service of this site holds on to it all the same.
    """
    from himalia_kernels.zygotes import end_all

    from .children import Children

    ended = []
    identity = _hanging(site)
    if identity is not None:
        ended.append("service")
        _end(identity)
    try:
        lock = acquire(site.lock_file, LOCK_SECONDS)
    except LockTimeout as error:
        raise ServiceError("A service of this site is starting. Try again in a few seconds.") from error
    try:
        children = Children(site, 0)
        left = [child.spec.name for child in children.adopt(restart=False) if not child.ended.is_set()]
        children.stop_all()
        end_all(site.zygotes)
        shutil.rmtree(site.runtime, ignore_errors=True)
        site.state_file.unlink(missing_ok=True)
    finally:
        os.close(lock)
    return ended + left


def _hanging(site: Site) -> ProcessIdentity | None:
    """The service that the state file names, when it lives although it does not answer."""
    try:
        identity = ProcessIdentity.from_dict(json.loads(site.state_file.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return identity if identity.alive() else None


def _stopping(site: Site) -> bool:
    """Whether the service that the state file names is on its way to its end."""
    try:
        return bool(json.loads(site.state_file.read_text()).get("stopping"))
    except (OSError, ValueError, AttributeError):
        return False


def stopped(site: Site) -> bool:
    """Whether the last service of *site* was told to end: it notes that in its state file, and removes that at last."""
    return not site.state_file.exists() or _stopping(site)


def _end(identity: ProcessIdentity) -> None:
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        identity.signal(number)
        deadline = time.monotonic() + patience
        while identity.alive():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
    raise ServiceError(f"The service (pid {identity.pid}) cannot be ended, not even by SIGKILL.")


def call(found: Found, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One request with the OS account's token; the decoded JSON reply.

    Raises:
        urllib.error.HTTPError: the service refused. OSError: it does not answer.
    """
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {found.token()}", "Content-Type": "application/json"}
    request = urllib.request.Request(found.address + path, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        content = reply.read()
    return json.loads(content) if content else None


def look() -> dict[str, Any]:
    """A quick look for the Jupyter extension, which starts nothing: {"state": "running" | "starting" | "stopped",
    "version": of the service or None, "site": id or None, "crashed": bool}."""
    if not Site.exists():
        return {"state": "stopped", "version": None, "site": None, "crashed": False}
    site = Site.open()
    found = find(site)
    if found is not None and not _stopping(site):
        return {"state": "running", "version": found.version, "site": site.id, "crashed": False}
    # one that lives but does not answer is waited for, and told of by whoever starts it
    state = "starting" if starting(site) or (_hanging(site) and not _stopping(site)) else "stopped"
    return {"state": state, "version": None, "site": site.id, "crashed": crashed(site)}


def starting(site: Site) -> bool:
    """Whether somebody is starting or replacing the service of *site* at this moment."""
    try:
        lock = os.open(site.home / "start.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that those who look do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def crashed(site: Site) -> bool:
    """Whether the service of *site* ended without being asked to: one that is stopped removes its state file."""
    try:
        identity = ProcessIdentity.from_dict(json.loads(site.state_file.read_text()))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True  # a state file is written whole, so the disk or a person has damaged it
    return not identity.alive() and not _stopping(site)
