"""Maildir file names: ``<unique>,S=<size>,W=<wire size>,U=<uid>:2,<flags>``.

The letters are those of the Maildir specification (D F R S T); small letters are keywords, as
Dovecot and Courier write them.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef uint32_t[256] BITS
cdef int _letter
for _letter in range(256):
    BITS[_letter] = 0
BITS[<unsigned char>c"S"] = 1
BITS[<unsigned char>c"R"] = 2
BITS[<unsigned char>c"F"] = 4
BITS[<unsigned char>c"T"] = 8
BITS[<unsigned char>c"D"] = 16

_LETTERS = ((16, b"D"), (4, b"F"), (2, b"R"), (1, b"S"), (8, b"T"))


cdef uint32_t _uid(const unsigned char* name, Py_ssize_t end) noexcept:
    """The number behind the last ",U=", 0 when there is none that fits 32 bits."""
    cdef Py_ssize_t place = end
    cdef uint64_t value = 0
    while place > 3:
        place -= 1
        if name[place] == c"=" and name[place - 1] == c"U" and name[place - 2] == c",":
            place += 1
            while place < end and c"0" <= name[place] <= c"9" and value < 0x100000000:
                value = value * 10 + name[place] - c"0"
                place += 1
            if (place < end and name[place] != c",") or value > 0xFFFFFFFE:
                return 0
            return <uint32_t>value
    return 0


def parse(bytes name):
    """Return (base, uid, flags, keywords): uid is 0 where the name tells none."""
    cdef const unsigned char* octets = name
    cdef Py_ssize_t length = len(name), end = length, place
    cdef uint32_t flags = 0
    cdef uint64_t keywords = 0
    cdef unsigned char letter
    for place in range(length - 1, -1, -1):
        if octets[place] == c":":
            end = place
            break
    if end + 3 <= length and octets[end + 1] == c"2" and octets[end + 2] == c",":
        for place in range(end + 3, length):
            letter = octets[place]
            if letter == c",":
                break
            if c"a" <= letter <= c"z":
                keywords |= (<uint64_t>1) << (letter - c"a")
            else:
                flags |= BITS[letter]
    return name[:end], _uid(octets, end), flags, keywords


def info(uint32_t flags, uint64_t keywords):
    """Return the info part, ``:2,`` and the letters in ASCII order."""
    cdef int bit
    parts = [letter for mask, letter in _LETTERS if flags & mask]
    if keywords:
        for bit in range(26):
            if keywords >> bit & 1:
                parts.append(b"%c" % (97 + bit))
    return b":2," + b"".join(parts)


def with_uid(bytes base, uint32_t uid):
    """Return a base name that says this UID and no other."""
    return without_uid(base) + b",U=%d" % uid


def without_uid(bytes base):
    """Return a base name that says no UID."""
    return b",".join([field for field in base.split(b",") if not field.startswith(b"U=")])
