"""What became of a change that a process was about to make when it died (mail/intents.py).

The mailbox is brought level with its mail first: what was half done is taken back thereby,
and what was done has its place in the index. There it stays known by the names of its files,
also when somebody has expunged or moved it since: a UID alone says nothing, as one that was
reserved and not used goes to another message.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pymaild.core.errors import from_oserror
from pymaild.storage.maildir import member

if TYPE_CHECKING:
    from pymaild.index import Index
    from pymaild.mail.intents import Intent
    from pymaild.mail.mailbox import Mailbox


def brought(mailbox: Mailbox) -> list[int]:
    """Return the UIDs of the messages that a client sent for this mailbox and that came to be.

    Empty where there are none: then the command has changed nothing. Raises Refused.
    """
    return [uid for _, uid in _secured(mailbox, _found(mailbox, "new") or _sent(mailbox))]


def taken(source: Mailbox, target: Mailbox) -> list[tuple[int, int]]:
    """Return which messages had been copied or moved, pairs of old and new UID. Raises Refused.

    Of a copy these are all or none; the source of a move holds the others still.
    """
    pairs = _secured(target, _found(target, "taken"))
    if pairs and source is not target:
        source.level()
    return pairs


def met(mailbox: Mailbox, index: Index, rows: Iterable[int]) -> list[int]:
    """Return which of these messages met the condition of a STORE that was begun.

    Those of them that have the flags it was to give them have got them by it. The caller has the
    mailbox locked.
    """
    if mailbox.intents is None or not mailbox.intents.past:
        return []
    notes = mailbox.intents.of("flags", mailbox.name, mailbox.uidvalidity)
    failed = {uid for (uids,) in notes for uid in uids}
    return [row for row in rows if index.fields(row)[0] not in failed] if notes else []


def whereabouts(name: str, separator: str, intents: Iterable[Intent]) -> str | None:
    """Return what a mailbox is called that is no longer there, None where it has been deleted.

    What was intended says so: it is the same name where nothing was.
    """
    for kind, *about in intents:
        if kind == "delete" and about[0] == name:
            return None
        if kind == "rename" and (name + separator).startswith(about[0] + separator):
            return str(about[1]) + name[len(about[0]) :]
    return name


def _found(mailbox: Mailbox, kind: str) -> list[tuple[int, int]]:
    if mailbox.intents is None or not mailbox.intents.past:
        return []
    notes = mailbox.intents.of(kind, mailbox.name, mailbox.uidvalidity)
    if notes:
        mailbox.level()
    return sorted(pair for first, mark in notes for pair in _members(mailbox.index, first, mark))


def _secured(mailbox: Mailbox, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Have on disk what was found: its process may have died before it had synced that."""
    if pairs:
        try:
            mailbox.mail.secure()
        except OSError as error:
            raise from_oserror(error) from error
    return pairs


def _sent(mailbox: Mailbox) -> list[tuple[int, int]]:
    """Look for a file of which only the name is known, chosen by another process."""
    notes = mailbox.intents.of("sent") if mailbox.intents is not None else []
    if notes:
        mailbox.level()
    return [pair for (mark,) in notes for pair in _members(mailbox.index, 1, mark)]


def _members(index: Index, first: int, mark: str) -> Iterator[tuple[int, int]]:
    """Yield the place in the batch and the UID of messages, those too that have gone since."""
    rows = range(index.count)
    for row in rows[bisect_left(rows, first, key=lambda row: index.fields(row)[0]) :]:
        place = member(index.name(row), mark)
        if place >= 0:
            yield place, index.fields(row)[0]
