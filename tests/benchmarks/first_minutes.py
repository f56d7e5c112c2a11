"""Whether JupyterLab stays quick while everything starts behind it.

    python -m tests.benchmarks.first_minutes

Starts a Jupyter server on a new site, asks it the same small question ten times a second, first while nothing goes on
(the limit: what this machine can do), then while `himalia demo` starts the service, MLflow and a cluster, trains six
models and deploys one. Prints how long the answers took, of Jupyter itself and of the service through Jupyter.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.site.lab import running_lab
from tests.ui.jupyter import TOKEN, Jupyter

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]
EVERY = 0.1
QUIET_SECONDS = 20.0


@dataclass
class Series:
    """Seconds that answers took; None for what was refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0

    def line(self, name: str) -> str:
        """A row of the table, in milliseconds."""
        if not self.seconds:
            return f"{name:<44}{'no answer':>10}"
        ordered = sorted(self.seconds)
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99, 1)]
        return f"{name:<44}{len(ordered):>8}" + "".join(f"{value * 1000:>9.1f}" for value in at)


class Asker(threading.Thread):
    """Asks one address ten times a second."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.series, self.ended = url, Series(), threading.Event()

    def run(self) -> None:
        """Until `ended`."""
        headers = {"Authorization": f"token {TOKEN}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=120) as client:
            while not self.ended.wait(EVERY):
                began = time.perf_counter()
                if client.get(self.url).status_code == 200:
                    self.series.seconds.append(time.perf_counter() - began)
                else:
                    self.series.refused += 1


def measure(urls: dict[str, str], seconds: float | None, demo: subprocess.Popen[bytes] | None) -> dict[str, Series]:
    """Ask all addresses until the time is over or the demo has ended."""
    askers = {name: Asker(url) for name, url in urls.items()}
    for asker in askers.values():
        asker.start()
    if demo is not None:
        demo.wait()
    elif seconds is not None:
        time.sleep(seconds)
    for asker in askers.values():
        asker.ended.set()
        asker.join()
    return {name: asker.series for name, asker in askers.items()}


def main() -> None:
    """Measure and print."""
    with running_lab() as lab:
        lab.stop()
        jupyter = Jupyter(Path(lab.root) / "jl", Path(lab.root) / "files")
        jupyter.start()
        try:
            own = {"Jupyter (GET api/status)": jupyter.url + "api/status"}
            through = {"service through Jupyter (GET projects)": jupyter.url + "himalia/api/v1/projects"}
            starts = []
            for _ in range(3):
                began = time.perf_counter()
                lab.start()
                starts.append(time.perf_counter() - began)
                lab.stop()
            quiet = measure(own, QUIET_SECONDS, None)
            demo = subprocess.Popen([*HIMALIA, "demo", "--json"], stdout=subprocess.DEVNULL)
            began = time.perf_counter()
            busy = measure(own | through, None, demo)
            took = time.perf_counter() - began
            print(f"service answers after {statistics.median(starts):.2f} s (of 3: {max(starts):.2f} s at most)")
            print(f"demo {took:.1f} s, exit code {demo.returncode}; load {os.getloadavg()[0]:.1f}")
            print(f"{'milliseconds':<44}{'answers':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
            for name, series in quiet.items():
                print(series.line(f"{name}, nothing going on"))
            for name, series in busy.items():
                print(series.line(f"{name}, during the demo"))
        finally:
            jupyter.stop()


if __name__ == "__main__":
    main()
