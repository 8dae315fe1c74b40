"""The index files of one mailbox, mapped."""

from libc.stdint cimport uint32_t, uint64_t

from pymaild.index._layout cimport Header, Record


cdef write_all(int fd, octets)


cdef class Files:
    cdef readonly str directory
    cdef object _map
    cdef unsigned char[::1] _octets
    cdef Header* head
    cdef Record* rows
    cdef readonly uint64_t capacity
    cdef int _fd
    cdef int _log
    cdef int _cache
    cdef uint64_t _inode
    cdef uint64_t _device

    cdef public object await_writer

    cdef void _close_descriptors(self) noexcept
    cdef _map_rows(self)
    cdef bint reach(self, uint64_t end) except -1
    cdef _make_room(self, uint64_t rows)
    cdef mark_boot(self)
    cdef uint32_t settled(self) except? 1
    cdef bint moved(self, uint32_t before) noexcept
