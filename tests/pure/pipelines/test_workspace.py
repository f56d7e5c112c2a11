"""What a stage finds in its folder: the code, and of inputs and outputs exactly what was declared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from himalia_server.content import ContentStore, MissingContent
from himalia_server.pipelines.driving.workspace import LAYOUT, chosen, lay_out, lay_out_apart
from himalia_server.pipelines.keys import CodeReader
from himalia_server.pipelines.outputs import StageFiles
from himalia_server.projects import Manifest, outputs_of, parse_manifest, without_data

MANIFEST = parse_manifest(
    """
[project]
name = "p"
[stages.split]
notebook = "split.ipynb"
outputs = ["build/parts"]
[stages.join]
notebook = "lib/join.ipynb"
inputs = ["build/parts", "data", "lib", "data/extra.json"]
[stages.other]
notebook = "other.ipynb"
"""
)
NOTEBOOK = {"cells": [{"cell_type": "code", "source": "pass", "metadata": {}}], "nbformat": 4}
CODE = (
    *("split.ipynb", "lib/join.ipynb", "other.ipynb", "lib/m.py", "settings.json"),
    *("build/parts/stale.json", "build/parts/stale.py", "data/gone.json", "data/deep/gone.json"),
)
"""As a snapshot was taken before what lies within inputs and outputs was left out of the code."""


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def folder(content: ContentStore, place: Path, **files: str) -> str:
    for name, text in files.items():
        path = place / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return content.put_path(place).digest


def snapshot(content: ContentStore, tmp_path: Path) -> dict[str, str]:
    notebook, code = content.put_bytes(json.dumps(NOTEBOOK).encode()), content.put_bytes(b"pinned")
    files = {path: notebook if path.endswith(".ipynb") else code for path in CODE}
    files["data"] = folder(content, tmp_path / "data", new_json="today", deep__x_json="today")
    files["lib"] = folder(content, tmp_path / "lib", m_py="today", join_ipynb="today", n_py="today")
    files["data/extra.json"] = content.put_bytes(b"declared besides")
    return files


def found_in(work: Path) -> dict[str, str]:
    return {path.relative_to(work).as_posix(): path.read_text() for path in work.rglob("*") if path.is_file()}


def laid(content: ContentStore, files: dict[str, str], name: str, manifest: Manifest = MANIFEST) -> dict[str, str]:
    declared = {path for stage in manifest.stages.values() for path in stage.inputs}
    produced = {"build/parts": content.put_tree({})} if name == "split" else {"build/parts": files["fresh"]}
    held = {path: digest for path, digest in files.items() if path != "fresh"}
    reader = CodeReader(lambda digest: content.path(digest).read_bytes())
    return chosen(content, reader, held, manifest.stages[name], declared, produced)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_inputs_are_what_their_digests_say_and_outputs_are_not_there(
    content: ContentStore, tmp_path: Path, old: bool, apart: bool
) -> None:
    files = snapshot(content, tmp_path)
    if not old:
        files = {name: files[name] for name in without_data(files, MANIFEST.stages, outputs_of(MANIFEST))}
    files["fresh"] = folder(content, tmp_path / "parts", a_json="fresh")
    work = tmp_path / "stage" / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "left.json").write_text("left by an attempt before")

    def lay(name: str) -> set[str]:
        stage = MANIFEST.stages[name]
        chose = laid(content, files, name)
        if not apart:
            lay_out(content, chose, stage, {"build/parts": files["fresh"]}, work)
            return set(found_in(work))
        lay_out_apart(content, chose, "p", work)
        return set(json.loads((work.parent / LAYOUT).read_text())["files"])

    inputs = {"data/new.json", "data/deep/x.json", "data/extra.json", "lib/m.py", "lib/n.py", "build/parts/a.json"}
    assert lay("join") == {*inputs, "lib/join.ipynb", "settings.json"}
    if not apart:
        held = found_in(work)
        assert {held[path] for path in ("data/new.json", "data/deep/x.json", "lib/m.py", "lib/n.py")} == {"today"}
        assert (held["data/extra.json"], held["build/parts/a.json"]) == ("declared besides", "fresh")
        assert json.loads(held["lib/join.ipynb"]) == NOTEBOOK  # what runs is the notebook that its key is about
    assert lay("split") >= {"split.ipynb", "settings.json", "lib/m.py"}
    assert not any(path.startswith("build/parts/") for path in lay("split"))


def test_a_stage_that_has_not_declared_a_folder_finds_its_modules_but_not_its_data(
    content: ContentStore, tmp_path: Path
) -> None:
    files = snapshot(content, tmp_path)
    files = {name: files[name] for name in without_data(files, MANIFEST.stages, outputs_of(MANIFEST))}
    files["fresh"] = content.put_tree({})
    assert set(laid(content, files, "other")) == {"other.ipynb", "lib/m.py", "settings.json"}


def test_modules_are_looked_for_in_inputs_first(content: ContentStore, tmp_path: Path) -> None:
    inputs = {
        "src": folder(content, tmp_path / "src", m_py="today", pkg__n_py="today"),
        "one.py": "sha256:one",
        "none": "tree:sha256:" + "0" * 64,
    }
    code = {"src/m.py": "sha256:pinned", "src/gone.py": "sha256:pinned", "top.py": "sha256:top", "one.py": "sha256:old"}
    files = StageFiles(content.tree, code, inputs)
    today = content.put_bytes(b"today")
    assert [files.get(path) for path in ("src/m.py", "src/pkg/n.py", "src/gone.py")] == [today, today, None]
    assert [files.get(path) for path in ("top.py", "one.py", "one.py/x.py", "src")] == [
        "sha256:top",
        "sha256:one",
        None,
        None,
    ]
    with pytest.raises(MissingContent):
        files.get("none/m.py")
