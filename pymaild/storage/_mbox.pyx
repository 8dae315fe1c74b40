"""Messages of an mbox: where they are, what their internal fields say, and what clients are told.

A message is a From_ line, a header, an empty line, a body and an empty line before the next
From_ line. The fields that other programs write into the header to say how the mailbox stands
(Status, X-Status, X-Keywords, X-UID, X-IMAPbase, X-IMAP, Content-Length, Lines) are not served:
what is left never changes, whoever writes them.
"""

import os

from libc.errno cimport ENOSYS, EOPNOTSUPP, errno
from libc.stdint cimport int64_t, uint64_t

from pymaild.storage._fromline cimport LONGEST_FROM, From, from_line, from_time
from pymaild.storage._lines cimport (
    BASE, KEYWORDS, LENGTH, PLAIN, PSEUDO, STATUS, UID, XSTATUS, Lines
)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Two lanes over words of 64 bits. It tells messages apart; it does not authenticate. */
    #define PM_MIX(a, b, word) \
        a = (a ^ word) * 0x9FB21C651E98DF25ULL; a = (a << 31) | (a >> 33); \
        b = (b + word) * 0xFF51AFD7ED558CCDULL; b ^= b >> 29;
    static inline void pm_mix(uint64_t *lanes, const unsigned char *data, size_t length) {
        uint64_t a = lanes[0] ^ length, b = lanes[1] + length, word;
        for (; length >= 8; data += 8, length -= 8) {
            memcpy(&word, data, 8);
            PM_MIX(a, b, word)
        }
        for (word = 0; length; length--)
            word = word << 8 | data[length - 1];
        PM_MIX(a, b, word)
        lanes[0] = a ^ (b >> 32);
        lanes[1] = b + (a >> 27);
    }
    """
    void pm_mix(uint64_t* lanes, const unsigned char* data, size_t length) nogil

cdef extern from "<unistd.h>":
    ssize_t pread(int fd, void* into, size_t count, int64_t offset) nogil

cdef extern from "<fcntl.h>":
    int fallocate(int fd, int mode, int64_t offset, int64_t length) nogil
    enum: FALLOC_FL_KEEP_SIZE

cdef enum:
    MOST_VALUE = 1 << 16   # octets of a field's value that are looked at
    MOST_HASHED = 1 << 15  # octets of a line that tell one message from another

_INTERNAL = b"DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"
cdef unsigned char[26] _STATUS, _XSTATUS  # bits by letter
for _letter in range(26):
    _STATUS[_letter] = _XSTATUS[_letter] = 0
_STATUS[c"R" - c"A"] = 1
_XSTATUS[c"A" - c"A"] = 2
_XSTATUS[c"F" - c"A"] = 4
_XSTATUS[c"D" - c"A"] = 8
_XSTATUS[c"T" - c"A"] = 16


class NotMbox(ValueError):
    """No message begins where one is looked for."""


cdef class Message:
    """Where a message is, in octets of the file, and what its internal fields say.

    ``offset``: its From_ line; ``header``; ``body``: behind the empty line; ``end``: behind the
    body, without the empty line that ends it; ``next``: where the next From_ line is or will be.
    ``size``, ``wire_size``: what is served, as stored and in CRLF form; ``header_size``: as stored,
    up to the body. ``date``: seconds since 1970. ``flags``: bits as in a Maildir's names (S 1,
    R 2, F 4, T 8, D 16); ``old``: another program has seen it. ``uid`` is 0 where none is told;
    ``base``: (UIDVALIDITY, last UID, keywords) as X-IMAPbase or X-IMAP tells them. ``identity``:
    16 octets from the header as served. ``pseudo``: a note of UW-IMAP's, which is no mail.
    """

    cdef readonly int64_t offset, header, body, end, next
    cdef readonly int64_t size, wire_size, header_size, date
    cdef readonly unsigned int flags, uid
    cdef readonly bint old, pseudo
    cdef readonly bytes sender, identity
    cdef readonly tuple keywords, base

    def __repr__(self):
        return f"<Message at {self.offset}, {self.size} octets, UID {self.uid}>"


cdef class Scanner(Lines):
    """Yields the messages from an offset on, where one begins, up to ``end``.

    Raises NotMbox where no From_ line is, OSError.
    """

    cdef int64_t stop       # where a body ends that tells its length
    cdef int64_t size, bare_ends
    cdef bint at_start
    cdef uint64_t[2] lanes
    cdef list values        # of internal fields, by their kind
    cdef int collecting

    def __init__(self, int fd, int64_t start=0, int64_t end=(<int64_t>1 << 62)):
        self.seek(start)
        self.limit = min(end, <int64_t>os.fstat(fd).st_size)
        self.at_start = start == 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef Message message = self.one(True)
        if message is None:
            raise StopIteration
        return message

    cdef Message one(self, bint whole):
        """The next message, None at the end of the file."""
        cdef Message message = Message.__new__(Message)
        if not self._begin(message):
            return None
        self._header(message)
        self._told(message)
        if whole:
            self.stop = self._told_end(message)
            with nogil:
                self._body(message)
        message.pseudo = (self.at_start and self.values[<int>PSEUDO] is not None
                          and _INTERNAL in os.pread(self.fd, 4096, message.header))
        self.at_start = False
        return message

    cdef bint _begin(self, Message message) except -1:
        """Read the From_ line; empty lines may stand before it."""
        cdef From found
        while True:
            if not self.line():
                return False
            if not self.blank:
                break
        if not self.begins or not from_line(self.text, self.length, &found):
            raise NotMbox(f"no message begins at octet {self.offset()}")
        message.offset = self.offset()
        message.header = message.offset + self.length
        message.date = from_time(&found)
        message.sender = self.text[5:found.sender].strip() if found.sender > 5 else b""
        return True

    cdef int _header(self, Message message) except -1:
        cdef Py_ssize_t length
        self.size = self.bare_ends = 0
        self.lanes[0] = self.lanes[1] = 0x9E3779B97F4A7C15
        self.values = [None] * 9
        self.collecting = 0
        self.length = 0
        while self.field():
            if self.kind != PLAIN:
                self._collect()
                continue
            self.size += self.length
            self.bare_ends += self.bare
            if self.begins:
                length = self.length - (1 if self.bare else 2 if self.ends else 0)
                pm_mix(self.lanes, self.text, min(length, MOST_HASHED))
        if self.length:
            self.size += self.length
            self.bare_ends += self.bare
        message.body = self.offset() + self.length
        message.header_size = self.size
        message.identity = (<unsigned char*>self.lanes)[:16]
        return 0

    cdef int _collect(self) except -1:
        """Keep the value of the first field of a kind, its lines joined."""
        cdef int kind = self.kind
        if self.begins and self.text[0] not in (c" ", c"\t"):
            self.collecting = kind if self.values[kind] is None else 0
            self.values[kind] = self.values[kind] or b""
        if self.collecting and len(self.values[kind]) < MOST_VALUE:
            self.values[kind] += self.text[:min(self.length, MOST_VALUE)]
        return 0

    cdef int _told(self, Message message) except -1:
        """Read the internal fields."""
        cdef list base = self._words(BASE) or self._words(PSEUDO)
        cdef list status = self._words(STATUS), uid = self._words(UID)
        message.keywords = tuple(self._words(KEYWORDS) or ())
        if base and len(base) >= 2 and _number(base[0]) and _number(base[1]) >= 0:
            message.base = (_number(base[0]), _number(base[1]), tuple(base[2:]))
        message.uid = max(0, _number(uid[0])) if uid else 0
        message.flags = _bits(status, _STATUS) | _bits(self._words(XSTATUS), _XSTATUS)
        message.old = bool(status) and b"O" in <bytes>status[0]
        return 0

    cdef list _words(self, int kind):
        """What the first field of a kind says, None where there is none."""
        cdef bytes value = self.values[kind]
        return None if value is None else value[value.index(b":") + 1 :].split()

    cdef int64_t _told_end(self, Message message) except -1:
        """Where Content-Length says that the body ends, if that leads to a From_ line or the end."""
        cdef unsigned char[LONGEST_FROM + 3] text
        cdef Py_ssize_t got, place = 1
        cdef int64_t end
        cdef From found
        length = self._words(LENGTH)
        if not length or not length[0].isdigit() or len(length[0]) > 15:
            return 0
        end = message.body + <int64_t>int(length[0])
        if end >= self.limit:
            return end if end == self.limit else 0
        got = pread(self.fd, text, min(<int64_t>sizeof(text), self.limit - end + 1), end - 1)
        if got < 2 or text[0] != c"\n":
            return 0
        if text[1] == c"\r" and got > 2:
            place = 2
        if text[place] == c"\n":
            place += 1
            if end - 1 + place == self.limit:
                return end
        else:
            place = 1
        return end if from_line(text + place, _line_length(text + place, got - place), &found) else 0

    cdef int _body(self, Message message) except -1 nogil:
        """Go on up to the next From_ line behind an empty line."""
        cdef bint empty = True         # the line before this one
        cdef Py_ssize_t separator = 0  # the length of an empty line that ends the body
        cdef bint bare = False
        cdef int64_t offset = message.body
        cdef From found
        message.next = message.body
        while self.line():
            offset = self.offset()
            if offset >= self.stop:
                if (self.text[0] == c"F" and self.begins
                        and from_line(self.text, self.length, &found)
                        and (empty or offset == self.stop
                             or self._header_at(offset + self.length))):
                    self.back()
                    break
                if self.stop:
                    message.next = offset + self.length
                    empty = self.blank
                    continue
            self.size += self.length
            self.bare_ends += self.bare
            message.next = offset + self.length
            empty = self.blank
            separator = self.length if empty else 0
            bare = self.bare
        if separator and not self.stop:
            self.size -= separator
            self.bare_ends -= bare
        message.end = self.stop if self.stop else message.next - separator
        message.size = self.size
        message.wire_size = self.size + self.bare_ends
        return 0


    cdef bint _header_at(self, int64_t offset) noexcept nogil:
        """Say whether a header field is there.

        What begins a message without an empty line before it must be followed by one. Some
        programs leave the empty line out where a body does not end its last line.
        """
        cdef unsigned char[80] text
        cdef Py_ssize_t place = 0, got
        got = pread(self.fd, text, min(<int64_t>sizeof(text), self.limit - offset), offset)
        while place < got and c"!" <= text[place] <= c"~" and text[place] != c":":
            place += 1
        return 0 < place < got and text[place] == c":"


cdef Py_ssize_t _line_length(const unsigned char* text, Py_ssize_t most) noexcept nogil:
    cdef Py_ssize_t length = 0
    while length < most and text[length] != c"\n":
        length += 1
    return min(length + 1, most)


cdef long long _number(bytes text) except -2:
    """A number of 32 bits, -1 where it is none."""
    if not text.isdigit() or len(text) > 12:
        return -1
    number = int(text)
    return number if number < 1 << 32 else -1


cdef unsigned int _bits(list words, const unsigned char* bits) except? 0:
    """The flags that letters of a field stand for."""
    cdef unsigned int found = 0
    cdef unsigned char letter
    if words:
        for letter in <bytes>words[0]:
            if c"A" <= letter <= c"Z":
                found |= bits[letter - c"A"]
    return found


def message_at(int fd, int64_t offset, bint whole=True):
    """Return the message whose From_ line is at ``offset``. Raises NotMbox, OSError.

    Offset 0 stands for the first message, which may have empty lines before it. The rest of the
    file is not looked at; where not ``whole`` is asked for, nor is the body, and
    ``end``, ``next`` and the sizes are not told.
    """
    cdef Scanner scanner = Scanner(fd, offset)
    cdef Message message = scanner.one(whole)
    if message is None or (offset and message.offset != offset):
        raise NotMbox(f"no message begins at octet {offset}")
    return message


def reserve(int fd, int64_t offset, int64_t length):
    """Have the file system keep room behind a file's end, where it can. Raises OSError: ENOSPC.

    The size of the file stays.
    """
    if fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length) and errno not in (EOPNOTSUPP, ENOSYS):
        raise OSError(errno, os.strerror(errno))
