"""The guide from the Help menu: a copy of one's own, in its project, with its project's kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

PATH = "/himalia-guide/from-nothing-to-a-deployed-model.ipynb"


@pytest.fixture(autouse=True)
def gone(desk: Desk) -> Iterator[None]:
    """Other tests of the session find the site as it was, once the page is closed."""
    yield
    desk.lab.request("DELETE", "/projects/himalia-guide", params={"remove_files": True, "purge": True})


def test_help_opens_the_readers_own_copy(page: LabPage, desk: Desk) -> None:
    page.tolerate("attachment:road.png")  # JupyterLab shows the picture before it has looked for it in the cell
    page.open()
    page.live()
    from_the_help_menu(page)
    expect(page.page).to_have_url(re.compile("/lab/workspaces/himalia-guide"), timeout=60_000)
    page.restored()
    page.live()
    notebook = page.page.locator(".jp-NotebookPanel")
    expect(notebook.get_by_role("heading", name="From nothing to a deployed model")).to_be_visible(timeout=30_000)
    expect(page.page.get_by_role("region", name="Himalia", exact=True)).to_be_visible()
    (project,) = [item for item in desk.lab.get("/projects")["items"] if item["slug"] == "himalia-guide"]
    (session,) = page.until(
        lambda: [item for item in sessions(desk) if item["path"].endswith(PATH)], 30, "the notebook's kernel"
    )
    assert session["kernel"]["name"] == project["kernelspec"]
    assert session["path"] == desk.lab.home.joinpath("projects").relative_to(desk.jupyter.root).as_posix() + PATH
    # the notebook's frame is JupyterLab's own; what it shows is ours
    page.look("guide", ".jp-Himalia-sidebar", ".jp-NotebookPanel .jp-MarkdownOutput")

    # opening it again goes back to it, and asks nothing
    page.run("himalia:open-overview")
    expect(notebook).to_be_hidden()
    from_the_help_menu(page)
    expect(notebook).to_be_visible()
    expect(page.dialog()).to_have_count(0)
    desk.jupyter.request("DELETE", f"api/sessions/{session['id']}")


def from_the_help_menu(page: LabPage) -> None:
    """Choose the guide in JupyterLab's Help menu."""
    page.page.get_by_role("menuitem", name="Help", exact=True).click()
    page.page.get_by_role("menuitem", name="Himalia: From Nothing to a Deployed Model").click()


def sessions(desk: Desk) -> list[dict[str, Any]]:
    """Jupyter's sessions."""
    return list(desk.jupyter.request("GET", "api/sessions").json())
