"""The snapshot index of one mailbox.

Readers take no lock: they read a consistent header by its sequence number and never look
behind what it publishes. A writer (its caller holds the mailbox lock) stages its changes,
does all input and output that can fail, then changes rows and header in memory alone.
"""

import mmap
import os

from cpython.array cimport array, clone
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcmp, memcpy, memset

from pymaild.index._index cimport (
    ADD, DELETED, EXPUNGE, FLAGS, HEAD_SIZE, HEADER_SIZE, IN_NEW, KEYWORD, KEYWORD_LIMIT,
    KEYWORD_OFFSET, KEYWORD_SIZE, MOVE, SEEN, SYSTEM_MASK, VERSION,
    Change, FileHead, Header, Record,
)

cdef extern from *:
    """
    #include <stdint.h>
    #define PM_BARRIER() __sync_synchronize()
    /* A multiply-and-rotate mix over 64-bit words: it detects damage, it does not authenticate. */
    static inline uint32_t pm_check(const void *data, size_t words) {
        const uint64_t *p = (const uint64_t *)data;
        uint64_t h = 0x9E3779B97F4A7C15ULL;
        for (size_t i = 0; i < words; i++) {
            h ^= p[i];
            h *= 0xFF51AFD7ED558CCDULL;
            h = (h << 29) | (h >> 35);
        }
        h ^= h >> 32;
        return (uint32_t)h;
    }
    """
    void PM_BARRIER() nogil
    uint32_t pm_check(const void* data, size_t words) nogil

cdef uint32_t checksum_of(const void* data, size_t words) noexcept nogil:
    return pm_check(data, words)


