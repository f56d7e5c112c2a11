"""What can go wrong between the service and MLflow."""

from __future__ import annotations


class MlflowUnavailable(Exception):
    """MLflow is starting, stopping or dead; the same request may succeed later."""


class MlflowError(Exception):
    """MLflow refused a request: its error code (`RESOURCE_DOES_NOT_EXIST`, …) and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class DatabaseError(RuntimeError):
    """MLflow's database cannot be used; the message says what happened and what to do."""
