# The part tree as it lies in the cache, read in place. Positions are octets of the file as stored.

cdef struct Extent:
    Py_ssize_t header_start
    size_t header_size
    size_t header_crlf
    Py_ssize_t body_start
    size_t body_size
    size_t body_crlf
    size_t children
    bint is_message
    int kind

cdef struct Walk:
    const unsigned char *at
    const unsigned char *end

cdef bint next_part(Walk *walk, Py_ssize_t origin, Extent *found) noexcept nogil
cdef bint find_part(
    const unsigned char *data, size_t size, const unsigned char *path, int depth,
    bint inner, Extent *found
) noexcept nogil
