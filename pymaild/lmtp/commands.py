"""The commands of LMTP, one row each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild.core.session import OPEN, Ending
from pymaild.lmtp import delivery, replies
from pymaild.lmtp.address import Address, parse_path
from pymaild.lmtp.data import DataDecoder
from pymaild.lmtp.intake import Intake
from pymaild.lmtp.record import State
from pymaild.lmtp.replies import Reply

if TYPE_CHECKING:
    from pymaild.lmtp.session import LmtpSession

_NAME = re.compile(r"[!-~]{1,255}")  # RFC 6531 §3.7.1: A-labels, no UTF-8
_DIGITS = re.compile(r"[0-9]{1,20}")  # RFC 1870 §3, and RFC 3030 §2 says no less
_KNOWN_BODIES = frozenset({"7BIT", "8BITMIME"})  # RFC 6152 §2


class Invalid(Exception):
    """A command that cannot be understood, with its reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def text(arguments: bytes) -> str:
    """Arguments as text: ASCII, or UTF-8 where RFC 6531 allows it."""
    try:
        return arguments.decode()
    except UnicodeDecodeError:
        raise Invalid(replies.BAD_ARGUMENTS) from None


def lhlo(session: LmtpSession, arguments: bytes) -> None:
    name = text(arguments).strip()
    if not _NAME.fullmatch(name):
        raise Invalid(replies.BAD_ARGUMENTS)
    session.record.helo = name
    session.reset()
    limit = session.services.mail.message_size
    lines = [session.services.hostname, *(row.line(limit) for row in EXTENSIONS)]
    session.lines(250, lines)


def mail(session: LmtpSession, arguments: bytes) -> None:
    sender, rest = _path(arguments, "FROM:", replies.BAD_SENDER)
    wants = _parameters(rest)
    for name, value in wants.items():
        check = _MAIL_PARAMETERS.get(name)
        if check is None:
            raise Invalid(replies.BAD_PARAMETER)
        check(session, value)
    if sender is not None and not sender.ascii and "SMTPUTF8" not in wants:
        raise Invalid(replies.UTF8_SENDER)
    session.reset()
    session.record.sender = str(sender) if sender else ""
    session.record.utf8 = "SMTPUTF8" in wants
    session.record.size = int(wants.get("SIZE") or 0)
    session.record.state = State.MAIL
    session.reply(Reply(250, "2.1.0", "OK"))


def _size(session: LmtpSession, value: str) -> None:
    """RFC 1870 §6.1: what is too big is refused before it is sent."""
    if not _DIGITS.fullmatch(value):
        raise Invalid(replies.BAD_ARGUMENTS)
    if int(value) > session.services.mail.message_size:
        raise Invalid(replies.TOO_BIG)


def _body(session: LmtpSession, value: str) -> None:
    if value.upper() not in _KNOWN_BODIES:
        raise Invalid(replies.BAD_PARAMETER)


def _no_value(session: LmtpSession, value: str) -> None:
    if value:
        raise Invalid(replies.BAD_ARGUMENTS)


_MAIL_PARAMETERS: dict[str, Callable[[LmtpSession, str], None]] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _no_value,
}


def rcpt(session: LmtpSession, arguments: bytes) -> None:
    address, rest = _path(arguments, "TO:", replies.BAD_RECIPIENT)
    if _parameters(rest):
        raise Invalid(replies.BAD_PARAMETER)
    if address is None:
        raise Invalid(replies.BAD_RECIPIENT)
    if not address.ascii and not session.record.utf8:
        raise Invalid(replies.UTF8_RECIPIENT)
    session.reply(_add_recipient(session, address))


def _add_recipient(session: LmtpSession, address: Address) -> Reply:
    if len(session.record.recipients) >= session.services.settings.recipients:
        return replies.TOO_MANY_RECIPIENTS  # RFC 5321 §4.5.3.1.10
    recipient = delivery.resolve(session, address)
    if recipient is None:
        return replies.NO_SUCH_USER
    full = delivery.over_quota(session, recipient)
    if full is not None:
        return full
    session.record.recipients.append(recipient)
    session.record.state = State.RECIPIENTS
    return Reply(250, "2.1.5", "OK")


def _path(arguments: bytes, keyword: str, wrong: Reply) -> tuple[Address | None, str]:
    line = text(arguments)
    if line[: len(keyword)].upper() != keyword:
        raise Invalid(replies.BAD_ARGUMENTS)
    try:
        # No space belongs here (RFC 5321 §3.3), but enough senders put one.
        return parse_path(line[len(keyword) :].lstrip(" "))
    except ValueError:
        raise Invalid(wrong) from None


def _parameters(rest: str) -> dict[str, str]:
    """Read ``SP keyword [= value]`` as often as it stands there (RFC 5321 §4.1.2)."""
    if rest and not rest.startswith(" "):
        raise Invalid(replies.BAD_ARGUMENTS)
    found: dict[str, str] = {}
    for word in rest.split():
        name, _, value = word.partition("=")
        if not name or name.upper() in found:
            raise Invalid(replies.BAD_ARGUMENTS)
        found[name.upper()] = value
    return found


def data(session: LmtpSession, arguments: bytes) -> None:
    session.stream.ask(replies.START.wire(), OPEN)
    intake = session.intake()
    decoder = DataDecoder()
    with session.message():
        while not decoder.done:
            intake.write(decoder.feed(session.chunk()))
    session.reader.give_back(decoder.rest)
    _finish(session, intake)


