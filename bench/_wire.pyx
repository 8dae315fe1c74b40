# cython: boundscheck=False, wraparound=False
"""Replies read at the speed of C: what a client costs must not show in what a server does.

A reply is taken apart only as far as its end can be found (RFC 9051 §2.2.2): lines, and literals
where the protocol has them. What is counted on the way tells whether two servers said the same.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.buffer cimport PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memchr, memcmp, memcpy, memmove

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void *buffer, size_t size, int flags)
    ssize_t send(int fd, const void *buffer, size_t size, int flags)
    enum: MSG_NOSIGNAL

cdef enum:
    BUFFER = 1 << 18
    HEAD = 512
    TAIL = 16  # "{4294967296}\r\n" fits


cdef class Wire:
    """One connection's octets. ``tls`` does what recv and send do, else the descriptor does.

    Of the last reply: ``untagged`` responses, ``octets`` in all, ``literal`` octets of them,
    ``members`` of SEARCH, SORT and THREAD responses, the number before ``EXISTS``, and the
    beginning of the last untagged response (``told``).
    """

    cdef int fd
    cdef object tls, view
    cdef unsigned char[BUFFER] buffer
    cdef unsigned char[HEAD] head
    cdef unsigned char[TAIL] tail
    cdef size_t begin, end, headed, tailed
    cdef bint counting, in_number
    cdef readonly size_t untagged, octets, literal, members, exists
    cdef readonly bytes told

    def __init__(self, int fd, object tls=None):
        self.fd = fd
        self.tls = tls
        self.view = PyMemoryView_FromMemory(<char *> &self.buffer[0], BUFFER, PyBUF_WRITE)
        self.told = b""

    def send(self, bytes data):
        """Send all of it."""
        cdef const char *at = PyBytes_AS_STRING(data)
        cdef size_t left = PyBytes_GET_SIZE(data)
        cdef ssize_t sent
        if self.tls is not None:
            self.tls.sendall(data)
            return
        while left:
            with nogil:
                sent = send(self.fd, at, left, MSG_NOSIGNAL)
            if sent < 0:
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                continue
            at += sent
            left -= sent

    cdef int _receive(self) except -1:
        """Fill the buffer, of which nothing is left."""
        cdef ssize_t count
        while True:
            if self.tls is not None:
                count = self.tls.recv_into(self.view)
            else:
                with nogil:
                    count = recv(self.fd, &self.buffer[0], BUFFER, 0)
            if count > 0:
                self.begin, self.end = 0, count
                return 0
            if count == 0:
                raise ConnectionError("the server closed the connection")
            if errno == EAGAIN:
                raise TimeoutError("the server is silent")
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)

    def line(self):
        """One line with its end."""
        cdef bytes found = b""
        cdef unsigned char *at
        cdef size_t size
        while True:
            if self.begin == self.end:
                self._receive()
            at = <unsigned char *> memchr(&self.buffer[self.begin], 10, self.end - self.begin)
            size = (at - &self.buffer[self.begin] + 1) if at else self.end - self.begin
            found += PyBytes_FromStringAndSize(<char *> &self.buffer[self.begin], size)
            self.begin += size
            if at:
                return found

    def until(self, bytes mark, bint literals=True):
        """Read a reply to the line that starts with ``mark``; returns the beginning of that."""
        cdef const char *wanted = PyBytes_AS_STRING(mark)
        cdef size_t size = PyBytes_GET_SIZE(mark), literal = 0, told = 0, taken
        cdef ssize_t announced
        cdef unsigned char[HEAD] last
        self.untagged = self.octets = self.literal = self.members = self.exists = 0
        self.headed = self.tailed = 0
        self.counting = self.in_number = False
        while True:
            if self.begin == self.end:
                self._receive()
            if literal:
                taken = min(literal, self.end - self.begin)
                literal -= taken
                self.literal += taken
                self.octets += taken
                self.begin += taken
                continue
            if not self._piece():
                continue
            announced = self._announced() if literals else -1
            self.tailed = 0
            if announced >= 0:
                literal = announced
                continue
            if self.headed >= size and memcmp(&self.head[0], wanted, size) == 0:
                self.told = PyBytes_FromStringAndSize(<char *> &last[0], told)
                return PyBytes_FromStringAndSize(<char *> &self.head[0], self.headed)
            self.untagged += 1
            memcpy(&last[0], &self.head[0], self.headed)
            told = self.headed
            self._look()
            self.headed = 0
            self.counting = self.in_number = False

    cdef bint _piece(self) noexcept nogil:
        """Take what the buffer has of a line; true at the line's end."""
        cdef unsigned char *start = &self.buffer[self.begin]
        cdef size_t size = self.end - self.begin, part
        cdef unsigned char *at = <unsigned char *> memchr(start, 10, size)
        if at:
            size = at - start + 1
        part = min(size, HEAD - self.headed)
        memcpy(&self.head[self.headed], start, part)
        self.headed += part
        self._keep(start, size)
        if not self.counting:
            self.counting = self._lists()
        if self.counting:
            self._count(start, size)
        self.octets += size
        self.begin += size
        return at is not NULL

    cdef void _keep(self, unsigned char *start, size_t size) noexcept nogil:
        """Let ``tail`` be the last octets of the line."""
        cdef size_t keep
        if size >= TAIL:
            memcpy(&self.tail[0], start + size - TAIL, TAIL)
            self.tailed = TAIL
            return
        keep = min(self.tailed, TAIL - size)
        memmove(&self.tail[0], &self.tail[self.tailed - keep], keep)
        memcpy(&self.tail[keep], start, size)
        self.tailed = keep + size

    cdef bint _lists(self) noexcept nogil:
        """Whether the line is a list of messages."""
        return self.headed >= 8 and (
            memcmp(&self.head[0], b"* SEARCH", 8) == 0
            or memcmp(&self.head[0], b"* SORT", 6) == 0
            or memcmp(&self.head[0], b"* THREAD", 8) == 0
        )

    cdef void _count(self, unsigned char *start, size_t size) noexcept nogil:
        """Count the numbers that begin in these octets."""
        cdef size_t place
        cdef bint digit
        for place in range(size):
            digit = 48 <= start[place] <= 57
            self.members += digit and not self.in_number
            self.in_number = digit

    cdef ssize_t _announced(self) noexcept nogil:
        """The size of the literal that the line ends with, which may be 0; -1 without one."""
        cdef size_t place = self.tailed
        cdef ssize_t value = 0, scale = 1
        if place < 5 or memcmp(&self.tail[place - 3], b"}\r\n", 3) != 0:
            return -1
        place -= 4
        while place and 48 <= self.tail[place] <= 57:
            value += scale * (self.tail[place] - 48)
            scale *= 10
            place -= 1
        return value if self.tail[place] == 123 and scale > 1 else -1

    cdef void _look(self) noexcept nogil:
        """Keep the number of an EXISTS."""
        cdef size_t place = 2, value = 0
        while place < self.headed and 48 <= self.head[place] <= 57:
            value = 10 * value + self.head[place] - 48
            place += 1
        if place + 4 < self.headed and memcmp(&self.head[place], b" EXI", 4) == 0:
            self.exists = value
