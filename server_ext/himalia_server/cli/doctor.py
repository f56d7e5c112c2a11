"""`himalia doctor`: look for the likeliest troubles and name them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..service import lifecycle
from ..service.site import Site, SiteError
from .api import Api
from .output import Failure, print_json, size

FREE_BYTES = 1 << 30
MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One check. `hint`: what to do when it is not ok."""

    check: str
    ok: bool
    detail: str
    hint: str | None = None


@click.command()
@click.option("--json", "json_", is_flag=True, help="One JSON document on standard output.")
def doctor(json_: bool) -> None:
    """Check the site, the service and what they need. Starts nothing."""
    findings = list(examine())
    if json_:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = click.style("ok     ", fg="green") if finding.ok else click.style("trouble", fg="red")
            click.echo(f"{mark} {finding.check}: {finding.detail}")
            if not finding.ok and finding.hint:
                click.echo(f"        → {finding.hint}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def examine() -> Iterator[Finding]:
    """All checks, in the order in which troubles explain each other."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("Python", sys.version_info >= (3, 11), version, "Himalia needs Python 3.11 or newer.")
    try:
        site = Site.open()
        site.prepare()
        site.settings()
    except SiteError as error:
        yield Finding("site", False, str(error))
        return
    yield Finding("site", True, f"{site.id} in {site.home}")
    for check in (_disk, _file_system, _memory, _jupyter, _service):
        yield from check(site)


def _disk(site: Site) -> Iterator[Finding]:
    for what, path in (("disk", site.home), ("runtime folder", site.runtime)):
        free = shutil.disk_usage(path).free
        hint = f"Free some space on the disk of {path}."
        yield Finding(what, free > (FREE_BYTES if what == "disk" else 1 << 20), f"{size(free)} free", hint)


def _file_system(site: Site) -> Iterator[Finding]:
    from ..store import NETWORK_FILE_SYSTEMS, file_system_type

    kind = file_system_type(site.home)
    hint = "Set HIMALIA_HOME to a folder on a local disk: SQLite can lose data on a network file system."
    yield Finding("file system", kind not in NETWORK_FILE_SYSTEMS, kind or "unknown", hint)


def _memory(_site: Site) -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available
    hint = "Close other programs, or use smaller clusters (himalia cluster start --workers 1)."
    yield Finding("memory", free > MEMORY_BYTES, f"{size(free)} available", hint)


def _jupyter(site: Site) -> Iterator[Finding]:
    missing = [
        name for name in ("mlflow", "distributed", "papermill", "ipykernel") if not importlib.util.find_spec(name)
    ]
    detail = (
        "mlflow, distributed, papermill and ipykernel are there" if not missing else f"missing: {', '.join(missing)}"
    )
    yield Finding("packages", not missing, detail, "pip install --force-reinstall himalia")
    from jupyter_core.paths import jupyter_data_dir

    kernels = Path(jupyter_data_dir()) / "kernels"
    parent = next(folder for folder in (kernels, *kernels.parents) if folder.exists())
    hint = f"Make {parent} writable, or set JUPYTER_DATA_DIR."
    yield Finding("kernel folder", os.access(parent, os.W_OK), str(kernels), hint)


def _service(site: Site) -> Iterator[Finding]:
    found = lifecycle.find(site)
    if found is None:
        stale = site.state_file.exists()
        detail = "killed without a farewell; the next command starts it again" if stale else "not running"
        yield Finding("service", not stale, detail, "himalia up")
        return
    yield Finding("service", True, f"{found.address}, pid {found.identity.pid}, version {found.version}")
    api = Api(site, found)
    checks: tuple[tuple[str, Callable[[Api], tuple[bool, str]], str], ...] = (
        ("MLflow", _tracking, "himalia logs mlflow"),
        ("audit log", _audit, "Restore a backup of himalia.db; keep this one as evidence."),
        ("projects", _projects, "Mend himalia.toml where the text says."),
        ("endpoints", _endpoints, "himalia logs gateway"),
    )
    for name, check, hint in checks:
        try:
            ok, detail = check(api)
        except Failure as error:
            ok, detail = False, error.message
        yield Finding(name, ok, detail, hint)


def _tracking(api: Api) -> tuple[bool, str]:
    state = api.get("/service")["tracking"]
    return not state.startswith("failed"), state


def _audit(api: Api) -> tuple[bool, str]:
    found = api.get("/audit/check")
    return found["whole"], f"{found['rows']} rows" + ("" if found["whole"] else f", broken at {found['first_bad']}")


def _projects(api: Api) -> tuple[bool, str]:
    items = list(api.items("/projects"))
    faults = [project["problem"] for project in items if project["problem"]]
    return not faults, "; ".join(faults) or f"{len(items)}"


def _endpoints(api: Api) -> tuple[bool, str]:
    items = [d for p in api.items("/projects") for d in api.get(f"/projects/{p['slug']}/deployments")["items"]]
    faults = [f"{item['name']}: {item['error']}" for item in items if item["error"]]
    return not faults, "; ".join(faults) or f"{len(items)}"
