"""What a client sends: the tokens of a command, its literals, and lines that are no command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pymaild._parser import LITERAL, NEED_MORE, REFUSED, BadSyntax, Tokenizer
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_NON_SYNC_LIMIT = 4096  # octets, RFC 7888 §5


class Intake:
    """The tokenizer of a session, fed by its ``read``, and ``args``, the cursor over the tokens.

    Both are others once :meth:`take_unread` has been called.
    """

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        self._begin()

    def _begin(self) -> None:
        settings = self._session.settings
        self.tokens = Tokenizer(settings.command_size, settings.nesting)
        self.args = Arguments(self.tokens, self._session.quirks)

    def line(self) -> bytes:
        """Return a line that is no command, in the middle of one. Raises BadSyntax."""
        while (line := self.tokens.line()) is None:
            self.tokens.feed(self._session.read())
        return line

    def take_unread(self) -> bytes:
        """Return what has come behind the command under way, and forget it."""
        unread = self.tokens.unread()
        self._begin()
        self.args.utf8 = self._session.modes.utf8
        return unread

    # -- literals ----------------------------------------------------------------------------

    def check_literal(self) -> None:
        """RFC 7888 §5: LITERAL- allows 4096 octets without waiting. Raises BadSyntax."""
        tokens = self.tokens
        if tokens.literal_waits or self._session.settings.literal == "plus":
            return
        if tokens.literal_size > _NON_SYNC_LIMIT:
            raise BadSyntax("[TOOBIG] A literal this long needs to be synchronizing")

    def ask(self) -> None:
        """Ask for the announced literal, if the client waits for that (RFC 3501 §7.5)."""
        if self.tokens.literal_waits:
            self._session.stream.ask(b"+ OK\r\n")

    def literal(self) -> Iterator[bytes]:
        """Yield the octets of the announced literal as they come; asks for them first."""
        tokens, stream = self.tokens, self._session.stream
        tokens.stream()
        piece = tokens.take()
        if tokens.literal_waits:
            stream.ask(b"+ OK\r\n", tokens.literal_left)
        else:
            stream.expect(tokens.literal_left)
        if piece:
            yield piece
        while self.tokens.literal_left:
            yield self.tokens.absorb(self._session.read())
            self._session.services.board.beat()

    def keep_literal(self) -> None:
        """Take the announced literal into the command as an argument. Raises BadSyntax."""
        if not self.tokens.keep():
            raise BadSyntax(self.tokens.refusal or "Literal is too long")
        self.ask()
        self.go_on()

    def go_on(self) -> None:
        """Read on behind a literal: to the next one or the end of the command. Raises BadSyntax."""
        while (met := self.tokens.next()) == NEED_MORE:
            self.tokens.feed(self._session.read())
        if met == REFUSED:
            raise BadSyntax(self.tokens.refusal or "Command was refused")
        if met == LITERAL:
            self.check_literal()

    def settle(self) -> bool:
        """Throw away what is to come of a command that was answered before its end.

        Returns whether it was received to its end: false where the client waits for a
        continuation, and the command has never been in progress (RFC 3501 §7.4.1).
        """
        tokens = self.tokens
        self._swallow_asked()
        if tokens.complete:
            return True
        whole = not tokens.waiting
        tokens.discard()
        while tokens.next() == NEED_MORE:
            tokens.feed(self._session.read())
        return whole

    def _swallow_asked(self) -> None:
        """Read literals that a process that died has asked for: their octets are no commands."""
        while self.tokens.waiting and self._session.stream.asked:
            for _ in self.literal():
                pass
            while self.tokens.next() == NEED_MORE:
                self.tokens.feed(self._session.read())

    def swallow_lines(self) -> None:
        """Read lines that a process that died has asked for."""
        while self._session.stream.asked:
            self._session.stream.ask(b"")
            with suppress(BadSyntax):  # too long
                self.line()
