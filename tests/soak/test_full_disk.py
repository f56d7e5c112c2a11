"""The disk of a site fills up at several moments; when there is room again it goes on without anybody's help."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from himalia_server.service import lifecycle
from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import (
    ENDPOINT,
    SLUG,
    Ledger,
    endpoint_state,
    furnish,
    himalia,
    no_space,
    predict,
    small_disk,
    times,
    token,
)
from tests.waiting import wait_until

MEGABYTES = 160
FULL = ("disk is full", "no space left", "free some space")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A furnished site on a small disk of its own."""
    with running_lab() as made:
        made.stop()
        try:
            with small_disk(made.home, MEGABYTES):
                made.start()
                furnish(made)
                yield made
                made.stop()
        except PermissionError as error:
            pytest.skip(str(error))


def says_full(text: str) -> bool:
    return any(words in text.lower() for words in FULL)


def test_requests_are_refused_and_go_on(lab: Lab) -> None:
    """Every kind of making something; nothing of what was refused is there, the next one works."""
    folder = lab.root / "projects" / "second"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "second"\n')
    for _ in range(times(3)):
        key = token(lab)
        with no_space(lab.home):
            for path, body in (
                (f"/projects/{SLUG}/runs", {}),
                (f"/projects/{SLUG}/clusters", {"name": "second", "workers": 1}),
                (f"/projects/{SLUG}/deployments", {"name": "second", "model": "models:/tiny/1"}),
                (f"/projects/{SLUG}/deployments/{ENDPOINT}/tokens", {"label": "x", "days": 1}),
                ("/projects", {"name": "second", "path": str(folder)}),
            ):
                reply = lab.request("POST", path, json=body)
                assert reply.status_code in (503, 507) or reply.status_code < 300, reply.text
                if reply.status_code == 507:
                    assert says_full(reply.text), reply.text
            assert lab.get("/service")["pid"]
            assert predict(lab, key).status_code == 200
        for path in (f"/projects/{SLUG}/clusters/second", f"/projects/{SLUG}/deployments/second", "/projects/second"):
            lab.request("DELETE", path)
        assert check(lab, Ledger()) == []
    run = lab.wait_run(SLUG, lab.post(f"/projects/{SLUG}/runs")["id"])
    assert run["status"] == "succeeded", run


@pytest.mark.timeout(900)
@pytest.mark.parametrize("spare", [0, 20_000, 200_000])
@pytest.mark.parametrize("moment", ["start", "stage", "output"])
def test_a_run_meets_a_full_disk(lab: Lab, moment: str, spare: int) -> None:
    ledger = Ledger()
    for _ in range(times(1)):
        run = lab.post(f"/projects/{SLUG}/runs", {"params": {"make": {"seconds": 4.0}}})["id"]
        ledger.runs.add(run)
        where = f"/projects/{SLUG}/runs/{run}"
        if moment != "start":
            status = "running"
            wait_until(lambda: lab.get(where)["stages"][0]["status"] == status, 60, "the stage")  # noqa: B023
        if moment == "output":
            wait_until(lambda: lab.get(where)["stages"][0]["cell"] >= 2, 60, "its work")  # noqa: B023
        with no_space(lab.home, spare=spare):
            wait_until(lambda: lab.get(where)["stages"][0]["status"] not in ("pending", "waiting"), 60, "a stage")  # noqa: B023
            if moment != "output":
                wait_until(lambda: lab.get(where)["stages"][0]["ended_at"] or lab.get(where)["ended_at"] or True, 5, "")  # noqa: B023
            else:
                wait_until(lambda: not lab.get("/service")["children"] or _stage_over(lab, run), 60, "its end")  # noqa: B023
        view = lab.wait_run(SLUG, run)
        if view["status"] != "succeeded":
            told = str(view["reason"]) + str([stage["error"] for stage in view["stages"]])
            assert says_full(told), told
    assert check(lab, ledger) == []
    run = lab.wait_run(SLUG, lab.post(f"/projects/{SLUG}/runs")["id"])["status"]
    assert run == "succeeded"


def _stage_over(lab: Lab, run: str) -> bool:
    return not any(child["name"] == f"stage-{run}-make" for child in lab.get("/service")["children"])


def test_a_killed_service_on_a_full_disk(lab: Lab) -> None:
    """It says one sentence and starts when there is room again."""
    key = token(lab)
    for _ in range(times(3)):
        with no_space(lab.home):
            lab.kill_service()
            done = himalia("up")
            if done.returncode:
                assert says_full(done.stderr), done.stderr
                assert "Traceback" not in done.stderr
                assert len(done.stderr.strip().splitlines()) <= 2, done.stderr
        lab.start()
        assert predict(lab, key).status_code == 200
        assert check(lab, Ledger()) == []


def test_a_backup_that_does_not_fit_leaves_nothing(lab: Lab) -> None:
    target = lab.home / "backup.tar.gz"
    with no_space(lab.home, spare=300_000):
        done = himalia("backup", str(target))
        assert done.returncode != 0
        assert says_full(done.stderr), done.stderr
        assert "Traceback" not in done.stderr
    assert not target.exists()
    assert himalia("backup", str(target)).returncode == 0
    target.unlink()
    assert list((lab.home / "backups").iterdir()) == []


def test_children_that_die_on_a_full_disk_come_back(lab: Lab) -> None:
    from tests.soak.kit import kill

    key = token(lab)
    for name in ("mlflow", "gateway"):
        with no_space(lab.home):
            pid = lab.child_pid(name)
            assert pid is not None
            kill(pid)
            wait_until(lambda: lab.child_pid(name) != pid, 30, f"the end of {name}")  # noqa: B023
    lab.tracking_ready()
    wait_until(lambda: endpoint_state(lab) == "ready", 120, "the endpoint")
    assert predict(lab, key).status_code == 200
    assert check(lab, Ledger()) == []
    with closing(sqlite3.connect(lab.site.tracking_database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert lifecycle.find(lab.site) is not None
