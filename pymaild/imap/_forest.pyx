"""Threads as a forest: from the parents of messages to thread-lists (RFC 5256 §3, §4, §5).

Nodes are numbers: messages by their places among those that are threaded, behind them dummies,
which have children but no message and no parent. All links are rows of numbers, so a forest of
many messages takes a few octets for each, and nothing is done by recursion.
"""

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc, qsort

cdef enum:
    NONE = -1              # no node; the parent of a root
    NESTED = 100           # how deep parentheses nest: what would stand deeper becomes siblings
    PIECE = 1 << 16        # octets that are put together before they are written
    ROOM = 64              # octets that one step writes at most

MOST_NESTED = NESTED

cdef array _I32 = array("i", [])

cdef struct Dated:
    int64_t date
    int32_t node


cdef int _by_date(const void* one, const void* other) noexcept nogil:
    cdef const Dated* a = <const Dated*>one
    cdef const Dated* b = <const Dated*>other
    if a.date != b.date:
        return -1 if a.date < b.date else 1
    return (a.node > b.node) - (a.node < b.node)


cdef inline int32_t* _ints(array values) noexcept:
    return <int32_t*>values.data.as_ints


cdef array _filled(Py_ssize_t size):
    """So many links that lead nowhere."""
    cdef array made = clone(_I32, size, False)
    cdef Py_ssize_t place
    for place in range(size):
        _ints(made)[place] = NONE
    return made


cdef array _in_order(Dated* rows, Py_ssize_t count):
    cdef array order = clone(_I32, count, False)
    cdef Py_ssize_t place
    with nogil:
        for place in range(1, count):
            if _by_date(&rows[place - 1], &rows[place]) > 0:
                qsort(rows, count, sizeof(Dated), _by_date)
                break
    for place in range(count):
        _ints(order)[place] = rows[place].node
    return order


def by_date(array dates not None):
    """Return messages by date; the mailbox's order decides between equal ones (§2.2)."""
    cdef Py_ssize_t count = len(dates), place
    cdef Dated* rows = <Dated*>malloc((count + 1) * sizeof(Dated))
    if rows == NULL:
        raise MemoryError
    try:
        for place in range(count):
            rows[place].date, rows[place].node = dates.data.as_longlongs[place], <int32_t>place
        return _in_order(rows, count)
    finally:
        free(rows)


cdef class Forest:
    """Messages below their parents, siblings as they stand in ``order``.

    ``parents``: of each message, -1 for a root; ``total``: messages and dummies. A dummy stands
    where its first child does (REFERENCES, steps 2, 4 and 6). ``top`` is what all roots are below.
    """

    cdef readonly array parents
    cdef int32_t messages, top
    cdef array _first, _next
    cdef int32_t* first
    cdef int32_t* next

    def __cinit__(self, array parents not None, int32_t total, array order not None):
        cdef array last = _filled(total + 1)
        cdef int32_t node, parent
        self.parents, self.messages, self.top = parents, <int32_t>len(parents), total
        self._first, self._next = _filled(total + 1), _filled(total + 1)
        self.first, self.next = _ints(self._first), _ints(self._next)
        for node in order:
            parent = _ints(parents)[node]
            if parent == NONE:
                parent = total
            elif parent >= self.messages and self.first[parent] == NONE:
                self.append(total, parent, _ints(last))
            self.append(parent, node, _ints(last))

    cdef void append(self, int32_t parent, int32_t node, int32_t* last) noexcept:
        if self.first[parent] == NONE:
            self.first[parent] = node
        else:
            self.next[last[parent]] = node
        last[parent] = node

    cdef int32_t above(self, int32_t node) noexcept:
        return _ints(self.parents)[node] if node < self.messages else NONE

    cdef int32_t behind(self, int32_t node, int32_t root) noexcept:
        """The node behind another when all below ``root`` are gone through, parents first."""
        if self.first[node] != NONE:
            return self.first[node]
        while node != root and self.next[node] == NONE:
            node = self.above(node)
        return NONE if node == root else self.next[node]

    def by_arrival(self, array arrived not None):
        """Put roots in the order in which messages have come to their threads last (REFS)."""
        cdef int32_t root = self.first[self.top], node, count = 0
        cdef array order, last = _filled(self.top + 1)
        cdef Dated* rows = <Dated*>malloc((self.messages + 1) * sizeof(Dated))
        if rows == NULL:
            raise MemoryError
        while root != NONE:
            rows[count].node, rows[count].date = root, -(<int64_t>1 << 62)
            node = root
            while node != NONE:
                if node < self.messages:
                    rows[count].date = max(rows[count].date, arrived.data.as_longlongs[node])
                node = self.behind(node, root)
            count += 1
            root = self.next[root]
        try:
            order = _keeping_ties(rows, count)
        finally:
            free(rows)
        self.first[self.top] = NONE
        for root in order:
            self.next[root] = NONE
            self.append(self.top, root, _ints(last))

    def merge(self, array subjects not None, bytearray replies not None):
        """Find parents that make one thread of all with the same base subject (step 5).

        ``subjects`` are numbers below that of the messages and one, 0 for empty ones, which are no
        one's; ``replies`` says what is a reply or a forward. Returns the number of nodes.
        """
        cdef _Merger merger = _Merger(self, subjects, replies)
        return merger.run()


