"""Line ends: between the LF of files and the CRLF of the wire.

The CRLF form of some octets is the same octets with a CR before each LF that has none. An
existing CRLF and a lone CR stay as they are. RFC 9051 §2.3.4 and RFC 1939 §11 count messages
in this form.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcpy

cdef enum:
    CR = 0x0D
    LF = 0x0A
    DOT = 0x2E


cdef Py_ssize_t count_bare(
    const unsigned char *data, Py_ssize_t size, unsigned char previous
) noexcept nogil:
    """How many LF have no CR before them."""
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef Py_ssize_t bare = 0
    while at < end:
        at = <const unsigned char *> memchr(at, LF, end - at)
        if at is NULL:
            break
        bare += ((at - 1)[0] if at > data else previous) != CR
        at += 1
    return bare


cdef void copy_crlf(
    const unsigned char *data, Py_ssize_t size, unsigned char previous, unsigned char *out
) noexcept nogil:
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef const unsigned char *found
    while at < end:
        found = <const unsigned char *> memchr(at, LF, end - at)
        if found is NULL:
            memcpy(out, at, end - at)
            return
        memcpy(out, at, found - at)
        out += found - at
        if ((found - 1)[0] if found > data else previous) != CR:
            out[0] = CR
            out += 1
        out[0] = LF
        out += 1
        at = found + 1


cdef size_t wire_size(const unsigned char *data, size_t size) noexcept nogil:
    """The octets of the CRLF form."""
    return size + count_bare(data, size, 0)


cdef size_t copy_wire(
    const unsigned char *data, size_t size, size_t skip, size_t count, unsigned char *out
) noexcept nogil:
    """Copy from the CRLF form, behind ``skip`` octets, ``count`` of them or what is left.

    NUL becomes 0x80: no literal may hold it (RFC 9051 §9, CHAR8). Returns the octets written.
    """
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef const unsigned char *found
    cdef Run run
    run.out, run.skip, run.left = out, skip, count
    while at < end and run.left:
        found = <const unsigned char *> memchr(at, LF, end - at)
        if found is NULL:
            put_run(&run, at, end - at)
            break
        if found > data and (found - 1)[0] == CR:
            put_run(&run, at, found + 1 - at)
        else:
            put_run(&run, at, found - at)
            put_run(&run, CRLF, 2)
        at = found + 1
    if memchr(data, 0, size) is not NULL:
        replace_nul(out, run.out - out)
    return run.out - out


cdef const unsigned char *CRLF = <const unsigned char *> b"\r\n"

cdef struct Run:
    unsigned char *out
    size_t skip
    size_t left


cdef inline void put_run(Run *run, const unsigned char *text, size_t size) noexcept nogil:
    """Copy what of these octets is neither skipped nor too much."""
    if run.skip:
        if run.skip >= size:
            run.skip -= size
            return
        text, size, run.skip = text + run.skip, size - run.skip, 0
    if size > run.left:
        size = run.left
    memcpy(run.out, text, size)
    run.out += size
    run.left -= size


cdef void replace_nul(unsigned char *data, size_t size) noexcept nogil:
    cdef size_t place
    for place in range(size):
        if data[place] == 0:
            data[place] = 0x80


cdef size_t copy_stuffed(const unsigned char *data, size_t size, unsigned char *out) noexcept nogil:
    """Copy the CRLF form as POP3 sends it (RFC 1939 §3): dots doubled at the beginnings of lines,
    behind it the line that is a dot. Writes ``2 * size + 5`` octets at most; returns how many.
    """
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef const unsigned char *found
    cdef unsigned char *start = out
    while at < end:
        if at[0] == DOT:
            out[0] = DOT
            out += 1
        found = <const unsigned char *> memchr(at, LF, end - at)
        if found is NULL:
            found = end
        elif found > data and (found - 1)[0] == CR:
            found -= 1  # both come below
        memcpy(out, at, found - at)
        out += found - at
        memcpy(out, CRLF, 2)
        out += 2
        at = found + (1 if found == end or found[0] == LF else 2)
    if memchr(data, 0, size) is not NULL:
        replace_nul(start, out - start)
    memcpy(out, b".\r\n", 3)
    return out + 3 - start


def stuffed(bytes data not None):
    """Return octets as POP3 sends them, with the dot that ends them."""
    cdef bytes made = PyBytes_FromStringAndSize(NULL, 2 * len(data) + 5)
    cdef size_t size = copy_stuffed(data, len(data), <unsigned char *> PyBytes_AS_STRING(made))
    return made[:size]


def crlf_size(data, unsigned char previous=0):
    """Return the size in octets of `data` in CRLF form.

    `previous` is the octet before `data` in a stream cut into pieces.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return view.len + count_bare(<const unsigned char *> view.buf, view.len, previous)
    finally:
        PyBuffer_Release(&view)


def to_crlf(data, unsigned char previous=0):
    """Return `data` in CRLF form; `previous` as for :func:`crlf_size`."""
    cdef Py_buffer view
    cdef Py_ssize_t bare
    cdef bytes result
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        bare = count_bare(<const unsigned char *> view.buf, view.len, previous)
        if bare == 0:
            if PyBytes_CheckExact(data):
                return data
            return PyBytes_FromStringAndSize(<char *> view.buf, view.len)
        result = PyBytes_FromStringAndSize(NULL, view.len + bare)
        copy_crlf(
            <const unsigned char *> view.buf,
            view.len,
            previous,
            <unsigned char *> PyBytes_AS_STRING(result),
        )
        return result
    finally:
        PyBuffer_Release(&view)


