"""How errors leave the service: as problem+json, and as MLflow's clients read them below /mlflow/."""

from __future__ import annotations

import errno
import json
import logging
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from .logs import request_id
from .problems import (
    PROBLEM_JSON,
    TITLES,
    Invalid,
    NotAllowed,
    NotFound,
    Problem,
    StorageFull,
    TooLarge,
    Unavailable,
    Unreadable,
    WrongType,
    nearest,
)

log = logging.getLogger(__name__)
RETRY_SECONDS = "2"
BODY_BYTES = 2 << 20
"""Of a request to the API; files go to MLflow, which has limits of its own."""
_MLFLOW_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What happened, why, and what to do (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The kind of problem."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and why."},
        "hint": {"type": "string", "description": "What to do."},
        "field": {"type": "string", "description": "The part of the request that is wrong."},
    },
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` of these statuses, for an app, a router or a route."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    headers = {401: ("WWW-Authenticate", "string"), 503: ("Retry-After", "integer")}
    document: dict[str, Any] = {"description": TITLES[status], "content": content}
    if status in headers:
        name, kind = headers[status]
        document["headers"] = {name: {"schema": {"type": kind}}}
    return document


class ProblemResponse(JSONResponse):
    """A problem+json document."""

    media_type = PROBLEM_JSON

    def render(self, content: Any) -> bytes:
        """Bytes; escaped, because what is quoted from the input may be no valid text."""
        return json.dumps(content).encode()


def reply(path: str, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to a request for *path*. Below /mlflow/ it has the form that MLflow's clients show."""
    sent = dict(headers or {})
    if problem.status == 503:
        sent.setdefault("Retry-After", RETRY_SECONDS)
    if path.startswith("/mlflow/"):
        code = _MLFLOW_CODES.get(problem.status, "INTERNAL_ERROR")
        return JSONResponse({"error_code": code, "message": problem.detail}, problem.status, headers=sent)
    return ProblemResponse(problem.to_dict(), problem.status, headers=sent)


def as_problem(error: Exception, home: Path) -> Problem | None:
    """What a fault of the disk or of the database means to the caller; None when it is something else."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _full(f"the disk that holds {home}")
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return Unavailable(
                "The service has as many files open as it may.",
                hint="Try again in a few seconds. If it stays so, raise the limit (ulimit -n) and restart the service: "
                "himalia down, himalia up.",
            )
        return None
    if isinstance(error, RecursionError):
        return Unreadable("The body is nested too deeply.", hint="Send a flatter document.", field="body")
    if isinstance(error, PoolTimeout):
        return Unavailable("All connections to the database are in use.", hint="Try again in a few seconds.")
    return _database_problem(error, home) if isinstance(error, DBAPIError) else None


def _database_problem(error: DBAPIError, home: Path) -> Problem | None:
    text = str(error.orig)
    code = getattr(error.orig, "sqlstate", None) or ""  # PostgreSQL's; SQLite has texts only
    if code == "53100" or "disk is full" in text:
        return _full("the disk of the database" if code else f"the disk that holds {home}")
    if "database is locked" in text or "database is busy" in text or code in ("55P03", "40P01", "40001"):
        return Unavailable(
            "The database is locked by another program.",
            hint="Try again in a few seconds. If it stays so, end what else has the database open.",
        )
    if "unable to open database file" in text:
        return Unavailable(
            f"The database in {home} cannot be opened: the service has too many files open, or the file is gone.",
            hint="Try again in a few seconds. If it stays so: himalia doctor.",
        )
    # classes: connection, resources, intervention by an operator; a lost connection has no code at all
    lost = error.connection_invalidated or code[:2] in ("08", "53", "57")
    if lost or (not code and type(error.orig).__module__.startswith("psycopg")):
        return Unavailable(
            f"The database does not answer: {text.splitlines()[0] if text else 'the connection was lost'}",
            hint="Try again in a few seconds. If it stays so, look whether PostgreSQL runs and has room.",
        )
    return None


def _full(where: str) -> StorageFull:
    return StorageFull(f"There is no space left on {where}.", hint="Free some space and try again.")


def unexpected(path: str, error: Exception) -> JSONResponse:
    """The answer to a fault that nobody foresaw, which goes into the log."""
    log.error("unexpected fault", exc_info=error, extra={"path": path})
    detail = f"An unexpected fault, recorded in the service's log as request {request_id.get()}."
    return reply(path, Problem(detail, hint="himalia logs service"))


def add_error_handlers(app: FastAPI) -> None:
    """Have every error of *app* leave as a problem."""

    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        return reply(request.url.path, problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return reply(request.url.path, _invalid(request, error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(request) or headers.get("Allow", "")
        return reply(request.url.path, _http(request, error, headers.get("Allow", "")), headers)

    async def on_fault(request: Request, error: Exception) -> JSONResponse:
        problem = as_problem(error, request.app.state.context.site.home)
        if problem is None:
            raise error
        if problem.status >= 500:
            log.warning("fault: %s", problem.detail, exc_info=error)
        return reply(request.url.path, problem)

    for kind in (OSError, RecursionError, PoolTimeout, DBAPIError):
        app.add_exception_handler(kind, on_fault)


def _http(request: Request, error: HTTPException, allowed: str) -> Problem:
    """What the frameworks refuse by themselves, in our words."""
    path, method = request.url.path, request.method
    if error.status_code == 404:
        return NotFound(f"There is nothing at {path[:200]}.", hint="The API's addresses are in /api/v1/openapi.json.")
    if error.status_code == 405:
        hint = f"It takes {allowed}." if allowed else None
        return NotAllowed(f"{path[:200]} does not take {method[:20]}.", hint=hint)
    if error.status_code == 413:
        return too_large()
    if error.status_code == 400:
        return Unreadable(
            "The body cannot be read as JSON: it is nested too deeply, holds a number with too many digits, or is not "
            "UTF-8.",
            hint="Send a JSON object in UTF-8.",
            field="body",
        )
    problem = Problem(str(error.detail))
    problem.status, problem.title = error.status_code, str(error.detail)
    return problem


def _allowed(request: Request) -> str:
    """Methods of an address; the framework tells those of the first route that matches."""
    # a parameter holds no slash, so that the pattern of a template is known without the router
    return ", ".join(
        method.upper()
        for template, operations in request.app.openapi()["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), request.url.path)
        for method in operations
    )


def too_large() -> TooLarge:
    """For a body above `BODY_BYTES`."""
    return TooLarge(
        f"The body of a request may have at most {BODY_BYTES >> 20} MiB.",
        hint="Files go to MLflow as artifacts, and large batches to the endpoint's own address.",
        field="body",
    )


def _invalid(request: Request, error: dict[str, Any]) -> Problem:
    place, kind = [str(part) for part in error["loc"]], error["type"]
    if kind == "json_invalid":
        return Unreadable(
            f"The body is not JSON: {error['ctx']['error']} at character {place[-1]}.",
            hint="Send a JSON object.",
            field="body",
        )
    if place == ["body"]:
        return _invalid_body(request, kind)
    field = ".".join(place[1:])
    if kind == "extra_forbidden":
        return Invalid(f"There is no field {field!r}.", hint=nearest(place[-1], _fields(request)), field=field)
    words = str(error["msg"]).removeprefix("Value error, ").removesuffix(".")
    where = {"query": "The query's ", "path": "The address's ", "header": "The header "}.get(place[0], "")
    missing = {"body": "the body", "query": "the query"}.get(place[0], "the request")
    detail = f"{field} is missing in {missing}." if kind == "missing" else f"{where}{field}: {words}."
    return Invalid(detail, field=field)


def _invalid_body(request: Request, kind: str) -> Problem:
    hint = "Send a JSON object, with the header Content-Type: application/json."
    if kind == "missing":
        return Invalid("The request has no body.", hint=hint, field="body")
    sent = request.headers.get("content-type", "")
    media = sent.partition(";")[0].strip().lower()
    if not (media.startswith("application/") and (media.endswith("+json") or media == "application/json")):
        what = f"says that it is {sent[:60]!r}" if sent else "does not say what it is"
        return WrongType(f"The body {what}; JSON is needed.", hint=hint, field="body")
    return Invalid("The body is JSON, but not an object.", hint="Send an object: {…}.", field="body")


def _fields(request: Request) -> list[str]:
    """Names of the fields that the route's body has."""
    body = getattr(request.scope.get("route"), "body_field", None)
    model = getattr(getattr(body, "field_info", None), "annotation", None)
    return list(getattr(model, "model_fields", {}))
