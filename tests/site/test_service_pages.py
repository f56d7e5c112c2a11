"""What JupyterLab asks the service for: templates, scores of models, the try-it form, dashboards, guests."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import signal
import socket
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.site.lab import Lab
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[Lab]:
    """`tiny` has run and its model answers at the endpoint tiny-pages."""
    lab.tracking_ready()
    run = lab.post("/projects/tiny/runs", {})
    assert lab.wait_run("tiny", run["id"])["status"] == "succeeded"
    lab.post("/projects/tiny/deployments", {"name": "tiny-pages", "model": "models:/tiny/1"})
    path = "/projects/tiny/deployments/tiny-pages"
    wait_until(lambda: lab.get(path)["state"] == "ready", 120, "the endpoint")
    yield lab
    assert lab.request("DELETE", path).status_code == 204


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    """A cluster of `tiny` with a dashboard."""
    lab.post("/projects/tiny/clusters", {"name": "pages", "workers": 1})
    wait_until(lambda: lab.get("/projects/tiny/clusters/pages")["state"] == "running", 60, "the cluster")
    yield "pages"
    lab.request("DELETE", "/projects/tiny/clusters/pages")


def test_templates_say_whether_their_data_is_there(lab: Lab) -> None:
    found = {template["name"]: template for template in lab.get("/templates")["items"]}
    assert {"blank", "nyc-flights"} <= set(found)
    assert found["blank"]["available"]
    assert found["blank"]["problem"] is None


def test_a_project_from_a_template_carries_its_own_name(lab: Lab) -> None:
    view = lab.post("/projects", {"name": "from-blank", "template": "blank"})
    assert (view["name"], view["problem"]) == ("from-blank", None)
    assert [stage["name"] for stage in view["stages"]] == ["analysis"]
    run = lab.wait_run("from-blank", lab.post("/projects/from-blank/runs", {})["id"])
    assert run["status"] == "succeeded", run


def test_versions_carry_the_scores_of_their_runs(served: Lab) -> None:
    model = next(m for m in served.get("/projects/tiny/models")["items"] if m["name"] == "tiny")
    assert model["versions"][0]["metrics"]["score"] == 1.0
    assert model["versions"][0]["created_at"] > 1.7e9
    assert model["versions"][0]["run_name"]


def test_the_example_fits_the_signature_and_is_answered(served: Lab) -> None:
    path = "/projects/tiny/deployments/tiny-pages"
    form = served.get(f"{path}/example")
    columns = [entry["name"] for entry in form["signature"]["inputs"]]
    assert columns == ["a", "b"]
    assert form["example"] == {"a": 0.0, "b": 19.0}
    document = {"dataframe_split": {"columns": columns, "data": [[form["example"][name] for name in columns]]}}
    answer = served.post(f"{path}/predict", document, status=200)
    assert answer["predictions"] == [False]
    assert answer["milliseconds"] > 0


def test_a_wrong_row_is_refused_in_the_gateways_words(served: Lab) -> None:
    path = "/projects/tiny/deployments/tiny-pages/predict"
    reply = served.request("POST", path, json={"dataframe_split": {"columns": ["a"], "data": [[1.0]]}})
    assert reply.status_code == 422
    assert "b" in reply.json()["detail"]


def test_the_keys_of_the_trial_never_reach_the_list_of_tokens(served: Lab) -> None:
    assert served.get("/projects/tiny/deployments/tiny-pages/tokens")["items"] == []


def test_an_endpoint_that_does_not_exist_cannot_be_asked(lab: Lab) -> None:
    for method, end in (("GET", "example"), ("POST", "predict")):
        reply = lab.request(method, f"/projects/tiny/deployments/nothing/{end}", json={} if method == "POST" else None)
        assert reply.status_code == 404, reply.text


def test_the_trial_works_again_after_a_restart_of_the_service(served: Lab) -> None:
    served.kill_service()
    served.start()
    body = {"dataframe_split": {"columns": ["a", "b"], "data": [[15.0, 4.0]]}}
    path = "/projects/tiny/deployments/tiny-pages/predict"

    def answer() -> Any:
        reply = served.request("POST", path, json=body)
        return reply.json()["predictions"] if reply.status_code == 200 else None

    assert wait_until(answer, 60, "an answer of the adopted gateway") == [True]


def test_the_dashboard_is_served_with_its_scripts(lab: Lab, cluster: str) -> None:
    base = f"/dashboard/tiny/{cluster}"
    page = _page(lab, f"{base}/status")
    assert "Bokeh" in page.text or "bokeh" in page.text
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    root = lab.request("GET", f"/api/v1/../..{base}", token="")
    assert root.status_code == 401
    assert _page(lab, f"{base}/statics/css/base.css").headers["content-type"].startswith("text/css")
    assert _page(lab, f"{base}/info/main/workers.html").status_code == 200


def _page(lab: Lab, path: str, token: str | None = None) -> Any:
    assert lab.found is not None
    headers = {"Authorization": f"Bearer {token or lab.found.token()}"}
    return lab.http.get(lab.url + path, headers=headers, follow_redirects=True)


def test_only_scripts_that_dask_wrote_may_run(lab: Lab, cluster: str) -> None:
    page = _page(lab, f"/dashboard/tiny/{cluster}/individual-exceptions")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert "'unsafe-inline'" not in policy["script-src"]
    inline = list(re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", page.text, re.DOTALL))
    assert inline
    for text in inline:
        assert b64encode(sha256(text.encode()).digest()).decode() in policy["script-src"]
    told = _page(lab, f"/dashboard/tiny/{cluster}/info/main/workers.html").headers["content-security-policy"]
    assert "sha256" not in told
    assert "'unsafe-inline'" not in told.split("script-src", 1)[1].split(";")[0]


def test_the_pages_about_a_worker_open_by_their_links(lab: Lab, cluster: str) -> None:
    start = lab.url + f"/dashboard/tiny/{cluster}/info/main/workers.html"
    found = re.findall(r'href="([^"]*(?:worker|logs)/[^"]+\.html)"', _page(lab, start.removeprefix(lab.url)).text)
    assert len(found) >= 2
    for link in found:
        page = _page(lab, urljoin(start, html.unescape(link)).removeprefix(lab.url))
        assert page.status_code == 200, link
        style = re.search(r'href="([^"]*statics/[^"]+\.css)"', page.text)
        assert style is not None
        where = urljoin(str(page.url), style[1]).removeprefix(lab.url)
        assert _page(lab, where).status_code == 200, where


def test_many_slow_trials_do_not_stop_the_service(served: Lab) -> None:
    path = "/projects/tiny/deployments/tiny-pages/predict"
    rows = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]] * 20_000}}

    def ask(_number: int) -> int:
        return served.request("POST", path, json=rows).status_code

    with ThreadPoolExecutor(12) as pool:
        codes = Counter(pool.map(ask, range(36)))
    assert set(codes) <= {200, 503}
    assert codes[200] >= 1
    assert codes[503] >= 1


def test_nothing_is_asked_of_who_has_the_gateways_port_unless_the_gateway_says_so(served: Lab) -> None:
    gateway = served.child_pid("gateway")
    assert gateway is not None
    path = "/projects/tiny/deployments/tiny-pages"
    os.kill(gateway, signal.SIGSTOP)  # so that it is not started again yet
    try:
        workers = psutil.Process(gateway).children(recursive=True)
        assert workers
    finally:
        os.kill(gateway, signal.SIGCONT)
    port = int(served.get(path)["url"].split(":")[2].split("/")[0])
    asked: list[bytes] = []
    stolen = threading.Event()

    def steal() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not stolen.is_set():
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind(("127.0.0.1", port))
                except OSError:
                    continue
                listener.listen()
                listener.settimeout(0.2)
                stolen.set()
                while not done.is_set():
                    try:
                        connection, _ = listener.accept()
                    except TimeoutError:
                        continue
                    with connection:
                        asked.append(connection.recv(4096))

    done = threading.Event()
    thief = threading.Thread(target=steal)
    thief.start()
    try:
        for process in [*workers, psutil.Process(gateway)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert stolen.wait(30), "the port could not be taken"
        reply = served.request("POST", f"{path}/predict", json={"dataframe_split": {"columns": ["a"], "data": [[1]]}})
        assert reply.status_code == 503, reply.text
        assert asked == []
    finally:
        done.set()
        thief.join()
    wait_until(lambda: served.get(path)["state"] == "ready", 120, "the gateway on its port again")


@pytest.mark.parametrize(
    "path", ["proxy/8787/127.0.0.1/status", "api/v1/retire_workers", "jupyter/lab", "..%2f..%2fx", "info/../x.html"]
)
def test_what_is_no_page_of_the_dashboard_is_not_there(lab: Lab, cluster: str, path: str) -> None:
    assert _page(lab, f"/dashboard/tiny/{cluster}/{path}").status_code in (404, 422)


def test_a_dashboard_only_reads(lab: Lab, cluster: str) -> None:
    assert lab.found is not None
    headers = {"Authorization": f"Bearer {lab.found.token()}"}
    for method in ("POST", "PUT", "DELETE"):
        reply = lab.http.request(method, f"{lab.url}/dashboard/tiny/{cluster}/status", headers=headers)
        assert reply.status_code == 405, (method, reply.text)


def test_a_dashboards_socket_speaks_bokeh(lab: Lab, cluster: str) -> None:
    _page(lab, f"/dashboard/tiny/{cluster}/status")
    page = _page(lab, f"/dashboard/tiny/{cluster}/individual-progress").text
    token = page.split('"token":"', 1)[1].split('"', 1)[0]
    with _socket(lab, f"/dashboard/tiny/{cluster}/individual-progress/ws", subprotocols=["bokeh", token]) as socket:
        assert socket.subprotocol == "bokeh"
        parts = [socket.recv(timeout=20) for _ in range(3)]
        assert json.loads(parts[0])["msgtype"] == "ACK"


def _socket(lab: Lab, path: str, token: str | None = None, **more: Any) -> Any:
    assert lab.found is not None
    headers = {"Authorization": f"Bearer {token or lab.found.token()}"}
    return connect(lab.url.replace("http", "ws") + path, additional_headers=headers, proxy=None, **more)


def test_a_dashboard_is_closed_to_others(lab: Lab, cluster: str) -> None:
    lab.project("pages-other", {}, {})
    stranger = lab.token("pages-other", "owner")
    assert _page(lab, f"/dashboard/tiny/{cluster}/status", stranger).status_code == 404
    assert _page(lab, f"/dashboard/tiny/{cluster}/status", "him_wrong").status_code == 401
    for token in (stranger, "him_wrong"):
        with (
            pytest.raises((InvalidStatus, ConnectionClosed)),
            _socket(lab, f"/dashboard/tiny/{cluster}/status/ws", token) as socket,
        ):
            socket.recv(timeout=10)
    assert _page(lab, "/dashboard/tiny/nothing/status").status_code == 404


def test_a_guest_of_the_jupyter_server_is_nobody_here(lab: Lab) -> None:
    guest = {"X-Himalia-User": "mallory"}
    assert lab.request("GET", "/projects", headers=guest).json()["items"] == []
    assert lab.request("GET", "/projects/tiny", headers=guest).status_code == 404
    assert (
        lab.request("POST", "/projects", json={"name": "theirs", "template": "blank"}, headers=guest).status_code == 403
    )
    assert lab.request("GET", "/audit", headers=guest).status_code == 403
    row = lab.get("/audit?limit=5")["items"]
    assert any(entry["actor"] == "mallory" and entry["outcome"] == "denied" for entry in row)


def test_a_guest_has_their_own_role(lab: Lab) -> None:
    lab.token("tiny", "viewer")
    member = {"X-Himalia-User": "user-viewer-tiny"}
    assert [p["slug"] for p in lab.request("GET", "/projects", headers=member).json()["items"]] == ["tiny"]
    assert lab.request("POST", "/projects/tiny/runs", json={}, headers=member).status_code == 403


def test_a_guest_who_is_called_as_the_owner_is_not_the_owner(lab: Lab) -> None:
    owner = lab.get("/service")["user"]
    assert lab.request("GET", "/audit", headers={"X-Himalia-User": owner}).status_code == 401


def test_refusals_do_not_fill_the_audit_log(lab: Lab) -> None:
    def rows() -> list[str]:
        return [row["project"] for row in lab.get("/audit?limit=500")["items"] if row["actor"] == "mallory"]

    mallory = {"X-Himalia-User": "mallory"}
    before = len(rows())
    assert lab.request("GET", "/projects/" + "x" * 5000, headers=mallory).status_code == 422  # can be no name
    assert len(rows()) == before
    assert lab.request("GET", "/projects/" + "x" * 63, headers=mallory).status_code == 404
    wait_until(lambda: rows()[: len(rows()) - before] == ["x" * 63], 20, "the refusal in the audit log")


def test_an_mlflow_that_hangs_hangs_nothing_else(lab: Lab) -> None:
    lab.tracking_ready()
    lab.kill_service()
    lab.start()
    lab.tracking_ready()
    mlflow = lab.child_pid("mlflow")
    assert mlflow is not None
    os.kill(mlflow, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(12) as pool:
            pages = [pool.submit(lab.request, "GET", "/mlflow/tiny/") for _ in range(12)]
            lab.http.timeout = httpx.Timeout(60)
            for _ in range(5):
                assert lab.get("/projects")["items"]
            assert all(page.result().status_code == 503 for page in pages)
    finally:
        os.kill(mlflow, signal.SIGCONT)
    lab.tracking_ready()


@pytest.mark.parametrize("name", ["a b", "", "x" * 200, "../root"])
def test_a_strange_guest_is_refused(lab: Lab, name: str) -> None:
    assert lab.request("GET", "/projects", headers={"X-Himalia-User": name}).status_code == 401


def test_only_the_owners_token_can_name_a_guest(lab: Lab) -> None:
    token = lab.token("tiny", "operator")
    reply = lab.request("GET", "/projects", token=token, headers={"X-Himalia-User": "user-viewer-tiny"})
    assert reply.status_code == 401


def test_a_cluster_that_is_stopped_is_closing_until_it_is_gone(lab: Lab) -> None:
    lab.post("/projects/tiny/clusters", {"name": "brief", "workers": 1})
    wait_until(lambda: lab.get("/projects/tiny/clusters/brief")["state"] == "running", 60, "the cluster")
    before = lab.get("/service")["last_event"]
    assert lab.request("DELETE", "/projects/tiny/clusters/brief").status_code == 204
    assert lab.request("GET", "/projects/tiny/clusters/brief").status_code == 404
    states: list[str] = []
    assert lab.found is not None
    with lab.http.stream(
        "GET", f"{lab.url}/api/v1/events?after={before}", headers={"Authorization": f"Bearer {lab.found.token()}"}
    ) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: ") and '"cluster.state"' in line:
                event = json.loads(line[6:])
                if event["subject"] == "brief":
                    states.append(event["data"]["state"])
                if states[-1:] == ["stopped"]:
                    break
    # what comes before is the start of its worker
    assert states[states.index("closing") :] == ["closing", "stopped"]


def test_mlflows_pages_are_told_quietly_that_there_is_no_ai_gateway(lab: Lab) -> None:
    lab.tracking_ready()
    reply = lab.request("GET", "/mlflow/tiny/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=api/2.0/endpoints/")
    assert (reply.status_code, reply.json()) == (200, {"endpoints": []})
    assert lab.request("POST", "/mlflow/tiny/ajax-api/2.0/mlflow/gateway-proxy", json={}).status_code == 403
