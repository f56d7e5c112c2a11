"""How MLflow is started: command, environment, database, readiness. Pinned to MLflow 3.17.

`mlflow server` would start a second process that imports everything again, a job executor and telemetry.
Its application is therefore run directly, with the variables its command line sets for its workers; these
are private to MLflow (they begin with an underscore) and must be looked at again with each of its versions.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from himalia_server.tracking._prepare import NEWER
from himalia_server.tracking.errors import DatabaseError, MlflowUnavailable

_FOLDER = Path(__file__).parent
_POLL_S = 0.1


def mlflow_command(python: str, socket_path: Path) -> list[str]:
    """The command that serves MLflow on *socket_path*, whose folder must exist with mode 0700.

    -P keeps the script's folder, and the working directory, off Python's path.
    """
    return [python, "-P", str(_FOLDER / "_serve.py"), str(socket_path)]


def mlflow_environment(db_path: Path, artifacts_dir: Path) -> dict[str, str]:
    """The variables that MLflow's process needs besides an ordinary environment.

    Raises DatabaseError for a database path that a database URL cannot hold.
    """
    if set("?#%") & set(str(db_path)):
        raise DatabaseError(f"The path {db_path} may not contain '?', '#' or '%': it becomes part of a URL.")
    database = f"sqlite:///{db_path.absolute()}"
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts_dir.absolute().as_uri(),
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # The proxy says who may frame MLflow's pages.
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "NONE",
    }


def prepare_database(db_path: Path, template_cache: Path) -> None:
    """Make sure that *db_path* is a SQLite database with the schema of the installed MLflow.

    A new one is a copy of a template, built once per MLflow version in *template_cache*. An older one is
    backed up beside itself, then migrated by MLflow's own function; a failed migration is undone. Raises
    DatabaseError when the database is newer than MLflow, is no MLflow database, or cannot be migrated.
    """
    db_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    template = _template(template_cache)
    with _locked(db_path):
        current = _revision(db_path)
        if current is None:
            _copy(template, db_path)
        elif current != _revision(template):
            _migrate(db_path, current)


def _template(cache: Path) -> Path:
    template = cache / f"mlflow-{metadata.version('mlflow')}.db"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(template):
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                fresh = Path(folder, "template.db")
                done = _run_prepare("template", fresh)
                if done.returncode != 0:
                    raise DatabaseError(f"MLflow could not create a database in {cache}:\n{_last_lines(done.stderr)}")
                _copy(fresh, template)
    return template


def _revision(path: Path) -> str | None:
    """MLflow's schema revision of a database; None when there is no database yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            if not tables:
                return None
            if "alembic_version" not in tables or "experiments" not in tables:
                raise DatabaseError(f"{path} is no database of MLflow. Move it away, or name another.")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseError(f"{path} is not a readable SQLite database: {error}. Restore a backup.") from error
    return str(row[0]) if row else ""


def _migrate(db_path: Path, current: str) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    backup = db_path.with_name(f"{db_path.name}.{current or 'unknown'}.{stamp}.backup")
    _back_up(db_path, backup)
    done = _run_prepare("migrate", db_path)
    if done.returncode == 0:
        return
    if done.returncode == NEWER:
        backup.unlink()
        raise DatabaseError(
            f"{db_path} has schema {current}, which MLflow {metadata.version('mlflow')} does not know: a "
            "newer MLflow wrote it. Install that version of MLflow again, or restore an older backup."
        )
    for suffix in ("-wal", "-shm"):
        db_path.with_name(db_path.name + suffix).unlink(missing_ok=True)
    _copy(backup, db_path)
    raise DatabaseError(
        f"MLflow could not migrate {db_path}; it is as it was before, and {backup} is a copy of it. "
        f"MLflow said:\n{_last_lines(done.stderr)}"
    )


def _back_up(source: Path, target: Path) -> None:
    """Copy a database that may have a write-ahead log."""
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)


def _copy(source: Path, target: Path) -> None:
    """Put a copy of a closed database in place at once, with mode 0600."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        shutil.copyfile(source, name)
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _run_prepare(task: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(_FOLDER / "_prepare.py"), task, str(path)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-10:])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock beside *path*: two services, or two threads, prepare one after the other."""
    with path.with_name(path.name + ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(db_path: Path, template_cache: Path) -> int:
    """Prepare a database as a process of its own; a failure's sentence goes to standard error, its code is 78."""
    try:
        prepare_database(db_path, template_cache)
    except DatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return 78
    return 0


async def wait_ready(socket_path: Path, timeout: float) -> None:  # noqa: ASYNC109 (part of the interface)
    """Return when MLflow answers /health with 200. Raises MlflowUnavailable after *timeout* seconds."""
    try:
        async with asyncio.timeout(timeout):
            while not await _healthy(socket_path):  # noqa: ASYNC110 (another process, so no event to await)
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise MlflowUnavailable(
            f"MLflow did not answer on {socket_path} within {timeout:g} s. Its log says why."
        ) from error


async def _healthy(socket_path: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
