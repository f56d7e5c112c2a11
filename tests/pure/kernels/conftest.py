"""A service that the client under test talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pure.kernels.fake_service import FakeService, fake_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[FakeService]:
    with fake_service(tmp_path) as made:
        yield made


@pytest.fixture
def granted(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """The service, with this process in the environment of one of its kernels."""
    monkeypatch.delenv("HIMALIA_CLUSTER", raising=False)
    for name, value in service.grant("k1")["env"].items():
        monkeypatch.setenv(name, value)
    return service
