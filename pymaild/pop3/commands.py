"""The commands of POP3, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.core.session import Ending
from pymaild.pop3 import languages, login
from pymaild.pop3.capabilities import announced
from pymaild.pop3.framing import first_lines, framed, with_empty_line, with_end_of_header
from pymaild.pop3.record import State
from pymaild.pop3.uidl import UidlFormat

if TYPE_CHECKING:
    from pymaild.mail.message import Source
    from pymaild.pop3.session import Pop3Session

Arguments = list[bytes]

#: How many messages are retrieved before the record says so: if the process dies, as many less one
#: stay without \Seen.
_KEPT_EVERY = 16


class Invalid(Exception):
    """The arguments of a command are not what its row or its handler asks for."""


def number(text: bytes) -> int:
    """Read a number as an argument: up to ten digits."""
    if not text.isdigit() or len(text) > 10:
        raise Invalid("Not a number")
    return int(text)


def message_number(session: Pop3Session, text: bytes) -> int:
    """Read a message number. Raises Refused when no such message is left."""
    wanted = number(text)
    if wanted not in session.drop:
        raise Refused(None, "No such message")
    return wanted


def capa(session: Pop3Session, arguments: Arguments) -> None:
    lines = list(announced(session))
    session.ok("Capability list follows")
    session.listing(lines)


def quit_unauthenticated(session: Pop3Session) -> None:
    session.ok("Bye")


def quit_update(session: Pop3Session) -> None:
    """The UPDATE state: messages are removed here and nowhere else (RFC 1939 §6)."""
    removed = session.update()
    session.ok(f"Bye, {removed} messages deleted" if removed else "Bye")


_QUIT = {State.AUTHORIZATION: quit_unauthenticated, State.TRANSACTION: quit_update}


def quit_(session: Pop3Session, arguments: Arguments) -> None:
    session.ending = Ending.CLOSED
    _QUIT[State(session.record.state)](session)


def stls(session: Pop3Session, arguments: Arguments) -> None:
    if session.tls:
        raise Refused(None, "TLS is active already")
    if session.record.utf8:
        raise Refused(None, "STLS comes before UTF8")  # RFC 6856 §2.1
    if not session.stls_possible():
        raise Refused(None, "TLS is not available")
    if session.reader.pending:
        # Whoever put commands behind STLS wanted them to count as protected. They are not.
        session.reader.take()
        session.ending = Ending.CLOSED
        raise Refused(None, "Nothing may follow STLS before TLS is active")
    session.record.name = ""
    session.ok("Begin TLS negotiation")
    session.speak("")  # RFC 2595 §4: whoever said LANG may have been somebody else
    session.ending = Ending.TLS


def noop(session: Pop3Session, arguments: Arguments) -> None:
    session.ok("Still here")


def stat(session: Pop3Session, arguments: Arguments) -> None:
    sizes = list(session.sizes())
    session.told(f"{len(sizes)} {sum(size for _, size in sizes)}")


def list_(session: Pop3Session, arguments: Arguments) -> None:
    if arguments:
        wanted = message_number(session, arguments[0])
        session.told(f"{wanted} {session.drop.size(wanted)}")
        return
    sizes = list(session.sizes())
    session.ok(f"{len(sizes)} messages ({sum(size for _, size in sizes)} octets)")
    session.listing(f"{wanted} {size}" for wanted, size in sizes)


def uidl(session: Pop3Session, arguments: Arguments) -> None:
    names = UidlFormat(session.services.settings.uidl_format)
    if arguments:
        wanted = message_number(session, arguments[0])
        session.told(f"{wanted} {_unique_id(session, names, wanted)}")
        return
    lines = [f"{each} {_unique_id(session, names, each)}" for each in session.drop.numbers()]
    session.ok("Unique-id listing follows")
    session.listing(lines)


def _unique_id(session: Pop3Session, names: UidlFormat, wanted: int) -> str:
    name = session.drop.file_name(wanted) if names.uses_name else ""
    return names(session.drop.uid(wanted), session.record.uidvalidity, name)


def retr(session: Pop3Session, arguments: Arguments) -> None:
    wanted = message_number(session, arguments[0])
    whole = session.drop.whole(wanted)
    if whole is not None:
        octets, size, wide = whole
        languages.check(session, lambda: wide)
        session.ok(f"{size} octets")
        session.body([octets])
    else:
        size = _pieces(session, wanted)
    session.record.retrieved += 1
    session.record.octets += size
    if session.services.settings.mark_seen:
        session.drop.retrieved(wanted)
    if session.services.settings.taken_away:
        session.drop.take(wanted)
    elif session.record.retrieved % _KEPT_EVERY:
        session.defer()


def _pieces(session: Pop3Session, wanted: int) -> int:
    """Send a message piece by piece; returns its octets."""
    message = session.drop.message(wanted)
    languages.check(session, message.wide)
    source = message.section((), "")
    if source is None:
        raise Refused(None, "No such message")
    session.ok(f"{source.size} octets")
    pieces = source.pieces()
    if session.services.quirks.pop3_end_of_header:
        pieces = with_end_of_header(pieces)
    session.body(framed(pieces))
    return source.size


def top(session: Pop3Session, arguments: Arguments) -> None:
    """Headers, the empty line, and ``n`` lines counted from there on (RFC 1939 §7)."""
    wanted, lines = message_number(session, arguments[0]), number(arguments[1])
    message = session.drop.message(wanted)
    languages.check(session, message.wide)
    header = with_empty_line(message.header())
    session.ok("Top of message follows")
    session.body(framed(_top_pieces(header, message.section((), "TEXT"), lines)))


def _top_pieces(header: bytes, text: Source | None, lines: int) -> Iterator[bytes]:
    yield header
    if text is not None and lines:
        yield from first_lines(text.pieces(), lines)


def dele(session: Pop3Session, arguments: Arguments) -> None:
    wanted = message_number(session, arguments[0])
    session.drop.delete(wanted)
    session.ok(f"Message {wanted} marked for deletion")


def rset(session: Pop3Session, arguments: Arguments) -> None:
    session.drop.undelete()
    session.ok("No message is marked for deletion")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: where it is allowed, how many arguments it takes, what runs it.

    ``raw`` commands take all that follows the first space as their one argument. ``changes`` is
    false where the record stays as it is, but for how many commands there were.
    """

    name: bytes
    states: frozenset[State]
    least: int
    most: int
    handler: Callable[[Pop3Session, Arguments], None]
    place: str
    raw: bool = False
    changes: bool = True

    def arguments(self, rest: bytes) -> Arguments:
        """Split what follows the keyword. Raises Invalid when there are too many or too few."""
        found = [rest] if self.raw and rest else rest.split()
        if not self.least <= len(found) <= self.most:
            raise Invalid(_takes(self.name.decode(), self.least, self.most))
        return found


