"""Modules that are shared: a project's src/ and published components in kernels, stages, workers and replicas."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from himalia_server.cli import main
from tests.site.lab import Lab, write_project
from tests.site.test_thread_kernels import Session
from tests.waiting import wait_until

FEATURES = '''
"""Features of flights."""
def delay(minutes, limit=15):
    """Whether a flight is late."""
    return minutes > limit
'''
MODEL = """
import mlflow, features, doubling
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")]))
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model=doubling.Doubling(), registered_model_name="shared",
                            signature=signature, pip_requirements=["mlflow"])
open("late.txt", "w").write(str(features.delay(20)))
"""
DOUBLING = """
import mlflow, features
class Doubling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["a"] * (2 if features.delay(20) else 0)).to_numpy()
"""


def make(lab: Lab, slug: str, files: dict[str, str], **kwargs: Any) -> Path:
    folder = lab.root / "projects" / slug
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    folder.mkdir(parents=True, exist_ok=True)
    write_project(folder, slug, kwargs.get("stages", {}), kwargs.get("notebooks", {}))
    lab.post("/projects", {"name": slug, "path": str(folder)})
    return folder


def publish(lab: Lab, version: str, name: str = "features", status: int = 201, **body: Any) -> Any:
    return lab.post("/projects/maker/components", {"name": name, "version": version, **body}, status=status)


def use(lab: Lab, slug: str, what: str, version: str, **kwargs: Any) -> Any:
    return lab.request("PUT", f"/projects/{slug}/uses/{what}", json={"version": version}, **kwargs)


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Iterator[dict[str, Path]]:
    """`maker` publishes maker/features@1.0, which `taker` uses beside a module of its own."""
    lab.tracking_ready()
    folders = {
        "maker": make(lab, "maker", {"src/features/__init__.py": FEATURES, "src/other.py": "", "src/data.txt": "x"}),
        "taker": make(
            lab,
            "taker",
            {"src/doubling.py": DOUBLING, "src/single.py": "V = 1\ndef value(x): return x + V\n"},
            stages={"make": {"notebook": "make.ipynb", "outputs": ["late.txt"]}},
            notebooks={"make.ipynb": ["x = 1", MODEL]},
        ),
    }
    publish(lab, "1.0", module="features", note="the first")
    assert use(lab, "taker", "maker/features", "1.0").status_code == 200
    yield folders
    for slug in ("taker", "maker"):
        lab.request("DELETE", f"/projects/{slug}?remove_files=true")


def test_a_version_never_changes(lab: Lab, shared: dict[str, Path]) -> None:
    again = publish(lab, "1.0", module="features")
    assert (again["modules"], again["files"], again["note"]) == (["features"], 1, "the first")
    (shared["maker"] / "src/features/__init__.py").write_text(FEATURES.replace("limit=15", "limit=30, strict=False"))
    refused = publish(lab, "1.0", module="features", status=409)
    assert "next free version is 1.1" in refused["hint"]
    fresh = publish(lab, "1.1", module="features")
    assert fresh["digest"] != again["digest"]
    assert "holds no code" in publish(lab, "1.0", name="nothing", module="absent", status=422)["detail"]
    view = lab.get("/components/maker/features")
    assert (view["newest"], view["versions"], view["users"]) == (
        "1.1",
        ["1.0", "1.1"],
        [{"project": "taker", "version": "1.0"}],
    )
    found = lab.get("/components/maker/features/compare?from=1.0&to=1.1")
    assert [(change["name"], change["breaking"]) for change in found["api"]] == [("features.delay", False)]
    assert "+def delay(minutes, limit=30, strict=False):" in found["files"][0]["diff"]
    assert lab.request("GET", "/components/maker/features/compare?from=1.0&to=2.0").status_code == 404


def test_kernels_import_it_beside_their_own(lab: Lab, shared: dict[str, Path]) -> None:
    session = Session(lab.get("/projects/taker")["kernelspec"])
    try:
        assert session.run("import features, single; print(features.delay(20), single.value(1))").strip() == "True 2"
        assert "sources" in session.run("print(features.__file__)")
        text = (shared["taker"] / "himalia.toml").read_text()
        (shared["taker"] / "himalia.toml").write_text(text.replace("features@1.0", "features@1.7"))
        uses = lab.get("/projects/taker/components")["uses"]
        assert "has no version 1.7" in uses[0]["problem"]
        session.manager.restart_kernel(now=True)
        session.client.wait_for_ready(timeout=60)
        out = session.run("import single; print(single.value(1)); import features")
        assert "maker/features has no version 1.7. Did you mean '1.1'?" in out
        assert "ModuleNotFoundError" in out
        refused = lab.post("/projects/taker/runs", status=422)
        assert (refused["field"], "1.7" in refused["detail"]) == ("project.uses", True)
        (shared["taker"] / "himalia.toml").write_text(text)
    finally:
        session.close()


def test_a_run_records_and_holds_what_it_uses_and_its_model_is_served_with_it(
    lab: Lab, shared: dict[str, Path]
) -> None:
    run = lab.wait_run("taker", lab.post("/projects/taker/runs")["id"])
    assert run["status"] == "succeeded", run
    digests = {version["version"]: version["digest"] for version in lab.get("/components/maker/features")["published"]}
    assert run["components"] == {"maker/features@1.0": digests["1.0"]}
    assert (shared["taker"] / "late.txt").read_text() == "True"
    # neither what the project is now nor the component's place is needed
    own = shared["taker"] / "src/doubling.py"
    own.unlink()
    lab.post("/projects/taker/deployments", {"name": "shared", "model": "models:/shared/1"})
    wait_until(lambda: lab.get("/projects/taker/deployments/shared")["state"] == "ready", 90, "the endpoint")
    row = {"dataframe_split": {"columns": ["a"], "data": [[4.0]]}}
    assert lab.post("/projects/taker/deployments/shared/predict", row, status=200)["predictions"] == [8.0]
    own.write_text(DOUBLING)
    assert lab.request("DELETE", "/projects/taker/deployments/shared").status_code == 204


def test_workers_have_the_modules_as_they_are_when_a_client_connects(lab: Lab, shared: dict[str, Path]) -> None:
    lab.post("/projects/taker/clusters", {"name": "local", "workers": 1, "memory_limit": "1GiB"})
    wait_until(lambda: lab.get("/projects/taker/clusters/local")["workers"] == 1, 90, "the cluster")
    session = Session(lab.get("/projects/taker")["kernelspec"])
    try:
        session.run("import himalia, single, features; c = himalia.client()")
        assert session.run("c.gather(c.map(single.value, [1, 2]) + [c.submit(features.delay, 20)])") == "[2, 3, True]"
        assert session.run("import dask; dask.delayed(single.value)(5).compute()") == "6"
        (shared["taker"] / "src/single.py").write_text("V = 100\ndef value(x): return x + V\n")
        assert session.run("c.gather(c.submit(single.value, 3, pure=False))") == "4"
        assert session.run("c = himalia.client(); c.gather(c.submit(single.value, 3, pure=False))") == "103"
        lab.request("PATCH", "/projects/taker/clusters/local", json={"workers": 2})
        wait_until(lambda: lab.get("/projects/taker/clusters/local")["workers"] == 2, 90, "the second worker")
        assert session.run("sorted(c.dask.run(lambda: __import__('single').V).values())") == "[100, 100]"
    finally:
        session.close()
        lab.request("DELETE", "/projects/taker/clusters/local")


def test_who_may_see_the_maker_gives_it_to_a_project(lab: Lab, shared: dict[str, Path]) -> None:
    make(lab, "guest", {})
    stranger = lab.token("guest", "owner")
    for path in ("/components/maker/features", "/components/maker/features/compare?from=1.0&to=1.0"):
        assert lab.request("GET", path, token=stranger).status_code == 404
    assert lab.get("/components", token=stranger)["items"] == []
    assert use(lab, "guest", "maker/features", "1.0", token=stranger).status_code == 404
    # by hand it is no different: whoever starts something has to be one who may see it, or who was given it
    folder = lab.root / "projects" / "guest"
    (folder / "himalia.toml").write_text('[project]\nname = "guest"\nuses = ["maker/features@1.0"]\n')
    there = lab.get("/projects/guest/components", token=stranger)
    assert "There is no component maker/features that this project may use" in there["uses"][0]["problem"]
    assert use(lab, "guest", "maker/features", "1.1").status_code == 200
    there = lab.get("/projects/guest/components", token=stranger)
    assert (there["uses"][0]["problem"], there["problems"]) == (None, [])
    assert lab.request("GET", "/components/maker/features", token=stranger).status_code == 200
    # its maker may go: what was given stays
    assert lab.request("DELETE", "/projects/guest/uses/maker/features").status_code == 204
    assert tomllib.loads((folder / "himalia.toml").read_text())["project"]["uses"] == []
    assert lab.request("GET", "/components/maker/features", token=stranger).status_code == 404
    assert lab.request("DELETE", "/projects/guest?remove_files=true").status_code in (200, 202, 204)


def test_names_that_collide_are_told(lab: Lab, shared: dict[str, Path]) -> None:
    twin = shared["taker"] / "src/features.py"
    twin.write_text("")
    (shared["taker"] / "src/queue.py").write_text("")
    told = lab.get("/projects/taker/components")["problems"]
    problems = " ".join(told)
    assert told == [problem["message"] for problem in lab.get("/projects/taker/problems")["items"]]
    assert "'features' is in src/ and in maker/features@1.0" in problems
    assert "'queue', and so has Python's standard library" in problems
    twin.unlink()
    (shared["taker"] / "src/queue.py").unlink()
    assert lab.get("/projects/taker/components")["problems"] == []


def test_the_command_line(lab: Lab, shared: dict[str, Path]) -> None:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["component", *words])

    done = run("publish", "all", "--version", "0.1", "--note", "everything", "-p", "maker")
    assert "maker/all@0.1: 2 files (features, other)" in done.output
    assert "maker/all" in [item["name"] for item in json.loads(run("list", "--json").output)]
    assert "features.delay: signature" in run("diff", "maker/features", "1.0", "1.1").output
    shown = run("show", "maker/features").output
    assert "taker" in shown
    assert "the first" in shown
    assert "import features" in run("use", "maker/features@1.1", "-p", "taker").output
    assert run("leave", "maker/features", "-p", "taker").exit_code == 0
    assert run("use", "maker/features", "-p", "taker").exit_code == 2
    assert run("use", "maker/features@9", "-p", "taker").exit_code == 4
