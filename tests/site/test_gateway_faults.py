"""The gateway while its parts are killed, and while its configuration changes: no request is lost."""

from __future__ import annotations

import functools
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.site.test_gateway_lifecycle import (
    COLUMNS,
    Gateway,
    alive,
    deployment,
    echo_row,
    expected,
    key,
    models,
    revision,
    saved_models,
    split,
)
from tests.waiting import short_dir, wait_until

__all__ = ["saved_models"]


@functools.cache
def questions() -> list[tuple[list[float], dict[str, float]]]:
    """Rows, and what each model answers."""
    generator = random.Random(1)
    rows = [[generator.random() for _ in COLUMNS] for _ in range(500)]
    answers = {model: expected(rows, model) for model in ("tree", "other")}
    return [(row, {model: answers[model][n] for model in answers}) for n, row in enumerate(rows)]


class Load:
    """Clients that ask without a pause, check every answer, and count by revision."""

    def __init__(self, gateway: Gateway, answers: dict[str, str], clients: int = 4) -> None:
        """*answers*: which model each revision must answer with."""
        self.gateway = gateway
        self.answers = answers
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Load:
        questions()
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.counts.total() > 20 or self.faults, 20, "the first answers")
        return self

    def __exit__(self, *_: object) -> None:
        self.more()
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        assert self.faults == []

    def more(self) -> None:
        """Wait until some more requests have been answered."""
        enough = self.counts.total() + 50
        wait_until(lambda: self.counts.total() >= enough or self.faults, 40, "more answers")

    def _ask(self, number: int) -> None:
        mine = random.Random(number)
        headers = {"Authorization": "Bearer token-tree"}
        url = f"{self.gateway.url}/endpoints/tree/invocations"
        with httpx.Client(trust_env=False, timeout=60, headers=headers) as http:
            while not self._end.is_set():
                row, right = mine.choice(questions())
                try:
                    response = http.post(url, json=split([row]))
                except httpx.HTTPError as error:
                    self.faults.append(repr(error))
                    continue
                by = response.headers.get("x-himalia-revision", "none")
                self.counts[by] += 1
                fine = response.status_code == 200 and by in self.answers
                if not fine or response.json()["predictions"] != [right[self.answers[by]]]:
                    self.faults.append(f"{response.status_code} {by} {response.text[:200]}")


@pytest.fixture(scope="module")
def running(saved_models: dict[str, Any]) -> Iterator[Gateway]:
    config = {
        "version": 1,
        "listen": {"host": "127.0.0.1", "port": 0},
        "deployments": [
            deployment("tree", revision("r1", saved_models["tree_path"])),
            deployment("echo", revision("e1", saved_models["echo_path"])),
        ],
    }
    with short_dir() as folder:
        gateway = Gateway(folder, config)
        try:
            gateway.ready("tree", "r1")
            gateway.ready("echo", "e1")
            yield gateway
        finally:
            gateway.end()


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    """The module's gateway with both deployments as they were at the beginning."""
    deployments = [
        deployment("tree", revision("r1", models()["tree_path"])),
        deployment("echo", revision("e1", models()["echo_path"])),
    ]
    if running.config["deployments"] != deployments:
        running.reload(*deployments)
    wait_until(lambda: serving(running, "tree") == ["r1"], 60, "the first revision")
    running.ready("tree", "r1")
    running.ready("echo", "e1")
    return running


def serving(gateway: Gateway, name: str) -> list[str]:
    numbers: list[str] = gateway.state()["deployments"][name]["serving"]
    return numbers


def test_killing_the_replica_under_load_fails_no_request(gateway: Gateway) -> None:
    before = gateway.ready("tree", "r1")
    with Load(gateway, {"r1": "tree"}) as load:
        os.kill(before["pid"], signal.SIGKILL)
        found = gateway.until("tree", "r1", lambda item: item["pid"] not in (None, before["pid"]))
        assert found["restarts"] == before["restarts"] + 1
        assert "SIGKILL" in found["error"]
        gateway.ready("tree", "r1")
        load.more()
    assert gateway.ready("tree", "r1")["error"] is None


def test_a_request_that_kills_its_replica_harms_only_itself(gateway: Gateway) -> None:
    busy = {"dataframe_records": [echo_row()], "params": {"sleep": 1.0}}
    answers: dict[str, httpx.Response] = {}

    def ask(name: str, body: dict[str, Any]) -> None:
        answers[name] = gateway.ask("echo", body)

    threads = [threading.Thread(target=ask, args=("busy", busy))]
    threads[0].start()
    wait_until(gateway.asleep, 10, "the first request's prediction")
    for text in ("before", "die", "after"):
        threads.append(threading.Thread(target=ask, args=(text, {"dataframe_records": [echo_row(text=text)]})))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "busy": 200,
        "before": 200,
        "die": 500,
        "after": 200,
    }
    assert "ended twice" in answers["die"].json()["message"]


def test_killing_the_worker_leaves_the_replicas_alone(gateway: Gateway) -> None:
    state = gateway.state()
    os.kill(state["worker_pid"], signal.SIGKILL)
    rows = [[0.5, 0.25, 0.125]]
    assert gateway.ask("tree", split(rows)).json() == {"predictions": expected(rows)}
    assert gateway.state()["worker_pid"] != state["worker_pid"]
    assert gateway.revision("tree", "r1")["pid"] == state["deployments"]["tree"]["revisions"]["r1"]["pid"]


