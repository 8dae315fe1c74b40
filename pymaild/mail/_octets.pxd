"""The octets of messages as stored, one message at a time."""

from pymaild.index._index cimport Index
from pymaild.index._layout cimport Record


cdef class Octets:
    cdef const unsigned char* data     # those of the message that was loaded last
    cdef size_t size
    cdef object _store
    cdef const unsigned char[::1] _held

    cdef bint load(self, Index index, Record* record) except -1


cdef class MaildirOctets(Octets):
    cdef object _file
