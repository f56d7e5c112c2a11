"""Projects as rooms: switching, two tabs, the list of all, and what the sidebar shows of each."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.site.lab import Lab
from tests.site.wheels import make_wheel
from tests.ui.conftest import Desk
from tests.ui.page import LabPage
from tests.waiting import wait_until

ROOMS = {"north": ("blank", "1.0"), "south": ("classification", "2.0"), "west": ("regression", "3.0")}
"""Three projects: template, and the version of one package in its environment."""
ENVIRONMENT = '\n[environment]\nrequirements = "requirements.txt"\n'


def folder_of(lab: Lab, slug: str) -> Path:
    return Path(lab.get(f"/projects/{slug}")["path"])


def is_built(lab: Lab, slug: str) -> bool:
    return bool(lab.get(f"/projects/{slug}/environment")["state"] == "ready")


@pytest.fixture(scope="module")
def rooms(desk: Desk) -> Desk:
    """Three projects from three templates, whose environments differ in one package."""
    lab = desk.lab
    for slug, (template, version) in ROOMS.items():
        lab.post("/projects", {"name": slug, "template": template})
        folder = folder_of(lab, slug)
        make_wheel(folder / "wheels", "probe", version)
        (folder / "requirements.txt").write_text(f"--no-index\n--find-links wheels\nprobe=={version}\n")
        with (folder / "himalia.toml").open("a") as manifest:
            manifest.write(ENVIRONMENT)
    for slug in ROOMS:
        lab.post(f"/projects/{slug}/environment", {}, status=202)
    for slug in ROOMS:
        wait_until(partial(is_built, lab, slug), 60, f"the packages of {slug}")
    return desk


def kernels_of(desk: Desk, kernelspec: str) -> list[str]:
    return [one["id"] for one in desk.jupyter.request("GET", "api/kernels").json() if one["name"] == kernelspec]


def switch(page: LabPage, slug: str) -> float:
    """Go to another project by keyboard alone; seconds until its page stands."""
    began = time.perf_counter()
    page.page.keyboard.press("Control+Shift+Alt+P")
    box = page.dialog().get_by_role("combobox", name="Filter projects")
    expect(box).to_be_focused()
    page.page.keyboard.type(slug)
    page.page.keyboard.press("Enter")
    page.page.wait_for_url(re.compile(f"/lab/workspaces/{slug}"), wait_until="commit")
    page.restored()
    page.live()
    expect(page.status()).to_contain_text(slug)
    took = time.perf_counter() - began
    expect(page.tab("Overview")).to_be_visible()  # the first time it opens by itself
    return took


def run_cell(page: LabPage, code: str, answer: str) -> None:
    """Make a notebook with the page's default kernel, and run *code* in it."""
    page.page.evaluate(
        """async () => {
          const { commands, serviceManager } = window.jupyterapp;
          const kernelName = serviceManager.kernelspecs.specs.default;
          const cwd = commands.hasCommand('filebrowser:go-to-path') ? undefined : '';
          const panel = await commands.execute('notebook:create-new', { kernelName, cwd });
          await panel.context.ready;
          await panel.sessionContext.ready;
        }"""
    )
    notebook = page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.locator(".jp-CodeCell .cm-content").first.click()
    page.page.keyboard.insert_text(code)
    page.run("notebook:run-cell")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text(answer, timeout=60_000)


def test_three_rooms_are_worked_in_at_once(page: LabPage, rooms: Desk) -> None:
    """Each has its layout, folder and default kernel, and its kernel sees its own package."""
    page.project("north")
    took: list[float] = []
    for slug, (_, version) in ROOMS.items():
        if slug != "north":
            took.append(switch(page, slug))
        run_cell(page, "import probe, os; print(probe.__version__, os.getcwd())", version)
        expect(page.page.locator(".jp-BreadCrumbs")).to_contain_text(slug)
    running = rooms.jupyter.request("GET", "api/kernels").json()
    assert {kernel["name"].rsplit("-", 1)[-1] for kernel in running} >= set(ROOMS)
    took.append(switch(page, "north"))
    expect(page.tab(re.compile("Untitled"))).to_be_visible()  # the layout is back, and the kernel lives
    notebook = page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text("1.0")
    default = page.page.evaluate("() => window.jupyterapp.serviceManager.kernelspecs.specs.default")
    assert default.endswith("-north")
    print(f"switch by keyboard, until live: {', '.join(f'{seconds:.1f} s' for seconds in took)}")
    page.look("rooms", ".jp-Himalia-sidebar")


