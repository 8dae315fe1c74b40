"""The index files of one mailbox: reading, and the writer's staging."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from pymaild.index._layout cimport Header, Record


cdef class Index:
    cdef readonly str directory
    cdef object _map
    cdef unsigned char[::1] _octets
    cdef object _cache_map
    cdef const unsigned char[::1] _cache_view
    cdef const unsigned char* cache_octets  # as much of the cache as is mapped
    cdef uint64_t cache_size
    cdef Header* head
    cdef Record* rows
    cdef readonly uint64_t capacity
    cdef int _fd
    cdef int _log
    cdef int _cache
    cdef list _staged
    cdef list _staged_names
    cdef uint64_t _inode
    cdef uint64_t _device

    cdef public object await_writer

    cdef uint32_t settled(self) except? 1
    cdef bint moved(self, uint32_t before) noexcept
    cdef void _close_descriptors(self) noexcept
    cdef bytes _name(self, Record* record)
    cdef bint _reach_cache(self, uint64_t offset, uint64_t length) except -1
    cdef _make_room(self, uint64_t rows)
    cdef _write_names(self)
    cdef _write_log(self, uint64_t modseq)
    cdef _place_rows(self, list offsets, uint64_t modseq)
    cdef _apply(self, uint32_t kind, uint64_t number, uint32_t flags, uint64_t keywords,
                uint64_t modseq)
    cdef _chain(self, list dead)
    cdef uint64_t _forgotten(self, int64_t since, uint64_t most) except? 0
    cdef list _past(self, Index old, uint64_t begun)
    cdef dict _keep_names(self, Index old, list rows, uint64_t octets)
    cdef tuple _last_words(self, Record* record)
    cdef _merge(self, Index old, dict kept)
    cdef void _count(self, Record* record, int by) noexcept
    cdef Record* row(self, uint64_t number) except NULL
    cdef bint reach(self, uint64_t end) except -1
    cdef int64_t find(self, uint32_t uid, uint64_t rows) noexcept
