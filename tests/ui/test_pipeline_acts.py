"""What is done with a pipeline now and then: older outputs, attempts, changing and deleting a schedule."""

from __future__ import annotations

import json

from playwright.sync_api import Locator, expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

STAGES = {
    "make": {"notebook": "make.ipynb", "params": {"n": 1}, "outputs": ["build/n.json"]},
    "shaky": {"notebook": "shaky.ipynb", "inputs": ["build/n.json"], "retries": 1, "retry_delay": "1s"},
}
SHAKE = """\
import os, pathlib, signal
flag = pathlib.Path({flag!r})
if not flag.exists():
    flag.touch()
    os.kill(os.getpid(), signal.SIGKILL)"""
NIGHTLY = {
    "name": "nightly",
    "target": {"kind": "pipeline", "params": {}},
    "cron": "30 2 * * *",
    "zone": "Europe/Berlin",
}


def toast(page: LabPage, text: str) -> Locator:
    return page.page.locator(".Toastify__toast").filter(has_text=text)


def test_older_outputs_attempts_and_a_schedule(page: LabPage, desk: Desk) -> None:
    lab = desk.lab
    books = {
        "make.ipynb": ["n: int = 0", "import json, pathlib", "pathlib.Path('build/n.json').write_text(json.dumps(n))"],
        "shaky.ipynb": ["x = 1", "print('before the end')", SHAKE.format(flag=str(lab.root / "shaken"))],
    }
    folder = lab.project("acts", STAGES, books)
    first = lab.post("/projects/acts/runs")["id"]
    lab.post("/projects/acts/schedules", NIGHTLY)
    page.project("acts")
    assert lab.wait_run("acts", first)["status"] == "succeeded"
    second = lab.post("/projects/acts/runs", {"params": {"make": {"n": 2}}})["id"]
    assert lab.wait_run("acts", second)["status"] == "succeeded"
    made = folder / "build" / "n.json"
    assert made.read_text() == "2"

    page.run("himalia:open-run", {"run": first})
    run = page.page.locator(".jp-Himalia-run:visible")
    run.get_by_role("button", name="Put into the folder…").click()
    expect(page.dialog()).to_contain_text("replaced by the run’s own: build/n.json.")
    expect(page.dialog().get_by_role("button", name="Cancel")).to_be_focused()
    page.look("restore-dialog", ".jp-Dialog-content")
    page.dialog().get_by_role("button", name="Put them there").click()
    expect(toast(page, "In the folder again: build/n.json.")).to_be_visible()
    assert made.read_text() == "1"

    tries = run.get_by_role("region", name="Attempts of shaky")
    expect(tries.get_by_role("listitem")).to_have_count(1)
    expect(tries).to_contain_text("kernel died")
    page.look("attempts", ".jp-Himalia-run:not(.lm-mod-hidden)")
    tries.get_by_role("button", name="Log").click()
    expect(page.page.locator(".jp-Himalia-log:visible")).to_contain_text("before the end")
    page.run("himalia:open-run", {"run": first})
    tries.get_by_role("button", name="Notebook").click()
    expect(page.page.locator(".jp-Himalia-executed").get_by_text("before the end", exact=True)).to_be_visible()

    page.section("Schedules").get_by_role("button", name="nightly", exact=True).click()
    schedule = page.page.locator(".jp-Himalia-run:visible")
    expect(schedule.get_by_role("heading", name="Schedule nightly")).to_be_visible()
    update = schedule.get_by_role("button", name="Update to current code")
    update.click()
    expect(toast(page, "nightly has the code of now already.")).to_be_visible()
    pinned = lab.get("/projects/acts/schedules/nightly")["pinned"]["snapshot"]
    book = folder / "make.ipynb"
    content = json.loads(book.read_text())
    content["cells"][1]["source"] = "import json, pathlib  # once more"
    book.write_text(json.dumps(content))
    update.click()
    expect(toast(page, "nightly runs the code of now")).to_be_visible()
    assert lab.get("/projects/acts/schedules/nightly")["pinned"]["snapshot"] != pinned

    schedule.get_by_role("button", name="Edit…").click()
    form = page.dialog()
    expect(form.get_by_label("When", exact=True)).to_have_value("30 2 * * *")
    form.get_by_label("When", exact=True).select_option("0 6 * * 1")
    expect(form).to_contain_text("06:00")
    page.look("schedule-edit", ".jp-Dialog-content")
    form.get_by_role("button", name="Save").click()
    expect(schedule).to_contain_text("0 6 * * 1")
    page.look("schedule", ".jp-Himalia-run:not(.lm-mod-hidden)")

    schedule.get_by_role("button", name="Delete…").click()
    expect(page.dialog()).to_contain_text("its history goes")
    page.look("schedule-delete", ".jp-Dialog-content")
    page.dialog().get_by_role("button", name="Delete").click()
    expect(schedule).to_contain_text("There is no schedule nightly (any more).")
    expect(page.section("Schedules")).to_contain_text("Nothing runs by the clock yet.")
    assert lab.get("/projects/acts/schedules")["items"] == []
