"""Sends the project's token with MLflow's requests, to the service and to nobody else.

MLflow has two plugin points for this. A request *header* provider is asked for headers before it is known
where the request goes, so that `mlflow.artifacts.download_artifacts("http://elsewhere")`, or a client made
for another server, would send the token there; MLflow's current tracking URI cannot tell them apart. A
request *auth* provider is handed the prepared request with its address, so that is what this is. It is used
where the environment has MLFLOW_TRACKING_AUTH=himalia. Neither MLflow nor requests is imported here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

NAME = "himalia"
_PORTS = {"http": 80, "https": 443}


class HimaliaAuthProvider:
    """Entry point `mlflow.request_auth_provider`; MLflow calls both methods."""

    def get_name(self) -> str:
        """The value of MLFLOW_TRACKING_AUTH that chooses this provider."""
        return NAME

    def get_auth(self) -> HimaliaAuth:
        """The object that requests calls with each prepared request."""
        return HimaliaAuth()


class HimaliaAuth:
    """Adds the bearer token to a request to the service's MLflow.

    The token is read for every request, because its file is rewritten when the token is renewed.
    """

    def __call__(self, request: Any) -> Any:
        """Return the prepared request, with the token if it goes to the service.

        Raises RuntimeError when it does, but the token cannot be read.
        """
        if is_tracking_url(str(request.url), os.environ.get("HIMALIA_URL", "")):
            request.headers["Authorization"] = f"Bearer {_token()}"
            if os.environ.get("HIMALIA_REQUEST"):  # what this process was started for
                request.headers["X-Request-ID"] = os.environ["HIMALIA_REQUEST"]
        return request


def is_tracking_url(url: str, service_url: str) -> bool:
    """Whether *url* lies under `<service_url>/mlflow/`. False when either is missing or could be misread."""
    if not service_url or any(character in url for character in "\\@ \t\r\n"):
        return False
    try:
        asked, service = urlsplit(url), urlsplit(service_url)
        same_place = _origin(asked) == _origin(service)
    except ValueError:
        return False
    base = service.path.rstrip("/") + "/mlflow/"
    return same_place and asked.path.startswith(base) and ".." not in unquote(asked.path).split("/")


def _origin(url: SplitResult) -> tuple[str, str, int]:
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError(f"{url.geturl()!r} is not an address of a web server")
    return url.scheme, url.hostname, url.port or _PORTS[url.scheme]


def _token() -> str:
    name = os.environ.get("HIMALIA_TOKEN_FILE", "")
    if not name:
        raise RuntimeError("HIMALIA_TOKEN_FILE is not set, so MLflow has no token. Start this project's kernel.")
    try:
        token = Path(name).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise RuntimeError(f"The token file {name} cannot be read ({error}). Restart the kernel.") from error
    if not token or any(character.isspace() for character in token):
        raise RuntimeError(f"The token file {name} does not hold one token. Restart the kernel.")
    return token
