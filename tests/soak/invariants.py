"""What must be true after any fault: looked for in the API, the database, the files and the process table."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import psutil

from himalia_server.service.identity import ProcessIdentity
from tests.site.lab import Lab
from tests.soak.kit import SLUG, Ledger, descendants, service_processes
from tests.waiting import wait_until

ENDED = {"succeeded", "failed", "cancelled", "timed_out"}
SETTLED = {"clusters": {"running", "failed"}, "deployments": {"ready", "failed", "requested"}}
DRAFT = re.compile(r"\..*\.[a-z0-9_]{8}|\.[0-9a-f]{12,16}(\.himalia)?|(?!exit\.json\.).*\.new|.*\.part|.*-journal")
"""Names under which files are written before they are renamed; a child's exit record is reserved as it starts."""


def check(lab: Lab, ledger: Ledger, patience: float = 180, *, tracking: bool = True) -> list[str]:
    """What is wrong; empty when all is well. Waits at most *patience* seconds until nothing is in between.

    *tracking*: look at MLflow too, which takes seconds to start.
    """
    lab.start()
    faults: list[str] = []
    if tracking:
        lab.tracking_ready()
    _await(lambda: _transient(lab), patience, "still in between", faults)
    faults += _acknowledged(lab, ledger) + _events(ledger) + _database(lab, tracking)
    _await(lambda: _processes(lab), 30, "left behind", faults)
    _await(lambda: _files(lab), 30, "left behind", faults)
    if ledger.wrong:
        faults.append(f"wrong predictions: {ledger.wrong[:3]}")
    return faults


def _await(look: Callable[[], list[str]], patience: float, what: str, faults: list[str]) -> None:
    left: list[str] = []

    def nothing() -> bool:
        left[:] = look()
        return not left

    try:
        wait_until(nothing, patience, what)
    except AssertionError:
        faults += [f"{what} after {patience:g} s: {item}" for item in left]


def _transient(lab: Lab) -> list[str]:
    left = []
    for project in _all(lab, "/projects"):
        slug = project["slug"]
        left += [f"run {run['id']} {run['status']}" for run in _all(lab, f"/projects/{slug}/runs")
                 if run["status"] not in ENDED]  # fmt: skip
        for kind, settled in SETTLED.items():
            for item in lab.get(f"/projects/{slug}/{kind}")["items"]:
                if item["state"] not in settled:
                    left.append(f"{kind} {item['name']} {item['state']}: {item['error']}")
                elif kind == "clusters" and item["workers"] != item["wanted"]:
                    left.append(f"cluster {item['name']} has {item['workers']} of {item['wanted']} workers")
    return left


