"""Header fields (RFC 5322 §2.2): walking, collecting, selecting and unfolding them.

A header ends at the first empty line or with the data. A line that starts with a space or tab
continues the field before it. A line without a colon is kept but belongs to no name.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from pymaild.mime._lexer cimport CR, LF, SPACE, TAB, is_blank, is_space
from pymaild.mime._wire cimport Wire

cdef enum:
    LONGEST_NAME = 128  # longer names are nobody's; RFC 5322 §2.1.1 ends a line at 998
    MOST_FIELDS = 10000
    MOST_VALUES = 1000  # of one name in one header
    HEADER_LIMIT = 4194304  # octets of one header that are interpreted


cdef Py_ssize_t line_break(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end
) noexcept nogil:
    """The position behind the line that starts at `at`."""
    cdef const void *found = memchr(data + at, LF, end - at)
    return end if found is NULL else <const unsigned char *> found - data + 1


cdef inline bint is_empty_line(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end
) noexcept nogil:
    return data[at] == LF or (data[at] == CR and at + 1 < end and data[at + 1] == LF)


cdef bint next_field(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end, Field *field
) noexcept nogil:
    """Read the field that starts at `at`; false at the header's end."""
    cdef Py_ssize_t line_end
    cdef const unsigned char *colon
    if at >= end or is_empty_line(data, at, end):
        return False
    field.start = at
    line_end = line_break(data, at, end)
    colon = <const unsigned char *> memchr(data + at, 0x3A, line_end - at)
    field.name_length = 0
    field.value = at
    if colon is not NULL:
        field.value = colon - data + 1
        field.name_length = field.value - 1 - at
        # Obsolete syntax allows blanks before the colon (RFC 5322 §4.5.8).
        while field.name_length and is_blank(data[at + field.name_length - 1]):
            field.name_length -= 1
    while line_end < end and is_blank(data[line_end]):
        line_end = line_break(data, line_end, end)
    field.end = line_end
    return True


cdef unsigned long long length_mask(names) except? 0:
    """One bit for each length of a name, so that most fields are passed over unread."""
    cdef unsigned long long mask = 0
    for name in names:
        mask |= 1ULL << (len(name) & 63)
    return mask


cdef bytes upper_name(const unsigned char *text, Py_ssize_t count):
    cdef unsigned char upper[LONGEST_NAME]
    cdef Py_ssize_t i
    if count > LONGEST_NAME:
        return b""
    for i in range(count):
        upper[i] = text[i] - 0x20 if 0x61 <= text[i] <= 0x7A else text[i]
    return PyBytes_FromStringAndSize(<char *> upper, count)


def collect(source, dict wanted not None, Py_ssize_t start=0, Py_ssize_t end=-1):
    """Return the raw values of the fields in `wanted`: {upper-case name: place in the list}.

    `start` and `end` bound the header in `source`. An absent field's place holds None, any
    other the list of its values in order, still folded.
    """
    cdef Py_buffer view
    cdef list found = [None] * len(wanted)
    PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
    try:
        end = view.len if end < 0 else min(end, view.len)
        end = min(end, start + HEADER_LIMIT)
        collect_fields(<const unsigned char *> view.buf, start, end, wanted, found)
    finally:
        PyBuffer_Release(&view)
    return found


cdef int collect_fields(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end, dict wanted, list found
) except -1:
    cdef Field field
    cdef unsigned long long mask = length_mask(wanted)
    cdef bytes value
    while next_field(data, at, end, &field):
        at = field.end
        if not field.name_length or not mask >> (field.name_length & 63) & 1:
            continue
        place = wanted.get(upper_name(data + field.start, field.name_length))
        if place is None:
            continue
        value = PyBytes_FromStringAndSize(<char *> data + field.value, at - field.value)
        if found[place] is None:
            found[place] = [value]
        elif len(<list> found[place]) < MOST_VALUES:
            (<list> found[place]).append(value)
    return 0


