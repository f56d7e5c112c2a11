"""``himalia.client()`` against a real Dask cluster over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster
from distributed.security import Security

import himalia
from tests.pure.kernels.fake_service import SLUG, FakeService, fake_service, new_cluster


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    with fake_service(tmp_path) as made:
        for name, value in made.grant("k1")["env"].items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def cluster(service: FakeService) -> Iterator[LocalCluster]:
    security = Security.temporary()
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
    ) as made:
        tls = security.get_tls_config_for_role("client")
        service.clusters["shared"] = new_cluster("shared")
        service.connections["shared"] = {
            "name": "shared",
            "address": made.scheduler_address,
            "ca_pem": tls["ca_file"],
            "cert_pem": tls["cert"],
            "key_pem": tls["key"],
        }
        yield made


def test_work_on_the_only_cluster(cluster: LocalCluster) -> None:
    with himalia.client() as client:
        assert client.dask.scheduler.address.startswith("tls://")
        assert client.dask.security.require_encryption
        assert f"himalia-{SLUG}" in client.dask.id
        assert client.submit(sum, [1, 2]).result() == 3
        assert client.gather(client.map(abs, [-1, -2])) == [1, 2]
        assert client.submit(len, client.scatter([1, 2, 3])).result() == 3
        assert "1 workers, 1 threads" in repr(client)
    assert client.dask.status == "closed"


def test_what_goes_wrong_is_said(service: FakeService) -> None:
    with pytest.raises(himalia.HimaliaError, match=r"has no cluster.*%cluster start"):
        himalia.client()
    service.clusters |= {"a": new_cluster("a"), "b": new_cluster("b")}
    with pytest.raises(himalia.HimaliaError, match="several clusters: a, b"):
        himalia.client()
    with pytest.raises(himalia.HimaliaError, match=r"no cluster 'c'.*a, b"):
        himalia.client("c")
