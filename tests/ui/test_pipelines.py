"""A pipeline in the browser: drawn, run, broken, mended, resumed and scheduled."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

BOOKS = {
    "01-prepare.ipynb": [
        "n: int = 3",
        "import json\nwith open('build/rows.json', 'w') as file:\n    json.dump([n], file)",
    ],
    "02-fit.ipynb": [
        "factor = 2",
        "import json\nrows = json.load(open('build/rows.json'))",
        "print(sum(rows) * factor)",
    ],
}


def drag(page: LabPage, source: Locator, target: Locator) -> None:
    """Drag with the mouse, as a hand does: JupyterLab's drags begin after some pixels."""
    begin, end = source.bounding_box(), target.bounding_box()
    assert begin is not None
    assert end is not None
    mouse = page.page.mouse
    mouse.move(begin["x"] + begin["width"] / 2, begin["y"] + begin["height"] / 2)
    mouse.down()
    x, y = end["x"] + end["width"] / 2, end["y"] + end["height"] / 2
    mouse.move(x - 30, y - 10, steps=6)
    mouse.move(x, y, steps=3)
    mouse.up()


def node(page: LabPage, name: str) -> Locator:
    """A stage in the graph of the pipeline's document."""
    return page.page.locator(f".jp-Himalia-dag [data-stage={name}] button")


def type_into(page: LabPage, cell: int, source: str) -> None:
    """Replace the source of a cell of the shown notebook, and save it."""
    editor = page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .cm-content").nth(cell)
    editor.click()
    page.page.keyboard.press("Control+A")
    page.page.keyboard.insert_text(source)
    page.page.keyboard.press("Control+S")


def test_draw_run_break_mend_schedule(page: LabPage, desk: Desk) -> None:
    folder = desk.lab.project("drawn", {}, BOOKS)
    page.project("drawn")
    page.section("Pipeline").get_by_role("button", name="Open the Pipeline", exact=True).click()
    document = page.page.locator(".jp-Himalia-pipeline")
    expect(document).to_contain_text("Drag a notebook here")

    page.run("filebrowser:activate")
    for book, name, state in (("01-prepare.ipynb", "prepare", "new"), ("02-fit.ipynb", "fit", "waits")):
        item = page.page.locator(".jp-DirListing-item").filter(has_text=book)
        drag(page, item, document.locator(".jp-Himalia-pipelineMain"))
        expect(page.dialog().get_by_label("Name", exact=True)).to_have_value(name)
        page.dialog().get_by_role("button", name="Add the stage").click()
        expect(node(page, name)).to_contain_text(state)
    manifest = (folder / "himalia.toml").read_text()
    assert '[stages.fit]\nnotebook = "02-fit.ipynb"\ninputs = ["build/rows.json"]' in manifest
    drag(page, page.page.locator("[data-handle=prepare]"), node(page, "fit"))
    expect(page.page.get_by_text("fit waits for prepare already.")).to_be_visible()

    document.get_by_role("button", name="Run", exact=True).click()
    for name in ("prepare", "fit"):
        expect(node(page, name)).to_contain_text("succeeded", timeout=60_000)
    expect(node(page, "fit")).to_contain_text("unchanged")
    node(page, "prepare").focus()
    page.page.keyboard.press("ArrowRight")
    expect(node(page, "fit")).to_be_focused()
    page.page.keyboard.press("Enter")
    details = page.page.get_by_role("region", name="Details of the stage")
    expect(details).to_be_focused()
    expect(details.get_by_label("factor")).to_have_value("2")

    details.get_by_role("button", name="Notebook", exact=True).click()
    type_into(page, 2, "raise ValueError('broken on purpose')")
    page.tab("Pipeline").click()
    expect(node(page, "fit")).to_contain_text("changed", timeout=20_000)
    expect(details).to_contain_text("+raise ValueError")
    page.look("pipeline", ".jp-Himalia-pipeline")

    document.get_by_role("button", name="Run", exact=True).click()
    expect(node(page, "fit")).to_contain_text("failed", timeout=60_000)
    document.get_by_role("banner").or_(document.locator("header")).first.get_by_role(
        "button", name=re.compile("^run ")
    ).click()
    run = page.page.locator(".jp-Himalia-run:visible")
    expect(run.locator("[data-stage=prepare]")).to_contain_text("skipped")
    page.look("run-failed", ".jp-Himalia-run")
    run.get_by_role("button", name="Open failed cell").click()
    expect(page.page.locator(".jp-Himalia-executed").get_by_text("ValueError").first).to_be_in_viewport()

    page.tab("02-fit.ipynb").click()
    type_into(page, 2, "print('mended')")
    page.tab(re.compile("^Run ")).click()
    run.get_by_role("button", name="Resume").click()
    mended = page.page.locator(".jp-Himalia-run:visible")
    expect(mended.locator("[data-stage=fit]")).to_contain_text("succeeded", timeout=60_000)
    expect(mended).to_contain_text("Resumes")
    mended.get_by_role("button", name="Log").last.click()
    expect(mended.get_by_label("Log of fit")).to_contain_text("mended")

    page.tab("Pipeline").click()
    document.get_by_role("button", name="Schedule…").click()
    page.dialog().get_by_label("When", exact=True).select_option("0 7 * * 1-5")
    expect(page.dialog()).to_contain_text("07:00")
    expect(page.dialog().locator("tbody tr")).to_have_count(5)
    page.screenshot("schedule-dialog-light")
    page.dialog().get_by_role("button", name="Schedule", exact=True).click()
    expect(page.section("Schedules").locator("[data-schedule=drawn]")).to_contain_text("next")
    assert desk.lab.get("/projects/drawn/schedules/drawn")["cron"] == "0 7 * * 1-5"
    page.look("pipeline-sections", ".jp-Himalia-sidebar")
