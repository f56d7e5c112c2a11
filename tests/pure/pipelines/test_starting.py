"""What of a project is code, inputs and neither when a run starts, and what git says of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from himalia_server.pipelines.graph import Graph
from himalia_server.pipelines.starting import Subject, code_names, git_state, input_names, notebook_manifest
from himalia_server.projects import Manifest, parse_manifest

MANIFEST = parse_manifest(
    """
[project]
name = "p"
[stages.make]
notebook = "make.ipynb"
inputs = ["data", "helper.py", "read.ipynb"]
outputs = ["build/parts"]
[stages.read]
notebook = "read.ipynb"
inputs = ["build/parts"]
"""
)
FILES = (
    *("himalia.toml", "make.ipynb", "read.ipynb", "explore.ipynb", "helper.py", "other.py", "settings.json"),
    *("data/x.json", "data/x.csv", "data/tool.py", "build/parts/a.json", ".himalia/stages/make.json", "README.md"),
)
CODE = ["data/tool.py", "explore.ipynb", "himalia.toml", "make.ipynb", "other.py", "read.ipynb", "settings.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "top" / "project"
    for name in FILES:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("{}")
    return place


def subject(manifest: Manifest, *names: str) -> Subject:
    return Subject(manifest, Graph.of(manifest), list(names), {name: {} for name in names})


def test_code_and_inputs_share_nothing(folder: Path) -> None:
    both = subject(MANIFEST, "make", "read")
    assert (code_names(folder, MANIFEST, both), input_names(both)) == (CODE, ["data", "helper.py"])
    # what a stage finds does not hang on which others run with it; the folder that nobody makes is an input
    alone = subject(MANIFEST, "read")
    assert (code_names(folder, MANIFEST, alone), input_names(alone)) == (sorted([*CODE, "helper.py"]), ["build/parts"])


def test_outputs_of_stages_are_no_code_of_a_notebook_that_runs_alone(folder: Path) -> None:
    one = subject(notebook_manifest(MANIFEST, "explore.ipynb", ["data"]), "notebook")
    assert (code_names(folder, MANIFEST, one), input_names(one)) == (sorted([*CODE, "helper.py"]), ["data"])


def git(folder: Path, *command: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *command], check=True, capture_output=True)


def state(folder: Path) -> dict[str, Any]:
    return git_state(folder, MANIFEST, code_names(folder, MANIFEST, subject(MANIFEST, "make", "read")))


@pytest.fixture(params=["own", "around"])
def committed(request: pytest.FixtureRequest, folder: Path) -> Path:
    """In a repository of its own, or in a folder of one, whose other folders do not matter."""
    top = folder if request.param == "own" else folder.parent
    git(top, "init", "-q", "-b", "main")
    (top / ".gitignore").write_text("*.csv\nscratch.ipynb\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "all")
    if top != folder:
        (top / "elsewhere.py").write_text("")
    return folder


def test_a_run_of_a_commit_is_clean(committed: Path) -> None:
    found = state(committed)
    assert (found["branch"], found["dirty"], len(found["commit"])) == ("main", False, 40)
    for harmless in (
        "README.md",
        "build/parts/a.json",
        "build/parts/new.json",
        ".himalia/stages/make.json",
        "data/x.csv",
    ):
        (committed / harmless).write_text("changed")
    (committed / "notes.txt").write_text("untracked, and no code")
    (committed / "data" / "new.csv").write_text("an input that is ignored")
    assert state(committed)["dirty"] is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("make.ipynb", "changed"),
        ("other.py", "changed"),
        ("other.py", None),
        ("settings.json", None),
        ("data/x.json", "changed"),
        ("data/x.json", None),
        ("helper.py", "changed"),
        ("new.py", "untracked"),
        ("deep/new folder/\u00fc.ipynb", "untracked"),
        ("data/tool.py", "changed"),
    ],
)
def test_code_that_differs_from_the_commit_is_dirty(committed: Path, name: str, text: str | None) -> None:
    (committed / name).parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        (committed / name).unlink()
    else:
        (committed / name).write_text(text)
    assert state(committed)["dirty"] is True


def test_what_is_staged_or_ignored_and_runs_is_dirty(committed: Path) -> None:
    (committed / "staged.py").write_text("")
    git(committed, "add", "staged.py")
    assert state(committed)["dirty"] is True
    git(committed, "rm", "-qf", "staged.py")
    assert state(committed)["dirty"] is False
    git(committed, "mv", "read.ipynb", "scratch.ipynb")
    (committed / "scratch.ipynb").rename(committed / "read.ipynb")
    git(committed, "rm", "-q", "--cached", "scratch.ipynb")
    assert state(committed)["dirty"] is True  # the notebook of a stage is no longer tracked


def test_a_repository_that_tracks_nothing_of_a_project_says_nothing_of_it(folder: Path) -> None:
    assert state(folder) == {}
    git(folder.parent, "init", "-q")
    (folder.parent / "dotfile").write_text("")
    git(folder.parent, "add", "dotfile")
    git(folder.parent, "commit", "-qm", "home")
    assert state(folder) == {}
    git(folder.parent, "add", "project/himalia.toml")
    assert state(folder)["dirty"] is True
