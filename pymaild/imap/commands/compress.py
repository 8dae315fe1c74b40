"""COMPRESS (RFC 4978)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.session import Ending
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def compress(session: ImapSession, args: Arguments) -> bytes:
    """COMPRESS DEFLATE (RFC 4978 §3): all behind the reply is compressed, both ways."""
    args.sp()
    mechanism = args.name()
    args.end()
    if mechanism != b"DEFLATE":
        raise BadSyntax("Unknown compression mechanism")
    if session.record.compressed:
        raise BadSyntax("[COMPRESSIONACTIVE] COMPRESS is active already")
    if not session.compress_possible:
        raise BadSyntax("COMPRESS is not offered here")
    session.ending = Ending.DEFLATE
    return session.say("DEFLATE active")


def begin(session: ImapSession) -> None:
    """Go on compressed: what came behind the command is so already. Raises Disconnected."""
    assert session.services.deflate is not None, "the command has asked for it"
    session.stream.flush()
    session.services.deflate(session.intake.take_unread())
    session.record.compressed = True
    session.ending = None
