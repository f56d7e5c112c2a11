"""Certificates of one cluster: its own authority signs one certificate for processes, one for clients.

The authority's private key is never stored: nothing can be signed later, not even by who reads the folder.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(days=365)
"""They begin so long ago: a clock that is put back must not end a cluster, and a begin protects nothing here."""
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class ClusterCertificates:
    """Paths of a cluster's PEM files (0600 in a 0700 folder) and readers of what a client needs."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.pem"

    @property
    def node_cert(self) -> Path:
        """Certificate of scheduler and workers: server and client."""
        return self.folder / "node.pem"

    @property
    def node_key(self) -> Path:
        """Private key of scheduler and workers."""
        return self.folder / "node.key"

    @property
    def client_cert(self) -> Path:
        """Certificate of clients: cannot pose as a scheduler."""
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        """Private key of clients."""
        return self.folder / "client.key"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the set."""
        return (self.ca, self.node_cert, self.node_key, self.client_cert, self.client_key)

    def ca_pem(self) -> str:
        """Return the authority's certificate as PEM text."""
        return self.ca.read_text(encoding="ascii")

    def client_cert_pem(self) -> str:
        """Return the clients' certificate as PEM text."""
        return self.client_cert.read_text(encoding="ascii")

    def client_key_pem(self) -> str:
        """Return the clients' private key as PEM text."""
        return self.client_key.read_text(encoding="ascii")

    def expires_at(self) -> datetime:
        """Return when the first of them ends; raises OSError or ValueError when one cannot be read."""
        return min(certificate.not_valid_after_utc for certificate in self._loaded())

    def begins_at(self) -> datetime:
        """Return when the last of them begins; raises OSError or ValueError when one cannot be read."""
        return max(certificate.not_valid_before_utc for certificate in self._loaded())

    def _loaded(self) -> list[x509.Certificate]:
        paths = (self.ca, self.node_cert, self.client_cert)
        return [x509.load_pem_x509_certificate(path.read_bytes()) for path in paths]

    def usable(self, now: datetime) -> bool:
        """Tell whether the whole set is there and stays valid for another 30 days after *now*."""
        if not all(path.is_file() for path in self.files):
            return False
        return self.begins_at() <= now < self.expires_at() - RENEW_BEFORE


def ensure_certificates(folder: Path, cluster: str, now: datetime | None = None) -> ClusterCertificates:
    """Return the certificates in *folder*, made anew when missing or near their end.

    Kept over a restart of the holder, so that clients reconnect with what they have.
    """
    now = datetime.now(UTC) if now is None else now
    certificates = ClusterCertificates(folder)
    if certificates.usable(now):
        return certificates
    return create_certificates(folder, cluster, now)


def create_certificates(folder: Path, cluster: str, now: datetime | None = None) -> ClusterCertificates:
    """Write a new authority, node and client certificate (EC P-256, one year) for *cluster* into *folder*."""
    now = datetime.now(UTC) if now is None else now
    certificates = ClusterCertificates(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(cluster, authority_key, now)
    _write(certificates.ca, authority.public_bytes(serialization.Encoding.PEM))
    for role, usages, cert_path, key_path in (
        ("node", [_SERVER, _CLIENT], certificates.node_cert, certificates.node_key),
        ("client", [_CLIENT], certificates.client_cert, certificates.client_key),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _leaf(cluster, role, key, authority, now, usages)
        certificate = builder.sign(authority_key, hashes.SHA256())
        _write(key_path, _private_pem(key))
        _write(cert_path, certificate.public_bytes(serialization.Encoding.PEM))
    return certificates


def _subject(cluster: str, role: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster} {role}"[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(cluster: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _subject(cluster, "authority")
    builder = _builder(name, name, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def _leaf(
    cluster: str,
    role: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    now: datetime,
    usages: list[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    issuer_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = _builder(_subject(cluster, role), authority.subject, key, now)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
    )
    if _SERVER in usages:
        names: list[x509.GeneralName] = [x509.DNSName("localhost")]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Replace *path* by *data*, mode 0600 from the first byte on."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    aside.replace(path)
