"""One notice to one receiver: a signed POST, or an e-mail. What is raised names no secret."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import certifi
import httpx

from himalia import __version__

from ..service.site import Settings
from .addresses import Refused, checked_url, require_public

SECONDS = 10.0
"""A receiver may take so long in all."""


class Undelivered(RuntimeError):
    """It did not arrive; the text says why."""


@dataclass(frozen=True)
class Parcel:
    """What is sent. `id`: of the delivery, the same at each attempt, so that a receiver knows what it has got."""

    id: str
    body: dict[str, Any]


def signature(secret: str, at: int, body: bytes) -> str:
    """The header X-Himalia-Signature: HMAC-SHA256 of the time (UTC seconds), a dot, and the body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def post(url: str, secret: str, parcel: Parcel, now: float) -> None:
    """Send a webhook. Redirects are not followed, and nothing of the reply is read but its status.

    Raises:
        Undelivered: it was not taken.
    """
    content = json.dumps(parcel.body, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": f"himalia/{__version__}",
        "X-Himalia-Delivery": parcel.id,
        "X-Himalia-Signature": signature(secret, int(now), content),
    }
    try:
        status, place = asyncio.run(_within_time(url, headers, content))
    except Refused as error:
        raise Undelivered(str(error)) from error
    except TimeoutError as error:
        raise Undelivered(f"the receiver did not answer within {SECONDS:.0f} s") from error
    except socket.gaierror as error:
        raise Undelivered(f"the host has no address: {error.strerror or error}") from error
    except UnicodeError as error:
        raise Undelivered("the host's name is none that can be looked up") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Undelivered(f"{type(error).__name__}: {_without(str(error), url)}") from error
    if 300 <= status < 400:
        raise Undelivered(f"the receiver answered {status}, a redirect{place}, which is not followed")
    if not 200 <= status < 300:
        raise Undelivered(f"the receiver answered {status}")


async def _within_time(url: str, headers: dict[str, str], content: bytes) -> tuple[int, str]:
    async with asyncio.timeout(SECONDS):
        return await _post(url, headers, content)


async def _post(url: str, headers: dict[str, str], content: bytes) -> tuple[int, str]:
    parts = urlsplit(checked_url(url))
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for address in addresses:
        require_public(address)
    # to the address that was looked at: asked again, the name could say another
    address = addresses[0]
    there = f"[{address}]" if address.version == 6 else str(address)
    pinned = urlunsplit((parts.scheme, f"{there}:{port}", parts.path or "/", parts.query, ""))
    # by the transport alone: a client would follow what it is told, and log the URL, which may hold a key
    wanted = httpx.Request(
        "POST",
        pinned,
        content=content,
        headers=headers | {"Host": parts.netloc},
        extensions={"sni_hostname": host, "timeout": dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)},
    )
    async with httpx.AsyncHTTPTransport(verify=_trusted(), trust_env=False) as transport:
        reply = await transport.handle_async_request(wanted)
        await reply.aclose()
        place = urlsplit(reply.headers.get("location", "")).netloc
        return reply.status_code, f" to {place}" if place else ""


def _trusted() -> ssl.SSLContext:
    """The authorities of the system (or of SSL_CERT_FILE), where a team's own is, and those that are known anywhere."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _without(text: str, url: str) -> str:
    parts = urlsplit(url)
    for part in (url, parts.path, parts.query):
        if len(part) > 1:
            text = text.replace(part, "…")
    return text


def mail(settings: Settings, addresses: list[str], parcel: Parcel, site: str) -> None:
    """Send an e-mail by the site's mail server.

    Raises:
        Undelivered: it was not taken.
    """
    if not settings.smtp_host:
        raise Undelivered(
            "this site has no mail server: set [smtp] host, from (and port, security, user) in its settings.toml"
        )
    message = EmailMessage()
    message["Subject"] = f"[Himalia] {parcel.body['title']}"
    message["From"] = settings.smtp_from or f"himalia@{socket.getfqdn()}"
    message["To"] = ", ".join(addresses)
    message["Message-ID"] = f"<{parcel.id}@{site}.himalia>"
    message["X-Himalia-Delivery"] = parcel.id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(parcel.body["text"] + "\n")
    secure, context = settings.smtp_security, _trusted()
    port = settings.smtp_port or {"tls": 465, "starttls": 587}.get(secure, 25)
    try:
        client = (
            smtplib.SMTP_SSL(settings.smtp_host, port, timeout=SECONDS, context=context)
            if secure == "tls"
            else smtplib.SMTP(settings.smtp_host, port, timeout=SECONDS)
        )
        with client:
            if secure == "starttls":
                client.starttls(context=context)
            if settings.smtp_user:
                client.login(settings.smtp_user, settings.smtp_password or "")
            refused = client.send_message(message, to_addrs=addresses)
    except smtplib.SMTPAuthenticationError as error:  # whose text may repeat what was sent
        raise Undelivered(f"the mail server refuses the sign-in ({error.smtp_code})") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise Undelivered(f"the mail server takes nothing for {', '.join(sorted(error.recipients))}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"the mail server {settings.smtp_host}:{port}: {type(error).__name__}: {error}") from error
    if refused:
        raise Undelivered(f"the mail server takes nothing for {', '.join(sorted(refused))}")
