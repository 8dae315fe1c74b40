"""The From_ line that begins each message of an mbox."""

from libc.stdint cimport int64_t

cdef enum:
    LONGEST_FROM = 1024  # octets; a longer line begins no message

cdef struct From:
    int year, month, day, hour, minute, second
    int zone             # seconds east of UTC
    bint local           # no zone is told, or one that is not known
    Py_ssize_t sender    # where the sender ends; it begins behind "From "

cdef bint from_line(const unsigned char* line, Py_ssize_t length, From* found) noexcept nogil
cdef int64_t from_time(const From* found) noexcept nogil
