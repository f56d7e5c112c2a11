"""What the fault tests share: a workload that notes what was acknowledged, ways to harm, and how to look."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from himalia_server.cli.api import Api, Refused
from himalia_server.cli.output import Failure
from himalia_server.service import lifecycle
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.site import Site
from tests.site.lab import TRAIN, Lab
from tests.waiting import wait_until

HIMALIA = [sys.executable, "-c", "from himalia_server.cli import main; main()"]
FRAME = {"dataframe_split": {"columns": ["a", "b"], "data": [[19.0, 0.0], [0.0, 19.0]]}}
ANSWER = {"predictions": [True, False]}
SLUG, ENDPOINT, CLUSTER = "soak", "soak", "local"
STAGES = {
    "make": {
        "notebook": "make.ipynb",
        "params": {"n": 3, "seconds": 0.5},
        "outputs": ["build/n.json"],
        "retries": 1,
        "retry_delay": "1s",
        "cache": "never",
    },
    "use": {
        "notebook": "use.ipynb",
        "inputs": ["build/n.json"],
        "outputs": ["build/m.json"],
        "retries": 1,
        "retry_delay": "1s",
        "cache": "never",
    },
}
NOTEBOOKS = {
    "make.ipynb": [
        "n = 1\nseconds = 0.5",
        "import pathlib, time\ntime.sleep(seconds)",
        "pathlib.Path('build/n.json').write_text(str(n))",
    ],
    "use.ipynb": ["seed = 1", "import pathlib\npathlib.Path('build/m.json').write_text(open('build/n.json').read())"],
    "train.ipynb": ["seed = 1", TRAIN],
}


def times(usual: int) -> int:
    """How often a fault is made: *usual* times, or as often as ``--times`` says."""
    return int(os.environ.get("HIMALIA_SOAK_TIMES") or usual)


def himalia(*words: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """The real command."""
    return subprocess.run([*HIMALIA, *words], capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class Ledger:
    """What was acknowledged, and what was seen."""

    runs: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    projects: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    """Ids whose end was asked for, whether or not that was acknowledged."""
    alias: str | None = None
    events: list[int] = field(default_factory=list)
    answered: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Sentences of requests that were not acknowledged."""

    def summary(self) -> str:
        """For the log of a test."""
        return (
            f"acknowledged: {len(self.runs)} runs, {len(self.keys)} tokens, {len(self.projects)} projects; "
            f"{len(self.events)} events seen; {self.answered} predictions answered, {self.unanswered} not; "
            f"refused: {sorted(set(self.refused))}"
        )


class Workload:
    """Threads that use a site as people do, each with the real client, which starts a dead service again."""

    def __init__(self, lab: Lab, ledger: Ledger) -> None:
        self.lab, self.ledger = lab, ledger
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._predictions: httpx.Client | None = None
        self._url = ""

    def start(self, *jobs: Callable[[Api], None]) -> None:
        """Run each of *jobs* again and again in a thread of its own."""
        for job in jobs:
            thread = threading.Thread(target=self._loop, args=(job,), name=job.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let each end what it does."""
        self.stopping.set()
        for thread in self._threads:
            if thread.name == "events":
                thread.join(5)  # it waits for an event that may never come
                continue
            thread.join(180)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def _loop(self, job: Callable[[Api], None]) -> None:
        api: Api | None = None
        while not self.stopping.is_set():
            try:
                api = api or Api(self.lab.site, lifecycle.ensure_running(self.lab.site))
                job(api)
            except (Failure, lifecycle.ServiceError, OSError) as error:
                self.ledger.refused.append(f"{job.__name__}: {error}")
                api = None
                time.sleep(0.2)

    def runs(self, api: Api) -> None:
        """Start a run; a run that was acknowledged is never lost."""
        run = api.post(f"/projects/{SLUG}/runs", {"params": {"make": {"n": len(self.ledger.runs)}}})
        self.ledger.runs.add(run["id"])
        deadline = time.monotonic() + 120
        while not self.stopping.is_set() and time.monotonic() < deadline:
            if api.get(f"/projects/{SLUG}/runs/{run['id']}")["ended_at"]:
                return
            time.sleep(0.5)

    def keys(self, api: Api) -> None:
        """Make an endpoint's token; end every second one."""
        path = f"/projects/{SLUG}/deployments/{ENDPOINT}/tokens"
        made = api.post(path, {"label": "soak", "days": 90})["id"]
        self.ledger.keys.add(made)
        if len(self.ledger.keys) % 2:
            self.ledger.asked.add(made)
            with contextlib.suppress(Refused):  # 404: the reply to an earlier attempt was lost
                api.request("DELETE", f"{path}/{made}")
            self.ledger.revoked.add(made)
        time.sleep(0.3)

    def projects(self, api: Api) -> None:
        """Make a project and remove it again."""
        name = f"p{len(self.ledger.projects)}"
        folder = self.lab.root / "projects" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "himalia.toml").write_text(f'[project]\nname = "{name}"\n')
        api.post("/projects", {"name": name, "path": str(folder)})
        self.ledger.projects.add(name)
        if len(self.ledger.projects) % 2:
            self.ledger.asked.add(name)
            with contextlib.suppress(Refused):
                api.request("DELETE", f"/projects/{name}", params={"purge": True})
            self.ledger.deleted.add(name)
        time.sleep(0.5)

    def aliases(self, api: Api) -> None:
        """Move an alias to and fro."""
        alias = f"a{int(time.monotonic())}"
        api.request("PUT", f"/projects/{SLUG}/models/tiny/aliases/{alias}", json={"version": "1"})
        self.ledger.alias = alias
        time.sleep(1)

    def events(self, api: Api) -> None:
        """Follow the events over restarts."""
        last = self.ledger.events[-1] if self.ledger.events else api.get("/service")["last_event"]
        for event in api.events(last):
            if event["topic"] != "reconnected":
                self.ledger.events.append(event["seq"])
            if self.stopping.is_set():
                return

    def predictions(self, api: Api) -> None:
        """Ask the endpoint; an answer is right or it is none."""
        if self._predictions is None:
            view = api.get(f"/projects/{SLUG}/deployments/{ENDPOINT}")
            token = api.post(f"/projects/{SLUG}/deployments/{ENDPOINT}/tokens", {"label": "soak", "days": 90})
            headers = {"Authorization": f"Bearer {token['token']}"}
            self._predictions = httpx.Client(headers=headers, trust_env=False, timeout=30)
            self._url = str(view["url"])
        try:
            reply = self._predictions.post(self._url, json=FRAME)
        except httpx.TransportError:
            self.ledger.unanswered += 1
            time.sleep(0.05)
            return
        if reply.status_code == 503:
            self.ledger.unanswered += 1
        elif reply.status_code != 200 or reply.json() != ANSWER:
            self.ledger.wrong.append(f"{reply.status_code} {reply.text[:200]}")
        else:
            self.ledger.answered += 1
        time.sleep(0.02)


