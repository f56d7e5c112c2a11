"""A sweep in the browser: asked for, watched, compared, cancelled, found again."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

STAGES = {
    "base": {"notebook": "base.ipynb", "outputs": ["build/base.txt"]},
    "fit": {
        "notebook": "fit.ipynb",
        "inputs": ["build/base.txt"],
        "params": {"depth": [4, 8], "rate": 0.1},
        "sweep": True,
    },
}
WAIT = "import pathlib, time\nwhile depth == 8 and not pathlib.Path({flag!r}).exists():\n    time.sleep(0.1)"
LOG = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('score', depth * rate)"


def test_sweep(page: LabPage, desk: Desk) -> None:
    flag = desk.lab.root / "swept-goes-on"
    books = {
        "base.ipynb": ["x = 1", "open('build/base.txt', 'w').write('base')"],
        "fit.ipynb": ["depth: int = 1\nrate = 0.5", LOG, WAIT.format(flag=str(flag))],
    }
    desk.lab.project("swept", STAGES, books)
    desk.lab.tracking_ready()
    page.project("swept")
    page.run("himalia:open-pipeline")
    page.page.locator(".jp-Himalia-pipeline").get_by_role("button", name="Sweep…").click()
    dialog = page.dialog()
    expect(dialog.get_by_label("depth")).to_have_value("4\n8")
    count = dialog.get_by_role("status")
    expect(count).to_have_text("2 runs")
    rate = dialog.get_by_label("rate")
    rate.fill("fast")
    expect(dialog.get_by_role("alert")).to_have_text("Write a number.")
    rate.fill("\n".join(f"0.{number:03}" for number in range(1, 502)))
    expect(count).to_contain_text("1,002 runs (2 × 501) A sweep has at most 1,000 runs.")
    dialog.get_by_role("button", name="Start the sweep").click()
    page.screenshot("sweep-too-many-light")
    expect(dialog).to_be_visible()
    rate.fill("[0.1, 0.3]")
    expect(count).to_have_text("4 runs (2 × 2)")
    page.look("sweep-dialog", ".jp-Dialog-content")
    dialog.get_by_role("button", name="Start the sweep").click()

    sweep = page.page.locator(".jp-Himalia-sweep:visible")
    rows = sweep.locator("tbody tr")
    expect(rows).to_have_count(4)
    states = sweep.locator("header").get_by_role("status")
    expect(states).to_contain_text("2 succeeded", timeout=90_000)
    expect(states).to_contain_text("2 running", timeout=30_000)
    marks = sweep.locator("figure [data-run]")
    expect(marks).to_have_count(2, timeout=30_000)
    score = sweep.get_by_role("columnheader", name="score")
    score.get_by_role("button").click()
    score.get_by_role("button").click()
    expect(score).to_have_attribute("aria-sort", "descending")
    expect(rows.first.get_by_role("cell")).to_contain_text([re.compile("4"), re.compile("0.3")])
    expect(rows.first).to_contain_text("1.2")
    marks.first.focus()
    expect(sweep.locator("figcaption")).to_contain_text("depth = 4, rate = 0.1: score 0.4")
    page.look("sweep", ".jp-Himalia-sweep")

    sweep.get_by_role("button", name="Cancel all…").click()
    expect(page.dialog()).to_contain_text("2 runs that have not ended are cancelled.")
    page.dialog().get_by_role("button", name="Cancel all").click()
    expect(states).to_contain_text("2 cancelled", timeout=60_000)
    expect(sweep.get_by_role("button", name="Cancel all…")).to_have_count(0)

    rows.first.get_by_role("cell").last.click()
    run = page.page.locator(".jp-Himalia-run:visible")
    expect(run).to_contain_text("Point of")
    run.get_by_role("button", name=re.compile("^sweep ")).click()
    expect(sweep).to_be_visible()
    row = page.section("Runs").get_by_role("listitem").first
    expect(row.get_by_role("button", name=re.compile("^sweep "))).to_be_visible()
    page.tab("Pipeline").click()
    history = page.page.get_by_role("region", name="Run history")
    history.get_by_role("button", name=re.compile("^sweep ")).first.click()
    expect(sweep).to_be_visible()
    page.reload()
    page.live()
    expect(states).to_contain_text("2 cancelled")
    expect(marks.first).to_be_visible()
    page.screenshot("sweep-ended-light")
