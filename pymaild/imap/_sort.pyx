"""SORT: a row of two numbers for each message is sorted; all else is compared where it lies.

RFC 5256 §3. The first number is what the first criterion compares, of a text its first eight
octets; the second says where the message's keys are, in the mailbox's cache or, of what that does
not have, in a run of octets made here. So memory does not depend on how long texts are.
"""

from cpython.array cimport array, clone
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

from pymaild.imap._keys cimport (
    ROOM, STRINGS, SortHead, given_keys, sealed_keys, string_of,
)
from pymaild.index._layout cimport Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport PART_SORT, SEAL, expect_entry

cdef enum:
    BY_ARRIVAL = 0
    BY_DATE = 1
    BY_SIZE = 2
    BY_STRING = 3          # the first of pymaild.mime.order.STRINGS; 4 is the second, and so on
    MOST = BY_STRING + STRINGS
    OFTEN = 1024           # messages between two beats
    AHEAD = 8              # messages whose keys are on their way from memory

cdef uint64_t MOST_OCTETS = 128 << 20  # of keys that the cache does not have

ARRIVAL, DATE, SIZE, STRING = BY_ARRIVAL, BY_DATE, BY_SIZE, BY_STRING

cdef uint64_t TOP = 1ULL << 63  # added to signed numbers; in ``keys``: they are not in the cache

cdef struct Row:
    uint64_t first
    uint64_t keys          # where they begin; their length stands in the four octets before


class TooMuch(Exception):
    """The texts of the messages are too long to be compared all at once."""


cdef class _Table:
    """The rows of messages, by their places in ``seqs``, and how to compare them."""

    cdef View view
    cdef uint32_t* seqs
    cdef Row* rows
    cdef const unsigned char* cache    # while rows are compared
    cdef uint64_t cache_size
    cdef unsigned char* own            # keys that the cache does not have, as they stand there
    cdef uint64_t used, room
    cdef int[MOST] what
    cdef bint[MOST] reverse
    cdef int count                     # of criteria

    def __cinit__(self, View view, array seqs, criteria):
        for what, reverse in criteria[:MOST]:
            self.what[self.count], self.reverse[self.count] = what, reverse
            self.count += 1
        self.view, self.seqs = view, <uint32_t*>seqs.data.as_uints
        self.rows = <Row*>malloc((len(seqs) + 1) * sizeof(Row))
        if self.rows == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.rows)
        free(self.own)

    cdef bint asks(self, int low, int high) noexcept:
        """Whether one of the criteria lies in low..high."""
        cdef int number
        for number in range(self.count):
            if low <= self.what[number] <= high:
                return True
        return False

    cdef uint64_t keep(self, bytes keys) except? 0:
        """Take keys that were made just now; returns where they are."""
        cdef unsigned char* grown
        if self.used + ROOM + SEAL > MOST_OCTETS:
            raise TooMuch
        if self.used + ROOM + SEAL > self.room:
            self.room = 2 * self.used + ROOM + SEAL
            grown = <unsigned char*>realloc(self.own, self.room)
            if grown == NULL:
                raise MemoryError
            self.own = grown
        cdef uint64_t place = self.used + SEAL
        (<uint32_t*>(self.own + place))[-1] = given_keys(keys, self.own + place)
        self.used = place + (<uint32_t*>(self.own + place))[-1]
        return place | TOP

    cdef const unsigned char* keys(self, Row* row, uint32_t* length) noexcept nogil:
        """A row's keys. What was checked when the row was made may be damaged now."""
        cdef const unsigned char* found
        if row.keys & TOP:
            found = self.own + (row.keys & ~TOP)
            length[0] = (<const uint32_t*>found)[-1]
            return found
        found = self.cache + row.keys
        memcpy(length, found - 4, 4)
        if length[0] > self.cache_size - row.keys or length[0] < sizeof(SortHead):
            length[0] = 0
        return found

    cdef uint64_t number(self, uint32_t place, Row* row, int what) noexcept nogil:
        """What a criterion compares of a message, of a text its first eight octets."""
        cdef Record* record = &self.view.index.rows[self.view.row_of(self.seqs[place])]
        cdef uint32_t length = 0, size = 0
        cdef const unsigned char* keys
        cdef uint64_t first = 0
        cdef int octet
        if what == BY_SIZE:
            return record.wire_size
        if what == BY_ARRIVAL:
            return <uint64_t>record.date ^ TOP
        keys = self.keys(row, &length)
        if what == BY_DATE:
            if length and <uint64_t>(<const SortHead*>keys).sent != TOP:
                return <uint64_t>(<const SortHead*>keys).sent ^ TOP
            return <uint64_t>record.date ^ TOP
        if length:
            keys = string_of(keys, length, what - BY_STRING, &size)
            for octet in range(8):
                first = first << 8 | (keys[octet] if <uint32_t>octet < size else 0)
        return first

    cdef int texts(self, Row* one, Row* other, int which) noexcept nogil:
        """Compare texts octet by octet; of two that begin the same the shorter one is less."""
        cdef uint32_t length = 0, size = 0, other_size = 0
        cdef const unsigned char* text = self.keys(one, &length)
        cdef const unsigned char* other_text
        cdef int order
        if length:
            text = string_of(text, length, which, &size)
        other_text = self.keys(other, &length)
        if length:
            other_text = string_of(other_text, length, which, &other_size)
        order = memcmp(text, other_text, min(size, other_size))
        return order if order else (size > other_size) - (size < other_size)

    cdef int compare(self, uint32_t one, uint32_t other) noexcept nogil:
        """Compare two rows; where all keys are equal the mailbox's order decides."""
        cdef Row* a = &self.rows[one]
        cdef Row* b = &self.rows[other]
        cdef uint64_t x = a.first, y = b.first
        cdef int place, what, order
        for place in range(self.count):
            what = self.what[place]
            if place:
                x, y = self.number(one, a, what), self.number(other, b, what)
            order = (x > y) - (x < y)
            if order == 0 and what >= BY_STRING:
                order = self.texts(a, b, what - BY_STRING)
            if order:
                return -order if self.reverse[place] else order
        return (one > other) - (one < other)

    cdef void sort(self, uint32_t* places, Py_ssize_t count) noexcept:
        """Put places in order; nobody maps the cache anew meanwhile, for the GIL is held."""
        global _sorted
        cdef _Table before = _sorted
        _sorted = self
        self.cache, self.cache_size = self.view.index.cache_octets, self.view.index.cache_size
        with nogil:
            qsort(places, count, sizeof(uint32_t), _compare)
        _sorted = before


