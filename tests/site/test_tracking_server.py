"""MLflow as a child: its database, its start, its death."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from himalia_server.tracking import (
    DatabaseError,
    MlflowClient,
    MlflowError,
    MlflowUnavailable,
    mlflow_command,
    mlflow_environment,
    prepare_database,
    wait_ready,
)
from tests.site.tracking_lab import Lab, finished, running_lab, token
from tests.waiting import short_dir

WRITER = """
import mlflow, sys
mlflow.set_experiment("loop")
with mlflow.start_run() as run:
    for step in range(60):
        mlflow.log_metric("step", step, step=step)
        print(step, flush=True)
print("values", len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "step")), flush=True)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def templates(lab: Lab) -> Path:
    return lab.folder / "cache"


# --- the database


def schema(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def downgraded(path: Path) -> str:
    """Take a database back by one revision with MLflow's own migrations; return that revision."""
    code = """
import sys, sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
engine = sqlalchemy.create_engine("sqlite:///" + sys.argv[1])
config = _get_alembic_config(str(engine.url))
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.stamp(config, sys.argv[2])
"""
    previous = subprocess.run(
        [sys.executable, "-c", code.replace("command.stamp(config, sys.argv[2])", PREVIOUS), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return previous.stdout.strip()


PREVIOUS = """
    from alembic.script import ScriptDirectory
    scripts = ScriptDirectory.from_config(config)
    older = scripts.get_revision(scripts.get_current_head()).down_revision
    command.downgrade(config, older)
    print(older)
"""


def test_a_new_site_gets_a_private_copy_of_the_template(templates: Path, tmp_path: Path) -> None:
    database = tmp_path / "site" / "mlflow.db"
    prepare_database(database, templates)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert schema(database) == schema(templates / f"mlflow-{metadata.version('mlflow')}.db")
    inode = database.stat().st_ino
    prepare_database(database, templates)
    assert database.stat().st_ino == inode


def test_two_at_once_prepare_one_database(templates: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    threads = [threading.Thread(target=prepare_database, args=(database, templates)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mlflow.db"]


def test_an_older_database_is_backed_up_and_migrated(templates: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    prepare_database(database, templates)
    head = schema(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO workspaces (name) VALUES ('kept')")
    older = downgraded(database)
    assert schema(database) == older != head
    prepare_database(database, templates)
    assert schema(database) == head
    (backup,) = tmp_path.glob("*.backup")
    assert older in backup.name
    assert schema(backup) == older
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(database)) as connection:
        assert ("kept",) in connection.execute("SELECT name FROM workspaces").fetchall()


def test_a_newer_database_is_refused_and_left_alone(templates: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    prepare_database(database, templates)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fffffffffff1'")
    with pytest.raises(DatabaseError, match=r"does not know: a newer MLflow wrote it\. Install"):
        prepare_database(database, templates)
    assert schema(database) == "fffffffffff1"
    assert not list(tmp_path.glob("*.backup"))


def test_a_failed_migration_is_undone(templates: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    prepare_database(database, templates)
    downgraded(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TABLE experiment_tags")
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(DatabaseError, match="it is as it was before"):
        prepare_database(database, templates)
    assert schema(database) == "451aebb31d03"
    assert len(list(tmp_path.glob("*.backup"))) == 1


def test_other_files_are_no_mlflow_database(templates: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database, but long enough to be read as the header of one" * 50)
    with pytest.raises(DatabaseError, match="not a readable SQLite database"):
        prepare_database(text, templates)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(DatabaseError, match="no database of MLflow"):
        prepare_database(other, templates)
    with pytest.raises(DatabaseError, match="may not contain"):
        mlflow_environment(tmp_path / "a?b.db", tmp_path)


# --- the process


def test_the_socket_is_private_and_has_one_owner(lab: Lab) -> None:
    assert stat.S_IMODE(lab.socket.stat().st_mode) == 0o600
    second = subprocess.run(
        mlflow_command(sys.executable, lab.socket), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode != 0
    assert "already listens" in second.stderr
    lab.client().health()
    with short_dir() as folder:
        open_folder = folder / "open"
        open_folder.mkdir(mode=0o755)
        command = mlflow_command(sys.executable, open_folder / "s")
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "open to other users" in refused.stderr


def test_no_tcp_port_is_opened(lab: Lab) -> None:
    assert lab.mlflow is not None
    sockets = {str(link.readlink()) for link in Path(f"/proc/{lab.mlflow.pid}/fd").iterdir() if link.is_symlink()}
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in sockets if "socket:" in name}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert not inodes & {line.split()[9] for line in lines}


def test_a_killed_mlflow_means_503_and_clients_go_on_after_a_restart(lab: Lab, tmp_path: Path) -> None:
    plugin = tmp_path / "layer" / "himalia_test-0.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: himalia-test\nVersion: 0\n")
    entry = "[mlflow.request_auth_provider]\nhimalia = himalia.mlflow_headers:HimaliaAuthProvider\n"
    (plugin / "entry_points.txt").write_text(entry)
    (tmp_path / "token").write_text(token("alpha", "contributor") + "\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(plugin.parent),
        "HIMALIA_URL": lab.url,
        "HIMALIA_TOKEN_FILE": str(tmp_path / "token"),
        "MLFLOW_TRACKING_AUTH": "himalia",
        "MLFLOW_TRACKING_URI": f"{lab.url}/mlflow/alpha",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER], env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 10:
            pass
        lab.kill_mlflow()
        answer = lab.call("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        with pytest.raises(MlflowUnavailable):
            lab.client().health()
        lab.start_mlflow()
        rest = writer.stdout.read()
        assert finished(writer) == 0
        assert "values 60" in rest
    finally:
        writer.kill()
        writer.wait()
    assert lab.call("GET", "/version").status == 200


def test_a_stopped_mlflow_leaves_no_socket(lab: Lab) -> None:
    assert lab.mlflow is not None
    lab.mlflow.send_signal(signal.SIGTERM)
    assert lab.mlflow.wait(30) == 0
    assert not lab.socket.exists()
    with pytest.raises(MlflowUnavailable, match="did not answer"):
        asyncio.run(wait_ready(lab.socket, 0.3))
    began = time.monotonic()
    lab.start_mlflow()
    ready = time.monotonic() - began
    rollup = Path(f"/proc/{lab.mlflow.pid}/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) >> 10
    print(f"MLflow: {ready:.1f} s to ready, {pss} MB PSS")


# --- the small client


def test_the_small_client_speaks_plainly(lab: Lab, tmp_path: Path) -> None:
    client = lab.client()
    experiment = client.get_or_create_experiment("plain")
    assert client.get_or_create_experiment("plain") == experiment
    run = client.create_run(experiment, "stage", {"himalia.stage": "train"})
    client.log_params(run, {f"p{number}": number for number in range(150)})
    client.log_metrics(run, {"loss": 0.5})
    client.set_tag(run, "state", "done")
    (tmp_path / "out 1.ipynb").write_text("{}")
    client.log_artifact_file(run, "notebook", tmp_path / "out 1.ipynb")
    client.end_run(run, "FINISHED")
    (found,) = client.search_runs([experiment], 5)
    assert (found.run_id, found.status, found.name, len(found.params)) == (run, "FINISHED", "stage", 150)
    assert found.metrics == {"loss": 0.5}
    assert found.tags["himalia.stage"] == "train"
    listed = lab.call("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path=notebook").json()
    assert [file["path"] for file in listed["files"]] == ["notebook/out 1.ipynb"]
    with pytest.raises(MlflowError) as raised:
        client.get_model_version("no-such", 1)
    assert raised.value.code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowError, match="plain names"):
        client.log_artifact_file(run, "../up", tmp_path / "out 1.ipynb")


def test_a_deleted_workspace_takes_its_runs_along(lab: Lab) -> None:
    client = lab.client("gamma")
    client.ensure_workspace("gamma")
    client.ensure_workspace("gamma")
    client.create_run(client.get_or_create_experiment("gone"), "gone", {})
    client.delete_workspace("gamma")
    client.delete_workspace("gamma")
    client.ensure_workspace("gamma")
    assert client.search_runs([client.get_or_create_experiment("gone")], 5) == []


def test_an_absent_mlflow_is_told_from_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(MlflowUnavailable):
        MlflowClient(tmp_path / "no.sock", "alpha").list_models()
    shutil.rmtree(tmp_path, ignore_errors=True)
