"""One mailbox: its Maildir, its index, and every change a session can make to it.

Every change runs inside :meth:`Mailbox.changing`: the lock is held, what others did has been
taken in, and the directory's stamp is remembered afterwards. Files change first and the index
is told then, so a crash between the two is found by the next scan.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, NamedTuple, ParamSpec, TypeVar

from pymaild.core.errors import Code, NoSuchMailbox, Refused, from_oserror
from pymaild.index import IN_NEW, Index, Unusable, View
from pymaild.mail import flags as flag_names
from pymaild.mail import sync
from pymaild.mail.acl import Access
from pymaild.mail.batch import noted
from pymaild.mail.condition import Unchanged
from pymaild.mail.exchange import Exchange
from pymaild.mail.flags import Flags
from pymaild.mail.guard import guarded
from pymaild.mail.message import Message
from pymaild.mail.quota import Quota
from pymaild.mail.rights import ALL, Rights, require
from pymaild.mail.settings import MailSettings
from pymaild.mail.transfer import Transfer
from pymaild.storage import atomic, takeover
from pymaild.storage import control as control_file
from pymaild.storage.locks import FileLock, Maildrop
from pymaild.storage.maildir import Draft, Maildir, save_date

P = ParamSpec("P")
R = TypeVar("R")

#: A message file in its place: base name, whether it is in new/, flags, keywords.
Placed = tuple[bytes, bool, int, int]

KEYWORD_LIMIT = 26  # letters a to z in a file name
KEYWORD_LENGTH = 120  # octets of a keyword's name
PATIENCE = 5.0  # seconds that a reader waits for a writer before it takes what there is
DIRTY_WINDOW = 2_000_000_000  # ns that an outside change may stay hidden behind our own
DIRTY_PER_ROW = 50_000  # ns more for each message: a scan costs in proportion


Beat = Callable[[int, int], object]


def _quiet(done: int, goal: int) -> None:
    """For those who need no signs of life."""


class Status(NamedTuple):
    """RFC 9051 §6.3.11; ``size`` in octets of the CRLF form, numbers as of one moment.

    ``deleted_storage``: octets of the files of messages marked as deleted (RFC 9208 §4.1.4).
    """

    messages: int
    recent: int
    uidnext: int
    uidvalidity: int
    unseen: int
    deleted: int
    size: int
    highestmodseq: int
    deleted_storage: int
    mailboxid: str = ""  # only when asked


class Mailbox:
    """An open mailbox. Close it, or use it as a context manager."""

    def __init__(
        self,
        name: str,
        directory: str,
        root: str,
        settings: MailSettings,
        access: Access | None = None,
        quota: Quota | None = None,
        beat: Beat = _quiet,
    ) -> None:
        """``access``: what the user may do here; None is the administrator.

        ``beat`` is called at each step of what can take long, with how many of how many are done.
        """
        self.name = name
        self.beat = beat
        self.access = access
        self.quota = quota
        self.directory = directory
        self.root = root
        self.settings = settings
        self.maildir = Maildir(directory, settings.fsync)
        self.lock = FileLock(os.path.join(directory, "pymaild.lock"), settings.lock_timeout)
        self.control: control_file.Control | None = None
        self._mailboxid = ""
        self.own: set[int] = set()  # transactions of our own STOREs: told by their replies
        if not self.maildir.exists():
            raise NoSuchMailbox
        self.index = self._load()
        self.uidvalidity = self.index.uidvalidity

    def _load(self) -> Index:
        try:
            return sync.load(self)
        except FileNotFoundError as error:
            raise NoSuchMailbox from error
        except OSError as error:
            raise from_oserror(error) from error

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release descriptors and locks."""
        self.index.close()
        self.lock.close()

    # -- rights ------------------------------------------------------------------------------

    @guarded
    def rights(self) -> Rights:
        """Return what the user may do here now (RFC 4314 §2.1)."""
        return ALL if self.access is None else self.access.rights()

    def require(self, letters: str) -> None:
        """Raise Refused (NOPERM) unless the user has all these rights."""
        require(self.rights(), letters)

    def allowed(self) -> Flags:
        """Return the flags that the user may change here (RFC 4314 §4)."""
        return flag_names.EVERYTHING if self.access is None else flag_names.allowed(self.rights())

    def paths(self) -> list[str]:
        """Return the directories where what others do shows."""
        return [self.maildir.new, self.maildir.cur, self.directory]

    @guarded
    def admit(self, messages: int, octets: int) -> None:
        """Refuse what would exceed a limit of the account. Raises Refused (OVERQUOTA)."""
        if self.quota is not None:
            self.quota.admit(messages, octets)

    # -- looking -----------------------------------------------------------------------------

    @guarded
    def refresh(self) -> None:
        """Take in what others did to the Maildir; two stat calls when nobody did anything.

        Where somebody holds the lock for long, what is published has to do. Raises
        NoSuchMailbox when the mailbox has been deleted.
        """
        if self._level():
            return
        if self.index.superseded:
            self._reopen()
        if self.lock.acquire(PATIENCE):
            try:
                with self._counted():
                    self._settle()
            finally:
                self.lock.release()

    def _counted(self) -> AbstractContextManager[None]:
        """Keep what the account knows of this mailbox's size level with the index."""
        return nullcontext() if self.quota is None else self.quota.noting(self)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the lock on a mailbox that is level with its Maildir."""
        with self.lock, self._counted():
            self._settle()
            yield

    def _level(self) -> bool:
        try:
            stamp = self.maildir.stamp()
        except FileNotFoundError as error:
            raise NoSuchMailbox("The mailbox has been deleted") from error
        return self.index.level(stamp, DIRTY_WINDOW, DIRTY_PER_ROW)

    def _reopen(self) -> None:
        fresh = self._load()
        if fresh.uidvalidity != self.uidvalidity:
            fresh.close()
            raise NoSuchMailbox("The mailbox has been deleted and made anew")
        # Views of the old one go on reading from it: it closes with the last of them.
        self.index, self.control = fresh, None

    def _settle(self) -> None:
        """With the lock held: have the index in place and level with the Maildir."""
        if not self.index.current() or self.index.interrupted:
            self._reopen()
        if not self._level():
            sync.scan(self, self.index)
            if not self.index.current():
                self._reopen()

    @guarded
    def status(self, size: bool = False) -> Status:
        """Return the mailbox's numbers, outside changes taken in; ``size`` only when asked."""
        self.refresh()
        messages, unseen, recent, deleted, uidnext, snapshot = self.index.counts()
        total, doomed = (self.total_size(), self.index.usage()[2]) if size else (0, 0)
        counts = (messages, recent, uidnext, self.uidvalidity, unseen, deleted, total, snapshot)
        return Status(*counts, doomed)

    @guarded
    def mailboxid(self) -> str:
        """Return the name that stays with the mailbox whatever it is called (RFC 8474 §4).

        Raises StorageFailure where it must be made first and cannot be kept.
        """
        if not self._mailboxid:
            self._mailboxid = control_file.mailboxid(self.directory) or self._new_mailboxid()
        return self._mailboxid

    def _new_mailboxid(self) -> str:
        with self.lock:
            self._settle()
            held = self.reserved(self.index)
            held.mailboxid = held.mailboxid or control_file.new_mailboxid()
            held.save(self.directory, self.settings.fsync)
            return held.mailboxid

    @guarded
    def total_size(self) -> int:
        """Return the octets of all messages in CRLF form (RFC 8438 §3)."""
        view = self.view()
        total, unknown = view.total_size()
        return total + sum(Message(self, view.index, row).size for row in unknown)

    @guarded
    def view(self, snapshot: int | None = None) -> View:
        """Return a view of the present or of an earlier snapshot. Raises Unusable."""
        view = View.of(self.index, snapshot)
        if view is None:
            raise Refused(Code.EXPUNGEISSUED, "That state of the mailbox is no longer known")
        return view

    def message(self, view: View, seq: int) -> Message:
        """Return a message of a view; its file is opened when something is asked of it."""
        return Message(self, view.index, view.row(seq))

    # -- flags -------------------------------------------------------------------------------

    def keyword_names(self) -> list[str]:
        """Names of the mailbox's keywords, in bit order."""
        return self.index.keyword_names()

    def may_create_keywords(self) -> bool:
        """Say whether a client may invent keywords (RFC 9051 §7.1, PERMANENTFLAGS with \\*)."""
        return self.index.keyword_count < KEYWORD_LIMIT

    @guarded
    def flags(self, names: Iterable[str], create: bool = True) -> Flags:
        """Return the bits of flag names; new keywords are made known first.

        Flags that the user may not change are left out. Raises Refused with LIMIT where the
        mailbox has no room for another keyword.
        """
        system, keywords, allowed = 0, 0, self.allowed()
        for name in names:
            upper = name.upper()
            if upper in flag_names.BITS:
                system |= flag_names.BITS[upper]
            elif not name.startswith("\\") and allowed.keywords:
                keywords |= self._keyword(name, create)
        return Flags(system & allowed.system, keywords)

    def _keyword(self, name: str, create: bool) -> int:
        wanted = name.upper()
        known = [known.upper() for known in self.index.keyword_names()]
        if wanted in known:
            return 1 << known.index(wanted)
        return 1 << self._define(name) if create else 0

    def _define(self, name: str) -> int:
        if len(name.encode()) > KEYWORD_LENGTH:
            raise Refused(Code.LIMIT, "This keyword is too long")
        with self.lock:
            self._settle()
            known = [known.upper() for known in self.index.keyword_names()]
            if name.upper() in known:
                return known.index(name.upper())
            if len(known) >= KEYWORD_LIMIT:
                raise Refused(Code.LIMIT, "This mailbox has no room for another keyword")
            held = self.reserved(self.index)
            held.keywords = [*self.index.keyword_names(), name]
            held.save(self.directory, self.settings.fsync)
            return self.index.define_keyword(name)

    def flag_names(self, flags: Flags) -> list[str]:
        """Return the names of flags, as a client is told them."""
        return flag_names.names(flags, self.index.keyword_names())

    # -- changing ------------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[Index]:
        """Hold the lock on a mailbox that is level with its Maildir; remember what we did."""
        with self.settled():
            index = self.index
            try:
                yield index
            except BaseException:
                index.forget()
                raise
            if index.stamp[:2] != sync.NEVER:
                index.stamp = (*self.maildir.stamp(), time.time_ns())
            sync.compact_if_due(self, index)

    def reserved(self, index: Index) -> control_file.Control:
        """Return the control file's content; the caller holds the lock."""
        found = control_file.load(self.directory)
        if found is None:
            found = control_file.Control(
                index.uidvalidity, index.uidnext, index.snapshot, index.keyword_names()
            )
        self.control = found
        return found

    def reserve(self, index: Index, uid: int) -> None:
        """Make sure that UIDs below ``uid`` and the next transaction are never given twice."""
        if uid > 2**32 - 1:
            raise Refused(Code.LIMIT, "This mailbox has used all its unique identifiers")
        held = self.control or self.reserved(index)
        if uid < held.reserved_uid and index.snapshot + 2 < held.reserved_modseq:
            return
        held = self.reserved(index)
        if held.reserve(uid, index.snapshot + 2):
            held.save(self.directory, self.settings.fsync)

    def publish(self, index: Index) -> None:
        """Make what is staged visible as one transaction."""
        if index.staged:
            self.reserve(index, index.uidnext)
            index.commit()

    @guarded
    def touch(self) -> None:
        """Count a change of what belongs to the mailbox, such as an annotation (RFC 7162 §3.2)."""
        with self.changing() as index:
            index.touch()
            self.publish(index)

    @guarded
    def write(self, pieces: Iterable[bytes]) -> Draft:
        """Put a message on disk, CRLF or LF line ends alike; it has no UID yet.

        What ``pieces`` raises passes through, and nothing is left behind.
        """
        return self.maildir.write(pieces)

    @guarded
    def commit(self, drafts: Sequence[tuple[Draft, Flags, float | None]]) -> list[int]:
        """Make drafts messages, all or none; returns their UIDs, which are on disk then.

        The third item is INTERNALDATE in seconds since 1970, None for now.
        """
        self.admit(len(drafts), sum(draft.size for draft, *_ in drafts))
        with self.changing() as index:
            first = index.uidnext
            self.reserve(index, first + len(drafts))
            with noted(self.maildir, [draft for draft, *_ in drafts]), self.placing() as placed:
                rows = self.place(index, first, drafts, placed)
                index.commit()
        self.fill_cache(index, rows)
        return list(range(first, first + len(drafts)))

    @guarded
    def replace(
        self, uid: int, target: Mailbox, draft: tuple[Draft, Flags, float | None]
    ) -> tuple[int, int]:
        """Put a draft into ``target`` and remove message ``uid`` here, both or neither.

        RFC 8508 §3.4. Returns the target's UIDVALIDITY and the new UID. Raises Refused
        (EXPUNGEISSUED) where the message has gone.
        """
        if target.directory == self.directory:
            target = self
        messages, octets = self.frees(uid, target)
        target.admit(1 - messages, draft[0].size - octets)
        first, second = sorted((self, target), key=lambda box: box.directory)
        with first.changing(), second.changing():
            return target.uidvalidity, Exchange(self, target).run(uid, draft)

    def frees(self, uid: int, target: Mailbox) -> tuple[int, int]:
        """Return messages and octets that the account of ``target`` no longer holds when a
        message here is replaced by one there.
        """
        if target.root != self.root:
            return 0, 0
        return 1, self._octets([uid]) if self.quota else 0

    @contextmanager
    def placing(self) -> Iterator[list[Placed]]:
        """Remove the files that are noted here when the change they are for fails."""
        placed: list[Placed] = []
        try:
            yield placed
        except BaseException:
            for entry in placed:
                path = self.maildir.locate(*entry)
                if path is not None:
                    atomic.unlink(path)
            raise

    def place(
        self,
        index: Index,
        first: int,
        drafts: Sequence[tuple[Draft, Flags, float | None]],
        placed: list[Placed],
    ) -> list[int]:
        """Give drafts their names and stage their rows, which are returned."""
        rows, now = [], time.time()
        for uid, (draft, flags, date) in enumerate(drafts, first):
            when = now if date is None else date
            os.utime(draft.path, (now, when))
            new = not flags.system and not flags.keywords
            base = self.maildir.publish(draft, uid, flags.system, flags.keywords, new)
            placed.append((base, new, flags.system, flags.keywords))
            bits = flags.system | (IN_NEW if new else 0)
            sizes = (draft.size, draft.wire_size)
            dates = (int(when), save_date(base, now))
            row = index.add(uid, bits, flags.keywords, *dates, *sizes, base)
            rows.append(row)
        self._sync_for(placed)
        return rows

    def _sync_for(self, placed: Iterable[Placed]) -> None:
        directories = {self.maildir.new if new else self.maildir.cur for _, new, *_ in placed}
        self.maildir.sync(*directories)

    def fill_cache(self, index: Index, rows: Iterable[int]) -> None:
        """Compute what FETCH will ask for while the message is in memory; not needed for OK."""
        for row in rows:
            try:
                Message(self, index, row).entry()
            except (OSError, Refused, Unusable):
                return

    @guarded
    def store(
        self,
        view: View,
        seqs: Iterable[int],
        how: Literal["set", "add", "remove"],
        flags: Flags,
        condition: Unchanged | None = None,
    ) -> list[int]:
        """Change flags (RFC 9051 §6.4.6); returns sequence numbers whose message has gone.

        Those that do not meet the condition are left as they are, and noted there; so are flags
        that the user may not change.
        """
        allowed = self.allowed()
        uids = [(seq, view.uid(seq)) for seq in seqs]
        with self.changing() as index:
            rows = {seq: index.row_of_uid(uid) for seq, uid in uids}
            gone = [seq for seq, row in rows.items() if row < 0]
            for seq in gone:
                del rows[seq]
            if condition is not None:
                condition.sift(index, rows, how, flags)
            stirred = self._stirred(view, index, rows)
            change = (how, flags, allowed)
            gone += [seq for seq, row in rows.items() if not self._set(index, row, *change)]
            if index.staged:
                self.publish(index)
                if not stirred:
                    self.own.add(index.snapshot)
        return gone

    def _stirred(self, view: View, index: Index, seqs: Iterable[int]) -> bool:
        """Say whether others changed one of these behind the view: then its flags are news."""
        if index is not view.index:
            return True
        seen, own = view.snapshot, self.own
        modseqs = (view.modseq(seq) for seq in seqs if not view.expunged(seq))
        return any(modseq > seen and modseq not in own for modseq in modseqs)

    def _set(self, index: Index, row: int, how: str, given: Flags, allowed: Flags) -> bool:
        """Rename one message's file and stage the change; false when the file is gone."""
        self.beat(0, 0)
        _, bits, keywords, _ = index.fields(row)
        old = Flags(bits & sync.SYSTEM, keywords)
        flags = old.combined(how, given).limited(old, allowed)
        if flags == old:
            return True
        base = index.name(row)
        path = self.maildir.locate(base, bool(bits & IN_NEW), old.system, old.keywords)
        if path is None:
            return False
        self.maildir.set_flags(path, base, flags.system, flags.keywords)
        index.change(row, flags.system, flags.keywords)
        return True

    @guarded
    def claim_recent(self, view: View) -> list[int]:
        """Move messages from new/ to cur/ and return their UIDs: \\Recent to the caller alone."""
        rows = view.rows_in_new() if self.index.counts()[2] else []
        if not rows:
            return []
        claimed: list[int] = []
        with self.changing() as index:
            try:
                for uid in [view.index.fields(row)[0] for row in rows]:
                    row = index.row_of_uid(uid)
                    if row >= 0 and self._claim(index, row):
                        claimed.append(uid)
            except OSError as error:  # without room in cur/ mail can still be read
                if error.errno not in sync.FULL:
                    raise
            self.publish(index)
        return claimed

    def _claim(self, index: Index, row: int) -> bool:
        _, bits, keywords, _ = index.fields(row)
        if not bits & IN_NEW:
            return False
        base, system = index.name(row), bits & sync.SYSTEM
        path = self.maildir.locate(base, True, system, keywords)
        if path is None:
            return False
        self.maildir.set_flags(path, base, system, keywords)
        index.change(row, system, keywords)
        return True

    @guarded
    def expunge(self, uids: Iterable[int]) -> None:
        """Remove messages for good; UIDs that are gone already are no error."""
        with self.changing() as index:
            for uid in uids:
                self.beat(0, 0)
                row = index.row_of_uid(uid)
                if row < 0:
                    continue
                _, bits, keywords, _ = index.fields(row)
                self._unlink(index.name(row), bits, keywords)
                index.expunge(row)
            self.publish(index)

    def _unlink(self, base: bytes, bits: int, keywords: int) -> None:
        path = self.maildir.locate(base, bool(bits & IN_NEW), bits & sync.SYSTEM, keywords)
        if path is not None:
            atomic.unlink(path)

    @guarded
    def copy(
        self, view: View, seqs: Iterable[int], target: Mailbox, move: bool = False
    ) -> list[tuple[int, int]]:
        """Copy (RFC 9051 §6.4.7) or move (RFC 6851) messages; returns (old UID, new UID) pairs.

        A copy is all or nothing. A move takes each file over by one rename, so that at no
        moment it is in both mailboxes or in none. Messages that have gone are left out.
        """
        uids = [view.uid(seq) for seq in seqs]
        if target.directory == self.directory:
            target = self
        if not move or target.root != self.root:
            target.admit(len(uids), self._octets(uids) if target.quota else 0)
        first, second = sorted((self, target), key=lambda box: box.directory)
        with first.changing(), second.changing():
            return Transfer(self, target, move).run(uids)

    def _octets(self, uids: Iterable[int]) -> int:
        """The octets of the files of these messages."""
        rows = map(self.index.row_of_uid, uids)
        return sum(self.index.size(row) for row in rows if row >= 0)

    def lock_maildrop(self) -> Maildrop:
        """Take POP3's exclusive lock (RFC 1939 §4). Raises Refused with INUSE."""
        return Maildrop(os.path.join(self.directory, "pymaild.pop3.lock"))

    # -- administration ------------------------------------------------------------------------

    def repair(self) -> None:
        """Make a damaged index anew from the mail; UIDs and flags stay."""
        with self.lock:
            old = self.index
            try:
                self.index = sync.rebuild(self)
            except OSError as error:
                raise from_oserror(error) from error
            old.supersede()

    def rebuild(self) -> None:
        """Throw index, log and cache away and make them from the mail."""
        self.repair()

    @guarded
    def verify(self) -> list[str]:
        """Return what is wrong with index or cache, in sentences; empty when all is well."""
        self.refresh()
        problems = self.index.verify()
        for row, uid, *_ in self.index.living() if not problems else ():
            message = Message(self, self.index, row)
            if message.damaged():
                problems.append(f"the cache of message {uid} is damaged")
            if message.missing():
                problems.append(f"the file of message {uid} is missing")
        return problems

    @guarded
    def export_dovecot(self) -> None:
        """Write dovecot-uidlist and dovecot-keywords, so that Dovecot can take this folder."""
        with self.changing() as index:
            messages = [(entry[1], entry[8]) for entry in index.living()]
            takeover.write_dovecot(
                self.directory, index.uidvalidity, index.uidnext, index.keyword_names(), messages
            )
