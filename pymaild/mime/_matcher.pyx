"""Search in the text of messages: what :mod:`pymaild.mime.text` yields, without making it.

Headers are unfolded and transfer encodings undone into memory that is used again. Octets of
ASCII are compared as they are, without regard to case; UTF-8 is folded first. What is of another
charset, or is not what it says it is, is left to that module: the answer is MAYBE then. So are
single header fields with encoded words, here and now.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcpy

from pymaild.mime._fields cimport Field, line_break, next_field
from pymaild.mime._lexer cimport CR, LF, SPACE, TAB, is_space
from pymaild.mime._pack cimport Extent, Walk, next_part
from pymaild.mime._wire cimport Wire

from pymaild.mime.collation import unicode_casemap as fold
from pymaild.mime.text import ALIEN, BASE64, LATIN, OTHER, PIECE, QUOTED, TEXT, field_texts

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef uint8_t pm_block __attribute__((vector_size(16)));

    static inline pm_block pm_load(const uint8_t *at) {
        pm_block block;
        memcpy(&block, at, 16);
        return block;
    }
    static inline uint8_t pm_upper(uint8_t octet) {
        return octet >= 'a' && octet <= 'z' ? octet - 32 : octet;
    }
    static inline uint8_t pm_mask(uint8_t octet, int folded) {
        return !folded && octet >= 'A' && octet <= 'Z' ? 0xDF : 0xFF;
    }
    static inline int pm_same(
        const uint8_t *text, const uint8_t *wanted, size_t length, int folded
    ) {
        if (folded)
            return memcmp(text, wanted, length) == 0;
        for (size_t i = 0; i < length; i++)
            if (pm_upper(text[i]) != wanted[i])
                return 0;
        return 1;
    }
    /* Whether octets are found; in a text that is not folded, letters of ASCII in either case:
       those wanted are in upper case. The first octet and the last tell sixteen places at once. */
    static int pm_found(
        const uint8_t *text, size_t size, const uint8_t *wanted, size_t length, int folded
    ) {
        size_t at = 0;
        if (length == 0 || length > size)
            return length == 0;
        const uint8_t first = wanted[0], last = wanted[length - 1];
        const pm_block firsts = first - (pm_block){}, lasts = last - (pm_block){};
        const pm_block first_mask = pm_mask(first, folded) - (pm_block){};
        const pm_block last_mask = pm_mask(last, folded) - (pm_block){};
        for (; at + length + 15 <= size; at += 16) {
            pm_block hits = (pm_block)((pm_load(text + at) & first_mask) == firsts)
                & (pm_block)((pm_load(text + at + length - 1) & last_mask) == lasts);
            uint64_t any[2];
            memcpy(any, &hits, 16);
            if (any[0] | any[1])
                for (int i = 0; i < 16; i++)
                    if (hits[i] && pm_same(text + at + i, wanted, length, folded))
                        return 1;
        }
        for (; at + length <= size; at++)
            if (pm_same(text + at, wanted, length, folded))
                return 1;
        return 0;
    }
    static int pm_ascii(const uint8_t *text, size_t size) {
        pm_block high = {};
        uint64_t any[2];
        size_t at = 0;
        uint8_t rest = 0;
        for (; at + 16 <= size; at += 16)
            high |= pm_load(text + at);
        for (; at < size; at++)
            rest |= text[at];
        memcpy(any, &high, 16);
        return !((any[0] | any[1]) & 0x8080808080808080ULL) && rest < 0x80;
    }
    """
    bint pm_found(
        const uint8_t *text, size_t size, const uint8_t *wanted, size_t length, bint folded
    ) nogil
    uint8_t pm_upper(uint8_t octet) nogil
    bint pm_ascii(const uint8_t *text, size_t size) nogil

cdef enum:
    MOST_FIELDS = 10000    # of one header, as pymaild/mime/_fields.pyx has it
    FORMS = 0x800          # characters of one or two octets, whose forms are kept
    LONGEST_FORM = 15
    NO_DIGIT = 0xFF

