"""The loop of one IMAP session."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Iterator

from pymaild._parser import COMMAND, LITERAL, NEED_MORE, REFUSED, BadSyntax, Tokenizer
from pymaild.core.errors import (
    Code,
    Disconnected,
    Leave,
    Refused,
    StorageFailure,
    TimedOut,
    from_oserror,
)
from pymaild.core.session import Ending, Stream
from pymaild.imap import capability, names
from pymaild.imap._arguments import Arguments
from pymaild.imap.command import Command
from pymaild.imap.commands import COMMANDS, IDLE_AGAIN, NUMBERED
from pymaild.imap.commands.compress import begin as begin_compression
from pymaild.imap.events import Wishes
from pymaild.imap.modes import Modes
from pymaild.imap.notifier import Notifier
from pymaild.imap.progress import Progress
from pymaild.imap.record import ImapRecord
from pymaild.imap.responses import refusal, text
from pymaild.imap.resume import resume
from pymaild.imap.selection import Gone, Selection
from pymaild.imap.sets import UIDREQUIRED
from pymaild.imap.settings import ImapSettings
from pymaild.imap.states import State
from pymaild.mail.account import Account
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.selected import Selected
from pymaild.mail.services import Services

log = logging.getLogger("pymaild.imap")

_NON_SYNC_LIMIT = 4096  # octets, RFC 7888 §5


class ImapSession:
    """Runs a session from where its record says it is until it ends in this process."""

    def __init__(
        self, record: ImapRecord, stream: Stream, services: Services[ImapSettings]
    ) -> None:
        self.record = record
        self.stream = stream
        self.services: Services[ImapSettings] = services
        self.settings: ImapSettings = services.settings
        self.tokens = Tokenizer(self.settings.command_size, self.settings.nesting)
        self.args = Arguments(self.tokens)
        self.write = stream.write
        self.tag = b"*"
        self.command = ""  # the one under way
        self.selection: Selection | None = None
        self.progress = Progress(self)
        self._switch()
        self.ending: Ending | None = None
        self.last_words = ""  # of a BYE behind the tagged NO to come
        self.notifier: Notifier | None = None
        self.added: set[int] = set()  # UIDs this client itself brought into the selected mailbox
        self._account: Account | None = None
        self._deadline = time.monotonic() + self.settings.unauthenticated_timeout

    def run(self) -> Ending:
        """Talk to the client until it leaves, is sent away, or goes on in another process."""
        try:
            self._begin()
            self._converse()
            if self.ending is Ending.DEFLATE:
                begin_compression(self)
                self._converse()
            self.stream.flush()
        except Disconnected:
            self.ending = Ending.CLOSED
        except Gone:
            self._leave("The selected mailbox was deleted or renumbered")
        except TimedOut:
            self._leave("Autologout, the connection was silent for too long")
        except Leave as leave:
            self._leave(leave.text)
        finally:
            self._finish()
        return self.ending or Ending.CLOSED

    def _converse(self) -> None:
        """Obey commands until one of them, or the client, has ended that."""
        while self.ending is None:
            met = self.tokens.next()
            if met == NEED_MORE:
                self.tokens.feed(self.read(self.tokens.idle))
            elif met == COMMAND:
                self._command()
            elif met == LITERAL:
                self._literal()
            else:
                self._refused()

    # -- the state ---------------------------------------------------------------------------

    @property
    def tls(self) -> bool:
        """Whether the client's connection is protected."""
        return self.record.tls is not None

    @property
    def starttls_possible(self) -> bool:
        """Whether STARTTLS would be accepted."""
        return self.services.starttls and self.record.tls is None

    @property
    def compress_possible(self) -> bool:
        """Whether COMPRESS would be accepted."""
        return self.services.deflate is not None and not self.record.compressed

    @property
    def account(self) -> Account:
        """The mail of the user who has logged in."""
        assert self._account is not None, "the command table lets no stranger in"
        return self._account

    @property
    def current(self) -> Selection:
        """The selected mailbox, in the selected state."""
        assert self.selection is not None, "the command table asks for the selected state"
        return self.selection

    def enter(self, account: Account) -> None:
        """Go to the authenticated state."""
        self._account = account
        account.beat = self.progress.beat
        account.journal.origin = self.record.id
        self.record.state = State.AUTHENTICATED
        self.note()

    def select(self, selected: Selected) -> Selection:
        """Go to the selected state."""
        self.selection = Selection(selected, self.modes)
        self.added.clear()
        if self.notifier is not None:
            self.notifier.selected(selected.mailbox.name)
        self.record.state = State.SELECTED
        self.record.mailbox = selected.mailbox.name
        self.record.read_only = selected.read_only
        self.note()
        return self.selection

    def enable(self, asked: Iterable[str]) -> None:
        """Switch capabilities on for the rest of the session (RFC 5161 §3.1).

        Where that makes the client one that knows mod-sequences, it is told that of the selected
        mailbox (RFC 7162 §3.1).
        """
        aware = self.modes.condstore
        self.record.enabled += [name for name in asked if name not in self.record.enabled]
        self._switch()
        if self.selection is not None and self.modes.condstore and not aware:
            self.write(self.selection.highest())

    def aware(self) -> None:
        """Take note of a command that only clients give that know mod-sequences."""
        if not self.modes.condstore:
            self.enable(["CONDSTORE"])

    def _switch(self) -> None:
        self.modes = Modes.of(self.record.enabled)
        self.args.utf8 = self.modes.utf8
        if self.selection is not None:
            self.selection.modes = self.modes

    def mailbox_name(self, name: str) -> bytes:
        """Return a mailbox's name as this client reads it (RFC 9051 §5.1, RFC 6855 §3)."""
        return names.encode(name, self.modes.utf8)

    def deselect(self) -> None:
        """Go back to the authenticated state, if a mailbox is selected."""
        if self.selection is None:
            return
        selection, self.selection = self.selection, None
        if self.notifier is not None:
            self.notifier.close()
        self.record.mailbox = ""
        self.record.saved = []  # RFC 5182 §2.1
        self.record.contexts = []
        self.record.state = State.AUTHENTICATED
        self.note()
        selection.selected.close()

    def unauthenticate(self) -> None:
        """Go back to the state behind the greeting (RFC 8437 §3)."""
        self.deselect()
        self.account.close()
        self._account = None
        if self.notifier is not None:
            self.notifier.close()
            self.notifier = None
        self.record.forget_user()
        self.record.state = State.NOT_AUTHENTICATED
        self._switch()
        self._deadline = time.monotonic() + self.settings.unauthenticated_timeout
        self.note()

    def notify(self, wishes: Wishes, status: bool = False) -> None:
        """Tell of these events from now on (RFC 5465 §3.1). Raises Refused."""
        if self.selection is not None:
            self.selection.tell(self.write, True)
        told = {"groups": wishes.dump(), "position": 0, "known": {}, "denied": []}
        fresh = Notifier(self, told)
        fresh.begin(status)
        if self.notifier is not None:
            self.notifier.close()
        self.record.notify, self.notifier = told, fresh

    def brought(self, mailbox: Mailbox, uids: Iterable[int]) -> None:
        """Remember what this client itself has put into a mailbox: it is no news to it."""
        if mailbox.name == self.record.mailbox:
            self.added.update(uids)
        elif self.notifier is not None:
            self.notifier.own(mailbox.name)

    def overflow(self) -> None:
        """Give up telling events, and say so (RFC 5465 §5.8)."""
        self.write(b"* OK [NOTIFICATIONOVERFLOW] Events are no longer told\r\n")
        self.notify(Wishes([]))

    def note(self, doing: str = "") -> None:
        """Show what this session does."""
        self.services.board.note(self.record, doing, self.record.mailbox)

    def save(self) -> None:
        """Put into the record what is not there yet: after this, another process can go on."""
        if self.selection is not None:
            record = self.record
            state = self.selection.selected.state()
            record.mailbox, record.uidvalidity, record.snapshot, record.recent = state
            contexts = self.selection.contexts
            record.contexts = contexts.state() if contexts is not None else []

    # -- reading -----------------------------------------------------------------------------

    def read(self, idle: bool = False) -> bytes:
        """Return what the client sends next; ``idle`` outside of commands only."""
        if self.record.state != State.NOT_AUTHENTICATED:
            if idle and self.notifier is not None:
                self._attend(self.notifier)
            return self.stream.read(self.settings.idle_timeout, idle)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOut
        return self.stream.read(left, idle)

    def _attend(self, notifier: Notifier) -> None:
        """Tell what happens until the client sends something (RFC 5465 §3.1)."""
        self.command = ""
        try:
            notifier.wait(self.settings.idle_timeout)
        except (Refused, OSError) as error:
            failed = error if isinstance(error, Refused) else from_oserror(error)
            self._log_refusal(failed)
            self.overflow()
        except (Gone, Disconnected, TimedOut, Leave):
            raise
        except Exception:
            self._log_bug()
            self.overflow()

    def read_line(self) -> bytes:
        """Return a line that is no command, in the middle of one. Raises BadSyntax."""
        while (line := self.tokens.line()) is None:
            self.tokens.feed(self.read())
        return line

    def take_unread(self) -> bytes:
        """Return what has come behind the command under way, and forget it."""
        unread = self.tokens.unread()
        self.tokens = Tokenizer(self.settings.command_size, self.settings.nesting)
        self.args = Arguments(self.tokens)
        return unread

    def literal(self) -> Iterator[bytes]:
        """Yield the octets of the announced literal as they come; asks for them first."""
        self.tokens.stream()
        self._continue()
        if piece := self.tokens.take():
            yield piece
        while self.tokens.literal_left:
            yield self.tokens.absorb(self.read())
            self.services.board.beat()

    def keep_literal(self) -> None:
        """Take the announced literal into the command as an argument. Raises BadSyntax."""
        if not self.tokens.keep():
            raise BadSyntax(self.tokens.refusal or "Literal is too long")
        self._continue()
        self.go_on()

    def go_on(self) -> None:
        """Read on behind a literal: to the next one or the end of the command. Raises BadSyntax."""
        while (met := self.tokens.next()) == NEED_MORE:
            self.tokens.feed(self.read())
        if met == REFUSED:
            raise BadSyntax(self.tokens.refusal or "Command was refused")
        if met == LITERAL:
            self._check_literal()

    # -- one command -------------------------------------------------------------------------

    def _command(self) -> None:
        self._count()
        args = self.args
        args.rewind()
        self.tag = b"*"
        try:
            self.tag = args.tag()
            row = self._row(args)
        except BadSyntax as error:
            self._bad(str(error))
        else:
            self._execute(row)

    def _row(self, args: Arguments) -> Command:
        args.sp()
        name = args.name()
        if name == b"UID" and args.more():
            args.sp()
            name = b"UID " + args.name()
        row = COMMANDS.get(name)
        if row is None:
            raise BadSyntax("Unknown command")
        if self.record.state not in row.states:
            raise BadSyntax(f"{row.name} is not possible in this state")
        if self.modes.uidonly and row.name in NUMBERED:
            raise BadSyntax(UIDREQUIRED)
        return row

    def _execute(self, row: Command) -> None:
        """Run a command; what it raises has exactly one reply (RFC 3501 §7.1)."""
        self.command = row.name
        try:
            answer = row.run(self, self.args)
            if self.selection is not None:
                self.tell(row.expunge)
        except BadSyntax as error:
            self._settle()
            self._bad(str(error))
        except (Refused, OSError) as error:
            received = self._settle()
            refused = error if isinstance(error, Refused) else from_oserror(error)
            self._refuse(refused, row.expunge and received)
        except Gone:
            self.bye("The selected mailbox was deleted or renumbered")
        except (Disconnected, TimedOut, Leave):
            raise
        except Exception:
            self._bug()
        else:
            self.record.bad = 0
            self.write(self.tag + (row.ok if answer is None else b" OK %b\r\n" % answer))

    def _literal(self) -> None:
        """Decide about an announced literal before any of it is read."""
        args = self.args
        args.rewind()
        self.tag = b"*"
        try:
            self.tag = args.tag()
            row = self._row(args)
            self._check_literal()
            streams = row.announced is not None and row.announced(self, args)
        except BadSyntax as error:
            self._count()
            self._settle()
            self._bad(str(error))
        except Refused as error:
            self._count()
            self._settle()
            self._no(error)
        else:
            self._take_literal(row, streams)

    def _take_literal(self, row: Command, streams: bool) -> None:
        if streams:
            self._count()
            self.args.rewind()
            self.args.tag()
            self._row(self.args)
            self._execute(row)
        elif self.tokens.keep():
            self._continue()

    def _check_literal(self) -> None:
        """RFC 7888 §5: LITERAL- allows 4096 octets without waiting."""
        tokens = self.tokens
        if tokens.literal_waits or self.settings.literal == "plus":
            return
        if tokens.literal_size > _NON_SYNC_LIMIT:
            raise BadSyntax("[TOOBIG] A literal this long needs to be synchronizing")

    def _continue(self) -> None:
        if self.tokens.literal_waits:
            self.write(b"+ OK\r\n")

    def _settle(self) -> bool:
        """Throw away what is to come of a command that was answered before its end.

        Returns whether it was received to its end: false where the client waits for a
        continuation, and the command has never been in progress (RFC 3501 §7.4.1).
        """
        tokens = self.tokens
        if tokens.complete:
            return True
        whole = not tokens.waiting
        tokens.discard()
        while tokens.next() == NEED_MORE:
            tokens.feed(self.read())
        return whole

    def _count(self) -> None:
        self.record.commands += 1
        self.services.board.count("commands")

    def tell(self, expunge: bool) -> None:
        """Tell what others did to the selected mailbox; the one place that does. Raises Gone."""
        if self.notifier is None:
            self.current.tell(self.write, expunge)
        else:
            self.notifier.tell_selected(self.command, expunge)

    # -- outcomes ----------------------------------------------------------------------------

    def _refused(self) -> None:
        """The tokenizer threw a command away: it is too long or lexically wrong."""
        self._count()
        self.tag = self.tokens.refused_tag
        code = "[TOOBIG] " if self.tokens.too_long else ""
        self._bad(code + (self.tokens.refusal or "Command was refused"))

    def _bad(self, reason: str) -> None:
        self.record.bad += 1
        self.write(b"%b BAD %b\r\n" % (self.tag, text(reason)))
        if self.record.bad >= self.settings.max_bad:
            self.bye("Too many faulty commands")

    def _refuse(self, error: Refused, expunge: bool) -> None:
        """Answer NO behind what there is to tell: a refusal may be due to an expunge."""
        try:
            if self.selection is not None:
                self.tell(expunge)
        except Gone:
            self.bye("The selected mailbox was deleted or renumbered")
            return
        except Refused as second:
            self._log_refusal(second)
        self._no(error)

    def _no(self, error: Refused) -> None:
        self._log_refusal(error)
        self.record.bad = 0
        self.write(b"%b NO %b\r\n" % (self.tag, refusal(error)))
        if self.last_words:
            self.bye(self.last_words)

    def _log_refusal(self, error: Refused) -> None:
        if isinstance(error, StorageFailure):
            log.error("session=%s user=%r: %s", self.record.id, self._user(), error.detail)

    def _bug(self) -> None:
        reference = self._log_bug()
        self._settle()
        self._no(Refused(Code.SERVERBUG, f"Internal error, reference {reference}"))

    def _log_bug(self) -> str:
        """Log the exception that is being handled; returns what the client is told of it."""
        reference = secrets.token_hex(4)
        log.exception("internal error %s: session=%s", reference, self.record.id)
        self.services.board.count("bugs")
        return reference

    def bye(self, reason: str) -> None:
        """Close the connection behind an untagged BYE (RFC 3501 §7.1.5)."""
        self.write(b"* BYE %b\r\n" % text(reason))
        self.ending = Ending.CLOSED

    def _leave(self, reason: str) -> None:
        try:
            self.bye(reason)
            self.stream.flush()
        except (Disconnected, TimedOut):
            log.debug("session=%s was gone before it was told to leave", self.record.id)

    # -- begin and end -----------------------------------------------------------------------

    def _begin(self) -> None:
        record = self.record
        if record.unread:
            self.tokens.feed(record.unread)
            record.unread = b""
        record.state = record.state or State.NOT_AUTHENTICATED
        try:
            resume(self)
        except Refused as error:
            self._log_refusal(error)
            self.bye(refusal(error).decode("ascii"))
            return
        if not record.greeted:
            record.greeted = True
            self.write(b"* OK [%b] IMAP4rev1 ready\r\n" % capability.announced(self))
        self.note()
        if record.idling:
            self._idle_on()

    def _idle_on(self) -> None:
        self.tag, self.record.idling = self.record.idling.encode(), ""
        self._execute(IDLE_AGAIN)

    def _finish(self) -> None:
        self.record.unread = self.tokens.unread()
        try:
            self.save()
            selection, self.selection = self.selection, None
            if selection is not None:
                selection.selected.close()
        except Refused as error:
            self._log_refusal(error)

    def _user(self) -> str:
        return self.record.user.name if self.record.user else ""
