"""Typed arguments: a cursor over the tokens of one command (RFC 3501 §9)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr

from pymaild._parser cimport (
    KIND_ATOM,
    KIND_LIST_BEGIN,
    KIND_LIST_END,
    KIND_LITERAL,
    KIND_NONE,
    KIND_QUOTED,
    KIND_STREAMED,
    MAY,
    MAY_ASTRING,
    MAY_ATOM,
    MAY_LIST,
    MAY_TAG,
    MAY_WORD,
    Token,
    Tokenizer,
)
from pymaild.imap._dates cimport DATE_TIME_SIZE, NO_DAY, parse_date_time, parse_day

from pymaild._parser import BadSyntax
from pymaild.core.quirks import Quirks

cdef enum:
    NUMBER_MAX = 4294967295
    LONGEST_NUMBER = 19        # digits of a mod-sequence (RFC 7162 §7); they fit into 64 bits


cdef object QUIRKS = Quirks()


cdef object check_utf8(bytes value):
    """RFC 6855 §3: octets that are no UTF-8 in a quoted string are answered BAD."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSyntax("Quoted string is not UTF-8") from None


cdef class Arguments:
    """A cursor over the tokens of one command: each method reads one argument.

    What does not match raises :class:`BadSyntax`. Arguments stand apart by exactly one space
    (RFC 3501 §9, note 2), which the caller reads with :meth:`sp`.
    """

    def __init__(self, Tokenizer source, quirks=QUIRKS):
        self.source = source
        self.quirks = quirks

    cpdef void rewind(self):
        """Start at the tag of the command the tokenizer has met."""
        self.index = 0
        self.last = 0
        self.opened = False

    cdef const uint8_t *octets(self) noexcept nogil:
        return self.source.buffer + self.source.base

    cdef void step(self, Token *token) noexcept nogil:
        self.last = token.end
        self.opened = token.kind == KIND_LIST_BEGIN
        self.index += 1

    cdef Token *here(self, int kind) noexcept nogil:
        """Return the next token when it is of this kind and stands right here."""
        cdef Token *token
        if self.index >= self.source.count:
            return NULL
        token = &self.source.tokens[self.index]
        return token if token.kind == kind and token.start == self.last else NULL

    # ---- what stands between arguments ----------------------------------------------------

    cpdef void sp(self) except *:
        """Read the one space before the next argument."""
        cdef bint more = self.index < self.source.count
        if not more or self.source.tokens[self.index].start != self.last + 1:
            raise BadSyntax("Missing argument" if not more else "Expected one space")
        self.last += 1
        self.opened = False

    cpdef void end(self) except *:
        """Expect the end of the command."""
        if self.index != self.source.count or self.last != self.source.line_end:
            raise BadSyntax("Unexpected argument")

    cpdef bint more(self):
        """Whether another argument follows, here or behind a space; False before ")"."""
        return self.index < self.source.count and (
            self.source.tokens[self.index].kind != KIND_LIST_END
        )

    cpdef int peek(self):
        """Return the kind of the next token, whatever stands before it; NONE at the end."""
        return self.source.tokens[self.index].kind if self.index < self.source.count else KIND_NONE

    cpdef bint ahead(self, bytes word):
        """Whether the next argument is this word (upper case here, any case there)."""
        cdef Token *token = self.here(KIND_ATOM)
        cdef const uint8_t *octets = self.octets()
        cdef const uint8_t *wanted = <const uint8_t *> PyBytes_AS_STRING(word)
        cdef uint32_t i
        if token == NULL or token.end - token.start != PyBytes_GET_SIZE(word):
            return False
        for i in range(token.end - token.start):
            if octets[token.start + i] != wanted[i] and (
                octets[token.start + i] - 32 != wanted[i]
                or not 97 <= octets[token.start + i] <= 122
            ):
                return False
        return True

    cpdef int first(self):
        """Return the first octet of the next token, -1 at the end."""
        if self.index >= self.source.count:
            return -1
        return self.octets()[self.source.tokens[self.index].start]

    cpdef bint glued(self):
        """Whether the next token stands right behind the last one, as in BODY[...]<0.1>."""
        return self.index < self.source.count and (
            self.source.tokens[self.index].start == self.last
        )

    cpdef void open(self) except *:
        """Read "(" of a list."""
        cdef Token *token = self.here(KIND_LIST_BEGIN)
        if token == NULL:
            raise BadSyntax("Expected a list in parentheses")
        self.step(token)

    cpdef bint item(self) except -1:
        """Move to the next item of an opened list; False behind its ")"."""
        cdef Token *token = self.here(KIND_LIST_END)
        if token != NULL:
            self.step(token)
            return False
        if self.opened:
            self.opened = False
        else:
            self.sp()
        return True

    # ---- words ----------------------------------------------------------------------------

    cdef bytes run(self, int allowed, str expected):
        cdef Token *token = self.here(KIND_ATOM)
        cdef const uint8_t *octets = self.octets()
        cdef uint32_t i
        if token == NULL:
            raise BadSyntax(expected)
        for i in range(token.start, token.end):
            if not MAY[octets[i]] & allowed:
                raise BadSyntax(expected)
        self.step(token)
        return PyBytes_FromStringAndSize(<char *> octets + token.start, token.end - token.start)

    cpdef bytes tag(self):
        """tag (RFC 3501 §9)."""
        return self.run(MAY_TAG, "Expected a tag")

    cpdef bytes atom(self):
        """atom (RFC 3501 §9)."""
        return self.run(MAY_ATOM, "Expected an atom")

    cpdef bytes name(self):
        """An atom in upper case: a command, a search key, an option."""
        return self.run(MAY_ATOM, "Expected a name").upper()

    cpdef bytes word(self):
        """Any run of octets that are not special, brackets and wildcards included."""
        return self.run(MAY_WORD, "Expected a word")

    cpdef bytes flag(self):
        """flag (RFC 3501 §9): a keyword, or a backslash and an atom."""
        cdef Token *token = self.here(KIND_ATOM)
        cdef const uint8_t *octets = self.octets()
        cdef uint32_t i
        if token == NULL:
            raise BadSyntax("Expected a flag")
        i = token.start + (octets[token.start] == b'\\')
        if i == token.end:
            raise BadSyntax("Expected a flag")
        while i < token.end:
            if not MAY[octets[i]] & MAY_ATOM:
                raise BadSyntax("Invalid flag")
            i += 1
        self.step(token)
        return PyBytes_FromStringAndSize(<char *> octets + token.start, token.end - token.start)

    # ---- strings --------------------------------------------------------------------------

    cdef Token *text_token(self) noexcept nogil:
        cdef Token *token = self.here(KIND_QUOTED)
        return token if token != NULL else self.here(KIND_LITERAL)

    cdef bytes take(self, Token *token):
        """Return the value of a quoted string or a literal, which holds no NUL."""
        cdef char *octets = <char *> self.octets()
        cdef uint32_t stop = token.end - (token.kind == KIND_QUOTED)
        cdef bytes value = PyBytes_FromStringAndSize(octets + token.data, stop - token.data)
        cdef bint escaped = token.kind == KIND_QUOTED and token.flag
        if token.kind == KIND_LITERAL:
            if token.flag:
                raise BadSyntax("A binary literal cannot stand here")
            if memchr(octets + token.data, 0, stop - token.data) != NULL:
                raise BadSyntax("A literal cannot hold NUL")
        elif self.utf8 and not value.isascii():
            check_utf8(value)
        self.step(token)
        return unescape(value) if escaped else value

    cpdef bytes string(self):
        """string (RFC 3501 §9): quoted or literal."""
        cdef Token *token = self.text_token()
        if token == NULL:
            raise BadSyntax("Expected a string")
        return self.take(token)

    cpdef bytes astring(self):
        """astring (RFC 3501 §9); octets above 127 are let through for raw UTF-8."""
        cdef Token *token = self.text_token()
        if token == NULL:
            return self.run(MAY_ASTRING, "Expected a string")
        return self.take(token)

    cpdef bytes list_mailbox(self):
        """list-mailbox (RFC 3501 §9): as astring, and wildcards."""
        cdef Token *token = self.text_token()
        if token == NULL:
            return self.run(MAY_LIST, "Expected a mailbox pattern")
        return self.take(token)

    cpdef object nstring(self):
        """nstring (RFC 3501 §9): bytes, or None for NIL."""
        cdef Token *token = self.text_token()
        if token != NULL:
            return self.take(token)
        if self.run(MAY_ATOM, "Expected a string or NIL").upper() != b"NIL":
            raise BadSyntax("Expected a string or NIL")
        return None

    cpdef object value(self):
        """value (RFC 5464 §5): nstring, or a literal8, which may hold NUL."""
        cdef Token *token = self.here(KIND_LITERAL)
        cdef bytes octets
        if token == NULL or not token.flag:
            return self.nstring()
        octets = PyBytes_FromStringAndSize(
            <char *> self.octets() + token.data, token.end - token.data
        )
        self.step(token)
        return octets

    cpdef void message(self) except *:
        """Step over a literal whose octets were taken by the caller."""
        cdef Token *token = self.here(KIND_STREAMED)
        if token == NULL:
            raise BadSyntax("Expected a message as a literal")
        self.step(token)

    cpdef bytes rest(self):
        """Return the octets from here to the end of the line, and leave the cursor."""
        cdef char *octets = <char *> self.octets()
        return PyBytes_FromStringAndSize(octets + self.last, self.source.line_end - self.last)

    cpdef void finish(self):
        """Move to the end of the command: its arguments were read from :meth:`rest`."""
        self.index = self.source.count
        self.last = self.source.line_end

    # ---- numbers --------------------------------------------------------------------------

    cpdef object number(self, unsigned long long largest=4294967295):
        """number (RFC 3501 §9), at most ``largest``."""
        cdef Token *token = self.here(KIND_ATOM)
        cdef const uint8_t *octets = self.octets()
        cdef unsigned long long value = 0
        cdef uint32_t i
        if token == NULL or token.end - token.start > LONGEST_NUMBER:
            raise BadSyntax("Expected a number")
        for i in range(token.start, token.end):
            if not 48 <= octets[i] <= 57:
                raise BadSyntax("Expected a number")
            value = value * 10 + (octets[i] - 48)
        if value > largest:
            raise BadSyntax("Number is too large")
        self.step(token)
        return value

    cpdef list sequence_set(self):
        """sequence-set (RFC 3501 §9) as pairs (low, high), 0 for "*".

        Neighbours are joined, so that a set written out number by number stays small. A pair
        is in ascending order; "*" alone is (0, 0), and "*:5" is (5, 0).
        """
        cdef Token *token = self.here(KIND_ATOM)
        cdef const uint8_t *at
        cdef const uint8_t *stop
        cdef unsigned long long low, high, old_low = 0, old_high = 0
        cdef bint some = False
        cdef list pairs = []
        if token == NULL:
            raise BadSyntax("Expected a message set")
        at = self.octets() + token.start
        stop = self.octets() + token.end
        while True:
            low = set_number(&at, stop)
            high = low
            if at < stop and at[0] == b':':
                at += 1
                high = set_number(&at, stop)
            if low > NUMBER_MAX or high > NUMBER_MAX:
                raise BadSyntax("Invalid message set")
            if high and (low > high or low == 0):
                low, high = high, low
            if some and old_high and high and low <= old_high + 1 and low >= old_low:
                old_high = max(old_high, high)
            else:
                if some:
                    pairs.append((old_low, old_high))
                old_low = low
                old_high = high
                some = True
            if at == stop:
                break
            if at[0] != b',':
                raise BadSyntax("Invalid message set")
            at += 1
        pairs.append((old_low, old_high))
        self.step(token)
        return pairs

    # ---- dates ----------------------------------------------------------------------------

    cpdef object date(self):
        """date (RFC 3501 §9), quoted or not: seconds from 1970 to its midnight in UTC."""
        cdef Token *token = self.here(KIND_QUOTED)
        cdef bytes text
        cdef long long day
        if token != NULL:
            text = self.take(token)
        else:
            text = self.run(MAY_ATOM, "Expected a date")
        if len(text) == 10:
            text = b" " + text
        elif text[:1] == b" ":
            text = b""                  # only date-time pads the day with a space
        day = parse_day(<const uint8_t *> PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        if day == NO_DAY:
            raise BadSyntax("Invalid date")
        return day * 86400

    cpdef object date_time(self):
        """date-time (RFC 3501 §9): seconds from 1970, UTC."""
        cdef Token *token = self.here(KIND_QUOTED)
        cdef long long seconds
        if token == NULL:
            raise BadSyntax("Expected a date and time")
        if token.end - token.data != DATE_TIME_SIZE + 1:
            raise BadSyntax("Invalid date and time")
        seconds = parse_date_time(self.octets() + token.data)
        if seconds == NO_DAY:
            raise BadSyntax("Invalid date and time")
        self.step(token)
        return seconds


cdef unsigned long long set_number(const uint8_t **at, const uint8_t *stop) noexcept nogil:
    """Read seq-number: 0 for "*"; more than NUMBER_MAX when there is none."""
    cdef const uint8_t *here = at[0]
    cdef unsigned long long value = 0
    if here < stop and here[0] == b'*':
        at[0] = here + 1
        return 0
    if here < stop and here[0] == b'0':
        return <unsigned long long> NUMBER_MAX + 1
    while here < stop and 48 <= here[0] <= 57 and value <= NUMBER_MAX:
        value = value * 10 + (here[0] - 48)
        here += 1
    if value == 0:
        return <unsigned long long> NUMBER_MAX + 1
    at[0] = here
    return value


cdef bytes unescape(bytes value):
    """Undo the escapes of a quoted string, which the scan has checked."""
    cdef bytearray plain = bytearray()
    cdef const uint8_t *octets = <const uint8_t *> PyBytes_AS_STRING(value)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    while i < size:
        if octets[i] == b'\\':
            i += 1
        plain.append(octets[i])
        i += 1
    return bytes(plain)
