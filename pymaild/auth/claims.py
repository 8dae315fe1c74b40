"""What mechanisms ask of their surroundings and what their exchanges come to (RFC 4422 §3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pymaild.auth.failures import Reason


@dataclass(frozen=True, slots=True)
class Prompt:
    """The server's next challenge."""

    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Claim:
    """A name and a password; ``authorization`` is "" when it is to be derived."""

    authorization: str
    authentication: str
    password: bytes


@dataclass(frozen=True, slots=True, repr=False)
class KeyClaim:
    """A name and a proof that the password is known.

    ``verify`` returns the server's own proof, or None for a wrong one. ``slow``: it takes
    milliseconds. ``usable`` false: the stored password has no keys, so that no proof is right.
    """

    authorization: str
    authentication: str
    verify: Callable[[], bytes | None]
    slow: bool
    usable: bool


@dataclass(frozen=True, slots=True, repr=False)
class TokenClaim:
    """An access token; ``authorization`` is what the client calls its user.

    ``refusal`` makes the last challenge for a token that is not accepted: its ``status`` (RFC
    6749 §5.2, RFC 6750 §3.1) and what else the client is to know.
    """

    authorization: str
    token: str
    refusal: Callable[[dict[str, str]], bytes]


@dataclass(frozen=True, slots=True, repr=False)
class CertificateClaim:
    """The client's certificate says who this is."""

    authorization: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token it is: the value of the claim that the settings name."""

    name: str


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """A token that is no good.

    ``status`` is what the client is told (RFC 6750 §3.1), ``why`` what the log is.
    """

    status: str
    why: str


AnyClaim = Claim | KeyClaim | TokenClaim | CertificateClaim


class Malformed(ValueError):
    """The client's response is none of the mechanism's messages."""

    reason: ClassVar[Reason] = Reason.MALFORMED


class BadBinding(Malformed):
    """The exchange is not bound to this TLS connection, or somebody between hid that it can be."""

    reason: ClassVar[Reason] = Reason.BINDING


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What the server stores of a password (RFC 5802 §3): StoredKey and ServerKey."""

    stored: bytes
    server: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """Salt, iterations and keys of one user; ``slow`` and ``usable`` as in KeyClaim."""

    salt: bytes
    iterations: int
    keys: Callable[[], Keys]
    slow: bool = False
    usable: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Surroundings:
    """What an exchange may know besides what its client says.

    ``credential`` returns what is stored for a user and a hash, and something of that form for
    unknown users too; it raises ValueError for what is no user name. ``binding`` is the
    connection's tls-exporter value (RFC 9266), b"" where there is none. ``announced`` are the
    mechanisms the client was offered.
    """

    credential: Callable[[str, str], Credential]
    binding: bytes = b""
    announced: tuple[str, ...] = ()


class Exchange(Protocol):
    """One run of a mechanism. ``respond(None)`` begins it without an initial response."""

    def respond(self, data: bytes | None) -> Prompt | AnyClaim:
        """Take the client's response and return what comes next. Raises Malformed."""


def text_of(data: bytes) -> str:
    """Return UTF-8 text, in its shortest form and without NUL. Raises Malformed."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    if "\0" in text:
        raise Malformed("NUL in a name")
    return text
