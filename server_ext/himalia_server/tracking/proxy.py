"""The way to MLflow: an allow-list proxy from `/mlflow/<project>/…` to MLflow's unix socket."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from yarl import URL

from himalia_server.tracking import headers, inspection, policy
from himalia_server.tracking.inspection import References, RequestRefusedError
from himalia_server.tracking.model_guard import ModelGuard
from himalia_server.tracking.scratch import Scratch
from himalia_server.tracking.upstream import UnreachableError, Upstream, UpstreamResponse

OnDenied = Callable[[str, str, str], None]

NAME_BYTES = 255
"""Of a file or folder, on the usual file systems; MLflow answers a longer one with a fault of its own."""
# What MLflow reads into its memory before it looks at it; files go by another way and have no limit here.
MAX_BUFFERED_BYTES = 64 << 20

_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SERVER_INFO = "/api/3.0/mlflow/server-info"
_GATEWAY = "/api/2.0/mlflow/gateway-proxy"
_QUERY = re.compile(r"[\x21-\x7e]*")


class MlflowProxy:
    """Forwards what the policy allows; one object per service, used from one event loop.

    Nothing of the client's identity reaches MLflow: the workspace is the project of the address, request
    headers are taken from an allow-list, and X-Forwarded-For is ours.
    """

    def __init__(self, socket_path: Path) -> None:
        self._upstream = Upstream(socket_path)
        self._guard = ModelGuard(self._upstream.logged_model_status)
        self._scratch = Scratch(self._upstream)

    async def close(self) -> None:
        """Close the connections to MLflow. Safe to call twice."""
        await self._upstream.close()

    async def forward(
        self,
        request: Request,
        project: str,
        role: str,
        path: str,
        on_denied: OnDenied | None = None,
        scratch: str | None = None,
    ) -> Response:
        """Answer one request of an authenticated caller who has *role* in *project*.

        *path* is the decoded rest of the address, without its first slash (a Starlette `path` parameter).
        *on_denied* is called with method, path and reason for every request that is refused with 403. *scratch* is the
        workspace that a verification works in, in place of the project's.
        """
        path = "/" + path
        try:
            return await self._answer(request, project, role, path, scratch)
        except RequestRefusedError as refusal:
            if refusal.status == 403 and on_denied is not None:
                on_denied(request.method, path, refusal.message)
            return _error(refusal.status, refusal.error_code, refusal.message)
        except UnreachableError:
            return _unavailable()
        except ClientDisconnect:
            # Nobody is left to read an answer; MLflow's connection is closed, so that it drops the upload.
            return Response(status_code=499)

    async def _answer(self, request: Request, project: str, role: str, path: str, scratch: str | None) -> Response:
        _check_project(project)
        if request.method == "GET" and policy.normal_path(path) == _GATEWAY:
            # what MLflow says where no AI gateway is set up; its pages show an error for a refusal
            return JSONResponse({"endpoints": []}, headers=headers.PAGE_HEADERS)
        _check_permission(request.method, path, role)
        target = _target(path, request.scope["query_string"])
        workspace = scratch or project
        sent = headers.for_mlflow(request, workspace)
        if policy.normal_path(path) == _SERVER_INFO:
            return await self._server_info(project, target, sent)
        if scratch is not None and policy.classify(request.method, path) == policy.READ:
            asked = await _read(request, inspection.MAX_JSON_BYTES) if request.method == "POST" else None
            return await self._scratch.read(request, project, scratch, path, target, asked)
        async with AsyncExitStack() as held:
            body = await self._checked_body(request, workspace, path, sent, held)
            if scratch is not None and self._scratch.concerns(path):
                document = inspection.parse_json_object(await _read(request, MAX_BUFFERED_BYTES))
                answer = await self._scratch.prepare_write(project, scratch, path, document)
                if answer is not None:
                    return answer
                body = _serialised(document, sent)
            method = request.method
            if method == "HEAD" and policy.is_artifact_path(path):
                method = "GET"  # MLflow has no HEAD for files; what GET would say is what HEAD means
            upstream = await self._upstream.request(method, target, sent, body)
            release = held.pop_all()
        upstream_headers = headers.for_client(upstream, path)
        return UpstreamResponse(upstream, upstream_headers, release, without_body=request.method == "HEAD")

    async def _checked_body(
        self, request: Request, project: str, path: str, sent: dict[str, str], held: AsyncExitStack
    ) -> bytes | AsyncIterator[bytes] | None:
        """The body to send on. Puts on *held* what must stay reserved until MLflow has answered."""
        artifact = inspection.written_artifact(request.method, path)
        if artifact is not None:
            inspection.check_artifact_path(artifact, project)
            model_id = inspection.model_of_path(artifact)
            if model_id is not None:
                await held.enter_async_context(self._guard.writing(project, model_id))
        inspect = inspection.inspector(request.method, path)
        if inspect is not None:
            body = inspection.parse_json_object(await _read(request, inspection.MAX_JSON_BYTES))
            await self._verify(project, inspect(body, project, policy.normal_path(path)), held)
            return _serialised(body, sent)
        return _streamed(request, sent, limited=artifact is None)

    async def _verify(self, project: str, references: References, held: AsyncExitStack) -> None:
        """Ask MLflow whether what a body refers to is of this project."""
        for run_id in references.runs:
            if not await self._upstream.run_exists(project, run_id):
                raise RequestRefusedError(
                    403, "PERMISSION_DENIED", f"Run {run_id} is not a run of project {project!r}."
                )
        for model_id in references.ready_models:
            status = await self._upstream.logged_model_status(project, model_id)
            if status is None:
                raise RequestRefusedError(
                    403,
                    "PERMISSION_DENIED",
                    f"Model {model_id} is not a logged model of project {project!r}.",
                )
            if status != inspection.MODEL_READY:
                raise RequestRefusedError(
                    409,
                    "INVALID_STATE",
                    f"Model {model_id} is not complete (its status is {status}). Finish logging it "
                    "(mlflow.finalize_logged_model), then register it.",
                )
        if references.finalizes is not None:
            completing = self._guard.completing(project, references.finalizes, references.reopens)
            await held.enter_async_context(completing)

    async def _server_info(self, project: str, target: URL, sent: dict[str, str]) -> Response:
        """MLflow's facts about itself, without what Himalia decides: workspaces and the AI gateway."""
        status, facts = await self._upstream.json("GET", target, sent)
        if status == 200:
            facts["workspaces_enabled"] = False
            features: dict[str, Any] = facts.get("features_enabled") or {}
            facts["features_enabled"] = {**features, "gateway": False}
        return JSONResponse(facts, status, headers=headers.PAGE_HEADERS)


