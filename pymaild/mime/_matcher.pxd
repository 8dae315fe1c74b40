# Search in the text of messages, in their octets as stored.

from libc.stdint cimport uint8_t

from pymaild.mime._pack cimport Walk
from pymaild.mime._wire cimport Wire

cdef enum:
    NO = 0
    YES = 1
    MAYBE = 2  # to be asked of pymaild/mime/text.py


cdef class Words:
    cdef str text
    cdef bytes _folded
    cdef const uint8_t *wanted
    cdef size_t length
    cdef bint ascii
    cdef bint header
    cdef Wire _decoded
    cdef Wire _plain

    cdef int search(
        self, const uint8_t *data, size_t size, const uint8_t *tree, size_t tree_size
    ) except -1
    cdef int walk(
        self, const uint8_t *data, size_t size, Walk *tree, Py_ssize_t *origin, bint header
    ) except -1
    cdef int in_header(self, const uint8_t *data, Py_ssize_t at, Py_ssize_t end) except -1
    cdef bint in_field(self, const uint8_t *name, size_t count, bytes value) except -1
    cdef int in_body(self, const uint8_t *data, size_t size, int kind) except -1
    cdef int in_octets(
        self, const uint8_t *data, size_t size, int kind, bint at_once
    ) except -1
