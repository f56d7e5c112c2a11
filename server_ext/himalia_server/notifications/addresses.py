"""Where a webhook may go: not to what only this machine can reach and gives away secrets, by whatever name."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
METADATA = {
    ipaddress.ip_address("168.63.129.16"),
    ipaddress.ip_address("100.100.100.200"),
    ipaddress.ip_address("192.0.0.192"),
    ipaddress.ip_address("fd00:ec2::254"),
    ipaddress.ip_address("fd20:ce::254"),
}
"""Metadata services of clouds beside 169.254.169.254: Azure, Alibaba, Oracle, AWS and Google over IPv6."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(ValueError):
    """A webhook may not go there; the text says why."""


def checked_url(text: str) -> str:
    """*text*, when it is a URL that a webhook may have.

    Raises:
        Refused: it is none.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refused(f"This is no URL: {error}.") from error
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise Refused("A webhook's URL begins with https:// (or http://) and names a host.")
    if any(ord(sign) < 33 or ord(sign) > 126 for sign in text):
        raise Refused("A URL holds no spaces, and other signs than ASCII are written as %XX.")
    if parts.username is not None or parts.password is not None:
        raise Refused("A name or password before the host is not sent. Put a key into the path, as the receiver says.")
    if parts.fragment:
        raise Refused("What stands behind # is never sent. Leave it out.")
    if port == 0:
        raise Refused("There is no port 0.")
    try:
        ip = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return text  # a name: looked at when it is resolved
    require_public(ip)
    return text


def require_public(ip: Ip) -> None:
    """Refuse link-local and metadata addresses, also when they are wrapped into IPv6.

    Raises:
        Refused: it is one.
    """
    for one in (ip, *_within(ip)):
        if one.is_link_local or one in METADATA:
            raise Refused(f"{ip} is an address of the machine's own network (metadata of a cloud lies there).")
        if one.is_multicast or one.is_unspecified:
            raise Refused(f"{ip} is the address of no receiver.")


def _within(ip: Ip) -> list[Ip]:
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    inner: list[Ip | None] = [ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None]
    low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in _NAT64 or int(ip) >> 32 == 0:  # ::a.b.c.d
        inner.append(low)
    return [one for one in inner if one is not None]


def masked(url: str) -> str:
    """A URL without what may be a key."""
    parts = urlsplit(url)
    more = "/…" if parts.path not in ("", "/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{more}"
