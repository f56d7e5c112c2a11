"""How quickly a large site answers.

    python -m tests.benchmarks.store [--projects 1000] [--runs 100] [--requests 400] [sqlite] [postgresql]

Fills a site with projects and runs, starts its service, and asks what the command line and JupyterLab ask: one caller
after the other, then four at once. The limit, what this machine can do, is the same server's /health, which asks no
database. Prints milliseconds; also the service's start on such a site.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
from sqlalchemy import insert, text

from himalia_server.service import lifecycle
from himalia_server.service.context import open_store
from himalia_server.service.journal import audit
from himalia_server.store import Database, EventRow, Member, Project, Run, StageRun, User
from tests.postgresql import running_postgresql
from tests.site.lab import Lab, running_lab

STAGES = ("prepare", "train", "score")
MANIFEST = "".join(f'[stages.{name}]\nnotebook = "{name}.ipynb"\n' for name in STAGES)
START = 1_790_000_000.0
KINDS = {"sqlite": False, "postgresql": True}
"""Whether a server has to be started for it."""
TARGET = 25.0
"""Milliseconds at the 99th percentile."""


def project_id(number: int) -> str:
    """As `new_id` forms them."""
    return f"{number:011x}{0:08x}"


def run_id(project: int, number: int) -> str:
    """As `new_id` forms them."""
    return f"{project * 1000 + number:011x}{1:08x}"


def fill(database: Database, folder: Path, user: str, projects: int, runs: int) -> None:
    """Projects of *user* with runs of three stages each, and what else grows with them."""
    for number in range(projects):
        slug = f"project-{number:04}"
        place = folder / slug
        place.mkdir(parents=True)
        (place / "himalia.toml").write_text(f'[project]\nname = "Project {number}"\n{MANIFEST}')
        with database.write() as session:
            id_ = project_id(number)
            session.execute(
                insert(Project),
                [
                    {
                        "id": id_,
                        "slug": slug,
                        "path": str(place),
                        "python": "python",
                        "kernelspec": f"himalia-{slug}",
                        "created_by": user,
                    }
                ],
            )
            session.execute(insert(Member), [{"project_id": id_, "user": user, "role": "owner"}])
            made = [run_id(number, index) for index in range(runs)]
            session.execute(
                insert(Run),
                [
                    {
                        "id": run,
                        "project_id": id_,
                        "status": random.choice(["succeeded", "succeeded", "failed"]),
                        "snapshot": f"sha256:{run:0>64}",
                        "manifest": {"stages": {name: {"notebook": f"{name}.ipynb"} for name in STAGES}},
                        "created_by": user,
                        "started_at": START,
                        "ended_at": START + 60,
                    }
                    for run in made
                ],
            )
            session.execute(
                insert(StageRun),
                [
                    {
                        "run_id": run,
                        "stage": name,
                        "position": position,
                        "status": "succeeded",
                        "params": {"n": position},
                        "outcome": {"status": "succeeded"},
                        "cells": 10,
                        "cell": 10,
                        "started_at": START,
                        "ended_at": START + 20,
                    }
                    for run in made
                    for position, name in enumerate(STAGES)
                ],
            )
            session.execute(
                insert(EventRow),
                [
                    {
                        "at": time.time(),
                        "project_id": id_,
                        "project": slug,
                        "topic": "run.changed",
                        "subject": run,
                        "data": {"status": "succeeded"},
                    }
                    for run in made
                ],
            )
            for _ in range(3):
                audit(session, actor=user, purpose="user", action="run.start", project=slug, subject=made[0])


def measure(ask: Callable[[], float], requests: int, callers: int) -> list[float]:
    """Sorted seconds of *requests* answers to so many callers at once."""
    with ThreadPoolExecutor(callers) as pool:
        return sorted(pool.map(lambda _index: ask(), range(requests)))


def line(name: str, seconds: list[float]) -> str:
    """A row of the table, in milliseconds."""
    at = [seconds[min(len(seconds) - 1, int(len(seconds) * share))] * 1000 for share in (0.5, 0.95, 0.99, 1)]
    late = "  over 25" if at[2] > TARGET else ""
    return f"{name:<44}" + "".join(f"{value:>9.1f}" for value in at) + late


def bench(kind: str, projects: int, runs: int, requests: int) -> None:
    """One kind of database."""
    with ExitStack() as stack:
        if KINDS[kind]:
            os.environ["HIMALIA_DATABASE_URL"] = stack.enter_context(running_postgresql()).database()
            stack.callback(os.environ.pop, "HIMALIA_DATABASE_URL", None)
        lab = stack.enter_context(running_lab())
        user = str(lab.get("/service")["user"])
        lab.tracking_ready()
        lab.stop()
        began = time.perf_counter()
        database = open_store(lab.site, lab.site.settings())
        fill(database, lab.root / "folders", user, projects, runs)
        with database.write() as session:
            assert session.query(User).count() > 0
            session.execute(text("ANALYZE"))  # PostgreSQL does so by itself, some minutes later
        database.close()
        print(f"\n{kind}: {projects} projects, {projects * runs} runs, filled in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        found = lifecycle.ensure_running(lab.site)
        print(f"the service answers after {time.perf_counter() - began:.2f} s")
        lab.found = found
        lab.tracking_ready()
        run(lab, projects, runs, requests)


def run(lab: Lab, projects: int, runs: int, requests: int) -> None:
    """Ask it all."""
    assert lab.found is not None
    client = httpx.Client(
        base_url=lab.url, headers={"Authorization": f"Bearer {lab.found.token()}"}, trust_env=False, timeout=60
    )

    def a_project() -> str:
        return f"project-{random.randrange(projects):04}"

    def asking(path: Callable[[], str]) -> Callable[[], float]:
        def ask() -> float:
            url = path()
            began = time.perf_counter()
            reply = client.get(url)
            seconds = time.perf_counter() - began
            assert reply.status_code == 200, reply.text
            return seconds

        return ask

    def a_run() -> str:
        number = random.randrange(projects)
        return f"/api/v1/projects/project-{number:04}/runs/{run_id(number, random.randrange(runs))}"

    asked: dict[str, Callable[[], str]] = {
        "/health (limit)": lambda: "/health",
        "one project": lambda: f"/api/v1/projects/{a_project()}",
        "projects, a page of 50": lambda: "/api/v1/projects",
        "projects, 50 from the middle": lambda: f"/api/v1/projects?cursor={project_id(projects // 2)}",
        "runs of a project, 20": lambda: f"/api/v1/projects/{a_project()}/runs?limit=20",
        "runs of a project, 100": lambda: f"/api/v1/projects/{a_project()}/runs?limit=100",
        "one run": a_run,
        "clusters of a project": lambda: f"/api/v1/projects/{a_project()}/clusters",
        "endpoints of a project": lambda: f"/api/v1/projects/{a_project()}/deployments",
        "audit log, 100 rows": lambda: "/api/v1/audit?limit=100",
        "the service": lambda: "/api/v1/service",
        "/metrics": lambda: "/api/v1/metrics",
    }
    for callers in (1, 4):
        print(f"\n{f'{callers} at once, {requests} requests each, ms':<44}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
        for name, path in asked.items():
            ask = asking(path)
            ask()
            print(line(name, measure(ask, requests, callers)), flush=True)
    client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.store")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="sqlite, postgresql (default: both)")
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--requests", type=int, default=400)
    options = parser.parse_args()
    unknown = set(options.kinds) - KINDS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    for kind in options.kinds or KINDS:
        bench(kind, options.projects, options.runs, options.requests)


if __name__ == "__main__":
    main()
