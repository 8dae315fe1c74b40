"""FETCH of what rows, cache and messages hold: a walk over records that copies octets.

RFC 9051 §7.5.2. A row whose answer is not complete here (nothing cached, no size counted, a
message that has gone) ends the walk; the caller answers it the long way and comes back.
"""

from cpython.array cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, strlen

from pymaild.index._layout cimport Record
from pymaild.index._view cimport View
from pymaild.mail._entry cimport (
    PART_BODY, PART_DIGEST, PART_ENVELOPE, PART_FIELDS, PART_PREVIEW, PART_STRUCTURE, PART_TREE,
    checked_entry, part_length, part_start,
)
from pymaild.mail._octets cimport Octets
from pymaild.mime._crlf cimport copy_wire, wire_size
from pymaild.mime._pack cimport Extent, find_part

cdef enum:
    OP_UID = 1
    OP_FLAGS = 2
    OP_INTERNALDATE = 3
    OP_SIZE = 4
    OP_ENVELOPE = 5
    OP_BODYSTRUCTURE = 6
    OP_BODY = 7
    OP_MODSEQ = 8
    OP_FIELDS = 9          # BODY[HEADER.FIELDS (...)] of fields that the cache keeps
    OP_PREVIEW = 10
    OP_EMAILID = 11
    OP_THREADID = 12
    OP_SAVEDATE = 13
    OP_SECTION = 14        # octets of a message, of a part of it, of a header
    IS_HEADER = 1          # what of a part: else its body
    IN_MESSAGE = 2         # of the message that the part holds
    MOST_NAMES = 64        # of cached fields; there are fewer
    FIXED_ROOM = 4096      # octets that everything but cached parts needs, keywords included
    OBJECTID = 44          # octets of an EMAILID, and of a THREADID

UID, FLAGS, INTERNALDATE, SIZE = OP_UID, OP_FLAGS, OP_INTERNALDATE, OP_SIZE
ENVELOPE, BODYSTRUCTURE, BODY, MODSEQ = OP_ENVELOPE, OP_BODYSTRUCTURE, OP_BODY, OP_MODSEQ
FIELD_LINES, PREVIEW, EMAILID, THREADID = OP_FIELDS, OP_PREVIEW, OP_EMAILID, OP_THREADID
SAVEDATE, SECTION, HEADER, INNER = OP_SAVEDATE, OP_SECTION, IS_HEADER, IN_MESSAGE

cdef const char** _MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun",
                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

cdef struct Out:
    char* data
    size_t used
    size_t room

cdef struct Flag:
    uint32_t bit
    const char* name
    int length

cdef Flag[5] _FLAGS
_FLAGS[0] = Flag(2, "\\Answered", 9)
_FLAGS[1] = Flag(4, "\\Flagged", 8)
_FLAGS[2] = Flag(8, "\\Deleted", 8)
_FLAGS[3] = Flag(1, "\\Seen", 5)
_FLAGS[4] = Flag(16, "\\Draft", 6)


cdef inline void _put(Out* out, const char* text, size_t length) noexcept nogil:
    memcpy(out.data + out.used, text, length)
    out.used += length


cdef void _number(Out* out, uint64_t value) noexcept nogil:
    cdef char[20] digits
    cdef int place = 20
    while True:
        place -= 1
        digits[place] = <char>(c"0" + value % 10)
        value //= 10
        if value == 0:
            break
    _put(out, digits + place, 20 - place)


