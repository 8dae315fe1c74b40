"""Bringing a mailbox's index and its mail together.

The mail is the truth. Whatever others did there (deliveries, flags, removals) and whatever a
crash left behind is found by one procedure, :func:`scan`; the caller holds the lock.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from pymaild.core.errors import from_oserror
from pymaild.index import Index, Unusable, mend, remember
from pymaild.mail.reserving import reserved
from pymaild.storage import atomic
from pymaild.storage import control as control_file
from pymaild.storage.locks import FileLock
from pymaild.storage.takeover import KEYWORD_LETTERS, Adopted

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

COMPACT_DEAD = 1000  # tombstones, and a quarter of all rows, that start a compaction
COMPACT_LOG = 4 << 20  # octets of log, and 80 for each row
COMPACT_CACHE = 32 << 20  # octets of cache entries of messages that went
ANEW = "pymaild.anew"  # the directory in which an index is made
REMEMBERED = 3600  # seconds for which a new index knows of messages that went: sessions wait less
COMPACT_MOST = 1 << 18  # tombstones that start a compaction before they are twice that old
DIRTY_WINDOW = 2_000_000_000  # ns that an outside change may stay hidden behind our own
DIRTY_PER_ROW = 50_000  # ns more for each message: a scan costs in proportion

_log = logging.getLogger("pymaild.mail")


def level(index: Index, stamp: tuple[int, int]) -> bool:
    """Say whether mail with this stamp needs no scan, and hides no change for too long."""
    return index.level(stamp, DIRTY_WINDOW, DIRTY_PER_ROW)


def load(box: Mailbox) -> Index:
    """Open the index, or make it anew from the mail. Takes the lock where it must write."""
    try:
        index = Index.open(box.directory)
        if not index.interrupted:
            return _shared(box, index)
    except Unusable:
        pass
    with box.lock:
        return _load_locked(box)


def _shared(box: Mailbox, index: Index) -> Index:
    """An index that other processes write, too."""
    index.await_writer = partial(_await_writer, box.lock)
    return index


def _await_writer(lock: FileLock, index: Index) -> None:
    """A writer is long in the middle of a change: wait for it, and undo it where it has died."""
    with lock:
        if index.interrupted:
            held = control_file.load(index.directory)
            if held is None:
                raise Unusable("its control file is gone")
            _mend(held, index)


def _load_locked(box: Mailbox) -> Index:
    try:
        index = Index.open(box.directory)
        if index.interrupted:
            _mend(_control(box)[0], index)
        return _shared(box, index)
    except Unusable as reason:
        _log.info("index of %s is made anew: %s", box.directory, reason)
        return rebuild(box)


def _mend(held: control_file.Control, index: Index) -> None:
    """A writer died, or the machine did: then what was not on disk yet may be missing."""
    if index.uidvalidity != held.uidvalidity or index.verify():
        raise Unusable("it does not fit the mailbox")
    lost = index.rebooted
    mend(index, held.reserved_uid if lost else 1, held.reserved_modseq if lost else 1)


def _control(box: Mailbox) -> tuple[control_file.Control, Adopted | None]:
    """Return the control file; one is made on first sight, after another server's folder.

    A takeover that was interrupted goes on with the other server's list.
    """
    found = control_file.load(box.directory)
    if found is not None and not found.adopting:
        return found, None
    adopted = box.mail.adopted()
    if adopted is None:
        adopted = Adopted(_own_validity(box, found), 1, named=found is not None)
    if found is None:
        keywords = adopted.keywords[:KEYWORD_LETTERS]
        found = control_file.Control(adopted.uidvalidity, adopted.uidnext, 1, keywords, True)
        found.reserve(adopted.uidnext, 1)
        found.save(box.directory, box.settings.fsync)
    return found, adopted


def _own_validity(box: Mailbox, held: control_file.Control | None) -> int:
    if held is not None:
        return held.uidvalidity
    return _surviving_validity(box) or control_file.next_uidvalidity(
        box.root, box.settings.lock_timeout, box.settings.fsync
    )


def _surviving_validity(box: Mailbox) -> int:
    """UIDVALIDITY of an index whose control file is gone, 0 when there is none."""
    try:
        return Index.open(box.directory).uidvalidity
    except Unusable:
        return 0


def renew(box: Mailbox) -> Index:
    """Make the index anew in place of the mailbox's, and remove what deliveries have left."""
    old = box.index
    try:
        box.mail.sweep(time.time())
        fresh = rebuild(box)
    except OSError as error:
        raise from_oserror(error) from error
    old.supersede()
    return fresh