def _all(lab: Lab, path: str) -> list[dict[str, Any]]:
    items, cursor = [], None
    while True:
        page = lab.get(path, params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


def _acknowledged(lab: Lab, ledger: Ledger) -> list[str]:
    faults = []
    if ledger.runs:
        known = {run["id"]: run for run in _all(lab, f"/projects/{SLUG}/runs")}
        faults += [f"the run {run_id} is lost" for run_id in ledger.runs - set(known)]
        for run in known.values():
            if run["ended_at"] is not None and run["started_at"] is not None and run["ended_at"] < run["started_at"]:
                faults.append(f"the run {run['id']} took {run['ended_at'] - run['started_at']} s")
            bad = [stage for stage in run["stages"] if run["status"] == "succeeded" and stage["status"] != "succeeded"]
            faults += [f"run {run['id']} succeeded, its stage {stage['name']} {stage['status']}" for stage in bad]
            if run["status"] != "succeeded":
                reasons = [stage["error"] or stage["reason"] for stage in run["stages"]]
                if not run["reason"] and not any(reasons):
                    faults.append(f"run {run['id']} {run['status']} without a reason")
    if ledger.keys:
        valid = {key["id"] for key in _all(lab, f"/projects/{SLUG}/deployments/{SLUG}/tokens")}
        faults += [f"the token {key} is lost" for key in ledger.keys - ledger.asked - valid]
        faults += [f"the token {key} was revoked and is valid" for key in ledger.revoked & valid]
    slugs = {project["slug"] for project in _all(lab, "/projects")}
    faults += [f"the project {name} is lost" for name in ledger.projects - ledger.asked - slugs]
    faults += [f"the project {name} was deleted and is there" for name in ledger.deleted & slugs]
    if ledger.alias:
        models = lab.get(f"/projects/{SLUG}/models")["items"]
        aliases = {alias for model in models for version in model["versions"] for alias in version["aliases"]}
        if ledger.alias not in aliases:
            faults.append(f"the alias {ledger.alias} is lost")
    return faults


def _events(ledger: Ledger) -> list[str]:
    """Events that a reader did not see, or saw twice."""
    pairs = zip(ledger.events, ledger.events[1:], strict=False)
    return [f"after event {before} came {after}" for before, after in pairs if after != before + 1]


def _database(lab: Lab, tracking: bool) -> list[str]:
    faults = []
    for path in (lab.site.database, lab.site.tracking_database)[: 1 + tracking]:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            told = connection.execute("PRAGMA integrity_check").fetchall()
            if told != [("ok",)]:
                faults.append(f"{path.name}: {told[:3]}")
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                faults.append(f"{path.name}: broken foreign keys")
    if not lab.get("/audit/check")["whole"]:
        faults.append("the audit chain is broken")
    with contextlib.closing(sqlite3.connect(lab.site.database, timeout=30)) as connection:
        first, last, count = connection.execute("SELECT min(seq), max(seq), count(*) FROM events").fetchone()
        if count and last - first + 1 != count:
            faults.append(f"events {first} to {last} are only {count}")
        query = """SELECT t.run_id, t.stage, r.status, s.status FROM tokens t LEFT JOIN runs r ON r.id = t.run_id
            LEFT JOIN stage_runs s ON s.run_id = t.run_id AND s.stage = t.stage
            WHERE t.purpose = 'stage' AND t.revoked_at IS NULL
            AND (s.status IS NULL OR s.status NOT IN ('running', 'waiting', 'pending'))"""
        faults += [f"a token of an ended stage is valid: {row}" for row in connection.execute(query)]
        query = """SELECT status, count(*) FROM stage_runs s WHERE ended_at < started_at GROUP BY status"""
        faults += [f"stages that ended before they began: {row}" for row in connection.execute(query)]
        query = "SELECT owner, key, count(*) FROM request_keys GROUP BY owner, key HAVING count(*) > 1"
        faults += [f"an idempotency key twice: {row}" for row in connection.execute(query)]
    return faults


def _processes(lab: Lab) -> list[str]:
    """Processes of the site that no living thing of the service accounts for."""
    services = service_processes(lab.site)
    faults = [] if len(services) == 1 else [f"{len(services)} services"]
    known = {process.pid for process in services}
    names = {child["name"] for child in lab.get("/service")["children"]}
    for name in names:
        known |= {process.pid for process in descendants(lab, name)}
        known |= {child.pid for child in _supervisors(lab, name)}
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    for process in lab.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.pid not in known and process.pid not in ours:
                faults.append(f"{process.pid} {process.cmdline()}")
    active = {run["id"] for run in _all(lab, f"/projects/{SLUG}/runs") if run["status"] not in ENDED}
    faults += [f"child {name} of an ended run" for name in names if name.startswith("stage-")
               and not any(run in name for run in active)]  # fmt: skip
    return faults


def _supervisors(lab: Lab, name: str) -> list[ProcessIdentity]:
    import json

    try:
        data = json.loads((lab.home / "children" / name / "supervisor.json").read_text())
    except (OSError, ValueError):
        return []
    return [ProcessIdentity.from_dict(data)]


def _files(lab: Lab) -> list[str]:
    """Drafts, folders of ended runs, children that are no more, token files that open nothing."""
    faults = []
    runtime = lab.site.runtime
    for root in (lab.home, lab.root / "projects"):
        for path in root.rglob("*"):
            if "mlflow-artifacts" not in path.parts and "layers" not in path.parts and DRAFT.fullmatch(path.name):
                faults.append(f"draft {path.relative_to(lab.root)}")
    active = {run["id"] for run in _all(lab, f"/projects/{SLUG}/runs") if run["status"] not in ENDED}
    faults += [f"folder of the run {path.name}" for path in (lab.home / "runs").iterdir() if path.name not in active]
    names = {child["name"] for child in lab.get("/service")["children"]}
    faults += [f"folder of the child {path.name}" for path in (lab.home / "children").iterdir()
               if path.name not in names]  # fmt: skip
    if not active:
        faults += [f"temporary folder {path.name}" for path in runtime.glob("s*-*")]
        faults += [f"token file {path.name}" for path in (lab.home / "tokens").glob("stage-*")]
    with contextlib.closing(sqlite3.connect(lab.site.database, timeout=30)) as connection:
        used = {row[0] for row in connection.execute("SELECT model_path FROM revisions")}
    faults += [f"model {path.name}" for path in (lab.home / "models").iterdir() if str(path) not in used]
    return faults
