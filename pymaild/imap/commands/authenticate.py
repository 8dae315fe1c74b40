"""AUTHENTICATE and LOGIN, and what follows from their outcome."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.auth import dialogue
from pymaild.auth.client import Accepted, Rejected
from pymaild.core.errors import Code, Refused
from pymaild.core.session import Ending, User
from pymaild.imap._arguments import Arguments
from pymaild.imap.capability import announced
from pymaild.imap.states import State

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

log = logging.getLogger("pymaild.imap")


def login(session: ImapSession, args: Arguments) -> bytes:
    """LOGIN (RFC 3501 §6.2.3)."""
    args.sp()
    user = args.astring()
    args.sp()
    password = args.astring()
    args.end()
    _require_privacy(session)
    client = session.services.auth
    answer = client.password(dialogue.user_name(user), password, dialogue.facts(session.record))
    return _settle(session, dialogue.verdict(client, answer))


def login_literal(session: ImapSession, args: Arguments) -> bool:
    """Refuse LOGIN before a name or password is sent, where it will be refused anyway."""
    _require_privacy(session)
    return False


def authenticate(session: ImapSession, args: Arguments) -> bytes:
    """AUTHENTICATE (RFC 3501 §6.2.2), with an initial response (RFC 4959 §3)."""
    args.sp()
    mechanism = args.name().decode("ascii")
    initial = None
    if args.more():
        args.sp()
        initial = _initial(args.word())
    args.end()
    if mechanism not in session.services.auth.mechanisms(session.record.tls):
        raise _no_mechanism(session, mechanism)
    return _settle(session, _exchange(session, mechanism, initial))


def _require_privacy(session: ImapSession) -> None:
    """RFC 3501 §6.2.3, RFC 5530 §3: no password without TLS, unless the configuration says so."""
    if not session.services.auth.plaintext_allowed(session.tls):
        raise Refused(Code.PRIVACYREQUIRED, "Passwords are accepted under TLS only")


def _no_mechanism(session: ImapSession, mechanism: str) -> Refused:
    if not session.tls and session.services.auth.needs_tls(mechanism):
        return Refused(Code.PRIVACYREQUIRED, "This mechanism is accepted under TLS only")
    return Refused(Code.CANNOT, "Unknown authentication mechanism")


def _exchange(session: ImapSession, mechanism: str, initial: bytes | None) -> Accepted | Rejected:
    """RFC 3501 §6.2.2: a "*" cancels, and is answered BAD, as is what is not base64."""

    def ask(challenge: bytes) -> bytes:
        asked = session.stream.ask(b"+ %b\r\n" % challenge)
        line = session.intake.line()
        if not asked:  # the answer is to a challenge that died with a process
            raise Refused(Code.UNAVAILABLE, "The server has failed, try again")
        return line

    try:
        return dialogue.relay(session.services.auth, session.record, mechanism, initial, ask)
    except dialogue.Broken as error:
        raise BadSyntax(str(error)) from None


def _initial(word: bytes) -> bytes:
    try:
        return dialogue.initial_response(word)
    except dialogue.Broken as error:
        raise BadSyntax(str(error)) from None


def _settle(session: ImapSession, answer: Accepted | Rejected) -> bytes:
    """Act on the verdict: log in, or say no after the delay that it carries."""
    if isinstance(answer, Accepted):
        return _accept(session, answer)
    raise _reject(session, answer)


def _reject(session: ImapSession, answer: Rejected) -> Refused:
    session.services.board.count("failed_logins")
    session.record.auth_failures += 1
    session.stream.pause(answer.delay)
    if session.record.auth_failures >= session.settings.max_auth_failures:
        session.last_words = "Too many failed logins"
    return Refused(answer.code, answer.text)


def _accept(session: ImapSession, answer: Accepted) -> bytes:
    record = session.record
    record.user, record.master, record.ticket = answer.user, answer.master, answer.ticket
    try:
        _enter(session, answer.user)
    except BaseException:
        record.user, record.master, record.ticket = None, "", ""
        raise
    session.services.board.count("logins")
    log.info("login: %s", dialogue.who(record))
    return b"[%b] %b" % (announced(session), session.say("Logged in"))


def _enter(session: ImapSession, user: User) -> None:
    """Open the account here, or leave that to a process that is the user."""
    if not session.services.board.admit(session.record):
        raise Refused(Code.LIMIT, "Too many connections of this user")
    if user.system and os.geteuid() != user.uid:
        session.record.state = State.AUTHENTICATED
        session.ending = Ending.USER
        return
    session.record.ticket = ""
    account = session.services.open_account(user)
    account.prepare()
    session.enter(account)
