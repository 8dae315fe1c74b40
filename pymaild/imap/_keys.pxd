"""The keys of messages in the cache (pymaild/mime/order.py), checked, for SORT and THREAD."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from pymaild.index._layout cimport Record, pm_check
from pymaild.index._view cimport View
from pymaild.mail._entry cimport SEAL, part_length, part_start, reach_entry

cdef enum:
    ROOM = 8192            # octets of the longest keys with their seal
    STRINGS = 6            # keys that are texts
    REPLY = 1              # flag: a reply or a forward

cdef packed struct SortHead:
    uint32_t flags
    uint16_t[STRINGS] lengths
    int64_t sent


cdef inline uint64_t sealed_keys(View view, Record* record, int part) except? 0:
    """Where in the cache the keys of a sealed part begin, checked; 0 for none.

    Their length stands in the four octets before them.
    """
    cdef uint32_t whole = 0
    cdef const unsigned char* entry = reach_entry(view.index, record, &whole)
    cdef uint64_t start
    cdef uint32_t length
    cdef uint32_t[2] seal
    if entry == NULL:
        return 0
    start, length = part_start(entry, part), part_length(entry, part)
    if length <= SEAL or length > ROOM or start + length > whole:
        return 0
    memcpy(seal, entry + start, SEAL)
    length -= SEAL
    start += SEAL
    if seal[1] != length or length % 8 or seal[0] != pm_check(entry + start, length // 8):
        return 0
    return entry + start - view.index.cache_octets


cdef inline uint32_t given_keys(bytes keys, unsigned char* room) except? 0:
    """Take keys that were made just now; returns their length."""
    cdef uint32_t length = <uint32_t>min(len(keys), ROOM)
    memcpy(room, <const unsigned char*>keys, length)
    return length


cdef inline const unsigned char* string_of(
    const unsigned char* keys, uint32_t size, int which, uint32_t* length
) noexcept nogil:
    """One of the keys that are texts; empty where lengths do not fit in ``size``."""
    cdef const SortHead* head = <const SortHead*>keys
    cdef uint32_t start = sizeof(SortHead)
    cdef int place
    for place in range(which):
        start += head.lengths[place]
    length[0] = head.lengths[which] if start + head.lengths[which] <= size else 0
    return keys + start
