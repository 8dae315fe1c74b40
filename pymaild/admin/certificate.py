"""A certificate of one's own, for a private instance."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)
_LOOPBACK = ("127.0.0.1", "::1")


def self_signed(cert: Path, key: Path, hostname: str) -> None:
    """Write a P-256 key (for its owner's eyes only) and a certificate that it signs.

    The certificate is good for ``hostname``, localhost and the loopback addresses. Raises
    FileExistsError when one of the files is there.
    """
    secret = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(secret, hostname)
    _write(
        key,
        0o600,
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _write(cert, 0o644, certificate.public_bytes(serialization.Encoding.PEM))


def _certificate(secret: ec.EllipticCurvePrivateKey, hostname: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in sorted({hostname, "localhost"})]
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in _LOOPBACK]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )


def _write(path: Path, mode: int, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(handle, "wb") as file:
        file.write(data)
