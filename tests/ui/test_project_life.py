"""The life of a project in the browser: from git and from the team's templates, members, a broken manifest, export,
import, clone, moved folders, the trash."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

MANIFEST = '[project]\nname = "x"\ndescription = "Who leaves, and why"\n'
COMMIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def repository(folder: Path) -> Path:
    """A git repository with one commit."""
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text(MANIFEST)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=os.environ | COMMIT)
    return folder


def toast(page: LabPage, text: str | re.Pattern[str]) -> Locator:
    """A notification that says *text*."""
    return page.page.locator(".Toastify__toast").filter(has_text=text)


def row_of(page: LabPage, slug: str) -> Locator:
    """The row of a project in the list of all."""
    return page.page.get_by_role("row", name=re.compile(rf"^{slug}\b"))


def act(page: LabPage, slug: str, label: str) -> None:
    """Choose an action on a project in the list of all."""
    row_of(page, slug).get_by_role("button", name=f"Actions on {slug}").click()
    page.page.get_by_role("menuitem", name=label).click()


def come_back(page: LabPage) -> None:
    """Come back to the page from another program, which may have changed files."""
    page.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")


def leave_folder(page: LabPage, name: str) -> None:
    """Once the file browser shows the folder *name*, go to the top: else JupyterLab may tell that it is gone."""
    place = page.page.locator(".jp-BreadCrumbs")
    expect(place).to_contain_text(name, timeout=20_000)
    page.run("filebrowser:go-to-path", {"path": "/", "dontShowBrowser": True})
    expect(place).not_to_contain_text(name)


def test_from_git_and_from_a_template_of_the_team(page: LabPage, desk: Desk) -> None:
    page.tolerate("status of 4")
    wait = desk.lab.root / "bin" / "wait"
    source = repository(desk.lab.root / "churn")
    page.project("tiny")
    page.run("himalia:new-project")
    dialog = page.dialog()
    dialog.get_by_role("button", name="Git repository").click()
    address = dialog.get_by_role("textbox", name="Address of the repository")
    address.fill(f"file://{source}-absent")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Try the same address with git clone in a terminal")
    page.screenshot("new-project-git-refused-light")
    address.fill(f"file://{source}")
    expect(dialog.get_by_role("textbox", name="Name")).to_have_value("churn")
    wait.touch()
    try:
        dialog.get_by_role("button", name="Create").click()
        expect(dialog.get_by_role("status").filter(has_text="Receiving objects, 42 %")).to_be_visible()
        page.look("new-project-cloning", ".jp-Dialog-content")
        dialog.get_by_role("button", name="Go On in the Background").click()
        expect(toast(page, "Receiving objects, 42 %")).to_be_visible()
    finally:
        wait.unlink()
    expect(toast(page, "The project churn is made.").get_by_role("button", name="Open")).to_be_visible()
    assert desk.lab.get("/projects/churn")["problem"] is None

    page.run("himalia:new-project")
    dialog.get_by_role("button", name="Add a template of the team…").click()
    field = dialog.get_by_role("textbox", name="Folder or git repository")
    expect(field).to_be_focused()
    field.fill("/nowhere")
    page.page.keyboard.press("Enter")  # adds: it does not make the project
    expect(dialog.get_by_role("alert")).to_contain_text("/nowhere")
    page.screenshot("new-project-template-add-light")
    field.fill(str(source))
    dialog.get_by_role("textbox", name="Name (optional)").fill("leavers")
    page.page.keyboard.press("Enter")
    card = dialog.get_by_role("radio", name=re.compile("leavers"))
    expect(card).to_be_checked()
    page.look("new-project-template-of-the-team", ".jp-Dialog-content")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("from-team")
    dialog.get_by_role("button", name="Create").click()
    expect(page.page).to_have_url(re.compile("/lab/workspaces/from-team"), timeout=30_000)
    page.restored()
    page.live()
    assert desk.lab.get("/projects/from-team")["description"] == "Who leaves, and why"

    page.run("himalia:new-project")
    dialog.get_by_role("button", name="Renew leavers").click()
    expect(dialog.get_by_text("leavers is as it was.")).to_be_visible()
    dialog.get_by_role("button", name="Remove leavers").click()
    expect(dialog.get_by_role("button", name="Keep")).to_be_focused()
    page.screenshot("new-project-template-remove-light")
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(card).to_have_count(0)
    expect(dialog.get_by_role("radio", name=re.compile("Blank|Empty", re.I)).first).to_be_visible()


def test_members_and_a_manifest_that_cannot_be_read(page: LabPage, desk: Desk) -> None:
    page.tolerate("status of 4")
    page.project("tiny")
    section = page.section("Team")
    me = section.get_by_role("listitem").filter(has_text="(you)")
    expect(me).to_contain_text("owner")
    stays = me.get_by_role("button", name=re.compile("^Remove"))
    expect(stays).to_have_attribute("title", re.compile("is the last owner"))
    section.get_by_role("button", name="Add a Member…").click()
    person = page.dialog().get_by_role("textbox", name="Person")
    expect(person).to_be_focused()
    person.fill("bob ross")
    page.page.keyboard.press("Enter")
    expect(page.dialog().get_by_role("alert")).to_contain_text("is no person's name")
    page.look("member-dialog", ".jp-Dialog-content")
    page.dialog().get_by_role("textbox", name="Person").fill("bob")
    page.dialog().get_by_role("combobox", name="Role").select_option("viewer")
    page.dialog().get_by_role("button", name="Add").click()
    bob = section.get_by_role("listitem").filter(has_text="bob")
    expect(bob).to_contain_text("viewer")
    bob.get_by_role("button", name="Change the role of bob").click()
    page.dialog().get_by_role("combobox", name="Role").select_option("owner")
    page.dialog().get_by_role("button", name="Change").click()
    expect(bob).to_contain_text("owner")
    expect(stays).not_to_have_attribute("aria-disabled", "true")
    section.scroll_into_view_if_needed()
    page.look("team", ".jp-Himalia-sidebar")
    bob.get_by_role("button", name="Remove bob").click()
    page.dialog().get_by_role("button", name="Remove").click()
    expect(bob).to_have_count(0)

    manifest = Path(desk.lab.get("/projects/tiny")["path"]) / "himalia.toml"
    text = manifest.read_text()
    sidebar = page.sidebar()
    try:
        manifest.write_text(text + "[stages.more\n")
        come_back(page)
        told = sidebar.get_by_role("alert").filter(has_text="himalia.toml")
        expect(told).to_have_count(1, timeout=20_000)
        expect(page.section("Pipeline").get_by_role("listitem")).to_have_count(2)
        page.look("manifest-unreadable", ".jp-Himalia-sidebar")
        page.reload()
        page.live()
        repair = "himalia.toml has to be repaired first."
        for title in ("Pipeline", "Environment", "Components"):
            expect(page.section(title)).to_contain_text(repair)
        manifest.write_text(text + '[stages.more]\nnotebok = "more.ipynb"\n')  # TOML, and no manifest
        come_back(page)
        expect(sidebar.get_by_role("region", name="Problems")).to_contain_text("notebok", timeout=20_000)
        for title in ("Environment", "Components"):
            expect(page.section(title)).to_contain_text(repair)
        page.screenshot("manifest-typo-light")
        manifest.write_text(text + "[stages.more\n")
        come_back(page)
        expect(told).to_have_count(1)
        page.screenshot("manifest-unreadable-reloaded-light")
        line = len(text.splitlines()) + 1
        told.get_by_role("button", name=f"Open it at line {line}").click()
        expect(page.page.get_by_role("button", name=re.compile(rf"^Ln {line}, Col "))).to_be_visible()
        page.page.keyboard.press("Control+a")
        page.page.keyboard.insert_text(text)
        page.page.keyboard.press("Control+s")
        expect(told).to_have_count(0, timeout=20_000)
        expect(page.section("Pipeline").get_by_role("listitem")).to_have_count(2)
    finally:
        manifest.write_text(text)


def test_out_and_in_again_copied_moved_and_removed(page: LabPage, desk: Desk) -> None:
    page.tolerate("status of 4")
    lab = desk.lab
    lab.post("/projects", {"name": "traveller", "template": "regression"})
    home = Path(lab.get("/projects/traveller")["path"])
    page.project("tiny")
    page.run("himalia:all-projects")
    act(page, "traveller", "Export Project…")
    page.screenshot("project-export-light")
    with page.page.expect_download() as saving:
        page.dialog().get_by_role("button", name="Export").click()
    assert saving.value.suggested_filename == "traveller.himalia.zip"
    exported = lab.tmp / "traveller.himalia.zip"
    saving.value.save_as(exported)
    expect(toast(page, "traveller is exported, without secrets")).to_be_visible()

    page.run("himalia:new-project")
    page.dialog().get_by_role("button", name="File", exact=True).click()
    page.dialog().get_by_label("Exported project").set_input_files(exported)
    expect(page.dialog().get_by_role("textbox", name="Name")).to_have_value("traveller-2")
    page.screenshot("new-project-file-light")
    page.dialog().get_by_role("button", name="Create").click()
    expect(page.page).to_have_url(re.compile("/lab/workspaces/traveller-2"), timeout=30_000)
    page.restored()
    page.live()
    expect(page.tab("Overview")).to_be_visible()
    expect(page.page.get_by_role("heading", name="traveller-2", level=1)).to_be_visible()  # not the manifest's name
    page.look("overview-imported", ".jp-Himalia-document")
    again = Path(lab.get("/projects/traveller-2")["path"])
    assert {file.name for file in again.glob("*.ipynb")} == {file.name for file in home.glob("*.ipynb")}

    page.run("himalia:all-projects")
    act(page, "traveller-2", "Clone Project…")
    name = page.dialog().get_by_role("textbox", name="Name of the copy")
    expect(name).to_have_value("traveller-2-2")
    name.fill("No Name")
    page.page.keyboard.press("Enter")
    expect(page.dialog().get_by_role("alert")).to_contain_text("'no-name' would do")
    name.fill("traveller-3")
    page.screenshot("project-clone-light")
    page.dialog().get_by_role("button", name="Clone").click()
    expect(page.page).to_have_url(re.compile("/lab/workspaces/traveller-3"), timeout=30_000)
    page.restored()
    page.live()
    expect(page.tab("Overview")).to_be_visible()  # it opens by itself, over what was opened before

    # a moved folder is found beside its old place; far away it has to be told
    here = Path(lab.get("/projects/traveller-3")["path"])
    near, far = here.with_name("renamed"), lab.root / "elsewhere" / "far"
    page.run("himalia:all-projects")
    leave_folder(page, "traveller-3")
    here.rename(near)
    come_back(page)
    expect(row_of(page, "traveller-3")).to_contain_text(str(near), timeout=20_000)
    leave_folder(page, "renamed")
    far.parent.mkdir()
    shutil.move(near, far)
    come_back(page)
    gone = page.sidebar().get_by_role("alert").filter(has_text="The folder of this project is gone")
    expect(gone).to_be_visible()
    page.look("project-folder-gone", ".jp-Himalia-sidebar")
    gone.get_by_role("button", name="Say where it is…").click()
    page.dialog().get_by_role("textbox").fill(str(far))
    page.dialog().get_by_role("button", name="It Is There").click()
    expect(gone).to_have_count(0, timeout=20_000)

    act(page, "traveller-2", "Delete Project…")
    page.dialog().get_by_role("button", name="Delete").click()
    toast(page, "It can be restored").get_by_role("button", name="Undo").click()
    expect(row_of(page, "traveller-2")).to_be_visible()
    page.run("filebrowser:go-to-path", {"path": page.contents_path(again), "dontShowBrowser": True})
    place = page.page.locator(".jp-BreadCrumbs")
    expect(place).to_contain_text("traveller-2")
    act(page, "traveller-2", "Delete Project…")
    page.dialog().get_by_role("checkbox").check()
    page.dialog().get_by_role("button", name="Delete").click()
    expect(row_of(page, "traveller-2")).to_have_count(0)
    assert not again.exists()
    expect(place).not_to_contain_text("traveller-2")
    page.page.get_by_role("button", name="Deleted", exact=True).click()
    act(page, "traveller-2", "Remove for Good…")
    expect(page.dialog()).to_contain_text("This cannot be undone")
    page.screenshot("project-purge-light")
    page.dialog().get_by_role("button", name="Remove for Good").click()
    expect(row_of(page, "traveller-2")).to_have_count(0)
    assert lab.request("GET", "/projects/traveller-2").status_code == 404
