"""Notices in the browser: told once, opened at the failed cell, listed and read; links from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

STAGES = {"check": {"notebook": "check.ipynb", "inputs": ["data.txt"], "outputs": ["out.txt"]}}
CHECK = """\
text = open('data.txt').read().strip()
assert text == 'good', f'the data is {text}'
open('out.txt', 'w').write(text)"""
CELLS = {
    "check.ipynb": ["seed = 1", *(f"print('step {n}\\\\n' * 12)" for n in range(8)), CHECK, "print('not reached')"]
}
SCHEDULE = {
    "name": "nightly",
    "target": {"kind": "pipeline", "params": {}},
    "cron": "30 2 * * *",
    "zone": "Europe/Berlin",
}


@pytest.fixture(scope="module")
def folder(desk: Desk) -> Path:
    """A project whose schedule fails while its data is bad."""
    made = desk.lab.project("told", STAGES, CELLS)
    (made / "data.txt").write_text("bad")
    desk.lab.post("/projects/told/schedules", SCHEDULE)
    return made


def run_now(desk: Desk, status: str) -> dict[str, Any]:
    """A run of the schedule, ended."""
    run = desk.lab.wait_run("told", desk.lab.post("/projects/told/schedules/nightly/run")["id"])
    assert run["status"] == status
    return run


def toast(page: LabPage, text: str) -> Locator:
    return page.page.locator(".Toastify__toast").filter(has_text=text)


def unread(desk: Desk) -> int:
    return int(desk.lab.get("/projects/told/notices")["unread"])


def test_failure_is_told_opened_and_recovers(page: LabPage, desk: Desk, folder: Path) -> None:
    page.project("told")
    expect(page.section("Notices")).to_contain_text("Nothing to tell.")

    run_now(desk, "failed")
    told = toast(page, "nightly of told failed in the stage check")
    expect(told).to_contain_text("the data is bad")
    expect(page.section("Notices").locator("[data-notice]")).to_contain_text("new")
    page.look("notice", ".jp-Himalia-sidebar")

    page.reload()
    page.live()
    (folder / "data.txt").write_text("good")
    run_now(desk, "succeeded")
    recovered = toast(page, "nightly of told works again")
    expect(recovered).to_be_visible()
    expect(told).to_have_count(0)  # once, also in a page that is loaded anew

    notices = page.section("Notices")
    notices.get_by_role("button", name="nightly of told failed").click()
    failed = page.page.locator(".jp-Himalia-executed .jp-Himalia-marked")
    expect(failed.get_by_text("AssertionError").first).to_be_in_viewport()
    page.look("failed-cell")
    expect(notices.locator("[data-notice]").last).not_to_contain_text("new")
    assert unread(desk) == 1
    expect(recovered).to_be_visible()

    mark = notices.get_by_role("button", name="Mark All Notices as Read")
    mark.click()
    expect(recovered).to_have_count(0)  # read here, taken back there
    expect(mark).to_have_attribute("aria-disabled", "true")
    assert unread(desk) == 0


def test_links_from_outside(page: LabPage, desk: Desk, folder: Path) -> None:
    (folder / "data.txt").write_text("worse")
    run = run_now(desk, "failed")["id"]
    (notice,) = desk.lab.get("/projects/told/notices?unread=true")["items"]
    assert notice["link"].startswith(f"lab?himalia-run=told/{run}/check/")

    page.open(query="&" + notice["link"].partition("?")[2])  # of no workspace: it is brought to the project's
    marked = page.page.locator(".jp-Himalia-executed .jp-Himalia-marked")
    expect(marked.get_by_text("the data is worse").first).to_be_in_viewport()
    expect(page.page).to_have_url(re.compile("/user/ada/lab/lab/workspaces/told"))
    expect(page.page).not_to_have_url(re.compile("himalia-run"))

    page.open("told", query=f"&himalia-run=told/{run}")
    expect(page.page.locator(".jp-Himalia-run:visible")).to_contain_text("failed")
    page.open("told", query="&himalia-schedule=told/nightly")
    expect(page.page.get_by_role("heading", name="Schedule nightly")).to_be_visible()
    page.tolerate("status of 404 .*/runs/0123")
    page.open("told", query="&himalia-run=told/01234567")
    expect(toast(page, "There is no run '01234567' in told")).to_be_visible()
    page.open("told", query="&himalia-run=nowhere/01234567")
    expect(toast(page, "There is no project nowhere that you may see")).to_be_visible()
    expect(page.tab("Overview")).to_be_visible()
    page.screenshot("link-unknown-light")


def test_running_notebook_and_key(page: LabPage, desk: Desk) -> None:
    wait = "import pathlib, time\nwhile not pathlib.Path({flag!r}).exists():\n    time.sleep(0.1)"
    flag = desk.lab.root / "go-on"
    cells = ["n = 1", "print('begun')", wait.format(flag=str(flag)), "print('gone on')"]
    stages = {"slow": {"notebook": "slow.ipynb", "params": {"n": 1}}}
    desk.lab.project("slowly", stages, {"slow.ipynb": cells})
    page.project("slowly")
    first = desk.lab.post("/projects/slowly/runs")["id"]
    page.run("himalia:open-run", {"run": first})
    row = page.page.locator(".jp-Himalia-run:visible [data-stage=slow]")
    expect(row).to_contain_text("cell 4 of 5", timeout=30_000)  # the parameters are put in before the second
    row.get_by_role("button", name="Notebook", exact=True).click()
    notebook = page.page.locator(".jp-Himalia-executed")
    expect(notebook.get_by_text("begun", exact=True)).to_be_visible()
    expect(notebook.get_by_text("gone on", exact=True)).to_have_count(0)
    flag.touch()
    expect(notebook.get_by_text("gone on", exact=True)).to_be_visible(timeout=30_000)
    assert desk.lab.wait_run("slowly", first)["status"] == "succeeded"

    second = desk.lab.post("/projects/slowly/runs", {"params": {"slow": {"n": 2}}})["id"]
    assert desk.lab.wait_run("slowly", second)["status"] == "succeeded"
    page.run("himalia:open-run", {"run": second})
    shown = page.page.locator(".jp-Himalia-run:visible [data-stage=slow]")
    shown.get_by_text("Key of slow").click()
    changed = shown.locator("[data-change=changed]")
    expect(changed).to_have_count(1)
    expect(changed).to_contain_text("parameter n")
    expect(changed).to_contain_text("before: 1")
    expect(shown.locator("[data-change=same]").filter(has_text="code cell 3")).to_have_count(1)
    page.look("key", ".jp-Himalia-run:not(.lm-mod-hidden)")