cdef int IS_TEXT = TEXT, IS_BASE64 = BASE64, IS_QUOTED = QUOTED
cdef int IS_OTHER = OTHER, IS_ALIEN = ALIEN, IS_LATIN = LATIN
cdef size_t ONE_PIECE = PIECE

cdef struct Form:
    uint8_t length         # 0 for one that is not known yet
    uint8_t[LONGEST_FORM] octets

cdef Form[FORMS] _forms
cdef uint8_t[256] _base64
cdef uint8_t[256] _hex


cdef void _fill_digits() noexcept:
    cdef const char *digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    cdef int place
    for place in range(256):
        _base64[place] = _hex[place] = NO_DIGIT
    for place in range(64):
        _base64[<uint8_t> digits[place]] = place
    for place in range(10):
        _hex[0x30 + place] = place
    for place in range(6):
        _hex[0x41 + place] = _hex[0x61 + place] = 10 + place


_fill_digits()


cdef class Words:
    """Looks for a text, which is folded by i;unicode-casemap and stands on one line.

    ``header``: in the header of the message too, and not only in those within it.
    """

    def __init__(self, str text not None, bint header):
        self.text, self.header = text, header
        self._folded = text.encode("utf-8", "surrogatepass")
        self.wanted = <const uint8_t *> PyBytes_AS_STRING(self._folded)
        self.length = PyBytes_GET_SIZE(self._folded)
        self.ascii = text.isascii()
        self._decoded, self._plain = Wire(), Wire()

    def holds(self, bytes data not None, bytes tree not None):
        """Say whether a message has the text: a packed tree says where; None for MAYBE."""
        cdef int found = self.search(data, len(data), tree, len(tree))
        return None if found == MAYBE else found == YES

    cdef int search(
        self, const uint8_t *data, size_t size, const uint8_t *tree, size_t tree_size
    ) except -1:
        cdef Walk walk
        cdef Py_ssize_t origin = 0
        walk.at, walk.end = tree, tree + tree_size
        return self.walk(data, size, &walk, &origin, self.header)

    cdef int walk(
        self, const uint8_t *data, size_t size, Walk *tree, Py_ssize_t *origin, bint header
    ) except -1:
        """Search the part that comes next, whose parent's body, or the part before it, ends at
        ``origin``; that is where it ends itself afterwards.
        """
        cdef Extent part
        cdef Py_ssize_t inner
        cdef size_t child
        cdef int found = NO, more
        if not next_part(tree, origin[0], &part) or part.body_start + part.body_size > size:
            return MAYBE
        inner, origin[0] = part.body_start, part.body_start + part.body_size
        if header:
            found = self.in_header(data, part.header_start, part.body_start)
        if found != YES and not part.children:
            more = self.in_body(data + part.body_start, part.body_size, part.kind)
            found = more if more else found
        for child in range(part.children):
            if found == YES:
                break
            more = self.walk(data, size, tree, &inner, True)
            found = more if more else found
        return found

    # -- headers -------------------------------------------------------------------------------

    cdef int in_header(self, const uint8_t *data, Py_ssize_t at, Py_ssize_t end) except -1:
        cdef Field field
        cdef Wire plain = self._plain
        cdef int count = 0
        plain.size = 0
        while count < MOST_FIELDS and next_field(data, at, end, &field):
            at = field.end
            if not field.name_length:
                continue
            count += 1
            if is_special(data + field.start, field.end - field.start):
                value = PyBytes_FromStringAndSize(
                    <char *> data + field.value, field.end - field.value
                )
                if self.in_field(data + field.start, field.name_length, value):
                    return YES
            else:
                plain.put(data + field.start, field.name_length)
                plain.put(b": ", 2)
                put_unfolded(plain, data + field.value, field.end - field.value)
                plain.octet(0)
        return pm_found(plain.data, plain.size, self.wanted, self.length, False)

    cdef bint in_field(self, const uint8_t *name, size_t count, bytes value) except -1:
        for text in field_texts(name[:count], value):
            if self.text in fold(text):
                return True
        return False

    # -- bodies --------------------------------------------------------------------------------

    cdef int in_body(self, const uint8_t *data, size_t size, int kind) except -1:
        cdef Wire decoded = self._decoded
        if not kind & IS_TEXT:
            return NO
        if kind & IS_ALIEN:
            return MAYBE
        decoded.size = 0
        if kind & IS_BASE64:
            decoded.reserve(size)
            decoded.size = undo_base64(data, size, decoded.data)
        elif kind & IS_QUOTED:
            decoded.reserve(size)
            decoded.size = undo_quoted(data, size, decoded.data)
        else:
            return self.in_octets(data, size, kind, size <= ONE_PIECE)
        return self.in_octets(decoded.data, decoded.size, kind, size <= ONE_PIECE)

    cdef int in_octets(
        self, const uint8_t *data, size_t size, int kind, bint at_once
    ) except -1:
        cdef bint plain = pm_ascii(data, size)
        if self.ascii and pm_found(data, size, self.wanted, self.length, False):
            return YES
        if plain:
            return NO
        if kind & IS_OTHER:
            return MAYBE
        if kind & IS_LATIN or not put_folded(self._plain, data, size):
            if not (kind & IS_LATIN or at_once):
                return MAYBE  # the pieces before this stay UTF-8
            put_latin(self._plain, data, size)
        return pm_found(self._plain.data, self._plain.size, self.wanted, self.length, True)