def test_a_new_revision_takes_over_under_load_without_a_loss(gateway: Gateway) -> None:
    old = psutil.Process(gateway.ready("tree", "r1")["pid"])
    echo = gateway.config["deployments"][1]
    with Load(gateway, {"r1": "tree", "r2": "other"}) as load:
        gateway.reload(deployment("tree", revision("r2", models()["other_path"])), echo)
        wait_until(lambda: serving(gateway, "tree") == ["r2"], 60, "the new revision")
        load.more()
    assert load.counts["r1"] > 0
    assert load.counts["r2"] > 0
    wait_until(lambda: not alive(old), 20, "the end of the old replica")
    assert list(gateway.state()["deployments"]["tree"]["revisions"]) == ["r2"]


def test_a_revision_that_cannot_load_leaves_the_old_one_serving(gateway: Gateway, tmp_path: Path) -> None:
    echo = gateway.config["deployments"][1]
    gateway.reload(deployment("tree", revision("r9", tmp_path / "no-model")), echo)
    found = gateway.until("tree", "r9", lambda item: item["state"] == "failed")
    assert "no-model" in found["error"]
    assert serving(gateway, "tree") == ["r1"]
    rows = [[0.5, 0.25, 0.125]]
    assert gateway.ask("tree", split(rows)).json() == {"predictions": expected(rows)}
    assert '"traceback"' in gateway.log.read_text()


def test_two_revisions_share_the_requests_by_weight(gateway: Gateway) -> None:
    echo = gateway.config["deployments"][1]
    both = [
        revision("r1", models()["tree_path"], weight=75),
        revision("r2", models()["other_path"], weight=25),
    ]
    pid = gateway.revision("tree", "r1")["pid"]
    gateway.reload(deployment("tree", *both), echo)
    wait_until(lambda: serving(gateway, "tree") == ["r1", "r2"], 60, "both revisions")
    assert gateway.revision("tree", "r1")["pid"] == pid
    with Load(gateway, {"r1": "tree", "r2": "other"}) as load:
        wait_until(lambda: load.counts.total() > 1000 or load.faults, 60, "a thousand answers")
    assert 0.68 < load.counts["r1"] / load.counts.total() < 0.82


def test_new_keys_restart_nothing_and_count_at_once(gateway: Gateway) -> None:
    pid = gateway.revision("tree", "r1")["pid"]
    tree, echo = gateway.config["deployments"]
    rows = [[0.5, 0.25, 0.125]]
    gateway.reload({**tree, "keys": [key("fresh")]}, echo)
    assert gateway.ask("tree", split(rows), token="fresh").status_code == 200
    assert gateway.ask("tree", split(rows)).status_code == 401
    assert gateway.revision("tree", "r1")["pid"] == pid


def test_a_deployment_can_go_and_another_come(gateway: Gateway) -> None:
    tree, echo = gateway.config["deployments"]
    replica = psutil.Process(gateway.ready("echo", "e1")["pid"])
    gateway.reload(tree)
    wait_until(lambda: not alive(replica), 20, "the end of the removed deployment's replica")
    assert gateway.ask("echo", {"inputs": {}}).status_code == 401
    assert httpx.get(f"{gateway.url}/ready", trust_env=False).json() == {"status": "ok"}
    gateway.reload(tree, echo)
    assert gateway.ask("echo", {"dataframe_records": [echo_row()]}).status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "is not JSON"),
        ({"version": "x"}, "version: must be a whole number"),
        ({"listen": {"host": "127.0.0.1", "port": 1}}, "host and port cannot change"),
    ],
)
def test_an_invalid_configuration_is_refused_and_the_old_one_kept(
    gateway: Gateway, change: str | dict[str, Any], said: str
) -> None:
    version = gateway.state()["config_version"]
    gateway.write(change if isinstance(change, str) else {**gateway.config, **change})
    gateway.send({"op": "reload"})
    state = gateway.state()
    assert said in state["config_error"]
    assert state["config_version"] == version
    rows = [[0.5, 0.25, 0.125]]
    assert gateway.ask("tree", split(rows)).json() == {"predictions": expected(rows)}
    gateway.reload(*gateway.config["deployments"])
    assert gateway.state()["config_error"] is None


def test_replicas_keep_no_secret_of_the_gateway(gateway: Gateway) -> None:
    replica = psutil.Process(gateway.ready("tree", "r1")["pid"])
    environment = replica.environ()
    assert "HIMALIA_TEST_MODELS" not in environment
    assert replica.cmdline()[-2] == "--spec"
    folder = Path(replica.cmdline()[-1]).parent
    assert [(folder / name).stat().st_mode & 0o777 for name in ("s", "spec.json", ".")] == [0o600, 0o600, 0o700]


def test_limits_are_kept_while_no_replica_is_ready(saved_models: dict[str, Any], tmp_path: Path) -> None:
    slow = tmp_path / "python"  # an interpreter that never becomes ready
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    late = deployment("tree", revision("r1", saved_models["tree_path"], python=str(slow)))
    listen = {"host": "127.0.0.1", "port": 0}
    limits = {"deadline_seconds": 1.0, "queue_requests": 2, "start_seconds": 600}
    with short_dir() as folder:
        gateway = Gateway(folder, {"version": 1, "listen": listen, "deployments": [late], "limits": limits})
        responses: list[httpx.Response] = []
        threads = [
            threading.Thread(target=lambda: responses.append(gateway.ask("tree", split([[1, 2, 3]])))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [item.status_code for item in responses] == [503] * 3
        assert sorted(item.headers["retry-after"] for item in responses) == ["1", "5", "5"]
        assert httpx.get(f"{gateway.url}/ready", trust_env=False).status_code == 503
        gateway.end()
