"""What the tests of all guides do as their reader does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from tests.site.lab import Lab

PROJECT = "himalia-guide"


def open_guide(lab: Lab, name: str, **body: Any) -> dict[str, Any]:
    """What the Help menu asks for."""
    reply = lab.request("PUT", f"/guides/{name}", json=body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def text_of(cell: nbformat.NotebookNode) -> str:
    """What a code cell has printed or displayed."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(parts)


def in_a_terminal(commands: str, *, cwd: Path | None = None) -> list[str]:
    """The lines that *commands* print where `himalia` is on the path; each of them must succeed."""
    folder = Path(sys.executable).parent
    assert shutil.which("himalia", path=str(folder))
    done = subprocess.run(
        ["bash", "-ec", f'PATH="{folder}:$PATH"\n{commands}'],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()
