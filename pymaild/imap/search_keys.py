"""The grammar of SEARCH: one table of keys (RFC 3501 §6.4.4, §9, search-key)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from pymaild._parser import ATOM, LIST_BEGIN, QUOTED, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import search, search_message
from pymaild.imap._arguments import Arguments
from pymaild.imap.facts import Facts, fixed
from pymaild.imap.filters import Filters, read_name, undefined
from pymaild.imap.modifiers import LARGEST_MODSEQ
from pymaild.imap.search import Key
from pymaild.imap.selection import Selection
from pymaild.imap.sets import UIDREQUIRED, Ranges, beyond
from pymaild.imap.settings import ImapSettings
from pymaild.mail.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from pymaild.mime.collation import Comparator, comparator
from pymaild.mime.headers import codec

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_DAY = 86400
_LARGEST_UID = 0xFFFFFFFF
_LARGEST_SIZE = (1 << 62) - 1
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_CHARSETS_OF_FILTERS = ("", "ascii", "utf-8")  # RFC 5466 §3.1


@dataclass
class Reader:
    """Reads search keys.

    ``charset`` is a Python codec; ``saved`` are the UIDs that "$" stands for; ``depth`` is how
    deep keys are nested. ``modseq`` says afterwards that the client asked for mod-sequences,
    and is to be told the highest (RFC 7162 §3.1.5). ``facts`` is for programs that are read
    again later: see :class:`Facts`.
    ``selection`` is None where keys are only checked; ``strict``: numbers of messages that are
    not there are an error. ``comparator`` is the active one (RFC 5255 §4.2).
    """

    args: Arguments
    selection: Selection | None
    settings: ImapSettings
    filters: Filters
    comparator: Comparator
    charset: str = ""
    saved: Ranges = field(default_factory=list)
    strict: bool = False
    depth: int = 0
    modseq: bool = False
    facts: Facts | None = None
    utf8_only: bool = False  # CHARSET contradicts UTF8=ACCEPT (RFC 6855 §3)

    @classmethod
    def of(cls, session: ImapSession, args: Arguments) -> Self:
        """A reader of keys for the selected mailbox."""
        reader = cls.elsewhere(session, args, session.current)
        reader.saved = [(low, high) for low, high in session.record.saved]
        reader.strict = not session.quirks.absent_numbers
        return reader

    @classmethod
    def elsewhere(
        cls, session: ImapSession, args: Arguments, selection: Selection | None = None
    ) -> Self:
        """A reader of keys for any mailbox, where "$" is empty; without one, just to check."""
        charset = "utf-8" if session.modes.rev2 else ""  # RFC 9051 §6.4.4
        active = comparator(session.record.comparator)
        reader = cls(args, selection, session.settings, Filters(session), active, charset)
        reader.utf8_only = "UTF8=ACCEPT" in session.record.enabled
        return reader

    def charset_given(self) -> None:
        """Read CHARSET and its name, if it is there. Raises Refused BADCHARSET."""
        if not self.args.ahead(b"CHARSET"):
            return
        if self.utf8_only:
            raise BadSyntax("CHARSET is not possible with UTF8=ACCEPT")
        self.args.name()
        self.args.sp()
        self.charset = charset(self.args.astring())
        self.args.sp()

    def charset_first(self) -> None:
        """Read the name of the character set that SORT and THREAD must have (RFC 5256 §3).

        UTF8=ACCEPT forbids CHARSET in SEARCH alone (RFC 6855 §3). Raises Refused BADCHARSET.
        """
        self.charset = charset(self.args.astring())
        self.args.sp()

    def search(self) -> Key:
        """Read what SEARCH has to the end of the command."""
        self.charset_given()
        return self.program()

    def program(self) -> Key:
        """Read all keys to the end of the command; they must all match."""
        keys = [self.key()]
        while self.args.more():
            self.args.sp()
            keys.append(self.key())
        self.args.end()
        return keys[0] if len(keys) == 1 else search.And(keys)

    def key(self) -> Key:
        """Read one key."""
        if self.depth >= self.settings.nesting:
            raise Refused(Code.LIMIT, "Search keys are nested too deeply")
        self.depth += 1
        try:
            return self._key()
        finally:
            self.depth -= 1

    def _key(self) -> Key:
        args = self.args
        if args.peek() == LIST_BEGIN:
            return self._group()
        if args.peek() != ATOM:
            raise BadSyntax("Expected a search key")
        if args.first() in _SET_BEGINS:
            return self.numbers(by_uid=False)
        read = KEYS.get(args.name())
        if read is None:
            raise BadSyntax("Unknown search key")
        return read(self)

    def _group(self) -> Key:
        keys = []
        self.args.open()
        while self.args.item():
            keys.append(self.key())
        if not keys:
            raise BadSyntax("Expected a search key")
        return keys[0] if len(keys) == 1 else search.And(keys)

    def numbers(self, by_uid: bool) -> Key:
        """Read a set of sequence numbers or UIDs, or "$" (RFC 5182 §2.1)."""
        if self.args.ahead(b"$"):
            self.args.word()
            ranges, by_uid = self.saved, True
        else:
            ranges = self.args.sequence_set()
        if self.selection is None:
            return search.All()
        if self.facts is not None and self.facts.given is not None:
            return search.Numbers(next(self.facts.given), by_uid=True)
        view = self.selection.selected.view
        if not by_uid:
            if self.selection.modes.uidonly:
                raise BadSyntax(UIDREQUIRED)
            self.selection.numbered = True
            if self.strict and beyond(ranges, len(view)):
                raise BadSyntax("The set names a message that does not exist")
        if self.facts is None:
            return search.Numbers(ranges, by_uid)
        return search.Numbers(self.facts.of(lambda: fixed(view, ranges, by_uid)), by_uid=True)

    # -- arguments -----------------------------------------------------------------------------

    def next_key(self) -> Key:
        """Read a key behind a space."""
        self.args.sp()
        return self.key()

    def text(self) -> str:
        """Read a string behind a space; returns it decoded, as the comparator prepares it."""
        self.args.sp()
        octets = self.args.astring()
        try:
            text = octets.decode(self.charset) if self.charset else self._guess(octets)
        except (UnicodeDecodeError, ValueError):
            raise Refused(None, "A search string does not fit the character set") from None
        return self.comparator.prepare(text)

    def _guess(self, octets: bytes) -> str:
        """Without CHARSET strings are ASCII; clients send what they like."""
        if not self.args.quirks.raw_search:
            return octets.decode("ascii")
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("latin-1")

    def day(self) -> int:
        """Read a date behind a space; seconds from 1970 to its midnight."""
        self.args.sp()
        return self.args.date()

    def interval(self) -> int:
        """Read a number of seconds, one at least, behind a space (RFC 5032 §3)."""
        self.args.sp()
        seconds: int = self.args.number()
        if not seconds:
            raise BadSyntax("Expected an interval in seconds")
        return seconds

    def size(self) -> int:
        """Read a number of octets behind a space."""
        self.args.sp()
        return self.args.number(_LARGEST_SIZE)

    def keyword(self) -> int:
        """Read a keyword behind a space; returns its bit, 0 where no message can have it."""
        self.args.sp()
        name = self.args.atom().decode("ascii")
        if self.selection is None:
            return 0
        return self.selection.mailbox.flags([name], False).keywords

    def filter(self) -> Key:
        """Read the name of a filter, and its keys from where they stand (RFC 5466 §3.1)."""
        self.args.sp()
        name = read_name(self.args)
        if self.charset not in _CHARSETS_OF_FILTERS:
            raise BadSyntax("[BADCHARSET] Filters are possible with UTF-8 only")
        if self.selection is None:
            return search.All()
        program = self.fact(lambda: self.filters.find(name))
        outer = self.args, self.charset
        self.filters.under_way.append(name.lower())
        try:
            self.args, self.charset = self.filters.arguments(program), "utf-8"
            return self.program()
        except BadSyntax:
            raise undefined(name) from None
        finally:
            self.args, self.charset = outer
            self.filters.under_way.pop()

    def fact(self, find: Callable[[], Any]) -> Any:
        """Find out what a part of the program means, or take what it meant at first."""
        return find() if self.facts is None else self.facts.of(find)

    def object_id(self, kind: Literal["emailid", "threadid"]) -> Key:
        """Read an objectid behind a space (RFC 8474 §6)."""
        self.args.sp()
        value = self.args.atom()
        if not _OBJECT_ID.fullmatch(value):
            raise BadSyntax("Expected an object identifier")
        return search_message.ObjectId(kind, value)

    def field(self, name: bytes = b"") -> Key:
        """Read a string to be found in a header field, whose name is read first if not given."""
        if not name:
            self.args.sp()
            name = self.args.astring().upper()
        return search_message.Header(name, self.text(), self.comparator)

    def words(self, header: bool) -> Key:
        """Read a string to be found in the body, or in the header too."""
        return search_message.Text(self.text(), header, self.comparator)


_SET_BEGINS = frozenset(b"0123456789*$")


def charset(name: bytes) -> str:
    """Return the codec of a CHARSET argument. Raises Refused BADCHARSET (RFC 3501 §6.4.4)."""
    found = codec(name.decode("ascii", "replace"))
    if found is None:
        raise Refused(Code.BADCHARSET, "Unknown character set")
    return codecs.lookup(found).name


_Read = Callable[[Reader], Key]


def _with(flags: int) -> _Read:
    key = search.HasFlags(must=flags)
    return lambda reader: key


def _without(flags: int) -> _Read:
    key = search.HasFlags(must_not=flags)
    return lambda reader: key


def _field(name: bytes) -> _Read:
    return lambda reader: reader.field(name)


def _keyword(reader: Reader) -> Key:
    bit = reader.keyword()
    return search.HasFlags(keywords=bit) if bit else search.Not(search.All())


def _or(reader: Reader) -> Key:
    left = reader.next_key()
    return search.Or(left, reader.next_key())


def _on(column: search.Column) -> _Read:
    def read(reader: Reader) -> Key:
        day = reader.day()
        return search.Between(column, day, day + _DAY - 1)

    return read


def _sent_on(reader: Reader) -> Key:
    day = reader.day() // _DAY
    return search_message.Sent(day, day)


def _uid(reader: Reader) -> Key:
    reader.args.sp()
    return reader.numbers(by_uid=True)


def _unique(reader: Reader) -> int:
    reader.args.sp()
    uid = reader.args.number()
    if not uid:
        raise BadSyntax("Expected a UID")
    return uid


def _between(low: int, high: int) -> Key:
    """UIDAFTER, UIDBEFORE (RFC 9738 §3.2): where a command that was limited left off."""
    return search.Numbers([(low, high)] if low <= high else [], by_uid=True)


def _modseq(reader: Reader) -> Key:
    """RFC 7162 §3.1.5: one mod-sequence for all of a message, so the name of an item is read
    and passed over.
    """
    args = reader.args
    args.sp()
    if args.peek() == QUOTED:
        args.string()
        args.sp()
        if args.name() not in _ENTRY_TYPES:
            raise BadSyntax("Expected PRIV, SHARED or ALL")
        args.sp()
    reader.modseq = True
    return search.ModSeq(args.number(LARGEST_MODSEQ))


_ENTRY_TYPES = (b"PRIV", b"SHARED", b"ALL")


def _new(reader: Reader) -> Key:
    return search.And([search.Recent(), search.HasFlags(must_not=SEEN)])


KEYS: dict[bytes, _Read] = {
    b"ALL": lambda reader: search.All(),
    b"ANSWERED": _with(ANSWERED),
    b"BCC": _field(b"BCC"),
    b"BEFORE": lambda reader: search.Between("date", high=reader.day() - 1),
    b"BODY": lambda reader: reader.words(header=False),
    b"CC": _field(b"CC"),
    b"DELETED": _with(DELETED),
    b"DRAFT": _with(DRAFT),
    b"EMAILID": lambda reader: reader.object_id("emailid"),
    b"FILTER": lambda reader: reader.filter(),
    b"FLAGGED": _with(FLAGGED),
    b"FROM": _field(b"FROM"),
    b"HEADER": lambda reader: reader.field(),
    b"KEYWORD": _keyword,
    b"LARGER": lambda reader: search.Size(low=reader.size() + 1),
    b"MODSEQ": _modseq,
    b"NEW": _new,
    b"NOT": lambda reader: search.Not(reader.next_key()),
    b"OLD": lambda reader: search.Not(search.Recent()),
    b"OLDER": lambda reader: search.Older(reader.interval()),
    b"ON": _on("date"),
    b"OR": _or,
    b"RECENT": lambda reader: search.Recent(),
    b"SAVEDATESUPPORTED": lambda reader: search.All(),  # RFC 8514 §4.3
    b"SAVEDBEFORE": lambda reader: search.Between("save_date", high=reader.day() - 1),
    b"SAVEDON": _on("save_date"),
    b"SAVEDSINCE": lambda reader: search.Between("save_date", low=reader.day()),
    b"SEEN": _with(SEEN),
    b"SENTBEFORE": lambda reader: search_message.Sent(high=reader.day() // _DAY - 1),
    b"SENTON": _sent_on,
    b"SENTSINCE": lambda reader: search_message.Sent(low=reader.day() // _DAY),
    b"SINCE": lambda reader: search.Between("date", low=reader.day()),
    b"SMALLER": lambda reader: search.Size(high=reader.size() - 1),
    b"SUBJECT": _field(b"SUBJECT"),
    b"TEXT": lambda reader: reader.words(header=True),
    b"THREADID": lambda reader: reader.object_id("threadid"),
    b"TO": _field(b"TO"),
    b"UID": _uid,
    b"UIDAFTER": lambda reader: _between(_unique(reader) + 1, _LARGEST_UID),
    b"UIDBEFORE": lambda reader: _between(1, _unique(reader) - 1),
    b"UNANSWERED": _without(ANSWERED),
    b"UNDELETED": _without(DELETED),
    b"UNDRAFT": _without(DRAFT),
    b"UNFLAGGED": _without(FLAGGED),
    b"UNKEYWORD": lambda reader: search.HasFlags(not_keywords=reader.keyword()),
    b"UNSEEN": _without(SEEN),
    b"YOUNGER": lambda reader: search.Younger(reader.interval()),
}
