"""Predictions of any model as JSON that every reader accepts. Standard library only."""

from __future__ import annotations

import base64
import datetime
import json
import math
from typing import Any


def to_plain(predictions: Any) -> Any:
    """Turn what a model returned into lists and dictionaries, as MLflow's scoring server does.

    A DataFrame or a Series becomes a list of records, an array a list of its rows.
    """
    if hasattr(predictions, "to_frame") and hasattr(predictions, "index"):
        predictions = predictions.to_frame()
    if hasattr(predictions, "to_dict") and hasattr(predictions, "columns"):
        return predictions.to_dict(orient="records")
    if hasattr(predictions, "tolist"):
        return predictions.tolist()
    return predictions


def encode(plain: Any) -> bytes:
    """Return JSON bytes. NaN, infinities and missing values become null: JSON has no word for them."""
    try:
        text = json.dumps(plain, separators=(",", ":"), allow_nan=False, default=_plain_value)
    except ValueError:
        text = json.dumps(_without_nan(plain), separators=(",", ":"), allow_nan=False, default=_plain_value)
    return text.encode("ascii")


def _plain_value(value: Any) -> Any:
    """Turn one value that json does not know into one that it knows; TypeError when there is none."""
    if hasattr(value, "tolist"):  # arrays and numpy's scalars
        return _without_nan(value.tolist())
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return None if str(value) == "NaT" else value.isoformat()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump()
    raise TypeError(f"the model returned a {type(value).__name__}, which has no form in JSON")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, (str, int, type(None))):
        return value
    return _without_nan(_plain_value(value))


def same(left: Any, right: Any) -> bool:
    """Whether two plain predictions agree; floats within 1e-6, since sums depend on the batch's shape."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-9) or (left != left and right != right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)
