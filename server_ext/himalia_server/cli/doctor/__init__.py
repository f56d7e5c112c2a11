"""`himalia doctor`: look for the likeliest troubles and name them.

Looking changes nothing and starts nothing; what hangs is not waited for. Each check stands by itself: one that
fails, or cannot be made, does not keep the others from being made.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from ...service.site import default_home
from ..options import as_json
from ..output import print_json
from . import jupyter, machine, service, site, store
from .finding import Finding, Place, Verdict

__all__ = ["CHECKS", "Finding", "doctor", "examine"]

CHECKS: dict[str, Callable[[Place], Verdict | None]] = {
    "Python": machine.python,
    "packages": machine.packages,
    "text encoding": machine.text,
    "memory": machine.memory,
    "proxies": machine.proxies,
    "disk": machine.disk,
    "site": site.folder,
    "permissions": site.permissions,
    "settings": site.settings,
    "file system": machine.file_system,
    "runtime folder": site.runtime,
    "database": store.database,
    "MLflow's database": store.tracking_database,
    "clock": store.clock,
    "server extension": jupyter.server_extension,
    "labextension": jupyter.labextension,
    "kernel folder": jupyter.kernel_folder,
    "kernels": jupyter.kernels,
    "ports": service.ports,
    "service": service.service,
    "open files": machine.open_files,
    "leftovers": service.leftovers,
    "token": service.token,
    "MLflow": service.tracking,
    "audit log": service.audit,
    "projects": service.projects,
    "clusters": service.clusters,
    "endpoints": service.endpoints,
}
"""In the order in which troubles explain each other. A check that gives None could not be made, for a reason that one
before it has told."""


@click.command()
@as_json
def doctor(json_: bool) -> None:
    """Find out what is wrong.

    Looks at the machine, the site, the databases, Jupyter, the service and what it started, and says what to do about
    each trouble. Starts and changes nothing; the exit code is 1 when there is a trouble.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding that cannot say all is one of the troubles
    findings = []
    for finding in examine():
        findings.append(finding)
        if not json_:
            _show(finding)
    troubles = sum(not finding.ok for finding in findings)
    if json_:
        print_json([asdict(finding) for finding in findings])
    else:
        count = f"{troubles} trouble{'' if troubles == 1 else 's'}" if troubles else "no trouble"
        click.echo(f"\n{len(findings)} checks, {count} found.")
    if troubles:
        raise SystemExit(1)


def _show(finding: Finding) -> None:
    mark = click.style("ok     ", fg="green") if finding.ok else click.style("trouble", fg="red")
    click.echo(f"{mark} {finding.check}: {finding.detail}")
    if not finding.ok and finding.hint:
        click.echo(f"        → {finding.hint}")


def examine(home: Path | None = None) -> Iterator[Finding]:
    """All checks of the site at *home* (by default the one of this environment), as they are made."""
    place = Place(home or default_home())
    for name, check in CHECKS.items():
        try:
            verdict = check(place)
        except Exception as error:
            verdict = Verdict(
                False,
                f"this could not be checked: {type(error).__name__}: {error}",
                "If the other lines do not explain it, it is a fault of Himalia: please report it.",
            )
        if verdict is not None:
            yield Finding(name, *verdict)
