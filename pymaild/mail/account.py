"""One user's mail: the tree of mailboxes and the list of subscriptions."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.core.session import User
from pymaild.mail import acl, creating, deleting, renaming
from pymaild.mail.acl import Access, Controlled, Guard
from pymaild.mail.annotations import Shelf
from pymaild.mail.grants import Grants
from pymaild.mail.guard import refusing
from pymaild.mail.helpers import Ask, Helpers, Task
from pymaild.mail.intents import Intent, Intents
from pymaild.mail.journal import Journal
from pymaild.mail.listing import Listing, listing
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.metadata import Annotations
from pymaild.mail.quota import Quota
from pymaild.mail.rights import Actor, grantees
from pymaild.mail.settings import MailSettings
from pymaild.mail.special import SpecialUses
from pymaild.mail.status import Status
from pymaild.mail.stores import SETTLED, Beat, Layout
from pymaild.mail.stores.maildir_tree import MaildirTree
from pymaild.mail.stores.mbox_tree import MboxTree
from pymaild.mail.subscriptions import Subscriptions
from pymaild.mail.tree import Names
from pymaild.storage.locks import FileLock

log = logging.getLogger("pymaild.mail")

KEPT_OPEN = 8  # mailboxes


def layout(user: User, names: Names, settings: MailSettings) -> Layout:
    """Return the tree of a user's mail, in the format that it is stored in."""
    if not user.inbox:
        return MaildirTree(user.mail, names, settings.fsync)
    rules = settings.mbox_locks()
    return MboxTree(user.inbox, user.mail, names, rules, settings.fsync)


