"""Which headers pass between a client and MLflow, both ways."""

from __future__ import annotations

import re

import aiohttp
from starlette.requests import Request

from himalia_server.http_headers import HOP_BY_HOP, named_by
from himalia_server.service.logs import request_id
from himalia_server.tracking.policy import is_artifact_path, normal_path

_REQUEST_HEADERS = (
    "accept",
    "accept-encoding",
    "content-type",
    "range",
    "if-range",
    "if-none-match",
    "if-modified-since",
    "user-agent",
)
# MLflow's redirects would leave the project's prefix, its cookies and origins are not ours.
_DROPPED = HOP_BY_HOP | {
    "server",
    "date",
    "set-cookie",
    "location",
    "x-frame-options",
    "x-content-type-options",
    "content-security-policy",
    "content-security-policy-report-only",
    "strict-transport-security",
}

RETRY_AFTER = "5"
"""Seconds. MLflow's clients ask again seven times: a restart on a busy machine must fit into that."""
PAGE_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}
_FILE_HEADERS = {
    "Content-Security-Policy": "sandbox; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}
_FILES = re.compile(
    r"/get-artifact|/model-versions/get-artifact|/api/[23]\.0/mlflow/get-trace-artifact"
    r"|/api/2\.0/mlflow/logged-models/[^/]+/artifacts/files"
)


def for_mlflow(request: Request, project: str) -> dict[str, str]:
    """The headers of a request to MLflow: what is harmless of the client's, and who it works for.

    No cookie, authorization, origin, host, forwarding or workspace header of the client is sent on.
    """
    sent = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
    sent["x-mlflow-workspace"] = project
    sent["x-forwarded-for"] = request.client.host if request.client else "unknown"
    if (asked := request_id.get()) is not None:
        sent["x-request-id"] = asked
    return sent


def for_client(upstream: aiohttp.ClientResponse, path: str) -> list[tuple[str, str]]:
    """The headers of MLflow's answer that the client gets. What users stored is served in a sandbox."""
    named = named_by(upstream.headers.get("connection", ""))
    kept = [
        (name, value)
        for name, value in upstream.headers.items()
        if name.lower() not in _DROPPED and name.lower() not in named and not name.lower().startswith("access-control-")
    ]
    ours = _FILE_HEADERS if holds_user_content(path) else PAGE_HEADERS
    return kept + list(ours.items())


def holds_user_content(path: str) -> bool:
    """Whether the answer to *path* may be a file that a user stored."""
    return is_artifact_path(path) or _FILES.fullmatch(normal_path(path)) is not None
