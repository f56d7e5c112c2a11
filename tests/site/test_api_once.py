"""Idempotency keys: a thing is made once, however often and however many at once ask for it with one key."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from tests.site.lab import Lab
from tests.waiting import wait_until

AT_ONCE = 20
KILLS = int(os.environ.get("HIMALIA_FUZZ", "3"))


@pytest.fixture(scope="module")
def own(lab: Lab) -> Iterator[Lab]:
    """The lab with the project `small` of one stage; what is made here is gone afterwards."""
    lab.tracking_ready()  # a deletion needs it
    before = {project["slug"] for project in lab.get("/projects?limit=200")["items"]}
    lab.project("small", {"only": {"notebook": "only.ipynb"}}, {"only.ipynb": ["n = 1", "print(n)"]})
    yield lab
    for project in lab.get("/projects?limit=200")["items"]:
        if project["slug"] not in before:
            wait_until(partial(_deleted, lab, project["slug"]), 60, f"the deletion of {project['slug']}")


def _deleted(lab: Lab, slug: str) -> bool:
    return lab.request("DELETE", f"/projects/{slug}?remove_files=true&purge=true").status_code in (204, 404)


def keyed(lab: Lab, path: str, body: Any, key: str, token: str | None = None) -> httpx.Response:
    return lab.request("POST", path, json=body, token=token, headers={"Idempotency-Key": key})


def new_key() -> str:
    return uuid.uuid4().hex


def at_once(lab: Lab, path: str, body: Any, key: str) -> list[httpx.Response]:
    """The same request from many threads at the same moment."""
    start = threading.Barrier(AT_ONCE)

    def ask(_number: int) -> httpx.Response:
        start.wait(30)
        return keyed(lab, path, body, key)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, range(AT_ONCE)))


def test_a_project_is_made_once(own: Lab) -> None:
    replies = at_once(own, "/projects", {"name": "once-p", "template": "blank"}, new_key())
    assert [reply.status_code for reply in replies] == [201] * AT_ONCE, [reply.text for reply in replies]
    assert len({reply.text for reply in replies}) == 1
    assert [project["slug"] for project in own.get("/projects")["items"]].count("once-p") == 1
    assert own.request("POST", "/projects", json={"name": "once-p", "template": "blank"}).status_code == 409


def test_a_run_is_started_once(own: Lab) -> None:
    replies = at_once(own, "/projects/small/runs", {}, new_key())
    assert [reply.status_code for reply in replies] == [201] * AT_ONCE, [reply.text for reply in replies]
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert len(own.get("/projects/small/runs")["items"]) == 1


def test_a_cluster_is_started_once(own: Lab) -> None:
    before, key, body = clusters(own), new_key(), {"name": "c", "workers": 1}
    replies = at_once(own, "/projects/small/clusters", body, key)
    assert [reply.status_code for reply in replies] == [201] * AT_ONCE, [reply.text for reply in replies]
    assert [cluster["name"] for cluster in own.get("/projects/small/clusters")["items"]] == ["c"]
    assert len(clusters(own) - before) == 1
    assert own.request("DELETE", "/projects/small/clusters/c").status_code == 204
    assert keyed(own, "/projects/small/clusters", body, key).status_code == 404  # made, and gone since
    assert clusters(own) == before


def clusters(lab: Lab) -> set[str]:
    """Holders of clusters that the service has started."""
    return {child["name"] for child in lab.get("/service")["children"] if child["name"].startswith("cluster-")}


def test_another_request_with_the_same_key_is_a_mistake(own: Lab) -> None:
    key = new_key()
    first = keyed(own, "/projects/small/runs", {}, key).json()["id"]
    for path, body in (
        ("/projects/small/runs", {"params": {"only": {"n": 2}}}),
        ("/projects/once-p/runs", {}),
        ("/projects", {"name": "never", "template": "blank"}),
    ):
        reply = keyed(own, path, body, key)
        assert (reply.status_code, reply.json().get("field")) == (422, "Idempotency-Key"), reply.text
        assert "new key" in reply.json()["hint"]
    assert keyed(own, "/projects/small/runs", {}, key).json()["id"] == first
    assert own.request("GET", "/projects/never").status_code == 404


def test_what_was_refused_can_be_tried_again_with_the_key(own: Lab) -> None:
    key = new_key()
    assert keyed(own, "/projects/small/runs", {"params": {"none": {}}}, key).status_code == 422
    assert keyed(own, "/projects/small/runs", {}, key).status_code == 201


def test_a_repetition_tells_of_the_thing_as_it_is_now(own: Lab) -> None:
    key = new_key()
    run = keyed(own, "/projects/small/runs", {}, key).json()
    own.wait_run("small", run["id"])
    assert keyed(own, "/projects/small/runs", {}, key).json()["status"] == "succeeded"


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "ä", "a/b", "a\tb"])
def test_a_key_that_is_none_is_told(own: Lab, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    reply = own.request("POST", "/projects/small/runs", json={}, headers=headers)
    assert reply.status_code == 422, reply.text
    assert reply.json()["field"].lower() == "idempotency-key"
    assert "64" in reply.json()["detail"]


def test_keys_of_others_do_not_meet(own: Lab) -> None:
    key = new_key()
    mine = keyed(own, "/projects/small/runs", {}, key).json()["id"]
    for purpose in ("user", "kernel"):
        token = own.token("small", "contributor", purpose)
        reply = keyed(own, "/projects/small/runs", {}, key, token)
        assert reply.status_code == 201, reply.text
        assert reply.json()["id"] != mine


def test_made_once_however_often_the_service_is_killed(own: Lab) -> None:
    """The answer is lost, at another moment each time; the client sends the request again with its key."""
    for number in range(KILLS):
        key, name = new_key(), f"killed-{number}"
        body = {"name": name, "template": "blank"}
        asked = threading.Event()

        def ask(key: str = key, body: Any = body, asked: threading.Event = asked) -> None:
            asked.set()
            with contextlib.suppress(httpx.TransportError):
                keyed(own, "/projects", body, key)

        thread = threading.Thread(target=ask)
        thread.start()
        asked.wait(10)
        threading.Event().wait(number * 0.2 / KILLS)  # the moment of the kill; whatever it hits must come out right
        own.kill_service()
        thread.join(60)
        own.start()
        reply = keyed(own, "/projects", body, key)
        assert reply.status_code == 201, reply.text
        assert reply.json()["slug"] == name
        assert reply.json()["problem"] is None
    run_key = new_key()
    first = keyed(own, "/projects/small/runs", {}, run_key).json()["id"]
    own.kill_service()
    own.start()
    assert keyed(own, "/projects/small/runs", {}, run_key).json()["id"] == first


def test_every_request_that_creates_takes_a_key(own: Lab) -> None:
    document = own.get("/openapi.json")
    without = {"/api/v1/projects/{slug}/kernels"}  # a kernel's id is its key
    creating = {
        path: operations["post"]
        for path, operations in document["paths"].items()
        if "201" in operations.get("post", {}).get("responses", {})
    }
    assert len(creating) >= 5
    for path, operation in creating.items():
        names = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert ("idempotency-key" in names) == (path not in without), path
