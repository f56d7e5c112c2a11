"""`/metrics`: what a Prometheus server reads. Counted here as it happens, or looked up in the store when asked."""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..store import Cluster, Deployment, Project, Run
from .auth import Caller, authorize_metrics
from .context import Context
from .replies import errors

log = logging.getLogger(__name__)
router = APIRouter(tags=["service"])
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, in seconds."""
API = "/api/v1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RequestCounts:
    """Requests by method, route and status, and how long they took. Thread-safe.

    Routes are templates (`/api/v1/projects/{slug}`), so that their number is bounded; what matched no route is "none".
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: Counter[tuple[str, str, int]] = Counter()
        self._latencies: dict[tuple[str, str], tuple[list[int], list[float]]] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        with self._lock:
            self._statuses[method, route, status] += 1
            counts, total = self._latencies.setdefault((method, route), ([0] * (len(BUCKETS) + 1), [0.0]))
            counts[bisect.bisect_left(BUCKETS, seconds)] += 1
            total[0] += seconds

    def families(self) -> Iterator[Any]:
        """As Prometheus' metric families."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        counter = CounterMetricFamily("himalia_requests", "Answered requests.", labels=["method", "route", "status"])
        histogram = HistogramMetricFamily(
            "himalia_request_seconds", "Time to the end of the answer.", labels=["method", "route"]
        )
        with self._lock:
            for (method, route, status), count in self._statuses.items():
                counter.add_metric([method, route, str(status)], count)
            for (method, route), (counts, total) in self._latencies.items():
                histogram.add_metric([method, route], _cumulated(BUCKETS, counts), sum_value=total[0])
        yield counter
        yield histogram


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus has them: each holds what is below its bound."""
    names = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    return [(name, float(below)) for name, below in zip(names, accumulate(counts), strict=True)]


class CountRequests:
    """ASGI middleware that counts; streams (events, dashboards) count when they end.

    What changes something through the API, and what fails, gets a line in the log, which has the request's id.
    """

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self.app, self.counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, request = time.perf_counter(), 500, ""

        async def noted(message: Message) -> None:
            nonlocal status, request
            if message["type"] == "http.response.start":
                status = message["status"]
                request = dict(message["headers"]).get(b"x-request-id", b"").decode()
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            if route != "none" and scope["path"].startswith(API) and not route.startswith(API):
                route = API + route  # of a router within the router of the API
            method = scope["method"] if scope["method"] in METHODS else "other"
            seconds = time.perf_counter() - began
            self.counts.add(method, route, status, seconds)
            if status >= 500 or (method not in READING and scope["path"].startswith("/api/")):
                facts = {"method": method, "path": scope["path"][:200], "status": status, "request": request}
                log.info("answered", extra=facts | {"seconds": round(seconds, 4)})


READING = {"GET", "HEAD", "OPTIONS"}
METHODS = READING | {"POST", "PUT", "PATCH", "DELETE"}


_COUNTED = (
    ("himalia_runs", "Pipeline runs that are kept.", Run.status),
    ("himalia_clusters", "Dask clusters.", Cluster.state),
    ("himalia_endpoints", "Endpoints.", Deployment.state),
)


class SiteMetrics:
    """Everything, collected anew for each reading."""

    def __init__(
        self,
        context: Context,
        counts: RequestCounts,
        tracking_up: Callable[[], bool],
        endpoints: Callable[[], dict[str, Any]],
    ) -> None:
        self.context, self.counts, self.tracking_up, self.endpoints = context, counts, tracking_up, endpoints

    def collect(self) -> Iterable[Any]:
        """Prometheus' metric families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        from himalia import __version__

        yield GaugeMetricFamily(
            "himalia_start_time_seconds", "Start of the service, UTC seconds.", value=self.context.started_at
        )
        info = GaugeMetricFamily("himalia_info", "The running service.", labels=["version", "site"])
        info.add_metric([__version__, self.context.site.id], 1)
        yield info
        yield GaugeMetricFamily("himalia_tracking_up", "Whether MLflow answers.", value=float(self.tracking_up()))
        yield GaugeMetricFamily(
            "himalia_last_event", "Number of the newest event.", value=self.context.events.bounds()[1]
        )
        yield self._projects()
        for name, text, column in _COUNTED:
            yield self._by_state(name, text, column)
        children = GaugeMetricFamily("himalia_child_up", "Processes that the service started.", labels=["kind"])
        kinds = Counter(name.partition("-")[0] for name in self.context.children.names())
        for kind, count in sorted(kinds.items()):
            children.add_metric([kind], count)
        yield children
        restarts = CounterMetricFamily(
            "himalia_child_restarts", "Processes that ended unasked and were started again.", labels=["kind"]
        )
        for kind, count in sorted(self.context.children.restarts().items()):
            restarts.add_metric([kind], count)
        yield restarts
        yield from self._endpoints()
        yield from self.counts.families()

    def _endpoints(self) -> Iterator[Any]:
        """What the gateway has counted since it started."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "himalia_endpoint_requests", "Requests to endpoints that had a valid key.", labels=["endpoint", "status"]
        )
        latencies = HistogramMetricFamily(
            "himalia_endpoint_request_seconds", "From a request's head to its answer.", labels=["endpoint"]
        )
        counted = self.endpoints()
        for name, found in sorted(counted.get("endpoints", {}).items()):
            for status, count in sorted(found["statuses"].items()):
                requests.add_metric([name, status], count)
            buckets = _cumulated(counted["bounds"], found["buckets"])
            latencies.add_metric([name], buckets, sum_value=found["seconds"])
        yield requests
        yield latencies

    def _projects(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        with self.context.database.read() as session:
            kept = Project.archived_at.is_(None) & Project.trashed_at.is_(None)
            count = session.scalar(select(func.count()).select_from(Project).where(kept))
        return GaugeMetricFamily("himalia_projects", "Projects that are neither archived nor deleted.", value=count)

    def _by_state(self, name: str, text: str, column: InstrumentedAttribute[str]) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, text, labels=["state"])
        with self.context.database.read() as session:
            for state, count in session.execute(select(column, func.count()).group_by(column)):
                family.add_metric([state], count)
        return family


@router.get("/metrics", response_class=Response, responses=errors(403) | {200: {"content": {"text/plain": {}}}})
def metrics(request: Request, caller: Caller) -> Response:
    """Numbers for Prometheus, whose token is the file `tokens/metrics` of the site; also for admins and auditors."""
    # imported at the first reading: it takes a tenth of a second, which the service's start does not have
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

    authorize_metrics(request.app.state.context, caller)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(request.app.state.metrics)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE)
