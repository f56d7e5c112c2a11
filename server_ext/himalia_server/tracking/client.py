"""A small synchronous client of MLflow's REST interface over its unix socket, for the service itself.

It goes past the proxy, so it may do what no user may (create workspaces). Not for an event loop's thread.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from himalia_server.tracking.entities import ModelVersion, Run
from himalia_server.tracking.errors import MlflowError, MlflowUnavailable

__all__ = ["MlflowClient", "MlflowError", "MlflowUnavailable"]

_API = "/api/2.0/mlflow"
_WORKSPACES = "/api/3.0/mlflow/workspaces"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000
_BATCH = 100
_CHUNK_BYTES = 1 << 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._socket_path))


class MlflowClient:
    """Requests in one workspace (a project's slug). Holds no connection, so any thread may use it.

    Every method raises MlflowUnavailable while MLflow does not answer, and MlflowError when it refuses.
    """

    def __init__(self, socket_path: Path, workspace: str, timeout: float = 60.0) -> None:
        self._socket_path = socket_path
        self._workspace = workspace
        self._timeout = timeout

    def health(self) -> None:
        """Return when MLflow answers that it is well; raise MlflowUnavailable otherwise."""
        with self._response("GET", "/health") as response:
            _raise_for(response)

    # --- workspaces

    def ensure_workspace(self, name: str) -> None:
        """Create the workspace unless it exists."""
        try:
            self._call("POST", _WORKSPACES, {"name": name})
        except MlflowError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise

    def delete_workspace(self, name: str) -> None:
        """Delete the workspace with all runs and models in it; nothing happens when there is none.

        Files stay in the artifact folder: MLflow removes none here.
        """
        try:
            self._call("DELETE", f"{_WORKSPACES}/{quote(name, safe='')}", query={"mode": "CASCADE"})
        except MlflowError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise

    # --- experiments and runs

    def get_or_create_experiment(self, name: str) -> str:
        """The id of the experiment of that name; of two callers at once, both get the same."""
        try:
            return str(self._call("POST", f"{_API}/experiments/create", {"name": name})["experiment_id"])
        except MlflowError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._call("GET", f"{_API}/experiments/get-by-name", query={"experiment_name": name})
        return str(found["experiment"]["experiment_id"])

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run and return its id."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": _now_ms(),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return str(self._call("POST", f"{_API}/runs/create", body)["run"]["info"]["run_id"])

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Log parameters; values are stored as text."""
        items = [{"key": key, "value": str(value)} for key, value in params.items()]
        self._log_batches(run_id, "params", items)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log one value a metric, now."""
        now = _now_ms()
        items = [{"key": key, "value": value, "timestamp": now, "step": step} for key, value in metrics.items()]
        self._log_batches(run_id, "metrics", items)

    def _log_batches(self, run_id: str, kind: str, items: list[dict[str, Any]]) -> None:
        for start in range(0, len(items), _BATCH):
            batch = {"run_id": run_id, kind: items[start : start + _BATCH]}
            self._call("POST", f"{_API}/runs/log-batch", batch)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        self._call("POST", f"{_API}/runs/set-tag", {"run_id": run_id, "key": key, "value": value})

    def end_run(self, run_id: str, status: str) -> None:
        """End a run with FINISHED, FAILED or KILLED."""
        body = {"run_id": run_id, "status": status, "end_time": _now_ms()}
        self._call("POST", f"{_API}/runs/update", body)

    def search_runs(self, experiment_ids: Sequence[str], max_results: int) -> list[Run]:
        """The newest runs of some experiments, at most *max_results*."""
        runs: list[Run] = []
        token = ""
        while len(runs) < max_results:
            body = {
                "experiment_ids": list(experiment_ids),
                "max_results": min(max_results - len(runs), _PAGE),
                "order_by": ["attributes.start_time DESC"],
                **({"page_token": token} if token else {}),
            }
            answer = self._call("POST", f"{_API}/runs/search", body)
            runs.extend(Run.from_json(run) for run in answer.get("runs", []))
            token = answer.get("next_page_token", "")
            if not token:
                break
        return runs

    def get_run(self, run_id: str) -> Run:
        """One run."""
        return Run.from_json(self._call("GET", f"{_API}/runs/get", query={"run_id": run_id})["run"])

    def log_artifact_file(self, run_id: str, artifact_path: str, file: Path) -> None:
        """Store *file*, under its own name, in the folder *artifact_path* of the run ("": on top)."""
        folder = _joined(self._run_root(run_id), artifact_path)
        target = f"{folder}/{_checked_name(file.name)}"
        with file.open("rb") as content:
            headers = {"Content-Length": str(file.stat().st_size)}
            with self._response("PUT", f"{_FILES}/{quote(target)}", content, headers) as response:
                _raise_for(response)

    # --- models

    def list_models(self) -> list[dict[str, Any]]:
        """All registered models, as `{"name", "versions", "aliases"}`.

        `versions` has the fields of ModelVersion, newest first; `aliases` maps an alias to a version number.
        """
        versions: dict[str, list[ModelVersion]] = {}
        for found in self._pages("model-versions/search", "model_versions"):
            version = ModelVersion.from_json(found)
            versions.setdefault(version.name, []).append(version)
        return [
            {
                "name": model["name"],
                "versions": [asdict(v) for v in sorted(versions.get(model["name"], []), key=_newest_first)],
                "aliases": {item["alias"]: int(item["version"]) for item in model.get("aliases", [])},
            }
            for model in self._pages("registered-models/search", "registered_models")
        ]

    def _pages(self, path: str, items: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            query = {"max_results": str(_PAGE), **({"page_token": token} if token else {})}
            answer = self._call("GET", f"{_API}/{path}", query=query)
            yield from answer.get(items, [])
            token = answer.get("next_page_token", "")
            if not token:
                return

    def get_model_version(self, name: str, version: int | str) -> ModelVersion:
        """One version of a registered model."""
        query = {"name": name, "version": str(version)}
        found = self._call("GET", f"{_API}/model-versions/get", query=query)
        return ModelVersion.from_json(found["model_version"])

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias (`champion`) points to."""
        query = {"name": name, "alias": alias}
        found = self._call("GET", f"{_API}/registered-models/alias", query=query)
        return ModelVersion.from_json(found["model_version"])

    def set_alias(self, name: str, alias: str, version: int | str) -> None:
        """Point an alias to a version."""
        body = {"name": name, "alias": alias, "version": str(version)}
        self._call("POST", f"{_API}/registered-models/alias", body)

    def download_model(self, name: str, version: int | str, dest: Path) -> None:
        """Write all files of a model version into *dest* (new, or an empty folder), or leave nothing there.

        Raises FileExistsError when *dest* has content, MlflowError when the version has no files in this
        workspace.
        """
        if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
            raise FileExistsError(f"{dest} has content already; name a new folder for the model's files.")
        root = self._artifact_root(self.get_model_version(name, version).source)
        dest.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=dest.parent, prefix=f".{dest.name}."))
        try:
            if self._download_folder(root, staging) == 0:
                raise MlflowError(
                    "RESOURCE_DOES_NOT_EXIST", f"Version {version} of model {name!r} has no files at {root}."
                )
            staging.rename(dest)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise

    def _download_folder(self, path: str, folder: Path) -> int:
        count = 0
        for entry in self._call("GET", _FILES, query={"path": path}).get("files", []):
            name = _checked_name(entry["path"])
            if entry.get("is_dir"):
                (folder / name).mkdir()
                count += self._download_folder(f"{path}/{name}", folder / name)
            else:
                self._download_file(f"{path}/{name}", folder / name)
                count += 1
        return count

    def _download_file(self, path: str, target: Path) -> None:
        with self._response("GET", f"{_FILES}/{quote(path)}") as response:
            _raise_for(response)
            expected = response.headers.get("Content-Length")
            with target.open("xb") as file:
                shutil.copyfileobj(response, file, _CHUNK_BYTES)
            if expected is not None and target.stat().st_size != int(expected):
                raise MlflowUnavailable(f"The download of {path} broke off; try again.")

    def _artifact_root(self, source: str) -> str:
        """The artifact path, in this workspace, of a model version's source."""
        scheme, _, rest = source.partition(":/")
        if scheme == "models" and rest.startswith("m-"):
            model_id, _, inside = rest.partition("/")
            found = self._call("GET", f"{_API}/logged-models/{quote(model_id, safe='')}")
            return _joined(self._own_path(found["model"]["info"]["artifact_uri"]), inside)
        if scheme == "runs":
            run_id, _, inside = rest.partition("/")
            return _joined(self._run_root(run_id), inside)
        return self._own_path(source)

    def _run_root(self, run_id: str) -> str:
        found = self._call("GET", f"{_API}/runs/get", query={"run_id": run_id})
        return self._own_path(found["run"]["info"]["artifact_uri"])

    def _own_path(self, uri: str) -> str:
        path = uri.removeprefix("mlflow-artifacts:/")
        if path == uri or not path.startswith(f"workspaces/{self._workspace}/"):
            raise MlflowError("INVALID_PARAMETER_VALUE", f"{uri} is not a place in the workspace {self._workspace!r}.")
        return _checked_relative(path)

    # --- HTTP

    def _call(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if query:
            path = f"{path}?{urlencode(query)}"
        raw = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if raw is not None else {}
        with self._response(method, path, raw, headers) as response:
            _raise_for(response)
            text = response.read()
        try:
            answer = json.loads(text) if text else {}
        except ValueError as error:
            raise MlflowError("INTERNAL_ERROR", f"{path} was not answered with JSON: {text[:200]!r}") from error
        return answer if isinstance(answer, dict) else {}

    @contextmanager
    def _response(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._socket_path, self._timeout)
        sent = {"Connection": "close", **(headers or {})}
        # Where the address names the workspace, a header would have to name one that exists already.
        if self._workspace and not path.startswith((_WORKSPACES, "/health")):
            sent["X-MLFLOW-WORKSPACE"] = self._workspace
        try:
            connection.request(method, path, body, sent)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, FileExistsError):
                raise
            raise MlflowUnavailable(f"MLflow does not answer on {self._socket_path}: {error!r}") from error
        finally:
            connection.close()


def _raise_for(response: http.client.HTTPResponse) -> None:
    if response.status < 400:
        return
    text = response.read()
    try:
        answer = json.loads(text)
        code, message = str(answer["error_code"]), str(answer.get("message", ""))
    except (ValueError, KeyError, TypeError):
        code, message = f"HTTP_{response.status}", text[:500].decode("utf-8", "replace")
    if response.status in (502, 503, 504):
        raise MlflowUnavailable(message)
    raise MlflowError(code, message)


def _checked_name(name: str) -> str:
    """A file's name from a listing; never one that leads elsewhere."""
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise MlflowError("INVALID_PARAMETER_VALUE", f"MLflow lists an artifact named {name!r}; not downloaded.")
    return name


def _checked_relative(path: str) -> str:
    if any(segment in ("", ".", "..") for segment in path.split("/")) or "\\" in path:
        raise MlflowError("INVALID_PARAMETER_VALUE", f"{path!r} is not a relative path of plain names.")
    return path


def _joined(root: str, inside: str) -> str:
    return f"{root}/{_checked_relative(inside)}" if inside else root


def _newest_first(version: ModelVersion) -> int:
    return -version.version


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