def furnish(lab: Lab, *, cluster: bool = True, endpoint: bool = True) -> None:
    """A project with a pipeline and, unless told otherwise, a cluster and a model behind an endpoint."""
    folder = lab.project(SLUG, STAGES, NOTEBOOKS)
    lab.tracking_ready()
    if cluster:
        lab.post(f"/projects/{SLUG}/clusters", {"name": CLUSTER, "workers": 1, "memory_limit": "1GiB"})
    if endpoint:
        manifest = (folder / "himalia.toml").read_text()
        train = '[stages.train]\nnotebook = "train.ipynb"\noutputs = ["build/model.json"]\n'
        (folder / "himalia.toml").write_text(manifest.split("[stages")[0] + train)
        done = lab.wait_run(SLUG, lab.post(f"/projects/{SLUG}/runs")["id"])
        assert done["status"] == "succeeded", done
        (folder / "himalia.toml").write_text(manifest)
        lab.post(f"/projects/{SLUG}/deployments", {"name": ENDPOINT, "model": "models:/tiny/1"})
        wait_until(lambda: endpoint_state(lab) == "ready", 120, "the endpoint")
    if cluster:
        wait_until(lambda: cluster_view(lab)["workers"] == 1, 120, "the cluster")


def endpoint_state(lab: Lab) -> str:
    """The endpoint's state."""
    return str(lab.get(f"/projects/{SLUG}/deployments/{ENDPOINT}")["state"])


def cluster_view(lab: Lab) -> dict[str, Any]:
    """The cluster."""
    view: dict[str, Any] = lab.get(f"/projects/{SLUG}/clusters/{CLUSTER}")
    return view


def token(lab: Lab) -> str:
    """A predict-only token of the endpoint."""
    return str(lab.post(f"/projects/{SLUG}/deployments/{ENDPOINT}/tokens", {"label": "t", "days": 90})["token"])


def predict(lab: Lab, key: str) -> httpx.Response:
    """One prediction, asked at the endpoint's own address."""
    url = lab.get(f"/projects/{SLUG}/deployments/{ENDPOINT}")["url"]
    return httpx.post(url, json=FRAME, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60)


def service_processes(site: Site) -> list[psutil.Process]:
    """Living services of *site*, also those that have not written their state file yet."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.cmdline()[-1:] == ["himalia_server.service"]:
                mine = process.environ().get("HIMALIA_HOME") == str(site.home)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def kill(pid: int) -> None:
    """SIGKILL and wait for the end, also of a process that is not ours."""
    identity = ProcessIdentity.of(pid)
    if identity is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not identity.alive(), 20, f"the end of {pid}")


def descendants(lab: Lab, child: str) -> list[psutil.Process]:
    """A child of the service and all that it started, the child first."""
    pid = lab.child_pid(child)
    if pid is None:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at *folder*.

    Raises:
        PermissionError: mounting needs root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        raise PermissionError("mounting a small tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def no_space(folder: Path, *, spare: int = 0) -> Iterator[None]:
    """The disk that holds *folder* has *spare* bytes left, within the block."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * (1 << 16))
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 512)
    if spare:
        os.truncate(filler, filler.stat().st_size - spare)
    try:
        yield
    finally:
        filler.unlink()