def bdat(session: LmtpSession, arguments: bytes) -> None:
    """A chunk is read whole before anything is said of it (RFC 3030 §2)."""
    size, last = _chunk_arguments(session, arguments)
    in_transaction = session.record.state not in (State.CONNECTED, State.READY)
    expected = session.record.state in (State.RECIPIENTS, State.CHUNKS)
    if not expected:
        session.swallow(size)
        _unexpected_chunk(session, in_transaction and last)
        return
    session.record.state = State.CHUNKS
    _take_chunk(session, size)
    if last:
        _finish(session, session.intake())
    elif session.record.failure:
        session.reply(Reply.parse(session.record.failure))
    else:
        session.reply(Reply(250, "2.0.0", f"{size} octets received"))


def _chunk_arguments(session: LmtpSession, arguments: bytes) -> tuple[int, bool]:
    words = text(arguments).upper().split()
    shape = [bool(_DIGITS.fullmatch(words[0])), *words[1:]] if words else []
    if shape not in ([True], [True, "LAST"]):
        # Where the chunk ends is anybody's guess: nothing behind this can be trusted.
        session.ending = Ending.CLOSED
        raise Invalid(replies.BAD_ARGUMENTS)
    return int(words[0]), len(words) > 1


def _unexpected_chunk(session: LmtpSession, silent: bool) -> None:
    """RFC 2033 §4.3: without a recipient BDAT LAST has no reply at all, but ends the message."""
    if silent:
        session.reset()
    else:
        raise Invalid(replies.BAD_SEQUENCE)


def _take_chunk(session: LmtpSession, size: int) -> None:
    intake = session.intake()
    if intake.failure is None and intake.spool.size + size > session.services.mail.message_size:
        intake.refuse(replies.TOO_BIG)
    session.expect(size)
    with session.message():
        while size:
            piece = session.chunk(size)
            intake.write(piece)
            size -= len(piece)
    session.record.failure = str(intake.failure or "")


def _finish(session: LmtpSession, intake: Intake) -> None:
    """The message is complete: one reply for each recipient (RFC 2033 §4.2)."""
    session.record.state = State.RECIPIENTS  # nothing more is to come
    if intake.failure is None:
        delivery.deliver_to_all(session, intake.spool)
    else:
        delivery.refuse_all(session, intake.failure)
    session.reset()


def rset(session: LmtpSession, arguments: bytes) -> None:
    session.reset()
    session.reply(replies.OK)


def noop(session: LmtpSession, arguments: bytes) -> None:
    session.reply(replies.OK)


def vrfy(session: LmtpSession, arguments: bytes) -> None:
    """Says neither yes nor no: RCPT is the one place that tells users apart (RFC 5321 §7.3)."""
    session.reply(Reply(252, "2.5.0", "Try RCPT"))


def help_(session: LmtpSession, arguments: bytes) -> None:
    session.reply(Reply(214, "2.0.0", "Commands: " + " ".join(name.decode() for name in COMMANDS)))


def quit_(session: LmtpSession, arguments: bytes) -> None:
    session.reply(replies.BYE)
    session.ending = Ending.CLOSED


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the states it is allowed in and what runs it.

    ``arguments``: None where any are taken, else whether there must be some or none.
    """

    name: bytes
    states: frozenset[State]
    arguments: bool | None
    handler: Callable[[LmtpSession, bytes], None]
    place: str


_ANY = frozenset(State)

_ROWS = (
    Command(b"LHLO", _ANY, True, lhlo, "RFC 2033 §4.1"),
    Command(b"MAIL", frozenset({State.READY}), True, mail, "RFC 5321 §4.1.1.2"),
    Command(b"RCPT", frozenset({State.MAIL, State.RECIPIENTS}), True, rcpt, "RFC 5321 §4.1.1.3"),
    Command(b"DATA", frozenset({State.RECIPIENTS}), False, data, "RFC 2033 §4.2"),
    Command(b"BDAT", _ANY, None, bdat, "RFC 3030 §2, RFC 2033 §4.3"),
    Command(b"RSET", _ANY, False, rset, "RFC 5321 §4.1.1.5"),
    Command(b"VRFY", _ANY, True, vrfy, "RFC 5321 §4.1.1.6"),
    Command(b"HELP", _ANY, None, help_, "RFC 5321 §4.1.1.8"),
    Command(b"NOOP", _ANY, None, noop, "RFC 5321 §4.1.1.9"),
    Command(b"QUIT", _ANY, False, quit_, "RFC 5321 §4.1.1.10"),
)

COMMANDS = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class Extension:
    """One line of the reply to LHLO; ``sized`` ones carry the size of the largest message."""

    keyword: str
    place: str
    sized: bool = False

    def line(self, limit: int) -> str:
        """The line as it is announced."""
        return f"{self.keyword} {limit}" if self.sized else self.keyword


EXTENSIONS = (
    Extension("PIPELINING", "RFC 2920 §3"),
    Extension("SIZE", "RFC 1870 §4", sized=True),
    Extension("8BITMIME", "RFC 6152 §2"),
    Extension("ENHANCEDSTATUSCODES", "RFC 2034 §3"),
    Extension("SMTPUTF8", "RFC 6531 §3.1"),
    Extension("CHUNKING", "RFC 3030 §2"),
)
