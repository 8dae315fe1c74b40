"""The IMAP tokenizer: what it is made of, and what other Cython modules read from it."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

# ---- what it finds -------------------------------------------------------------------------

cdef enum Met:
    MET_NEED_MORE
    MET_COMMAND
    MET_LITERAL
    MET_REFUSED
    MET_FAILURE             # never leaves the tokenizer

cdef enum Kind:
    KIND_NONE
    KIND_ATOM               # a run of octets that are not special, brackets and wildcards too
    KIND_QUOTED
    KIND_LITERAL
    KIND_ANNOUNCED          # a literal the caller has not decided about
    KIND_STREAMED           # a literal whose octets the caller took
    KIND_LIST_BEGIN
    KIND_LIST_END

cdef struct Token:
    uint32_t start      # first octet, from the start of the command
    uint32_t data       # first octet of the value: behind a quote, or behind "{5}" CRLF
    uint32_t end        # octet behind the token
    uint16_t depth      # parentheses open around it
    uint8_t kind        # one of the token kinds
    uint8_t flag        # QUOTED: holds escapes; LITERAL: is a literal8

# ---- classes of octets ---------------------------------------------------------------------

cdef enum Class:
    CLASS_RUN               # part of an atom run
    CLASS_SPACE
    CLASS_OPEN
    CLASS_CLOSE
    CLASS_QUOTE
    CLASS_BRACE
    CLASS_CR
    CLASS_LF
    CLASS_CONTROL

cdef enum May:              # RFC 3501 §9: what an octet may be part of; 8-bit is let through
    MAY_ATOM = 1            # ATOM-CHAR
    MAY_ASTRING = 2         # ASTRING-CHAR, and octets of raw UTF-8
    MAY_LIST = 4            # list-char, and octets of raw UTF-8
    MAY_TAG = 8             # ASTRING-CHAR except "+"
    MAY_WORD = 16           # any octet of a run

cdef uint8_t MAY[256]           # bits of May for each octet

# ---- how it works --------------------------------------------------------------------------

cdef enum Where:
    IN_GAP                  # between tokens
    IN_ATOM
    IN_QUOTED
    IN_ESCAPE               # behind a backslash in a quoted string
    IN_SIZE                 # the digits of "{5}"
    IN_SIZE_PLUS            # behind the plus of "{5+}"
    IN_SIZE_END             # behind "}", CRLF must follow
    IN_SIZE_CR
    IN_LITERAL              # a kept literal is being filled
    IN_DECISION             # announced, the caller has not decided
    IN_STREAM               # the caller takes the octets
    IN_CR                   # LF must follow
    IN_SKIP                 # octets of a refused literal
    IN_DRAIN                # rest of a refused line
    IN_DRAINED              # nothing to throw away: the client waits

cdef enum Failure:
    FAIL_NONE
    FAIL_CHARACTER
    FAIL_QUOTED
    FAIL_ESCAPE
    FAIL_SIZE
    FAIL_NESTING
    FAIL_UNOPENED
    FAIL_UNCLOSED
    FAIL_LONG
    FAIL_LITERAL_LONG
    FAIL_MEMORY

cdef enum Sizes:
    SMALL_BUFFER = 4096
    LARGE_BUFFER = 262144       # an empty buffer above this is given back
    SOME_TOKENS = 64
    TAIL = 32                   # holds "{" 19 digits "+}" CRLF
    MAX_DIGITS = 18


cdef class Tokenizer:
    # The buffer: octets before `base` are done with, `pos` counts from `base`.
    cdef uint8_t *buffer
    cdef size_t capacity
    cdef size_t base
    cdef size_t filled
    cdef uint32_t pos
    # The tokens of the command under way.
    cdef Token *tokens
    cdef uint32_t room
    cdef uint32_t count
    # Where the scan stopped.
    cdef int state
    cdef uint32_t start         # of the token under way
    cdef uint32_t line_start    # of the line under way
    cdef uint32_t line_end      # where CRLF stands once the command is complete
    cdef uint32_t depth
    cdef bint escaped
    # The literal under way.
    cdef uint64_t size
    cdef uint64_t left          # octets still to be taken or thrown away
    cdef int digits
    cdef bint waits             # the client waits for a continuation (RFC 9051 §4.3)
    cdef bint binary            # literal8
    # Limits and failures.
    cdef uint32_t max_command
    cdef uint32_t max_nesting
    cdef int failure
    cdef bint finished
    # A line that is no command.
    cdef size_t searched        # octets of it that hold no LF
    cdef bint overflow
    cdef object failed_tag

    cdef int scan(self) noexcept nogil
    cdef int scan_gap(self, uint32_t stop) noexcept nogil
    cdef int scan_size(self, uint8_t octet) noexcept nogil
    cdef int scan_discarded(self) noexcept nogil
    cdef int end_of_line(self) noexcept nogil
    cdef int announce(self) noexcept nogil
    cdef bint trailing_literal(self, size_t start, size_t stop) noexcept nogil
    cdef bint push(self, int kind, uint32_t start, uint32_t data, uint32_t end) noexcept nogil
    cdef int fail(self, int failure) noexcept nogil
    cdef void begin_discard(self) noexcept nogil
    cdef void release(self) noexcept nogil
    cdef void took(self, uint64_t size) noexcept nogil
    cdef bytes find_tag(self)
    cpdef void feed(self, bytes data) except *
    cpdef int next(self) except -1
