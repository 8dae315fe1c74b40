"""A mailbox at one snapshot."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from pymaild.index._index cimport Index
from pymaild.index._layout cimport Change, Record


cdef class View:
    cdef readonly Index index
    cdef readonly uint64_t snapshot
    cdef readonly uint64_t rows        # rows that existed at the snapshot
    cdef uint64_t _log_position
    cdef uint32_t* _dead               # ascending row numbers expunged at the snapshot
    cdef uint32_t _dead_count

    cdef bint _go_back(self, uint64_t snapshot) except -1
    cdef int _read_change(self, Change* change, uint64_t position) except -1
    cdef int _collect_dead(self, uint64_t youngest) except -1
    cdef uint64_t _run(self, uint64_t* row, uint32_t* dead) noexcept nogil
    cdef list _spans(self, ranges, bint by_uid)
    cdef uint32_t _dead_below(self, uint64_t row) noexcept
    cdef uint32_t _lower_bound(self, uint64_t uid) noexcept
    cdef uint32_t _at_or_after(self, uint32_t uid) noexcept
    cdef uint32_t _at_or_before(self, uint64_t uid) noexcept
    cdef _replay(self, uint64_t snapshot, uint64_t log_end, bint expunge)
    cdef _settle(self, uint64_t rows, list gone, dict changed)
    cdef bint _stands_for(self, uint32_t damaged, uint32_t uid) noexcept
    cdef int _add_dead(self, list gone) except -1
    cdef int64_t row_of(self, uint32_t sequence) noexcept nogil
    cdef uint32_t sequence_of(self, uint64_t row) noexcept
    cdef Record* record(self, uint32_t sequence) except NULL
