"""STARTTLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.session import Ending
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def starttls(session: ImapSession, args: Arguments) -> bytes:
    """STARTTLS (RFC 9051 §6.2.1): the connection goes on behind the TLS hop.

    What came in plaintext behind the command could have been put there by anybody. It is thrown
    away, so that it can never be read as if it had come under TLS.
    """
    args.end()
    if session.tls:
        raise BadSyntax("TLS is active already")
    if not session.starttls_possible:
        raise BadSyntax("STARTTLS is not offered here")
    session.intake.take_unread()
    session.ending = Ending.TLS
    return session.say("Begin TLS negotiation now")