def test_two_tabs_hold_two_projects(page: LabPage, rooms: Desk, browser: Browser) -> None:
    page.project("north")
    other = LabPage(page.context, rooms.jupyter)  # the same profile, so the same local storage
    other.project("south")
    page.reload()
    page.live()
    expect(page.status()).to_contain_text("north")
    expect(other.status()).to_contain_text("south")
    defaults = [
        each.page.evaluate("() => window.jupyterapp.serviceManager.kernelspecs.specs.default") for each in (page, other)
    ]
    assert [name.rsplit("-", 1)[1] for name in defaults] == ["north", "south"]
    assert len(other.open_sockets()) == 1
    events = [socket for socket in page.sockets if "/himalia/api/events" in socket.url]
    assert len(events) == 2, "one stream for each of the two loads of the page"
    other.check()


def test_unsaved_work_is_not_lost_by_a_switch(page: LabPage, rooms: Desk) -> None:
    page.project("west")
    page.run("himalia:open-manifest")
    page.page.locator(".jp-FileEditor:visible .cm-content").click()
    page.page.keyboard.press("Control+Home")
    page.page.keyboard.insert_text("# typed and not saved\n")
    switch(page, "north")
    assert folder_of(rooms.lab, "west").joinpath("himalia.toml").read_text().startswith("# typed and not saved")
    switch(page, "west")
    expect(page.tab("himalia.toml")).to_be_visible()


def test_the_manifest_is_completed_and_checked(page: LabPage, rooms: Desk) -> None:
    page.tolerate("status of 4")
    page.project("west")
    manifest = folder_of(rooms.lab, "west") / "himalia.toml"
    text = manifest.read_text()
    try:
        manifest.write_text(text + '\n[kernel]\nmemroy = "1 GiB"\n')
        page.reload()
        page.live()
        problems = page.sidebar().get_by_role("region", name="Problems")
        expect(problems).to_contain_text("memory", timeout=30_000)
        problems.get_by_role("button", name=re.compile("^Line ")).first.click()
        editor = page.page.locator(".jp-FileEditor:visible")
        expect(editor.locator(".cm-lintRange-error, .cm-lintPoint-error").first).to_be_visible(timeout=20_000)
        line = manifest.read_text().splitlines().index('memroy = "1 GiB"') + 1
        expect(page.page.get_by_role("button", name=f"Ln {line}, Col 1")).to_be_visible()
        page.look("manifest-problems", ".jp-Himalia-sidebar")
        page.page.keyboard.press("End")
        page.page.keyboard.press("Enter")
        page.page.keyboard.type("cp")
        page.page.keyboard.press("Tab")
        completer = page.page.locator(".jp-Completer")
        expect(completer.or_(editor.get_by_text("cpus")).first).to_contain_text("cpus")
        page.screenshot("manifest-completion-light")
        page.page.keyboard.press("Escape")
    finally:
        manifest.write_text(text)


def test_packages_that_change_are_told_to_running_kernels(page: LabPage, rooms: Desk) -> None:
    folder = folder_of(rooms.lab, "south")
    page.project("south")
    run_cell(page, "import probe; print(probe.__version__)", "2.0")
    make_wheel(folder / "wheels", "probe", "2.5")
    asked = folder / "requirements.txt"
    asked.write_text(asked.read_text().replace("2.0", "2.5"))
    page.run("himalia:open-environment")
    document = page.page.locator(".jp-Himalia-runDocument:visible")
    document.get_by_role("button", name="Build", exact=True).click()
    expect(document.get_by_role("row", name=re.compile("probe"))).to_contain_text("2.5", timeout=60_000)
    expect(document.get_by_role("region", name="Log of the build")).to_contain_text("probe")
    section = page.section("Environment")
    expect(section).to_contain_text(re.compile("runs? with the older environment"), timeout=20_000)
    page.look("environment", ".jp-Himalia-sidebar", ".jp-Himalia-runDocument:not(.lm-mod-hidden)")
    page.tab(re.compile("Untitled")).first.click()
    notebook = page.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.get_by_role("button", name="Older packages: restart").click()
    page.screenshot("environment-restart-light")
    page.dialog().get_by_role("button", name="Restart").click()
    expect(notebook.get_by_role("button", name="Older packages: restart")).to_have_count(0, timeout=30_000)
    page.run("notebook:run-cell")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text("2.5", timeout=60_000)
    page.run("docmanager:open", {"path": page.contents_path(asked), "factory": "Editor"})
    page.page.locator(".jp-FileEditor:visible .cm-content").click()
    page.page.keyboard.press("Control+End")
    page.page.keyboard.insert_text("absent==1\n")  # what is typed is saved, then built
    page.run("himalia:build-environment")
    expect(section).to_contain_text("absent", timeout=60_000)
    page.screenshot("environment-failed-light")


