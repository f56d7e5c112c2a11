"""Notebook 7 has no sidebar, no launcher and no status bar; Himalia must not disturb it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Desk, running_jupyter
from tests.ui.page import LabPage


@pytest.fixture(scope="module")
def notebook7(desk: Desk) -> Iterator[Desk]:
    """Notebook 7 on the session's site."""
    with running_jupyter(desk.lab, "nb7", program="notebook") as jupyter:
        yield Desk(desk.lab, jupyter)


@pytest.fixture
def desk_of_page(notebook7: Desk) -> Desk:
    """Pages of this module are Notebook 7's."""
    return notebook7


OWN_FAULT = r"Cannot read properties of undefined \(reading 'schema'\)"
"""Notebook 7.6.5 says so on each page, without Himalia too."""


def test_its_pages_open_without_complaint(page: LabPage) -> None:
    page.tolerate(OWN_FAULT)
    page.open(path="tree")
    expect(page.page.get_by_role("tab", name="Files")).to_be_visible()
    page.screenshot("notebook7-tree")
    page.open(path="notebooks/projects/tiny/make.ipynb")
    expect(page.page.get_by_text("n: int = 1")).to_be_visible()
    page.screenshot("notebook7-notebook")
    commands = page.page.evaluate("() => window.jupyterapp.commands.listCommands()")
    assert [name for name in commands if name.startswith("himalia:")]
    assert page.open_sockets() == [], "a page of Notebook 7 that is no project's needs no connection"
