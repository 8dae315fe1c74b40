"""The part tree in a compact form for the cache; it depends on no machine.

For each part, parents first, eight numbers of seven bits an octet, low bits first, the top bit
set on all but the last octet: header start (from where the parent's body or the part before it
ends), header size, CRs its CRLF form adds, body size, CRs, lines, twice the number of
children plus `is_message`, and `kind`.
"""

from pymaild.mime._scan cimport DEEPEST, Part
from pymaild.mime._wire cimport Wire

cdef enum:
    NUMBERS = 8


def pack(Part part not None):
    """Return the tree in packed form."""
    cdef Wire out = Wire()
    pack_part(out, part, 0)
    return out.take()


cdef int pack_part(Wire out, Part part, Py_ssize_t origin) except -1:
    cdef Part child
    put_number(out, part.header_start - origin)
    put_number(out, part.header_end - part.header_start)
    put_number(out, part.header_crlf - part.header_end + part.header_start)
    put_number(out, part.body_end - part.body_start)
    put_number(out, part.body_crlf - part.body_end + part.body_start)
    put_number(out, part.lines)
    put_number(out, 2 * len(part.children) + part.is_message)
    put_number(out, part.kind)
    origin = part.body_start
    for child in part.children:
        pack_part(out, child, origin)
        origin = child.body_end
    return 0


cdef int put_number(Wire out, Py_ssize_t number) except -1:
    while number > 0x7F:
        out.octet(number & 0x7F | 0x80)
        number >>= 7
    return out.octet(<unsigned char> number)


def unpack(bytes data not None):
    """Read what :func:`pack` wrote. Raises ValueError for anything else."""
    cdef Unpacker unpacker = Unpacker()
    cdef Part root
    unpacker.data = data
    unpacker.size = len(data)
    root = unpacker.part(0, 0)
    if unpacker.at != unpacker.size:
        raise ValueError("packed structure is too long")
    return root


cdef class Unpacker:
    cdef bytes data
    cdef Py_ssize_t at
    cdef Py_ssize_t size

    cdef Part part(self, Py_ssize_t origin, int depth):
        cdef Py_ssize_t numbers[NUMBERS]
        cdef Part part = Part.__new__(Part)
        cdef int i
        if depth > DEEPEST:
            raise ValueError("packed structure is too deep")
        for i in range(NUMBERS):
            numbers[i] = self.number()
        part.header_start = origin + numbers[0]
        part.header_end = part.body_start = part.header_start + numbers[1]
        part.header_crlf = numbers[1] + numbers[2]
        part.body_end = part.body_start + numbers[3]
        part.body_crlf = numbers[3] + numbers[4]
        part.lines = numbers[5]
        part.is_message = numbers[6] & 1
        part.kind = <int> numbers[7]
        part.children = self.children(part, numbers[6] >> 1, depth + 1)
        if part.is_message and len(part.children) != 1:
            raise ValueError("packed message without its content")
        return part

    cdef tuple children(self, Part part, Py_ssize_t count, int depth):
        cdef list found = []
        cdef Py_ssize_t origin = part.body_start
        cdef Part child
        while len(found) < count:
            child = self.part(origin, depth)
            origin = child.body_end
            found.append(child)
        return tuple(found)

    cdef Py_ssize_t number(self) except -1:
        cdef Py_ssize_t number = 0
        cdef int shift = 0
        cdef unsigned char octet
        while self.at < self.size and shift < 56:
            octet = self.data[self.at]
            self.at += 1
            number |= <Py_ssize_t> (octet & 0x7F) << shift
            if octet < 0x80:
                return number
            shift += 7
        raise ValueError("packed structure is cut off")


# Reading in place: the same form, without an object for each part.

cdef bint next_part(Walk *walk, Py_ssize_t origin, Extent *found) noexcept nogil:
    """Read the numbers of the part that comes next; false where they are none."""
    cdef size_t numbers[NUMBERS]
    cdef size_t number
    cdef int i, shift
    for i in range(NUMBERS):
        number, shift = 0, 0
        while True:
            if walk.at == walk.end or shift > 49:
                return False
            number |= <size_t> (walk.at[0] & 0x7F) << shift
            walk.at += 1
            if walk.at[-1] < 0x80:
                break
            shift += 7
        numbers[i] = number
    found.header_start = origin + numbers[0]
    found.header_size, found.header_crlf = numbers[1], numbers[1] + numbers[2]
    found.body_start = found.header_start + numbers[1]
    found.body_size, found.body_crlf = numbers[3], numbers[3] + numbers[4]
    found.children, found.is_message, found.kind = numbers[6] >> 1, numbers[6] & 1, numbers[7]
    return True


cdef bint pass_over(Walk *walk, size_t parts) noexcept nogil:
    """Go behind so many parts and all that is below them."""
    cdef Extent passed
    while parts:
        if not next_part(walk, 0, &passed):
            return False
        parts += passed.children - 1
    return True


cdef bint find_part(
    const unsigned char *data, size_t size, const unsigned char *path, int depth,
    bint inner, Extent *found
) noexcept nogil:
    """Find the part that section numbers name, as pymaild/mime/parts.py does; false for none.

    ``inner``: of a part with a path, the message that it holds.
    """
    cdef Walk walk
    cdef bint is_whole = True
    cdef int level
    walk.at, walk.end = data, data + size
    if not next_part(&walk, 0, found):
        return False
    for level in range(depth):
        if not is_whole and found.is_message:
            is_whole = True
            if not next_part(&walk, found.body_start, found):
                return False
        if found.children and not found.is_message:
            if path[level] == 0 or path[level] > found.children:
                return False
            is_whole = False
            if not go_to_child(&walk, path[level], found):
                return False
        elif is_whole and path[level] == 1:
            is_whole = False
        else:
            return False
    if depth and inner:
        return found.is_message and next_part(&walk, found.body_start, found)
    return True


cdef bint go_to_child(Walk *walk, int number, Extent *found) noexcept nogil:
    cdef Py_ssize_t origin = found.body_start
    cdef int passed
    for passed in range(number - 1):
        if not next_part(walk, origin, found) or not pass_over(walk, found.children):
            return False
        origin = found.body_start + found.body_size
    return next_part(walk, origin, found)
