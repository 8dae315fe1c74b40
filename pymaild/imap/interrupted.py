"""The command that was under way when the process of a session died (net/_journal.pyx).

Commands run again; :data:`ROWS` says why none is done twice thereby. Two kinds are not run but
thrown away: those whose input was too large to keep, and those that processes die of. They are
answered NO, unless they were done before their process died.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from pymaild._parser import COMMAND, LITERAL, NEED_MORE, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import outcomes
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.append import stored
from pymaild.imap.commands.copy import taken

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

log = logging.getLogger("pymaild.imap")

_TRIES = 2  # processes that may die of a command

_SECRET = (b"LOGIN", b"AUTHENTICATE")


class Way(Enum):
    """How a command runs again that a process has died in."""

    REPEAT = "as it is: it only asks, or to do it twice is to do it once"
    TOLERATE = "what it would change already is as it wants it, if it was about to change that"
    CONTINUE = "what had been done is left out, and told with the rest"
    REPORT = "what had been done is told; else it runs as it is"


_WAYS = {
    Way.TOLERATE: ("CREATE", "DELETE", "RENAME", "STORE", "UID STORE"),
    Way.CONTINUE: ("COPY", "UID COPY", "MOVE", "UID MOVE"),
    Way.REPORT: ("APPEND", "REPLACE", "UID REPLACE"),
    Way.REPEAT: (
        *("CAPABILITY", "NOOP", "LOGOUT", "ID", "LANGUAGE", "ENABLE", "COMPARATOR", "NOTIFY"),
        *("STARTTLS", "COMPRESS", "AUTHENTICATE", "LOGIN", "UNAUTHENTICATE", "IDLE"),
        *("SELECT", "EXAMINE", "CLOSE", "UNSELECT", "CHECK", "EXPUNGE", "UID EXPUNGE"),
        *("LIST", "LSUB", "XLIST", "NAMESPACE", "STATUS", "SUBSCRIBE", "UNSUBSCRIBE"),
        *("GETMETADATA", "SETMETADATA", "GETQUOTA", "GETQUOTAROOT", "SETQUOTA"),
        *("GETACL", "SETACL", "DELETEACL", "LISTRIGHTS", "MYRIGHTS"),
        *("FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "ESEARCH", "CANCELUPDATE"),
        *("SORT", "UID SORT", "THREAD", "UID THREAD", "UIDBATCHES"),
    ),
}

#: Each command that there is.
ROWS = {name: way for way, names in _WAYS.items() for name in names}

#: What returns the response code of one that was done.
_OUTCOMES = dict.fromkeys(_WAYS[Way.REPORT], stored) | dict.fromkeys(_WAYS[Way.CONTINUE], taken)

#: Those by which messages go: the code comes first, in an OK of its own with this text. Whether
#: they are whole by then.
_REMOVING = {
    "REPLACE": ("Replacement is ready", True),
    "UID REPLACE": ("Replacement is ready", True),
    "MOVE": ("Moved", False),
    "UID MOVE": ("Moved", False),
}


def take_up(session: ImapSession) -> None:
    """Begin with what a record says of an interrupted command; its ``unread`` is tokens now."""
    record = session.record
    unread, record.unread = record.unread, b""
    if record.lost != -1:
        _without_its_beginning(session)
    elif record.again >= _TRIES:
        _unwanted(session, unread)
    elif record.again:
        log.warning("session=%s goes on: the process that had it has died", record.id)


def _without_its_beginning(session: ImapSession) -> None:
    """Answer NO behind a literal of which the beginning is lost."""
    record, tokens = session.record, session.intake.tokens
    session.tag = record.head.lstrip().partition(b" ")[0] or b"*"
    tokens.skip(max(record.lost, 0))
    while tokens.next() == NEED_MORE:
        tokens.feed(session.read())
    lost = Refused(Code.UNAVAILABLE, "The server has lost what was sent, try again")
    _answer(session, _name(record.head), lost)


def _unwanted(session: ImapSession, unread: bytes) -> None:
    """Read a command that processes die of without running it, and answer NO.

    Where they die outside of commands, the session has to end.
    """
    record, tokens = session.record, session.intake.tokens
    if tokens.idle or record.idling:
        session.services.board.incident(record, b"")
        session.bye("The server has failed")
        return
    _read(session)
    size = max(len(unread) - tokens.behind, 0)
    session.services.board.incident(record, _masked(unread[:size]))
    deadly = Refused(Code.SERVERBUG, "This command ends the processes that run it")
    _answer(session, _name(unread[:size]), deadly)


def _read(session: ImapSession) -> None:
    """Read a command to its end: its literals, and the lines that were asked for."""
    tokens, args = session.intake.tokens, session.intake.args
    asked = session.record.asked.count(b"\n")
    while (met := tokens.next()) in (NEED_MORE, LITERAL):
        if met == NEED_MORE:
            tokens.feed(session.read())
        elif tokens.literal_waits and not asked:
            tokens.discard()
        else:
            asked -= tokens.literal_waits
            tokens.stream()
            _swallow(session)
    session.tag = _tag(args) if met == COMMAND else tokens.refused_tag
    if met == COMMAND:
        for _ in range(asked):
            _line(session)


def _swallow(session: ImapSession) -> None:
    tokens = session.intake.tokens
    tokens.take()
    while tokens.literal_left:
        tokens.absorb(session.read())


def _tag(args: Arguments) -> bytes:
    args.rewind()
    try:
        return args.tag()
    except BadSyntax:
        return b"*"


def _line(session: ImapSession) -> None:
    try:
        session.intake.line()
    except BadSyntax as error:  # it was too long
        log.debug("session=%s: %s", session.record.id, error)


def _name(data: bytes) -> str:
    """The name of a command, from how it begins."""
    words = [word.decode("ascii", "replace").upper() for word in data.split(None, 3)[1:3]]
    return " ".join(words) if words[:1] == ["UID"] else "".join(words[:1])


def _answer(session: ImapSession, name: str, refused: Refused) -> None:
    session.count()
    try:
        code = _done(session, name)
    except Refused as error:
        code = None
        outcomes.log_refusal(session, error)
    if code is None:
        outcomes.no(session, refused)
    else:
        if session.selection is not None:
            session.tell(expunge=True)
        session.write(b"%b OK %b%b\r\n" % (session.tag, code, session.say(f"{name} completed")))
    session.settle()
    session.commit()


def _done(session: ImapSession, name: str) -> bytes | None:
    """Return the response code, if any, of a command that was done, else None.

    What a MOVE has moved is told either way (RFC 6851 §4.3).
    """
    if not session.record.intents or not session.present or name not in _OUTCOMES:
        return None
    code = _OUTCOMES[name](session)
    if code is None or name not in _REMOVING:
        return code
    text, whole = _REMOVING[name]
    if code:
        session.write(b"* OK %b%b\r\n" % (code, session.say(text)))
    session.tell(expunge=True)
    return b"" if whole else None


def _masked(data: bytes) -> bytes:
    """Leave out what may be a password."""
    words = data.split(None, 2)
    if len(words) > 2 and words[1].upper() in _SECRET:
        return b" ".join(words[:2])
    return data
