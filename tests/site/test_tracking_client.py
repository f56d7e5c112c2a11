"""MLflow's own Python client through the proxy: what works, for whom, and where the token goes."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry as auth_registry
from sklearn.linear_model import LinearRegression

from himalia.mlflow_headers import NAME, HimaliaAuthProvider
from tests.site.tracking_lab import (
    ROLES,
    Lab,
    peak_memory,
    reset_peak_memory,
    running_lab,
    token,
)
from tests.waiting import wait_until

FILES = "/api/2.0/mlflow-artifacts/artifacts"
TWENTY_MB = 20 << 20


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture(autouse=True)
def _project_kernel(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a project's kernel, as an operator of alpha."""
    if NAME not in [provider.get_name() for provider in auth_registry]:
        auth_registry.register(HimaliaAuthProvider)
    monkeypatch.setenv("HIMALIA_URL", lab.url)
    monkeypatch.setenv("HIMALIA_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", NAME)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    become(tmp_path, "operator")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"{lab.url}/mlflow/alpha")
    yield
    mlflow.set_tracking_uri(before)


def become(folder: Path, role: str, project: str = "alpha") -> None:
    """Rewrite the token file, as the service does when it renews a token."""
    (folder / "token").write_text(token(project, role) + "\n")


def test_runs_params_metrics_and_artifacts(tmp_path: Path) -> None:
    mlflow.set_experiment("flights")
    (tmp_path / "odd näme 50% & more.txt").write_text("odd")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"depth": 3, "rate": 0.1})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({f"m{number}": float(number) for number in range(200)})
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": 1}, "notes/a.json")
        mlflow.log_artifact(str(tmp_path / "odd näme 50% & more.txt"))
        mlflow.set_tag("who", "me")
    client = MlflowClient()
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"depth": "3", "rate": "0.1"}
    assert found.data.metrics["m199"] == 199.0
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2]
    assert mlflow.artifacts.load_text(f"{found.info.artifact_uri}/notes/hello.txt") == "hello"
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"notes", "odd näme 50% & more.txt"}
    copy = client.download_artifacts(run.info.run_id, "odd näme 50% & more.txt", str(tmp_path))
    assert Path(copy).read_text() == "odd"
    assert len(mlflow.search_runs(experiment_names=["flights"])) == 1


def test_a_model_is_logged_registered_aliased_and_loaded(lab: Lab, tmp_path: Path) -> None:
    mlflow.set_experiment("models")
    features = np.arange(10.0).reshape(-1, 1)
    model = LinearRegression().fit(features, 2 * features.ravel())
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model, name="line", registered_model_name="line", pip_requirements=["scikit-learn"]
        )
    client = MlflowClient()
    client.set_registered_model_alias("line", "champion", 1)
    client.set_model_version_tag("line", "1", "checked", "yes")
    loaded = mlflow.sklearn.load_model("models:/line@champion")
    assert loaded.predict([[4.0]])[0] == pytest.approx(8.0)
    assert mlflow.sklearn.load_model(info.model_uri).coef_[0] == pytest.approx(2.0)

    ours = lab.client()
    (known,) = [entry for entry in ours.list_models() if entry["name"] == "line"]
    assert known["aliases"] == {"champion": 1}
    assert [version["version"] for version in known["versions"]] == [1]
    assert ours.get_model_version_by_alias("line", "champion").source.startswith("models:/m-")
    ours.download_model("line", 1, tmp_path / "deep" / "model")
    assert mlflow.sklearn.load_model(str(tmp_path / "deep" / "model")).predict([[1.0]])[0] == pytest.approx(2)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]
    with pytest.raises(FileExistsError):
        ours.download_model("line", 1, tmp_path / "deep" / "model")


def test_a_model_of_run_files_can_be_registered_and_downloaded(lab: Lab, tmp_path: Path) -> None:
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "plain/inner/weights.txt")
    client = MlflowClient()
    client.create_registered_model("plain")
    client.create_model_version("plain", f"runs:/{run.info.run_id}/plain", run.info.run_id)
    lab.client().download_model("plain", 1, tmp_path / "model")
    assert (tmp_path / "model" / "inner" / "weights.txt").read_text() == "weights"


def test_traces_keep_their_spans_without_the_otlp_route() -> None:
    mlflow.set_experiment("traces")
    with mlflow.start_span("root") as span:
        span.set_inputs({"x": 1})
        with mlflow.start_span("inner"):
            pass
    trace = mlflow.get_trace(span.trace_id)
    assert trace is not None
    assert [found.name for found in trace.data.spans] == ["root", "inner"]
    mlflow.set_trace_tag(span.trace_id, "mine", "yes")
    assert mlflow.get_trace(span.trace_id).info.tags["mine"] == "yes"
    assert [found.info.trace_id for found in mlflow.search_traces(return_type="list")] == [span.trace_id]


def test_prompts_can_be_registered() -> None:
    prompt = mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}")
    assert mlflow.genai.load_prompt(f"prompts:/greeting/{prompt.version}").template == "Hello {{name}}"


ACTIONS: dict[str, tuple[str, ...]] = {
    "read": ROLES,
    "write": ("contributor", "operator", "approver", "owner"),
    "registry": ("operator", "approver", "owner"),
    "delete": ("owner",),
}


