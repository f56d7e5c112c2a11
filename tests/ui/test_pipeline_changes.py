"""What has changed since the last run, as it is seen in the pipeline's document."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

READ = ["x = 1", "import os, helper\nprint(open('notes.txt').read(), open('rows.csv').read(), os.listdir('parts'))"]


def test_the_lines_of_inputs_and_modules(page: LabPage, desk: Desk) -> None:
    stages = {"read": {"notebook": "read.ipynb", "inputs": ["notes.txt", "rows.csv", "parts"]}}
    folder = desk.lab.project("lines", stages, {"read.ipynb": READ})
    (folder / "parts").mkdir()
    files = {"notes.txt": "first\nsecond\n", "rows.csv": "a,b\n1,2\n", "parts/one.txt": "one\n", "helper.py": "N = 1\n"}
    for name, text in files.items():
        (folder / name).write_text(text)
    run = desk.lab.post("/projects/lines/runs")["id"]
    assert desk.lab.wait_run("lines", run)["status"] == "succeeded"
    (folder / "notes.txt").write_text("first\nthird\n")
    (folder / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "parts" / "two.txt").write_text("two\n")
    (folder / "helper.py").write_text("N = 2\n")

    page.project("lines")
    page.section("Pipeline").get_by_role("button", name="Open the Pipeline", exact=True).click()
    stage = page.page.locator(".jp-Himalia-dag [data-stage=read] button")
    expect(stage).to_contain_text("changed")
    stage.click()
    details = page.page.get_by_role("region", name="Details of the stage")
    for text in ("+third", "-second", "1 line more", "parts/two.txt", "+N = 2"):
        expect(details).to_contain_text(text)
    page.look("changes-of-files", ".jp-Himalia-pipeline")
