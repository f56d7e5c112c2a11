"""Environments of projects: built by uv from tiny packages, used by kernels and stages, shared, collected, killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_core.paths import jupyter_data_dir

from himalia_server.environments.lock import Lock, parse_lock
from himalia_server.environments.resolve import resolve
from himalia_server.environments.site_packages import find_python
from himalia_server.environments.source import read_source
from himalia_server.environments.uv import BuildFault, Uv, uv_program
from himalia_server.projects import EnvironmentTable
from tests.site.lab import Lab, running_lab
from tests.site.wheels import make_slow_sdist, make_wheel
from tests.waiting import wait_until

SOURCE = "--no-index\n--find-links wheels\n"


def make_project(lab: Lab, slug: str, lines: str, stage: list[str] | None = None, kind: str = "overlay") -> Path:
    """A project with two versions of `probe` in its wheels, that asks for *lines*."""
    stages = {"look": {"notebook": "look.ipynb", "outputs": ["build/seen.json"]}} if stage else {}
    folder = lab.project(slug, stages, {"look.ipynb": stage} if stage else {})
    for version in ("1.0", "2.0"):
        make_wheel(folder / "wheels", "probe", version)
    make_wheel(folder / "wheels", "early", "1.0", ["probe<2"])
    make_wheel(folder / "wheels", "late", "1.0", ["probe>=2"])
    make_wheel(folder / "wheels", "ipykernel", "99.0")
    ask(folder, lines)
    with (folder / "himalia.toml").open("a") as file:
        file.write(f'[environment]\nrequirements = "requirements.txt"\nkind = "{kind}"\n')
    return folder


def ask(folder: Path, lines: str) -> None:
    (folder / "requirements.txt").write_text(SOURCE + lines + "\n")


def view_of(lab: Lab, slug: str) -> Any:
    return lab.get(f"/projects/{slug}/environment")


def build(lab: Lab, slug: str, **body: Any) -> Any:
    return lab.post(f"/projects/{slug}/environment", body, status=202)


def ended(lab: Lab, slug: str, state: str = "ready", timeout: float = 30) -> Any:
    def over() -> Any:
        view = view_of(lab, slug)
        return view if view["state"] != "building" else None

    view = wait_until(over, timeout, f"the end of the build of {slug}")
    assert view["state"] == state, (view, log_of(lab, slug))
    return view


def log_of(lab: Lab, slug: str, **query: Any) -> str:
    reply = lab.request("GET", f"/projects/{slug}/environment/log", params=query)
    assert reply.status_code == 200, reply.text
    return reply.text


def spec_python(lab: Lab, slug: str) -> str:
    name = lab.get(f"/projects/{slug}")["kernelspec"]
    document = json.loads((Path(jupyter_data_dir()) / "kernels" / name / "kernel.json").read_text())
    return str(document["argv"][0])


class Probe:
    """A kernel of a project, asked with one expression at a time."""

    def __init__(self, lab: Lab, slug: str) -> None:
        self.manager = KernelManager(kernel_name=lab.get(f"/projects/{slug}")["kernelspec"])
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def ask(self, expression: str) -> str:
        reply = self.client.execute_interactive(
            "", user_expressions={"answer": expression}, timeout=60, output_hook=lambda _message: None
        )
        answer = reply["content"]["user_expressions"]["answer"]
        assert answer["status"] == "ok", answer
        return str(answer["data"]["text/plain"])

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def test_each_project_sees_its_own_version(lab: Lab) -> None:
    lab.tracking_ready()
    look = [
        "x = 1",
        "import json, probe, sys\njson.dump([probe.__version__, sys.prefix], open('build/seen.json', 'w'))",
    ]
    one, two = make_project(lab, "env-one", "early"), make_project(lab, "env-two", "late", stage=look)
    assert view_of(lab, "env-one")["state"] == "none"
    assert build(lab, "env-one")["result"] == "started"
    run = lab.post("/projects/env-two/runs", {})  # of itself it has the environment built, and waits for it
    waiting = wait_until(lambda: lab.get(f"/projects/env-two/runs/{run['id']}")["stages"][0]["reason"], 10, "the wait")
    assert "the environment is being built" in waiting
    first, second = ended(lab, "env-one"), ended(lab, "env-two")
    assert first["digest"].startswith("sha256:")
    assert first["digest"] != second["digest"]
    assert first["packages"] == 2
    assert first["interpreter"] == spec_python(lab, "env-one")
    assert "early==1.0" in (one / ".himalia/environment.lock").read_text()
    assert str(one) not in (one / ".himalia/environment.lock").read_text()
    kernels = [Probe(lab, "env-one"), Probe(lab, "env-two")]
    try:
        seen = [kernel.ask("(__import__('probe').__version__, __import__('sys').executable)") for kernel in kernels]
        assert seen == [f"('1.0', '{first['interpreter']}')", f"('2.0', '{second['interpreter']}')"]
        # over the site's own packages
        assert kernels[0].ask("'pandas' in __import__('importlib').import_module('pandas').__name__") == "True"
        assert view_of(lab, "env-one")["kernels_outdated"] == []

        # another version: the kernel that runs is told of, and sees it after its restart
        ask(one, "probe==2.0")
        view = view_of(lab, "env-one")
        assert (view["state"], view["digest"]) == ("outdated", first["digest"])
        assert "requirements.txt" in view["reason"]
        build(lab, "env-one")
        changed = ended(lab, "env-one")
        assert changed["kernels_outdated"] == [kernels[0].manager.kernel_id]
        assert kernels[0].ask("__import__('probe').__version__") == "'1.0'"
        kernels[0].close()
        kernels[0] = Probe(lab, "env-one")
        assert kernels[0].ask("__import__('probe').__version__") == "'2.0'"
        assert view_of(lab, "env-one")["kernels_outdated"] == []
    finally:
        for kernel in kernels:
            kernel.close()

    ran = lab.wait_run("env-two", run["id"])
    assert ran["status"] == "succeeded", ran
    assert ran["environment"] == second["digest"]
    version, prefix = json.loads((two / "build/seen.json").read_text())
    assert (version, prefix) == ("2.0", str(Path(second["interpreter"]).parents[1]))


def test_what_is_up_to_date_is_not_built_and_what_is_alike_is_shared(lab: Lab) -> None:
    make_project(lab, "env-first", "early")
    build(lab, "env-first")
    first = ended(lab, "env-first")
    before = log_of(lab, "env-first")
    assert build(lab, "env-first")["result"] == "unchanged"
    assert view_of(lab, "env-first")["build"]["id"] == first["build"]["id"]
    assert log_of(lab, "env-first") == before

    # another source, the same packages: one environment
    other = make_project(lab, "env-alike", "early==1.0")
    build(lab, "env-alike")
    alike = ended(lab, "env-alike")
    assert alike["interpreter"] == first["interpreter"]
    assert alike["shared_with"] >= 1
    assert "on the disk already" in log_of(lab, "env-alike")

    # a clone with the lock needs neither uv nor a process: it is there at once
    twin = make_project(lab, "env-twin", "early==1.0")
    (twin / ".himalia").mkdir(exist_ok=True)
    (twin / ".himalia/environment.lock").write_text((other / ".himalia/environment.lock").read_text())
    answer = build(lab, "env-twin")
    assert answer["result"] == "switched"
    assert answer["environment"]["state"] == "ready"
    assert answer["environment"]["interpreter"] == first["interpreter"] == spec_python(lab, "env-twin")

    # without [environment] it is the site's again, at once
    toml = twin / "himalia.toml"
    toml.write_text(toml.read_text().partition("[environment]")[0])
    answer = build(lab, "env-twin")
    assert (answer["result"], answer["environment"]["state"]) == ("switched", "shared")
    assert answer["environment"]["interpreter"] == spec_python(lab, "env-twin") != first["interpreter"]
    assert build(lab, "env-twin")["result"] == "unchanged"

    names = {item["name"]: item for item in lab.get("/projects/env-alike/environment/packages")["items"]}
    assert {name: item["version"] for name, item in names.items()} == {"early": "1.0", "probe": "1.0"}


def test_a_failed_build_leaves_what_was_there(lab: Lab) -> None:
    look = ["x = 1", "import probe"]
    folder = make_project(lab, "env-fails", "early", stage=look)
    build(lab, "env-fails")
    good = ended(lab, "env-fails")
    lock = (folder / ".himalia/environment.lock").read_text()
    ask(folder, "early\nlate")
    after = lab.get("/service")["last_event"]
    build(lab, "env-fails")
    failed = ended(lab, "env-fails", "failed")
    assert failed["package"] in ("early", "late")
    assert "No versions fit together" in failed["error"]
    assert failed["digest"] == good["digest"]
    assert spec_python(lab, "env-fails") == good["interpreter"]
    assert (folder / ".himalia/environment.lock").read_text() == lock
    assert "No solution found" in log_of(lab, "env-fails")
    events = [event["topic"] for event in events_of(lab, after, "env-fails")]
    assert events[0] == "environment.building"
    assert events[-1] == "environment.failed"
    # a run is refused with the reason; a kernel starts in what was there, and says so
    reply = lab.request("POST", "/projects/env-fails/runs", json={})
    assert reply.status_code == 409
    assert "No versions fit together" in reply.json()["detail"]
    granted = lab.post("/projects/env-fails/kernels", {"kernel_id": "env-fails-k", "pid": os.getpid()})
    assert granted["python"] == good["interpreter"]
    assert granted["environment"]["digest"] == good["digest"]
    assert "could not be built" in granted["env"]["HIMALIA_NOTES"]
    lab.request("DELETE", "/projects/env-fails/kernels/env-fails-k")
    # a source that cannot be read at all
    ask(folder, "-r /etc/hostname")
    reply = lab.request("POST", "/projects/env-fails/environment", json={})
    assert reply.status_code == 422
    assert "leads out of the project" in reply.json()["detail"]
    assert view_of(lab, "env-fails")["state"] == "failed"


def test_a_lock_as_it_is_given(lab: Lab) -> None:
    folder = make_project(lab, "env-locked", "probe")
    toml = folder / "himalia.toml"
    toml.write_text(toml.read_text().replace('requirements = "requirements.txt"', 'lock = "locked.txt"'))
    wheel = next((folder / "wheels").glob("probe-1.0*"))
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "locked.txt").write_text(f"{SOURCE}probe==1.0 --hash=sha256:{'0' * 64}\n")
    build(lab, "env-locked")
    failed = ended(lab, "env-locked", "failed")
    assert failed["package"] == "probe"
    assert "hash differs" in failed["error"]
    assert failed["digest"] == "shared"
    assert not (folder / ".himalia/environment.lock").exists()
    (folder / "locked.txt").write_text(f"{SOURCE}probe==1.0 --hash=sha256:{good}\n")
    build(lab, "env-locked")
    view = ended(lab, "env-locked")
    assert "pip compile" not in log_of(lab, "env-locked")
    assert good in (folder / ".himalia/environment.lock").read_text()

    # its folder is removed by hand: a kernel starts all the same, and the next build makes it anew
    shutil.rmtree(Path(view["interpreter"]).parents[1])
    granted = lab.post("/projects/env-locked/kernels", {"kernel_id": "env-locked-k", "pid": os.getpid()})
    assert granted["environment"]["digest"] == "shared"
    assert "are gone" in granted["env"]["HIMALIA_NOTES"]
    lab.request("DELETE", "/projects/env-locked/kernels/env-locked-k")
    assert build(lab, "env-locked")["result"] == "started"
    assert ended(lab, "env-locked")["interpreter"] == view["interpreter"]


def test_versions_stay_where_they_can(tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(tmp_path / "wheels", "probe", version)
    ask(tmp_path, "probe<3")
    source = read_source(tmp_path, EnvironmentTable(requirements="requirements.txt"))
    assert source is not None
    uv = Uv(tmp_path, dict(os.environ), lambda _step: None)
    python = find_python(None, uv.program, {})
    assert python is not None

    def version_of(site: dict[str, str], before: Lock | None) -> str:
        return resolve(uv, tmp_path, tmp_path, source, python, site, before).entries[0].version

    newest = resolve(uv, tmp_path, tmp_path, source, python, {}, None)
    assert newest.entries[0].version == "2.0"
    assert resolve(uv, tmp_path, tmp_path, source, python, {}, newest).text == newest.text
    assert version_of({"probe": "1.0"}, None) == "1.0"  # the site's
    assert version_of({"probe": "3.0"}, None) == "2.0"  # which the source does not allow
    assert version_of({}, parse_lock("probe==1.0")) == "1.0"  # the lock's before
    assert version_of({"probe": "1.0"}, newest) == "1.0"  # both: nothing is to be installed then


def events_of(lab: Lab, after: int, slug: str) -> list[dict[str, Any]]:
    """Events of environments of a project, up to the end of a build."""
    assert lab.found is not None
    found = []
    headers = {"Authorization": f"Bearer {lab.found.token()}"}
    with lab.http.stream("GET", f"{lab.url}/api/v1/events?after={after}", headers=headers) as reply:
        for line in reply.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if event.get("project") == slug and event["topic"].startswith("environment."):
                found.append(event)
                if event["topic"] in ("environment.ready", "environment.failed", "environment.cancelled"):
                    break
    return found


def test_a_lock_of_uv_that_is_older_than_its_project_is_refused(tmp_path: Path) -> None:
    for name in ("probe", "late"):
        make_wheel(tmp_path / "wheels", name, "1.0")
    head = '[project]\nname = "Some.Project"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = '
    tail = '\n[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n'
    (tmp_path / "pyproject.toml").write_text(f"{head}['Probe ~= 1.0; python_version < \"3.99\"']{tail}")
    subprocess.run([uv_program(), "lock", "--offline", "--quiet"], cwd=tmp_path, check=True, timeout=60)
    table = EnvironmentTable(pyproject="pyproject.toml")
    place = tmp_path / "place"
    place.mkdir()
    uv = Uv(tmp_path, dict(os.environ), lambda _step: None)
    python = find_python(None, uv_program(), dict(os.environ))
    assert python is not None

    def locked() -> set[str]:
        source = read_source(tmp_path, table)
        assert source is not None
        return resolve(uv, tmp_path, place, source, python, {}, None).names

    assert locked() == {"probe"}
    (tmp_path / "pyproject.toml").write_text(f"{head}['probe~=1.0', 'late']{tail}")
    with pytest.raises(BuildFault, match=r"late is asked for\. Run `uv lock` in"):
        locked()
    subprocess.run([uv_program(), "lock", "--offline", "--quiet"], cwd=tmp_path, check=True, timeout=60)
    assert locked() == {"late", "probe"}


def test_an_isolated_one_has_a_kernel_and_who_may_do_what(lab: Lab) -> None:
    make_project(lab, "env-alone", "probe", kind="isolated")
    viewer = lab.token("env-alone", "viewer")
    path = "/projects/env-alone/environment"
    assert lab.request("GET", path, token=viewer).status_code == 200
    assert lab.request("POST", path, token=viewer, json={}).status_code == 403
    assert lab.request("DELETE", path, token=viewer).status_code == 403
    assert lab.request("GET", path, token=lab.token("tiny", "owner")).status_code == 404
    assert lab.request("POST", "/environments/prune", token=viewer, json={}).status_code == 403
    assert lab.request("DELETE", path).status_code == 409
    assert lab.request("GET", path + "/log").status_code == 404
    assert lab.request("POST", path, json={"upgrade": 1}).status_code == 422
    build(lab, "env-alone")
    log = log_of(lab, "env-alone", follow=True)  # to the build's end
    assert "kernels need it" in log
    assert log.rstrip().splitlines()[-1].startswith("Ready after")
    view = ended(lab, "env-alone")
    assert (view["kind"], view["packages"]) == ("isolated", 2)
    assert log_of(lab, "env-alone", offset=len(log) - 10) == log[-10:]


def begun(lab: Lab, gate: Path) -> int:
    """The pid of the build's process, once it waits at the gate."""
    wait_until(Path(f"{gate}.reached").exists, 60, "the build at its gate")
    Path(f"{gate}.reached").unlink()
    found = builder(lab)
    assert found is not None
    return found


