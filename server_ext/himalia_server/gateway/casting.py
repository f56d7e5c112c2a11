"""Values of one column, as they come out of JSON, turned into the type of the model's signature.

The rules are MLflow's, with one exception: what MLflow's scoring server would silently alter is refused
(1.9 or a missing value in an integer column, a number beyond the type, text in a boolean column).
"""

from __future__ import annotations

import base64
import binascii
from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_CODES = {"double": "d", "float": "f", "long": "q", "integer": "i"}
_PLAIN_TEXT = frozenset([str])


class InputError(ValueError):
    """The client sent something that the model cannot take; the text tells the client what."""


class Column(NamedTuple):
    """One column of one request: packed values, or a list for types that travel as JSON.

    ``mixture`` is empty for usual columns. Otherwise it names the kinds of values: pandas chooses a
    column's dtype by them, so that rows may share a DataFrame only with rows of the same mixture.
    """

    data: bytes | list[Any]
    mixture: tuple[str, ...]


def cast_column(name: str, kind: str, values: Sequence[Any]) -> Column:
    """Cast *values* to the signature's type *kind*; InputError names column, row (from 0) and reason.

    Packed in the machine's byte order: double 8, float 4, long 8, integer 4, boolean 1 bytes a value.
    """
    code = _CODES.get(kind)
    if code is not None:
        return Column(_pack(name, kind, code, values), ())
    if kind == "boolean":
        return Column(bytes(_each(name, kind, values, _boolean)), ())
    if kind == "string":
        return _strings(name, values)
    if kind == "datetime":
        mixture = ("null",) if all(value is None for value in values) else ()
        return Column(_each(name, kind, values, _datetime), mixture)
    if kind == "binary":
        return Column(_each(name, kind, values, _binary), ())
    raise InputError(f"Column {name!r} has the type {kind}, which cannot be sent as a column.")


def _pack(name: str, kind: str, code: str, values: Sequence[Any]) -> bytes:
    try:
        return array(code, values).tobytes()
    except (TypeError, OverflowError):  # not all are plain numbers of that kind: look at each
        convert = _float if kind in ("double", "float") else _whole(kind)
        return array(code, _each(name, kind, values, convert)).tobytes()


def _each(name: str, kind: str, values: Sequence[Any], convert: Callable[[Any], Any]) -> list[Any]:
    converted = []
    for row, value in enumerate(values):
        try:
            converted.append(convert(value))
        except (ValueError, TypeError, OverflowError, binascii.Error) as error:
            reason = f" ({error})" if isinstance(error, _RefusedError) else ""
            raise InputError(
                f"Failed to convert column {name!r} to type {kind}: row {row} holds {_short(value)}{reason}."
            ) from error
    return converted


class _RefusedError(ValueError):
    """A value that is refused for a reason worth telling."""


def _float(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str) and "_" in value:  # Python's own notation, not a number in JSON
        raise ValueError(value)
    if not isinstance(value, (int, float, str)):
        raise TypeError(value)
    return float(value)


def _whole(kind: str) -> Callable[[Any], int]:
    low, high = RANGES[kind]

    def convert(value: Any) -> int:
        if value is None:
            raise _RefusedError("whole numbers cannot be missing; declare the column as double")
        text = isinstance(value, str) and "_" not in value
        if not (text or isinstance(value, (int, float))):
            raise _RefusedError("not a whole number")
        number = int(value)
        if isinstance(value, float) and number != value:
            raise _RefusedError("not a whole number")
        if not low <= number <= high:
            raise _RefusedError(f"beyond {low} … {high}")
        return number

    return convert


def _boolean(value: Any) -> bool:
    if value is None:
        raise _RefusedError("true or false cannot be missing")
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise _RefusedError("send true or false")


def _strings(name: str, values: Sequence[Any]) -> Column:
    """Texts stay as they are, and so do numbers among them, as with MLflow."""
    kinds = frozenset(map(type, values))
    if kinds <= _PLAIN_TEXT:
        return Column(list(values), ())
    for row, value in enumerate(values):
        if isinstance(value, (list, dict)):
            raise InputError(f"Failed to convert column {name!r} to type string: row {row} holds {_short(value)}.")
    return Column(list(values), tuple(sorted(kind.__name__ for kind in kinds)))


def _datetime(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _RefusedError("send a text such as 2026-03-29T02:30:00; a number's unit is not known")
    if datetime.fromisoformat(value).tzinfo is not None:
        raise _RefusedError("send it without a zone; the model was trained on times without one")
    return value


def _binary(value: Any) -> str:
    if not isinstance(value, str):
        raise _RefusedError("send base64")
    base64.decodebytes(value.encode())
    return value


def _short(value: Any) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
