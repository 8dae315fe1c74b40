"""Header fields (RFC 5322 §2.2), and values made of a token and parameters (RFC 2045 §5.1).

A header ends at the first empty line or with the data. A line that starts with a space or tab
continues the field before it. A line without a colon is kept but belongs to no name.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from pymaild.mime._wire cimport Wire

cdef enum:
    CR = 0x0D
    LF = 0x0A
    TAB = 0x09
    SPACE = 0x20
    LONGEST_NAME = 128  # longer names are nobody's; RFC 5322 §2.1.1 ends a line at 998
    MOST_FIELDS = 10000
    MOST_VALUES = 1000  # of one name in one header
    MOST_PARAMETERS = 1000
    HEADER_LIMIT = 4194304  # octets of one header that are interpreted


cdef inline bint is_blank(unsigned char c) noexcept nogil:
    return c == SPACE or c == TAB


cdef inline bint is_space(unsigned char c) noexcept nogil:
    return c == SPACE or c == TAB or c == CR or c == LF


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


cdef struct Cursor:
    const unsigned char *text
    Py_ssize_t at
    Py_ssize_t end


cdef void skip_comment(Cursor *c) noexcept nogil:
    """Pass over a comment, nested ones included; an open one reaches to the end."""
    cdef Py_ssize_t depth = 0
    cdef unsigned char octet
    while c.at < c.end:
        octet = c.text[c.at]
        c.at += 1
        if octet == 0x5C and c.at < c.end:
            c.at += 1
        elif octet == 0x28:
            depth += 1
        elif octet == 0x29:
            depth -= 1
            if depth == 0:
                return


cdef void skip_blanks(Cursor *c) noexcept nogil:
    """Pass over blanks, folds and comments (CFWS, RFC 5322 §3.2.2)."""
    while c.at < c.end:
        if is_space(c.text[c.at]):
            c.at += 1
        elif c.text[c.at] == 0x28:
            skip_comment(c)
        else:
            return


cdef Py_ssize_t run_end(Cursor *c, bint until_equals) noexcept nogil:
    """The end of the run of octets without blank, `;` or comment (or `=`) at the cursor."""
    cdef Py_ssize_t i = c.at
    cdef unsigned char octet
    while i < c.end:
        octet = c.text[i]
        if is_space(octet) or octet == 0x3B or octet == 0x28:
            break
        if until_equals and octet == 0x3D:
            break
        i += 1
    return i


cdef int read_main(Cursor *c, Wire out) except -1:
    """Read what stands before the parameters; blanks around the slash are dropped."""
    cdef Py_ssize_t start = c.at
    cdef Py_ssize_t stop
    while True:
        skip_blanks(c)
        if c.at >= c.end or c.text[c.at] == 0x3B:
            return 0
        if out.size and c.text[c.at] != 0x2F and out.data[out.size - 1] != 0x2F:
            return 0
        stop = run_end(c, False)
        if memchr(c.text + c.at, 0x3D, stop - c.at) is not NULL:
            if not out.size:
                c.at = start  # a parameter where the type should be
            return 0
        out.put(c.text + c.at, stop - c.at)
        c.at = stop


cdef int read_quoted(Cursor *c, Wire out) except -1:
    """Read a quoted string (RFC 5322 §3.2.4) without its quoting; folds lose their CRLF."""
    cdef unsigned char octet
    c.at += 1
    while c.at < c.end:
        octet = c.text[c.at]
        c.at += 1
        if octet == 0x22:
            return 0
        if octet == 0x5C and c.at < c.end:
            octet = c.text[c.at]
            c.at += 1
        if octet != CR and octet != LF:
            out.octet(octet)
    return 0


cdef int read_bare(Cursor *c, Wire out) except -1:
    """Read a value without quotes: a token, or all up to `;` where it holds blanks."""
    cdef Py_ssize_t start = c.at
    cdef Py_ssize_t stop = run_end(c, False)
    cdef Py_ssize_t i
    c.at = stop
    skip_blanks(c)
    if c.at < c.end and c.text[c.at] != 0x3B:
        while c.at < c.end and c.text[c.at] != 0x3B:
            c.at += 1
        stop = c.at
        while is_space(c.text[stop - 1]):
            stop -= 1
    for i in range(start, stop):
        if c.text[i] != CR and c.text[i] != LF:
            out.octet(c.text[i])
    return 0


cdef tuple read_parameter(Cursor *c, Wire out):
    """Read `name=value` and what follows up to the next `;`; None where there is no name."""
    cdef bytes name
    cdef Py_ssize_t stop = run_end(c, True)
    name = PyBytes_FromStringAndSize(<char *> c.text + c.at, stop - c.at)
    c.at = stop
    skip_blanks(c)
    if c.at >= c.end or c.text[c.at] != 0x3D or not name:
        if c.at < c.end and c.text[c.at] == 0x3D:
            c.at += 1
        return None
    c.at += 1
    skip_blanks(c)
    if c.at < c.end and c.text[c.at] == 0x22:
        read_quoted(c, out)
    elif c.at < c.end and c.text[c.at] != 0x3B:
        read_bare(c, out)
    return name, out.take()


cpdef tuple parameters(bytes value):
    """Split `token; name=value; ...` (RFC 2045 §5.1) into (token, [(name, value)]).

    Names and values are as written, without quoting and comments. A missing `;`, a missing
    token, values with unquoted blanks or specials, and unterminated quotes are put up with.
    """
    cdef Cursor cursor
    cdef Wire out = Wire()
    cdef list found = []
    cdef bytes main
    cursor.text = <const unsigned char *> PyBytes_AS_STRING(value)
    cursor.at = 0
    cursor.end = PyBytes_GET_SIZE(value)
    read_main(&cursor, out)
    main = out.take()
    while len(found) < MOST_PARAMETERS:
        while cursor.at < cursor.end and (
            cursor.text[cursor.at] == 0x3B or is_space(cursor.text[cursor.at])
        ):
            cursor.at += 1
        skip_blanks(&cursor)
        if cursor.at >= cursor.end:
            break
        if cursor.text[cursor.at] == 0x3B:
            continue
        parameter = read_parameter(&cursor, out)
        if parameter is not None:
            found.append(parameter)
    return main, found
