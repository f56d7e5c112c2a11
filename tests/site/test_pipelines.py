"""Pipelines: what is unchanged is not run, what runs side by side, how runs are steered. Real kernels, real MLflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.site.lab import Lab, write_project
from tests.waiting import wait_until

Json = dict[str, Any]


@pytest.fixture(scope="module")
def ready(lab: Lab) -> Lab:
    lab.tracking_ready()
    return lab


def stage(run: Json, name: str) -> Json:
    return next(entry for entry in run["stages"] if entry["name"] == name)


def statuses(run: Json) -> dict[str, str]:
    return {entry["name"]: entry["status"] for entry in run["stages"]}


def begin(lab: Lab, slug: str, **body: Any) -> str:
    return str(lab.post(f"/projects/{slug}/runs", body)["id"])


def run(lab: Lab, slug: str, **body: Any) -> Json:
    return lab.wait_run(slug, begin(lab, slug, **body))


def states(lab: Lab, slug: str) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in lab.get(f"/projects/{slug}/pipeline")["stages"]}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    book = nbformat.read(path, as_version=4)
    change(book)
    nbformat.write(book, path)


COUNT = [
    "n = 3",
    "import json\nfrom helper import double\nrows = double(n)",
    "json.dump(rows, open('build/rows.json', 'w'))\nprint(open('data.txt').read())",
]
ADD = [
    "extra = 1",
    "import json\nrows = json.load(open('build/rows.json'))",
    "json.dump(rows + extra, open('build/sum.json', 'w'))",
]
LIST = ["x = 1", "import os\nos.makedirs('build/parts')\nfor n in 'ab':\n    open(f'build/parts/{n}', 'w').write(n)"]
STAGES = {
    "count": {"notebook": "count.ipynb", "params": {"n": 3}, "inputs": ["data.txt"], "outputs": ["build/rows.json"]},
    "add": {"notebook": "add.ipynb", "inputs": ["build/rows.json"], "outputs": ["build/sum.json"]},
    "list": {"notebook": "list.ipynb", "outputs": ["build/parts"]},
}


def test_only_what_has_changed_runs(ready: Lab) -> None:
    folder = ready.root / "projects" / "cached"
    folder.mkdir(parents=True)
    write_project(folder, "cached", STAGES, {"count.ipynb": COUNT, "add.ipynb": ADD, "list.ipynb": LIST})
    (folder / "data.txt").write_text("data")
    (folder / "src").mkdir()
    (folder / "src" / "helper.py").write_text("def double(n):\n    return 2 * n\n")
    ready.post("/projects", {"name": "cached", "path": str(folder)})
    assert states(ready, "cached") == {"count": "new", "add": "waits", "list": "new"}
    first = run(ready, "cached")
    assert statuses(first) == {"count": "succeeded", "add": "succeeded", "list": "succeeded"}, first
    assert json.loads((folder / "build/sum.json").read_text()) == 7
    assert (folder / "build/parts/b").read_text() == "b"
    lock = json.loads((folder / ".himalia/stages/add.json").read_text())
    assert lock["key"] == stage(first, "add")["key"]
    assert lock["run"] == first["id"]

    # a copy of the folder, as another site would have it from git and a data store: its lock files are trusted
    copy = folder.with_name("copied")
    shutil.copytree(folder, copy)
    ready.post("/projects", {"name": "copied", "path": str(copy)})
    assert set(states(ready, "copied").values()) == {"up_to_date"}
    adopted = run(ready, "copied")
    assert {entry["status"] for entry in adopted["stages"]} == {"skipped"}
    assert stage(adopted, "add")["cached_from"] == first["id"]
    shutil.rmtree(copy / "build")
    # what needs no run has ended when the request is answered
    answer = ready.post("/projects/copied/runs")
    assert (answer["status"], set(statuses(answer).values())) == ("succeeded", {"skipped"})
    assert (copy / "build/sum.json").read_text() == "7"

    # nothing has changed; outputs that were deleted or damaged come from the cache
    (folder / "build/sum.json").unlink()
    (folder / "build/parts/b").write_text("damaged")
    pipeline = ready.get("/projects/cached/pipeline")["stages"]
    assert {entry["name"]: entry["restore"] for entry in pipeline} == {
        "count": [],
        "add": ["build/sum.json"],
        "list": ["build/parts"],
    }
    again = run(ready, "cached")
    assert statuses(again) == {"count": "skipped", "add": "skipped", "list": "skipped"}
    assert stage(again, "add")["cached_from"] == first["id"]
    assert json.loads((folder / "build/sum.json").read_text()) == 7
    assert (folder / "build/parts/b").read_text() == "b"

    # what a person reads is not what a kernel runs
    def cosmetic(book: Any) -> None:
        book.cells.insert(0, nbformat.v4.new_markdown_cell("# Title"))
        book.cells[2].source = "# why\n\nimport json\nfrom helper import double\nrows = double( n )  # twice"
        book.cells[3].outputs = []

    edit(folder / "count.ipynb", cosmetic)
    assert set(states(ready, "cached").values()) == {"up_to_date"}

    # other code, the same output: it runs, and what comes after it does not
    edit(
        folder / "count.ipynb", lambda book: book.cells[2].update(source=COUNT[1].replace("double(n)", "double(n + 0)"))
    )
    found = ready.get("/projects/cached/pipeline/stages/count/changes")
    assert [change["text"] for change in found["changes"]] == ["code cell 2 changed"]
    assert "+rows = double(n + 0)" in found["cells"][0]["diff"]
    assert found["cells"][0]["number"] == 2
    cut = run(ready, "cached")
    assert statuses(cut) == {"count": "succeeded", "add": "skipped", "list": "skipped"}

    # a module, an input, a parameter: each is told by its name
    (folder / "src" / "helper.py").write_text("def double(n):\n    return n + n\n")
    (folder / "data.txt").write_text("other data")
    texts = [change["text"] for change in ready.get("/projects/cached/pipeline/stages/count/changes")["changes"]]
    assert texts == ["the input data.txt changed", "the module src/helper.py changed"]
    changed = run(ready, "cached", params={"count": {"n": 4}})
    assert statuses(changed) == {"count": "succeeded", "add": "succeeded", "list": "skipped"}
    assert stage(changed, "count")["reason"].startswith("the parameter n changed: 3 → 4, the input data.txt changed")
    # the older version of all is still known
    (folder / "src" / "helper.py").write_text("def double(n):\n    return 2 * n\n")
    (folder / "data.txt").write_text("data")
    older = run(ready, "cached")
    assert set(statuses(older).values()) == {"skipped"}
    assert json.loads((folder / "build/sum.json").read_text()) == 7
    compared = ready.get(f"/projects/cached/runs/compare?runs={changed['id']}&runs={older['id']}")
    differs = {(one["stage"], one["part"], one["name"]): one["values"] for one in compared["differences"]}
    assert differs["count", "parameter", "n"] == [4, 3]


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


def test_the_same_result_is_made_once_and_two_of_them_are_none(ready: Lab) -> None:
    cells = ["x = 1", "import time, uuid\ntime.sleep(2)", "open('build/id', 'w').write(str(uuid.uuid4()))"]
    folder = ready.project("once", {"make": {"notebook": "make.ipynb", "outputs": ["build/id"]}}, {"make.ipynb": cells})
    one, two = begin(ready, "once"), begin(ready, "once")
    ended = sorted(statuses(ready.wait_run("once", made))["make"] for made in (one, two))
    assert ended == ["skipped", "succeeded"]
    first = (folder / "build/id").read_text()
    forced = run(ready, "once", options={"force": True})
    assert "not deterministic" in stage(forced, "make")["reason"]
    assert (folder / "build/id").read_text() != first
    view = ready.get("/projects/once/pipeline")["stages"][0]
    assert (view["state"], view["deterministic"]) == ("changed", False)
    # nor does a lock vouch for it elsewhere, now and after the next run
    assert not (folder / ".himalia/stages/make.json").exists()
    assert statuses(run(ready, "once")) == {"make": "succeeded"}
    assert not (folder / ".himalia/stages/make.json").exists()
    # what an older run made can be had again
    restored = ready.post(f"/projects/once/runs/{one}/outputs/restore", status=200)
    assert restored["paths"] == ["build/id"]
    assert (folder / "build/id").read_text() == first


def test_a_notebook_that_is_asked_for_is_executed_and_vouches_for_no_stage(ready: Lab) -> None:
    code = ["x = 1", "import os\nos.makedirs('build', exist_ok=True)", "open('build/a', 'w').write('a')"]
    folder = ready.project("asked", {"make": {"notebook": "make.ipynb", "outputs": ["build/a"]}}, {"make.ipynb": code})
    for _ in range(2):
        alone = ready.post("/projects/asked/runs", {"notebook": "make.ipynb"})
        assert list(statuses(ready.wait_run("asked", alone["id"])).values()) == ["succeeded"]
    assert not (folder / "build/a").exists()
    assert statuses(run(ready, "asked")) == {"make": "succeeded"}
    assert statuses(run(ready, "asked")) == {"make": "skipped"}


def test_policies_of_the_cache(ready: Lab) -> None:
    code = ["x = 1", "print(x)"]
    policies = {"day": "24h", "moment": "1s", "always": "always"}
    stages = {
        name: {"notebook": f"{name}.ipynb", "cache": policy, "params": {"x": number}}
        for number, (name, policy) in enumerate(policies.items())
    }
    folder = ready.project("policies", stages, {f"{name}.ipynb": code for name in policies})
    assert set(statuses(run(ready, "policies")).values()) == {"succeeded"}
    wait_until(lambda: states(ready, "policies")["moment"] == "changed", 10, "the second to pass")
    again = run(ready, "policies")
    assert statuses(again) == {"day": "skipped", "moment": "succeeded", "always": "skipped"}
    assert stage(again, "moment")["reason"] == "its result is older than 1s"
    lock = (folder / ".himalia/stages/always.json").read_text()
    for name in policies:
        edit(folder / f"{name}.ipynb", lambda book: book.cells[1].update(source="print(x + 1)"))
    changed = run(ready, "policies")
    assert statuses(changed) == {"day": "succeeded", "moment": "succeeded", "always": "skipped"}
    # what it has is of the old code, and says so
    assert stage(changed, "always")["key"] == stage(again, "always")["key"]
    assert (folder / ".himalia/stages/always.json").read_text() == lock

    # elsewhere only a lock tells of the results, and not how old they are
    copy = folder.with_name("policies-copied")
    shutil.copytree(folder, copy)
    ready.post("/projects", {"name": "policies-copied", "path": str(copy)})
    assert statuses(run(ready, "policies-copied"))["day"] == "succeeded"


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


def test_an_undeclared_file_that_is_read_is_part_of_what_was_made(ready: Lab) -> None:
    cells = ["x = 1", "import json\njson.dump(json.load(open('settings.json')), open('build/out', 'w'))"]
    folder = ready.project(
        "reads", {"make": {"notebook": "make.ipynb", "outputs": ["build/out"]}}, {"make.ipynb": cells}
    )
    (folder / "settings.json").write_text("[1]")
    assert statuses(run(ready, "reads")) == {"make": "succeeded"}
    assert states(ready, "reads") == {"make": "up_to_date"}
    (folder / "settings.json").write_text("[2]")
    view = ready.get("/projects/reads/pipeline")["stages"][0]
    assert (view["state"], "settings.json changed" in view["why"]) == ("changed", True)
    assert statuses(run(ready, "reads")) == {"make": "succeeded"}
    (folder / "settings.json").write_text("[1]")
    assert statuses(run(ready, "reads")) == {"make": "skipped"}
    assert (folder / "build/out").read_text() == "[1]"
    shutil.rmtree(folder / "build")
    assert statuses(run(ready, "reads")) == {"make": "skipped"}


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


SPLIT = [
    "kinds = 'ab'",
    "import os\nfor kind in kinds:\n    os.makedirs(f'build/parts/{kind}/deep')\n"
    "    open(f'build/parts/{kind}/deep/x', 'w').write(kind * 2)\n    open(f'build/parts/{kind}.txt', 'w').write(kind)",
]


def test_an_input_inside_of_another_stages_output_folder(ready: Lab) -> None:
    look = "import os\nfound = sorted(os.path.join(top, n) for top, _, names in os.walk('build/parts') for n in names)"
    stages = {
        "split": {"notebook": "split.ipynb", "outputs": ["build/parts"]},
        "file": {"notebook": "file.ipynb", "inputs": ["build/parts/a.txt"], "outputs": ["build/file"]},
        "folder": {"notebook": "folder.ipynb", "inputs": ["build/parts/b"], "outputs": ["build/folder"]},
    }
    books = {
        f"{name}.ipynb": ["x = 1", look, f"print(found, file=open('build/{name}', 'w'))"] for name in ("file", "folder")
    }
    folder = ready.project("inside", stages, {"split.ipynb": SPLIT, **books})
    shown = {entry["name"]: entry for entry in ready.get("/projects/inside/pipeline")["stages"]}
    assert (shown["file"]["state"], shown["folder"]["state"]) == ("waits", "waits"), shown
    assert statuses(run(ready, "inside")) == {"split": "succeeded", "file": "succeeded", "folder": "succeeded"}
    assert (folder / "build/file").read_text() == "['build/parts/a.txt']\n"
    assert (folder / "build/folder").read_text() == "['build/parts/b/deep/x']\n"
    assert set(statuses(run(ready, "inside")).values()) == {"skipped"}

    # what changes elsewhere in the folder does not concern them
    def more(book: Any) -> None:
        book.cells[1].source += "\nopen('build/parts/c.txt', 'w').write('c')"

    edit(folder / "split.ipynb", more)
    assert statuses(run(ready, "inside")) == {"split": "succeeded", "file": "skipped", "folder": "skipped"}
    edit(folder / "split.ipynb", lambda book: book.cells[1].update(source=SPLIT[1].replace("kind * 2", "kind * 3")))
    assert statuses(run(ready, "inside")) == {"split": "succeeded", "file": "skipped", "folder": "succeeded"}
    # alone, it takes what lies there; and what its maker has not made is told
    assert statuses(run(ready, "inside", options={"only": ["file"], "force": True})) == {"file": "succeeded"}
    missing = run(ready, "inside", params={"split": {"kinds": "b"}})
    assert missing["status"] == "failed", missing
    assert "There is no build/parts/a.txt in 'build/parts'" in missing["reason"], missing


def test_folders_hold_what_was_made_and_declared_and_nothing_else(ready: Lab) -> None:
    """Of kinds of files that are code elsewhere."""
    split = [
        "names = 'ab'",
        "import json, os\nos.makedirs('build/parts')\nfor name in names:\n"
        "    json.dump(json.load(open(f'data/{name}.json')), open(f'build/parts/{name}.json', 'w'))",
    ]
    join = [
        "x = 1",
        "import json, os\nfrom helper import mark\nfound = sorted(os.listdir('build/parts'))\n"
        "values = [json.load(open(f'build/parts/{name}')) for name in found]",
        "json.dump([found, values, mark], open('build/joined.json', 'w'))",
    ]
    look = [
        "x = 1",
        "import os\nfrom helper import mark\n"
        "found = sorted(os.path.join(top, n) for at in ('data', 'build') for top, _, ns in os.walk(at) for n in ns)",
        "print(found, mark, file=open('seen.txt', 'w'))",
    ]
    stages = {
        "split": {"notebook": "data/split.ipynb", "inputs": ["data"], "outputs": ["build/parts"]},
        "join": {"notebook": "join.ipynb", "inputs": ["build/parts", "src"], "outputs": ["build/joined.json"]},
        "look": {"notebook": "look.ipynb", "outputs": ["seen.txt"]},
    }
    folder = ready.root / "projects" / "within"
    for name in ("data", "src", "build/parts"):
        (folder / name).mkdir(parents=True)
    write_project(folder, "within", stages, {"data/split.ipynb": split, "join.ipynb": join, "look.ipynb": look})
    (folder / "src/helper.py").write_text("mark = 1\n")
    for name in "ab":
        (folder / f"data/{name}.json").write_text(f'"{name}"')
    (folder / "build/parts/stale.json").write_text('"stale"')
    ready.post("/projects", {"name": "within", "path": str(folder)})

    first = run(ready, "within")
    assert set(statuses(first).values()) == {"succeeded"}, first
    assert sorted(path.name for path in (folder / "build/parts").iterdir()) == ["a.json", "b.json"]
    assert json.loads((folder / "build/joined.json").read_text()) == [["a.json", "b.json"], ["a", "b"], 1]
    # a stage that has declared none of it finds the notebook and the module there, and no data
    assert (folder / "seen.txt").read_text() == "[] 1\n"
    lock = json.loads((folder / ".himalia/stages/join.json").read_text())
    assert lock["reads"] == {}
    assert set(statuses(run(ready, "within")).values()) == {"skipped"}

    # an input that is gone is gone, and what was made of it too
    (folder / "data/b.json").unlink()
    fewer = run(ready, "within", params={"split": {"names": "a"}})
    assert statuses(fewer) == {"split": "succeeded", "join": "succeeded", "look": "skipped"}, fewer
    assert [path.name for path in (folder / "build/parts").iterdir()] == ["a.json"]
    assert json.loads((folder / "build/joined.json").read_text()) == [["a.json"], ["a"], 1]

    # a stale file that comes back is no reason to run, and does not stay
    (folder / "build/parts/stale.json").write_text('"stale"')
    again = run(ready, "within", params={"split": {"names": "a"}})
    assert set(statuses(again).values()) == {"skipped"}, again
    assert [path.name for path in (folder / "build/parts").iterdir()] == ["a.json"]

    # a module within an input counts for who declares the folder and for who imports it
    (folder / "src/helper.py").write_text("mark = 2\n")
    marked = run(ready, "within", params={"split": {"names": "a"}})
    assert statuses(marked) == {"split": "skipped", "join": "succeeded", "look": "succeeded"}, marked
    assert json.loads((folder / "build/joined.json").read_text())[2] == 2


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
