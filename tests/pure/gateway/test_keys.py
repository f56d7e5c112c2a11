"""Deployment tokens: who gets in, who sees nothing."""

from __future__ import annotations

import hashlib

import pytest

from himalia_server.gateway.keys import Access, HashedKey, KeyRing, bearer_token


def key(token: str, expires_at: float | None = None) -> HashedKey:
    return HashedKey(hashlib.sha256(token.encode()).digest(), expires_at)


def ring(now: float = 100.0) -> KeyRing:
    return KeyRing({"one": [key("a"), key("old", 99.0), key("young", 101.0)], "two": [key("b")]}, lambda: now)


@pytest.mark.parametrize(
    ("header", "deployment", "access"),
    [
        ("Bearer a", "one", Access.GRANTED),
        ("bearer  a ", "one", Access.GRANTED),
        ("Bearer young", "one", Access.GRANTED),
        ("Bearer old", "one", Access.DENIED),
        ("Bearer a", "two", Access.OTHER),
        ("Bearer b", "one", Access.OTHER),
        ("Bearer b", "never-heard-of", Access.OTHER),
        ("Bearer b", None, Access.OTHER),
        ("Bearer wrong", "one", Access.DENIED),
        ("Bearer wrong", "never-heard-of", Access.DENIED),
        (None, "one", Access.DENIED),
        ("Basic a", "one", Access.DENIED),
        ("a", "one", Access.DENIED),
        ("Bearer", "one", Access.DENIED),
    ],
)
def test_access(header: str | None, deployment: str | None, access: Access) -> None:
    assert ring().check(header, deployment) is access


def test_a_key_ends_at_its_moment() -> None:
    assert ring(100.9).check("Bearer young", "one") is Access.GRANTED
    assert ring(101.0).check("Bearer young", "one") is Access.DENIED


def test_endless_tokens_are_not_hashed() -> None:
    assert bearer_token("Bearer " + "x" * 513) is None
    assert bearer_token("Bearer two words") is None
    assert bearer_token("Bearer " + "x" * 512) == b"x" * 512
