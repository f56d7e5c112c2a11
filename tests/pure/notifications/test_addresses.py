"""Where webhooks may go."""

from __future__ import annotations

import ipaddress

import pytest

from himalia_server.notifications.addresses import Refused, checked_url, masked, require_public

REFUSED = {
    "http://169.254.169.254/latest/meta-data/": "machine's own network",
    "http://169.254.1.1/": "machine's own network",
    "http://[fe80::1]/": "machine's own network",
    "http://[::ffff:169.254.169.254]/": "machine's own network",
    "http://[::169.254.169.254]/": "machine's own network",
    "http://[64:ff9b::a9fe:a9fe]/": "machine's own network",
    "http://[2002:a9fe:a9fe::1]/": "machine's own network",
    "http://[fd00:ec2::254]/": "machine's own network",
    "http://168.63.129.16/": "machine's own network",
    "http://100.100.100.200/": "machine's own network",
    "http://0.0.0.0/": "no receiver",
    "http://[::]/": "no receiver",
    "http://224.0.0.1/": "no receiver",
    "ftp://example.org/": "begins with https://",
    "file:///etc/passwd": "begins with https://",
    "example.org/hook": "begins with https://",
    "https://": "begins with https://",
    "https://ann:pw@example.org/": "name or password",
    "https://example.org/#x": "behind #",
    "https://example.org:0/": "port 0",
    "https://example.org:99999/": "no URL",
    "https://exa mple.org/": "no spaces",
    "https://example.org/\r\nX: y": "no spaces",
}


@pytest.mark.parametrize(("url", "words"), REFUSED.items())
def test_refused(url: str, words: str) -> None:
    with pytest.raises(Refused) as caught:
        checked_url(url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://example.org/hook?key=1", "http://127.0.0.1:8080/x", "https://10.0.0.5/", "https://[::1]/x"]
)
def test_taken(url: str) -> None:
    assert checked_url(url) == url


def test_public_addresses() -> None:
    for text in ("93.184.216.34", "2606:2800:220:1::1", "127.0.0.1", "10.1.2.3", "::1"):
        require_public(ipaddress.ip_address(text))


def test_a_url_is_shown_without_its_key() -> None:
    assert masked("https://hooks.example.org/services/T0/secret") == "https://hooks.example.org/…"
    assert masked("https://hooks.example.org?token=secret") == "https://hooks.example.org/…"
    assert masked("https://hooks.example.org:8443") == "https://hooks.example.org:8443"
