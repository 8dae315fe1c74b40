"""The snapshot index of one mailbox.

Readers take no lock: they read a consistent header by its sequence number and never look
behind what it publishes. A writer (its caller holds the mailbox lock) stages its changes,
does all input and output that can fail, then changes rows and header in memory alone.
"""

import errno
import mmap
import os
import time

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from pymaild.index._layout cimport (
    ADD, CHANGE_WORDS, CHECKED_WORDS, DELETED, EXPUNGE, FLAGS, HEAD_SIZE, HEADER_SIZE, IN_NEW,
    KEYWORD_LIMIT, KEYWORD_OFFSET, KEYWORD_SIZE, MOVE, PLACE_FLAGS, PLACE_KEYWORDS, PM_BARRIER,
    SEEN, SPINS, SYSTEM_MASK,
    TOUCH, VERSION, Change, FileHead, Header, Record, pm_check,
)

def checksum(bytes data):
    """Return the 32-bit check over ``data``, whose length is a multiple of 8."""
    return pm_check(<const char*>data, len(data) // 8)


cdef uint32_t _name_check(bytes name):
    cdef bytes padded = name + bytes((8 - len(name) % 8) % 8)
    return pm_check(<const char*>padded, len(padded) // 8)


cdef uint64_t _BEHIND = <uint64_t>1 << 63  # in Record.place

cdef enum:
    GROWTH = 256           # rows a new index has room for
    WRITTEN_AT_ONCE = 1 << 20  # octets of names and cache entries

from pymaild.core.errors import Code, Refused

INDEX_FILE, LOG_FILE, CACHE_FILE = "pymaild.index", "pymaild.log", "pymaild.cache"
_MAGIC = {INDEX_FILE: b"PMINDEX\n", LOG_FILE: b"PMCHANG\n", CACHE_FILE: b"PMCACHE\n"}


class Unusable(Refused):
    """The index is missing, damaged, or of another version: it is made anew from the mail."""

    def __init__(self, str reason):
        text = "The mailbox was damaged and is being repaired, try again"
        super().__init__(Code.UNAVAILABLE, text, reason)


class Gap(Exception):
    """The log does not tell how a view of that age moves on."""


class Busy(Refused):
    """A writer has left the header in change, and nobody knows what became of it."""

    def __init__(self):
        super().__init__(Code.INUSE, "The mailbox is in use, try again later")


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
    def create(str directory, uint32_t uidvalidity, uint32_t uidnext, uint64_t snapshot, keywords,
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
        return Index.open(directory, sealed=False)

    def move(self, str directory, rename):
        """Bring an index that was made elsewhere to its place, by ``rename(source, target)``.

        What has rows and their past comes last: until then that of the old one is there.
        """
        for name in (CACHE_FILE, LOG_FILE, INDEX_FILE):
            rename(os.path.join(self.directory, name), os.path.join(directory, name))
        self.directory = directory

    @staticmethod
    def remains(str directory):
        """Open what is left of an index that can no longer be opened, for :meth:`remember`.

        Returns None where rows and header do not tell a history. Its cache may be missing.
        """
        cdef Index self = Index(directory)
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

        ``begun`` is what :meth:`remember` returned, where the history is longer than that.
        """
        self.head.begun = begun or self.head.snapshot
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

    # -- rows -------------------------------------------------------------------------------

    cdef Record* row(self, uint64_t number) except NULL:
        """The row, checked; a row in change is looked at again."""
        cdef Record* record
        cdef uint32_t before
        self.reach(number + 1)
        record = &self.rows[number]
        if record.check == pm_check(record, CHECKED_WORDS):
            return record
        while True:
            before = self.settled()
            record = &self.rows[number]
            if record.check == pm_check(record, CHECKED_WORDS):
                return record
            if not self.moved(before):
                break
        self.condemn()
        raise Unusable(f"row {number} is damaged")

    def condemn(self):
        """Damage was met: nobody opens these files again, and the next look makes them anew."""
        self.head.version = 0
        self.head.superseded = 1

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

    def combined(self, rows, str how, uint32_t flags, uint64_t keywords, uint32_t may,
                 uint64_t may_keywords):
        """Return {row: (flags, keywords)} of those messages that a STORE changes.

        ``how``: "set", "add" or "remove" these system flags and keywords, of those only that
        may be changed.
        """
        cdef uint32_t old, new
        cdef uint64_t words, new_words, number
        cdef Record* record
        cdef dict found = {}
        cdef bint adds = how == "add", removes = how == "remove"
        for number in rows:
            record = self.row(number)
            old, words = record.flags & SYSTEM_MASK, record.keywords
            new = old | flags if adds else old & ~flags if removes else flags
            new_words = words | keywords if adds else words & ~keywords if removes else keywords
            new = (new & may) | (old & ~may)
            new_words = (new_words & may_keywords) | (words & ~may_keywords)
            if new != old or new_words != words:
                found[number] = new, new_words
        return found

    def modseq(self, uint64_t number):
        """The transaction that last changed a row."""
        return self.row(number).modseq

    def size(self, uint64_t number):
        """The octets of the message's file."""
        return self.row(number).size

    def name(self, uint64_t number):
        """The message's file name in the Maildir without its info part, as bytes."""
        return self._name(self.row(number))

    cdef bytes _name(self, Record* record):
        cdef uint64_t offset = record.name_offset
        cdef bytes name
        if not self._reach_cache(offset, record.name_length):
            self.condemn()
            raise Unusable("the cache is cut short")
        name = (<const char*>self.cache_octets)[offset:offset + record.name_length]
        if _name_check(name) != record.name_check:
            self.condemn()
            raise Unusable("a name in the cache is damaged")
        return name

    cdef bint _reach_cache(self, uint64_t offset, uint64_t length) except -1:
        cdef uint64_t size
        if length <= self.cache_size and offset <= self.cache_size - length:
            return True
        size = os.fstat(self._cache).st_size
        if length > size or offset > size - length:
            return False
        self.cache_size = 0
        self._cache_view = None
        self._cache_map = mmap.mmap(self._cache, size, prot=mmap.PROT_READ)
        self._cache_view = self._cache_map
        self.cache_octets, self.cache_size = &self._cache_view[0], size
        return True

    def cached(self, uint64_t number):
        """Return the message's cache entry as bytes, or None. Its form is the caller's."""
        cdef Record* record = self.row(number)
        cdef uint64_t offset = record.cache_offset
        cdef uint32_t length = record.cache_length
        if offset == 0 or not self._reach_cache(offset, length):
            return None
        return (<const char*>self.cache_octets)[offset:offset + length]

    def set_cached(self, uint64_t number, bytes entry, uint64_t wire_size):
        """Append a cache entry and point the row at it. Needs no lock: entries never change.

        Where the disk has no room the row stays without an entry: nothing needs one.
        """
        cdef Record* record = self.row(number)
        cdef int64_t end
        record.wire_size = wire_size
        try:
            if os.write(self._cache, entry) != len(entry):
                return
        except OSError:
            return
        end = os.lseek(self._cache, 0, os.SEEK_CUR)
        record = self.row(number)
        record.cache_length = len(entry)
        PM_BARRIER()
        record.cache_offset = end - len(entry)

    def uncached(self, uint64_t below, Py_ssize_t most, uint64_t among=~<uint64_t>0):
        """Return rows of living messages without a cache entry: of those with a UID below
        `below` the youngest ones, `most` at most, the youngest first. `among`: how many of the
        youngest rows are looked at."""
        cdef uint64_t number = self.head.rows
        cdef uint64_t last = number - among if among < number else 0
        cdef Record* record
        cdef list found = []
        self.reach(number)
        while number > last and len(found) < most:
            number -= 1
            record = &self.rows[number]
            if record.uid < below and not record.expunged and not record.cache_offset:
                found.append(number)
        return found

    def drop_cached(self, uint64_t number):
        """Forget a cache entry that turned out damaged."""
        self.row(number).cache_offset = 0

    def set_wire_size(self, uint64_t number, uint64_t wire_size):
        """Remember a size that was counted while reading."""
        self.row(number).wire_size = wire_size

    def wire_size(self, uint64_t number):
        return self.row(number).wire_size

    def date(self, uint64_t number):
        """Return INTERNALDATE in seconds since 1970."""
        return self.row(number).date

    def move_places(self, int64_t[:] ends, int64_t[:] by):
        """Remember where messages are now: those from ``ends[n]`` on have moved ``by[n]`` octets.

        ``ends`` ascend.
        """
        cdef uint64_t number
        cdef Py_ssize_t low, high, middle
        cdef int64_t place
        if not ends.shape[0]:
            return
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            place = self.rows[number].place
            low, high = 0, ends.shape[0]
            while low < high:
                middle = (low + high) // 2
                if ends[middle] <= place:
                    low = middle + 1
                else:
                    high = middle
            if low:
                self.rows[number].place = place + by[low - 1]

    def place(self, uint64_t number):
        """Return what the store has noted to find a message, 0 where that is nothing."""
        return self.row(number).place

    def set_place(self, uint64_t number, uint64_t place):
        """Note what is needed to find a message."""
        self.row(number).place = place

    @property
    def found_from(self):
        """From which UID on names are believed: these are of rows that a power failure took."""
        return self.head.found_from or self.head.uidnext

    def found(self):
        """All names have been read since then."""
        self.head.found_from = 0

    def wasteful(self, uint64_t spare):
        """Say whether most of the cache file is of no use any more, ``spare`` octets aside.

        That is found out by looking at all rows, so only when the file has doubled since.
        """
        cdef uint64_t number, used = 0
        cdef Record* record
        if self.head.cache_end < spare + 2 * self.head.cache_looked:
            return False
        self.reach(self.head.rows)
        for number in range(self.head.rows):
            record = &self.rows[number]
            used += 0 if record.expunged else record.name_length + record.cache_length
        self.head.cache_looked = self.head.cache_end
        return self.head.cache_end > spare + 2 * used

    # -- flags that the mail does not say yet -------------------------------------------------

    @property
    def behind(self):
        """Since when there are any, in nanoseconds since 1970; 0 where there are none."""
        return self.head.behind

    def fall_behind(self, rows):
        """Note what the names of these messages say: their flags are about to change.

        Comes before the change, as a fact that is true with or without it: so a writer may die
        at any moment. The caller holds the lock.
        """
        cdef Header* head
        cdef Record* record
        cdef uint64_t number
        self.reach(self.head.rows)
        head = self.head
        if not rows:
            return
        head.behind_first = min(head.behind_first if head.behind else ~<uint64_t>0, min(rows))
        head.behind_end = max(head.behind_end if head.behind else 0, max(rows) + 1)
        PM_BARRIER()
        head.behind = head.behind or time.time_ns()
        for number in rows:
            record = self.row(number)
            if not record.place & _BEHIND:
                record.place = _BEHIND | record.keywords << PLACE_KEYWORDS | record.flags & PLACE_FLAGS
        PM_BARRIER()

    def named(self, uint64_t number):
        """Return (flags, keywords) that the name of a message's file says, as far as is known."""
        cdef Record* record = self.row(number)
        if record.place & _BEHIND:
            return record.place & PLACE_FLAGS, (record.place ^ _BEHIND) >> PLACE_KEYWORDS
        return record.flags, record.keywords

    def rename(self, uint64_t number, uint32_t flags, uint64_t keywords):
        """Note that others have made a name say this; one that is in step need not be noted."""
        cdef Record* record = self.row(number)
        if record.place & _BEHIND:
            record.place = _BEHIND | keywords << PLACE_KEYWORDS | flags & PLACE_FLAGS

    def stragglers(self):
        """Return the rows of living messages whose names have to follow."""
        cdef uint64_t number
        cdef Record* record
        self.reach(self.head.rows)
        found = []
        if self.head.behind:
            for number in range(self.head.behind_first, min(self.head.behind_end, self.head.rows)):
                record = &self.rows[number]
                if record.place & _BEHIND and not record.expunged:
                    found.append(number)
        return found

    def caught_up(self):
        """No name has to follow any more."""
        self.head.behind = 0

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
            uint64_t size, uint64_t wire_size, bytes name, uint64_t modseq=0, uint64_t place=0):
        """Stage a new message. UIDs are added in ascending order. Returns its row.

        ``place``: where it begins in a file of many.
        """
        row = self.head.rows + len(self._staged_names)
        self._staged_names.append((uid, flags, keywords, date, saved, size, wire_size, name,
                                   modseq, _name_check(name), place))
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

    def touch(self):
        """Stage a transaction of the mailbox itself: HIGHESTMODSEQ grows, no message changes."""
        self._staged.append((TOUCH, 0, 0, 0, 0))

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
            log_end, log_floor = self._write_log(modseq)
        except BaseException:
            self.forget()
            raise
        self.head.sequence |= 1
        PM_BARRIER()
        self._place_rows(offsets, modseq)
        for kind, row, _uid, flags, keywords in self._staged:
            self._apply(kind, row, flags, keywords, modseq)
        self.head.log_end, self.head.cache_end = log_end, cache_end
        self.head.log_floor = log_floor
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
        # In one write: another process may append cache entries at the same time.
        if os.write(self._cache, blob) != len(blob):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), CACHE_FILE)
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
        try:
            _write_all(self._log, blob)
        except OSError:
            if self._staged_names:
                raise
            # Flags are changed and mail is removed on a full disk, too: views find out by
            # comparing rows what the log does not tell.
            return position, modseq
        return position + len(blob), self.head.log_floor

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
            record.name_check = staged[9]
            record.created = modseq
            record.modseq = staged[8] or modseq
            record.place = staged[10]
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
        if kind == TOUCH or record.expunged:
            return
        self._count(record, -1)
        record.modseq = modseq if kind != MOVE else record.modseq
        if kind == EXPUNGE:
            record.expunged = modseq
            record.previous_dead = head.last_dead
            record.went = <int64_t>time.time()
            head.oldest = head.oldest if head.dead else record.went
            head.last_dead = number + 1
            head.dead += 1
        else:
            record.flags, record.keywords = flags, keywords
            self._count(record, 1)
        record.check = pm_check(record, CHECKED_WORDS)

    cdef void _count(self, Record* record, int by) noexcept:
        cdef Header* head = self.head
        head.messages += by
        head.storage += by * <int64_t>record.size
        if not record.flags & SEEN:
            head.unseen += by
        if record.flags & DELETED:
            head.deleted += by
            head.deleted_storage += by * <int64_t>record.size
        if record.flags & IN_NEW:
            head.recent += by

    def mend(self, uint32_t uidnext, uint64_t snapshot):
        """Undo what an interrupted writer left, and count anew. Raises Unusable.

        ``uidnext`` and ``snapshot`` are floors: numbers below may have been seen by clients.
        """
        cdef Header* head
        cdef uint64_t number, last = 0
        cdef bint unfinished = False
        cdef bint lost = self.rebooted  # names tell more than rows of which some were not written
        cdef Record* record
        dead = []
        self.reach(self.head.rows)
        head = self.head
        head.sequence |= 1
        head.messages = head.unseen = head.recent = head.deleted = 0
        head.storage = head.deleted_storage = 0
        for number in range(head.rows):
            record = &self.rows[number]
            if record.uid <= last or record.name_length == 0 or record.name_length > 255:
                raise Unusable(f"row {number} is damaged")
            last = record.uid
            unfinished |= max(record.modseq, record.created) > head.snapshot
            if record.expunged > head.snapshot:
                record.expunged = 0
            if lost and record.place & _BEHIND:
                record.place = 0
            if record.expunged:
                dead.append((record.expunged, number))
            else:
                self._count(record, 1)
            record.check = pm_check(record, CHECKED_WORDS)
        self._chain(sorted(dead))
        if unfinished:
            # Its transaction is over, with what had come of it; no log tells what that was.
            head.snapshot += 1
            head.log_floor = head.snapshot
        head.uidnext = max(max(head.uidnext, uidnext), <uint32_t>(last + 1))
        head.snapshot = max(head.snapshot, snapshot)
        memcpy(head.boot, <const char*>_BOOT, 16)
        head.behind = 0 if lost else head.behind
        head.found_from = last + 1 if lost else head.found_from
        head.new_stamp = head.cur_stamp = 0
        PM_BARRIER()
        head.sequence = (head.sequence | 1) + 1

    cdef _chain(self, list dead):
        """Link the tombstones anew. ``dead``: (transaction, row), in the order in which they went."""
        cdef uint64_t number, link = 0
        for _, number in dead:
            self.rows[number].previous_dead = link
            self.rows[number].check = pm_check(&self.rows[number], CHECKED_WORDS)
            link = number + 1
        self.head.last_dead, self.head.dead = link, len(dead)

    def remember(self, Index old, int64_t since, uint64_t most, uint64_t octets=1 << 62):
        """Take over when messages appeared, changed and went from the index before this one.

        Tombstones from before ``since`` (seconds since 1970) are left behind, and the older ones
        of more than ``most``, and cache entries of more than ``octets``. Comes after all messages and before :meth:`seal`. Returns the
        transaction at which the history begins, 0 where there is none: rows that do not check,
        or a UID that has come in between. Raises OSError, with nothing changed.
        """
        cdef uint64_t begun = max(old.head.begun, old._forgotten(since, most))
        cdef list rows = self._past(old, begun)
        if rows is None:
            return 0
        self._make_room(self.head.rows + len(rows))
        self._merge(old, self._keep_names(old, rows, octets))
        # The log speaks of rows where they no longer are; views compare instead.
        self.head.log_end, self.head.log_floor = HEAD_SIZE, self.head.snapshot
        return begun

    cdef uint64_t _forgotten(self, int64_t since, uint64_t most) except? 0:
        """The youngest transaction whose tombstones are left behind, 0 when all are kept."""
        cdef uint64_t link = self.head.last_dead, seen = 0
        while 0 < link <= self.head.rows and seen < self.head.rows:
            seen += 1
            if seen > most or self.rows[link - 1].went < since:
                return self.rows[link - 1].expunged
            link = self.rows[link - 1].previous_dead
        return 0

    cdef list _past(self, Index old, uint64_t begun):
        """The rows of ``old`` that are needed here as tombstones, or None: they do not fit in."""
        cdef uint64_t number, place = 0
        cdef uint32_t last = 0
        cdef Record* record
        rows = []
        for number in range(old.head.rows):
            record = &old.rows[number]
            if record.check != pm_check(record, CHECKED_WORDS) or record.uid <= last:
                return None
            last = record.uid
            if place < self.head.rows and self.rows[place].uid <= last:
                if self.rows[place].uid < last or record.expunged:
                    return None
                place += 1
            elif record.expunged > begun or record.expunged == 0:
                rows.append(number)
        return rows

    cdef dict _keep_names(self, Index old, list rows, uint64_t octets):
        """Write names and cache entries of tombstones: row of ``old`` to where they are.

        Nobody else writes to these files yet.
        """
        cdef bytearray blob = bytearray()
        start = os.fstat(self._cache).st_size
        kept = {}
        for number in rows:
            name, entry = old._last_words(&old.rows[number])
            entry = entry if <uint64_t>len(entry) <= octets else b""
            octets -= len(entry)
            kept[number] = start + len(blob), name, len(entry)
            blob += name + entry
            if len(blob) >= WRITTEN_AT_ONCE:
                _write_all(self._cache, blob)
                start += len(blob)
                blob = bytearray()
        _write_all(self._cache, blob)
        self.head.cache_end = start + len(blob)
        return kept

    cdef tuple _last_words(self, Record* record):
        """Name and cache entry of a row; of what is lost, a name that no file has."""
        cdef uint64_t offset = record.cache_offset
        if self._cache >= 0:
            try:
                name = self._name(record)
                if offset and self._reach_cache(offset, record.cache_length):
                    return name, (<const char*>self.cache_octets)[
                        offset:offset + record.cache_length]
                return name, b""
            except Unusable:
                pass
        return b"gone-%d" % record.uid, b""

    cdef _merge(self, Index old, dict kept):
        """Put tombstones between the rows, from the last to the first; nothing here can fail."""
        cdef uint64_t theirs = old.head.rows, ours = self.head.rows, place = ours + len(kept)
        cdef Record* record
        cdef Record* past
        self.head.rows = place
        dead = []
        self.head.oldest = <int64_t>time.time()
        while ours or theirs:
            past = &old.rows[theirs - 1] if theirs else NULL
            if past == NULL or ours and self.rows[ours - 1].uid >= past.uid:
                ours, place = ours - 1, place - 1
                record = &self.rows[place]
                if place != ours:
                    memcpy(record, &self.rows[ours], sizeof(Record))
                if past == NULL or record.uid > past.uid:
                    continue
                theirs -= 1
                record.created = past.created
                if not (record.flags ^ past.flags) & SYSTEM_MASK \
                        and record.keywords == past.keywords:
                    record.modseq = past.modseq
                record.check = pm_check(record, CHECKED_WORDS)
                continue
            theirs -= 1
            if theirs not in kept:
                continue
            place -= 1
            record = &self.rows[place]
            memcpy(record, past, sizeof(Record))
            offset, name, length = kept[theirs]
            record.name_offset, record.name_length = offset, len(name)
            record.name_check = _name_check(name)
            record.cache_offset, record.cache_length = offset + len(name) if length else 0, length
            if record.expunged == 0:
                record.expunged = record.modseq = self.head.snapshot
                record.went = <int64_t>time.time()
            self.head.oldest = min(self.head.oldest, record.went)
            dead.append((record.expunged, place))
        self._chain(sorted(dead))

    def living(self):
        """Yield (row, uid, flags, keywords, date, save date, size, wire size, name, modseq)."""
        cdef uint64_t number
        cdef Record* record
        for number in range(self.head.rows):
            record = self.row(number)
            if not record.expunged:
                yield (number, record.uid, record.flags, record.keywords, record.date,
                       record.save_date, record.size, record.wire_size,
                       self._name(record),
                       record.modseq)


cdef _write_all(int fd, octets):
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(fd, rest):]



assert sizeof(Record) == 128 and sizeof(Header) <= KEYWORD_OFFSET and sizeof(Change) == 40
