"""One user's mail: the tree of mailboxes and the list of subscriptions."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.core.session import User
from pymaild.mail import acl, check
from pymaild.mail.acl import Access, Controlled, Guard
from pymaild.mail.annotations import Shelf
from pymaild.mail.grants import Grants
from pymaild.mail.guard import refusing
from pymaild.mail.journal import Journal
from pymaild.mail.listing import Listing, listing
from pymaild.mail.mailbox import Beat, Mailbox
from pymaild.mail.metadata import Annotations
from pymaild.mail.quota import Quota
from pymaild.mail.rights import Actor, grantees, require
from pymaild.mail.settings import MailSettings
from pymaild.mail.special import SpecialUses, Uses, checked
from pymaild.mail.status import Status
from pymaild.mail.subscriptions import Subscriptions
from pymaild.mail.tree import INBOX, Names
from pymaild.storage import atomic, takeover
from pymaild.storage.locks import FileLock
from pymaild.storage.maildir import Maildir

log = logging.getLogger("pymaild.mail")

KEPT_OPEN = 8  # mailboxes
SETTLED = 50_000_000  # ns after which a directory's mtime tells every change (coarse clocks)
GONE = "..pymaild-gone-"  # a deleted folder on its way out


class Account:
    """The mailboxes below one Maildir. Names are Unicode, ``separator`` between levels."""

    others_prefix = shared_prefix = ""  # of namespaces that are not the user's own

    def __init__(self, user: User, settings: MailSettings, actor: Actor | None = None) -> None:
        """``actor``: whose rights count; None is the administrator, who may do everything."""
        self.user = user
        self.actor = actor
        self.guard = Guard(user.name, actor, settings.fsync)
        self.grants: Grants | None = None  # where it is noted to whom mailboxes are open
        self.root = user.mail
        self.settings = settings
        self.beat: Beat = lambda done, goal: None  # at each step of what can take long
        self.quota = Quota(self)
        self.separator: str = settings.separator
        self.prefix = settings.prefix
        self._open: dict[str, Mailbox] = {}  # for STATUS, by the name asked for
        self._listed: tuple[int, Listing] | None = None
        self.special = SpecialUses(self.root, settings)
        self._subscriptions = Subscriptions(self.root, settings)
        lock = os.path.join(self.root, "pymaild.account.lock")
        self._lock = FileLock(lock, settings.lock_timeout)
        self._names = Names(settings.separator, settings.prefix)
        self.journal = Journal(self.root, self._lock, self._picture)
        self._shelf = Shelf(self.root, settings, self._lock, self.special, self.guard, self.journal)

    # -- looking -----------------------------------------------------------------------------

    def canonical(self, name: str) -> str:
        """Return a mailbox's name in its one form (RFC 9051 §5.1)."""
        return self._names.canonical(name)

    def _directory(self, name: str) -> str:
        first = os.path.join(self.root, self._names.directory(name))
        if name.isascii() or os.path.isdir(first):
            return first
        others = (os.path.join(self.root, other) for other in self._names.spellings(name))
        return next(filter(os.path.isdir, others), first)

    def exists(self, name: str) -> bool:
        """Say whether a mailbox of this name can be opened."""
        try:
            return Maildir(self._directory(name)).exists()
        except Refused:
            return False

    @refusing
    def open(self, name: str, rights: str = "") -> Mailbox:
        """Open a mailbox for which the user has these rights (letters of RFC 4314 §2.1).

        Raises NoSuchMailbox, also where the user may not know of it, and Refused (NOPERM).
        """
        canonical = self._names.canonical(name)
        try:
            directory = self._directory(canonical)
        except Refused:
            raise NoSuchMailbox from None
        access = self.guard.admit(directory, rights)
        return self._opened(self.shown(canonical), directory, access)

    def _opened(self, name: str, directory: str, access: Access | None) -> Mailbox:
        return Mailbox(name, directory, self.root, self.settings, access, self.quota, self.beat)

    def everything(self) -> Iterator[Mailbox]:
        """Yield all mailboxes that can be opened, whoever may see them."""
        for name in self._existing():
            with suppress(Refused), self._opened(name, self._directory(name), None) as mailbox:
                yield mailbox

    def count(self) -> int:
        """Return how many mailboxes there are."""
        return len(self._existing())

    def quota_of(self, name: str) -> Quota:
        """Return the quota root of a mailbox, which need not exist (RFC 9208 §4.1.2).

        Raises Refused where no mailbox can be called that.
        """
        self._names.directory(name)
        return self.quota

    def quota_root(self, name: str) -> Quota:
        """Return the quota root of this name. Raises Refused where the user has none such."""
        if name != self.quota.name:
            raise Refused(Code.NONEXISTENT, "There is no such quota root")
        return self.quota

    @refusing
    def controlled(self, name: str) -> Controlled:
        """Return the access control list of a mailbox. Raises NoSuchMailbox."""
        try:
            directory = self._directory(self._names.canonical(name))
        except Refused:
            raise NoSuchMailbox from None
        if not self._has(directory):
            raise NoSuchMailbox
        return Controlled(directory, self.guard, self._lock, self._note_grants)

    def identifier(self, prepared: str) -> str:
        """Return the canonical form of an identifier (RFC 4314 §3.3)."""
        return prepared

    def _has(self, directory: str) -> bool:
        return Maildir(directory).exists()

    def granted(self) -> set[str]:
        """Return the identifiers to which some mailbox here is open."""
        lists = (acl.load(self._directory(name)) for name in self._existing())
        return set().union(*(grantees(found) for found in lists if found is not None))

    def _note_grants(self, identifiers: Iterable[str]) -> None:
        """Keep the index level with the lists; what it misses can be found all the same."""
        if self.grants is not None and self.user.name:
            try:
                self.grants.level(self.user.name, identifiers, self.granted())
            except OSError as error:
                log.error(
                    "rebuild the index of grants, user=%r is missing: %s", self.user.name, error
                )

    def shown(self, name: str) -> str:
        """Return the name under which the user knows a mailbox of this account."""
        return name

    def personal(self, name: str) -> bool:
        """Say whether a name is in the personal namespace (RFC 2342 §5)."""
        return True

    def tree_paths(self) -> list[str]:
        """Return the directories where it shows that mailboxes come and go."""
        return [self.root]

    def paths(self, name: str) -> list[str]:
        """Return the directories where a change of a mailbox shows, none if it cannot be read."""
        try:
            with self.open(name, "lr") as box:
                return box.paths()
        except Refused:
            return []

    def status(self, name: str, size: bool = False) -> Status:
        """Return a mailbox's numbers (RFC 9051 §6.3.11). Raises NoSuchMailbox.

        Clients ask for the same mailboxes again and again: a few are kept open.
        """
        box = self._open.get(name)
        if box is not None:
            with suppress(NoSuchMailbox):  # it may have been made anew
                if "r" in box.rights():
                    return box.status(size)
            self._open.pop(name).close()
        return self._keep(name, self.open(name, "r")).status(size)

    def mailboxid(self, name: str) -> str:
        """Return a mailbox's MAILBOXID (RFC 8474 §4). Raises NoSuchMailbox."""
        with self.open(name, "r") as box:
            return box.mailboxid()

    def _keep(self, name: str, box: Mailbox) -> Mailbox:
        if len(self._open) >= KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        self._open[name] = box
        return box

    def close(self) -> None:
        """Close what is kept open."""
        while self._open:
            self._open.popitem()[1].close()
        self.quota.close()

    def _picture(self) -> tuple[list[str], list[str]]:
        return sorted(self._existing()), sorted(self.subscriptions())

    def _existing(self) -> list[str]:
        return self._survey()[0]

    @refusing
    def visible(self) -> list[str]:
        """Return the names of the mailboxes that the user may be told of."""
        return [
            name
            for name in self._existing()
            if self.guard.own or self.guard.visible(self._directory(name))
        ]

    def _survey(self) -> tuple[list[str], bool]:
        """Return the mailboxes' names, and whether every folder there is a whole one."""
        found, whole = [INBOX] if self.exists(INBOX) else [], True
        with suppress(FileNotFoundError):
            for directory in os.listdir(self.root):
                name = self._names.name(directory)
                if name is None:
                    continue
                if os.path.isdir(os.path.join(self.root, directory, "cur")):
                    found.append(name)
                else:
                    whole = False
        return found, whole

    @refusing
    def entries(self) -> Listing:
        """Return all mailboxes and the names above them, sorted, INBOX first.

        What was found is remembered while the Maildir's own directory does not change: folders
        come and go there, and subscriptions and special uses are replaced there.
        """
        try:
            stamp = os.stat(self.root).st_mtime_ns
        except FileNotFoundError:
            return Listing()
        if self._listed is not None and self._listed[0] == stamp:
            return self._listed[1]
        names, whole = self._survey()
        special, subscribed = self.special.now(), set(self.subscriptions())
        entries = listing(set(names), self._names, special, subscribed)
        settled = time.time_ns() - stamp > SETTLED
        self._listed = (stamp, entries) if whole and settled else None
        return entries

    def annotations(self, name: str) -> Annotations:
        """Return the annotations of a mailbox, or of the server where ``name`` is "".

        RFC 5464 §3.1. Raises NoSuchMailbox.
        """
        if not name:
            return self._shelf.server()
        canonical = self._names.canonical(name)
        if not self.exists(canonical):
            raise NoSuchMailbox
        return self._shelf.mailbox(canonical, self._directory(canonical))

    # -- first sight ---------------------------------------------------------------------------

    @refusing
    def prepare(self) -> None:
        """Make what a user's mail needs: INBOX, special-use folders, subscriptions.

        A Maildir of Dovecot or Courier keeps its subscriptions and gets no new folders.
        """
        if self._subscriptions.made():
            return
        Maildir(self.root, self.settings.fsync).create(folder=False)
        with self._lock:
            if self._subscriptions.made():
                return
            names = self._subscriptions.taken_over()
            if names is None:
                self._make_special()
                names = self._existing()
            self._write_subscriptions(names)

    def _make_special(self) -> None:
        for name in self.special.defaults:
            if not self.exists(name):
                Maildir(self._directory(name), self.settings.fsync).create(folder=True)

    # -- changing the tree ---------------------------------------------------------------------

    @refusing
    def create(self, name: str, uses: Sequence[str] = ()) -> None:
        """Make a mailbox (RFC 9051 §6.3.4); a trailing separator is the client's hint only.

        ``uses``: its special uses (RFC 6154 §3), which no other mailbox has from then on.
        """
        name = self._names.canonical(name.removesuffix(self.separator))
        if name == INBOX:
            raise Refused(Code.ALREADYEXISTS, "INBOX always exists")
        directory, given = self._new_directory(name), checked(name, uses)
        parent = self._room_for(name)
        with self._lock:
            if os.path.isdir(os.path.join(directory, "cur")):
                raise Refused(Code.ALREADYEXISTS, "A mailbox of this name exists")
            self.quota.admit_mailbox()
            special = self.special
            stored = special.assigned(name, given) if given else special.without([name])
            folder = Maildir(directory, self.settings.fsync)
            self._with_special(stored, lambda: folder.create(folder=True))
            if parent:
                self.guard.inherit(parent, directory)
            self.journal.changed()

    def _room_for(self, name: str) -> str:
        """Return the directory of the nearest mailbox above a new name, "" where there is none.

        Others than the owner find INBOX above all. Raises Refused (NOPERM) without the right to
        create there (RFC 4314 §4).
        """
        above = filter(self.exists, reversed(self._names.parents(name)))
        nearest = next(above, "" if self.guard.own else INBOX)
        if not nearest:
            return ""
        directory = self._directory(nearest)
        require(self.guard.rights(directory), "k")
        return directory

    def _with_special(self, stored: Mapping[str, Uses], step: Callable[[], None]) -> None:
        """Take a step that special uses are stored for first, and put back if it fails."""
        before = self.special.stored()
        self.special.store(stored)
        try:
            step()
        except OSError:
            self.special.store(before)
            raise

    def _new_directory(self, name: str) -> str:
        try:
            return self._directory(name)
        except NoSuchMailbox as error:
            raise Refused(Code.CANNOT, error.text) from None

    @refusing
    def delete(self, name: str) -> None:
        """Remove a mailbox and its messages (RFC 9051 §6.3.5); names below it stay."""
        name = self._names.canonical(name)
        if name == INBOX:
            raise Refused(Code.CANNOT, "INBOX cannot be deleted")
        directory = self._directory(name)
        with self._lock:
            try:
                self._may_go(directory)
            except NoSuchMailbox:
                self._refuse_missing(name)
                raise
            grants = grantees(acl.load(directory) or {})
            self._remove(directory)
            if grants:
                self._note_grants(grants)
            self.special.store(self.special.without([name]))
            self.journal.changed()

    def _may_go(self, directory: str) -> None:
        """Raise NoSuchMailbox, also where the user may not know of it, and Refused (NOPERM)."""
        if not Maildir(directory).exists():
            raise NoSuchMailbox
        self.guard.admit(directory, "x")

    def _refuse_missing(self, name: str) -> None:
        below = name + self.separator
        if any(other.startswith(below) for other in self.visible()):
            raise Refused(Code.HASCHILDREN, "There are mailboxes below this name")

    def _remove(self, directory: str) -> None:
        gone = os.path.join(self.root, GONE + secrets.token_hex(8))
        atomic.rename(directory, gone)
        self.quota.forget(os.path.basename(directory))
        if self.settings.fsync:
            atomic.sync_directory(self.root)
        shutil.rmtree(gone, ignore_errors=True)

    @refusing
    def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and all below it (RFC 9051 §6.3.6); INBOX gives its mail away."""
        old = self._names.canonical(old)
        new = self._names.canonical(new.removesuffix(self.separator))
        if new == INBOX:
            raise Refused(Code.ALREADYEXISTS, "INBOX always exists")
        self._new_directory(new)
        if old == INBOX:
            self._move_inbox(new)
            return
        if new == old or new.startswith(old + self.separator):
            raise Refused(Code.CANNOT, "A mailbox cannot be moved below itself")
        self._let_go(old)
        self._room_for(new)
        with self._lock:
            self._rename_all(old, new)

    def _move_inbox(self, new: str) -> None:
        self.guard.admit(self.root, "x")
        self.create(new)
        with self.open(INBOX) as source, self.open(new) as target:
            source.refresh()
            view = source.view()
            source.copy(view, range(1, len(view) + 1), target, move=True)
        with self._lock:  # RFC 5464 §4.1: annotations go along, and stay
            self.annotations(new).copy(self.annotations(INBOX))

    def _let_go(self, name: str) -> None:
        """Check the right to rename a mailbox, or all below a name that is none (RFC 4314 §4)."""
        below = name + self.separator
        leaving = [name]
        if not self.exists(name):
            leaving = [other for other in self._existing() if other.startswith(below)]
        for other in leaving:
            self.guard.admit(self._directory(other), "x")
        if not leaving:
            raise NoSuchMailbox

    def _rename_all(self, old: str, new: str) -> None:
        existing = self._existing()
        below = old + self.separator
        moves = [
            (name, new + name[len(old) :])
            for name in existing
            if name == old or name.startswith(below)
        ]
        if not moves:
            raise NoSuchMailbox
        if set(existing) & {target for _, target in moves} or new in existing:
            raise Refused(Code.ALREADYEXISTS, "A mailbox of this name exists")
        # Every new name is checked before the first directory moves.
        pairs = [(self._directory(a), self._new_directory(b)) for a, b in moves]
        self._with_special(self.special.copied(moves), lambda: self._move_all(moves, pairs))
        self.journal.renamed(sorted(moves))

    def _move_all(self, moves: Iterable[tuple[str, str]], pairs: Iterable[tuple[str, str]]) -> None:
        done: list[tuple[str, str]] = []
        try:
            for source, target in pairs:
                atomic.rename(source, target)
                done.append((source, target))
                self.quota.renamed(os.path.basename(source), os.path.basename(target))
            if self.settings.fsync:
                atomic.sync_directory(self.root)
            self.special.store(self.special.without(name for name, _ in moves))
        except OSError:
            for source, target in reversed(done):
                atomic.rename(target, source)
                self.quota.renamed(os.path.basename(target), os.path.basename(source))
            raise

    # -- subscriptions -------------------------------------------------------------------------

    @refusing
    def subscriptions(self) -> list[str]:
        """Return subscribed names, those without a mailbox included (RFC 9051 §6.3.9)."""
        return self._subscriptions.names()

    def subscribe(self, name: str) -> None:
        """Add a name (RFC 9051 §6.3.7). Raises NoSuchMailbox."""
        name = self._names.canonical(name.removesuffix(self.separator))
        if not any(entry.name == name for entry in self.entries()):
            raise NoSuchMailbox
        self._change_subscriptions(lambda names: names if name in names else [*names, name])

    def unsubscribe(self, name: str) -> None:
        """Remove a name (RFC 9051 §6.3.8); one that is not subscribed is no error."""
        name = self._names.canonical(name.removesuffix(self.separator))
        self._change_subscriptions(lambda names: [other for other in names if other != name])

    @refusing
    def _change_subscriptions(self, change: Callable[[list[str]], Iterable[str]]) -> None:
        with self._lock:
            self._write_subscriptions(change(self.subscriptions()))

    def _write_subscriptions(self, names: Iterable[str]) -> None:
        self._subscriptions.write(names)
        self.journal.changed()

    # -- administration ------------------------------------------------------------------------

    @refusing
    def export_dovecot(self) -> list[str]:
        """Write every mailbox's files of Dovecot; returns the names written."""
        written = []
        for name in self._existing():
            with self.open(name) as mailbox:
                check.export_dovecot(mailbox)
            written.append(name)
        plain = (name.removeprefix(self.prefix) for name in self.subscriptions())
        takeover.write_dovecot_subscriptions(
            self.root, (name.replace(self.separator, "/") for name in plain)
        )
        return written

    @refusing
    def sweep(self) -> None:
        """Remove what died on its way: old files in tmp/, folders half deleted."""
        for entry in os.listdir(self.root):
            if entry.startswith(GONE):
                shutil.rmtree(os.path.join(self.root, entry), ignore_errors=True)
        for name in self._existing():
            Maildir(self._directory(name)).sweep(time.time())
