"""What an index keeps of its past when a writer has died, or when its files are made anew.

The caller holds the mailbox lock.
"""

import os
import time

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from pymaild.index._files cimport write_all
from pymaild.index._index cimport Index
from pymaild.index._layout cimport (
    BEHIND, CHECKED_WORDS, HEAD_SIZE, PM_BARRIER, SYSTEM_MASK, Header, Record, pm_check,
)
from pymaild.index._rows cimport name_check

from pymaild.index.errors import Unusable

cdef enum:
    WRITTEN_AT_ONCE = 1 << 20  # octets of names and cache entries


def mend(Index index, uint32_t uidnext, uint64_t snapshot):
    """Undo what an interrupted writer left, and count anew. Raises Unusable.

    ``uidnext`` and ``snapshot`` are floors: numbers below may have been seen by clients.
    """
    cdef Header* head
    cdef uint64_t number, last = 0
    cdef bint unfinished = False
    cdef bint lost = index.rebooted  # names tell more than rows of which some were not written
    cdef Record* record
    dead = []
    index.reach(index.head.rows)
    head = index.head
    head.sequence |= 1
    head.messages = head.unseen = head.recent = head.deleted = 0
    head.storage = head.deleted_storage = 0
    for number in range(head.rows):
        record = &index.rows[number]
        if record.uid <= last or record.name_length == 0 or record.name_length > 255:
            raise Unusable(f"row {number} is damaged")
        last = record.uid
        unfinished |= max(record.modseq, record.created) > head.snapshot
        if record.expunged > head.snapshot:
            record.expunged = 0
        if lost and record.place & BEHIND:
            record.place = 0
        if record.expunged:
            dead.append((record.expunged, number))
        else:
            index._count(record, 1)
        record.check = pm_check(record, CHECKED_WORDS)
    _chain(index, sorted(dead))
    if unfinished:
        # Its transaction is over, with what had come of it; no log tells what that was.
        head.snapshot += 1
        head.log_floor = head.snapshot
    head.uidnext = max(max(head.uidnext, uidnext), <uint32_t>(last + 1))
    head.snapshot = max(head.snapshot, snapshot)
    index.mark_boot()
    head.behind = 0 if lost else head.behind
    head.found_from = last + 1 if lost else head.found_from
    head.new_stamp = head.cur_stamp = 0
    PM_BARRIER()
    head.sequence = (head.sequence | 1) + 1


def remember(Index index, Index old, int64_t since, uint64_t most, uint64_t octets=1 << 62):
    """Take over when messages appeared, changed and went from the index before this one.

    Tombstones from before ``since`` (seconds since 1970) are left behind, and the older ones
    of more than ``most``, and cache entries of more than ``octets``. Comes after all messages
    and before :meth:`Index.seal`. Returns the transaction at which the history begins, 0 where
    there is none: rows that do not check, or a UID that has come in between. Raises OSError,
    with nothing changed.
    """
    cdef uint64_t begun = max(old.head.begun, _forgotten(old, since, most))
    cdef list rows = _past(index, old, begun)
    if rows is None:
        return 0
    index._make_room(index.head.rows + len(rows))
    _merge(index, old, _keep_names(index, old, rows, octets))
    # The log speaks of rows where they no longer are; views compare instead.
    index.head.log_end, index.head.log_floor = HEAD_SIZE, index.head.snapshot
    return begun


cdef uint64_t _forgotten(Index index, int64_t since, uint64_t most) except? 0:
    """The youngest transaction whose tombstones are left behind, 0 when all are kept."""
    cdef uint64_t link = index.head.last_dead, seen = 0
    while 0 < link <= index.head.rows and seen < index.head.rows:
        seen += 1
        if seen > most or index.rows[link - 1].went < since:
            return index.rows[link - 1].expunged
        link = index.rows[link - 1].previous_dead
    return 0