def _check_project(project: str) -> None:
    # MLflow takes an absent workspace for `default`, which belongs to no project.
    if project == "default" or not _PROJECT.fullmatch(project):
        raise RequestRefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"There is no project {project!r}.")


def _check_permission(method: str, path: str, role: str) -> None:
    action = policy.classify(method, path)
    if action is None:
        raise RequestRefusedError(
            403,
            "PERMISSION_DENIED",
            f"{method} {path} is not forwarded to MLflow: the route is closed or not known to Himalia.",
        )
    if not policy.role_allows(role, action):
        raise RequestRefusedError(
            403,
            "PERMISSION_DENIED",
            f"{method} {path} needs the role {policy.least_role(action)} in this project; yours is {role}.",
        )


def _target(path: str, query: bytes) -> URL:
    """The address for MLflow: the path we judged, quoted anew, and the query as it came."""
    if any(len(part.encode(errors="replace")) > NAME_BYTES for part in path.split("/")):
        raise RequestRefusedError(
            400, "INVALID_PARAMETER_VALUE", f"A part of the address is longer than a file's name, {NAME_BYTES} bytes."
        )
    text = query.decode("latin-1")
    if not _QUERY.fullmatch(text):
        raise RequestRefusedError(
            400, "INVALID_PARAMETER_VALUE", "The query string holds characters that must be encoded."
        )
    quoted = quote(path, safe="/:@!$&'()*+,;=~-._")
    return URL(f"http://localhost{quoted}" + (f"?{text}" if text else ""), encoded=True)


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RequestRefusedError(
                413,
                "INVALID_PARAMETER_VALUE",
                f"The body of this request may have {limit >> 20} MiB at most.",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _serialised(body: dict[str, Any], sent: dict[str, str]) -> bytes:
    """The JSON we read, written by us, so that MLflow reads the same."""
    sent["content-type"] = "application/json"
    raw = json.dumps(body).encode()
    sent["content-length"] = str(len(raw))
    return raw


def _streamed(request: Request, sent: dict[str, str], limited: bool) -> AsyncIterator[bytes] | None:
    length = request.headers.get("content-length")
    chunked = "transfer-encoding" in request.headers
    if limited and chunked:
        raise RequestRefusedError(411, "INVALID_PARAMETER_VALUE", "This request needs a Content-Length.")
    if limited and length is not None and int(length) > MAX_BUFFERED_BYTES:
        raise RequestRefusedError(
            413,
            "INVALID_PARAMETER_VALUE",
            f"The body of this request may have {MAX_BUFFERED_BYTES >> 20} MiB at most.",
        )
    if length is not None:
        sent["content-length"] = length
    return request.stream() if chunked or (length is not None and int(length) > 0) else None


def _error(status: int, error_code: str, message: str) -> Response:
    return JSONResponse({"error_code": error_code, "message": message}, status, headers=headers.PAGE_HEADERS)


def _unavailable() -> Response:
    response = _error(503, "TEMPORARILY_UNAVAILABLE", "MLflow is starting or not running; try again shortly.")
    response.headers["Retry-After"] = headers.RETRY_AFTER
    return response
