"""Which headers pass between a client and MLflow."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from himalia_server.tracking import headers


def request(sent: dict[str, str], client: tuple[str, int] | None = ("10.1.2.3", 5)) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "client": client})


def test_only_harmless_headers_reach_mlflow_and_ours_replace_the_clients() -> None:
    asked = {
        "Accept": "application/json",
        "Range": "bytes=0-1",
        "Cookie": "a=b",
        "Authorization": "Bearer him_x",
        "Origin": "http://evil.example",
        "Referer": "http://evil.example",
        "Host": "evil.example",
        "Forwarded": "for=127.0.0.1",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "127.0.0.1",
        "X-MLFLOW-WORKSPACE": "beta",
        "X-HTTP-Method-Override": "DELETE",
        "Content-Encoding": "gzip",
        "Connection": "X-MLFLOW-WORKSPACE",
    }
    assert headers.for_mlflow(request(asked), "alpha") == {
        "accept": "application/json",
        "range": "bytes=0-1",
        "x-mlflow-workspace": "alpha",
        "x-forwarded-for": "10.1.2.3",
    }
    assert headers.for_mlflow(request({}, client=None), "alpha")["x-forwarded-for"] == "unknown"


@pytest.mark.parametrize(
    ("path", "sandboxed"),
    [
        ("/api/2.0/mlflow-artifacts/artifacts/workspaces/alpha/1/page.html", True),
        ("/ajax-api/2.0/mlflow-artifacts/artifacts/page.html", True),
        ("/get-artifact", True),
        ("/model-versions/get-artifact", True),
        ("/ajax-api/2.0/mlflow/get-trace-artifact", True),
        ("/ajax-api/3.0/mlflow/get-trace-artifact", True),
        ("/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files", True),
        ("/", False),
        ("/static-files/main.js", False),
        ("/api/2.0/mlflow/runs/get", False),
    ],
)
def test_what_users_stored_is_sandboxed(path: str, sandboxed: bool) -> None:
    assert headers.holds_user_content(path) is sandboxed
