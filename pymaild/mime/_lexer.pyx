"""Quoted strings and comments of structured header fields (RFC 5322 §3.2.2, §3.2.4)."""

from pymaild.mime._wire cimport Wire


cdef Py_ssize_t quoted_string(
    const unsigned char *text, Py_ssize_t at, Py_ssize_t end, Wire out
) except -1:
    cdef unsigned char octet
    at += 1
    while at < end:
        octet = text[at]
        at += 1
        if octet == 0x22:
            break
        if octet == 0x5C and at < end:
            octet = text[at]
            at += 1
        if octet != CR and octet != LF:
            out.octet(octet)
    return at


cdef Py_ssize_t comment(
    const unsigned char *text, Py_ssize_t at, Py_ssize_t end, Wire out
) except -1:
    """Comments nest; the inner ones keep their parentheses."""
    cdef Py_ssize_t depth = 1
    cdef unsigned char octet
    at += 1
    while at < end:
        octet = text[at]
        at += 1
        if octet == 0x5C and at < end:
            octet = text[at]
            at += 1
        elif octet == 0x28:
            depth += 1
        elif octet == 0x29:
            depth -= 1
            if depth == 0:
                break
        if octet != CR and octet != LF:
            out.octet(octet)
    return at
