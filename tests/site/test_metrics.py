"""`/metrics`: read as a Prometheus server does, by those who may, with numbers that are right."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.site.lab import Lab
from tests.waiting import wait_until

PATH = "/metrics"


def read(lab: Lab) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples, with the token that is made for it."""
    reply = lab.request("GET", PATH, token=lab.site.metrics_token_file.read_text().strip())
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(reply.text))
    assert all(family.documentation for family in families), "each has a line of help"
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "no series is there twice"
    return found


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.fixture(scope="module")
def counted(lab: Lab) -> Lab:
    """A site where some requests have been made."""
    for slug in ("a", "b", "c"):
        assert lab.request("GET", f"/projects/{slug}").status_code == 404
    for path in ("/none", "/none/two", "/../etc"):
        lab.request("GET", path)
    return lab


def test_requests_are_counted_by_template(counted: Lab) -> None:
    before = read(counted)
    assert counted.request("GET", "/projects/nobody-knows-it").status_code == 404
    assert counted.request("POST", "/projects", json={}).status_code == 422
    assert counted.request("GET", "/no/such/route").status_code == 404
    assert counted.request("PURGE", "/projects").status_code == 405
    after = read(counted)

    def more(name: str, **labels: str) -> float:
        return after[key(name, **labels)] - before.get(key(name, **labels), 0.0)

    template = "/api/v1/projects/{slug}"
    assert more("himalia_requests_total", method="GET", route=template, status="404") == 1
    assert more("himalia_requests_total", method="POST", route="/api/v1/projects", status="422") == 1
    assert more("himalia_requests_total", method="GET", route="none", status="404") == 1
    assert sum(after[k] for k in after if k[0] == "himalia_requests_total" and ("method", "other") in k[1]) >= 1
    assert more("himalia_request_seconds_count", method="GET", route=template) == 1
    assert more("himalia_request_seconds_bucket", method="GET", route=template, le="+Inf") == 1
    assert more("himalia_request_seconds_sum", method="GET", route=template) > 0
    routes = {dict(labels)["route"] for name, labels in after if name == "himalia_requests_total"}
    assert not [route for route in routes if "nobody-knows-it" in route or "such" in route]


def test_buckets_add_up(counted: Lab) -> None:
    found = read(counted)
    series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (name, labels), value in found.items():
        if name == "himalia_request_seconds_bucket":
            rest = frozenset(item for item in labels if item[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    assert series
    for labels, buckets in series.items():
        values = [value for _, value in sorted(buckets)]
        assert values == sorted(values)
        assert values[-1] == found["himalia_request_seconds_count", labels]
        answered = [v for (name, all_), v in found.items() if name == "himalia_requests_total" and labels <= all_]
        assert values[-1] == sum(answered)


def test_the_site_is_counted_as_the_api_tells_it(lab: Lab) -> None:
    found = read(lab)
    service = lab.get("/service")
    assert found[key("himalia_info", version=service["version"], site=lab.site.id)] == 1
    assert found[key("himalia_start_time_seconds")] == pytest.approx(service["started_at"])
    assert found[key("himalia_projects")] == len(lab.get("/projects", params={"limit": 200})["items"])
    kinds = [child["name"].partition("-")[0] for child in service["children"]]
    assert {dict(labels)["kind"]: value for (name, labels), value in found.items() if name == "himalia_child_up"} == {
        kind: kinds.count(kind) for kind in kinds
    }
    assert found[key("process_open_fds")] > 3
    assert found[key("himalia_last_event")] <= lab.get("/service")["last_event"]


@pytest.mark.parametrize(
    ("who", "status"), [("owner", 200), ("auditor", 200), ("member", 403), ("kernel", 403), ("nobody", 401)]
)
def test_who_may_read_it(lab: Lab, who: str, status: int) -> None:
    token = {
        "owner": lambda: None,
        "auditor": lambda: lab.token(None, "auditor"),
        "member": lambda: lab.token("tiny", "owner"),
        "kernel": lambda: lab.token("tiny", "owner", purpose="kernel", limit="contributor"),
        "nobody": lambda: "",
    }[who]()
    assert lab.request("GET", PATH, token=token).status_code == status


def test_its_token_reads_nothing_else(lab: Lab) -> None:
    token = lab.site.metrics_token_file.read_text().strip()
    assert lab.site.metrics_token_file.stat().st_mode & 0o077 == 0
    for method, path in (
        ("GET", "/projects"),
        ("GET", "/projects/tiny"),
        ("GET", "/service"),
        ("GET", "/audit"),
        ("POST", "/service/stop"),
        ("GET", "/mlflow/tiny/"),
    ):
        assert lab.request(method, path, token=token).status_code == 403, path


def test_an_mlflow_that_hangs_holds_up_no_other_request(lab: Lab) -> None:
    lab.tracking_ready()
    pid = lab.child_pid("mlflow")
    assert pid is not None
    answers: list[float] = []
    reading = threading.Thread(target=lambda: answers.append(read(lab)[key("himalia_tracking_up")]))
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, 10, "the halt")
        reading.start()
        for _ in range(5):
            assert lab.request("GET", "/health").status_code == 200
        assert reading.is_alive(), "others were answered meanwhile"
        reading.join(60)
        assert answers == [0.0]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: read(lab)[key("himalia_tracking_up")] == 1.0, 60, "MLflow again")


