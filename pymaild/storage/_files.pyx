"""Reading many small files: three system calls for each, and no object.

A file that is not where it should be, or not as large as it should be, is somebody else's case.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.fcntl cimport O_CLOEXEC, O_RDONLY, open as c_open
from posix.unistd cimport close as c_close, read as c_read

cdef enum:
    LONGEST_PATH = 4096
    LONGEST_INFO = 40      # ":2,", five flags, 26 keywords, NUL

cdef void _write_info(uint32_t flags, uint64_t keywords, char* out) noexcept nogil:
    """Write the info part of a name (pymaild/storage/_names.pyx) and NUL."""
    cdef const char* letters = "DFRST"
    cdef uint32_t* bits = [16, 4, 2, 1, 8]
    cdef int place, used = 3
    memcpy(out, ":2,", 3)
    for place in range(5):
        if flags & bits[place]:
            out[used] = letters[place]
            used += 1
    for place in range(26):
        if keywords >> place & 1:
            out[used] = <char>(c"a" + place)
            used += 1
    out[used] = 0



cdef class MessageFile:
    """The message files of one Maildir, one at a time."""

    def __cinit__(self, bytes new, bytes cur):
        self._new, self._cur = new + b"/", cur + b"/"

    def __dealloc__(self):
        free(self._room)

    cdef int _reserve(self, size_t size) except -1:
        cdef unsigned char* grown
        if size > self._most:
            grown = <unsigned char*>realloc(self._room, 2 * size)
            if grown == NULL:
                raise MemoryError
            self._room, self._most = grown, 2 * size
        return 0

    cdef bint read(self, bint new, const unsigned char* base, size_t length, uint32_t flags,
                   uint64_t keywords, uint64_t size) except -1:
        """Read the file of that base name into ``data``; false where it has not that size."""
        cdef char[LONGEST_PATH] path
        cdef bytes directory = self._new if new else self._cur
        cdef size_t start = PyBytes_GET_SIZE(directory)
        cdef ssize_t count
        cdef int fd
        if size > MOST_READ or start + length + LONGEST_INFO > LONGEST_PATH:
            return False
        self._reserve(size + 1)
        memcpy(path, PyBytes_AS_STRING(directory), start)
        memcpy(path + start, base, length)
        path[start + length] = 0
        if not new:
            _write_info(flags, keywords, path + start + length)
        with nogil:
            fd = c_open(path, O_RDONLY | O_CLOEXEC)
            if fd >= 0:
                count = c_read(fd, self._room, size + 1)
                c_close(fd)
        if fd < 0 or count < 0 or <uint64_t>count != size:
            return False
        self.data, self.size = self._room, count
        return True
