"""The way from a worker to the auth role."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

from pymaild.auth.answers import (
    HEAD,
    Accepted,
    Answer,
    BadFrame,
    Challenge,
    Facts,
    Found,
    Rejected,
    Reply,
    frame,
    frame_size,
    pack_facts,
    pack_octets,
    parse,
    take_reply,
)
from pymaild.auth.settings import AuthSettings
from pymaild.core.errors import Code, Refused
from pymaild.core.session import TlsFacts, User

__all__ = ["Accepted", "Answer", "AuthClient", "Challenge", "Facts", "Rejected"]

log = logging.getLogger("pymaild.auth")

#: Seconds before each further try to reach the auth role: first a connection that went stale
#: while it was idle is replaced, then a role that is being started again gets time.
_RETRIES = (0.0, 0.1, 0.4)


class AuthClient:
    """Asks the auth role; one for each process that has sessions, made after the fork.

    Blocking. Connects when it is first needed and again when the connection is lost. Methods
    raise Refused with code UNAVAILABLE when the auth role cannot be reached.
    """

    def __init__(self, path: str, settings: AuthSettings) -> None:
        self._path = path
        self._settings = settings
        self._socket: socket.socket | None = None

    def mechanisms(self, tls: TlsFacts | None) -> list[str]:
        """Return the SASL mechanisms to offer, the preferred one first; None is no TLS."""
        facts = tls or TlsFacts()
        bound, certified = bool(facts.exporter), bool(facts.client_name)
        return self._settings.offered(tls is not None, bound, certified)

    def plaintext_allowed(self, tls: bool) -> bool:
        """Tell whether commands that carry a password are possible (LOGIN, USER and PASS)."""
        return "PLAIN" in self._settings.offered(tls, False, False)

    def needs_tls(self, mechanism: str) -> bool:
        """Tell whether a mechanism that is not offered now would be under TLS."""
        return mechanism in self._settings.offered(True, True, True)

    def begin(self, mechanism: str, initial: bytes | None, facts: Facts) -> Answer:
        """Begin an exchange; ``initial`` is the decoded initial response (RFC 4959), if any.

        An exchange that was not finished is forgotten.
        """
        question = {"ask": "begin", "mechanism": mechanism, "facts": pack_facts(facts)}
        if initial is not None:
            question["initial"] = pack_octets(initial)
        return _answer(self._ask(question))

    def respond(self, data: bytes) -> Answer:
        """Send the client's decoded response to the last challenge."""
        question = {"ask": "respond", "data": pack_octets(data)}
        return _answer(self._ask(question, retry=False))

    def cancel(self) -> None:
        """Give up the exchange (the client sent ``*``); the next begin() starts afresh."""
        self.close()

    def password(self, user: str, password: bytes, facts: Facts) -> Answer:
        """Check a password that came in a command (LOGIN, USER and PASS)."""
        secret = pack_octets(password)
        question = {
            "ask": "password",
            "user": user,
            "password": secret,
            "facts": pack_facts(facts),
        }
        return _answer(self._ask(question))

    def lookup(self, name: str) -> User | None:
        """Return a user without any password, for delivery; None when there is none."""
        return self.vouched(name)[0]

    def vouched(self, name: str) -> tuple[User | None, str]:
        """Return a user as :meth:`lookup` does, and a ticket to deliver to a system user."""
        reply = self._ask({"ask": "lookup", "name": name})
        if isinstance(reply, Found):
            return reply.user, reply.ticket
        raise _unavailable(f"lookup was answered {type(reply).__name__}")

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, question: dict[str, Any], retry: bool = True) -> Reply:
        data = frame(question)
        error: Exception | None = None
        for pause in (None, *_RETRIES) if retry else (None,):
            if pause:
                time.sleep(pause)
            try:
                return self._once(data)
            except TimeoutError as late:  # it is there and busy: asking again makes it worse
                self.close()
                raise _unavailable(f"auth does not answer: {late}") from late
            except (OSError, BadFrame) as caught:
                self.close()
                error = caught
        raise _unavailable(f"auth cannot be reached: {error}") from error

    def _once(self, data: bytes) -> Reply:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(data, socket.MSG_NOSIGNAL)
        return take_reply(parse(_receive(self._socket)))

    def _connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connected.settimeout(self._settings.timeout)
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        return connected


def _receive(connected: socket.socket) -> bytearray:
    """Return the body of the one frame that is to come. Raises OSError and BadFrame."""
    data = bytearray()
    size = HEAD.size
    while len(data) < size:
        piece = connected.recv(65_536)
        if not piece:
            raise ConnectionError("the connection was closed")
        data += piece
        if size == HEAD.size and len(data) >= size:
            size += frame_size(data)
    if len(data) > size:
        raise BadFrame("more than one answer")
    return data[HEAD.size :]


def _answer(reply: Reply) -> Answer:
    if isinstance(reply, Found):
        raise _unavailable("a login was answered like a lookup")
    return reply


def _unavailable(detail: str) -> Refused:
    log.error("%s", detail)
    return Refused(Code.UNAVAILABLE, "Logins are not possible now, try again later", detail)
