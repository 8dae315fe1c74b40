"""Messages that a client sends with APPEND and REPLACE (RFC 4466 §2.7, append-message).

They stream to disk. Each literal is looked at when it is announced: what can be refused is
refused before the client sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pymaild._parser import ANNOUNCED, LIST_BEGIN, QUOTED, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar, limits
from pymaild.imap._arguments import Arguments
from pymaild.imap.urls import Resolver
from pymaild.mail.flags import Flags
from pymaild.mail.recode import storable
from pymaild.mail.spool import Spool

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Mailbox
    from pymaild.mail.stores import Draft

Incoming = tuple["Draft", Flags, int | None]

_IN_MEMORY = 1 << 18  # octets of a binary message


class Upload:
    """The messages of one command, on disk and not yet in their mailbox."""

    def __init__(self, session: ImapSession, args: Arguments, mailbox: Mailbox) -> None:
        self._session, self._args, self._mailbox = session, args, mailbox
        self._urls = Resolver(session.account)
        self._largest: int = session.services.mail.message_size
        self.messages: list[Incoming] = []
        self.frees = (0, 0)  # messages and octets that go in exchange

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not committed."""
        self._urls.close()
        for draft, *_rest in self.messages:
            draft.discard()

    def receive(self, most: int | None = None) -> list[Incoming]:
        """Read at most ``most`` messages, and the command's end. Raises BadSyntax, Refused."""
        while True:
            limits.check(len(self.messages) + 1, limits.saving(self._session))
            self._args.sp()
            flags, date = _options(self._args)
            bits = self._flags(flags)
            self.messages.append((self._draft(), bits, date))
            if not self._args.more() or len(self.messages) == most:
                self._args.end()
                return self.messages

    def _flags(self, names: list[str]) -> Flags:
        """Those of the flags that the user may set here (RFC 4314 §4)."""
        allowed = self._mailbox.allowed()
        flags = self._mailbox.flags(names, create=bool(allowed.keywords))
        return Flags(flags.system & allowed.system, flags.keywords & allowed.keywords)

    # -- one message ---------------------------------------------------------------------------

    def _draft(self) -> Draft:
        """append-data: a literal, a binary one, or CATENATE (RFC 4469 §5)."""
        args = self._args
        if args.ahead(b"CATENATE"):
            args.name()
            args.sp()
            return self._text(self._catenated())
        if args.ahead(b"UTF8"):
            return self._binary(self._utf8(self._largest))
        self._check(self._largest)
        if self._session.intake.tokens.literal_size == 0:
            raise Refused(None, "An empty message cannot be stored")
        if self._session.intake.tokens.literal_binary:
            return self._binary(self._literal())
        return self._text(self._literal())

    def _text(self, pieces: Iterable[bytes]) -> Draft:
        """Store octets that may have any line ends."""
        if not self._session.modes.utf8 and not self._session.quirks.append_8bit_headers:
            pieces = _without_8bit_header(pieces)
        return self._mailbox.write(_not_empty(pieces))

    def _binary(self, pieces: Iterable[bytes]) -> Draft:
        """Store a literal8: it is looked at as a whole first (RFC 3516 §4.4)."""
        with Spool(self._session.services.spool, _IN_MEMORY) as spool:
            for piece in pieces:
                spool.write(piece)
            return self._text(storable(spool.view()))

    # -- literals ------------------------------------------------------------------------------

    def _check(self, room: int, binary: bool | None = None) -> int:
        """Look at what is announced; returns its size (RFC 7889 §4, RFC 4469 §4.2)."""
        tokens = self._session.intake.tokens
        if self._args.peek() != ANNOUNCED or not self._args.glued():
            raise BadSyntax("Expected a message as a literal")
        if binary is not None and tokens.literal_binary != binary:
            raise BadSyntax("Expected the other kind of literal")
        if tokens.literal_size > room:
            raise Refused(Code.TOOBIG, "The message is larger than this server accepts")
        ready = sum(draft.size for draft, *_ in self.messages) + tokens.literal_size
        messages, octets = self.frees
        self._mailbox.admit(len(self.messages) + 1 - messages, ready - octets)
        return tokens.literal_size

    def _literal(self) -> Iterator[bytes]:
        yield from self._session.intake.literal()
        self._session.intake.go_on()
        self._args.message()

    def _utf8(self, room: int) -> Iterator[bytes]:
        """UTF8 (~{n} ...): a message or a part of it with UTF-8 headers (RFC 6855 §4)."""
        self._args.name()
        self._args.sp()
        self._args.open()
        self._args.item()
        self._check(room, binary=True)
        yield from self._literal()
        if self._args.item():
            raise BadSyntax("Expected one literal")

    # -- CATENATE ------------------------------------------------------------------------------

    def _catenated(self) -> Iterator[bytes]:
        """Yield the octets of the parts, one behind the other (RFC 4469 §3)."""
        args, room, count = self._args, self._largest, 0
        args.open()
        while args.item():
            for piece in self._part(room):
                room -= len(piece)
                yield piece
            count += 1
        if not count:
            raise BadSyntax("Expected at least one part")

    def _part(self, room: int) -> Iterator[bytes]:
        """cat-part: TEXT, URL or UTF8."""
        args = self._args
        if args.ahead(b"UTF8"):
            return _without_nul(self._utf8(room))
        kind = args.name()
        args.sp()
        if kind == b"TEXT":
            self._check(room, binary=False)
            return self._literal()
        if kind != b"URL":
            raise BadSyntax("Expected TEXT or URL")
        return self._url(room)

    def _url(self, room: int) -> Iterator[bytes]:
        if self._args.peek() == ANNOUNCED and self._args.glued():
            self._session.intake.keep_literal()
        share = self._urls.resolve(self._args.astring())
        if share.size > room:
            raise Refused(Code.TOOBIG, "The message is larger than this server accepts")
        return share.pieces()


def _options(args: Arguments) -> tuple[list[str], int | None]:
    """append-opts: flags and date, each with the space behind it."""
    flags: list[str] = []
    date = None
    if args.peek() == LIST_BEGIN:
        flags = grammar.flag_list(args)
        args.sp()
    if args.peek() == QUOTED:
        date = args.date_time()
        args.sp()
    return flags, date


def _without_nul(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if b"\0" in piece:
            raise Refused(Code.UNKNOWN_CTE, "A part of a message cannot hold NUL here")
        yield piece


def _not_empty(pieces: Iterable[bytes]) -> Iterator[bytes]:
    empty = True
    for piece in pieces:
        empty = empty and not piece
        yield piece
    if empty:
        raise Refused(None, "An empty message cannot be stored")


def _without_8bit_header(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Refuse a message whose header only clients can read that asked for UTF-8 (RFC 6855 §4)."""
    before, in_header = b"\n", True
    for piece in pieces:
        if in_header:
            text = before + piece
            ends = [end for end in (text.find(b"\n\n"), text.find(b"\n\r\n")) if end >= 0]
            if not text[: min(ends, default=len(text))].isascii():
                raise Refused(Code.CANNOT, "The header is in UTF-8: ENABLE UTF8=ACCEPT first")
            before, in_header = text[-2:], not ends
        yield piece
