"""SORT: keys are copied out of the cache in one pass, then rows of keys are sorted.

RFC 5256 §3. A key is an unsigned number, the first eight octets of a text among them; the rest
of texts lies in one run of octets.
"""

from cpython.array cimport array, clone
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy

from pymaild.imap._keys cimport (
    ROOM, STRINGS, WORDS, SortHead, copy_keys, given_keys, string_of,
)
from pymaild.index._layout cimport Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport PART_SORT

cdef enum:
    BY_ARRIVAL = 0
    BY_DATE = 1
    BY_SIZE = 2
    BY_STRING = 3          # the first of pymaild.mime.order.STRINGS; 4 is the second, and so on
    MOST = BY_STRING + STRINGS
    OFTEN = 1024           # messages between two beats

cdef uint64_t MOST_OCTETS = 128 << 20  # of texts behind their first eight octets

ARRIVAL, DATE, SIZE, STRING = BY_ARRIVAL, BY_DATE, BY_SIZE, BY_STRING

cdef uint64_t TOP = 1ULL << 63

cdef struct Key:
    uint64_t first
    uint64_t rest          # where the octets behind the first eight begin
    uint32_t length        # of the whole text

cdef struct Rows:
    Key* keys
    char* octets
    int count              # of keys in a row
    bint[MOST] reverse


class TooMuch(Exception):
    """The texts of the messages are too long to be compared all at once."""


cdef class _Table:
    """A row of keys for each message, by each criterion one."""

    cdef Rows rows
    cdef uint64_t used
    cdef uint64_t room
    cdef int[MOST] what
    cdef int count

    def __cinit__(self, criteria, uint64_t rows):
        for what, reverse in criteria[:MOST]:
            self.what[self.count], self.rows.reverse[self.count] = what, reverse
            self.count += 1
        self.rows.count = self.count
        self.rows.keys = <Key*>malloc((rows + 1) * self.count * sizeof(Key))
        if self.rows.keys == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.rows.keys)
        free(self.rows.octets)

    cdef bint from_cache(self) noexcept:
        cdef int number
        for number in range(self.count):
            if self.what[number] == BY_DATE or self.what[number] >= BY_STRING:
                return True
        return False

    cdef bint sizes(self) noexcept:
        cdef int number
        for number in range(self.count):
            if self.what[number] == BY_SIZE:
                return True
        return False

    cdef int text(self, Key* key, const unsigned char* octets, uint32_t length) except -1:
        cdef uint32_t place
        key.first, key.rest, key.length = 0, self.used, length
        for place in range(8):
            key.first = key.first << 8 | (octets[place] if place < length else 0)
        return self.keep(octets + 8, length - 8) if length > 8 else 0

    cdef int keep(self, const unsigned char* octets, uint32_t length) except -1:
        cdef char* grown
        if self.used + length > MOST_OCTETS:
            raise TooMuch
        if self.used + length > self.room:
            self.room = 2 * (self.used + length) + ROOM
            grown = <char*>realloc(self.rows.octets, self.room)
            if grown == NULL:
                raise MemoryError
            self.rows.octets = grown
        memcpy(self.rows.octets + self.used, octets, length)
        self.used += length
        return 0

    cdef int fill(self, uint64_t row, Record* record, uint64_t size,
                  const unsigned char* keys, uint32_t length) except -1:
        """Take the keys of one message. ``keys`` has ROOM octets, ``length`` of them are used."""
        cdef const SortHead* head = <const SortHead*>keys
        cdef const unsigned char* text
        cdef Key* key = self.rows.keys + row * self.count
        cdef uint32_t text_length
        cdef int number, what
        for number in range(self.count):
            what = self.what[number]
            if what >= BY_STRING:
                text = string_of(keys, length, what - BY_STRING, &text_length)
                self.text(key, text, text_length)
            elif what == BY_SIZE:
                key.first, key.length = size, 0
            elif what == BY_DATE and <uint64_t>head.sent != TOP:
                key.first, key.length = <uint64_t>head.sent ^ TOP, 0
            else:
                key.first, key.length = <uint64_t>record.date ^ TOP, 0
            key += 1
        return 0


