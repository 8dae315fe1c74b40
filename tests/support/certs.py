"""Certificates for tests: one self-signed certificate per name, and a context that trusts it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from .place import write

CURVE = ec.SECP256R1()


def make(folder: Path, name: str = "localhost", rsa_key: bool = False) -> tuple[Path, Path]:
    """Write ``name``.pem and ``name``.key; returns both paths."""
    key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(CURVE)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, write(folder / f"{name}.key", private)


def context(pem: Path) -> ssl.SSLContext:
    """A client's context that trusts this certificate and nothing else."""
    return ssl.create_default_context(cafile=str(pem))