@pytest.fixture(scope="module")
def subject(lab: Lab) -> dict[str, str]:
    ours = lab.client()
    experiment = ours.get_or_create_experiment("roles")
    run = ours.create_run(experiment, "roles", {})
    for path, body in (
        ("registered-models/create", {"name": "roles"}),
        ("model-versions/create", {"name": "roles", "source": f"runs:/{run}/m", "run_id": run}),
    ):
        assert lab.call("POST", f"/api/2.0/mlflow/{path}", body).status == 200
    return {"run": run, "experiment": experiment}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says(lab: Lab, tmp_path: Path, subject: dict[str, str], role: str) -> None:
    become(tmp_path, role)
    client = MlflowClient()
    doomed = lab.client().create_run(subject["experiment"], "doomed", {})

    def delete() -> None:
        client.delete_run(doomed)

    acts: dict[str, Any] = {
        "read": lambda: client.get_run(subject["run"]),
        "write": lambda: client.set_tag(subject["run"], "by", role),
        "registry": lambda: client.set_registered_model_alias("roles", "champion", "1"),
        "delete": delete,
    }
    for action, act in acts.items():
        if role in ACTIONS[action]:
            act()
            continue
        before = len(lab.denied())
        with pytest.raises(MlflowException, match=f"needs the role {ACTIONS[action][0]}.*yours is {role}") as raised:
            act()
        assert raised.value.error_code == "PERMISSION_DENIED"
        assert len(lab.denied()) == before + 1


def test_a_renewed_token_is_used_and_a_missing_one_is_explained(tmp_path: Path) -> None:
    client = MlflowClient()
    client.search_experiments()
    become(tmp_path, "operator", project="beta")
    with pytest.raises(MlflowException, match="401"):
        client.search_experiments()
    become(tmp_path, "viewer")
    client.search_experiments()
    (tmp_path / "token").unlink()
    with pytest.raises(MlflowException, match="cannot be read"):
        client.search_experiments()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    seen: list[str | None] = []  # noqa: RUF012 (shared on purpose)

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_the_token_goes_to_the_service_only(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            other = f"http://127.0.0.1:{server.server_port}"
            mlflow.artifacts.download_artifacts(f"{other}/mlflow/alpha{FILES}/x.json", dst_path=str(tmp_path))
            MlflowClient(tracking_uri=f"{other}/mlflow/alpha").search_experiments()
        finally:
            server.shutdown()
            thread.join()
    assert len(_Elsewhere.seen) >= 2
    assert set(_Elsewhere.seen) == {None}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_twenty_megabytes_stream_both_ways_in_little_memory(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(os.urandom(1 << 20) * 20)
    run = lab.client().create_run(lab.client().get_or_create_experiment("big"), "big", {})
    MlflowClient().log_artifact(run, str(source))  # warms the proxy: its code is loaded, its pool is open
    reset_peak_memory(lab.proxy_pid)
    before = peak_memory(lab.proxy_pid)
    for number in range(3):
        MlflowClient().log_artifact(run, str(source), f"copy{number}")
        copy = MlflowClient().download_artifacts(run, f"copy{number}/big.bin", str(tmp_path))
        assert digest(Path(copy)) == digest(source)
    grown = peak_memory(lab.proxy_pid) - before
    assert grown < TWENTY_MB / 2, f"the proxy's peak grew by {grown >> 20} MB while 20 MB files passed"


def _run_files(lab: Lab, name: str) -> str:
    ours = lab.client()
    run = ours.create_run(ours.get_or_create_experiment("files"), name, {})
    uri = lab.call("GET", f"/api/2.0/mlflow/runs/get?run_id={run}").json()["run"]["info"]["artifact_uri"]
    return str(uri).removeprefix("mlflow-artifacts:/")


def test_files_come_in_parts_and_in_a_sandbox(lab: Lab) -> None:
    path = f"{FILES}/{_run_files(lab, 'parts')}/page.html"
    assert lab.call("PUT", path, body=b"<script>alert(1)</script>").status == 200
    part = lab.call("GET", path, headers={"Range": "bytes=1-6"})
    assert (part.status, part.body) == (206, b"script")
    assert part.headers["content-range"] == "bytes 1-6/25"
    head = lab.call("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "25")
    assert part.headers["content-security-policy"].startswith("sandbox;")
    assert part.headers["x-content-type-options"] == "nosniff"
    page = lab.call("GET", "/")
    assert page.status == 200
    assert page.headers["content-security-policy"] == "frame-ancestors 'self'"
    assert "x-frame-options" not in page.headers
    assert "access-control-allow-origin" not in lab.call("GET", "/version", headers={"Origin": "http://evil"}).headers


def test_an_upload_that_breaks_off_leaves_no_file(lab: Lab) -> None:
    files = _run_files(lab, "broken")

    def half() -> Iterator[bytes]:
        yield b"x" * 1000
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        lab.call("PUT", f"{FILES}/{files}/half.bin", headers={"Content-Length": "2000"}, body=half())
    wait_until(lambda: lab.call("GET", "/health").status == 200, 30, "the proxy to answer")
    assert lab.call("GET", f"{FILES}/{files}/half.bin").status == 404


def test_server_info_hides_workspaces_and_gateway(lab: Lab) -> None:
    for api in ("api", "ajax-api"):
        facts = lab.call("GET", f"/{api}/3.0/mlflow/server-info", role="viewer").json()
        assert facts["workspaces_enabled"] is False
        assert facts["features_enabled"]["gateway"] is False


def test_bodies_that_mlflow_would_buffer_are_limited(lab: Lab) -> None:
    path = "/api/2.0/mlflow/runs/log-batch"
    answer = lab.call("POST", path, headers={"Content-Length": str(65 << 20)}, body=b"")
    assert answer.status == 413
    assert lab.call("POST", path, headers={"Transfer-Encoding": "chunked"}, body=iter([b"1\r\n{\r\n"])).status == 411
    large = {"key": "x", "value": "y" * (5 << 20)}
    assert lab.call("PATCH", "/api/3.0/mlflow/traces/tr-1/tags", large).status == 413
