"""Reading again what a client once sent: records keep such things as they were written."""

from __future__ import annotations

from pymaild._parser import COMMAND, LITERAL, BadSyntax, Tokenizer
from pymaild.imap._arguments import Arguments
from pymaild.imap.settings import ImapSettings


def reread(text: bytes, settings: ImapSettings, utf8: bool) -> Arguments:
    """Return a cursor before ``text``: arguments of a command, literals in their place.

    Raises BadSyntax where that is no such thing.
    """
    tokens = Tokenizer(settings.command_size, settings.nesting)
    tokens.feed(b"a " + text + b"\r\n")
    while (met := tokens.next()) == LITERAL:
        tokens.keep()
    if met != COMMAND or not tokens.idle:
        raise BadSyntax("These are not arguments")
    args = Arguments(tokens)
    args.utf8 = utf8
    args.rewind()
    args.tag()
    args.sp()
    return args
