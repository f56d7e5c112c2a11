"""The service, what it has started, and what it says of itself."""

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from himalia import __version__

from ...service import lifecycle
from ...service.identity import ProcessIdentity, boot_id
from .finding import Place, Verdict, trouble, well

ANSWER_SECONDS = 5.0
MLFLOW_SECONDS = 180.0
"""So long MLflow may take to start on a slow disk."""
DOWN_UP = "himalia down, then himalia up"


def ports(place: Place) -> Verdict | None:
    """The ports that were chosen are free, or ours."""
    if place.site is None or place.settings is None:
        return None
    taken = []
    gateway = place.settings.gateway_port or int(place.site.remembered().get("gateway_port", 0))
    if place.settings.service_port and place.process() is None and not lifecycle.starting(place.site):
        taken += _taken(place.settings.service_port, "the service", "[service] port")
    if gateway and "gateway" not in place.children():
        taken += _taken(gateway, "endpoints", "[gateway] port")
    if taken:
        return trouble(
            "; ".join(taken),
            f"Stop that program, or set another port in {place.home / 'settings.toml'} (0: any), then himalia up.",
        )
    return well("those that were chosen are free or ours")


def _taken(port: int, what: str, setting: str) -> list[str]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return [f"port {port}, chosen for {what} ({setting}), is taken by {_owner(port)}"]
            return [f"port {port}, chosen for {what} ({setting}), cannot be used: {error.strerror}"]
    return []


def _owner(port: int) -> str:
    try:
        pid = next((c.pid for c in psutil.net_connections("tcp") if _listens(c, port) and c.pid), None)
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "another program"
    except psutil.Error:
        return "another program"


