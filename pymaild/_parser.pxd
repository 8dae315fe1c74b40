"""The IMAP tokenizer and the cursor over its tokens, for other Cython modules."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef struct Token:
    uint32_t start      # first octet, from the start of the command
    uint32_t data       # first octet of the value: behind a quote, or behind "{5}" CRLF
    uint32_t end        # octet behind the token
    uint16_t depth      # parentheses open around it
    uint8_t kind        # one of the token kinds
    uint8_t flag        # QUOTED: holds escapes; LITERAL: is a literal8


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


cdef class Arguments:
    cdef Tokenizer source
    cdef uint32_t index         # next token
    cdef uint32_t last          # octet behind what was read
    cdef bint opened            # what was read last is a list's parenthesis

    cdef const uint8_t *octets(self) noexcept nogil
    cdef Token *here(self, int kind) noexcept nogil
    cdef Token *text_token(self) noexcept nogil
    cdef bytes take(self, Token *token)
    cdef bytes run(self, int allowed, str expected)
    cdef void step(self, Token *token) noexcept nogil

    cpdef void rewind(self)
    cpdef void sp(self) except *
    cpdef void end(self) except *
    cpdef bint more(self)
    cpdef int peek(self)
    cpdef bint ahead(self, bytes word)
    cpdef int first(self)
    cpdef bint glued(self)
    cpdef void open(self) except *
    cpdef bint item(self) except -1
    cpdef bytes tag(self)
    cpdef bytes atom(self)
    cpdef bytes name(self)
    cpdef bytes word(self)
    cpdef bytes flag(self)
    cpdef bytes string(self)
    cpdef bytes astring(self)
    cpdef bytes list_mailbox(self)
    cpdef object nstring(self)
    cpdef void message(self) except *
    cpdef bytes rest(self)
    cpdef void finish(self)
    cpdef object number(self, unsigned long long largest=*)
    cpdef list sequence_set(self)
    cpdef object date(self)
    cpdef object date_time(self)
