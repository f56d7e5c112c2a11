"""The real gateway with real models: right answers, and the right error for each wrong request."""

from __future__ import annotations

import base64
import json
import random
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from himalia._digest import tree_digest
from tests.site.test_gateway_lifecycle import (
    COLUMNS,
    Gateway,
    deployment,
    echo_row,
    expected,
    key,
    revision,
    saved_models,
    split,
)
from tests.waiting import short_dir, wait_until

__all__ = ["saved_models"]


@pytest.fixture(scope="module")
def gateway(saved_models: dict[str, Any]) -> Iterator[Gateway]:
    tree, echo = saved_models["tree_path"], saved_models["echo_path"]
    keys = [key("token-tree"), key("old", time.time() - 1), key("long", time.time() + 3600)]
    deployments = [
        deployment("tree", revision("r1", tree, model_digest=tree_digest(tree)), keys=keys),
        deployment("echo", revision("e1", echo)),
        deployment("tensor", revision("t1", saved_models["tensor_path"])),
        deployment("hopeless", revision("h1", tree, python=shutil.which("false"))),
        deployment("broken", revision("b1", tree, model_digest="sha256:" + "0" * 64)),
    ]
    config = {"version": 1, "listen": {"host": "127.0.0.1", "port": 0}, "deployments": deployments}
    with short_dir() as folder:
        running = Gateway(folder, config)
        try:
            yield running
        finally:
            running.end()


def test_requests_that_come_before_the_model_is_loaded_wait_for_it(gateway: Gateway) -> None:
    rows = [[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]]
    response = gateway.ask("tree", split(rows))
    assert (response.status_code, response.json()) == (200, {"predictions": expected(rows)})
    assert response.headers["x-himalia-revision"] == "r1"


def test_concurrent_requests_get_their_own_answers(gateway: Gateway) -> None:
    gateway.ready("tree", "r1")
    generator = random.Random(3)

    def client(number: int) -> None:
        mine = random.Random(number)
        with httpx.Client(trust_env=False, timeout=60, headers={"Authorization": "Bearer token-tree"}) as http:
            for _ in range(30):
                rows = [[mine.random() for _ in COLUMNS] for _ in range(mine.randint(1, 4))]
                records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
                mine.shuffle(order := list(COLUMNS))
                bad = [{**records[0], "width": "wide"}]
                body = mine.choice(
                    [
                        split(rows),
                        {"dataframe_records": [{name: item[name] for name in order} for item in records]},
                        {"instances": records},
                        {"inputs": {name: [item[name] for item in records] for name in order}},
                        {"dataframe_records": bad},
                    ]
                )
                response = http.post(f"{gateway.url}/endpoints/tree/invocations", json=body)
                if body == {"dataframe_records": bad}:
                    assert response.status_code == 400
                else:
                    assert response.json() == {"predictions": expected(rows)}

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, [generator.randrange(10**9) for _ in range(16)]))


def test_a_large_request_and_an_empty_one(gateway: Gateway) -> None:
    generator = np.random.default_rng(1)
    rows = generator.random((5000, 3)).tolist()
    assert gateway.ask("tree", split(rows)).json() == {"predictions": expected(rows)}
    empty = gateway.ask("tree", split([]))
    assert empty.status_code == 400  # what this model, alone, says about no rows
    assert "0 sample" in empty.json()["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b'{"inputs": [1,}', "application/json", 400, "line 1, column 15"),
        (b"[]", "application/json", 400, "it is a list"),
        (json.dumps(split([])).replace("width", "wide").encode(), "application/json", 400, "'width'"),
        (b"x", "text/plain", 415, "accepts the content types"),
        (b"length,width\n1,2\n", "text/csv", 400, "height"),
        (b"x" * (16 * 1024 * 1024 + 1), "application/json", 413, "16777216 bytes"),
    ],
)
def test_wrong_bodies(gateway: Gateway, body: bytes, content_type: str, status: int, said: str) -> None:
    response = gateway.ask("tree", body, content_type=content_type)
    assert response.status_code == status
    assert said in response.json()["message"]
    assert set(response.json()) == {"error_code", "message"}


def test_csv(gateway: Gateway) -> None:
    rows = [[0.25, 0.5, 0.75], [0.5, 0.25, 0.125]]
    body = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False).encode()
    assert gateway.ask("tree", body, content_type="text/csv").json() == {"predictions": expected(rows)}


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/health", None, 200),
        ("HEAD", "/health", None, 200),
        ("POST", "/health", None, 405),
        ("GET", "/ready", None, 503),  # one deployment is broken
        ("GET", "/", None, 401),
        ("GET", "/metrics", None, 401),
        ("GET", "/endpoints/tree", None, 401),
        ("GET", "/endpoints/none", None, 401),
        ("GET", "/endpoints/tree", "old", 401),
        ("GET", "/endpoints/tree", "wrong", 401),
        ("GET", "/endpoints/tree", "token-echo", 404),
        ("POST", "/endpoints/tree/invocations", "token-echo", 404),
        ("GET", "/endpoints/none", "token-tree", 404),
        ("GET", "/other", "token-tree", 404),
        ("GET", "/endpoints/tree/", "token-tree", 404),
        ("GET", "/endpoints/tree", "long", 200),
        ("GET", "/endpoints/tr%65e?x=1", "long", 200),
        ("HEAD", "/endpoints/tree", "token-tree", 200),
        ("DELETE", "/endpoints/tree", "token-tree", 405),
        ("GET", "/endpoints/tree/invocations", "token-tree", 405),
    ],
)
def test_who_may_see_what(gateway: Gateway, method: str, path: str, token: str | None, status: int) -> None:
    gateway.ready("tree", "r1")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = httpx.request(method, gateway.url + path, headers=headers, trust_env=False)
    assert response.status_code == status
    assert "x-request-id" in response.headers
    if status == 401:
        assert "tree" not in response.text
        assert response.headers["www-authenticate"].startswith("Bearer")
    if status == 405:
        assert response.headers["allow"]


