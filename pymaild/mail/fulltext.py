"""The full text of a mailbox, for SEARCH BODY and TEXT: what is read in the mail, and what not.

A search asks :func:`possible` first, and reads only what is not ruled out there. A mailbox of
some size in which somebody searches for a text, and too much of which no segment tells, is
indexed by the index role: what nobody searches costs nothing. Texts are those that a search
would read, in the form of the default comparator: what a text contains in the form of another
comparator, it contains in this one.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import unicodedata
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple, Self

from pymaild.core.errors import Code, Refused
from pymaild.index import View
from pymaild.index.fulltext import (
    LOCK,
    Segment,
    Segments,
    Writer,
    answerable,
    others,
    spans,
    united,
)
from pymaild.mail.guard import refusing
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.message import Message
from pymaild.mime.text import body_texts, fold, header_texts
from pymaild.storage.locks import FileLock

WORTH = 50  # messages that are read sooner than segments are opened
MOST_UNKNOWN = 100  # messages that no segment has, before one is asked for
MOST = 20_000  # messages that get a segment at a time
LONGEST = 1 << 21  # characters of a message's text; one with more is always read
_FORM = f"1 {unicodedata.unidata_version}"

Beat = Callable[[], object]

_log = logging.getLogger("pymaild.mail")


def segments_of(box: Mailbox) -> Segments:
    """Return the segments of a mailbox."""
    return Segments(box.directory, box.uidvalidity, _FORM)


def possible(box: Mailbox, view: View, text: str) -> array[int] | None:
    """Return the sequence numbers of messages that may contain a text; None: any of them.

    ``text`` is as any comparator prepares it. Asks for segments where too many are missing.
    """
    text, least = fold(text), box.settings.fulltext
    if not least or len(view) < max(least, WORTH) or not answerable(text):
        return None
    segments = segments_of(box).now()
    if len(Plan.unknown(view, segments)) > MOST_UNKNOWN:
        box.helpers.ask("text")
    try:
        having = sorted(chain.from_iterable(segment.having(text) for segment in segments))
    except sqlite3.Error as error:
        _log.warning("the full text of %s is not used: %s", box.directory, error)
        return None
    unheld = others(united(segment.held for segment in segments))
    return view.resolve(united((unheld, spans(having))), True) if segments else None


# -- making ------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What the next segment has: the messages ``seqs``, ascending, and the segments ``absorbed``.

    ``more``: there are messages that need another one.
    """

    seqs: array[int]
    absorbed: list[Segment]
    more: bool

    @staticmethod
    def unknown(view: View, held: list[Segment]) -> array[int]:
        """Return the messages that no segment has, or has left out."""
        known = chain((segment.held for segment in held), (segment.left for segment in held))
        return view.resolve(others(united(known)), True)

    @classmethod
    def of(cls, view: View, held: list[Segment], whole: bool = False) -> Self:
        """Choose the youngest unknown messages, and the segments that are no larger together.

        So a message is indexed anew only as often as the number of messages can be halved. Of
        segments of which half has gone the rest goes over. ``whole``: all of them do.
        """
        unknown = cls.unknown(view, held)
        seqs, absorbed = set(unknown[-MOST:]), []
        for segment in sorted(held, key=lambda each: each.messages):
            living = view.resolve(united((segment.held, segment.left)), True)
            fits = len(living) <= len(seqs) and len(living) + len(seqs) <= MOST
            if whole or fits or 2 * len(living) < segment.messages:
                seqs.update(living)
                absorbed.append(segment)
        return cls(array("I", sorted(seqs)), absorbed, len(unknown) > MOST)


@refusing
def extend(box: Mailbox, beat: Beat, whole: bool = False) -> bool:
    """Make a segment of the youngest messages that have none; says whether some still have none.

    ``whole``: of all that segments have, too. Where another process is at it, nothing is done.
    Raises Refused.
    """
    segments = segments_of(box)
    with _making(segments) as free:
        return free and _extended(box, segments, beat, whole)


@refusing
def drop(box: Mailbox) -> None:
    """Remove all segments of a mailbox. Raises Refused (INUSE) where some are being made."""
    segments = segments_of(box)
    with _making(segments) as free:
        if not free:
            raise Refused(Code.INUSE, "The mailbox is in use, try again later")
        segments.drop()


@contextmanager
def _making(segments: Segments) -> Iterator[bool]:
    """Hold the lock of those who make segments; false where another has it."""
    try:
        os.makedirs(segments.directory, 0o700, exist_ok=True)
        lock = FileLock(os.path.join(segments.directory, LOCK), 0.0)
        free = lock.try_once()
        try:
            yield free
        finally:
            lock.close()
    except sqlite3.Error as error:
        raise OSError(errno.EIO, str(error), segments.directory) from error


def _extended(box: Mailbox, segments: Segments, beat: Beat, whole: bool) -> bool:
    view, held = box.view(), segments.now()
    segments.clear(keep=[segment.path for segment in held])
    plan = Plan.of(view, held, whole)
    if not plan.seqs:
        return False
    with Writer(segments) as writer:
        for seq in plan.seqs:
            _add(writer, box.message(view, seq))
            beat()
        made = writer.finish()
    kept = [segment.path for segment in held if segment not in plan.absorbed]
    segments.clear(keep=[*kept, made])
    return plan.more


def _add(writer: Writer, message: Message) -> None:
    """Add a message's text; one that cannot be understood, by a fault of ours, is left out."""
    uid = message.uid
    try:
        text = _text(message)
    except Refused as refused:
        if refused.code != Code.EXPUNGEISSUED:
            raise
        return
    except Exception:
        _log.exception("a message cannot be indexed: uid=%d", uid)
        text = None
    if text is None:
        writer.leave(uid)
    else:
        writer.add(uid, text)


def _text(message: Message) -> str | None:
    """Return all text that a search would read, None where that is too much."""
    pieces, size = [], 0
    header = (text + "\n" for text in header_texts(message.header(), None))
    for piece in chain(header, body_texts(message.data(), message.structure(), 0)):
        pieces.append(fold(piece))
        size += len(pieces[-1])
        if size > LONGEST:
            return None
    return "".join(pieces)


# -- for administrators ------------------------------------------------------------------------


class Report(NamedTuple):
    """The full text of one mailbox, in messages: ``left`` are always read, ``gone`` no longer
    there; ``size`` in octets."""

    messages: int
    indexed: int
    left: int
    gone: int
    segments: int
    size: int


def report(box: Mailbox) -> Report:
    """Return what there is."""
    view, held = box.view(), segments_of(box).now()
    indexed = len(view.resolve(united(segment.held for segment in held), True))
    left = len(view.resolve(united(segment.left for segment in held), True))
    gone = sum(segment.messages for segment in held) - indexed
    size = sum(segment.size for segment in held)
    return Report(len(view), indexed, left, gone, len(held), size)


def wanted(box: Mailbox) -> bool:
    """Say whether a mailbox is large enough to get one."""
    return bool(box.settings.fulltext) and len(box.view()) >= box.settings.fulltext
