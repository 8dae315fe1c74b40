"""A note of what is being appended to an mbox: what its messages have no room for.

These are the unique names under which a process that goes on looks for what another had begun,
and the messages in exchange for which they come. The note goes when the index knows of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pymaild.mail.batch import exchange, settled
from pymaild.mail.stores import Arrival, Leaving
from pymaild.storage import atomic
from pymaild.storage.maildir import member
from pymaild.storage.mbox import Edit

if TYPE_CHECKING:
    from pymaild.mail.stores.mbox import MboxStore

NAME = "pymaild.arrivals"


def _path(store: MboxStore) -> str:
    return os.path.join(store.directory, NAME)


def write(
    store: MboxStore,
    arrivals: Sequence[Arrival],
    mark: str,
    leaving: Leaving | None,
    durable: bool,
) -> None:
    """Note that these are about to be appended."""
    numbers = [member(arrival.name.encode(), mark) for arrival in arrivals]
    note = exchange(mark, leaving, numbers)
    note["end"] = store.mbox.size()
    note["names"] = {str(arrival.uid): arrival.name for arrival in arrivals}
    # A power failure ends the process that would look for names, but no move half way.
    atomic.replace(_path(store), json.dumps(note).encode(), durable and leaving is not None)


def load(store: MboxStore) -> dict[str, Any]:
    """Return the note, empty where there is none or it makes no sense."""
    try:
        with open(_path(store), "rb") as file:
            note = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def names(store: MboxStore) -> dict[int, str]:
    """Return the names of messages that were about to come, by their UIDs."""
    return {int(uid): name for uid, name in load(store).get("names", {}).items()}


def settle(store: MboxStore) -> None:
    """Take back of a move half done those whose originals are still there; the file is locked."""
    note = load(store)
    if note.get("leaving"):
        _remove(store, note, settled(note, durable=True, known=[store]))


def take_back(store: MboxStore, leaving: Leaving | None) -> None:
    """Remove what has come and may not stay, since what it was for has failed."""
    note = load(store)
    known = [store, *([leaving.store] if leaving is not None else [])]
    staying = settled(note, durable=True, known=known)
    _remove(store, note, staying)
    if not staying:
        forget(store)


def forget(store: MboxStore) -> None:
    """Remove the note."""
    if os.path.lexists(_path(store)):
        atomic.unlink(_path(store))


def _remove(store: MboxStore, note: Mapping[str, Any], staying: set[int]) -> None:
    leaving = {
        int(uid)
        for uid, name in note.get("names", {}).items()
        if member(name.encode(), note["mark"]) not in staying
    }
    there = (one for one in store.mbox.scan() if one.uid in leaving)
    edits = [Edit(one.offset, None) for one in there if one.offset >= note["end"]]
    if edits:
        store.mbox.rewrite(edits, store.told())
