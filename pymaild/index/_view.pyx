"""Views: a mailbox at one snapshot, and how a view moves on to the present.

A view is one number. Its rows are those that existed at that transaction, less the tombstones
of that time; sequence numbers follow from both without a copy of the mailbox.
"""

import os
from bisect import bisect_right

from cpython.array cimport array, clone
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

from pymaild.index._index cimport Index
from pymaild.index._layout cimport (
    ADD, CHANGE_WORDS, CHECKED_WORDS, EXPUNGE, FLAGS, HEAD_SIZE, IN_NEW, SEEN,
    SYSTEM_MASK, Change, Header, Record, pm_check,
)

from pymaild.index.errors import Gap, Unusable

cdef array _U32 = array("I", [])


cdef int _ascending(const void* a, const void* b) noexcept nogil:
    cdef uint32_t x = (<uint32_t*>a)[0], y = (<uint32_t*>b)[0]
    return (x > y) - (x < y)


cdef inline bint _sound(Record* record) noexcept:
    return record.check == pm_check(record, CHECKED_WORDS)


cdef class View:
    """A mailbox at one snapshot: sequence numbers 1..len(view) for the messages it selects."""

    def __cinit__(self, Index index):
        self.index = index
        self._dead = NULL

    def __dealloc__(self):
        free(self._dead)

    @staticmethod
    def of(Index index, snapshot=None):
        """Return the mailbox as it is, or as it was at an earlier snapshot of this index.

        Returns None for a snapshot this index does not reach back to. Raises Unusable, Busy.
        """
        cdef View view = View(index)
        return view if view._fill(snapshot) else None

    def _fill(self, snapshot):
        cdef Header* head
        cdef uint32_t before
        cdef uint64_t youngest, log_end
        while True:
            before = self.index.settled()
            head = self.index.head
            self.snapshot, self.rows = head.snapshot, head.rows
            youngest, log_end = head.last_dead, head.log_end
            if not self.index.moved(before):
                break
        self.index.reach(self.rows)
        self._log_position = log_end
        if snapshot is not None and not self._go_back(snapshot):
            return False
        self._collect_dead(youngest)
        return True

    cdef bint _go_back(self, uint64_t snapshot) except -1:
        """Find rows and log position as of an earlier transaction."""
        cdef uint64_t low = 0, high = self.rows, middle
        cdef Change change
        if snapshot == self.snapshot:
            return True
        if snapshot > self.snapshot or snapshot < self.index.head.begun:
            return False
        while low < high:
            middle = (low + high) >> 1
            if self.index.rows[middle].created <= snapshot:
                low = middle + 1
            else:
                high = middle
        self.rows = low
        self.snapshot = snapshot
        if snapshot < self.index.head.log_floor:
            return True  # it moves on by a comparison
        first, last = 0, (self._log_position - HEAD_SIZE) // sizeof(Change)
        while first < last:
            centre = (first + last) >> 1
            self._read_change(&change, HEAD_SIZE + centre * sizeof(Change))
            if change.modseq <= snapshot:
                first = centre + 1
            else:
                last = centre
        self._log_position = HEAD_SIZE + first * sizeof(Change)
        return True

    cdef int _read_change(self, Change* change, uint64_t position) except -1:
        cdef bytes octets = os.pread(self.index._log, sizeof(Change), position)
        if len(octets) != sizeof(Change):
            raise Unusable("the log is cut short")
        memcpy(change, <const char*>octets, sizeof(Change))
        if change.check != pm_check(change, CHANGE_WORDS):
            raise Unusable("the log is damaged")
        return 0

    cdef int _collect_dead(self, uint64_t youngest) except -1:
        """Walk the chain of tombstones, youngest first, and sort those of this snapshot."""
        cdef uint64_t room = self.index.head.dead + 1, link = youngest
        cdef Record* record
        self._dead = <uint32_t*>malloc((room + 1) * sizeof(uint32_t))
        if self._dead == NULL:
            raise MemoryError
        self._dead_count = 0
        while link and self._dead_count < room:
            record = self.index.row(link - 1)
            if record.expunged <= self.snapshot and link <= self.rows:
                self._dead[self._dead_count] = <uint32_t>(link - 1)
                self._dead_count += 1
            if record.previous_dead == link:
                raise Unusable("the chain of tombstones is damaged")
            link = record.previous_dead
        qsort(self._dead, self._dead_count, sizeof(uint32_t), _ascending)
        return 0

    def __len__(self):
        return self.rows - self._dead_count

    cdef int64_t row_of(self, uint32_t sequence) noexcept nogil:
        """The row of a sequence number, or -1."""
        cdef uint32_t low = 0, high = self._dead_count, middle
        if sequence == 0 or sequence > self.rows - self._dead_count:
            return -1
        while low < high:
            middle = (low + high) >> 1
            if self._dead[middle] - middle <= sequence - 1:
                low = middle + 1
            else:
                high = middle
        return <int64_t>sequence - 1 + low

    cdef uint32_t _dead_below(self, uint64_t row) noexcept:
        cdef uint32_t low = 0, high = self._dead_count, middle
        while low < high:
            middle = (low + high) >> 1
            if self._dead[middle] < row:
                low = middle + 1
            else:
                high = middle
        return low

    cdef uint32_t sequence_of(self, uint64_t row) noexcept:
        """The sequence number of a row, or 0 when the view does not have it."""
        cdef uint32_t below
        if row >= self.rows:
            return 0
        below = self._dead_below(row)
        if below < self._dead_count and self._dead[below] == row:
            return 0
        return <uint32_t>(row + 1 - below)

    cdef Record* record(self, uint32_t sequence) except NULL:
        cdef int64_t row = self.row_of(sequence)
        if row < 0:
            raise IndexError("no such message in this view")
        return self.index.row(row)

    def row(self, uint32_t sequence):
        """Return the index row of a sequence number. Raises IndexError."""
        cdef int64_t row = self.row_of(sequence)
        if row < 0:
            raise IndexError("no such message in this view")
        return row

    def uid(self, uint32_t sequence):
        return self.record(sequence).uid

    def uids(self, seqs):
        """Return the UIDs of messages, in their order, as array('I')."""
        cdef array numbers = seqs if isinstance(seqs, array) else array("I", seqs)
        cdef array result = clone(_U32, len(numbers), False)
        cdef Py_ssize_t place
        for place in range(len(numbers)):
            result.data.as_uints[place] = self.record(numbers.data.as_uints[place]).uid
        return result

    def seq(self, uint32_t uid):
        """Return the sequence number of a UID, 0 when the view does not have it."""
        cdef int64_t row = self.index.find(uid, self.rows)
        return self.sequence_of(row) if row >= 0 else 0

    def flags(self, uint32_t sequence):
        """The five system flags as bits."""
        return self.record(sequence).flags & SYSTEM_MASK

    def keywords(self, uint32_t sequence):
        return self.record(sequence).keywords

    def in_new(self, uint32_t sequence):
        """Say whether the file still lies in new/."""
        return bool(self.record(sequence).flags & IN_NEW)

    def date(self, uint32_t sequence):
        return self.record(sequence).date

    def save_date(self, uint32_t sequence):
        return self.record(sequence).save_date

    def size(self, uint32_t sequence):
        """Octets in CRLF form, 0 while nobody has counted them."""
        return self.record(sequence).wire_size

    def modseq(self, uint32_t sequence):
        return self.record(sequence).modseq

    def expunged(self, uint32_t sequence):
        """Say whether the message has gone since this snapshot."""
        return self.record(sequence).expunged != 0

    def rows_in_new(self):
        """Return the rows of the view whose files lie in new/."""
        cdef uint64_t row
        return [row for row in range(self.rows)
                if self.index.rows[row].flags & IN_NEW and not self.index.rows[row].expunged
                and self.sequence_of(row)]

    def first_unseen(self):
        """Return the lowest sequence number without \\Seen, 0 when there is none."""
        cdef uint64_t row
        cdef uint32_t dead = 0, sequence = 0
        if self.index.head.unseen == 0 and self.index.head.snapshot == self.snapshot:
            return 0
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
                continue
            sequence += 1
            if not self.index.rows[row].flags & SEEN:
                return sequence
        return 0

    def total_size(self):
        """Return (octets in CRLF form, rows whose size nobody has counted)."""
        cdef uint64_t row, total = 0
        cdef uint32_t dead = 0
        unknown = []
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
            elif self.index.rows[row].wire_size:
                total += self.index.rows[row].wire_size
            else:
                unknown.append(row)
        return total, unknown

    def resolve(self, ranges, bint by_uid):
        """Return the sequence numbers that a sequence set selects, ascending, as array('I').

        ``ranges``: pairs of numbers, 0 for "*" (RFC 9051 §9, seq-range).
        """
        return _numbers(self._spans(ranges, by_uid))

    def among(self, seqs, ranges, bint by_uid):
        """Return those of ``seqs`` that a sequence set selects, in their order, as array('I')."""
        spans = sorted(self._spans(ranges, by_uid))
        lows, highs, top = [], [], 0
        for low, high in spans:
            top = max(top, high)
            lows.append(low)
            highs.append(top)
        return array("I", [seq for seq in seqs if _inside(seq, lows, highs)])

    cdef list _spans(self, ranges, bint by_uid):
        """The sequence numbers of a sequence set as pairs, in its order; they may overlap."""
        cdef uint32_t count = len(self), first, last, low, high, top
        cdef list spans = []
        if count == 0:
            return spans
        top = self.index.rows[self.row_of(count)].uid if by_uid else count
        for a, b in ranges:
            first, last = a or top, b or top
            low, high = min(first, last), max(first, last)
            if by_uid:
                low, high = self._at_or_after(low), self._at_or_before(high)
            if low <= high and low >= 1 and low <= count:
                spans.append((low, min(high, count)))
        return spans

    cdef uint32_t _lower_bound(self, uint64_t uid) noexcept:
        cdef uint64_t low = 0, high = self.rows, middle
        while low < high:
            middle = (low + high) >> 1
            if self.index.rows[middle].uid < uid:
                low = middle + 1
            else:
                high = middle
        return <uint32_t>low

    cdef uint32_t _at_or_after(self, uint32_t uid) noexcept:
        cdef uint32_t row = self._lower_bound(uid)
        return row + 1 - self._dead_below(row)

    cdef uint32_t _at_or_before(self, uint64_t uid) noexcept:
        cdef uint32_t row = self._lower_bound(uid + 1)
        return row - self._dead_below(row)

    cdef uint64_t _run(self, uint64_t* row, uint32_t* dead) noexcept nogil:
        """Go to the next living row; returns where the run of those that begins there ends."""
        while dead[0] < self._dead_count and self._dead[dead[0]] == row[0]:
            row[0] += 1
            dead[0] += 1
        return self._dead[dead[0]] if dead[0] < self._dead_count else self.rows

    def match_flags(self, uint32_t must, uint32_t must_not, uint64_t keywords_must,
                    uint64_t keywords_must_not):
        """Return the sequence numbers whose flags and keywords fit, as array('I')."""
        cdef uint64_t row = 0, end
        cdef uint32_t dead = 0, sequence = 0, found = 0
        cdef uint32_t looked = must | must_not
        cdef uint64_t keywords_looked = keywords_must | keywords_must_not
        cdef const Record* record
        cdef array result = clone(_U32, len(self), False)
        cdef uint32_t* out = <uint32_t*>result.data.as_uints
        if must & must_not or keywords_must & keywords_must_not:
            return result[:0]
        with nogil:
            while row < self.rows:
                end = self._run(&row, &dead)
                record = &self.index.rows[row]
                while row < end:
                    sequence += 1
                    if (record.flags & looked == must
                            and record.keywords & keywords_looked == keywords_must):
                        out[found] = sequence
                        found += 1
                    row, record = row + 1, record + 1
        return result[:found]

    def match_range(self, str column, int64_t low, int64_t high):
        """Return the sequence numbers whose column lies in low..high, as array('I')."""
        cdef uint64_t row = 0, end
        cdef uint32_t dead = 0, sequence = 0, found = 0
        cdef int offset = _COLUMNS[column]
        cdef const char* value
        cdef array result = clone(_U32, len(self), False)
        cdef uint32_t* out = <uint32_t*>result.data.as_uints
        with nogil:
            while row < self.rows:
                end = self._run(&row, &dead)
                value = <const char*>&self.index.rows[row] + offset
                while row < end:
                    sequence += 1
                    if low <= (<const int64_t*>value)[0] <= high:
                        out[found] = sequence
                        found += 1
                    row, value = row + 1, value + sizeof(Record)
        return result[:found]

    def advance(self, bint expunge):
        """Move on to the present: (expunged, vanished, exists, flags), None when nothing moved.

        ``expunged``: sequence numbers of the old view, descending, so that each is valid when
        told; ``vanished``: their UIDs, ascending; ``exists``: new number of messages, or None
        when none came; ``flags``: (sequence number in the new view, transaction) of each changed
        message. Without ``expunge`` the
        view stops short of a transaction that took one of its messages (RFC 3501 §7.4.1).
        Raises Gap where only a comparison tells (:meth:`successor`).
        """
        cdef uint64_t snapshot, log_end, log_floor
        cdef uint32_t before
        cdef Header* head = self.index.head
        if head.snapshot == self.snapshot and not head.sequence & 1:
            return None
        while True:
            before = self.index.settled()
            head = self.index.head
            snapshot, log_end, log_floor = head.snapshot, head.log_end, head.log_floor
            rows = head.rows
            if not self.index.moved(before):
                break
        if self.snapshot < log_floor:
            raise Gap
        self.index.reach(rows)
        return self._replay(snapshot, log_end, expunge)

    cdef _replay(self, uint64_t snapshot, uint64_t log_end, bint expunge):
        cdef bytes octets = os.pread(self.index._log, log_end - self._log_position,
                                     self._log_position)
        cdef Change* changes = <Change*><const char*>octets
        cdef uint64_t count = len(octets) // sizeof(Change), number, stop, rows = self.rows
        cdef Change* change
        if len(octets) != <int64_t>(log_end - self._log_position):
            raise Unusable("the log is cut short")
        stop = count
        gone, changed = [], {}
        for number in range(count):
            change = &changes[number]
            if change.check != pm_check(change, CHANGE_WORDS):
                raise Unusable("the log is damaged")
            if not expunge and change.kind == EXPUNGE and self.sequence_of(change.row):
                stop = number
                snapshot = change.modseq - 1
                break
        # A transaction is seen whole or not at all.
        while stop < count and stop > 0 and changes[stop - 1].modseq > snapshot:
            stop -= 1
        for number in range(stop):
            change = &changes[number]
            if change.kind == ADD:
                rows = max(rows, <uint64_t>change.row + 1)
            elif change.kind == EXPUNGE:
                gone.append(change.row)
            elif change.kind == FLAGS:
                changed[change.row] = change.modseq
        self._log_position += stop * sizeof(Change)
        self.snapshot = snapshot
        return self._settle(rows, gone, changed)

    cdef _settle(self, uint64_t rows, list gone, dict changed):
        cdef uint64_t old_rows = self.rows
        seen = sorted(row for row in gone if row < old_rows)
        told = [self.sequence_of(row) for row in reversed(seen)]
        uids = [self.index.row(row).uid for row in seen]
        old_count = len(self)
        if gone:
            self._add_dead(gone)
        self.rows = rows
        exists = len(self) if len(self) != old_count - len(told) else None
        flags = sorted((self.sequence_of(row), modseq) for row, modseq in changed.items()
                       if row < old_rows and self.sequence_of(row))
        return told, uids, exists, flags

    cdef int _add_dead(self, list gone) except -1:
        cdef uint32_t count = self._dead_count
        cdef uint32_t* dead = <uint32_t*>malloc((count + len(gone) + 1) * sizeof(uint32_t))
        if dead == NULL:
            raise MemoryError
        memcpy(dead, self._dead, count * sizeof(uint32_t))
        for row in gone:
            dead[count] = row
            count += 1
        qsort(dead, count, sizeof(uint32_t), _ascending)
        free(self._dead)
        self._dead, self._dead_count = dead, count
        return 0

    cdef bint _stands_for(self, uint32_t damaged, uint32_t uid) noexcept:
        """Say whether a UID can be that of a damaged row: it lies before the next sound one."""
        cdef uint32_t sequence
        cdef Record* record
        for sequence in range(damaged + 1, <uint32_t>len(self) + 1):
            record = &self.index.rows[self.row_of(sequence)]
            if _sound(record):
                return uid < record.uid
        return True

    def successor(self, Index index):
        """Carry the view over to an index that took this one's place, or across a gap in its log.

        Returns the view and what :meth:`advance` tells: found by
        comparing both views, in time proportional to the mailbox.
        """
        cdef View new = View.of(index)
        cdef uint32_t old_seq = 1, new_seq = 1, old_count = len(self), new_count = len(new)
        cdef Record* ours
        cdef Record* theirs
        gone, uids, flags, kept = [], [], [], 0
        while old_seq <= old_count:
            ours = &self.index.rows[self.row_of(old_seq)]
            theirs = index.row(new.row_of(new_seq)) if new_seq <= new_count else NULL
            if theirs != NULL and not _sound(ours) and self._stands_for(old_seq, theirs.uid):
                flags.append((new_seq, theirs.modseq))
                kept += 1
                new_seq += 1
                old_seq += 1
            elif theirs != NULL and theirs.uid == ours.uid:
                if (theirs.flags ^ ours.flags) & SYSTEM_MASK or theirs.keywords != ours.keywords \
                        or ours.modseq > self.snapshot \
                        or theirs.modseq > max(theirs.created, self.snapshot):
                    flags.append((new_seq, theirs.modseq))
                kept += 1
                new_seq += 1
                old_seq += 1
            elif theirs != NULL and theirs.uid < ours.uid:
                # A UID that this view never showed cannot come in between: renumbered.
                return None
            else:
                gone.append(old_seq)
                uids.append(ours.uid)
                old_seq += 1
        gone.reverse()
        return new, (gone, uids, new_count if new_count != kept else None, flags)


_COLUMNS = {"modseq": 16, "date": 40, "save_date": 48, "size": 96}


cdef bint _inside(number, list lows, list highs) except -1:
    place = bisect_right(lows, number) - 1
    return place >= 0 and number <= highs[place]


cdef _numbers(list spans):
    """Merge spans of sequence numbers into one ascending array."""
    cdef uint32_t total = 0, place = 0, number, low, high
    cdef array result
    cdef uint32_t* out
    merged = []
    low, high = 1, 0
    for first, last in sorted(spans):
        if first > high + 1:
            if high >= low:
                merged.append((low, high))
            low, high = first, last
        elif last > high:
            low, high = (first, last) if low > high else (low, last)
    if high >= low:
        merged.append((low, high))
    for low, high in merged:
        total += high - low + 1
    result = clone(_U32, total, False)
    out = <uint32_t*>result.data.as_uints
    for low, high in merged:
        for number in range(low, high + 1):
            out[place] = number
            place += 1
    return result
