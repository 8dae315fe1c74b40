"""Changes of several files that are made whole or not at all, also when the process dies.

Before the first file takes its place a note is written of the mark that is in all their names; it
goes when all are there, and before the index is told. Who finds a note, with the mailbox locked,
takes the change back: its owner died. Where messages were to go in exchange (REPLACE, and MOVE
between formats), those that have gone decide instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pymaild.mail.stores import KINDS, Leaving, Store
from pymaild.storage import atomic
from pymaild.storage._names import parse
from pymaild.storage.maildir import Maildir, member

NAME = "pymaild.batch"


@contextmanager
def noted(
    maildir: Maildir, mark: str, leaving: Leaving | None = None, numbers: Iterable[int] = (0,)
) -> Iterator[None]:
    """Keep a note while files of this mark take their places. One file alone needs none.

    ``numbers`` are those of the files that come for what is leaving. What fails, inside or in
    removing the note, is taken back. Raises OSError.
    """
    settle(maildir)  # somebody may have died within the same tick of the clock that stamps files
    path = os.path.join(maildir.path, NAME)
    note = exchange(mark, leaving, numbers)
    atomic.replace(path, json.dumps(note).encode(), maildir.durable)
    try:
        yield
        _forget(maildir, leaving is not None)
    except BaseException:
        _take_back(maildir, note, [leaving.store] if leaving else [])
        raise


def exchange(mark: str, leaving: Leaving | None, numbers: Iterable[int]) -> dict[str, Any]:
    """Return a note of messages that come with a mark, perhaps in exchange for others."""
    note: dict[str, Any] = {"mark": mark}
    if leaving is not None:
        note["from"] = leaving.store.address
        note["leaving"] = dict(zip(map(str, numbers), leaving.traces, strict=True))
    return note


def settled(note: Mapping[str, Any], durable: bool, known: Iterable[Store] = ()) -> set[int]:
    """Return the numbers of those that stay, since what they came for has gone.

    ``known`` are stores that this process may hold: it would wait for itself by another one.
    """
    leaving = note.get("leaving", {})
    if not leaving:
        return set()
    kind, *address = note["from"]
    held = next((store for store in known if store.address == note["from"]), None)
    source = held or KINDS[kind](address, durable)
    departed = source.departed(list(leaving.values()))
    return {int(number) for number, gone in zip(leaving, departed, strict=True) if gone}


def _forget(maildir: Maildir, is_exchange: bool) -> None:
    """Remove the note of what is done.

    That of an exchange may stay or come back: what it names has gone. Any other would take back
    what had its OK.
    """
    path = os.path.join(maildir.path, NAME)
    if is_exchange:
        with suppress(OSError):
            atomic.unlink(path)
    else:
        atomic.unlink(path)
        maildir.sync(maildir.path)


def settle(maildir: Maildir) -> None:
    """Take back what a process that died left half done. The caller holds the lock."""
    path = os.path.join(maildir.path, NAME)
    try:
        with open(path, "rb") as file:
            note = json.loads(file.read())
    except FileNotFoundError:
        return
    except ValueError:  # what a power failure leaves where files are not synced
        note = {}
    _take_back(maildir, note)


def _take_back(maildir: Maildir, note: Mapping[str, Any], known: Iterable[Store] = ()) -> None:
    if note.get("mark"):
        _remove(maildir, note["mark"], settled(note, maildir.durable, known))
    atomic.unlink(os.path.join(maildir.path, NAME))
    maildir.sync(maildir.path)


def _remove(maildir: Maildir, mark: str, staying: set[int]) -> None:
    for new, name in maildir.listing():
        number = member(parse(name)[0], mark)
        if number >= 0 and number not in staying:
            directory = maildir.new if new else maildir.cur
            atomic.unlink(os.path.join(directory, os.fsdecode(name)))
    maildir.sync(maildir.new, maildir.cur)