cdef array _keeping_ties(Dated* rows, Py_ssize_t count):
    """The nodes by date; of equal ones the first stays the first."""
    cdef array nodes = clone(_I32, count, False), order
    cdef Py_ssize_t place
    for place in range(count):
        _ints(nodes)[place], rows[place].node = rows[place].node, <int32_t>place
    order = _in_order(rows, count)
    for place in range(count):
        _ints(order)[place] = _ints(nodes)[_ints(order)[place]]
    return order


cdef class _Merger:
    """REFERENCES step 5. ``held`` is the thread of each subject in the table."""

    cdef Forest forest
    cdef uint32_t* subjects
    cdef unsigned char[::1] replies
    cdef array _held
    cdef int32_t* held
    cdef int32_t next_dummy

    def __cinit__(self, Forest forest, array subjects, bytearray replies):
        self.forest = forest
        self.subjects = <uint32_t*>subjects.data.as_uints
        self.replies = replies
        self._held = _filled(forest.messages + 1)
        self.held = _ints(self._held)
        self.next_dummy = forest.top

    cdef int32_t run(self) noexcept:
        cdef Forest forest = self.forest
        cdef int32_t root = forest.first[forest.top]
        cdef uint32_t subject
        while root != NONE:
            subject = self.subject(root)
            if subject and self.better(root, self.held[subject]):
                self.held[subject] = root
            root = forest.next[root]
        root = forest.first[forest.top]
        while root != NONE:
            subject = self.subject(root)
            if subject and self.held[subject] != root and forest.above(root) == NONE:
                self.join(root, subject)
            root = forest.next[root]
        return self.next_dummy

    cdef bint dummy(self, int32_t root) noexcept:
        return root >= self.forest.messages

    cdef bint reply(self, int32_t root) noexcept:
        return not self.dummy(root) and self.replies[root]

    cdef uint32_t subject(self, int32_t root) noexcept:
        """Step 5 (B) (i): of a dummy, that of its first child."""
        return self.subjects[self.forest.first[root] if self.dummy(root) else root]

    cdef bint better(self, int32_t root, int32_t held) noexcept:
        """Step 5 (B) (iv): a dummy before messages, an original before replies."""
        if held == NONE:
            return True
        if self.dummy(held):
            return False
        return self.dummy(root) or (self.reply(held) and not self.reply(root))

    cdef void join(self, int32_t root, uint32_t subject) noexcept:
        """Step 5 (C): let a thread and that of the table be one."""
        cdef int32_t held = self.held[subject], child
        cdef int32_t* parents = _ints(self.forest.parents)
        if self.dummy(root):  # then the one held is a dummy too
            child = self.forest.first[root]
            while child != NONE:
                parents[child] = held
                child = self.forest.next[child]
        elif self.dummy(held) or (self.reply(root) and not self.reply(held)):
            parents[root] = held
        else:
            parents[root] = parents[held] = self.held[subject] = self.next_dummy
            self.next_dummy += 1


cdef class Lists:
    """Writes thread-lists in pieces: parents stand before their only children, several children
    are lists of their own. ``numbers`` are those of the messages.
    """

    cdef Forest forest
    cdef uint32_t* numbers
    cdef array _numbers
    cdef int32_t[NESTED + 1] waiting   # of each open list, the sibling that comes next
    cdef int depth
    cdef int32_t node                  # the one written last, where what is behind it is open
    cdef int32_t flat, root            # the node to be written next, of those below that one
    cdef char[PIECE + ROOM] text
    cdef int used

    def __cinit__(self, Forest forest, array numbers not None):
        self.forest, self._numbers = forest, numbers
        self.numbers = <uint32_t*>numbers.data.as_uints
        self.waiting[0] = forest.first[forest.top]
        self.node = self.flat = NONE

    cdef void put(self, char octet) noexcept:
        self.text[self.used] = octet
        self.used += 1

    cdef void name(self, int32_t node) noexcept:
        cdef char[10] digits
        cdef int place = 10
        cdef uint32_t number
        if node >= self.forest.messages:
            return
        number = self.numbers[node]
        while True:
            place -= 1
            digits[place] = <char>(c"0" + number % 10)
            number //= 10
            if number == 0:
                break
        while place < 10:
            self.put(digits[place])
            place += 1

    cdef void go_down(self) noexcept:
        """Write what stands behind the node that was written last."""
        cdef int32_t below = self.forest.first[self.node]
        if below == NONE:
            self.put(c")")
        elif self.forest.next[below] == NONE:
            self.put(c" ")
            self.name(below)
        else:
            if self.node < self.forest.messages:
                self.put(c" ")
            if self.depth + 1 < NESTED:
                self.depth += 1
                self.waiting[self.depth] = below
            else:
                self.root, self.flat = self.node, below
            below = NONE
        self.node = below

    cdef void list_flat(self) noexcept:
        """Write one of all those that are below a node, and do not nest any deeper."""
        self.put(c"(")
        self.name(self.flat)
        self.put(c")")
        self.flat = self.forest.behind(self.flat, self.root)
        if self.flat == NONE:
            self.put(c")")

    cdef bint step(self) noexcept:
        cdef int32_t node = self.waiting[self.depth]
        if self.node != NONE:
            self.go_down()
        elif self.flat != NONE:
            self.list_flat()
        elif node != NONE:
            self.waiting[self.depth], self.node = self.forest.next[node], node
            self.put(c"(")
            self.name(node)
        elif self.depth:
            self.depth -= 1
            self.put(c")")
        else:
            return False
        return True

    def piece(self):
        """Return what comes next, nothing at the end."""
        self.used = 0
        while self.used < PIECE and self.step():
            pass
        return PyBytes_FromStringAndSize(self.text, self.used)