def rebuild(box: Mailbox) -> Index:
    """Make index, log and cache from the mail, where UIDs and flags stand."""
    held, adopted = _control(box)
    old, past = _superseded(box), Index.remains(box.directory)
    first, snapshot = _floors(held, adopted, old)
    if old is not None:
        _follow(box, old)
    box.control = held
    with _anew(box, held.uidvalidity, first, snapshot, held.keywords) as index:
        index.touch()  # what is missing since went in a transaction of its own
        box.mail.scan(box, index, adopted or Adopted(held.uidvalidity, first, named=True))
        index.seal(_remember(index, past))
    if old is not None:
        old.supersede()
    if held.adopting:
        held = reserved(box, index)
        held.adopting = False
        held.save(box.directory, box.settings.fsync)
    return _shared(box, index)


@contextmanager
def _anew(
    box: Mailbox, uidvalidity: int, uidnext: int, snapshot: int, keywords: Sequence[str]
) -> Iterator[Index]:
    """Make an index that takes its place once it is whole: who dies before that leaves the old
    one as it was, and what it remembers."""
    place = os.path.join(box.directory, ANEW)
    os.makedirs(place, mode=0o700, exist_ok=True)
    try:
        index = Index.create(place, uidvalidity, uidnext, snapshot, keywords, _replace)
        yield index
        index.move(box.directory, atomic.rename)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _follow(box: Mailbox, old: Index) -> None:
    """What only the old index says yet goes into the mail."""
    if not old.interrupted:
        with suppress(Unusable):
            box.mail.follow(old, box.beat)


def _remember(index: Index, old: Index | None) -> int:
    """Keep the recent past, so that a view which somebody will come back to can be had again.

    Returns the transaction at which it begins, 0 where there is none.
    """
    if old is None or old.uidvalidity != index.uidvalidity or old.snapshot > index.snapshot:
        return 0
    if old.keyword_names() != index.keyword_names():
        return 0
    try:
        since = int(time.time()) - REMEMBERED
        return remember(index, old, since, COMPACT_MOST // 2, COMPACT_CACHE)
    except OSError as error:
        _log.warning("the past of %s is forgotten: %s", index.directory, error)
        return 0


def _replace(files: Sequence[tuple[str, bytes]]) -> None:
    """An index is not synced: what a power failure takes of it is made anew."""
    atomic.replace_all(files, durable=False)


def _floors(
    held: control_file.Control, adopted: Adopted | None, old: Index | None
) -> tuple[int, int]:
    """UIDNEXT and transaction number to go on with: those of a sound index, else what was
    reserved, since every number below may have been used."""
    if adopted:
        return adopted.uidnext, held.reserved_modseq
    if old is not None and not old.interrupted and old.uidvalidity == held.uidvalidity:
        return old.uidnext, old.snapshot
    return held.reserved_uid, held.reserved_modseq


def _superseded(box: Mailbox) -> Index | None:
    try:
        return Index.open(box.directory)
    except (Unusable, OSError):
        return None


def scan(box: Mailbox, index: Index, adopted: Adopted | None = None) -> None:
    """Make the index say what the mail says. ``adopted``: UIDs known from elsewhere."""
    box.mail.scan(box, index, adopted)
    compact_if_due(box, index)


def compact_if_due(box: Mailbox, index: Index) -> None:
    """Write index, log and cache anew when what is in them has grown out of proportion."""
    rows = index.count
    many_dead = index.dead > COMPACT_DEAD and index.dead * 4 > rows and _forgettable(index)
    long_log = index.log_size > COMPACT_LOG + 80 * rows
    if many_dead or long_log or index.wasteful(2 * COMPACT_CACHE):
        try:
            compact(box, index)
        except OSError as error:
            _log.warning("index of %s is not written anew: %s", box.directory, error)


def _forgettable(index: Index) -> bool:
    """Whether enough time has passed that writing it anew forgets some, and not at each change."""
    return index.dead > COMPACT_MOST or time.time() - index.oldest > 2 * REMEMBERED


def compact(box: Mailbox, index: Index) -> Index:
    """Replace the three files by ones that hold what lives and what went of late, under the
    same snapshot."""
    box.mail.follow(index, box.beat)
    head = (index.uidvalidity, index.uidnext, index.snapshot - 1, index.keyword_names())
    with _anew(box, *head) as fresh:
        _refill(fresh, index)
    index.supersede()
    return fresh


def _refill(fresh: Index, index: Index) -> None:
    entries = []
    fresh.touch()  # where nothing lives, too, the number stays
    for row, uid, flags, keywords, date, saved, size, wire, name, modseq in index.living():
        now = fresh.add(uid, flags, keywords, date, saved, size, wire, name, modseq)
        entries.append((row, now, wire))
    fresh.commit()
    for row, now, wire in entries:
        entry = index.cached(row)
        if entry is not None:
            fresh.set_cached(now, entry, wire)
        fresh.set_place(now, index.place(row))
    fresh.stamp = index.stamp
    fresh.seal(_remember(fresh, index))