cdef inline void _two(Out* out, int value) noexcept nogil:
    out.data[out.used] = <char>(c"0" + value // 10)
    out.data[out.used + 1] = <char>(c"0" + value % 10)
    out.used += 2


cdef void _date(Out* out, int64_t seconds) noexcept nogil:
    """date-time in UTC (RFC 9051 §9); days to civil date by counting from 1 March 0000."""
    cdef int64_t days = seconds // 86400, rest = seconds % 86400, era, year
    cdef int64_t of_era, of_year, day, month
    if rest < 0:
        rest += 86400
        days -= 1
    days += 719468
    era = (days if days >= 0 else days - 146096) // 146097
    of_era = days - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (1 if month <= 2 else 0)
    out.data[out.used] = c'"'
    out.data[out.used + 1] = c" " if day < 10 else <char>(c"0" + day // 10)
    out.data[out.used + 2] = <char>(c"0" + day % 10)
    out.data[out.used + 3] = c"-"
    out.used += 4
    _put(out, _MONTHS[month - 1], 3)
    out.data[out.used] = c"-"
    out.used += 1
    _two(out, <int>(year // 100 % 100))
    _two(out, <int>(year % 100))
    out.data[out.used] = c" "
    out.used += 1
    _two(out, <int>(rest // 3600))
    out.data[out.used] = c":"
    out.used += 1
    _two(out, <int>(rest % 3600 // 60))
    out.data[out.used] = c":"
    out.used += 1
    _two(out, <int>(rest % 60))
    _put(out, ' +0000"', 7)


cdef class _Writer:
    cdef Out out
    cdef list keywords

    def __cinit__(self, keywords):
        self.keywords = list(keywords)
        self.out.room = 1 << 17
        self.out.used = 0
        self.out.data = <char*>malloc(self.out.room)
        if self.out.data == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.out.data)

    cdef int reserve(self, size_t more) except -1:
        cdef char* data
        if self.out.used + more > self.out.room:
            self.out.room = (self.out.used + more) * 2
            data = <char*>realloc(self.out.data, self.out.room)
            if data == NULL:
                raise MemoryError
            self.out.data = data
        return 0

    cdef int flags(self, Record* record, bint recent) except -1:
        cdef int place
        cdef bytes word
        cdef size_t first
        _put(&self.out, "FLAGS (", 7)
        first = self.out.used
        for place in range(5):
            if record.flags & _FLAGS[place].bit:
                _put(&self.out, _FLAGS[place].name, _FLAGS[place].length)
                _put(&self.out, " ", 1)
        if record.keywords:
            for place in range(len(self.keywords)):
                if record.keywords >> place & 1:
                    word = self.keywords[place]
                    _put(&self.out, word, len(word))
                    _put(&self.out, " ", 1)
        if recent:
            _put(&self.out, "\\Recent ", 8)
        if self.out.used > first:
            self.out.used -= 1
        _put(&self.out, ")", 1)
        return 0


cdef inline bint _is_recent(list spans, uint32_t uid) except -1:
    for low, high in spans:
        if low <= uid <= high:
            return True
    return False


cdef struct Name:
    const unsigned char* text  # in upper case
    Py_ssize_t length


cdef class Fields:
    """BODY[HEADER.FIELDS (...)] of fields that the cache keeps; ``names`` are in upper case."""

    cdef readonly bytes label
    cdef tuple _names
    cdef Name[MOST_NAMES] names
    cdef int count
    cdef uint64_t lengths              # a bit for each length of a name

    def __cinit__(self, bytes label, names):
        self.label, self._names = label, tuple(names)
        for name in self._names[:MOST_NAMES]:
            self.names[self.count].text = <const unsigned char*>PyBytes_AS_STRING(name)
            self.names[self.count].length = len(name)
            self.lengths |= 1ULL << (len(name) & 63)
            self.count += 1

    cdef bint has(self, const unsigned char* line, Py_ssize_t length) noexcept nogil:
        """Say whether a header line is one of these fields'."""
        cdef const unsigned char* colon = <const unsigned char*>memchr(line, c":", length)
        cdef Py_ssize_t end
        cdef int place
        if colon == NULL:
            return False
        end = colon - line
        while end and (line[end - 1] == c" " or line[end - 1] == c"\t"):
            end -= 1
        if not self.lengths >> (end & 63) & 1:
            return False
        for place in range(self.count):
            if self.names[place].length == end and _same_name(line, self.names[place].text, end):
                return True
        return False


cdef inline bint _same_name(const unsigned char* text, const unsigned char* wanted,
                            Py_ssize_t length) noexcept nogil:
    """Compare a field's name with one in upper case (RFC 5322 §1.2.2: case does not matter)."""
    cdef Py_ssize_t place
    cdef unsigned char letter
    for place in range(length):
        letter = text[place]
        if c"a" <= letter <= c"z":
            letter -= 32
        if letter != wanted[place]:
            return False
    return True


cdef void _select(Out* out, const unsigned char* blob, Py_ssize_t size, Fields wanted) noexcept:
    """Append the header lines of these fields, and the empty line where there is one."""
    cdef Py_ssize_t place = 0, length
    cdef const unsigned char* newline
    cdef bint keep = False
    while place < size:
        newline = <const unsigned char*>memchr(blob + place, c"\n", size - place)
        length = (newline - blob) + 1 - place if newline != NULL else size - place
        if length == 2 and blob[place] == c"\r":
            keep = True
        elif blob[place] != c" " and blob[place] != c"\t":
            keep = wanted.has(blob + place, length)
        if keep:
            _put(out, <const char*>blob + place, length)
        place += length


cdef int _cached(_Writer writer, const char* label, const unsigned char* entry,
                 int part) except -1:
    """Append a label and a part of the entry, which is in wire form."""
    cdef uint32_t length = part_length(entry, part)
    writer.reserve(length + FIXED_ROOM)
    _put(&writer.out, label, strlen(label))
    _put(&writer.out, <const char*>entry + part_start(entry, part), length)
    return 0


cdef void _object_id(Out* out, const char* label, const unsigned char* entry, int which) noexcept:
    """Append EMAILID or THREADID (RFC 8474 §5.3), which stand in one part."""
    _put(out, label, strlen(label))
    _put(out, <const char*>entry + part_start(entry, PART_DIGEST) + which * OBJECTID, OBJECTID)
    _put(out, ")", 1)


cdef int _fields(_Writer writer, const unsigned char* entry, Fields field) except -1:
    """Append label, size and lines; the size is known when the lines have been written."""
    cdef uint64_t start = part_start(entry, PART_FIELDS)
    cdef uint32_t length = part_length(entry, PART_FIELDS)
    cdef Out* out = &writer.out
    cdef Out lines
    writer.reserve(2 * length + len(field.label) + FIXED_ROOM)
    _put(out, PyBytes_AS_STRING(field.label), len(field.label))
    _put(out, " {", 2)
    lines.data = out.data + out.used + 32 + length
    lines.used, lines.room = 0, length
    _select(&lines, entry + start, length, field)
    _number(out, lines.used)
    _put(out, "}\r\n", 3)
    _put(out, lines.data, lines.used)
    return 0


cdef class Section:
    """BODY[path.what]<offset.count>; an offset of -1 is the whole.

    ``what`` is made of HEADER, where that and not the body is asked for, and INNER, where it is
    that of the message in the part. With no path and 0 it is the message itself.
    """

    cdef readonly bytes label
    cdef bytes path
    cdef int what
    cdef int64_t offset
    cdef size_t count

    def __cinit__(self, bytes label, bytes path, int what, int64_t offset=-1, size_t count=0):
        self.label, self.path, self.what, self.offset, self.count = (
            label, path, what, offset, count)

    cdef bint needs_tree(self) noexcept:
        return len(self.path) or self.what

    cdef bint find(self, Record* record, const unsigned char* entry, Octets octets,
                   Piece* piece) noexcept:
        """Find the octets in the message that is loaded; false where there are none."""
        cdef Extent found
        if not self.needs_tree():
            piece.data, piece.size, piece.wire = octets.data, octets.size, record.wire_size
            if piece.wire == 0:
                piece.wire = wire_size(octets.data, octets.size)
            return True
        if not find_part(entry + part_start(entry, PART_TREE), part_length(entry, PART_TREE),
                         self.path, <int>len(self.path), self.what & IN_MESSAGE, &found):
            return False
        if self.what & IS_HEADER:
            piece.data = octets.data + found.header_start
            piece.size, piece.wire = found.header_size, found.header_crlf
        else:
            piece.data = octets.data + found.body_start
            piece.size, piece.wire = found.body_size, found.body_crlf
        return piece.data - octets.data + piece.size <= octets.size


cdef struct Piece:
    const unsigned char* data
    size_t size            # as stored
    size_t wire            # in CRLF form


cdef bint _section(_Writer writer, Section section, Record* record, const unsigned char* entry,
                   Octets octets) except -1:
    """Append label, size and octets; false where they are not what is known of them."""
    cdef Piece piece
    cdef size_t skip = 0, count
    cdef Out* out = &writer.out
    if not section.find(record, entry, octets, &piece):
        return False
    count = piece.wire
    if section.offset >= 0:
        skip = min(<size_t>section.offset, piece.wire)
        count = min(section.count, piece.wire - skip)
    writer.reserve(count + len(section.label) + FIXED_ROOM)
    _put(out, PyBytes_AS_STRING(section.label), len(section.label))
    _put(out, " {", 2)
    _number(out, count)
    _put(out, "}\r\n", 3)
    if copy_wire(piece.data, piece.size, skip, count + (section.offset < 0),
                 <unsigned char*>out.data + out.used) != count:
        return False
    out.used += count
    return True


cdef inline int _item(_Writer writer, int op, Record* record, const unsigned char* entry,
                      bint recent) except -1:
    """Append one item; 0 when this row cannot be answered here."""
    if op == OP_UID:
        _put(&writer.out, "UID ", 4)
        _number(&writer.out, record.uid)
        return 1
    if op == OP_FLAGS:
        writer.flags(record, recent)
        return 1
    return _other(writer, op, record, entry)


cdef int _other(_Writer writer, int op, Record* record, const unsigned char* entry) except -1:
    """Append an item that is asked for less often than UID and FLAGS."""
    cdef Out* out = &writer.out
    if op == OP_INTERNALDATE:
        _put(out, "INTERNALDATE ", 13)
        _date(out, record.date)
    elif op == OP_SIZE:
        if record.wire_size == 0:
            return 0
        _put(out, "RFC822.SIZE ", 12)
        _number(out, record.wire_size)
    elif op == OP_MODSEQ:
        _put(out, "MODSEQ (", 8)
        _number(out, record.modseq)
        _put(out, ")", 1)
    elif op == OP_SAVEDATE:
        _put(out, "SAVEDATE ", 9)
        _date(out, record.save_date)
    elif op == OP_ENVELOPE:
        _cached(writer, "ENVELOPE ", entry, PART_ENVELOPE)
    elif op == OP_BODYSTRUCTURE:
        _cached(writer, "BODYSTRUCTURE ", entry, PART_STRUCTURE)
    elif op == OP_BODY:
        _cached(writer, "BODY ", entry, PART_BODY)
    elif op == OP_PREVIEW:
        _cached(writer, "PREVIEW ", entry, PART_PREVIEW)
    elif op == OP_EMAILID:
        _object_id(out, "EMAILID (", entry, 0)
    elif op == OP_THREADID:
        _object_id(out, "THREADID (", entry, 1)
    return 1


def write(View view, array seqs, Py_ssize_t start, bytes items, tuple fields, keywords, recent,
          size_t limit, bint uidonly=False, tuple sections=(), Octets octets=None):
    """Write FETCH responses for ``seqs[start:]``; returns (octets, place of the first undone).

    ``items``: one octet for each item, in the order asked; ``fields``: a :class:`Fields` for each
    FIELDS among them. ``keywords``: names in bit order.
    ``recent``: ranges of UIDs that are \\Recent to this session. Stops behind ``limit`` octets.
    ``uidonly``: UIDFETCH, with the UID in place of the sequence number (RFC 9586 §3.3).
    ``sections``: a :class:`Section` for each among the items; ``octets`` reads their messages.
    """
    cdef _Writer writer = _Writer(keywords)
    cdef list spans = list(recent)
    cdef Py_ssize_t place = start, end = len(seqs), number, count = len(items)
    cdef const unsigned char* ops = items
    cdef const unsigned char* entry = NULL
    cdef uint32_t* numbers = <uint32_t*>seqs.data.as_uints
    cdef size_t before
    cdef int64_t row
    cdef Py_ssize_t field, section
    cdef Record* record
    cdef bint from_cache = any(
        OP_ENVELOPE <= op <= OP_BODY or OP_FIELDS <= op <= OP_THREADID for op in items)
    for one in sections:
        from_cache = from_cache or (<Section>one).needs_tree()
    cdef bint complete, is_recent
    while place < end and writer.out.used < limit:
        row = view.row_of(numbers[place])
        if row < 0:
            break
        record = view.index.row(row)
        if record.expunged:
            break
        if sections:
            if not octets.load(view.index, record):
                break
            record = view.index.row(row)  # whoever read it may have mapped the rows anew
        if from_cache:
            entry = checked_entry(view.index, record)
            if entry == NULL:
                break
        is_recent = bool(spans) and _is_recent(spans, record.uid)
        before = writer.out.used
        writer.reserve(FIXED_ROOM)
        _put(&writer.out, "* ", 2)
        if uidonly:
            _number(&writer.out, record.uid)
            _put(&writer.out, " UIDFETCH (", 11)
        else:
            _number(&writer.out, numbers[place])
            _put(&writer.out, " FETCH (", 8)
        complete, field, section = True, 0, 0
        for number in range(count):
            if number:
                _put(&writer.out, " ", 1)
            if ops[number] == OP_FIELDS:
                _fields(writer, entry, <Fields>fields[field])
                field += 1
            elif ops[number] == OP_SECTION:
                complete = _section(writer, <Section>sections[section], record, entry, octets)
                section += 1
                if not complete:
                    break
            elif not _item(writer, ops[number], record, entry, is_recent):
                complete = False
                break
        if not complete:
            writer.out.used = before
            break
        _put(&writer.out, ")\r\n", 3)
        place += 1
    return PyBytes_FromStringAndSize(writer.out.data, writer.out.used), place