def _takes(name: str, least: int, most: int) -> str:
    if most == 0:
        return f"{name} takes no argument"
    if least == most:
        return f"{name} takes {least} arguments"
    return f"{name} takes {least} to {most} arguments"


_BEFORE = frozenset({State.AUTHORIZATION})
_AFTER = frozenset({State.TRANSACTION})
_BOTH = _BEFORE | _AFTER

_ROWS = (
    Command(b"CAPA", _BOTH, 0, 0, capa, "RFC 2449 §5", changes=False),
    Command(b"STLS", _BEFORE, 0, 0, stls, "RFC 2595 §4"),
    Command(b"USER", _BEFORE, 1, 1, login.user, "RFC 1939 §7", raw=True),
    Command(b"PASS", _BEFORE, 1, 1, login.password, "RFC 1939 §7", raw=True),
    Command(b"AUTH", _BEFORE, 0, 2, login.auth, "RFC 5034 §4"),
    Command(b"UTF8", _BEFORE, 0, 0, languages.utf8, "RFC 6856 §2.1"),
    Command(b"LANG", _BOTH, 0, 1, languages.lang, "RFC 6856 §3.2"),
    Command(b"QUIT", _BOTH, 0, 0, quit_, "RFC 1939 §4, §6"),
    Command(b"STAT", _AFTER, 0, 0, stat, "RFC 1939 §5", changes=False),
    Command(b"LIST", _AFTER, 0, 1, list_, "RFC 1939 §5", changes=False),
    Command(b"UIDL", _AFTER, 0, 1, uidl, "RFC 1939 §7", changes=False),
    Command(b"RETR", _AFTER, 1, 1, retr, "RFC 1939 §5"),
    Command(b"TOP", _AFTER, 2, 2, top, "RFC 1939 §7", changes=False),
    Command(b"DELE", _AFTER, 1, 1, dele, "RFC 1939 §5"),
    Command(b"NOOP", _AFTER, 0, 0, noop, "RFC 1939 §5", changes=False),
    Command(b"RSET", _AFTER, 0, 0, rset, "RFC 1939 §5"),
)

COMMANDS = {row.name: row for row in _ROWS}
