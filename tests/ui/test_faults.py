"""What happens to an open page when something else breaks; on a site and a JupyterLab of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from himalia import __version__
from himalia_server.service import lifecycle
from himalia_server.service.lifecycle import Found
from tests.site.extension_lab import TWO_USERS
from tests.site.lab import Lab
from tests.ui.conftest import Desk, fresh_page, running_desk, running_jupyter
from tests.ui.page import LabPage
from tests.waiting import wait_until

AWAY = ("WebSocket connection to", "status of 50", "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED")
"""What Chromium says in the console when a server is not there."""
HIDE = """
hidden => {
  Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
  const state = () => (hidden ? 'hidden' : 'visible');
  Object.defineProperty(document, 'visibilityState', { get: state, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}
"""


@pytest.fixture(scope="module")
def desk(tools: None) -> Iterator[Desk]:
    """A site that may be harmed, with `slow`, a project whose run takes a while."""
    with running_desk() as made:
        made.lab.project(
            "slow",
            {"wait": {"notebook": "wait.ipynb", "outputs": ["build/done.txt"]}},
            {
                "wait.ipynb": [
                    "flag = ''",
                    "import pathlib, time\nwhile not pathlib.Path(flag).exists(): time.sleep(0.05)",
                    "pathlib.Path('build/done.txt').write_text('done')",
                ]
            },
        )
        yield made


@pytest.fixture(autouse=True)
def running(desk: Desk) -> None:
    """Each test begins with a running service and a running Jupyter."""
    desk.lab.start()
    if not desk.jupyter.lives():
        desk.jupyter.start()


def service(lab: Lab) -> Found:
    """The service that runs now, which the lab then talks to."""
    lab.found = wait_until(lambda: lifecycle.find(lab.site), 60, "a running service")
    return lab.found


def test_a_killed_service_comes_back_by_itself(page: LabPage, desk: Desk) -> None:
    page.project("tiny")
    before = service(desk.lab).identity
    page.tolerate(*AWAY)
    desk.lab.kill_service()
    now = wait_until(lambda: (found := lifecycle.find(desk.lab.site)) and found.identity != before, 60, "another")
    assert now
    page.live()
    service(desk.lab)
    desk.lab.post("/projects/tiny/clusters", {"name": "after", "workers": 1})
    row = page.section("Clusters").get_by_role("listitem").filter(has_text="after")
    expect(row).to_be_visible(timeout=30_000)
    assert desk.lab.request("DELETE", "/projects/tiny/clusters/after").status_code < 300
    expect(row).to_have_count(0, timeout=60_000)


def test_himalia_down_says_so_and_start_works(page: LabPage, desk: Desk) -> None:
    page.project("tiny")
    sidebar = page.sidebar()
    page.tolerate(*AWAY)
    desk.lab.stop()
    expect(sidebar.get_by_role("heading", name="Himalia is stopped")).to_be_visible()
    expect(page.status()).to_contain_text("stopped")
    page.look("stopped", ".jp-Himalia-sidebar")
    page.page.evaluate(HIDE, True)
    page.page.evaluate(HIDE, False)
    assert lifecycle.find(desk.lab.site) is None, "what was stopped on purpose stays stopped"
    sidebar.get_by_role("button", name="Start Himalia").click()
    page.live()
    expect(sidebar.get_by_role("heading", name="Himalia is stopped")).to_have_count(0)
    service(desk.lab)


@contextmanager
def version(lab: Lab, number: str) -> Iterator[None]:
    """Inside runs a service that believes to be another version of Himalia."""
    folder = lab.root / f"version-{number}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import himalia\nhimalia.__version__ = {number!r}\n")
    before = os.environ.get("PYTHONPATH")
    lab.stop()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    try:
        found = lab.start()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.__setitem__("PYTHONPATH", before)
    assert found.version == number
    try:
        yield
    finally:
        lab.stop()


def test_a_newer_service_is_told_and_left_alone(page: LabPage, desk: Desk) -> None:
    page.tolerate(*AWAY, "status of 409")
    with version(desk.lab, "99.0"):
        page.open("tiny")
        expect(page.status()).to_have_attribute("data-state", "newer", timeout=30_000)
        alert = page.sidebar().get_by_role("alert")
        expect(alert).to_contain_text("Restart JupyterLab")
        page.look("newer", ".jp-Himalia-sidebar")
        found = lifecycle.find(desk.lab.site)
        assert found is not None
        assert found.version == "99.0"


def test_an_older_service_is_replaced(page: LabPage, desk: Desk) -> None:
    page.tolerate(*AWAY)
    with version(desk.lab, "0.0.1"):
        page.project("tiny")
        assert service(desk.lab).version == __version__


def test_jupyter_restarts_during_a_run(page: LabPage, desk: Desk) -> None:
    flag = desk.lab.root / "go"
    page.project("slow")
    run = desk.lab.post("/projects/slow/runs", {"params": {"wait": {"flag": str(flag)}}})["id"]
    stage = page.section("Pipeline").locator("[data-state]")
    expect(stage.and_(page.page.locator("[data-state=running]")).first).to_be_visible(timeout=60_000)
    page.tolerate(*AWAY, "Failed to fetch", "NetworkError", "Kernel", "ERR_", "Connection lost")
    desk.jupyter.stop()
    expect(page.status()).not_to_have_attribute("data-state", "live", timeout=30_000)
    assert desk.lab.get(f"/projects/slow/runs/{run}")["status"] == "running"
    flag.touch()
    assert desk.lab.wait_run("slow", run)["status"] == "succeeded"
    desk.jupyter.start()
    page.live()
    expect(page.section("Pipeline").locator("[data-state=succeeded]").first).to_be_visible(timeout=30_000)


def test_a_project_deleted_in_another_tab(page: LabPage, desk: Desk, browser: Browser) -> None:
    desk.lab.project("doomed", {"make": {"notebook": "make.ipynb"}}, {"make.ipynb": ["n: int = 1"]})
    page.tolerate("status of 40[49] .*/projects/doomed/")
    page.project("doomed")
    assert desk.lab.request("DELETE", "/projects/doomed").status_code < 300
    sidebar = page.sidebar()
    expect(sidebar.get_by_text("The project doomed has been archived or deleted.")).to_be_visible(timeout=60_000)
    page.look("deleted", ".jp-Himalia-sidebar")
    expect(sidebar.get_by_role("option", name="tiny")).to_be_visible()


def test_a_broken_manifest(page: LabPage, desk: Desk) -> None:
    folder = desk.lab.project("typo", {"make": {"notebook": "make.ipynb"}}, {"make.ipynb": ["n: int = 1"]})
    right = (folder / "himalia.toml").read_text()
    page.project("typo")
    save(page, folder, desk.lab.root, right.replace("notebook =", "notbook ="))
    problems = page.sidebar().get_by_role("region", name="Problems")
    expect(problems).to_contain_text("notbook")
    expect(problems).to_contain_text("Did you mean 'notebook'?")
    page.look("broken-manifest", ".jp-Himalia-sidebar")
    save(page, folder, desk.lab.root, right)
    expect(problems).to_have_count(0)


def save(page: LabPage, folder: Path, root: Path, text: str) -> None:
    """Save himalia.toml as JupyterLab's editor does."""
    page.page.evaluate(
        "([path, content]) => window.jupyterapp.serviceManager.contents"
        ".save(path, { type: 'file', format: 'text', content }).then(() => null)",
        [str((folder / "himalia.toml").relative_to(root)), text],
    )


def test_a_laptop_sleeps(page: LabPage, desk: Desk) -> None:
    page.page.clock.install()
    page.project("tiny")
    expect(page.section("Clusters")).to_contain_text("No cluster runs.")
    before = page.open_sockets()
    page.tolerate(*AWAY, "ERR_", "Failed to fetch", "NetworkError")
    page.context.set_offline(True)
    desk.lab.post("/projects/tiny/clusters", {"name": "night", "workers": 1})
    page.page.clock.fast_forward("08:00:00")
    page.context.set_offline(False)
    page.live()
    row = page.section("Clusters").get_by_role("listitem").filter(has_text="night")
    expect(row).to_be_visible(timeout=30_000)
    assert not set(before) & set(page.open_sockets()), "the socket of yesterday is not trusted"
    assert desk.lab.request("DELETE", "/projects/tiny/clusters/night").status_code < 300


def test_a_script_that_cannot_be_loaded_harms_only_its_part(page: LabPage) -> None:
    page.tolerate("ERR_FAILED", "ChunkLoadError", "Loading chunk")
    scripts = "**/extensions/himalia/static/*.js*"

    def without_models(route: Route) -> None:
        reply = route.fetch()
        route.abort() if "All %1 versions" in reply.text() else route.fulfill(response=reply)

    page.page.route(scripts, without_models)
    page.project("tiny")
    models = page.section("Models")
    expect(models.get_by_role("alert")).to_contain_text("could not be shown")
    expect(page.section("Clusters")).to_contain_text("No cluster runs.")
    page.page.unroute(scripts)
    with page.page.expect_navigation(wait_until="commit"):
        models.get_by_role("button", name="Reload the page").click()
    page.restored()
    expect(page.section("Models")).to_contain_text("No model yet.", timeout=60_000)


def test_a_hidden_page_holds_no_connection(page: LabPage, desk: Desk) -> None:
    page.project("tiny")
    page.section("Clusters")
    assert len(page.open_sockets()) == 1
    page.page.evaluate(HIDE, True)
    page.until(lambda: page.open_sockets() == [], 20, "the end of the connection")
    desk.lab.post("/projects/tiny/clusters", {"name": "unseen", "workers": 1})
    page.page.evaluate(HIDE, False)
    page.live()
    expect(page.section("Clusters").get_by_role("listitem").filter(has_text="unseen")).to_be_visible(timeout=30_000)
    assert len(page.open_sockets()) == 1
    assert desk.lab.request("DELETE", "/projects/tiny/clusters/unseen").status_code < 300


def test_another_user_sees_nothing_of_it(browser: Browser, desk: Desk) -> None:
    with running_jupyter(desk.lab, "two", config=TWO_USERS) as jupyter, fresh_page(browser, jupyter, "another") as page:
        page.context.add_cookies([{"name": "who", "value": "grace", "url": jupyter.origin}])
        page.open("tiny")
        sidebar = page.sidebar()
        expect(sidebar).to_be_visible()
        page.until(lambda: page.status().get_attribute("data-state") in ("live", "refused"), 30, "an answer")
        expect(sidebar.get_by_text("tiny")).to_have_count(0)
        page.look("another-user", ".jp-Himalia-sidebar")
        page.tolerate(*AWAY, "status of 40", "Forbidden", "invalid")
        page.context.clear_cookies()
        page.page.evaluate(HIDE, True)
        page.until(lambda: page.open_sockets() == [], 20, "the end of the connection")
        page.page.evaluate(HIDE, False)
        expect(page.status()).to_have_attribute("data-state", "refused", timeout=30_000)
