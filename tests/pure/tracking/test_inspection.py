"""The checks of bodies and artifact paths."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_server.tracking import inspection, model_guard
from himalia_server.tracking.inspection import MODEL_READY, RequestRefusedError
from himalia_server.tracking.model_guard import ModelGuard

FILES = "/api/2.0/mlflow-artifacts/artifacts/"
CREATE = "/api/2.0/mlflow/model-versions/create"
MODEL = "m-" + "a" * 32

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def inspect(method: str, path: str, body: dict[str, Any], project: str = "alpha") -> inspection.References:
    check = inspection.inspector(method, path)
    assert check is not None
    return check(body, project, path)


def refused(method: str, path: str, body: dict[str, Any]) -> int:
    with pytest.raises(RequestRefusedError) as raised:
        inspect(method, path, body)
    return raised.value.status


# --- JSON


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_any_json_object_comes_through_unchanged(value: dict[str, Any]) -> None:
    assert inspection.parse_json_object(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'"{}"',
        b"1",
        b"{",
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xff\xfe{\x00}\x00",
        b"{}{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        inspection.parse_json_object(raw)
    assert raised.value.status == 400


def test_a_huge_body_is_refused() -> None:
    with pytest.raises(RequestRefusedError) as raised:
        inspection.parse_json_object(b" " * (inspection.MAX_JSON_BYTES + 1))
    assert raised.value.status == 413


# --- H1


@pytest.mark.parametrize("tag", sorted(inspection.RESERVED_TRACE_TAGS))
@pytest.mark.parametrize("prefix", ["/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0"])
def test_reserved_trace_tags_are_refused(tag: str, prefix: str) -> None:
    path = f"{prefix}/mlflow/traces/tr-1/tags"
    assert refused("PATCH", path, {"key": tag, "value": "file:///"}) == 403
    assert refused("PATCH", path, {"key": f" {tag} ", "value": "x"}) == 403
    assert inspect("PATCH", path, {"key": "mine", "value": tag}) == inspection.References()


@given(tag=st.sampled_from(sorted(inspection.RESERVED_TRACE_TAGS)), data=st.data())
def test_reserved_tags_are_found_at_any_depth(tag: str, data: st.DataObject) -> None:
    found: Any = data.draw(st.sampled_from([{tag: "x"}, {"key": tag}, {"tags": [{"key": tag, "value": "x"}]}]))
    for wrapper in data.draw(st.lists(st.sampled_from(["trace", "trace_info", "traceInfo", "tags", ""]), max_size=6)):
        found = {wrapper: found} if wrapper else [found]
    assert refused("POST", "/api/3.0/mlflow/traces", {"trace": found, "other": data.draw(json_values)}) == 403


# --- H2


@pytest.mark.parametrize(
    ("body", "runs", "models"),
    [
        ({"source": f"models:/{MODEL}", "model_id": MODEL}, set(), {MODEL}),
        ({"source": f"models:/{MODEL}"}, set(), {MODEL}),
        ({"source": "runs:/abc/model", "run_id": "abc"}, {"abc"}, set()),
        ({"source": "runs:/abc/model", "runId": "def"}, {"abc", "def"}, set()),
        ({"source": "mlflow-artifacts:/workspaces/alpha/1/abc/artifacts/my model"}, set(), set()),
        ({"source": f"mlflow-artifacts:/workspaces/alpha/1/models/{MODEL}/artifacts"}, set(), {MODEL}),
    ],
)
def test_own_sources_say_what_to_verify(body: dict[str, Any], runs: set[str], models: set[str]) -> None:
    references = inspect("POST", CREATE, {"name": "x", **body})
    assert (references.runs, references.ready_models) == (runs, models)


@pytest.mark.parametrize(
    "source",
    [
        "s3://b/k",
        "file:///etc",
        "/etc",
        "",
        "models:/name/1",
        "models:/name@alias",
        f"models://host/{MODEL}",
        "mlflow-artifacts:/workspaces/beta/1/x",
        "mlflow-artifacts:/workspaces/alpha",
        "mlflow-artifacts:/workspaces/alpha/../beta/x",
        "mlflow-artifacts:/workspaces/alpha/%2e%2e/beta/x",
        "mlflow-artifacts:/workspaces/alpha//x",
        "mlflow-artifacts://h/workspaces/alpha/x",
        "mlflow-artifacts:/workspaces/alpha/x?y",
        "mlflow-artifacts:/workspaces/alpha/x#y",
        "mlflow-artifacts:/workspaces/alpha\\..\\beta",
        "runs:/abc/../def",
        "RUNS:/abc/x",
        " runs:/abc/x",
        "runs:/abc/\nx",
    ],
)
def test_other_sources_are_refused(source: str) -> None:
    assert refused("POST", CREATE, {"name": "x", "source": source}) == 403


def test_odd_ids_and_missing_sources_are_refused() -> None:
    assert refused("POST", CREATE, {"name": "x"}) == 400
    assert refused("POST", CREATE, {"source": ["runs:/abc/x"]}) == 400
    assert refused("POST", CREATE, {"source": "runs:/a b/x"}) == 400
    assert refused("POST", CREATE, {"source": f"models:/{MODEL}/x"}) == 400
    assert refused("POST", CREATE, {"source": "runs:/abc/x", "run_id": 7}) == 400
    assert refused("POST", CREATE, {"source": "runs:/abc/x", "run_id": "a", "runId": "b"}) == 400


def test_prompts_have_a_placeholder_for_a_source() -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    prompt = {"name": "p", "source": "dummy-source", "tags": tags}
    assert inspect("POST", CREATE, prompt) == inspection.References()
    last_wins = [*tags, {"key": "mlflow.prompt.is_prompt", "value": "false"}]
    assert refused("POST", CREATE, {**prompt, "tags": last_wins}) == 403
    assert refused("POST", CREATE, {**prompt, "source": "s3://b/k"}) == 403


def test_only_the_named_routes_are_read() -> None:
    assert inspection.inspector("GET", CREATE) is None
    assert inspection.inspector("POST", "/api/2.0/mlflow/runs/log-batch") is None
    assert inspection.inspector("PUT", FILES + "x") is None


# --- H3


def test_completing_names_the_model_of_the_path() -> None:
    path = f"/ajax-api/2.0/mlflow/logged-models/{MODEL}"
    ready = inspect("PATCH", path, {"model_id": MODEL, "status": MODEL_READY})
    assert (ready.finalizes, ready.reopens) == (MODEL, False)
    assert inspect("PATCH", path, {"modelId": MODEL, "status": 2}).reopens is False
    for status in ("LOGGED_MODEL_PENDING", 1, 3, None, "2", "", 0):
        assert inspect("PATCH", path, {"model_id": MODEL, "status": status}).reopens is True
    assert refused("PATCH", path, {"model_id": "m-" + "b" * 32, "status": 2}) == 400
    assert refused("PATCH", path, {"status": 2}) == 400


@given(st.integers(0, 4), st.sampled_from(["models", "MODELS", "Models"]), st.booleans())
def test_a_models_files_are_recognised_however_they_are_written(rounds: int, parent: str, upper: bool) -> None:
    path = f"workspaces/alpha/1/{parent}/{MODEL.upper() if upper else MODEL}/artifacts/MLmodel"
    for _ in range(rounds):
        path = "".join(f"%{ord(c):02x}" if c in "mMoO-" else quote(c, safe="/") for c in path)
    assert inspection.model_of_path(path) == MODEL


def test_other_folders_are_not_models() -> None:
    for path in ("1/abc/artifacts/models/big", "1/models", "1/model/m-1", "models/x/m-1"):
        assert inspection.model_of_path(path) is None
    with pytest.raises(RequestRefusedError):
        inspection.model_of_path("1/models/m-?/x")


@pytest.mark.parametrize("path", ["workspaces/beta/x", "workspaces", "%77orkspaces/beta/x", " workspaces/beta/x"])
def test_artifact_paths_of_other_projects_are_refused(path: str) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        inspection.check_artifact_path(path, "alpha")
    assert raised.value.status == 403


@pytest.mark.parametrize("path", ["file:x/y", "FILE%3ax/y", "s3:x"])
def test_artifact_paths_with_a_scheme_are_refused(path: str) -> None:
    with pytest.raises(RequestRefusedError):
        inspection.check_artifact_path(path, "alpha")


def test_the_artifact_path_is_cut_from_every_writing_route() -> None:
    assert inspection.written_artifact("PUT", FILES + "a/b c") == "a/b c"
    assert inspection.written_artifact("DELETE", "/ajax-api" + FILES.removeprefix("/api") + "a") == "a"
    for step in ("create", "complete", "abort"):
        assert inspection.written_artifact("POST", f"/api/2.0/mlflow-artifacts/mpu/{step}/a/b") == "a/b"
    assert inspection.written_artifact("GET", FILES + "a") is None
    assert inspection.written_artifact("POST", "/api/2.0/mlflow/runs/create") is None


# --- the guard


def test_nobody_writes_while_a_model_is_completed_nor_completes_while_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_guard, "WAIT_SECONDS", 0.01)
    status = {MODEL: "LOGGED_MODEL_PENDING"}

    async def status_of(project: str, model_id: str) -> str | None:
        await asyncio.sleep(0)
        return status.get(model_id)

    async def scenario() -> None:
        guard = ModelGuard(status_of)
        async with guard.writing("alpha", MODEL):
            async with guard.writing("alpha", MODEL):
                pass
            with pytest.raises(RequestRefusedError) as raised:
                await guard.completing("alpha", MODEL, False).__aenter__()
            assert raised.value.status == 409
            async with guard.completing("beta", MODEL, False):
                pass
        async with guard.completing("alpha", MODEL, False):
            with pytest.raises(RequestRefusedError):
                await guard.writing("alpha", MODEL).__aenter__()
            status[MODEL] = MODEL_READY
        for context in (guard.writing("alpha", MODEL), guard.completing("alpha", MODEL, True)):
            with pytest.raises(RequestRefusedError) as raised:
                await context.__aenter__()
            assert raised.value.status == 403
        async with guard.completing("alpha", MODEL, False):
            pass

    asyncio.run(scenario())


def test_who_has_the_answer_to_an_upload_may_complete_the_model_at_once() -> None:
    async def status_of(project: str, model_id: str) -> str | None:
        return "LOGGED_MODEL_PENDING"

    async def scenario() -> None:
        guard = ModelGuard(status_of)
        ended, completed = asyncio.Event(), asyncio.Event()

        async def upload() -> None:
            async with guard.writing("alpha", MODEL):
                await ended.wait()
            assert not completed.is_set()

        async def complete() -> None:
            async with guard.completing("alpha", MODEL, False):
                completed.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(upload())
            await asyncio.sleep(0)  # the upload has begun
            group.create_task(complete())
            await asyncio.sleep(0)
            ended.set()
        assert completed.is_set()

    asyncio.run(scenario())
