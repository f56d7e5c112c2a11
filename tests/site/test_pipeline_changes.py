"""What a person is told of files that are not what they were, and of a run before it starts. Real kernels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site.lab import Lab, running_lab, write_project

Json = dict[str, Any]
HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]
COUNT = [
    "n: int = 3",
    "import json, pathlib\nfrom helper import double\nsettings = json.load(open('conf.json'))\nrows = double(n)",
    "texts = [path.read_text() for path in sorted(pathlib.Path('parts').iterdir())]",
    "json.dump(rows, open('build/rows.json', 'w'))",
]
ADD = [
    "extra: int = 1",
    "import json\nrows = json.load(open('build/rows.json'))",
    "json.dump(rows + extra, open('build/sum.json', 'w'))",
]
STAGES = {
    "count": {
        "notebook": "count.ipynb",
        "params": {"n": 3},
        "inputs": ["notes.txt", "table.csv", "parts", "blob.bin", "link.txt"],
        "outputs": ["build/rows.json"],
    },
    "add": {"notebook": "add.ipynb", "inputs": ["build/rows.json"], "outputs": ["build/sum.json"]},
}
NOTES = "\n".join(f"note {number}" for number in range(40)) + "\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.tracking_ready()
        yield lab


@pytest.fixture(scope="module")
def folder(site: Lab) -> Path:
    """A project that has run once."""
    folder = site.root / "projects" / "told"
    (folder / "src").mkdir(parents=True)
    (folder / "parts").mkdir()
    write_project(folder, "told", STAGES, {"count.ipynb": COUNT, "add.ipynb": ADD})
    (folder / "notes.txt").write_text(NOTES)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "blob.bin").write_bytes(b"\xff\x00")
    (folder / "link.txt").write_text("of the project")
    (folder / "parts" / "one.txt").write_text("one")
    (folder / "parts" / "two.txt").write_text("two")
    (folder / "conf.json").write_text('{"deep": 1}\n')
    (folder / "src" / "helper.py").write_text("def double(n):\n    return 2 * n\n")
    site.post("/projects", {"name": "told", "path": str(folder)})
    assert run(site)["status"] == "succeeded"
    return folder


def run(site: Lab, **body: Any) -> Json:
    return site.wait_run("told", site.post("/projects/told/runs", body)["id"])


def changes(site: Lab, token: str | None = None) -> Json:
    answer: Json = site.get("/projects/told/pipeline/stages/count/changes", token=token)
    return answer


def plan(site: Lab, **body: Any) -> dict[str, str]:
    found = site.post("/projects/told/pipeline/plan", body, status=200)
    return {stage["name"]: stage["state"] for stage in found["stages"]}


def cli(site: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HIMALIA, *words], capture_output=True, text=True, check=False, cwd=site.root)


def test_a_run_is_told_before_it_starts(site: Lab, folder: Path) -> None:
    before = site.get("/projects/told/runs")
    assert plan(site) == {"count": "up_to_date", "add": "up_to_date"}
    assert plan(site, options={"only": ["add"]}) == {"add": "up_to_date"}
    assert plan(site, options={"force": True}) == {"count": "changed", "add": "waits"}
    assert plan(site, params={"add": {"extra": 2}}) == {"count": "up_to_date", "add": "changed"}
    assert plan(site, params={"count": {"n": 4}}, options={"to": ["count"]}) == {"count": "changed"}
    view = site.post("/projects/told/pipeline/plan", {"params": {"add": {"extra": 2}}}, status=200)
    assert view["stages"][1]["params"] == {"extra": 2}
    assert view["stages"][1]["why"] == "the parameter extra is given now: 2"
    refused: list[Json] = [
        {"options": {"only": ["nothing"]}},
        {"params": {"nothing": {"n": 1}}},
        {"params": {"add": {"extra": 2}}, "options": {"only": ["count"]}},
        {"params": {"count": {"m": 1}}},
        {"params": {"count": {"n": "many"}}},
        {"options": {"only": ["count"], "from": ["add"]}},
    ]
    (folder / "notes.txt").rename(folder / "gone.txt")
    refused.append({"options": {"only": ["count"]}})
    for body in refused:
        told, real = (site.request("POST", f"/projects/told/{path}", json=body) for path in ("pipeline/plan", "runs"))
        assert (told.status_code, told.json()["detail"]) == (real.status_code, real.json()["detail"])
        assert told.status_code == 422, told.text
    (folder / "gone.txt").rename(folder / "notes.txt")
    assert site.get("/projects/told/runs") == before

    shown = cli(site, "pipeline", "run", "--dry-run", "-p", "told", "-P", "add.extra=2", "--from", "add")
    assert shown.returncode == 0, shown.stderr
    assert "the parameter extra is given now: 2" in shown.stdout
    assert "0 of 1 stage up to date." in shown.stdout
    shown = cli(site, "pipeline", "run", "-n", "-p", "told", "-P", "add.extr=2")
    assert shown.returncode != 0
    assert "extr" in shown.stderr


def test_each_file_that_differs_is_told(site: Lab, folder: Path) -> None:
    secret = site.root / "secret.txt"
    secret.write_text("of somebody else")
    (folder / "notes.txt").write_text(NOTES.replace("note 30\n", "note thirty\n"))
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (folder / "blob.bin").write_bytes(b"\xff\x00\x00")
    (folder / "link.txt").unlink()
    (folder / "link.txt").symlink_to(secret)
    (folder / "parts" / "one.txt").write_text("ONE")
    (folder / "parts" / "two.txt").unlink()
    (folder / "parts" / "three.txt").write_text("three")
    (folder / "conf.json").write_text('{"deep": 2}\n')
    (folder / "src" / "helper.py").write_text("def double(n):\n    return n + n\n")
    found = changes(site)
    files = {file["path"]: file for file in found["files"]}
    assert {path: file["part"] for path, file in files.items()} == {
        "blob.bin": "input",
        "link.txt": "input",
        "notes.txt": "input",
        "parts": "input",
        "table.csv": "input",
        "src/helper.py": "module",
        "conf.json": "read",
    }
    notes = files["notes.txt"]
    assert (notes["change"], notes["old_size"], notes["new_size"]) == ("changed", len(NOTES), len(NOTES) + 4)
    assert notes["diff"].splitlines()[0] == "@@ -28,7 +28,7 @@"
    assert "-note 30\n+note thirty\n" in notes["diff"]
    assert files["table.csv"]["note"] == "2 lines more: 2 → 4"
    assert "+3,4" in files["table.csv"]["diff"]
    assert (files["blob.bin"]["diff"], files["blob.bin"]["new_size"]) == (None, 3)
    assert "+    return n + n" in files["src/helper.py"]["diff"]
    assert '+{"deep": 2}' in files["conf.json"]["diff"]
    # whatever a link leads to, it is not shown
    assert files["link.txt"]["note"] == "it leads out of the project"
    assert "somebody" not in str(found)
    parts = files["parts"]
    assert parts["note"] == "files: 1 changed, 1 added, 1 removed"
    assert [(file["path"], file["change"], file["diff"]) for file in parts["files"]] == [
        ("parts/one.txt", "changed", "@@ -1 +1 @@\n-one\n+ONE"),
        ("parts/three.txt", "added", None),
        ("parts/two.txt", "removed", None),
    ]

    shown = cli(site, "pipeline", "diff", "count", "-p", "told")
    assert shown.returncode == 0, shown.stderr
    assert "the input notes.txt changed: " in shown.stdout
    assert "  +note thirty\n" in shown.stdout
    assert "the undeclared file conf.json changed: " in shown.stdout
    assert "the file parts/two.txt was removed: " in shown.stdout

    # a viewer reads which files differ, and none of their lines
    seen = changes(site, site.token("told", "viewer"))["files"]
    assert [file["path"] for file in seen] == list(files)
    inner = [file for one in seen for file in one["files"]]
    assert all(file["diff"] is None for file in (*seen, *inner))
    assert next(file for file in seen if file["path"] == "notes.txt")["note"].startswith("its lines are for")


def test_what_is_no_longer_kept_is_said(site: Lab, folder: Path) -> None:
    (folder / "notes.txt").write_text("new")
    digest = next(file for file in changes(site)["files"] if file["path"] == "notes.txt")["old_digest"].split(":")[1]
    (kept,) = site.home.rglob(f"objects/{digest[:2]}/{digest[2:]}")
    kept.unlink()
    notes = next(file for file in changes(site)["files"] if file["path"] == "notes.txt")
    assert (notes["note"], notes["diff"]) == ("what it held at that time is no longer kept", None)
    assert (notes["old_size"], notes["new_size"]) == (None, 3)


def test_a_file_that_is_not_declared_is_why_it_runs(site: Lab, folder: Path) -> None:
    (folder / "link.txt").unlink()
    (folder / "link.txt").write_text("of the project")
    assert run(site)["status"] == "succeeded"
    assert changes(site)["files"] == []
    (folder / "conf.json").write_text('{"deep": 3}\n')
    found = changes(site)
    assert found["why"] == "conf.json changed, which it reads without declaring it"
    assert [(file["part"], file["diff"]) for file in found["files"]] == [
        ("read", '@@ -1 +1 @@\n-{"deep": 2}\n+{"deep": 3}')
    ]


def test_components_are_looked_at_and_not_taken(site: Lab) -> None:
    for slug in ("lib", "user"):
        (site.root / "projects" / slug / "src").mkdir(parents=True)
    library, folder = site.root / "projects" / "lib", site.root / "projects" / "user"
    write_project(library, "lib", {}, {})
    (library / "src" / "tool.py").write_text("def double(n):\n    return 2 * n\n")
    site.post("/projects", {"name": "lib", "path": str(library)})
    site.post("/projects/lib/components", {"name": "tool", "version": "1"})
    book = ["n = 1", "import tool", "open('build/n', 'w').write(str(tool.double(n)))"]
    write_project(folder, "user", {"a": {"notebook": "a.ipynb", "outputs": ["build/n"]}}, {"a.ipynb": book})
    text = (folder / "himalia.toml").read_text().replace("[project]", '[project]\nuses = ["lib/tool@1"]')
    (folder / "himalia.toml").write_text(text)
    site.post("/projects", {"name": "user", "path": str(folder)})

    # who sees both projects may have the component used by a run, a plan does not give it to the project yet
    assert site.post("/projects/user/pipeline/plan", {}, status=200)["stages"][0]["state"] == "new"
    viewer = site.token("user", "viewer")
    refused = site.request("POST", "/projects/user/pipeline/plan", viewer, json={})
    assert (refused.status_code, refused.json()["field"]) == (422, "project.uses"), refused.text

    run_id = site.post("/projects/user/runs", {})["id"]
    assert site.wait_run("user", run_id)["status"] == "succeeded"
    for stages in (
        site.get("/projects/user/pipeline")["stages"],
        site.post("/projects/user/pipeline/plan", {}, status=200)["stages"],
    ):
        assert [(stage["state"], stage["why"]) for stage in stages] == [("up_to_date", "unchanged")]
    assert site.request("POST", "/projects/user/pipeline/plan", viewer, json={}).status_code == 200
