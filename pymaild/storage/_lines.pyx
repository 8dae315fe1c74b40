"""Lines of a file, or of pieces, in a window of bounded size.

A line that is longer than the window comes in several pieces; only the first is looked at for
what it says.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy, memmove

from cpython.exc cimport PyErr_SetFromErrno

cdef extern from "<unistd.h>":
    ssize_t pread(int fd, void* into, size_t count, int64_t offset) nogil

cdef extern from "<strings.h>":
    int strncasecmp(const char* one, const char* other, size_t count) nogil

cdef extern from *:
    """
    /* The fields that say how a mailbox stands rather than what was written, by their length. */
    static const struct {int length, kind; const char *name;} pm_fields[] = {
        {7, 1, "Status:"}, {9, 2, "X-Status:"}, {11, 3, "X-Keywords:"}, {6, 4, "X-UID:"},
        {11, 5, "X-IMAPbase:"}, {7, 6, "X-IMAP:"}, {15, 7, "Content-Length:"},
        {6, 8, "Lines:"}, {0, 0, 0}};
    """
    struct Named "pm_fields[0]":
        int length, kind
        const char* name
    const Named[9] pm_fields

cdef enum:
    WINDOW = 1 << 18  # octets: it stays in the processor's cache


cdef Kind _kind(const unsigned char* line, Py_ssize_t length) noexcept nogil:
    """What a header field is by its name (RFC 5322 §2.2: without regard to case)."""
    cdef unsigned char first = line[0] | 32
    cdef int place = 0
    if first == c"x":
        if length < 2 or line[1] != c"-":
            return PLAIN
    elif first not in (c"s", c"c", c"l"):
        return PLAIN
    while pm_fields[place].length:
        if (length > pm_fields[place].length
                and line[pm_fields[place].length - 1] == c":"
                and strncasecmp(<const char*>line, pm_fields[place].name,
                                pm_fields[place].length) == 0):
            return <Kind>pm_fields[place].kind
        place += 1
    return PLAIN


cdef class Lines:
    """Reads ``source``, a descriptor or an iterable of octets."""

    def __cinit__(self, source, *_):
        self.fd = -1
        self.pieces = None
        if isinstance(source, int):
            self.fd = source
        else:
            self.pieces = iter(source)
        self.spare = b""
        self.spared = 0
        self.base = 0
        self.limit = <int64_t>1 << 62
        self.have = self.next = self.length = 0
        self.ends = True
        self.carriage = False
        self.kind = PLAIN
        self.window = <unsigned char*>malloc(WINDOW)
        if self.window == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.window)

    cdef int64_t offset(self) noexcept nogil:
        """Where the line begins in the file."""
        return self.base + (self.text - self.window)

    cdef void back(self) noexcept nogil:
        """Read this line again: it is the first piece of one."""
        self.next -= self.length
        self.ends = True
        self.carriage = False

    cdef void seek(self, int64_t offset) noexcept nogil:
        """Go on at the beginning of another line, of a file."""
        self.base = offset
        self.have = self.next = 0
        self.ends = True
        self.carriage = False

    cdef bint line(self) except -1 nogil:
        """Go to the next line, or the next piece of a long one; false at the end."""
        cdef unsigned char* found
        cdef Py_ssize_t seen = 0
        if self.length:
            self.carriage = self.text[self.length - 1] == c"\r" and not self.ends
        self.begins = self.ends
        while True:
            found = NULL
            if self.next + seen < self.have:
                found = <unsigned char*>memchr(
                    self.window + self.next + seen, c"\n", self.have - self.next - seen)
                seen = self.have - self.next
            if found != NULL or not self._fill():
                break
        self.text = self.window + self.next
        if found != NULL:
            self.length = found + 1 - self.text
            self.next += self.length
            self.ends = True
            self.bare = not (self.length > 1 and (found - 1)[0] == c"\r"
                             or self.length == 1 and self.carriage)
            self.blank = self.begins and (self.length == 1 or self.length == 2 and not self.bare)
            return True
        self.length = self.have - self.next
        self.next = self.have
        self.ends = self.bare = self.blank = False
        return self.length > 0

    cdef bint field(self) except -1 nogil:
        """Go to the next line of a header; false at its end, an empty line the last one.

        ``kind`` is that of the field that the line belongs to.
        """
        if not self.line() or self.blank:
            self.kind = PLAIN
            return False
        if self.begins and self.text[0] not in (c" ", c"\t"):
            self.kind = _kind(self.text, self.length)
        return True

    cdef bint _fill(self) except -1 nogil:
        """Get more octets behind those that are not read yet; false where none fit or are left."""
        cdef Py_ssize_t got
        if self.next:
            memmove(self.window, self.window + self.next, self.have - self.next)
            self.base += self.next
            self.have -= self.next
            self.next = 0
        if self.have == WINDOW:
            return False
        if self.fd < 0:
            with gil:
                got = self._more()
        else:
            got = self._read()
        self.have += got
        return got > 0

    cdef Py_ssize_t _read(self) except -1 nogil:
        cdef Py_ssize_t got, room = WINDOW - self.have
        if room > self.limit - self.base - self.have:
            room = self.limit - self.base - self.have
        if room <= 0:
            return 0
        while True:
            got = pread(self.fd, self.window + self.have, room, self.base + self.have)
            if got >= 0:
                return got
            with gil:
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                    return -1

    cdef Py_ssize_t _more(self) except -1:
        cdef Py_ssize_t got
        while self.spared == len(self.spare):
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.spare, self.spared = bytes(piece), 0
        got = min(WINDOW - self.have, len(self.spare) - self.spared)
        memcpy(self.window + self.have, <const unsigned char*>self.spare + self.spared, got)
        self.spared += got
        return got
