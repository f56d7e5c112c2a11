"""What Himalia costs the page: JupyterLab's start, the switch of projects, bundle, memory, requests of an idle page.

    python -m tests.benchmarks.page [--runs 7] [--switches 8] [--idle MINUTES]

Two JupyterLabs run on one site, one with Himalia's extensions and one without. The start is the time from the
navigation to the end of `app.restored`, in a fresh browser profile with an empty cache; runs with and without
alternate, so that what else the machine does falls on both. A switch is from the keystroke to the end of `app.restored`
in the other project's workspace, and to the page that follows its events. The heap is what lives after a collection of
garbage.
`--idle` leaves a page with an open project alone and prints every request that it makes (0: leave that out).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

from playwright.sync_api import Browser, CDPSession, Request, WebSocket, sync_playwright

from tests import frontend
from tests.site.lab import Lab, running_lab
from tests.ui import chromium
from tests.ui.conftest import CELLS, TINY, fresh_page, running_jupyter
from tests.ui.jupyter import TOKEN, Jupyter
from tests.ui.page import LabPage

MIB = 2**20
ROOMS = 10
"""Projects of the measurement of switches."""
RESTORED = """
async () => {
  await new Promise(resolve => {
    const look = () => (window.jupyterapp ? resolve() : setTimeout(look, 1));
    look();
  });
  await window.jupyterapp.restored;
  return performance.now();
}
"""
"""Milliseconds from the navigation; `performance.now` counts from there."""


def out(line: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def spread(values: list[float]) -> str:
    """Median, and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:8.0f}   {low:.0f}–{high:.0f}"


def start_once(browser: Browser, jupyter: Jupyter) -> tuple[float, float]:
    """One start in a fresh profile: milliseconds to restored, bytes of the heap afterwards."""
    with fresh_page(browser, jupyter, "benchmark") as lab:
        lab.page.goto(f"{jupyter.url}lab?token={TOKEN}&reset", wait_until="commit")
        took: float = lab.page.evaluate(RESTORED)
        lab.restored()
        lab.page.wait_for_load_state("networkidle")
        session = lab.context.new_cdp_session(lab.page)
        return took, heap(session)


def heap(session: CDPSession) -> float:
    """Bytes that live in the page's JavaScript heap."""
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"])


def starts(browser: Browser, plain: Jupyter, himalia: Jupyter, runs: int) -> None:
    """Time and heap with and without, alternating."""
    times: dict[str, list[float]] = {"without": [], "with": []}
    heaps: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(runs + 1):
        for name, jupyter in (("without", plain), ("with", himalia)):
            took, size = start_once(browser, jupyter)
            if number:  # the first of each warms the servers
                times[name].append(took)
                heaps[name].append(size / MIB)
    out(f"start of JupyterLab, {runs} runs each, alternating: median and quartiles")
    for name, values in times.items():
        out(f"  {name:<10}{spread(values)} ms")
    added = [mine - other for mine, other in zip(times["with"], times["without"], strict=True)]
    out(f"  added     {spread(added)} ms, of pairs (to hold: 100 ms)")
    out("live JavaScript heap")
    for name, values in heaps.items():
        out(f"  {name:<10}{statistics.median(values):8.1f} MiB")
    out()


def bundle(jupyter: Jupyter) -> None:
    """The bundle's size."""
    total, first = frontend.sizes(frontend.dist() / "static")
    out(f"bundle: {total / 1000:.1f} kB gzipped (to hold: 300 kB), {first / 1000:.1f} kB of it at start\n")


def idle(browser: Browser, lab: Lab, jupyter: Jupyter, minutes: float) -> None:
    """Every request of a page with the project `tiny` that nobody touches."""
    seen: list[tuple[float, str, str]] = []
    with fresh_page(browser, jupyter, "benchmark-idle") as page:
        page.open("tiny")
        page.page.wait_for_load_state("networkidle")
        began = time.monotonic()

        def on_request(request: Request) -> None:
            seen.append((time.monotonic() - began, request.method, urlsplit(request.url).path))

        def on_socket(socket: WebSocket) -> None:
            seen.append((time.monotonic() - began, "WebSocket", urlsplit(socket.url).path))

        page.page.on("request", on_request)
        page.page.on("websocket", on_socket)
        page.page.wait_for_timeout(minutes * 60_000)
        open_now = len(page.open_sockets())
    out(f"requests of an idle page in {minutes:g} minutes: {len(seen)}; open event sockets at the end: {open_now}")
    prefix = jupyter.base_url.rstrip("/")
    for (method, path), count in Counter((method, path.removeprefix(prefix)) for _, method, path in seen).most_common():
        mine = "Himalia" if "/himalia/" in path else "Jupyter"
        out(f"  {count:>5}  {mine:<8} {method:<10} {path}")


def switches(browser: Browser, lab: Lab, jupyter: Jupyter, count: int) -> None:
    """From the keystroke to a page that stands, and to one whose sidebar is up to date, among *ROOMS* open projects."""
    slugs = [f"room-{number}" for number in range(ROOMS)]
    for slug in slugs:
        lab.post("/projects", {"name": slug, "template": "blank"})
    stands: list[float] = []
    live: list[float] = []
    with fresh_page(browser, jupyter, "benchmark-switch") as page:
        others = [LabPage(page.context, jupyter) for _ in slugs[2:]]
        for other, slug in zip(others, slugs[2:], strict=True):
            other.project(slug)
        page.project(slugs[0])
        page.page.bring_to_front()
        for number in range(1, count + 3):
            slug = slugs[number % 2]
            began = time.perf_counter()
            page.page.keyboard.press("Control+Shift+Alt+P")
            page.dialog().get_by_role("combobox").fill(slug)
            page.page.keyboard.press("Enter")
            page.page.wait_for_url(re.compile(f"/workspaces/{slug}"), wait_until="commit")
            page.restored()
            stood = time.perf_counter() - began
            page.live()
            if number > 2:  # the first of each shows its overview for the first time
                stands.append(stood * 1000)
                live.append((time.perf_counter() - began) * 1000)
    out(f"switch by keyboard with {ROOMS} projects, {len(others)} in other tabs, {count} times: median, quartiles")
    out(f"  stands    {spread(stands)} ms")
    out(f"  live      {spread(live)} ms\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.page")
    parser.add_argument("--runs", type=int, default=7, help="starts with and without (default: 7)")
    parser.add_argument("--switches", type=int, default=8, help="from project to project (default: 8)")
    parser.add_argument("--idle", type=float, default=10, metavar="MINUTES", help="of the idle page (default: 10)")
    options = parser.parse_args()
    frontend.dist()
    with running_lab() as lab, sync_playwright() as playwright:
        lab.project("tiny", TINY, CELLS)
        browser = playwright.chromium.launch(
            executable_path=chromium.find_or_install(), args=list(chromium.ARGUMENTS), headless=True
        )
        with (
            running_jupyter(lab, "plain", himalia=False) as plain,
            running_jupyter(lab, "himalia") as himalia,
        ):
            out(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
            bundle(himalia)
            if options.runs:
                starts(browser, plain, himalia, options.runs)
            if options.switches:
                switches(browser, lab, himalia, options.switches)
            if options.idle:
                idle(browser, lab, himalia, options.idle)
        browser.close()


if __name__ == "__main__":
    main()
