"""What the keeper answers by itself: lines taken from a client, and a reply sent, once.

The kernel writes into shared memory how much it has taken and sent before the process can be
killed (recvmmsg(2), sendmmsg(2)), so that the next keeper knows what is left to be done.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from pymaild.net._counted cimport (
    MSG_DONTWAIT, MSG_NOSIGNAL, barrier, iovec, mmsghdr, recvmmsg, sendmmsg,
)

cdef enum:
    LINES_ROOM = 64

LINES = LINES_ROOM  # octets at most

cdef struct Area:
    uint64_t row        # and one; 0: nothing is under way
    uint32_t size
    char lines[LINES_ROOM]
    mmsghdr taken
    mmsghdr sent

SIZE = sizeof(Area)


cdef class Exchange:
    """One at a time, in ``memory`` that the next keeper has, too."""

    cdef unsigned char[::1] memory
    cdef Area *area

    def __init__(self, unsigned char[::1] memory):
        if memory.shape[0] < SIZE:
            raise ValueError("no room")
        self.memory = memory
        self.area = <Area *> &memory[0]

    def answer(self, uint64_t row, int fd, bytes lines, bytes reply):
        """Take ``lines``, which are there, and send as much of ``reply`` as finds room; returns
        how much. Until :meth:`end` it is known what has been done."""
        cdef Area *area = self.area
        cdef char room[LINES_ROOM]
        cdef iovec part
        cdef size_t size = PyBytes_GET_SIZE(lines)
        if size > LINES_ROOM:
            raise ValueError("too long")
        self.end()
        memset(area, 0, sizeof(Area))
        memcpy(area.lines, PyBytes_AS_STRING(lines), size)
        area.size = <uint32_t> size
        area.taken.msg_hdr.msg_iov = area.sent.msg_hdr.msg_iov = &part
        area.taken.msg_hdr.msg_iovlen = area.sent.msg_hdr.msg_iovlen = 1
        barrier()
        area.row = row + 1
        barrier()
        part.iov_base, part.iov_len = room, size
        recvmmsg(fd, &area.taken, 1, MSG_DONTWAIT, NULL)
        barrier()
        part.iov_base, part.iov_len = PyBytes_AS_STRING(reply), PyBytes_GET_SIZE(reply)
        if part.iov_len and area.taken.msg_len:
            sendmmsg(fd, &area.sent, 1, MSG_DONTWAIT | MSG_NOSIGNAL)
        return area.sent.msg_len

    def end(self):
        """All of it is done, and what follows from it written down."""
        barrier()
        self.area.row = 0
        barrier()

    def left(self):
        """Return what was under way when a keeper died: row, lines, whether they were taken, how
        much of the reply was sent; None where nothing was."""
        cdef Area *area = self.area
        if not area.row or area.size > LINES_ROOM:
            return None
        taken = area.taken.msg_len == area.size
        return area.row - 1, area.lines[:area.size], taken, area.sent.msg_len
