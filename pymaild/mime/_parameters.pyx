"""Values made of a token and parameters (RFC 2045 §5.1, RFC 2183 §2)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from pymaild.mime._lexer cimport CR, LF, comment, is_space, quoted_string
from pymaild.mime._wire cimport Wire

cdef enum:
    MOST_PARAMETERS = 1000
    SEMICOLON = 0x3B
    EQUALS = 0x3D
    SLASH = 0x2F
    PARENTHESIS = 0x28
    QUOTE = 0x22


cdef class Reader:
    """Reads one value from its start to its end."""

    cdef const unsigned char *text
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Wire out
    cdef Wire dropped

    cdef bint stands_at(self, unsigned char octet) noexcept:
        return self.at < self.end and self.text[self.at] == octet

    cdef int skip_blanks(self) except -1:
        """Pass over blanks, folds and comments (CFWS, RFC 5322 §3.2.2)."""
        while self.at < self.end:
            if is_space(self.text[self.at]):
                self.at += 1
            elif self.text[self.at] == PARENTHESIS:
                self.at = comment(self.text, self.at, self.end, self.dropped)
                self.dropped.size = 0
            else:
                break
        return 0

    cdef Py_ssize_t run_end(self, bint until_equals) noexcept:
        """The end of the run of octets without blank, `;` or comment (or `=`) at the cursor."""
        cdef Py_ssize_t i = self.at
        cdef unsigned char octet
        while i < self.end:
            octet = self.text[i]
            if is_space(octet) or octet == SEMICOLON or octet == PARENTHESIS:
                break
            if until_equals and octet == EQUALS:
                break
            i += 1
        return i

    cdef bytes main(self):
        """Read what stands before the parameters; blanks around the slash are dropped."""
        cdef Py_ssize_t stop
        cdef Wire out = self.out
        while True:
            self.skip_blanks()
            if self.at >= self.end or self.stands_at(SEMICOLON):
                break
            if out.size and not self.stands_at(SLASH) and out.data[out.size - 1] != SLASH:
                break
            stop = self.run_end(False)
            if memchr(self.text + self.at, EQUALS, stop - self.at) is not NULL:
                break  # a parameter already
            out.put(self.text + self.at, stop - self.at)
            self.at = stop
        return out.take()

    cdef list parameters(self):
        cdef list found = []
        while len(found) < MOST_PARAMETERS:
            self.skip_blanks()
            if self.at >= self.end:
                break
            if self.stands_at(SEMICOLON):
                self.at += 1
                continue
            parameter = self.parameter()
            if parameter is not None:
                found.append(parameter)
        return found

    cdef tuple parameter(self):
        """Read `name=value`; None where there is no name or no `=`."""
        cdef Py_ssize_t stop = self.run_end(True)
        name = PyBytes_FromStringAndSize(<char *> self.text + self.at, stop - self.at)
        self.at = stop
        self.skip_blanks()
        if not self.stands_at(EQUALS):
            return None
        self.at += 1
        if not name:
            return None
        self.skip_blanks()
        if self.stands_at(QUOTE):
            self.at = quoted_string(self.text, self.at, self.end, self.out)
        elif self.at < self.end and not self.stands_at(SEMICOLON):
            self.bare_value()
        return name, self.out.take()

    cdef int bare_value(self) except -1:
        """Read a value without quotes: a token, or all up to `;` where it holds blanks."""
        cdef Py_ssize_t i = self.at
        cdef Py_ssize_t stop = self.run_end(False)
        self.at = stop
        self.skip_blanks()
        if self.at < self.end and not self.stands_at(SEMICOLON):
            while self.at < self.end and not self.stands_at(SEMICOLON):
                self.at += 1
            stop = self.at
            while is_space(self.text[stop - 1]):
                stop -= 1
        while i < stop:
            if self.text[i] != CR and self.text[i] != LF:
                self.out.octet(self.text[i])
            i += 1
        return 0


cpdef tuple parameters(bytes value):
    """Split `token; name=value; ...` (RFC 2045 §5.1) into (token, [(name, value)]).

    Names and values are as written, without quoting and comments. A missing `;`, a missing
    token, values with unquoted blanks or specials, and unterminated quotes are put up with.
    """
    cdef Reader reader = Reader()
    reader.text = <const unsigned char *> PyBytes_AS_STRING(value)
    reader.end = PyBytes_GET_SIZE(value)
    reader.out, reader.dropped = Wire(), Wire()
    return reader.main(), reader.parameters()
