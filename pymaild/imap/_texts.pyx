"""SEARCH in texts: of header fields that the cache keeps (pymaild/mail/cache.py, KEYS), and of
messages as they are stored.
"""

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memchr

from pymaild.index._layout cimport Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport (
    PART_KEYS, PART_TREE, checked_entry, part_length, part_start,
)
from pymaild.mail._octets cimport Octets
from pymaild.mime._matcher cimport MAYBE, YES, Words

cdef extern from "string.h":
    void* memmem(const void* text, size_t size, const void* wanted, size_t length) nogil

cdef enum:
    OFTEN = 4096           # messages between two beats
    NOW_AND_THEN = 64      # the same where they are read

cdef array _U32 = array("I", [])


cdef bint _holds(const unsigned char* entry, int which, const char* wanted,
                 size_t length) noexcept nogil:
    """Say whether a text of a checked entry has these octets in it."""
    cdef const unsigned char* text = entry + part_start(entry, PART_KEYS)
    cdef const unsigned char* end = text + part_length(entry, PART_KEYS)
    cdef const unsigned char* stop
    while True:
        stop = <const unsigned char*>memchr(text, 0, end - text)
        if which == 0 or stop == NULL:
            break
        text, which = stop + 1, which - 1
    if which:
        return False
    return memmem(text, (stop if stop != NULL else end) - text, wanted, length) != NULL


def holding(View view, array seqs, int which, bytes wanted, beat):
    """Return the messages whose text has ``wanted`` in it, and those of which nothing is cached.

    ``which``: the text's place in KEYS; ``wanted``: folded UTF-8. ``beat`` is told how many
    messages of how many were looked at.
    """
    cdef Py_ssize_t place, count = len(seqs), used = 0, left = 0
    cdef array found = clone(_U32, count, False), undone = clone(_U32, count, False)
    cdef uint32_t* numbers = <uint32_t*>seqs.data.as_uints
    cdef const unsigned char* entry
    for place in range(count):
        if place % OFTEN == 0:
            beat(place, count)
        entry = checked_entry(view.index, view.record(numbers[place]))
        if entry == NULL:
            undone.data.as_uints[left] = numbers[place]
            left += 1
        elif _holds(entry, which, PyBytes_AS_STRING(wanted), PyBytes_GET_SIZE(wanted)):
            found.data.as_uints[used] = numbers[place]
            used += 1
    return found[:used], undone[:left]


def reading(View view, array seqs, Octets octets, Words words, beat):
    """Return the messages that have these words, and those that are to be asked the long way."""
    cdef Py_ssize_t place, count = len(seqs), used = 0, left = 0
    cdef array found = clone(_U32, count, False), undone = clone(_U32, count, False)
    cdef uint32_t* numbers = <uint32_t*>seqs.data.as_uints
    cdef int answer
    for place in range(count):
        if place % NOW_AND_THEN == 0:
            beat(place, count)
        answer = _read(view, numbers[place], octets, words)
        if answer == MAYBE:
            undone.data.as_uints[left] = numbers[place]
            left += 1
        elif answer == YES:
            found.data.as_uints[used] = numbers[place]
            used += 1
    return found[:used], undone[:left]


cdef int _read(View view, uint32_t seq, Octets octets, Words words) except -1:
    cdef const unsigned char* entry
    if not octets.load(view.index, view.record(seq)):
        return MAYBE
    entry = checked_entry(view.index, view.record(seq))
    if entry == NULL:
        return MAYBE
    return words.search(octets.data, octets.size, entry + part_start(entry, PART_TREE),
                        part_length(entry, PART_TREE))
