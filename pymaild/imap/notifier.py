"""Telling what NOTIFY asks for, at any time outside of commands (RFC 5465 §5).

What the client has been told stands in the record: for each mailbox its numbers, for the tree
of mailboxes the journal's. So nothing is lost between two processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pymaild.core.errors import (
    Code,
    Disconnected,
    Leave,
    Parked,
    Refused,
    TimedOut,
    from_oserror,
)
from pymaild.core.session import Event as Stirred
from pymaild.imap import listing, outcomes
from pymaild.imap.events import (
    FLAGS,
    METADATA,
    NAMES,
    SERVER_METADATA,
    SUBSCRIPTIONS,
    Wants,
    Wishes,
)
from pymaild.imap.listing import mailbox_line
from pymaild.imap.selection import Gone
from pymaild.mail.journal import Event
from pymaild.storage._watch import Watch

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.listing import Listing
    from pymaild.mail.status import Status

SELECTED_KEY = ""
TREE_KEY = "\0"  # in no mailbox's name

#: Commands whose own work is told even to a client that wants to hear of no message.
_OWN = frozenset({"EXPUNGE", "UID EXPUNGE", "MOVE", "UID MOVE", "REPLACE", "UID REPLACE"})

Numbers = list[int]  # UIDVALIDITY, MESSAGES, UIDNEXT, HIGHESTMODSEQ, UNSEEN
_MODSEQ = 3


class Notifier:
    """What a session with NOTIFY watches. ``told``: the part of the record that it keeps."""

    def __init__(self, session: ImapSession, told: dict[str, Any]) -> None:
        self.session = session
        self.told = told
        self.wishes = Wishes.load(told["groups"])
        self._watch: Watch | None = None
        self._paths: dict[str, list[str]] = {}  # what it watches
        self._events: dict[str, frozenset[str]] = {}
        self._stirred: set[str] | None = None  # None: whatever may have happened
        self._lost: set[str] = set()  # mailboxes that cannot be read any more
        self._found = 0  # how often the mailboxes that are meant were looked for
        group = self.wishes.selected
        self.items = group.fetch if group is not None else ""  # told of new mail

    # -- setting up ------------------------------------------------------------------------

    def begin(self, status: bool) -> None:
        """Take the present state as told; with ``status``, tell it. Raises Refused."""
        account = self.session.account
        self.told["position"] = account.journal.position() if self._of_names else 0
        self._evaluate()
        for name in self._others():
            numbers = self._numbers(name)
            if numbers is not None and status:
                self._tell_status(name, None, numbers)

    def resume(self) -> None:
        """Go on where another process stopped. What happened meanwhile is told at once."""
        self._evaluate()

    def selected(self, name: str) -> None:
        """Leave a mailbox to the group of the selected one."""
        self.told["known"].pop(name, None)
        self.close()

    @property
    def _of_names(self) -> bool:
        wanted = {event for group in self.wishes.groups for event in group.events}
        return bool(wanted & {NAMES, SUBSCRIPTIONS, METADATA, SERVER_METADATA}) or any(
            group.filter not in ("selected", "selected-delayed") for group in self.wishes.groups
        )

    def _evaluate(self) -> None:
        """Find the mailboxes that are meant now; forget what is known of others."""
        events = self.wishes.messages(self.session)
        if len(events) > self.session.settings.notify_mailboxes:
            raise Refused(Code.NOTIFICATIONOVERFLOW, "Too many mailboxes to be watched")
        known = self.told["known"]
        self._tell_access(events, known)
        for name in known.keys() - events.keys():
            del known[name]
        self._events = events
        self._found += 1
        self._lost.clear()
        self.close()

    def _tell_access(self, events: dict[str, frozenset[str]], known: dict[str, Numbers]) -> None:
        """Tell which mailboxes of others may not be read, any more or again (RFC 5465 §5.9)."""
        account, write = self.session.account, self.session.write
        foreign = [name for name in {*events, *known, *self._lost} if not account.personal(name)]
        denied = [name for name in foreign if not account.paths(name)]
        for name in denied:
            events.pop(name, None)
            if name not in self.told["denied"]:
                write(listing.line(self.session, name, [b"\\NoAccess"]))
        for name in self.told["denied"]:
            if name in events:
                write(mailbox_line(self.session, account.entries(), name))
        self.told["denied"] = denied

    def _others(self) -> list[str]:
        return [name for name in self._events if name != self.session.record.mailbox]

    def _opened(self) -> bool:
        """Say whether a mailbox that could not be read now can."""
        return any(self.session.account.paths(name) for name in self.told["denied"])

    def own(self, name: str) -> None:
        """Take the one change as told that this client has just made to a mailbox itself.

        RFC 5465 §5. When others changed it as well, that is news.
        """
        old = self.told["known"].get(name)
        if old is not None:
            new = self._numbers(name)
            if new is not None and new[_MODSEQ] != old[_MODSEQ] + 1:
                self.told["known"][name] = old

    def close(self) -> None:
        """Stop watching; the next wait begins anew, and looks at everything once."""
        if self._watch is not None:
            self._watch.close()
        self._watch = None
        self._stirred = None

    # -- waiting ---------------------------------------------------------------------------

    def wait(self, timeout: float) -> None:
        """Tell what happens until the client sends something. Raises TimedOut and Leave."""
        deadline = time.monotonic() + timeout
        while True:
            self.tell()
            self.session.commit()
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut
            watched, patience = waiting(self.watch())
            if self.session.stream.wait(min(left, patience), watched) is Stirred.CLIENT:
                return
            self.look()

    def watch(self) -> Watch:
        """Return the watch on all that is to be told of, made anew when that has changed."""
        if self._watch is None:
            self._watch = watch = Watch()
            self._paths = dict(self._found_paths())
            for key, paths in self._paths.items():
                watch.add(key, *paths)
        return self._watch

    def _found_paths(self) -> Iterator[tuple[str, list[str]]]:
        """Return the directories where it shows what is to be told of, by what that is about."""
        account = self.session.account
        if self.session.selection is not None and self.wishes.selected is not None:
            yield SELECTED_KEY, self.session.current.mailbox.paths()
        if self._of_names:
            yield TREE_KEY, account.tree_paths()
        for name in self._others():
            yield name, account.paths(name)

    def paths(self) -> list[str]:
        """Return all directories where what is to be told of shows.

        Those of our own watch are the ones: where that is not so any more, it says so itself.
        """
        found = dict(self._found_paths()) if self._watch is None else self._paths
        return [path for paths in found.values() for path in paths]

    def look(self) -> None:
        """Take note of what has stirred."""
        stirred = self.watch().drain()
        if stirred is None or self._stirred is None:
            self._stirred = None
        else:
            self._stirred |= stirred

    # -- telling ---------------------------------------------------------------------------

    def tell(self, expunge: bool = False) -> None:
        """Tell all there is to tell outside of a command. ``expunge``: in IDLE.

        When that changes what is watched, it looks once more: nothing may fall between.
        """
        while True:
            self.watch()
            self._tell(expunge)
            if self._watch is not None and not self._lost:
                return

    def settle(self, watch: Callable[[list[str]], None], expunge: bool) -> None:
        """Tell all there is to tell once others watch: ``watch`` is given the directories.

        What has stirred until then our own watch says, if there is one.
        """
        found = -1
        while found != self._found or self._lost:
            found = self._found
            watch(self.paths())
            if self._watch is not None:
                self.look()
            self._tell(expunge)
        self.close()

    def _tell(self, expunge: bool) -> None:
        stirred, self._stirred = self._stirred, set()
        tree = stirred is None or TREE_KEY in stirred
        if tree:
            self._tell_tree()
        if self._lost or (tree and self._opened()):
            self._evaluate()
        group = self.wishes.selected
        stirs = stirred is None or SELECTED_KEY in stirred
        if self.session.selection is not None and group is not None and stirs:
            self.session.tell(expunge or group.filter == "selected")
        for name in self._others():
            if stirred is None or name in stirred:
                self._tell_numbers(name)

    def tell_selected(self, command: str, expunge: bool) -> None:
        """Tell of the selected mailbox, inside a command or outside of one ("")."""
        selection, group = self.session.current, self.wishes.selected
        if group is None:
            if command in _OWN:
                selection.tell(self.session.write, True)
            return
        selection.quiet = FLAGS not in group.events
        selection.tell(self.session.write, expunge or group.filter == "selected")

    def _tell_numbers(self, name: str) -> None:
        old = self.told["known"].get(name)
        new = self._numbers(name)
        if new is not None and old is not None and new != old:
            self._tell_status(name, old, new)

    def _numbers(self, name: str) -> Numbers | None:
        """Ask for a mailbox's numbers, and take them as told."""
        try:
            status = self.session.account.status(name)
        except Refused:  # gone, or no longer open to this user
            if self.told["known"].pop(name, None) is not None:
                self._lost.add(name)
            return None
        self.told["known"][name] = numbers = _numbers(status)
        return numbers

    def _tell_status(self, name: str, old: Numbers | None, new: Numbers) -> None:
        found = self._items(self._events[name], old, new)
        if found:
            told = b" ".join([b"%b %d" % item for item in found.items()])
            self.session.write(b"* STATUS %b (%b)\r\n" % (self.session.mailbox_name(name), told))

    def _items(self, events: frozenset[str], old: Numbers | None, new: Numbers) -> dict[bytes, int]:
        """The items that say what is new (RFC 5465 §3.1, §5.1 to §5.3)."""
        validity, messages, uidnext, modseq, unseen = new
        found = {b"UIDVALIDITY": validity}
        if old is None or old[:3] != new[:3]:
            found |= {b"MESSAGES": messages, b"UIDNEXT": uidnext}
        if FLAGS in events and (old is None or old[4] != unseen):
            found[b"UNSEEN"] = unseen
        known = self.session.modes.condstore or old is None
        if known and (FLAGS in events or len(found) > 1):
            found[b"HIGHESTMODSEQ"] = modseq
        return found if len(found) > 1 else {}

    # -- the tree of mailboxes -------------------------------------------------------------

    def _tell_tree(self) -> None:
        if not self._of_names:
            return
        account = self.session.account
        found = account.journal.since(self.told["position"])
        if found is None:
            overflow(self.session)
            return
        position, events = found
        if position == self.told["position"]:
            return
        self.told["position"] = position
        wanted, tree = self.wishes.wanting(account), account.entries()
        for event in events:
            if event.origin != account.journal.origin:
                self._tell_event(event, wanted, tree)
        self._evaluate()
        for name in self._others():
            if name not in self.told["known"]:
                self._numbers(name)

    def _tell_event(self, event: Event, wanted: Wants, tree: Listing) -> None:
        """Tell one event, if it is wanted; a name's parent is affected too (RFC 5465 §5.4)."""
        told, write = partial(mailbox_line, self.session, tree), self.session.write
        if event.kind == "metadata":
            self._tell_metadata(event, wanted)
        elif event.kind in ("subscribed", "unsubscribed"):
            if wanted(SUBSCRIPTIONS, event.name):
                write(told(event.name))
        elif wanted(NAMES, event.name):
            old = event.detail if event.kind == "renamed" else ""
            write(told(event.name, old, gone=event.kind == "deleted"))
            parent = event.name.rpartition(self.session.account.separator)[0]
            if parent and event.kind != "renamed":
                write(told(parent))

    def _tell_metadata(self, event: Event, wanted: Wants) -> None:
        of_server = any(SERVER_METADATA in group.events for group in self.wishes.groups)
        if wanted(METADATA, event.name) if event.name else of_server:
            name = self.session.mailbox_name(event.name)
            self.session.write(b"* METADATA %b %b\r\n" % (name, event.detail.encode()))


