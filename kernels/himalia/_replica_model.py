"""One loaded MLflow model: what it takes, whether it works, and its predictions for batches.

Needs mlflow and the model's own libraries, imported when the model is loaded.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

from himalia import _replica_json as plain_json
from himalia._replica_wire import NUMPY_TYPES

log = logging.getLogger("himalia.replica")

_CODES = {"double": "d", "float": "f", "long": "q", "integer": "i", "boolean": "?"}
TABLE_TYPES = frozenset([*NUMPY_TYPES, "string", "datetime", "binary"])
RawColumn = tuple[str, str, Any]
"""Name, type, and values of all rows of a batch: a typed memoryview, or a list for types in JSON."""
Result = tuple[bool, bytes]
"""Whether the model answered, and JSON: the predictions or an error."""


class ServedModel:
    """A model loaded by ``mlflow.pyfunc``.

    ``table``: the signature has named columns of simple types, so that rows of several requests can be
    put into one DataFrame. ``batchable``: predicting rows together gives what predicting them alone gives.
    """

    def __init__(self, path: str) -> None:
        """Load the model at *path*; whatever mlflow or the model's libraries raise, is raised."""
        try:
            pyfunc = importlib.import_module("mlflow.pyfunc")
        except ModuleNotFoundError as error:
            if error.name != "mlflow":
                raise
            message = "the environment of this deployment lacks the package mlflow; add it to the requirements"
            raise ModuleNotFoundError(message, name="mlflow") from error
        self._pandas = importlib.import_module("pandas")
        self._numpy = importlib.import_module("numpy")
        self._path = path
        self._model = pyfunc.load_model(path)
        self._takes_params = "params" in inspect.signature(self._model.predict).parameters
        meta = self._model.metadata
        self._schema = meta.get_input_schema()
        self._params_schema = getattr(meta, "get_params_schema", lambda: None)()
        self._type_hints = bool(getattr(meta, "_is_signature_from_type_hint", lambda: False)())
        self.signature = self._describe_signature()
        self.table = self._is_table()
        self.example: dict[str, Any] | None = None
        self.batchable = self.table and self._loader() != "mlflow.pyfunc.model"

    def describe(self) -> dict[str, Any]:
        """What the gateway needs to know, ready for JSON."""
        meta = self._model.metadata
        return {
            "signature": self.signature,
            "table": self.table,
            "batchable": self.batchable,
            "example": self.example,
            "model": {
                "flavor": self._loader(),
                "run_id": getattr(meta, "run_id", None),
                "model_id": getattr(meta, "model_id", None),
                "mlflow_version": getattr(meta, "mlflow_version", None),
            },
        }

    def golden(self) -> None:
        """Predict the model's saved input example, when it has one; raise when that fails.

        With a DataFrame as example it is also tried whether batches may be made: the doubled example must
        give the predictions twice, and its first row alone the first prediction.
        """
        example = self._load_example()
        if example is None:
            return
        params = None
        load_params = getattr(self._model.metadata, "load_input_example_params", None)
        if load_params is not None and self._params_schema is not None:
            params = load_params(self._path)
        first = plain_json.to_plain(self._predict(example, params))
        plain_json.encode(first)
        if not self.table or not isinstance(example, self._pandas.DataFrame):
            return
        self.example = json.loads(example.head(1).to_json(orient="records", date_format="iso"))[0]
        twice = self._predict(self._pandas.concat([example, example], ignore_index=True), params)
        alone = plain_json.to_plain(self._predict(example.head(1), params))
        self.batchable = (
            isinstance(first, list)
            and plain_json.same(plain_json.to_plain(twice), first + first)
            and plain_json.same(alone, first[:1])
        )

    def answer(self, header: dict[str, Any], body: memoryview) -> list[Result]:
        """Predict a batch (see `_replica_wire`); one result for each of its requests, in their order.

        When a batch of several requests fails as a whole, its requests are predicted one by one, so that
        a bad row fails alone.
        """
        params = header.get("params")
        if header["kind"] != "columns":
            return [self._answer_one(lambda: self._parse(header["kind"], body, params))]
        rows: list[int] = header["rows"]
        columns = _split_columns(header, body)
        if len(rows) > 1:
            together = self._answer_together(columns, params, rows)
            if together is not None:
                return together
        results, start = [], 0
        for count in rows:
            part, start = slice(start, start + count), start + count
            index = header.get("index") or range(count)
            frame = partial(self._frame, columns, part, index)
            results.append(self._answer_one(lambda frame=frame: (frame(), params)))
        return results

    def _answer_together(self, columns: list[RawColumn], params: Any, rows: list[int]) -> list[Result] | None:
        """Predict all rows in one call; None when the requests must be predicted one by one."""
        total = sum(rows)
        try:
            frame = self._frame(columns, slice(0, total), range(total))
            plain = plain_json.to_plain(self._predict(frame, params))
            if not isinstance(plain, list) or len(plain) != total:
                self.batchable = False
                log.warning("predictions are not one per row; requests are no longer put into batches")
                return None
            results, start = [], 0
            for count in rows:
                results.append((True, plain_json.encode(plain[start : start + count])))
                start += count
        except Exception as error:  # any model may raise anything; each request is tried alone next
            log.info("a batch of %d requests failed, each is tried alone: %s", len(rows), type(error).__name__)
            return None
        return results

    def _answer_one(self, load: Any) -> Result:
        try:
            data, params = load()
            return True, plain_json.encode(plain_json.to_plain(self._predict(data, params)))
        except Exception as error:  # any model may raise anything; the caller is told
            return _error(error)

    def _predict(self, data: Any, params: Any) -> Any:
        if self._takes_params and self._params_schema is not None:
            return self._model.predict(data, params=params)
        return self._model.predict(data)

    def _parse(self, kind: str, body: memoryview, params: Any) -> tuple[Any, Any]:
        """Parse a client's body with MLflow's own rules (tensors, nested types, no signature, CSV)."""
        server = importlib.import_module("mlflow.pyfunc.scoring_server")
        if kind == "csv":
            text = importlib.import_module("io").StringIO(bytes(body).decode("utf-8"))
            return server.parse_csv_input(text, schema=self._schema), None
        content = json.loads(bytes(body))
        if self._type_hints:
            if "inputs" not in content:
                raise ValueError("the model's signature comes from type hints: send the key 'inputs'")
            return content["inputs"], params
        data = {key: content[key] for key in content if key in server.SUPPORTED_FORMATS}
        return server.infer_and_parse_data(data, self._schema), params

    def _frame(self, columns: list[RawColumn], part: slice, index: Any) -> Any:
        """Build the DataFrame of some rows, with the dtypes that MLflow's signature asks for."""
        data = {name: self._column(kind, values[part]) for name, kind, values in columns}
        return self._pandas.DataFrame(data, index=index)

    def _column(self, kind: str, values: Any) -> Any:
        if kind in NUMPY_TYPES:
            return self._numpy.frombuffer(values, dtype=NUMPY_TYPES[kind])
        if kind == "datetime":
            times = self._pandas.to_datetime(values, format="ISO8601")
            return times.as_unit("ns")  # raises for dates that nanoseconds cannot hold; numpy would wrap
        if kind == "binary":
            return [base64.decodebytes(value.encode()) for value in values]
        return values

    def _load_example(self) -> Any:
        meta = self._model.metadata
        if not getattr(meta, "saved_input_example_info", None):
            return None
        return meta.load_input_example(self._path)

    def _describe_signature(self) -> dict[str, Any] | None:
        signature = self._model.metadata.signature
        if signature is None:
            return None
        parts = {"inputs": signature.inputs, "outputs": signature.outputs, "params": self._params_schema}
        described = {}
        for key, schema in parts.items():
            described[key] = None if schema is None else json.loads(json.dumps(schema.to_dict(), default=str))
        return described

    def _is_table(self) -> bool:
        inputs = (self.signature or {}).get("inputs")
        if not inputs or self._type_hints:
            return False
        return all(item.get("name") is not None and item["type"] in TABLE_TYPES for item in inputs)

    def _loader(self) -> str | None:
        flavor = self._model.metadata.flavors.get("python_function", {})
        return str(flavor["loader_module"]) if "loader_module" in flavor else None


