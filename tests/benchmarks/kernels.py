"""A kernel's start to its first answer, and its memory: ordinary kernelspecs against ours.

    python -m tests.benchmarks.kernels [--rounds 7] [--only jupyter_server]

The peer is the ordinary kernelspec of the same python (`python -m ipykernel_launcher`). Runs alternate, so that what
else the machine does meets both. "trivial" answers `1 + 1`; "heavy" imports what notebooks of data scientists do. Ours
includes the question to the service (a stand-in that answers at once). Memory is that of further kernels when they have
imported the same: USS (its own alone) and PSS (shared pages counted in parts), Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import websockets.sync.client
from jupyter_client.manager import KernelManager

from himalia_server.service.ports import free_port
from tests.site.test_kernels_start import KERNEL
from tests.site.zygote_lab import ZygoteLab, start_zygote, zygote_lab
from tests.waiting import terminate_jupyter, wait_until

PLAIN = "ordinary"
TRIVIAL = "1 + 1"
HEAVY = "import numpy, pandas, pyarrow, sklearn, scipy.stats, mlflow, distributed, matplotlib.pyplot"
CODE = {"trivial": TRIVIAL, "heavy": HEAVY}
MIB = 2**20


def ordinary_kernelspec(folder: Path) -> None:
    """The kernelspec that `python -m ipykernel install` would write."""
    place = folder / "jupyter/kernels" / PLAIN
    place.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": PLAIN, "language": "python"}))


def by_jupyter_client(name: str, code: str) -> float:
    """Seconds from `start_kernel` to the reply to *code*."""
    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        return time.perf_counter() - began
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def by_papermill(name: str, code: str, folder: Path) -> float:
    """Seconds of a whole `papermill.execute_notebook`, kernel start to notebook saved; ours by its engine."""
    import papermill
    from papermill.engines import papermill_engines

    from himalia_kernels.engine import HimaliaEngine

    papermill_engines.register("himalia", HimaliaEngine)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), folder / "in.ipynb")
    options = {"kernel_name": name, "language": "python", "progress_bar": False}
    if name == KERNEL:
        options["engine_name"] = "himalia"
    began = time.perf_counter()
    papermill.execute_notebook(str(folder / "in.ipynb"), str(folder / "out.ipynb"), **options)
    return time.perf_counter() - began


class Server:
    """A Jupyter server that runs already."""

    def __init__(self, folder: Path) -> None:
        self.port, self.log = free_port(), folder / "server.log"
        command = [sys.executable, "-m", "jupyter_server", "--ServerApp.open_browser=False", "--allow-root"]
        command += ["--IdentityProvider.token=t", f"--port={self.port}", f"--ServerApp.root_dir={folder}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": "token t"}, trust_env=False, timeout=60
        )
        wait_until(self._answers, 60, "the Jupyter server")

    def _answers(self) -> bool:
        try:
            return self.http.get("/api/status").status_code == 200
        except httpx.TransportError:
            return False

    def answer(self, name: str, code: str) -> float:
        """Seconds from the POST to the reply to *code*, over the WebSocket that JupyterLab uses."""
        began = time.perf_counter()
        kernel = self.http.post("/api/kernels", json={"name": name}).json()["id"]
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels?session_id=s&token=t"
        try:
            with websockets.sync.client.connect(url, proxy=None, max_size=None) as socket:
                header = {
                    "msg_id": "m",
                    "msg_type": "execute_request",
                    "session": "s",
                    "username": "",
                    "version": "5.3",
                }
                content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
                content |= {"allow_stdin": False, "stop_on_error": True}
                message = {
                    "header": header,
                    "content": content,
                    "parent_header": {},
                    "metadata": {},
                    "channel": "shell",
                }
                socket.send(json.dumps(message | {"buffers": []}))
                while True:
                    reply = json.loads(socket.recv(timeout=120))
                    if reply["msg_type"] == "execute_reply":
                        assert reply["content"]["status"] == "ok", reply
                        return time.perf_counter() - began
        finally:
            self.http.delete(f"/api/kernels/{kernel}")

    def stop(self) -> None:
        """End the server."""
        self.http.close()
        terminate_jupyter(self.process, self.log)
        self.process.wait(30)


def memory(name: str) -> list[tuple[float, float]]:
    """USS and PSS in MiB of the second and third of three kernels that have made the heavy imports."""
    managers = []
    try:
        for _ in range(3):
            manager = KernelManager(kernel_name=name)
            manager.start_kernel()
            managers.append(manager)
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=120)
            client.execute_interactive(HEAVY, timeout=120, output_hook=lambda _: None)
            client.stop_channels()
        found = [psutil.Process(manager.provisioner.pid).memory_full_info() for manager in managers[1:]]
        return [(one.uss / MIB, one.pss / MIB) for one in found]
    finally:
        for manager in managers:
            manager.shutdown_kernel()


def compare(label: str, measure: Callable[[str], float], rounds: int) -> None:
    """Alternate, and print medians, spread and the ratio."""
    took: dict[str, list[float]] = {PLAIN: [], KERNEL: []}
    for _ in range(rounds):
        for name, seconds in took.items():
            seconds.append(measure(name))
    shown = [f"{statistics.median(some):.3f} s ({min(some):.3f} to {max(some):.3f})" for some in took.values()]
    ratio = statistics.median(took[PLAIN]) / statistics.median(took[KERNEL])
    sys.stdout.write(f"{label:<28} {shown[0]:<28} {shown[1]:<28} {ratio:5.1f}x\n")
    sys.stdout.flush()


def run(lab: ZygoteLab, rounds: int, only: str) -> None:
    """Measure and print."""
    out = sys.stdout.write
    ordinary_kernelspec(lab.root)
    start_zygote(lab)
    facts: dict[str, Any] = lab.facts()
    out(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {rounds} rounds\n")
    sizes = ", ".join(
        f"{name.removesuffix('_bytes').upper()} {size / MIB:.0f} MiB" for name, size in facts["memory"].items()
    )
    out(f"the zygote: {facts['seconds']:.1f} s to import, {sizes}\n\n")
    out(f"{'start to first answer':<28} {'ordinary':<28} {'ours':<28} ratio\n")
    server = Server(lab.root)
    ways: dict[str, Callable[[str, str], float]] = {
        "jupyter_server": server.answer,
        "papermill": lambda name, code: by_papermill(name, code, lab.root),
        "jupyter_client": by_jupyter_client,
    }
    try:
        for way, measure in ways.items():
            for kind, code in CODE.items():
                if only in way:
                    compare(f"{way}, {kind}", lambda name, m=measure, c=code: m(name, c), rounds)  # type: ignore[misc]
    finally:
        server.stop()
    out("\nmemory of the 2nd and 3rd kernel, heavy imports done (USS / PSS, MiB)\n")
    held = {name: memory(name) for name in (PLAIN, KERNEL)}
    for name, pairs in held.items():
        out(f"  {name:<26} " + "   ".join(f"{uss:.0f} / {pss:.0f}" for uss, pss in pairs) + "\n")
    ratio = statistics.mean(uss for uss, _ in held[KERNEL]) / statistics.mean(uss for uss, _ in held[PLAIN])
    out(f"  USS ours / ordinary: {ratio:.2f}\n")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kernels", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--only", default="", help="part of the name of a way: jupyter_server, papermill, jupyter_client"
    )
    options = parser.parse_args()
    with zygote_lab() as lab:
        run(lab, options.rounds, options.only)


if __name__ == "__main__":
    main()
