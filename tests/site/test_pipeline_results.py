"""Pipelines: what is unchanged is not run, and what of a result counts. Real kernels, real MLflow."""

from __future__ import annotations

import json
import shutil
from typing import Any

import nbformat

from tests.site.lab import Lab, write_project
from tests.site.runs import begin, edit, run, stage, states, statuses
from tests.waiting import wait_until

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