def _listens(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and bool(connection.laddr.port == port)


def service(place: Place) -> Verdict | None:
    """The service runs and answers, or was stopped properly."""
    if place.site is None:
        return None
    if not place.site.state_file.exists():
        if lifecycle.starting(place.site):
            return well("somebody is starting it")
        return well("not running; the next command starts it")
    state = place.state()
    try:
        identity = ProcessIdentity.from_dict(state or {})
    except (KeyError, TypeError, ValueError):
        return trouble(f"{place.site.state_file} is damaged, so the service cannot be found", DOWN_UP)
    if not identity.alive():
        return _gone(identity, bool(state and state.get("stopping")))
    if _halted(identity):  # seen without asking it, which would take as long as one waits
        return trouble(
            f"its process (pid {identity.pid}) was halted (SIGSTOP, or Ctrl-Z), so it does not answer",
            f"kill -CONT {identity.pid}",
        )
    found = lifecycle.find(place.site, ANSWER_SECONDS)
    if found is None:
        return _silent(identity, str((state or {}).get("address")))
    place.found = found
    where = f"{found.address}, pid {found.identity.pid}, version {found.version}"
    if found.version != __version__:
        return _other_version(found.version, where)
    return well(where)


def _gone(identity: ProcessIdentity, stopping: bool) -> Verdict:
    if stopping:
        return well("not running; the next command starts it")
    if identity.boot != boot_id():
        return trouble(
            "it ended when the machine went down (or this folder comes from another machine); unfinished runs go on "
            "when it is back",
            "himalia up",
        )
    return trouble("killed without a farewell; the next command starts it again, and runs go on", "himalia up")


def _halted(identity: ProcessIdentity) -> bool:
    try:
        return bool(psutil.Process(identity.pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _silent(identity: ProcessIdentity, address: str) -> Verdict:
    try:
        httpx.get(f"{address}/health", timeout=1, trust_env=False)
    except httpx.TimeoutException:
        return trouble(
            f"it lives (pid {identity.pid}) but does not answer within {ANSWER_SECONDS:g} s; the machine may be out "
            "of memory, or the disk very slow",
            f"himalia logs service; if it stays so: {DOWN_UP}",
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return trouble(
            f"it lives (pid {identity.pid}) but nobody listens at {address}: {error}",
            f"himalia logs service; if it stays so: {DOWN_UP}",
        )
    return trouble(
        f"who answers at {address} is not this site's service (it does not know the site's secret), and was given no "
        "token",
        f"{DOWN_UP}; if it stays so, find out what listens there.",
    )


def _other_version(version: str, where: str) -> Verdict:
    from packaging.version import Version

    if Version(version) > Version(__version__):
        return trouble(
            f"{where} is newer than this Himalia {__version__}, which must not replace it",
            "pip install -U himalia in this environment",
        )
    return trouble(
        f"{where} is older than this Himalia {__version__}; the next command replaces it, and what it started goes on",
        "himalia up",
    )


def leftovers(place: Place) -> Verdict | None:
    """Without a service nothing of it runs."""
    if place.site is None:
        return None
    living = place.children()
    if place.process() is not None or lifecycle.starting(place.site):
        are = "is" if len(living) == 1 else "are"
        return well(f"{len(living)} process{'es' if len(living) != 1 else ''} {are} watched by the service")
    names = ", ".join(living)
    if living and place.site.state_file.exists():
        return well(f"{names} go on, until the next service takes them over")
    if living:
        return trouble(
            f"processes of an earlier service still run: {names}",
            "himalia up takes them over; himalia down ends them",
        )
    return well("none")


def token(place: Place) -> Verdict | None:
    """The service takes the token of this account."""
    if place.site is None or place.found is None:
        return None
    file = place.site.user_token_file
    hint = f"{DOWN_UP}: the service then writes a new one."
    try:
        text = file.read_text().strip()
    except OSError as error:
        return trouble(f"{file} cannot be read: {error.strerror}", hint)
    try:
        reply = _ask(place, "/service", text)
    except (httpx.HTTPError, UnicodeEncodeError, httpx.InvalidURL) as error:
        return trouble(f"the service could not be asked: {type(error).__name__} {error}", "himalia logs service")
    if reply.status_code == 401:
        return trouble(f"the service does not take the token in {file}", hint)
    if not reply.is_success:
        return trouble(f"the service answered {reply.status_code}: {reply.text[:200]}", "himalia logs service")
    place.facts = reply.json()
    return well(f"{place.facts['user']}, by {file}")


def _ask(place: Place, path: str, text: str | None = None) -> httpx.Response:
    assert place.found is not None
    chosen = place.found.token() if text is None else text
    return httpx.get(
        f"{place.found.address}/api/v1{path}",
        headers={"Authorization": f"Bearer {chosen}"},
        timeout=ANSWER_SECONDS,
        trust_env=False,
    )


def tracking(place: Place) -> Verdict | None:
    """MLflow answers, or is about to."""
    if not place.facts:
        return None
    state = str(place.facts["tracking"])
    hint = f"himalia logs mlflow, himalia logs mlflow-prepare; then {DOWN_UP}"
    if state.startswith("failed"):
        return trouble(f"could not be started: {state.removeprefix('failed: ')}", hint)
    since = time.time() - float(place.facts["started_at"])
    if state != "running" and since > MLFLOW_SECONDS:
        return trouble(f"has not answered in the {since:.0f} s since the service started", hint)
    return well(state)


def audit(place: Place) -> Verdict | None:
    """The chain of hashes is whole."""
    if not place.facts:
        return None
    try:
        reply = _ask(place, "/audit/check")
    except httpx.TimeoutException:
        return well(f"long: not checked to its end in {ANSWER_SECONDS:g} s (himalia audit check does)")
    reply.raise_for_status()
    found = reply.json()
    if not found["whole"]:
        return trouble(
            f"row {found['first_bad']} of {found['rows']} was changed, or the one before it removed",
            "Keep this database as evidence (himalia backup), then restore an older backup.",
        )
    return well(f"{found['rows']} rows, unbroken")


def projects(place: Place) -> Verdict | None:
    """Folders are there, and their himalia.toml can be read."""
    from ...projects import ManifestFault, read_manifest

    if place.store is None:
        return None
    rows = place.store("SELECT slug, path FROM projects WHERE deleting IS NULL ORDER BY slug")
    gone = [f"{slug} ({path})" for slug, path in rows if not Path(path).is_dir()]
    if gone:
        return trouble(
            f"their folders are gone or were moved: {', '.join(gone)}",
            "Move them back. (himalia project delete NAME would forget the project with its runs and models.)",
        )
    faults = []
    for slug, path in rows:
        try:
            read_manifest(Path(path))
        except ManifestFault as fault:
            faults.append(f"{slug}: {fault.detail} {fault.hint or ''}".strip())
    if faults:
        return trouble("; ".join(faults), "Mend himalia.toml where the text says.")
    return well(f"{len(rows)}")


def clusters(place: Place) -> Verdict | None:
    """No cluster has failed."""
    if place.store is None:
        return None
    rows = _rows(place, "clusters")
    failed = [
        f"{slug}/{name}: {error or 'no reason is known'}" for slug, name, state, error in rows if state == "failed"
    ]
    if failed:
        return trouble(
            "; ".join(failed),
            "himalia logs shows the names of logs (cluster-…); himalia cluster stop and start, with less memory if "
            "that was short",
        )
    return well(f"{len(rows)}")


def endpoints(place: Place) -> Verdict | None:
    """No endpoint has failed, and the gateway runs."""
    if place.store is None:
        return None
    rows = _rows(place, "deployments")
    failed = [f"{slug}/{name}: {error or 'failed'}" for slug, name, state, error in rows if error or state == "failed"]
    if failed:
        return trouble("; ".join(failed), "himalia logs gateway")
    if rows and place.process() is not None and "gateway" not in place.children():
        return trouble(
            f"the gateway does not run, so {len(rows)} endpoints do not answer", f"himalia logs gateway; then {DOWN_UP}"
        )
    return well(f"{len(rows)}")


def _rows(place: Place, table: str) -> list[tuple[Any, ...]]:
    assert place.store is not None
    return place.store(
        f"SELECT p.slug, t.name, t.state, t.error FROM {table} t JOIN projects p ON p.id = t.project_id "  # noqa: S608
        "ORDER BY p.slug, t.name"
    )