def test_predictions_are_counted_by_endpoint(lab: Lab) -> None:
    """With a valid key only, so that strangers make up no series; also over the death of the gateway's worker."""
    lab.tracking_ready()
    if not lab.get("/projects/tiny/models")["items"]:
        lab.wait_run("tiny", lab.post("/projects/tiny/runs")["id"])
    lab.post("/projects/tiny/deployments", {"name": "counted", "model": "models:/tiny/1"})
    path = "/projects/tiny/deployments/counted"
    try:
        count_predictions(lab, path)
    finally:
        assert lab.request("DELETE", path).status_code == 204


def count_predictions(lab: Lab, path: str) -> None:
    wait_until(lambda: lab.get(path)["state"] == "ready", 120, "the endpoint")
    token = lab.post(f"{path}/tokens", {"label": "test", "days": 1})["token"]
    url = lab.get(path)["url"]

    def ask(key: str, body: object) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60).status_code

    good = {"dataframe_split": {"columns": ["a", "b"], "data": [[19.0, 0.0]]}}
    assert [ask(token, good) for _ in range(3)] == [200, 200, 200]
    assert ask(token, {"nonsense": 1}) == 400
    assert ask("hmd_wrong", good) == 401
    ok = key("himalia_endpoint_requests_total", endpoint="counted", status="200")
    count = key("himalia_endpoint_request_seconds_count", endpoint="counted")
    wait_until(lambda: read(lab).get(count) == 4, 10, "the counts, which the gateway's worker reports now and then")
    found = read(lab)
    assert found[ok] == 3
    assert found[key("himalia_endpoint_requests_total", endpoint="counted", status="400")] == 1
    assert key("himalia_endpoint_requests_total", endpoint="counted", status="401") not in found
    assert found[key("himalia_endpoint_request_seconds_bucket", endpoint="counted", le="+Inf")] == 4
    assert found[key("himalia_endpoint_request_seconds_sum", endpoint="counted")] > 0
    (worker,) = (process for process in lab.processes("himalia_server.gateway.worker"))
    worker.kill()
    wait_until(lambda: ask_again(lambda: ask(token, good)), 30, "another worker")
    wait_until(lambda: read(lab).get(ok, 0) >= 4, 10, "counts of the next worker, added to those before")


def ask_again(ask: Callable[[], int]) -> bool:
    """Whether it is answered with 200 now; the connection may be refused."""
    try:
        return ask() == 200
    except httpx.TransportError:
        return False
