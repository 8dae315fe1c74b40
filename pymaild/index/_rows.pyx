"""The rows of an index, as readers and those who fill its cache see them."""

import mmap
import os

from libc.stdint cimport int64_t, uint32_t, uint64_t

from pymaild.index._files cimport Files
from pymaild.index._layout cimport (
    CHECKED_WORDS, PM_BARRIER, SYSTEM_MASK, Record, pm_check,
)

from pymaild.index.errors import Unusable


cdef uint32_t name_check(bytes name):
    cdef bytes padded = name + bytes((8 - len(name) % 8) % 8)
    return pm_check(<const char*>padded, len(padded) // 8)


cdef class Rows(Files):
    """Files, and what stands in their rows and cache."""

    cdef Record* row(self, uint64_t number) except NULL:
        """The row, checked; a row in change is looked at again."""
        cdef Record* record
        cdef uint32_t before
        self.reach(number + 1)
        record = &self.rows[number]
        if record.check == pm_check(record, CHECKED_WORDS):
            return record
        while True:
            before = self.settled()
            record = &self.rows[number]
            if record.check == pm_check(record, CHECKED_WORDS):
                return record
            if not self.moved(before):
                break
        self.condemn()
        raise Unusable(f"row {number} is damaged")

    cdef int64_t find(self, uint32_t uid, uint64_t rows) noexcept:
        """The row of a UID among the first ``rows``, or -1."""
        cdef uint64_t low = 0, high = min(rows, self.capacity), middle
        while low < high:
            middle = (low + high) >> 1
            if self.rows[middle].uid < uid:
                low = middle + 1
            else:
                high = middle
        if low < min(rows, self.capacity) and self.rows[low].uid == uid:
            return low
        return -1

    def row_of_uid(self, uint32_t uid):
        """Return the row of a living message, or -1."""
        self.reach(self.head.rows)
        cdef int64_t row = self.find(uid, self.head.rows)
        return row if row >= 0 and self.rows[row].expunged == 0 else -1

    def fields(self, uint64_t number):
        """Return (uid, flags, keywords, alive) of a row."""
        cdef Record* record = self.row(number)
        return record.uid, record.flags, record.keywords, record.expunged == 0

    def combined(self, rows, str how, uint32_t flags, uint64_t keywords, uint32_t may,
                 uint64_t may_keywords):
        """Return {row: (flags, keywords)} of those messages that a STORE changes.

        ``how``: "set", "add" or "remove" these system flags and keywords, of those only that
        may be changed.
        """
        cdef uint32_t old, new
        cdef uint64_t words, new_words, number
        cdef Record* record
        cdef dict found = {}
        cdef bint adds = how == "add", removes = how == "remove"
        for number in rows:
            record = self.row(number)
            old, words = record.flags & SYSTEM_MASK, record.keywords
            new = old | flags if adds else old & ~flags if removes else flags
            new_words = words | keywords if adds else words & ~keywords if removes else keywords
            new = (new & may) | (old & ~may)
            new_words = (new_words & may_keywords) | (words & ~may_keywords)
            if new != old or new_words != words:
                found[number] = new, new_words
        return found

    def modseq(self, uint64_t number):
        """The transaction that last changed a row."""
        return self.row(number).modseq

    def size(self, uint64_t number):
        """The octets of the message's file."""
        return self.row(number).size

    def name(self, uint64_t number):
        """The message's file name in the Maildir without its info part, as bytes."""
        return self._name(self.row(number))

    cdef bytes _name(self, Record* record):
        cdef uint64_t offset = record.name_offset
        cdef bytes name
        if not self._reach_cache(offset, record.name_length):
            self.condemn()
            raise Unusable("the cache is cut short")
        name = (<const char*>self.cache_octets)[offset:offset + record.name_length]
        if name_check(name) != record.name_check:
            self.condemn()
            raise Unusable("a name in the cache is damaged")
        return name

    cdef bint _reach_cache(self, uint64_t offset, uint64_t length) except -1:
        cdef uint64_t size
        if length <= self.cache_size and offset <= self.cache_size - length:
            return True
        size = os.fstat(self._cache).st_size
        if length > size or offset > size - length:
            return False
        self.cache_size = 0
        self._cache_view = None
        self._cache_map = mmap.mmap(self._cache, size, prot=mmap.PROT_READ)
        self._cache_view = self._cache_map
        self.cache_octets, self.cache_size = &self._cache_view[0], size
        return True

    def cached(self, uint64_t number):
        """Return the message's cache entry as bytes, or None. Its form is the caller's."""
        cdef Record* record = self.row(number)
        cdef uint64_t offset = record.cache_offset
        cdef uint32_t length = record.cache_length
        if offset == 0 or not self._reach_cache(offset, length):
            return None
        return (<const char*>self.cache_octets)[offset:offset + length]

    def set_cached(self, uint64_t number, bytes entry, uint64_t wire_size):
        """Append a cache entry and point the row at it. Needs no lock: entries never change.

        Where the disk has no room the row stays without an entry: nothing needs one.
        """
        cdef Record* record = self.row(number)
        cdef int64_t end
        record.wire_size = wire_size
        try:
            if os.write(self._cache, entry) != len(entry):
                return
        except OSError:
            return
        end = os.lseek(self._cache, 0, os.SEEK_CUR)
        record = self.row(number)
        record.cache_length = len(entry)
        PM_BARRIER()
        record.cache_offset = end - len(entry)

    def uncached(self, uint64_t below, Py_ssize_t most, uint64_t among=~<uint64_t>0):
        """Return rows of living messages without a cache entry: of those with a UID below
        `below` the youngest ones, `most` at most, the youngest first. `among`: how many of the
        youngest rows are looked at."""
        cdef uint64_t number = self.head.rows
        cdef uint64_t last = number - among if among < number else 0
        cdef Record* record
        cdef list found = []
        self.reach(number)
        while number > last and len(found) < most:
            number -= 1
            record = &self.rows[number]
            if record.uid < below and not record.expunged and not record.cache_offset:
                found.append(number)
        return found

    def drop_cached(self, uint64_t number):
        """Forget a cache entry that turned out damaged."""
        self.row(number).cache_offset = 0

    def set_wire_size(self, uint64_t number, uint64_t wire_size):
        """Remember a size that was counted while reading."""
        self.row(number).wire_size = wire_size

    def wire_size(self, uint64_t number):
        return self.row(number).wire_size

    def date(self, uint64_t number):
        """Return INTERNALDATE in seconds since 1970."""
        return self.row(number).date

    def move_places(self, int64_t[:] ends, int64_t[:] by):
        """Remember where messages are now: those from ``ends[n]`` on have moved ``by[n]`` octets.

        ``ends`` ascend.
        """
        cdef uint64_t number
        cdef Py_ssize_t low, high, middle
        cdef int64_t place
        if not ends.shape[0]:
            return
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            place = self.rows[number].place
            low, high = 0, ends.shape[0]
            while low < high:
                middle = (low + high) // 2
                if ends[middle] <= place:
                    low = middle + 1
                else:
                    high = middle
            if low:
                self.rows[number].place = place + by[low - 1]

    def place(self, uint64_t number):
        """Return what the store has noted to find a message, 0 where that is nothing."""
        return self.row(number).place

    def set_place(self, uint64_t number, uint64_t place):
        """Note what is needed to find a message."""
        self.row(number).place = place

    @property
    def found_from(self):
        """From which UID on names are believed: these are of rows that a power failure took."""
        return self.head.found_from or self.head.uidnext

    def found(self):
        """All names have been read since then."""
        self.head.found_from = 0

    def wasteful(self, uint64_t spare):
        """Say whether most of the cache file is of no use any more, ``spare`` octets aside.

        That is found out by looking at all rows, so only when the file has doubled since.
        """
        cdef uint64_t number, used = 0
        cdef Record* record
        if self.head.cache_end < spare + 2 * self.head.cache_looked:
            return False
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            record = &self.rows[number]
            used += 0 if record.expunged else record.name_length + record.cache_length
        self.head.cache_looked = self.head.cache_end
        return self.head.cache_end > spare + 2 * used

    def living(self):
        """Yield (row, uid, flags, keywords, date, save date, size, wire size, name, modseq)."""
        cdef uint64_t number
        cdef Record* record
        for number in range(self.head.rows):
            record = self.row(number)
            if not record.expunged:
                yield (number, record.uid, record.flags, record.keywords, record.date,
                       record.save_date, record.size, record.wire_size,
                       self._name(record),
                       record.modseq)

    def verify(self):
        """Return what is wrong with the rows: a list of sentences, empty when all is well."""
        cdef uint64_t number
        cdef uint32_t last = 0
        problems = []
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            if self.rows[number].check != pm_check(&self.rows[number], CHECKED_WORDS):
                problems.append(f"row {number} is damaged")
            elif self.rows[number].uid <= last:
                problems.append(f"row {number} is out of order")
            else:
                last = self.rows[number].uid
        return problems
