"""How many requests each endpoint was asked, how they ended and how long they took. Standard library only.

The worker counts and hands over what is new with its next sweep; the parent adds it up, so that a worker that dies
takes a quarter of a second of counts with it. Only requests with the endpoint's key are counted: what strangers name
would make up new series.
"""

from __future__ import annotations

import bisect
from typing import Any

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of latencies, in seconds; the last bucket is above all of them."""


class Counts:
    """Counts by endpoint. Not thread-safe: of one event loop."""

    def __init__(self) -> None:
        self._endpoints: dict[str, dict[str, Any]] = {}

    def add(self, endpoint: str, status: int, seconds: float) -> None:
        """One request was answered."""
        found = self._endpoints.get(endpoint)
        if found is None:
            found = self._endpoints[endpoint] = _empty()
        key = str(status)
        found["statuses"][key] = found["statuses"].get(key, 0) + 1
        found["buckets"][bisect.bisect_left(BUCKETS, seconds)] += 1
        found["seconds"] += seconds

    def take(self) -> dict[str, dict[str, Any]]:
        """What was counted since the last call, as it is sent to the parent."""
        taken, self._endpoints = self._endpoints, {}
        return taken

    def merge(self, news: dict[str, dict[str, Any]]) -> None:
        """Add what another `take` has given."""
        for name, new in news.items():
            found = self._endpoints.setdefault(name, _empty())
            for status, count in new["statuses"].items():
                found["statuses"][status] = found["statuses"].get(status, 0) + count
            found["buckets"] = [old + count for old, count in zip(found["buckets"], new["buckets"], strict=True)]
            found["seconds"] += new["seconds"]

    def total(self) -> dict[str, Any]:
        """All that was counted: the histogram's ``bounds``, and by endpoint ``statuses``, ``buckets`` (not cumulated)
        and the sum of ``seconds``."""
        return {"bounds": BUCKETS, "endpoints": self._endpoints}


def _empty() -> dict[str, Any]:
    return {"statuses": {}, "buckets": [0] * (len(BUCKETS) + 1), "seconds": 0.0}