class Account:
    """The mailboxes of one user. Names are Unicode, ``separator`` between levels."""

    others_prefix = shared_prefix = ""  # of namespaces that are not the user's own

    def __init__(self, user: User, settings: MailSettings, actor: Actor | None = None) -> None:
        """``actor``: whose rights count; None is the administrator, who may do everything."""
        self.user = user
        self.actor = actor
        self.guard = Guard(user.name, actor, settings.fsync)
        self.grants: Grants | None = None  # where it is noted to whom mailboxes are open
        self.names = Names(settings.separator, settings.prefix)
        self.layout = layout(user, self.names, settings)
        self.root = self.layout.root
        self.settings = settings
        self.beat: Beat = lambda done, goal: None  # at each step of what can take long
        self.intents: Intents | None = None  # where somebody keeps a journal
        self.ask: Ask | None = None  # who does what can be done in the background
        self.quota = Quota(self)
        self.separator: str = settings.separator
        self.prefix = settings.prefix
        self._kept: dict[str, Mailbox] = {}  # that nobody has open, by the name asked for
        self.keeps = False  # mailboxes, until it is closed
        self._listed: tuple[int | None, Listing] | None = None
        self.subscribed = Subscriptions(self.root, settings)
        lock = os.path.join(self.root, "pymaild.account.lock")
        self.lock = FileLock(lock, settings.lock_timeout)
        self.journal = Journal(self.root, self.lock, self._picture)

    @cached_property
    def special(self) -> SpecialUses:
        """What mailboxes are for (RFC 6154)."""
        return SpecialUses(self.root, self.settings)

    @cached_property
    def _shelf(self) -> Shelf:
        keys = self.lock, self.special, self.guard, self.journal
        return Shelf(self.root, self.settings, *keys)

    # -- looking -----------------------------------------------------------------------------

    def canonical(self, name: str) -> str:
        """Return a mailbox's name in its one form (RFC 9051 §5.1)."""
        return self.names.canonical(name)

    def directory(self, name: str) -> str:
        """Return where a mailbox is, or would be. Raises NoSuchMailbox for what names none."""
        return self.layout.directory(name)

    def exists(self, name: str) -> bool:
        """Say whether a mailbox of this name can be opened."""
        try:
            return self._has(self.directory(name))
        except Refused:
            return False

    @refusing
    def open(self, name: str, rights: str = "") -> Mailbox:
        """Open a mailbox for which the user has these rights (letters of RFC 4314 §2.1).

        Clients come back to the same mailboxes again and again: where that is wanted, a few that
        nobody has open are kept. Raises NoSuchMailbox, also where the user may not know of it, and
        Refused (NOPERM).
        """
        kept = self._kept.pop(name, None)
        if kept is None or not self._again(kept, rights):
            kept = self._anew(name, rights)
            kept.keep = partial(self._keep, name)
        return kept

    def _again(self, box: Mailbox, rights: str) -> bool:
        try:
            fits = box.again(rights)
        except BaseException:
            box.release()
            raise
        if not fits:
            box.release()
        return fits

    def _anew(self, name: str, rights: str) -> Mailbox:
        canonical, directory, access = self._admitted(name, rights)
        box = self._opened(self.shown(canonical), directory, access)
        if self.ask is not None:
            box.helpers = Helpers(self.ask, Task(self.user, canonical, self.prefix))
            box.helpers.look(box.index)
        return box

    def _keep(self, name: str, box: Mailbox) -> bool:
        """Take a mailbox that nobody has open any more; false where that cannot be."""
        if not self.keeps or name in self._kept:
            return False
        if len(self._kept) >= KEPT_OPEN:
            self._kept.pop(next(iter(self._kept))).release()
        self._kept[name] = box
        return True

    def _forget(self) -> None:
        """Let go of what is kept: names lead elsewhere now."""
        while self._kept:
            self._kept.popitem()[1].release()

    def _admitted(self, name: str, rights: str) -> tuple[str, str, Access | None]:
        """Return canonical name, directory and rights of a mailbox that may be opened."""
        canonical = self.names.canonical(name)
        try:
            directory = self.directory(canonical)
        except Refused:
            raise NoSuchMailbox from None
        return canonical, directory, self.guard.admit(directory, rights)

    def _opened(self, name: str, directory: str, access: Access | None) -> Mailbox:
        tell = self.beat, self.intents
        store = self.layout.store(directory)
        return Mailbox(name, store, self.root, self.settings, access, self.quota, *tell)

    def everything(self) -> Iterator[Mailbox]:
        """Yield all mailboxes that can be opened, whoever may see them."""
        for name in self.existing():
            with suppress(Refused), self._opened(name, self.directory(name), None) as mailbox:
                yield mailbox

    def count(self) -> int:
        """Return how many mailboxes there are."""
        return len(self.existing())

    def quota_of(self, name: str) -> Quota:
        """Return the quota root of a mailbox, which need not exist (RFC 9208 §4.1.2).

        Raises Refused where no mailbox can be called that.
        """
        self.names.directory(name)
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
            directory = self.directory(self.names.canonical(name))
        except Refused:
            raise NoSuchMailbox from None
        if not self._has(directory):
            raise NoSuchMailbox
        return Controlled(directory, self.guard, self.lock, self.note_grants)

    def identifier(self, prepared: str) -> str:
        """Return the canonical form of an identifier (RFC 4314 §3.3)."""
        return prepared

    def _has(self, directory: str) -> bool:
        return self.layout.store(directory).exists()

    def granted(self) -> set[str]:
        """Return the identifiers to which some mailbox here is open."""
        lists = (acl.load(self.directory(name)) for name in self.existing())
        return set().union(*(grantees(found) for found in lists if found is not None))

    def note_grants(self, identifiers: Iterable[str]) -> None:
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
        return self.layout.paths()

    def paths(self, name: str) -> list[str]:
        """Return the directories where a change of a mailbox shows, none if it cannot be read."""
        try:
            store = self.layout.store(self._admitted(name, "lr")[1])
        except (Refused, OSError):
            return []
        return store.paths if store.exists() else []

    def status(self, name: str, size: bool = False) -> Status:
        """Return a mailbox's numbers (RFC 9051 §6.3.11). Raises NoSuchMailbox."""
        box = self._kept.get(name)
        if box is not None:
            with suppress(NoSuchMailbox):  # it may have been made anew
                if "r" in box.rights():
                    return box.status(size)
            self._kept.pop(name).release()
        with self.open(name, "r") as box:
            return box.status(size)

    def mailboxid(self, name: str) -> str:
        """Return a mailbox's MAILBOXID (RFC 8474 §4). Raises NoSuchMailbox."""
        with self.open(name, "r") as box:
            return box.mailboxid()

    def begun(self, kind: str, *about: str) -> list[Intent]:
        """Return what a process that died has noted of a change of the tree, if it was this."""
        return [] if self.intents is None else self.intents.of(kind, *about)

    def settle(self) -> None:
        """Forget what processes that died were about to change: it is settled."""
        if self.intents is not None:
            self.intents.past.clear()

    def close(self) -> None:
        """Close what is kept open, and keep no more."""
        self.keeps = False
        self._forget()
        self.quota.close()

    def _picture(self) -> tuple[list[str], list[str]]:
        return sorted(self.existing()), sorted(self.subscriptions())

    def existing(self) -> list[str]:
        """Return the names of all mailboxes, whoever may see them."""
        return self.layout.survey()[0]

    @refusing
    def visible(self) -> list[str]:
        """Return the names of the mailboxes that the user may be told of."""
        return [
            name
            for name in self.existing()
            if self.guard.own or self.guard.visible(self.directory(name))
        ]

    @refusing
    def entries(self) -> Listing:
        """Return all mailboxes and the names above them, sorted, INBOX first.

        What was found is remembered while the Maildir's own directory does not change: folders
        come and go there, and subscriptions and special uses are replaced there.
        """
        try:
            stamp = self.layout.stamp()
        except FileNotFoundError:
            return Listing()
        if self._listed is not None and self._listed[0] == stamp:
            return self._listed[1]
        names, whole = self.layout.survey()
        special, subscribed = self.special.now(), set(self.subscriptions())
        leaves = self.layout.leaves(names)
        entries = listing(set(names), self.names, special, subscribed, leaves)
        settled = stamp is not None and time.time_ns() - stamp > SETTLED
        self._listed = (stamp, entries) if whole and settled else None
        return entries

    def annotations(self, name: str) -> Annotations:
        """Return the annotations of a mailbox, or of the server where ``name`` is "".

        RFC 5464 §3.1. Raises NoSuchMailbox.
        """
        if not name:
            return self._shelf.server()
        canonical = self.names.canonical(name)
        if not self.exists(canonical):
            raise NoSuchMailbox
        return self._shelf.mailbox(canonical, self.directory(canonical))

    # -- first sight ---------------------------------------------------------------------------

    @refusing
    def prepare(self) -> None:
        """Make what a user's mail needs: INBOX, special-use folders, subscriptions.

        A Maildir of Dovecot or Courier keeps its subscriptions and gets no new folders.
        """
        if self.subscribed.made():
            return
        self.layout.prepare()
        with self.lock:
            if self.subscribed.made():
                return
            self._write_subscriptions(creating.first_sight(self))

    # -- changing the tree ---------------------------------------------------------------------

    @refusing
    def create(self, name: str, uses: Sequence[str] = ()) -> None:
        """Make a mailbox (RFC 9051 §6.3.4); a trailing separator is the client's hint only.

        ``uses``: its special uses (RFC 6154 §3), which no other mailbox has from then on.
        """
        creating.create(self, name, uses)

    @refusing
    def delete(self, name: str) -> None:
        """Remove a mailbox and its messages (RFC 9051 §6.3.5); names below it stay."""
        self._forget()
        deleting.delete(self, name)

    @refusing
    def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and all below it (RFC 9051 §6.3.6); INBOX gives its mail away."""
        self._forget()
        renaming.rename(self, old, new)

    # -- subscriptions -------------------------------------------------------------------------

    @refusing
    def subscriptions(self) -> list[str]:
        """Return subscribed names, those without a mailbox included (RFC 9051 §6.3.9)."""
        return self.subscribed.names()

    def subscribe(self, name: str) -> None:
        """Add a name (RFC 9051 §6.3.7). Raises NoSuchMailbox."""
        name = self.names.canonical(name.removesuffix(self.separator))
        if not any(entry.name == name for entry in self.entries()):
            raise NoSuchMailbox
        self._change_subscriptions(lambda names: names if name in names else [*names, name])

    def unsubscribe(self, name: str) -> None:
        """Remove a name (RFC 9051 §6.3.8); one that is not subscribed is no error."""
        name = self.names.canonical(name.removesuffix(self.separator))
        self._change_subscriptions(lambda names: [other for other in names if other != name])

    @refusing
    def _change_subscriptions(self, change: Callable[[list[str]], Iterable[str]]) -> None:
        with self.lock:
            self._write_subscriptions(change(self.subscriptions()))

    def _write_subscriptions(self, names: Iterable[str]) -> None:
        self.subscribed.write(names)
        self.journal.changed()
