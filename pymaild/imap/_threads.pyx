"""THREAD: what it compares is read in one pass, and messages are linked by their references.

RFC 5256 §3. A node stands for an identity: for the message that has it, or, while none has been
met, for a dummy. Nodes know their parents alone.
"""

import os
import struct
from hashlib import blake2b

from cpython.array cimport array, clone
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from pymaild.imap._keys cimport REPLY, SortHead, sealed_keys, string_of
from pymaild.index._layout cimport Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport PART_SORT, PART_THREAD, expect_entry

cdef enum:
    NONE = -1
    SUBJECT = 0            # its place in pymaild.mime.order.STRINGS
    LONG_SUBJECT = 64      # octets; of a longer one its digest is compared
    DUMMIES = 2            # for each message, at most, and some more
    SOME = 1024
    STEPS = 100            # up towards roots, for each node, at most
    OFTEN = 1024           # messages between two beats
    AHEAD = 8              # messages whose keys are on their way from memory

cdef uint64_t NO_DATE = 1ULL << 63  # as pymaild/mime/order.py packs it

# Nobody outside knows which identities meet in the table.
cdef uint64_t[2] _salt
_salt[0], _salt[1] = struct.unpack("<2Q", os.urandom(16))

cdef struct Node:
    uint64_t[2] identity
    int32_t parent
    int32_t children
    int32_t message        # its place among those that are threaded; NONE for a dummy


