"""The real gateway with real models: right answers, and the right error for each wrong request."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

from himalia._digest import tree_digest
from tests.waiting import short_dir, wait_until

COLUMNS = ["length", "width", "height"]
ECHO = '''
import os, time
import mlflow


class Echo(mlflow.pyfunc.PythonModel):
    """Tells for each row which values and types it saw."""

    def predict(self, context, model_input, params=None):
        seconds = (params or {}).get("sleep", 0.0)
        if seconds:
            open("asleep", "w").close()
            time.sleep(seconds)
            os.remove("asleep")
        if (model_input["text"] == "die").any():
            os._exit(3)
        if (model_input["text"] == "bad").any():
            raise ValueError("a bad row")
        columns = model_input.columns
        return [
            {name: [str(model_input[name].dtype), str(row[name])] for name in columns}
            for _, row in model_input.iterrows()
        ]


mlflow.models.set_model(Echo())
'''


@functools.cache
def models() -> dict[str, Any]:
    """Save small models once for all tests: two trees with different answers, one that echoes, one broken."""
    import mlflow
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from sklearn.tree import DecisionTreeRegressor

    folder = Path(os.environ["HIMALIA_TEST_MODELS"])
    random_numbers = np.random.default_rng(7)
    data = pd.DataFrame(random_numbers.random((200, 3)), columns=COLUMNS)
    saved: dict[str, Any] = {}
    for name, factor in (("tree", 1000.0), ("other", -1000.0)):
        tree = DecisionTreeRegressor().fit(data, data["length"] * factor + data["width"])
        signature = infer_signature(data, tree.predict(data))
        where = folder / name
        mlflow.sklearn.save_model(
            tree,
            where,
            signature=signature,
            input_example=data.head(2),
            pip_requirements=[],
            skops_trusted_types=["sklearn.tree._tree.Tree"],
        )
        saved[name], saved[f"{name}_path"] = tree, where
    types = {"text": "string", "whole": "long", "small": "integer", "time": "datetime", "flag": "boolean"}
    columns = [ColSpec(kind, name) for name, kind in types.items()]
    columns.append(ColSpec("double", "maybe", required=False))
    params = ParamSchema([ParamSpec("sleep", "double", 0.0)])
    example = pd.DataFrame([["x", 1, 2, pd.Timestamp("2026-03-29"), True]], columns=list(types))
    (folder / "echo.py").write_text(ECHO)
    mlflow.pyfunc.save_model(
        folder / "echo",
        python_model=str(folder / "echo.py"),
        signature=ModelSignature(Schema(columns), params=params),
        input_example=example.astype({"small": "int32"}),
        pip_requirements=[],
    )
    saved["echo_path"] = folder / "echo"
    return saved


def key(token: str, expires_at: float | None = None) -> dict[str, Any]:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {"id": token, "sha256": digest, "expires_at": expires_at}


def revision(name: str, model: Path, **changes: Any) -> dict[str, Any]:
    """A revision in the configuration's form."""
    usual = {
        "id": name,
        "weight": 100,
        "model_path": str(model),
        "model_digest": None,
        "python": sys.executable,
        "layer": None,
        "env": {},
        "replicas": {"min": 1, "max": 1},
    }
    return {**usual, **changes}


def deployment(name: str, *revisions: dict[str, Any], keys: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "project": "p",
        "keys": keys or [key(f"token-{name}")],
        "revisions": list(revisions),
    }


