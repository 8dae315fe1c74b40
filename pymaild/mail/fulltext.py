"""The full text of a mailbox, for SEARCH BODY and TEXT: what is read in the mail, and what not.

A search asks :func:`possible` first, and reads only what is not ruled out there. A mailbox of
some size in which somebody searches for a text, and too much of which no segment tells, is
indexed by the index role: what nobody searches costs nothing. Texts are those that a search
would read, in the form of the default comparator: what a text has in any other form, it has in
this one.
"""

from __future__ import annotations

import logging
import sqlite3
import unicodedata
from array import array
from collections.abc import Callable, Iterator
from itertools import chain

from pymaild.core.errors import Code, Refused
from pymaild.index import View
from pymaild.index import fulltext as store
from pymaild.index.fulltext import Segment, Segments, Spans, Writer, between, spans
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.message import Message
from pymaild.mime.text import body_texts, fold, header_texts

WORTH = 50  # messages that are read sooner than segments are opened
MOST_UNKNOWN = 100  # messages that no segment has before one is asked for
MOST = 20_000  # messages of a segment that is made at a time
LONGEST = 1 << 21  # characters of a message's text; one with more is always read
_FORM = f"1 {unicodedata.unidata_version}"

_log = logging.getLogger("pymaild.mail")


def segments_of(box: Mailbox) -> Segments:
    """Return the segments of a mailbox."""
    return Segments(box.directory, box.uidvalidity, _FORM)


def possible(box: Mailbox, view: View, text: str) -> array[int] | None:
    """Return the sequence numbers of messages that may contain a text; None: any of them.

    ``text`` is as any comparator prepares it. Asks for segments where too many are missing.
    """
    text, least = fold(text), box.settings.fulltext
    if not least or len(view) < max(least, WORTH) or not store.answerable(text):
        return None
    segments = segments_of(box).now()
    found = list(chain.from_iterable(segment.held for segment in segments))
    unknown = view.resolve(between(sorted(found)), True)
    if _many(view, unknown, segments):
        box.helpers.ask("text")
    if len(unknown) == len(view):
        return None
    try:
        having = [segment.having(text) for segment in segments]
    except sqlite3.Error as error:
        _log.warning("the full text of %s is not used: %s", box.directory, error)
        return None
    uids = sorted(chain.from_iterable(having))
    return view.resolve([*between(sorted(found)), *((uid, uid) for uid in uids)], True)


def _many(view: View, unknown: array[int], segments: list[Segment]) -> bool:
    """Say whether too many messages are in no segment, besides those that never will be."""
    if len(unknown) <= MOST_UNKNOWN:
        return False
    left = sorted(chain.from_iterable(segment.left for segment in segments))
    return len(unknown) - len(view.resolve(left, True)) > MOST_UNKNOWN


# -- making ------------------------------------------------------------------------------------


def extend(box: Mailbox, beat: Callable[[], object]) -> bool:
    """Make a segment of the youngest messages that have none; says whether some have none then.

    Small segments go into it, and those most of whose messages have gone, so that there are few.
    Only one process does that at a time. Raises Refused, OSError, sqlite3.Error.
    """
    segments = segments_of(box)
    with Making(segments) as free:
        return free and _extended(box, segments, beat)


def _extended(box: Mailbox, segments: Segments, beat: Callable[[], object]) -> bool:
    view, held = box.view(), segments.now()
    segments.clear(keep=held)
    plan = Plan.of(view, held)
    if not plan.fresh:
        return False
    with Writer(segments) as writer:
        for seq in plan.seqs:
            _add(writer, box.message(view, seq))
            beat()
        writer.finish()
    segments.clear(keep=[each for each in segments.now() if each not in plan.absorbed])
    return plan.more
