"""What a stage's code reads and writes is seen, declared or not; and its work on a cluster ends with it."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from distributed.security import Security

from himalia_kernels import zygote
from tests.pure.kernels.fake_service import new_cluster, write_private
from tests.site.test_kernels_stage import Lab, lab, runners
from tests.site.zygote_lab import forked, start_zygote, zygote_lab
from tests.waiting import wait_until

__all__ = ["lab", "runners"]
CELLS = (
    """
import multiprocessing, os, pathlib, sqlite3, subprocess, sys
open("a.csv").read(); pathlib.Path("b.csv").read_bytes(); open("e.csv", "r+").read()
open("out.csv", "w").write("1"); open("out.csv").read(); open("new.txt", "w").write("2"); open("w.csv", "w").write("2")
sys.path.insert(0, "src"); import mod
os.chdir("data"); open("in.csv").read(); open("in.csv", "a").write("z"); os.chdir("..")
sqlite3.connect("s.db").execute("select * from t").fetchall()
os.stat("untouched.csv"); os.path.exists("untouched.csv"); os.listdir("."); open("ünï cödé.csv").read()
os.remove("gone.csv"); os.rename("moved.csv", "moved2.csv")
for folder in (".git", "__pycache__"): open(f"{folder}/x").read()
""",
    """
import numpy, pyarrow.dataset
pyarrow.dataset.dataset("set").to_table()
numpy.load("m.npy", mmap_mode="r")
""",
    """
subprocess.run(["cat", "c.csv"])
child = multiprocessing.get_context("fork").Process(target=lambda: open("d.csv").read())
child.start(); child.join()
""",
)
READ_BY_PYTHON = {"a.csv", "b.csv", "d.csv", "data/in.csv", "e.csv", "m.npy", "moved.csv", "s.db", "src/mod.py"}
READ_BY_PYTHON |= {"ünï cödé.csv"}
READ = READ_BY_PYTHON | {"c.csv", "set/t.parquet"}


def fill(work: Path) -> None:
    """The files of the project."""
    for folder in ("src", "data", "set", ".git", "__pycache__"):
        (work / folder).mkdir(parents=True)
    names = [*"abcdew", "untouched", "gone", "moved", "ünï cödé", "data/in"]
    for path in (*(f"{name}.csv" for name in names), ".git/x", "__pycache__/x"):
        (work / path).write_text("x,y\n1,2\n")
    (work / "src/mod.py").write_text("value = 1\n")
    pq.write_table(pa.table({"x": [1]}), work / "set/t.parquet")
    np.save(work / "m.npy", np.zeros(3))
    with sqlite3.connect(work / "s.db") as database:
        database.execute("create table t(x)")
    database.close()


def check(outcome: dict[str, Any], read: set[str]) -> None:
    assert outcome["status"] == "succeeded", outcome
    assert set(outcome["reads"]) == read
    assert outcome["writes"] == ["moved2.csv", "new.txt", "w.csv"]
    assert outcome["removed"] == ["gone.csv", "moved.csv"]
    assert outcome["changed_inputs"] == ["data"]


def test_what_is_read_and_written(lab: Lab) -> None:
    fill(lab.folder / "work")
    outcome = lab.run(*CELLS, outputs=["out.csv"], inputs=["data"])
    assert outcome["observed"] == "full"
    check(outcome, READ)


@pytest.mark.skipif(zygote.unsupported() is not None, reason=str(zygote.unsupported()))
def test_a_forked_kernel_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "record"
    with zygote_lab(preload=["json"]) as made:
        start_zygote(made)
        fill(made.service.project)
        grant = write_private(tmp_path / "grant.json", json.dumps(made.service.grant("stage")))
        monkeypatch.setenv("HIMALIA_GRANT_FILE", str(grant))
        monkeypatch.setenv("HIMALIA_OBSERVED", str(record))
        monkeypatch.setenv("HIMALIA_OBSERVED_ROOT", str(made.service.project))
        with forked() as session:
            assert session.run(CELLS[0])[1]["status"] == "ok"
            assert session.run("import os; assert 'HIMALIA_OBSERVED' not in os.environ")[1]["status"] == "ok"
        lines = record.read_text("ascii").splitlines()
        root = f"{made.service.project}/"
    read = {json.loads(line[2:]).removeprefix(root) for line in lines if line.startswith("r ")}
    written = {json.loads(line[2:]).removeprefix(root) for line in lines if line.startswith("w ")}
    assert read - {"out.csv"} == READ_BY_PYTHON - {"d.csv", "m.npy"}
    assert written == {"data/in.csv", "e.csv", "new.txt", "out.csv", "w.csv"}
    assert "!" not in lines


@pytest.fixture
def cluster(lab: Lab) -> Iterator[LocalCluster]:
    security = Security.temporary()
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
    ) as made:
        tls = security.get_tls_config_for_role("client")
        lab.service.clusters["shared"] = new_cluster("shared")
        names = {"ca_pem": "ca_file", "cert_pem": "cert", "key_pem": "key"}
        address = {"name": "shared", "address": made.scheduler_address}
        lab.service.connections["shared"] = address | {name: tls[key] for name, key in names.items()}
        yield made


WORK = """
import himalia, pathlib, time
client = himalia.client()
futures = client.map(lambda number: time.sleep(0.5), range(200), pure=False)
kept = client.scatter(list(range(100)))
pathlib.Path("running").touch()
"""


def test_a_cancelled_stage_leaves_no_work_on_the_cluster(lab: Lab, cluster: LocalCluster) -> None:
    scheduler = cluster.scheduler
    process = lab.start(lab.prepare(WORK, "client.gather(futures)"))
    wait_until((lab.folder / "work/running").exists, 60, "the tasks to be sent")
    wait_until(lambda: len(scheduler.tasks) >= 300, 30, "the tasks on the cluster")
    process.send_signal(signal.SIGTERM)
    assert lab.finish(process)["status"] == "cancelled"
    wait_until(lambda: not scheduler.tasks, 10, "the tasks to be forgotten")
    assert [client for client in scheduler.clients if "himalia" in client] == []
