"""Strings as IMAP sends them: quoted where that is allowed and short, else literals.

RFC 9051 §4.3: a quoted string holds no CR, LF, NUL and, before UTF8=ACCEPT or IMAP4rev2 is
enabled, no octet above 0x7f. A literal holds anything but NUL, which becomes 0x80 here: one
octet for one octet, so that sizes stay true.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcpy

cdef enum:
    LONGEST_QUOTED = 1024
    FIRST_ROOM = 256

# How an octet may stand in a quoted string.
cdef enum:
    PLAIN = 0
    ESCAPED = 1
    NEVER = 2

cdef unsigned char KIND[256]


cdef void fill_kinds() noexcept:
    cdef int octet
    for octet in range(256):
        KIND[octet] = PLAIN if 0x20 <= octet < 0x7F or octet == 0x09 else NEVER
    KIND[0x22] = ESCAPED
    KIND[0x5C] = ESCAPED


fill_kinds()


cdef class Wire:
    """Growing buffer of octets."""

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = self.room or FIRST_ROOM
        cdef unsigned char *data
        while room - self.size < more:
            room *= 2
        if room == self.room:
            return 0
        data = <unsigned char *> realloc(self.data, room)
        if data is NULL:
            raise MemoryError
        self.data = data
        self.room = room
        return 0

    cdef int octet(self, unsigned char value) except -1:
        if self.size == self.room:
            self.reserve(1)
        self.data[self.size] = value
        self.size += 1
        return 0

    cdef int put(self, const unsigned char *text, Py_ssize_t count) except -1:
        if self.room - self.size < count:
            self.reserve(count)
        if count:
            memcpy(self.data + self.size, text, count)
            self.size += count
        return 0

    cdef int string(self, const unsigned char *text, Py_ssize_t count) except -1:
        cdef Py_ssize_t i
        cdef Py_ssize_t escapes = 0
        cdef unsigned char kind
        if count > LONGEST_QUOTED:
            return put_literal(self, text, count)
        for i in range(count):
            kind = KIND[text[i]]
            if kind == NEVER:
                return put_literal(self, text, count)
            escapes += kind
        self.reserve(count + escapes + 2)
        self.data[self.size] = 0x22
        self.size += 1
        if escapes == 0:
            self.put(text, count)
        else:
            for i in range(count):
                if KIND[text[i]] == ESCAPED:
                    self.octet(0x5C)
                self.octet(text[i])
        return self.octet(0x22)

    cdef int nstring(self, const unsigned char *text, Py_ssize_t count) except -1:
        if count == 0:
            return self.put(b"NIL", 3)
        return self.string(text, count)

    cdef bytes take(self):
        cdef bytes result = PyBytes_FromStringAndSize(<char *> self.data, self.size)
        self.size = 0
        return result


cdef int put_literal(Wire wire, const unsigned char *text, Py_ssize_t count) except -1:
    cdef char head[32]
    cdef Py_ssize_t at
    cdef unsigned char *nul
    cdef int length = snprintf(head, sizeof(head), b"{%zd}\r\n", count)
    wire.put(<unsigned char *> head, length)
    wire.put(text, count)
    at = wire.size - count
    while at < wire.size:
        nul = <unsigned char *> memchr(wire.data + at, 0, wire.size - at)
        if nul is NULL:
            break
        nul[0] = 0x80
        at = nul - wire.data + 1
    return 0


def string(bytes value not None):
    """Return `value` as a quoted string or a literal (RFC 9051 §9, "string")."""
    cdef Wire wire = Wire()
    wire.string(<const unsigned char *> PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return wire.take()


def nstring(value):
    """Return `value` as a string, None as NIL (RFC 9051 §9, "nstring")."""
    return b"NIL" if value is None else string(value)
