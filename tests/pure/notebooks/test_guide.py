"""The guides as they are installed: valid, without outputs, true to what the page calls things."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import nbformat
import pytest

from himalia_server.projects import parse_manifest
from himalia_server.projects.guides import MANIFEST, PROJECT, find_guide, guides, put_copy
from himalia_server.service.problems import Invalid, NotFound

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "labextension" / "src"
FIRST = "from-nothing-to-a-deployed-model"


def load(name: str) -> nbformat.NotebookNode:
    return nbformat.read(guides()[name].file, as_version=nbformat.NO_CONVERT)


def code(name: str) -> dict[str, str]:
    """The code cells by id, without the magics."""
    cells = {cell.id: cell.source for cell in load(name).cells if cell.cell_type == "code"}
    return {key: source for key, source in cells.items() if not source.startswith("%")}


@pytest.mark.parametrize("name", list(guides()))
def test_a_guide_is_valid_and_has_no_outputs(name: str) -> None:
    book = load(name)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) >= (4, 5)
    assert book.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)
    assert book.cells[0].source.startswith(f"# {guides()[name].title}\n")
    for cell in book.cells:
        assert cell.source.strip(), f"cell {cell.id} is empty"
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert max(map(len, cell.source.splitlines())) <= 120, cell.id
    assert guides()[name].file.stat().st_size < 100_000


def test_the_page_opens_a_guide_that_there_is() -> None:
    named = re.search(r"FIRST_GUIDE = '([^']+)'", (SOURCES / "projects" / "example.ts").read_text())
    assert named is not None
    assert find_guide(named[1]).title == "From nothing to a deployed model"
    with pytest.raises(NotFound, match="no guide"):
        find_guide("../nyc-flights/01-prepare")


def test_the_stages_that_it_writes_fit_its_manifest() -> None:
    written = {}
    for cell in load(FIRST).cells:
        if cell.source.startswith("%%write_stage "):
            line, _, text = cell.source.partition("\n")
            title, parameters, *steps = text.split("# %%\n")
            assert title.startswith("# ")
            compile("\n".join(steps), cell.id, "exec")
            assigned = [item for item in ast.parse(parameters).body if isinstance(item, ast.AnnAssign)]
            written[line.split()[1]] = {ast.unparse(item.target): ast.literal_eval(item.value) for item in assigned}
    stages = next(
        ast.literal_eval(node.value)
        for node in ast.parse(code(FIRST)["manifest"]).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STAGES"
    )
    manifest = tomllib.loads(MANIFEST + stages)
    assert manifest["project"]["name"] == PROJECT
    assert {stage["notebook"]: stage["params"] for stage in manifest["stages"].values()} == written
    assert list(parse_manifest(MANIFEST + stages).stages) == ["prepare", "train"]


def test_the_buttons_that_it_names_exist() -> None:
    text = "\n".join(cell.source for cell in load(FIRST).cells if cell.cell_type == "markdown")
    page = "\n".join(file.read_text() for file in SOURCES.rglob("*.ts*") if "__tests__" not in file.parts)
    labels = {
        *("New Project…", "Open the Overview", "Open MLflow", "Open the Example Project"),
        *("Run the Pipeline", "Run with Parameters…", "Confirm"),
    }
    for label in labels:
        assert label in text, f"the guide does not speak of {label}"
        assert f"'{label}'" in page, f"the page has no {label}"


def test_a_copy_names_its_kernel_and_is_never_written_again(tmp_path: Path) -> None:
    target = tmp_path / "guide.ipynb"
    assert put_copy(find_guide(FIRST), target, "himalia-1a2b-guide")
    assert json.loads(target.read_text("utf-8"))["metadata"]["kernelspec"]["name"] == "himalia-1a2b-guide"
    nbformat.validate(nbformat.read(target, as_version=4))
    target.write_text("mine")
    assert not put_copy(find_guide(FIRST), target, "himalia-1a2b-guide")
    assert target.read_text() == "mine"


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        put_copy(find_guide(FIRST), tmp_path / "gone" / "guide.ipynb", "himalia-1a2b-guide")
