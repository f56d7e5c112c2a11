"""Each process on the thread: memory and start time; and what the demo's time goes into.

    python -m tests.benchmarks.thread

Runs `himalia demo` in a site of its own and prints two tables. PSS is the memory of a process with shared pages
counted in parts (Linux, `/proc/PID/smaps_rollup`). "started" is seconds from the demo's start to the process's start;
for MLflow, the cluster and the endpoint "ready" is when it answered. Times are wall seconds on a machine that may do
other things: the load average is printed with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import psutil

from tests.site.lab import Lab, running_lab

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]
NAMES = (
    ("himalia_server.service", "service"),
    ("supervisor_main.py", "supervisor"),
    ("_serve.py", "MLflow"),
    ("clusters.holder", "cluster holder"),
    ("_dask_main.py scheduler", "Dask scheduler"),
    ("_dask_main.py worker", "Dask worker"),
    ("replica.py", "replica"),
    ("himalia_server.gateway.worker", "gateway worker"),
    ("himalia_server.gateway", "gateway parent"),
    ("himalia_kernels.stage", "stage runner"),
    ("kernel_main.py", "stage kernel"),
)


def kind(command: list[str]) -> str | None:
    """What a command line is, in the words of the README."""
    text = " ".join(command)
    if "supervisor_main.py" in text:
        return "supervisor"
    return next((name for mark, name in NAMES if mark in text), None)


class Watch(threading.Thread):
    """Looks at the site's processes: their largest PSS, and when each began."""

    def __init__(self, lab: Lab, began: float) -> None:
        super().__init__(daemon=True)
        self.lab, self.began, self.stopped = lab, began, threading.Event()
        self.seen: dict[tuple[str, int], dict[str, float]] = {}

    def run(self) -> None:
        """Look once a second."""
        while not self.stopped.wait(1.0):
            for process in self.lab.processes():
                try:
                    name = kind(process.cmdline())
                    if name is None:
                        continue
                    pss = process.memory_full_info().pss
                    entry = self.seen.setdefault(
                        (name, process.pid), {"started": process.create_time() - self.began, "pss": 0.0}
                    )
                    entry["pss"] = max(entry["pss"], pss)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue


def readiness(lab: Lab, began: float, events: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds from the start at which MLflow, the cluster and the endpoint were ready, from the events."""
    found: dict[str, float] = {}
    wanted = {
        "MLflow": ("tracking.state", "running"),
        "cluster": ("cluster.state", "running"),
        "endpoint": ("deployment.state", "ready"),
    }
    for event in events:
        for name, (topic, state) in wanted.items():
            if event["topic"] == topic and event["data"].get("state") == state:
                found.setdefault(name, event["at"] - began)
    return found


def read_events(lab: Lab) -> list[dict[str, Any]]:
    """All events so far."""
    last = lab.get("/service")["last_event"]
    header = {"Authorization": f"Bearer {lab.found.token()}"} if lab.found else {}
    events = []
    with httpx.stream("GET", f"{lab.url}/api/v1/events?after=0", headers=header, trust_env=False) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
                if events[-1]["seq"] >= last:
                    return events
    return events


def main() -> None:
    """Measure and print."""
    with running_lab() as lab:
        lab.stop()
        began = time.time()
        watch = Watch(lab, began)
        watch.start()
        done = subprocess.run([*HIMALIA, "demo"], capture_output=True, text=True, check=False)
        took = time.time() - began
        watch.stopped.set()
        watch.join()
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        lab.start()
        ready = readiness(lab, began, read_events(lab))
    out = sys.stdout.write
    out(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n\n")
    out(f"{'process':<18}{'number':>7}{'PSS, MiB each':>16}{'started, s':>12}\n")
    kinds = dict.fromkeys(name for name, _ in sorted(watch.seen, key=lambda key: watch.seen[key]["started"]))
    for name in kinds:
        entries = [entry for (found, _), entry in watch.seen.items() if found == name]
        pss = "–".join(
            f"{value / 2**20:.0f}" for value in sorted({min(e["pss"] for e in entries), max(e["pss"] for e in entries)})
        )
        out(f"{name:<18}{len(entries):>7}{pss:>16}{min(e['started'] for e in entries):>12.1f}\n")
    out("\nready after: " + ", ".join(f"{name} {value:.1f} s" for name, value in ready.items()) + "\n\n")
    out("\n".join(line for line in done.stderr.splitlines() if " s)" in line or line.startswith("[")) + "\n")
    out(f"\nthe whole demo: {took:.1f} s\n")


if __name__ == "__main__":
    main()
