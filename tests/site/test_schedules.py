"""A schedule on the real service: pinned code, inputs of now, failure and recovery told to a real receiver."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import nbformat
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from himalia_server.cli import main
from himalia_server.service.context import open_store
from himalia_server.store import Project, Schedule, now
from tests.receiver import Receiver, receiver
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

CODE = """\
import os
data = open('data.txt').read().strip()
assert data == 'good', f'the data is {data}'
print('pinned', os.environ.get('HIMALIA_SLOT'))"""


def write_notebook(folder: Path, code: str) -> None:
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [nbformat.v4.new_code_cell("seed = 1"), nbformat.v4.new_code_cell(code)]
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, folder / "check.ipynb")


@pytest.fixture(scope="module")
def folder(lab: Lab) -> Path:
    lab.start()
    folder = lab.root / "projects" / "clockwork"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "clockwork"\n')
    (folder / "data.txt").write_text("bad\n")
    write_notebook(folder, CODE)
    lab.post("/projects", {"name": "clockwork", "path": str(folder)})
    return folder


def miss(lab: Lab, name: str, minutes: float) -> None:
    """As if the service had not looked for so long."""
    store = open_store(lab.site, lab.site.settings())
    with store.write() as session:
        project = session.scalars(select(Project).where(Project.slug == "clockwork")).one()
        row = session.scalars(select(Schedule).where(Schedule.project_id == project.id, Schedule.name == name)).one()
        row.decided_until = now() - minutes * 60
    store.close()


def slots(lab: Lab, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.get(f"/projects/clockwork/schedules/{name}/slots")["items"]
    return found


def told(there: Receiver, count: int) -> dict[str, Any]:
    wait_until(lambda: len(there.got) >= count, 60, "the webhook")
    document: dict[str, Any] = json.loads(there.got[count - 1][2])
    return document


def test_a_notebook_by_the_clock_fails_and_recovers(lab: Lab, folder: Path) -> None:
    lab.tracking_ready()
    with receiver() as there:
        target = {"kind": "webhook", "url": f"{there.url}/key"}
        made = lab.post("/projects/clockwork/notifiers", {"name": "hook", "target": target})
        assert made["secret"]
        assert made["target"].endswith("/…")
        body = {
            "name": "nightly",
            "target": {"kind": "notebook", "notebook": "check.ipynb", "params": {"seed": 7}, "inputs": ["data.txt"]},
            "cron": "* * * * *",
            "zone": "Europe/Berlin",
            "overlap": "queue(1)",
        }
        view = lab.post("/projects/clockwork/schedules", body)
        assert view["description"] == "every minute"
        assert len(view["next"]) == 5
        write_notebook(folder, "raise SystemExit('not the code that was pinned')")
        # a service that was down for three minutes
        lab.post("/projects/clockwork/schedules/nightly/pause", status=200)
        miss(lab, "nightly", 3)
        store = open_store(lab.site, lab.site.settings())
        with store.write() as session:
            for row in session.scalars(select(Schedule).where(Schedule.name == "nightly")):
                row.paused = False
        store.close()
        assert lab.request("PATCH", "/projects/clockwork/schedules/nightly", json={"deadline": "1h"}).status_code == 200
        wait_until(lambda: [s for s in slots(lab, "nightly") if s["run_id"]], 30, "a run")
        lab.post("/projects/clockwork/schedules/nightly/pause", status=200)
        started = [s for s in slots(lab, "nightly") if s["state"] == "started"]
        assert len(started) == 1
        assert [s for s in slots(lab, "nightly") if (s["reason"] or "").startswith("missed:")]
        run = lab.wait_run("clockwork", started[0]["run_id"])
        assert run["status"] == "failed"
        failure = told(there, 1)
        assert (failure["kind"], failure["run"], failure["schedule"]) == ("failure", run["id"], "nightly")
        assert failure["error"] == "AssertionError: the data is bad"
        assert failure["cell"] == 3  # of the executed notebook: papermill has put the parameters in
        (notice,) = lab.get("/projects/clockwork/notices?unread=true")["items"]
        assert notice["link"].startswith(f"lab?himalia-run=clockwork/{run['id']}/")
        # the data is mended; the code is still the pinned one, also of what is resumed
        (folder / "data.txt").write_text("good\n")
        resumed = lab.post(f"/projects/clockwork/runs/{run['id']}/resume")
        assert (resumed["origin"], resumed["schedule"]) == (run["id"], run["schedule"])
        assert lab.wait_run("clockwork", resumed["id"])["status"] == "succeeded"
        assert told(there, 2)["kind"] == "recovery"
        # nothing has changed, and it is executed all the same: who knows what else it looks at
        again = lab.post("/projects/clockwork/schedules/nightly/run")
        (stage,) = lab.wait_run("clockwork", again["id"])["stages"]
        assert (stage["status"], stage["cached_from"]) == ("succeeded", None)
        executed = lab.get(f"/projects/clockwork/runs/{again['id']}/stages/notebook/notebook")
        slot = datetime.fromisoformat(executed["cells"][-1]["outputs"][0]["text"][0].split()[-1])
        assert slot.utcoffset() == slot.astimezone(ZoneInfo("Europe/Berlin")).utcoffset()
        assert abs(slot.timestamp() - now()) < 300
        assert lab.get("/projects/clockwork/schedules/nightly")["last"]["run_status"] == "succeeded"
    notices = lab.get("/projects/clockwork/notices")
    assert notices["unread"] == 2
    body = {"until": notices["items"][0]["id"], "only": True}
    assert lab.request("POST", "/projects/clockwork/notices/read", json=body).status_code == 204
    assert [item["read"] for item in lab.get("/projects/clockwork/notices")["items"]] == [True, False]


def test_who_may(lab: Lab, folder: Path) -> None:
    path = "/projects/clockwork/schedules"
    viewer, contributor = lab.token("clockwork", "viewer"), lab.token("clockwork", "contributor")
    kernel = lab.token("clockwork", "contributor", "kernel")
    write_notebook(folder, CODE)
    body = {
        "name": "roles",
        "target": {"kind": "notebook", "notebook": "check.ipynb"},
        "cron": "@yearly",
        "zone": "UTC",
    }
    assert lab.request("POST", path, viewer, json=body).status_code == 403
    assert lab.request("POST", path, kernel, json=body).status_code == 403
    made = lab.request("POST", path, contributor, json=body, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201, made.text
    repeated = lab.request("POST", path, contributor, json=body, headers={"Idempotency-Key": "one"})
    assert repeated.json()["id"] == made.json()["id"]
    assert lab.request("GET", f"{path}/roles", viewer).status_code == 200
    assert lab.request("POST", f"{path}/roles/pause", viewer).status_code == 403
    assert lab.request("POST", f"{path}/roles/pause", lab.token("clockwork", "operator")).status_code == 200
    assert lab.request("GET", "/projects/clockwork/notifiers", viewer).status_code == 403
    refused = lab.request("POST", path, contributor, json=body | {"name": "x", "cron": "99 * * * *"})
    assert refused.status_code == 422
    assert "99 is not in 0-59" in refused.text
    # parameters fit the code that is pinned, not the folder's of now
    book = folder / "check.ipynb"
    book.write_text(book.read_text().replace("seed = 1", "other = 1"))
    given = {"target": body["target"] | {"params": {"seed": 2}}}  # type: ignore[operator]
    assert lab.request("PATCH", f"{path}/roles", contributor, json=given).status_code == 200
    given = {"target": body["target"] | {"params": {"other": 2}}}  # type: ignore[operator]
    assert lab.request("PATCH", f"{path}/roles", contributor, json=given).status_code == 422
    write_notebook(folder, CODE)
    unknown = {"name": "x", "target": body["target"] | {"params": {"sed": 1}}}  # type: ignore[operator]
    refused = lab.request("POST", path, contributor, json=body | unknown)
    assert refused.status_code == 422
    assert "seed" in refused.text


def test_the_command_line(lab: Lab, folder: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    here = ("--project", "clockwork")
    shown = run("schedule", "next", "--cron", "30 2 * * 1-5", "--zone", "America/New_York")
    assert "at 02:30 on weekdays, America/New_York" in shown
    made = run(
        *("schedule", "create", "weekly", "--cron", "0 6 * * MON", "--zone", "Europe/Berlin"),
        *("--notebook", "check.ipynb", "-P", "seed=3", "--overlap", "queue(2)", *here),
    )
    assert "weekly runs check.ipynb at 06:00 on Mondays, Europe/Berlin." in made
    assert "weekly" in run("schedule", "list", *here)
    run("schedule", "pause", "weekly", *here)
    assert "It is paused." in run("schedule", "show", "weekly", *here)
    run("schedule", "resume", "weekly", *here)
    write_notebook(folder, CODE + "\nprint('new')")
    assert "→" in run("schedule", "update", "weekly", *here)
    view = json.loads(run("schedule", "update", "weekly", "--catch-up", "all(3)", "-P", "seed=4", "--json", *here))
    assert (view["catch_up"], view["target"]["params"]) == ("all(3)", {"seed": 4})
    assert run("schedule", "history", "weekly", *here) == "No slot has passed yet.\n"
    run("schedule", "create", "weekly", "--cron", "0 6 * * *", "--zone", "Mars/Phobos", *here, code=2)
    run("schedule", "show", "wekly", *here, code=4)
    run("schedule", "delete", "weekly", *here)
    with receiver() as there:
        run("notification", "add", "cli", "--webhook", f"{there.url}/x", *here)
        assert "It arrived" in run("notification", "test", "cli", *here)
        there.answer = (500, {})
        run("notification", "test", "cli", *here, code=1)
    assert "cli" in run("notification", "list", *here)
    run("notification", "remove", "cli", *here)


def test_run_now_twice_at_once_makes_one_run(lab: Lab, folder: Path) -> None:
    body = {
        "name": "twice",
        "target": {"kind": "notebook", "notebook": "check.ipynb", "inputs": ["data.txt"]},
        "cron": "@yearly",
        "zone": "UTC",
    }
    lab.post("/projects/clockwork/schedules", body)
    replies: list[int] = []

    def press() -> None:
        replies.append(lab.request("POST", "/projects/clockwork/schedules/twice/run").status_code)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [201, 409, 409, 409]
    assert [slot["state"] for slot in slots(lab, "twice")] == ["started"]


def test_a_notice_that_is_on_its_way_outlives_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL while the receiver has it and has not answered: it comes again, as what it is."""
    monkeypatch.delenv("HIMALIA_DATABASE_URL", raising=False)  # which may be the other site's
    with running_lab() as own, receiver() as there:
        own.tracking_ready()
        place = own.project("hasty", {}, {"bad.ipynb": ["x = 1", "raise ValueError('bad')"]})
        assert place.is_dir()
        own.post("/projects/hasty/notifiers", {"name": "hook", "target": {"kind": "webhook", "url": there.url}})
        body = {
            "name": "yearly",
            "target": {"kind": "notebook", "notebook": "bad.ipynb"},
            "cron": "@yearly",
            "zone": "UTC",
        }
        own.post("/projects/hasty/schedules", body)
        there.hold = threading.Event()
        own.post("/projects/hasty/schedules/yearly/run")
        wait_until(lambda: there.got, 90, "the first arrival")
        own.kill_service()
        there.hold.set()
        own.start()
        wait_until(lambda: len(there.got) > 1, 90, "the second arrival")
        one, two = (json.loads(body) for _, _, body in there.got[:2])
        assert one == two
        assert one["kind"] == "failure"
        assert len(own.get("/projects/hasty/notices")["items"]) == 1
