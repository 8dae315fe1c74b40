"""The journal of a session: what another process needs to go on with it when this one dies.

It stands in memory that the keeper shares, one slice for each process slot. Nothing is ever
written out: each statement about the session is made by one store of the processor, behind
all that it speaks of, so that a slice is whole whenever its process dies.

What the kernel does to the connection it notes itself. Octets are received by recvmmsg(2) into
the slice and sent by sendmmsg(2) out of it, and both write their count into the slice before the
process can die of anything. Two headers take turns: the next one is prepared with what the
last one counted, then one store makes it the present one.

A *checkpoint* is the session between two commands: its record, where the input stands, and
the replies that are on their way (outbox). Two of them take turns in the same manner. Within a
command the present one takes note of what was asked of the client (continuation requests), of
what is about to be changed (intents), and that a part of the reply has been sent.

Positions in input and output are counted from the beginning of the session in this process.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

import json
import os
from typing import NamedTuple

from pymaild.core.session import OPEN

from pymaild.net._counted cimport (
    MSG_DONTWAIT, MSG_NOSIGNAL, barrier, iovec, mmsghdr, recvmmsg, sendmmsg,
)

cdef extern from "sys/mman.h":
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int madvise(void *address, size_t length, int advice)
    int mlock(void *address, size_t length)
    enum: PROT_READ
    enum: PROT_WRITE
    enum: MAP_SHARED
    enum: MADV_REMOVE
    void *MAP_FAILED

# ---- the layout of a slice -------------------------------------------------------------------

cdef enum:
    PAGE = 4096
    HEAD_ROOM = 256            # of how a command began whose input was too much
    ASKED_ROOM = 3 * PAGE      # continuation requests of one command
    INTENTS_ROOM = 4 * PAGE    # 16 KiB
    OUTBOX_ROOM = 16 * PAGE    # 64 KiB
    RECORD_ROOM = 64 * PAGE    # 256 KiB, twice
    INPUT_ROOM = 256 * PAGE    # 1 MiB
    ASKED = PAGE
    INTENTS = ASKED + ASKED_ROOM
    OUTBOX = INTENTS + INTENTS_ROOM
    RECORDS = OUTBOX + OUTBOX_ROOM
    INPUT = RECORDS + 2 * RECORD_ROOM
    SIZE = INPUT + INPUT_ROOM
    READ = 65536               # octets of one receive
    TAIL = 4                   # octets that are kept of data that ends by itself
    LARGE = 32 * PAGE          # used areas above this are given back
    VERSION = 1
    ID_ROOM = 32

cdef uint64_t ENDS_BY_ITSELF = 0xFFFFFFFFFFFFFFFF

cdef struct Transfer:          # what recvmmsg and sendmmsg fill in
    mmsghdr message
    iovec part
    uint64_t before            # octets of all transfers before this one
    uint64_t shift             # the position that the beginning of the input area stands for

cdef struct Checkpoint:
    uint64_t consumed          # the input position of the command under way, or to come
    uint64_t literal_end       # the input position where a literal of it ends; 0: none
    uint64_t out_shift         # the output position that the beginning of the outbox stands for
    uint64_t out_end           # the output position where the outbox ends
    uint32_t record            # which of the two records
    uint32_t record_size       # 0: it was too large
    uint32_t asked             # octets of continuation requests
    uint32_t intents_begin     # where the intents begin that count, each with a zero octet behind
    uint32_t intents           # where they end
    uint32_t again             # how many processes died of the command
    uint32_t begun             # a part of its reply was sent
    uint32_t lost              # its input was lost before this process

cdef struct Header:
    uint32_t version
    uint32_t live              # there is a session
    uint32_t running           # it does something, rather than wait for its client
    uint32_t current           # which of the checkpoints
    uint32_t receiving         # which of the transfers
    uint32_t sending
    uint32_t head_size
    char session[ID_ROOM]
    char head[HEAD_ROOM]
    Checkpoint checkpoints[2]
    Transfer inputs[2]
    Transfer outputs[2]

SLICE = SIZE
ROOM = OUTBOX_ROOM
MOST_READ = READ


def make(int slots):
    """Return a descriptor of memory for so many slices. What is not used costs no memory."""
    cdef int fd = os.memfd_create("journal", os.MFD_CLOEXEC)
    os.ftruncate(fd, slots * SIZE)
    return fd


cdef char *map_slice(int fd, int slot) except NULL:
    cdef void *found = mmap(
        NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, <long> slot * <long> SIZE
    )
    if found == MAP_FAILED:
        raise OSError(errno, "no journal")
    return <char *> found


cdef inline uint64_t done(Transfer *transfers, uint32_t present) noexcept:
    return transfers[present].before + transfers[present].message.msg_len


cdef inline void prepare(
    Transfer *next, uint64_t before, uint64_t shift, void *place, size_t room
) noexcept:
    next.message.msg_len = 0
    next.message.msg_hdr.msg_iov = &next.part
    next.message.msg_hdr.msg_iovlen = 1
    next.part.iov_base = place
    next.part.iov_len = room
    next.before = before
    next.shift = shift
    barrier()


cdef class Journal:
    """The writer of one slice: the process in ``slot``. ``fd`` is from :func:`make`."""

    cdef char *base
    cdef Header *header
    cdef uint32_t replayed     # octets of ``asked`` that were met again
    cdef uint64_t input_used   # octets of areas that may have memory
    cdef uint64_t record_used

    def __cinit__(self, int fd, int slot):
        self.base = NULL
        self.base = map_slice(fd, slot)
        self.header = <Header *> self.base
        # The kernel must be able to write its counts whatever happens to this process.
        mlock(self.base, PAGE)

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, SIZE)

    # ---- one session -------------------------------------------------------------------------

    def begin(self, object session):
        """Take up a session from its record: input and all that a crash left in it.

        The outbox is in the journal alone from now on.
        """
        cdef Header *header = self.header
        cdef Checkpoint *point = &header.checkpoints[0]
        cdef bytes name = session.id.encode()[:ID_ROOM - 1]
        cdef bytes outbox = session.outbox
        cdef bytes asked = session.asked
        if PyBytes_GET_SIZE(outbox) > OUTBOX_ROOM or PyBytes_GET_SIZE(asked) > ASKED_ROOM:
            raise ValueError("a record that no journal can have left")
        self.end()
        memset(header, 0, sizeof(Header))
        header.version = VERSION
        header.running = 1
        memcpy(header.session, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        prepare(&header.outputs[0], 0, 0, NULL, 0)
        self.append(point, PyBytes_AS_STRING(outbox), PyBytes_GET_SIZE(outbox))
        memcpy(self.base + ASKED, PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))
        point.asked = <uint32_t> PyBytes_GET_SIZE(asked)
        point.again = session.again
        self.replayed = 0
        self.begin_input(point, session.unread, session.head[:HEAD_ROOM], session.lost)
        session.outbox = b""
        self.write_record(point, _without_input(session))
        for intent in session.intents:
            self.intend(json.dumps(intent).encode())
        barrier()
        header.live = 1

    cdef void begin_input(self, Checkpoint *point, bytes unread, bytes head, long lost) except *:
        cdef uint64_t kept = PyBytes_GET_SIZE(unread)
        if lost != -1:
            point.lost = 1
            point.literal_end = ENDS_BY_ITSELF if lost < 0 else <uint64_t> lost
            self.keep_head(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        if kept <= INPUT_ROOM:
            memcpy(self.base + INPUT, PyBytes_AS_STRING(unread), kept)
            prepare(&self.header.inputs[0], kept, 0, NULL, 0)
            self.input_used = kept
        else:
            self.keep_head(PyBytes_AS_STRING(unread), kept)
            prepare(&self.header.inputs[0], kept, kept, NULL, 0)

    cdef void keep_head(self, const char *data, uint64_t size) noexcept:
        """Keep how a command begins whose input is too much to keep."""
        self.header.head_size = <uint32_t> min(size, <uint64_t> HEAD_ROOM)
        memcpy(self.header.head, data, self.header.head_size)

    def end(self):
        """Forget the session: it has ended, or others have it."""
        self.header.live = 0
        barrier()
        self.give_back(INPUT, PAGE, self.input_used)
        self.give_back(RECORDS, PAGE, self.record_used)
        self.give_back(RECORDS + RECORD_ROOM, PAGE, self.record_used)
        self.input_used = self.record_used = 0

    cdef void give_back(self, size_t area, size_t kept, uint64_t used) noexcept:
        """Return the memory of an area to the system, but for its beginning."""
        if used > LARGE:
            madvise(self.base + area + kept, ((used + PAGE - 1) & ~<uint64_t>(PAGE - 1)) - kept,
                    MADV_REMOVE)

    cdef void write_record(self, Checkpoint *point, bytes record) noexcept:
        """Put a record into the place that the present checkpoint does not use."""
        cdef size_t size = PyBytes_GET_SIZE(record)
        if size > RECORD_ROOM:
            point.record_size = 0
            return
        point.record ^= 1
        memcpy(self.base + RECORDS + point.record * RECORD_ROOM, PyBytes_AS_STRING(record), size)
        point.record_size = <uint32_t> size
        if size > self.record_used:
            self.record_used = size

    # ---- checkpoints -------------------------------------------------------------------------

    cdef inline Checkpoint *present(self) noexcept:
        return &self.header.checkpoints[self.header.current]

    cdef inline Checkpoint *next_point(self) noexcept:
        """Return a copy of the present checkpoint, to be changed and then to be current."""
        cdef Checkpoint *point = &self.header.checkpoints[self.header.current ^ 1]
        point[0] = self.present()[0]
        return point

    cdef inline void switch(self) noexcept:
        barrier()
        self.header.current ^= 1
        barrier()

    @property
    def room(self):
        """How many octets :meth:`commit` takes now."""
        return self.free()

    @property
    def begun(self):
        """Whether a part of the reply to the command under way was sent."""
        return self.present().begun != 0

    cdef inline uint64_t free(self) noexcept:
        cdef Checkpoint *point = self.present()
        if point.out_end == done(self.header.outputs, self.header.sending):
            return OUTBOX_ROOM
        return OUTBOX_ROOM - (point.out_end - point.out_shift)

    cpdef void commit(self, bytes record, uint64_t unread, list pieces) except *:
        """A command has ended: its reply is ``pieces``, in all at most :attr:`room` octets.

        ``record`` is None where it is as before.
        """
        cdef Checkpoint *point = self.next_point()
        cdef uint64_t received = done(self.header.inputs, self.header.receiving)
        for piece in pieces:
            self.put(point, piece)
        point.consumed = received - unread
        point.literal_end = 0
        point.asked = point.again = point.begun = point.lost = 0
        point.intents_begin = point.intents = 0
        if record is not None:
            self.write_record(point, record)
        self.switch()
        self.replayed = 0
        if self.input_used > LARGE and unread == 0:
            self.give_back(INPUT, PAGE, self.input_used)
            self.input_used = 0

    cpdef bint post(self, bytes data, bytes note=None) except *:
        """Send something within a command that is no part of its reply; false without room.

        It is a part where there is a note: that takes the place of all intents before, in the
        same moment, and tells whoever runs the command again what has been said already.
        """
        cdef Checkpoint *point = self.next_point()
        if <uint64_t> PyBytes_GET_SIZE(data) > self.free():
            return False
        self.put(point, data)
        if note is not None:
            if PyBytes_GET_SIZE(note) < point.intents_begin:
                point.intents = 0
            point.intents_begin = point.intents
            self.add_intent(point, note)
        self.switch()
        return True

    def ask(self, bytes data, long left):
        """See Stream.ask; there is room for ``data``."""
        cdef Checkpoint *point = self.present()
        cdef uint32_t size = <uint32_t> PyBytes_GET_SIZE(data)
        cdef const char *place
        cdef const char *end
        cdef bint same
        if self.replayed < point.asked:
            place = self.base + ASKED + self.replayed
            end = <const char *> memchr(place, 10, point.asked - self.replayed)
            size = <uint32_t> (end - place) + 1 if end != NULL else point.asked - self.replayed
            same = size == PyBytes_GET_SIZE(data) and not memcmp(
                place, PyBytes_AS_STRING(data), size
            )
            self.replayed += size
            self.expect(left)
            return same
        point = self.next_point()
        self.put(point, data)
        point.literal_end = self.literal_end(left)
        if size <= ASKED_ROOM - point.asked:
            memcpy(self.base + ASKED + point.asked, PyBytes_AS_STRING(data), size)
            point.asked += size
        else:
            point.begun = 1
        self.switch()
        self.replayed = point.asked
        return True

    @property
    def replays(self):
        """Whether there are questions that :meth:`ask` has not met again."""
        return self.replayed < self.present().asked

    cpdef void expect(self, long left) except *:
        """See Stream.expect."""
        self.present().literal_end = self.literal_end(left)

    cdef uint64_t literal_end(self, long left) noexcept:
        if left < 0:
            return ENDS_BY_ITSELF
        return done(self.header.inputs, self.header.receiving) + <uint64_t> left

    cpdef void intend(self, bytes what) except *:
        """See Stream.intend. What does not fit makes the command one that cannot be repeated."""
        self.add_intent(self.present(), what)

    cdef void add_intent(self, Checkpoint *point, bytes what) noexcept:
        cdef uint32_t size = <uint32_t> PyBytes_GET_SIZE(what) + 1
        if size > INTENTS_ROOM - point.intents:
            point.begun = 1
            return
        memcpy(self.base + INTENTS + point.intents, PyBytes_AS_STRING(what), size)
        barrier()
        point.intents += size
        barrier()

    def begin_reply(self):
        """A part of the reply is sent from elsewhere: the command cannot be repeated."""
        self.present().begun = 1
        barrier()

    # ---- the outbox --------------------------------------------------------------------------

    cdef void put(self, Checkpoint *point, object piece) except *:
        """Put octets behind what is pending; there is room for them."""
        cdef Py_buffer view
        if PyBytes_CheckExact(piece):
            self.append(point, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            return
        PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        self.append(point, <const char *> view.buf, view.len)
        PyBuffer_Release(&view)

    cdef void append(self, Checkpoint *point, const char *data, size_t size) noexcept:
        if point.out_end == done(self.header.outputs, self.header.sending):
            point.out_shift = point.out_end      # nothing is pending: begin at the front
        memcpy(self.base + OUTBOX + (point.out_end - point.out_shift), data, size)
        point.out_end += size

    cpdef bint push(self, int fd) except -1:
        """Send from the outbox what the socket takes; true when nothing is left. Raises OSError."""
        cdef Checkpoint *point = self.present()
        cdef Transfer *next
        cdef uint64_t sent
        while True:
            sent = done(self.header.outputs, self.header.sending)
            if sent == point.out_end:
                return True
            next = &self.header.outputs[self.header.sending ^ 1]
            prepare(
                next,
                sent,
                0,
                self.base + OUTBOX + (sent - point.out_shift),
                point.out_end - sent,
            )
            self.header.sending ^= 1
            barrier()
            if sendmmsg(fd, &next.message, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1:
                if errno == EAGAIN:
                    return False
                if errno != EINTR:
                    raise OSError(errno, os.strerror(errno))

    def pending(self):
        """Return what of the outbox is not sent yet."""
        cdef Checkpoint *point = self.present()
        cdef uint64_t sent = done(self.header.outputs, self.header.sending)
        return PyBytes_FromStringAndSize(
            self.base + OUTBOX + (sent - point.out_shift), point.out_end - sent
        )

    def take(self):
        """Leave what is pending to be sent from elsewhere: nobody else can go on now."""
        self.begin_reply()
        self.present().out_end = done(self.header.outputs, self.header.sending)
        barrier()

    # ---- input -------------------------------------------------------------------------------

    cpdef bint rest(self, int fd) except -1:
        """Note that the session waits for its client, and :meth:`push`."""
        self.header.running = 0
        return self.push(fd)

    cpdef void work(self) noexcept:
        """Note that the session does something again; :meth:`receive` does so too."""
        self.header.running = 1

    cpdef bytes receive(self, int fd):
        """Return what has arrived: None for nothing, b"" for the end. Raises OSError."""
        cdef Transfer *next = &self.header.inputs[self.header.receiving ^ 1]
        cdef int error
        self.prepare_input(next)
        self.header.receiving ^= 1
        barrier()
        if recvmmsg(fd, &next.message, 1, MSG_DONTWAIT, NULL) != 1:
            error = errno
            if error == EAGAIN or error == EINTR:
                return None
            # recvmmsg tells of a reset before what came ahead of it, recv does not.
            if recvmmsg(fd, &next.message, 1, MSG_DONTWAIT, NULL) != 1 or not next.message.msg_len:
                raise OSError(error, os.strerror(error))
        self.header.running = 1
        if next.before + next.message.msg_len - next.shift > self.input_used:
            self.input_used = next.before + next.message.msg_len - next.shift
        return PyBytes_FromStringAndSize(<char *> next.part.iov_base, next.message.msg_len)

    cdef void prepare_input(self, Transfer *next) noexcept:
        """Find the place for what comes next, behind all that another process would need."""
        cdef Transfer *last = &self.header.inputs[self.header.receiving]
        cdef Checkpoint *point = self.present()
        cdef uint64_t received = last.before + last.message.msg_len
        cdef uint64_t shift = last.shift
        if point.consumed == received:
            shift = received
        elif received - shift + READ > INPUT_ROOM:
            shift = self.move_input(point, received, shift)
        prepare(next, received, shift, self.base + INPUT + (received - shift), READ)

    cdef uint64_t move_input(self, Checkpoint *point, uint64_t received, uint64_t shift) noexcept:
        """Copy what is needed to the front of the area; returns the position of that.

        Where there is too much of it the input of the command is lost, but for its end.
        """
        cdef uint64_t start = point.consumed
        if not (point.lost or shift > point.consumed):
            if self.fits(start, received, shift):
                return self.copy_input(start, received, shift)
            self.keep_head(self.base + INPUT + (start - shift), received - start)
            barrier()
            point.lost = 1
            barrier()
        start = received - TAIL if point.literal_end == ENDS_BY_ITSELF else point.literal_end
        start = max(shift, min(start, received))
        if not self.fits(start, received, shift):
            return received
        return self.copy_input(start, received, shift)

    cdef inline bint fits(self, uint64_t start, uint64_t received, uint64_t shift) noexcept:
        """Whether there is room for input at the front, where it overwrites nothing of itself."""
        cdef uint64_t size = received - start
        return size <= start - shift and size + READ <= INPUT_ROOM

    cdef uint64_t copy_input(self, uint64_t start, uint64_t received, uint64_t shift) noexcept:
        memcpy(self.base + INPUT, self.base + INPUT + (start - shift), received - start)
        return start


def _without_input(session):
    """Encode a record without what the journal keeps beside it."""
    kept = {name: getattr(session, name) for name in _BESIDE}
    try:
        for name, nothing in _BESIDE.items():
            setattr(session, name, nothing)
        return session.encode()
    finally:
        for name, value in kept.items():
            setattr(session, name, value)


_BESIDE = {"unread": b"", "asked": b"", "head": b"", "intents": [], "again": 0, "lost": -1}


# ---- what a dead process has left ------------------------------------------------------------

class Remains(NamedTuple):
    """A session as its process left it; ``record`` is b"" where it was too large to keep.

    ``running``: the process was at work. ``begun``: the reply to the command under way cannot be
    taken back. ``lost`` is as in the record, None where not even that is known.
    """

    session: str
    record: bytes
    unread: bytes
    outbox: bytes
    asked: bytes
    intents: list
    again: int
    running: bool
    begun: bool
    lost: object
    head: bytes


def remains(int fd, int slot):
    """Return what is in a slice that nobody writes any more, None where there is no session.

    The process may have been anything at its end: what is not possible raises ValueError.
    """
    cdef char *base = map_slice(fd, slot)
    try:
        return _remains(base)
    finally:
        munmap(base, SIZE)


def release(int fd, int slot):
    """Forget what is in a slice."""
    cdef char *base = map_slice(fd, slot)
    (<Header *> base).live = 0
    madvise(base + PAGE, SIZE - PAGE, MADV_REMOVE)
    munmap(base, SIZE)


cdef bytes cut(char *area, uint64_t room, uint64_t start, uint64_t end):
    """Return octets of an area. Raises ValueError where they are not inside."""
    if not start <= end <= room:
        raise ValueError("a journal that makes no sense")
    return PyBytes_FromStringAndSize(area + start, end - start)


cdef object _remains(char *base):
    cdef Header header = (<Header *> base)[0]
    cdef Checkpoint point
    cdef uint64_t received, sent, start, shift
    cdef object lost = -1
    if not header.live:
        return None
    if header.version != VERSION or max(header.current, header.receiving, header.sending) > 1:
        raise ValueError("a journal of another version")
    point = header.checkpoints[header.current]
    received = done(header.inputs, header.receiving)
    sent = done(header.outputs, header.sending)
    shift = header.inputs[header.receiving].shift
    start = point.consumed
    if point.lost or shift > start:
        if point.literal_end == ENDS_BY_ITSELF:
            lost, start = OPEN, shift
        elif point.literal_end >= received:
            lost, start = point.literal_end - received, received
        elif point.literal_end >= shift:
            lost, start = 0, point.literal_end
        else:
            lost, start = None, received
    noted = cut(base + INTENTS, INTENTS_ROOM, point.intents_begin, point.intents)
    return Remains(
        session=header.session[:ID_ROOM].split(b"\0")[0].decode("ascii", "replace"),
        record=cut(
            base + RECORDS + (point.record & 1) * RECORD_ROOM, RECORD_ROOM, 0, point.record_size
        ),
        unread=cut(base + INPUT, INPUT_ROOM, start - shift, received - shift),
        outbox=cut(
            base + OUTBOX, OUTBOX_ROOM, sent - point.out_shift, point.out_end - point.out_shift
        ),
        asked=cut(base + ASKED, ASKED_ROOM, 0, point.asked),
        intents=[one for one in noted.split(b"\0") if one],
        again=point.again,
        running=bool(header.running),
        begun=bool(point.begun),
        lost=lost,
        head=cut(header.head, HEAD_ROOM, 0, header.head_size) if lost != -1 else b"",
    )
