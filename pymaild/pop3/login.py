"""USER and PASS, AUTH, and what follows from their outcome."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pymaild.auth import dialogue, names
from pymaild.auth.client import Accepted, Rejected
from pymaild.core.errors import Code, Refused
from pymaild.core.session import Ending
from pymaild.pop3.record import State

if TYPE_CHECKING:
    from pymaild.pop3.session import Pop3Session


def user(session: Pop3Session, arguments: list[bytes]) -> None:
    """Every name is accepted here: whether it exists is PASS's secret (RFC 1939 §13)."""
    _require_plaintext(session, None)  # [AUTH] here would speak of the user (RFC 3206 §5)
    session.record.name = dialogue.user_name(arguments[0])
    session.ok("Send the password")


def password(session: Pop3Session, arguments: list[bytes]) -> None:
    """The password is the rest of the line, spaces and all (RFC 1939 §7, PASS)."""
    _require_plaintext(session, Code.PRIVACYREQUIRED)
    name, session.record.name = session.record.name, ""
    if not name:
        raise Refused(None, "USER comes before PASS")
    _require_text(arguments[0])
    client = session.services.auth
    answer = client.password(name, arguments[0], dialogue.facts(session.record))
    settle(session, dialogue.verdict(client, answer))


def auth(session: Pop3Session, arguments: list[bytes]) -> None:
    """AUTH with a mechanism. Without one it lists them, which Outlook still asks for."""
    mechanisms = session.services.auth.mechanisms(session.record.tls)
    if not arguments:
        if not session.services.quirks.pop3_bare_auth:
            raise Refused(None, "Which mechanism?")
        session.ok("Mechanisms follow")
        session.listing(mechanisms)
        return
    mechanism = arguments[0].decode("ascii", "replace").upper()
    if mechanism not in mechanisms:
        raise Refused(None, "That mechanism is not available here")
    initial = _initial(arguments[1]) if len(arguments) > 1 else None
    settle(session, _exchange(session, mechanism, initial))


def _require_text(password: bytes) -> None:
    """RFC 6856 §2.2. The role that checks passwords is not asked about what is none."""
    try:
        bad = names.is_forbidden(password.decode())
    except UnicodeDecodeError:
        bad = True
    if bad:
        raise Refused(Code.AUTHENTICATIONFAILED, "Authentication failed")


def _require_plaintext(session: Pop3Session, code: Code | None) -> None:
    if not session.services.auth.plaintext_allowed(session.tls):
        raise Refused(code, "Passwords are accepted under TLS only")


def _exchange(session: Pop3Session, mechanism: str, initial: bytes | None) -> Accepted | Rejected:
    """RFC 5034 §4: a "*" cancels."""

    def ask(challenge: bytes) -> bytes:
        asked = session.stream.ask(b"+ %b\r\n" % challenge)
        line = session.response_line()
        if not asked:  # the answer is to a challenge that died with a process
            raise Refused(Code.UNAVAILABLE, "The server has failed, try again")
        return line

    try:
        return dialogue.relay(session.services.auth, session.record, mechanism, initial, ask)
    except dialogue.Broken as error:
        raise Refused(None, str(error)) from None


def _initial(word: bytes) -> bytes:
    try:
        return dialogue.initial_response(word)
    except dialogue.Broken as error:
        raise Refused(None, str(error)) from None


def settle(session: Pop3Session, answer: Accepted | Rejected) -> None:
    """Act on the verdict: enter the maildrop, or say no after the delay that it carries."""
    if isinstance(answer, Accepted):
        _accept(session, answer)
    else:
        _reject(session, answer)


def _reject(session: Pop3Session, answer: Rejected) -> None:
    session.services.board.count("failed_logins")
    session.record.auth_failures += 1
    session.stream.pause(answer.delay)
    if session.record.auth_failures >= session.services.settings.login_attempts:
        session.ending = Ending.CLOSED
    raise Refused(answer.code, answer.text)


def _accept(session: Pop3Session, answer: Accepted) -> None:
    record, board = session.record, session.services.board
    record.user, record.master, record.ticket = answer.user, answer.master, answer.ticket
    record.state = State.AUTHENTICATED
    if not board.admit(record):
        session.ending = Ending.CLOSED
        raise Refused(Code.LIMIT, "Too many sessions of this user")
    board.count("logins")
    if answer.user.system and os.geteuid() != answer.user.uid:
        # The maildrop's lock belongs to the process that will hold it, and so does the reply.
        session.ending = Ending.USER
        return
    session.enter()
