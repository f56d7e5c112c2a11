"""A site on which nothing is yet: what a new user meets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.site.lab import running_lab
from tests.ui import picture
from tests.ui.conftest import Desk, fresh_page, running_jupyter
from tests.ui.page import LabPage


@pytest.fixture(scope="module")
def desk(tools: None) -> Iterator[Desk]:
    """A site without projects, whose service does not run; pages start it."""
    with running_lab() as lab:
        lab.stop()
        with running_jupyter(lab) as jupyter:
            yield Desk(lab, jupyter)
        lab.start()


def test_the_first_screen_offers_the_example_and_a_new_project(page: LabPage) -> None:
    page.open()
    page.live()
    if not page.page.get_by_role("region", name="Himalia", exact=True).is_visible():
        page.page.get_by_role("tab", name="Himalia", exact=True).click()
    sidebar = page.sidebar()
    expect(sidebar.get_by_role("button", name="Open the example")).to_be_visible(timeout=60_000)
    names = [button.inner_text() for button in sidebar.get_by_role("button").all()]
    assert names == ["Open the example", "New project"]
    page.look("first-screen", ".jp-Himalia-sidebar")


def test_the_example_from_nothing_to_a_prediction(page: LabPage) -> None:
    page.page.set_viewport_size({"width": 1280, "height": 840})
    page.open()
    page.sidebar().get_by_role("button", name="Open the example").click()
    expect(page.page).to_have_url(re.compile("/lab/workspaces/nyc-flights"), timeout=60_000)
    page.restored()
    page.step().get_by_role("button", name="Start the cluster and run").click(timeout=60_000)
    page.dialog().get_by_role("button", name="Start the cluster 'local' and run").click()
    expect(page.stages().filter(has_text="prepare")).to_contain_text("succeeded", timeout=180_000)
    page.screenshot("example-running-light")
    done = page.step().get_by_role("button", name="Try it")
    further = page.step().get_by_role("button", name=re.compile(r"Make version \d+ the champion|Deploy the champion"))
    for _ in range(3):
        expect(done.or_(further).first).to_be_visible(timeout=180_000)
        if done.is_visible():
            break
        further.first.click()
        expect(page.step().locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)
    expect(page.page.locator(".jp-toast, .Toastify__toast")).to_have_count(0, timeout=20_000)
    page.look("example", ".jp-Himalia-sidebar", ".jp-Himalia-document")
    picture.keep("example")
    done.click()
    form = page.page.get_by_role("region", name="Try it")
    form.get_by_role("button", name="Predict").click(timeout=60_000)
    expect(form.get_by_role("status").filter(has_text="answered in")).to_contain_text("%", timeout=30_000)
    expect(form).not_to_contain_text("before your changes")
    page.look("example-endpoint", ".jp-Himalia-document:not(.lm-mod-hidden)")


def test_a_new_project(page: LabPage, browser: Browser, desk: Desk) -> None:
    page.open()
    page.sidebar().get_by_role("button", name="New project").click()
    name = page.dialog().get_by_role("textbox", name="Name")
    create = page.dialog().get_by_role("button", name="Create")
    for wrong in ("", "Größe!", "-a", "a" * 64, "a/b"):
        name.fill(wrong)
        create.click()
        expect(page.dialog().get_by_role("alert")).to_be_visible()
        expect(name).to_have_attribute("aria-invalid", "true")
    expect(page.dialog().locator(".jp-Himalia-template").last).to_be_in_viewport(ratio=1)
    page.look("new-project", ".jp-Dialog-content")
    name.fill("first")
    create.click()
    expect(page.page).to_have_url(re.compile("/lab/workspaces/first"), timeout=30_000)
    page.restored()
    expect(page.status()).to_contain_text("first")
    expect(page.tab("Overview")).to_be_visible()
    page.look("blank-project", ".jp-Himalia-sidebar")
    with fresh_page(browser, desk.jupyter, "taken") as other:
        other.open("first")
        other.run("himalia:new-project")
        other.dialog().get_by_role("textbox", name="Name").fill("first")
        other.dialog().get_by_role("button", name="Create").click()
        expect(other.dialog().get_by_role("alert")).to_contain_text("a project of this name already")


def test_other_sources_of_a_project(page: LabPage, desk: Desk) -> None:
    page.open()
    page.run("himalia:new-project")
    dialog = page.dialog()
    dialog.get_by_role("button", name="Git repository").click()
    page.look("new-project-git", ".jp-Dialog-content")
    dialog.get_by_role("button", name="Folder").click()
    dialog.get_by_role("textbox", name=re.compile("^Folder")).fill(str(desk.lab.tmp / "Old Work"))
    expect(dialog.get_by_role("textbox", name="Name")).to_have_value("old-work")
    page.tolerate("status of 4")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Old Work")