def checksum(bytes data):
    """Return the 32-bit check over ``data``, whose length is a multiple of 8."""
    return pm_check(<const char*>data, len(data) // 8)


cdef enum:
    CHECKED_WORDS = 11     # of a Record, up to its check
    CHANGE_WORDS = 4       # of a Change, up to its check
    GROWTH = 256           # rows a new index has room for
    SPINS = 10000          # looks at a header in change before the lock is asked

cdef array _U32 = array("I", [])

INDEX_FILE, LOG_FILE, CACHE_FILE = "pymaild.index", "pymaild.log", "pymaild.cache"
_MAGIC = {INDEX_FILE: b"PMINDEX\n", LOG_FILE: b"PMCHANG\n", CACHE_FILE: b"PMCACHE\n"}


class Unusable(Exception):
    """The index is missing, damaged, or of another version: rebuild it from the mail."""


class Busy(Exception):
    """A writer has left the header in change for longer than a transaction takes."""


def boot_id():
    """Return 16 octets that differ after each start of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


_BOOT = boot_id()


cdef int _ascending(const void* a, const void* b) noexcept nogil:
    cdef uint32_t x = (<uint32_t*>a)[0], y = (<uint32_t*>b)[0]
    return (x > y) - (x < y)


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


cdef class Index:
    """The index files of one mailbox directory, open and mapped."""

    def __cinit__(self, str directory):
        self.directory = directory
        self._fd = self._log = self._cache = -1
        self._staged = []
        self._staged_names = []

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

    @staticmethod
    def open(str directory, bint sealed=True):
        """Open what is there. Raises Unusable; an index not sealed yet is that, too."""
        cdef Index self = Index(directory)
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

    @staticmethod
    def create(str directory, uint32_t uidvalidity, uint32_t uidnext, uint64_t snapshot, keywords):
        """Put an empty index in place of what is there, and open it.

        ``keywords``: their names in bit order. The caller holds the mailbox lock, fills the
        index and seals it: one that was left half filled is not taken for the mailbox.
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
        _replace(directory, CACHE_FILE, _file_head(CACHE_FILE, head.generation))
        _replace(directory, LOG_FILE, _file_head(LOG_FILE, head.generation))
        _replace(directory, INDEX_FILE, bytes(page))
        return Index.open(directory, sealed=False)

    def seal(self):
        """Say that the index is complete."""
        PM_BARRIER()
        self.head.version = VERSION

    def _map_rows(self):
        stat = os.fstat(self._fd)
        if stat.st_size < HEADER_SIZE:
            raise Unusable("the index is cut short")
        self._inode, self._device = stat.st_ino, stat.st_dev
        self._map = mmap.mmap(self._fd, stat.st_size)
        self._octets = self._map
        self.head = <Header*>&self._octets[0]
        self.rows = <Record*>(&self._octets[0] + HEADER_SIZE)
        self.capacity = (stat.st_size - HEADER_SIZE) // sizeof(Record)

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
    def log_size(self):
        return self.head.log_end

    @property
    def stamp(self):
        """(mtime of new/, mtime of cur/, dirty since), in nanoseconds."""
        return self.head.new_stamp, self.head.cur_stamp, self.head.dirty

    @stamp.setter
    def stamp(self, tuple value):
        self.head.new_stamp, self.head.cur_stamp, self.head.dirty = value

    def unchanged(self, int64_t new_stamp, int64_t cur_stamp, int64_t now, int64_t window):
        """Say that directories with these mtimes need no scan."""
        cdef Header* head = self.head
        if head.new_stamp != new_stamp or head.cur_stamp != cur_stamp:
            return False
        return head.dirty == 0 or now - head.dirty < window

    @property
    def interrupted(self):
        """A writer died inside a transaction, or the machine went down since the last one."""
        return bool(self.head.sequence & 1) or memcmp(self.head.boot, <const char*>_BOOT, 16) != 0

    @property
    def rebooted(self):
        return memcmp(self.head.boot, <const char*>_BOOT, 16) != 0

    def counts(self):
        """Return (messages, unseen, recent, deleted, uidnext, snapshot) of one moment."""
        cdef Header* head = self.head
        cdef uint32_t before
        cdef int spin
        for spin in range(SPINS):
            before = head.sequence
            PM_BARRIER()
            result = (head.messages, head.unseen, head.recent, head.deleted, head.uidnext,
                      head.snapshot)
            PM_BARRIER()
            if not before & 1 and before == head.sequence:
                return result
        raise Busy

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

    # -- rows -------------------------------------------------------------------------------

    cdef Record* row(self, uint64_t number) except NULL:
        """The row, checked; a row in change is looked at again."""
        cdef Record* record
        cdef int spin
        self.reach(number + 1)
        record = &self.rows[number]
        for spin in range(SPINS):
            if record.check == pm_check(record, CHECKED_WORDS):
                return record
            PM_BARRIER()
            if not self.head.sequence & 1 and spin > 100:
                break
        raise Unusable(f"row {number} is damaged")

    cdef bint reach(self, uint64_t end) except -1:
        """Map the file anew when rows up to ``end`` lie behind what is mapped."""
        if end > self.capacity:
            self._map_rows()
            if end > self.capacity:
                raise Unusable("the index has fewer rows than its header says")
        return True

    cdef int64_t find(self, uint32_t uid, uint64_t rows) noexcept:
        """The row of a UID among the first ``rows``, or -1."""
        cdef uint64_t low = 0, high = min(rows, self.capacity), middle
        while low < high:
            middle = (low + high) >> 1
            if self.rows[middle].uid < uid:
                low = middle + 1
            else:
                high = middle
        if low < min(rows, self.capacity) and self.rows[low].uid == uid:
            return low
        return -1

    def row_of_uid(self, uint32_t uid):
        """Return the row of a living message, or -1."""
        self.reach(self.head.rows)
        cdef int64_t row = self.find(uid, self.head.rows)
        return row if row >= 0 and self.rows[row].expunged == 0 else -1

    def fields(self, uint64_t number):
        """Return (uid, flags, keywords, alive) of a row."""
        cdef Record* record = self.row(number)
        return record.uid, record.flags, record.keywords, record.expunged == 0

    def name(self, uint64_t number):
        """The message's file name in the Maildir without its info part, as bytes."""
        cdef Record* record = self.row(number)
        return self._cached_octets(record.name_offset, record.name_length)

    cdef bytes _cached_octets(self, uint64_t offset, uint64_t length):
        if not self._reach_cache(offset, length):
            raise Unusable("the cache is cut short")
        return (<const char*>&self._cache_octets[0])[offset:offset + length]

    cdef bint _reach_cache(self, uint64_t offset, uint64_t length) except -1:
        cdef uint64_t mapped = 0 if self._cache_map is None else len(self._cache_map)
        if offset + length <= mapped:
            return True
        size = os.fstat(self._cache).st_size
        if offset + length > <uint64_t>size:
            return False
        self._cache_octets = None
        self._cache_map = mmap.mmap(self._cache, size, prot=mmap.PROT_READ)
        self._cache_octets = self._cache_map
        return True

    def cached(self, uint64_t number):
        """Return the message's cache entry as bytes, or None. Its form is the caller's."""
        cdef Record* record = self.row(number)
        cdef uint64_t offset = record.cache_offset
        cdef uint32_t length = record.cache_length
        if offset == 0 or not self._reach_cache(offset, length):
            return None
        return (<const char*>&self._cache_octets[0])[offset:offset + length]

    def set_cached(self, uint64_t number, bytes entry, uint64_t wire_size):
        """Append a cache entry and point the row at it. Needs no lock: entries never change."""
        cdef Record* record
        cdef int64_t end
        os.write(self._cache, entry)
        end = os.lseek(self._cache, 0, os.SEEK_CUR)
        record = self.row(number)
        record.wire_size = wire_size
        record.cache_length = len(entry)
        PM_BARRIER()
        record.cache_offset = end - len(entry)

    def drop_cached(self, uint64_t number):
        """Forget a cache entry that turned out damaged."""
        self.row(number).cache_offset = 0

    def set_wire_size(self, uint64_t number, uint64_t wire_size):
        """Remember a size that was counted while reading."""
        self.row(number).wire_size = wire_size

    def wire_size(self, uint64_t number):
        return self.row(number).wire_size

    def verify(self):
        """Return what is wrong with the rows: a list of sentences, empty when all is well."""
        cdef uint64_t number
        cdef uint32_t last = 0
        problems = []
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            if self.rows[number].check != pm_check(&self.rows[number], CHECKED_WORDS):
                problems.append(f"row {number} is damaged")
            elif self.rows[number].uid <= last:
                problems.append(f"row {number} is out of order")
            else:
                last = self.rows[number].uid
        return problems

    # -- writing (the caller holds the mailbox lock) ------------------------------------------

    def add(self, uint32_t uid, uint32_t flags, uint64_t keywords, int64_t date, int64_t saved,
            uint64_t size, uint64_t wire_size, bytes name, uint64_t modseq=0):
        """Stage a new message. UIDs are added in ascending order. Returns its row."""
        row = self.head.rows + len(self._staged_names)
        self._staged_names.append((uid, flags, keywords, date, saved, size, wire_size, name,
                                   modseq))
        self._staged.append((ADD, row, uid, flags, keywords))
        return row

    def change(self, uint64_t number, uint32_t flags, uint64_t keywords):
        """Stage new flags for a row; a change that clients do not see is a MOVE."""
        cdef Record* record = self.row(number)
        seen = (record.flags ^ flags) & SYSTEM_MASK or record.keywords != keywords
        self._staged.append((FLAGS if seen else MOVE, number, record.uid, flags, keywords))

    def expunge(self, uint64_t number):
        """Stage the end of a message."""
        cdef Record* record = self.row(number)
        self._staged.append((EXPUNGE, number, record.uid, 0, 0))

    @property
    def staged(self):
        return len(self._staged)

    def forget(self):
        """Drop what is staged."""
        self._staged = []
        self._staged_names = []

    def define_keyword(self, str name):
        """Give a keyword the next bit; the names file is the caller's. Returns the bit."""
        cdef uint32_t number = self.head.keywords
        raw = name.encode()
        if number >= KEYWORD_LIMIT or len(raw) >= KEYWORD_SIZE:
            raise ValueError("no room for this keyword")
        place = KEYWORD_OFFSET + number * KEYWORD_SIZE
        self._map[place:place + KEYWORD_SIZE] = raw.ljust(KEYWORD_SIZE, b"\0")
        PM_BARRIER()
        self.head.keywords = number + 1
        return number

    def commit(self):
        """Publish what is staged as one transaction; returns its number."""
        cdef uint64_t modseq = self.head.snapshot + 1
        if not self._staged:
            return self.head.snapshot
        try:
            self._make_room(self.head.rows + len(self._staged_names))
            offsets, cache_end = self._write_names()
            log_end = self._write_log(modseq)
        except BaseException:
            self.forget()
            raise
        self.head.sequence |= 1
        PM_BARRIER()
        self._place_rows(offsets, modseq)
        for kind, row, _uid, flags, keywords in self._staged:
            self._apply(kind, row, flags, keywords, modseq)
        self.head.log_end, self.head.cache_end = log_end, cache_end
        self.head.snapshot = modseq
        PM_BARRIER()
        self.head.sequence += 1
        self.forget()
        return modseq

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

    cdef _write_names(self):
        if not self._staged_names:
            return [], self.head.cache_end
        blob = b"".join([staged[7] for staged in self._staged_names])
        _write_all(self._cache, blob)
        end = os.lseek(self._cache, 0, os.SEEK_CUR)
        offset, offsets = end - len(blob), []
        for staged in self._staged_names:
            offsets.append(offset)
            offset += len(staged[7])
        return offsets, end

    cdef _write_log(self, uint64_t modseq):
        cdef Change change
        cdef uint64_t position = self.head.log_end
        cdef bytearray blob = bytearray()
        memset(&change, 0, sizeof(change))
        change.modseq = modseq
        for kind, row, uid, flags, keywords in self._staged:
            change.kind, change.row, change.uid = kind, row, uid
            change.flags, change.keywords = flags, keywords
            change.check = pm_check(&change, CHANGE_WORDS)
            blob += (<char*>&change)[:sizeof(change)]
        # What lies behind the published end is an unfinished transaction: it is cut off.
        os.ftruncate(self._log, position)
        _write_all(self._log, blob)
        return position + len(blob)

    cdef _place_rows(self, list offsets, uint64_t modseq):
        cdef Record* record
        cdef uint64_t number = self.head.rows
        for staged, offset in zip(self._staged_names, offsets):
            record = &self.rows[number]
            memset(record, 0, sizeof(Record))
            record.uid, record.flags, record.keywords = staged[0], staged[1], staged[2]
            record.date, record.save_date, record.size = staged[3], staged[4], staged[5]
            record.wire_size = staged[6]
            record.name_offset, record.name_length = offset, len(staged[7])
            record.created = modseq
            record.modseq = staged[8] or modseq
            record.check = pm_check(record, CHECKED_WORDS)
            number += 1

    cdef _apply(self, uint32_t kind, uint64_t number, uint32_t flags, uint64_t keywords,
                uint64_t modseq):
        cdef Header* head = self.head
        cdef Record* record = &self.rows[number]
        if kind == ADD:
            head.rows = number + 1
            head.uidnext = max(head.uidnext, record.uid + 1)
            self._count(record, 1)
            return
        if record.expunged:
            return
        self._count(record, -1)
        record.modseq = modseq if kind != MOVE else record.modseq
        if kind == EXPUNGE:
            record.expunged = modseq
            record.previous_dead = head.last_dead
            head.last_dead = number + 1
            head.dead += 1
        else:
            record.flags, record.keywords = flags, keywords
            self._count(record, 1)
        record.check = pm_check(record, CHECKED_WORDS)

    cdef void _count(self, Record* record, int by) noexcept:
        cdef Header* head = self.head
        head.messages += by
        if not record.flags & SEEN:
            head.unseen += by
        if record.flags & DELETED:
            head.deleted += by
        if record.flags & IN_NEW:
            head.recent += by

    def mend(self, uint32_t uidnext, uint64_t snapshot):
        """Undo what an interrupted writer left, and count anew. Raises Unusable.

        ``uidnext`` and ``snapshot`` are floors: numbers below may have been seen by clients.
        """
        cdef Header* head = self.head
        cdef uint64_t number, kept = 0, last = 0, dead = 0
        cdef Record* record
        self.reach(head.rows)
        head.sequence |= 1
        head.messages = head.unseen = head.recent = head.deleted = 0
        for number in range(head.rows):
            record = &self.rows[number]
            if record.uid <= last or record.name_length == 0 or record.name_length > 255:
                raise Unusable(f"row {number} is damaged")
            last = record.uid
            if record.expunged > head.snapshot:
                record.expunged = 0
            if record.modseq > head.snapshot:
                record.modseq = head.snapshot
            if record.expunged:
                record.previous_dead = kept
                kept, dead = number + 1, dead + 1
            else:
                self._count(record, 1)
            record.check = pm_check(record, CHECKED_WORDS)
        head.last_dead, head.dead = kept, dead
        head.uidnext = max(max(head.uidnext, uidnext), <uint32_t>(last + 1))
        head.snapshot = max(head.snapshot, snapshot)
        memcpy(head.boot, <const char*>_BOOT, 16)
        head.new_stamp = head.cur_stamp = 0
        PM_BARRIER()
        head.sequence = (head.sequence | 1) + 1

    def living(self):
        """Yield (row, uid, flags, keywords, date, save date, size, wire size, name, modseq)."""
        cdef uint64_t number
        cdef Record* record
        for number in range(self.head.rows):
            record = self.row(number)
            if not record.expunged:
                yield (number, record.uid, record.flags, record.keywords, record.date,
                       record.save_date, record.size, record.wire_size,
                       self._cached_octets(record.name_offset, record.name_length),
                       record.modseq)

    def view(self, snapshot=None):
        """Return the mailbox as it is, or as it was at an earlier snapshot of this index.

        Returns None for a snapshot this index does not reach back to.
        """
        cdef View view = View(self)
        return view if view._fill(snapshot) else None


cdef _replace(str directory, str name, bytes octets):
    path = os.path.join(directory, name)
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, octets)
    finally:
        os.close(fd)
    os.rename(path + ".tmp", path)


