"""To which addresses the token goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from himalia.mlflow_headers import HimaliaAuthProvider, is_tracking_url

SERVICE = "http://127.0.0.1:8642"


@pytest.mark.parametrize(
    ("url", "service"),
    [
        (f"{SERVICE}/mlflow/alpha/api/2.0/mlflow/runs/create", SERVICE),
        (f"{SERVICE}/mlflow/alpha/get-artifact?path=a..b", SERVICE),
        (f"{SERVICE}/mlflow/alpha/x", SERVICE + "/"),
        ("HTTP://LocalHost:80/mlflow/a/", "http://localhost"),
        ("https://hub.example/user/me/himalia/mlflow/a/b", "https://hub.example:443/user/me/himalia"),
        ("http://[::1]:9/mlflow/a/b", "http://[::1]:9"),
    ],
)
def test_addresses_of_the_service(url: str, service: str) -> None:
    assert is_tracking_url(url, service)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8643/mlflow/alpha/x",
        "https://127.0.0.1:8642/mlflow/alpha/x",
        "http://127.0.0.1/mlflow/alpha/x",
        "http://localhost:8642/mlflow/alpha/x",
        "http://127.0.0.1:8642.evil.example/mlflow/alpha/x",
        "http://127.0.0.1:8642@evil.example/mlflow/alpha/x",
        "http://user@127.0.0.1:8642/mlflow/alpha/x",
        "http://evil.example\\@127.0.0.1:8642/mlflow/alpha/x",
        "http://127.0.0.1:8642/api/v1/projects",
        "http://127.0.0.1:8642/mlflowx/alpha",
        "http://127.0.0.1:8642/mlflow/../api/v1/projects",
        "http://127.0.0.1:8642/mlflow/%2e%2e/api/v1/projects",
        "http://127.0.0.1:99999/mlflow/alpha/x",
        "file:///mlflow/alpha",
        "",
    ],
)
def test_all_other_addresses(url: str) -> None:
    assert not is_tracking_url(url, SERVICE)


def test_without_a_service_no_address_is_its_own() -> None:
    assert not is_tracking_url(f"{SERVICE}/mlflow/a/b", "")
    assert not is_tracking_url("/mlflow/a/b", "nonsense")


def test_the_token_is_read_for_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("HIMALIA_URL", SERVICE)
    monkeypatch.setenv("HIMALIA_TOKEN_FILE", str(file))
    auth = HimaliaAuthProvider().get_auth()
    for value in ("him_one", "him_two"):
        file.write_text(value + "\n")
        request = SimpleNamespace(url=f"{SERVICE}/mlflow/a/b", headers={})
        assert auth(request).headers == {"Authorization": f"Bearer {value}"}
    elsewhere = SimpleNamespace(url="http://elsewhere/mlflow/a/b", headers={})
    assert auth(elsewhere).headers == {}
    request = SimpleNamespace(url=f"{SERVICE}/mlflow/a/b", headers={})
    for bad in ("", "two words", "line\nline"):
        file.write_text(bad)
        with pytest.raises(RuntimeError, match="does not hold one token"):
            auth(request)
    file.unlink()
    with pytest.raises(RuntimeError, match="cannot be read"):
        auth(request)
    monkeypatch.delenv("HIMALIA_TOKEN_FILE")
    with pytest.raises(RuntimeError, match="HIMALIA_TOKEN_FILE is not set"):
        auth(request)


def test_it_is_imported_without_mlflow_or_requests() -> None:
    code = "import sys, himalia.mlflow_headers; print([m for m in ('mlflow', 'requests') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
