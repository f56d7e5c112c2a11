"""Verify: notebooks with known flaws get the right verdict, cell and cause. Real kernels, on the session's site."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from himalia_server.cli import main
from himalia_server.service.context import open_store
from himalia_server.store import EventRow
from tests.site.lab import Lab, write_project
from tests.waiting import wait_until

Cell = tuple[str, str, int | None]
"""Source, what it printed when it was saved, its execution count."""

HIDDEN: list[Cell] = [("total = 1", "", 1), ("total += 1", "", 3), ("print(total)", "3\n", 4)]
"""Its second cell was run twice."""
DELETED: list[Cell] = [("a = 2", "", 2), ("print(a * factor)", "6\n", 3)]
"""The cell that gave `factor` is gone."""
ORDER: list[Cell] = [("x = 1", "", 1), ("x = x * 10", "", 3), ("print(x)", "1\n", 2)]
UNSEEDED: list[Cell] = [
    ("import random", "", 1),
    ("numbers = [random.random() for _ in range(3)]", "", 2),
    ("print(sum(numbers))", "1.2345678\n", 3),
]
CLEAN: list[Cell] = [
    ("import pathlib, sys", "", 1),
    ("class Model: pass\nprint(Model())", "<__main__.Model object at 0x7f12ab34cd56>\n", 2),
    ("print('share', 2 / 3)", "share 0.66666666666\n", 3),
    ("print(pathlib.Path('data/in.csv').read_text())", "1\n\n", 4),
]
CHANGED: list[Cell] = [
    ("path = 'data/in.csv'", "", 1),
    ("rows = open(path).read().split()", "", 2),
    ("print(len(rows))", "3\n", 3),
]
SETS: list[Cell] = [
    ("words = ['anna', 'bert', 'carl', 'dora', 'emil', 'fred', 'gert', 'hans']", "", 1),
    ("print(list(set(words)))", "['bert', 'anna', 'carl', 'dora', 'emil', 'fred', 'gert', 'hans']\n", 2),
]
BOOKS = {
    "hidden": HIDDEN,
    "deleted": DELETED,
    "order": ORDER,
    "unseeded": UNSEEDED,
    "clean": CLEAN,
    "changed": CHANGED,
    "sets": SETS,
}
EXPECTED = {
    "hidden": ("differs", 3, "hidden_state", 2, False),
    "deleted": ("failed", 2, "undefined_name", 2, None),
    "order": ("differs", 3, "execution_order", 2, None),
    "unseeded": ("differs", 3, "randomness", 2, True),
    "clean": ("within_tolerance", None, None, None, None),
    "changed": ("differs", 3, "changed_file", 1, None),
    "sets": ("differs", 2, "set_order", 2, True),
}
"""Verdict, first differing cell, kind and cell of the likeliest cause, whether two clean runs differ."""
TWICE = ("hidden", "unseeded", "sets")
"""Where a second run is allowed; the machine is small."""


def save(path: Path, cells: list[Cell]) -> None:
    """A notebook as somebody has saved it."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for source, printed, count in cells:
        cell = nbformat.v4.new_code_cell(source, execution_count=count)
        if printed:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
        book.cells.append(cell)
    nbformat.write(book, path)


@pytest.fixture(scope="module")
def verified(lab: Lab) -> Iterator[tuple[Lab, dict[str, Any]]]:
    """A project of flawed notebooks, all verified side by side."""
    lab.tracking_ready()
    folder = lab.root / "projects" / "proofs"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "in.csv").write_text("1\n")
    write_project(folder, "proofs", {}, {})
    lab.post("/projects", {"name": "proofs", "path": str(folder)})
    saved = (folder / "data" / "in.csv").stat().st_mtime
    for name, cells in BOOKS.items():
        save(folder / f"{name}.ipynb", cells)
        # the file is as old as the notebooks, but for the one that was saved before it changed
        os.utime(folder / f"{name}.ipynb", (saved - 60, saved - 60) if name == "changed" else (saved + 60, saved + 60))
    started = {
        name: lab.post("/projects/proofs/verifications", {"notebook": f"{name}.ipynb", "second_run": name in TWICE})
        for name in BOOKS
    }
    ended = {name: wait_verification(lab, "proofs", view["id"]) for name, view in started.items()}
    yield lab, ended
    lab.request("DELETE", "/projects/proofs?remove_files=true")


