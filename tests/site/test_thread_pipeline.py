"""Runs: honest status, snapshots, faults. Real kernels, real MLflow."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest

from himalia_kernels.zygotes import all_facts
from tests.site.lab import Lab
from tests.site.runs import stage
from tests.waiting import wait_until


def wait_stage(lab: Lab, slug: str, run_id: str, name: str, status: str) -> None:
    def reached() -> bool:
        return stage(lab.get(f"/projects/{slug}/runs/{run_id}"), name)["status"] == status

    wait_until(reached, 60, f"{name} {status}")


SLEEPER = ["seconds = 60", "import pathlib, time; pathlib.Path('build/here').write_text('x')", "time.sleep(seconds)"]


@pytest.fixture(scope="module")
def sleepy(ready: Lab) -> str:
    """A project whose first stage sleeps, and whose second would use what it made."""
    stages = {
        "sleep": {"notebook": "sleep.ipynb", "params": {"seconds": 60}, "outputs": ["build/here"]},
        "after": {"notebook": "after.ipynb", "inputs": ["build/here"]},
    }
    ready.project("sleepy", stages, {"sleep.ipynb": SLEEPER, "after.ipynb": ["x = 1", "print(x)"]})
    return "sleepy"


def forked(lab: Lab) -> set[int]:
    """The kernels that zygotes have forked; they are no children of who asked for them."""
    return {pid for facts in all_facts(lab.site.zygotes) for pid in facts["kernels"]}


def ordinary(stage_pid: int) -> list[psutil.Process]:
    """The kernels that a stage's process has started by itself."""
    found = []
    for process in psutil.Process(stage_pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(word.endswith("kernel_main.py") for word in process.cmdline()):
                found.append(process)
    return found


def start(lab: Lab, slug: str, **seconds: float) -> str:
    params = {"params": {"sleep": seconds}} if seconds else {}
    return str(lab.post(f"/projects/{slug}/runs", params)["id"])


def test_the_pipeline_runs_and_makes_a_model(ready: Lab) -> None:
    run = ready.wait_run("tiny", ready.post("/projects/tiny/runs", {"params": {"make": {"n": 5}}})["id"])
    assert run["status"] == "succeeded", run
    folder = Path(ready.get("/projects/tiny")["path"])
    assert (folder / "build" / "n.json").read_text() == "5"
    assert [m["name"] for m in ready.get("/projects/tiny/models")["items"]] == ["tiny"]
    make, train = run["stages"]
    assert make["params"] == {"n": 5}
    assert train["outputs"]["build/model.json"].startswith("sha256:")
    reply = ready.request("GET", f"/projects/tiny/runs/{run['id']}/stages/train/notebook")
    assert "sandbox" in reply.headers["content-security-policy"]
    book = nbformat.reads(reply.text, as_version=4)
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
    found = ready.request("GET", f"/mlflow/tiny/api/2.0/mlflow/runs/get?run_id={train['tracking_run']}").json()["run"]
    tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    assert found["info"]["status"] == "FINISHED"
    assert (tags["himalia.run"], tags["himalia.status"]) == (run["id"], "succeeded")
    assert {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}["score"] == 1.0


def test_the_live_folder_is_not_where_it_runs(ready: Lab) -> None:
    """A file that appears after the snapshot is not seen, and one that is not declared is asked for."""
    cells = ["x = 1", "import pathlib; print(pathlib.Path.cwd())", "open('data/not-declared.csv')"]
    folder = ready.project("curious", {"look": {"notebook": "look.ipynb"}}, {"look.ipynb": cells})
    (folder / "data").mkdir()
    (folder / "data" / "not-declared.csv").write_text("x\n")
    run = ready.wait_run("curious", ready.post("/projects/curious/runs")["id"])
    look = stage(run, "look")
    assert look["status"] == "failed"
    assert "data/not-declared.csv" in look["hint"]
    assert "himalia.toml" in look["hint"]
    assert str(folder) not in ready.request("GET", f"/projects/curious/runs/{run['id']}/stages/look/log").text


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"params": {"trian": {}}}, "params.trian", "train"),
        ({"params": {"make": {"m": 1}}}, "params.make", "'m'"),
        ({"params": {"make": {"n": "many"}}}, "params.make", "n"),
    ],
)
def test_a_faulty_parameter_starts_nothing(ready: Lab, body: dict, field: str, says: str) -> None:  # type: ignore[type-arg]
    before = len(ready.get("/projects/tiny/runs")["items"])
    reply = ready.request("POST", "/projects/tiny/runs", json=body)
    assert reply.status_code == 422
    assert reply.json()["field"] == field
    assert says in reply.text
    assert len(ready.get("/projects/tiny/runs")["items"]) == before


