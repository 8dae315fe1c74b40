"""LANGUAGE: the language of what people read (RFC 5255 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Refused
from pymaild.core.texts import LANGUAGES, choose, is_range
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.list import tell_namespaces
from pymaild.imap.states import State

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def language(session: ImapSession, args: Arguments) -> None:
    """LANGUAGE (RFC 5255 §3.2): choose a language, or list those there are.

    Who has logged in is told the names of namespaces in it.
    """
    preferred = session.services.mail.language
    ranges = _ranges(args, preferred)
    if not ranges:
        _tell(session, *LANGUAGES)
        return
    chosen = choose(ranges, preferred)
    if chosen is None:
        raise Refused(None, "None of these languages is spoken here")
    session.speak(chosen)
    _tell(session, chosen)
    if session.record.state != State.NOT_AUTHENTICATED:
        tell_namespaces(session)


def _ranges(args: Arguments, preferred: str) -> list[str]:
    """Read language ranges. Raises BadSyntax."""
    ranges = []
    while args.more():
        args.sp()
        wanted = args.astring().decode("ascii", "replace")
        if not is_range(wanted):
            raise BadSyntax("Expected a language range")
        ranges.append(preferred if wanted.lower() == "default" else wanted)
    args.end()
    return ranges


def _tell(session: ImapSession, *tags: str) -> None:
    session.write(b"* LANGUAGE (%b)\r\n" % " ".join(tags).encode())
