"""From a registered model to answers over HTTP, and what happens when parts are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.site.lab import Lab
from tests.waiting import wait_until

FRAME = {"dataframe_split": {"columns": ["a", "b"], "data": [[19.0, 0.0], [0.0, 19.0]]}}


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[Lab]:
    """The project `tiny` with a model, an alias and an endpoint."""
    lab.tracking_ready()
    if not lab.get("/projects/tiny/models")["items"]:
        lab.wait_run("tiny", lab.post("/projects/tiny/runs")["id"])
    lab.request("PUT", "/projects/tiny/models/tiny/aliases/champion", json={"version": "1"})
    lab.post("/projects/tiny/deployments", {"name": "tiny", "model": "models:/tiny@champion"})
    wait_ready(lab)
    yield lab
    lab.request("DELETE", "/projects/tiny/deployments/tiny")


@pytest.fixture(scope="module")
def key(served: Lab) -> str:
    return str(served.post("/projects/tiny/deployments/tiny/tokens", {"label": "test", "days": 1})["token"])


def wait_ready(lab: Lab) -> dict[str, Any]:
    def ready() -> dict[str, Any] | None:
        view: dict[str, Any] = lab.get("/projects/tiny/deployments/tiny")
        assert view["state"] != "failed", view
        return view if view["state"] == "ready" else None

    return wait_until(ready, 120, "the endpoint")


def ask(lab: Lab, key: str | None, body: Any = FRAME, **kwargs: Any) -> httpx.Response:
    url = lab.get("/projects/tiny/deployments/tiny")["url"]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if not isinstance(body, bytes):
        kwargs["json"] = body
    else:
        kwargs["content"], headers["Content-Type"] = body, "application/json"
    return httpx.post(url, headers=headers, trust_env=False, timeout=90, **kwargs)


def test_an_endpoint_answers(served: Lab, key: str) -> None:
    reply = ask(served, key)
    assert reply.status_code == 200, reply.text
    assert reply.json() == {"predictions": [True, False]}


def test_the_signature_is_there_for_a_form(served: Lab) -> None:
    signature = wait_ready(served)["signature"]
    assert [column["name"] for column in signature["inputs"]] == ["a", "b"]


def test_only_its_own_token_opens_it(served: Lab, key: str) -> None:
    assert served.found is not None
    for wrong in (None, "hmd_wrong", served.found.token(), served.token("tiny", "owner", "kernel")):
        assert ask(served, wrong).status_code == 401
    # and it opens nothing else
    assert served.request("GET", "/projects", token=key).status_code == 401


def test_a_token_is_shown_once_and_ends_when_revoked(served: Lab) -> None:
    made = served.post("/projects/tiny/deployments/tiny/tokens", {"label": "shop", "days": 1})
    assert ask(served, made["token"]).status_code == 200
    listed = served.get("/projects/tiny/deployments/tiny/tokens")["items"]
    assert made["id"] in {entry["id"] for entry in listed}
    assert made["token"] not in json.dumps(listed) + (served.home / "gateway.json").read_text()
    path = f"/projects/tiny/deployments/tiny/tokens/{made['id']}"
    assert served.request("DELETE", path).status_code == 204
    assert ask(served, made["token"]).status_code == 401
    assert served.request("DELETE", path).status_code == 404


def test_faulty_requests_are_told(served: Lab, key: str) -> None:
    reply = ask(served, key, b'{"dataframe_split": ')
    assert reply.status_code == 400
    assert "JSON" in reply.text
    reply = ask(served, key, {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}})
    assert reply.status_code == 400
    assert "b" in reply.json()["message"]
    assert "missing" in reply.json()["message"].lower()


@pytest.mark.parametrize(
    ("model", "status", "says"),
    [
        ("tiny", 422, "models:/NAME@ALIAS"),
        ("models:/tiny@nobody", 404, "champion"),
        ("models:/tiny/99", 404, "no version"),
        ("models:/tinny@champion", 404, "Did you mean 'tiny'?"),
    ],
)
def test_a_model_that_is_not_there_is_told(served: Lab, model: str, status: int, says: str) -> None:
    reply = served.request("POST", "/projects/tiny/deployments", json={"name": "other", "model": model})
    assert reply.status_code == status
    assert says in reply.text


def test_endpoint_names_are_unique_at_the_site(served: Lab) -> None:
    served.project("rival", {}, {})
    served.get("/projects/rival/models")
    reply = served.request("POST", "/projects/rival/deployments", json={"name": "tiny", "model": "models:/x/1"})
    assert reply.status_code == 404


def replica(lab: Lab) -> int:
    """The process that serves `tiny`, as the gateway tells; other endpoints of the site have their own."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(lab.site.runtime / "gw" / "control.sock"))
        with connection.makefile("rb") as lines:
            told = json.loads(lines.readline())["state"]["deployments"]["tiny"]
    return int(told["revisions"][told["serving"][0]]["pid"])


def test_a_killed_replica_costs_no_request(served: Lab, key: str) -> None:
    old = replica(served)
    os.kill(old, signal.SIGKILL)
    assert ask(served, key).status_code == 200
    assert replica(served) != old
    wait_ready(served)


def test_a_killed_gateway_is_started_again(served: Lab, key: str) -> None:
    pid = served.child_pid("gateway")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: served.child_pid("gateway") not in (None, pid), 60, "the second gateway")

    def answered() -> bool:
        try:
            return ask(served, key).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answered, 90, "an answer")
    wait_ready(served)


def test_the_endpoint_serves_while_the_service_is_dead(served: Lab, key: str) -> None:
    url = served.get("/projects/tiny/deployments/tiny")["url"]
    pid = served.child_pid("gateway")
    served.kill_service()
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.post(url, json=FRAME, headers=headers, trust_env=False, timeout=60).status_code == 200
    served.start()
    assert served.child_pid("gateway") == pid
    wait_ready(served)


def test_a_taken_port_is_told(served: Lab, key: str) -> None:
    port = int(wait_ready(served)["url"].split(":")[2].split("/")[0])
    served.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        served.start()

        def told() -> str | None:
            view = served.get("/projects/tiny/deployments/tiny")
            return view["error"] if view["error"] and str(port) in view["error"] else None

        assert "[gateway] port" in wait_until(told, 60, "the sentence")
    wait_until(lambda: served.get("/projects/tiny/deployments/tiny")["state"] == "ready", 120, "the endpoint")
    assert ask(served, key).status_code == 200


def test_a_changed_model_file_is_not_served(served: Lab, key: str) -> None:
    """The digest that was deployed is the digest that is loaded."""
    view = wait_ready(served)
    model = served.home / "models" / view["revisions"][-1]["model_digest"].removeprefix("sha256:")
    conda = next(path for path in model.iterdir() if path.name == "requirements.txt")
    text = conda.read_text()
    conda.write_text(text + "evil\n")
    try:
        os.kill(replica(served), signal.SIGKILL)

        def told() -> bool:
            return "digest" in (served.get("/projects/tiny/deployments/tiny")["error"] or "")

        wait_until(told, 90, "the refusal")
    finally:
        conda.write_text(text)
    served.request("DELETE", "/projects/tiny/deployments/tiny")
    served.post("/projects/tiny/deployments", {"name": "tiny", "model": "models:/tiny@champion"})
    wait_ready(served)
