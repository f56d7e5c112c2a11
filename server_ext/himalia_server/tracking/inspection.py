"""What the proxy reads in requests, because MLflow itself lets them reach too far.

Three ways through MLflow 3.17 are closed here (the others are closed by the route table):

* H1: trace tags such as `mlflow.artifactLocation` say where the server reads a trace from; a client may set
  them, to any folder of the server or to another project.
* H2: the source of a model version may be any URL the server can open, or a run of another project.
* H3: the files of a registered model can be written over, and its status be set back to allow that.

The functions are pure: what has to be asked of MLflow is returned as `References`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from himalia_server.tracking.policy import ARTIFACTS, decoded_completely, normal_path

MAX_JSON_BYTES = 4 << 20

RESERVED_TRACE_TAGS = frozenset(
    {
        "mlflow.artifactLocation",
        "mlflow.trace.spansLocation",
        "mlflow.trace.archiveLocation",
        "mlflow.trace.archivalFailure",
    }
)
# MLflow stores prompts as model versions without files; these are the only sources it takes for them.
PROMPT_SOURCES = frozenset({"prompt-template", "dummy-source"})
MODEL_READY = "LOGGED_MODEL_READY"
_READY_VALUES = (MODEL_READY, 2)

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL_ID = re.compile(r"m-[A-Za-z0-9_-]{1,64}")
_TRACE_TAGS = re.compile(r"/api/[23]\.0/mlflow/traces/[^/]+/tags")
_FINALIZE = re.compile(r"/api/2\.0/mlflow/logged-models/([^/]+)")
_ARTIFACT_FILES = re.compile(ARTIFACTS + r"(?:artifacts|mpu/(?:create|complete|abort))/(.+)", re.DOTALL)


class RequestRefusedError(Exception):
    """A request that is not forwarded: HTTP status, MLflow's error code, and why."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


@dataclass(frozen=True)
class References:
    """What a body refers to and MLflow must confirm to be of this project.

    `ready_models` must in addition be complete. `finalizes` is the logged model whose status changes;
    `reopens` says that it would be incomplete afterwards, which is refused once it is complete.
    """

    runs: frozenset[str] = frozenset()
    ready_models: frozenset[str] = frozenset()
    finalizes: str | None = None
    reopens: bool = False


Json = dict[str, Any]
Inspector = Callable[[Json, str, str], References]


