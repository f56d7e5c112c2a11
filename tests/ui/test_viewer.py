"""A viewer's JupyterLab: all can be read, what may not be done says why, and no click ends in a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.conftest import Desk, running_jupyter
from tests.ui.page import LabPage

GUEST = """
from jupyter_server.auth import User
from jupyter_server.auth.identity import PasswordIdentityProvider


class Guests(PasswordIdentityProvider):
    def generate_anonymous_user(self, handler):
        return User("vera")


c.ServerApp.identity_provider_class = Guests
"""
"""Whoever has the token is the person vera, as one on a Hub is whom the Hub knows."""
NIGHTLY = {
    "name": "nightly",
    "target": {"kind": "pipeline", "params": {}},
    "cron": "30 2 * * *",
    "zone": "Europe/Berlin",
}
REASON = re.compile("You are viewer in this project; this needs at least (contributor|operator|owner)")


@pytest.fixture(scope="module")
def desk_of_page(desk: Desk) -> Iterator[Desk]:
    """The session's site, and a JupyterLab in which vera works."""
    with running_jupyter(desk.lab, "guest", config=GUEST) as jupyter:
        yield Desk(desk.lab, jupyter)


def refused(place: Locator, *names: str) -> None:
    """Buttons that say why they cannot be pressed."""
    for name in names:
        button = place.get_by_role("button", name=name, exact=True)
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_attribute("title", REASON)


def test_viewer(page: LabPage, desk: Desk) -> None:
    lab = desk.lab
    cells = ["n: int = 1", "open('build/n.txt', 'w').write(str(n))"]
    lab.project(
        "seen",
        {"make": {"notebook": "make.ipynb", "params": {"n": 1}, "outputs": ["build/n.txt"]}},
        {"make.ipynb": cells},
    )
    run = lab.post("/projects/seen/runs")["id"]
    lab.post("/projects/seen/schedules", NIGHTLY)
    assert lab.request("PUT", "/projects/seen/members/vera", json={"role": "viewer"}).status_code == 200
    assert lab.wait_run("seen", run)["status"] == "succeeded"
    page.project("seen")
    sidebar = page.sidebar()
    refused(page.section("Pipeline"), "Run the Pipeline", "Run with Parameters…")
