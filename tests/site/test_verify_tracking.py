"""A verification leaves nothing in MLflow, and the notebook cannot tell. A real service, real MLflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from himalia_server.tracking import MlflowClient
from tests.site.lab import TRAIN, Lab, write_project
from tests.site.test_verify import wait_verification
from tests.waiting import wait_until

REGISTERS = [
    TRAIN.replace("build/model.json", "model.json"),
    # by number and by alias, of an earlier run; and what was registered just now
    "print(mlflow.sklearn.load_model('models:/older/1').coef_.shape)",
    "print(mlflow.pyfunc.load_model('models:/older@champion').metadata.run_id is not None)",
    "print(mlflow.sklearn.load_model(f'models:/tiny/{info.registered_model_version}').predict(frame).sum())",
    "model = mlflow.pyfunc.load_model('models:/older/1')\n"
    "with mlflow.start_run():\n    mlflow.log_metric('again', 1.0, model_id=model.model_id)\n",
    "later = mlflow.register_model(model_uri=info.model_uri, name='other')\nprint(later.name, later.version)",
    "from mlflow.tracking import MlflowClient\nclient = MlflowClient()\n"
    "print([found.name for found in client.search_model_versions(\"name='older'\")])",
    "print(len(mlflow.search_runs(filter_string='metrics.score = 1.0')))",
    "print(len(mlflow.search_runs(filter_string='metrics.early = 7.0')))",
    "early = mlflow.search_runs(filter_string='metrics.early = 7.0').run_id[0]\n"
    "client.set_tag(early, 'seen', 'yes')\nclient.log_metric(early, 'late', 2.0)",
    "with mlflow.start_run(run_id=early):\n    mlflow.log_metric('late', 3.0)\nprint('resumed')",
    "mlflow.set_experiment('aside')\nwith mlflow.start_run():\n    mlflow.log_param('where', 'aside')\n"
    "print(len(mlflow.search_runs(experiment_names=['aside'])))",
    "mlflow.sklearn.autolog(silent=True)\n"
    "LogisticRegression().fit(frame, frame['a'] > 5)\nmlflow.sklearn.autolog(disable=True)",
]
PRINTED = ["", "(1, 2)\n", "True\n", "10\n", "", "other 1\n", "['older']\n", "1\n", "1\n", "", "resumed\n", "1\n", ""]
EARLIER = [
    TRAIN.replace("tiny", "older").replace("build/model.json", "model.json"),
    "with mlflow.start_run():\n    mlflow.log_metric('early', 7.0)",
    "mlflow.set_experiment('aside')",
]


def facts(lab: Lab) -> dict[str, Any]:
    """All that MLflow has of the project: experiments, runs with their tags and metrics, models and versions."""
    client = MlflowClient(lab.site.runtime / "mlflow.sock", "untraced")
    experiments = client._call("GET", "/api/2.0/mlflow/experiments/search", query={"max_results": "1000"})
    ids = [one["experiment_id"] for one in experiments["experiments"]]
    search = {"experiment_ids": ids, "max_results": 1000}
    runs = client._call("POST", "/api/2.0/mlflow/runs/search", search)["runs"]
    logged = client._call("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ids})
    return {
        "experiments": experiments["experiments"],
        "runs": sorted(json.dumps(one, sort_keys=True) for one in runs),
        "models": client.list_models(),
        "logged": sorted(json.dumps(one, sort_keys=True) for one in logged["models"]),
    }


def workspaces(lab: Lab) -> list[str]:
    listed = MlflowClient(lab.site.runtime / "mlflow.sock", "")._call("GET", "/api/3.0/mlflow/workspaces")
    return sorted(one["name"] for one in listed["workspaces"] if one["name"].startswith("verification-"))


@pytest.fixture(scope="module")
def trained(lab: Lab) -> Iterator[Path]:
    """A project with runs and a registered model."""
    lab.tracking_ready()
    folder = lab.root / "projects" / "untraced"
    folder.mkdir(parents=True)
    write_project(folder, "untraced", {}, {"earlier.ipynb": ["x = 1", *EARLIER]})
    lab.post("/projects", {"name": "untraced", "path": str(folder)})
    made = lab.post("/projects/untraced/runs", {"notebook": "earlier.ipynb"})
    ended = lab.wait_run("untraced", made["id"])
    assert ended["status"] == "succeeded", ended
    MlflowClient(lab.site.runtime / "mlflow.sock", "untraced").set_alias("older", "champion", 1)
    yield folder
    lab.request("DELETE", "/projects/untraced?remove_files=true")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_verification_leaves_nothing_in_mlflow(lab: Lab, trained: Path) -> None:
    book = nbformat.v4.new_notebook()
    for number, (source, printed) in enumerate(zip(REGISTERS, PRINTED, strict=True), 1):
        cell = nbformat.v4.new_code_cell(source, execution_count=number)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
        # what libraries say on stderr depends on their versions
        cell.metadata["tags"] = ["volatile"] if not printed or "register_model" in source else []
        book.cells.append(cell)
    nbformat.write(book, trained / "registers.ipynb")
    before = facts(lab)
    assert [model["name"] for model in before["models"]] == ["older"]
    started = lab.post("/projects/untraced/verifications", {"notebook": "registers.ipynb", "second_run": False})
    wait_until(lambda: workspaces(lab), 60, "the workspace of the verification")
    view = wait_verification(lab, "untraced", started["id"])
    executed = lab.get(f"/projects/untraced/runs/{view['runs'][0]}/stages/notebook/notebook")
    found = [
        "".join("".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout")
        for cell in executed["cells"]
    ]
    assert found == [printed or "" for printed in PRINTED]
    assert not [output for cell in executed["cells"] for output in cell["outputs"] if output["output_type"] == "error"]
    assert view["verdict"] == "identical", view
    wait_until(lambda: not workspaces(lab), 60, "the end of the workspace")
    assert facts(lab) == before
    assert not list((lab.home / "mlflow-artifacts" / "workspaces").glob("verification-*"))
    # and the name is nobody's
    taken = lab.request("POST", "/projects", json={"name": f"verification-{view['runs'][0]}"})
    assert (taken.status_code, "verifications use such names" in taken.text) == (422, True), taken.text
