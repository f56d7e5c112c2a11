"""What stands around the rooms: palette, menu, launcher, settings, restoration, keyboard."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.frontend import LABEXTENSION
from tests.ui.conftest import Desk
from tests.ui.page import LabPage
from tests.ui.test_thread import MLFLOW_DENIED

SCHEMAS = sorted((LABEXTENSION / "schema").glob("*.json"))


def test_palette_menu_launcher_settings(page: LabPage) -> None:
    page.open()
    page.live()
    page.page.get_by_role("menuitem", name="Himalia", exact=True).click()
    menu = page.page.get_by_role("menu").last
    for label in ("Open Project…", "New Project…", "Run the Pipeline", "Open MLflow", "Himalia: Service Status"):
        expect(menu.get_by_role("menuitem", name=label)).to_be_visible()
    page.screenshot("menu-light")
    page.page.keyboard.press("Escape")
    launcher = page.page.locator(".jp-Launcher")
    expect(launcher.get_by_role("heading", name="Himalia")).to_be_visible()
    expect(launcher.get_by_role("button", name="New Project…")).to_be_visible()
    page.command("Himalia: Service Status")
    expect(page.dialog()).to_contain_text("Version of the service")
    page.page.keyboard.press("Escape")
    page.run("settingeditor:open")
    editor = page.page.locator("#setting-editor, .jp-PluginList").first
    expect(editor).to_be_visible()
    editor.get_by_role("textbox").or_(editor.get_by_role("searchbox")).first.fill("Himalia")
    for file in SCHEMAS:
        schema = json.loads(file.read_text())
        if any(not entry.get("jupyter.lab.hidden") for entry in schema["properties"].values()):
            expect(editor.get_by_text(schema["title"], exact=True).first).to_be_visible()
    page.screenshot("settings-light")


def test_every_command_is_reached_and_described(page: LabPage) -> None:
    page.project("tiny")
    commands = page.page.evaluate(
        """async () => {
          const { commands } = window.jupyterapp;
          const own = commands.listCommands().filter(id => id.startsWith('himalia:'));
          return Promise.all(own.map(async id => [id, commands.label(id), await commands.describedBy(id)]));
        }"""
    )
    assert len(commands) > 15
    for name, label, described in commands:
        assert label, name
        assert described["args"], f"{name} does not say which arguments it takes"


def test_the_page_comes_back_after_a_reload(page: LabPage, desk: Desk) -> None:
    page.tolerate(MLFLOW_DENIED)
    page.project("tiny")
    page.run("himalia:open-overview")
    expect(page.tab("Overview")).to_be_visible()
    page.section("Pipeline")
    fold = page.sidebar().get_by_role("button", name="Models", exact=True)
    if fold.get_attribute("aria-expanded") == "true":
        fold.click()
    page.run("himalia:open-mlflow")
    expect(page.tab("MLflow")).to_be_visible()
    page.until(
        lambda: "himalia-mlflow" in desk.jupyter.request("GET", "lab/api/workspaces/tiny").text, 20, "the saved layout"
    )
    page.reload()
    page.live()
    expect(page.tab("Overview")).to_be_visible()
    expect(page.tab("MLflow")).to_be_visible()
    expect(page.page.get_by_role("region", name="Himalia", exact=True)).to_be_visible()
    expect(page.sidebar().get_by_role("button", name="Models", exact=True)).to_have_attribute("aria-expanded", "false")
    expect(page.status()).to_contain_text("tiny")


def test_by_keyboard_alone(page: LabPage, desk: Desk, trained: str) -> None:
    page.project("tiny")
    keyboard = page.page.keyboard
    runs = len(desk.lab.get("/projects/tiny/runs")["items"])
    page.page.get_by_role("tab", name="Himalia", exact=True).focus()
    keyboard.press("Control+Shift+Alt+H")
    expect(page.page.get_by_role("region", name="Himalia", exact=True)).to_be_visible()
    tab_to(page, "Run the Pipeline")
    keyboard.press("Enter")
    page.until(lambda: len(desk.lab.get("/projects/tiny/runs")["items"]) == runs + 1, 20, "a new run")
    newest = desk.lab.get("/projects/tiny/runs")["items"][0]["id"]
    assert desk.lab.wait_run("tiny", newest)["status"] == "succeeded"
    page.run("himalia:open-overview")
    expect(page.stages()).to_have_count(2)
    page.stages().first.focus()
    keyboard.press("Enter")
    expect(page.page.get_by_role("menuitem", name="Open what ran")).to_be_visible()
    keyboard.press("Escape")
    expect(page.stages().first).to_be_focused()


def tab_to(page: LabPage, name: str) -> None:
    """Press Tab until the button *name* has the focus, and see that the focus is shown."""
    for _ in range(60):
        page.page.keyboard.press("Tab")
        focused = page.focused()
        if focused.count() and name in ((focused.get_attribute("aria-label") or "") or focused.inner_text()):
            shown = focused.evaluate(
                "element => { const style = getComputedStyle(element);"
                " return style.outlineStyle !== 'none' || style.boxShadow !== 'none'; }"
            )
            assert shown, f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"Tab does not lead to {name}")
