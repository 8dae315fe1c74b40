"""The loop of commands: what becomes of each that a client gives.

What comes from the client is in intake.py, what a failed command is answered in outcomes.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import COMMAND, LITERAL, NEED_MORE, BadSyntax
from pymaild.core.errors import Disconnected, Leave, Parked, Refused, TimedOut, from_oserror
from pymaild.imap import outcomes
from pymaild.imap._arguments import Arguments
from pymaild.imap.command import Command
from pymaild.imap.commands import COMMANDS, NUMBERED
from pymaild.imap.responses import text
from pymaild.imap.resume import resume
from pymaild.imap.selection import GONE, Gone
from pymaild.imap.sets import UIDREQUIRED

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def converse(session: ImapSession) -> None:
    """Obey commands until one of them, or the client, has ended that."""
    while session.ending is None:
        tokens = session.intake.tokens
        met = tokens.next()
        if met == NEED_MORE:
            tokens.feed(session.read(tokens.idle, tokens.portable))
            continue
        session.changed = True
        if met == COMMAND:
            _command(session)
        elif met == LITERAL:
            _literal(session)
        else:
            session.count()
            outcomes.rejected(session)
        if session.intake.tokens.complete and session.ending is None:
            ended(session)


def ended(session: ImapSession) -> None:
    """A command has ended. Most commands that only ask leave the record as it is."""
    if session.interrupted:
        session.intake.swallow_lines()
        session.settle()
        session.interrupted = False
    if session.changed or session.notifier is not None or _moved(session):
        session.commit()
    else:
        session.stream.commit(None, session.intake.tokens.behind)
    session.stream.turn()


def _moved(session: ImapSession) -> bool:
    """Whether the selected mailbox is seen in another state than the record says."""
    if session.selection is None:
        return False
    return session.selection.selected.view.snapshot != session.record.snapshot


# -- one command -----------------------------------------------------------------------------


def _command(session: ImapSession) -> None:
    session.count()
    args = session.intake.args
    args.rewind()
    session.tag = b"*"
    try:
        session.tag = args.tag()
        row = _row(session, args)
    except BadSyntax as error:
        outcomes.bad(session, str(error))
    else:
        execute(session, row)


def _row(session: ImapSession, args: Arguments) -> Command:
    """Return the row of the command that is named next. Raises BadSyntax."""
    args.sp()
    name = args.name()
    if name == b"UID" and args.more():
        args.sp()
        name = b"UID " + args.name()
    row = COMMANDS.get(name)
    if row is None:
        raise BadSyntax("Unknown command")
    if session.record.state not in row.states:
        raise BadSyntax(f"{row.name} is not possible in this state")
    if session.modes.uidonly and row.name in NUMBERED:
        raise BadSyntax(UIDREQUIRED)
    return row


def execute(session: ImapSession, row: Command) -> None:
    """Run a command; what it raises has exactly one reply (RFC 3501 §7.1)."""
    session.command = row.name
    session.changed = False
    try:
        _be_present(session, row)
        answer = row.run(session, session.intake.args)
        if session.selection is not None:
            session.tell(row.expunge)
    except BadSyntax as error:
        session.intake.settle()
        outcomes.bad(session, str(error))
    except (Refused, OSError) as error:
        received = session.intake.settle()
        refused = error if isinstance(error, Refused) else from_oserror(error)
        outcomes.refuse(session, refused, row.expunge and received)
    except Gone:
        session.bye(GONE)
    except (Disconnected, TimedOut, Leave, Parked):
        raise
    except Exception:
        outcomes.bug(session)
    else:
        _succeeded(session, row, answer)


def _succeeded(session: ImapSession, row: Command, answer: bytes | None) -> None:
    """Answer OK, with what the command itself has to say there."""
    session.changed = session.changed or row.changes or session.record.bad > 0
    session.record.bad = 0
    if answer is not None:
        session.write(b"%b OK %b\r\n" % (session.tag, answer))
    elif session.say is text:  # English: made beforehand
        session.write(session.tag + row.ok)
    else:
        session.write(b"%b OK %b\r\n" % (session.tag, session.say(f"{row.name} completed")))


def _be_present(session: ImapSession, row: Command) -> None:
    """Resume what could not be resumed when the session went on here. Raises Refused, Gone."""
    if session.absent and row.name != "LOGOUT":
        resume(session)
        session.absent = False


# -- a command with a literal ----------------------------------------------------------------


def _literal(session: ImapSession) -> None:
    """Decide about an announced literal before any of it is read."""
    args = session.intake.args
    args.rewind()
    session.tag = b"*"
    try:
        session.tag = args.tag()
        row = _row(session, args)
        session.intake.check_literal()
        _be_present(session, row)
        streams = row.announced is not None and row.announced(session, args)
    except BadSyntax as error:
        session.count()
        session.intake.settle()
        outcomes.bad(session, str(error))
    except Refused as error:
        session.count()
        session.intake.settle()
        outcomes.no(session, error)
    else:
        _take_literal(session, row, streams)


def _take_literal(session: ImapSession, row: Command, streams: bool) -> None:
    if streams:
        session.count()
        args = session.intake.args
        args.rewind()
        args.tag()
        _row(session, args)
        execute(session, row)
    elif session.intake.tokens.keep():
        session.intake.ask()
