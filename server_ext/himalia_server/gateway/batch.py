"""One batch as bytes for a replica, and a replica's answer taken apart (see `himalia._replica_wire`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from himalia._replica_wire import NUMPY_TYPES, pack
from himalia_server.gateway.inputs import Prepared


def encode_batch(number: int, requests: Sequence[Prepared]) -> bytes:
    """Return the frame for requests of one group (or for a single one); columns are joined row-wise."""
    first = requests[0]
    header: dict[str, Any] = {"id": number, "kind": first.kind, "rows": [item.rows for item in requests]}
    if first.params is not None:
        header["params"] = first.params
    if first.index is not None:
        header["index"] = first.index
    if first.kind != "columns":
        return pack(header, first.body)
    described, blobs = [], []
    for name, (kind, _) in first.columns.items():
        parts = [item.columns[name][1].data for item in requests]
        if kind in NUMPY_TYPES:
            blob = b"".join(part for part in parts if isinstance(part, bytes))
        else:
            blob = _json([value for part in parts for value in part])
        described.append([name, kind, len(blob)])
        blobs.append(blob)
    header["columns"] = described
    return pack(header, b"".join(blobs))


def split_answer(header: dict[str, Any], body: bytes) -> list[tuple[bool, bytes]]:
    """Return for each request of the batch whether the model answered, and its JSON."""
    answers, start = [], 0
    for ok, size in header["results"]:
        answers.append((bool(ok), body[start : start + size]))
        start += size
    return answers


def _json(values: list[Any]) -> bytes:
    try:
        return orjson.dumps(values)
    except TypeError:  # lone surrogates, whole numbers beyond 64 bits
        return json.dumps(values).encode()