def parse_json_object(raw: bytes) -> Json:
    """Parse a request body that must be one JSON object.

    Raises RequestRefusedError for anything else: an object with a name twice (two parsers may take different
    ones), NaN, a string that holds JSON (MLflow would parse it a second time), or no JSON at all.
    """
    if len(raw) > MAX_JSON_BYTES:
        raise RequestRefusedError(
            413, "INVALID_PARAMETER_VALUE", f"The body is larger than {MAX_JSON_BYTES >> 20} MiB."
        )
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError(400, "INVALID_PARAMETER_VALUE", f"The body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestRefusedError(400, "INVALID_PARAMETER_VALUE", "The body must be a JSON object.")
    return body


def _unique_names(pairs: list[tuple[str, Any]]) -> Json:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object has the same name twice")
    return names


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def inspector(method: str, path: str) -> Inspector | None:
    """The check that the body of this request needs, or None when it may be streamed through unread."""
    path = normal_path(path)
    if method == "PATCH" and _TRACE_TAGS.fullmatch(path):
        return _check_trace
    if method == "POST" and path == "/api/3.0/mlflow/traces":
        return _check_trace
    if method == "POST" and path == "/api/2.0/mlflow/model-versions/create":
        return _check_model_version
    if method == "POST" and path == "/api/2.0/mlflow/experiments/create":
        return _check_experiment
    if method == "PATCH" and _FINALIZE.fullmatch(path):
        return _check_finalize
    return None


def _check_trace(body: Json, project: str, path: str) -> References:
    """H1. A reserved tag is looked for everywhere, under both spellings protobuf's JSON allows."""
    reserved = _reserved_name(body)
    if reserved is not None:
        raise RequestRefusedError(403, "PERMISSION_DENIED", f"The trace tag {reserved!r} is set by the server only.")
    return References()


def _reserved_name(value: object) -> str | None:
    """The first reserved tag that is a name in, or the value of a `key` in, a JSON document."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            for name, content in item.items():
                if name.strip() in RESERVED_TRACE_TAGS:
                    return str(name)
                if name == "key" and isinstance(content, str) and content.strip() in RESERVED_TRACE_TAGS:
                    return content
                pending.append(content)
    return None


def _check_experiment(body: Json, project: str, path: str) -> References:
    if _field(body, "artifact_location", "artifactLocation"):
        raise RequestRefusedError(
            403,
            "PERMISSION_DENIED",
            "An experiment's artifact location is set by the server; create it without one.",
        )
    return References()


def _check_model_version(body: Json, project: str, path: str) -> References:
    """H2. The source must be a complete logged model, a run's files or an artifact path of this project."""
    source = body.get("source")
    run_id = _field(body, "run_id", "runId")
    model_id = _field(body, "model_id", "modelId")
    runs = {_checked_id(run_id, _RUN_ID, "run_id")} if run_id else set()
    models = {_checked_id(model_id, _MODEL_ID, "model_id")} if model_id else set()
    if not isinstance(source, str):
        raise RequestRefusedError(400, "INVALID_PARAMETER_VALUE", "A model version needs a source, a string.")
    if _is_prompt_source(source, body):
        return References(frozenset(runs), frozenset(models))
    plain = _plain_source(source)
    if plain.startswith("models:/m-"):
        models.add(_checked_id(plain.removeprefix("models:/"), _MODEL_ID, "source"))
    elif plain.startswith("runs:/"):
        runs.add(_checked_id(plain.removeprefix("runs:/").partition("/")[0], _RUN_ID, "source"))
    elif plain.startswith(f"mlflow-artifacts:/workspaces/{project}/"):
        model = model_of_path(plain.removeprefix("mlflow-artifacts:/"))
        models.update({model} if model else set())
    else:
        raise _foreign_source(source, project)
    return References(frozenset(runs), frozenset(models))


def _is_prompt_source(source: str, body: Json) -> bool:
    tags = body.get("tags")
    if source not in PROMPT_SOURCES or not isinstance(tags, list):
        return False
    values = {tag.get("key"): tag.get("value") for tag in tags if isinstance(tag, dict)}
    return str(values.get("mlflow.prompt.is_prompt")).lower() == "true"


def _plain_source(source: str) -> str:
    """The source, refused when anything in it could be read in two ways."""
    segments = source.partition(":/")[2].split("/")
    if not source.isprintable() or set("%\\?#") & set(source) or {"", ".", ".."} & set(segments):
        raise RequestRefusedError(
            403,
            "PERMISSION_DENIED",
            f"The model source {source!r} is not a plain path: percent signs, '?', '#', backslashes, control "
            "characters and empty or dotted segments are refused.",
        )
    return source


def _foreign_source(source: str, project: str) -> RequestRefusedError:
    return RequestRefusedError(
        403,
        "PERMISSION_DENIED",
        f"The model source {source!r} does not belong to project {project!r}. Register a logged model "
        f"(models:/m-...), a run's files (runs:/<run id>/...) or mlflow-artifacts:/workspaces/{project}/...",
    )


def _check_finalize(body: Json, project: str, path: str) -> References:
    """H3. MLflow takes the model from the body, not from the path, and any status at any time."""
    match = _FINALIZE.fullmatch(normal_path(path))
    in_path = match.group(1) if match else ""
    model_id = _checked_id(_field(body, "model_id", "modelId"), _MODEL_ID, "model_id")
    if model_id != in_path:
        raise RequestRefusedError(
            400, "INVALID_PARAMETER_VALUE", f"The body names model {model_id!r}, the path {in_path!r}."
        )
    return References(finalizes=model_id, reopens=body.get("status") not in _READY_VALUES)


def _field(body: Json, snake: str, camel: str) -> object:
    """A field that protobuf's JSON accepts under two names; both at once is refused."""
    if snake in body and camel in body:
        raise RequestRefusedError(400, "INVALID_PARAMETER_VALUE", f"The body has both {snake!r} and {camel!r}.")
    return body.get(snake, body.get(camel))


def _checked_id(value: object, form: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise RequestRefusedError(400, "INVALID_PARAMETER_VALUE", f"{what} {value!r} is not an id of MLflow's form.")
    return value


def written_artifact(method: str, path: str) -> str | None:
    """The artifact path (decoded once) that a request writes or deletes, or None."""
    if method not in ("PUT", "DELETE", "POST"):
        return None
    match = _ARTIFACT_FILES.fullmatch(normal_path(path))
    return match.group(1) if match else None


def check_artifact_path(path: str, project: str) -> None:
    """Raise RequestRefusedError when an artifact path could mean another place to MLflow than it says."""
    first, _, rest = decoded_completely(path).strip().partition("/")
    if ":" in first:
        raise RequestRefusedError(
            400, "INVALID_PARAMETER_VALUE", f"The artifact path {path!r} may not begin with a scheme."
        )
    if first == "workspaces" and rest.partition("/")[0] != project:
        raise RequestRefusedError(
            403, "PERMISSION_DENIED", f"The artifact path {path!r} is not of project {project!r}."
        )


def model_of_path(path: str) -> str | None:
    """The id of the logged model whose files *path* is among, or None.

    Names are compared without regard to case, since some file systems do so. Raises RequestRefusedError for a
    name that only looks like a model's.
    """
    segments = decoded_completely(path).split("/")
    for parent, name in itertools.pairwise(segments):
        if parent.casefold() == "models" and name.casefold().startswith("m-"):
            return _checked_id(name.casefold(), _MODEL_ID, "the model in the artifact path")
    return None
