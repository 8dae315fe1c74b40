"""Settings of TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, setting


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """One certificate; there can be several, chosen by the name the client asks for.

    The first is the default, for clients that name no host or one that no certificate has.
    A changed file is taken into use by itself; connections that are open do not notice.
    """

    SECTION: ClassVar[str] = "tls.certificate"

    cert: FilePath = setting(
        FilePath(""), "File with the certificate and the chain above it, in PEM form."
    )
    key: FilePath = setting(
        FilePath(""), "File with the private key, in PEM form. Empty: it is in the cert file."
    )

    def __post_init__(self) -> None:
        if not self.cert:
            raise ConfigError("cert is required")

    @property
    def files(self) -> tuple[str, str]:
        """The certificate's and the key's file."""
        return self.cert, self.key or self.cert


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS on the ports that have it from the start, and for STARTTLS and STLS.

    Without a certificate there is no TLS, and STARTTLS and STLS are not offered.
    """

    SECTION: ClassVar[str] = "tls"

    minimum_version: Literal["TLSv1.2", "TLSv1.3"] = setting(
        "TLSv1.2", "The oldest version of TLS that is accepted (RFC 8996, RFC 9325)."
    )
    ciphers: str = setting(
        "ECDHE+AESGCM:ECDHE+CHACHA20", "Ciphers for TLS 1.2, in OpenSSL's notation."
    )
    client_ca: FilePath = setting(
        FilePath(""),
        "File with the authorities whose client certificates are believed, in PEM form. "
        "Listeners ask for such certificates as their `client_certificate` says.",
    )
    client_name: Literal["common-name", "email", "uid"] = setting(
        "common-name",
        "What of a client's certificate is the name of its user, for the mechanism EXTERNAL: the "
        "subject's common name or user id, or the only mail address among the alternative names.",
    )
    handshake_timeout: Duration = setting(
        Duration(30.0), "How long a client may take for its handshake.", low=1
    )
    certificates: tuple[CertificateSettings, ...] = ()

    def __post_init__(self) -> None:
        if len(self.certificates) > 100:
            raise ConfigError("at most 100 certificates")