cdef class _Forest:
    """Nodes by identity, in a table of open addresses.

    A chain of references beyond what there is room for is taken as a truncated one; so is a link
    when too many steps were needed to see that others make no loop.
    """

    cdef Node* nodes
    cdef int32_t* slots    # a node's place + 1
    cdef int shift
    cdef uint64_t mask
    cdef int32_t used
    cdef int32_t dummies
    cdef int32_t most_dummies
    cdef uint64_t steps

    def __cinit__(self, int32_t messages):
        cdef int bits = 11
        self.most_dummies = DUMMIES * messages + SOME
        while (1ULL << bits) < 2 * <uint64_t>(messages + self.most_dummies):
            bits += 1
        self.shift, self.mask = 64 - bits, (1ULL << bits) - 1
        self.steps = <uint64_t>STEPS * (messages + self.most_dummies)
        self.nodes = <Node*>malloc((messages + self.most_dummies) * sizeof(Node))
        self.slots = <int32_t*>calloc(self.mask + 1, sizeof(int32_t))
        if self.nodes == NULL or self.slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.nodes)
        free(self.slots)

    cdef int32_t* slot(self, const uint64_t* identity) noexcept:
        """Where an identity stands in the table, or is to stand."""
        cdef uint64_t place = (identity[0] * (_salt[0] | 1) + identity[1] * (_salt[1] | 1))
        cdef Node* node
        place >>= self.shift
        while self.slots[place]:
            node = &self.nodes[self.slots[place] - 1]
            if node.identity[0] == identity[0] and node.identity[1] == identity[1]:
                break
            place = (place + 1) & self.mask
        return &self.slots[place]

    cdef int32_t add(self, const uint64_t* identity, int32_t message) noexcept:
        cdef Node* node = &self.nodes[self.used]
        node.identity[0], node.identity[1] = identity[0], identity[1]
        node.parent, node.children, node.message = NONE, 0, message
        self.used += 1
        return self.used - 1

    cdef int32_t own(self, const uint64_t* identity, int32_t message) noexcept:
        """The node of a message: one apart without an identity, or with one that is taken."""
        cdef int32_t* slot
        cdef int32_t node
        if not (identity[0] or identity[1]):
            return self.add(identity, message)
        slot = self.slot(identity)
        if slot[0] and self.nodes[slot[0] - 1].message != NONE:
            return self.add(identity, message)
        if slot[0]:
            node = slot[0] - 1
            self.nodes[node].message = message
            self.dummies -= 1
            return node
        node = self.add(identity, message)
        slot[0] = node + 1
        return node

    cdef int32_t reference(self, const uint64_t* identity) noexcept:
        """The node of an identity, maybe a new dummy; NONE where there is no room for one."""
        cdef int32_t* slot = self.slot(identity)
        if slot[0] == 0:
            if self.dummies == self.most_dummies:
                return NONE
            self.dummies += 1
            slot[0] = self.add(identity, NONE) + 1
        return slot[0] - 1

    cdef bint descends(self, int32_t node, int32_t other) noexcept:
        """Whether a node is another or below it. True too when that took too many steps."""
        if node != other and self.nodes[other].children == 0:
            return False
        while node != NONE and node != other:
            if self.steps == 0:
                return True
            self.steps -= 1
            node = self.nodes[node].parent
        return node == other

    cdef void put(self, int32_t node, int32_t parent) noexcept:
        self.nodes[node].parent = parent
        self.nodes[parent].children += 1

    cdef void link(self, int32_t parent, int32_t child) noexcept:
        """Step 1 (A): a link that is there already stays."""
        if self.nodes[child].parent == NONE and not self.descends(parent, child):
            self.put(child, parent)

    cdef void place(self, int32_t node, int32_t parent) noexcept:
        """Step 1 (B): what the message itself says replaces what others said."""
        cdef int32_t before = self.nodes[node].parent
        if before == parent:
            return
        if before != NONE:
            self.nodes[before].children -= 1
            self.nodes[node].parent = NONE
        if parent != NONE and not self.descends(parent, node):
            self.put(node, parent)

    cdef void take(self, int32_t message, const unsigned char* keys, uint32_t length) noexcept:
        """Step 1 for one message. ``keys``: as pymaild/mime/order.py packs them."""
        cdef uint64_t[2] identity
        cdef int32_t node, last = NONE, found
        cdef uint64_t place, count
        memcpy(&count, keys, 8)
        memcpy(identity, keys + 8, 16)
        node = self.own(identity, message)
        for place in range(min(count, <uint64_t>(length - 24) // 16)):
            memcpy(identity, keys + 24 + 16 * place, 16)
            found = self.reference(identity)
            if found == NONE:
                continue
            if last != NONE:
                self.link(last, found)
            last = found
        self.place(node, last)

    # -- step 3 ----------------------------------------------------------------------------

    cdef int32_t above(self, int32_t node) noexcept:
        """The first message above a node, else the highest dummy; NONE for a root."""
        cdef int32_t top = self.nodes[node].parent, passed = top, following
        if top == NONE:
            return NONE
        while self.nodes[top].message == NONE and self.nodes[top].parent != NONE:
            top = self.nodes[top].parent
        while passed != top:  # dummies remember it
            following = self.nodes[passed].parent
            self.nodes[passed].parent = top
            passed = following
        return top

    cdef int32_t prune(self, int32_t messages, int32_t* parents) except -1:
        """Find the parents of messages, NONE for roots; returns how many dummies are left.

        Dummies that are left have no parent and two children at least; their numbers are those
        behind the messages.
        """
        cdef int32_t node, top, left = 0
        cdef array tops = clone(array("i"), self.used, False)
        for node in range(self.used):
            self.nodes[node].children = 0
        for node in range(self.used):
            if self.nodes[node].message != NONE:
                top = tops.data.as_ints[node] = self.above(node)
                if top != NONE:
                    self.nodes[top].children += 1
        for node in range(self.used):
            if self.nodes[node].message == NONE and self.nodes[node].children > 1:
                self.nodes[node].children = -(messages + left)
                left += 1
        for node in range(self.used):
            if self.nodes[node].message != NONE:
                parents[self.nodes[node].message] = self.number(tops.data.as_ints[node])
        return left

    cdef int32_t number(self, int32_t top) noexcept:
        """The number of a parent, as `prune` has left it. An only child of a dummy has none."""
        if top == NONE or self.nodes[top].message != NONE:
            return NONE if top == NONE else self.nodes[top].message
        return -self.nodes[top].children if self.nodes[top].children < 0 else NONE


cdef class Threaded:
    """What is known of messages, each by its place among those that are threaded.

    ``sent`` and ``arrived`` are dates as arrays of seconds, ``subjects`` numbers that are the same
    for the same base subjects, 0 for empty ones; ``replies`` says what is a reply or a forward.
    """

    cdef readonly array sent, arrived, subjects
    cdef readonly bytearray replies
    cdef _Forest forest
    cdef int32_t count
    cdef dict _subjects

    def __cinit__(self, View view, array seqs, sort, thread, beat, bint cached, bint linked):
        """``sort(seq)`` and ``thread(seq)`` give the keys that the cache does not have; without
        ``cached``, ``sort`` is asked always. ``beat`` is told how many messages of how many were
        read. Without ``linked``, references are not read.
        """
        cdef int32_t place
        cdef uint32_t seq
        cdef Record* record
        self.count = len(seqs)
        self.sent = clone(array("q"), self.count, True)
        self.arrived = clone(array("q"), self.count, True)
        self.subjects = clone(array("I"), self.count, True)
        self.replies = bytearray(self.count)
        self._subjects = {b"": 0}
        self.forest = _Forest(self.count if linked else 0)
        for place in range(self.count):
            seq = seqs.data.as_uints[place]
            if place + AHEAD < self.count:
                expect_entry(
                    view.index, &view.index.rows[view.row_of(seqs.data.as_uints[place + AHEAD])])
            record = view.record(seq)
            self.arrived.data.as_longlongs[place] = record.date
            if linked:
                self._link(place, view, record, seq, thread)
            self._read(place, view, seq, sort, cached)
            if place % OFTEN == 0:
                beat(place, self.count)
        self._subjects = None

    cdef int _read(self, int32_t place, View view, uint32_t seq, sort, bint cached) except -1:
        cdef uint64_t start = sealed_keys(view, view.record(seq), PART_SORT) if cached else 0
        cdef const unsigned char* keys
        cdef bytes made
        cdef uint32_t length = 0
        if start:
            keys = view.index.cache_octets + start
            memcpy(&length, keys - 4, 4)
        if length < sizeof(SortHead):
            made = sort(seq)
            keys, length = made, <uint32_t>len(made)
        self._take(place, keys, length)
        return 0

    cdef int _take(self, int32_t place, const unsigned char* keys, uint32_t length) except -1:
        cdef const SortHead* head = <const SortHead*>keys
        cdef uint32_t size
        cdef const unsigned char* subject = string_of(keys, length, SUBJECT, &size)
        self.replies[place] = head.flags & REPLY
        self.subjects.data.as_uints[place] = self._subject(subject[:size])
        self.sent.data.as_longlongs[place] = head.sent
        if <uint64_t>head.sent == NO_DATE:
            self.sent.data.as_longlongs[place] = self.arrived.data.as_longlongs[place]
        return 0

    cdef uint32_t _subject(self, bytes subject):
        if len(subject) > LONG_SUBJECT:
            subject = b"\xfe" + blake2b(subject, digest_size=16).digest()  # like no text
        return self._subjects.setdefault(subject, len(self._subjects))

    cdef int _link(self, int32_t place, View view, Record* record, uint32_t seq,
                   thread) except -1:
        cdef uint64_t start = sealed_keys(view, record, PART_THREAD)
        cdef bytes made
        cdef uint32_t length = 0
        if start:
            memcpy(&length, view.index.cache_octets + start - 4, 4)
        if length >= 24:
            self.forest.take(place, view.index.cache_octets + start, length)
        else:
            made = thread(seq)
            self.forest.take(place, <const unsigned char*>made, <uint32_t>len(made))
        return 0

    def firsts(self, array order not None):
        """Return of each message the first with its subject, -1 of that itself."""
        cdef array first = clone(array("i"), self.count + 1, True)
        cdef array found = clone(array("i"), self.count, False)
        cdef int32_t node, earliest
        for node in order:
            earliest = first.data.as_ints[self.subjects.data.as_uints[node]] - 1
            found.data.as_ints[node] = earliest
            if earliest == NONE:
                first.data.as_ints[self.subjects.data.as_uints[node]] = node + 1
        return found

    def parents(self):
        """Return the messages' parents, -1 for none, and how many dummies are among these.

        Dummies are numbered behind the messages. They have no parents and several children.
        """
        cdef array found = clone(array("i"), self.count, True)
        return found, self.forest.prune(self.count, <int32_t*>found.data.as_ints)