def split(source):
    """Return the header's fields as [(name as written, raw value)]; other lines are left out."""
    cdef Py_buffer view
    cdef Field field
    cdef const unsigned char *data
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t end
    cdef list fields = []
    PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
    try:
        data = <const unsigned char *> view.buf
        end = min(view.len, HEADER_LIMIT)
        while len(fields) < MOST_FIELDS and next_field(data, at, end, &field):
            at = field.end
            if field.name_length:
                fields.append((
                    PyBytes_FromStringAndSize(<char *> data + field.start, field.name_length),
                    PyBytes_FromStringAndSize(<char *> data + field.value, at - field.value),
                ))
    finally:
        PyBuffer_Release(&view)
    return fields


def select(source, names not None, bint negate=False):
    """Return the lines of the fields in `names`, or with `negate` of all others, in CRLF form.

    `names` is a set of upper-case names. NUL becomes 0x80. The empty line follows, except where
    the header has none (RFC 9051 §7.5.2, BODY[<section>]).
    """
    cdef Py_buffer view
    cdef Field field
    cdef Wire out = Wire()
    cdef unsigned long long mask = length_mask(names)
    cdef const unsigned char *data
    cdef Py_ssize_t at = 0
    cdef bint named
    PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
    try:
        data = <const unsigned char *> view.buf
        while next_field(data, at, view.len, &field):
            at = field.end
            named = (
                field.name_length != 0
                and mask >> (field.name_length & 63) & 1
                and upper_name(data + field.start, field.name_length) in names
            )
            if named != negate:
                put_lines(out, data + field.start, at - field.start)
        if at < view.len:
            out.put(b"\r\n", 2)
    finally:
        PyBuffer_Release(&view)
    return out.take()


cdef int put_lines(Wire out, const unsigned char *text, Py_ssize_t count) except -1:
    """Copy lines; each ends in CRLF afterwards."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t stop
    cdef Py_ssize_t i
    cdef Py_ssize_t start = out.size
    while at < count:
        stop = line_break(text, at, count)
        if text[stop - 1] == LF and stop - at > 1 and text[stop - 2] == CR:
            out.put(text + at, stop - at)
        else:
            out.put(text + at, stop - at - (text[stop - 1] == LF))
            out.put(b"\r\n", 2)
        at = stop
    if memchr(out.data + start, 0, out.size - start) is not NULL:
        for i in range(start, out.size):
            if out.data[i] == 0:
                out.data[i] = 0x80
    return 0


def squeeze(bytes value not None):
    """Return a value unfolded with each run of blanks as one space, as people read it."""
    cdef bytes line = unfold(value)
    cdef const unsigned char *text = <const unsigned char *> PyBytes_AS_STRING(line)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(line)
    cdef Py_ssize_t i
    cdef Wire out
    if memchr(text, TAB, size) is NULL and b"  " not in line:
        return line
    out = Wire()
    for i in range(size):
        if not is_blank(text[i]):
            out.octet(text[i])
        elif not is_blank(text[i - 1]):
            out.octet(SPACE)
    return out.take()


def unfold(bytes value not None):
    """Return a field's value on one line: trimmed, each fold with its blanks one space."""
    cdef const unsigned char *text = <const unsigned char *> PyBytes_AS_STRING(value)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t stop
    cdef Wire out
    while end and is_space(text[end - 1]):
        end -= 1
    while at < end and is_space(text[at]):
        at += 1
    if memchr(text + at, LF, end - at) is NULL:
        return value[at:end]
    out = Wire()
    while at < end:
        stop = line_break(text, at, end)
        out.put(text + at, stop - at)
        if stop < end or text[stop - 1] == LF:
            while out.size and is_space(out.data[out.size - 1]):
                out.size -= 1
            out.octet(SPACE)
        at = stop
        while at < end and is_space(text[at]):
            at += 1
    return out.take()
