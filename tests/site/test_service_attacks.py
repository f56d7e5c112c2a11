"""What a hostile or careless project, folder or caller must not achieve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.site.lab import Lab, running_lab, write_project
from tests.waiting import wait_until

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.tracking_ready()
        yield lab


def run_project(lab: Lab, slug: str, code: str, outputs: list[str], folder: Path | None = None) -> dict:  # type: ignore[type-arg]
    stages = {"s": {"notebook": "s.ipynb", "outputs": outputs}}
    if folder is None:
        lab.project(slug, stages, {"s.ipynb": ["x = 1", code]})
    return lab.wait_run(slug, lab.post(f"/projects/{slug}/runs")["id"])


def test_a_project_cannot_be_the_site_or_around_it_or_another(fresh: Lab) -> None:
    write_project(fresh.home, "homey", {}, {})
    write_project(fresh.root, "rooty", {}, {})
    inner = fresh.project("inner", {}, {})
    write_project(inner.parent, "outer", {}, {})
    (inner / "deeper").mkdir()
    write_project(inner / "deeper", "deeper", {}, {})
    for path in (fresh.home, fresh.root, fresh.home / "logs", Path("/"), Path.home()):
        reply = fresh.request("POST", "/projects", json={"name": "trick", "path": str(path)})
        assert reply.status_code == 422, (path, reply.text)
    for path in (inner.parent, inner / "deeper"):
        reply = fresh.request("POST", "/projects", json={"name": "trick", "path": str(path)})
        assert reply.status_code == 409, (path, reply.text)
        stranger = fresh.token(None, "nobody")
        told = fresh.request("POST", "/projects", token=stranger, json={"name": "trick", "path": str(path)})
        assert "inner'" not in told.text
    (fresh.home / "himalia.toml").unlink()


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "/" + "x" * 900, "relative", "/dev/null/x"])
def test_odd_folders_are_told(fresh: Lab, path: str) -> None:
    body = {"name": "odd", "path": path, "template": "nyc-flights"}
    import json

    headers = {"Content-Type": "application/json"}
    reply = fresh.request("POST", "/projects", content=json.dumps(body).encode(), headers=headers)
    assert reply.status_code == 422, reply.text


def test_a_deleted_projects_artifacts_are_not_its_successors(fresh: Lab) -> None:
    run = run_project(fresh, "secret", "y = 2", [])
    assert run["status"] == "succeeded"
    folder = Path(fresh.get("/projects/secret")["path"])
    artifacts = fresh.home / "mlflow-artifacts" / "workspaces" / "secret"
    assert artifacts.is_dir()
    assert fresh.request("DELETE", "/projects/secret?purge=true").status_code == 204
    assert not artifacts.exists()
    fresh.post("/projects", {"name": "secret", "path": str(folder)})
    listed = fresh.get("/mlflow/secret/api/2.0/mlflow-artifacts/artifacts")
    assert listed.get("files", []) == []


@pytest.mark.parametrize(
    ("slug", "code", "says"),
    [
        ("out-link", "import os; os.symlink(os.environ['HOME'], 'build/o')", "ordinary file"),
        ("out-pipe", "import os; os.mkfifo('build/o')", "ordinary file"),
    ],
)
def test_an_output_that_is_no_file_fails_the_stage(fresh: Lab, slug: str, code: str, says: str) -> None:
    run = run_project(fresh, slug, code, ["build/o"])
    stage = run["stages"][0]
    assert (run["status"], stage["status"]) == ("failed", "failed")
    assert says in stage["error"]
    found = fresh.get(f"/mlflow/{slug}/api/2.0/mlflow/runs/get?run_id={stage['tracking_run']}")
    assert found["run"]["info"]["status"] == "FAILED"
    assert stage["notebook"] is True


def test_outputs_do_not_follow_links_out_of_the_project(fresh: Lab) -> None:
    outside = fresh.root / "outside"
    outside.mkdir()
    (outside / "o").write_text("mine")
    stages = {"s": {"notebook": "s.ipynb", "outputs": ["build/o"]}}
    folder = fresh.project("linked", stages, {"s.ipynb": ["x = 1", "open('build/o', 'w').write('theirs')"]})
    (folder / "build").symlink_to(outside)
    run = fresh.wait_run("linked", fresh.post("/projects/linked/runs")["id"])
    assert run["status"] == "failed"
    assert "outside of the project" in run["stages"][0]["error"]
    assert (outside / "o").read_text() == "mine"
    assert [path.name for path in outside.iterdir()] == ["o"]


def test_two_runs_at_once_publish_whole_files(fresh: Lab) -> None:
    code = "import os; open('build/o', 'wb').write(os.environ['HIMALIA_RUN'].encode() * 200_000)"
    stages = {"s": {"notebook": "s.ipynb", "outputs": ["build/o"]}}
    folder = fresh.project("twice", stages, {"s.ipynb": ["x = 1", code]})
    ids = [fresh.post("/projects/twice/runs")["id"] for _ in range(3)]
    assert [fresh.wait_run("twice", run_id)["status"] for run_id in ids] == ["succeeded"] * 3
    data = (folder / "build" / "o").read_bytes()
    assert data in {run_id.encode() * 200_000 for run_id in ids}
    assert [path.name for path in (folder / "build").iterdir()] == ["o"]


def test_a_stage_that_a_fault_of_ours_ends_loses_its_token_too(fresh: Lab) -> None:
    """Here the stage itself puts a file where the content store has its folder, so that nothing of it can be kept."""
    copy, incoming = fresh.root / "copied-token", fresh.home / "content" / "incoming"
    code = f"""
