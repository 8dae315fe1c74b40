"""The cache entry of a message (pymaild/mail/cache.py) as Cython reads it, in place."""

from libc.stdint cimport uint32_t, uint64_t

from pymaild.index._index cimport Index
from pymaild.index._layout cimport Record, pm_check

cdef enum:
    PART_SORT = 0          # places in pymaild.mail.cache.Entry
    PART_THREAD = 1
    PART_KEYS = 2
    PART_TREE = 3
    PART_DIGEST = 4
    PART_PREVIEW = 5
    PART_ENVELOPE = 6
    PART_STRUCTURE = 7
    PART_BODY = 8
    PART_FIELDS = 9
    ENTRY_PARTS = 10       # fields of Entry
    ENTRY_HEAD = 8 + 4 * ENTRY_PARTS  # check, length, the parts' lengths
    SEAL = 8               # octets of check and length in front of a sealed part


cdef inline const unsigned char* reach_entry(
    Index index, Record* record, uint32_t* length
) except? NULL:
    """The row's entry and its length, nothing of it checked; NULL where there is none.

    Others set offset and length at any time: what was reached is what counts.
    """
    cdef uint64_t offset = record.cache_offset
    length[0] = record.cache_length
    if offset == 0 or length[0] < ENTRY_HEAD or length[0] % 8:
        return NULL
    if not index._reach_cache(offset, length[0]):
        return NULL
    return index.cache_octets + offset


cdef inline const unsigned char* checked_entry(Index index, Record* record) except? NULL:
    """The row's entry, checked; NULL where there is none to use."""
    cdef uint32_t length = 0
    cdef const unsigned char* octets = reach_entry(index, record, &length)
    if octets == NULL:
        return NULL
    if (<const uint32_t*>octets)[0] != pm_check(octets + 8, (length - 8) // 8):
        return NULL
    return octets


cdef inline uint32_t part_length(const unsigned char* entry, int part) noexcept nogil:
    return (<const uint32_t*>(entry + 8))[part]


cdef inline uint64_t part_start(const unsigned char* entry, int part) noexcept nogil:
    """Where a part of an entry begins. Of one that is not checked this can lie anywhere."""
    cdef const uint32_t* lengths = <const uint32_t*>(entry + 8)
    cdef uint64_t start = ENTRY_HEAD
    cdef int place
    for place in range(part):
        start += lengths[place]
    return start


cdef extern from *:
    """
    #define PM_PREFETCH(address) __builtin_prefetch(address)
    """
    void PM_PREFETCH(const void* address) noexcept nogil


cdef inline void expect_entry(Index index, Record* record) noexcept nogil:
    """Have the beginning of a row's entry brought while others are worked on."""
    cdef uint64_t offset = record.cache_offset
    if 0 < offset < index.cache_size:
        PM_PREFETCH(index.cache_octets + offset)
        PM_PREFETCH(index.cache_octets + offset + 64)
        PM_PREFETCH(index.cache_octets + offset + 128)
