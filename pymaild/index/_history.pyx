"""What happened to a mailbox up to a view, from the youngest change backwards (RFC 7162).

The log and the chain of tombstones are read from their young ends, so the cost of an answer is
that of what changed since. Where they do not reach back that far (an index made anew, a
compaction, a gap in the log), or hold more than there are rows, the rows are walked instead.
"""

import os
from bisect import bisect_right

from cpython.array cimport array, clone
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pymaild.index._layout cimport (
    ADD, CHANGE_WORDS, EXPUNGE, FLAGS, HEAD_SIZE, SYSTEM_MASK, Change, Header, Record, pm_check,
)
from pymaild.index._view cimport View

cdef array _U32 = array("I", [])

cdef enum:
    FIRST_READ = 100       # log entries of the first read; each further one is twice as long
    LONGEST_READ = 25600


cdef class _Tail:
    """The log's entries, the youngest first. ``broken``: it ended where it cannot be read."""

    cdef int _log
    cdef uint64_t _start       # of what has been read, in the file
    cdef uint64_t _left        # entries of it not given yet
    cdef uint64_t _size
    cdef bytes _octets
    cdef bint broken

    def __cinit__(self, int log, uint64_t end):
        self._log, self._start, self._size = log, end, FIRST_READ

    cdef Change* previous(self) except? NULL:
        cdef Change* change
        if self._left == 0 and not self._read():
            return NULL
        self._left -= 1
        change = &(<Change*><const char*>self._octets)[self._left]
        if change.check != pm_check(change, CHANGE_WORDS):
            self.broken = True
            return NULL
        return change

    cdef bint _read(self) except -1:
        cdef uint64_t count = min(self._size, (self._start - HEAD_SIZE) // sizeof(Change))
        if count == 0:
            return False
        self._start -= count * sizeof(Change)
        self._octets = os.pread(self._log, count * sizeof(Change), self._start)
        self._left, self._size = count, min(self._size * 2, <uint64_t>LONGEST_READ)
        self.broken = len(self._octets) != <int64_t>(count * sizeof(Change))
        return not self.broken


cdef class History:
    """The past of a view. ``looked``: rows and log entries that its answers have cost so far."""

    cdef View _view
    cdef readonly uint64_t looked

    def __init__(self, View view):
        self._view = view

    cdef bint _reaches(self, uint64_t since) noexcept:
        """Whether log and tombstones tell all that happened after a transaction."""
        cdef Header* head = self._view.index.head
        return since >= head.begun and since >= head.log_floor

    # -- messages that changed -----------------------------------------------------------------

    def changed(self, uint64_t since):
        """Return the sequence numbers of messages with a MODSEQ above ``since``, as array('I').

        Messages that have gone meanwhile are left out.
        """
        cdef set rows
        if since >= self._view.index.head.snapshot:
            return clone(_U32, 0, False)
        rows = self._logged(since) if self._reaches(since) else None
        return self._walked(since) if rows is None else self._living(rows, since)

    cdef set _logged(self, uint64_t since):
        """The rows that the log names, or None when it does not help."""
        cdef _Tail tail = _Tail(self._view.index._log, self._view.index.head.log_end)
        cdef Change* change = tail.previous()
        cdef uint64_t seen = 0
        cdef set rows = set()
        while change != NULL and change.modseq > since and seen <= self._view.rows:
            seen += 1
            if change.kind == ADD or change.kind == FLAGS:
                rows.add(change.row)
            change = tail.previous()
        self.looked += seen
        return None if tail.broken or seen > self._view.rows else rows

    cdef array _living(self, set rows, uint64_t since):
        cdef Record* record
        cdef uint32_t sequence
        found = []
        for row in rows:
            sequence = self._view.sequence_of(row)
            if sequence:
                record = self._view.index.row(row)
                if record.modseq > since and not record.expunged:
                    found.append(sequence)
        self.looked += len(rows)
        found.sort()
        return array("I", found)

    cdef array _walked(self, uint64_t since):
        cdef View view = self._view
        cdef Record* records = view.index.rows
        cdef uint64_t row, count = view.rows
        cdef uint32_t dead = 0, sequence = 0, found = 0
        cdef array result = clone(_U32, len(view), False)
        cdef uint32_t* out = <uint32_t*>result.data.as_uints
        with nogil:
            for row in range(count):
                if dead < view._dead_count and view._dead[dead] == row:
                    dead += 1
                    continue
                sequence += 1
                if records[row].modseq > since and not records[row].expunged:
                    out[found] = sequence
                    found += 1
        self.looked += count
        return result[:found]

    def unchanged(self, rows, uint64_t since, uint32_t system, uint64_t keywords):
        """Return those of ``rows`` whose flags in these masks have not changed after ``since``.

        Empty where the log does not reach back that far.
        """
        cdef _Tail tail = _Tail(self._view.index._log, self._view.index.head.log_end)
        cdef Change* change
        cdef Record* record
        cdef set pending = set(rows), found = set()
        if not self._reaches(since):
            return found
        while pending:
            change = tail.previous()
            if change == NULL:
                break
            self.looked += 1
            if change.row not in pending or change.kind == EXPUNGE:
                continue
            record = self._view.index.row(change.row)
            if (change.flags ^ record.flags) & system & SYSTEM_MASK \
                    or (change.keywords ^ record.keywords) & keywords:
                pending.discard(change.row)
            elif change.modseq <= since:
                pending.discard(change.row)
                found.add(change.row)
        return found

    # -- messages that went --------------------------------------------------------------------

    def vanished(self, uint64_t since, ranges, uint32_t floor=0):
        """Return the UIDs of messages that went after ``since``, as array('I') of low, high, ...

        ``ranges``: the UIDs asked about, 0 for the highest one that was ever given; ``floor``:
        nothing up to this UID is asked about. Where tombstones are missing, these are all UIDs
        of the ranges that are not there (RFC 7162 §3.2.6).
        """
        cdef list spans = _clipped(ranges, floor, self._highest())
        if since >= self._view.snapshot or not spans:
            return clone(_U32, 0, False)
        if since >= self._view.index.head.begun:
            return _joined(self._buried(since, spans))
        return self._absent(spans)

    cdef uint32_t _highest(self) except? 0:
        """The highest UID that was given up to this view."""
        cdef Header* head = self._view.index.head
        cdef uint32_t uidnext = head.uidnext
        if self._view.rows < head.rows:
            return self._view.index.row(self._view.rows).uid - 1
        return uidnext - 1

    cdef list _buried(self, uint64_t since, list spans):
        """Walk the chain of tombstones, the youngest first."""
        cdef uint64_t link = self._view.index.head.last_dead
        cdef Record* record
        lows = [low for low, _ in spans]
        found = []
        while link:
            record = self._view.index.row(link - 1)
            if record.expunged <= since:
                break
            self.looked += 1
            if record.expunged <= self._view.snapshot and link <= self._view.rows:
                place = bisect_right(lows, record.uid) - 1
                if place >= 0 and record.uid <= spans[place][1]:
                    found.append(record.uid)
            link = record.previous_dead
        found.sort()
        return found

    cdef array _absent(self, list spans):
        """The gaps between the UIDs that are there."""
        cdef View view = self._view
        cdef uint32_t sequence, last, uid
        cdef uint64_t low, high
        cdef array gaps = array("I", [])
        for low, high in spans:
            last = view._at_or_before(high)
            for sequence in range(view._at_or_after(low), last + 1):
                uid = view.index.rows[view.row_of(sequence)].uid
                if uid > low:
                    gaps.extend((low, uid - 1))
                low = uid + 1
                self.looked += 1
            if low <= high:
                gaps.extend((low, high))
        return gaps


cdef list _clipped(ranges, uint32_t floor, uint32_t highest):
    """Ranges of UIDs as disjoint pairs, ascending, between ``floor`` and ``highest``."""
    cdef list spans = [], last = [0, 0]
    for first, second in sorted([sorted((low or highest, high or highest)) for low, high in ranges]):
        low, high = max(first, floor + 1), min(second, highest)
        if low > high:
            continue
        if spans and low <= last[1] + 1:
            last[1] = max(last[1], high)
        else:
            last = [low, high]
            spans.append(last)
    return spans


cdef array _joined(list uids):
    """Ascending UIDs as low, high, low, high, ..."""
    cdef array pairs = array("I", [])
    cdef uint32_t low = 0, high = 0, uid
    for uid in uids:
        if low and uid == high + 1:
            high = uid
            continue
        if low:
            pairs.extend((low, high))
        low = high = uid
    if low:
        pairs.extend((low, high))
    return pairs
