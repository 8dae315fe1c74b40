"""Lines of a file, or of pieces, in a window of bounded size."""

from libc.stdint cimport int64_t, uint64_t

cdef enum Kind:
    PLAIN, STATUS, XSTATUS, KEYWORDS, UID, BASE, PSEUDO  # the last six are replaced as one
    LENGTH, LINES                                        # kept as found, and not served

cdef class Lines:
    cdef int fd
    cdef object pieces       # an iterator of octets instead of a file, or None
    cdef bytes spare         # the piece that the window had no room for
    cdef Py_ssize_t spared   # of it taken already
    cdef unsigned char* window
    cdef int64_t base        # where the window begins in the file
    cdef int64_t limit       # no octet from here on is read
    cdef Py_ssize_t have, next
    cdef unsigned char* text # the line, or the piece of one that is longer than the window
    cdef Py_ssize_t length   # its end counts
    cdef bint begins, ends   # whether the piece is the line's first, its last
    cdef bint carriage       # the piece before it ended with CR
    cdef bint blank          # the line is empty
    cdef bint bare           # it ends with LF alone
    cdef Kind kind           # of the header field that the line belongs to

    cdef bint line(self) except -1 nogil
    cdef bint field(self) except -1 nogil
    cdef bint _fill(self) except -1 nogil
    cdef Py_ssize_t _read(self) except -1 nogil
    cdef Py_ssize_t _more(self) except -1
    cdef void back(self) noexcept nogil
    cdef int64_t offset(self) noexcept nogil
    cdef void seek(self, int64_t offset) noexcept nogil