def _split_columns(header: dict[str, Any], body: memoryview) -> list[RawColumn]:
    columns: list[RawColumn] = []
    start = 0
    for name, kind, size in header["columns"]:
        data: Any = body[start : start + size]
        start += size
        columns.append((name, kind, data.cast(_CODES[kind]) if kind in _CODES else json.loads(bytes(data))))
    return columns


def load(path: str, digest: str | None) -> ServedModel:
    """Check the digest of the folder *path* when one is given, load the model, try it on its example.

    Raises DigestError when the files are not those that were registered.
    """
    from himalia._digest import tree_digest

    found = tree_digest(Path(path)) if digest is not None else None
    if found != digest:
        raise DigestError(
            f"the model's files in {path} have changed: their digest is {found}, expected was {digest}; "
            "deploy this model version again"
        )
    model = ServedModel(path)
    model.golden()
    return model


class DigestError(ValueError):
    """The files of a model are not those that its deployment names."""


def _error(error: Exception) -> Result:
    """Tell a caller what a model raised, without the stack trace (which shows the server's paths)."""
    if type(error).__name__ in ("MlflowException", "MlflowInvalidInputException"):
        code, message = str(getattr(error, "error_code", "BAD_REQUEST")), str(error)
        code = code if code in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE") else "BAD_REQUEST"
    else:
        code = "BAD_REQUEST"
        message = f"The model could not evaluate this input: {type(error).__name__}: {error}"
    return False, json.dumps({"error_code": code, "message": message[:4000]}).encode()
