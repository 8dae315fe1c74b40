"""One mailbox: its mail, its index, and every change a session can make to it.

Every change runs inside :meth:`Mailbox.changing`: the lock is held, what others did has been
taken in, and the mail's stamp is remembered afterwards. The mail changes first and the index is
told then, so a crash between the two is found by the next scan.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

from pymaild.core.errors import Code, NoSuchMailbox, Refused, from_oserror
from pymaild.index import Index, View
from pymaild.mail import exchange, expunging, flagging, keywords, placing, status, sync, transfer
from pymaild.mail import flags as flag_names
from pymaild.mail.acl import Access
from pymaild.mail.condition import Unchanged
from pymaild.mail.flags import Flags
from pymaild.mail.following import catch_up, follow, overdue
from pymaild.mail.guard import guarded
from pymaild.mail.helpers import Helpers
from pymaild.mail.intents import Intents, Messages
from pymaild.mail.message import Message
from pymaild.mail.objectid import new_mailboxid
from pymaild.mail.placing import Incoming
from pymaild.mail.quota import Quota
from pymaild.mail.reserving import reserve
from pymaild.mail.rights import ALL, Rights, require
from pymaild.mail.settings import MailSettings
from pymaild.mail.status import Status
from pymaild.mail.stores import NEVER, Beat, Draft, Store, quiet
from pymaild.storage import control as control_file
from pymaild.storage.locks import FileLock, Maildrop
from pymaild.storage.retry import patiently

PATIENCE = 5.0  # seconds that a reader waits for a writer before it takes what there is

_UNCOUNTED = nullcontext()


class Mailbox:
    """An open mailbox. Close it, or use it as a context manager."""

    def __init__(
        self,
        name: str,
        store: Store,
        root: str,
        settings: MailSettings,
        access: Access | None = None,
        quota: Quota | None = None,
        beat: Beat = quiet,
        intents: Intents | None = None,
    ) -> None:
        """``access``: what the user may do here; None is the administrator.

        ``beat`` is called at each step of what can take long, with how many of how many are done;
        ``intents`` is where it is noted what is about to change, None where nobody asks.
        """
        self.name = name
        self.beat = beat
        self.intents = intents
        self.access = access
        self.quota = quota
        self.mail = store
        self.directory = store.directory
        self.root = root
        self.settings = settings
        self.lock = FileLock(os.path.join(store.directory, "pymaild.lock"), settings.lock_timeout)
        self.control: control_file.Control | None = None
        self._mailboxid = ""
        self.own: set[int] = set()  # transactions of our own STOREs: told by their replies
        self.keep: Callable[[Mailbox], bool] | None = None  # may take it instead of a close
        if not store.exists():
            raise NoSuchMailbox
        self.helpers = Helpers()  # whom to ask for what can be made in the background
        self.index = self._load()
        self.uidvalidity = self.index.uidvalidity

    def _load(self) -> Index:
        try:
            return patiently(sync.load, self)
        except FileNotFoundError as error:
            raise NoSuchMailbox from error
        except OSError as error:
            raise from_oserror(error) from error

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release descriptors and locks, unless somebody keeps them for the next."""
        catch_up(self)
        if self.keep is None or not self.keep(self):
            self.release()

    def release(self) -> None:
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

    @property
    def held(self) -> Rights:
        """What the user might do here when that was last looked at."""
        return ALL if self.access is None else self.access.held

    def allowed(self) -> Flags:
        """Return the flags that the user may change here (RFC 4314 §4), by :attr:`held`."""
        return flag_names.EVERYTHING if self.access is None else flag_names.allowed(self.held)

    @guarded
    def again(self, rights: str) -> bool:
        """Open it once more, as :meth:`Account.open` does; false where it is another by now."""
        if self.access is not None:
            self.access.admit(rights)
        self.own.clear()
        try:
            return self._level() or self.index.current()
        except NoSuchMailbox:
            return False

    def paths(self) -> list[str]:
        """Return the files and directories where what others do shows."""
        return self.mail.paths

    @guarded
    def admit(self, messages: int, octets: int) -> None:
        """Refuse what would exceed a limit of the account. Raises Refused (OVERQUOTA)."""
        if self.quota is not None:
            self.quota.admit(messages, octets)

    # -- looking -----------------------------------------------------------------------------

    @guarded
    def refresh(self) -> None:
        """Take in what others did to the mail; a stat call or two when nobody did anything.

        Where somebody holds the lock for long, what is published has to do. Raises
        NoSuchMailbox when the mailbox has been deleted.
        """
        if self._level() and not overdue(self.index):
            return
        if self.index.superseded:
            self._reopen()
        if self.lock.acquire(PATIENCE):
            try:
                with self.mail.held(), self._counted():
                    self._settle()
            except Refused as error:  # by another program, in a format that has locks
                if error.code != Code.INUSE:
                    raise
            finally:
                self.lock.release()
            self.helpers.look(self.index)

    def _counted(self) -> AbstractContextManager[None]:
        """Keep what the account knows of this mailbox's size level with the index."""
        quota = self.quota
        return quota.noting(self) if quota is not None and quota.counting() else _UNCOUNTED

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the lock on a mailbox that is level with its mail."""
        with self.lock, self.mail.held(), self._counted():
            self._settle()
            yield

    @guarded
    def level(self) -> None:
        """Bring the index level with the mail, whatever its times say."""
        with self.lock, self.mail.held(), self._counted():
            self._settle(sure=True)

    def intend(self, kind: Messages, first: int, mark: str) -> None:
        """Note that messages come, whose files will have a mark in their names."""
        if self.intents is not None:
            self.intents.messages(kind, self.name, self.uidvalidity, first, mark)

    def _level(self) -> bool:
        try:
            stamp = self.mail.stamp()
        except FileNotFoundError as error:
            raise NoSuchMailbox("The mailbox has been deleted") from error
        return sync.level(self.index, stamp)

    def _reopen(self) -> None:
        fresh = self._load()
        if fresh.uidvalidity != self.uidvalidity:
            fresh.close()
            raise NoSuchMailbox("The mailbox has been deleted and made anew")
        # Views of the old one go on reading from it: it closes with the last of them.
        self.index, self.control = fresh, None

    def _settle(self, sure: bool = False) -> None:
        """With the lock held: have the index in place and level with the mail."""
        if not self.index.current() or self.index.interrupted:
            self._reopen()
        if sure or not self._level():
            sync.scan(self, self.index)
            if not self.index.current():
                self._reopen()
        if overdue(self.index):
            follow(self, self.index)

    def remember(self, index: Index) -> None:
        """What the mail looks like now is our own doing."""
        if index.stamp[:2] != NEVER:
            index.stamp = self.mail.mark(index.stamp[2])

    @guarded
    def status(self, size: bool = False) -> Status:
        """Return the mailbox's numbers, outside changes taken in; ``size`` only when asked."""
        self.refresh()
        return status.status(self, size)

    @guarded
    def mailboxid(self) -> str:
        """Return the name that stays with the mailbox whatever it is called (RFC 8474 §4).

        Raises StorageFailure where it must be made first and cannot be kept.
        """
        if not self._mailboxid:
            known = control_file.mailboxid(self.directory)
            self._mailboxid = known or new_mailboxid(self)
        return self._mailboxid

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
        return self.index.keyword_count < keywords.MOST

    @guarded
    def flags(self, names: Iterable[str], create: bool = True) -> Flags:
        """Return the bits of flag names; new keywords are made known first.

        Flags that the user may not change are left out. Raises Refused with LIMIT where the
        mailbox has no room for another keyword.
        """
        return keywords.bits(self, names, create)

    def flag_names(self, flags: Flags) -> list[str]:
        """Return the names of flags, as a client is told them."""
        return flag_names.names(flags, self.index.keyword_names())

    # -- changing ------------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[Index]:
        """Hold the lock on a mailbox that is level with its mail; remember what we did."""
        with self.lock, self.mail.held(), self._counted():
            self._settle()
            index = self.index
            try:
                yield index
            except BaseException:
                index.forget()
                raise
            self.remember(index)
            sync.compact_if_due(self, index)

    def publish(self, index: Index) -> None:
        """Make what is staged visible as one transaction."""
        if index.staged:
            reserve(self, index, index.uidnext)
            index.commit()

    @guarded
    def touch(self) -> None:
        """Count a change of what belongs to the mailbox, such as an annotation (RFC 7162 §3.2)."""
        with self.changing() as index:
            index.touch()
            self.publish(index)

    @guarded
    def write(self, pieces: Iterable[bytes], name: str = "") -> Draft:
        """Put a message on disk, CRLF or LF line ends alike; it has no UID yet.

        ``name`` is the unique name of its file, "" for any. What ``pieces`` raises passes
        through, and nothing is left behind.
        """
        return self.mail.write(pieces, name)

    @guarded
    def commit(self, drafts: Sequence[Incoming]) -> list[int]:
        """Make drafts messages, all or none; returns their UIDs, which are on disk then.

        The third item is INTERNALDATE in seconds since 1970, None for now. Raises Refused
        (OVERQUOTA, LIMIT).
        """
        self.admit(len(drafts), sum(draft.size for draft, *_ in drafts))
        return placing.commit(self, drafts)

    @guarded
    def replace(self, uid: int, target: Mailbox, draft: Incoming) -> int:
        """Put a draft into ``target`` and remove message ``uid`` here, both or neither.

        RFC 8508 §3.4. Returns the new UID. Raises Refused (EXPUNGEISSUED) where the message has
        gone.
        """
        if target.directory == self.directory:
            target = self
        return exchange.run(self, uid, target, draft)

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
        return flagging.Store(self, how, flags).run(view, seqs, condition)

    @guarded
    def claim_recent(self, view: View) -> list[int]:
        """Move messages from new/ to cur/ and return their UIDs: \\Recent to the caller alone."""
        rows = view.rows_in_new() if self.index.counts()[2] else []
        return flagging.claim(self, [view.index.fields(row)[0] for row in rows])

    @guarded
    def expunge(self, uids: Iterable[int]) -> None:
        """Remove messages for good; UIDs that are gone already are no error."""
        expunging.expunge(self, uids)

    @guarded
    def copy(
        self, view: View, seqs: Iterable[int], target: Mailbox, move: bool = False
    ) -> list[tuple[int, int]]:
        """Copy (RFC 9051 §6.4.7) or move (RFC 6851) messages; returns (old UID, new UID) pairs.

        A copy is all or nothing. Of a move, each message is at no moment in both mailboxes or in
        none. Messages that have gone are left out. What a process that died had begun is seen as
        not begun, or goes on from there.
        """
        if target.directory == self.directory:
            target = self
        return transfer.run(self, [view.uid(seq) for seq in seqs], target, move)

    def octets(self, uids: Iterable[int]) -> int:
        """Return the octets of the files of these messages."""
        rows = map(self.index.row_of_uid, uids)
        return sum(self.index.size(row) for row in rows if row >= 0)

    def lock_maildrop(self, held: int = -1) -> Maildrop:
        """Take POP3's exclusive lock (RFC 1939 §4). Raises Refused with INUSE.

        ``held`` is a descriptor that has it already (:meth:`Maildrop.park`), -1 for none.
        """
        return Maildrop(os.path.join(self.directory, "pymaild.pop3.lock"), held)

    # -- administration ------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Throw index, log and cache away and make them from the mail; UIDs and flags stay."""
        with self.lock:
            self.index = sync.renew(self)
