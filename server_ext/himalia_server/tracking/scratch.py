"""A workspace in MLflow for one run of a verification, and how its notebook sees the project's through it.

A verification executes a notebook that may train, register and load. It must leave nothing among the project's runs
and models, and yet be no different for the notebook, whichever of MLflow's interfaces that uses. So the proxy puts
everything that is written into a workspace of the run's own, which is removed with it, and reads there first and then
in the project's: what the notebook has just made hides what is older, and a model of the registry loads as ever. A
store of files beside the kernel would have neither the project's models nor its runs; refusing what is written would
end notebooks at their first `log_model`.

What differs: a registered model's versions are counted from 1, and what is written to an earlier run is taken and not
kept.
"""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import aiohttp
from starlette.requests import Request
from starlette.responses import Response
from yarl import URL

from himalia_server.tracking import headers, policy
from himalia_server.tracking.inspection import parse_json_object
from himalia_server.tracking.upstream import UnreachableError, Upstream, UpstreamResponse

_API = "/api/2.0/mlflow"
_BY_NAME = f"{_API}/experiments/get-by-name"
_NOTED = frozenset({f"{_API}/runs/log-batch", f"{_API}/runs/log-metric"})
_OF_RUNS = re.compile(f"{_API}/(?:runs/(?:log-[a-z-]+|set-tag|delete-tag|update|outputs))")

Json = dict[str, Any]


class Scratch:
    """Reads of a verification, and what has to be known before it writes."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def read(
        self, request: Request, project: str, scratch: str, path: str, target: URL, body: bytes | None
    ) -> Response:
        """Answer a request that changes nothing: from *scratch*, and what that has not, from the project's workspace.

        *body*: of a search; None of a GET.
        """
        plain = policy.normal_path(path)
        if any(f"workspaces/{project}/" in f"{where}/" for where in (path, request.query_params.get("path", ""))):
            return await self._ask(request, project, path, target, body)
        if plain == _BY_NAME:
            await self._mirror_experiment(project, scratch, request.query_params.get("experiment_name", ""))
        own = await self._ask(request, scratch, path, target, body)
        if own.status_code < 400 and not (plain.endswith("/search") and _is_empty(own)):
            return own
        if body is not None:
            body = await self._translated(project, scratch, body)
        theirs = await self._ask(request, project, path, target, body)
        kept, dropped = (theirs, own) if theirs.status_code < 400 else (own, theirs)
        if isinstance(dropped, UpstreamResponse):
            await dropped.drop()
        return kept

    @staticmethod
    def concerns(path: str) -> bool:
        """Whether `prepare_write` has to read what is written."""
        return _OF_RUNS.fullmatch(policy.normal_path(path)) is not None

    async def prepare_write(self, project: str, scratch: str, path: str, body: Json) -> Response | None:
        """Take from the body of a write what would reach into the project.

        Returns the answer when nothing is to be written: about a run that is the project's.
        """
        plain = policy.normal_path(path)
        if plain in _NOTED:
            for metric in (body, *(body.get("metrics") or ())):
                for key in ("model_id", "modelId"):
                    named = metric.get(key) if isinstance(metric, dict) else None
                    if named and await self._upstream.logged_model_status(scratch, str(named)) is None:
                        metric.pop(key)  # it would become a metric of the project's model
        run_id = str(body.get("run_id") or body.get("runId") or body.get("run_uuid") or "")
        if not run_id or await self._upstream.run_exists(scratch, run_id):
            return None
        found = await self._get(project, f"{_API}/runs/get", {"run_id": run_id})
        if found is None:
            return None
        return _document({"run_info": found["run"]["info"]} if plain.endswith("/update") else {})

    async def _mirror_experiment(self, project: str, scratch: str, name: str) -> None:
        """Have an experiment of the project in *scratch* too, so that runs can be made in it."""
        wanted = {"experiment_name": name}
        if await self._get(scratch, _BY_NAME, wanted) is None and await self._get(project, _BY_NAME, wanted):
            sent = {"x-mlflow-workspace": scratch, "content-type": "application/json"}
            made = await self._upstream.request(
                "POST", _url(f"{_API}/experiments/create"), sent, json.dumps({"name": name}).encode()
            )
            made.release()  # another request may have made it just now

    async def _translated(self, project: str, scratch: str, body: bytes) -> bytes:
        """A search with the experiments of *scratch* that it names as those of these names in the project."""
        asked = parse_json_object(body)
        for key in ("experiment_ids", "experimentIds"):
            if not isinstance(asked.get(key), list):
                continue
            ids = []
            for one in asked[key]:
                own = await self._get(scratch, f"{_API}/experiments/get", {"experiment_id": str(one)})
                name = own["experiment"]["name"] if own else None
                theirs = await self._get(project, _BY_NAME, {"experiment_name": name}) if name else None
                ids.append(theirs["experiment"]["experiment_id"] if theirs else one)
            asked[key] = ids
        return json.dumps(asked).encode()

    async def _get(self, workspace: str, path: str, query: dict[str, str]) -> Json | None:
        status, answer = await self._upstream.json("GET", _url(path, query), {"x-mlflow-workspace": workspace})
        return answer if status == 200 else None

    async def _ask(self, request: Request, workspace: str, path: str, target: URL, body: bytes | None) -> Response:
        """MLflow's answer: of a search read to its end, else still to be passed on."""
        sent = headers.for_mlflow(request, workspace)
        method = "GET" if request.method == "HEAD" and policy.is_artifact_path(path) else request.method
        search = path.endswith("/search")
        if search:
            sent.pop("accept-encoding", None)  # it is looked into
        upstream = await self._upstream.request(method, target, sent, body)
        passed = headers.for_client(upstream, path)
        if not search:
            return UpstreamResponse(upstream, passed, AsyncExitStack(), without_body=request.method == "HEAD")
        try:
            content = await upstream.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(f"MLflow's answer to {path} broke off: {error}") from error
        finally:
            upstream.release()
        kept = {name: value for name, value in passed if name.lower() not in ("content-length", "content-encoding")}
        return Response(content, upstream.status, kept)


def _url(path: str, query: dict[str, str] | None = None) -> URL:
    return URL(f"http://localhost{path}" + (f"?{urlencode(query)}" if query else ""), encoded=True)


def _document(content: Json) -> Response:
    return Response(json.dumps(content), media_type="application/json", headers=headers.PAGE_HEADERS)


def _is_empty(answer: Response) -> bool:
    """Whether a search has found nothing."""
    found = json.loads(bytes(answer.body))
    return not any(isinstance(value, list) and value for value in found.values())
