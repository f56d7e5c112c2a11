"""The templates beside the flights: notebooks and manifest agree, read well as source, and work from end to end."""

from __future__ import annotations

import ast
import json
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest

from himalia_server.projects import check_folder

ROOT = Path(__file__).parents[3] / "notebooks"
NAMES = ["classification", "regression", "search"]


def load(name: str, stage: dict[str, Any]) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / name / stage["notebook"], as_version=nbformat.NO_CONVERT)


def stages(name: str) -> dict[str, dict[str, Any]]:
    return dict(tomllib.loads((ROOT / name / "himalia.toml").read_text(encoding="utf-8"))["stages"])


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_has_no_problem(name: str) -> None:
    found = [item for item in check_folder(ROOT / name, ["local"]).items if item.severity != "info"]
    assert found == []
    template = tomllib.loads((ROOT / name / "template.toml").read_text(encoding="utf-8"))
    assert template["name"] == name
    assert len(template["description"]) < 140
    assert (ROOT / name / "README.md").read_text(encoding="utf-8").count("Your own data") == 1


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_valid_and_their_parameters_are_the_manifests(name: str) -> None:
    assert {path.name for path in (ROOT / name).glob("*.ipynb")} == {one["notebook"] for one in stages(name).values()}
    for stage in stages(name).values():
        book = load(name, stage)
        nbformat.validate(book)
        assert book.metadata.kernelspec.name == "python3"
        ids = [cell.id for cell in book.cells]
        assert len(set(ids)) == len(ids)
        assert book.cells[0].source.startswith("# ")
        for cell in book.cells:
            assert max(map(len, cell.source.splitlines())) <= 120, cell.id
            if cell.cell_type == "code":
                assert (cell.outputs, cell.execution_count) == ([], None)
        (tagged,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
        assigned = [node for node in ast.parse(tagged.source).body if isinstance(node, ast.AnnAssign)]
        assert {
            ast.unparse(node.target): ast.literal_eval(node.value or ast.Constant(0)) for node in assigned
        } == stage["params"]
        assert all("  # " in line for line in tagged.source.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_code_writes_and_reads_what_is_declared(name: str) -> None:
    for stage in stages(name).values():
        cells = [cell.source for cell in load(name, stage).cells if cell.cell_type == "code"]
        texts = {
            node.value
            for source in cells
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("build/")
        }
        assert texts == {*stage.get("inputs", []), *stage["outputs"]}


FEWER = {
    "classification": {"train": {"folds": 2}},
    "regression": {"evaluate": {"resamples": 20}},
    "search": {"search": {"candidates": 4, "folds": 2}},
}
BOUNDS = {
    "classification": ("roc_auc", 0.97, 1.0),
    "regression": ("r2", 0.3, 0.7),
    "search": ("accuracy", 0.94, 1.0),
}


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all, since its making takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.mark.parametrize("name", NAMES)
def test_the_notebooks_run_from_end_to_end(
    name: str, mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, with small parameters, against an MLflow of their own."""
    import matplotlib as mpl
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / name / "src"))
    monkeypatch.delenv("HIMALIA_CLUSTER", raising=False)
    known = set(sys.modules)
    mlflow.set_tracking_uri(mlflow_uri)
    try:
        with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for stage_name, stage in stages(name).items():
                scope: dict[str, Any] = {"__name__": "notebook"}
                for cell in load(name, stage).cells:
                    if cell.cell_type == "code":
                        exec(compile(cell.source, f"<{name} {stage_name} {cell.id}>", "exec"), scope)
                    if "parameters" in cell.metadata.get("tags", []):
                        scope |= FEWER[name].get(stage_name, {})
                for output in stage["outputs"]:
                    assert (tmp_path / output).is_file(), output
        key, low, high = BOUNDS[name]
        scores = json.loads((tmp_path / "build" / "scores.json").read_text())
        assert low < scores[key] <= high, scores
        trained = json.loads((tmp_path / "build/model.json").read_text())
        assert mlflow.MlflowClient().get_model_version(trained["model_name"], str(trained["version"])).status == "READY"
        if name == "regression":
            assert 0.65 < scores["coverage"] < 0.95
    finally:
        mlflow.set_tracking_uri(None)
        for module in set(sys.modules) - known:
            if str(ROOT / name) in str(getattr(sys.modules[module], "__file__", "")):
                del sys.modules[module]