cdef _write_all(int fd, octets):
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(fd, rest):]


cdef inline bint _sound(Record* record) noexcept:
    return record.check == pm_check(record, CHECKED_WORDS)


cdef class View:
    """A mailbox at one snapshot: sequence numbers 1..len(view) for the messages it selects."""

    def __cinit__(self, Index index):
        self.index = index
        self._dead = NULL

    def __dealloc__(self):
        free(self._dead)

    def _fill(self, snapshot):
        cdef Header* head = self.index.head
        cdef uint32_t before
        cdef uint64_t youngest, log_end
        cdef int spin
        for spin in range(SPINS):
            before = head.sequence
            PM_BARRIER()
            self.snapshot, self.rows = head.snapshot, head.rows
            youngest, log_end = head.last_dead, head.log_end
            PM_BARRIER()
            if not before & 1 and before == head.sequence:
                break
        else:
            raise Busy
        self.index.reach(self.rows)
        self._log_position = log_end
        if snapshot is not None and not self._go_back(snapshot):
            return False
        self._collect_dead(youngest)
        return True

    cdef bint _go_back(self, uint64_t snapshot) except -1:
        """Find rows and log position as of an earlier transaction."""
        cdef uint64_t low = 0, high = self.rows, middle
        cdef Change change
        if snapshot > self.snapshot:
            return False
        while low < high:
            middle = (low + high) >> 1
            if self.index.rows[middle].created <= snapshot:
                low = middle + 1
            else:
                high = middle
        self.rows = low
        first, last = 0, (self._log_position - HEAD_SIZE) // sizeof(Change)
        while first < last:
            centre = (first + last) >> 1
            self._read_change(&change, HEAD_SIZE + centre * sizeof(Change))
            if change.modseq <= snapshot:
                first = centre + 1
            else:
                last = centre
        if first == 0 and snapshot < self.snapshot and not self._log_reaches(snapshot):
            return False
        self._log_position = HEAD_SIZE + first * sizeof(Change)
        self.snapshot = snapshot
        return True

    cdef bint _log_reaches(self, uint64_t snapshot) except -1:
        cdef Change change
        if self._log_position <= HEAD_SIZE:
            return False
        self._read_change(&change, HEAD_SIZE)
        return change.modseq == snapshot + 1

    cdef int _read_change(self, Change* change, uint64_t position) except -1:
        cdef bytes octets = os.pread(self.index._log, sizeof(Change), position)
        if len(octets) != sizeof(Change):
            raise Unusable("the log is cut short")
        memcpy(change, <const char*>octets, sizeof(Change))
        if change.check != pm_check(change, CHANGE_WORDS):
            raise Unusable("the log is damaged")
        return 0

    cdef int _collect_dead(self, uint64_t youngest) except -1:
        """Walk the chain of tombstones, youngest first, and sort those of this snapshot."""
        cdef uint64_t room = self.index.head.dead + 1, link = youngest
        cdef Record* record
        self._dead = <uint32_t*>malloc((room + 1) * sizeof(uint32_t))
        if self._dead == NULL:
            raise MemoryError
        self._dead_count = 0
        while link and self._dead_count < room:
            record = self.index.row(link - 1)
            if record.expunged <= self.snapshot and link <= self.rows:
                self._dead[self._dead_count] = <uint32_t>(link - 1)
                self._dead_count += 1
            if record.previous_dead == link:
                raise Unusable("the chain of tombstones is damaged")
            link = record.previous_dead
        qsort(self._dead, self._dead_count, sizeof(uint32_t), _ascending)
        return 0

    def __len__(self):
        return self.rows - self._dead_count

    cdef int64_t row_of(self, uint32_t sequence) noexcept:
        """The row of a sequence number, or -1."""
        cdef uint32_t low = 0, high = self._dead_count, middle
        if sequence == 0 or sequence > self.rows - self._dead_count:
            return -1
        while low < high:
            middle = (low + high) >> 1
            if self._dead[middle] - middle <= sequence - 1:
                low = middle + 1
            else:
                high = middle
        return <int64_t>sequence - 1 + low

    cdef uint32_t _dead_below(self, uint64_t row) noexcept:
        cdef uint32_t low = 0, high = self._dead_count, middle
        while low < high:
            middle = (low + high) >> 1
            if self._dead[middle] < row:
                low = middle + 1
            else:
                high = middle
        return low

    cdef uint32_t sequence_of(self, uint64_t row) noexcept:
        """The sequence number of a row, or 0 when the view does not have it."""
        cdef uint32_t below
        if row >= self.rows:
            return 0
        below = self._dead_below(row)
        if below < self._dead_count and self._dead[below] == row:
            return 0
        return <uint32_t>(row + 1 - below)

    cdef Record* record(self, object sequence) except NULL:
        cdef int64_t row = self.row_of(sequence)
        if row < 0:
            raise IndexError("no such message in this view")
        return self.index.row(row)

    def row(self, uint32_t sequence):
        """Return the index row of a sequence number. Raises IndexError."""
        cdef int64_t row = self.row_of(sequence)
        if row < 0:
            raise IndexError("no such message in this view")
        return row

    def uid(self, uint32_t sequence):
        return self.record(sequence).uid

    def seq(self, uint32_t uid):
        """Return the sequence number of a UID, 0 when the view does not have it."""
        cdef int64_t row = self.index.find(uid, self.rows)
        return self.sequence_of(row) if row >= 0 else 0

    def flags(self, uint32_t sequence):
        """The five system flags as bits."""
        return self.record(sequence).flags & SYSTEM_MASK

    def keywords(self, uint32_t sequence):
        return self.record(sequence).keywords

    def in_new(self, uint32_t sequence):
        """Say whether the file still lies in new/."""
        return bool(self.record(sequence).flags & IN_NEW)

    def date(self, uint32_t sequence):
        return self.record(sequence).date

    def save_date(self, uint32_t sequence):
        return self.record(sequence).save_date

    def size(self, uint32_t sequence):
        """Octets in CRLF form, 0 while nobody has counted them."""
        return self.record(sequence).wire_size

    def modseq(self, uint32_t sequence):
        return self.record(sequence).modseq

    def expunged(self, uint32_t sequence):
        """Say whether the message has gone since this snapshot."""
        return self.record(sequence).expunged != 0

    def rows_in_new(self):
        """Return the rows of the view whose files lie in new/."""
        cdef uint64_t row
        return [row for row in range(self.rows)
                if self.index.rows[row].flags & IN_NEW and not self.index.rows[row].expunged
                and self.sequence_of(row)]

    def first_unseen(self):
        """Return the lowest sequence number without \\Seen, 0 when there is none."""
        cdef uint64_t row
        cdef uint32_t dead = 0, sequence = 0
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
                continue
            sequence += 1
            if not self.index.rows[row].flags & SEEN:
                return sequence
        return 0

    def total_size(self):
        """Return (octets in CRLF form, rows whose size nobody has counted)."""
        cdef uint64_t row, total = 0
        cdef uint32_t dead = 0
        unknown = []
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
            elif self.index.rows[row].wire_size:
                total += self.index.rows[row].wire_size
            else:
                unknown.append(row)
        return total, unknown

    def resolve(self, ranges, bint by_uid):
        """Return the sequence numbers that a sequence set selects, ascending, as array('I').

        ``ranges``: pairs of numbers, 0 for "*" (RFC 9051 §9, seq-range).
        """
        cdef uint32_t count = len(self), first, last, low, high, number, top
        cdef list spans = []
        if count == 0:
            return clone(_U32, 0, False)
        top = self.index.rows[self.row_of(count)].uid if by_uid else count
        for a, b in ranges:
            first, last = a or top, b or top
            low, high = min(first, last), max(first, last)
            if by_uid:
                low, high = self._at_or_after(low), self._at_or_before(high)
            if low <= high and low >= 1 and low <= count:
                spans.append((low, min(high, count)))
        return _numbers(spans)

    cdef uint32_t _lower_bound(self, uint64_t uid) noexcept:
        cdef uint64_t low = 0, high = self.rows, middle
        while low < high:
            middle = (low + high) >> 1
            if self.index.rows[middle].uid < uid:
                low = middle + 1
            else:
                high = middle
        return <uint32_t>low

    cdef uint32_t _at_or_after(self, uint32_t uid) noexcept:
        cdef uint32_t row = self._lower_bound(uid)
        return row + 1 - self._dead_below(row)

    cdef uint32_t _at_or_before(self, uint64_t uid) noexcept:
        cdef uint32_t row = self._lower_bound(uid + 1)
        return row - self._dead_below(row)

    def match_flags(self, uint32_t must, uint32_t must_not, uint64_t keywords_must,
                    uint64_t keywords_must_not):
        """Return the sequence numbers whose flags and keywords fit, as array('I')."""
        cdef uint64_t row
        cdef uint32_t dead = 0, sequence = 0, found = 0
        cdef Record* record
        cdef array result = clone(_U32, len(self), False)
        cdef uint32_t* out = <uint32_t*>result.data.as_uints
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
                continue
            sequence += 1
            record = &self.index.rows[row]
            if (record.flags & must == must and not record.flags & must_not
                    and record.keywords & keywords_must == keywords_must
                    and not record.keywords & keywords_must_not):
                out[found] = sequence
                found += 1
        return result[:found]

    def match_range(self, str column, int64_t low, int64_t high):
        """Return the sequence numbers whose column lies in low..high, as array('I')."""
        cdef uint64_t row
        cdef uint32_t dead = 0, sequence = 0, found = 0
        cdef int64_t value
        cdef int offset = _COLUMNS[column]
        cdef array result = clone(_U32, len(self), False)
        cdef uint32_t* out = <uint32_t*>result.data.as_uints
        for row in range(self.rows):
            if dead < self._dead_count and self._dead[dead] == row:
                dead += 1
                continue
            sequence += 1
            if offset == 0:
                value = self.index.rows[row].uid
            else:
                value = (<int64_t*>(<char*>&self.index.rows[row] + offset))[0]
            if low <= value <= high:
                out[found] = sequence
                found += 1
        return result[:found]

    def advance(self, bint expunge):
        """Move on to the present: (expunged, exists, flags, moved).

        ``expunged``: sequence numbers of the old view, descending, so that each is valid when
        told; ``exists``: new number of messages, or None when none came; ``flags``: (sequence
        number in the new view, transaction) of each changed message. Without ``expunge`` the
        view stops short of a transaction that took one of its messages (RFC 3501 §7.4.1).
        """
        cdef uint64_t snapshot, log_end
        cdef uint32_t before
        cdef Header* head = self.index.head
        cdef int spin
        if head.snapshot == self.snapshot and not head.sequence & 1:
            return None
        for spin in range(SPINS):
            before = head.sequence
            PM_BARRIER()
            snapshot, log_end = head.snapshot, head.log_end
            rows = head.rows
            PM_BARRIER()
            if not before & 1 and before == head.sequence:
                break
        else:
            raise Busy
        self.index.reach(rows)
        return self._replay(snapshot, log_end, expunge)

    cdef _replay(self, uint64_t snapshot, uint64_t log_end, bint expunge):
        cdef bytes octets = os.pread(self.index._log, log_end - self._log_position,
                                     self._log_position)
        cdef Change* changes = <Change*><const char*>octets
        cdef uint64_t count = len(octets) // sizeof(Change), number, stop, rows = self.rows
        cdef Change* change
        if len(octets) != <int64_t>(log_end - self._log_position):
            raise Unusable("the log is cut short")
        stop = count
        gone, changed = [], {}
        for number in range(count):
            change = &changes[number]
            if change.check != pm_check(change, CHANGE_WORDS):
                raise Unusable("the log is damaged")
            if not expunge and change.kind == EXPUNGE and self.sequence_of(change.row):
                stop = number
                snapshot = change.modseq - 1
                break
        # A transaction is seen whole or not at all.
        while stop < count and stop > 0 and changes[stop - 1].modseq > snapshot:
            stop -= 1
        for number in range(stop):
            change = &changes[number]
            if change.kind == ADD:
                rows = max(rows, <uint64_t>change.row + 1)
            elif change.kind == EXPUNGE:
                gone.append(change.row)
            elif change.kind == FLAGS:
                changed[change.row] = change.modseq
        self._log_position += stop * sizeof(Change)
        self.snapshot = snapshot
        return self._settle(rows, gone, changed)

    cdef _settle(self, uint64_t rows, list gone, dict changed):
        cdef uint64_t old_rows = self.rows
        told = sorted((self.sequence_of(row) for row in gone if row < old_rows), reverse=True)
        old_count = len(self)
        if gone:
            self._add_dead(gone)
        self.rows = rows
        exists = len(self) if len(self) != old_count - len(told) else None
        flags = sorted((self.sequence_of(row), modseq) for row, modseq in changed.items()
                       if row < old_rows and self.sequence_of(row))
        return told, exists, flags

    cdef int _add_dead(self, list gone) except -1:
        cdef uint32_t count = self._dead_count
        cdef uint32_t* dead = <uint32_t*>malloc((count + len(gone) + 1) * sizeof(uint32_t))
        if dead == NULL:
            raise MemoryError
        memcpy(dead, self._dead, count * sizeof(uint32_t))
        for row in gone:
            dead[count] = row
            count += 1
        qsort(dead, count, sizeof(uint32_t), _ascending)
        free(self._dead)
        self._dead, self._dead_count = dead, count
        return 0

    cdef bint _stands_for(self, uint32_t damaged, uint32_t uid) noexcept:
        """Say whether a UID can be that of a damaged row: it lies before the next sound one."""
        cdef uint32_t sequence
        cdef Record* record
        for sequence in range(damaged + 1, <uint32_t>len(self) + 1):
            record = &self.index.rows[self.row_of(sequence)]
            if _sound(record):
                return uid < record.uid
        return True

    def successor(self, Index index):
        """Carry the view over to an index that took this one's place.

        Returns (view, expunged, exists, flags) as :meth:`advance` tells them: found by
        comparing both views, in time proportional to the mailbox.
        """
        cdef View new = index.view()
        cdef uint32_t old_seq = 1, new_seq = 1, old_count = len(self), new_count = len(new)
        cdef Record* ours
        cdef Record* theirs
        gone, flags, kept = [], [], 0
        while old_seq <= old_count:
            ours = &self.index.rows[self.row_of(old_seq)]
            theirs = index.row(new.row_of(new_seq)) if new_seq <= new_count else NULL
            if theirs != NULL and not _sound(ours) and self._stands_for(old_seq, theirs.uid):
                flags.append((new_seq, new.snapshot))
                kept += 1
                new_seq += 1
                old_seq += 1
            elif theirs != NULL and theirs.uid == ours.uid:
                if (theirs.flags ^ ours.flags) & SYSTEM_MASK or theirs.keywords != ours.keywords \
                        or ours.modseq > self.snapshot:
                    flags.append((new_seq, new.snapshot))
                kept += 1
                new_seq += 1
                old_seq += 1
            elif theirs != NULL and theirs.uid < ours.uid:
                # A UID that this view never showed cannot come in between: renumbered.
                return None
            else:
                gone.append(old_seq)
                old_seq += 1
        gone.reverse()
        return new, (gone, new_count if new_count != kept else None, flags)


_COLUMNS = {"uid": 0, "modseq": 16, "date": 40, "save_date": 48, "size": 96}


cdef _numbers(list spans):
    """Merge spans of sequence numbers into one ascending array."""
    cdef uint32_t total = 0, place = 0, number, low, high
    cdef array result
    cdef uint32_t* out
    merged = []
    low, high = 1, 0
    for first, last in sorted(spans):
        if first > high + 1:
            if high >= low:
                merged.append((low, high))
            low, high = first, last
        elif last > high:
            low, high = (first, last) if low > high else (low, last)
    if high >= low:
        merged.append((low, high))
    for low, high in merged:
        total += high - low + 1
    result = clone(_U32, total, False)
    out = <uint32_t*>result.data.as_uints
    for low, high in merged:
        for number in range(low, high + 1):
            out[place] = number
            place += 1
    return result


assert sizeof(Record) == 128 and sizeof(Header) <= KEYWORD_OFFSET and sizeof(Change) == 40