def is_wire(data):
    """Say whether `data` can be sent as it is: every LF has its CR, and no NUL is in it."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return (
            memchr(view.buf, 0, view.len) is NULL
            and count_bare(<const unsigned char *> view.buf, view.len, 0) == 0
        )
    finally:
        PyBuffer_Release(&view)


cdef Py_ssize_t copy_lf(
    const unsigned char *data, Py_ssize_t size, unsigned char *out
) noexcept nogil:
    """Copy without the CR of each CRLF; returns the octets written."""
    cdef const unsigned char *at = data
    cdef const unsigned char *end = data + size
    cdef const unsigned char *found
    cdef unsigned char *start = out
    while at < end:
        found = <const unsigned char *> memchr(at, LF, end - at)
        if found is NULL:
            memcpy(out, at, end - at)
            out += end - at
            break
        memcpy(out, at, found - at)
        out += found - at
        if found > at and (found - 1)[0] == CR:
            out -= 1
        out[0] = LF
        out += 1
        at = found + 1
    return out - start


def to_lf(data):
    """Return `data` with LF for each CRLF; a lone CR stays. For pieces see :class:`LfStream`."""
    cdef Py_buffer view
    cdef bytes result
    cdef Py_ssize_t size
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        result = PyBytes_FromStringAndSize(NULL, view.len)
        size = copy_lf(
            <const unsigned char *> view.buf,
            view.len,
            <unsigned char *> PyBytes_AS_STRING(result),
        )
    finally:
        PyBuffer_Release(&view)
    return result if size == len(result) else result[:size]


cdef class LfStream:
    """Turns a stream of pieces into LF form; a CR at a piece's end waits for the next piece."""

    cdef bint held

    def feed(self, data):
        """Return what `data` adds to the LF form."""
        piece = b"\r" + bytes(data) if self.held else data
        self.held = False
        if len(piece) and piece[len(piece) - 1] == CR:
            self.held = True
            piece = memoryview(piece)[: len(piece) - 1]
        return to_lf(piece)

    def end(self):
        """Return what is left: the CR that ended the stream, or nothing."""
        held, self.held = self.held, False
        return b"\r" if held else b""


cdef class CrlfReader:
    """Reads a range of octets in CRLF form, in pieces as large as asked for.

    NUL is read as 0x80: no literal may hold NUL (RFC 9051 §9, "literal"). Holds no buffer of
    its own; `data` may be a mapped file.
    """

    cdef object data
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t start
    cdef bint lf_due  # the CR of a bare LF was read, its LF not yet

    def __init__(self, data, Py_ssize_t start=0, Py_ssize_t end=-1):
        """Read octets `start` to `end` of `data` as stored; -1 is the end of `data`."""
        size = len(data)
        self.data = data
        self.end = size if end < 0 else min(end, size)
        self.start = self.at = max(0, min(start, self.end))

    cdef Py_ssize_t run(
        self, const unsigned char *data, unsigned char *out, Py_ssize_t count
    ) noexcept nogil:
        """Advance by up to `count` octets of CRLF form, copying them where `out` is given."""
        cdef Py_ssize_t left = count
        cdef Py_ssize_t size
        cdef const unsigned char *found
        while left and self.at < self.end:
            size = min(left, self.end - self.at)
            found = NULL
            if self.lf_due:
                size = 1
                self.lf_due = False
            else:
                found = <const unsigned char *> memchr(data + self.at, LF, size)
                if found is not NULL:
                    if found - data > self.start and (found - 1)[0] == CR:
                        size = found - data + 1 - self.at
                        found = NULL
                    else:
                        size = found - data - self.at
            if out is not NULL:
                memcpy(out, data + self.at, size)
                out += size
            self.at += size
            left -= size
            if found is not NULL and left:
                if out is not NULL:
                    out[0] = CR
                    out += 1
                left -= 1
                self.lf_due = True
        return count - left

    def skip(self, Py_ssize_t count):
        """Pass over up to `count` octets of the CRLF form; returns how many there were."""
        cdef Py_buffer view
        PyObject_GetBuffer(self.data, &view, PyBUF_SIMPLE)
        try:
            return self.run(<const unsigned char *> view.buf, NULL, max(0, count))
        finally:
            PyBuffer_Release(&view)

    def read(self, Py_ssize_t count):
        """Return the next octets of the CRLF form, `count` of them or what is left."""
        cdef Py_buffer view
        cdef bytes result
        cdef Py_ssize_t size
        count = max(0, min(count, 2 * (self.end - self.at)))
        result = PyBytes_FromStringAndSize(NULL, count)
        PyObject_GetBuffer(self.data, &view, PyBUF_SIMPLE)
        try:
            size = self.run(
                <const unsigned char *> view.buf,
                <unsigned char *> PyBytes_AS_STRING(result),
                count,
            )
        finally:
            PyBuffer_Release(&view)
        if size < count:
            result = result[:size]
        return result.replace(b"\0", b"\x80") if b"\0" in result else result