cdef _Table _sorted = None  # the sort under way


cdef int _compare(const void* one, const void* other) noexcept nogil:
    return (<_Table>_sorted).compare((<const uint32_t*>one)[0], (<const uint32_t*>other)[0])


def order(View view, array seqs, criteria, keys, size, beat, bint cached=True):
    """Return ``seqs``, which ascend, in the order that ``criteria`` ask for.

    ``criteria``: pairs of what (ARRIVAL, DATE, SIZE, or STRING and the place of a text) and
    whether in reverse, each what once. ``keys(seq)`` and ``size(seq)`` return what the cache or
    the row does not have; without ``cached``, ``keys`` is asked always. ``beat`` is told how many
    messages of how many were read. Raises TooMuch.
    """
    cdef Py_ssize_t count = len(seqs), place
    cdef _Table table = _Table(view, seqs, criteria)
    cdef array places = clone(seqs, count, False)
    cdef uint32_t* out = <uint32_t*>places.data.as_uints
    _read(table, count, keys, size, beat, cached)
    for place in range(count):
        out[place] = <uint32_t>place
    table.sort(out, count)
    for place in range(count):
        out[place] = table.seqs[out[place]]
    return places


cdef int _read(_Table table, Py_ssize_t count, keys, size, beat, bint cached) except -1:
    cdef View view = table.view
    cdef Py_ssize_t place
    cdef Record* record
    cdef bint by_keys = table.asks(BY_DATE, BY_DATE) or table.asks(BY_STRING, MOST)
    cdef bint by_size = table.asks(BY_SIZE, BY_SIZE), asked
    cdef Row* row
    for place in range(count):
        row = &table.rows[place]
        if place + AHEAD < count:
            expect_entry(view.index, &view.index.rows[view.row_of(table.seqs[place + AHEAD])])
        record = view.record(table.seqs[place])
        row.keys = sealed_keys(view, record, PART_SORT) if by_keys and cached else 0
        asked = (by_keys and row.keys == 0) or (by_size and record.wire_size == 0)
        if asked:
            _ask(table, place, by_keys, by_size, keys, size)
        table.cache, table.cache_size = view.index.cache_octets, view.index.cache_size
        row.first = table.number(place, row, table.what[0])
        if asked or place % OFTEN == 0:
            beat(place, count)
    return 0


cdef int _ask(_Table table, Py_ssize_t place, bint by_keys, bint by_size, keys, size) except -1:
    cdef uint32_t seq = table.seqs[place]
    if by_keys and table.rows[place].keys == 0:
        table.rows[place].keys = table.keep(keys(seq))
    if by_size:
        size(seq)  # the row has it from now on
    return 0