def test_a_broken_manifest_is_told_and_the_project_stays_readable(ready: Lab) -> None:
    folder = ready.project("broken", {"a": {"notebook": "a.ipynb"}}, {"a.ipynb": ["x = 1"]})
    text = (folder / "himalia.toml").read_text()
    (folder / "himalia.toml").write_text(text.replace("notebook", "notebok"))
    reply = ready.request("POST", "/projects/broken/runs", json={})
    assert reply.status_code == 422
    assert "himalia.toml, line 4, stages.a.notebok" in reply.json()["detail"]
    assert "line 4" in ready.get("/projects/broken")["problem"]
    (folder / "himalia.toml").write_text(text)
    assert ready.get("/projects/broken")["problem"] is None


def test_missing_inputs_notebooks_and_clusters_are_told_before_anything_starts(ready: Lab) -> None:
    stages = {"a": {"notebook": "a.ipynb", "inputs": ["data/in.csv"], "cluster": "big"}}
    folder = ready.project("lacking", stages, {"a.ipynb": ["x = 1"]})
    assert "data/in.csv does not exist" in ready.request("POST", "/projects/lacking/runs", json={}).json()["detail"]
    (folder / "data").mkdir()
    (folder / "data" / "in.csv").symlink_to("/etc/hostname")
    assert "leads out of the project" in ready.request("POST", "/projects/lacking/runs", json={}).json()["detail"]
    (folder / "data" / "in.csv").unlink()
    (folder / "data" / "in.csv").write_text("x")
    problem = ready.request("POST", "/projects/lacking/runs", json={}).json()
    assert "the cluster 'big', which does not run" in problem["detail"]
    assert "himalia cluster start big" in problem["hint"]
    (folder / "a.ipynb").unlink()
    assert "a.ipynb does not exist" in ready.request("POST", "/projects/lacking/runs", json={}).json()["detail"]


def test_a_failing_stage_stops_what_waits_for_it(ready: Lab) -> None:
    stages = {
        "bad": {"notebook": "bad.ipynb", "outputs": ["o"]},
        "next": {"notebook": "next.ipynb", "inputs": ["o"]},
        "free": {"notebook": "next.ipynb"},
    }
    ready.project("failing", stages, {"bad.ipynb": ["x = 1", "1 / 0"], "next.ipynb": ["x = 1"]})
    run = ready.wait_run("failing", ready.post("/projects/failing/runs")["id"])
    assert [(s["name"], s["status"]) for s in run["stages"]] == [
        ("bad", "failed"),
        ("next", "upstream_failed"),
        ("free", "succeeded"),
    ]
    assert run["status"] == "failed"
    assert stage(run, "bad")["error"] == "ZeroDivisionError: division by zero"
    assert stage(run, "bad")["notebook"] is True
    assert "bad" in stage(run, "next")["error"]


def test_a_killed_kernel_is_told_as_such(ready: Lab) -> None:
    cells = ["x = 1", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    ready.project("dying", {"die": {"notebook": "die.ipynb", "retries": 1, "retry_delay": "1s"}}, {"die.ipynb": cells})
    run = ready.wait_run("dying", ready.post("/projects/dying/runs")["id"])
    assert stage(run, "die")["status"] == "kernel_died"
    assert run["status"] == "failed"


def test_a_timeout_is_told_as_such(ready: Lab) -> None:
    stages = {"slow": {"notebook": "slow.ipynb", "timeout": "2s"}}
    ready.project("slow", stages, {"slow.ipynb": ["x = 1", "import time; time.sleep(60)"]})
    run = ready.wait_run("slow", ready.post("/projects/slow/runs")["id"])
    assert stage(run, "slow")["status"] == "timed_out"


def test_a_run_can_be_cancelled(ready: Lab, sleepy: str) -> None:
    run_id = start(ready, sleepy)
    wait_stage(ready, sleepy, run_id, "sleep", "running")
    reply = ready.request("POST", f"/projects/{sleepy}/runs/{run_id}/cancel")
    assert reply.status_code == 200
    told = reply.json()
    assert told["status"] == "cancelled" or told["reason"].startswith("being cancelled")
    run = ready.wait_run(sleepy, run_id)
    assert run["status"] == "cancelled"
    assert stage(run, "sleep")["status"] == "cancelled"
    assert ready.request("POST", f"/projects/{sleepy}/runs/{run_id}/cancel").status_code == 409


def test_a_stages_process_that_is_killed_is_lost_not_succeeded(ready: Lab, sleepy: str) -> None:
    before = forked(ready)
    run_id = start(ready, sleepy)
    pid = wait_until(lambda: ready.child_pid(f"stage-{run_id}-sleep"), 60, "the stage's process")
    wait_stage(ready, sleepy, run_id, "sleep", "running")
    kernels = wait_until(
        lambda: ordinary(pid) or [psutil.Process(one) for one in forked(ready) - before], 60, "a kernel"
    )
    os.kill(pid, signal.SIGKILL)
    run = ready.wait_run(sleepy, run_id)
    assert (run["status"], stage(run, "sleep")["status"]) == ("failed", "lost")
    assert "SIGKILL" in stage(run, "sleep")["error"]
    wait_until(lambda: not any(k.is_running() for k in kernels), 10, "the end of the kernel")


def test_a_killed_service_does_not_stop_a_run(ready: Lab, sleepy: str) -> None:
    run_id = start(ready, sleepy, seconds=4)
    pid = wait_until(lambda: ready.child_pid(f"stage-{run_id}-sleep"), 60, "the stage's process")
    ready.kill_service()
    assert psutil.pid_exists(pid)
    ready.start()
    run = ready.wait_run(sleepy, run_id)
    assert run["status"] == "succeeded", run
    assert ready.get("/audit/check")["whole"] is True


def test_a_stage_that_ends_while_no_service_lives_is_not_lost(ready: Lab, sleepy: str) -> None:
    run_id = start(ready, sleepy, seconds=1)
    pid = wait_until(lambda: ready.child_pid(f"stage-{run_id}-sleep"), 60, "the stage's process")
    ready.kill_service()
    wait_until(lambda: not psutil.pid_exists(pid), 60, "the end of the stage")
    ready.start()
    assert ready.wait_run(sleepy, run_id)["status"] == "succeeded"


def test_a_killed_mlflow_is_started_again_and_nothing_is_lost(ready: Lab) -> None:
    cells = [
        "x = 1",
        "import mlflow; mlflow.set_tag('before', '1')",
        "import pathlib, time; pathlib.Path(flag).write_text('x')\nwhile pathlib.Path(flag).exists(): time.sleep(0.05)",
        "mlflow.log_metric('after', 2.0)",
    ]
    flag = ready.root / "mlflow-flag"
    cells[0] = f"flag = {str(flag)!r}"
    ready.project("tracked", {"log": {"notebook": "log.ipynb"}}, {"log.ipynb": cells})
    run_id = ready.post("/projects/tracked/runs")["id"]
    wait_until(flag.exists, 90, "the stage's second cell")
    pid = ready.child_pid("mlflow")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid), 10, "the end of MLflow")
    flag.unlink()
    run = ready.wait_run("tracked", run_id)
    assert run["status"] == "succeeded", stage(run, "log")["error"]
    found = ready.request(
        "GET", f"/mlflow/tracked/api/2.0/mlflow/runs/get?run_id={stage(run, 'log')['tracking_run']}"
    ).json()["run"]
    assert found["info"]["status"] == "FINISHED"
    assert "before" in {tag["key"] for tag in found["data"]["tags"]}
    assert "after" in {metric["key"] for metric in found["data"]["metrics"]}


