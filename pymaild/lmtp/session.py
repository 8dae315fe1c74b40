"""The loop of one LMTP session."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pymaild.core.errors import Disconnected, Leave, Parked, Refused, TimedOut
from pymaild.core.lines import LineReader, LineTooLong
from pymaild.core.session import Ending, Stream, User, Wait
from pymaild.lmtp import interrupted, replies
from pymaild.lmtp.commands import COMMANDS, Command, Invalid
from pymaild.lmtp.delivery import bug
from pymaild.lmtp.intake import Intake
from pymaild.lmtp.record import LmtpRecord, State
from pymaild.lmtp.replies import Reply
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail.services import Services
from pymaild.mail.spool import Spool

log = logging.getLogger("pymaild.lmtp")

_BETWEEN_MESSAGES = frozenset({State.CONNECTED, State.READY})


class LmtpSession:
    """Runs a session from where its record says it is until it ends in this process.

    ``users`` remembers the auth role's answers for one transaction.
    """

    def __init__(
        self, record: LmtpRecord, stream: Stream, services: Services[LmtpSettings]
    ) -> None:
        self.record = record
        self.stream = stream
        self.services = services
        self.reader = LineReader(stream, record.unread, wait=record.wait)
        self.users: dict[str, User | None] = {}
        self.ending: Ending | None = None
        self._intake: Intake | None = None

    def run(self) -> Ending:
        """Talk to the client. Never raises for anything that a client or a disk can do."""
        self.record.unread, self.record.wait = b"", None
        try:
            self._begin()
            while self.ending is None:
                self._one_command()
                if self.ending is None:
                    self.commit()
            self.stream.flush()
        except Disconnected:
            self.ending = Ending.CLOSED
        except TimedOut:
            self._say_last(replies.TIMEOUT)
        except Leave as leave:
            self._say_last(Reply(421, "4.3.2", leave.text))
        except Parked:
            self._park()
        finally:
            self.record.unread = self.reader.take()
            self._drop_intake()
        return self.ending or Ending.CLOSED

    # -- what handlers use ---------------------------------------------------------------

    def reply(self, reply: Reply) -> None:
        """Write one reply."""
        self.stream.write(reply.wire())

    def lines(self, code: int, lines: list[str]) -> None:
        """Write a reply of several lines (RFC 5321 §4.2.1)."""
        *most, last = lines
        text = "".join([f"{code}-{line}\r\n" for line in most]) + f"{code} {last}\r\n"
        self.stream.write(text.encode("ascii", "replace"))

    def reset(self) -> None:
        """End the transaction and forget what it held."""
        self._drop_intake()
        self.users.clear()
        self.record.reset()

    def intake(self) -> Intake:
        """The message of this transaction; begun when there is none."""
        if self._intake is None:
            spool = Spool(self.services.spool, self.services.settings.spool_memory)
            self._intake = Intake(spool, self.services.mail.message_size)
        return self._intake

    def chunk(self, most: int = 65536) -> bytes:
        """The next octets of a message, at most ``most``."""
        self.services.board.beat()
        return self.reader.chunk(self.services.settings.timeout, min(most, 65536))

    @contextmanager
    def message(self) -> Iterator[None]:
        """While octets of a message are read: what breaks this off also ends the session.

        The rest of the message must not be taken for commands.
        """
        try:
            yield
        except BaseException:
            self.ending = Ending.CLOSED
            raise

    def expect(self, size: int) -> None:
        """Note that so many octets of a message follow the command."""
        self.stream.expect(max(size - self.reader.behind, 0))

    def lose(self, reply: Reply) -> None:
        """A chunk of the message is missing: it has earned this reply."""
        self.record.state = State.CHUNKS
        self.record.failure = str(reply)
        self.intake().refuse(reply)

    def command_line(self) -> bytes:
        """The next line that is a command. Raises LineTooLong.

        A session that has received chunks of a message stays in its process: they are there.
        """
        settings, state = self.services.settings, self.record.state
        idle, parks = state in _BETWEEN_MESSAGES, state != State.CHUNKS
        return self.reader.line(settings.command_size, settings.timeout, idle, parks)

    def commit(self) -> None:
        """What is written has been said, and is in the record: others can go on from here."""
        self.record.settle()
        self.stream.commit(self.record.encode, self.reader.behind)

    def swallow(self, count: int) -> None:
        """Read octets that nobody wants."""
        self.expect(count)
        while count:
            count -= len(self.chunk(count))

    # -- the loop ------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self.record.greeted:
            self.record.greeted = True
            self.record.state = State.CONNECTED
            self.reply(Reply(220, "", f"{self.services.hostname} LMTP ready"))
            self.commit()
        if self.record.state == State.CHUNKS and not self.record.failure:
            self.record.failure = str(replies.CHUNKS_LOST)
        if self.record.failure:
            self.intake().refuse(Reply.parse(self.record.failure))
        self.services.board.note(self.record)
        interrupted.take_up(self)

    def _one_command(self) -> None:
        try:
            line = self.command_line()
        except LineTooLong as error:
            self._bad(replies.LINE_TOO_LONG)
            if not error.ended:
                self.ending = Ending.CLOSED
            return
        self.record.commands += 1
        self.services.board.count("commands")
        self._command(line)

    def _command(self, line: bytes) -> None:
        keyword, _, arguments = line.partition(b" ")
        row = COMMANDS.get(keyword.upper())
        if row is None:
            self._bad(replies.UNKNOWN_COMMAND)
        elif row.arguments is not None and row.arguments != bool(arguments.strip()):
            self._bad(replies.BAD_ARGUMENTS)
        elif self.record.state not in row.states:
            self._bad(replies.BAD_SEQUENCE)
        else:
            self._run(row, arguments)

    def _run(self, row: Command, arguments: bytes) -> None:
        """Run a command and turn what it raises into its reply."""
        try:
            row.handler(self, arguments)
            self.record.bad = 0
        except Invalid as error:
            self._bad(error.reply)
        except Refused as refused:
            log.warning("session=%s: %s", self.record.id, refused)
            self.reply(replies.refusal(refused, self.services.settings.quota_full))
        except (Disconnected, TimedOut, Leave):
            raise
        except Exception:
            self.reply(bug(self))

    def _bad(self, reply: Reply) -> None:
        self.record.bad += 1
        self.reply(reply)
        if self.record.bad >= self.services.settings.bad_commands and self.ending is None:
            self.reply(replies.TOO_MANY_ERRORS)
            self.ending = Ending.CLOSED

    # -- the end -------------------------------------------------------------------------

    def _park(self) -> None:
        """End the session in this process: it goes on in another when its client says something."""
        leave = Reply(421, "4.3.2", "%s").wire()
        farewell = replies.TIMEOUT.wire()
        self.record.wait = Wait(seconds=self.reader.left, farewell=farewell, leave=leave)
        self.ending = Ending.PARK

    def _say_last(self, reply: Reply) -> None:
        self.ending = Ending.CLOSED
        try:
            self.reply(reply)
            self.stream.flush()
        except (Disconnected, TimedOut):
            log.debug("session=%s was gone before its last reply", self.record.id)

    def _drop_intake(self) -> None:
        if self._intake is not None:
            self._intake.close()
            self._intake = None
