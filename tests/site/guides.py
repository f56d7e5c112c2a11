"""What the tests of all guides do as their reader does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

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


class Reader:
    """Somebody who does what the guide says, from top to bottom."""

    def __init__(self, file: Path, terminal: Path) -> None:
        self.book = nbformat.read(file, as_version=4)
        self.file, self.terminal = file, terminal
        self.printed: dict[str, str] = {}
        """By the cell's id: what a code cell has said, or the commands of a block."""

    def read(self, begin: str, end: str | None) -> None:
        """The cells from *begin* on and before *end*, in a kernel of their own."""
        ids = [cell.id for cell in self.book.cells]
        chosen = range(ids.index(begin), ids.index(end) if end else len(ids))
        client = NotebookClient(
            self.book,
            timeout=120,
            kernel_name=self.book.metadata.kernelspec.name,
            resources={"metadata": {"path": str(self.file.parent)}},
        )
        with client.setup_kernel():
            for index in chosen:
                cell = self.book.cells[index]
                if cell.cell_type == "code":
                    self.printed[cell.id] = text_of(client.execute_cell(cell, index))
                else:
                    blocks = re.findall(r"```bash\n(.*?)```", cell.source, re.DOTALL)
                    lines = [line for block in blocks for line in in_a_terminal(block, cwd=self.terminal)]
                    self.printed[cell.id] = "\n".join(lines)
