"""One site, one JupyterLab on it and one Chromium for the whole session; each test gets a page of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import frontend
from tests.site.lab import TRAIN, Lab, running_lab
from tests.ui import chromium
from tests.ui.jupyter import Jupyter
from tests.ui.page import LabPage

TINY = {
    "make": {"notebook": "make.ipynb", "params": {"n": 3}, "outputs": ["build/n.json"]},
    "train": {"notebook": "train.ipynb", "inputs": ["build/n.json"], "outputs": ["build/model.json"]},
}
CELLS = {
    "make.ipynb": ["n: int = 1", "import json, pathlib", "pathlib.Path('build/n.json').write_text(str(n))"],
    "train.ipynb": ["seed = 1", TRAIN],
}

SLOW_GIT = """\
#!/bin/sh
while [ "$1" = clone ] && [ -e "{flag}" ]; do
    printf 'Receiving objects:  42%% (42/100)\\r' >&2 || exit 1
    sleep 0.1
done
exec {git} "$@"
"""


@dataclass(frozen=True)
class Desk:
    """A site with its JupyterLab."""

    lab: Lab
    jupyter: Jupyter


@contextmanager
def running_jupyter(lab: Lab, name: str = "jl", **settings: Any) -> Iterator[Jupyter]:
    """A JupyterLab on the site of *lab*, with its files in a folder *name* of its own."""
    jupyter = Jupyter(lab.root / name, settings.pop("root", lab.root), **settings)
    jupyter.folder.mkdir()
    try:
        jupyter.start()
        yield jupyter
    finally:
        jupyter.stop()


@contextmanager
def fresh_page(browser: Browser, jupyter: Jupyter, name: str) -> Iterator[LabPage]:
    """A page in a browser profile of its own. At the end: what it complained about fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce")
    page = LabPage(context, jupyter)
    try:
        yield page
        page.check()
    except BaseException:
        page.screenshot(f"failed-{name}")
        raise
    finally:
        context.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine, headless."""
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium.find_or_install(), args=list(chromium.ARGUMENTS), headless=True
        )
        yield running
        running.close()


def slow_git(lab: Lab) -> None:
    """Have the service find a git whose clone stays at 42 % while there is a file `bin/wait` in the lab's folder."""
    script = lab.root / "bin" / "git"
    script.parent.mkdir()
    script.write_text(SLOW_GIT.format(flag=script.with_name("wait"), git=shutil.which("git")))
    script.chmod(0o755)
    os.environ["PATH"] = os.pathsep.join((str(script.parent), os.environ["PATH"]))


@contextmanager
def running_desk(**settings: Any) -> Iterator[Desk]:
    """A site with the small project `tiny`, and a JupyterLab on it."""
    with running_lab(slow_git, PATH=os.environ["PATH"]) as lab:
        lab.project("tiny", TINY, CELLS)
        with running_jupyter(lab, **settings) as jupyter:
            yield Desk(lab, jupyter)


@pytest.fixture(scope="session")
def tools() -> None:
    """What pages and tests are made of: the built labextension, and axe."""
    assert frontend.install(), "npm ci failed"
    frontend.dist()


@pytest.fixture(scope="session")
def desk(tools: None) -> Iterator[Desk]:
    """The session's site and its JupyterLab, under a Hub's prefix."""
    with running_desk() as made:
        yield made


@pytest.fixture
def desk_of_page(desk: Desk) -> Desk:
    """Where pages are opened; modules with a Jupyter of their own replace it."""
    return desk


@pytest.fixture
def page(browser: Browser, desk_of_page: Desk, request: pytest.FixtureRequest) -> Iterator[LabPage]:
    """A page on fresh workspaces, beside no kernel of another test."""
    desk_of_page.jupyter.forget_layouts()
    if desk_of_page.jupyter.lives():
        desk_of_page.jupyter.end_kernels()
    with fresh_page(browser, desk_of_page.jupyter, request.node.name) as made:
        yield made


@pytest.fixture(scope="session")
def trained(desk: Desk) -> str:
    """The id of a run of `tiny` that has succeeded."""
    runs = desk.lab.get("/projects/tiny/runs")["items"]
    done = next((run["id"] for run in runs if run["status"] == "succeeded"), None)
    if done is None:
        desk.lab.tracking_ready()
        done = desk.lab.post("/projects/tiny/runs")["id"]
        assert desk.lab.wait_run("tiny", done)["status"] == "succeeded"
    return str(done)
