"""The gateway as a process: how it starts and ends. `Gateway` and the models serve the other tests too."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

from tests.layer import kernel_layer
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
    """Save small models once for all tests: trees with different answers, and one that echoes."""
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
    signature = infer_signature(data.to_numpy(), saved["tree"].predict(data))
    mlflow.sklearn.save_model(
        saved["tree"],
        folder / "tensor",
        signature=signature,
        pip_requirements=[],
        skops_trusted_types=["sklearn.tree._tree.Tree"],
    )
    saved["tensor_path"] = folder / "tensor"
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
        "layer": str(kernel_layer()),
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
        try:
            self.connect().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def write(self, config: dict[str, Any] | str) -> None:
        """Replace the configuration file atomically."""
        new = self.file.with_suffix(".new")
        new.write_text(config if isinstance(config, str) else json.dumps(config))
        new.replace(self.file)

    def reload(self, *deployments: dict[str, Any]) -> None:
        """Have a configuration with these deployments read; as the service does: say it, and hang up."""
        version = self.config["version"] + 1
        self.config = {**self.config, "version": version, "deployments": list(deployments)}
        self.write(self.config)
        with self.connect() as control:
            control.sendall(b'{"op": "reload"}\n')
        wait_until(lambda: self.state()["config_version"] == version, 20, f"configuration {version}")

    def connect(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(30)
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


def echo_row(**changes: Any) -> dict[str, Any]:
    row = {"text": "x", "whole": 1, "small": 2, "time": "2026-03-29T02:30:00", "flag": True}
    return {**row, **changes}


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused_port(other.getsockname()[1], tmp_path)


def refused_port(port: int, tmp_path: Path) -> None:
    config = {"version": 1, "listen": {"host": "127.0.0.1", "port": port}, "deployments": []}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    with short_dir() as folder:
        command = [sys.executable, "-m", "himalia_server.gateway", "--config", str(file)]
        ended = subprocess.run([*command, "--run-dir", str(folder)], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 75
    assert str(port) in ended.stderr
    assert "[gateway] port" in ended.stderr
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


def test_killing_the_parent_leaves_nothing_running(saved_models: dict[str, Any]) -> None:
    tree = deployment("tree", revision("r1", saved_models["tree_path"]))
    config = {"version": 1, "listen": {"host": "127.0.0.1", "port": 0}, "deployments": [tree]}
    with short_dir() as folder:
        gateway = Gateway(folder, config)
        gateway.ready("tree", "r1")
        processes = gateway.processes()
        assert len(processes) == 3
        gateway.process.kill()
        gateway.process.wait(10)
        wait_until(lambda: not any(alive(process) for process in processes), 10, "the end of all processes")
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", gateway.port))
        again = Gateway(folder, config)  # what was left in the run folder does not disturb the next one
        again.end()


def test_without_the_kernels_help_a_child_ends_with_its_parents_pipe() -> None:
    code = (
        "import os, sys, time; from himalia._replica_life import die_with_parent\n"
        "die_with_parent(os.getppid(), 0, use_kernel=False); print('lives', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"lives\n"
        child.stdin.close()
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.stdout.close()
        child.wait()
