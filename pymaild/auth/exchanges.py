"""SASL mechanisms (RFC 4422) as state machines without input or output: one table.

An exchange is fed what the client sends and says what comes next: a challenge to relay, or a
claim to be judged. Whatever is malformed raises Malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pymaild.auth.bearer import OAuthBearer, XOAuth2
from pymaild.auth.claims import (
    AnyClaim,
    CertificateClaim,
    Claim,
    Exchange,
    Malformed,
    Prompt,
    Surroundings,
    text_of,
)
from pymaild.auth.scram import Scram


class Plain:
    """RFC 4616: one message, ``[authzid] NUL authcid NUL passwd``."""

    def __init__(self, around: Surroundings) -> None:
        pass

    def respond(self, data: bytes | None) -> Prompt | Claim:
        """Ask with an empty challenge (RFC 4616 §4), then take the message apart."""
        if data is None:
            return Prompt(b"")
        parts = data.split(b"\0")
        if len(parts) != 3:
            raise Malformed("not three parts")  # RFC 4616 §2: no NUL inside a part
        return Claim(text_of(parts[0]), text_of(parts[1]), parts[2])


class Login:
    """The LOGIN mechanism of draft-murchison-sasl-login: name and password, each asked for.

    Clients recognise these two challenges by their text. Some send the name as an initial
    response, which the draft does not know but every server accepts.
    """

    _NAME, _PASSWORD = b"Username:", b"Password:"

    def __init__(self, around: Surroundings) -> None:
        self._user: str | None = None

    def respond(self, data: bytes | None) -> Prompt | Claim:
        """Ask for the name, then for the password."""
        if data is None:
            return Prompt(self._NAME)
        if self._user is None:
            self._user = text_of(data.removesuffix(b"\0"))
            return Prompt(self._PASSWORD)
        return Claim("", self._user, data)


class External:
    """RFC 4422 appendix A: one message, the authorization identity, or nothing."""

    def __init__(self, around: Surroundings) -> None:
        pass

    def respond(self, data: bytes | None) -> Prompt | CertificateClaim:
        """Ask with an empty challenge, then take the name."""
        return Prompt(b"") if data is None else CertificateClaim(text_of(data))


@dataclass(frozen=True, slots=True)
class Connection:
    """What of a connection decides on mechanisms.

    ``private``: nobody listens, or the settings allow it; ``binding``: it has a value for
    channel binding; ``certificate``: its client showed one; ``tokens``: the settings say who
    vouches for tokens.
    """

    private: bool
    binding: bool
    certificate: bool
    tokens: bool


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A row of the table. ``offered`` says on which connections it can work.

    ``plaintext``: whoever listens to the exchange has the secret.
    """

    begin: Callable[[Surroundings], Exchange]
    plaintext: bool = False
    offered: Callable[[Connection], bool] = lambda connection: True

    def possible(self, connection: Connection) -> bool:
        """Whether clients may use it on this connection."""
        return (connection.private or not self.plaintext) and self.offered(connection)


def _scram(name: str, method: str) -> dict[str, Mechanism]:
    plus = f"{name}-PLUS"
    return {
        plus: Mechanism(partial(Scram, method, plus), offered=lambda c: c.binding),
        name: Mechanism(partial(Scram, method, "")),
    }


#: The mechanisms there are, by the name clients use.
MECHANISMS: dict[str, Mechanism] = {
    "EXTERNAL": Mechanism(External, offered=lambda c: c.certificate),
    **_scram("SCRAM-SHA-256", "sha256"),
    **_scram("SCRAM-SHA-1", "sha1"),
    "OAUTHBEARER": Mechanism(OAuthBearer, plaintext=True, offered=lambda c: c.tokens),
    "XOAUTH2": Mechanism(XOAuth2, plaintext=True, offered=lambda c: c.tokens),
    "PLAIN": Mechanism(Plain, plaintext=True),
    "LOGIN": Mechanism(Login, plaintext=True),
}

__all__ = ["MECHANISMS", "AnyClaim", "Claim", "Connection", "Exchange", "Malformed", "Prompt"]