cdef bint is_special(const uint8_t *field, size_t size) noexcept nogil:
    """Whether a field's text is another than its octets: encoded words, parameters of RFC 2231."""
    cdef const uint8_t *at = field
    cdef const uint8_t *end = field + size
    if not pm_ascii(field, size):
        return True
    while True:
        at = <const uint8_t *> memchr(at, 0x3D, end - at)  # "="
        if at == NULL:
            return False
        at += 1
        if (at < end and at[0] == 0x3F) or memchr(field, 0x2A, size) != NULL:  # "?", "*"
            return True


cdef int put_unfolded(Wire out, const uint8_t *text, Py_ssize_t end) except -1:
    """Put a value on one line, as pymaild/mime/_fields.pyx unfolds it."""
    cdef Py_ssize_t at = 0, stop, start = out.size
    while end and is_space(text[end - 1]):
        end -= 1
    while at < end and is_space(text[at]):
        at += 1
    while at < end:
        stop = line_break(text, at, end)
        out.put(text + at, stop - at)
        if stop < end:
            while out.size > start and is_space(out.data[out.size - 1]):
                out.size -= 1
            out.octet(SPACE)
        at = stop
        while at < end and is_space(text[at]):
            at += 1
    return 0


cdef size_t undo_base64(const uint8_t *data, size_t size, uint8_t *out) noexcept nogil:
    """RFC 2045 §6.8, as pymaild/mime/encodings.py does it; returns the octets written."""
    cdef const uint8_t *end = data + size
    cdef uint8_t *start = out
    cdef uint32_t bits = 0
    cdef int count = 0
    cdef uint8_t digit
    cdef bint begun = False
    while data < end:
        digit = _base64[data[0]]
        if digit == NO_DIGIT:
            if begun and data[0] == 0x3D:
                break
            data += 1
            continue
        data += 1
        begun = True
        bits, count = bits << 6 | digit, count + 6
        if count >= 8:
            count -= 8
            out[0] = <uint8_t> (bits >> count)
            out += 1
    return out - start


cdef size_t undo_quoted(const uint8_t *data, size_t size, uint8_t *out) noexcept nogil:
    """RFC 2045 §6.7, as pymaild/mime/encodings.py does it; returns the octets written."""
    cdef const uint8_t *end = data + size
    cdef uint8_t *start = out
    cdef const uint8_t *line_end
    cdef const uint8_t *text_end
    while data < end:
        line_end = <const uint8_t *> memchr(data, LF, end - data)
        line_end = end if line_end == NULL else line_end + 1
        text_end = line_end
        if line_end[-1] == LF:
            text_end -= 2 if text_end - data > 1 and text_end[-2] == CR else 1
        out = undo_line(data, text_end, line_end, out)
        data = line_end
    return out - start


