"""SASL mechanisms (RFC 4422) as state machines without input or output.

An exchange is fed what the client sends and says what comes next: a challenge to relay, or a
claim whose password is to be checked. Whatever is malformed raises Malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    """The server's next challenge."""

    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Claim:
    """What the client says of itself; ``authorization`` is "" when it is to be derived."""

    authorization: str
    authentication: str
    password: bytes


class Malformed(ValueError):
    """The client's response is none of the mechanism's messages."""


class Exchange(Protocol):
    """One run of a mechanism. ``respond(None)`` begins it without an initial response."""

    def respond(self, data: bytes | None) -> Prompt | Claim:
        """Take the client's response and return what comes next. Raises Malformed."""


class Plain:
    """RFC 4616: one message, ``[authzid] NUL authcid NUL passwd``."""

    def respond(self, data: bytes | None) -> Prompt | Claim:
        """Ask with an empty challenge (RFC 4616 §4), then take the message apart."""
        if data is None:
            return Prompt(b"")
        parts = data.split(b"\0")
        if len(parts) != 3:
            raise Malformed("not three parts")  # RFC 4616 §2: no NUL inside a part
        return Claim(_text(parts[0]), _text(parts[1]), parts[2])


class Login:
    """The LOGIN mechanism of draft-murchison-sasl-login: name and password, each asked for.

    Clients recognise these two challenges by their text. Some send the name as an initial
    response, which the draft does not know but every server accepts.
    """

    _NAME, _PASSWORD = b"Username:", b"Password:"

    def __init__(self) -> None:
        self._user: str | None = None

    def respond(self, data: bytes | None) -> Prompt | Claim:
        """Ask for the name, then for the password."""
        if data is None:
            return Prompt(self._NAME)
        if self._user is None:
            self._user = _text(data.removesuffix(b"\0"))
            return Prompt(self._PASSWORD)
        return Claim("", self._user, data)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A row of the table. ``plaintext``: whoever listens to the exchange has the password."""

    begin: Callable[[], Exchange]
    plaintext: bool


#: The mechanisms there are, by the name clients use.
MECHANISMS: dict[str, Mechanism] = {
    "PLAIN": Mechanism(Plain, plaintext=True),
    "LOGIN": Mechanism(Login, plaintext=True),
}


def _text(data: bytes) -> str:
    try:
        return data.decode()  # strict: RFC 4616 §2 allows the shortest form of UTF-8 alone
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
