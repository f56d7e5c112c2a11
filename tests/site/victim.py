"""A person's site at work, for attacks on it: `python -m tests.site.victim`, as an account of its own.

It does what the demo does: pipelines (one that goes on, one that fails), a cluster, MLflow, an endpoint, a Jupyter
server with a project's kernel. It prints one line of JSON (what is where, and every secret), and ends with its input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from websockets.sync.client import ClientConnection, unix_connect

from tests.site import extension_lab
from tests.site.extension_lab import HOST, ORIGIN, Jupyter, jupyter
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

OUTPUT = "what-the-kernel-prints"
MODEL = """
import mlflow
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
class Doubling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] * 2
signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")]))
with mlflow.start_run():
    mlflow.log_metric("score", 1.0)
    mlflow.pyfunc.log_model(name="model", python_model=Doubling(), registered_model_name="thing",
                            signature=signature, pip_requirements=["mlflow"])
"""
PRINTING = f"""
import threading, time
def forever():
    while True:
        print({OUTPUT!r}, flush=True)
        time.sleep(0.1)
threading.Thread(target=forever, daemon=True).start()
"""
COMMANDS = (
    ("status",),
    ("doctor",),
    ("run", "list", "-p", "bad"),
    ("deployment", "tokens", "thing", "-p", "work"),
    ("audit", "list"),
)


def furnish(lab: Lab) -> dict[str, Any]:
    """Work in the site; returns what was said on the way, by name."""
    lab.tracking_ready()
    lab.project("work", {"s": {"notebook": "s.ipynb"}}, {"s.ipynb": ["x = 1", MODEL]})
    lab.project("bad", {"s": {"notebook": "s.ipynb"}}, {"s.ipynb": ["x = 1", "raise ValueError('on purpose')"]})
    lab.project("long", {"s": {"notebook": "s.ipynb"}}, {"s.ipynb": ["x = 1", "import time; time.sleep(3600)"]})
    lab.post("/projects/work/clusters", {"name": "local", "workers": 1, "memory_limit": "1GiB"})
    first, failing = (lab.post(f"/projects/{slug}/runs")["id"] for slug in ("work", "bad"))
    long = lab.post("/projects/long/runs")["id"]
    assert lab.wait_run("work", first)["status"] == "succeeded", lab.get(f"/projects/work/runs/{first}")
    failed = lab.wait_run("bad", failing)
    assert failed["status"] == "failed"
    lab.post("/projects/work/deployments", {"name": "thing", "model": "models:/thing/1"})
    lab.post("/projects/bad/deployments", {"name": "other", "model": "models:/none/1"}, status=404)
    key = lab.post("/projects/work/deployments/thing/tokens", {"label": "customer"})["token"]
    wait_until(lambda: lab.get("/projects/work/deployments/thing")["state"] == "ready", 120, "the endpoint")
    wait_until(lambda: lab.get("/projects/work/clusters/local")["workers"] == 1, 120, "the cluster")
    wait_until(lambda: (lab.home / "tokens" / f"stage-{long}-s").exists(), 60, "the stage that goes on")
    said = {"failed": json.dumps(failed), "notebook": _text(lab, f"/projects/bad/runs/{failing}/stages/s/notebook")}
    return {"key": key, "long": long, "said": said | _ask_wrongly(lab, key)}


def _text(lab: Lab, path: str) -> str:
    return lab.request("GET", path).text


def _ask_wrongly(lab: Lab, key: str) -> dict[str, str]:
    """What the service, the proxy and the gateway say to right and wrong requests."""
    gateway = lab.get("/projects/work/deployments/thing")["url"]
    said = {path: _text(lab, path) for path in ("/openapi.json", "/audit", "/metrics", "/service", "/projects")}
    row = {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}
    for name, body in (("right", row), ("wrong", {"dataframe_split": {"columns": ["zz"], "data": [["q"]]}})):
        said[f"predict {name}"] = lab.request("POST", "/projects/work/deployments/thing/predict", json=body).text
        asked = lab.http.post(gateway, json=body, headers={"Authorization": f"Bearer {key}"})
        said[f"invocations {name}"] = asked.text
        assert (asked.status_code == 200) == (name == "right"), asked.text
    assert lab.found is not None
    token = lab.found.token()
    for header in (f"Basic {token}", f"Bearer {token}x", token, f"Bearer {key}"):
        asked = lab.http.get(f"{lab.url}/api/v1/projects", headers={"Authorization": header})
        said[f"header {len(said)}"] = asked.text
    for path in (
        "/nowhere",
        "/projects/work/runs/none",
        "/mlflow/work/api/2.0/mlflow/nothing",
        "/dashboard/work/local/x",
    ):
        said[path] = _text(lab, path)
    # a careless person puts a token where it does not belong: what is logged of an address?
    said["query"] = lab.request("GET", f"/projects?token={token}&cursor=%00").text
    for name, address, headers in (
        ("no key", gateway, {}),
        ("key in the address", f"{gateway}?token={key}&access_token={key}", {}),
        ("key as a cookie", gateway, {"Cookie": f"token={key}"}),
        ("key as a password", gateway.replace("://", f"://x:{key}@"), {}),
        ("token of a person", gateway, {"Authorization": f"Bearer {token}"}),
        ("key with a name", gateway, {"Authorization": "Bearer wrong", "X-Himalia-User": "ada"}),
    ):
        asked = lab.http.post(address, json=row, headers=headers)
        assert asked.status_code == 401, (name, asked.text)
        said[name] = asked.text
    said["gateway query"] = lab.http.get(f"{gateway}?token={key}").text
    said["field"] = lab.request("POST", "/projects", json={"name": 5, "path": []}).text
    return said


def command_line(lab: Lab) -> dict[str, str]:
    """What `himalia … --json` prints, both streams; and a backup."""

    def run(words: tuple[str, ...]) -> tuple[str, str]:
        command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=lab.root)
        return " ".join(words), done.stdout + done.stderr

    with ThreadPoolExecutor(2) as pool:
        said = dict(pool.map(run, [*COMMANDS, ("backup", str(lab.root / "backup.tar.gz"))]))
    assert (lab.root / "backup.tar.gz").exists(), said
    return said


def start_kernel(lab: Lab, server: Jupyter) -> dict[str, Any]:
    """A kernel of the project, started, used and debugged as JupyterLab does; returns its connection file's content."""
    name = lab.get("/projects/work")["kernelspec"]
    with server.client() as client:
        reply = client.post(f"http://{HOST}{server.base_url}api/kernels", json={"name": name})
        assert reply.status_code == 201, reply.text
        kernel = reply.json()["id"]
    uri = f"ws://{HOST}{server.base_url}api/kernels/{kernel}/channels"
    sent = {"Authorization": f"token {extension_lab.TOKEN}", "Origin": ORIGIN}
    with unix_connect(str(server.socket), uri, additional_headers=sent, open_timeout=60, proxy=None) as socket:
        code = {"code": PRINTING, "silent": False, "store_history": False, "allow_stdin": False}
        _send(socket, "shell", "execute_request", code)
        while OUTPUT not in (document := json.loads(socket.recv(timeout=60))).get("content", {}).get("text", ""):
            assert document["msg_type"] != "error", document
        for sequence, command in enumerate(("initialize", "attach"), 1):
            asked = {"type": "request", "seq": sequence, "command": command, "arguments": {"adapterID": "x"}}
            _send(socket, "control", "debug_request", asked)
            while (document := json.loads(socket.recv(timeout=60)))["msg_type"] != "debug_reply":
                continue
            assert document["content"]["success"] is True, document
    connection: dict[str, Any] = json.loads((server.folder / "run" / f"kernel-{kernel}.json").read_text())
    return connection


