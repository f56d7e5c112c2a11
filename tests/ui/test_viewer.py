"""A viewer's JupyterLab: all can be read, what may not be done says why, and no click ends in a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("run-pipeline", {}),
    ("run-with-parameters", {}),
    ("start-sweep", {}),
    ("edit-stage", {"stage": "make"}),
    ("remove-stage", {"stage": "make"}),
    ("schedule", {"pipeline": True}),
    ("operate-schedule", {"name": "nightly", "act": "delete"}),
    ("verify", {"path": "projects/seen/make.ipynb"}),
    ("start-cluster", {}),
    ("build-environment", {"name": "newer"}),
    ("own-environment", {}),
    ("set-secret", {}),
    ("set-member", {}),
    ("publish-component", {}),
    ("deploy", {}),
    ("delete-project", {}),
    ("export-project", {}),
]
ALLOWED = """commands => commands
  .filter(([name, args]) => window.jupyterapp.commands.isEnabled(`himalia:${name}`, args))
  .map(([name]) => name)"""
EXECUTE = """async commands => {
  for (const [name, args] of commands) {
    const done = window.jupyterapp.commands.execute(`himalia:${name}`, args).then(() => true);
    const asks = new Promise(resolve => setTimeout(() => resolve(false), 5000));
    if (!await Promise.race([done, asks])) {
      return name;
    }
  }
  return null;
}"""
"""The first command that does not end by itself: it asks something."""
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
    stages = {"make": {"notebook": "make.ipynb", "params": {"n": 1}, "outputs": ["build/n.txt"]}}
    tables = '\n[environments.newer]\nrequirements = "newer.txt"\n'
    folder = lab.project("seen", stages, {"make.ipynb": ["n: int = 1", "open('build/n.txt', 'w').write(str(n))"]})
    with (folder / "himalia.toml").open("a") as manifest:
        manifest.write(tables)
    lab.post("/projects/seen/schedules", NIGHTLY)
    sweep = lab.post("/projects/seen/sweeps", {"grid": {"make": {"n": [1, 2]}}})
    for run in sweep["runs"]:
        assert lab.wait_run("seen", run["id"])["status"] == "succeeded"
    assert lab.request("PUT", "/projects/seen/members/vera", json={"role": "viewer"}).status_code == 200

    page.project("seen")
    pipeline = page.section("Pipeline")
    refused(pipeline, "Run make alone", "Run make and all that depends on it")
    for title in ("Clusters", "Runs", "Models", "Deployments", "Environment", "Secrets", "Components", "Team"):
        page.section(title)
    refused(page.section("Schedules"), "Run nightly now", "Pause nightly")
    refused(page.section("Environment"), "Packages of its own…", "Build")
    expect(page.section("Secrets")).to_contain_text(REASON)
    page.look("viewer", ".jp-Himalia-sidebar")

    page.run("himalia:open-pipeline", {"stage": "make"})
    document = page.page.locator(".jp-Himalia-pipeline")
    refused(document, "Run", "Run with parameters…", "Sweep…", "Schedule…", "Edit…", "Remove…")
    refused(document, "Run only this", "From here", "To here")
    expect(document.locator("[data-handle]")).to_have_count(0)
    page.look("viewer-pipeline", ".jp-Himalia-pipeline")
    page.run("himalia:open-run", {"run": sweep["runs"][0]["id"]})
    shown = page.page.locator(".jp-Himalia-run:visible")
    refused(shown, "Put into the folder…")
    shown.get_by_role("button", name=re.compile("^sweep ")).click()
    expect(page.page.locator(".jp-Himalia-sweep:visible tbody tr")).to_have_count(2)
    page.run("himalia:open-schedule", {"name": "nightly"})
    refused(shown, "Run now", "Pause", "Edit…", "Update to current code", "Delete…")
    page.screenshot("viewer-schedule-light")
    page.run("himalia:open-environment", {"name": "newer"})
    refused(shown, "Build", "Upgrade packages")

    # by the palette, a shortcut or a menu: told instead of done, and nothing is asked
    assert page.page.evaluate(ALLOWED, COMMANDS) == []
    assert page.page.evaluate(EXECUTE, COMMANDS) is None
    expect(page.page.locator(".Toastify__toast").filter(has_text=REASON).first).to_be_visible()
    expect(page.dialog()).to_have_count(0)
    page.screenshot("viewer-refused-light")
    entries = lab.get("/audit?limit=200")["items"]
    assert [entry["action"] for entry in entries if entry["actor"] == "vera" and entry["outcome"] == "denied"] == []