def test_secrets_are_set_and_never_shown(page: LabPage, rooms: Desk) -> None:
    page.project("north")
    section = page.section("Secrets")
    page.look("secrets-empty", ".jp-Himalia-sidebar")
    section.get_by_role("button", name="Set a secret…", exact=True).click()
    name = page.dialog().get_by_role("textbox", name="Name")
    expect(name).to_be_focused()
    for wrong, told in (("", "Give it a name"), ("A-B", "is no name of an environment variable"), ("OK", "is empty")):
        name.fill(wrong)
        page.dialog().get_by_role("button", name="Set").click()
        expect(page.dialog().get_by_role("alert")).to_contain_text(told)
    page.look("secret-refused", ".jp-Dialog-content")
    name.fill("WEATHER_KEY")
    page.dialog().get_by_label("Value").fill("canary-8c1f")
    page.screenshot("secret-dialog-light")
    page.dialog().get_by_role("button", name="Set").click()
    expect(section.get_by_role("listitem")).to_contain_text("WEATHER_KEY")
    assert "canary-8c1f" not in page.page.content()
    section.scroll_into_view_if_needed()
    page.look("secrets", ".jp-Himalia-sidebar")
    section.get_by_role("button", name="Delete WEATHER_KEY").click()
    page.dialog().get_by_role("button", name="Delete").click()
    expect(section.get_by_role("listitem")).to_have_count(0)


def test_a_component_is_published_compared_and_used(page: LabPage, rooms: Desk) -> None:
    page.tolerate("status of 4")
    source = folder_of(rooms.lab, "north") / "src" / "lateness.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text("def late(minutes, limit=15):\n    return minutes > limit\n")
    page.project("north")
    page.run("himalia:publish-component")
    page.dialog().get_by_role("textbox", name="Name").fill("lateness")
    page.dialog().get_by_role("textbox", name="Module").fill("lateness")
    page.dialog().get_by_role("textbox", name="Version").fill("one")
    page.dialog().get_by_role("button", name="Publish").click()
    expect(page.dialog().get_by_role("alert")).to_be_visible()
    expect(page.dialog().get_by_role("textbox", name="What is new")).to_be_in_viewport(ratio=1)
    page.look("publish", ".jp-Dialog-content")
    page.dialog().get_by_role("textbox", name="Version").fill("1.0")
    page.dialog().get_by_role("button", name="Publish").click()
    expect(page.tab("north/lateness")).to_be_visible()
    source.write_text("def late(minutes, *, limit):\n    return minutes > limit\n")
    rooms.lab.post("/projects/north/components", {"name": "lateness", "version": "1.1", "module": "lateness"})
    switch(page, "west")
    rooms.lab.request("PUT", "/projects/west/uses/north/lateness", json={"version": "1.0"})
    section = page.section("Components")
    expect(section).to_contain_text("1.1 is available", timeout=20_000)
    section.get_by_role("button", name="What changes?").click()
    document = page.page.locator(".jp-Himalia-runDocument:visible")
    expect(document.get_by_role("region", name="What changes")).to_contain_text("Calls that worked may fail.")
    document.locator("summary").first.click()
    page.look("component", ".jp-Himalia-sidebar", ".jp-Himalia-runDocument:not(.lm-mod-hidden)")
    document.get_by_role("button", name="Use 1.1").click()
    expect(document.get_by_role("row", name=re.compile("^1.1"))).to_contain_text("in use")


def test_archive_delete_restore(page: LabPage, rooms: Desk, browser: Browser) -> None:
    rooms.lab.post("/projects", {"name": "doomed-room", "template": "blank"})
    page.project("north")
    page.run("himalia:all-projects")
    row = page.page.get_by_role("row", name=re.compile("doomed-room"))
    page.look("projects", ".jp-Himalia-runDocument:not(.lm-mod-hidden)")
    row.get_by_role("button", name="Actions on doomed-room").click()
    page.screenshot("project-menu-light")
    kernel = rooms.lab.get("/projects/doomed-room")["kernelspec"]
    rooms.jupyter.request("POST", "api/kernels", json={"name": kernel})
    page.page.get_by_role("menuitem", name="Archive Project…").click()
    expect(page.dialog()).to_contain_text("1 kernel, which is shut down")
    page.dialog().get_by_role("button", name="Archive").click()
    expect(row).to_have_count(0)
    page.until(lambda: not kernels_of(rooms, kernel), 20, "the end of its kernel")
    page.page.get_by_role("button", name="Archived", exact=True).click()
    row.get_by_role("button", name="Bring back").click()
    page.page.get_by_role("button", name="Open", exact=True).first.click()
    row.get_by_role("button", name="Actions on doomed-room").click()
    page.page.get_by_role("menuitem", name="Delete Project…").click()
    expect(page.dialog()).to_contain_text("it can be restored")
    page.look("delete-project", ".jp-Dialog-content")
    page.dialog().get_by_role("button", name="Delete").click()
    page.page.get_by_role("button", name="Deleted", exact=True).click()
    expect(row).to_contain_text("days left")
    page.look("projects-deleted", ".jp-Himalia-runDocument:not(.lm-mod-hidden)")
    row.get_by_role("button", name="Restore").click()
    expect(row).to_have_count(0)
    assert rooms.lab.get("/projects/doomed-room")["slug"] == "doomed-room"
