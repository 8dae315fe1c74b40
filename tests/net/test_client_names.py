"""Which user a client's certificate names (setting ``tls.client_name``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pymaild.net.tls import user_of


def certificate(
    subject: list[tuple[x509.ObjectIdentifier, str]], *addresses: str
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in subject])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if addresses:
        names = x509.SubjectAlternativeName([x509.RFC822Name(text) for text in addresses])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256())


CN, UID = NameOID.COMMON_NAME, NameOID.USER_ID


@pytest.mark.parametrize(
    ("subject", "addresses", "names"),
    [
        ([(CN, "Alice"), (UID, "al")], ("a@example.org",), ("Alice", "al", "a@example.org")),
        ([], (), ("", "", "")),
        ([(CN, "Alice"), (CN, "Bob")], (), ("", "", "")),
        ([(UID, "al"), (UID, "bo")], ("a@example.org", "b@example.org"), ("", "", "")),
    ],
)
def test_by_setting(
    subject: list[tuple[x509.ObjectIdentifier, str]],
    addresses: tuple[str, ...],
    names: tuple[str, str, str],
) -> None:
    """A certificate with two names of a kind names nobody."""
    found = certificate(subject, *addresses)
    assert tuple(user_of(found, kind) for kind in ("common-name", "uid", "email")) == names


def test_without_one() -> None:
    assert {user_of(None, kind) for kind in ("common-name", "uid", "email")} == {""}
