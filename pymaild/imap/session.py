"""One IMAP session: its state, and the ways from one state to another.

How it begins in a process is in begin.py, what it does with commands in loop.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from pymaild.core.errors import Disconnected, Leave, Parked, Refused, TimedOut
from pymaild.core.session import Ending, Stream, Wait
from pymaild.imap import loop, names, news, outcomes, parking
from pymaild.imap.begin import begin
from pymaild.imap.commands.compress import begin as begin_compression
from pymaild.imap.intake import Intake
from pymaild.imap.modes import Modes
from pymaild.imap.notifier import Notifier, attend
from pymaild.imap.progress import Progress
from pymaild.imap.record import ImapRecord
from pymaild.imap.responses import speech
from pymaild.imap.selection import GONE, Gone, Selection
from pymaild.imap.settings import ImapSettings
from pymaild.imap.states import State
from pymaild.mail import following
from pymaild.mail.account import Account
from pymaild.mail.intents import Intents
from pymaild.mail.selected import Selected
from pymaild.mail.services import Services

SOON = 0.25  # seconds in which a client at work goes on: until then the mail may wait

log = logging.getLogger("pymaild.imap")


class ImapSession:
    """Runs a session from where its record says it is until it ends in this process."""

    def __init__(
        self, record: ImapRecord, stream: Stream, services: Services[ImapSettings]
    ) -> None:
        self.record = record
        self.stream = stream
        self.services: Services[ImapSettings] = services
        self.settings: ImapSettings = services.settings
        self.quirks = services.quirks
        self.write = stream.write
        self.tag = b"*"
        self.command = ""  # the one under way
        self.changed = True  # it has changed the record
        self.interrupted = True  # the record says what a crash had left
        self.absent = False  # account and mailbox could not be taken up yet
        self.selection: Selection | None = None
        self.progress = Progress(self)
        self.intake = Intake(self)
        self._switch()
        self.ending: Ending | None = None
        self.last_words = ""  # of a BYE behind the tagged NO to come
        self.notifier: Notifier | None = None
        self.added: set[int] = set()  # UIDs this client itself brought into the selected mailbox
        self._account: Account | None = None
        waited, record.wait = record.wait or Wait(), None
        self.waited = waited
        self._deadline = time.monotonic() + (
            waited.seconds or self.settings.unauthenticated_timeout
        )

    def run(self) -> Ending:
        """Talk to the client until it leaves, is sent away, or goes on in another process."""
        try:
            self._serve()
            self.stream.flush()
        except Disconnected:
            self.ending = Ending.CLOSED
        except Gone:
            self._leave(GONE)
        except TimedOut:
            self._leave(parking.SILENT)
        except Leave as leave:
            self._leave(leave.text)
        finally:
            self._finish()
        return self.ending or Ending.CLOSED

    def _serve(self) -> None:
        try:
            begin(self)
            loop.converse(self)
            if self.ending is Ending.DEFLATE:
                begin_compression(self)
                self.commit()
                loop.converse(self)
        except Parked:
            parking.park(self)

    # -- the state ---------------------------------------------------------------------------

    @property
    def left(self) -> float:
        """How long the client may still be silent, in seconds."""
        if self.record.state != State.NOT_AUTHENTICATED:
            return float(self.settings.idle_timeout)
        return self._deadline - time.monotonic()

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
    def present(self) -> bool:
        """Whether there is an account now."""
        return self._account is not None

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
        account.keeps = True
        account.journal.origin = self.record.id
        account.intents = Intents(self.stream.intend, self.record.intents)
        self.record.state = State.AUTHENTICATED
        self.note()

    def select(self, selected: Selected) -> Selection:
        """Go to the selected state."""
        self.selection = Selection(selected, self.modes, self.say)
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
        self.changed = True
        self._switch()
        if self.selection is not None and self.modes.condstore and not aware:
            self.write(self.selection.highest())

    def aware(self) -> None:
        """Take note of a command that only clients give that know mod-sequences."""
        if not self.modes.condstore:
            self.enable(["CONDSTORE"])

    def _switch(self) -> None:
        self.modes = Modes.of(self.record.enabled)
        self.intake.args.utf8 = self.modes.utf8
        self.say = speech(self.record.language)
        if self.selection is not None:
            self.selection.modes, self.selection.say = self.modes, self.say

    def speak(self, language: str) -> None:
        """Say texts in this language from now on (RFC 5255 §3.2)."""
        self.record.language = language
        self._switch()

    def mailbox_name(self, name: str) -> bytes:
        """Return a mailbox's name as this client reads it (RFC 9051 §5.1, RFC 6855 §3)."""
        return names.encode(name, self.modes.utf8)

    def closed(self) -> None:
        """Leave the selected mailbox, which the client itself has deleted."""
        self.deselect()
        self.write(b"* OK [CLOSED] %b\r\n" % self.say("The selected mailbox was deleted"))

    def deselect(self) -> None:
        """Go back to the authenticated state, if a mailbox is selected."""
        if self.selection is not None:
            self.leave()
            self.note()

    def leave(self) -> None:
        """Leave the selected mailbox, if there is one, for another."""
        selection, self.selection = self.selection, None
        if self.notifier is not None:
            self.notifier.close()
        self.record.mailbox = ""
        self.record.saved = []  # RFC 5182 §2.1
        self.record.contexts = []
        self.record.state = State.AUTHENTICATED
        if selection is not None:
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

    def note(self, doing: str = "") -> None:
        """Show what this session does."""
        self.services.board.note(self.record, doing, self.record.mailbox)

    def save(self) -> None:
        """Put into the record what is not there yet: after this, another process can go on."""
        if self.selection is not None:
            record = self.record
            state = self.selection.selected.state()
            record.mailbox, record.uidvalidity, record.snapshot, record.recent = state
            record.keywords = len(self.selection.keywords)
            contexts = self.selection.contexts
            record.contexts = contexts.state() if contexts is not None else []

    def state(self) -> bytes:
        """Return the encoded record as it has to be now."""
        self.save()
        return self.record.encode()

    def commit(self) -> None:
        """What is written has been said, and is in the record: others can go on from here."""
        self.stream.commit(self.state, self.intake.tokens.behind)

    def settle(self) -> None:
        """The command in which a process has died is answered."""
        self.record.settle()
        if self._account is not None:
            self._account.settle()

    # -- reading -----------------------------------------------------------------------------

    def read(self, idle: bool = False, parks: bool = False) -> bytes:
        """Return what the client sends next.

        ``idle``: outside of commands; ``parks``: there, or in a line that has not come whole.
        """
        if self.record.state != State.NOT_AUTHENTICATED:
            if idle and self.notifier is not None:
                self.command = ""
                self.catch_up()
                attend(self, partial(self.notifier.wait, self.settings.idle_timeout))
            patience = self.settings.idle_timeout if parks else self.settings.literal_timeout
            if self.selection is not None and self.selection.selected.mailbox.index.behind:
                with suppress(TimedOut):
                    return self.stream.read(min(SOON, patience), idle, parks)
                self.catch_up()
            return self.stream.read(patience, idle, parks)
        if self.left <= 0:
            raise TimedOut
        return self.stream.read(self.left, idle, parks)

    def catch_up(self) -> None:
        """Have the mail say all flags that it is to say, before a wait."""
        if self.selection is not None:
            following.catch_up(self.selection.selected.mailbox)

    # -- writing -----------------------------------------------------------------------------

    def count(self) -> None:
        """Count a command."""
        self.record.commands += 1
        self.services.board.count("commands")

    def tell(self, expunge: bool) -> None:
        """Tell what others did to the selected mailbox; the one place that does. Raises Gone."""
        if self.notifier is None and self.current.contexts is None:
            self.current.tell(self.write, expunge)
        else:
            news.tell(self, expunge)

    def bye(self, reason: str) -> None:
        """Close the connection behind an untagged BYE (RFC 3501 §7.1.5)."""
        self.write(b"* BYE %b\r\n" % self.say(reason))
        self.ending = Ending.CLOSED

    # -- the end -----------------------------------------------------------------------------

    def _leave(self, reason: str) -> None:
        try:
            self.bye(reason)
            self.stream.flush()
        except (Disconnected, TimedOut):
            log.debug("session=%s was gone before it was told to leave", self.record.id)

    def _finish(self) -> None:
        self.record.unread = self.intake.tokens.unread()
        try:
            self.save()
            if self._account is not None:
                self._account.close()
            selection, self.selection = self.selection, None
            if selection is not None:
                selection.selected.close()
        except Refused as error:
            outcomes.log_refusal(self, error)
