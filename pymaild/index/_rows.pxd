"""The rows of an index, and the names and entries in its cache."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from pymaild.index._files cimport Files
from pymaild.index._layout cimport Record


cdef uint32_t name_check(bytes name)


cdef class Rows(Files):
    cdef object _cache_map
    cdef const unsigned char[::1] _cache_view
    cdef const unsigned char* cache_octets  # as much of the cache as is mapped
    cdef uint64_t cache_size

    cdef Record* row(self, uint64_t number) except NULL
    cdef int64_t find(self, uint32_t uid, uint64_t rows) noexcept
    cdef bytes _name(self, Record* record)
    cdef bint _reach_cache(self, uint64_t offset, uint64_t length) except -1