cdef uint8_t *undo_line(
    const uint8_t *at, const uint8_t *text_end, const uint8_t *line_end, uint8_t *out
) noexcept nogil:
    """Decode a line; blanks at its end were added on the way, and "=" there joins the next."""
    cdef const uint8_t *last = text_end
    if text_end < line_end:
        while last > at and (last[-1] == SPACE or last[-1] == TAB):
            last -= 1
    while at < last:
        if at[0] != 0x3D:  # "="
            out[0] = at[0]
            at, out = at + 1, out + 1
        elif at + 1 == last or at[1] == CR:
            return out
        elif at[1] == 0x3D:
            out[0] = 0x3D
            at, out = at + 2, out + 1
        elif at + 2 < last and _hex[at[1]] != NO_DIGIT and _hex[at[2]] != NO_DIGIT:
            out[0] = _hex[at[1]] << 4 | _hex[at[2]]
            at, out = at + 3, out + 1
        else:
            out[0] = 0x3D
            at, out = at + 1, out + 1
    memcpy(out, text_end, line_end - text_end)
    return out + (line_end - text_end)


# -- folding -----------------------------------------------------------------------------------

cdef bint put_folded(Wire out, const uint8_t *data, size_t size) except -1:
    """Put the folded form of UTF-8; false where the octets are something else."""
    cdef const uint8_t *end = data + size
    cdef uint32_t code
    cdef int length
    out.size = 0
    while data < end:
        if data[0] < 0x80:
            out.octet(pm_upper(data[0]))
            data += 1
            continue
        length = read_character(data, end, &code)
        if length == 0:
            return False
        put_form(out, code)
        data += length
    return True


cdef int put_latin(Wire out, const uint8_t *data, size_t size) except -1:
    """Put the folded form of windows-1252."""
    cdef size_t place
    out.size = 0
    for place in range(size):
        if data[place] < 0x80:
            out.octet(pm_upper(data[place]))
        else:
            put_form(out, _latin[data[place] - 0x80])
    return 0


cdef uint32_t[128] _latin
for _code, _character in enumerate(bytes(range(128, 256)).decode("cp1252", "replace")):
    _latin[_code] = ord(_character)


cdef int put_form(Wire out, uint32_t code) except -1:
    cdef Form *form
    cdef bytes octets
    if code >= FORMS:
        octets = fold(chr(code)).encode()
        return out.put(<const uint8_t *> octets, len(octets))
    form = &_forms[code]
    if not form.length:
        octets = fold(chr(code)).encode()
        if len(octets) > LONGEST_FORM:
            return out.put(<const uint8_t *> octets, len(octets))
        memcpy(form.octets, <const uint8_t *> octets, len(octets))
        form.length = <uint8_t> len(octets)
    return out.put(form.octets, form.length)


cdef int read_character(
    const uint8_t *at, const uint8_t *end, uint32_t *code
) noexcept nogil:
    """Read a character beyond ASCII (RFC 3629 §4); returns its octets, 0 where it is none."""
    cdef int length = 2 if at[0] < 0xE0 else 3 if at[0] < 0xF0 else 4
    cdef int place
    if at[0] < 0xC2 or at[0] > 0xF4 or end - at < length:
        return 0
    code[0] = at[0] & (0xFF >> (length + 1))
    for place in range(1, length):
        if at[place] & 0xC0 != 0x80:
            return 0
        code[0] = code[0] << 6 | (at[place] & 0x3F)
    if (length == 3 and code[0] < 0x800) or (length == 4 and code[0] < 0x10000):
        return 0
    return 0 if code[0] > 0x10FFFF or 0xD800 <= code[0] < 0xE000 else length
