"""Certificates of a cluster."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from himalia_server.clusters.certificates import (
    ClusterCertificates,
    create_certificates,
    ensure_certificates,
)

NOW = datetime.now(UTC).replace(microsecond=0)  # a handshake looks at the real clock


@pytest.fixture
def made(tmp_path: Path) -> ClusterCertificates:
    return create_certificates(tmp_path / "tls", "team-a", NOW)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(
    server: ClusterCertificates, client: ClusterCertificates | None, ca: Path, *, as_node: bool = False
) -> None:
    """Do a TLS handshake in memory, both sides demanding a certificate; raises ssl.SSLError when it fails."""
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.ca))
    listening.verify_mode = ssl.CERT_REQUIRED
    cert, key = (server.node_cert, server.node_key) if not as_node else (server.client_cert, server.client_key)
    listening.load_cert_chain(cert, key)
    connecting = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca))
    if client is not None:
        connecting.load_cert_chain(client.client_cert, client.client_key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = connecting.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = listening.wrap_bio(to_server, to_client, server_side=True)
    pending = [ours, theirs]
    while pending:
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue


def test_a_client_of_the_cluster_is_let_in(made: ClusterCertificates) -> None:
    handshake(made, made, made.ca)


def test_a_client_without_a_certificate_is_not(made: ClusterCertificates) -> None:
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        handshake(made, None, made.ca)


def test_a_client_of_another_cluster_is_not(made: ClusterCertificates, tmp_path: Path) -> None:
    other = create_certificates(tmp_path / "other", "team-a", NOW)
    with pytest.raises(ssl.SSLError, match=r"certificate verify failed: (unable to get|self-signed)"):
        handshake(made, other, made.ca)


def test_a_client_cannot_pose_as_a_scheduler(made: ClusterCertificates) -> None:
    with pytest.raises(ssl.SSLError, match=r"unsuitable certificate purpose|unsupported certificate purpose"):
        handshake(made, made, made.ca, as_node=True)


def test_names_purposes_and_validity(made: ClusterCertificates) -> None:
    node = load(made.node_cert)
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    addresses = [ipaddress.ip_address(text) for text in ("127.0.0.1", "::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    purposes = {
        path.name: list(load(path).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        for path in (made.node_cert, made.client_cert)
    }
    assert purposes == {
        "node.pem": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        "client.pem": [ExtendedKeyUsageOID.CLIENT_AUTH],
    }
    for path in (made.ca, made.node_cert, made.client_cert):
        certificate = load(path)
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert certificate.not_valid_after_utc == NOW + timedelta(days=365)


def test_files_are_private_and_the_authority_key_is_not_kept(made: ClusterCertificates) -> None:
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in made.files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.files} == {0o600}


def test_pem_readers(made: ClusterCertificates) -> None:
    assert made.ca_pem().startswith("-----BEGIN CERTIFICATE-----")
    assert made.client_cert_pem().startswith("-----BEGIN CERTIFICATE-----")
    assert made.client_key_pem().startswith("-----BEGIN PRIVATE KEY-----")


def test_certificates_are_kept_until_near_their_end(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first = ensure_certificates(folder, "team-a", NOW).ca_pem()
    assert ensure_certificates(folder, "team-a", NOW + timedelta(days=300)).ca_pem() == first
    assert ensure_certificates(folder, "team-a", NOW + timedelta(days=340)).ca_pem() != first


def test_certificates_hold_when_the_clock_is_put_back(tmp_path: Path) -> None:
    """Those of a clock that was wrong by years are made anew."""
    now = datetime.now(UTC)
    made = ensure_certificates(tmp_path / "tls", "flights", now)
    assert made.begins_at() < now - timedelta(days=300)
    assert made.usable(now - timedelta(days=40))
    assert not made.usable(now - timedelta(days=800))


def test_an_incomplete_set_is_made_anew(made: ClusterCertificates) -> None:
    first = made.ca_pem()
    made.client_key.unlink()
    again = ensure_certificates(made.folder, "team-a", NOW)
    assert again.ca_pem() != first
    handshake(again, again, again.ca)
