"""TLS contexts: built from open files, chosen by the name a client asks for."""

from __future__ import annotations

import os
from collections.abc import Callable
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

#: How clients are asked for a certificate (``ListenerSettings.client_certificate``).
VERIFY: Final = {
    "never": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


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
    """Contexts for each certificate and each way of asking for the client's.

    These have contexts of their own so that no session of TLS that began without a certificate
    is resumed where one is required; without authorities nobody is asked, and one will do. The
    first certificate is the default.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._by_name: dict[tuple[str, str], SSL.Context] = {}
        self._default: dict[str, SSL.Context] = {}

    @property
    def loaded(self) -> bool:
        """Whether there is any certificate."""
        return bool(self._default)

    def default(self, asking: str) -> SSL.Context:
        """Return the context to begin a handshake with; ``asking`` is a key of VERIFY."""
        return self._default.get(asking) or self._default["never"]

    def load(self, pairs: list[tuple[bytes, bytes]], client_ca: bytes) -> None:
        """Put new certificates in the place of the old: all, or none when one is bad.

        ``pairs`` are contents of certificate and key files, ``client_ca`` those who may issue
        clients' certificates. Connections that exist keep theirs. Raises BadCertificate.
        """
        authorities = _parse_chain(client_ca) if client_ca else []
        by_name: dict[tuple[str, str], SSL.Context] = {}
        default: dict[str, SSL.Context] = {}
        for cert, key in pairs:
            chain, private = _parse_chain(cert), _parse_key(key)
            for asking in VERIFY if authorities else ("never",):
                context = self._context(chain, private, asking)
                _ask_for_certificates(context, authorities, asking)
                default.setdefault(asking, context)
                for name in names_of(chain[0]):
                    by_name.setdefault((asking, name), context)
        self._by_name, self._default = by_name, default

    def find(self, name: str, asking: str) -> SSL.Context | None:
        """Return the context for a host name: exact, by wildcard of one label, or none."""
        wanted = name.rstrip(".").lower()
        _, _, parent = wanted.partition(".")
        exact = self._by_name.get((asking, wanted))
        return exact or self._by_name.get((asking, f"*.{parent}"))

    def _context(
        self, chain: list[x509.Certificate], key: PrivateKeyTypes, asking: str
    ) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_MINIMUM[self._settings.minimum_version])
        context.set_options(
            SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # clients keep tickets
        context.set_session_id(b"pymaild " + asking.encode())
        context.set_tlsext_servername_callback(lambda connection: self._choose(connection, asking))
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

    def _choose(self, connection: SSL.Connection, asking: str) -> None:
        """Server name indication (RFC 6066 §3); an unknown name gets the default."""
        name = connection.get_servername()
        context = self.find(name.decode("ascii", "replace"), asking) if name else None
        if context is not None and context is not connection.get_context():
            connection.set_context(context)


def _ask_for_certificates(
    context: SSL.Context, authorities: list[x509.Certificate], asking: str
) -> None:
    """Let clients show a certificate, which these authorities must have issued."""
    store = context.get_cert_store()
    if not authorities or store is None or asking == "never":
        return
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    context.set_verify(VERIFY[asking], lambda connection, cert, error, depth, ok: bool(ok))


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


def facts(connection: SSL.Connection, client_name: str) -> TlsFacts:
    """Return what workers are told of a connection whose handshake is done.

    ``client_name`` is the setting of this name.
    """
    certificate = connection.get_peer_certificate(as_cryptography=True)
    return TlsFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        server_name=(connection.get_servername() or b"").decode("ascii", "replace"),
        client_subject=next(iter(_subject(certificate, NameOID.COMMON_NAME)), ""),
        exporter=_exporter(connection),
        client_name=user_of(certificate, client_name),
    )


def user_of(certificate: x509.Certificate | None, client_name: str) -> str:
    """Return the user that a certificate names, or "" where it names none, or several."""
    names = _USERS[client_name](certificate)
    return names[0] if len(names) == 1 else ""


def _subject(certificate: x509.Certificate | None, kind: x509.ObjectIdentifier) -> list[str]:
    found = certificate.subject.get_attributes_for_oid(kind) if certificate else []
    return [str(attribute.value) for attribute in found]


def _addresses(certificate: x509.Certificate | None) -> list[str]:
    try:
        names = certificate and certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.value.get_values_for_type(x509.RFC822Name) if names else []


#: Where the user's name is, by the setting ``client_name``.
_USERS: dict[str, Callable[[x509.Certificate | None], list[str]]] = {
    "common-name": lambda certificate: _subject(certificate, NameOID.COMMON_NAME),
    "uid": lambda certificate: _subject(certificate, NameOID.USER_ID),
    "email": _addresses,
}


def _exporter(connection: SSL.Connection) -> bytes:
    """Channel binding (RFC 9266 §2); before TLS 1.3 it is not safe without RFC 7627."""
    if connection.get_protocol_version() != SSL.TLS1_3_VERSION:
        return b""
    return connection.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE, b"")


def reason(error: SSL.Error) -> str:
    """Return OpenSSL's own words, without its numbers."""
    stack = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[2] for entry in stack) or type(error).__name__