cdef Rows* _sorted  # the rows of the sort under way; the GIL is held throughout


cdef int _compare(const void* one, const void* other) noexcept nogil:
    """Compare two rows; where all keys are equal the mailbox's order decides."""
    cdef uint32_t row = (<const uint32_t*>one)[0]
    cdef uint32_t other_row = (<const uint32_t*>other)[0]
    cdef Key* a = _sorted.keys + <uint64_t>row * _sorted.count
    cdef Key* b = _sorted.keys + <uint64_t>other_row * _sorted.count
    cdef int number, order
    for number in range(_sorted.count):
        order = (a.first > b.first) - (a.first < b.first)
        if order == 0 and (a.length or b.length):
            order = _compare_texts(a, b)
        if order:
            return -order if _sorted.reverse[number] else order
        a += 1
        b += 1
    return (row > other_row) - (row < other_row)


cdef int _compare_texts(Key* a, Key* b) noexcept nogil:
    """Compare texts whose first eight octets are the same, zeros behind shorter ones included."""
    cdef int order = 0
    if a.length > 8 and b.length > 8:
        order = memcmp(_sorted.octets + a.rest, _sorted.octets + b.rest,
                       min(a.length, b.length) - 8)
    return order if order else (a.length > b.length) - (a.length < b.length)


def order(View view, array seqs, criteria, keys, size, beat, bint cached=True):
    """Return ``seqs``, which ascend, in the order that ``criteria`` ask for.

    ``criteria``: pairs of what (ARRIVAL, DATE, SIZE, or STRING and the place of a text) and
    whether in reverse, each what once. ``keys(seq)`` and ``size(seq)`` return what the cache or
    the row does not have; without ``cached``, ``keys`` is asked always. ``beat`` is told how many
    messages of how many were read. Raises TooMuch.
    """
    global _sorted
    cdef Py_ssize_t count = len(seqs), place
    cdef _Table table = _Table(criteria, count)
    cdef array places = array("I", range(count)), result = clone(seqs, count, False)
    cdef uint32_t* numbers = <uint32_t*>seqs.data.as_uints
    cdef uint32_t* sorted_places = <uint32_t*>places.data.as_uints
    cdef uint32_t* out = <uint32_t*>result.data.as_uints
    cdef Rows* before = _sorted
    _read(table, view, numbers, count, keys, size, beat, cached)
    _sorted = &table.rows
    qsort(sorted_places, count, sizeof(uint32_t), _compare)
    _sorted = before
    for place in range(count):
        out[place] = numbers[sorted_places[place]]
    return result


cdef int _read(_Table table, View view, uint32_t* numbers, Py_ssize_t count, keys, size, beat,
               bint cached) except -1:
    cdef uint64_t[WORDS] room
    cdef unsigned char* octets = <unsigned char*>room
    cdef Py_ssize_t place
    cdef uint64_t octets_of_message = 0
    cdef uint32_t length = sizeof(SortHead)
    cdef bint needs_keys = table.from_cache(), needs_size = table.sizes(), asked
    for place in range(count):
        asked = False
        if needs_keys:
            length = _keys(view, numbers[place], octets, keys, cached, &asked)
        if needs_size:
            octets_of_message = view.record(numbers[place]).wire_size
            if octets_of_message == 0:
                octets_of_message, asked = size(numbers[place]), True
        table.fill(place, view.record(numbers[place]), octets_of_message, octets, length)
        if asked or place % OFTEN == 0:
            beat(place, count)
    return 0


cdef uint32_t _keys(View view, uint32_t seq, unsigned char* room, keys, bint cached,
                    bint* asked) except? 0:
    cdef uint32_t length = copy_keys(view, view.record(seq), PART_SORT, room) if cached else 0
    asked[0] = length < sizeof(SortHead)
    return given_keys(keys(seq), room) if asked[0] else length
