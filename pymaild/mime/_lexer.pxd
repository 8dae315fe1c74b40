# Lexical pieces of structured header fields (RFC 5322 §3.2).

from pymaild.mime._wire cimport Wire

cdef enum:
    TAB = 0x09
    LF = 0x0A
    CR = 0x0D
    SPACE = 0x20


cdef inline bint is_blank(unsigned char octet) noexcept nogil:
    return octet == SPACE or octet == TAB


cdef inline bint is_space(unsigned char octet) noexcept nogil:
    return octet == SPACE or octet == TAB or octet == CR or octet == LF


# Both start at the opening octet and return the position behind what they read; without an
# end it is all the rest. They add the text to `out`, without quoting and without CR and LF.
cdef Py_ssize_t quoted_string(
    const unsigned char *text, Py_ssize_t at, Py_ssize_t end, Wire out
) except -1
cdef Py_ssize_t comment(
    const unsigned char *text, Py_ssize_t at, Py_ssize_t end, Wire out
) except -1
