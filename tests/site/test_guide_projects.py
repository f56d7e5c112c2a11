"""The guide of projects: its blocks pasted into a terminal, its cells run in its kernel, in the order of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.site.guides import PROJECT, in_a_terminal, open_guide, text_of
from tests.site.lab import Lab

GUIDE = "many-projects-side-by-side"
PURGE = {"purge": True, "remove_files": True}


@pytest.fixture(autouse=True)
def gone(lab: Lab) -> Iterator[None]:
    """Other tests of the session find the site as it was."""
    yield
    for name in (PROJECT, "autumn", "winter"):
        lab.request("DELETE", f"/projects/{name}", params=PURGE)


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


@pytest.mark.timeout(600)  # a busy machine starts a dozen processes slowly
def test_the_guide_from_top_to_bottom(lab: Lab, tmp_path: Path) -> None:
    lab.tracking_ready()
    reader = Reader(Path(open_guide(lab, GUIDE)["notebook"]), tmp_path)
    reader.read("title", "look")
    said = reader.printed
    assert "autumn" in said["second"]
    assert PROJECT in said["here"]
    assert "strong" in said["use"]
    assert f"{PROJECT}/tasting@1.0" in said["publish"]
    assert "breaking" in said["compare"]
    assert "strong_from" in said["compare"]
    assert "tabulate" in said["packages"]
    assert "CELLAR_PASSWORD" in said["secret"]
    assert "not-a-real-password" not in said["secret"]
    environment = lab.get("/projects/autumn/environment")
    assert (environment["state"], environment["packages"]) == ("ready", 1)
    assert f"{PROJECT}/tasting@1.0" in (Path(lab.get("/projects/autumn")["path"]) / "himalia.toml").read_text()

    reader.read("look", None)  # the kernel was started again
    assert "with 19 letters" in said["look"]
    assert said["start"].startswith(("fork", "ordinary"))
    assert "winter" in said["file"]
    for name in ("autumn", "winter"):
        assert lab.request("GET", f"/projects/{name}").status_code == 404
    assert lab.get(f"/projects/{PROJECT}/secrets")["items"] == []
    assert not list(tmp_path.iterdir())