class Gateway:
    """A running gateway and its configuration."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.config = config
        self.run_dir = folder / "run"
        self.file = folder / "config.json"
        self.log = folder / "log"
        self.write(config)
        command = [sys.executable, "-m", "himalia_server.gateway", "--config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, "--run-dir", str(self.run_dir)], stderr=log)
        wait_until(self._answers, 20, "the gateway's control socket")
        self.port: int = self.state()["listen"]["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return (self.run_dir / "control.sock").exists()

    def write(self, config: dict[str, Any] | str) -> None:
        """Replace the configuration file atomically."""
        new = self.file.with_suffix(".new")
        new.write_text(config if isinstance(config, str) else json.dumps(config))
        new.replace(self.file)

    def reload(self, *deployments: dict[str, Any]) -> None:
        """Write a configuration with these deployments and have it read."""
        self.config = {**self.config, "version": self.config["version"] + 1, "deployments": list(deployments)}
        self.write(self.config)
        self.send({"op": "reload"})

    def connect(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(10)
        control.connect(str(self.run_dir / "control.sock"))
        return control

    def send(self, message: dict[str, Any]) -> None:
        with self.connect() as control, control.makefile("rb") as lines:
            lines.readline()
            control.sendall(json.dumps(message).encode() + b"\n")
            lines.readline()

    def state(self) -> dict[str, Any]:
        with self.connect() as control, control.makefile("rb") as lines:
            state: dict[str, Any] = json.loads(lines.readline())["state"]
            return state

    def revision(self, name: str, number: str) -> dict[str, Any]:
        state = self.state()["deployments"].get(name, {}).get("revisions", {})
        result: dict[str, Any] = state.get(number, {"state": None, "pid": None, "error": None})
        return result

    def until(self, name: str, number: str, predicate: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait for a state of a revision."""
        found: dict[str, Any] = {}

        def met() -> bool:
            found.update(self.revision(name, number))
            return bool(predicate(found))

        try:
            wait_until(met, 60, f"revision {number} of {name}")
        except AssertionError as error:
            raise AssertionError(f"{found}\n{self.log.read_text()[-4000:]}") from error
        return found

    def ready(self, name: str, number: str) -> dict[str, Any]:
        return self.until(name, number, lambda item: item["state"] == "ready")

    def asleep(self) -> bool:
        """Whether the echoing model works on a request with the parameter ``sleep``."""
        return any(self.run_dir.glob("replica-*/asleep"))

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def ask(self, name: str, body: object, token: str | None = None, **more: Any) -> httpx.Response:
        """POST to a deployment's invocations."""
        headers = {"Authorization": f"Bearer {token or f'token-{name}'}"}
        url = f"{self.url}/endpoints/{name}/invocations"
        with httpx.Client(trust_env=False, timeout=60) as client:
            if isinstance(body, bytes):
                headers["Content-Type"] = more.pop("content_type", "application/json")
                return client.post(url, content=body, headers=headers)
            return client.post(url, json=body, headers=headers)

    def end(self) -> None:
        """End it, and check that nothing is left behind."""
        before = self.processes() if self.process.poll() is None else []
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()
        wait_until(lambda: not any(alive(item) for item in before), 10, "the end of all processes")
        assert sorted(path.name for path in self.run_dir.iterdir()) == ["gateway.lock"]


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def split(rows: list[list[float]]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": COLUMNS, "data": rows}}


def expected(rows: list[list[float]], model: str = "tree") -> list[float]:
    answers: list[float] = models()[model].predict(pd.DataFrame(rows, columns=COLUMNS)).tolist()
    return answers


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    os.environ.setdefault("HIMALIA_TEST_MODELS", str(tmp_path_factory.mktemp("models")))
    return models()


@pytest.fixture(scope="module")
def gateway(saved_models: dict[str, Any]) -> Iterator[Gateway]:
    tree, echo = saved_models["tree_path"], saved_models["echo_path"]
    keys = [key("token-tree"), key("old", time.time() - 1), key("long", time.time() + 3600)]
    deployments = [
        deployment("tree", revision("r1", tree, model_digest=tree_digest(tree)), keys=keys),
        deployment("echo", revision("e1", echo)),
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


def echo_row(**changes: Any) -> dict[str, Any]:
    row = {"text": "x", "whole": 1, "small": 2, "time": "2026-03-29T02:30:00", "flag": True}
    return {**row, **changes}


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


def test_a_second_gateway_on_the_same_port_says_so(gateway: Gateway, tmp_path: Path) -> None:
    config = {**gateway.config, "listen": {"host": "127.0.0.1", "port": gateway.port}, "deployments": []}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    with short_dir() as folder:
        command = [sys.executable, "-m", "himalia_server.gateway", "--config", str(file)]
        ended = subprocess.run([*command, "--run-dir", str(folder)], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 75
    assert str(gateway.port) in ended.stderr
    assert "gateway.port" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_impossible_configuration_is_said_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"version": 1, "listen": {"host": "127.0.0.1", "port": "x"}, "deployments": []}')
    with short_dir() as folder:
        command = [sys.executable, "-m", "himalia_server.gateway", "--config", str(file)]
        ended = subprocess.run([*command, "--run-dir", str(folder)], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 78
    assert "listen.port: must be a whole number" in ended.stderr


def test_sigterm_answers_what_is_under_way(saved_models: dict[str, Any]) -> None:
    del saved_models
    with short_dir() as folder:
        deployments = [deployment("echo", revision("e1", models()["echo_path"]))]
        listen = {"host": "127.0.0.1", "port": 0}
        running = Gateway(folder, {"version": 1, "listen": listen, "deployments": deployments})
        running.ready("echo", "e1")
        body = {"dataframe_records": [echo_row()], "params": {"sleep": 1.5}}
        before = running.processes()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(running.ask, "echo", body)
            wait_until(running.asleep, 10, "the request's prediction")
            running.process.send_signal(signal.SIGTERM)
            assert asked.result().status_code == 200
        running.end()
        assert not any(alive(process) for process in before)
