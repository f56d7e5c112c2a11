"""Pipelines: what runs side by side, how runs are steered and compared. Real kernels, real MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat

from tests.site.lab import Lab
from tests.site.runs import Json, begin, edit, run, stage, statuses
from tests.waiting import wait_until

SLEEP = ["seconds = 1.0", "import time\nbegan = time.time()\ntime.sleep(seconds)", "print(began, time.time())"]


def test_stages_run_side_by_side_up_to_the_limit(ready: Lab) -> None:
    stages: dict[str, Json] = {
        name: {"notebook": "sleep.ipynb", "params": {"seconds": 2.0 + number / 10}} for number, name in enumerate("abc")
    }
    ready.project("wide", stages, {"sleep.ipynb": SLEEP})
    limited = begin(ready, "wide", options={"parallel": 1})
    waiting = wait_until(
        lambda: [
            entry["reason"]
            for entry in ready.get(f"/projects/wide/runs/{limited}")["stages"]
            if entry["status"] == "waiting" and "run" in entry["reason"]
        ],
        60,
        "a stage that waits",
    )
    assert waiting[0].startswith("waiting because this run is taken by a of wide")
    serial = ready.wait_run("wide", limited)
    assert overlaps(serial) == 0, serial
    wide = run(ready, "wide", options={"force": True})
    assert overlaps(wide) >= 1, wide


def test_a_pool_is_one_for_all_runs_and_has_one_slot_unless_the_site_says_more(ready: Lab) -> None:
    stages: dict[str, Json] = {
        name: {"notebook": "sleep.ipynb", "params": {"seconds": seconds}, "pool": "gpu"}
        for name, seconds in (("one", 2.0), ("two", 2.1))
    }
    ready.project("pooled", stages, {"sleep.ipynb": SLEEP})
    first, second = (begin(ready, "pooled", options={"only": [name], "force": True}) for name in ("one", "two"))

    def waits() -> bool:
        reasons = [entry["reason"] for made in (first, second) for entry in told(ready, "pooled", made)]
        return any(reason and reason.startswith("waiting because the pool gpu is taken by") for reason in reasons)

    wait_until(waits, 60, "the reason")
    ended = [ready.wait_run("pooled", made)["stages"][0] for made in (first, second)]
    assert {entry["status"] for entry in ended} == {"succeeded"}
    assert overlaps({"stages": ended}) == 0


def told(lab: Lab, slug: str, run_id: str) -> list[Json]:
    found: list[Json] = lab.get(f"/projects/{slug}/runs/{run_id}")["stages"]
    return found


def overlaps(view: Json) -> int:
    times = sorted((entry["started_at"], entry["ended_at"]) for entry in view["stages"])
    return sum(later[0] < earlier[1] for earlier, later in pairwise(times))


FAIL = ["fails = True", "if fails:\n    raise ValueError('not today')"]


def test_a_failure_stops_what_depends_on_it_and_a_resumed_run_goes_on(ready: Lab) -> None:
    stages = {
        "first": {"notebook": "first.ipynb", "outputs": ["build/a"], "cache": "never"},
        "bad": {"notebook": "bad.ipynb", "inputs": ["build/a"], "outputs": ["build/b"]},
        "after": {"notebook": "after.ipynb", "inputs": ["build/b"]},
        "other": {"notebook": "after.ipynb", "after": ["first"], "params": {"x": 2}},
    }
    first, bad = ["x = 1", "open('build/a', 'w').write('a')"], [*FAIL, "open('build/b', 'w').write('b')"]
    folder = ready.project(
        "faulty", stages, {"first.ipynb": first, "bad.ipynb": bad, "after.ipynb": ["x = 1", "print(x)"]}
    )
    stopped = run(ready, "faulty", options={"parallel": 1})
    assert statuses(stopped) == {
        "first": "succeeded",
        "bad": "failed",
        "after": "upstream_failed",
        "other": "not_run",
    }, stopped
    assert (stage(stopped, "bad")["error"], stage(stopped, "bad")["failed_cell"]) == ("ValueError: not today", 1)
    assert "keep_going" in stage(stopped, "other")["error"]
    kept = run(ready, "faulty", options={"keep_going": True, "force": True})
    assert statuses(kept)["other"] == "succeeded"

    # mended, it goes on where it failed: what had succeeded is taken over, although its cache policy is "never"
    edit(folder / "bad.ipynb", lambda book: book.cells[0].update(source="fails = False"))
    # and with the parameters that it had
    manifest = folder / "himalia.toml"
    manifest.write_text(manifest.read_text().replace("x = 2", "x = 3").replace('"x": 2', '"x": 3'))
    assert "3" in manifest.read_text()
    resumed = ready.post(f"/projects/faulty/runs/{kept['id']}/resume")
    assert resumed["origin"] == kept["id"]
    (warning,) = resumed["warnings"]
    assert warning.startswith("Stage 'other' keeps x = 2 of the run that it resumes; himalia.toml says 3 by now.")
    resumed = ready.wait_run("faulty", resumed["id"])
    assert statuses(resumed) == {"first": "skipped", "bad": "succeeded", "after": "succeeded", "other": "skipped"}
    assert resumed["options"]["keep_going"] is True
    assert stage(resumed, "bad")["reason"] == "it was asked to run in any case"
    refused = ready.request("POST", f"/projects/faulty/runs/{resumed['id']}/resume")
    assert (refused.status_code, "nothing is left to do" in refused.text) == (409, True)
    assert stage(resumed, "other")["params"] == {"x": 2}
    again = run(ready, "faulty")
    assert (stage(again, "other")["status"], stage(again, "other")["params"]) == ("succeeded", {"x": 3})
    assert (stage(again, "first")["status"], stage(again, "first")["reason"]) == ("succeeded", 'it has cache = "never"')


def test_parts_of_a_pipeline(ready: Lab) -> None:
    stages = {
        "a": {"notebook": "w.ipynb", "params": {"to": "build/a"}, "outputs": ["build/a"]},
        "b": {"notebook": "w.ipynb", "params": {"to": "build/b"}, "inputs": ["build/a"], "outputs": ["build/b"]},
        "c": {"notebook": "w.ipynb", "params": {"to": "build/c"}, "inputs": ["build/b"], "outputs": ["build/c"]},
    }
    folder = ready.project("parts", stages, {"w.ipynb": ["to = 'x'", "open(to, 'w').write('1')"]})
    missing = ready.request("POST", "/projects/parts/runs", json={"options": {"only": ["c"]}})
    assert missing.status_code == 422
    assert "build/b does not exist, and no stage of this run makes it" in missing.json()["detail"]
    assert statuses(run(ready, "parts", options={"to": ["b"]})) == {"a": "succeeded", "b": "succeeded"}
    # another one's output is taken as it lies there
    (folder / "build/b").write_text("mine")
    only = run(ready, "parts", options={"only": ["c"]})
    assert statuses(only) == {"c": "succeeded"}
    assert (folder / "build/b").read_text() == "mine"
    assert statuses(run(ready, "parts", options={"from": ["b"], "force": True})) == {"b": "succeeded", "c": "succeeded"}
    for options, said in (
        ({"only": ["x"]}, "There is no stage"),
        ({"only": ["a"], "to": ["b"]}, "neither"),
        ({"from": ["c"], "to": ["a"]}, "No stage lies between"),
        ({"timeout": "soon"}, "not a duration"),
    ):
        refused = ready.request("POST", "/projects/parts/runs", json={"options": options})
        assert (refused.status_code, said in refused.text) == (422, True), refused.text


def test_attempts_are_kept_and_a_time_limit_ends_a_run(ready: Lab) -> None:
    die = ["x = 1", "print('before the end')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"]
    stages = {
        "die": {"notebook": "die.ipynb", "retries": 1, "retry_delay": "1s"},
        "code": {"notebook": "code.ipynb", "retries": 3},
        "slow": {"notebook": "sleep.ipynb", "params": {"seconds": 600.0}},
    }
    ready.project("tried", stages, {"die.ipynb": die, "code.ipynb": FAIL, "sleep.ipynb": SLEEP})
    ended = run(ready, "tried", options={"keep_going": True, "timeout": "25s"})
    assert statuses(ended) == {"die": "kernel_died", "code": "failed", "slow": "timed_out"}, ended
    assert (ended["status"], ended["reason"]) == ("timed_out", "The run reached its time limit of 25s.")
    assert (stage(ended, "die")["attempts"], stage(ended, "code")["attempts"]) == (2, 1)
    path = f"/projects/tried/runs/{ended['id']}/stages/die/attempts"
    assert [(one["number"], one["status"], one["notebook"]) for one in ready.get(path)] == [(1, "kernel_died", True)]
    assert "before the end" in ready.request("GET", f"{path}/1/log").text
    book = nbformat.reads(ready.request("GET", f"{path}/1/notebook").text, as_version=4)
    assert book.cells[2].metadata["himalia"]["status"] == "kernel_died"


def test_the_points_of_a_sweep_share_what_they_have_in_common(ready: Lab) -> None:
    write = ["value = 0", "open('build/base', 'w').write('base')"]
    fit = ["depth = 1\nrate = 0.1", "open('build/fit', 'w').write(f'{depth} {rate}')"]
    stages = {
        "base": {"notebook": "base.ipynb", "outputs": ["build/base"]},
        "fit": {
            "notebook": "fit.ipynb",
            "inputs": ["build/base"],
            "outputs": ["build/fit"],
            "params": {"depth": [4, 8], "rate": 0.1},
            "sweep": True,
        },
    }
    folder = ready.project("grid", stages, {"base.ipynb": write, "fit.ipynb": fit})
    refused = ready.request("POST", "/projects/grid/runs", json={})
    assert (refused.status_code, "is a sweep" in refused.text) == (422, True)
    sweep = ready.post("/projects/grid/sweeps", {"grid": {"fit": {"rate": [0.1, 0.3]}}})
    assert [point["fit"] for point in sweep["points"]] == [
        {"depth": 4, "rate": 0.1},
        {"depth": 4, "rate": 0.3},
        {"depth": 8, "rate": 0.1},
        {"depth": 8, "rate": 0.3},
    ]
    runs = [ready.wait_run("grid", made["id"]) for made in sweep["runs"]]
    assert sorted(stage(made, "base")["status"] for made in runs) == ["skipped", "skipped", "skipped", "succeeded"]
    assert {stage(made, "fit")["status"] for made in runs} == {"succeeded"}
    assert not (folder / "build/fit").exists()  # none of the points is the one
    ready.post(f"/projects/grid/runs/{runs[2]['id']}/outputs/restore", status=200)
    assert (folder / "build/fit").read_text() == "8 0.1"
    assert ready.get(f"/projects/grid/sweeps/{sweep['id']}")["grid"] == {"fit": {"depth": [4, 8], "rate": [0.1, 0.3]}}


def test_a_notebook_that_is_no_stage(ready: Lab) -> None:
    cells = ["n = 1", "print(open('data/x.txt').read() * n)"]
    folder = ready.project("alone", {}, {"eda.ipynb": cells})
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("seen")
    blind = run(ready, "alone", notebook="eda.ipynb")
    assert (blind["kind"], stage(blind, "notebook")["status"]) == ("notebook", "failed")
    seen = run(ready, "alone", notebook="eda.ipynb", inputs=["data/x.txt"], params={"notebook": {"n": 2}})
    assert seen["status"] == "succeeded", seen
    text = ready.request("GET", f"/projects/alone/runs/{seen['id']}/stages/notebook/notebook").text
    assert "seenseen" in text
    assert ready.get("/projects/alone/runs?kind=pipeline")["items"] == []


def test_runs_are_compared_by_the_metrics_of_what_a_skipped_stage_was_cached_from(ready: Lab) -> None:
    cells = [
        "depth = 1",
        "import mlflow\nmlflow.log_metric('score', depth / 10)\nopen('build/fit', 'w').write(str(depth))",
    ]
    ready.project("scored", {"fit": {"notebook": "fit.ipynb", "outputs": ["build/fit"]}}, {"fit.ipynb": cells})
    first = run(ready, "scored")
    again = run(ready, "scored")
    assert (statuses(again), stage(again, "fit")["cached_from"]) == ({"fit": "skipped"}, first["id"])
    other = run(ready, "scored", params={"fit": {"depth": 4}})
    ids = "&".join(f"runs={made['id']}" for made in (first, again, other))
    compared = ready.get(f"/projects/scored/runs/compare?{ids}")
    metrics = {one["name"]: one["values"] for one in compared["differences"] if one["part"] == "metric"}
    assert metrics == {"score": [0.1, 0.1, 0.4]}


HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]


def test_a_log_is_followed_from_before_the_stage_begins_to_its_end(ready: Lab) -> None:
    wait = "import pathlib, time\nwhile not pathlib.Path({go!r}).exists(): time.sleep(0.05)"
    go = str(ready.root / "go-on")
    cells = ["print('first: ä')", wait.format(go=go), "print('last')"]
    ready.project("told", {"talk": {"notebook": "talk.ipynb", "cache": "never"}}, {"talk.ipynb": cells})
    run_id = begin(ready, "told")
    command = [*HIMALIA, "run", "log", run_id, "talk", "-p", "told", "--follow"]
    environment = os.environ | {"HIMALIA_HOME": str(ready.home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as follower:
        assert follower.stdout is not None
        seen = b""
        while "first: ä".encode() not in seen:
            line = follower.stdout.readline()
            assert line, seen
            seen += line
        assert b"last" not in seen
        Path(go).touch()
        seen += follower.stdout.read()
    assert follower.returncode == 0
    assert seen.count("first: ä".encode()) == 1
    assert seen.count(b"last") == 1
    done = subprocess.run([*HIMALIA, "run", "log", run_id, "none", "-p", "told", "-f"], env=environment, check=False)
    assert done.returncode == 4
