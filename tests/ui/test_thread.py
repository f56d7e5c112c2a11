"""The thread of one project, tiny, from a run to a prediction: each test goes on where a person would."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.ui.conftest import CELLS, TINY, Desk
from tests.ui.page import LabPage

MLFLOW_DENIED = r"status of 403 .*/mlflow/tiny/ajax-api/[\d.]+/mlflow/(assistant|users)/"
"""MLflow's pages ask for parts of it that Himalia does not let through, and do without."""


def stage(page: LabPage, name: str) -> Locator:
    """A stage's row in the sidebar."""
    return page.section("Pipeline").locator(f"[data-stage={name}]")


def test_run_from_the_sidebar(page: LabPage, desk: Desk) -> None:
    desk.lab.tracking_ready()
    desk.lab.project("walk", TINY, CELLS)
    page.project("walk")
    expect(page.tab("Overview")).to_be_visible()
    expect(page.stages()).to_have_count(2)
    expect(page.step()).to_contain_text("This pipeline has not run yet.")
    page.look("overview-before", ".jp-Himalia-sidebar", ".jp-Himalia-document")

    page.section("Pipeline").get_by_role("button", name="Run the Pipeline", exact=True).click()
    expect(stage(page, "make").locator("[data-state=running]")).to_be_visible(timeout=60_000)
    expect(page.stages().filter(has_text="make")).to_contain_text("running")
    expect(stage(page, "make").locator("[data-state=succeeded]")).to_be_visible(timeout=60_000)
    expect(stage(page, "train").locator("[data-state=running]")).to_be_visible(timeout=60_000)
    page.screenshot("running-light")
    expect(page.step()).to_contain_text("Stage 2 of 2: train")
    expect(stage(page, "train").locator("[data-state=succeeded]")).to_be_visible(timeout=120_000)
    for node in page.stages().all():
        expect(node).to_contain_text("succeeded")
    expect(page.section("Runs").get_by_role("listitem")).to_have_count(1)
    expect(page.step().get_by_role("button", name="Make version 1 the champion")).to_be_visible(timeout=30_000)
    expect(page.section("Models").get_by_text("Version 1")).to_be_visible()
    page.look("overview-after", ".jp-Himalia-sidebar", ".jp-Himalia-document")


def test_an_executed_notebook_is_read_only_and_starts_no_kernel(page: LabPage, desk: Desk, trained: str) -> None:
    page.project("tiny")
    stage(page, "make").get_by_role("button", name="Open make as it was last executed").click()
    tab = page.tab(re.compile("make · run .* \\(executed\\)"))
    expect(tab).to_be_visible()
    notebook = page.page.locator(".jp-Himalia-executed")
    expect(notebook.get_by_text("# Parameters")).to_be_visible()
    notebook.get_by_text("# Parameters").click()
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("broken")
    page.page.keyboard.press("Shift+Enter")
    expect(notebook.get_by_text("broken")).to_have_count(0)
    page.look("executed-notebook")
    assert sessions(desk) == []
    page.until(lambda: "executed" in workspace(desk, "tiny"), 20, "the layout to be saved")
    page.reload()
    expect(page.page.locator(".jp-Himalia-executed").get_by_text("# Parameters")).to_be_visible(timeout=30_000)
    expect(page.tab(re.compile("make · run .* \\(executed\\)"))).to_be_visible()
    page.live()
    assert sessions(desk) == []


def sessions(desk: Desk) -> list[object]:
    """Jupyter's sessions; one with a kernel would be listed."""
    return [*desk.jupyter.request("GET", "api/sessions").json(), *desk.jupyter.request("GET", "api/kernels").json()]


def workspace(desk: Desk, name: str) -> str:
    """What JupyterLab has saved of a workspace."""
    return desk.jupyter.request("GET", f"lab/api/workspaces/{name}").text


def test_champion_deploy_predict(page: LabPage, desk: Desk, trained: str) -> None:
    page.project("tiny")
    page.run("himalia:open-overview")
    page.step().get_by_role("button", name=re.compile(r"Make version \d+ the champion")).click()
    page.step().get_by_role("button", name="Deploy the champion").click(timeout=30_000)
    page.step().get_by_role("button", name="Try it").click(timeout=120_000)
    form = page.page.get_by_role("region", name="Try it")
    expect(form.get_by_label("a", exact=True)).not_to_have_value("")
    form.get_by_label("a", exact=True).fill("much")
    form.get_by_role("button", name="Predict").click()
    expect(form.get_by_role("alert")).to_contain_text("1 field needs a look.")
    expect(form.get_by_label("a", exact=True)).to_be_focused()
    form.get_by_label("a", exact=True).fill("19")
    form.get_by_label("b", exact=True).fill("0")
    form.get_by_role("button", name="Predict").click()
    expect(form.get_by_role("heading", name="Prediction")).to_be_visible(timeout=30_000)
    expect(form.get_by_role("status").filter(has_text="answered in")).to_contain_text(re.compile("true|yes", re.I))
    page.look("endpoint", ".jp-Himalia-sidebar", ".jp-Himalia-document:not(.lm-mod-hidden)")
    row = page.section("Deployments").get_by_role("listitem").filter(has_text="tiny")
    expect(row.locator("[data-state=ready]")).to_be_visible()
    assert desk.lab.get("/projects/tiny/deployments/tiny")["state"] == "ready"


def test_mlflow_in_a_tab(page: LabPage, desk: Desk, trained: str) -> None:
    page.tolerate(MLFLOW_DENIED)
    page.project("tiny")
    page.command("Open MLflow")
    expect(page.tab("MLflow")).to_be_visible()
    frame = page.page.frame_locator("iframe[title='MLflow of the project tiny']")
    expect(frame.get_by_role("link", name=re.compile("tiny|experiment", re.I)).first).to_be_visible(timeout=60_000)
    page.look("mlflow", ".jp-Himalia-sidebar")
    page.section("Models").get_by_role("button", name="Open version 1 in MLflow").click()
    expect(frame.get_by_text(re.compile("Version 1")).first).to_be_visible(timeout=60_000)


def test_the_runs_document(page: LabPage, trained: str) -> None:
    page.tolerate(MLFLOW_DENIED)
    page.project("tiny")
    page.section("Runs").get_by_role("listitem").first.get_by_role("button").click()
    expect(page.page.locator(".jp-Himalia-document, .jp-Himalia-run").last).to_contain_text("train")
    page.look("run", ".jp-Himalia-sidebar")


def test_a_failing_stage_says_why_and_what_to_do(page: LabPage, desk: Desk) -> None:
    if not desk.lab.request("GET", "/projects/bad").is_success:
        desk.lab.project(
            "bad",
            {"load": {"notebook": "load.ipynb", "inputs": []}},
            {"load.ipynb": ["path = 'data/none.csv'", "open(path)"]},
        )
    page.project("bad")
    page.step().get_by_role("button", name="Run the pipeline").click()
    expect(page.step()).to_contain_text("The stage load failed.", timeout=90_000)
    expect(page.step()).to_contain_text("No such file")
    expect(page.step()).to_contain_text('inputs = ["data/none.csv"]')
    expect(stage(page, "load").locator("[data-state=failed]")).to_be_visible()
    expect(page.section("Pipeline")).to_contain_text("failed")
    page.look("failed", ".jp-Himalia-sidebar", ".jp-Himalia-document")
    page.step().get_by_role("button", name="Open the failed notebook").click()
    expect(page.page.locator(".jp-Himalia-executed").get_by_text("FileNotFoundError").first).to_be_visible()
    assert sessions(desk) == []
