"""The structure of a message, found in one pass over its lines (RFC 2046 §5.1).

A stack holds the parts that are open; each line is counted, and looked at only where it may
matter: header lines for their end and for Content-Type, body lines that start with "--" for
the boundaries of open multiparts. Time is linear in the size: a line is compared with at most
`max_depth` boundaries.

Choices for broken messages:

- A header ends at the first empty line and nowhere else.
- A multipart without a boundary parameter is not divided (shown as text, see bodystructure).
- A multipart in which no delimiter is found has one empty part: it must have one.
- A part whose end is missing ends with the part around it.
- The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1), in a header too.
- A delimiter line need only begin with the boundary; the longest one wins, then the innermost.
- Past `max_depth` nothing is divided. Past `max_parts` all the rest is in the last part.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from pymaild.mime._fields cimport line_break
from pymaild.mime._lexer cimport CR, LF, SPACE, TAB
from pymaild.mime._parameters cimport parameters

from pymaild.mime.content import MESSAGE_TYPES, parameter

cdef enum:
    DASH = 0x2D


cdef class Part:
    """One part: where its header and body are, how large they are, and its children.

    With children it is a message/rfc822 (`is_message`, one child) or a multipart.
    """

    @property
    def is_multipart(self):
        """Whether the children are the parts of a multipart."""
        return bool(self.children) and not self.is_message

    def __repr__(self):
        return (
            f"Part({self.header_start}:{self.header_end}, {self.body_start}:{self.body_end}, "
            f"lines={self.lines}, is_message={self.is_message}, children={self.children!r})"
        )


cdef struct Boundary:
    const unsigned char *text
    Py_ssize_t size
    int depth  # of its multipart in the stack


cdef bint is_content_type(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t *value
) noexcept nogil:
    """Whether the line is a Content-Type field; `value` is set behind the colon."""
    cdef const char *name = b"content-type"
    cdef int i
    if end - at < 13 or data[at + 7] != DASH:
        return False
    for i in range(12):
        if i != 7 and data[at + i] | 0x20 != <unsigned char> name[i]:
            return False
    at += 12
    while at < end and (data[at] == SPACE or data[at] == TAB):
        at += 1
    value[0] = at + 1
    return at < end and data[at] == 0x3A


cdef class Scanner:
    """The state of one scan. `lf` and `bare` count line ends before the current line."""

    cdef const unsigned char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t lf
    cdef Py_ssize_t bare
    cdef Py_ssize_t parts_left
    cdef Py_ssize_t max_depth
    cdef bint in_header
    cdef Py_ssize_t type_start  # value of Content-Type in the current header, or -1
    cdef Py_ssize_t type_end
    cdef bint type_open
    cdef list stack
    cdef list texts  # keeps the boundaries' texts alive
    cdef Boundary boundaries[DEEPEST]
    cdef int boundary_count

    cdef Part scan(self):
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t next_line
        cdef Part root = self.open(0, 0, 0, False)
        while at < self.size and (self.in_header or self.boundary_count):
            next_line = line_break(self.data, at, self.size)
            if not self.is_delimiter(at, next_line):
                self.count_line(at, next_line)
                if self.in_header:
                    self.header_line(at, next_line)
            at = next_line
        self.count_rest(at)
        self.close_header(self.size, self.lf, self.bare)
        self.close_down_to(0, self.size, self.lf, self.bare)
        return root

    cdef void count_line(self, Py_ssize_t at, Py_ssize_t next_line) noexcept:
        if self.data[next_line - 1] == LF:
            self.lf += 1
            self.bare += next_line - 1 == at or self.data[next_line - 2] != CR

    cdef void count_rest(self, Py_ssize_t at) noexcept:
        cdef Py_ssize_t next_line
        while at < self.size:
            next_line = line_break(self.data, at, self.size)
            self.count_line(at, next_line)
            at = next_line

    # Parts

    cdef Part innermost(self):
        return <Part> self.stack[len(self.stack) - 1]

    cdef Part open(self, Py_ssize_t at, Py_ssize_t lf, Py_ssize_t bare, bint in_digest):
        """Open a part whose header starts at `at`, inside the innermost open part."""
        cdef Part part = Part.__new__(Part)
        part.header_start = part.header_end = at
        part.lf, part.bare = lf, bare
        part.in_digest = in_digest
        part.children = ()
        if self.stack:
            self.innermost().kids.append(part)
        self.stack.append(part)
        self.in_header = True
        self.type_start = -1
        self.type_open = False
        self.parts_left -= 1
        if self.parts_left <= 0:
            self.boundary_count = 0
        return part

    cdef int header_line(self, Py_ssize_t at, Py_ssize_t next_line) except -1:
        cdef unsigned char first = self.data[at]
        if first == LF or (first == CR and next_line > at + 1 and self.data[at + 1] == LF):
            return self.end_header(next_line, self.lf, self.bare)
        if first == SPACE or first == TAB:
            if self.type_open:
                self.type_end = next_line
            return 0
        self.type_open = False
        if self.type_start < 0:
            if is_content_type(self.data, at, next_line, &self.type_start):
                self.type_end = next_line
                self.type_open = True
            else:
                self.type_start = -1
        return 0

    cdef int close_header(self, Py_ssize_t end, Py_ssize_t lf, Py_ssize_t bare) except -1:
        """End headers that have no empty line; each may open one embedded message."""
        cdef Part part
        while self.in_header:
            part = self.innermost()
            if end < part.header_start:
                end, lf, bare = part.header_start, part.lf, part.bare
            self.end_header(end, lf, bare)
        return 0

    cdef int end_header(self, Py_ssize_t end, Py_ssize_t lf, Py_ssize_t bare) except -1:
        """The header of the innermost part ends before `end`; see what its body is."""
        cdef Part part = self.innermost()
        part.header_end = part.body_start = end
        part.header_crlf = end - part.header_start + bare - part.bare
        part.lf, part.bare = lf, bare
        self.in_header = False
        if len(self.stack) > self.max_depth or self.parts_left <= 0:
            return 0
        if self.type_start < 0:
            if part.in_digest:
                self.open_message(part, end)
            return 0
        value = PyBytes_FromStringAndSize(
            <char *> self.data + self.type_start, min(self.type_end, end) - self.type_start
        )
        return self.divide(part, parameters(value), end)

    cdef int divide(self, Part part, tuple content, Py_ssize_t end) except -1:
        cdef bytes kind = content[0].lower()
        cdef bytes text
        if kind in MESSAGE_TYPES:
            self.open_message(part, end)
        elif kind.startswith(b"multipart/"):
            text = parameter(content[1], b"boundary").rstrip()
            if text:
                part.kids = []
                part.in_digest = kind == b"multipart/digest"
                self.add_boundary(text)
        return 0

    cdef int open_message(self, Part part, Py_ssize_t at) except -1:
        part.is_message = True
        part.kids = []
        self.open(at, part.lf, part.bare, False)
        return 0

    cdef int add_boundary(self, bytes text) except -1:
        cdef Boundary *boundary = &self.boundaries[self.boundary_count]
        self.texts.append(text)
        boundary.text = <const unsigned char *> PyBytes_AS_STRING(text)
        boundary.size = PyBytes_GET_SIZE(text)
        boundary.depth = <int> len(self.stack) - 1
        self.boundary_count += 1
        return 0

    cdef int close_down_to(
        self, Py_ssize_t depth, Py_ssize_t end, Py_ssize_t lf, Py_ssize_t bare
    ) except -1:
        """Close all parts from `depth` on; their bodies end before `end`.

        Where the line end of a delimiter is also the empty line of a header, it is the header's.
        """
        cdef Part part
        while len(self.stack) > depth:
            part = self.stack.pop()
            if end < part.body_start:
                end, lf, bare = part.body_start, part.lf, part.bare
            part.body_end = end
            part.lines = lf - part.lf
            part.body_crlf = end - part.body_start + bare - part.bare
            if part.kids is not None:
                part.children = tuple(part.kids) or (empty_part(end),)
                part.kids = None
        return 0

    # Delimiters

    cdef bint is_delimiter(self, Py_ssize_t at, Py_ssize_t next_line) except -1:
        """Act on the line if it is a delimiter (RFC 2046 §5.1.1), and say whether it was."""
        cdef const unsigned char *text = self.data + at + 2
        cdef Py_ssize_t size = next_line - at - 2
        cdef int found
        if size <= 0 or not self.boundary_count or self.data[at] != DASH:
            return False
        if self.data[at + 1] != DASH:
            return False
        while size and text[size - 1] <= SPACE:
            size -= 1
        found = self.find_boundary(text, size)
        if found < 0:
            return False
        size -= self.boundaries[found].size
        text += self.boundaries[found].size
        self.end_part(found, at)
        self.count_line(at, next_line)
        if size >= 2 and text[0] == DASH and text[1] == DASH:
            self.boundary_count = found
        else:
            self.boundary_count = found + 1
            self.open(next_line, self.lf, self.bare, self.innermost().in_digest)
        return True

    cdef int find_boundary(self, const unsigned char *text, Py_ssize_t size) noexcept nogil:
        cdef int best = -1
        cdef int i = self.boundary_count
        cdef Boundary *boundary
        while i > 0:
            i -= 1
            boundary = &self.boundaries[i]
            if boundary.size > size or boundary.text[0] != text[0]:
                continue
            if best >= 0 and boundary.size <= self.boundaries[best].size:
                continue
            if memcmp(boundary.text, text, boundary.size) == 0:
                best = i
        return best

    cdef int end_part(self, int found, Py_ssize_t at) except -1:
        """End what is open inside the multipart of boundary `found` before the line at `at`."""
        cdef Py_ssize_t end = at
        cdef Py_ssize_t lf = self.lf
        cdef Py_ssize_t bare = self.bare
        if at:
            end -= 1
            lf -= 1
            if at > 1 and self.data[at - 2] == CR:
                end -= 1
            else:
                bare -= 1
        self.close_header(end, lf, bare)
        self.close_down_to(self.boundaries[found].depth + 1, end, lf, bare)
        return 0


cdef Part empty_part(Py_ssize_t at):
    cdef Part part = Part.__new__(Part)
    part.header_start = part.header_end = part.body_start = part.body_end = at
    part.children = ()
    return part


def scan(data, Py_ssize_t max_parts=1000, Py_ssize_t max_depth=50):
    """Return the root :class:`Part` of the message in `data` (bytes, memoryview or mmap).

    Never raises on any message. `max_parts` counts every part and embedded message,
    `max_depth` (at most 100) how deep they may nest.
    """
    cdef Py_buffer view
    cdef Scanner scanner = Scanner()
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        scanner.data = <const unsigned char *> view.buf
        scanner.size = view.len
        scanner.parts_left = max_parts
        scanner.max_depth = min(max_depth, DEEPEST)
        scanner.stack, scanner.texts = [], []
        return scanner.scan()
    finally:
        PyBuffer_Release(&view)
