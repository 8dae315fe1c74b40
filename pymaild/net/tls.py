"""TLS contexts: built from open files, chosen by the name a client asks for."""

from __future__ import annotations

import os
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from pymaild.core.session import TlsFacts
from pymaild.net.settings import TlsSettings

LARGEST_FILE = 1 << 20  # octets
EXPORTER_LABEL = b"EXPORTER-Channel-Binding"  # RFC 9266 §2
EXPORTER_SIZE = 32

_MINIMUM: Final = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


class BadCertificate(Exception):
    """A certificate or key that cannot be used; the message says why."""


def read_files(fds: list[int]) -> list[bytes]:
    """Read small files from their beginning and close them. Raises BadCertificate."""
    try:
        contents = [os.pread(fd, LARGEST_FILE + 1, 0) for fd in fds]
    except OSError as error:
        raise BadCertificate(str(error)) from None
    finally:
        for fd in fds:
            os.close(fd)
    if any(len(data) > LARGEST_FILE for data in contents):
        raise BadCertificate("a file is larger than any certificate")
    return contents


class Contexts:
    """One context per certificate. The first is the default."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._by_name: dict[str, SSL.Context] = {}
        self.default: SSL.Context | None = None

    def load(self, pairs: list[tuple[bytes, bytes]], client_ca: bytes) -> None:
        """Put new certificates in the place of the old: all, or none when one is bad.

        ``pairs`` are contents of certificate and key files, ``client_ca`` those who may issue
        clients' certificates. Connections that exist keep theirs. Raises BadCertificate.
        """
        authorities = _parse_chain(client_ca) if client_ca else []
        by_name: dict[str, SSL.Context] = {}
        contexts = []
        for cert, key in pairs:
            chain = _parse_chain(cert)
            context = self._context(chain, _parse_key(key))
            _ask_for_certificates(context, authorities)
            contexts.append(context)
            for name in names_of(chain[0]):
                by_name.setdefault(name, context)
        self._by_name = by_name
        self.default = contexts[0]

    def find(self, name: str) -> SSL.Context | None:
        """Return the context for a host name: exact, by wildcard of one label, or none."""
        wanted = name.rstrip(".").lower()
        _, _, parent = wanted.partition(".")
        return self._by_name.get(wanted) or self._by_name.get(f"*.{parent}")

    def _context(self, chain: list[x509.Certificate], key: PrivateKeyTypes) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_MINIMUM[self._settings.minimum_version])
        context.set_options(
            SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_id(b"pymaild")
        context.set_tlsext_servername_callback(self._choose)
        try:
            context.set_cipher_list(self._settings.ciphers.encode())
            context.use_certificate(chain[0])
            for issuer in chain[1:]:
                context.add_extra_chain_cert(issuer)
            context.use_privatekey(key)  # type: ignore[arg-type]  # OpenSSL refuses other kinds
            context.check_privatekey()
        except SSL.Error as error:
            raise BadCertificate(reason(error)) from None
        return context

    def _choose(self, connection: SSL.Connection) -> None:
        """Server name indication (RFC 6066 §3); an unknown name gets the default."""
        name = connection.get_servername()
        context = self.find(name.decode("ascii", "replace")) if name else None
        if context is not None and context is not connection.get_context():
            connection.set_context(context)


def _ask_for_certificates(context: SSL.Context, authorities: list[x509.Certificate]) -> None:
    """Let clients show a certificate, which these authorities must have issued."""
    store = context.get_cert_store()
    if not authorities or store is None:
        return
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    context.set_verify(SSL.VERIFY_PEER, lambda connection, cert, error, depth, ok: bool(ok))


def _parse_chain(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise BadCertificate(f"no certificate in PEM form: {error}") from None


def _parse_key(data: bytes) -> PrivateKeyTypes:
    start = data.find(b"-----BEGIN ", 0)
    while start >= 0:
        line = data[start : data.find(b"\n", start)]
        if b"PRIVATE KEY" in line:
            break
        start = data.find(b"-----BEGIN ", start + 1)
    try:
        return load_pem_private_key(data[max(start, 0) :], password=None)
    except (ValueError, TypeError):  # the text of the error could hold a part of the key
        raise BadCertificate("no usable private key in PEM form") from None


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names a certificate is for, in lower case (RFC 6125 §6.4)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = names.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = [str(attribute.value) for attribute in common]
    return [name.rstrip(".").lower() for name in found]


def facts(connection: SSL.Connection) -> TlsFacts:
    """Return what workers are told of a connection whose handshake is done."""
    return TlsFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        server_name=(connection.get_servername() or b"").decode("ascii", "replace"),
        client_subject=_subject(connection),
        exporter=_exporter(connection),
    )


def _subject(connection: SSL.Connection) -> str:
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        return ""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _exporter(connection: SSL.Connection) -> bytes:
    """Channel binding (RFC 9266 §2); before TLS 1.3 it is not safe without RFC 7627."""
    if connection.get_protocol_version() != SSL.TLS1_3_VERSION:
        return b""
    return connection.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE, b"")


def reason(error: SSL.Error) -> str:
    """Return OpenSSL's own words, without its numbers."""
    stack = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[2] for entry in stack) or type(error).__name__
