"""Address lists (RFC 5322 §3.4, §4.4) straight to the wire form of ENVELOPE.

The parser is tolerant: it always finds the next `,`, and what it cannot read becomes a name.
One address is (name, source route, local part, domain). Choices for broken ones:

- no domain: MISSING_DOMAIN, no local part: MISSING_MAILBOX. NIL would start a group and an
  empty string makes clients show `user@`; these two words are known to clients.
- several words without an address are a name; one word is a local part.
- without a name the last comment behind the first word is the name, as in RFC 822.
- `;` outside a group separates as `,` does. An open group ends with the field.
- an encoded word (RFC 2047) may hold unquoted specials.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr

from pymaild.mime._lexer cimport comment, quoted_string
from pymaild.mime._wire cimport Wire

cdef enum:
    # How far is looked ahead, so that what never ends costs no second reading.
    LONGEST_ENCODED_WORD = 256  # RFC 2047 §2 allows 75
    LONGEST_LITERAL = 256

# What an octet means outside quotes.
cdef enum:
    ATOM = 0
    BLANK = 1
    COMMENT = 2  # (
    QUOTE = 3  # "
    COMMA = 4
    SEMICOLON = 5
    COLON = 6
    OPEN = 7  # <
    CLOSE = 8  # >
    AT = 9
    LITERAL = 10  # [
    END = 11

cdef unsigned char KIND[256]
KIND[:] = [ATOM] * 256
for _octet, _kind in {
    0x20: BLANK, 0x09: BLANK, 0x0D: BLANK, 0x0A: BLANK, 0x28: COMMENT, 0x22: QUOTE,
    0x2C: COMMA, 0x3B: SEMICOLON, 0x3A: COLON, 0x3C: OPEN, 0x3E: CLOSE, 0x40: AT,
    0x5B: LITERAL,
}.items():
    KIND[_octet] = _kind


cdef class Budget:
    """How many more addresses may be written; shared by the envelopes of one reply."""

    def __init__(self, Py_ssize_t left):
        self.left = left


cdef class Parser:
    """Reads one field's value; `phrase`, `local`, `domain` hold the address being read.

    Every word goes to `phrase`. A word also goes to the side of the `@` it is on; only words
    joined by dots make one local part or domain (obsolete `john . doe @ example . org`).
    """

    cdef const unsigned char *text
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t name_size  # of the phrase before the local part
    cdef Py_ssize_t words
    cdef bint at_seen
    cdef bint domain_done
    cdef bint blank_before
    cdef bint in_group
    cdef Wire phrase
    cdef Wire local
    cdef Wire domain
    cdef Wire route
    cdef Wire comment
    cdef Wire word
    cdef Wire out
    cdef Budget budget

    def __cinit__(self, Wire out, Budget budget):
        self.out = out
        self.budget = budget
        self.phrase, self.local, self.domain = Wire(), Wire(), Wire()
        self.route, self.comment, self.word = Wire(), Wire(), Wire()

    cdef void clear(self) noexcept:
        self.phrase.size = self.route.size = self.comment.size = 0
        self.clear_address()

    cdef void clear_address(self) noexcept:
        self.local.size = self.domain.size = self.name_size = self.words = 0
        self.at_seen = self.domain_done = self.blank_before = False

    # Tokens

    cdef int next_kind(self) except -1:
        """Pass over blanks and comments; what stands at the cursor then."""
        cdef unsigned char kind
        while self.at < self.end:
            kind = KIND[self.text[self.at]]
            if kind == BLANK:
                self.at += 1
            elif kind == COMMENT:
                self.comment.size = 0
                self.at = comment(self.text, self.at, self.end, self.comment)
            else:
                return kind
            self.blank_before = True
        return END

    cdef int read_literal(self) except -1:
        """Read a domain literal (RFC 5322 §3.4.1) with its brackets."""
        cdef const unsigned char *start = self.text + self.at
        cdef const void *found = memchr(start, 0x5D, min(self.end - self.at, LONGEST_LITERAL))
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 1
        if found is not NULL:
            count = <const unsigned char *> found - start + 1
        for i in range(count):
            if KIND[start[i]] != BLANK:
                self.word.octet(start[i])
        self.at += count
        return 0

    cdef Py_ssize_t encoded_word_end(self) noexcept:
        """The end of the encoded word at the cursor, or the cursor where there is none."""
        cdef Py_ssize_t stop = min(self.end - 1, self.at + LONGEST_ENCODED_WORD)
        cdef Py_ssize_t i = self.at + 2
        cdef int marks = 0
        if i >= stop or self.text[self.at] != 0x3D or self.text[self.at + 1] != 0x3F:
            return self.at
        while i < stop and KIND[self.text[i]] != BLANK:
            if self.text[i] == 0x3F:
                if marks >= 2 and self.text[i + 1] == 0x3D:
                    return i + 2
                marks += 1
            i += 1
        return self.at

    cdef int read_atom(self) except -1:
        cdef Py_ssize_t start = self.at
        self.at = self.encoded_word_end()
        if self.at == start:
            while self.at < self.end and KIND[self.text[self.at]] == ATOM:
                self.at += 1
        return self.word.put(self.text + start, self.at - start)

    # Words into parts of an address

    cdef int add_word(self, int kind) except -1:
        """Read the word at the cursor and put it where it belongs."""
        cdef bint apart = self.blank_before
        if not self.words:
            self.comment.size = 0
        self.word.size = 0
        if kind == QUOTE:
            self.at = quoted_string(self.text, self.at, self.end, self.word)
        elif kind == LITERAL:
            self.read_literal()
        else:
            self.read_atom()
        self.blank_before = False
        self.words += 1
        if self.at_seen:
            self.add_domain(apart)
        else:
            self.add_local(apart, kind)
        if apart and self.phrase.size:
            self.phrase.octet(0x20)
        return self.phrase.put(self.word.data, self.word.size)

    cdef int add_local(self, bint apart, int kind) except -1:
        if apart and self.local.size and not self.dot_between(self.local, kind):
            self.local.size = 0
            self.name_size = self.phrase.size
        return self.local.put(self.word.data, self.word.size)

    cdef int add_domain(self, bint apart) except -1:
        if apart and self.domain.size and not self.dot_between(self.domain, ATOM):
            self.domain_done = True
        if self.domain_done:
            return 0
        return self.domain.put(self.word.data, self.word.size)

    cdef bint dot_between(self, Wire before, int kind) noexcept:
        if before.data[before.size - 1] == 0x2E:
            return True
        return kind == ATOM and self.word.size and self.word.data[0] == 0x2E

    cdef int add_at(self) except -1:
        """A second `@` belongs to the local part: the last one separates."""
        self.at += 1
        if self.at_seen:
            self.local.octet(0x40)
            self.local.put(self.domain.data, self.domain.size)
            self.domain.size = 0
        self.at_seen = True
        self.domain_done = self.blank_before = False
        return self.phrase.octet(0x40)

    # Addresses

    cdef int read_list(self) except -1:
        cdef int kind
        while self.budget.left > 0:
            kind = self.read_words()
            if kind == OPEN:
                kind = self.read_angle()
            elif kind == COLON:
                self.start_group()
                continue
            elif self.words or self.at_seen:
                self.emit_plain()
            if kind == SEMICOLON and self.in_group:
                self.end_group()
            if kind == END:
                break
            self.at += 1
        if self.in_group:
            self.end_group()
        return 0

    cdef int read_words(self) except -1:
        """Read words up to a delimiter and return it; the cursor stays on it."""
        cdef int kind
        self.clear()
        while True:
            kind = self.next_kind()
            if kind == AT:
                self.add_at()
            elif kind == CLOSE:
                self.at += 1
            elif kind == ATOM or kind == QUOTE or kind == LITERAL:
                self.add_word(kind)
            else:
                return kind

    cdef int read_angle(self) except -1:
        """Read `<route:local@domain>`; a missing `>` is put up with. Returns the delimiter."""
        cdef int kind
        cdef Py_ssize_t name_size = self.phrase.size
        self.at += 1
        self.clear_address()
        self.comment.size = 0
        if self.next_kind() == AT:
            self.read_route()
        while True:
            kind = self.next_kind()
            if kind == AT:
                self.add_at()
            elif kind == OPEN or kind == COLON:
                self.at += 1
            elif kind == ATOM or kind == QUOTE or kind == LITERAL:
                self.add_word(kind)
            else:
                break
        kind = self.skip_rest()
        self.emit(name_size)
        return kind

    cdef int read_route(self) except -1:
        """Read `@a,@b:` (RFC 5322 §4.4, obs-route) without blanks, if a colon ends it."""
        cdef Py_ssize_t start = self.at
        cdef int kind
        while True:
            kind = self.next_kind()
            if kind == COLON:
                self.at += 1
                return 0
            self.word.size = 0
            if kind == AT or kind == COMMA:
                self.word.octet(self.text[self.at])
                self.at += 1
            elif kind == ATOM:
                self.read_atom()
            elif kind == LITERAL:
                self.read_literal()
            else:
                self.at = start
                self.route.size = 0
                return 0
            self.route.put(self.word.data, self.word.size)

    cdef int skip_rest(self) except -1:
        """Pass over what stands between an address and the next delimiter."""
        cdef int kind
        while True:
            kind = self.next_kind()
            if kind == COMMA or kind == SEMICOLON or kind == END:
                return kind
            self.word.size = 0
            if kind == QUOTE:
                self.at = quoted_string(self.text, self.at, self.end, self.word)
            elif kind == ATOM:
                self.read_atom()
            else:
                self.at += 1

    # Wire form (RFC 9051 §7.5.2, ENVELOPE)

    cdef int emit_plain(self) except -1:
        """Write an address without angle brackets."""
        if self.at_seen:
            return self.emit(self.name_size)
        if self.words > 1 and self.name_size:
            self.local.size = 0
            return self.emit(self.phrase.size)
        return self.emit(0)

    cdef int emit(self, Py_ssize_t name_size) except -1:
        self.budget.left -= 1
        self.out.octet(0x28)
        if name_size:
            self.emit_name(self.phrase.data, name_size)
        else:
            self.emit_name(self.comment.data, self.comment.size)
        self.out.octet(0x20)
        self.out.nstring(self.route.data, self.route.size)
        self.out.octet(0x20)
        if self.local.size:
            self.out.string(self.local.data, self.local.size)
        else:
            self.out.put(b'"MISSING_MAILBOX"', 17)
        self.out.octet(0x20)
        if self.domain.size:
            self.out.string(self.domain.data, self.domain.size)
        else:
            self.out.put(b'"MISSING_DOMAIN"', 16)
        return self.out.octet(0x29)

    cdef int emit_name(self, const unsigned char *text, Py_ssize_t size) except -1:
        """Write a name trimmed and with single spaces, NIL where nothing is left."""
        cdef Py_ssize_t i
        self.word.size = 0
        for i in range(size):
            if KIND[text[i]] != BLANK:
                self.word.octet(text[i])
            elif self.word.size and self.word.data[self.word.size - 1] != 0x20:
                self.word.octet(0x20)
        if self.word.size and self.word.data[self.word.size - 1] == 0x20:
            self.word.size -= 1
        return self.out.nstring(self.word.data, self.word.size)

    cdef int start_group(self) except -1:
        if self.in_group:
            self.end_group()
        self.at += 1
        self.in_group = True
        self.budget.left -= 1
        self.out.put(b"(NIL NIL ", 9)
        self.out.string(self.phrase.data, self.phrase.size)
        return self.out.put(b" NIL)", 5)

    cdef int end_group(self) except -1:
        self.in_group = False
        return self.out.put(b"(NIL NIL NIL NIL)", 17)


def addresses(values, Budget budget not None):
    """Return the addresses of a field's values as `((...)(...))`, or NIL when there are none.

    `values` is a list of raw values or None. Several fields of one name read as one list, so
    that no reader is shown another sender than the next. `budget` bounds the reply.
    """
    cdef Wire out = Wire()
    cdef Parser parser
    cdef bytes value
    if values is None:
        return b"NIL"
    parser = Parser(out, budget)
    out.octet(0x28)
    for value in values:
        parser.text = <const unsigned char *> PyBytes_AS_STRING(value)
        parser.at = 0
        parser.end = PyBytes_GET_SIZE(value)
        parser.read_list()
    if out.size == 1:
        return b"NIL"
    out.octet(0x29)
    return out.take()
