"""What of an mbox is told to clients, what is stored of what they send, what an edit replaces."""

import os

from libc.stdint cimport int64_t
from libc.string cimport memcmp

from pymaild.storage._lines cimport PLAIN, PSEUDO, STATUS, Lines

cdef enum:
    MOST_HOLES = 64        # fields that one edit replaces; only the first of a kind counts


cdef class Served(Lines):
    """Yields a message's octets as clients are told them, in bounded pieces."""

    cdef int64_t end
    cdef bint in_header

    def __init__(self, int fd, message):
        self.seek(message.header)
        self.limit = message.body
        self.end = message.end
        self.in_header = True

    def __iter__(self):
        return self

    def __next__(self):
        piece = self._of_header() if self.in_header else b""
        if not piece:
            piece = os.pread(self.fd, min(<int64_t>1 << 17, self.end - self.base), self.base)
            self.base += len(piece)
        if not piece:
            raise StopIteration
        return piece

    cdef bytes _of_header(self):
        """A part of the header without internal fields; empty at its end."""
        lines = []
        cdef Py_ssize_t length = 0
        while length < 1 << 16:
            if self.field():
                if self.kind != PLAIN:
                    continue
            else:
                self.in_header = False
                lines.append(self.text[:self.length])
                self.base = self.limit
                break
            length += self.length
            lines.append(self.text[:self.length])
        return b"".join(lines)


def places(int fd, message):
    """Return (holes, end of the header, line end) for an edit of a message's internal fields.

    Holes are the runs (start, end) of fields to be replaced, Content-Length not among them.
    """
    cdef Lines lines = Lines(fd)
    cdef int fields = 0
    cdef int64_t start
    lines.seek(message.header)
    lines.limit = message.body
    holes = []
    end = b"\r\n" if os.pread(fd, 2, message.header - 2) == b"\r\n" else b"\n"
    while lines.field():
        if not STATUS <= lines.kind <= PSEUDO or fields > MOST_HOLES:
            continue
        start = lines.offset()
        fields += lines.begins and lines.text[0] not in (c" ", c"\t")
        if fields > MOST_HOLES:
            continue
        if holes and holes[len(holes) - 1][1] == start:
            start = holes.pop()[0]
        holes.append((start, lines.offset() + lines.length))
    return holes, lines.offset() if lines.blank else message.body, end


cdef class Stored(Lines):
    """Yields the octets of a new message as they are stored; its line ends are LF already.

    Internal fields are left out, lines that begin with "From " quoted, the header and the last
    line ended. Behind the last piece ``header_size`` says where the header's empty line is,
    ``size`` and ``wire_size`` what will be served.
    """

    cdef readonly int64_t header_size, size, wire_size
    cdef bint in_header, ended, unended, returned

    def __init__(self, pieces):
        self.in_header = True

    def __iter__(self):
        return self

    def __next__(self):
        lines = []
        cdef int64_t before = self.size
        while self.size - before < 1 << 16 and not self.ended:
            self._step(lines)
        if self.size == before:
            raise StopIteration
        return b"".join(lines)

    cdef int _step(self, list lines) except -1:
        """Take one line."""
        if not self.in_header:
            if self.line():
                return self._keep(lines)
            self.ended = True
            return self._end_line(lines)
        if self.field() and not self._lone_return():
            return self._keep(lines) if self.kind == PLAIN else 0
        self.in_header = False
        self._end_line(lines)
        self.header_size = self.size
        if self.length:
            return self._keep(lines)
        self.unended = True
        return self._end_line(lines)

    cdef bint _lone_return(self) noexcept:
        """Say whether the line will be empty once it is ended."""
        return self.begins and not self.ends and self.length == 1 and self.text[0] == c"\r"

    cdef int _keep(self, list lines) except -1:
        """Store a line, or a piece of one."""
        if self.begins and self.length >= 5 and memcmp(self.text, b"From ", 5) == 0:
            self._add(lines, b">")
        self._add(lines, self.text[:self.length])
        self.wire_size += self.bare
        self.unended = not self.ends
        self.returned = self.text[self.length - 1] == c"\r"
        return 0

    cdef int _end_line(self, list lines) except -1:
        if self.unended:
            self._add(lines, b"\n")
            self.wire_size += not self.returned
            self.unended = self.returned = False
        return 0

    cdef int _add(self, list lines, bytes piece) except -1:
        lines.append(piece)
        self.size += len(piece)
        self.wire_size += len(piece)
        return 0