import os, shutil
shutil.copy(os.environ["HIMALIA_TOKEN_FILE"], {str(copy)!r})
os.rename({str(incoming)!r}, {str(incoming) + ".away"!r})
open({str(incoming)!r}, "w").close()
"""
    fresh.project("faulty", {"s": {"notebook": "s.ipynb"}}, {"s.ipynb": ["x = 1", code]})
    run_id = fresh.post("/projects/faulty/runs")["id"]
    try:
        run = fresh.wait_run("faulty", run_id)
    finally:
        incoming.unlink()
        incoming.with_name("incoming.away").rename(incoming)
    assert run["status"] == "failed", run
    assert run["stages"][0]["status"] == "failed"
    assert fresh.request("GET", "/projects/faulty", token=copy.read_text().strip()).status_code == 401


def test_many_at_once_make_one_project(fresh: Lab) -> None:
    folder = fresh.root / "many"
    folder.mkdir()
    write_project(folder, "many", {}, {})
    codes: list[int] = []

    def make() -> None:
        codes.append(fresh.request("POST", "/projects", json={"name": "many", "path": str(folder)}).status_code)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201, 409, 409, 409, 409, 409]


def test_a_manifest_that_is_a_pipe_or_endless_blocks_nobody(fresh: Lab) -> None:
    folder = fresh.project("piped", {}, {})
    (folder / "himalia.toml").unlink()
    os.mkfifo(folder / "himalia.toml")
    assert "ordinary file" in fresh.get("/projects/piped")["problem"]
    (folder / "himalia.toml").unlink()
    (folder / "himalia.toml").write_text("x = " + "[" * 20_000)
    problems = {project["slug"]: project["problem"] for project in fresh.get("/projects")["items"]}
    assert "himalia.toml" in problems["piped"]


def test_a_huge_body_is_refused(fresh: Lab) -> None:
    body = b'{"name": "' + b"x" * (3 << 20) + b'"}'
    reply = fresh.request("POST", "/projects", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


def test_a_flood_of_strangers_is_no_flood_of_rows(fresh: Lab) -> None:
    before = fresh.get("/audit/check")["rows"]
    for _ in range(100):
        assert fresh.request("GET", "/projects", token="").status_code == 401
    assert fresh.get("/audit/check")["rows"] < before + 10


def test_children_of_other_projects_are_not_named(fresh: Lab) -> None:
    token = fresh.token("inner", "viewer")
    assert fresh.request("GET", "/service", token=token).json()["children"] == []


def test_a_cluster_that_nobody_can_have_is_refused(fresh: Lab) -> None:
    for limit in ("1B", "9" * 30 + "TB"):
        body = {"name": "x", "memory_limit": limit}
        assert fresh.request("POST", "/projects/inner/clusters", json=body).status_code == 422, limit


@pytest.mark.parametrize(
    "words",
    [
        ["project", "show", ""],
        ["project", "show", "../service"],
        ["cluster", "stop", "", "-p", "inner"],
        ["deployment", "revoke", "d", "", "-p", "inner"],
        ["run", "start", "-p", "inner", "-P", "a.b=NaN"],
        ["deployment", "token", "d", "--label", "x", "--days", "nan", "-p", "inner"],
        ["logs", "-n", "-1"],
        ["logs", "x" * 400],
        ["project", "show", "a b?c#d"],
    ],
)
def test_wrong_words_are_told_and_are_no_success(fresh: Lab, words: list[str]) -> None:
    done = subprocess.run([*HIMALIA, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_a_run_and_an_endpoint_are_resumed_even_when_all_supervisors_died() -> None:
    with running_lab() as lab:
        lab.tracking_ready()
        lab.project("tiny", {"s": {"notebook": "s.ipynb"}}, {"s.ipynb": ["x = 1", "import time; time.sleep(60)"]})
        lab.post("/projects/tiny/clusters", {"name": "local", "workers": 1, "memory_limit": "1GiB"})
        run_id = lab.post("/projects/tiny/runs")["id"]
        wait_until(lambda: lab.child_pid(f"stage-{run_id}-s"), 60, "the stage")
        lab.kill_service()
        for process in lab.processes("supervisor_main.py"):
            process.kill()
        lab.start()
        assert lab.wait_run("tiny", run_id)["stages"][0]["status"] == "lost"
        wait_until(lambda: lab.get("/projects/tiny/clusters/local")["workers"] == 1, 90, "the cluster")
        lab.tracking_ready()


def test_down_also_ends_what_a_killed_service_left() -> None:
    with running_lab() as lab:
        wait_until(lambda: lab.child_pid("mlflow"), 60, "MLflow's process")
        lab.kill_service()
        assert lab.processes("_serve.py")
        done = subprocess.run([*HIMALIA, "down"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0
        assert "mlflow" in done.stdout
        assert lab.processes() == []


def test_down_ends_a_service_that_hangs() -> None:
    with running_lab() as lab:
        assert lab.found is not None
        pid = lab.found.identity.pid
        os.kill(pid, signal.SIGSTOP)
        done = subprocess.run([*HIMALIA, "down"], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert lab.processes() == []
