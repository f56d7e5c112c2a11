"""What crosses the control socket between a holder and a service that may be of another version."""

from __future__ import annotations

import pytest

from himalia_server.clusters import ClientFiles, ClusterState, WorkerState

STATE = ClusterState(
    name="shared",
    state="running",
    address="tls://127.0.0.1:8786",
    workers=(WorkerState("worker-0", 4711, "running", 0), WorkerState("worker-1", None, "restarting", 2, "killed")),
    wanted=2,
    threads=2,
    memory_bytes=4 << 30,
    scheduler_pid=4710,
    error=None,
    client=ClientFiles("ca.pem", "client.pem", "client.key"),
    dashboard="/run/scheduler.sock",
)


def test_a_state_comes_through_the_wire_and_what_another_version_adds_is_passed_over() -> None:
    assert ClusterState.from_wire(STATE.to_wire()) == STATE
    assert ClusterState.from_wire(STATE.to_wire() | {"adaptive": True}) == STATE
    assert STATE.running == 1


def test_a_state_that_lacks_something_is_none() -> None:
    document = STATE.to_wire()
    del document["wanted"]
    with pytest.raises(TypeError, match="wanted"):
        ClusterState.from_wire(document)
