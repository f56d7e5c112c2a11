"""Environments of stages in the browser: listed, built, why one cannot be, and chosen for a stage."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.site.wheels import make_wheel
from tests.ui.conftest import Desk
from tests.ui.page import LabPage

TABLES = """
[environments.newer]
requirements = "newer.txt"

[environments.broken]
requirements = "absent.txt"
"""


def test_environments_of_stages(page: LabPage, desk: Desk) -> None:
    folder = desk.lab.project("several", {"look": {"notebook": "look.ipynb"}}, {"look.ipynb": ["x = 1", "print(x)"]})
    make_wheel(folder / "wheels", "probe", "2.0")
    (folder / "newer.txt").write_text("--no-index\n--find-links wheels\nprobe==2.0\n")
    with (folder / "himalia.toml").open("a") as manifest:
        manifest.write(TABLES)
    page.tolerate("status of 422 .*/projects/several/manifest")
    page.project("several")
    section = page.section("Environment")
    newer, broken = section.locator("[data-environment=newer]"), section.locator("[data-environment=broken]")
    expect(newer).to_contain_text("not built · newer.txt")
    expect(broken).to_contain_text("absent.txt does not exist. Write it, or name another file in [environments.broken]")
    section.scroll_into_view_if_needed()
    page.look("environments-of-stages", ".jp-Himalia-sidebar")

    newer.get_by_role("button", name="Build").click()
    document = page.page.locator(".jp-Himalia-run:visible")
    expect(document.get_by_role("heading", name="Environment newer")).to_be_visible()
    expect(document.locator("header").get_by_role("status")).to_contain_text("ready", timeout=60_000)
    expect(document.get_by_role("region", name="Packages")).to_contain_text("probe")
    expect(document.get_by_label("Log of the build").last).to_contain_text("probe")
    expect(newer).to_contain_text("ready · newer.txt")
    page.look("environment-of-stages", ".jp-Himalia-run:not(.lm-mod-hidden)")

    page.run("himalia:edit-stage", {"stage": "look"})
    page.dialog().get_by_text("More", exact=True).click()
    field = page.dialog().get_by_label("Environment", exact=True)
    expect(page.dialog()).to_contain_text(re.compile("newer, broken, or site"))
    field.fill("newe")
    page.dialog().get_by_role("button", name=re.compile("^(Save|Change)")).click()
    expect(page.dialog().get_by_role("alert")).to_contain_text("newer")
    page.look("stage-environment", ".jp-Dialog-content")
    field.fill("newer")
    page.dialog().get_by_role("button", name=re.compile("^(Save|Change)")).click()
    page.until(
        lambda: 'environment = "newer"' in (folder / "himalia.toml").read_text(), 15, "the environment in himalia.toml"
    )
