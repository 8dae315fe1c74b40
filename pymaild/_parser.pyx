"""The IMAP tokenizer: incremental, bounded, nothing is scanned twice (RFC 3501 §9).

Octets go in with :meth:`Tokenizer.feed`; :meth:`Tokenizer.next` scans on from where it stopped
and says what it met. Tokens are offsets into one buffer, which :mod:`pymaild.imap._arguments`
reads. A literal is announced before it is read: the caller keeps it, streams it or refuses it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memmove

# ---- what next() returns, and kinds of tokens ------------------------------------------------

NEED_MORE = MET_NEED_MORE
COMMAND = MET_COMMAND
LITERAL = MET_LITERAL
REFUSED = MET_REFUSED

NONE = KIND_NONE
ATOM = KIND_ATOM
QUOTED = KIND_QUOTED
KEPT = KIND_LITERAL
ANNOUNCED = KIND_ANNOUNCED
STREAMED = KIND_STREAMED
LIST_BEGIN = KIND_LIST_BEGIN
LIST_END = KIND_LIST_END

# ---- failures ------------------------------------------------------------------------------

FAILURES = {
    FAIL_CHARACTER: "Invalid character in command",
    FAIL_QUOTED: "Quoted string is not closed",
    FAIL_ESCAPE: "Only a quote or a backslash can be escaped",
    FAIL_SIZE: "Malformed literal",
    FAIL_NESTING: "Too many nested parentheses",
    FAIL_UNOPENED: "Parenthesis was never opened",
    FAIL_UNCLOSED: "Parenthesis is not closed",
    FAIL_LONG: "Command is too long",
    FAIL_LITERAL_LONG: "Literal is too long for this command",
    FAIL_MEMORY: "Command has too many arguments",
}
TOO_LONG = frozenset((FAIL_LONG, FAIL_LITERAL_LONG, FAIL_MEMORY))

# ---- classes of octets ---------------------------------------------------------------------

cdef uint8_t CLASSES[256]
cdef uint8_t QUOTED_STOP[256]


cdef void fill_tables() noexcept:
    cdef int octet
    for octet in range(256):
        CLASSES[octet] = CLASS_CONTROL if octet < 32 or octet == 127 else CLASS_RUN
        QUOTED_STOP[octet] = octet in (0, 10, 13, 34, 92)
    CLASSES[b' '] = CLASS_SPACE
    CLASSES[b'('] = CLASS_OPEN
    CLASSES[b')'] = CLASS_CLOSE
    CLASSES[b'"'] = CLASS_QUOTE
    CLASSES[b'{'] = CLASS_BRACE
    CLASSES[b'\r'] = CLASS_CR
    CLASSES[b'\n'] = CLASS_LF
    for octet in range(256):
        MAY[octet] = 0
        if CLASSES[octet] != CLASS_RUN:
            continue
        MAY[octet] = MAY_WORD
        if octet >= 128:
            MAY[octet] |= MAY_ASTRING | MAY_LIST
        elif octet == 37 or octet == 42:                    # % and *
            MAY[octet] |= MAY_LIST
        elif octet == 93:                                   # ]
            MAY[octet] |= MAY_ASTRING | MAY_LIST | MAY_TAG
        elif octet == 43:                                   # +
            MAY[octet] |= MAY_ATOM | MAY_ASTRING | MAY_LIST
        elif octet != 92:                                   # not a backslash
            MAY[octet] |= MAY_ATOM | MAY_ASTRING | MAY_LIST | MAY_TAG

fill_tables()


class BadSyntax(Exception):
    """The client broke the grammar: a tagged BAD with this text (RFC 3501 §7.1.3)."""


cdef class Tokenizer:
    """Turns octets into commands.

    ``max_command`` bounds the octets of one command with all its kept literals,
    ``max_nesting`` its parentheses. A command that breaks a limit or the lexical rules is
    thrown away up to its end, with the non-synchronizing literals inside it (RFC 7888 §3),
    and then met as REFUSED; what follows it is read as if nothing had happened.
    """

    def __cinit__(self, uint32_t max_command, uint32_t max_nesting):
        self.max_command = max_command
        self.max_nesting = max_nesting
        self.buffer = <uint8_t *> malloc(SMALL_BUFFER)
        self.tokens = <Token *> malloc(SOME_TOKENS * sizeof(Token))
        if self.buffer == NULL or self.tokens == NULL:
            raise MemoryError
        self.capacity = SMALL_BUFFER
        self.room = SOME_TOKENS
        self.state = IN_GAP

    def __dealloc__(self):
        free(self.buffer)
        free(self.tokens)

    # ---- input ---------------------------------------------------------------------------

    cpdef void feed(self, bytes data) except *:
        """Append what the client sent. The tokens of the command under way stay valid."""
        cdef size_t size = PyBytes_GET_SIZE(data)
        cdef size_t wanted
        cdef void *grown
        if self.filled + size > self.capacity and self.base:
            memmove(self.buffer, self.buffer + self.base, self.filled - self.base)
            self.filled -= self.base
            self.base = 0
        if self.filled + size > self.capacity:
            wanted = self.capacity
            while wanted < self.filled + size:
                wanted *= 2
            grown = realloc(self.buffer, wanted)
            if grown == NULL:
                raise MemoryError
            self.buffer = <uint8_t *> grown
            self.capacity = wanted
        memcpy(self.buffer + self.filled, PyBytes_AS_STRING(data), size)
        self.filled += size

    @property
    def idle(self):
        """Whether nothing of a next command has arrived."""
        if self.finished:
            return self.filled == self.base + self.pos
        return self.state == IN_GAP and self.filled == self.base

    @property
    def complete(self):
        """Whether the command under way, if there is one, has been read to its end."""
        return self.finished or (self.count == 0 and self.state == IN_GAP)

    @property
    def portable(self):
        """Whether :meth:`unread` is all there is: of the next command no literal was met yet."""
        cdef bint word = self.state < IN_LITERAL or self.state == IN_CR
        return self.finished or (word and not self.line_start)

    def unread(self):
        """Return the octets behind the finished command: what another process goes on with."""
        cdef size_t start = self.base + (self.pos if self.finished else 0)
        return PyBytes_FromStringAndSize(<char *> self.buffer + start, self.filled - start)

    @property
    def behind(self):
        """How many octets :meth:`unread` would return."""
        return self.filled - self.base - (self.pos if self.finished else 0)

    def line(self):
        """Take one line as it is, without its CRLF; None when it has not arrived whole.

        For what is no command: DONE and the answers of AUTHENTICATE. The arguments of the
        command under way are gone. Raises BadSyntax, once, behind a line above the limit.
        """
        cdef size_t start
        cdef size_t stop
        cdef uint8_t *found
        if self.finished:
            self.release()
        start = self.base
        found = <uint8_t *> memchr(
            self.buffer + start + self.searched, 10, self.filled - start - self.searched
        )
        if found == NULL:
            self.searched = self.filled - start
            if self.searched > self.max_command:
                self.overflow = True
                self.base = self.filled = self.searched = 0
            return None
        stop = found - self.buffer
        self.base = stop + 1
        self.searched = 0
        if self.overflow or stop - start > self.max_command:
            self.overflow = False
            raise BadSyntax("Line is too long")
        if stop > start and self.buffer[stop - 1] == 13:
            stop -= 1
        return PyBytes_FromStringAndSize(<char *> self.buffer + start, stop - start)

    # ---- scanning ------------------------------------------------------------------------

    cpdef int next(self) except -1:
        """Scan on; return NEED_MORE, COMMAND, LITERAL or REFUSED.

        The tokens of a COMMAND are valid until the next call.
        """
        cdef int met
        if self.finished:
            self.release()
        met = self.scan()
        while met == MET_FAILURE:
            self.failed_tag = self.find_tag()
            self.begin_discard()
            met = self.scan()
        return met

    cdef int scan(self) noexcept nogil:
        cdef const uint8_t *octets = self.buffer + self.base
        cdef uint32_t stop, pos
        cdef int met
        cdef size_t ready
        if self.state >= IN_SKIP:
            return self.scan_discarded()
        if self.state == IN_DECISION or self.state == IN_STREAM:
            return MET_LITERAL
        ready = self.filled - self.base
        stop = <uint32_t> ready if ready < self.max_command else self.max_command
        while self.pos < stop:
            if self.state == IN_GAP:
                met = self.scan_gap(stop)
                if met != MET_NEED_MORE:
                    return met
            elif self.state == IN_ATOM:
                pos = self.pos
                while pos < stop and CLASSES[octets[pos]] == CLASS_RUN:
                    pos += 1
                self.pos = pos
                if pos == stop:
                    break
                self.state = IN_GAP
                if octets[pos] == b'{' and pos - self.start == 1 and octets[self.start] == b'~':
                    self.binary = True          # literal8 (RFC 4466 §6)
                elif not self.push(KIND_ATOM, self.start, self.start, pos):
                    return self.fail(FAIL_MEMORY)
            elif self.state == IN_QUOTED:
                pos = self.pos
                while pos < stop and not QUOTED_STOP[octets[pos]]:
                    pos += 1
                self.pos = pos
                if pos == stop:
                    break
                if octets[pos] == b'\\':
                    self.escaped = True
                    self.state = IN_ESCAPE
                elif octets[pos] != b'"':
                    return self.fail(FAIL_QUOTED)
                else:
                    self.state = IN_GAP
                    if not self.push(KIND_QUOTED, self.start, self.start + 1, pos + 1):
                        return self.fail(FAIL_MEMORY)
                self.pos = pos + 1
            elif self.state == IN_ESCAPE:
                if octets[self.pos] != b'"' and octets[self.pos] != b'\\':
                    return self.fail(FAIL_ESCAPE)
                self.state = IN_QUOTED
                self.pos += 1
            elif self.state == IN_LITERAL:
                if stop - self.pos < self.size:
                    return MET_NEED_MORE        # keep() saw that it fits into the limit
                self.pos += <uint32_t> self.size
                self.tokens[self.count - 1].end = self.pos
                self.line_start = self.pos
                self.state = IN_GAP
            elif self.state == IN_CR:
                if octets[self.pos] != b'\n':
                    return self.fail(FAIL_CHARACTER)
                return self.end_of_line()
            else:
                met = self.scan_size(octets[self.pos])
                if met != MET_NEED_MORE:
                    return met
        if self.pos >= self.max_command:
            return self.fail(FAIL_LONG)
        return MET_NEED_MORE

    cdef int scan_gap(self, uint32_t stop) noexcept nogil:
        """Scan what stands between tokens, and tokens of one octet."""
        cdef const uint8_t *octets = self.buffer + self.base
        cdef uint32_t pos = self.pos
        cdef int octet_class = CLASSES[octets[pos]]
        if octet_class == CLASS_RUN:
            self.start = pos
            self.state = IN_ATOM
        elif octet_class == CLASS_QUOTE:
            self.start = pos
            self.escaped = False
            self.state = IN_QUOTED
        elif octet_class == CLASS_BRACE:
            if not self.binary:
                self.start = pos
            self.size = 0
            self.digits = 0
            self.state = IN_SIZE
        elif octet_class == CLASS_OPEN:
            if self.depth == self.max_nesting:
                return self.fail(FAIL_NESTING)
            if not self.push(KIND_LIST_BEGIN, pos, pos, pos + 1):
                return self.fail(FAIL_MEMORY)
            self.depth += 1
        elif octet_class == CLASS_CLOSE:
            if self.depth == 0:
                return self.fail(FAIL_UNOPENED)
            self.depth -= 1
            if not self.push(KIND_LIST_END, pos, pos, pos + 1):
                return self.fail(FAIL_MEMORY)
        elif octet_class == CLASS_CR:
            self.line_end = pos
            self.state = IN_CR
        elif octet_class == CLASS_LF:
            self.line_end = pos
            return self.end_of_line()
        elif octet_class == CLASS_CONTROL:
            return self.fail(FAIL_CHARACTER)
        self.pos = pos + 1
        return MET_NEED_MORE

    cdef int scan_size(self, uint8_t octet) noexcept nogil:
        """Scan one octet of "{5}" CRLF or "{5+}" CRLF."""
        if self.state == IN_SIZE and 48 <= octet <= 57:
            self.digits += 1
            if self.digits > MAX_DIGITS:
                return self.fail(FAIL_SIZE)
            self.size = self.size * 10 + (octet - 48)
        elif self.state == IN_SIZE and octet == b'+' and self.digits:
            self.state = IN_SIZE_PLUS
        elif self.state <= IN_SIZE_PLUS and octet == b'}' and self.digits:
            self.waits = self.state == IN_SIZE
            self.state = IN_SIZE_END
        elif self.state == IN_SIZE_END and octet == 13:
            self.state = IN_SIZE_CR
        elif self.state >= IN_SIZE_END and octet == 10:
            self.pos += 1
            return self.announce()
        else:
            return self.fail(FAIL_SIZE)
        self.pos += 1
        return MET_NEED_MORE

    cdef int announce(self) noexcept nogil:
        self.left = self.size
        self.escaped = self.binary
        if not self.push(KIND_ANNOUNCED, self.start, self.pos, self.pos):
            self.pos -= 1                       # the line's end, which a discard looks for
            return self.fail(FAIL_MEMORY)
        self.line_start = self.pos
        self.binary = False
        self.state = IN_DECISION
        return MET_LITERAL

    cdef int end_of_line(self) noexcept nogil:
        if self.depth:
            return self.fail(FAIL_UNCLOSED)
        self.pos += 1
        self.state = IN_GAP
        self.finished = True
        return MET_COMMAND

    cdef bint push(self, int kind, uint32_t start, uint32_t data, uint32_t end) noexcept nogil:
        cdef void *grown
        cdef Token *token
        if self.count == self.room:
            grown = realloc(self.tokens, 2 * self.room * sizeof(Token))
            if grown == NULL:
                return False
            self.tokens = <Token *> grown
            self.room *= 2
        token = &self.tokens[self.count]
        token.kind = kind
        token.start = start
        token.data = data
        token.end = end
        token.depth = self.depth
        token.flag = self.escaped
        self.count += 1
        return True

    cdef void release(self) noexcept nogil:
        """Forget the finished command; what is behind it stays."""
        cdef void *shrunk
        self.base += self.pos
        self.pos = self.line_start = self.count = self.depth = 0
        self.searched = 0
        self.state = IN_GAP
        self.finished = self.binary = False
        self.failure = FAIL_NONE
        if self.base == self.filled:
            self.base = self.filled = 0
            if self.capacity > LARGE_BUFFER:
                shrunk = realloc(self.buffer, SMALL_BUFFER)
                if shrunk != NULL:
                    self.buffer = <uint8_t *> shrunk
                    self.capacity = SMALL_BUFFER

    # ---- refusing ------------------------------------------------------------------------

    cdef int fail(self, int failure) noexcept nogil:
        self.failure = failure
        return MET_FAILURE

    cdef bytes find_tag(self):
        """Return the tag of a command that cannot be parsed, b"*" when it has none."""
        cdef const uint8_t *octets = self.buffer + self.base
        cdef uint32_t i
        if not self.count or self.tokens[0].kind != KIND_ATOM or self.tokens[0].start:
            return b"*"
        for i in range(self.tokens[0].end):
            if not MAY[octets[i]] & MAY_TAG:
                return b"*"
        return PyBytes_FromStringAndSize(<char *> octets, self.tokens[0].end)

    cdef void begin_discard(self) noexcept nogil:
        """Throw away the line under way from its start, whose tail may announce a literal."""
        self.base += self.line_start
        self.pos -= self.line_start
        self.line_start = self.count = 0
        self.binary = False
        self.state = IN_DRAIN

    cdef int scan_discarded(self) noexcept nogil:
        cdef size_t ready
        cdef uint8_t *found
        while True:
            if self.state == IN_DRAINED:
                self.finished = True
                return MET_REFUSED
            ready = self.filled - self.base
            if self.state == IN_SKIP:
                if ready < self.left:
                    self.left -= ready
                    self.base = self.filled = 0
                    return MET_NEED_MORE
                self.base += <size_t> self.left
                self.left = 0
                self.state = IN_DRAIN
                continue
            found = <uint8_t *> memchr(self.buffer + self.base + self.pos, 10, ready - self.pos)
            if found == NULL:
                if ready > TAIL:
                    self.base = self.filled - TAIL
                self.pos = <uint32_t> (self.filled - self.base)
                return MET_NEED_MORE
            ready = found - self.buffer
            if self.trailing_literal(self.base, ready):
                self.state = IN_SKIP
            else:
                self.state = IN_DRAINED
            self.base = ready + 1
            self.pos = 0

    cdef bint trailing_literal(self, size_t start, size_t stop) noexcept nogil:
        """Whether a line ends in "{5+}" (RFC 7888 §3): its octets belong to the command."""
        cdef const uint8_t *octets = self.buffer
        cdef uint64_t scale = 1
        cdef int digits = 0
        if stop > start and octets[stop - 1] == 13:
            stop -= 1
        if stop - start < 4 or octets[stop - 1] != b'}' or octets[stop - 2] != b'+':
            return False
        stop -= 2
        self.left = 0
        while stop > start and 48 <= octets[stop - 1] <= 57 and digits < MAX_DIGITS:
            stop -= 1
            digits += 1
            self.left += scale * (octets[stop] - 48)
            scale *= 10
        return digits > 0 and stop > start and octets[stop - 1] == b'{'

    def discard(self):
        """Refuse the announced literal, or what is left of a streamed one, and its command.

        When the client waits for a continuation nothing more comes; else exactly the octets
        of the literal and the rest of the command are thrown away. REFUSED follows.
        """
        cdef bint over = self.state == IN_DECISION and self.waits
        if self.finished or self.state >= IN_SKIP:
            return
        self.failed_tag = self.find_tag()
        if self.state == IN_DECISION or self.state == IN_STREAM:
            self.base += self.pos
            self.pos = self.line_start = self.count = 0
            self.state = IN_DRAINED if over else IN_SKIP
        else:
            self.begin_discard()

    def skip(self, uint64_t left):
        """Throw away a command whose beginning is lost: ``left`` octets of a literal and its rest.

        For a tokenizer that has met nothing yet. REFUSED follows.
        """
        self.left = left
        self.state = IN_SKIP

    @property
    def refusal(self):
        """Why the tokenizer refused; None when the caller did."""
        return FAILURES.get(self.failure)

    @property
    def too_long(self):
        """Whether the refused command broke a limit of size."""
        return self.failure in TOO_LONG

    @property
    def refused_tag(self):
        """The tag of the refused command, b"*" where none could be read."""
        return self.failed_tag

    # ---- literals ------------------------------------------------------------------------

    @property
    def literal_size(self):
        """Octets of the announced literal."""
        return self.size

    @property
    def literal_left(self):
        """Octets of the streamed literal that were not taken yet."""
        return self.left

    @property
    def literal_waits(self):
        """Whether the client waits for a continuation request before it sends the literal."""
        return self.waits

    @property
    def waiting(self):
        """Whether a literal is announced that the client has not been asked for."""
        return self.state == IN_DECISION and self.waits

    @property
    def literal_binary(self):
        """Whether the announced literal is a literal8 (RFC 4466 §6)."""
        return self.count > 0 and self.tokens[self.count - 1].flag != 0

    def keep(self):
        """Take the announced literal into the command; False when the limit forbids it.

        Then the command is being thrown away as after :meth:`discard`, with a refusal.
        """
        if self.state != IN_DECISION:
            raise RuntimeError("no literal is announced")
        if self.pos + self.size >= self.max_command:
            self.discard()
            self.failure = FAIL_LITERAL_LONG
            return False
        self.tokens[self.count - 1].kind = KIND_LITERAL
        self.left = 0
        self.state = IN_LITERAL
        return True

    def stream(self):
        """Let the caller take the octets of the announced literal."""
        if self.state != IN_DECISION:
            raise RuntimeError("no literal is announced")
        self.tokens[self.count - 1].kind = KIND_STREAMED
        self.state = IN_STREAM
        if self.left == 0:
            self.state = IN_GAP

    def take(self):
        """Return the octets of the streamed literal that have arrived, b"" when none have."""
        cdef size_t start = self.base + self.pos
        cdef size_t size = self.filled - start
        cdef bytes piece
        if self.state != IN_STREAM:
            return b""
        if size > self.left:
            size = <size_t> self.left
        piece = PyBytes_FromStringAndSize(<char *> self.buffer + start, size)
        memmove(self.buffer + start, self.buffer + start + size, self.filled - start - size)
        self.filled -= size
        self.took(size)
        return piece

    def absorb(self, bytes data):
        """Return the part of ``data`` that belongs to the streamed literal; feed the rest.

        For data read while nothing is buffered: a large literal passes without a copy.
        """
        cdef uint64_t size = PyBytes_GET_SIZE(data)
        if self.state != IN_STREAM or self.filled != self.base + self.pos:
            self.feed(data)
            return self.take()
        if size <= self.left:
            self.took(size)
            return data
        size = self.left
        self.took(size)
        self.feed(data[size:])
        return data[:size]

    cdef void took(self, uint64_t size) noexcept nogil:
        self.left -= size
        if self.left == 0:
            self.state = IN_GAP

    # ---- for tests and logs --------------------------------------------------------------

    def octets(self):
        """Return the octets of the command under way, those of streamed literals left out."""
        return PyBytes_FromStringAndSize(<char *> self.buffer + self.base, self.pos)

    def tokens_met(self):
        """Return the tokens of the command as (kind, start, end, depth)."""
        cdef uint32_t i
        return [
            (self.tokens[i].kind, self.tokens[i].start, self.tokens[i].end, self.tokens[i].depth)
            for i in range(self.count)
        ]
