"""The snapshot index of one mailbox, as its writer sees it.

A writer (its caller holds the mailbox lock) stages its changes, does all input and output that
can fail, then changes rows and header in memory alone.
"""

import errno
import os
import time

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from pymaild.index._files cimport write_all
from pymaild.index._layout cimport (
    ADD, BEHIND, CHANGE_WORDS, CHECKED_WORDS, DELETED, EXPUNGE, FLAGS, IN_NEW, KEYWORD_LIMIT,
    KEYWORD_OFFSET, KEYWORD_SIZE, MOVE, PLACE_FLAGS, PLACE_KEYWORDS, PM_BARRIER, SEEN, SYSTEM_MASK,
    TOUCH, Change, Header, Record, pm_check,
)
from pymaild.index._rows cimport Rows, name_check

from pymaild.index._files import CACHE_FILE


cdef class Index(Rows):
    """The index files of one mailbox directory, open and mapped."""

    def __cinit__(self, str directory):
        self._staged = []
        self._staged_names = []

    # -- flags that the mail does not say yet -------------------------------------------------

    @property
    def behind(self):
        """Since when there are any, in nanoseconds since 1970; 0 where there are none."""
        return self.head.behind

    def fall_behind(self, rows):
        """Note what the names of these messages say: their flags are about to change.

        Comes before the change, as a fact that is true with or without it: so a writer may die
        at any moment. The caller holds the lock.
        """
        cdef Header* head
        cdef Record* record
        cdef uint64_t number
        self.reach(self.head.rows)
        head = self.head
        if not rows:
            return
        head.behind_first = min(head.behind_first if head.behind else ~<uint64_t>0, min(rows))
        head.behind_end = max(head.behind_end if head.behind else 0, max(rows) + 1)
        PM_BARRIER()
        head.behind = head.behind or time.time_ns()
        for number in rows:
            record = self.row(number)
            if not record.place & BEHIND:
                record.place = BEHIND | record.keywords << PLACE_KEYWORDS | record.flags & PLACE_FLAGS
        PM_BARRIER()

    def named(self, uint64_t number):
        """Return (flags, keywords) that the name of a message's file says, as far as is known."""
        cdef Record* record = self.row(number)
        if record.place & BEHIND:
            return record.place & PLACE_FLAGS, (record.place ^ BEHIND) >> PLACE_KEYWORDS
        return record.flags, record.keywords

    def rename(self, uint64_t number, uint32_t flags, uint64_t keywords):
        """Note that others have made a name say this; one that is in step need not be noted."""
        cdef Record* record = self.row(number)
        if record.place & BEHIND:
            record.place = BEHIND | keywords << PLACE_KEYWORDS | flags & PLACE_FLAGS

    def stragglers(self):
        """Return the rows of living messages whose names have to follow."""
        cdef uint64_t number
        cdef Record* record
        self.reach(self.head.rows)
        found = []
        if self.head.behind:
            for number in range(self.head.behind_first, min(self.head.behind_end, self.head.rows)):
                record = &self.rows[number]
                if record.place & BEHIND and not record.expunged:
                    found.append(number)
        return found

    def caught_up(self):
        """No name has to follow any more."""
        self.head.behind = 0

    # -- writing (the caller holds the mailbox lock) ------------------------------------------

    def add(self, uint32_t uid, uint32_t flags, uint64_t keywords, int64_t date, int64_t saved,
            uint64_t size, uint64_t wire_size, bytes name, uint64_t modseq=0, uint64_t place=0):
        """Stage a new message. UIDs are added in ascending order. Returns its row.

        ``place``: where it begins in a file of many.
        """
        row = self.head.rows + len(self._staged_names)
        self._staged_names.append((uid, flags, keywords, date, saved, size, wire_size, name,
                                   modseq, name_check(name), place))
        self._staged.append((ADD, row, uid, flags, keywords))
        return row

    def change(self, uint64_t number, uint32_t flags, uint64_t keywords):
        """Stage new flags for a row; a change that clients do not see is a MOVE."""
        cdef Record* record = self.row(number)
        seen = (record.flags ^ flags) & SYSTEM_MASK or record.keywords != keywords
        self._staged.append((FLAGS if seen else MOVE, number, record.uid, flags, keywords))

    def expunge(self, uint64_t number):
        """Stage the end of a message."""
        cdef Record* record = self.row(number)
        self._staged.append((EXPUNGE, number, record.uid, 0, 0))

    def touch(self):
        """Stage a transaction of the mailbox itself: HIGHESTMODSEQ grows, no message changes."""
        self._staged.append((TOUCH, 0, 0, 0, 0))

    @property
    def staged(self):
        return len(self._staged)

    def forget(self):
        """Drop what is staged."""
        self._staged = []
        self._staged_names = []

    def define_keyword(self, str name):
        """Give a keyword the next bit; the names file is the caller's. Returns the bit."""
        cdef uint32_t number = self.head.keywords
        raw = name.encode()
        if number >= KEYWORD_LIMIT or len(raw) >= KEYWORD_SIZE:
            raise ValueError("no room for this keyword")
        place = KEYWORD_OFFSET + number * KEYWORD_SIZE
        self._map[place:place + KEYWORD_SIZE] = raw.ljust(KEYWORD_SIZE, b"\0")
        PM_BARRIER()
        self.head.keywords = number + 1
        return number

    def commit(self):
        """Publish what is staged as one transaction; returns its number."""
        cdef uint64_t modseq = self.head.snapshot + 1
        if not self._staged:
            return self.head.snapshot
        try:
            self._make_room(self.head.rows + len(self._staged_names))
            offsets, cache_end = self._write_names()
            log_end, log_floor = self._write_log(modseq)
        except BaseException:
            self.forget()
            raise
        self.head.sequence |= 1
        PM_BARRIER()
        self._place_rows(offsets, modseq)
        for kind, row, _uid, flags, keywords in self._staged:
            self._apply(kind, row, flags, keywords, modseq)
        self.head.log_end, self.head.cache_end = log_end, cache_end
        self.head.log_floor = log_floor
        self.head.snapshot = modseq
        PM_BARRIER()
        self.head.sequence += 1
        self.forget()
        return modseq

    cdef _write_names(self):
        if not self._staged_names:
            return [], self.head.cache_end
        blob = b"".join([staged[7] for staged in self._staged_names])
        # In one write: another process may append cache entries at the same time.
        if os.write(self._cache, blob) != len(blob):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), CACHE_FILE)
        end = os.lseek(self._cache, 0, os.SEEK_CUR)
        offset, offsets = end - len(blob), []
        for staged in self._staged_names:
            offsets.append(offset)
            offset += len(staged[7])
        return offsets, end

    cdef _write_log(self, uint64_t modseq):
        cdef Change change
        cdef uint64_t position = self.head.log_end
        cdef bytearray blob = bytearray()
        memset(&change, 0, sizeof(change))
        change.modseq = modseq
        for kind, row, uid, flags, keywords in self._staged:
            change.kind, change.row, change.uid = kind, row, uid
            change.flags, change.keywords = flags, keywords
            change.check = pm_check(&change, CHANGE_WORDS)
            blob += (<char*>&change)[:sizeof(change)]
        # What lies behind the published end is an unfinished transaction: it is cut off.
        os.ftruncate(self._log, position)
        try:
            write_all(self._log, blob)
        except OSError:
            if self._staged_names:
                raise
            # Flags are changed and mail is removed on a full disk, too: views find out by
            # comparing rows what the log does not tell.
            return position, modseq
        return position + len(blob), self.head.log_floor

    cdef _place_rows(self, list offsets, uint64_t modseq):
        cdef Record* record
        cdef uint64_t number = self.head.rows
        for staged, offset in zip(self._staged_names, offsets):
            record = &self.rows[number]
            memset(record, 0, sizeof(Record))
            record.uid, record.flags, record.keywords = staged[0], staged[1], staged[2]
            record.date, record.save_date, record.size = staged[3], staged[4], staged[5]
            record.wire_size = staged[6]
            record.name_offset, record.name_length = offset, len(staged[7])
            record.name_check = staged[9]
            record.created = modseq
            record.modseq = staged[8] or modseq
            record.place = staged[10]
            record.check = pm_check(record, CHECKED_WORDS)
            number += 1

    cdef _apply(self, uint32_t kind, uint64_t number, uint32_t flags, uint64_t keywords,
                uint64_t modseq):
        cdef Header* head = self.head
        cdef Record* record = &self.rows[number]
        if kind == ADD:
            head.rows = number + 1
            head.uidnext = max(head.uidnext, record.uid + 1)
            self._count(record, 1)
            return
        if kind == TOUCH or record.expunged:
            return
        self._count(record, -1)
        record.modseq = modseq if kind != MOVE else record.modseq
        if kind == EXPUNGE:
            record.expunged = modseq
            record.previous_dead = head.last_dead
            record.went = <int64_t>time.time()
            head.oldest = head.oldest if head.dead else record.went
            head.last_dead = number + 1
            head.dead += 1
        else:
            record.flags, record.keywords = flags, keywords
            self._count(record, 1)
        record.check = pm_check(record, CHECKED_WORDS)

    cdef void _count(self, Record* record, int by) noexcept:
        cdef Header* head = self.head
        head.messages += by
        head.storage += by * <int64_t>record.size
        if not record.flags & SEEN:
            head.unseen += by
        if record.flags & DELETED:
            head.deleted += by
            head.deleted_storage += by * <int64_t>record.size
        if record.flags & IN_NEW:
            head.recent += by