cdef list _past(Index index, Index old, uint64_t begun):
    """The rows of ``old`` that are needed here as tombstones, or None: they do not fit in."""
    cdef uint64_t number, place = 0
    cdef uint32_t last = 0
    cdef Record* record
    rows = []
    for number in range(old.head.rows):
        record = &old.rows[number]
        if record.check != pm_check(record, CHECKED_WORDS) or record.uid <= last:
            return None
        last = record.uid
        if place < index.head.rows and index.rows[place].uid <= last:
            if index.rows[place].uid < last or record.expunged:
                return None
            place += 1
        elif record.expunged > begun or record.expunged == 0:
            rows.append(number)
    return rows


cdef dict _keep_names(Index index, Index old, list rows, uint64_t octets):
    """Write names and cache entries of tombstones: row of ``old`` to where they are.

    Nobody else writes to these files yet.
    """
    cdef bytearray blob = bytearray()
    start = os.fstat(index._cache).st_size
    kept = {}
    for number in rows:
        name, entry = _last_words(old, &old.rows[number])
        entry = entry if <uint64_t>len(entry) <= octets else b""
        octets -= len(entry)
        kept[number] = start + len(blob), name, len(entry)
        blob += name + entry
        if len(blob) >= WRITTEN_AT_ONCE:
            write_all(index._cache, blob)
            start += len(blob)
            blob = bytearray()
    write_all(index._cache, blob)
    index.head.cache_end = start + len(blob)
    return kept


cdef tuple _last_words(Index index, Record* record):
    """Name and cache entry of a row; of what is lost, a name that no file has."""
    cdef uint64_t offset = record.cache_offset
    if index._cache >= 0:
        try:
            name = index._name(record)
            if offset and index._reach_cache(offset, record.cache_length):
                return name, (<const char*>index.cache_octets)[
                    offset:offset + record.cache_length]
            return name, b""
        except Unusable:
            pass
    return b"gone-%d" % record.uid, b""


cdef _merge(Index index, Index old, dict kept):
    """Put tombstones between the rows, from the last to the first; nothing here can fail."""
    cdef uint64_t theirs = old.head.rows, ours = index.head.rows, place = ours + len(kept)
    cdef Record* record
    cdef Record* past
    index.head.rows = place
    dead = []
    index.head.oldest = <int64_t>time.time()
    while ours or theirs:
        past = &old.rows[theirs - 1] if theirs else NULL
        if past == NULL or ours and index.rows[ours - 1].uid >= past.uid:
            ours, place = ours - 1, place - 1
            record = &index.rows[place]
            if place != ours:
                memcpy(record, &index.rows[ours], sizeof(Record))
            if past == NULL or record.uid > past.uid:
                continue
            theirs -= 1
            record.created = past.created
            if not (record.flags ^ past.flags) & SYSTEM_MASK \
                    and record.keywords == past.keywords:
                record.modseq = past.modseq
            record.check = pm_check(record, CHECKED_WORDS)
            continue
        theirs -= 1
        if theirs not in kept:
            continue
        place -= 1
        record = &index.rows[place]
        memcpy(record, past, sizeof(Record))
        offset, name, length = kept[theirs]
        record.name_offset, record.name_length = offset, len(name)
        record.name_check = name_check(name)
        record.cache_offset, record.cache_length = offset + len(name) if length else 0, length
        if record.expunged == 0:
            record.expunged = record.modseq = index.head.snapshot
            record.went = <int64_t>time.time()
        index.head.oldest = min(index.head.oldest, record.went)
        dead.append((record.expunged, place))
    _chain(index, sorted(dead))


cdef _chain(Index index, list dead):
    """Link the tombstones anew. ``dead``: (transaction, row), in the order in which they went."""
    cdef uint64_t number, link = 0
    for _, number in dead:
        index.rows[number].previous_dead = link
        index.rows[number].check = pm_check(&index.rows[number], CHECKED_WORDS)
        link = number + 1
    index.head.last_dead, index.head.dead = link, len(dead)
