# A growing buffer that knows how IMAP writes strings (RFC 9051 §4.3).
# It serves as the output of the wire forms and as scratch space for the parsers.

cdef class Wire:
    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int octet(self, unsigned char value) except -1
    cdef int put(self, const unsigned char *text, Py_ssize_t count) except -1
    # `string` always writes a string; `nstring` writes NIL for an empty one.
    cdef int string(self, const unsigned char *text, Py_ssize_t count) except -1
    cdef int nstring(self, const unsigned char *text, Py_ssize_t count) except -1
    cdef bytes take(self)