def set_wishes(session: ImapSession, wishes: Wishes, status: bool = False) -> None:
    """Tell of these events from now on (RFC 5465 §3.1). Raises Refused."""
    if session.selection is not None:
        session.selection.tell(session.write, True)
    told = {"groups": wishes.dump(), "position": 0, "known": {}, "denied": []}
    fresh = Notifier(session, told)
    fresh.begin(status)
    if session.notifier is not None:
        session.notifier.close()
    session.record.notify, session.notifier = told, fresh


def overflow(session: ImapSession) -> None:
    """Give up telling events, and say so (RFC 5465 §5.8)."""
    told = session.say("Events are no longer told")
    session.write(b"* OK [NOTIFICATIONOVERFLOW] %b\r\n" % told)
    set_wishes(session, Wishes([]))


def attend(session: ImapSession, tell: Callable[[], object]) -> None:
    """Let the notifier tell what happens; what it cannot tell is an overflow."""
    try:
        tell()
    except (Refused, OSError) as error:
        failed = error if isinstance(error, Refused) else from_oserror(error)
        outcomes.log_refusal(session, failed)
        overflow(session)
    except (Gone, Disconnected, TimedOut, Leave, Parked):
        raise
    except Exception:
        outcomes.log_bug(session)
        overflow(session)


def waiting(watch: Watch) -> tuple[int | None, float]:
    """Return the descriptor to wait for, None where the kernel has no more, and for how long."""
    return (watch.fileno() if watch.fileno() >= 0 else None), watch.timeout


def _numbers(status: Status) -> Numbers:
    return [
        status.uidvalidity,
        status.messages,
        status.uidnext,
        status.highestmodseq,
        status.unseen,
    ]