def builder(lab: Lab) -> int | None:
    """The pid of the process that builds, if one does."""
    children = lab.get("/service")["children"]
    return next((child["pid"] for child in children if child["name"].startswith("build-")), None)


@pytest.mark.parametrize("how", ["by a person", "with its project"])
def test_a_build_that_is_stopped_leaves_nothing(lab: Lab, tmp_path: Path, how: str) -> None:
    gate, slug = tmp_path / "gate", f"env-{how.replace(' ', '-')}"
    folder = make_project(lab, slug, "slowly")
    make_slow_sdist(folder / "wheels", "slowly", "1.0", gate)
    gate.touch()
    build(lab, slug)
    begun(lab, gate)
    before = len(list((lab.home / "environments").glob("*/")))
    if how == "with its project":
        lab.post(f"/projects/{slug}/archive", status=200)
        wait_until(lambda: builder(lab) is None, 20, "the end of the build's process")
        lab.post(f"/projects/{slug}/unarchive", status=200)
        view = view_of(lab, slug)
    else:
        view = lab.request("DELETE", f"/projects/{slug}/environment").json()
    assert (view["state"], view["digest"], view["build"]["state"]) == ("none", "shared", "cancelled")
    wait_until(lambda: builder(lab) is None, 20, "the end of the build's process")
    wait_until(lambda: not lab.processes("slowly"), 20, "the end of uv and of what it builds")
    wait_until(lambda: not list((lab.home / "environments" / ".builds").iterdir()), 20, "its files to be gone")
    assert len(list((lab.home / "environments").glob("*/"))) <= before
    assert not (folder / ".himalia/environment.lock").exists()
    # a kernel does not begin again what a person has stopped
    granted = lab.post(f"/projects/{slug}/kernels", {"kernel_id": f"{slug}-k", "pid": os.getpid()})
    assert f"himalia environment build --project {slug}" in granted["env"]["HIMALIA_NOTES"]
    assert builder(lab) is None
    lab.request("DELETE", f"/projects/{slug}/kernels/{slug}-k")


