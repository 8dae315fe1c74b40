"""The index of one mailbox: reading, and the writer's staging."""

from libc.stdint cimport uint32_t, uint64_t

from pymaild.index._layout cimport Record
from pymaild.index._rows cimport Rows


cdef class Index(Rows):
    cdef list _staged
    cdef list _staged_names

    cdef _write_names(self)
    cdef _write_log(self, uint64_t modseq)
    cdef _place_rows(self, list offsets, uint64_t modseq)
    cdef _apply(self, uint32_t kind, uint64_t number, uint32_t flags, uint64_t keywords,
                uint64_t modseq)
    cdef void _count(self, Record* record, int by) noexcept
