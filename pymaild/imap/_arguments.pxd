"""The cursor over the tokens of a command, for other Cython modules."""

from libc.stdint cimport uint8_t, uint32_t

from pymaild._parser cimport Token, Tokenizer


cdef class Arguments:
    cdef Tokenizer source
    cdef uint32_t index         # next token
    cdef uint32_t last          # octet behind what was read
    cdef public bint utf8       # quoted strings must be UTF-8 (RFC 6855 §3, RFC 9051 §9)
    cdef public object quirks   # core.quirks.Quirks: what is let through for clients
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
    cpdef object value(self)
    cpdef void message(self) except *
    cpdef bytes rest(self)
    cpdef void finish(self)
    cpdef object number(self, unsigned long long largest=*)
    cpdef list sequence_set(self)
    cpdef object date(self)
    cpdef object date_time(self)
