"""The loop of one POP3 session."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pymaild.auth import dialogue
from pymaild.core.errors import Disconnected, Leave, Parked, Refused, StorageFailure, TimedOut
from pymaild.core.lines import LineReader, LineTooLong
from pymaild.core.session import Ending, Stream, Wait
from pymaild.core.texts import place
from pymaild.mail.account import Account
from pymaild.mail.services import Services
from pymaild.pop3 import interrupted, replies
from pymaild.pop3.commands import COMMANDS, Command, Invalid
from pymaild.pop3.maildrop import Maildrop
from pymaild.pop3.record import Pop3Record, State
from pymaild.pop3.settings import Pop3Settings
from pymaild.storage.locks import let_go
from pymaild.storage.retry import delays, passes

log = logging.getLogger("pymaild.pop3")

Action = Callable[[], None]

_BATCH = 512  # lines of a listing that are put together before they are written


class Pop3Session:
    """Runs a session from where its record says it is until it ends in this process."""

    def __init__(
        self, record: Pop3Record, stream: Stream, services: Services[Pop3Settings]
    ) -> None:
        self.record = record
        self.stream = stream
        self.services = services
        self.reader = LineReader(stream, record.unread, True, record.wait)
        self.ending: Ending | None = None
        self.say = replies.speech(record.language)
        self._drop: Maildrop | None = None
        self._midway = False
        self._changed = True  # the record, by the command under way
        waited, record.wait = record.wait or Wait(), None
        self._held = waited.descriptor  # has the lock of the maildrop
        login = services.settings.login_timeout
        self._login_deadline = time.monotonic() + min(waited.seconds or login, login)

    def run(self) -> Ending:
        """Talk to the client. Never raises for anything that a client or a disk can do."""
        self.record.unread = b""
        try:
            self._begin()
            while self.ending is None:
                self._one_command()
                if self.ending is None:
                    self._ended()
            # Whoever has read the reply to QUIT may log in again: the lock goes first.
            self._close_drop()
            self.stream.flush()
        except (Disconnected, TimedOut):
            # RFC 1939 §3: autologout neither enters UPDATE nor says anything.
            self.ending = Ending.CLOSED
        except Leave as leave:
            self._send_away(leave)
        except Parked:
            self._park()
        finally:
            self._finish()
        return self.ending or Ending.CLOSED

    # -- what handlers use ---------------------------------------------------------------

    @property
    def tls(self) -> bool:
        """Whether the client's connection is protected."""
        return self.record.tls is not None

    @property
    def drop(self) -> Maildrop:
        """The open maildrop; only commands of the TRANSACTION state ask for it."""
        assert self._drop is not None
        return self._drop

    def stls_possible(self) -> bool:
        """Whether STLS would be accepted now (RFC 2595 §4)."""
        before = self.record.state == State.AUTHORIZATION
        return before and not self.tls and self.services.starttls

    def ok(self, text: str, data: str = "") -> None:
        """Write a positive status line: a text for people, data for the program in front."""
        self.stream.write(replies.ok(text, data, self.say))

    def told(self, data: str) -> None:
        """Write a positive status line that is nothing but data."""
        self.stream.write(replies.ok("", data))

    def defer(self) -> None:
        """The command has changed nothing that must survive this process at once."""
        self._changed = False

    def speak(self, language: str) -> None:
        """Say texts in this language from now on (RFC 6856 §3.2)."""
        self.record.language = language
        self.say = replies.speech(language)

    def listing(self, lines: Iterable[str]) -> None:
        """Write the lines of a multi-line response and its end."""
        self.body(_joined(lines))

    def body(self, pieces: Iterable[bytes]) -> None:
        """Write what follows the status line of a multi-line response, its end included.

        When this fails there is no way to tell the client but to close the connection.
        """
        self._midway = True
        for piece in pieces:
            self.stream.write(piece)
            self.services.board.beat()
        self._midway = False

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Number and octets of every message that is not deleted."""
        for number in self.drop.numbers():
            if number % _BATCH == 0:
                self.services.board.beat()
            yield number, self.drop.size(number)

    def response_line(self) -> bytes:
        """The client's next line of an AUTH exchange (RFC 5034 §4)."""
        return self.reader.line(self.services.settings.sasl_size, self._timeout(), idle=False)

    def enter(self) -> None:
        """Open the maildrop of the authenticated user and answer the login with it."""
        try:
            delay = self.services.settings.login_delay
            self._drop = Maildrop.open(self._account(), self.record, self._read_only(), delay)
        except BaseException:
            self.ending = Ending.CLOSED  # RFC 1939 §4: the server may close the connection
            raise
        self.record.state = State.TRANSACTION
        self.record.ticket = ""
        self._note()
        log.info("login: %s", dialogue.who(self.record))
        self.ok(f"Logged in, {len(list(self.drop.numbers()))} messages")

    def update(self) -> int:
        """Run the UPDATE state; returns how many messages were removed."""
        removed = self.drop.update()
        log.info(
            "logout: %s retrieved=%d octets=%d deleted=%d",
            dialogue.who(self.record),
            self.record.retrieved,
            self.record.octets,
            removed,
        )
        return removed

    # -- the loop ------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self.record.greeted:
            self.record.greeted = True
            self.record.state = State.AUTHORIZATION
            self.ok("POP3 ready")
            self.commit()
        self._note()
        resume = {State.AUTHENTICATED: self._arrive, State.TRANSACTION: self._reopen}
        action = resume.get(State(self.record.state))
        if action is not None:
            self._guarded(action)
        if self.ending is None:
            interrupted.take_up(self)

    def _arrive(self) -> None:
        """Answer a login that began in another process."""
        self.enter()
        self.commit()

    def _reopen(self) -> None:
        """Take up the maildrop; what fails for a moment is tried again."""
        try:
            for delay in delays(self.services.mail.retry_timeout):
                try:
                    self._resume()
                    return
                except Refused as refused:
                    if not passes(refused):
                        raise
                self.stream.pause(delay)
            self._resume()
        except BaseException:
            self.ending = Ending.CLOSED
            raise
        finally:
            let_go(self._held, self._drop is None)

    def _resume(self) -> None:
        account, held = self._account(), self._held
        self._drop = Maildrop.resume(account, self.record, self._read_only(), held)

    def _ended(self) -> None:
        """A command has ended. Those that only ask leave the record as it is."""
        if self.record.asked:
            interrupted.swallow_lines(self)
        if self._changed:
            self.commit()
        else:
            self.stream.commit(None, self.reader.behind)
        self.reader.rest(self._timeout())
        self.stream.turn()

    def commit(self) -> None:
        """What is written has been said, and is in the record: others can go on from here."""
        self.record.settle()
        self.stream.commit(self.record.encode, self.reader.behind)

    def _one_command(self) -> None:
        self._changed = True
        try:
            line = self.reader.line(
                self._limit(),
                self._timeout(),
                idle=self.record.state != State.TRANSACTION,
                parks=True,
            )
        except LineTooLong as error:
            self._too_long(error)
            return
        self.record.commands += 1
        self.services.board.count("commands")
        self._command(line)

    def _command(self, line: bytes) -> None:
        keyword, _, rest = line.partition(b" ")
        row = COMMANDS.get(keyword.upper())
        if row is None:
            self._bad("Unknown command")
        elif self.record.state not in row.states:
            self._bad("Not allowed in this state")
        else:
            self._guarded(lambda: self._execute(row, rest))

    def _execute(self, row: Command, rest: bytes) -> None:
        self._changed = row.changes
        row.handler(self, row.arguments(rest))
        self._changed = self._changed or self.record.bad > 0 or self.record.again > 0
        self.record.bad = 0

    def _guarded(self, action: Action) -> None:
        """Run ``action`` and turn what it raises into its reply."""
        try:
            action()
        except Invalid as error:
            self._bad(str(error))
        except LineTooLong as error:
            self._too_long(error)
        except Refused as refused:
            self._refuse(refused)
        except (Disconnected, TimedOut, Leave):
            raise
        except Exception:
            self._bug()

    def _refuse(self, refused: Refused) -> None:
        if isinstance(refused, StorageFailure):
            log.error("session=%s user=%r: %s", self.record.id, self._name(), refused.detail)
        self._give_up_midway()
        self.stream.write(replies.refusal(refused, self.say))

    def _bug(self) -> None:
        reference = secrets.token_hex(4)
        log.exception("internal error %s: session=%s", reference, self.record.id)
        self.services.board.count("bugs")
        self._give_up_midway()
        told = replies.err(f"Internal error, reference {reference}", replies.TEMPORARY, self.say)
        self.stream.write(told)

    def _give_up_midway(self) -> None:
        if self._midway:
            raise Disconnected("a response broke off")

    def _too_long(self, error: LineTooLong) -> None:
        self._bad("Line too long")
        if not error.ended:
            self.ending = Ending.CLOSED

    def _bad(self, text: str) -> None:
        self.record.bad += 1
        self.stream.write(replies.err(text, say=self.say))
        if self.record.bad >= self.services.settings.bad_commands:
            self.ending = Ending.CLOSED

    # -- the end -------------------------------------------------------------------------

    def _send_away(self, leave: Leave) -> None:
        self.ending = Ending.CLOSED
        try:
            self.stream.write(replies.err(leave.text, replies.TEMPORARY, self.say))
            self.stream.flush()
        except (Disconnected, TimedOut):
            log.debug("session=%s was gone before it could be told to leave", self.record.id)

    def _park(self) -> None:
        """End the session in this process: it goes on in another when its client says something.

        The maildrop's lock waits with it, so that the maildrop is this session's all the time
        (RFC 1939 §4). Where flags are still to be set on what was retrieved, the session goes on
        too when the client has gone.
        """
        leave = replies.err(place(self.record.language), replies.TEMPORARY)
        wait = Wait(seconds=self.reader.left, leave=leave, ends=not self.record.seen)
        if self._drop is not None:
            drop, self._drop = self._drop, None
            wait.descriptor = drop.park()
        self.record.wait = wait
        self.ending = Ending.PARK

    def _finish(self) -> None:
        self.record.unread = self.reader.take()
        self._close_drop()

    def _close_drop(self) -> None:
        drop, self._drop = self._drop, None
        if drop is None:
            return
        try:
            drop.keep_seen()
        except Refused as refused:
            log.warning("session=%s: \\Seen is lost: %s", self.record.id, refused.detail)
        finally:
            drop.close()

    # -- small things --------------------------------------------------------------------

    def _limit(self) -> int:
        """RFC 5034 §4 keeps commands short; clients put tokens into them all the same."""
        settings = self.services.settings
        before = self.record.state == State.AUTHORIZATION
        longer = before and self.services.quirks.pop3_long_auth
        return max(settings.command_size, settings.sasl_size if longer else 0)

    def _timeout(self) -> float:
        if self.record.user is None:
            return max(self._login_deadline - time.monotonic(), 0.0)
        return self.services.settings.idle_timeout

    def _account(self) -> Account:
        assert self.record.user is not None
        return self.services.open_account(self.record.user)

    def _read_only(self) -> bool:
        return not self.services.settings.mark_seen

    def _note(self) -> None:
        mailbox = "INBOX" if self._drop is not None else ""
        self.services.board.note(self.record, mailbox=mailbox)

    def _name(self) -> str:
        return self.record.user.name if self.record.user else ""


def _joined(lines: Iterable[str]) -> Iterator[bytes]:
    """Lines of a listing in batches, and the dot that ends it. No line begins with a dot."""
    source = iter(lines)
    while batch := list(islice(source, _BATCH)):
        yield "".join([line + "\r\n" for line in batch]).encode("ascii")
    yield b".\r\n"
