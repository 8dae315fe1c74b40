"""The journal of an account: what happened to its mailboxes as a whole (RFC 5465 §5.4 to §5.7).

What a session has been told of it is one number. The file is made when a client first asks for
such events, and costs nothing before. It also says which names and subscriptions it knows, so
that what other programs did to the folders is found by comparing, and becomes events too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from pymaild.storage import atomic
from pymaild.storage.locks import FileLock

log = logging.getLogger("pymaild.mail")

FILE = "pymaild.journal"
MOST = 500  # events that are kept

Kind = Literal["created", "deleted", "renamed", "subscribed", "unsubscribed", "metadata"]


class Event(NamedTuple):
    """One change: ``detail`` is the old name of a mailbox, or the name of a metadata entry.

    ``origin`` is the id of the session that did it, "" for another program.
    """

    kind: Kind
    name: str
    detail: str = ""
    origin: str = ""


#: What there is now: names of mailboxes, and subscribed names.
Picture = tuple[list[str], list[str]]


class Journal:
    """``look`` tells what there is now; ``origin`` is the session for which events are noted."""

    def __init__(self, root: str, lock: FileLock, look: Callable[[], Picture]) -> None:
        self._path = os.path.join(root, FILE)
        self._lock = lock
        self._look = look
        self.origin = ""

    def position(self) -> int:
        """Return the number of the last event; from now on there is a journal."""
        with self._lock:
            held = self._load()
            if held is None:
                names, subscribed = self._look()
                held = {"last": 0, "names": names, "subscribed": subscribed, "events": []}
                self._save(held)
            return self._level(held, "")

    def since(self, position: int) -> tuple[int, list[Event]] | None:
        """Return the last event's number, and the events behind ``position``.

        None when these are no longer known. Raises Refused and OSError.
        """
        with self._lock:
            held = self._load()
            if held is None:
                return None
            last = self._level(held, "")
        missed = last - position
        if not 0 <= missed <= len(held["events"]):
            return None
        return last, [Event(*event) for event in held["events"][len(held["events"]) - missed :]]

    def changed(self) -> None:
        """Note what the caller, who holds the lock, has just done to names or subscriptions."""
        held = self._load()
        if held is not None:
            self._level(held, self.origin)

    def renamed(self, moves: Iterable[tuple[str, str]]) -> None:
        """Note mailboxes that the caller has renamed, outermost first: it alone is told of."""
        held = self._load()
        if held is None:
            return
        pairs = list(moves)
        changed = dict(pairs)
        if not changed.keys() & set(held["names"]):
            self._level(held, self.origin)  # it is noted already
            return
        held["names"] = [changed.get(name, name) for name in held["names"]]
        old, new = pairs[0]
        self._append(held, [Event("renamed", new, old, self.origin)])
        self._level(held, self.origin)

    def metadata(self, name: str, entries: Iterable[str]) -> None:
        """Note that entries of a mailbox, "" for the server, have been set or removed."""
        events = [Event("metadata", name, entry, self.origin) for entry in entries]
        with self._lock:
            held = self._load() if events else None
            if held is not None:
                self._append(held, events)

    def _level(self, held: dict[str, Any], origin: str) -> int:
        """Compare what is known with what there is; returns the last event's number."""
        names, subscribed = self._look()
        events = [
            *_differences(held["names"], names, "created", "deleted", origin),
            *_differences(held["subscribed"], subscribed, "subscribed", "unsubscribed", origin),
        ]
        if events:
            held.update(names=names, subscribed=subscribed)
            self._append(held, events)
        return int(held["last"])

    def _append(self, held: dict[str, Any], events: list[Event]) -> None:
        held["events"] = [*held["events"], *events][-MOST:]
        held["last"] += len(events)
        self._save(held)

    def _save(self, held: dict[str, Any]) -> None:
        """Not synced: who misses an event because of a power failure is told that it did.

        What an event is about stands, so a disk that takes no more is only logged: names and
        subscriptions are compared again next time.
        """
        try:
            atomic.replace(self._path, json.dumps(held).encode(), durable=False)
        except OSError as error:
            log.warning("%s is not written: %s", self._path, error)

    def _load(self) -> dict[str, Any] | None:
        try:
            with open(self._path, "rb") as file:
                held = json.loads(file.read())
        except (FileNotFoundError, ValueError):
            return None
        return held if isinstance(held, dict) and held.keys() >= _KEYS else None


_KEYS = {"last", "names", "subscribed", "events"}


def _differences(
    old: list[str], new: list[str], come: Kind, gone: Kind, origin: str
) -> list[Event]:
    before, after = set(old), set(new)
    return [
        *(Event(gone, name, "", origin) for name in old if name not in after),
        *(Event(come, name, "", origin) for name in new if name not in before),
    ]
