"""One JupyterLab page as a person uses it; what goes wrong in it fails the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, WebSocket, expect

from tests.ui import axe
from tests.ui.jupyter import TOKEN, Jupyter
from tests.waiting import T

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
HARMLESS = re.compile(r"ResizeObserver loop|status of 503 .*/api/v1/projects/[^/]+/models")
"""What JupyterLab itself says without Himalia; and that MLflow, which knows the models, is still starting."""
RESTORED = """token => {
  const app = window.jupyterapp;
  if (app && app.awaited !== token) {
    Object.assign(app, { awaited: token, isRestored: false });
    void app.restored.then(() => { app.isRestored = app.awaited === token; });
  }
  return app?.isRestored;
}"""
"""Asked until it is true: a page that is being left may answer still, but its promises come to nothing."""


class LabPage:
    """A page on *jupyter*; use the role locators of `page` for what a person sees."""

    def __init__(self, context: BrowserContext, jupyter: Jupyter) -> None:
        self.context, self.jupyter = context, jupyter
        self.complaints: list[str] = []
        self.sockets: list[WebSocket] = []
        self._tolerated: list[re.Pattern[str]] = [HARMLESS]
        self.page: Page = self._watched(context.new_page())

    # -- getting there

    def open(self, workspace: str = "default", path: str = "lab", query: str = "") -> None:
        """Open JupyterLab in a workspace and wait until it is restored."""
        place = "" if workspace == "default" else f"/workspaces/{workspace}"
        self.page.goto(f"{self.jupyter.url}{path}{place}?token={TOKEN}{query}", wait_until="commit")
        self.restored()

    def project(self, slug: str) -> None:
        """Open a project's workspace, and wait until all has come up that opens by itself."""
        self.open(slug)
        self.live()
        expect(self.tab("Overview")).to_be_visible()
        expect(self.page.get_by_role("region", name="Himalia", exact=True)).to_be_visible()

    def reload(self) -> None:
        """Reload the page as F5 does."""
        self.page.reload(wait_until="commit")
        self.restored()

    def restored(self) -> None:
        """Wait until JupyterLab has restored its layout."""
        self.page.wait_for_function(RESTORED, arg=uuid4().hex, timeout=60_000)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=30_000)

    # -- what a person does

    def command(self, label: str) -> None:
        """Run a command through the palette, by keyboard."""
        self.page.keyboard.press("Control+Shift+C")
        box = self.page.get_by_role("textbox", name="Command Palette Section").or_(
            self.page.locator(".lm-CommandPalette-input")
        )
        box.first.fill(label)
        item = self.page.locator(".lm-CommandPalette-item").filter(has_text=label).first
        expect(item).to_be_visible()
        item.click()

    def run(self, command: str, args: dict[str, Any] | None = None) -> None:
        """Run a command by its id, as a menu does. Returns at once: it may ask in a dialog."""
        self.page.evaluate(
            "([id, args]) => { void window.jupyterapp.commands.execute(id, args); }", [command, args or {}]
        )

    def contents_path(self, path: Path) -> str:
        """A file or folder as the file browser names it."""
        return path.relative_to(self.jupyter.root).as_posix()

    def theme(self, name: str) -> None:
        """Switch to the `light` or `dark` theme."""
        self.run("apputils:change-theme", {"theme": THEMES[name]})
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", THEMES[name])
        # JupyterLab shows its splash meanwhile, and stumbles over itself when that is asked for again too soon
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def sidebar(self) -> Locator:
        """Himalia's sidebar, shown."""
        region = self.page.get_by_role("region", name="Himalia", exact=True)
        if not region.is_visible():
            self.run("himalia:show-sidebar")  # a click on the tab would hide what opens by itself meanwhile
        expect(region).to_be_visible()
        return region

    def status(self) -> Locator:
        """Himalia's words in the status bar."""
        return self.page.locator(".jp-Himalia-status")

    def live(self) -> None:
        """Wait until the page follows the service's events."""
        expect(self.status()).to_have_attribute("data-state", "live", timeout=60_000)

    def step(self) -> Locator:
        """The overview's next step."""
        return self.page.get_by_role("region", name="Next step")

    def stages(self) -> Locator:
        """The stages in the overview's graph."""
        return self.page.get_by_role("list", name="Stages").get_by_role("button")

    def section(self, title: str) -> Locator:
        """A section of the sidebar, unfolded."""
        heading = self.page.get_by_role("heading", name=re.compile(rf"^{title}\b"))
        section = self.sidebar().locator("section").filter(has=heading)
        fold = section.get_by_role("heading").get_by_role("button").first
        if fold.get_attribute("aria-expanded") == "false":
            fold.click()
        return section

    def tab(self, name: str | re.Pattern[str]) -> Locator:
        """The tab of a document in the main area."""
        return self.page.locator("#jp-main-dock-panel").get_by_role("tab", name=name)

    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    # -- looking

    def look(self, name: str, *roots: str) -> None:
        """Screenshots in both themes; axe on the elements that the CSS selectors *roots* name."""
        found = []
        for theme in ("dark", "light"):
            self.theme(theme)
            self.screenshot(f"{name}-{theme}")
            if roots:
                found += [f"{theme}: {line}" for line in axe.findings(self.page, *roots)]
        assert not found, "axe on " + name + ":\n" + "\n".join(found)

    def screenshot(self, name: str) -> Path:
        """Keep what the page shows."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        return path

    def until(self, predicate: Callable[[], T], timeout: float, what: str) -> T:
        """Like `wait_until`, while the page's events go on."""
        for _ in range(int(timeout / 0.05)):
            value = predicate()
            if value:
                return value
            self.page.wait_for_timeout(50)
        raise AssertionError(f"waited {timeout:g} s for {what}")

    def open_sockets(self, part: str = "/himalia/api/events") -> list[WebSocket]:
        """WebSockets that the page holds now."""
        return [socket for socket in self.sockets if part in socket.url and not socket.is_closed()]

    def focused(self) -> Locator:
        """The element that has the keyboard."""
        return self.page.locator("*:focus")

    # -- what must not happen

    def tolerate(self, *patterns: str) -> None:
        """Console errors that match belong to what is under test (a server that is gone, say)."""
        self._tolerated += [re.compile(pattern) for pattern in patterns]

    def check(self) -> None:
        """Fail when the page complained in its console, or asked another host."""
        assert not self.complaints, "\n".join(self.complaints)

    def _watched(self, page: Page) -> Page:
        page.set_default_timeout(20_000)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._complain(f"uncaught in the page: {error.stack or error}"))
        page.on("request", self._on_request)
        page.on("websocket", self._on_socket)
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        self._own_host(request.url)

    def _on_socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        self._own_host(socket.url)

    def _own_host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self.jupyter.origin).netloc:
            self.complaints.append(f"the page asks another host: {url}")

    def _complain(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._tolerated):
            self.complaints.append(text)
