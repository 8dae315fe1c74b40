"""What CAPA announces (RFC 2449 §5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild import __version__
from pymaild.pop3.record import State

if TYPE_CHECKING:
    from pymaild.pop3.session import Pop3Session


def _plain(session: Pop3Session) -> str | None:
    return ""


def _user(session: Pop3Session) -> str | None:
    return "" if session.services.auth.plaintext_allowed(session.tls) else None


def _sasl(session: Pop3Session) -> str | None:
    return " ".join(session.services.auth.mechanisms(session.record.tls)) or None


def _stls(session: Pop3Session) -> str | None:
    return "" if session.stls_possible() else None


def _implementation(session: Pop3Session) -> str | None:
    # RFC 2449 §6.9 lets a server tell this only to those who are logged in.
    logged_in = session.record.state == State.TRANSACTION
    return f"pymaild-{__version__}" if logged_in else None


def _expire(session: Pop3Session) -> str | None:
    return session.services.settings.expire.upper()


def _login_delay(session: Pop3Session) -> str | None:
    delay = session.services.settings.login_delay
    return str(math.ceil(delay)) if delay else None


@dataclass(frozen=True, slots=True)
class Capability:
    """One line of CAPA. ``arguments`` returns None where it is not announced."""

    tag: str
    arguments: Callable[[Pop3Session], str | None]
    place: str


CAPABILITIES = (
    Capability("TOP", _plain, "RFC 2449 §6.1"),
    Capability("UIDL", _plain, "RFC 2449 §6.8"),
    Capability("USER", _user, "RFC 2449 §6.2"),
    Capability("SASL", _sasl, "RFC 5034 §3"),
    Capability("STLS", _stls, "RFC 2595 §4"),
    Capability("PIPELINING", _plain, "RFC 2449 §6.6"),
    Capability("RESP-CODES", _plain, "RFC 2449 §6.4"),
    Capability("AUTH-RESP-CODE", _plain, "RFC 3206 §6"),
    Capability("EXPIRE", _expire, "RFC 2449 §6.7"),
    Capability("LOGIN-DELAY", _login_delay, "RFC 2449 §6.5"),
    Capability("UTF8", lambda session: "USER", "RFC 6856 §2"),
    Capability("LANG", _plain, "RFC 6856 §3"),
    Capability("IMPLEMENTATION", _implementation, "RFC 2449 §6.9"),
)


def announced(session: Pop3Session) -> Iterator[str]:
    """The lines of CAPA as they are true for this session now."""
    hidden = _hidden(session)
    for row in CAPABILITIES:
        arguments = row.arguments(session)
        if arguments is not None and row.tag not in hidden:
            yield f"{row.tag} {arguments}".rstrip()


def _hidden(session: Pop3Session) -> set[str]:
    """What the server, the listener or the user's entry does not want announced."""
    user = session.record.user
    names = (*session.services.settings.hide_capabilities, *session.record.hidden)
    return {name.upper() for name in (*names, *(user.hidden if user else ()))}
