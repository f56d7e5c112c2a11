"""Find this site's service, and make sure that it is ours before it sees a token."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from himalia._http import LOOPBACK, Reply, problem, send

CHALLENGE_HEADER = "X-Himalia-Challenge"


class ServiceNotFoundError(Exception):
    """No service of this site answers; the message is a sentence for the user."""


def proof(secret: str, nonce: str) -> str:
    """What the service answers to a challenge: hex HMAC-SHA256 of the nonce, keyed by the secret.

    Both are hex strings, taken as the ASCII text they are written in.
    """
    return hmac.new(secret.encode("ascii"), nonce.encode("ascii"), "sha256").hexdigest()


def find_service(site_home: Path, timeout: float = 3.0) -> tuple[str, str]:
    """The address of the site's service and the user's token for it.

    Reads ``service.json``, ``site.json`` and ``tokens/user`` under *site_home*, and challenges the process at
    that address, so that the token is not given to another that took the port. *timeout* is in seconds.
    Raises ServiceNotFoundError.
    """
    address = _address(site_home / "service.json")
    secret = _json(site_home / "site.json", private=True).get("secret")
    if not isinstance(secret, str) or not secret:
        raise ServiceNotFoundError(f"{site_home / 'site.json'} has no secret; this site is not set up")
    _challenge(address, secret, timeout)
    return address, _read(site_home / "tokens" / "user", private=True).strip()


def _challenge(address: str, secret: str, timeout: float) -> None:
    nonce = secrets.token_hex(32)
    reply = exchange("GET", f"{address}/health", headers={CHALLENGE_HEADER: nonce}, timeout=timeout)
    try:
        answer = json.loads(reply.content)
        given = answer["proof"]
    except (ValueError, KeyError, TypeError):
        given = None
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), proof(secret, nonce).encode()):
        raise ServiceNotFoundError(
            f"What listens at {address} is not this site's service, so it was not given a token; "
            "run `himalia up` to start the service"
        )


def exchange(
    method: str,
    url: str,
    *,
    token: str | None = None,
    body: object = None,
    headers: dict[str, str] | None = None,
    timeout: float = 3.0,
) -> Reply:
    """One request, repeated for a second while the connection is refused: the service may be re-executing."""
    end = time.monotonic() + 1.0
    while True:
        try:
            return send(method, url, token=token, body=body, headers=headers, timeout=timeout)
        except ConnectionRefusedError as error:
            if time.monotonic() > end:
                raise ServiceNotFoundError(
                    f"The Himalia service does not answer at {_origin(url)}; start it with `himalia up`"
                ) from error
            time.sleep(0.1)
        except (OSError, HTTPException) as error:
            raise ServiceNotFoundError(f"The Himalia service at {_origin(url)} failed: {error}") from error


def request_grant(site_home: Path, project: str, kernel_id: str) -> dict[str, Any]:
    """Ask for the environment and working directory of a kernel: ``{"env": {...}, "cwd": str, ...}``.

    The pid that is sent is of this process, which starts the kernel: the kernel itself has none before it has
    its environment. Raises ServiceNotFoundError with a sentence for the user.
    """
    address, token = find_service(site_home)
    reply = exchange(
        "POST",
        f"{address}/api/v1/projects/{project}/kernels",
        token=token,
        body={"kernel_id": kernel_id, "pid": os.getpid()},
    )
    if reply.status != 201:
        raise ServiceNotFoundError(str(problem(reply)))
    return checked_grant(json.loads(reply.content), "the service")


def release_grant(site_home: Path, project: str, kernel_id: str) -> None:
    """End a kernel's grant. One that is already gone is no error."""
    address, token = find_service(site_home)
    reply = exchange("DELETE", f"{address}/api/v1/projects/{project}/kernels/{kernel_id}", token=token)
    if reply.status not in {200, 204, 404}:
        raise ServiceNotFoundError(str(problem(reply)))


def read_grant(path: Path) -> dict[str, Any]:
    """The grant that a stage's runner was given in a file, which only its owner may read."""
    return checked_grant(_json(path, private=True), str(path))


def checked_grant(grant: Any, source: str) -> dict[str, Any]:
    """*grant* with its fields, each of the type that it must have; the optional ones are None when absent.

    Raises ServiceNotFoundError for a grant that has no environment of texts, no working directory, or something else
    in the place of an optional field.
    """
    env = grant.get("env") if isinstance(grant, dict) else None
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise ServiceNotFoundError(f"The grant from {source} has no environment for the kernel")
    if not isinstance(grant.get("cwd"), str):
        raise ServiceNotFoundError(f"The grant from {source} has no working directory")
    checked: dict[str, Any] = {"env": env, "cwd": grant["cwd"]}
    for name, check in OPTIONAL.items():
        value = grant.get(name)
        if value is not None and not check(value):
            raise ServiceNotFoundError(f"The grant from {source} has a field `{name}` that is not understood")
        checked[name] = value
    return checked


def _is_zygote(value: Any) -> bool:
    preload = value.get("preload") if isinstance(value, dict) else 0
    return (
        (preload is None or _are_texts(preload))
        and isinstance(value.get("folder"), str)
        and isinstance(value.get("key", ""), str | None)
    )


def _is_limits(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    memory, cpus = value.get("memory_bytes"), value.get("cpus")
    numbers = [number for number in (memory, cpus) if number is not None]
    sound = all(isinstance(number, int | float) and not isinstance(number, bool) and number > 0 for number in numbers)
    return sound and isinstance(memory, int | None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "python": lambda value: isinstance(value, str),
    "environment": lambda value: isinstance(value, dict),
    "zygote": _is_zygote,
    "limits": _is_limits,
    "pass_environment": _are_texts,
    "secrets": _are_texts,
}


def _address(path: Path) -> str:
    address = _json(path).get("address")
    parts = urlsplit(address if isinstance(address, str) else "")
    if parts.scheme not in {"http", "https"} or parts.hostname not in LOOPBACK:
        raise ServiceNotFoundError(f"{path} names no address of this host; run `himalia up` to write it anew")
    return f"{parts.scheme}://{parts.netloc}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _json(path: Path, private: bool = False) -> dict[str, Any]:
    try:
        document = json.loads(_read(path, private))
    except ValueError as error:
        raise ServiceNotFoundError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ServiceNotFoundError(f"{path} does not hold a JSON object")
    return document


def _read(path: Path, private: bool = False) -> str:
    """The file's text; with *private*, only if it is ours and closed to others."""
    try:
        with path.open(encoding="utf-8") as file:
            if private and os.name == "posix":
                _check_private(path, os.fstat(file.fileno()))
            return file.read()
    except FileNotFoundError as error:
        raise ServiceNotFoundError(
            f"No Himalia service runs here ({path} is absent); start it with `himalia up`"
        ) from error
    except OSError as error:
        raise ServiceNotFoundError(f"{path} cannot be read: {error.strerror}") from error


def _check_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise ServiceNotFoundError(f"{path} belongs to another user and was not trusted")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ServiceNotFoundError(f"{path} is open to other users and was not trusted; run: chmod 600 {path}")
