"""Files of messages, read whole into memory that is used again."""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    MOST_READ = 1 << 18    # octets of the largest file that is read at once


cdef class MessageFile:
    cdef const unsigned char* data     # what was read last
    cdef size_t size
    cdef unsigned char* _room
    cdef size_t _most
    cdef bytes _new, _cur              # directories, with a slash behind them

    cdef bint read(self, bint new, const unsigned char* base, size_t length, uint32_t flags,
                   uint64_t keywords, uint64_t size) except -1
    cdef int _reserve(self, size_t size) except -1
