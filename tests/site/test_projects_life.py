"""Projects on a real site: made from git, exported and imported, archived, trashed, moved; also when the service is
killed in the middle."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from himalia_server.cli import main
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

SLOW_GIT = """\
#!/bin/sh
# writes half of a clone, then waits until it is told to go on
for target in "$@"; do :; done
if [ "$1" = clone ] && [ -e "{flag}" ]; then
    mkdir -p "$target/.git"
    echo "half" > "$target/half.ipynb"
    while [ -e "{flag}" ]; do printf 'Receiving objects:  42%% (42/100)\\r' >&2 || exit 1; sleep 0.05; done
    rm -rf "$target"
fi
exec {git} "$@"
"""
COMMIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def repository(folder: Path, **files: str) -> Path:
    """A git repository with one commit."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=os.environ | COMMIT)
    return folder


def himalia(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("himalia")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def work(lab: Lab) -> Iterator[Path]:
    """A folder for projects; what is made during the module is purged at its end."""
    lab.tracking_ready()
    before = {project["slug"] for project in lab.get("/projects?limit=200")["items"]}
    yield lab.root / "work"
    for which in ("", "&archived=true", "&trashed=true"):
        for project in lab.get(f"/projects?limit=200{which}")["items"]:
            if project["slug"] not in before:
                path = f"/projects/{project['slug']}?purge=true&remove_files=true"
                assert lab.request("DELETE", path).status_code == 204


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_from_git_and_what_is_refused(lab: Lab, work: Path) -> None:
    source = repository(work / "source", **{"a.py": "x = 1\n"})
    made = lab.post("/projects", {"git": str(source), "path": str(work / "cloned")})
    assert (made["slug"], made["problem"]) == ("source", None)
    text = (work / "cloned" / "himalia.toml").read_text()
    assert text.startswith("#:schema ./.himalia/")
    assert (work / "cloned" / ".himalia" / "himalia.schema.json").is_file()
    status = subprocess.run(["git", "-C", str(work / "cloned"), "status", "-s"], capture_output=True, text=True)
    assert status.stdout == "?? himalia.toml\n"
    again = lab.post("/projects", {"git": str(source), "path": str(work / "again")})
    assert again["slug"] == "source-2"
    before = names(work)
    for address in (
        "https://ada:canary-secret@git.example/x.git",
        "https://canary-token@git.example/x.git",
        "ext::sh -c touch%20canary",
        "--upload-pack=touch canary",
        str(work / "nowhere"),
        f"file://{work}/canary-nothing",
    ):
        reply = lab.request("POST", "/projects", json={"name": "refused", "git": address, "path": str(work / "no")})
        assert reply.status_code == 422, reply.text
        assert "canary-secret" not in reply.text
        assert "canary-token" not in reply.text
        assert reply.json()["hint"]
    assert names(work) == before
    assert "canary-secret" not in lab.site.log("service").read_text()
    assert lab.get("/project-names?name=Source")["suggestion"] == "source-3"


def test_an_export_is_the_same_elsewhere(lab: Lab, work: Path) -> None:
    folder = work / "exported"
    lab.post("/projects", {"name": "exported", "template": "classification", "path": str(folder)})
    (folder / "data").mkdir()
    (folder / "data" / "in.csv").write_text("a\n1\n")
    (folder / "data" / "secret.csv").write_text("undeclared")
    manifest = (folder / "himalia.toml").read_text()
    (folder / "himalia.toml").write_text(
        manifest.replace("[stages.prepare]", '[stages.prepare]\ninputs = ["data/in.csv"]')
    )
    (folder / "build").mkdir()
    (folder / "build" / "model.json").write_text("{}")
    one, two = (lab.request("GET", "/projects/exported/export") for _ in range(2))
    assert one.content == two.content
    with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
        held = archive.namelist()
    assert {"himalia.toml", "README.md", "src/tumours.py", "data/in.csv"} <= set(held)
    assert not {"data/secret.csv", "build/model.json", ".himalia/project.json"} & set(held)
    with_results = lab.request("GET", "/projects/exported/export?data=false&outputs=true").content
    assert {"build/model.json"} <= set(zipfile.ZipFile(io.BytesIO(with_results)).namelist())

    key = uuid.uuid4().hex
    url = f"/project-imports?path={work}/imported"
    replies = [lab.request("POST", url, content=one.content, headers={"Idempotency-Key": key}) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [201, 201], replies[0].text
    assert replies[0].json()["slug"] == replies[1].json()["slug"] == "exported-2"
    slug = replies[0].json()["slug"]
    assert lab.request("GET", f"/projects/{slug}/export").headers["etag"] == one.headers["etag"]
    assert (work / "imported" / "data" / "in.csv").read_text() == "a\n1\n"

    copy = lab.post(f"/projects/{slug}/clone", {"name": "third", "path": str(work / "third"), "data": True})
    assert (copy["name"], (work / "third" / "data" / "in.csv").read_text()) == ("third", "a\n1\n")
    damaged = bytearray(one.content)
    damaged[len(damaged) // 2] ^= 1
    reply = lab.request("POST", f"/project-imports?name=bad&path={work}/bad", content=bytes(damaged))
    assert reply.status_code == 422, reply.text
    assert not (work / "bad").exists()
    assert names(lab.home / "transfers") == []


def test_manifest_over_rest(lab: Lab, work: Path) -> None:
    folder = work / "edited"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text("# mine\n[project]\nname = 'e'\n")
    lab.post("/projects", {"name": "edited", "path": str(folder)})
    held = lab.get("/projects/edited/manifest")
    edits = [{"op": "set", "path": ["project", "description"], "value": "said"}]
    body = {"base_digest": held["digest"], "edits": edits}
    reply = lab.request("PATCH", "/projects/edited/manifest", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["text"] == (folder / "himalia.toml").read_text()
    assert "# mine" in reply.json()["text"]
    assert lab.request("PATCH", "/projects/edited/manifest", json=body).status_code == 409
    (folder / "himalia.toml").write_text("[project]\nnam = 'e'\n[stages.a]\nnotebook = 'a.ipynb'\n")
    found = lab.get("/projects/edited/problems")["items"]
    assert [(problem["line"], problem["key"]) for problem in found] == [
        (1, "project.name"),
        (2, "project.nam"),
        (4, "stages.a.notebook"),
    ]
    assert lab.get("/projects/edited")["problem"].startswith("himalia.toml, line 2, project.nam")
    text = "[stages.a]\nnotebook = '"
    (folder / "b.ipynb").write_text("{}")
    asked = {"text": text, "line": 2, "column": 13, "project": "edited"}
    assert [item["label"] for item in lab.post("/manifest/complete", asked, status=200)["items"]] == ["b.ipynb"]
    hidden = lab.request("POST", "/manifest/complete", token=lab.token("tiny", "owner"), json=asked)
    assert hidden.status_code == 404
    assert himalia("project", "check", "edited", code=1).stdout.count("error:") == 3


def test_archive_rests_and_comes_back(lab: Lab, work: Path) -> None:
    """Endpoints are in tests/site/test_thread_serving.py's reach: here runs, clusters, kernels and lists."""
    folder = lab.project(
        "resting", {"wait": {"notebook": "w.ipynb"}}, {"w.ipynb": ["n = 1", "import time\ntime.sleep(600)"]}
    )
    run = lab.post("/projects/resting/runs")["id"]
    lab.post("/projects/resting/clusters", {"name": "c", "workers": 1})
    kernel = lab.request("POST", "/projects/resting/kernels", json={"kernel_id": "k-rest", "pid": os.getpid()}).json()
    token = Path(kernel["token_file"]).read_text().strip()
    assert lab.request("GET", "/projects/resting", token=token).status_code == 200
    spec = lab.root / "jupyter" / "kernels" / lab.get("/projects/resting")["kernelspec"]
    assert spec.is_dir()
    removal = lab.get("/projects/resting/removal")
    assert (removal["running"], removal["clusters"], removal["files"] >= 2) == (1, ["c"], True)
    assert removal["kernels"] == 1

    view = lab.post("/projects/resting/archive", status=200)
    assert view["archived_at"]
    assert lab.get(f"/projects/resting/runs/{run}")["status"] == "cancelled"
    assert lab.get("/projects/resting/clusters")["items"] == []
    assert lab.request("GET", "/projects/resting", token=token).status_code == 401
    assert lab.get("/projects/resting/removal")["kernels"] == 0
    assert not spec.exists()
    assert "resting" not in [one["slug"] for one in lab.get("/projects?limit=200")["items"]]
    assert "resting" in [one["slug"] for one in lab.get("/projects?archived=true")["items"]]
    reply = lab.request("POST", "/projects/resting/runs", json={})
    assert (reply.status_code, "unarchive" in reply.json()["hint"]) == (409, True)
    assert lab.post("/projects/resting/unarchive", status=200)["archived_at"] is None
    assert spec.is_dir()

    assert lab.request("DELETE", "/projects/resting?remove_files=true").status_code == 204
    assert not folder.exists()
    assert lab.request("GET", "/projects/resting").status_code == 404
    assert lab.request("GET", "/projects/resting/runs").status_code == 404
    trashed = [one for one in lab.get("/projects?trashed=true")["items"] if one["slug"] == "resting"]
    assert trashed[0]["purged_at"] - trashed[0]["trashed_at"] == 30 * 86400
    taken = lab.request("POST", "/projects", json={"name": "resting", "template": "blank"})
    assert (taken.status_code, "restore resting" in taken.json()["hint"]) == (409, True)
    lab.post("/projects/resting/restore", status=200)
    assert (folder / "w.ipynb").is_file()
    assert [one["id"] for one in lab.get("/projects/resting/runs")["items"]] == [run]
    assert lab.request("DELETE", "/projects/resting?purge=true&remove_files=true").status_code == 204
    assert names(folder.parent).count(folder.name) == 0
    assert not [name for name in names(folder.parent) if "resting" in name]


def test_folders_that_were_moved_swapped_and_copied(lab: Lab, work: Path) -> None:
    for name in ("north", "south"):
        lab.post("/projects", {"name": name, "template": "blank", "path": str(work / name)})
    (work / "north").rename(work / "renamed")
    assert lab.get("/projects/north")["path"] == str(work / "renamed")
    # they change places
    (work / "renamed").rename(work / "between")
    (work / "south").rename(work / "renamed")
    (work / "between").rename(work / "south")
    views = {view["slug"]: view["path"] for view in lab.get("/projects?limit=200")["items"]}
    assert (views["north"], views["south"]) == (str(work / "south"), str(work / "renamed"))
    # a copy is no move
    shutil.copytree(work / "south", work / "copy")
    found = lab.post("/project-locations", {"path": str(work / "copy")}, status=200)
    assert (found["state"], found["project"]["slug"], found["suggestion"]) == ("copy", "north", "copy")
    assert lab.request("PUT", "/projects/north/path", json={"path": str(work / "copy")}).status_code == 409
    assert lab.get("/projects/north")["path"] == str(work / "south")
    own = lab.post("/projects", {"path": str(work / "copy")})
    assert own["slug"] == "copy"
    # far away: not found by itself, but by who knows
    far = work / "far" / "away"
    far.parent.mkdir()
    (work / "south").rename(far)
    view = lab.get("/projects/north")
    assert view["missing"]
    assert str(work) in view["problem"]
    assert lab.post("/project-locations", {"path": str(far)}, status=200)["state"] == "moved"
    assert lab.get("/projects/north")["missing"] is False
    assert lab.get("/projects/copy")["path"] == str(work / "copy")


def test_members(lab: Lab, work: Path) -> None:
    lab.post("/projects", {"name": "shared", "template": "blank", "path": str(work / "shared")})
    me = lab.get("/service")["user"]
    for role in ("viewer", "contributor"):
        reply = lab.request("PUT", "/projects/shared/members/grace", json={"role": role})
        assert (reply.status_code, reply.json()) == (200, {"user": "grace", "role": role})
    for method, body in (("PUT", {"role": "viewer"}), ("DELETE", None)):
        reply = lab.request(method, f"/projects/shared/members/{me}", json=body)
        assert (reply.status_code, "last owner" in reply.json()["detail"]) == (409, True)
    members = {member["user"]: member["role"] for member in lab.get("/projects/shared/members")["items"]}
    assert members == {me: "owner", "grace": "contributor"}
    assert lab.request("DELETE", "/projects/shared/members/grace").status_code == 204
    assert lab.request("DELETE", "/projects/shared/members/grace").status_code == 404


def test_members_on_the_command_line(lab: Lab, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.post("/projects", {"name": "crew", "template": "blank", "path": str(work / "crew")})
    me = lab.get("/service")["user"]

    def himalia(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["project", "members", *words])
        assert result.exit_code == code, result.output
        return str(result.output)

    assert himalia("add", "grace", "--role", "viewer", "-p", "crew") == "grace is viewer of crew.\n"
    assert json.loads(himalia("add", "grace", "--role", "operator", "-p", "crew", "--json"))["role"] == "operator"
    expected = [{"user": "grace", "role": "operator"}, {"user": me, "role": "owner"}]
    expected.sort(key=lambda member: str(member["user"]))
    for words in (("-p", "crew", "--json"), ("--json", "list", "-p", "crew"), ("--json", "-p", "crew", "list")):
        assert json.loads(himalia(*words)) == expected
    monkeypatch.chdir(work / "crew")  # the folder says which project
    assert himalia().split() == ["NAME", "ROLE", *(str(word) for row in expected for word in row.values())]
    assert "'viewer'" in himalia("add", "linus", "--role", "chief", code=2)
    assert "is no person's name" in himalia("add", "no one", "--role", "viewer", code=2)
    assert "Make somebody else an owner first" in himalia("remove", me, code=5)
    assert "grace" in himalia("remove", "grase", code=4)
    assert "grace is no member of crew any more." in himalia("remove", "grace")
    monkeypatch.chdir(work)
    assert "--project NAME" in himalia(code=2)


def test_templates_of_the_team(lab: Lab, work: Path) -> None:
    source = work / "churn"
    source.mkdir(parents=True)
    (source / "himalia.toml").write_text("[project]\nname = 'churn'\ndescription = 'Who leaves?'\n")
    (source / "leak").symlink_to("/etc/hostname")
    added = lab.post("/templates", {"source": str(source)})
    assert (added["name"], added["description"], added["source"]) == ("churn", "Who leaves?", str(source))
    (source / "new.py").write_text("")
    lab.post("/projects", {"name": "early", "template": "churn", "path": str(work / "early")})
    assert names(work / "early") == [".himalia", "himalia.toml"]
    assert lab.post("/templates/churn/update", status=200)["digest"] != added["digest"]
    lab.post("/projects", {"name": "later", "template": "churn", "path": str(work / "later")})
    assert "new.py" in names(work / "later")
    assert 'name = "later"' in (work / "later" / "himalia.toml").read_text()
    assert lab.request("POST", "/templates", json={"source": str(source)}).status_code == 409
    assert lab.request("DELETE", "/templates/blank").status_code == 404
    assert lab.request("DELETE", "/templates/churn").status_code == 204
    assert "churn" not in [template["name"] for template in lab.get("/templates")["items"]]
    assert names(lab.home / "templates") == []


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path]]:
    """A site of its own whose git waits in the middle of a clone while a file is there."""
    place = tmp_path_factory.mktemp("git")
    flag, script = place / "wait", place / "git"
    script.write_text(SLOW_GIT.format(flag=flag, git=shutil.which("git")))
    script.chmod(0o755)
    with running_lab(PATH=f"{place}:{os.environ['PATH']}") as lab:
        yield lab, flag


def quietly(lab: Lab, path: str, **kwargs: Any) -> None:
    with contextlib.suppress(httpx.TransportError):
        lab.request("POST", path, **kwargs)


def test_a_service_that_is_killed_while_it_clones_leaves_nothing(slow: tuple[Lab, Path]) -> None:
    lab, flag = slow
    work = lab.root / "work"
    source = repository(lab.root / "source", **{"a.py": ""})
    flag.touch()
    body, key = {"name": "cloned", "git": str(source), "path": str(work / "cloned")}, uuid.uuid4().hex
    headers = {"Idempotency-Key": key, "X-Request-ID": "following-this"}
    thread = threading.Thread(target=quietly, args=(lab, "/projects"), kwargs={"json": body, "headers": headers})
    thread.start()
    wait_until(lambda: any(work.glob(".cloned.*/half.ipynb")), 30, "half of a clone")
    gits = [
        child
        for child in psutil.Process(lab.start().identity.pid).children(recursive=True)
        if "clone" in child.cmdline()
    ]
    assert gits
    assert lab.get("/projects")["items"] == []
    lab.kill_service()
    thread.join(60)
    lab.start()
    wait_until(lambda: not names(work) and not names(lab.home / "making"), 20, "nothing of it is left")
    wait_until(lambda: not any(git.is_running() and git.status() != "zombie" for git in gits), 20, "git's end")
    flag.unlink()
    reply = lab.request("POST", "/projects", json=body, headers=headers)
    assert reply.status_code == 201, reply.text
    assert names(work) == ["cloned"]


def test_killed_at_any_moment(slow: tuple[Lab, Path]) -> None:
    """Import, trash with files, restore, purge: done again afterwards, each comes out whole."""
    lab, _flag = slow
    lab.tracking_ready()
    work = lab.root / "work"
    lab.post("/projects", {"name": "base", "template": "regression", "path": str(work / "base")})
    archive = lab.request("GET", "/projects/base/export").content
    key = {"Idempotency-Key": uuid.uuid4().hex}
    url = f"/project-imports?name=moved-in&path={work}/moved-in"
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", url, {"content": archive, "headers": key}),
        ("DELETE", "/projects/moved-in?remove_files=true", {}),
        ("POST", "/projects/moved-in/restore", {}),
        ("DELETE", "/projects/moved-in?purge=true&remove_files=true", {}),
    ]
    for number, (method, path, kwargs) in enumerate(steps):

        def ask(method: str = method, path: str = path, kwargs: dict[str, Any] = kwargs) -> None:
            with contextlib.suppress(httpx.TransportError):
                lab.request(method, path, **kwargs)

        thread = threading.Thread(target=ask)
        thread.start()
        threading.Event().wait(0.02 + 0.03 * number)  # the moment of the kill; whatever it hits must come out right
        lab.kill_service()
        thread.join(60)
        lab.start()
        wait_until(partial(_settled, lab, method, path, kwargs), 60, f"{method} {path} is done")
        drafts = [name for name in names(work) if name.startswith(".") and ".deleted-" not in name]
        assert drafts == [], path
        if number in (0, 2):
            assert (work / "moved-in" / "himalia.toml").is_file()
            assert lab.get("/projects/moved-in")["problem"] is None
        if number == 1:  # 404 is told once it is meant; what was interrupted is gone on with in the background
            wait_until(lambda: not (work / "moved-in").exists(), 30, "the folder is put aside")
    wait_until(lambda: not [name for name in names(work) if "moved-in" in name], 30, "the folder is removed")
    assert names(lab.home / "transfers") == []
    assert [view["slug"] for view in lab.get("/projects")["items"]] == ["base", "cloned"]
    assert json.loads((work / "base" / ".himalia" / "project.json").read_text())["site"] == lab.site.id


def _settled(lab: Lab, method: str, path: str, kwargs: dict[str, Any]) -> bool:
    """Asked again, until it is done or was done before."""
    reply = lab.request(method, path, **kwargs)
    done_before = reply.status_code == 404 or (reply.status_code == 409 and "not in the trash" in reply.text)
    return reply.is_success or done_before
