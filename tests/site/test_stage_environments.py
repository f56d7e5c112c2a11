"""Stages that run in other environments than their project: each finds its own packages, is keyed by them, and is run
anew when they change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from himalia_server.cli import main
from tests.site.lab import Lab, write_project
from tests.site.wheels import make_wheel
from tests.waiting import wait_until

LOOK = """\
import json
try:
    import probe
    found = probe.__version__
except ImportError:
    found = None
json.dump(found, open('build/{name}.json', 'w'))"""
TABLES = """
[environment]
requirements = "requirements.txt"

[environments.newer]
requirements = "newer.txt"
"""


def make_project(lab: Lab, slug: str, stages: dict[str, str | None]) -> Path:
    """A project whose stages, by name, ask for these environments; each writes the version of `probe` that it finds."""
    tables: dict[str, dict[str, Any]] = {}
    for name, environment in stages.items():
        tables[name] = {"notebook": f"{name}.ipynb", "outputs": [f"build/{name}.json"]}
        if environment is not None:
            tables[name]["environment"] = environment
    manifest = "".join(
        f"[stages.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    folder = lab.project(slug, {}, {f"{name}.ipynb": ["x = 1", LOOK.format(name=name)] for name in stages})
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(folder / "wheels", "probe", version)
    for file, version in (("requirements.txt", "1.0"), ("newer.txt", "2.0")):
        ask(folder / file, version)
    with (folder / "himalia.toml").open("a") as file:
        file.write(TABLES + manifest)
    return folder


def ask(file: Path, version: str) -> None:
    file.write_text(f"--no-index\n--find-links wheels\nprobe=={version}\n")


def found(folder: Path, *names: str) -> list[Any]:
    return [json.loads((folder / "build" / f"{name}.json").read_text()) for name in names]


def run(lab: Lab, slug: str, **options: Any) -> dict[str, Any]:
    return lab.wait_run(slug, lab.post(f"/projects/{slug}/runs", {"options": options} if options else {})["id"], 120)


def statuses(lab: Lab, slug: str, run_id: str) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in lab.get(f"/projects/{slug}/runs/{run_id}")["stages"]}


def himalia(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_each_stage_finds_its_own_packages(lab: Lab) -> None:
    lab.tracking_ready()
    stages = {"own": None, "newer": "newer", "plain": "site"}
    folder = make_project(lab, "in-many", stages)
    assert run(lab, "in-many")["status"] == "succeeded"
    assert found(folder, *stages) == ["1.0", "2.0", None]
    assert (folder / ".himalia" / "environment.newer.lock").read_text().count("probe==2.0") == 1
    view = lab.get("/projects/in-many/environment")
    newer = {"name": "newer", "state": "ready", "source": "newer.txt", "problem": None}
    assert (view["environment"], view["others"]) == (None, [newer])
    again = run(lab, "in-many")
    assert statuses(lab, "in-many", again["id"]) == dict.fromkeys(stages, "skipped")

    # its packages are of the key of that stage, and of no other one
    ask(folder / "newer.txt", "3.0")
    assert lab.get("/projects/in-many/environment?environment=newer")["state"] == "outdated"
    third = run(lab, "in-many")
    assert statuses(lab, "in-many", third["id"]) == {"own": "skipped", "newer": "succeeded", "plain": "skipped"}
    assert found(folder, *stages) == ["1.0", "3.0", None]
    states = {stage["name"]: stage for stage in lab.get("/projects/in-many/pipeline")["stages"]}
    assert {name: stage["environment"] for name, stage in states.items()} == stages
    assert {stage["state"] for stage in states.values()} == {"up_to_date"}

    shown = json.loads(himalia("environment", "show", "-p", "in-many", "-e", "newer", "--json"))
    assert (shown["environment"], shown["packages"], shown["state"]) == ("newer", 1, "ready")
    assert "for stages that name them: newer (ready)" in himalia("environment", "show", "-p", "in-many")
    assert "3.0" in himalia("environment", "packages", "-p", "in-many", "-e", "newer")
    assert "Ready after" in himalia("environment", "log", "-p", "in-many", "-e", "newer", "--no-follow")
    reply = lab.request("GET", "/projects/in-many/environment?environment=nwer")
    assert (reply.status_code, reply.json()["hint"]) == (404, "Did you mean 'newer'?")
    for path, status in (("/packages?environment=nwer", 404), ("/packages?environment=x/../../y", 422)):
        assert lab.request("GET", f"/projects/in-many/environment{path}").status_code == status


def begun(lab: Lab, slug: str, go: Path) -> tuple[Path, str]:
    """A project whose first stage waits until *go* exists, and a run of it; the second one is in an environment of
    its own."""
    folder = make_project(lab, slug, {"own": None, "newer": "newer"})
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.1)"
    (folder / "aside").mkdir()
    write_project(folder / "aside", "aside", {}, {"own.ipynb": ["x = 1", wait]})
    (folder / "aside" / "own.ipynb").replace(folder / "own.ipynb")
    manifest = folder / "himalia.toml"
    manifest.write_text(
        manifest.read_text()
        .replace('outputs = ["build/own.json"]', "")
        .replace("[stages.newer]", '[stages.newer]\nafter = ["own"]')
    )
    started = lab.post(f"/projects/{slug}/runs", {})["id"]
    wait_until(lambda: statuses(lab, slug, started)["own"] == "running", 120, "the first stage")
    return folder, started


def test_what_a_run_began_with_is_kept_to_its_end(lab: Lab, tmp_path: Path) -> None:
    """An upgrade and a pruning between two stages take nothing away from the second."""
    folder, started = begun(lab, "in-time", tmp_path / "go")
    ask(folder / "newer.txt", "3.0")
    address = "/projects/in-time/environment?environment=newer"
    lab.post(address, {}, status=202)
    wait_until(lambda: lab.get(address)["state"] == "ready", 60, "the end of the build")
    removed = lab.post("/environments/prune", {"days": 0}, status=200)["removed"]
    assert statuses(lab, "in-time", started)["own"] == "running"
    (tmp_path / "go").touch()
    assert lab.wait_run("in-time", started)["status"] == "succeeded"
    assert found(folder, "newer") == ["2.0"], removed
    # nobody needs it after that
    assert not any(kept["in_use"] for kept in lab.get("/environments")["items"] if not kept["projects"])


def test_a_stage_never_runs_in_another_environment(lab: Lab, tmp_path: Path) -> None:
    """One that somebody has removed from the disk is built anew by the next run."""
    folder, started = begun(lab, "in-no-other", tmp_path / "go")
    log = lab.get("/projects/in-no-other/environment?environment=newer")
    assert log["state"] == "ready"
    for place in (lab.home / "environments").glob("*/"):
        if list(place.rglob("probe-2.0.dist-info")):
            shutil.rmtree(place)
    (tmp_path / "go").touch()
    view = lab.wait_run("in-no-other", started)
    newer = next(stage for stage in view["stages"] if stage["name"] == "newer")
    assert (view["status"], newer["status"], newer["error_name"]) == ("failed", "failed", "EnvironmentMissing"), newer
    assert "was removed meanwhile" in newer["error"]
    assert newer["hint"] == "Run it again: the environment is built anew first."
    assert not (folder / "build" / "newer.json").exists()
    assert run(lab, "in-no-other")["status"] == "succeeded"
    assert found(folder, "newer") == ["2.0"]


def test_one_that_cannot_be_built_refuses_only_who_asks_for_it(lab: Lab) -> None:
    folder = make_project(lab, "in-none", {"own": None, "newer": "newer"})
    ask(folder / "newer.txt", "9.9")
    lab.post("/projects/in-none/environment?environment=newer", {}, status=202)
    address = "/projects/in-none/environment?environment=newer"
    wait_until(lambda: lab.get(address)["state"] == "failed", 60, "the end of the build")
    reply = lab.request("POST", "/projects/in-none/runs", json={})
    assert reply.status_code == 409, reply.text
    assert "environment newer of in-none could not be built" in reply.json()["detail"]
    assert "himalia environment build -e newer -p in-none" in reply.json()["hint"]
    assert lab.get("/projects/in-none/runs")["items"] == []
    assert run(lab, "in-none", only=["own"])["status"] == "succeeded"
    assert found(folder, "own") == ["1.0"]


def test_a_stage_on_a_worker_finds_its_own_packages_too(lab: Lab) -> None:
    folder = make_project(lab, "in-cluster", {"own": None, "newer": "newer"})
    manifest = folder / "himalia.toml"
    manifest.write_text(manifest.read_text().replace("[stages.newer]", '[stages.newer]\ncluster = "c"'))
    lab.post("/projects/in-cluster/clusters", {"name": "c", "workers": 1})
    wait_until(lambda: lab.get("/projects/in-cluster/clusters/c")["workers"] == 1, 120, "a worker")
    ended = run(lab, "in-cluster")
    assert ended["status"] == "succeeded", ended
    assert found(folder, "own", "newer") == ["1.0", "2.0"]
    assert lab.request("DELETE", "/projects/in-cluster/clusters/c").is_success