def test_a_stages_token_is_its_own_and_ends_with_it(ready: Lab) -> None:
    cells = ["x = 1", "import os, shutil; shutil.copy(os.environ['HIMALIA_TOKEN_FILE'], 'build/t')"]
    ready.project("tokens", {"t": {"notebook": "t.ipynb", "outputs": ["build/t"]}}, {"t.ipynb": cells})
    run = ready.wait_run("tokens", ready.post("/projects/tokens/runs")["id"])
    assert run["status"] == "succeeded", run
    token = (Path(ready.get("/projects/tokens")["path"]) / "build" / "t").read_text().strip()
    assert ready.request("GET", "/projects/tokens", token=token).status_code == 401


def test_the_stages_environment_has_no_secret_of_the_service(ready: Lab) -> None:
    """The service was started by this process: what looks like a secret here must not reach a kernel."""
    cells = ["x = 1", "import os, json; json.dump(dict(os.environ), open('build/env.json', 'w'))"]
    stages = {"env": {"notebook": "env.ipynb", "outputs": ["build/env.json"]}}
    ready.project("environment", stages, {"env.ipynb": cells})
    os.environ["CANARY_API_TOKEN"] = "canary-1234567"
    try:
        ready.stop()
        ready.start()
        ready.tracking_ready()
        run = ready.wait_run("environment", ready.post("/projects/environment/runs")["id"])
    finally:
        del os.environ["CANARY_API_TOKEN"]
    assert run["status"] == "succeeded", run
    env = json.loads((Path(ready.get("/projects/environment")["path"]) / "build" / "env.json").read_text())
    assert "canary-1234567" not in env.values()
    assert env["HIMALIA_PROJECT"] == "environment"
    assert env["HIMALIA_STAGE"] == "env"
    assert "HIMALIA_GRANT_FILE" not in env


def test_a_deleted_project_leaves_nothing_of_its_own(ready: Lab) -> None:
    folder = ready.project("gone", {"a": {"notebook": "a.ipynb"}}, {"a.ipynb": ["x = 1"]})
    ready.wait_run("gone", ready.post("/projects/gone/runs")["id"])
    kernelspec = ready.root / "jupyter" / "kernels" / ready.get("/projects/gone")["kernelspec"]
    assert kernelspec.is_dir()
    assert ready.request("DELETE", "/projects/gone?purge=true").status_code == 204
    assert ready.request("GET", "/projects/gone").status_code == 404
    assert not kernelspec.exists()
    assert folder.is_dir()
    # its name and its MLflow workspace are free again
    ready.post("/projects", {"name": "gone", "path": str(folder)})
    assert ready.get("/projects/gone/models")["items"] == []
    assert ready.request("DELETE", "/projects/gone?remove_files=true&purge=true").status_code == 204
    assert not folder.exists()