def test_a_build_that_is_killed_is_made_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running_lab() as lab:
        folder = make_project(lab, "env-slow", "slowly\nprobe")
        make_slow_sdist(folder / "wheels", "slowly", "1.0", gate)
        gate.touch()
        # a kernel does not wait: it has the first build begun, and says so
        granted = lab.post("/projects/env-slow/kernels", {"kernel_id": "slow-k", "pid": os.getpid()})
        assert granted["environment"]["digest"] == "shared"
        assert "still being built" in granted["env"]["HIMALIA_NOTES"]
        pid = begun(lab, gate)
        assert build(lab, "env-slow")["result"] == "running"
        wait_until(lambda: "slowly" in (view_of(lab, "env-slow")["build"]["step"] or ""), 20, "what it does")
        os.kill(pid, signal.SIGKILL)
        again = begun(lab, gate)
        assert again != pid

        # the service is killed: the build goes on without it, and the next service hears of its end
        lab.kill_service()
        lab.start()
        assert view_of(lab, "env-slow")["state"] == "building"
        wait_until(lambda: builder(lab) == again, 20, "the adoption of the build")
        gate.unlink()
        view = ended(lab, "env-slow")
        assert view["packages"] == 2
        assert view["kernels_outdated"] == ["slow-k"]
        assert "environment.step" in [event["topic"] for event in events_of(lab, 0, "env-slow")]
        wait_until(lambda: not list((lab.home / "environments" / ".builds").iterdir()), 20, "its files to be gone")
