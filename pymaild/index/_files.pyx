"""The files of one mailbox's index: opening, making and mapping them, and their header.

Readers take no lock: they read a consistent header by its sequence number and never look
behind what it publishes.
"""

import mmap
import os
import time

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from pymaild.index._layout cimport (
    HEAD_SIZE, HEADER_SIZE, KEYWORD_LIMIT, KEYWORD_OFFSET, KEYWORD_SIZE, PM_BARRIER, SPINS, VERSION,
    Change, FileHead, Header, Record, pm_check,
)

from pymaild.index.errors import Busy, Unusable

INDEX_FILE, LOG_FILE, CACHE_FILE = "pymaild.index", "pymaild.log", "pymaild.cache"
_MAGIC = {INDEX_FILE: b"PMINDEX\n", LOG_FILE: b"PMCHANG\n", CACHE_FILE: b"PMCACHE\n"}

cdef enum:
    GROWTH = 256           # rows a new index has room for


def checksum(bytes data):
    """Return the 32-bit check over ``data``, whose length is a multiple of 8."""
    return pm_check(<const char*>data, len(data) // 8)


def boot_id():
    """Return 16 octets that differ after each start of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


_BOOT = boot_id()


cdef bytes _file_head(str name, uint64_t generation):
    cdef FileHead head
    memset(&head, 0, sizeof(head))
    memcpy(head.magic, <const char*>_MAGIC[name], 8)
    head.version = VERSION
    head.generation = generation
    return (<char*>&head)[:sizeof(head)]


cdef int _open_part(str directory, str name, uint64_t generation) except -1:
    cdef FileHead head
    cdef bytes octets
    cdef int fd
    try:
        fd = os.open(os.path.join(directory, name), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unusable(f"{name} is missing") from None
    octets = os.pread(fd, sizeof(FileHead), 0)
    if octets != _file_head(name, generation):
        os.close(fd)
        raise Unusable(f"{name} is of another generation")
    return fd


cdef write_all(int fd, octets):
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(fd, rest):]


cdef class Files:
    """The index files of one mailbox directory, open and mapped."""

    def __cinit__(self, str directory):
        self.directory = directory
        self._fd = self._log = self._cache = -1

    def __dealloc__(self):
        self._close_descriptors()

    cdef void _close_descriptors(self) noexcept:
        for fd in (self._fd, self._log, self._cache):
            if fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self._fd = self._log = self._cache = -1

    @classmethod
    def open(cls, str directory, bint sealed=True):
        """Open what is there. Raises Unusable; an index not sealed yet is that, too."""
        cdef Files self = cls(directory)
        try:
            self._fd = os.open(os.path.join(directory, INDEX_FILE), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unusable("there is no index yet") from None
        self._map_rows()
        if memcmp(self.head.magic, <const char*>_MAGIC[INDEX_FILE], 8) != 0:
            raise Unusable("this is not an index")
        if self.head.version != (VERSION if sealed else 0) or self.head.record_size != sizeof(Record):
            raise Unusable("the index is of another version")
        if self.head.keywords > KEYWORD_LIMIT or self.head.rows > self.capacity:
            raise Unusable("the header is damaged")
        self._log = _open_part(directory, LOG_FILE, self.head.generation)
        self._cache = _open_part(directory, CACHE_FILE, self.head.generation)
        if os.fstat(self._log).st_size < <int64_t>self.head.log_end:
            raise Unusable("the log is cut short")
        if os.fstat(self._cache).st_size < <int64_t>self.head.cache_end:
            raise Unusable("the cache is cut short")
        return self

    @classmethod
    def create(cls, str directory, uint32_t uidvalidity, uint32_t uidnext, uint64_t snapshot, keywords,
               replace):
        """Put an empty index in place of what is there, and open it.

        ``keywords``: their names in bit order. ``replace([(path, octets), ...])`` puts files in
        the place of others, all or none. The caller holds the mailbox lock, fills the index and
        seals it: one that was left half filled is not taken for the mailbox.
        """
        cdef Header head
        cdef bytes octets
        cdef bytearray page = bytearray(HEADER_SIZE + GROWTH * sizeof(Record))
        cdef int number
        memset(&head, 0, sizeof(head))
        memcpy(head.magic, <const char*>_MAGIC[INDEX_FILE], 8)
        memcpy(head.boot, <const char*>_BOOT, 16)
        head.version, head.record_size = 0, sizeof(Record)
        head.generation = int.from_bytes(os.urandom(8), "little")
        head.uidvalidity, head.uidnext, head.snapshot = uidvalidity, uidnext, snapshot
        head.log_end = head.cache_end = HEAD_SIZE
        head.keywords = len(keywords)
        octets = (<char*>&head)[:sizeof(head)]
        page[:sizeof(head)] = octets
        for number, name in enumerate(keywords):
            place = KEYWORD_OFFSET + number * KEYWORD_SIZE
            raw = name.encode()
            page[place:place + len(raw)] = raw
        replace([
            (os.path.join(directory, CACHE_FILE), _file_head(CACHE_FILE, head.generation)),
            (os.path.join(directory, LOG_FILE), _file_head(LOG_FILE, head.generation)),
            (os.path.join(directory, INDEX_FILE), bytes(page)),
        ])
        return cls.open(directory, sealed=False)

    def move(self, str directory, rename):
        """Bring an index that was made elsewhere to its place, by ``rename(source, target)``.

        What has rows and their past comes last: until then that of the old one is there.
        """
        for name in (CACHE_FILE, LOG_FILE, INDEX_FILE):
            rename(os.path.join(self.directory, name), os.path.join(directory, name))
        self.directory = directory

    @classmethod
    def remains(cls, str directory):
        """Open what is left of an index that can no longer be opened, for :func:`remember`.

        Returns None where rows and header do not tell a history. Its cache may be missing.
        """
        cdef Files self = cls(directory)
        try:
            self._fd = os.open(os.path.join(directory, INDEX_FILE), os.O_RDWR | os.O_CLOEXEC)
            self._map_rows()
        except (Unusable, FileNotFoundError):
            return None
        if memcmp(self.head.magic, <const char*>_MAGIC[INDEX_FILE], 8) != 0 \
                or self.head.version not in (0, VERSION) or self.head.begun == 0 \
                or self.head.record_size != sizeof(Record) or self.head.rows > self.capacity \
                or self.head.keywords > KEYWORD_LIMIT or self.interrupted:
            return None
        try:
            self._cache = _open_part(directory, CACHE_FILE, self.head.generation)
        except Unusable:
            pass
        return self

    def seal(self, uint64_t begun=0):
        """Say that the index is complete: what is in it now is where its history begins.

        ``begun`` is what :func:`remember` returned, where the history is longer than that.
        """
        self.head.begun = begun or self.head.snapshot
        PM_BARRIER()
        self.head.version = VERSION

    cdef _map_rows(self):
        stat = os.fstat(self._fd)
        if stat.st_size < HEADER_SIZE:
            raise Unusable("the index is cut short")
        self._inode, self._device = stat.st_ino, stat.st_dev
        self._map = mmap.mmap(self._fd, stat.st_size)
        self._octets = self._map
        self.head = <Header*>&self._octets[0]
        self.rows = <Record*>(&self._octets[0] + HEADER_SIZE)
        self.capacity = (stat.st_size - HEADER_SIZE) // sizeof(Record)

    cdef bint reach(self, uint64_t end) except -1:
        """Map the file anew when rows up to ``end`` lie behind what is mapped."""
        if end > self.capacity:
            self._map_rows()
            if end > self.capacity:
                raise Unusable("the index has fewer rows than its header says")
        return True

    cdef _make_room(self, uint64_t rows):
        cdef uint64_t room
        if rows <= self.capacity:
            return
        self._map_rows()
        if rows <= self.capacity:
            return
        room = max(rows, self.capacity + self.capacity // 4 + GROWTH)
        # Allocated, not sparse: a full disk must be an error here, not a SIGBUS later.
        os.posix_fallocate(self._fd, 0, HEADER_SIZE + room * sizeof(Record))
        self._map_rows()

    @property
    def superseded(self):
        """Whether another index is known to have taken this one's place."""
        return self.head.superseded != 0

    def current(self):
        """Say whether this is still the file at its place (deleted, rebuilt: no)."""
        if self.head.superseded:
            return False
        try:
            stat = os.stat(os.path.join(self.directory, INDEX_FILE))
        except FileNotFoundError:
            return False
        return stat.st_ino == self._inode and stat.st_dev == self._device

    def close(self):
        """Release the descriptors; views keep the rows they have mapped."""
        self._close_descriptors()

    def supersede(self):
        """Tell all who have this index mapped that another has taken its place."""
        self.head.superseded = 1

    def condemn(self):
        """Damage was met: nobody opens these files again, and the next look makes them anew."""
        self.head.version = 0
        self.head.superseded = 1

    # -- header -----------------------------------------------------------------------------

    @property
    def uidvalidity(self):
        return self.head.uidvalidity

    @property
    def uidnext(self):
        return self.head.uidnext

    @property
    def snapshot(self):
        return self.head.snapshot

    @property
    def dead(self):
        return self.head.dead

    @property
    def count(self):
        """Rows, living and dead."""
        return self.head.rows

    @property
    def oldest(self):
        """When the oldest of the tombstones went, in seconds since 1970."""
        return self.head.oldest if self.head.dead else time.time()

    @property
    def log_size(self):
        return self.head.log_end

    @property
    def stamp(self):
        """(mtime of new/, mtime of cur/, dirty since), in nanoseconds."""
        return self.head.new_stamp, self.head.cur_stamp, self.head.dirty

    @stamp.setter
    def stamp(self, tuple value):
        self.head.new_stamp, self.head.cur_stamp, self.head.dirty = value

    def level(self, tuple stamp, int64_t window, int64_t per_row):
        """Say that the index is in order and directories with these mtimes need no scan.

        ``window`` and ``per_row``: for how many nanoseconds an outside change may stay hidden
        behind our own, and how many more for each row.
        """
        cdef Header* head = self.head
        cdef int64_t new_stamp = stamp[0], cur_stamp = stamp[1]
        if head.superseded or head.sequence & 1 or head.new_stamp != new_stamp \
                or head.cur_stamp != cur_stamp:
            return False
        if memcmp(head.boot, <const char*>_BOOT, 16) != 0:
            return False
        return head.dirty == 0 or time.time_ns() - head.dirty < window + per_row * <int64_t>head.rows

    cdef mark_boot(self):
        """Say that all of this was written since the kernel started."""
        memcpy(self.head.boot, <const char*>_BOOT, 16)

    @property
    def interrupted(self):
        """A writer died inside a transaction, or the machine went down since the last one."""
        return bool(self.head.sequence & 1) or memcmp(self.head.boot, <const char*>_BOOT, 16) != 0

    @property
    def rebooted(self):
        return memcmp(self.head.boot, <const char*>_BOOT, 16) != 0

    def counts(self):
        """Return (messages, unseen, recent, deleted, uidnext, snapshot) of one moment."""
        cdef Header* head
        cdef uint32_t before
        while True:
            before = self.settled()
            head = self.head
            result = (head.messages, head.unseen, head.recent, head.deleted, head.uidnext,
                      head.snapshot)
            if not self.moved(before):
                return result

    def usage(self):
        """Return (messages, octets of their files, those of deleted ones) of one moment."""
        cdef Header* head
        cdef uint32_t before
        while True:
            before = self.settled()
            head = self.head
            result = (head.messages, head.storage, head.deleted_storage)
            if not self.moved(before):
                return result

    cdef uint32_t settled(self) except? 1:
        """Wait until no writer is in the middle of a change; return the sequence number of that.

        Writers are there for microseconds, but one may be kept from its processor, or dead:
        then the lock knows. Raises Busy.
        """
        cdef uint32_t before
        cdef int spin
        while True:
            for spin in range(SPINS):
                before = self.head.sequence
                PM_BARRIER()
                if not before & 1:
                    return before
            if self.await_writer is None:
                raise Busy
            self.await_writer(self)

    cdef bint moved(self, uint32_t before) noexcept:
        """Whether a writer has changed anything since :meth:`settled` returned this number."""
        PM_BARRIER()
        return self.head.sequence != before

    def keyword_names(self):
        """Names in bit order."""
        cdef uint32_t number
        cdef const char* place
        names = []
        for number in range(min(self.head.keywords, <uint32_t>KEYWORD_LIMIT)):
            place = <const char*>&self._octets[KEYWORD_OFFSET + number * KEYWORD_SIZE]
            names.append(place[:KEYWORD_SIZE].partition(b"\0")[0].decode("utf-8", "replace"))
        return names

    @property
    def keyword_count(self):
        return self.head.keywords


assert sizeof(Record) == 128 and sizeof(Header) <= KEYWORD_OFFSET and sizeof(Change) == 40