def wait_verification(lab: Lab, slug: str, row_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        view: dict[str, Any] = lab.get(f"/projects/{slug}/verifications/{row_id}")
        return view if view["status"] != "running" else None

    return wait_until(ended, 120, f"the end of verification {row_id}")


@pytest.mark.parametrize("name", BOOKS)
def test_the_verdict_the_cell_and_the_cause(verified: tuple[Lab, dict[str, Any]], name: str) -> None:
    view = verified[1][name]
    verdict, cell, kind, cause_cell, nondeterministic = EXPECTED[name]
    assert (view["status"], view["verdict"]) == ("ended", verdict), view
    assert (view["first"] and view["first"]["number"]) == cell, view
    assert view["nondeterministic"] is nondeterministic, view
    if kind is None:
        assert view["causes"] == []
    else:
        assert (view["causes"][0]["kind"], view["causes"][0]["cell"]) == (kind, cause_cell), view["causes"]
        assert view["causes"][0]["advice"]
    assert view["current"]


def test_both_outputs_are_kept_of_what_differs(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, ended = verified
    hidden = ended["hidden"]["compared"]
    assert [cell["status"] for cell in hidden] == ["identical", "identical", "differs"]
    assert (hidden[2]["saved"][0]["text"], hidden[2]["now"][0]["text"]) == ("3\n", "2\n")
    assert hidden[2]["differences"][0]["line"] == 1
    assert ended["unseeded"]["compared"][2]["second"][0]["text"] != ended["unseeded"]["compared"][2]["now"][0]["text"]
    clean = ended["clean"]
    assert clean["counts"] == {"identical": 3, "within_tolerance": 1}
    assert (clean["rules"], clean["inputs"]) == (["address"], ["data/in.csv"])
    assert len(clean["runs"]) == 1
    database = open_store(lab.site, lab.site.settings())
    try:
        with database.read() as session:
            rows = list(session.scalars(select(EventRow).where(EventRow.subject == clean["id"]).order_by(EventRow.seq)))
    finally:
        database.close()
    topics = [row.topic for row in rows]
    assert (topics[0], topics[-1]) == ("verification.started", "verification.ended")
    assert "verification.progress" in topics
    assert rows[-1].data["verdict"] == "within_tolerance"


def test_the_badge_goes_when_the_notebook_changes(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, ended = verified
    path = lab.root / "projects" / "proofs" / "clean.ipynb"
    newest = lab.get("/projects/proofs/verifications?notebook=clean.ipynb&limit=1")["items"][0]
    assert (newest["id"], newest["current"]) == (ended["clean"]["id"], True)
    before = path.read_text()
    path.write_text(before.replace("share", "part"))
    assert not lab.get("/projects/proofs/verifications?notebook=clean.ipynb")["items"][0]["current"]
    path.write_text(before)
    assert lab.get("/projects/proofs/verifications?notebook=clean.ipynb")["items"][0]["current"]


def test_what_cannot_be_verified_is_refused(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, _ = verified
    folder = lab.root / "projects" / "proofs"
    save(folder / "fresh.ipynb", [("1", "", None)])
    (folder / "broken.ipynb").write_text("{")
    (folder / "text.txt").write_text("x")
    for notebook, says in (
        ("fresh.ipynb", "no saved outputs"),
        ("broken.ipynb", "not a notebook that can be read"),
        ("text.txt", "not a notebook"),
        ("clea.ipynb", "no file"),
        ("../x.ipynb", "notebook"),
    ):
        refused = lab.post("/projects/proofs/verifications", {"notebook": notebook}, status=422)
        assert says in refused["detail"], refused
    assert (
        "Did you mean 'clean.ipynb'?"
        in lab.post("/projects/proofs/verifications", {"notebook": "clea.ipynb"}, status=422)["hint"]
    )
    reader = lab.token("proofs", "viewer")
    path = "/projects/proofs/verifications"
    assert lab.request("GET", path, token=reader).status_code == 200
    assert lab.request("POST", path, json={"notebook": "clean.ipynb"}, token=reader).status_code == 403


def test_the_command_line(verified: tuple[Lab, dict[str, Any]]) -> None:
    """And an input that no text names is found by the error; a notebook in a folder runs there, as in JupyterLab."""
    lab, _ = verified
    folder = lab.root / "projects" / "proofs"
    cells: list[Cell] = [("name = 'in' + '.csv'", "", 1), ("print(open('../da' + 'ta/' + name).read())", "1\n\n", 2)]
    (folder / "more").mkdir()
    save(folder / "more" / "found.ipynb", cells)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["verify", *words])

    found = run(str(folder / "more" / "found.ipynb"))
    assert (found.exit_code, "identical" in found.output, "2 code cells" in found.output) == (0, True, True), (
        found.output
    )
    view = lab.get("/projects/proofs/verifications?notebook=more/found.ipynb")["items"][0]
    assert (view["verdict"], view["inputs"], len(view["runs"])) == ("identical", ["data/in.csv"], 2), view
    hidden = run("hidden.ipynb", "-p", "proofs", "--no-second-run")
    assert hidden.exit_code == 1, hidden.output
    for words in ("differs", "code cell 3", "print(total)", "* 3", "| 2", "run again", "Restart the kernel"):
        assert words in hidden.output, hidden.output
    told = json.loads(run("clean.ipynb", "-p", "proofs", "--rtol", "0", "--no-second-run", "--json").stdout)
    assert (told["verdict"], told["first"]["number"]) == ("differs", 3)
    for name, says in (
        ("fresh.ipynb", "Run it and save it first"),
        ("absent.ipynb", "There is no file absent.ipynb"),
        ("text.txt", "is not a notebook"),
        ("/etc/passwd", "outside of the project"),
    ):
        refused = run(name, "-p", "proofs")
        assert (refused.exit_code, says in refused.output) == (2, True), refused.output


def test_a_notebook_is_verified_once_at_a_time_and_can_be_stopped(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, _ = verified
    path = "/projects/proofs/verifications"
    slow: list[Cell] = [("import time; time.sleep(60)", "", 1), ("print(1)", "1\n", 2)]
    save(lab.root / "projects" / "proofs" / "slow.ipynb", slow)
    begun = lab.post(path, {"notebook": "slow.ipynb"})
    again = lab.request("POST", path, json={"notebook": "slow.ipynb"})
    assert (again.status_code, "being verified already" in again.json()["detail"]) == (409, True)
    assert lab.request("POST", f"{path}/{begun['id']}/cancel").status_code == 200
    view = wait_verification(lab, "proofs", begun["id"])
    assert (view["status"], view["verdict"]) == ("cancelled", None), view
    assert lab.request("POST", f"{path}/{begun['id']}/cancel").status_code == 409


def test_what_a_stage_has_shown_is_verified_by_construction(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, _ = verified
    cells = ["n = 2", "print(n * 3)"]
    folder = lab.project("staged", {"make": {"notebook": "make.ipynb"}}, {"make.ipynb": cells})

    def by_stage() -> Any:
        return lab.get("/projects/staged/verifications?notebook=make.ipynb")["by_stage"]

    def run(**body: Any) -> str:
        ended = lab.wait_run("staged", lab.post("/projects/staged/runs", body)["id"])
        assert ended["status"] == "succeeded", ended
        return str(ended["id"])

    first = run()
    assert by_stage() is None  # its file shows nothing yet
    save(folder / "make.ipynb", [("n = 2", "", 1), ("print(n * 3)", "6\n", 2)])
    assert by_stage() is None  # these are not the outputs of the file that was run, as far as anybody knows
    second = run(options={"force": True})
    assert (by_stage()["run"], by_stage()["stage"], by_stage()["verdict"]) == (second, "make", "identical")
    # with other parameters it shows something else, which takes nothing back
    book = nbformat.read(folder / "make.ipynb", as_version=4)
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, folder / "make.ipynb")
    run(params={"make": {"n": 5}})
    assert by_stage() is None
    third = run(params={"make": {"n": 2}}, options={"force": True})
    assert (by_stage()["run"], by_stage()["params"]) == (third, {"n": 2})
    # other outputs than those of the run
    save(folder / "make.ipynb", [("n = 2", "", 1), ("print(n * 3)", "7\n", 2)])
    run(options={"force": True})
    assert by_stage() is None
    # the notebook that the run kept, put in the place of the one that was run
    (folder / "make.ipynb").write_bytes(
        lab.request("GET", f"/projects/staged/runs/{first}/stages/make/notebook").content
    )
    assert by_stage()["run"] == first


def test_a_stage_is_verified_without_what_it_has_made_before(verified: tuple[Lab, dict[str, Any]]) -> None:
    lab, _ = verified
    cells = ["import os, json", "os.makedirs('build/parts')\njson.dump(1, open('build/parts/one.json', 'w'))\nprint(1)"]
    made = {"make": {"notebook": "make.ipynb", "outputs": ["build/parts"]}}
    folder = lab.project("remade", made, {"make.ipynb": cells})
    assert lab.wait_run("remade", lab.post("/projects/remade/runs")["id"])["status"] == "succeeded"
    save(folder / "make.ipynb", [(cells[0], "", 1), (cells[1], "1\n", 2)])
    begun = lab.post("/projects/remade/verifications", {"notebook": "make.ipynb"})
    view = wait_verification(lab, "remade", begun["id"])
    assert (view["status"], view["verdict"]) == ("ended", "identical"), view
