"""Secrets: set, given to kernels and stages, and in no other place. Two canaries are searched for everywhere."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from himalia_server.cli import main
from himalia_server.service.backup import back_up
from himalia_server.service.context import open_store
from himalia_server.service.keyring import Keyring
from himalia_server.store import Project, Secret
from tests.site.lab import Lab
from tests.site.test_security_accounts import leaks
from tests.site.test_thread_kernels import Session
from tests.waiting import wait_until

CANARIES = {
    "CANARY_TOKEN": "hm-canary-7f3A9k2LqZ81mXv5+/tail",
    # a name that a zygote would take for a setting of a library
    "ARROW_CANARY": "-----BEGIN CANARY-----\nQ2FuYXJ5TGluZU9uZTAxMjM0NTY3ODk\nZW5kT2ZDYW5hcnk5ODc2\n--END CANARY--",
}
PRINTING = "\n".join(
    [
        "import os, sys, time",
        "print(os.environ['CANARY_TOKEN']); display(os.environ['CANARY_TOKEN'])",
        "sys.stdout.write(os.environ['CANARY_TOKEN'][:9]); sys.stdout.flush(); time.sleep(0.3)",
        "print(os.environ['CANARY_TOKEN'][9:]); print(os.environ['ARROW_CANARY'], file=sys.stderr)",
        "os.system('echo past the notebook: $CANARY_TOKEN')",
        "os.write(2, os.environ['CANARY_TOKEN'].encode())",
        "print(dict(os.environ))",
    ]
)
RAISING = "\nraise ValueError('the password ' + os.environ['CANARY_TOKEN'] + ' is wrong')"
TRACKING = "import mlflow; mlflow.autolog(); mlflow.log_param('seen', len(__import__('os').environ['CANARY_TOKEN']))"


def put(lab: Lab, slug: str, name: str, value: Any, **kwargs: Any) -> Any:
    return lab.request("PUT", f"/projects/{slug}/secrets/{name}", json={"value": value}, **kwargs)


@pytest.fixture(scope="module")
def vaulted(lab: Lab) -> Iterator[str]:
    """A project with the canaries; one of its stages prints them, and says one in its error."""
    lab.tracking_ready()
    cells = {"quiet": TRACKING, "loud": PRINTING + RAISING}
    stages = {name: {"notebook": f"{name}.ipynb"} for name in cells}
    lab.project("vaulted", stages, {f"{name}.ipynb": ["x = 1", cell] for name, cell in cells.items()})
    for name, value in CANARIES.items():
        assert put(lab, "vaulted", name, value).status_code == 200
    yield "vaulted"
    lab.request("DELETE", "/projects/vaulted?remove_files=true")


def test_names_are_told_and_values_never(lab: Lab, vaulted: str) -> None:
    reply = put(lab, vaulted, "PLAIN", "first-value-of-plain")
    assert reply.status_code == 200
    assert "first-value" not in reply.text
    listed = lab.request("GET", f"/projects/{vaulted}/secrets")
    assert [item["name"] for item in listed.json()["items"]] == ["ARROW_CANARY", "CANARY_TOKEN", "PLAIN"]
    assert set(listed.json()["items"][0]) == {"name", "created_by", "changed_at", "problem"}
    for method in ("GET", "POST", "PATCH", "HEAD"):
        assert lab.request(method, f"/projects/{vaulted}/secrets/PLAIN").status_code in (404, 405)
    assert lab.request("DELETE", f"/projects/{vaulted}/secrets/PLAIN").status_code == 204
    gone = lab.request("DELETE", f"/projects/{vaulted}/secrets/PLAIN")
    assert (gone.status_code, gone.json()["hint"][:5]) == (404, "Known")


def test_what_cannot_be_a_secret_is_refused_without_repeating_the_value(lab: Lab, vaulted: str) -> None:
    value = "a-value-that-nobody-repeats"
    for name, sent, says in (
        ("HIMALIA_URL", value, "Himalia itself"),
        ("LD_PRELOAD", value, "which programs"),
        ("1A", value, "no name of an environment variable"),
        ("FINE", value + "\0", "NUL"),
        ("FINE", value * 3000, "65536"),
        ("FINE", "ü" * 40000, "64 KiB"),
        ("FINE", [value], "string"),
        ("FINE", "", "not empty"),
    ):
        reply = put(lab, vaulted, name, sent)
        assert (reply.status_code, says in reply.text) == (422, True), (name, reply.text)
        assert value not in reply.text
    for number in range(8):
        assert put(lab, vaulted, f"BIG_{number}", "x" * 65000).status_code == 200
    assert "together" in put(lab, vaulted, "BIG_8", "x" * 65000).text
    assert put(lab, vaulted, "BIG_7", "x" * 65001).status_code == 200
    for number in range(8):
        lab.request("DELETE", f"/projects/{vaulted}/secrets/BIG_{number}")


def test_secrets_are_the_owners(lab: Lab, vaulted: str) -> None:
    operator, contributor = lab.token(vaulted, "operator"), lab.token(vaulted, "contributor")
    kernel = lab.token(vaulted, "owner", "kernel", limit="contributor")
    for token in (operator, contributor, kernel):
        assert lab.request("GET", f"/projects/{vaulted}/secrets", token=token).status_code == 200
        assert put(lab, vaulted, "X", "not-theirs", token=token).status_code == 403
        assert lab.request("DELETE", f"/projects/{vaulted}/secrets/CANARY_TOKEN", token=token).status_code == 403
        assert lab.request("POST", "/secrets/rotate-key", token=token, json={}).status_code == 403
    assert lab.request("GET", f"/projects/{vaulted}/secrets", token=lab.token(vaulted, "viewer")).status_code == 403


def test_the_command_line_reads_a_value_and_never_an_argument(lab: Lab, vaulted: str) -> None:
    def run(*words: str, text: str = "") -> Result:
        return CliRunner().invoke(main, ["secret", *words], input=text)

    done = run("set", "FROM_STDIN", "-p", vaulted, text="two\nlines\n")
    assert "FROM_STDIN is set" in done.output
    assert run("set", "FROM_STDIN", "a-value", "-p", vaulted).exit_code != 0
    listed = run("list", "-p", vaulted, "--json")
    assert "FROM_STDIN" in [item["name"] for item in json.loads(listed.output)]
    with open_store(lab.site, lab.site.settings()).read() as session:
        project = session.scalar(select(Project).where(Project.slug == vaulted))
        assert project is not None
        row = session.get_one(Secret, (project.id, "FROM_STDIN"))
        keys = Keyring.read(lab.home / "secrets.key")
        assert keys.open(row.sealed, project.id, "FROM_STDIN") == "two\nlines"
    rotated = run("rotate-key", "--json")
    assert json.loads(rotated.output)["lost"] == []
    fresh = Keyring.read(lab.home / "secrets.key")
    assert len(fresh.keys) == 1
    assert set(fresh.keys).isdisjoint(keys.keys)
    assert run("delete", "FROM_STDIN", "-p", vaulted).exit_code == 0


def test_kernels_have_them_and_the_changed_ones_from_the_next_start(lab: Lab, vaulted: str) -> None:
    session = Session(lab.get(f"/projects/{vaulted}")["kernelspec"])
    try:
        # after a rotation of the key, too
        assert session.run("import os; print(os.environ['ARROW_CANARY'])").strip() == CANARIES["ARROW_CANARY"]
        reply = put(lab, vaulted, "LATER", "later-value").json()
        assert reply["running"] == 1
        assert "restart" in reply["note"]
        assert "None" in session.run("print(os.environ.get('LATER'))")
        session.manager.restart_kernel(now=True)
        session.client.wait_for_ready(timeout=60)
        assert "later-value" in session.run("import os; print(os.environ['LATER'])")
        lab.request("DELETE", f"/projects/{vaulted}/secrets/LATER")
        zygotes = [process for process in lab.processes("zygote") if "--multiprocessing" not in process.cmdline()]
        assert zygotes
        for process in zygotes:
            assert not leaks(CANARIES, json.dumps(process.environ()).encode()), process
    finally:
        session.close()


def test_a_lost_key_is_told_in_the_kernel_and_refuses_a_run(lab: Lab, vaulted: str) -> None:
    file, aside = lab.home / "secrets.key", lab.home / "secrets.aside"
    file.rename(aside)
    try:
        items = lab.get(f"/projects/{vaulted}/secrets")["items"]
        assert all("key file" in item["problem"] for item in items)
        session = Session(lab.get(f"/projects/{vaulted}")["kernelspec"])
        out = session.run("import os; print(os.environ.get('CANARY_TOKEN'))")
        session.close()
        assert "None" in out
        assert "Secrets of vaulted cannot be opened: ARROW_CANARY, CANARY_TOKEN" in out
        run = lab.wait_run(vaulted, lab.post(f"/projects/{vaulted}/runs")["id"])
        assert run["status"] == "failed"
        assert "cannot be opened" in json.dumps(run)
    finally:
        aside.rename(file)


def test_no_canary_in_any_place_but_the_kernels_environment(lab: Lab, vaulted: str, tmp_path: Path) -> None:
    commands: set[str] = set()
    run_id = lab.post(f"/projects/{vaulted}/runs")["id"]

    def ended() -> bool:
        time.sleep(0.25)
        for process in psutil.process_iter(["cmdline"]):
            commands.add(" ".join(process.info["cmdline"] or []))
        return str(lab.get(f"/projects/{vaulted}/runs/{run_id}")["status"]) in ("succeeded", "failed")

    wait_until(ended, 120, "the run")
    run = lab.get(f"/projects/{vaulted}/runs/{run_id}")
    assert {stage["name"]: stage["status"] for stage in run["stages"]} == {
        "quiet": "succeeded",
        "loud": "failed",
    }, run
    base = f"/projects/{vaulted}/runs/{run_id}/stages"
    said = {
        name: lab.request("GET", f"{base}/{name}").text for name in ("loud/notebook", "loud/log", "raising/notebook")
    }
    assert said["loud/notebook"].count("***") >= 6
    assert "past the notebook: ***" in said["loud/log"]
    assert "the password *** is wrong" in json.dumps(run)
    said["run"] = json.dumps(run)
    for path in ("/openapi.json", "/audit?limit=500", "/service", f"/projects/{vaulted}", "/metrics"):
        said[path] = lab.request("GET", path).text
    exported = lab.request("GET", f"/projects/{vaulted}/export")
    assert exported.status_code == 200, exported.text
    last = lab.get("/service")["last_event"]
    headers = {"Authorization": f"Bearer {lab.found.token() if lab.found else ''}"}
    with lab.http.stream("GET", f"{lab.url}/api/v1/events?after=0", headers=headers) as reply:
        told: list[str] = []
        for line in reply.iter_lines():
            told.append(line)
            if line.startswith("data: ") and json.loads(line[6:]).get("seq", 0) >= last:
                break
    said["events"] = "\n".join(told)
    assert "secret.set" in said["events"]
    doctor = [sys.executable, "-c", "from himalia_server.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(doctor, capture_output=True, text=True, timeout=120, check=False)
    said["doctor"] = done.stdout + done.stderr
    said |= {f"command {number}": command for number, command in enumerate(sorted(commands))}
    store = open_store(lab.site, lab.site.settings())
    said["database"] = ""
    with store.read() as session:
        for table in Secret.metadata.sorted_tables:
            said["database"] += "\n".join(repr(tuple(row)) for row in session.execute(select(table)))
    store.close()
    archive = tmp_path / "backup.tar.gz"
    back_up(lab.site, archive, with_projects=True, progress=lambda _text: None)
    files: dict[str, bytes] = {name: text.encode() for name, text in said.items()} | _unpacked(exported.content)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as members:
        assert "secrets.key" in members.getnames()
        for member in members:
            inside = members.extractfile(member)
            files[f"backup {member.name}"] = inside.read() if inside else b""
    roots = (lab.home, lab.site.runtime, lab.tmp, Path(lab.get(f"/projects/{vaulted}")["path"]), lab.root / "jupyter")
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                files[str(path)] = path.read_bytes()
    assert len(files) > 100
    # each line of a value that has several
    canaries = {
        f"{name} {number}": line for name, text in CANARIES.items() for number, line in enumerate(text.split("\n"))
    }
    found = {name: leaks(canaries, data) for name, data in files.items() if leaks(canaries, data)}
    found |= {
        f"{name} unzipped": leaks(canaries, gzip.decompress(data))
        for name, data in files.items()
        if data.startswith(b"\x1f\x8b") and leaks(canaries, gzip.decompress(data))
    }
    assert found == {}


def _unpacked(archive: bytes) -> dict[str, bytes]:
    """An exported project, and what is in it."""
    files = {"export": archive}
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        files |= {f"export {name}": members.read(name) for name in members.namelist()}
    assert len(files) > 2
    return files
