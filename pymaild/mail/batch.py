"""Changes of several files that are made whole or not at all, also when the process dies.

Before the first file takes its place a note is written of the mark that is in all their names; it
goes when all are there, and before the index is told. Who finds a note, with the mailbox locked,
takes the change back: its owner died. Where a message was to go in exchange (REPLACE), the moment
it has gone decides instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pymaild.storage import atomic
from pymaild.storage._names import parse
from pymaild.storage.maildir import Maildir, member

NAME = "pymaild.batch"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The message that goes: its Maildir, and the base name of its file."""

    maildir: Maildir
    base: bytes


@contextmanager
def noted(maildir: Maildir, mark: str, exchanged: Exchanged | None = None) -> Iterator[None]:
    """Keep a note while files of this mark take their places. One file alone needs none.

    What fails, inside or in removing the note, is taken back. Raises OSError.
    """
    settle(maildir)  # somebody may have died within the same tick of the clock that stamps files
    path = os.path.join(maildir.path, NAME)
    note = _note(maildir, mark, exchanged)
    atomic.replace(path, json.dumps(note).encode(), maildir.durable)
    try:
        yield
        _forget(maildir, exchanged is not None)
    except BaseException:
        _take_back(maildir, note)
        raise


def _note(maildir: Maildir, mark: str, exchanged: Exchanged | None) -> dict[str, Any]:
    note: dict[str, Any] = {"mark": mark}
    if exchanged is not None:
        folder = os.path.relpath(exchanged.maildir.path, maildir.path)
        note["exchanged"] = [folder, os.fsdecode(exchanged.base)]
    return note


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


def _take_back(maildir: Maildir, note: dict[str, Any]) -> None:
    if note.get("mark") and not _exchange_is_done(maildir, note.get("exchanged")):
        _remove(maildir, note["mark"])
    atomic.unlink(os.path.join(maildir.path, NAME))
    maildir.sync(maildir.path)


def _exchange_is_done(maildir: Maildir, exchanged: Sequence[str] | None) -> bool:
    if exchanged is None:
        return False
    folder, base = exchanged
    old = Maildir(os.path.normpath(os.path.join(maildir.path, folder)), maildir.durable)
    return not old.exists() or old.locate(os.fsencode(base), False, 0, 0) is None


def _remove(maildir: Maildir, mark: str) -> None:
    for new, name in maildir.listing():
        if member(parse(name)[0], mark) >= 0:
            directory = maildir.new if new else maildir.cur
            atomic.unlink(os.path.join(directory, os.fsdecode(name)))
    maildir.sync(maildir.new, maildir.cur)