def _send(socket: ClientConnection, channel: str, kind: str, content: dict[str, Any]) -> None:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "s", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
    socket.send(json.dumps(message))


def debugger_ports() -> list[int]:
    """Ports of the debugger's adapter, which has put itself out of its kernel's process tree."""
    adapters = [process for process in psutil.process_iter() if "--server-access-token" in _command(process)]
    mine = [process for process in adapters if process.uids().real == os.getuid()]
    return sorted({connection.laddr.port for process in mine for connection in process.net_connections("tcp")})


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def cluster_ports(lab: Lab) -> list[int]:
    """Ports of the cluster's scheduler and worker."""
    processes = [process for word in ("clusters", "_dask") for process in lab.processes(word)]
    found = [connection for process in processes for connection in process.net_connections("tcp")]
    return sorted({connection.laddr.port for connection in found if connection.status == psutil.CONN_LISTEN})


def secrets_of(lab: Lab, key: str, connection: dict[str, Any]) -> dict[str, str]:
    """Every secret of the site, by name."""
    found = {f"token {path.name}": path.read_text().strip() for path in (lab.home / "tokens").iterdir()}
    assert {name.split("-")[0] for name in found} == {"token user", "token metrics", "token kernel", "token stage"}
    for path in lab.home.rglob("*.key"):
        found[f"TLS {path.name}"] = path.read_text().splitlines()[1]
    assert len([name for name in found if name.startswith("TLS")]) == 2
    found |= {"site secret": lab.site.secret, "endpoint key": key, "kernel HMAC": str(connection["key"])}
    assert connection["curve_secretkey"], "the kernel's sockets are not encrypted"
    # who knows the public key can connect to the sockets
    curve = {f"kernel {name}": str(connection[name]) for name in ("curve_secretkey", "curve_publickey")}
    return found | curve | {"jupyter": extension_lab.TOKEN}


def main() -> None:
    """Set up, tell, wait."""
    with running_lab() as lab:
        # as open as a careless person's home may be
        lab.root.chmod(0o755)
        kept = ("HIMALIA_HOME", "JUPYTER_DATA_DIR", "LD_LIBRARY_PATH", "PYTHONPATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        with jupyter(environment=environment) as server:
            server.folder.chmod(0o755)
            done = furnish(lab)
            connection = start_kernel(lab, server)
            secrets = secrets_of(lab, done["key"], connection)
            done["said"] |= command_line(lab)
            facts = {
                "uid": os.getuid(),
                "root": str(lab.root),
                "home": str(lab.home),
                "runtime": str(lab.site.runtime),
                "jupyter": str(server.folder),
                "service": lab.url,
                "gateway": lab.get("/projects/work/deployments/thing")["url"],
                "debugger_ports": debugger_ports(),
                "cluster_ports": cluster_ports(lab),
                "kernel_ports": [connection[f"{name}_port"] for name in ("shell", "iopub", "stdin", "control", "hb")],
                "secrets": secrets,
                "said": done["said"],
                "output": OUTPUT,
            }
            print(json.dumps(facts), flush=True)
            sys.stdin.read()
            lab.request("POST", f"/projects/long/runs/{done['long']}/cancel")


if __name__ == "__main__":
    main()