def test_the_description_is_enough_for_a_form(gateway: Gateway) -> None:
    gateway.ready("tree", "r1")
    headers = {"Authorization": "Bearer token-tree"}
    told = httpx.get(f"{gateway.url}/endpoints/tree", headers=headers, trust_env=False).json()
    assert (told["name"], told["revision"]) == ("tree", "r1")
    assert told["signature"]["inputs"][0] == {"name": "length", "type": "double", "required": True}
    assert sorted(told["example"]) == sorted(COLUMNS)
    assert told["model"]["flavor"] == "mlflow.sklearn"


def test_values_reach_the_model_with_the_types_of_its_signature(gateway: Gateway) -> None:
    gateway.ready("echo", "e1")
    body = {"dataframe_records": [echo_row(whole="7", small=3.0, extra=1), echo_row(text=None, maybe=1)]}
    first, second = gateway.ask("echo", body).json()["predictions"]
    types = {name: value[0] for name, value in first.items()}
    assert types.pop("text") in ("str", "object")
    assert types == {
        "whole": "int64",
        "small": "int32",
        "time": "datetime64[ns]",
        "flag": "bool",
        "maybe": "float64",
    }
    assert (first["whole"][1], first["small"][1], first["time"][1]) == ("7", "3", "2026-03-29 02:30:00")
    assert second["maybe"][1] == "1.0"
    assert "maybe" not in gateway.ask("echo", {"dataframe_records": [echo_row()]}).json()["predictions"][0]


def test_a_bad_row_fails_alone(gateway: Gateway) -> None:
    gateway.ready("echo", "e1")
    busy = {"dataframe_records": [echo_row()], "params": {"sleep": 1.0}}
    far = echo_row(time="9999-01-01")  # beyond what pandas holds in nanoseconds
    texts = ["one", "bad", "two", "far", "three"]
    bodies = [{"dataframe_records": [far if text == "far" else echo_row(text=text)]} for text in texts]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(gateway.ask, "echo", busy)
        wait_until(gateway.asleep, 10, "the first request's prediction")
        answers = list(pool.map(lambda body: gateway.ask("echo", body), bodies))
        assert first.result().status_code == 200
    assert [answer.status_code for answer in answers] == [200, 400, 200, 400, 200]
    seen = [answers[n].json()["predictions"][0]["text"][1] for n in (0, 2, 4)]
    assert seen == ["one", "two", "three"]
    assert "a bad row" in answers[1].json()["message"]


def test_params_are_checked_by_the_signature(gateway: Gateway) -> None:
    gateway.ready("echo", "e1")
    body = {"dataframe_records": [echo_row()], "params": {"sleep": "long"}}
    response = gateway.ask("echo", body)
    assert response.status_code == 400
    assert "sleep" in response.json()["message"]


def test_a_model_whose_files_have_changed_is_not_served(gateway: Gateway) -> None:
    found = gateway.until("broken", "b1", lambda item: item["state"] == "failed")
    assert found["given_up"] is True
    assert "the model's files" in found["error"]
    assert "deploy this model version again" in found["error"]
    response = gateway.ask("broken", split([[1, 2, 3]]))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "30"


def test_a_signature_of_tensors_is_left_to_mlflow(gateway: Gateway) -> None:
    gateway.ready("tensor", "t1")
    rows = [[0.25, 0.5, 0.75], [0.5, 0.25, 0.125]]
    for name in ("inputs", "instances"):
        assert gateway.ask("tensor", {name: rows}).json() == {"predictions": expected(rows)}
    response = gateway.ask("tensor", {"inputs": [[1.0]]})
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_replica_that_never_starts_is_given_up_after_some_tries(gateway: Gateway) -> None:
    found = gateway.until("hopeless", "h1", lambda item: item["given_up"])
    assert found["state"] == "failed"
    assert "exit code 1 before it was ready" in found["error"]
    assert gateway.log.read_text().count("exit code 1 before it was ready") >= 6
    assert gateway.ask("hopeless", split([[1, 2, 3]])).status_code == 503


def test_every_client_of_the_control_socket_is_told_of_changes(gateway: Gateway) -> None:
    with gateway.connect() as one, gateway.connect() as two:
        first, second = one.makefile("rb"), two.makefile("rb")
        assert json.loads(first.readline()) == json.loads(second.readline())
        one.sendall(b'{"op": "dance"}\n')
        assert "unknown message" in json.loads(first.readline())["error"]
        two.sendall(b'{"op": "reload"}\n')
        assert json.loads(first.readline())["state"]["config_error"] is None
    mode = (gateway.run_dir / "control.sock").stat().st_mode & 0o777
    assert (mode, gateway.run_dir.stat().st_mode & 0o777) == (0o600, 0o700)


def test_nothing_secret_is_logged_or_in_a_command_line(gateway: Gateway) -> None:
    gateway.ask("tree", split([[0.123456789, 1, 2]]))
    told = gateway.log.read_text() + str([process.cmdline() for process in gateway.processes()])
    for secret in ("token-tree", "0.123456789", base64.b64encode(b"token-tree").decode()):
        assert secret not in told
    for line in gateway.log.read_text().splitlines():
        if '"part"' in line:
            assert {"ts", "level", "message"} <= set(json.loads(line))
