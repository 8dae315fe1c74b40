"""Reading again what a client once sent: records keep such things as they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import COMMAND, LITERAL, BadSyntax, Tokenizer
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def reread(text: bytes, session: ImapSession) -> Arguments:
    """Return a cursor before ``text``: arguments of a command, literals in their place.

    Raises BadSyntax where that is no such thing.
    """
    tokens = Tokenizer(session.settings.command_size, session.settings.nesting)
    tokens.feed(b"a " + text + b"\r\n")
    while (met := tokens.next()) == LITERAL:
        tokens.keep()
    if met != COMMAND or not tokens.idle:
        raise BadSyntax("These are not arguments")
    args = Arguments(tokens, session.quirks)
    args.utf8 = session.modes.utf8
    args.rewind()
    args.tag()
    args.sp()
    return args
